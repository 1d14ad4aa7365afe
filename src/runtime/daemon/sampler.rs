//! Figures and readiness that nobody pushes: sampled every few seconds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::channel::email::EmailCounters;
use crate::desk::counters::Counters as DeskCounters;
use crate::plan::Plan;
use crate::port::broker::Broker;
use crate::port::clock;
use crate::port::store::Store;
use crate::telemetry::metrics::{BrokerState, Metrics};
use crate::telemetry::readiness::Watchdog;

use super::super::commands::LocalCommands;
use super::Latches;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at everything that has figures.
pub struct Sampler {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// Where they go.
    pub metrics: Arc<Metrics>,
    /// Pools.
    pub plans: watch::Receiver<Arc<Plan>>,
    /// Which pools are led here.
    pub local: LocalCommands,
    /// Readiness.
    pub latches: Latches,
    /// The email channel's own figures.
    pub email: Option<Arc<EmailCounters>>,
    /// The desk's own figures.
    pub desk: Arc<DeskCounters>,
    /// A process without a router has no loop of its own to show: this one is it.
    pub watchdog: Watchdog,
}

impl Sampler {
    /// Until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            self.look().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn look(&self) {
        if self.latches.leader.is_none() {
            self.watchdog.tick();
        }
        let store = self.store.ping().await;
        self.metrics.store_up(self.store.kind(), store.is_ok());
        match store {
            Ok(()) => self.latches.store.ready(),
            Err(error) => self.latches.store.not_ready(error.to_string()),
        }
        if self.broker.is_up() {
            self.metrics.broker(self.broker.kind(), BrokerState::Up);
            self.latches.broker.ready();
        } else {
            self.metrics.broker(self.broker.kind(), BrokerState::Down);
            self.latches.broker.not_ready("the broker is away");
        }
        if let Some(leader) = &self.latches.leader {
            // a router that does not lead stands by: it is ready for that
            leader.ready();
        }
        if let Some(email) = &self.email {
            for (what, count) in email.all() {
                self.metrics.email(what, count);
            }
        }
        self.metrics.desk_sockets(usize::try_from(self.desk.sockets.load(Ordering::Relaxed)).unwrap_or(0));
        let pools: Vec<_> = self.plans.borrow().pools.iter().cloned().collect();
        for pool in pools.into_iter().filter(|pool| self.local.leads(pool)) {
            if let Ok(counts) = self.store.contact_counts(&pool).await {
                self.metrics.contact_counts(&pool, &counts, clock::now());
            }
        }
        if let Ok(counts) = self.store.quarantine_counts().await {
            self.metrics.quarantine_held(&counts);
        }
    }
}
