//! The contract of `port::store`: the same functions on SQLite and on PostgreSQL.

mod account;
mod chat;
mod commit;
mod desk;
mod fact;
mod fixture;
mod isolation;
mod journal;
mod keeping;
mod lease;
mod operation;
mod place;
mod read_mark;

/// Makes a test of each function on both databases.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::store::place::Place::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::store::place::Place::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_both;

/// Makes a test of a function that is about PostgreSQL only.
macro_rules! on_postgres {
    ($($name:ident),+ $(,)?) => {
        mod postgres_only {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::store::place::Place::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_postgres;
