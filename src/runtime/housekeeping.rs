//! What time does to data: the logs forget, conversations whose time is over are erased. One router at a time does it, in small pieces;
//! killed half-way, or twice at once, it does no harm.

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

/// The right to do it, and how long it lasts: taken anew before each piece.
const LEASE: (&str, Duration) = ("housekeeping", Duration::from_secs(300));
/// After a start, so that one that fails again and again does nothing else.
const FIRST_AFTER: Duration = Duration::from_secs(5 * 60);
/// Between two looks at the logs.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Between two looks at conversations: each reads every one of an administration.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Rows of a log in one transaction.
const ROWS: u32 = 1_000;
/// Conversations looked at in one question.
const CONVERSATIONS: u32 = 200;
/// Between two pieces: contacts come first.
const PAUSE: Duration = Duration::from_millis(20);
/// How long something may be on its way and come again: by then a mail is given up, a broker's message is dead or taken in, a command was
/// answered, a citizen's chat is over. What is younger may still be named by what nobody has read yet.
pub const ON_ITS_WAY: Duration = Duration::from_secs(35 * 24 * 60 * 60);

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
    /// Ends it, between two pieces.
    pub stop: CancellationToken,
}

/// A round that was not done to its end.
enum Cut {
    /// Stopped, or another process does it.
    Over,
    /// The next round tries again.
    Failed(KeepError),
}

impl<E: Into<KeepError>> From<E> for Cut {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
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

    /// Once through, conversations too if `daily`. False: another process does it, or it is not done to its end.
    pub async fn round(&self, now: Timestamp, daily: bool) -> bool {
        let work = async {
            self.trim(now).await?;
            if daily {
                self.retain(now).await?;
            }
            Ok(())
        };
        match work.await {
            Ok(()) => true,
            Err(Cut::Over) => false,
            Err(Cut::Failed(error)) => {
                tracing::warn!(%error, "housekeeping is not done to its end; the next round goes on");
                false
            }
        }
    }

    /// Before each piece: whether it is still this process that does it.
    async fn go_on(&self) -> Result<(), Cut> {
        tokio::time::sleep(PAUSE).await;
        let (name, lasts) = LEASE;
        let mine = !self.stop.is_cancelled() && self.leases.hold(name, &self.holder, lasts).await?;
        if mine { Ok(()) } else { Err(Cut::Over) }
    }

    async fn trim(&self, now: Timestamp) -> Result<(), Cut> {
        let pools = self.plans.borrow().pools.clone();
        for pool in &pools {
            while let Some(kept) = self.journal_kept {
                self.go_on().await?;
                let Trimmed { events, inputs } = self.keeper.keeping.trim_journal(pool, &self.relays, now.minus(kept), ROWS).await?;
                self.metrics.removed("events", events);
                self.metrics.removed("inputs", inputs);
                if events == 0 {
                    break;
                }
            }
        }
        loop {
            self.go_on().await?;
            let [quarantined, orders] = self.keeper.keeping.drop_settled(now.minus(ON_ITS_WAY), ROWS).await?;
            self.metrics.removed("quarantined", quarantined);
            if quarantined.max(orders) == 0 {
                return Ok(());
            }
        }
    }

    /// Erases what every administration's own term is over for.
    async fn retain(&self, now: Timestamp) -> Result<(), Cut> {
        let plan = Arc::clone(&self.plans.borrow());
        for (administration, kept) in plan.administrations.iter().filter_map(|(id, body)| Some((id, body.retention?))) {
            let (mut after, mut erased) = (Some(String::new()), 0_u64);
            while let Some(from) = after {
                self.go_on().await?;
                let part = self.keeper.keeping.ended_conversations(administration, now.minus(kept), &from, CONVERSATIONS).await?;
                for conversation in part.found {
                    erased += u64::from(self.erase(administration, conversation).await?);
                }
                after = part.next;
            }
            if erased > 0 {
                tracing::info!(%administration, erased, "conversations of {administration} were erased: their time was over");
                self.keeper.keeping.scrub().await?;
            }
        }
        Ok(())
    }

    /// Its blobs are old enough to be swept.
    async fn erase(&self, administration: &AdministrationId, conversation: ConversationId) -> Result<bool, Cut> {
        self.go_on().await?;
        match self.keeper.keeping.erase(administration, conversation).await {
            Ok(Erasure::Done(_)) => {
                self.metrics.removed("conversations", 1);
                Ok(true)
            }
            Ok(Erasure::Unknown | Erasure::Open(..) | Erasure::Sending(_)) => Ok(false),
            Err(error @ StoreError::Unreadable(_)) => {
                // the others' time is over too
                tracing::error!(%conversation, %error, "conversation {conversation} cannot be erased");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
