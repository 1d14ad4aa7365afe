//! What the email channel counts: plain atomics that telemetry reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A figure that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Figures of one process, since its start.
#[derive(Debug, Default)]
pub struct EmailCounters {
    /// Mails published.
    pub received: Counter,
    /// Of these, mails of which only the header could be read.
    pub unreadable: Counter,
    /// Of these, mails that no person wrote.
    pub automatic: Counter,
    /// Mails held in quarantine.
    pub quarantined: Counter,
    /// Mails that could not be taken now; their sender tries again.
    pub deferred: Counter,
    /// SMTP connections accepted.
    pub smtp_connections: Counter,
    /// SMTP connections, commands, recipients or mails refused for good.
    pub smtp_refused: Counter,
    /// Connections to mailboxes that broke or could not be made.
    pub imap_failures: Counter,
    /// Attempts to send that the next hop accepted.
    pub sent: Counter,
    /// Attempts to send that failed for now.
    pub send_temporary: Counter,
    /// Attempts to send that failed for good.
    pub send_permanent: Counter,
    /// Attempts whose outcome is unknown.
    pub send_unknown: Counter,
}

impl EmailCounters {
    /// Every figure with its name, for an exporter.
    pub fn all(&self) -> [(&'static str, u64); 12] {
        [
            ("received", self.received.get()),
            ("unreadable", self.unreadable.get()),
            ("automatic", self.automatic.get()),
            ("quarantined", self.quarantined.get()),
            ("deferred", self.deferred.get()),
            ("smtp_connections", self.smtp_connections.get()),
            ("smtp_refused", self.smtp_refused.get()),
            ("imap_failures", self.imap_failures.get()),
            ("sent", self.sent.get()),
            ("send_temporary", self.send_temporary.get()),
            ("send_permanent", self.send_permanent.get()),
            ("send_unknown", self.send_unknown.get()),
        ]
    }
}
