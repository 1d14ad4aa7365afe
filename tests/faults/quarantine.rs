//! Inputs that the database refuses or that make the engine panic go to quarantine, and everything else goes on.

use std::time::Duration;

use crate::alone;
use crate::citizens::{Way, hand_in};
use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread")]
async fn culprits_are_set_aside() {
    let _alone = alone().await;
    let fleet = Fleet::new(false).await;
    fleet.processes.lock().await[0].kill();
    fleet.start(0, "mark:refuse:Refuse,mark:panic:Panic").await;
    let load = fleet.load(Duration::from_millis(10));
    for culprit in ["Refuse-1", "Panic-1", "Refuse-2", "Panic-2"] {
        fleet.until_more(10).await;
        hand_in(&fleet, Way::Api, culprit, false, &mut None).await;
    }
    fleet.until_more(20).await;
    let rebuilt = fleet.metric(0, "sportello_engine_rebuilds_total", "").await.unwrap();
    let verdict = fleet.finish(load).await;
    println!("4 culprits: engine rebuilt {rebuilt} times: {verdict}");
    let mut lost = verdict.lost.clone();
    lost.sort_unstable();
    assert_eq!(lost, ["Panic-1", "Panic-2", "Refuse-1", "Refuse-2"], "exactly the culprits have no effect");
    assert!(verdict.duplicated.is_empty() && verdict.unexpected.is_empty(), "{verdict}");
    assert_eq!((verdict.quarantined, verdict.unfinished), (4, 0), "{verdict}");
    let kept = fleet.pair.ask("select reason from quarantine order by reason").await;
    assert!(kept[0].contains("asked for by the fault run") && kept[3].contains("panicked"), "{kept:?}");
}
