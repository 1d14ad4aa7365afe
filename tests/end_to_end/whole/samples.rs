//! The lines that a first start prints to play the citizen: each can be pasted as often as somebody likes, and something comes of it
//! each time.

use std::process::Command;

use crate::daemon::{House, Pair, eventually};
use crate::people::{Person, text};

/// How often each is pasted.
const TIMES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_lines_work_every_time() {
    let house = House::start(Pair::Embedded).await;
    let log = house.log();
    let lines: Vec<&str> = log.lines().skip_while(|line| !line.starts_with("Try a citizen's mail")).collect();
    for beginning in ["  printf ", "  curl ", "  t=$(date"] {
        let line = lines.iter().find(|line| line.starts_with(beginning)).unwrap_or_else(|| panic!("no `{beginning}` in {log}"));
        for _ in 0..TIMES {
            let output = Command::new("bash").arg("-c").arg(line).output().unwrap();
            assert!(output.status.success(), "{line}: {output:?}");
        }
    }
    let carla = Person::sign_in(&house, "carla").await;
    let contacts = eventually("a contact for each mail and call, and one for the text messages of a number", async || {
        let contacts = carla.get("/contacts?limit=100").await["items"].as_array()?.clone();
        let by = |channel: &str| contacts.iter().filter(|contact| contact["channel"] == channel).count();
        ([by("email"), by("phone"), by("sms")] == [TIMES, TIMES, 1]).then_some(contacts)
    })
    .await;
    let sms = contacts.iter().find(|contact| contact["channel"] == "sms").unwrap();
    let anna = Person::sign_in(&house, "anna").await;
    eventually("each text message is in it", async || {
        let entries = anna.entries(sms).await;
        (entries.iter().filter(|entry| text(&entry["kind"]) == "message").count() == TIMES).then_some(())
    })
    .await;
    house.finish().await;
}
