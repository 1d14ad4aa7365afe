//! Delivery status notifications (RFC 3464): which of our messages a report is about, and what became of it. Pure.

use super::header::{Headers, message_ids, split};

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// What became of the message.
    pub outcome: Outcome,
    /// The enhanced status code, `5.1.1`; `5.0.0` and the like if the report has none.
    pub code: String,
    /// Message-IDs that may be the one that came back, the likeliest first. Whoever reads this checks our signature.
    pub originals: Vec<String>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Given up: it will not arrive.
    Failed,
    /// Still being tried.
    Delayed,
    /// It arrived.
    Delivered,
}

/// The parts of a mail that a report may consist of.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportParts<'a> {
    /// The `message/delivery-status` part.
    pub status: Option<&'a [u8]>,
    /// The returned message, or its header block.
    pub original: Option<&'a [u8]>,
    /// What it says to a human.
    pub text: &'a str,
}

/// The most Message-IDs that are considered.
const ORIGINALS_MAX: usize = 20;
/// How much of the human part is searched for a Message-ID of ours, in bytes.
const TEXT_SEARCHED: usize = 64 * 1024;

/// Reads a report. `headers` are the report's own.
pub fn read(headers: &Headers, parts: ReportParts<'_>) -> DeliveryStatus {
    let (outcome, code) = parts.status.and_then(outcome).unwrap_or((Outcome::Failed, None));
    let class = match outcome {
        Outcome::Failed => "5.0.0",
        Outcome::Delayed => "4.0.0",
        Outcome::Delivered => "2.0.0",
    };
    let mut originals = Vec::new();
    if let Some(original) = parts.original {
        originals.extend(Headers::parse(split(original).0).get("message-id").map(message_ids).unwrap_or_default());
    }
    for name in ["in-reply-to", "references"] {
        originals.extend(headers.get(name).map(message_ids).unwrap_or_default().into_iter().rev());
    }
    originals.extend(ids_in_text(super::html::cut(parts.text, TEXT_SEARCHED)));
    originals.truncate(ORIGINALS_MAX);
    DeliveryStatus { outcome, code: code.unwrap_or_else(|| class.to_owned()), originals }
}

/// The worst of all recipients: one that failed outweighs one that waits, which outweighs one that arrived.
fn outcome(status: &[u8]) -> Option<(Outcome, Option<String>)> {
    let fields = Headers::parse(status);
    let mut actions = fields.all("action").map(|action| action.trim().to_ascii_lowercase());
    let codes: Vec<String> = fields.all("status").filter_map(status_code).collect();
    let outcome = if fields.all("action").next().is_none() {
        match codes.first()?.as_bytes()[0] {
            b'2' => Outcome::Delivered,
            b'4' => Outcome::Delayed,
            _ => Outcome::Failed,
        }
    } else if fields.all("action").any(|action| action.trim().eq_ignore_ascii_case("failed")) {
        Outcome::Failed
    } else if actions.any(|action| action.starts_with("delayed")) {
        Outcome::Delayed
    } else {
        Outcome::Delivered
    };
    let class = match outcome {
        Outcome::Failed => ['5', '4'],
        Outcome::Delayed => ['4', '4'],
        Outcome::Delivered => ['2', '2'],
    };
    let code = class.iter().find_map(|class| codes.iter().find(|code| code.starts_with(*class)));
    Some((outcome, code.cloned()))
}

/// `5.1.1` out of `5.1.1 (bad mailbox)`.
fn status_code(text: &str) -> Option<String> {
    let word = text.trim().split([' ', '(', ';']).next()?;
    let mut numbers = word.split('.');
    let valid = numbers.next().is_some_and(|class| matches!(class, "2" | "4" | "5"))
        && numbers.clone().count() == 2
        && numbers.all(|number| (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()));
    valid.then(|| word.to_owned())
}

/// Words of the text that have the form of our own Message-IDs.
fn ids_in_text(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_ascii_graphic() || matches!(c, '<' | '>' | '"' | '(' | ')' | ',')).filter_map(|word| {
        let (local, domain) = word.split_once('@')?;
        let lengths_fit = local.split('.').map(str::len).eq([32, 16, 16]);
        (lengths_fit && !domain.is_empty() && local.bytes().all(|b| b.is_ascii_hexdigit() || b == b'.')).then(|| word.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_and_codes() {
        for (status, expected, code) in [
            ("Action: failed\nStatus: 5.1.1\n", Outcome::Failed, "5.1.1"),
            ("Action: failed\nStatus: 4.4.7 (expired)\n", Outcome::Failed, "4.4.7"),
            ("Action: delayed\nStatus: 4.4.1\n", Outcome::Delayed, "4.4.1"),
            ("Action: delivered\nStatus: 2.0.0\n\nAction: failed\nStatus: 5.2.2\n", Outcome::Failed, "5.2.2"),
            ("Action: relayed\nStatus: 2.0.0\n", Outcome::Delivered, "2.0.0"),
            ("Status: 4.2.2\n", Outcome::Delayed, "4.2.2"),
            ("Status: 5.x\nAction: FAILED\n", Outcome::Failed, "5.0.0"),
            ("", Outcome::Failed, "5.0.0"),
        ] {
            let read = read(&Headers::default(), ReportParts { status: Some(status.as_bytes()), ..ReportParts::default() });
            assert_eq!((read.outcome, read.code.as_str()), (expected, code), "{status}");
        }
    }

    #[test]
    fn the_original_is_found_where_reports_have_it() {
        let ours = format!("{}.{}.{}@comune.example", "a".repeat(32), "b".repeat(16), "c".repeat(16));
        let original = format!("Subject: x\r\nMessage-ID: <{ours}>\r\n\r\nbody");
        let text = format!("Il messaggio {ours} non è arrivato. Non <x@y>.");
        let reply = Headers::parse(format!("In-Reply-To: <{ours}>\r\n").as_bytes());
        for (headers, parts) in [
            (Headers::default(), ReportParts { original: Some(original.as_bytes()), ..ReportParts::default() }),
            (Headers::default(), ReportParts { text: &text, ..ReportParts::default() }),
            (reply, ReportParts::default()),
        ] {
            assert_eq!(read(&headers, parts).originals, std::slice::from_ref(&ours));
        }
    }
}
