//! The fault runs: real processes on both pairs of broker and database are killed, paused, terminated and broken on purpose
//! while citizens and operators go on, and the peers' own ledger is compared with what is there at the end.
//!
//! Short by default; `SPORTELLO_FAULTS=whole` runs 50 kills over 20,000 contacts and 20 pauses. Each broken safeguard must turn
//! the ledger red: otherwise a zero would prove nothing.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::print_stdout, reason = "the figures are the result")]

mod broken;
mod chat;
mod chat_ledger;
mod citizens;
mod fleet;
mod kills;
mod ledger;
mod operators;
mod pair;
mod pauses;
mod plans;
mod process;
mod quarantine;
mod sink;
mod terminate;

use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

/// One scenario at a time: their times are measured.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// Whether the whole runs are asked for.
fn is_whole() -> bool {
    std::env::var("SPORTELLO_FAULTS").is_ok_and(|which| which == "whole")
}

/// Of sorted times the one that a limit is for: the longest in the whole runs, the median in the short ones, on a machine that has
/// much else to do.
fn judged(times: &[i64]) -> i64 {
    times[if is_whole() { times.len() - 1 } else { (times.len() - 1) / 2 }]
}

/// Waits for a condition; fails the test after `within`.
async fn until(what: &str, within: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited {within:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Now, in microseconds UTC, as the logs write it.
fn now_us() -> i64 {
    sportello::port::clock::now().0
}
