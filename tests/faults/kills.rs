//! `kill -9` at each named point and at random moments.

use std::time::Duration;

use crate::fleet::Fleet;
use crate::{alone, is_whole, judged, now_us};

/// Every named point, and the latest of its passes at which the process dies.
const POINTS: [(&str, u32); 12] = [
    ("before_commit", 40),
    ("inside_commit", 40),
    ("commit_sent", 40),
    ("after_commit", 40),
    ("before_ack", 40),
    ("before_publish", 12),
    ("after_publish", 12),
    ("after_smtp_250", 6),
    ("before_sms_publish", 6),
    ("after_sms_publish", 6),
    ("after_next_hop", 4),
    ("before_commit", 2),
];

/// The answer to a commit that was made is lost, once the process leads; and what it logs then, before it commits the same again.
const COMMIT_UNKNOWN: &str = "happen:commit_unknown:5";
const COMMIT_UNKNOWN_SAYS: &str = "the answer to the commit is lost";

/// Citizens at the web chat at once.
const CHATS: usize = 6;

fn fault(point: &str, latest: u32) -> String {
    format!("die:{point}:{}", rand::random_range(1..=latest))
}

fn kills_wanted() -> usize {
    if is_whole() { 50 } else { 0 }
}

fn contacts_wanted() -> usize {
    if is_whole() { 20_000 } else { 300 }
}

fn pause() -> Duration {
    Duration::from_millis(if is_whole() { 15 } else { 60 })
}

/// The embedded pair: the killed process is started again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_on_the_embedded_pair() {
    let _alone = alone().await;
    let fleet = Fleet::new(false).await;
    let mut load = fleet.load(pause());
    fleet.load_chats(&mut load, CHATS);
    let mut kills = 0;
    for (point, latest) in POINTS {
        fleet.processes.lock().await[0].kill();
        fleet.start(0, &fault(point, latest)).await;
        fleet.until_dead(0, point).await;
        kills += 2;
    }
    fleet.start(0, COMMIT_UNKNOWN).await;
    fleet.until_logged(0, COMMIT_UNKNOWN_SAYS).await;
    while kills < kills_wanted() || fleet.ledger.acknowledged_count() < contacts_wanted() {
        if kills < kills_wanted() || !is_whole() {
            fleet.processes.lock().await[0].kill();
            kills += 1;
            fleet.start(0, "").await;
        }
        fleet.until_more(rand::random_range(40..120)).await;
    }
    let verdict = fleet.finish(load).await;
    println!("embedded broker + SQLite, {kills} kills: {verdict}");
    verdict.demand(0);
}

/// RabbitMQ and PostgreSQL: the other process takes over, within two seconds.
#[tokio::test(flavor = "multi_thread")]
async fn killed_on_the_real_servers() {
    let _alone = alone().await;
    let fleet = Fleet::new(true).await;
    let mut load = fleet.load(pause());
    fleet.load_chats(&mut load, CHATS);
    let (mut leads, mut kills, mut times) = (0, 0, Vec::new());
    for (point, latest) in POINTS {
        let other = 1 - leads;
        fleet.start(other, &fault(point, latest)).await;
        times.extend(kill_leader(&fleet, leads).await);
        fleet.start(leads, "").await;
        fleet.until_dead(other, point).await;
        fleet.until_leads(leads, Duration::from_secs(12)).await;
        kills += 2;
    }
    let other = 1 - leads;
    fleet.start(other, COMMIT_UNKNOWN).await;
    times.extend(kill_leader(&fleet, leads).await);
    fleet.start(leads, "").await;
    fleet.until_logged(other, COMMIT_UNKNOWN_SAYS).await;
    (leads, kills) = (other, kills + 1);
    while kills < kills_wanted() || fleet.ledger.acknowledged_count() < contacts_wanted() {
        if kills < kills_wanted() || !is_whole() {
            times.extend(kill_leader(&fleet, leads).await);
            fleet.start(leads, "").await;
            leads = 1 - leads;
            kills += 1;
        }
        fleet.until_more(rand::random_range(40..120)).await;
    }
    let verdict = fleet.finish(load).await;
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("RabbitMQ + PostgreSQL, {kills} kills, fail-over median {median} ms, longest {worst} ms of {}: {verdict}", times.len());
    verdict.demand(0);
    assert!(judged(&times) < 2_000, "the other's first decision came late: {times:?} ms");
}

/// Kills the leader; milliseconds to the other's first decision. None: the other was armed, and died before it decided.
async fn kill_leader(fleet: &Fleet, leads: usize) -> Option<i64> {
    let epoch = fleet.pair.count("select epoch from epoch where pool = 'main'").await;
    fleet.processes.lock().await[leads].kill();
    let killed = now_us();
    tokio::select! {
        time = first_decision(fleet, epoch, killed, Duration::from_secs(20)) => Some(time),
        () = fleet.until_dead(1 - leads, "the armed process to die") => None,
    }
}

/// Milliseconds from `since` to the first decision, committed under an epoch later than `epoch`.
pub async fn first_decision(fleet: &Fleet, epoch: i64, since: i64, within: Duration) -> i64 {
    let sql = format!(
        "select min(at) from audit where epoch > {epoch} and last_seq > (select min(seq) from input where kind = 'leader_started' and body like '%\"epoch\":{},%')",
        epoch + 1
    );
    let mut at = 0;
    crate::until("the other's first decision", within, async || {
        at = fleet.pair.count(&format!("select coalesce(({sql}), 0)")).await;
        at > 0
    })
    .await;
    (at - since) / 1000
}
