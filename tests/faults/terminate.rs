//! SIGTERM under load: nothing that was committed comes again, the other leads within a second, consoles are told to connect
//! again.

use std::time::Duration;

use crate::fleet::Fleet;
use crate::{alone, is_whole, judged};

#[tokio::test(flavor = "multi_thread")]
async fn terminated_under_load() {
    let _alone = alone().await;
    let fleet = Fleet::new(true).await;
    fleet.start(1, "").await;
    let load = fleet.load(Duration::from_millis(20));
    let (mut gaps, mut cut_off, mut sent_again, mut delivered_again) = (Vec::new(), 0, 0, 0);
    for _ in 0..if is_whole() { 20 } else { 2 } {
        fleet.until_more(40).await;
        let epoch = fleet.pair.count("select epoch from epoch where pool = 'main'").await;
        // out of the list: citizens and operators go on with the other
        let mut ending = fleet.processes.lock().await.remove(0);
        ending.terminate().await;
        // half a second is enough, but for a machine that has much else to do
        cut_off += ending.log_text().matches("the relay is not through with what was committed").count();
        fleet.until_leads(0, Duration::from_secs(10)).await;
        crate::kills::first_decision(&fleet, epoch, 0, Duration::from_secs(20)).await;
        let gap =
            format!("select (select min(at) from audit where epoch = {}) - (select max(at) from audit where epoch = {epoch})", epoch + 1);
        gaps.push(fleet.pair.count(&gap).await / 1000);
        fleet.until_more(10).await;
        // an operator whose console was closed before the answer clicks again, a citizen whose connection was closed sends again; the
        // broker must bring nothing again
        let log = fleet.processes.lock().await[0].log_text();
        sent_again += log.matches("sent again, and taken in before").count();
        delivered_again += log.matches("delivered again, and taken in before").count();
        log.lines().filter(|line| line.contains("taken in before")).for_each(|line| println!("{line}"));
        fleet.start(1, "").await;
    }
    let codes = fleet.ledger.close_codes();
    let verdict = fleet.finish(load).await;
    println!(
        "SIGTERM: hand-over {gaps:?} ms, relays cut off {cut_off}, of what was committed sent again {sent_again}, delivered again {delivered_again}, consoles closed with {codes:?}: {verdict}"
    );
    verdict.demand(0);
    assert!(verdict.events_repeated == 0 || cut_off > 0, "what was published was published again: {verdict}");
    gaps.sort_unstable();
    assert!(judged(&gaps) < 1_000, "hand-overs took longer than a second: {gaps:?} ms");
    assert!(codes.contains(&1001) && codes.iter().all(|code| *code == 1001), "consoles were closed with {codes:?}");
    assert_eq!(delivered_again, 0, "what was committed was delivered again");
}
