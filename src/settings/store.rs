//! `[store]`: the database.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::{Check, within};
use super::secret::{self, Secret};
use super::value::human_duration;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A file of the data folder.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// Which one.
    pub kind: StoreKind,
    /// `postgres://…`; holds a password.
    pub url: Secret,
    /// The file that holds `url`; empty: none.
    pub url_file: PathBuf,
    /// The most connections beside the router's own.
    pub connections_max: u32,
    /// How long to wait for a connection.
    #[serde(with = "human_duration")]
    pub connect_timeout: Duration,
    /// How many days the pools' logs go back; 0: for ever.
    pub journal_days: u32,
}

impl StoreSettings {
    /// How long events and commands are kept; none: for ever.
    pub fn journal_kept(&self) -> Option<Duration> {
        (self.journal_days > 0).then(|| Duration::from_secs(u64::from(self.journal_days) * 24 * 60 * 60))
    }
}

impl Check for StoreSettings {
    fn resolve(&mut self, problem: &mut dyn FnMut(&str, String)) {
        secret::resolve("url", &mut self.url, &self.url_file, problem);
    }

    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        match self.kind {
            StoreKind::Postgres if self.url.is_empty() && self.url_file.as_os_str().is_empty() => {
                problem("url", "store.kind is postgres: give the server's url, or url_file".into());
            }
            StoreKind::Postgres
                if !self.url.is_empty() && !["postgres://", "postgresql://"].iter().any(|scheme| self.url.expose().starts_with(scheme)) =>
            {
                problem("url", "a PostgreSQL url begins with postgres://".into());
            }
            StoreKind::Sqlite if !self.url.is_empty() => {
                problem("url", "SQLite lies in the data folder and has no url: set store.kind = \"postgres\", or take the url out".into());
            }
            _ => {}
        }
        if !(2..=500).contains(&self.connections_max) {
            problem("connections_max", "write a number from 2 to 500".into());
        }
        within("connect_timeout", self.connect_timeout, 1, 60, problem);
        if !matches!(self.journal_days, 0 | 35..=36_500) {
            problem("journal_days", "write a number of days from 35 to 36500, or 0 to keep the logs for ever".into());
        }
    }
}
