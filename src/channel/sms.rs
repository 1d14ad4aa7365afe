//! Text messages: how a text becomes parts and back, and how a provider proves that a request is its own. Pure.

pub mod signature;
pub mod text;
