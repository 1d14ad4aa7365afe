//! Negative controls: each safeguard broken on purpose must turn its figure red.

use std::time::Duration;

use crate::alone;
use crate::citizens::{Way, hand_in};
use crate::fleet::Fleet;
use crate::pauses::STALE;
use crate::until;

/// Hands in so many contacts by the API.
async fn some(fleet: &Fleet, name: &str, count: u32) {
    for number in 0..count {
        hand_in(fleet, Way::Api, &format!("{name}-{number}"), true, &mut None).await;
    }
}

/// Without the inbox a contact handed in twice is opened twice.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_inbox_something_happens_twice() {
    let _alone = alone().await;
    let fleet = Fleet::armed(false, "broken:no_inbox").await;
    some(&fleet, "Twice", 3).await;
    some(&fleet, "Twice", 3).await;
    let twice = "select count(*) from input where kind = 'inbound'";
    until("both deliveries", Duration::from_secs(20), async || fleet.pair.count(twice).await >= 6).await;
    let verdict = fleet.ledger.verdict(&fleet.pair).await;
    println!("broken, no inbox: {verdict}");
    assert!(!verdict.duplicated.is_empty(), "the ledger does not notice: {verdict}");
}

/// Acknowledged before the commit, a kill between the two loses contacts.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_before_the_commit_something_is_lost() {
    let _alone = alone().await;
    let fleet = Fleet::armed(false, "broken:ack_before_commit,die:before_commit:4").await;
    let more = async { some(&fleet, "Early", 40).await };
    tokio::join!(more, fleet.until_dead(0, "before_commit"));
    fleet.start(0, "").await;
    fleet.until_settled_without_operators().await;
    let verdict = fleet.ledger.verdict(&fleet.pair).await;
    println!("broken, acknowledged before the commit: {verdict}");
    assert!(!verdict.lost.is_empty(), "the ledger does not notice: {verdict}");
}

/// With the cursor moved before the broker confirmed, a kill between the two loses public events.
#[tokio::test(flavor = "multi_thread")]
async fn with_an_early_cursor_an_event_is_lost() {
    let _alone = alone().await;
    let fleet = Fleet::armed(true, "broken:cursor_before_confirm,die:before_publish:4").await;
    let more = async { some(&fleet, "Cursor", 40).await };
    tokio::join!(more, fleet.until_dead(0, "before_publish"));
    fleet.start(0, "").await;
    fleet.until_settled_without_operators().await;
    let verdict = fleet.ledger.verdict(&fleet.pair).await;
    println!("broken, cursor before confirm: {verdict}");
    assert!(verdict.lost.iter().any(|lost| lost.starts_with("public event")), "the ledger does not notice: {verdict}");
}

/// Without the check of the epoch a woken leader writes on. Its inbox is broken too: what the other has taken in while it slept it would
/// recognise, and then it may have nothing left to write.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_epoch_a_paused_leader_writes() {
    let _alone = alone().await;
    let fleet = Fleet::armed(true, "broken:no_epoch_check,broken:no_inbox,stop:before_commit:4").await;
    let pause = until("the pause", Duration::from_secs(30), async || fleet.processes.lock().await[0].is_stopped());
    tokio::join!(some(&fleet, "Stale", 10), pause);
    fleet.start(1, "").await;
    fleet.until_leads(1, Duration::from_secs(20)).await;
    fleet.processes.lock().await[0].wake();
    let stale = until("the stale write", Duration::from_secs(120), async || fleet.pair.count(STALE).await > 0);
    if tokio::time::timeout(Duration::from_secs(60), stale).await.is_err() {
        panic!("the woken process wrote nothing; it says:\n{}", fleet.processes.lock().await[0].log_text());
    }
    println!("broken, no check of the epoch: stale writes committed {}", fleet.pair.count(STALE).await);
}
