//! The brokers behind `port::broker`: RabbitMQ by lapin, and an embedded one for the default.
pub mod amqp;
pub mod embedded;
