//! The brokers behind `port::broker`: RabbitMQ by lapin for production, an embedded one for the default. Names, routing and
//! limits are the same for both and stand in `topology`.

pub mod amqp;
pub mod embedded;
pub mod topology;
