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
}

impl Check for ChannelApiSettings {
    fn check(&mut self, _: &mut dyn FnMut(&str, String)) {}
}
