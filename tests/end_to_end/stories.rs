//! A story told on both pairs of backends: the embedded one, and RabbitMQ with PostgreSQL.

/// Two tests that tell one story, each on its pair.
macro_rules! on_both_pairs {
    ($story:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn on_the_embedded_pair() {
            $story(crate::daemon::Pair::Embedded).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn on_the_production_pair() {
            $story(crate::daemon::Pair::Production).await;
        }
    };
}
