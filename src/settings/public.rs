//! `[public]`: what citizens and providers reach. Not the operators' desk: it has an address of its own.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use url::Url;

use super::load::Check;
use super::value::{self, socket_address};

/// The listener for the public.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicSettings {
    /// Where it listens.
    #[serde(with = "socket_address")]
    pub listen: SocketAddr,
    /// How the world reaches it; empty: `http://` and the address.
    pub url: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "value::list")]
    pub trusted_proxies: Vec<IpAddr>,
    /// The most connections for requests; sockets of chats come on top.
    pub connections_max: usize,
    /// Of these, from one address; its sockets come on top. Trusted proxies have no such limit.
    pub connections_per_address_max: usize,
}

impl PublicSettings {
    /// How the world reaches it, with a slash at the end. `bound` is the address that the listener got, which has the real port.
    pub fn url(&self, bound: SocketAddr) -> Url {
        let url = match self.url.trim_end_matches('/') {
            "" => format!("http://{bound}/"),
            url => format!("{url}/"),
        };
        url.parse().expect("checked when the settings were read")
    }
}

impl Check for PublicSettings {
    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        for (key, value) in [("connections_max", self.connections_max), ("connections_per_address_max", self.connections_per_address_max)] {
            if !(1..=1_000_000).contains(&value) {
                problem(key, "write a number from 1 to 1000000".into());
            }
        }
        if self.url.is_empty() {
            return;
        }
        let is_plain = |url: Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        };
        if !Url::parse(&self.url).is_ok_and(is_plain) {
            problem("url", "write scheme, host and at most a path, such as https://contatti.comune.example".into());
        }
    }
}
