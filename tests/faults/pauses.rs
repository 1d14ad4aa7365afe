//! Paused leaders: SIGSTOP under load, another takes over, SIGCONT. Whatever the woken one still wants to write is refused.

use std::time::Duration;

use crate::fleet::Fleet;
use crate::kills::first_decision;
use crate::{alone, is_whole, judged, now_us, until};

/// Writes that a paused leader committed after another had taken over.
pub const STALE: &str = "select count(*) from audit where epoch < current";

/// The first pause stops the process right before a commit, so that a stale write is certain; the others are at random.
#[tokio::test(flavor = "multi_thread")]
async fn paused_leaders_write_nothing() {
    let _alone = alone().await;
    let fleet = Fleet::new(true).await;
    let load = fleet.load(Duration::from_millis(40));
    let pauses = if is_whole() { 20 } else { 2 };
    let (mut leads, mut attempted, mut times) = (0, 0.0, Vec::new());
    for number in 0..pauses {
        // the leader dies and the one that takes over is the one to be paused
        let other = 1 - leads;
        let point = if number % 2 == 0 { "before_commit" } else { "inside_commit" };
        fleet.start(other, &format!("stop:{point}:{}", rand::random_range(10..40))).await;
        fleet.processes.lock().await[leads].kill();
        let is_stopped = async || fleet.processes.lock().await[other].is_stopped();
        until("the take-over", Duration::from_secs(20), async || is_stopped().await || fleet.leader().await == Some(other)).await;
        fleet.start(leads, "").await;
        until("the pause", Duration::from_secs(60), is_stopped).await;
        let (epoch, since) = (fleet.pair.count("select epoch from epoch where pool = 'main'").await, now_us());
        let seconds = if is_whole() { rand::random_range(1..=30) } else { 8 };
        if seconds >= 8 {
            times.push(first_decision(&fleet, epoch, since, Duration::from_secs(20)).await);
        }
        let paused = Duration::from_micros(u64::try_from(now_us() - since).unwrap());
        tokio::time::sleep(Duration::from_secs(seconds).saturating_sub(paused)).await;
        fleet.processes.lock().await[other].wake();
        attempted += woken(&fleet, other, leads).await;
        until("a leader", Duration::from_secs(20), async || fleet.leader().await.is_some()).await;
        leads = fleet.leader().await.unwrap_or(leads);
    }
    let stale = fleet.pair.count(STALE).await;
    let verdict = fleet.finish(load).await;
    times.sort_unstable();
    println!("{pauses} pauses: stale writes attempted {attempted}, committed {stale}; take-over {times:?} ms: {verdict}");
    verdict.demand(0);
    assert_eq!(stale, 0, "stale writes were committed");
    assert!(attempted > 0.0, "no stale write was attempted: the run shows nothing");
    assert!(judged(&times) < 12_000, "take-overs took longer than 12 s: {times:?} ms");
}

/// Waits until a woken process has found out what happened meanwhile; the stale writes it attempted.
async fn woken(fleet: &Fleet, place: usize, other: usize) -> f64 {
    until("the woken process to answer", Duration::from_secs(20), async || {
        fleet.metric(place, "sportello_leader{", "").await.is_some_and(|leads| leads == 0.0) || fleet.leader().await != Some(other)
    })
    .await;
    fleet.metric(place, "sportello_store_errors_total", "fenced").await.unwrap_or(0.0)
}
