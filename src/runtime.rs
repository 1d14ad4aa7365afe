//! What makes the pure engine a daemon: leadership, intake, the driver that commits before anything acts, the relay, and
//! `daemon`, the one place that names concrete backends.

pub mod aside;
pub mod clock;
pub mod commands;
pub mod consumer;
pub mod daemon;
pub mod driver;
pub mod feed;
pub mod housekeeping;
pub mod intake;
pub mod keeping;
pub mod language;
pub mod leader;
pub mod left;
pub mod nodes;
pub mod plans;
pub mod quarantine;
pub mod relay;
pub mod retry;
pub mod rows;
pub mod ticking;
