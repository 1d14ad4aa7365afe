//! The frames of a chat: what a browser may say, read with every limit checked, and what it is told. Pure.

use serde::{Deserialize, Serialize};

use super::limits::{CLIENT_ID_CHARACTERS_MAX, EMAIL_CHARACTERS_MAX, FILES_MAX, MESSAGE_CHARACTERS_MAX, TOKEN_BYTES_MAX};
use crate::model::id::MessageId;
use crate::model::time::Timestamp;

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "sportello.chat.v1";
/// RFC 6455: the server goes away, or the client did not read: come again.
pub const CLOSE_COME_AGAIN: u16 = 1001;
/// RFC 6455: text frames only.
pub const CLOSE_BINARY: u16 = 1003;
/// RFC 6455: the frame is too large.
pub const CLOSE_TOO_LARGE: u16 = 1009;
/// The frame cannot be read.
pub const CLOSE_BAD_FRAME: u16 = 4400;
/// The session is unknown or over.
pub const CLOSE_NO_SESSION: u16 = 4401;
/// The page's origin is not allowed.
pub const CLOSE_ORIGIN: u16 = 4403;
/// Too much; the reason says how many seconds to wait.
pub const CLOSE_TOO_MUCH: u16 = 4429;

/// What a browser says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// The first frame: resumes.
    Hello {
        /// The session's token.
        session: String,
        /// The last number it has; none: everything.
        #[serde(default)]
        after: Option<i64>,
    },
    /// The citizen writes.
    Message {
        /// Made by the browser, the same when it is sent again.
        id: String,
        /// Plain text.
        text: String,
        /// Files uploaded before.
        #[serde(default)]
        files: Vec<String>,
    },
    /// The citizen types, or stopped.
    Typing {
        /// Whether they do.
        on: bool,
    },
    /// Everything up to this number was on a visible screen.
    Read {
        /// The number.
        seq: i64,
    },
    /// The citizen leaves for good.
    End,
    /// Nobody is there: words left for later.
    LeaveMessage {
        /// Made by the browser.
        id: String,
        /// Where to answer.
        email: String,
        /// Plain text.
        text: String,
    },
    /// A transcript is wanted when it is over.
    Transcript {
        /// Where to.
        email: String,
    },
}

/// Why a frame was refused; the connection stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// A text, name or id is too long, or empty.
    TooLong,
    /// Too many files or frames.
    TooMany,
    /// A file that was not uploaded here.
    BadFile,
    /// Not an email address.
    BadEmail,
    /// The chat is over.
    Ended,
    /// Not now: send the same again.
    Later,
    /// No email account can carry a transcript.
    NoTranscript,
    /// No operator has written in this chat.
    NotServed,
    /// The transcript goes to other addresses already.
    TooManyAddresses,
}

impl Refused {
    /// What is wrong, in words for a log of the page's author.
    pub fn detail(self) -> &'static str {
        match self {
            Self::TooLong => "write 1 to 4000 characters",
            Self::TooMany => "too many at once",
            Self::BadFile => "upload the file first, in this chat",
            Self::BadEmail => "this is not an email address",
            Self::Ended => "the chat is over: start another",
            Self::Later => "not now: send the same again",
            Self::NoTranscript => "this office sends no transcripts",
            Self::NotServed => "ask once an operator has written",
            Self::TooManyAddresses => "the transcript goes to two other addresses already",
        }
    }

    /// The name for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
            Self::BadFile => "bad_file",
            Self::BadEmail => "bad_email",
            Self::Ended => "ended",
            Self::Later => "later",
            Self::NoTranscript => "no_transcript",
            Self::NotServed => "not_served",
            Self::TooManyAddresses => "too_many_addresses",
        }
    }
}

/// Why a frame closes the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// Reads a frame. Unknown fields are ignored; an unknown type is unreadable.
pub fn read(text: &str) -> Result<Said, Unreadable> {
    serde_json::from_str(text).map_err(|_| Unreadable)
}

/// Checks what types cannot.
pub fn check(said: &Said) -> Result<(), Refused> {
    match said {
        Said::Hello { session, .. } if session.len() > TOKEN_BYTES_MAX => Err(Refused::TooLong),
        Said::Message { id, text, files } => {
            check_id(id)?;
            if files.len() > FILES_MAX {
                return Err(Refused::TooMany);
            }
            let is_empty = text.trim().is_empty() && files.is_empty();
            if is_empty || is_longer(text, MESSAGE_CHARACTERS_MAX) { Err(Refused::TooLong) } else { Ok(()) }
        }
        Said::LeaveMessage { id, email, text } => {
            check_id(id)?;
            if text.trim().is_empty() || is_longer(text, MESSAGE_CHARACTERS_MAX) {
                return Err(Refused::TooLong);
            }
            is_email(email).then_some(()).ok_or(Refused::BadEmail)
        }
        Said::Transcript { email } => is_email(email).then_some(()).ok_or(Refused::BadEmail),
        _ => Ok(()),
    }
}

fn check_id(id: &str) -> Result<(), Refused> {
    let fits =
        (1..=CLIENT_ID_CHARACTERS_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    fits.then_some(()).ok_or(Refused::TooLong)
}

/// Whether a text has more characters than that.
pub fn is_longer(text: &str, characters_max: usize) -> bool {
    text.len() > characters_max && text.chars().count() > characters_max
}

/// Whether an answer could go there: an address of RFC 5321 without quotes, comments or white space.
pub fn is_email(text: &str) -> bool {
    let plain = |c: char| {
        !c.is_whitespace() && !c.is_control() && !matches!(c, '@' | '<' | '>' | '"' | ',' | ';' | ':' | '(' | ')' | '\\' | '[' | ']')
    };
    let label = |part: &str| !part.is_empty() && part.len() <= 63 && part.chars().all(|c| c.is_alphanumeric() || c == '-');
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let fits = text.len() <= EMAIL_CHARACTERS_MAX && (1..=64).contains(&local.len()) && local.chars().all(plain);
    fits && domain.split('.').count() >= 2 && domain.split('.').all(label)
}

/// What a browser is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told {
    /// The answer to hello.
    Welcome {
        /// The number it resumed from.
        after: i64,
        /// Where the chat is.
        state: State,
        /// How far the office has got it and seen it.
        marks: Marks,
        /// What it missed, in order; the rest follows as frames.
        messages: Vec<Message>,
    },
    /// Somebody wrote.
    Message(Message),
    /// The message is durable.
    Accepted {
        /// The browser's id.
        id: String,
        /// Ours.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<MessageId>,
    },
    /// How far the office has got it and seen it.
    Mark {
        /// The number of the event that said so.
        seq: i64,
        /// See [`Marks`].
        #[serde(flatten)]
        marks: Marks,
    },
    /// The operator types; stops by itself.
    Typing {
        /// Their shown name.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Where the chat is.
    State(State),
    /// The citizen is asked whether they are still there.
    Warning {
        /// Seconds until it closes.
        seconds: u64,
    },
    /// Nobody is there: the citizen may leave a message.
    Unattended {
        /// What the closed queue says to citizens.
        #[serde(skip_serializing_if = "Option::is_none")]
        notice: Option<String>,
    },
    /// A sign of life for scripts, which cannot see pings.
    Beat,
    /// A frame was refused.
    Refused {
        /// The browser's id, if it gave one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Why.
        code: Refused,
        /// In words.
        detail: &'static str,
    },
}

impl Told {
    /// The frame's text.
    pub fn frame(&self) -> String {
        serde_json::to_string(self).expect("a frame is plain data")
    }
}

/// How far the office has got what the citizen wrote, by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Marks {
    /// It is with the operator.
    pub delivered: i64,
    /// The operator has seen it.
    pub read: i64,
}

/// Who wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The citizen.
    Citizen,
    /// An operator.
    Operator,
    /// The office, by itself.
    Office,
}

/// A message of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// Rises within the conversation.
    pub seq: i64,
    /// Its id.
    pub id: MessageId,
    /// Who wrote.
    pub from: From,
    /// The operator's shown name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Plain text, whoever wrote it.
    pub text: String,
    /// Files.
    pub files: Vec<File>,
    /// When.
    pub at: Timestamp,
    /// The browser's id, if the citizen wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// A file of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// What it is fetched by.
    pub file: String,
    /// Its name.
    pub name: String,
    /// As declared.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Bytes.
    pub bytes: u64,
}

/// Where a chat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No contact yet.
    Idle,
    /// The citizen waits.
    Waiting,
    /// An operator has it.
    Served,
    /// It is over.
    Ended,
    /// A message was left.
    Left,
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The citizen left.
    Citizen,
    /// The operator ended it.
    Operator,
    /// The citizen was silent.
    Silent,
    /// The citizen was gone too long.
    Abandoned,
}

/// Where a chat is, as a frame says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// The number of the last event that it follows from.
    pub seq: i64,
    /// Where.
    pub status: Status,
    /// The place in the queue while waiting, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// The operator's shown name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether somebody is there to answer.
    pub open: bool,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_can_be_read() {
        for (text, expected) in [
            (r#"{"type":"hello","session":"x","after":null,"language":"it"}"#, Said::Hello { session: "x".into(), after: None }),
            (r#"{"type":"hello","session":"x","after":7}"#, Said::Hello { session: "x".into(), after: Some(7) }),
            (
                r#"{"type":"message","id":"a-1","text":"<script>"}"#,
                Said::Message { id: "a-1".into(), text: "<script>".into(), files: vec![] },
            ),
            (r#"{"type":"typing","on":true}"#, Said::Typing { on: true }),
            (r#"{"type":"read","seq":3,"more":{}}"#, Said::Read { seq: 3 }),
            (r#"{"type":"end"}"#, Said::End),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        for text in ["", "{", "[]", "null", r#"{"type":"shell"}"#, r#"{"type":"message","id":1,"text":"a"}"#, r#"{"type":"read"}"#, "\u{0}"]
        {
            assert_eq!(read(text), Err(Unreadable), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
        assert_eq!(read(&deep), Err(Unreadable));
    }

    #[test]
    fn limits_of_what_is_said() {
        let message =
            |id: &str, text: &str, files: usize| Said::Message { id: id.into(), text: text.into(), files: vec!["f".into(); files] };
        for (said, expected) in [
            (message("a", "ciao", 0), Ok(())),
            (message("a", &"è".repeat(4_000), 0), Ok(())),
            (message("a", &"è".repeat(4_001), 0), Err(Refused::TooLong)),
            (message("a", " \n", 0), Err(Refused::TooLong)),
            (message("a", "", 1), Ok(())),
            (message("a", "x", 6), Err(Refused::TooMany)),
            (message("", "x", 0), Err(Refused::TooLong)),
            (message(&"a".repeat(65), "x", 0), Err(Refused::TooLong)),
            (message("a/b", "x", 0), Err(Refused::TooLong)),
            (Said::Transcript { email: "mario@example.it".into() }, Ok(())),
            (Said::Transcript { email: "mario".into() }, Err(Refused::BadEmail)),
            (Said::LeaveMessage { id: "a".into(), email: "x".into(), text: "ciao".into() }, Err(Refused::BadEmail)),
            (Said::LeaveMessage { id: "a".into(), email: "m@example.it".into(), text: String::new() }, Err(Refused::TooLong)),
        ] {
            assert_eq!(check(&said), expected, "{said:?}");
        }
    }

    #[test]
    fn addresses_that_an_answer_could_go_to() {
        for (address, expected) in [
            ("mario@example.it", true),
            ("m.rossi+tari@posta.comune.example", true),
            ("mario@müller.example", true),
            ("mario@localhost", false),
            ("mario@@example.it", false),
            ("a b@example.it", false),
            ("<mario@example.it>", false),
            ("mario@example.it\r\nBcc: x@example.it", false),
            ("mario@example..it", false),
            ("@example.it", false),
        ] {
            assert_eq!(is_email(address), expected, "{address:?}");
        }
        assert!(!is_email(&format!("{}@example.it", "a".repeat(250))));
    }

    #[test]
    fn what_is_told_has_the_protocols_shape() {
        let state = State { seq: 4, status: Status::Waiting, position: Some(2), name: None, open: true, reason: None };
        for (told, expected) in [
            (Told::State(state.clone()), r#"{"type":"state","seq":4,"status":"waiting","position":2,"open":true}"#),
            (
                Told::Refused { id: Some("a".into()), code: Refused::Later, detail: "not now" },
                r#"{"type":"refused","id":"a","code":"later","detail":"not now"}"#,
            ),
            (Told::Mark { seq: 9, marks: Marks { delivered: 8, read: 7 } }, r#"{"type":"mark","seq":9,"delivered":8,"read":7}"#),
            (Told::Unattended { notice: None }, r#"{"type":"unattended"}"#),
            (Told::Unattended { notice: Some("<b>".into()) }, r#"{"type":"unattended","notice":"<b>"}"#),
            (Told::Warning { seconds: 60 }, r#"{"type":"warning","seconds":60}"#),
        ] {
            assert_eq!(told.frame(), expected);
        }
    }
}
