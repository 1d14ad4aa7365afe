//! The whole daemon as its users meet it: one story a file, each on both pairs of backends.

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

mod browser;
mod command_line;
mod contract;
mod doors;
mod end;
mod kill;
mod live;
mod smpp;
mod sms;
mod stock_client;
