//! Metrics, logs, readiness. Nothing here decides anything; labels are names of the plan and short codes, never a
//! person.

pub mod health;
pub mod log;
pub mod metrics;
pub mod readiness;

pub use health::HealthOptions;
pub use metrics::Metrics;
pub use readiness::{Latch, Readiness, Watchdog};
