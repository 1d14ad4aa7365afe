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
use crate::port::store::StoreError;

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
        let Some(items) = look_up(&intake, &plan, &batch, &stop).await else { return };
        place.send(IntakeBatch { ack, items });
    }
}

/// Makes a batch ready, however long the database is away. What it cannot answer for at once it is asked for in halves: a batch that is
/// too much for the time that an answer has would else be asked for again whole, for ever. None: to end.
async fn look_up(intake: &Intake, plan: &watch::Receiver<Arc<Plan>>, batch: &[Incoming], stop: &CancellationToken) -> Option<Vec<Item>> {
    let mut items = Vec::with_capacity(batch.len());
    let mut at_once = batch.len().max(1);
    while items.len() < batch.len() {
        let part = &batch[items.len()..batch.len().min(items.len() + at_once)];
        let current = Arc::clone(&plan.borrow());
        match (intake.prepare(&current, part).await, part) {
            (Ok(more), _) => items.extend(more),
            // The row that it stands on cannot be read, and what comes after it must not wait for that.
            (Err(error @ (StoreError::Unreadable(_) | StoreError::Refused(_))), [alone]) => {
                items.push(intake.unreadable(alone, &error.to_string()));
            }
            (Err(error), _) => {
                tracing::warn!(pool = %intake.pool, %error, messages = part.len(), "facts cannot be looked up; trying again");
                at_once = at_once.div_ceil(2);
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                }
            }
        }
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{AccountId, IdMaker, InputId};
    use crate::model::inbound::{InboundEvent, InboundMessage};
    use crate::model::time::Timestamp;
    use crate::model::wire;
    use crate::port::testing::{FactsFail, FakeBlobs, FakeStore, plan, pool};

    /// Calls from these numbers; an empty one is withheld.
    fn calls(numbers: &[&str]) -> Vec<Incoming> {
        let account = AccountId::new("centralino").expect("a name");
        let call = |(tag, number): (u64, &&str)| {
            let from = (!number.is_empty()).then(|| serde_json::json!({ "address": number }));
            let message =
                serde_json::json!({ "account": account, "provider_id": tag.to_string(), "received_at": Timestamp(1), "from": from });
            let message: InboundMessage = serde_json::from_value(message).expect("a message");
            let event = InboundEvent::Message(Box::new(message));
            let event = wire::inbound_event("it.example", InputId(1), &account, Timestamp(1), None, event);
            let (routing_key, body) = (format!("{}.comune.phone", pool()), wire::encode_inbound(&event).expect("small").into());
            Incoming { tag, routing_key, id: None, body, traceparent: None, reply_to: None, redelivered: false, death: None }
        };
        (1..).zip(numbers).map(call).collect()
    }

    async fn looked_up(fails: FactsFail, numbers: &[&str]) -> Vec<Item> {
        let store = Arc::new(FakeStore::default());
        store.facts_fail.set(fails).expect("once");
        let (prefix, ids, blobs) = ("it.example".to_owned(), IdMaker::new([1; 32]), Arc::new(FakeBlobs::default()));
        let intake = Intake { pool: pool(), prefix, ids, store, blobs };
        let plan = watch::channel(Arc::new(plan())).1;
        look_up(&intake, &plan, &calls(numbers), &CancellationToken::new()).await.expect("nobody ends it")
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_at_once_is_asked_for_in_halves() {
        let items = looked_up(|queries| (queries.len() > 2).then(|| StoreError::Unavailable("late".into())), &[""; 9]).await;
        let tags = items.iter().map(|item| match item {
            Item::Input(prepared) => prepared.incoming.tag,
            other => panic!("{other:?}"),
        });
        assert_eq!(tags.collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_on_a_row_that_cannot_be_read_is_set_aside_alone() {
        let fails: FactsFail = |queries| {
            let is_marked = queries.iter().any(|query| query.address.is_some());
            is_marked.then(|| StoreError::Unreadable("a row".into()))
        };
        let items = looked_up(fails, &["", "", "+390471000001", "", ""]).await;
        let set_aside = items.iter().map(|item| matches!(item, Item::Quarantined(_)));
        assert_eq!(set_aside.collect::<Vec<_>>(), [false, false, true, false, false]);
    }
}
