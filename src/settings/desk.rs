//! `[desk]`: operators' pages and API.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::load::{Check, within};
use super::value::{self, human_duration, socket_address};

/// Operators' pages and API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskSettings {
    /// Where it listens.
    #[serde(with = "socket_address")]
    pub listen: SocketAddr,
    /// How browsers reach it; empty: `http://` and the address.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "value::list")]
    pub trusted_proxies: Vec<IpAddr>,
    /// A session ends after this time without use.
    #[serde(with = "human_duration")]
    pub session_idle: Duration,
    /// A session ends after this time whatever happens.
    #[serde(with = "human_duration")]
    pub session_max: Duration,
    /// The most consoles connected.
    pub sockets_max: u32,
    /// The most events waiting for one console.
    pub socket_queue_len_max: u32,
    /// The country its operators sit in, two letters of ISO 3166: what `{ field = "country" }` in a plan looks at.
    pub country: String,
}

impl DeskSettings {
    /// How browsers reach it. `bound` is the address that the listener got, which has the real port.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        match self.public_url.trim_end_matches('/') {
            "" => format!("http://{bound}"),
            url => url.to_owned(),
        }
    }

    /// Whether cookies are for HTTPS only.
    pub fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

impl Check for DeskSettings {
    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        if !self.public_url.is_empty() {
            let plain = Url::parse(&self.public_url).ok().filter(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
            });
            if plain.is_none_or(|url| url.path() != "/") {
                problem("public_url", "write scheme and host only, such as https://sportello.comune.example".into());
            }
        }
        if self.country.parse::<phonenumber::country::Id>().is_err() {
            problem("country", "write the two capital letters of a country, such as IT".into());
        }
        within("session_idle", self.session_idle, 60, 7 * 86_400, problem);
        within("session_max", self.session_max, 60, 30 * 86_400, problem);
        if self.session_idle > self.session_max {
            problem("session_idle", "this is longer than session_max, so it never counts: shorten it".into());
        }
        if !(1..=100_000).contains(&self.sockets_max) {
            problem("sockets_max", "write a number from 1 to 100000".into());
        }
        if !(16..=100_000).contains(&self.socket_queue_len_max) {
            problem("socket_queue_len_max", "write a number from 16 to 100000".into());
        }
    }
}
