//! The stores behind `port::store`: PostgreSQL and SQLite, and the blob folder. Only this module knows SQL.
//!
//! Everything is written once, over [`engine::Engine`]: the same `$1` texts run on both databases. What differs is in
//! `postgres.rs` and `sqlite.rs`: connections, transactions, locks, and how many rows are handed over at once.

mod account;
mod api;
mod chat;
mod commit;
mod desk;
mod engine;
mod erase;
mod error;
mod fact;
mod installation;
mod journal;
mod keeping;
mod lease;
mod left;
mod opt_out;
mod quarantine;
mod read_mark;
mod row;
mod snapshot;
mod table;
mod trim;
mod value;

pub mod blobs;
pub mod postgres;
pub mod sqlite;

use lease::Leads;

/// A store over one database engine; see [`postgres::PostgresStore`] and [`sqlite::SqliteStore`].
pub struct SqlStore<E: engine::Engine> {
    engine: std::sync::Arc<E>,
    leads: Leads,
}

impl<E: engine::Engine> SqlStore<E> {
    fn new(engine: E) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self { engine: std::sync::Arc::new(engine), leads: Leads::default() })
    }
}
