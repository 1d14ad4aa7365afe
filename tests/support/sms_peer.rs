//! Citizens' text messages as providers hand them in, each signed by the provider's own library.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::daemon::House;
use crate::twilio::TOKEN;

/// Runs a command of `sms_peer.py` with this input; what it printed.
pub async fn peer(arguments: &[&str], input: &str) -> Value {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut command = Command::new(here.join(".venv/bin/python"));
    command.arg(here.join("support/sms_peer.py")).args(arguments);
    let input = input.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("tests/.venv is there: run `make tools`");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A webhook's status, with the headers that the provider's library made.
pub async fn post(url: &str, headers: &Value, content_type: &str, body: String) -> u16 {
    let mut request = reqwest::Client::new().post(url).header("content-type", content_type).body(body);
    for (name, value) in headers.as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request.send().await.unwrap().status().as_u16()
}

/// Fields that Twilio posts to an address of ours.
pub async fn by_twilio(url: &str, fields: &Value) -> u16 {
    let headers = peer(&["twilio", url, TOKEN], &fields.to_string()).await;
    let pairs = fields.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    post(url, &headers, "application/x-www-form-urlencoded", body).await
}

/// A citizen's text message by way of Twilio, accepted.
pub async fn text_message(house: &House, sid: &str, from: &str, text: &str) {
    let fields = json!({
        "MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": "AC1", "From": from, "To": "+390471000001", "Body": text,
        "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received", "FromCountry": "IT", "ApiVersion": "2010-04-01",
    });
    assert_eq!(by_twilio(&format!("{}/sms/v1/urp-sms", house.at.public), &fields).await, 204, "{text}");
}
