//! Reads the router's queue while the pool is led here, and acknowledges what the driver has committed. A consumer that
//! fails is replaced; what was not acknowledged comes again and is recognised.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::fault;
use crate::model::id::PoolId;
use crate::plan::Plan;
use crate::port::broker::{Broker, ConsumeError, Consumer, Incoming, Source};

use super::intake::{Intake, Item};

/// The most messages read at once, and from how many on a batch for the driver takes no more in.
const BATCH_MAX: usize = 512;
/// Batches between reading and intake.
const BATCHES_WAITING: usize = 16;
/// Batches between intake and the driver: one is looked up while another is committed, and what comes meanwhile is the next.
const BATCHES_PREPARED: usize = 1;

/// Inputs for the driver, in order.
#[derive(Debug)]
pub struct IntakeBatch {
    /// Which consumer they came from, and the last of its tags in this batch.
    pub ack: Ack,
    /// The inputs.
    pub items: Vec<Item>,
}

/// Everything up to `tag` of a consumer is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Counts the consumers of this leadership.
    pub generation: u64,
    /// The last tag.
    pub tag: u64,
}

/// What the driver holds of its consumer.
pub struct Inflow {
    /// Inputs.
    pub batches: mpsc::Receiver<IntakeBatch>,
    /// What is committed.
    pub acks: mpsc::UnboundedSender<Ack>,
}

/// Starts reading and intake. Both end with `stop`; the consumer is closed, so nothing counts as delivered in vain.
pub fn start(
    broker: Arc<dyn Broker>,
    intake: Intake,
    plan: watch::Receiver<Arc<Plan>>,
    prefetch: u16,
    stop: CancellationToken,
) -> (Inflow, tokio::task::JoinHandle<()>) {
    let (acks, committed) = mpsc::unbounded_channel();
    let (raw, unprepared) = mpsc::channel(BATCHES_WAITING);
    let (prepared, batches) = mpsc::channel(BATCHES_PREPARED);
    let pool = intake.pool.clone();
    tokio::spawn(prepare(intake, plan, unprepared, prepared, stop.clone()));
    let reading = tokio::spawn(async move { Reader { broker, pool, prefetch, stop, generation: 0 }.run(raw, committed).await });
    (Inflow { batches, acks }, reading)
}

struct Reader {
    broker: Arc<dyn Broker>,
    pool: PoolId,
    prefetch: u16,
    stop: CancellationToken,
    generation: u64,
}

type RawBatch = (Ack, Vec<Incoming>);

impl Reader {
    async fn run(mut self, raw: mpsc::Sender<RawBatch>, mut committed: mpsc::UnboundedReceiver<Ack>) {
        while !self.stop.is_cancelled() {
            self.generation += 1;
            match self.broker.consumer(Source::Router(self.pool.clone()), self.prefetch).await {
                Ok(consumer) => {
                    if let Err(error) = self.read(consumer, &raw, &mut committed).await {
                        tracing::warn!(pool = %self.pool, %error, "the router's consumer is replaced");
                    }
                }
                Err(error) => tracing::warn!(pool = %self.pool, %error, "the router's queue cannot be read yet"),
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        }
    }

    /// Reads and acknowledges until the consumer fails or the lead is given up. At the end everything committed is
    /// acknowledged before the channel is closed.
    async fn read(
        &self,
        mut consumer: Box<dyn Consumer>,
        raw: &mpsc::Sender<RawBatch>,
        committed: &mut mpsc::UnboundedReceiver<Ack>,
    ) -> Result<(), ConsumeError> {
        loop {
            tokio::select! {
                biased;
                ack = committed.recv() => match ack {
                    Some(ack) => self.acknowledge(&mut *consumer, ack, committed).await?,
                    None => {
                        consumer.close().await;
                        return Ok(());
                    }
                },
                permit = raw.reserve(), if !self.stop.is_cancelled() => {
                    let Ok(permit) = permit else {
                        self.drain(consumer, committed).await;
                        return Ok(());
                    };
                    tokio::select! {
                        biased;
                        ack = committed.recv() => match ack {
                            Some(ack) => self.acknowledge(&mut *consumer, ack, committed).await?,
                            None => {
                                consumer.close().await;
                                return Ok(());
                            }
                        },
                        () = self.stop.cancelled() => {}
                        batch = consumer.next(BATCH_MAX) => {
                            let batch = batch?;
                            if let Some(last) = batch.last() {
                                let ack = Ack { generation: self.generation, tag: last.tag };
                                permit.send((ack, batch));
                            }
                        }
                    }
                }
                () = self.stop.cancelled() => {
                    self.drain(consumer, committed).await;
                    return Ok(());
                }
            }
        }
    }

    /// The lead is given up: the driver finishes its batch and drops its end; until then its acknowledgements count.
    async fn drain(&self, mut consumer: Box<dyn Consumer>, committed: &mut mpsc::UnboundedReceiver<Ack>) {
        while let Some(ack) = committed.recv().await {
            if ack.generation == self.generation && consumer.ack(ack.tag).await.is_err() {
                return;
            }
        }
        consumer.close().await;
    }

    /// Acknowledges the newest of what is committed.
    async fn acknowledge(
        &self,
        consumer: &mut dyn Consumer,
        first: Ack,
        committed: &mut mpsc::UnboundedReceiver<Ack>,
    ) -> Result<(), ConsumeError> {
        let mut newest = first;
        while let Ok(ack) = committed.try_recv() {
            newest = ack;
        }
        if newest.generation != self.generation {
            return Ok(()); // of a consumer that is gone: those messages come again
        }
        consumer.ack(newest.tag).await
    }
}

/// Intake: one query for all that has come when the driver is ready for more. While the database is away it waits; the messages
/// stay unacknowledged meanwhile.
async fn prepare(
    intake: Intake,
    plan: watch::Receiver<Arc<Plan>>,
    mut raw: mpsc::Receiver<RawBatch>,
    prepared: mpsc::Sender<IntakeBatch>,
    stop: CancellationToken,
) {
    loop {
        let Ok(place) = prepared.reserve().await else { return };
        let Some((mut ack, mut batch)) = raw.recv().await else { return };
        while batch.len() < BATCH_MAX
            && let Ok((later, more)) = raw.try_recv()
        {
            // an earlier consumer's messages come again anyway
            ack = later;
            batch.extend(more);
        }
        assert!(!fault::happens("intake_panics"), "asked for by the fault run");
        let items = loop {
            let current = Arc::clone(&plan.borrow());
            match intake.prepare(&current, &batch).await {
                Ok(items) => break items,
                Err(error) => {
                    tracing::warn!(pool = %intake.pool, %error, "facts cannot be looked up; trying again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(Duration::from_millis(500)) => {}
                    }
                }
            }
        };
        place.send(IntakeBatch { ack, items });
    }
}
