//! What the driver does when a batch is refused: the engine again from its rows, the inputs one by one, the culprit into
//! quarantine.

use std::sync::Arc;
use std::time::Duration;

use crate::model::command::{Refusal, Reply};
use crate::port::store::{PoolSnapshot, Quarantined, StoreError};

use super::super::consumer::Inflow;
use super::super::intake::{Item, Prepared};
use super::super::quarantine;
use super::super::ticking::ticking;
use super::known::source_of;
use super::{Arrival, Driver, Ended, Open, RETRY_PAUSE, kind_of, rebuild};

impl Driver {
    /// Goes through a refused batch one input at a time on a rebuilt engine; what is refused again goes to quarantine. What the database
    /// refused because it has it is answered. Commands that came again get no answer here, and ask once more.
    pub(super) async fn one_by_one(&mut self, batch: Open, inflow: &Inflow, error: &StoreError) -> Option<Ended> {
        let Open { arrivals, acks, .. } = batch;
        let came = arrivals.len();
        let arrivals = self.answer_committed(arrivals).await;
        if arrivals.len() == came {
            tracing::error!(pool = %self.leadership.pool, %error, inputs = came, "a batch is refused; going through it one by one");
        }
        let reason = if matches!(error, StoreError::Refused(reason) if reason.contains("panicked")) { "panic" } else { "refused" };
        if let Some(ended) = self.rebuild(reason).await {
            return Some(ended);
        }
        for arrival in arrivals {
            let mut alone = Open::new(self.clock.now().max(self.last_at), self.seq);
            let applied = self.apply(&arrival, &mut alone);
            alone.arrivals.push(arrival);
            let outcome = match applied {
                Ok(()) => self.commit_alone(alone, inflow).await,
                Err(reason) => Err((alone, StoreError::Refused(reason))),
            };
            match outcome {
                Ok(()) => {}
                Err((_, StoreError::Fenced)) => return Some(Ended::Fenced),
                Err((alone, error)) => {
                    if let Some(ended) = self.rebuild("refused").await {
                        return Some(ended);
                    }
                    for arrival in self.answer_committed(alone.arrivals).await {
                        if let Some(ended) = self.set_aside(arrival, &error, inflow).await {
                            return Some(ended);
                        }
                    }
                }
            }
        }
        for ack in acks {
            let _ = inflow.acks.send(ack);
        }
        None
    }

    /// Commits a batch and acts, with nothing else under way.
    async fn commit_alone(&mut self, batch: Open, inflow: &Inflow) -> Result<(), (Open, StoreError)> {
        let under_way = self.seal(batch);
        match self.take_back(under_way).await {
            (batch, Ok(())) => {
                self.act(batch, inflow);
                Ok(())
            }
            (batch, Err(error)) => Err((batch, error)),
        }
    }

    /// Puts the culprit into quarantine, to be new when it is tried again. A command is refused; timers that cannot fire wait a while,
    /// loudly.
    async fn set_aside(&mut self, arrival: Arrival, error: &StoreError, inflow: &Inflow) -> Option<Ended> {
        tracing::error!(pool = %self.leadership.pool, kind = kind_of(&arrival), %error, "an input is put into quarantine");
        self.deps.metrics.input(&self.leadership.pool, kind_of(&arrival), "quarantined");
        if let Some(source) = source_of(&arrival) {
            self.known.forget(&source);
        }
        let mut open = Open::new(self.clock.now().max(self.last_at), self.seq);
        match arrival {
            Arrival::Item(Item::Input(prepared)) => open.writes.quarantine.push(self.kept(&prepared, error.to_string())),
            Arrival::Item(Item::Quarantined(item)) => {
                tracing::error!(message_id = item.message_id, "quarantine itself refuses an item; it goes back to the broker");
                return Some(Ended::Unkept);
            }
            Arrival::Command(pending) => {
                let _ = pending.reply.send(Reply::Refused { code: Refusal::Quarantined });
            }
            Arrival::Timers | Arrival::Leader(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            Arrival::Item(Item::Duplicate) => {}
        }
        if !open.writes.quarantine.is_empty() {
            match self.commit_alone(open, inflow).await {
                Ok(()) => {}
                Err((_, StoreError::Fenced)) => return Some(Ended::Fenced),
                Err((_, error)) => {
                    tracing::error!(%error, "an item cannot be put into quarantine; it goes back to the broker");
                    return Some(Ended::Unkept);
                }
            }
        }
        None
    }

    /// An input as quarantine keeps it.
    pub(super) fn kept(&self, prepared: &Prepared, reason: String) -> Quarantined {
        quarantine::kept("inbound", Some(self.leadership.pool.clone()), &prepared.incoming, reason)
    }

    /// The engine again, from its rows. Waits for the database.
    async fn rebuild(&mut self, reason: &'static str) -> Option<Ended> {
        self.deps.metrics.rebuilt(&self.leadership.pool, reason);
        loop {
            let writer = self.writer.as_mut().expect("no commit is under way");
            match ticking(&*self.deps.tick, writer.load(&self.leadership.pool)).await {
                Ok(snapshot) => {
                    self.seq = snapshot.last_seq;
                    self.last_at = self.last_at.max(snapshot.last_at);
                    let plan = Arc::clone(&self.deps.plans.borrow());
                    let rebuilt_at = self.last_at;
                    self.engine = rebuild(&self.leadership, plan, PoolSnapshot { last_at: rebuilt_at, ..snapshot });
                    return None;
                }
                Err(StoreError::Fenced) => return Some(Ended::Fenced),
                Err(error) => {
                    tracing::error!(pool = %self.leadership.pool, %error, "the engine cannot be rebuilt yet");
                    if self.lost.is_cancelled() {
                        return Some(Ended::Fenced);
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}
