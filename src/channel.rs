//! The channels: each a pure codec beside its I/O.
pub mod api;
pub mod email;
pub mod outbound;
pub mod problem;
pub mod sms;
pub mod webchat;
