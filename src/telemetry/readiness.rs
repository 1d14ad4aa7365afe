//! Whether this process can do its work, part by part with the reason; and whether it is alive at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// The parts that must be ready. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
}

/// One part's own say. When it is dropped the part stays as it was last.
#[derive(Debug, Clone)]
pub struct Latch {
    part: &'static str,
    parts: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadinessReport {
    /// Whether every part is ready.
    pub ready: bool,
    /// Each part: `ready`, or why not.
    pub parts: BTreeMap<&'static str, String>,
}

impl Readiness {
    /// Adds a part, not ready yet: `starting`. The same name again is the same part.
    pub fn latch(&self, part: &'static str) -> Latch {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).entry(part).or_insert_with(|| Some("starting".to_owned()));
        Latch { part, parts: self.parts.clone() }
    }

    /// How every part is. Without any part nothing is ready.
    pub fn report(&self) -> ReadinessReport {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        ReadinessReport {
            ready: !parts.is_empty() && parts.values().all(Option::is_none),
            parts: parts.iter().map(|(part, reason)| (*part, reason.clone().unwrap_or_else(|| "ready".to_owned()))).collect(),
        }
    }
}

impl Latch {
    /// The part works.
    pub fn ready(&self) {
        self.set(None);
    }

    /// The part does not work. The reason is read by whoever reaches the listener: no secrets, no addresses of citizens.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, reason: Option<String>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = parts.insert(self.part, reason.clone());
        drop(parts);
        match (before.flatten(), reason) {
            (Some(_), None) => tracing::info!(part = self.part, "{} is ready", self.part),
            (None, Some(reason)) => tracing::warn!(part = self.part, %reason, "{} is not ready any more", self.part),
            _ => {}
        }
    }
}

/// The main loop's sign of life.
#[derive(Debug, Clone)]
pub struct Watchdog {
    started: Instant,
    last_ms: Arc<AtomicU64>,
    limit: Duration,
}

impl Watchdog {
    /// Counts as dead after `limit` without a [`Watchdog::tick`].
    pub fn new(limit: Duration) -> Self {
        Self { started: Instant::now(), last_ms: Arc::default(), limit }
    }

    /// The main loop has moved.
    pub fn tick(&self) {
        self.last_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// How long ago it moved.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed)))
    }

    /// Whether it moved lately.
    pub fn is_alive(&self) -> bool {
        self.age() < self.limit
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_part_is() {
        let readiness = Readiness::default();
        assert!(!readiness.report().ready);
        let (store, broker) = (readiness.latch("store"), readiness.latch("broker"));
        store.ready();
        assert!(!readiness.report().ready);
        assert_eq!(readiness.report().parts["broker"], "starting");
        broker.ready();
        assert!(readiness.report().ready);
        store.not_ready("the database does not answer");
        assert!(!readiness.report().ready);
        assert_eq!(readiness.report().parts["store"], "the database does not answer");
        drop(readiness.latch("store"));
        assert_eq!(readiness.report().parts["store"], "the database does not answer");
    }

    #[test]
    fn dead_without_a_sign() {
        let limit = Duration::from_secs(30);
        let started = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).expect("the machine is up that long");
        let watchdog = Watchdog { started: started(5), ..Watchdog::new(limit) };
        assert!(watchdog.is_alive());
        let watchdog = Watchdog { started: started(31), ..Watchdog::new(limit) };
        assert!(!watchdog.is_alive() && watchdog.age() >= limit);
        watchdog.tick();
        assert!(watchdog.is_alive() && watchdog.age() < Duration::from_secs(1));
    }
}
