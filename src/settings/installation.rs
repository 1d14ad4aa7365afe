//! `[installation]`: names that the installation owns.

use serde::{Deserialize, Serialize};

use super::load::Check;

/// Names that the installation owns.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallationSettings {
    /// What the types of published events begin with.
    pub event_type_prefix: String,
    /// Our name when we speak to a mail server (EHLO). A mail's Message-ID has the domain of its account's address.
    pub message_domain: String,
}

impl InstallationSettings {
    /// Whether the domain is still the one that nobody owns (RFC 2606).
    pub fn has_placeholder_domain(&self) -> bool {
        self.message_domain.ends_with(".invalid")
    }
}

impl Check for InstallationSettings {
    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        let segment =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
        if self.event_type_prefix.len() > 100 || !self.event_type_prefix.split('.').all(segment) {
            problem("event_type_prefix", "write lower-case names with points between, such as it.comune-valchiara.sportello".into());
        }
        let label = |part: &str| !part.is_empty() && part.len() <= 63 && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let labels = self.message_domain.split('.');
        if self.message_domain.len() > 253 || labels.clone().count() < 2 || !labels.clone().all(label) {
            problem("message_domain", "write a domain in ASCII, such as comune.example".into());
        }
    }
}
