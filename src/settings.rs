//! Settings: compiled-in defaults < file < environment < flags. Every problem is reported at once, with the place it came
//! from; secrets are read from files and never printed.

use std::fmt;

use serde::Serialize;

pub mod broker;
pub mod channel_api;
pub mod data;
pub mod desk;
pub mod email;
pub mod installation;
mod load;
pub mod log;
pub mod metrics;
mod mismatch;
pub mod origin;
pub mod public;
pub mod roles;
pub mod router;
pub mod secret;
pub mod sms;
pub mod store;
#[cfg(test)]
mod tests;
mod value;
pub mod webchat;

pub use load::Sources;
pub use mismatch::Mismatch;
pub use roles::{ProcessRole, Roles};
pub use secret::Secret;

/// Every setting with its default and what it means: the documentation and the defaults are one file.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The settings in force.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// What this process does.
    pub roles: Roles,
    /// Names that the installation owns.
    pub installation: installation::InstallationSettings,
    /// Where files are.
    pub data: data::DataSettings,
    /// The message broker.
    pub broker: broker::BrokerSettings,
    /// The database.
    pub store: store::StoreSettings,
    /// Operators' pages and API.
    pub desk: desk::DeskSettings,
    /// What citizens and providers reach.
    pub public: public::PublicSettings,
    /// Where other programs hand in contacts.
    pub channel_api: channel_api::ChannelApiSettings,
    /// Mail in and out.
    pub email: email::EmailSettings,
    /// Text messages in and out.
    pub sms: sms::SmsSettings,
    /// Chats on web pages.
    pub webchat: webchat::WebChatSettings,
    /// The engine's driver.
    pub router: router::RouterSettings,
    /// Metrics and health.
    pub metrics: metrics::MetricsSettings,
    /// Logs.
    pub log: log::LogSettings,
}

/// One problem of the settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingsProblem {
    /// `broker.url`.
    pub key: String,
    /// Where the value came from: `/etc/sportello.toml, line 3`, `the environment (SPORTELLO__BROKER__URL)`, `--set`,
    /// `the default`.
    pub origin: String,
    /// What is wrong and what to do, without a full stop. Never holds a secret.
    pub message: String,
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.origin, self.message),
            key => write!(f, "{}: {key}: {}", self.origin, self.message),
        }
    }
}

impl std::error::Error for SettingsProblem {}

impl Settings {
    /// Reads and checks the settings. Touches no port and creates nothing; reads the files that hold secrets.
    pub fn load(sources: &Sources) -> Result<Self, Vec<SettingsProblem>> {
        load::load(sources)
    }

    /// The settings in force as TOML, secrets as `<redacted>`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are plain tables")
    }

    /// Checks combinations; each section has checked itself.
    fn check(&self, problem: &mut dyn FnMut(&str, String)) {
        if !self.roles.is_all() {
            if self.broker.kind == broker::BrokerKind::Embedded {
                problem(
                    "roles",
                    "the embedded broker works inside one process: leave roles at \"all\", or set broker.kind = \"amqp\"".into(),
                );
            }
            if self.store.kind == store::StoreKind::Sqlite {
                problem("roles", "SQLite serves one process: leave roles at \"all\", or set store.kind = \"postgres\"".into());
            }
        }
        let sends = std::iter::once(("email.relay".to_owned(), &self.email.relay))
            .chain(self.email.sender.iter().map(|(account, sender)| (format!("email.sender.{account}"), sender)));
        if sends.into_iter().any(|(_, sender)| sender.kind == email::RelayKind::Smtp) && self.installation.has_placeholder_domain() {
            problem(
                "installation.message_domain",
                "mail leaves this machine, and its servers are told this name (EHLO): set a domain of yours".into(),
            );
        }
    }
}
