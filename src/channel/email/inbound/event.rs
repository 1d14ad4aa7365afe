//! What is published of a mail: one CloudEvent of at most 64 KiB. Pure.

use crate::channel::email::delivery_status::Outcome;
use crate::channel::email::html::cut;
use crate::channel::email::parse::ParsedMail;
use crate::model::channel::IdentityLevel;
use crate::model::conversation::{Attachment, Automatic, BlobRef};
use crate::model::id::{AccountId, IdMaker, InputId};
use crate::model::inbound::{InboundEvent, InboundMessage, TEXT_BYTES_MAX};
use crate::model::signature::verify_any;
use crate::model::time::Timestamp;
use crate::model::wire::{self, WireError};

/// Attribute with the status code of a delivery report, `5.1.1`.
pub const BOUNCE_STATUS: &str = "bounce_status";
/// Attribute with `failed`, `delayed` or `delivered` of a delivery report.
pub const BOUNCE_OUTCOME: &str = "bounce_outcome";
/// Attribute with the address the sender wants the answer at, if it is another.
pub const REPLY_TO: &str = "reply_to";
/// Attribute with the number of files that are in the original only.
pub const ATTACHMENTS_OMITTED: &str = "attachments_omitted";
/// Attribute with why the mail could not be read.
pub const UNREADABLE: &str = "unreadable";

/// What of an event does not come out of the mail itself.
pub struct Draft<'a> {
    /// The account that received it.
    pub account: &'a AccountId,
    /// The key against doubles.
    pub provider_id: String,
    /// Filing time.
    pub received_at: Timestamp,
    /// The original.
    pub raw: Option<BlobRef>,
    /// Sanitised HTML.
    pub html: Option<BlobRef>,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// What is said of a mail.
pub fn compose(draft: Draft<'_>, mail: ParsedMail, ids: &IdMaker) -> InboundMessage {
    let attributes = attributes(&mail);
    let references = match &mail.status {
        // Of a report that a message of ours failed, intake needs that message and nothing else. A report that it is late, or
        // arrived, must not bring it back.
        Some(status) if status.outcome == Outcome::Failed => {
            status.originals.iter().filter(|id| verify_any(ids, id).is_some()).take(1).cloned().collect()
        }
        Some(_) => Vec::new(),
        None => mail.references,
    };
    InboundMessage {
        account: draft.account.clone(),
        provider_id: draft.provider_id,
        header_id: mail.header_id,
        answer_to: None,
        received_at: draft.received_at,
        mode: None,
        from: mail.from,
        identity: IdentityLevel::Claimed,
        to: mail.to,
        subject: mail.subject,
        text: mail.text,
        text_blob: None,
        html: draft.html,
        attachments: draft.attachments,
        raw: draft.raw,
        language: None,
        references,
        thread: None,
        automatic: mail.automatic,
        attributes,
    }
}

fn attributes(mail: &ParsedMail) -> std::collections::BTreeMap<String, String> {
    let mut attributes = std::collections::BTreeMap::new();
    if let (Some(status), Some(Automatic::Bounce | Automatic::Receipt)) = (&mail.status, mail.automatic) {
        attributes.insert(BOUNCE_STATUS.to_owned(), status.code.clone());
        let outcome = match status.outcome {
            Outcome::Failed => "failed",
            Outcome::Delayed => "delayed",
            Outcome::Delivered => "delivered",
        };
        attributes.insert(BOUNCE_OUTCOME.to_owned(), outcome.to_owned());
    }
    if let Some(reply_to) = &mail.reply_to {
        attributes.insert(REPLY_TO.to_owned(), reply_to.address.clone());
    }
    if mail.attachments_omitted > 0 {
        attributes.insert(ATTACHMENTS_OMITTED.to_owned(), mail.attachments_omitted.to_string());
    }
    if let Some(refused) = &mail.unreadable {
        attributes.insert(UNREADABLE.to_owned(), refused.to_string());
    }
    attributes
}

/// Whether the text, or what JSON makes of it, is too long to travel: its whole must be in a blob before [`encode`].
pub fn needs_text_blob(message: &InboundMessage) -> bool {
    let json_len = || serde_json::to_string(&message.text).map_or(usize::MAX, |text| text.len());
    message.text.len() > TEXT_BYTES_MAX || json_len() > TEXT_BYTES_MAX
}

/// The event as JSON of at most 64 KiB. A text that is in a blob is cut to 32 KiB and further if need be; then the lists are
/// shortened, the original has everything. An error is a mail that breaks a limit of the wire.
pub fn encode(prefix: &str, input: InputId, traceparent: Option<String>, mut message: InboundMessage) -> Result<Vec<u8>, WireError> {
    let (account, received_at) = (message.account.clone(), message.received_at);
    let mut text_max = TEXT_BYTES_MAX;
    loop {
        if message.text_blob.is_some() && message.text.len() > text_max {
            let kept = cut(&message.text, text_max).len();
            message.text.truncate(kept);
        }
        let data = InboundEvent::Message(Box::new(message));
        let event = wire::inbound_event(prefix, input, &account, received_at, traceparent.clone(), data);
        match wire::encode_inbound(&event) {
            Err(WireError::TooLarge { .. }) => {}
            encoded => return encoded,
        }
        let InboundEvent::Message(back) = event.data else { unreachable!("a message went in") };
        message = *back;
        if message.text_blob.is_some() && message.text.len() > 4 * 1024 {
            text_max = message.text.len() / 2;
        } else {
            shorten_lists(&mut message);
        }
    }
}

/// Halves the longest list; when there is nothing left to halve, the event is far below the limit.
fn shorten_lists(message: &mut InboundMessage) {
    if message.attachments.len() > 1 {
        let kept = message.attachments.len() / 2;
        let omitted = message.attachments.len() - kept;
        message.attachments.truncate(kept);
        let before = message.attributes.get(ATTACHMENTS_OMITTED).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        message.attributes.insert(ATTACHMENTS_OMITTED.to_owned(), (before + omitted).to_string());
    } else if message.references.len() > 1 {
        message.references.drain(..message.references.len() / 2);
    } else if message.to.len() > 1 {
        message.to.truncate(message.to.len() / 2);
    } else {
        message.text.clear();
        message.references.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::email::delivery_status::DeliveryStatus;
    use crate::model::id::MessageId;
    use crate::model::inbound::{BODY_BYTES_MAX, CloudEvent};
    use crate::model::signature::sign;

    fn ids() -> IdMaker {
        IdMaker::new([3; 32])
    }

    fn message(mail: ParsedMail, attachments: usize) -> InboundMessage {
        let account = AccountId::new("urp").expect("a name");
        let blob = BlobRef { key: "comune/2026-11/x".into(), sha256: "0".repeat(64), size: 1 };
        let file = Attachment { name: "è".repeat(255), media_type: "a/b".into(), content_id: None, blob: blob.clone() };
        let draft = Draft {
            account: &account,
            provider_id: "abc".into(),
            received_at: Timestamp::from_secs(1),
            raw: Some(blob),
            html: None,
            attachments: vec![file; attachments],
        };
        compose(draft, mail, &ids())
    }

    #[test]
    fn never_over_the_limit_and_never_cut_without_the_whole_text() {
        let blob = BlobRef { key: "comune/2026-11/text".into(), sha256: "1".repeat(64), size: 9 };
        for (text, attachments, references) in [
            ("ciao".to_owned(), 0, 0),
            ("è".repeat(40_000), 3, 5),
            ("\u{1}".repeat(32_000), 0, 0),
            ("\"".repeat(1_000_000), 200, 100),
            (String::new(), 200, 100),
        ] {
            let mail = ParsedMail { text, references: vec!["r".repeat(990); references], ..ParsedMail::default() };
            let whole = mail.text.clone();
            let mut message = message(mail, attachments);
            if needs_text_blob(&message) {
                message.text_blob = Some(blob.clone());
            }
            let body = encode("it.example", InputId(1), None, message).expect("within every limit");
            assert!(body.len() <= BODY_BYTES_MAX);
            let read: CloudEvent<InboundMessage> = serde_json::from_slice(&body).expect("reads back");
            assert!(whole.starts_with(&read.data.text));
            assert!(read.data.text_blob.is_some() || read.data.text.len() == whole.len());
        }
    }

    #[test]
    fn a_report_names_our_own_message_only() {
        let ours = sign(&ids(), MessageId(9), "a@example.it", "comune.example");
        for (outcome, originals, expected) in [
            (Outcome::Failed, vec!["x@y".to_owned(), ours.clone()], vec![ours.clone()]),
            (Outcome::Failed, vec!["x@y".to_owned()], vec![]),
            (Outcome::Delayed, vec![ours.clone()], vec![]),
        ] {
            let status = DeliveryStatus { outcome, code: "5.1.1".into(), originals };
            let mail = ParsedMail { status: Some(status), automatic: Some(Automatic::Bounce), ..ParsedMail::default() };
            let message = message(mail, 0);
            assert_eq!(message.references, expected);
            assert_eq!(message.attributes[BOUNCE_STATUS], "5.1.1");
        }
    }
}
