//! What the email channel counts, by account: plain atomics that the runtime reads for telemetry.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::model::id::AccountId;

/// A figure that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So much more, in milliseconds.
    pub fn add_time(&self, took: Duration) {
        self.0.fetch_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Figures of one account.
#[derive(Debug, Default)]
pub struct AccountCounters {
    /// Mails published.
    pub received: Counter,
    /// Of these, mails of which only the header could be read.
    pub unreadable: Counter,
    /// Of these, mails that could be read and that no person wrote.
    pub automatic: Counter,
    /// Mails and orders held in quarantine.
    pub quarantined: Counter,
    /// Mails that could not be taken now; their sender tries again, or they wait in their mailbox.
    pub deferred: Counter,
    /// Connections to the mailbox that broke or could not be made.
    pub imap_failures: Counter,
    /// Whether this process has the mailbox open; none if it is not configured here.
    pub imap_up: MailboxState,
    /// Attempts to send that the next hop accepted.
    pub sent: Counter,
    /// Attempts to send that failed for now.
    pub send_temporary: Counter,
    /// Attempts to send that failed for good.
    pub send_permanent: Counter,
    /// Attempts whose outcome is unknown.
    pub send_unknown: Counter,
    /// What the attempts took together, in milliseconds.
    pub send_ms: Counter,
}

/// Whether a mailbox is read here.
#[derive(Debug, Default)]
pub struct MailboxState {
    is_configured: AtomicBool,
    is_open: AtomicBool,
}

impl MailboxState {
    /// It is configured here, and open or not.
    pub fn set(&self, is_open: bool) {
        self.is_configured.store(true, Ordering::Relaxed);
        self.is_open.store(is_open, Ordering::Relaxed);
    }

    /// None: no mailbox of this process.
    pub fn get(&self) -> Option<bool> {
        self.is_configured.load(Ordering::Relaxed).then(|| self.is_open.load(Ordering::Relaxed))
    }
}

/// Figures of one process, since its start.
#[derive(Debug, Default)]
pub struct EmailCounters {
    /// As many as plan and settings have accounts.
    accounts: RwLock<BTreeMap<AccountId, Arc<AccountCounters>>>,
    /// SMTP connections accepted.
    pub smtp_connections: Counter,
    /// SMTP connections that ended.
    pub smtp_ended: Counter,
    /// SMTP connections, commands, recipients or mails refused for good.
    pub smtp_refused: Counter,
}

impl EmailCounters {
    /// The figures of an account.
    pub fn account(&self, account: &AccountId) -> Arc<AccountCounters> {
        let known = self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(account).cloned();
        known.unwrap_or_else(|| {
            let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(accounts.entry(account.clone()).or_default())
        })
    }

    /// The figures of every account that has any.
    pub fn accounts(&self) -> Vec<(AccountId, Arc<AccountCounters>)> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.iter().map(|(account, counters)| (account.clone(), Arc::clone(counters))).collect()
    }
}
