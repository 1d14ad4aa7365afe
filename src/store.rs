//! The stores behind `port::store`: PostgreSQL and SQLite, and the blob folder.
pub mod blobs;
pub mod postgres;
pub mod sqlite;
