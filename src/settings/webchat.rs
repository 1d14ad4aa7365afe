//! `[webchat]`: chats on web pages, and which pages may have one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::load::{Check, within};
use super::value::{self, human_duration};
use crate::model::channel::Language;
use crate::model::id::{AccountId, TopicId};

/// Chats on web pages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebChatSettings {
    /// How long a chat is remembered.
    #[serde(with = "human_duration")]
    pub session_life: Duration,
    /// Between two pings; two unanswered ones and the browser is lost.
    #[serde(with = "human_duration")]
    pub ping_every: Duration,
    /// New chats a minute from one address.
    pub sessions_per_minute: u32,
    /// The most browsers connected to one process.
    pub sockets_max: usize,
    /// Of these, to one account.
    pub sockets_per_account_max: usize,
    /// Of these, from one address.
    pub sockets_per_address_max: usize,
    /// The largest file, in bytes.
    pub attachment_bytes_max: usize,
    /// Bytes of files from one address at once, and as many again per hour.
    pub upload_bytes_per_hour: u32,
    /// Media types of files that are taken.
    #[serde(deserialize_with = "value::list")]
    pub attachment_types: Vec<String>,
    /// What differs by account.
    #[serde(default)]
    pub accounts: BTreeMap<AccountId, ChatAccountSettings>,
}

/// What an account's widget shows, and which pages may have it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatAccountSettings {
    /// Origins of pages beside our own.
    #[serde(deserialize_with = "value::list")]
    pub origins: Vec<String>,
    /// Topics offered, in this order; empty: all of the plan.
    #[serde(deserialize_with = "value::list")]
    pub topics: Vec<TopicId>,
    /// Where the privacy notice is.
    pub privacy_url: String,
    /// What the citizen accepts.
    pub privacy_text: String,
    /// Languages offered; empty: the administration's.
    pub languages: Vec<Language>,
}

impl Check for WebChatSettings {
    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        within("session_life", self.session_life, 600, 30 * 86_400, problem);
        within("ping_every", self.ping_every, 1, 60, problem);
        if !(1..=100_000).contains(&self.sessions_per_minute) {
            problem("sessions_per_minute", "write a number from 1 to 100000".into());
        }
        for (key, value) in [
            ("sockets_max", self.sockets_max),
            ("sockets_per_account_max", self.sockets_per_account_max),
            ("sockets_per_address_max", self.sockets_per_address_max),
        ] {
            if !(1..=1_000_000).contains(&value) {
                problem(key, "write a number from 1 to 1000000".into());
            }
        }
        if !(1_024..=100 * 1024 * 1024).contains(&self.attachment_bytes_max) {
            problem("attachment_bytes_max", "write a number from 1024 to 104857600".into());
        }
        if (self.upload_bytes_per_hour as usize) < self.attachment_bytes_max {
            problem("upload_bytes_per_hour", "one file alone may have attachment_bytes_max: write at least as many".into());
        }
        for (account, settings) in &self.accounts {
            for origin in &settings.origins {
                let is_origin = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
                if !is_origin {
                    problem(
                        &format!("accounts.{account}.origins"),
                        "write scheme and host only, without a slash at the end, such as https://www.comune.example".into(),
                    );
                }
            }
            let is_page = Url::parse(&settings.privacy_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if !settings.privacy_url.is_empty() && !is_page {
                problem(&format!("accounts.{account}.privacy_url"), "write the address of a page: https://…".into());
            }
        }
    }
}
