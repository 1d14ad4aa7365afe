//! Vonage's Messages API, channel SMS and MMS: JSON both ways.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::join::Part;
use super::{Answer, ID_MAX, Media, NUMBER_MAX, Progress, Received, Said, Status, TEXT_MAX, Unreadable, code, with_plus, within};
use crate::model::json::blame;

/// A webhook, inbound or status: Vonage has an address for each, and one reader does for both.
#[derive(Deserialize)]
struct Webhook {
    message_uuid: Option<String>,
    from: Option<String>,
    to: Option<String>,
    message_type: Option<String>,
    text: Option<String>,
    status: Option<String>,
    client_ref: Option<String>,
    error: Option<Value>,
    image: Option<File>,
    audio: Option<File>,
    video: Option<File>,
    vcard: Option<File>,
    file: Option<File>,
    /// Of one part of a longer message: `true`, as a word or a value, where the carrier says so.
    concat: Option<Value>,
    #[serde(rename = "concat-ref")]
    concat_ref: Option<Value>,
    #[serde(rename = "concat-total")]
    concat_total: Option<Value>,
    #[serde(rename = "concat-part")]
    concat_part: Option<Value>,
}

impl Webhook {
    /// Which part it is. Vonage cuts a text between characters and sends numbers as words.
    fn part(&self, text: &str) -> Option<Part> {
        let word = |value: &Option<Value>| match value.as_ref()? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        word(&self.concat).filter(|said| said == "true")?;
        let number = |value: &Option<Value>| word(value)?.parse().ok();
        Part::new(&word(&self.concat_ref)?, number(&self.concat_total)?, number(&self.concat_part)?, None, text)
    }
}

#[derive(Deserialize)]
struct File {
    url: String,
}

/// Reads a webhook.
pub fn read(body: &[u8]) -> Result<Said, Unreadable> {
    let webhook: Webhook = serde_json::from_slice(body).map_err(|error| Unreadable::Form(blame(&error)))?;
    let id = within("message_uuid", webhook.message_uuid.as_deref(), ID_MAX)?;
    if let Some(status) = webhook.status.as_deref() {
        let progress = match status {
            "submitted" => Progress::Sent,
            "delivered" | "read" => Progress::Delivered,
            "rejected" | "undeliverable" => Progress::Failed(failure(webhook.error.as_ref())),
            _ => return Ok(Said::Nothing),
        };
        let reference = webhook.client_ref.filter(|reference| reference.len() <= ID_MAX);
        return Ok(Said::Status(Status { reference, id, progress }));
    }
    if webhook.message_type.is_none() {
        return Err(Unreadable::Field("message_type"));
    }
    let text = webhook.text.clone().unwrap_or_default();
    if text.len() > TEXT_MAX {
        return Err(Unreadable::Field("text"));
    }
    let part = webhook.part(&text);
    let files = [webhook.image, webhook.audio, webhook.video, webhook.vcard, webhook.file];
    Ok(Said::Received(Received {
        id,
        from: with_plus(&within("from", webhook.from.as_deref(), NUMBER_MAX)?),
        to: with_plus(&within("to", webhook.to.as_deref(), NUMBER_MAX)?),
        text,
        media: files.into_iter().flatten().map(|file| Media { url: file.url, media_type: None }).collect(),
        part,
    }))
}

/// The last part of the error's `type`, which is an address of its documentation, or its `title`.
fn failure(error: Option<&Value>) -> String {
    let text = |name: &str| error.and_then(|error| error[name].as_str());
    let said = text("type").and_then(|kind| kind.rsplit(['#', '/']).next()).filter(|part| !part.is_empty());
    code(said.or_else(|| text("title")).unwrap_or("failed"))
}

/// The body that sends a message; `reference` comes back with its status.
pub fn order(from: &str, to: &str, text: &str, reference: &str) -> Value {
    let bare = |number: &str| number.strip_prefix('+').unwrap_or(number).to_owned();
    json!({
        "channel": "sms", "message_type": "text", "from": bare(from), "to": bare(to), "text": text, "client_ref": reference,
        "sms": {"encoding_type": "auto"},
    })
}

/// What an answer means.
pub fn answer(status: u16, body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = body["type"].as_str().and_then(|kind| kind.rsplit(['#', '/']).next()).filter(|part| !part.is_empty());
    Answer::of(status, body["message_uuid"].as_str(), said.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_statuses_read() {
        let body = br#"{"channel":"sms","message_uuid":"aaa","to":"390461000000","from":"393331234567","timestamp":"2026-11-23T20:00:00Z",
            "text":"ciao","sms":{"num_messages":"1"},"usage":{"currency":"EUR","price":"0.03"},"message_type":"text"}"#;
        let expected = Received {
            id: "aaa".into(),
            from: "+393331234567".into(),
            to: "+390461000000".into(),
            text: "ciao".into(),
            media: vec![],
            part: None,
        };
        assert_eq!(read(body), Ok(Said::Received(expected)));
        let picture = br#"{"channel":"mms","message_uuid":"b","to":"12345","from":"Comune","message_type":"image","image":{"url":"https://m.example/1","name":"a.jpg"}}"#;
        let Ok(Said::Received(picture)) = read(picture) else { panic!("a message") };
        assert_eq!((picture.from.as_str(), picture.to.as_str(), picture.media.len()), ("Comune", "12345", 1), "names and short codes stay");
        let status = |text: &str| read(format!(r#"{{"message_uuid":"aaa","client_ref":"ms_1","status":{text}}}"#).as_bytes());
        let told = |progress| Ok(Said::Status(Status { reference: Some("ms_1".into()), id: "aaa".into(), progress }));
        assert_eq!(status(r#""submitted""#), told(Progress::Sent));
        assert_eq!(status(r#""delivered""#), told(Progress::Delivered));
        assert_eq!(
            status(r#""rejected","error":{"type":"https://developer.vonage.com/api-errors/messages#1120","title":"1120"}"#),
            told(Progress::Failed("1120".into()))
        );
        assert_eq!(status(r#""undeliverable""#), told(Progress::Failed("failed".into())));
        assert_eq!(status(r#""something""#), Ok(Said::Nothing));
        for bad in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"message_uuid":"a"}"#,
            r#"{"message_uuid":1}"#,
            r#"{"message_uuid":"a","message_type":"text","from":"x"}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_are_told_apart_and_nonsense_is_a_message() {
        let part = |fields: &str| {
            let body = format!(r#"{{"message_uuid":"a","message_type":"text","from":"39333","to":"4040","text":"ciao"{fields}}}"#);
            let Ok(Said::Received(received)) = read(body.as_bytes()) else { panic!("a message: {body}") };
            received.part
        };
        let expected = Some(Part { reference: "108".into(), total: 3, number: 2, coded: None });
        assert_eq!(part(r#","concat":"true","concat-ref":"108","concat-total":"3","concat-part":"2""#), expected);
        assert_eq!(part(r#","concat":true,"concat-ref":108,"concat-total":3,"concat-part":2"#), expected);
        for nonsense in [
            "",
            r#","concat":"false","concat-ref":"108","concat-total":"3","concat-part":"2""#,
            r#","concat":"true""#,
            r#","concat":"true","concat-ref":"108","concat-total":"0","concat-part":"0""#,
            r#","concat":"true","concat-ref":"108","concat-total":"3","concat-part":"4""#,
            r#","concat":"true","concat-ref":"108","concat-total":"1","concat-part":"1""#,
            r#","concat":"true","concat-ref":"","concat-total":"3","concat-part":"1""#,
            r#","concat":"true","concat-ref":null,"concat-total":[3],"concat-part":-1"#,
            r#","concat":"true","concat-ref":"108","concat-total":"99999999999999999999","concat-part":"1""#,
        ] {
            assert_eq!(part(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn an_order_has_bare_numbers_and_answers_have_codes() {
        let order = order("+390461000000", "+393331234567", "sì", "ms_1");
        assert_eq!(
            (order["from"].as_str(), order["to"].as_str(), order["client_ref"].as_str()),
            (Some("390461000000"), Some("393331234567"), Some("ms_1"))
        );
        assert_eq!(answer(202, br#"{"message_uuid":"aaa"}"#), Answer::Taken("aaa".to_owned()));
        assert_eq!(answer(422, br#"{"type":"https://developer.vonage.com/api-errors/messages#1150"}"#), Answer::Refused("1150".to_owned()));
        assert_eq!(answer(429, b"{}"), Answer::NotNow("429".to_owned()));
    }
}
