//! Text messages: signed webhooks in by way of a spool on this disk, a provider's HTTP interface out.
//!
//! The pure codec (`text`, `signature`, `provider`, `public_address`) stands beside the I/O (`webhook`, `spool`, `media`).

pub mod courier;
pub mod media;
pub mod provider;
pub mod public_address;
pub mod sender;
pub mod signature;
pub mod spool;
pub mod text;
pub mod webhook;
