//! A citizen's pictures by way of Twilio: what lies there, behind the account's password, lies at the operator's, and what could not
//! be had is named in the text.

use serde_json::json;

use super::sms::own;
use crate::daemon::{House, Pair};
use crate::people::{Person, text};
use crate::sms_peer::by_twilio;
use crate::twilio::{PICTURE, PICTURE_BYTES, Twilio};

async fn story(pair: Pair) {
    let twilio = Twilio::start().await;
    let settings = format!("[sms]\nmedia_hosts = [\"127.0.0.1\", \"localhost\"]\n{}", twilio.settings("urp-sms"));
    let house = House::with(pair, &settings).await;
    let anna = Person::sign_in(&house, "anna").await;
    let _live = anna.ready().await;

    let fields = json!({
        "MessageSid": "MM1", "SmsSid": "MM1", "AccountSid": "AC1", "From": "+393331234567", "To": "+390471000001", "Body": "Ecco la buca",
        "NumMedia": "2", "MediaUrl0": twilio.picture_url("gone"), "MediaContentType0": "image/jpeg",
        "MediaUrl1": twilio.picture_url(PICTURE), "MediaContentType1": "image/jpeg", "NumSegments": "1", "SmsStatus": "received",
    });
    assert_eq!(by_twilio(&format!("{}/sms/v1/urp-sms", house.at.public), &fields).await, 204);
    let contact = own(&anna).await;
    let entries = anna.entries(&contact).await;
    assert_eq!(entries[0]["text"], "Ecco la buca\n[… 1 file …]");
    assert_eq!(entries[0]["attributes"], json!({ "media_missing": "1" }));
    let files = entries[0]["attachments"].as_array().unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!((text(&files[0]["name"]), files[0]["size"].as_u64()), ("mms-2.png".into(), Some(8)));
    let path = format!("/messages/{}/attachments/0", text(&entries[0]["id"]));
    assert_eq!(anna.file(&path).await, ("image/png".to_owned(), PICTURE_BYTES.to_vec()));
    assert_eq!(twilio.fetched(), ["gone".to_owned(), PICTURE.to_owned(), format!("stored {PICTURE}")]);
    house.finish().await;
}

on_both_pairs!(story);
