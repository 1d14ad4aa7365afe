//! `[metrics]`: the listener for metrics and health.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::{Check, within};
use super::value::{human_duration, optional_address};

/// The listener for metrics and health.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// Where it listens; none: nowhere.
    #[serde(with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// After how long a main loop that does not move counts as dead.
    #[serde(with = "human_duration")]
    pub watchdog: Duration,
}

impl Check for MetricsSettings {
    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        within("watchdog", self.watchdog, 5, 600, problem);
    }
}
