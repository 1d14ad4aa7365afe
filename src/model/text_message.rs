//! What an account's text messages are counted by: the alphabet of the cheap ones, and what a part costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::price::PartPrice;

/// The alphabet of one byte a character; what it has not got makes the whole message one in UCS-2, of 70 characters a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShortAlphabet {
    /// GSM 7 bit: 160 characters in a message, 153 in each of several parts. What networks and nearly all providers speak.
    #[default]
    Gsm7,
    /// ISO 8859-1: 140 and 134.
    Latin1,
}

impl ShortAlphabet {
    /// Whether it need not be said.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What whoever writes an answer by an account must know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TextMessageTerms {
    /// The alphabet of one byte a character; absent: `gsm7`.
    #[serde(default, skip_serializing_if = "ShortAlphabet::is_usual")]
    pub alphabet: ShortAlphabet,
    /// What one part costs, if that is known.
    #[serde(flatten)]
    pub price: Option<PartPrice>,
}
