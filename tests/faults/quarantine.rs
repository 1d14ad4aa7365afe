//! Inputs that the database refuses or that make our code panic go to quarantine, and everything else goes on. Tried again when
//! their cause is gone, under the same leader, each has its effect once. Without intake nobody leads.

use std::time::Duration;

use crate::alone;
use crate::citizens::{Way, hand_in};
use crate::fleet::Fleet;
use crate::process;

#[tokio::test(flavor = "multi_thread")]
async fn culprits_are_set_aside() {
    let _alone = alone().await;
    let fleet = Fleet::new(false).await;
    let healed = fleet.pair.folder().join("healed");
    fleet.processes.lock().await[0].kill();
    let marks = ["refuse:Refuse", "panic:Panic", "panic_in_reading:Read", "panic_in_taking:Take"]
        .map(|mark| format!("mark:{mark}:{}", healed.display()));
    fleet.start(0, &marks.join(",")).await;
    let load = fleet.load(Duration::from_millis(10));
    for culprit in ["Refuse-1", "Panic-1", "Read-1", "Take-1", "Refuse-2", "Panic-2"] {
        fleet.until_more(10).await;
        hand_in(&fleet, Way::Api, culprit, false, &mut None).await;
    }
    fleet.until_more(20).await;
    let rebuilt = fleet.metric(0, "sportello_engine_rebuilds_total", "").await.unwrap();
    let verdict = fleet.finish(load).await;
    println!("6 culprits: engine rebuilt {rebuilt} times: {verdict}");
    let mut lost = verdict.lost.clone();
    lost.sort_unstable();
    assert_eq!(lost, ["Panic-1", "Panic-2", "Read-1", "Refuse-1", "Refuse-2", "Take-1"], "exactly the culprits have no effect");
    assert!(verdict.duplicated.is_empty() && verdict.unexpected.is_empty(), "{verdict}");
    assert_eq!((verdict.quarantined, verdict.unfinished), (6, 0), "{verdict}");
    let kept = fleet.pair.ask("select reason from quarantine").await;
    let have = |word: &str| kept.iter().filter(|reason| reason.contains(word)).count();
    assert_eq!((have("asked for by the fault run"), have("panicked")), (2, 4), "{kept:?}");

    let epoch = "select epoch from epoch where pool = 'main'";
    let before = fleet.pair.count(epoch).await;
    std::fs::write(&healed, "").unwrap();
    // twice: what was taken in is recognised
    for round in 1..=2 {
        let items = fleet.pair.ask("select cast(id as text) from quarantine order by id").await;
        let arguments: Vec<&str> = ["quarantine", "retry"].into_iter().chain(items.iter().map(String::as_str)).collect();
        process::run(&fleet.pair, &arguments);
        fleet.until_settled_without_operators().await;
        let verdict = fleet.ledger.verdict(&fleet.pair).await;
        println!("6 culprits tried again: {verdict}");
        assert!(verdict.is_good(), "{verdict}: {:?} {:?}", verdict.lost, verdict.duplicated);
        // with the last one of each round
        assert_eq!(verdict.unfinished, 6 + round, "one contact each, and nobody to serve them: {verdict}");
        assert_eq!(fleet.pair.count("select count(*) from quarantine where state = 'held'").await, 0);
    }
    assert_eq!(fleet.pair.count(epoch).await, before, "one leadership");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_intake_the_lead_begins_anew() {
    begins_anew("happen:intake_panics:5", "intake ended").await;
}

/// Committed, and nothing of it acknowledged: it comes again and is recognised.
#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_panics_gives_the_lead_up() {
    begins_anew("happen:driver_panics:5", "the driver panicked").await;
}

/// The same process leads once more, and the log says why.
async fn begins_anew(fault: &str, says: &str) {
    let _alone = alone().await;
    let fleet = Fleet::armed(false, fault).await;
    let load = fleet.load(Duration::from_millis(10));
    fleet.until_more(60).await;
    let verdict = fleet.finish(load).await;
    verdict.demand(0);
    let epoch = fleet.pair.count("select epoch from epoch where pool = 'main'").await;
    assert_eq!(epoch, 3, "the first process led, the second led twice");
    let log = fleet.processes.lock().await[0].log_text();
    assert!(log.contains(says), "the log says why");
}
