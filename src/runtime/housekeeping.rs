//! What time does to data: the logs forget, conversations whose time is over are erased, blobs that no row names are swept. One router
//! at a time does it, in small pieces; killed half-way, or twice at once, it does no harm.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::model::id::{AdministrationId, ConversationId};
use crate::model::time::Timestamp;
use crate::plan::Plan;
use crate::port::clock::now;
use crate::port::keeping::{Erasure, Trimmed};
use crate::port::store::{Leases, StoreError};
use crate::telemetry::metrics::Metrics;

use super::keeping::{KeepError, Keeper};

/// The right to do it, and how long it lasts without being taken anew.
const LEASE: (&str, Duration) = ("housekeeping", Duration::from_secs(120));
/// After a start, so that one that fails again and again does nothing else.
const FIRST_AFTER: Duration = Duration::from_secs(5 * 60);
/// Between two looks at the logs.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Between two looks at conversations and blobs: each reads every one of an administration.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two pieces: contacts come first.
pub const PAUSE: Duration = Duration::from_millis(20);
/// Rows of a log in one transaction.
const ROWS: u32 = 1_000;
/// Conversations looked at in one question.
const CONVERSATIONS: u32 = 200;
/// Keys of blobs in hand at once, some 30 MB: for each such piece all messages are read.
const BLOBS: usize = 250_000;
/// How long something may be on its way and come again: by then a mail is given up, a broker's message is taken in or in quarantine, a
/// handle of an uploaded file is void. What is younger may be named by what nobody has read yet.
pub const ON_ITS_WAY: Duration = Duration::from_secs(35 * 24 * 60 * 60);
/// No blob takes so long to be written.
const BEING_WRITTEN: Duration = Duration::from_secs(60 * 60);

/// Does it.
pub struct Housekeeping {
    /// Database and blobs.
    pub keeper: Keeper,
    /// Who does it.
    pub leases: Arc<dyn Leases>,
    /// Administrations with their terms, and pools.
    pub plans: watch::Receiver<Arc<Plan>>,
    /// What went.
    pub metrics: Arc<Metrics>,
    /// This process start.
    pub holder: String,
    /// How long the logs go back; none: for ever.
    pub journal_kept: Option<Duration>,
    /// Relays that must have passed an event before it goes.
    pub relays: Vec<&'static str>,
    /// Ends it.
    pub stop: CancellationToken,
}

impl Housekeeping {
    /// Until `stop`.
    pub async fn run(self) {
        let mut look = tokio::time::interval_at(Instant::now() + FIRST_AFTER, EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut daily: Option<Instant> = None;
        while self.stop.run_until_cancelled(look.tick()).await.is_some() {
            let is_due = daily.is_none_or(|last| last.elapsed() >= DAY);
            if self.round(now(), is_due).await && is_due {
                daily = Some(Instant::now());
            }
        }
        let _lost = self.leases.let_go(LEASE.0, &self.holder).await;
    }

    /// Once through, conversations and blobs too if `daily`. False: another process does it, or it was not done to its end.
    pub async fn round(&self, now: Timestamp, daily: bool) -> bool {
        if self.stop.is_cancelled() || !self.holds().await {
            return false;
        }
        let work = async {
            self.trim(now).await?;
            if daily {
                self.retain(now).await?;
                self.sweep(now).await?;
            }
            Ok::<_, KeepError>(())
        };
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = self.loses() => false,
            done = work => {
                if let Err(error) = &done {
                    tracing::warn!(%error, "housekeeping is not done to its end; the next round goes on");
                }
                done.is_ok()
            }
        }
    }

    async fn holds(&self) -> bool {
        let (name, lasts) = LEASE;
        self.leases.hold(name, &self.holder, lasts).await.unwrap_or(false)
    }

    /// Keeps the right to do it, until it is lost.
    async fn loses(&self) {
        loop {
            tokio::time::sleep(LEASE.1 / 4).await;
            if !self.holds().await {
                return;
            }
        }
    }

    async fn trim(&self, now: Timestamp) -> Result<(), KeepError> {
        let pools = self.plans.borrow().pools.clone();
        for pool in &pools {
            while let Some(kept) = self.journal_kept {
                let Trimmed { events, inputs } = self.keeper.keeping.trim_journal(pool, &self.relays, now.minus(kept), ROWS).await?;
                self.metrics.removed("events", events);
                self.metrics.removed("inputs", inputs);
                if events == 0 {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        loop {
            let [quarantined, orders] = self.keeper.keeping.drop_settled(now.minus(ON_ITS_WAY), ROWS).await?;
            self.metrics.removed("quarantined", quarantined);
            if quarantined.max(orders) == 0 {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Erases what every administration's own term is over for. The blobs of it are old enough to be swept behind it.
    async fn retain(&self, now: Timestamp) -> Result<(), KeepError> {
        let plan = Arc::clone(&self.plans.borrow());
        for (administration, kept) in plan.administrations.iter().filter_map(|(id, body)| Some((id, body.retention?))) {
            let (mut after, mut erased) = (Some(String::new()), 0_u64);
            while let Some(from) = after {
                let part = self.keeper.keeping.ended_conversations(administration, now.minus(kept), &from, CONVERSATIONS).await?;
                for conversation in part.found {
                    erased += u64::from(self.erase(administration, conversation).await?);
                    tokio::time::sleep(PAUSE).await;
                }
                after = part.next;
                tokio::time::sleep(PAUSE).await;
            }
            self.metrics.removed("conversations", erased);
            if erased > 0 {
                tracing::info!(%administration, erased, "conversations of {administration} were erased: their time was over");
                self.keeper.keeping.scrub().await?;
            }
        }
        Ok(())
    }

    /// False: not now.
    async fn erase(&self, administration: &AdministrationId, conversation: ConversationId) -> Result<bool, KeepError> {
        match self.keeper.keeping.erase(administration, conversation).await {
            Ok(erasure) => Ok(matches!(erasure, Erasure::Done(_))),
            Err(error @ StoreError::Unreadable(_)) => {
                // the others' time is over too
                tracing::error!(%conversation, %error, "conversation {conversation} cannot be erased");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes what no row names: blobs of a publish that never came, of a letter that came twice, of an erasure.
    async fn sweep(&self, now: Timestamp) -> Result<(), KeepError> {
        let Some(began) = self.keeper.keeping.began_at().await? else { return Ok(()) };
        let plan = Arc::clone(&self.plans.borrow());
        for administration in plan.administrations.keys() {
            let unfinished = self.keeper.blobs.delete_unfinished(administration, now.minus(BEING_WRITTEN)).await?;
            self.metrics.removed("blobs", unfinished);
            let mut after = Some(String::new());
            while let Some(from) = after {
                let keys = self.keeper.blobs.kept_between(administration, began, now.minus(ON_ITS_WAY), &from, BLOBS).await?;
                after = keys.last().filter(|_| keys.len() == BLOBS).cloned();
                let deleted = self.keeper.delete_unnamed(administration, keys).await?;
                self.metrics.removed("blobs", deleted);
                if deleted > 0 {
                    tracing::info!(%administration, deleted, "blobs of {administration} that no row names were deleted");
                }
            }
        }
        Ok(())
    }
}
