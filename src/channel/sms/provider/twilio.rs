//! Twilio's Programmable Messaging: webhooks as forms or JSON, sending by a form.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{Answer, ID_MAX, MEDIA_MAX, Media, NUMBER_MAX, Progress, Received, Said, Status, TEXT_MAX, Unreadable, code, within};
use crate::model::delivery::AttemptResult;
use crate::model::json::blame;
use crate::model::time::Timestamp;

/// Reads a webhook's fields. A JSON body has the same names; see [`fields_of_json`].
pub fn read(fields: &[(String, String)]) -> Result<Said, Unreadable> {
    // of a name that comes twice the first counts
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in fields {
        known.entry(name).or_insert(value);
    }
    let get = |name: &str| known.get(name).copied();
    let id = within("MessageSid", get("MessageSid").or_else(|| get("SmsSid")), ID_MAX)?;
    // incoming messages carry `SmsStatus` = received and no `MessageStatus`
    let status = get("MessageStatus").or_else(|| get("SmsStatus"));
    let progress = match status {
        None | Some("received" | "receiving") => return received(id, &get),
        Some("sent") => Progress::Sent,
        Some("delivered" | "read") => Progress::Delivered,
        Some("undelivered" | "failed" | "canceled") => Progress::Failed(code(get("ErrorCode").unwrap_or("failed"))),
        // accepted, scheduled, queued, sending, and what comes later
        Some(_) => return Ok(Said::Nothing),
    };
    Ok(Said::Status(Status { reference: None, id, progress }))
}

fn received<'f>(id: String, get: &impl Fn(&str) -> Option<&'f str>) -> Result<Said, Unreadable> {
    let text = get("Body").unwrap_or_default();
    if text.len() > TEXT_MAX {
        return Err(Unreadable::Field("Body"));
    }
    let count = get("NumMedia").unwrap_or("0").parse::<usize>().map_err(|_| Unreadable::Field("NumMedia"))?;
    let media = (0..count.min(MEDIA_MAX)).filter_map(|number| {
        let url = get(&format!("MediaUrl{number}"))?.to_owned();
        Some(Media { url, media_type: get(&format!("MediaContentType{number}")).map(str::to_owned) })
    });
    Ok(Said::Received(Received {
        id,
        from: within("From", get("From"), NUMBER_MAX)?,
        to: within("To", get("To"), NUMBER_MAX)?,
        text: text.to_owned(),
        media: media.collect(),
        part: None,
    }))
}

/// The fields of a JSON object: texts and numbers, nothing nested.
pub fn fields_of_json(body: &[u8]) -> Result<Vec<(String, String)>, Unreadable> {
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(body).map_err(|error| Unreadable::Form(blame(&error)))?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Ok(fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
}

/// The form that sends a message; `callback` is where its status goes.
pub fn form(from: &str, to: &str, text: &str, callback: Option<&str>) -> Vec<(&'static str, String)> {
    // a messaging service stands for a pool of numbers
    let sender = if from.starts_with("MG") && from.len() == 34 { "MessagingServiceSid" } else { "From" };
    let mut form = vec![("To", to.to_owned()), (sender, from.to_owned()), ("Body", text.to_owned())];
    form.extend(callback.map(|callback| ("StatusCallback", callback.to_owned())));
    form
}

/// What an answer to a form means.
pub fn answer(status: u16, body: &[u8]) -> Answer {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    Answer::of(status, body["sid"].as_str(), body["code"].as_i64().map(|code| code.to_string()))
}

/// How much earlier than the operator's click the provider's clock may say that it got the message.
const CLOCKS_APART: Duration = Duration::from_secs(5);

/// What a list of the messages to a number says of one of ours: there if exactly one made since then has this text. Our
/// reference is not in the list, so of two that are alike nobody can say which is which.
pub fn find(body: &[u8], text: &str, since: Timestamp) -> AttemptResult {
    #[derive(Deserialize)]
    struct List {
        messages: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        sid: String,
        body: Option<String>,
        direction: Option<String>,
        status: Option<String>,
        date_created: Option<String>,
        error_code: Option<serde_json::Value>,
    }
    let Ok(List { messages }) = serde_json::from_slice::<List>(body) else { return AttemptResult::Unknown };
    let is_ours = |listed: &Listed| {
        let made = listed.date_created.as_deref().and_then(mail_parser::DateTime::parse_rfc822).map(|date| date.to_timestamp());
        made.is_some_and(|made| Timestamp::from_secs(made).plus(CLOCKS_APART) >= since)
            && listed.body.as_deref() == Some(text)
            && listed.direction.as_deref().is_some_and(|direction| direction.starts_with("outbound"))
    };
    let mut ours = messages.into_iter().filter(is_ours);
    let (Some(found), None) = (ours.next(), ours.next()) else { return AttemptResult::Unknown };
    match found.status.as_deref() {
        Some("delivered" | "read") => AttemptResult::Delivered,
        Some("undelivered" | "failed" | "canceled") => {
            let said = found.error_code.as_ref().map(ToString::to_string).filter(|code| code != "null");
            AttemptResult::Bounced { code: code(said.as_deref().unwrap_or("failed")) }
        }
        _ => AttemptResult::Sent { provider_id: Some(found.sid) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_message_with_a_picture() {
        let said = read(&fields(&[
            ("ToCountry", "IT"),
            ("MessageSid", "MM1"),
            ("SmsStatus", "received"),
            ("From", "+393331234567"),
            ("To", "+390461000000"),
            ("Body", "Buongiorno 👋"),
            ("NumMedia", "2"),
            ("MediaUrl0", "https://api.example/m/0"),
            ("MediaContentType0", "image/jpeg"),
            ("NumSegments", "1"),
        ]));
        let media = vec![Media { url: "https://api.example/m/0".into(), media_type: Some("image/jpeg".into()) }];
        let expected = Received {
            id: "MM1".into(),
            from: "+393331234567".into(),
            to: "+390461000000".into(),
            text: "Buongiorno 👋".into(),
            media,
            part: None,
        };
        assert_eq!(said, Ok(Said::Received(expected)));
    }

    #[test]
    fn a_status_says_how_far_it_is() {
        for (status, expected) in [
            ("queued", None),
            ("sent", Some(Progress::Sent)),
            ("delivered", Some(Progress::Delivered)),
            ("undelivered", Some(Progress::Failed("30003".into()))),
            ("a_new_one", None),
        ] {
            let said = read(&fields(&[("MessageSid", "SM1"), ("MessageStatus", status), ("SmsStatus", status), ("ErrorCode", "30003")]));
            let expected = expected.map_or(Said::Nothing, |progress| Said::Status(Status { reference: None, id: "SM1".into(), progress }));
            assert_eq!(said, Ok(expected), "{status}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let long = "x".repeat(TEXT_MAX + 1);
        for (pairs, field) in [
            (vec![("From", "+39333"), ("To", "+390461")], "MessageSid"),
            (vec![("MessageSid", " "), ("From", "+39333"), ("To", "+390461")], "MessageSid"),
            (vec![("MessageSid", "SM1"), ("To", "+390461")], "From"),
            (vec![("MessageSid", "SM1"), ("From", "+39333")], "To"),
            (vec![("MessageSid", "SM1"), ("From", &long), ("To", "+390461")], "From"),
            (vec![("MessageSid", "SM1"), ("From", "+39333"), ("To", "+390461"), ("Body", &long)], "Body"),
            (vec![("MessageSid", "SM1"), ("From", "+39333"), ("To", "+390461"), ("NumMedia", "-1")], "NumMedia"),
        ] {
            assert_eq!(read(&fields(&pairs)), Err(Unreadable::Field(field)));
        }
        assert!(fields_of_json(b"[1]").is_err() && fields_of_json(b"").is_err());
        assert_eq!(fields_of_json(br#"{"a":"b","n":2,"o":{"p":1}}"#), Ok(fields(&[("a", "b"), ("n", "2")])));
    }

    #[test]
    fn a_message_is_found_if_it_is_the_only_one_like_it() {
        let since = Timestamp::from_secs(1_750_000_000); // Sun, 15 Jun 2025 15:06:40 +0000
        let listed = |sid: &str, text: &str, direction: &str, status: &str, at: &str| serde_json::json!({"sid": sid, "body": text, "direction": direction, "status": status, "date_created": at, "error_code": 30006});
        let now = "Sun, 15 Jun 2025 15:06:50 +0000";
        let ours = |status: &str| listed("SM1", "ciao", "outbound-api", status, now);
        let find_in =
            |messages: Vec<serde_json::Value>| find(serde_json::json!({ "messages": messages }).to_string().as_bytes(), "ciao", since);
        let sent = AttemptResult::Sent { provider_id: Some("SM1".into()) };
        assert_eq!(find_in(vec![ours("queued")]), sent);
        assert_eq!(find_in(vec![ours("delivered")]), AttemptResult::Delivered);
        assert_eq!(find_in(vec![ours("failed")]), AttemptResult::Bounced { code: "30006".into() });
        let others = [
            listed("SM2", "ciao", "inbound", "received", now),
            listed("SM3", "altro", "outbound-api", "sent", now),
            listed("SM4", "ciao", "outbound-api", "sent", "Sun, 15 Jun 2025 15:06:30 +0000"),
            listed("SM5", "ciao", "outbound-api", "sent", "ieri"),
        ];
        assert_eq!(find_in(others.to_vec()), AttemptResult::Unknown);
        assert_eq!(find_in(others.iter().cloned().chain([ours("sent")]).collect()), sent);
        assert_eq!(find_in(vec![ours("sent"), ours("sent")]), AttemptResult::Unknown, "which of the two?");
        for body in ["", "[]", "{}", r#"{"messages":[{}]}"#, r#"{"messages":null}"#] {
            assert_eq!(find(body.as_bytes(), "ciao", since), AttemptResult::Unknown, "{body}");
        }
    }

    #[test]
    fn answers_mean_what_the_provider_documents() {
        assert_eq!(answer(201, br#"{"sid":"SM1","status":"queued"}"#), Answer::Taken("SM1".to_owned()));
        assert_eq!(answer(400, br#"{"code":21211,"message":"The 'To' number is not valid"}"#), Answer::Refused("21211".to_owned()));
        assert_eq!(answer(429, br#"{"code":20429}"#), Answer::NotNow("20429".to_owned()));
        assert_eq!(answer(503, b"<html>"), Answer::Unclear);
        assert_eq!(answer(200, b""), Answer::Unclear);
    }
}
