//! An outbound message → the bytes of a mail. Pure: everything it needs is handed in. No value can start a header field of its own.

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as FilePart, Mailbox, MultiPart, SinglePart};
use lettre::{Address, address::Envelope};

use super::automatic::LOOP_FIELD;
use super::header::is_message_id;
use super::name;
use crate::model::contact::Direction;
use crate::model::conversation::{Attachment, Message, Party};
use crate::model::id::IdMaker;
use crate::model::signature::sign;

/// The most Message-IDs in `References`: the first of the conversation and the newest.
const REFERENCES_MAX: usize = 20;

/// Why a message cannot be made into a mail: it never can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// Nobody to send it to.
    #[error("the message has no recipient")]
    NoRecipient,
    /// The account has no address to send from.
    #[error("the account has no address; give it one in the plan")]
    NoSender,
    /// An address no mail can go to or from.
    #[error("an address cannot be written into a mail")]
    Address,
    /// What came out is no mail.
    #[error("the mail cannot be composed")]
    Mime,
}

impl ComposeError {
    /// The short code for a delivery report.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRecipient => "no_recipient",
            Self::NoSender => "no_sender",
            Self::Address => "address",
            Self::Mime => "mime",
        }
    }
}

/// Where a mail stands in its conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thread {
    /// The Message-ID it answers.
    pub in_reply_to: Option<String>,
    /// The conversation's Message-IDs, oldest first, ending with `in_reply_to`.
    pub references: Vec<String>,
}

/// What a mail is made of.
pub struct Letter<'a> {
    /// The message.
    pub message: &'a Message,
    /// The office's address and name.
    pub from: &'a Party,
    /// The subject when the message has none of its own.
    pub conversation_subject: Option<&'a str>,
    /// Its place in the conversation.
    pub thread: &'a Thread,
    /// Our Message-ID without brackets.
    pub message_id: &'a str,
    /// Files with their bytes.
    pub files: Vec<(&'a Attachment, Vec<u8>)>,
}

/// A mail that is ready to go.
#[derive(Debug, Clone)]
pub struct Composed {
    /// Who sends it and who gets it, for the next hop. An automatic answer has no sender (RFC 3834).
    pub envelope: Envelope,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Composes the mail. The same input gives the same header; boundaries between parts may differ.
pub fn compose(letter: Letter<'_>) -> Result<Composed, ComposeError> {
    let message = letter.message;
    let sender = mailbox(letter.from)?;
    let recipients = message.to.iter().map(mailbox).collect::<Result<Vec<_>, _>>()?;
    let (first, others) = recipients.split_first().ok_or(ComposeError::NoRecipient)?;
    let automatic = message.author.is_none() || message.automatic.is_some();
    let mut builder = lettre::Message::builder()
        .from(sender.clone())
        .to(first.clone())
        .date(time_of(message))
        .message_id(Some(format!("<{}>", letter.message_id)))
        .subject(subject(message.subject.as_deref().or(letter.conversation_subject), letter.thread.in_reply_to.is_some()))
        .raw_header(field(LOOP_FIELD, sender.email.to_string()));
    for other in others {
        builder = builder.cc(other.clone());
    }
    if let Some(answered) = letter.thread.in_reply_to.as_deref().filter(|id| is_message_id(id)) {
        builder = builder.in_reply_to(format!("<{answered}>"));
    }
    let chain: Vec<String> = letter.thread.references.iter().filter(|id| is_message_id(id)).map(|id| format!("<{id}>")).collect();
    if !chain.is_empty() {
        builder = builder.references(chain.join(" "));
    }
    if automatic {
        builder = builder.raw_header(field("Auto-Submitted", "auto-replied".to_owned()));
    }
    let return_path = (!automatic).then(|| sender.email.clone());
    let envelope = Envelope::new(return_path, recipients.into_iter().map(|recipient| recipient.email).collect());
    let builder = builder.envelope(envelope.map_err(|_| ComposeError::NoRecipient)?);
    let text = SinglePart::plain(name::text(&message.text));
    let mail = if letter.files.is_empty() {
        builder.singlepart(text)
    } else {
        let parts = letter.files.into_iter().map(|(file, bytes)| file_part(file, bytes));
        builder.multipart(parts.fold(MultiPart::mixed().singlepart(text), MultiPart::singlepart))
    }
    .map_err(|_| ComposeError::Mime)?;
    Ok(Composed { envelope: mail.envelope().clone(), bytes: mail.formatted() })
}

fn field(field: &str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii(field.to_owned()).expect("a header field of ours is ASCII"), value)
}

fn mailbox(party: &Party) -> Result<Mailbox, ComposeError> {
    let address: Address = name::address(&party.address).ok_or(ComposeError::Address)?.parse().map_err(|_| ComposeError::Address)?;
    let display = party.name.as_deref().map(|text| name::line(text, name::NAME_CHARS_MAX)).filter(|text| !text.is_empty());
    Ok(Mailbox::new(display, address))
}

fn time_of(message: &Message) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(message.at.0 / 1_000_000).unwrap_or(0))
}

fn file_part(file: &Attachment, bytes: Vec<u8>) -> SinglePart {
    let name = name::attachment_name(&file.name).unwrap_or_else(|| "allegato.bin".to_owned());
    let declared = ContentType::parse(&file.media_type).or_else(|_| ContentType::parse("application/octet-stream"));
    FilePart::new(name).body(bytes, declared.expect("a fixed media type"))
}

/// The subject on one line; an answer's starts with `Re: ` unless it has such a mark already.
pub fn subject(subject: Option<&str>, is_answer: bool) -> String {
    let subject = name::line(subject.unwrap_or_default(), 900);
    let lower = subject.to_lowercase();
    let marked = ["re:", "r:", "rif:", "aw:", "sv:", "odg:", "antw:"].iter().any(|mark| lower.starts_with(mark));
    if is_answer && !marked { format!("Re: {subject}").trim_end().to_owned() } else { subject }
}

/// The place of `message` in its conversation, of whose messages `earlier` are those before it, oldest first. It answers the
/// newest one from the citizen, or our own newest if they never wrote.
pub fn thread(ids: &IdMaker, earlier: &[Message], domain_of_ours: &str) -> Thread {
    let id_of = |message: &Message| match message.direction {
        Direction::Inbound => message.header_id.clone(),
        Direction::Outbound => message.to.first().map(|to| sign(ids, message.id, &to.address, domain_of_ours)),
    };
    let answered =
        earlier.iter().rev().find(|message| message.is_answerable()).and_then(id_of).or_else(|| earlier.iter().rev().find_map(id_of));
    let mut references: Vec<String> = earlier.iter().filter_map(id_of).filter(|id| is_message_id(id) && id.len() <= 250).collect();
    if let Some(answered) = &answered {
        references.retain(|id| id != answered);
        references.push(answered.clone());
    }
    if references.len() > REFERENCES_MAX {
        let newest = references.len() - (REFERENCES_MAX - 1);
        references.drain(1..newest);
    }
    Thread { in_reply_to: answered, references }
}

#[cfg(test)]
mod tests;
