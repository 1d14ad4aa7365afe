//! The traits between Sportello's own work and the engines it stands on: broker, store, blobs, commands, feed, clock, trace. What is
//! behind them is chosen in one place, `runtime/daemon.rs`.

pub mod aside;
pub mod blobs;
pub mod broker;
pub mod chat;
pub mod clock;
pub mod commands;
pub mod embedded_file;
pub mod feed;
pub mod keeping;
pub mod openapi;
pub mod peer;
pub mod places;
pub mod problem;
pub mod retry;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
pub mod trace;
