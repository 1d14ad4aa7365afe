//! What can be set about a desk: addresses, times, limits. Its own type, so that the desk knows nothing of the settings file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::id::AccountId;
use crate::model::text_message::TextMessageTerms;

/// Settings of a desk node.
#[derive(Debug, Clone)]
pub struct DeskOptions {
    /// The address in the browsers: its scheme decides about `Secure` cookies and HSTS, its origin is the one allowed.
    pub public_url: url::Url,
    /// The name of this node: the router knows by it whose consoles are lost when it falls silent.
    pub node: String,
    /// The country of sessions at this node, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// A session that is not used for this long ends. An open console is a use.
    pub session_idle: Duration,
    /// A session ends after this time, used or not.
    pub session_absolute: Duration,
    /// Proxies whose `X-Forwarded-For` is believed. Nobody else's is.
    pub trusted_proxies: Vec<IpAddr>,
    /// Sign-in attempts for one login from one network at once, and as many again per minute; ten times as many from everywhere.
    pub login_attempts: u32,
    /// Sign-in attempts from one network at once, and as many again per minute: an IPv4 address, or an IPv6 /64.
    pub peer_attempts: u32,
    /// The largest file in a reply, in bytes.
    pub attachment_bytes_max: usize,
    /// Uploads held in memory at once.
    pub uploads_max: usize,
    /// Frames waiting for one console before it is cut.
    pub queue_frames_max: usize,
    /// Bytes waiting for one console before it is cut.
    pub queue_bytes_max: usize,
    /// Consoles at once, of everybody.
    pub sockets_max: usize,
    /// Consoles of one person at once.
    pub sockets_per_operator_max: usize,
    /// Time between two pings; two unanswered ones and the console counts as lost.
    pub ping_every: Duration,
    /// How old knowledge of a session may be before the store is asked again.
    pub session_recheck: Duration,
    /// What must be known of text messages, by account: what a part costs, and another alphabet than the usual.
    pub text_message_terms: BTreeMap<AccountId, TextMessageTerms>,
}

impl DeskOptions {
    /// The usual settings for a node reached at `public_url`.
    pub fn new(public_url: url::Url, node: impl Into<String>) -> Self {
        Self {
            public_url,
            node: node.into(),
            country: Some("IT".to_owned()),
            session_idle: Duration::from_secs(60 * 60),
            session_absolute: Duration::from_secs(12 * 60 * 60),
            trusted_proxies: Vec::new(),
            login_attempts: 10,
            peer_attempts: 200,
            attachment_bytes_max: 25 * 1024 * 1024,
            uploads_max: 4,
            queue_frames_max: 256,
            queue_bytes_max: 1024 * 1024,
            sockets_max: 2_000,
            sockets_per_operator_max: 16,
            ping_every: Duration::from_secs(5),
            session_recheck: Duration::from_millis(1_250),
            text_message_terms: BTreeMap::new(),
        }
    }

    /// Whether browsers reach the desk by TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// The session cookie's name: `__Host-` binds it to this host, and needs TLS.
    pub fn cookie_name(&self) -> &'static str {
        if self.is_https() { "__Host-sportello" } else { "sportello" }
    }
}
