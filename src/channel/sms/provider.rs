//! What providers say in their webhooks and want in their requests, in one vocabulary. Pure.

pub mod generic;
pub mod twilio;
pub mod vonage;

use serde::{Deserialize, Serialize};

use super::join::Part;

/// What a webhook says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// A citizen wrote.
    Received(Received),
    /// A message of ours got on.
    Status(Status),
    /// An SMSC said something that cannot be read: its bytes in hexadecimal, for a person to look at.
    Unreadable(String),
    /// Nothing that matters here: a message on its way, a test.
    Nothing,
}

/// A message from a citizen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Received {
    /// The provider's id of it: the same on every repetition.
    pub id: String,
    /// The citizen's number, or a name or short code.
    pub from: String,
    /// Our number.
    pub to: String,
    /// The text.
    pub text: String,
    /// Pictures and other files, where the provider keeps them.
    pub media: Vec<Media>,
    /// Which part of a longer message it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// A file at the provider's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Where.
    pub url: String,
    /// What the provider says it is.
    pub media_type: Option<String>,
}

/// What became of a message of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Our message, as we named it when we sent it.
    pub reference: Option<String>,
    /// The provider's id of it.
    pub id: String,
    /// How far it is.
    pub progress: Progress,
}

/// How far a message is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The network has it.
    Sent,
    /// The telephone has it.
    Delivered,
    /// It will not arrive; the provider's short code.
    Failed(String),
}

/// What a provider's answer to an order of ours means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has the message, and this is its id.
    Taken(String),
    /// Not now, and it has not got it: its code.
    NotNow(String),
    /// Never: its code.
    Refused(String),
    /// Perhaps it has the message: it is not sent again unasked.
    Unclear,
}

impl Answer {
    /// By the HTTP status, the id if the body has one, and the code the body gives for a failure. A server's own failure (5xx)
    /// may have come after it took the message.
    fn of(status: u16, id: Option<&str>, said: Option<String>) -> Self {
        let said = |status: u16| code(&said.unwrap_or_else(|| status.to_string()));
        match (status, id.filter(|id| !id.is_empty() && id.len() <= ID_MAX)) {
            (200..=299, Some(id)) => Self::Taken(id.to_owned()),
            (429, _) => Self::NotNow(said(status)),
            (300..=499, _) => Self::Refused(said(status)),
            _ => Self::Unclear,
        }
    }
}

/// Why a body says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A field is missing, empty or too long.
    #[error("`{0}` is missing, empty or too long")]
    Field(&'static str),
    /// Not of the form that the provider documents.
    #[error("not what the provider documents: {0}")]
    Form(String),
}

/// Longest id, number and text that are read, in bytes.
const ID_MAX: usize = 200;
const NUMBER_MAX: usize = 64;
const TEXT_MAX: usize = 16 * 1024;
/// The most files of one message.
const MEDIA_MAX: usize = 10;

fn within(name: &'static str, text: Option<&str>, max: usize) -> Result<String, Unreadable> {
    text.filter(|text| !text.trim().is_empty() && text.len() <= max).map(str::to_owned).ok_or(Unreadable::Field(name))
}

/// A failure's code as it may stand in a log and a row: letters, digits, `.`, `-` and `_`, at most 32.
pub(super) fn code(text: &str) -> String {
    let code: String = text.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_')).take(32).collect();
    if code.is_empty() { "unknown".to_owned() } else { code }
}

/// A number as telephones dial it, `+39…`: some providers leave the plus away. Names and short codes stay as they are.
fn with_plus(number: &str) -> String {
    let is_long = number.len() > 6 && number.bytes().all(|digit| digit.is_ascii_digit());
    if is_long { format!("+{number}") } else { number.to_owned() }
}
