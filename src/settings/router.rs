//! `[router]`: the engine's driver.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::{Check, within};
use super::value::human_duration;

/// The engine's driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterSettings {
    /// How long a leader counts as alive without a sign.
    #[serde(with = "human_duration")]
    pub lease_ttl: Duration,
    /// The most inputs in one commit.
    pub batch_max: usize,
    /// The most messages in hand before the first is committed.
    pub prefetch: u16,
    /// After how long a silent desk node is lost.
    #[serde(with = "human_duration")]
    pub node_late: Duration,
    /// Whether events go to `sportello.events`.
    pub publish_events: bool,
}

impl Check for RouterSettings {
    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        within("lease_ttl", self.lease_ttl, 2, 60, problem);
        within("node_late", self.node_late, 3, 300, problem);
        if !(1..=10_000).contains(&self.batch_max) {
            problem("batch_max", "write a number from 1 to 10000".into());
        }
        if self.prefetch == 0 || usize::from(self.prefetch) < self.batch_max {
            problem("prefetch", "this is less than batch_max, so no batch could ever be full: raise it".into());
        }
    }
}
