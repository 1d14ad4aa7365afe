//! What the SMS channel counts, by account: plain atomics that the runtime reads for telemetry.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::model::id::AccountId;

/// Figures of all accounts.
#[derive(Debug, Default)]
pub struct SmsCounters {
    counts: RwLock<BTreeMap<(AccountId, &'static str), Arc<AtomicU64>>>,
}

impl SmsCounters {
    /// A webhook or `deliver_sm`: `taken`, `nothing`, `repeated`, `unproven`, `unreadable`, `refused`. A message of several parts:
    /// `parts_whole`, `parts_timeout`, `parts_limit`, `parts_reused`, and a part of it that came late: `parts_late`. An attempt to send: `sent`, `temporary`, `permanent`,
    /// `unknown`. An order: `quarantined`. A citizen's word: `stop`, `start`. A file that could not be had: `media_missing`.
    /// A session with an SMSC that ended: `smpp_ended`. A receipt for no message of ours: `receipt_unclaimed`; for more than one that it
    /// could mean: `receipt_ambiguous`.
    pub fn count(&self, account: &AccountId, outcome: &'static str) {
        self.add(account, outcome, 1);
    }

    /// What an attempt to send took, in milliseconds under `send_ms`.
    pub fn took(&self, account: &AccountId, took: Duration) {
        self.add(account, "send_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    /// Every figure so far.
    pub fn all(&self) -> Vec<(AccountId, &'static str, u64)> {
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((account, name), count)| (account.clone(), *name, count.load(Ordering::Relaxed))).collect()
    }

    fn add(&self, account: &AccountId, name: &'static str, more: u64) {
        let key = (account.clone(), name);
        if let Some(count) = self.counts.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            count.fetch_add(more, Ordering::Relaxed);
            return;
        }
        let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        counts.entry(key).or_default().fetch_add(more, Ordering::Relaxed);
    }
}
