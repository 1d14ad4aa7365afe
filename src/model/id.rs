//! Identifiers. Named ones (`urp`, `comune`) are chosen by people and never reused; hashed ones (`ct_…`) are 128 bits,
//! made outside the engine and the same again on every retry.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A name that breaks the rule for names.
    #[error("`{0}` is not a name: use [a-z][a-z0-9_-]{{0,31}}")]
    Name(String),
    /// A hashed id with another prefix, length or alphabet.
    #[error("`{value}` is not an id: use {prefix}_ and 32 hexadecimal digits")]
    Hashed {
        /// The prefix that was expected, without the underscore.
        prefix: &'static str,
        /// What was given, cut to 64 characters.
        value: String,
    },
}

/// `[a-z][a-z0-9_-]{0,31}`: a routing-key segment, a metric label and a blob prefix at once.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=32).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-' || *b == b'_')
}

macro_rules! named_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Refuses what is not `[a-z][a-z0-9_-]{0,31}`.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(IdError::Name(text.chars().take(64).collect())) }
            }
            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,31}$" })
            }
        }
    )+};
}

named_id! {
    /// A public body, the data controller.
    AdministrationId;
    /// A unit of an administration: owns queues, competence and visibility.
    OfficeId;
    /// Operators who are routed together: one pool, one engine, one writer.
    PoolId;
    /// Where a contact waits.
    QueueId;
    /// What received a contact: a mailbox, a number, a widget, an API key's account.
    AccountId;
    /// A named ability with a level from 1 to 10.
    SkillId;
    /// Why the citizen wrote, from the plan.
    TopicId;
}

macro_rules! hashed_id {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub u128);

        impl $name {
            /// The prefix in the printed form, without the underscore.
            pub const PREFIX: &'static str = $prefix;
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                write_hex(f, self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
                    .and_then(|hex| u128::from_str_radix(hex, 16).ok())
                    .map(Self)
                    .ok_or_else(|| IdError::Hashed { prefix: $prefix, value: text.chars().take(64).collect() })
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": concat!("^", $prefix, "_[0-9a-f]{32}$") })
            }
        }
    )+};
}

hashed_id! {
    /// One unit of work for one operator at a time.
    ContactId = "ct";
    /// The messages and notes with one citizen on one matter.
    ConversationId = "cv";
    /// A message of a conversation.
    MessageId = "ms";
    /// A note of a conversation; stays inside.
    NoteId = "nt";
    /// A person inside one administration.
    CitizenId = "ci";
    /// A person who answers.
    OperatorId = "op";
    /// What reached a pool from outside: the key by which a second delivery is recognised.
    InputId = "in";
    /// A citizen's address inside one administration, as a keyed hash: what the engine may know of it.
    AddressKey = "ad";
    /// A citizen's chat on a web page, from its opening until it is forgotten: the citizen's address on that channel.
    ChatSessionId = "cs";
    /// A command, made by its sender: the key by which a second sending is recognised.
    CommandId = "cm";
}

/// One holding of a contact for one operator: the contact and a number counted up from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct OfferId {
    /// The contact that is held.
    pub contact: ContactId,
    /// 1 for the contact's first offer.
    pub ordinal: u32,
}

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of_")?;
        write_hex(f, self.contact.0)?;
        write!(f, "_{}", self.ordinal)
    }
}

/// 32 hexadecimal digits. Every row, event and log line prints ids, and `{:032x}` takes five times as long.
fn write_hex(f: &mut fmt::Formatter<'_>, number: u128) -> fmt::Result {
    let mut digits = [0_u8; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
}

/// Makes hashed ids: HMAC-SHA-256 under the installation's secret, cut to 128 bits. The same parts give the same id, and
/// nobody without the secret can guess one.
#[derive(Clone)]
pub struct IdMaker {
    secret: [u8; 32],
}

impl IdMaker {
    /// `secret` is the installation's, kept in the store since its first start.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The id of `parts` within `domain` (`contact`, `address`…). Parts are length-prefixed, so `ab`+`c` is not `a`+`bc`.
    pub fn make(&self, domain: &str, parts: &[&[u8]]) -> u128 {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(&(domain.len() as u64).to_be_bytes());
        mac.update(domain.as_bytes());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let digest = mac.finalize().into_bytes();
        u128::from_be_bytes(digest[..16].try_into().expect("a SHA-256 digest has 32 bytes"))
    }

    /// The input that `provider_id` (or a raw digest) names within an account.
    pub fn input(&self, account: &AccountId, provider_id: &[u8]) -> InputId {
        InputId(self.make("input", &[account.as_str().as_bytes(), provider_id]))
    }

    /// The contact that `input` opens, if it opens one.
    pub fn contact(&self, input: InputId) -> ContactId {
        ContactId(self.make("contact", &[&input.0.to_be_bytes()]))
    }

    /// The conversation that `input` opens, if it opens one.
    pub fn conversation(&self, input: InputId) -> ConversationId {
        ConversationId(self.make("conversation", &[&input.0.to_be_bytes()]))
    }

    /// The message that `input` carries.
    pub fn message(&self, input: InputId) -> MessageId {
        MessageId(self.make("message", &[&input.0.to_be_bytes()]))
    }

    /// The citizen that `input` makes known, if nobody in the administration had that address.
    pub fn citizen(&self, administration: &AdministrationId, input: InputId) -> CitizenId {
        CitizenId(self.make("citizen", &[administration.as_str().as_bytes(), &input.0.to_be_bytes()]))
    }

    /// The key of a normalised address (`channel`-specific, see [`crate::model::channel::Address`]) in an administration.
    pub fn address(&self, administration: &AdministrationId, address: &str) -> AddressKey {
        AddressKey(self.make("address", &[administration.as_str().as_bytes(), address.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for (text, ok) in [
            ("urp", true),
            ("home_visit", true),
            ("a-1", true),
            ("", false),
            ("Urp", false),
            ("1a", false),
            ("a.b", false),
            (&"a".repeat(33), false),
        ] {
            assert_eq!(QueueId::new(text).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn hashed_ids_print_and_parse() {
        let id = ContactId(0x2a);
        assert_eq!(id.to_string(), format!("ct_{}2a", "0".repeat(30)));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("op_0000000000000000000000000000002a".parse::<ContactId>().is_err());
        assert!("ct_0000000000000000000000000000002A".parse::<ContactId>().is_err());
    }

    #[test]
    fn parts_do_not_run_together() {
        let maker = IdMaker::new([7; 32]);
        assert_ne!(maker.make("x", &[b"ab", b"c"]), maker.make("x", &[b"a", b"bc"]));
        assert_eq!(maker.make("x", &[b"ab"]), IdMaker::new([7; 32]).make("x", &[b"ab"]));
    }
}
