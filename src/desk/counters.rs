//! What the desk counts, for whoever reads it: plain atomics, no metric library here.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Figures of this desk node. No figure is about one person.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions begun.
    pub sessions_started: AtomicU64,
    /// Sign-ins refused for a wrong login or password.
    pub login_failures: AtomicU64,
    /// Sign-ins refused because there were too many.
    pub logins_limited: AtomicU64,
    /// Consoles connected now.
    pub sockets: AtomicI64,
    /// Frames from consoles that could not be read.
    pub frames_rejected: AtomicU64,
    /// Event frames put into consoles' queues.
    pub frames_queued: AtomicU64,
    /// Consoles cut because they did not read.
    pub sockets_cut: AtomicU64,
    /// Consoles lost because they answered no ping.
    pub sockets_lost: AtomicU64,
    /// Commands sent to the router.
    pub commands: AtomicU64,
    /// Commands that got no answer.
    pub commands_unanswered: AtomicU64,
    /// Times the feed had a gap and the journal was read.
    pub feed_gaps: AtomicU64,
    /// Requests whose handler panicked.
    pub panics: AtomicU64,
}

impl Counters {
    /// Adds one.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
