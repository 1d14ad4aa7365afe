//! `roles`: what this process does. One binary runs everything, or a part of it on each machine.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value;

/// A part of Sportello that a process can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProcessRole {
    /// Leads pools: engine, commit, relay.
    Router,
    /// Operators' pages and API.
    Desk,
    /// Mail in and out.
    Email,
    /// Text messages in and out.
    Sms,
    /// Chats on web pages.
    Webchat,
    /// The channel API.
    Api,
}

impl ProcessRole {
    /// Every role.
    pub const ALL: [Self; 6] = [Self::Router, Self::Desk, Self::Email, Self::Sms, Self::Webchat, Self::Api];

    /// The name as written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Desk => "desk",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Webchat => "webchat",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for ProcessRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProcessRole {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| "this is not a role: write all, or some of router, desk, email, sms, webchat, api".to_owned())
    }
}

/// The roles of a process, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(BTreeSet<ProcessRole>);

impl Roles {
    /// Every role.
    pub fn all() -> Self {
        Self(ProcessRole::ALL.into())
    }

    /// Whether the process has the role.
    pub fn has(&self, role: ProcessRole) -> bool {
        self.0.contains(&role)
    }

    /// Whether the process does everything.
    pub fn is_all(&self) -> bool {
        self.0.len() == ProcessRole::ALL.len()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        f.write_str(&self.0.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Roles {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let items: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect();
        Self::from_items(&items)
    }
}

impl Roles {
    fn from_items(items: &[String]) -> Result<Self, String> {
        match items {
            [] => Err("no role is named: write all, or some of router, desk, email, sms, webchat, api".to_owned()),
            [all] if all == "all" => Ok(Self::all()),
            items => {
                items.iter().map(|item| item.parse().map_err(|error| format!("`{item}`: {error}"))).collect::<Result<_, _>>().map(Self)
            }
        }
    }
}

impl Serialize for Roles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items: Vec<String> = value::list(deserializer)?;
        Self::from_items(&items).map_err(serde::de::Error::custom)
    }
}
