//! What the chat counts: plain atomics that the runtime reads for telemetry.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Figures of all chats of this process.
#[derive(Debug, Default)]
pub struct ChatCounters {
    /// Sockets open now.
    pub sockets: AtomicI64,
    /// Sockets that were cut because they did not read.
    pub cut: AtomicU64,
    /// Sockets that answered no ping.
    pub lost: AtomicU64,
    /// Chats opened.
    pub sessions: AtomicU64,
    /// Messages of citizens published.
    pub received: AtomicU64,
    /// Messages of the office shown to a citizen.
    pub shown: AtomicU64,
    /// Gaps in the feed that were read from the journal.
    pub feed_gaps: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl ChatCounters {
    /// One more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A frame or request was refused.
    pub fn refuse(&self, reason: &'static str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    /// Refused so far, by reason.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
