//! `[channel_api]`: where other programs hand in contacts.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::load::Check;
use super::value::optional_address;

/// Where other programs hand in contacts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelApiSettings {
    /// An address of its own; none: the desk's.
    #[serde(with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// Requests per second of one token.
    pub requests_per_second: u32,
    /// Requests at once of one token.
    pub burst: u32,
}

impl Check for ChannelApiSettings {
    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        for (key, value) in [("requests_per_second", self.requests_per_second), ("burst", self.burst)] {
            if !(1..=100_000).contains(&value) {
                problem(key, "write a number from 1 to 100000".into());
            }
        }
    }
}
