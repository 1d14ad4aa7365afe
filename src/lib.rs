//! Sportello: one counter for every channel. See ARCHITECTURE.md for how the parts hang together.
//!
//! The pure part, `model`, `plan` and `routing`, is built without the feature `daemon`; everything that does I/O needs it.

pub mod model;
pub mod plan;
pub mod routing;

#[cfg(feature = "daemon")]
pub mod broker;
#[cfg(feature = "daemon")]
pub mod channel;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod desk;
#[cfg(feature = "daemon")]
pub mod fault;
#[cfg(feature = "daemon")]
pub mod port;
#[cfg(feature = "daemon")]
pub mod runtime;
#[cfg(feature = "daemon")]
pub mod settings;
#[cfg(feature = "daemon")]
pub mod store;
#[cfg(feature = "daemon")]
pub mod telemetry;
