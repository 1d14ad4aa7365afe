//! The relay: what was committed goes to the broker, in order, each lane with a cursor of its own that carries the epoch.
//! A lane that falls behind, or starts, reads the journal. Published at least once; whoever needs order drops what is not
//! above the last sequence number.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fault;
use crate::model::event::{Event, EventBody};
use crate::model::id::PoolId;
use crate::model::wire::{self, OutboundOrder};
use crate::port::broker::{Destination, Outgoing, PublishError, Publisher};
use crate::port::feed::{FeedBatch, FeedEvent};
use crate::port::store::{Leadership, Store};
use crate::telemetry::metrics::Metrics;

/// Commits a lane may lag behind before it reads the journal.
const BATCHES_MAX: usize = 256;
/// The most messages in one publish.
const PUBLISH_MAX: usize = 500;
/// Events read from the journal at once.
const JOURNAL_PAGE: u32 = 1000;
/// A cursor is moved at most this often: what is published again meanwhile is recognised by its id.
const CURSOR_PAUSE: Duration = Duration::from_millis(100);

/// Where the driver hands over what it committed.
#[derive(Debug, Clone, Default)]
pub struct RelayHandle {
    lanes: Vec<mpsc::Sender<Arc<FeedBatch>>>,
    /// The last sequence number that was handed over, whether a lane had room for it or not.
    last: Arc<AtomicI64>,
}

impl RelayHandle {
    /// Hands a commit to every lane; one that is full reads it from the journal when it has published the rest.
    pub fn send(&self, batch: Arc<FeedBatch>) {
        self.last.fetch_max(batch.last_seq, Ordering::Relaxed);
        for lane in &self.lanes {
            let _ = lane.try_send(Arc::clone(&batch));
        }
    }
}

/// What the relay works with.
#[derive(Clone)]
pub struct RelayDeps {
    /// Journal and cursors.
    pub store: Arc<dyn Store>,
    /// Orders and events out.
    pub publisher: Arc<dyn Publisher>,
    /// Lag.
    pub metrics: Arc<Metrics>,
    /// Types of CloudEvents begin with it.
    pub prefix: String,
    /// Whether public events are published.
    pub events: bool,
    /// Whether there are desks in other processes to be fed; changes while it runs.
    pub other_desks: Arc<AtomicBool>,
}

/// What a lane publishes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Orders to send a message.
    Outbound,
    /// Public events.
    Events,
}

impl Lane {
    fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Events => "events",
        }
    }

    /// What the lane publishes of an event; nothing of one that is not for it. `Err`: why the message cannot be made.
    fn message(self, prefix: &str, pool: &PoolId, event: &Event, traceparent: Option<&str>) -> Result<Option<Outgoing>, String> {
        let trace = || traceparent.map(str::to_owned);
        let message = match (self, &event.body) {
            (Self::Outbound, EventBody::MessageAttempting { message, account, attempt }) => {
                let about = event.about.as_ref().ok_or("it does not say whose it is")?;
                let administration = about.administration.clone();
                let order = OutboundOrder { message: *message, administration, account: account.clone(), attempt: *attempt };
                let body = wire::encode_order(prefix, pool, event.at, &order, trace()).map_err(|error| error.to_string())?;
                Outgoing::new(Destination::Outbound { account: account.clone() }, format!("{message}/{attempt}"), body)
            }
            (Self::Outbound, _) => return Ok(None),
            (Self::Events, _) => {
                let public = wire::public_event(prefix, pool, event, trace());
                let body = wire::encode_public(&public).map_err(|error| error.to_string())?;
                let administration = event.about.as_ref().map(|about| about.administration.clone());
                let destination = Destination::Events { pool: pool.clone(), administration, name: event.body.name().to_owned() };
                Outgoing::new(destination, public.id, body)
            }
        };
        Ok(Some(Outgoing { traceparent: trace(), ..message }))
    }
}

/// The names of the lanes that run, as their cursors are kept.
pub fn lanes(events: bool) -> Vec<&'static str> {
    [Some(Lane::Outbound), events.then_some(Lane::Events)].into_iter().flatten().map(Lane::name).collect()
}

/// The lanes of a leadership.
pub struct Relay {
    stop: CancellationToken,
    lanes: TaskTracker,
}

impl Relay {
    /// To be called when the handle is gone: waits until what was handed over is published and its cursors are put down, so that who leads
    /// next publishes none of it again. What takes longer than `patience` is cut off, and published again.
    pub async fn finish(self, patience: Duration) {
        let in_time = tokio::time::timeout(patience, self.lanes.wait()).await;
        if in_time.is_err() {
            tracing::info!("the relay is not through with what was committed; who leads next goes on with it");
        }
        self.stop.cancel();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts the lanes of a leadership. They end when the handle is gone and everything is published, when the epoch is lost, or with the
/// [`Relay`].
pub fn start(deps: &RelayDeps, leadership: &Leadership) -> (RelayHandle, Relay) {
    let relay = Relay { stop: CancellationToken::new(), lanes: TaskTracker::new() };
    let mut handle = RelayHandle::default();
    let lanes = [Some(Lane::Outbound), deps.events.then_some(Lane::Events)];
    for lane in lanes.into_iter().flatten() {
        let (sender, receiver) = mpsc::channel(BATCHES_MAX);
        handle.lanes.push(sender);
        let runner = Runner {
            deps: deps.clone(),
            leadership: leadership.clone(),
            lane,
            last: Arc::clone(&handle.last),
            cursor: 0,
            saved: 0,
            saved_at: Instant::now(),
        };
        relay.lanes.spawn(runner.run(receiver, relay.stop.clone()));
    }
    let (sender, receiver) = mpsc::channel(BATCHES_MAX);
    handle.lanes.push(sender);
    relay.lanes.spawn(feed_desks(deps.clone(), receiver, relay.stop.clone()));
    relay.lanes.close();
    (handle, relay)
}

struct Runner {
    deps: RelayDeps,
    leadership: Leadership,
    lane: Lane,
    /// See [`RelayHandle::last`].
    last: Arc<AtomicI64>,
    cursor: i64,
    saved: i64,
    saved_at: Instant,
}

/// The lane is over: another process leads, or it is cut off.
struct Over;

impl Runner {
    async fn run(mut self, mut batches: mpsc::Receiver<Arc<FeedBatch>>, stop: CancellationToken) {
        let pool = self.leadership.pool.clone();
        loop {
            match self.deps.store.cursor(&pool, self.lane.name()).await {
                Ok(cursor) => {
                    (self.cursor, self.saved) = (cursor, cursor);
                    break;
                }
                Err(error) => {
                    tracing::warn!(%pool, lane = self.lane.name(), %error, "the relay's cursor cannot be read yet");
                    if pause(&stop).await.is_err() {
                        return;
                    }
                }
            }
        }
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let _ = self.save(true).await;
                    return;
                }
                next = tokio::time::timeout(CURSOR_PAUSE, batches.recv()) => next,
            };
            let was_last = matches!(next, Ok(None));
            let done = match next {
                Ok(Some(first)) => self.pass_on(first, &mut batches, &stop).await,
                Ok(None) | Err(_) => self.rest(&stop).await,
            };
            if done.is_err() {
                tracing::info!(%pool, lane = self.lane.name(), "the relay lane is over");
                return;
            }
            self.show_lag(&stop);
            if was_last {
                return;
            }
        }
    }

    /// Nothing has come for a while, or nothing comes any more: what the lane had no room for is read from the journal, and the cursor is
    /// put down.
    async fn rest(&mut self, stop: &CancellationToken) -> Result<(), Over> {
        self.catch_up(self.last.load(Ordering::Relaxed), stop).await?;
        self.save(true).await
    }

    /// Publishes a commit and those that have come meanwhile.
    async fn pass_on(
        &mut self,
        first: Arc<FeedBatch>,
        batches: &mut mpsc::Receiver<Arc<FeedBatch>>,
        stop: &CancellationToken,
    ) -> Result<(), Over> {
        let mut outgoing = Vec::new();
        let mut next = Some(first);
        while let Some(batch) = next {
            if batch.first_seq > self.cursor + 1 {
                self.publish(std::mem::take(&mut outgoing), stop).await?;
                self.catch_up(batch.last_seq, stop).await?;
            }
            for FeedEvent { event, traceparent, .. } in batch.events.iter().filter(|event| event.event.seq > self.cursor) {
                outgoing.extend(self.message(event, traceparent.as_deref()));
            }
            self.cursor = self.cursor.max(batch.last_seq);
            next = if outgoing.len() < PUBLISH_MAX { batches.try_recv().ok() } else { None };
        }
        self.publish(outgoing, stop).await?;
        self.save(false).await
    }

    /// What the lane publishes of an event. An order that cannot be made would be a letter that nobody sends: it is said aloud.
    fn message(&self, event: &Event, traceparent: Option<&str>) -> Option<Outgoing> {
        let (pool, lane) = (&self.leadership.pool, self.lane.name());
        self.lane.message(&self.deps.prefix, pool, event, traceparent).unwrap_or_else(|reason| {
            tracing::error!(%pool, lane, seq = event.seq, event = event.body.name(), reason, "nothing can be published of an event; it is passed over");
            self.deps.metrics.relay_passed_over(pool, lane, 1);
            None
        })
    }

    /// Reads the journal up to a commit that is known to be in it.
    async fn catch_up(&mut self, until: i64, stop: &CancellationToken) -> Result<(), Over> {
        let pool = self.leadership.pool.clone();
        while self.cursor < until {
            let page = match self.deps.store.events_after(&pool, self.cursor, JOURNAL_PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%pool, lane = self.lane.name(), %error, "the journal cannot be read yet");
                    self.stands(stop).await?;
                    continue;
                }
            };
            let is_last = page.len() < JOURNAL_PAGE as usize;
            let mut outgoing = Vec::new();
            for record in page {
                match serde_json::from_str::<Event>(&record.body) {
                    Ok(event) => outgoing.extend(self.message(&event, None)),
                    Err(error) => {
                        tracing::error!(%pool, seq = record.seq, %error, "an event of the journal cannot be read and is passed over");
                        self.deps.metrics.relay_passed_over(&pool, self.lane.name(), 1);
                    }
                }
                self.cursor = record.seq;
            }
            self.publish(outgoing, stop).await?;
            if is_last {
                self.cursor = self.cursor.max(until);
            }
            self.save(false).await?;
            self.show_lag(stop);
        }
        Ok(())
    }

    /// Publishes until the broker has it. What no queue takes, or can never be published, is passed over, and it alone: an order
    /// is tried again by the pool's own timer.
    async fn publish(&mut self, outgoing: Vec<Outgoing>, stop: &CancellationToken) -> Result<(), Over> {
        if fault::is_broken("cursor_before_confirm") {
            self.save(true).await?;
        }
        let mut parts = parts(outgoing);
        while let Some(part) = parts.pop_front() {
            fault::point("before_publish");
            match self.deps.publisher.publish(part.clone()).await {
                Ok(()) => fault::point("after_publish"),
                // An event needs no queue: the exchange is not there, and is waited for as a broker that is away.
                Err(PublishError::Unroutable(ids))
                    if self.lane == Lane::Outbound && part.iter().any(|message| ids.contains(&message.id)) =>
                {
                    let (lost, rest): (Vec<_>, Vec<_>) = part.into_iter().partition(|message| ids.contains(&message.id));
                    self.pass_over(lost.len(), "no queue takes them; is their account's adapter declared?");
                    if !rest.is_empty() {
                        parts.push_front(rest);
                    }
                }
                // Whose it is is not said.
                Err(PublishError::Invalid(_)) if part.len() > 1 => part.into_iter().rev().for_each(|one| parts.push_front(vec![one])),
                Err(PublishError::Invalid(reason)) => self.pass_over(1, &reason),
                Err(error) => {
                    tracing::warn!(lane = self.lane.name(), %error, "not published yet; trying again");
                    parts.push_front(part);
                    self.stands(stop).await?;
                }
            }
        }
        Ok(())
    }

    fn pass_over(&self, count: usize, reason: &str) {
        let (pool, lane) = (&self.leadership.pool, self.lane.name());
        tracing::error!(%pool, lane, count, reason, "messages cannot be published and are passed over");
        self.deps.metrics.relay_passed_over(pool, lane, count);
    }

    /// The lane does not get on: it shows how far it is behind, and waits a little.
    async fn stands(&self, stop: &CancellationToken) -> Result<(), Over> {
        self.show_lag(stop);
        pause(stop).await
    }

    /// Of who leads no more nothing is shown.
    fn show_lag(&self, stop: &CancellationToken) {
        if !stop.is_cancelled() {
            self.deps.metrics.relay_lag(&self.leadership.pool, self.lane.name(), self.last.load(Ordering::Relaxed) - self.saved);
        }
    }

    /// Moves the stored cursor on: now and then, or at once.
    async fn save(&mut self, at_once: bool) -> Result<(), Over> {
        if self.cursor <= self.saved || (!at_once && self.saved_at.elapsed() < CURSOR_PAUSE) {
            return Ok(());
        }
        let pool = &self.leadership.pool;
        self.saved_at = Instant::now();
        match self.deps.store.advance_cursor(pool, self.lane.name(), self.leadership.epoch, self.cursor).await {
            Ok(true) => self.saved = self.cursor,
            Ok(false) => return Err(Over),
            Err(error) => tracing::warn!(%pool, lane = self.lane.name(), %error, "the relay's cursor is not moved yet"),
        }
        Ok(())
    }
}

fn parts(mut outgoing: Vec<Outgoing>) -> VecDeque<Vec<Outgoing>> {
    let mut parts = VecDeque::new();
    while !outgoing.is_empty() {
        let rest = outgoing.split_off(outgoing.len().min(PUBLISH_MAX));
        parts.push_back(std::mem::replace(&mut outgoing, rest));
    }
    parts
}

async fn pause(stop: &CancellationToken) -> Result<(), Over> {
    tokio::select! {
        () = stop.cancelled() => Err(Over),
        () = tokio::time::sleep(Duration::from_millis(250)) => Ok(()),
    }
}

// ── desks in other processes ──────────────────────────────────────────────────────────────────────────────────────────

/// A commit as it goes to desks in other processes. A gap in the numbers means: read the journal.
#[derive(Debug, Serialize, Deserialize)]
struct WireBatch<'a> {
    pool: PoolId,
    first_seq: i64,
    last_seq: i64,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    /// W3C trace contexts, by sequence number.
    #[serde(default, borrow, skip_serializing_if = "BTreeMap::is_empty")]
    traces: BTreeMap<i64, &'a str>,
}

/// Publishes each commit as one message. Nothing is kept for a desk that is away.
async fn feed_desks(deps: RelayDeps, mut batches: mpsc::Receiver<Arc<FeedBatch>>, stop: CancellationToken) {
    loop {
        let batch = tokio::select! {
            () = stop.cancelled() => return,
            batch = batches.recv() => match batch {
                Some(batch) => batch,
                None => return,
            },
        };
        let mut ready = vec![batch];
        while let (true, Ok(batch)) = (ready.len() < 64, batches.try_recv()) {
            ready.push(batch);
        }
        if !deps.other_desks.load(Ordering::Relaxed) {
            continue;
        }
        let messages: Vec<Outgoing> = ready.iter().filter_map(|batch| encode_feed(batch)).collect();
        if let Err(error) = deps.publisher.publish(messages).await {
            tracing::warn!(%error, "desks are not fed; they will read the journal");
        }
    }
}

fn encode_feed(batch: &FeedBatch) -> Option<Outgoing> {
    let events: Vec<&RawValue> = batch.events.iter().filter_map(|event| serde_json::from_str(&event.json).ok()).collect();
    let traces = batch.events.iter().filter_map(|event| Some((event.event.seq, event.traceparent.as_deref()?))).collect();
    let wire = WireBatch { pool: batch.pool.clone(), first_seq: batch.first_seq, last_seq: batch.last_seq, events, traces };
    let body = serde_json::to_vec(&wire).ok()?;
    Some(Outgoing::new(Destination::Feed { pool: batch.pool.clone() }, format!("{}/{}", batch.pool, batch.last_seq), body))
}

/// Reads a commit that came over the broker.
pub fn decode_feed(body: &[u8]) -> Option<FeedBatch> {
    let wire: WireBatch<'_> = serde_json::from_slice(body).ok()?;
    // one that a newer release has added is nothing to this one
    let events = wire.events.iter().filter_map(|raw| {
        let event: Event = serde_json::from_str(raw.get()).ok()?;
        let traceparent = wire.traces.get(&event.seq).map(|trace| Arc::from(*trace));
        Some(FeedEvent { event: Arc::new(event), json: raw.get().into(), traceparent })
    });
    Some(FeedBatch { events: events.collect(), pool: wire.pool, first_seq: wire.first_seq, last_seq: wire.last_seq })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{About, EventBody};
    use crate::model::id::*;
    use crate::model::inbound::CloudEvent;
    use crate::model::time::Timestamp;
    use crate::port::store::EventRecord;
    use crate::port::testing::{FakeBroker, FakeStore, pool};

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn attempting() -> Event {
        let about = About {
            contact: ContactId(1),
            conversation: ConversationId(1),
            administration: AdministrationId::new("comune").expect("a name"),
            office: OfficeId::new("urp").expect("a name"),
            queue: QueueId::new("urp").expect("a name"),
            channel: crate::model::channel::Channel::email(),
            mode: crate::model::contact::Mode::Deferrable,
            version: 1,
        };
        let body = EventBody::MessageAttempting { message: MessageId(2), account: AccountId::new("urp-mail").expect("a name"), attempt: 1 };
        Event { seq: 7, at: Timestamp(1), about: Some(about), body }
    }

    #[test]
    fn one_trace_from_the_input_to_orders_events_and_desks() {
        let (pool, event) = (PoolId::new("main").expect("a name"), attempting());
        for lane in [Lane::Outbound, Lane::Events] {
            for trace in [Some(TRACE), None] {
                let message = lane.message("it.example", &pool, &event, trace).expect("is made").expect("both lanes publish it");
                let body: CloudEvent<serde_json::Value> = serde_json::from_slice(&message.body).expect("a CloudEvent");
                assert_eq!((message.traceparent.as_deref(), body.traceparent.as_deref()), (trace, trace));
            }
        }
        let json: Arc<str> = serde_json::to_string(&event).expect("plain data").into();
        let item = |traceparent| FeedEvent { event: Arc::new(event.clone()), json: Arc::clone(&json), traceparent };
        let batch = FeedBatch { pool, first_seq: 6, last_seq: 7, events: vec![item(Some(TRACE.into())), item(None)] };
        let sent = encode_feed(&batch).expect("encodes");
        let read = decode_feed(&sent.body).expect("reads back");
        assert_eq!(read.events[0].traceparent.as_deref(), Some(TRACE));
        assert_eq!(read.events[0].event, Arc::new(event));
    }

    fn deps(store: &Arc<FakeStore>, broker: &Arc<FakeBroker>) -> RelayDeps {
        RelayDeps {
            store: store.clone(),
            publisher: broker.clone(),
            metrics: Arc::new(Metrics::new()),
            prefix: "it.example".into(),
            events: false,
            other_desks: Arc::default(),
        }
    }

    /// A commit of one event, which is in the journal.
    fn committed(store: &FakeStore, event: Event) -> Arc<FeedBatch> {
        let json: Arc<str> = serde_json::to_string(&event).expect("plain data").into();
        let (seq, at, name, body) = (event.seq, event.at, event.body.name().to_owned(), json.to_string());
        let record = EventRecord { seq, input_seq: seq, at, name, administration: None, contact: None, operator: None, body };
        store.rows().events.push(record);
        let events = vec![FeedEvent { event: Arc::new(event), json, traceparent: None }];
        Arc::new(FeedBatch { pool: pool(), first_seq: seq, last_seq: seq, events })
    }

    /// A relay before such a broker: what hands over to it, what it works with, and what ends it.
    fn started(store: &Arc<FakeStore>, broker: &Arc<FakeBroker>) -> (RelayHandle, RelayDeps, Relay) {
        let deps = deps(store, broker);
        let (handle, relay) = start(&deps, &Leadership { pool: pool(), epoch: 1, holder: "here".into() });
        (handle, deps, relay)
    }

    /// So many commits, numbered from 1.
    fn hand_over(handle: &RelayHandle, store: &FakeStore, count: usize) {
        for seq in (1..).take(count) {
            handle.send(committed(store, Event { seq, ..attempting() }));
        }
    }

    /// Whether a line stands among the metrics.
    fn shows(deps: &RelayDeps, line: &str) -> bool {
        deps.metrics.encode().lines().any(|shown| shown == line)
    }

    /// Waits until so many messages are published; how many there were in time.
    async fn published(broker: &FakeBroker, expected: usize) -> usize {
        let mut published = 0;
        let all = async {
            while published < expected {
                tokio::time::sleep(Duration::from_millis(50)).await;
                published += broker.taken().iter().map(Vec::len).sum::<usize>();
            }
        };
        let _in_time = tokio::time::timeout(Duration::from_secs(10), all).await;
        published
    }

    /// More is committed than the lane keeps, then nothing more: what it let go is published all the same.
    #[tokio::test(start_paused = true)]
    async fn what_a_lane_let_go_is_published_without_another_commit() {
        let (store, broker) = (Arc::new(FakeStore::default()), Arc::new(FakeBroker::default()));
        let (handle, _deps, _relay) = started(&store, &broker);
        let count = 3 * BATCHES_MAX;
        hand_over(&handle, &store, count);
        assert_eq!(published(&broker, count).await, count);
    }

    #[tokio::test(start_paused = true)]
    async fn who_hands_over_publishes_what_it_committed_and_puts_the_cursor_down() {
        let (store, broker) = (Arc::new(FakeStore::default()), Arc::new(FakeBroker::default()));
        let (handle, _deps, relay) = started(&store, &broker);
        hand_over(&handle, &store, 3);
        drop(handle);
        relay.finish(Duration::from_secs(1)).await;
        assert_eq!(broker.taken().iter().map(Vec::len).sum::<usize>(), 3);
        assert_eq!(store.cursor(&pool(), "outbound").await.expect("a cursor"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_is_away_does_not_hold_up_who_hands_over() {
        let (store, broker) = (Arc::new(FakeStore::default()), Arc::new(FakeBroker::default()));
        *broker.refuses.lock().expect("whole") = |_| Some(PublishError::Refused("full".into()));
        let (handle, _deps, relay) = started(&store, &broker);
        handle.send(committed(&store, attempting()));
        drop(handle);
        let began = tokio::time::Instant::now();
        relay.finish(Duration::from_secs(1)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        assert_eq!(store.cursor(&pool(), "outbound").await.expect("a cursor"), 0);
    }

    /// Whose orders the broker does not take: of three, the one of the second event.
    fn second(message: &Outgoing) -> bool {
        message.id.starts_with("ms_00000000000000000000000000000002/")
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_published_takes_nothing_else_along() {
        let unroutable: fn(&Outgoing) -> Option<PublishError> =
            |message| second(message).then(|| PublishError::Unroutable(vec![message.id.clone()]));
        let invalid: fn(&Outgoing) -> Option<PublishError> = |message| second(message).then(|| PublishError::Invalid("too large".into()));
        for refuses in [unroutable, invalid] {
            let (store, broker) = (Arc::new(FakeStore::default()), Arc::new(FakeBroker::default()));
            *broker.refuses.lock().expect("whole") = refuses;
            let (handle, deps, _relay) = started(&store, &broker);
            for seq in 1..=3_i64 {
                let EventBody::MessageAttempting { account, attempt, .. } = attempting().body else { unreachable!("made above") };
                let body = EventBody::MessageAttempting { message: MessageId(u128::from(seq.unsigned_abs())), account, attempt };
                handle.send(committed(&store, Event { seq, body, ..attempting() }));
            }
            assert_eq!(published(&broker, 2).await, 2);
            let counted = r#"sportello_relay_passed_over_total{pool="valle",relay="outbound"} 1"#;
            assert!(shows(&deps, counted), "{}", deps.metrics.encode());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_stands_shows_how_far_it_is_behind() {
        let (store, broker) = (Arc::new(FakeStore::default()), Arc::new(FakeBroker::default()));
        *broker.refuses.lock().expect("whole") = |_| Some(PublishError::Refused("full".into()));
        let (handle, deps, _relay) = started(&store, &broker);
        hand_over(&handle, &store, 3);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let shown = r#"sportello_relay_lag_events{pool="valle",relay="outbound"} 3"#;
        assert!(shows(&deps, shown), "{}", deps.metrics.encode());
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_that_cannot_be_made_is_counted_and_the_next_goes_out() {
        let (store, broker) = (Arc::new(FakeStore::default()), Arc::new(FakeBroker::default()));
        let (handle, deps, _relay) = started(&store, &broker);
        handle.send(committed(&store, Event { seq: 1, about: None, ..attempting() }));
        handle.send(committed(&store, Event { seq: 2, ..attempting() }));
        assert_eq!(published(&broker, 1).await, 1);
        let counted = r#"sportello_relay_passed_over_total{pool="valle",relay="outbound"} 1"#;
        assert!(shows(&deps, counted), "{}", deps.metrics.encode());
    }
}
