//! The broker's promises, on RabbitMQ and on the embedded broker.

mod amqp;
mod crash;
mod document;
mod embedded;
mod place;
mod promises;

/// Makes a test of a promise for each backend.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_amqp {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Kind::Amqp).await;
            })+
        }
        mod on_embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Kind::Embedded).await;
            })+
        }
    };
}
pub(crate) use on_both;
