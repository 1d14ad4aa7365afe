//! A batch on its way into the database: sealed, sent, and sent again while the database is away.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::fault;
use crate::model::id::PoolId;
use crate::port::store::{QueueState, Store, StoreError, WriteSet, Writer};
use crate::telemetry::metrics::Metrics;

use super::super::ticking::ticking;
use super::{Driver, Open, RETRY_PAUSE};

/// A batch whose commit is under way, in a task of its own; given up with the value.
pub(super) struct UnderWay {
    batch: Open,
    task: AbortOnDropHandle<(Box<dyn Writer>, Result<(), StoreError>)>,
    ended: Option<(Box<dyn Writer>, Result<(), StoreError>)>,
}

/// Waits until the commit has ended, one way or the other. Dropped and called again it goes on waiting.
pub(super) async fn ended(under_way: &mut Option<UnderWay>) {
    if let Some(under_way) = under_way
        && under_way.ended.is_none()
    {
        match (&mut under_way.task).await {
            Ok(ended) => under_way.ended = Some(ended),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_cancelled) => std::future::pending().await,
        }
    }
}

impl Driver {
    /// Takes the final rows of what the batch changed, and sends it off. What is applied from now on belongs to the next.
    pub(super) fn seal(&mut self, mut batch: Open) -> UnderWay {
        let rows = self.engine.rows(&batch.effects);
        self.batch += 1;
        self.paced = Instant::now();
        let mut writes = std::mem::take(&mut batch.writes);
        writes.pool = Some(self.leadership.pool.clone());
        writes.epoch = self.leadership.epoch;
        writes.batch = self.batch;
        writes.last_seq = batch.seq;
        writes.at = batch.at;
        writes.contacts = rows.contacts;
        writes.offers = rows.offers;
        writes.operators = rows.operators;
        writes.deliveries = rows.deliveries;
        let mut notices = std::mem::take(&mut batch.notices);
        let state = |(queue, closed)| QueueState { notice: notices.remove(&queue), queue, closed };
        writes.queues = rows.queues.into_iter().map(state).collect();
        let committing = Committing {
            writer: self.writer.take().expect("one commit at a time"),
            writes,
            store: Arc::clone(&self.deps.store),
            metrics: Arc::clone(&self.deps.metrics),
            pool: self.leadership.pool.clone(),
            lost: self.lost.clone(),
            tick: Arc::clone(&self.deps.tick),
        };
        UnderWay { batch, task: AbortOnDropHandle::new(tokio::spawn(committing.run())), ended: None }
    }

    /// The batch, and how its commit ended; waits for that. The writer is back.
    pub(super) async fn take_back(&mut self, under_way: UnderWay) -> (Open, Result<(), StoreError>) {
        let mut under_way = Some(under_way);
        ticking(&*self.deps.tick, ended(&mut under_way)).await;
        let UnderWay { batch, ended, .. } = under_way.expect("it was put there");
        let (writer, outcome) = ended.expect("waited for");
        self.writer = Some(writer);
        (batch, outcome)
    }
}

struct Committing {
    writer: Box<dyn Writer>,
    writes: WriteSet,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    pool: PoolId,
    lost: CancellationToken,
    tick: Arc<dyn Fn() + Send + Sync>,
}

impl Committing {
    /// Again and again while the database is away; the deliveries stay unacknowledged meanwhile.
    async fn run(mut self) -> (Box<dyn Writer>, Result<(), StoreError>) {
        let began = Instant::now();
        loop {
            fault::point("before_commit");
            match self.writer.commit(&self.writes).await {
                Ok(()) => break,
                Err(StoreError::Unavailable(reason)) => {
                    self.metrics.store_error(self.store.kind(), "unavailable");
                    tracing::warn!(pool = %self.pool, batch = self.writes.batch, reason, "the batch is not committed yet; trying again");
                    if self.lost.is_cancelled() {
                        return (self.writer, Err(StoreError::Fenced));
                    }
                    (self.tick)();
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => {
                    let name = if error == StoreError::Fenced { "fenced" } else { "refused" };
                    self.metrics.store_error(self.store.kind(), name);
                    return (self.writer, Err(error));
                }
            }
        }
        fault::point("after_commit");
        self.metrics.committed(&self.pool, self.writes.inputs.len(), began.elapsed());
        (self.writer, Ok(()))
    }
}
