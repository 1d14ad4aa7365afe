//! `[log]`: how and what is written.

use serde::{Deserialize, Serialize};

use super::load::Check;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One line of text.
    Text,
    /// One JSON object a line.
    Json,
}

/// How and what is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// What is written, as in `RUST_LOG`.
    pub filter: String,
}

impl Check for LogSettings {
    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        if let Err(error) = self.filter.parse::<tracing_subscriber::EnvFilter>() {
            problem(
                "filter",
                format!("this is not a filter ({error}): write a level, or levels by module as in info,sportello::runtime=debug"),
            );
        }
    }
}
