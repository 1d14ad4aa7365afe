//! Any other provider, or a gateway of one's own: our JSON, signed as a standard webhook, both ways.

use serde::{Deserialize, Serialize};

use super::{Answer, ID_MAX, MEDIA_MAX, Media, NUMBER_MAX, Progress, Received, Said, Status, TEXT_MAX, Unreadable, code, within};
use crate::model::json::blame;

/// What a gateway tells us.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Webhook {
    /// A citizen wrote.
    Message {
        id: String,
        from: String,
        to: String,
        #[serde(default)]
        text: String,
        #[serde(default)]
        media: Vec<File>,
    },
    /// A message of ours got on.
    Status {
        id: String,
        #[serde(default)]
        reference: Option<String>,
        status: String,
        #[serde(default)]
        code: Option<String>,
    },
}

#[derive(Debug, Clone, Deserialize)]
struct File {
    url: String,
    #[serde(default)]
    media_type: Option<String>,
}

/// Reads a webhook.
pub fn read(body: &[u8]) -> Result<Said, Unreadable> {
    match serde_json::from_slice(body).map_err(|error| Unreadable::Form(blame(&error)))? {
        Webhook::Message { id, from, to, text, media } => {
            if text.len() > TEXT_MAX {
                return Err(Unreadable::Field("text"));
            }
            Ok(Said::Received(Received {
                id: within("id", Some(&id), ID_MAX)?,
                from: within("from", Some(&from), NUMBER_MAX)?,
                to: within("to", Some(&to), NUMBER_MAX)?,
                text,
                media: media.into_iter().take(MEDIA_MAX).map(|file| Media { url: file.url, media_type: file.media_type }).collect(),
                part: None,
            }))
        }
        Webhook::Status { id, reference, status, code: said } => {
            let progress = match status.as_str() {
                "sent" => Progress::Sent,
                "delivered" => Progress::Delivered,
                "failed" => Progress::Failed(code(said.as_deref().unwrap_or("failed"))),
                _ => return Err(Unreadable::Field("status")),
            };
            let reference = reference.filter(|reference| reference.len() <= ID_MAX);
            Ok(Said::Status(Status { reference, id: within("id", Some(&id), ID_MAX)?, progress }))
        }
    }
}

/// What we tell a gateway: send this, once for each `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order<'o> {
    /// Our id of the attempt: a gateway that has seen it answers as before and sends nothing.
    pub id: &'o str,
    /// Our id of the message: comes back as `reference` of its status.
    pub reference: &'o str,
    /// Our number or name.
    pub from: &'o str,
    /// The citizen's number.
    pub to: &'o str,
    /// The text.
    pub text: &'o str,
    /// How many parts it makes.
    pub parts: usize,
}

/// What an answer means.
pub fn answer(status: u16, body: &[u8]) -> Answer {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    Answer::of(status, body["id"].as_str(), body["code"].as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_speaks_our_json() {
        let read = |text: &str| read(text.as_bytes());
        let expected =
            Received { id: "1".into(), from: "+39333".into(), to: "40404".into(), text: "ciao".into(), media: vec![], part: None };
        assert_eq!(
            read(r#"{"type":"message","id":"1","from":"+39333","to":"40404","text":"ciao","more":1}"#),
            Ok(Said::Received(expected))
        );
        let status = Status { reference: Some("ms_1".into()), id: "1".into(), progress: Progress::Failed("absent".into()) };
        assert_eq!(read(r#"{"type":"status","id":"1","reference":"ms_1","status":"failed","code":"absent"}"#), Ok(Said::Status(status)));
        assert_eq!(read(r#"{"type":"status","id":"1","status":"flying"}"#), Err(Unreadable::Field("status")));
        assert_eq!(read(r#"{"type":"message","id":"","from":"a","to":"b"}"#), Err(Unreadable::Field("id")));
        for bad in ["", "null", "{}", r#"{"type":"call"}"#, r#"{"type":"message","id":{}}"#, "[[[[[[[["] {
            assert!(matches!(read(bad), Err(Unreadable::Form(_))), "{bad}");
        }
        assert_eq!(answer(200, br#"{"id":"g1"}"#), Answer::Taken("g1".to_owned()));
        assert_eq!(answer(400, br#"{"code":"no such number!"}"#), Answer::Refused("nosuchnumber".to_owned()));
        assert_eq!(answer(500, b""), Answer::Unclear);
    }
}
