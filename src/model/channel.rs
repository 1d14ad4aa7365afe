//! Channels and addresses: how a citizen reaches the office, and where an answer goes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::id::{IdError, QueueId};

/// `email`, `sms`, `webchat`, or any other that reaches us through the channel API (`phone`, `desk`, `home_visit`…).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "QueueId")]
pub struct Channel(Arc<str>);

impl Channel {
    /// The name of the channel `email`.
    pub const EMAIL: &'static str = "email";
    /// The name of the channel `sms`.
    pub const SMS: &'static str = "sms";
    /// The name of the channel `webchat`.
    pub const WEBCHAT: &'static str = "webchat";

    /// Refuses what is not a name by the rule for names.
    pub fn new(name: &str) -> Result<Self, IdError> {
        QueueId::new(name).map(|_| Self(name.into()))
    }

    /// Electronic mail.
    pub fn email() -> Self {
        Self(Self::EMAIL.into())
    }

    /// Chat on a web page.
    pub fn webchat() -> Self {
        Self(Self::WEBCHAT.into())
    }

    /// Text messages.
    pub fn sms() -> Self {
        Self(Self::SMS.into())
    }

    /// The channel's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether somebody is standing there: false for letters that can wait, true for a chat, a call, a counter.
    pub fn is_live(&self) -> bool {
        !matches!(self.as_str(), Self::EMAIL | Self::SMS)
    }

    /// Whether the citizen's address is good only for one conversation: nothing can be sent there once they have gone.
    pub fn is_session(&self) -> bool {
        self.as_str() == Self::WEBCHAT
    }

    /// Whether what comes from an address belongs to the contact that is open with it: a text message has no reference, and who
    /// writes two means them together; a chat's address is its session. Mail joins by signed reference only.
    pub fn joins_by_address(&self) -> bool {
        matches!(self.as_str(), Self::SMS | Self::WEBCHAT)
    }

    /// Whether an adapter of ours carries the office's answer. On other channels it is spoken, or read by the program that
    /// opened the contact.
    pub fn has_sender(&self) -> bool {
        matches!(self.as_str(), Self::EMAIL | Self::SMS)
    }
}

impl TryFrom<String> for Channel {
    type Error = IdError;
    fn try_from(name: String) -> Result<Self, IdError> {
        Self::new(&name)
    }
}
impl FromStr for Channel {
    type Err = IdError;
    fn from_str(name: &str) -> Result<Self, IdError> {
        Self::new(name)
    }
}
impl From<Channel> for String {
    fn from(channel: Channel) -> String {
        channel.0.as_ref().to_owned()
    }
}
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much an address says about who is behind it, weakest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentityLevel {
    /// The citizen says so.
    #[default]
    Claimed,
    /// The address was proved: a code or a link went there and came back.
    Verified,
    /// Signed in by SPID or CIE.
    Spid,
}

/// An address in the form in which two writings of one address are equal.
///
/// Email: the domain in lower case, the local part in lower case too (no public mailbox tells them apart). SMS: see [`Address`].
/// Others: as given, white space trimmed.
pub fn normalise_address(channel: &Channel, address: &str) -> String {
    let address = address.trim();
    match channel.as_str() {
        Channel::EMAIL => address.to_lowercase(),
        Channel::SMS => Address::read(address).to_string(),
        _ => address.to_owned(),
    }
}

/// ISO 639-1 code of the language a contact is in: `it`, `de`, `fr`, `sl`, `en`…
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language([u8; 2]);

impl Language {
    /// Italian, the default.
    pub const ITALIAN: Self = Self(*b"it");

    /// Refuses what is not two lower-case letters.
    pub fn new(code: &str) -> Result<Self, IdError> {
        match code.as_bytes() {
            [a, b] if a.is_ascii_lowercase() && b.is_ascii_lowercase() => Ok(Self([*a, *b])),
            _ => Err(IdError::Name(code.chars().take(64).collect())),
        }
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }
}

impl TryFrom<String> for Language {
    type Error = IdError;
    fn try_from(code: String) -> Result<Self, IdError> {
        Self::new(&code)
    }
}
impl From<Language> for String {
    fn from(language: Language) -> String {
        language.as_str().to_owned()
    }
}
impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl JsonSchema for Language {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Language".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[a-z]{2}$" })
    }
}
