//! The engine: decides which operator gets which contact. Pure and synchronous: no clock, no randomness, no I/O, no logging,
//! no unordered map. The same inputs give the same effects, and an engine rebuilt from rows equals the one that wrote them.
//!
//! [`Engine::apply`] takes one input and adds to [`Effects`]; [`Engine::next_deadline`] says when [`Input::Timers`] is due.
//!
//! [`Input::Timers`]: crate::model::input::Input::Timers

mod command;
mod delivery;
mod demand;
mod digest;
mod effects;
mod engine;
mod idle;
mod inbound;
mod lane;
mod lifecycle;
mod matching;
mod outcome;
mod parameters;
mod presence;
mod timer;

pub use effects::{Applied, Effects, Placement};
pub use engine::{Engine, Rows};
pub use parameters::{ATTEMPT_TIMEOUT, ENGINE_VERSION};

#[cfg(test)]
mod tests;
