//! A take-over a moment after a plan was put in force: who leads next works with it, though nobody has told it yet.

use std::time::Duration;

use crate::citizens::{Way, hand_in};
use crate::fleet::Fleet;
use crate::{alone, process, until};

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_begins_with_the_newest_plan() {
    let _alone = alone().await;
    let fleet = Fleet::new(true).await;
    fleet.start(1, "").await;
    let plan = process::run(&fleet.pair, &["plan", "show"]);
    let rule = "when = { channel = [\"phone\", \"desk\"] }\nqueue = ";
    let changed = plan.replacen(&format!("{rule}\"banco\""), &format!("{rule}\"urp\""), 1);
    assert_ne!(plan, changed, "the example's rule for calls is another");
    let file = fleet.pair.folder().join("changed.toml");
    std::fs::write(&file, changed).unwrap();
    process::run(&fleet.pair, &["plan", "apply", file.to_str().unwrap()]);
    fleet.processes.lock().await.remove(0).kill();
    fleet.until_leads(0, Duration::from_secs(20)).await;
    hand_in(&fleet, Way::Api, "Api-1", false, &mut None).await;
    until("the call", Duration::from_secs(20), async || fleet.pair.count("select count(*) from contact").await == 1).await;
    assert_eq!(fleet.pair.ask("select queue from contact").await, ["urp"]);
}
