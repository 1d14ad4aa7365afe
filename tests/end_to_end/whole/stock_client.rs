//! Somebody else's program, in another language, with a stock client and nothing but the document.

use std::process::{Command, Stdio};

use crate::daemon::{House, Pair};
use crate::people::Person;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_is_handed_in_and_its_events_are_read() {
    let house = House::start(Pair::Production).await;
    let anna = Person::sign_in(&house, "anna").await;
    let live = anna.ready().await;
    let document = house.folder.path().join("asyncapi.json");
    std::fs::write(&document, house.done(&["asyncapi"]).await).unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/stock_client.py");
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).arg(&house.production.as_ref().unwrap().amqp).arg(document);
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output().unwrap()).await.unwrap();
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{errors}");
    let contact = printed.trim().rsplit(' ').next().unwrap().to_owned();
    live.event("offer.made", &contact).await;
    house.finish().await;
}
