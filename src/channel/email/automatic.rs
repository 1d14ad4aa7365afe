//! Who wrote it: a person, or a machine (RFC 3834, RFC 3464, RFC 8098), a list, our own mail coming back. Pure, header fields only.

use super::header::Headers;
use crate::model::channel::{Channel, normalise_address};
use crate::model::conversation::Automatic;

/// More `Received` fields than this are a loop (Postfix draws the same line).
const RECEIVED_MAX: usize = 50;

/// The field in which our own mail says whose it is.
pub const LOOP_FIELD: &str = "X-Loop";

/// How automatic answers begin their subject when they bear another mark too: Italian, English, German, French, Slovene.
const SUBJECTS: [&str; 14] = [
    "risposta automatica",
    "risposta fuori sede",
    "fuori sede",
    "fuori ufficio",
    "assente",
    "automatic reply",
    "auto reply",
    "autoreply",
    "out of office",
    "automatische antwort",
    "abwesenheitsnotiz",
    "réponse automatique",
    "samodejni odgovor",
    "r: risposta automatica",
];

/// What kind of machine wrote the mail; none: a person, as far as one can tell.
///
/// `content_type` is the whole mail's, `from` the sender's address, `own` the address of the account that received it.
pub fn classify(headers: &Headers, content_type: &str, from: Option<&str>, own: Option<&str>) -> Option<Automatic> {
    let report = report_type(content_type);
    if report.as_deref() == Some("delivery-status") || is_old_bounce(headers, from) {
        return Some(Automatic::Bounce);
    }
    if report.as_deref() == Some("disposition-notification") {
        return Some(Automatic::Receipt);
    }
    if is_loop(headers, from, own) {
        return Some(Automatic::Loop);
    }
    if is_auto_reply(headers) {
        return Some(Automatic::AutoReply);
    }
    is_list(headers, own).then_some(Automatic::List)
}

/// The `report-type` of a `multipart/report`, in lower case.
fn report_type(content_type: &str) -> Option<String> {
    let lower = content_type.to_ascii_lowercase();
    let parameters = lower.trim_start().strip_prefix("multipart/report")?;
    let value = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("report-type"))?;
    Some(value.trim_start().strip_prefix('=')?.trim().trim_matches('"').to_owned())
}

/// A bounce from before RFC 3464, or from a system that ignores it: no sender, and from the mail system itself.
fn is_old_bounce(headers: &Headers, from: Option<&str>) -> bool {
    let from_system = from.is_some_and(|from| {
        let local = from.split('@').next().unwrap_or_default().to_ascii_lowercase();
        local == "mailer-daemon" || local == "postmaster" || local.starts_with("microsoftexchange")
    });
    headers.get("x-failed-recipients").is_some() || (from_system && has_null_sender(headers))
}

fn has_null_sender(headers: &Headers) -> bool {
    headers.get("return-path").is_some_and(|path| path.trim() == "<>")
}

fn is_loop(headers: &Headers, from: Option<&str>, own: Option<&str>) -> bool {
    if headers.all("received").count() > RECEIVED_MAX {
        return true;
    }
    let Some(own) = own.map(normalised) else { return false };
    from.map(normalised).is_some_and(|from| from == own) || headers.all("x-loop").any(|value| normalised(value) == own)
}

fn normalised(address: &str) -> String {
    normalise_address(&Channel::email(), address)
}

fn is_auto_reply(headers: &Headers) -> bool {
    let submitted = headers.get("auto-submitted").map(|value| value.split([';', ' ']).next().unwrap_or_default().to_ascii_lowercase());
    if submitted.is_some_and(|value| !value.is_empty() && value != "no") {
        return true;
    }
    if ["x-autoreply", "x-autorespond", "x-autoresponse", "x-autoreply-from", "x-mail-autoreply"]
        .iter()
        .any(|name| headers.get(name).is_some_and(|value| !value.eq_ignore_ascii_case("no")))
    {
        return true;
    }
    let precedence = headers.get("precedence").unwrap_or_default().to_ascii_lowercase();
    // Exchange marks many a human's mail with X-Auto-Response-Suppress: it counts only beside the subject's word for it.
    let suspicious = headers.get("x-auto-response-suppress").is_some() || matches!(precedence.as_str(), "bulk" | "junk");
    precedence == "auto_reply" || has_null_sender(headers) || (suspicious && has_automatic_subject(headers))
}

fn has_automatic_subject(headers: &Headers) -> bool {
    let subject = headers.get("subject").unwrap_or_default().to_lowercase();
    SUBJECTS.iter().any(|prefix| subject.starts_with(prefix))
}

fn is_list(headers: &Headers, own: Option<&str>) -> bool {
    let precedence = headers.get("precedence").unwrap_or_default().to_ascii_lowercase();
    let marked = ["list-id", "list-unsubscribe", "list-post"].iter().any(|name| headers.get(name).is_some())
        || matches!(precedence.as_str(), "bulk" | "junk" | "list");
    marked && !is_own_list(headers, own)
}

/// Whether the list is the office's own address: a group mailbox (Google Groups, Mailman) that hands citizens' letters on.
/// Citizens who write to it are not a newsletter.
fn is_own_list(headers: &Headers, own: Option<&str>) -> bool {
    let Some(own) = own.map(normalised) else { return false };
    let dotted = own.replace('@', ".");
    let list_id = headers.get("list-id").unwrap_or_default().to_lowercase();
    let list_id = list_id.rsplit('<').next().unwrap_or_default().trim_end_matches('>').trim();
    list_id == dotted || headers.get("list-post").is_some_and(|post| post.to_lowercase().contains(&format!("mailto:{own}>")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "urp@comune.example";

    fn check(fields: &str, from: &str, expected: Option<Automatic>) {
        let headers = Headers::parse(fields.as_bytes());
        let content_type = headers.get("content-type").unwrap_or_default().to_owned();
        assert_eq!(classify(&headers, &content_type, Some(from), Some(OWN)), expected, "{fields}");
    }

    #[test]
    fn persons_are_persons() {
        for fields in [
            "Subject: Richiesta\n",
            "Auto-Submitted: no\n",
            "Subject: Fuori sede la discarica?\n",
            "X-Auto-Response-Suppress: DR, OOF, AutoReply\nSubject: Richiesta\n",
            "Return-Path: <mario@example.it>\n",
            "List-Id: URP <urp.comune.example>\nPrecedence: list\nList-Unsubscribe: <mailto:x>\n",
            "Precedence: list\nList-Post: <mailto:urp@comune.example>\nList-Id: <123.groups.example>\n",
            "X-Loop: someone@else.example\n",
        ] {
            check(fields, "mario@example.it", None);
        }
    }

    #[test]
    fn machines_are_machines() {
        for (fields, expected) in [
            ("Auto-Submitted: auto-replied\n", Automatic::AutoReply),
            ("Auto-Submitted: auto-generated; x=y\n", Automatic::AutoReply),
            ("X-Auto-Response-Suppress: All\nSubject: Risposta automatica: Richiesta\n", Automatic::AutoReply),
            ("Precedence: bulk\nSubject: Out of Office: x\n", Automatic::AutoReply),
            ("X-Autoreply: yes\n", Automatic::AutoReply),
            ("Precedence: auto_reply\n", Automatic::AutoReply),
            ("Return-Path: <>\n", Automatic::AutoReply),
            ("List-Id: <news.example.org>\n", Automatic::List),
            ("List-Unsubscribe: <https://example.org>\n", Automatic::List),
            ("Precedence: junk\n", Automatic::List),
            ("X-Loop: URP@comune.example\n", Automatic::Loop),
            ("X-Failed-Recipients: a@b.example\n", Automatic::Bounce),
            ("Content-Type: multipart/report; report-type=delivery-status; boundary=x\n", Automatic::Bounce),
            ("Content-Type: multipart/report; boundary=x;\n report-type=\"Disposition-Notification\"\n", Automatic::Receipt),
        ] {
            check(fields, "mario@example.it", Some(expected));
        }
        check("Return-Path: <>\n", "MAILER-DAEMON@mx.example", Some(Automatic::Bounce));
        check("Subject: x\n", OWN, Some(Automatic::Loop));
        check(&"Received: from a by b\n".repeat(51), "mario@example.it", Some(Automatic::Loop));
        check(&"Received: from a by b\n".repeat(50), "mario@example.it", None);
    }
}
