//! SIGTERM under load: nothing that was committed comes again, the other leads within a second, consoles are told to connect
//! again.

use std::time::Duration;

use crate::alone;
use crate::fleet::Fleet;
use crate::is_whole;

#[tokio::test(flavor = "multi_thread")]
async fn terminated_under_load() {
    let _alone = alone().await;
    let fleet = Fleet::new(true).await;
    fleet.start(1, "").await;
    let load = fleet.load(Duration::from_millis(20));
    let (mut gaps, mut again, mut sent_again) = (Vec::new(), 0.0, 0);
    for _ in 0..if is_whole() { 20 } else { 2 } {
        fleet.until_more(40).await;
        let epoch = fleet.pair.count("select epoch from epoch where pool = 'main'").await;
        // out of the list: citizens and operators go on with the other
        let mut ending = fleet.processes.lock().await.remove(0);
        ending.terminate().await;
        fleet.until_leads(0, Duration::from_secs(10)).await;
        crate::kills::first_decision(&fleet, epoch, 0, Duration::from_secs(20)).await;
        let gap =
            format!("select (select min(at) from audit where epoch = {}) - (select max(at) from audit where epoch = {epoch})", epoch + 1);
        gaps.push(fleet.pair.count(&gap).await / 1000);
        fleet.until_more(10).await;
        // an operator whose console was closed before the answer clicks again, a citizen whose connection was closed sends again; the
        // broker must bring nothing again
        for kind in ["inbound", "signal", "delivery"] {
            again += fleet.metric(0, "sportello_inputs_total", &format!("kind=\"{kind}\",outcome=\"duplicate\"")).await.unwrap();
        }
        let log = fleet.processes.lock().await[0].log_text();
        sent_again += log.matches("sent again, and taken in before").count();
        log.lines().filter(|line| line.contains("taken in before")).for_each(|line| println!("{line}"));
        fleet.start(1, "").await;
    }
    let codes = fleet.ledger.close_codes();
    let verdict = fleet.finish(load).await;
    println!(
        "SIGTERM: hand-over {gaps:?} ms, came again after its commit {again}, of them sent again {sent_again}, consoles closed with {codes:?}: {verdict}"
    );
    verdict.demand(0);
    assert_eq!(verdict.events_repeated, 0, "what was published was published again");
    assert!(gaps.iter().all(|gap| *gap < 1_000), "a hand-over took longer than a second: {gaps:?} ms");
    assert!(codes.contains(&1001) && codes.iter().all(|code| *code == 1001), "consoles were closed with {codes:?}");
    assert_eq!(again, sent_again as f64, "what was committed was delivered again");
}
