//! What is published of a mail: one CloudEvent of at most 64 KiB. Pure.

use serde::Serialize;

use crate::channel::email::delivery_status::Outcome;
use crate::channel::email::html::cut;
use crate::channel::email::parse::ParsedMail;
use crate::model::channel::IdentityLevel;
use crate::model::conversation::{Attachment, Automatic, BlobRef};
use crate::model::delivery::DeliveryReport;
use crate::model::id::{AccountId, IdMaker, InputId};
use crate::model::inbound::{BODY_BYTES_MAX, CloudEvent, InboundEvent, InboundMessage, TEXT_BYTES_MAX};
use crate::model::signature::verify_any;
use crate::model::time::Timestamp;

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
    /// Its input.
    pub input: InputId,
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

/// The event of a mail.
pub fn compose(draft: Draft<'_>, mail: ParsedMail, prefix: &str, ids: &IdMaker) -> CloudEvent<InboundMessage> {
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
    let message = InboundMessage {
        account: draft.account.clone(),
        provider_id: draft.provider_id,
        header_id: mail.header_id,
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
    };
    envelope(prefix, InboundEvent::MESSAGE, draft.account, draft.input, draft.received_at, message)
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
        attributes.insert(REPLY_TO.to_owned(), reply_to.clone());
    }
    if mail.attachments_omitted > 0 {
        attributes.insert(ATTACHMENTS_OMITTED.to_owned(), mail.attachments_omitted.to_string());
    }
    if let Some(refused) = &mail.unreadable {
        attributes.insert(UNREADABLE.to_owned(), refused.to_string());
    }
    attributes
}

/// An encoded event, or a text that must be kept whole first.
pub enum Encoded {
    /// The body.
    Fits(Vec<u8>),
    /// The whole text: keep it and encode again with its blob.
    TextCut(String),
}

/// The event as JSON of at most 64 KiB. The text is cut to 32 KiB and further if need be, for which it asks for the blob of the
/// whole one; then the lists are shortened, the original has everything.
pub fn encode(event: &mut CloudEvent<InboundMessage>, text_blob: Option<BlobRef>) -> Encoded {
    if text_blob.is_some() {
        event.data.text_blob = text_blob;
    }
    let mut text_max = TEXT_BYTES_MAX;
    loop {
        if event.data.text.len() > text_max {
            if event.data.text_blob.is_none() {
                return Encoded::TextCut(event.data.text.clone());
            }
            let kept = cut(&event.data.text, text_max).len();
            event.data.text.truncate(kept);
        }
        let body = json(event);
        if body.len() <= BODY_BYTES_MAX {
            return Encoded::Fits(body);
        }
        if event.data.text.len() > 4 * 1024 {
            text_max = event.data.text.len() / 2;
        } else {
            shorten_lists(&mut event.data);
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

/// The report on an attempt: its input, and the CloudEvent as JSON.
pub fn report(prefix: &str, ids: &IdMaker, account: &AccountId, report: &DeliveryReport) -> (InputId, Vec<u8>) {
    let key = format!("delivery:{}:{}", report.message, report.attempt);
    let result = serde_json::to_string(&report.result).expect("a report is plain data");
    let input = ids.input(account, format!("{key}:{result}").as_bytes());
    let now = crate::port::clock::now();
    (input, json(&envelope(prefix, InboundEvent::DELIVERY, account, input, now, report)))
}

fn envelope<T>(prefix: &str, name: &str, account: &AccountId, input: InputId, time: Timestamp, data: T) -> CloudEvent<T> {
    CloudEvent {
        specversion: "1.0".to_owned(),
        id: input.to_string(),
        source: format!("/account/{account}"),
        kind: format!("{prefix}.{name}"),
        time,
        subject: None,
        traceparent: None,
        datacontenttype: Some("application/json".to_owned()),
        data,
    }
}

fn json<T: Serialize>(event: &CloudEvent<T>) -> Vec<u8> {
    serde_json::to_vec(event).expect("an event is plain data with string keys")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::email::delivery_status::DeliveryStatus;
    use crate::model::delivery::AttemptResult;
    use crate::model::id::MessageId;
    use crate::model::signature::sign;

    fn ids() -> IdMaker {
        IdMaker::new([3; 32])
    }

    fn event(mail: ParsedMail, attachments: usize) -> CloudEvent<InboundMessage> {
        let account = AccountId::new("urp").expect("a name");
        let blob = BlobRef { key: "comune/2026-11/x".into(), sha256: "0".repeat(64), size: 1 };
        let file = Attachment { name: "è".repeat(255), media_type: "a/b".into(), content_id: None, blob: blob.clone() };
        let draft = Draft {
            account: &account,
            input: InputId(1),
            provider_id: "abc".into(),
            received_at: Timestamp::from_secs(1),
            raw: Some(blob),
            html: None,
            attachments: vec![file; attachments],
        };
        compose(draft, mail, "it.example", &ids())
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
            let mut event = event(mail, attachments);
            let body = match encode(&mut event, None) {
                Encoded::Fits(body) => body,
                Encoded::TextCut(text) => {
                    assert_eq!(text, whole);
                    match encode(&mut event, Some(blob.clone())) {
                        Encoded::Fits(body) => body,
                        Encoded::TextCut(_) => panic!("asked twice"),
                    }
                }
            };
            assert!(body.len() <= BODY_BYTES_MAX);
            let read: CloudEvent<InboundMessage> = serde_json::from_slice(&body).expect("reads back");
            assert!(whole.starts_with(&read.data.text));
            assert_eq!(read.data.text_blob.is_some(), read.data.text.len() < whole.len());
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
            let event = event(mail, 0);
            assert_eq!(event.data.references, expected);
            assert_eq!(event.data.attributes[BOUNCE_STATUS], "5.1.1");
        }
    }

    #[test]
    fn a_delivery_report_is_the_same_on_a_second_sending() {
        let account = AccountId::new("urp").expect("a name");
        let sent = |result| DeliveryReport { message: MessageId(1), attempt: 2, result };
        let (input, body) = report("it.example", &ids(), &account, &sent(AttemptResult::Unknown));
        let (again, _) = report("it.example", &ids(), &account, &sent(AttemptResult::Unknown));
        let (other, _) = report("it.example", &ids(), &account, &sent(AttemptResult::Temporary { code: "421".into() }));
        assert!(input == again && input != other);
        let read: CloudEvent<DeliveryReport> = serde_json::from_slice(&body).expect("reads back");
        assert_eq!((read.kind.as_str(), read.data), ("it.example.inbound.delivery.v1", sent(AttemptResult::Unknown)));
    }
}
