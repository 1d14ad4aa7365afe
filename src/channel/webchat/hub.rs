//! The pools' feed inside the chat: each event goes to the sockets of its conversation, in order and without a gap. What the feed
//! lost is read from the journal.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::counters::ChatCounters;
use super::limits::WAITING_EVENTS_MAX;
use crate::model::event::Event;
use crate::model::id::{AdministrationId, ChatSessionId, ConversationId, PoolId};
use crate::port::aside::Aside;
use crate::port::chat::ChatSession;
use crate::port::feed::FeedBatch;
use crate::port::store::{Store, StoreError};

/// Events read from the journal at once.
const JOURNAL_PAGE: u32 = 1_000;
/// After a longer gap every socket is cut: resuming reads less than the journal would.
const GAP_MAX: i64 = 20_000;
/// How often the journal's end is compared with the feed's.
const COMPARE_EVERY: Duration = Duration::from_secs(2);

/// What a socket hears.
#[derive(Debug, Clone)]
pub enum Heard {
    /// Something happened in its conversation.
    Event(Arc<Event>),
    /// Something was said beside it.
    Aside(Arc<Aside>),
}

/// A socket's end of the hub; dropping it leaves.
pub struct Line {
    hub: Arc<Hub>,
    pool: PoolId,
    conversation: ConversationId,
    number: u64,
    /// What it hears.
    pub heard: mpsc::Receiver<Heard>,
    /// Cancelled when it did not keep up.
    pub cut: CancellationToken,
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        let Some(feed) = state.pools.get_mut(&self.pool) else { return };
        if let Some(sockets) = feed.chats.get_mut(&self.conversation) {
            sockets.retain(|socket| socket.number != self.number);
            if sockets.is_empty() {
                feed.chats.remove(&self.conversation);
            }
        }
    }
}

struct Socket {
    number: u64,
    administration: AdministrationId,
    session: ChatSessionId,
    queue: mpsc::Sender<Heard>,
    cut: CancellationToken,
}

#[derive(Default)]
struct Feed {
    /// Everything up to this number was given out; none before the first socket.
    last_seq: i64,
    chats: HashMap<ConversationId, Vec<Socket>>,
}

impl Feed {
    fn give(&self, conversation: ConversationId, heard: &Heard) {
        for socket in self.chats.get(&conversation).into_iter().flatten() {
            if socket.queue.try_send(heard.clone()).is_err() {
                socket.cut.cancel();
            }
        }
    }

    fn take(&mut self, event: &Arc<Event>) {
        if event.seq > self.last_seq
            && let Some(about) = &event.about
        {
            self.give(about.conversation, &Heard::Event(Arc::clone(event)));
        }
    }
}

#[derive(Default)]
struct State {
    pools: HashMap<PoolId, Feed>,
    sockets: u64,
}

/// The sockets of this process by their conversations.
pub struct Hub {
    store: Arc<dyn Store>,
    counters: Arc<ChatCounters>,
    state: Mutex<State>,
}

impl Hub {
    /// Nobody is there yet.
    pub fn new(store: Arc<dyn Store>, counters: Arc<ChatCounters>) -> Arc<Self> {
        Arc::new(Self { store, counters, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sockets a chat has here.
    pub fn sockets_of(&self, pool: &PoolId, conversation: ConversationId) -> usize {
        self.lock().pools.get(pool).and_then(|feed| feed.chats.get(&conversation)).map_or(0, Vec::len)
    }

    /// The chats that have a socket here.
    pub fn present(&self) -> Vec<(AdministrationId, ChatSessionId)> {
        let state = self.lock();
        let chats = state.pools.values().flat_map(|feed| feed.chats.values());
        chats.filter_map(|sockets| sockets.first()).map(|socket| (socket.administration.clone(), socket.session)).collect()
    }

    /// Joins a socket. Whatever is committed after this is heard; the caller reads rows afterwards, so nothing is between.
    pub async fn join(self: &Arc<Self>, pool: &PoolId, chat: &ChatSession, conversation: ConversationId) -> Result<Line, StoreError> {
        let known = self.lock().pools.contains_key(pool);
        let from = if known { 0 } else { self.store.last_seq(pool).await? };
        let (queue, heard) = mpsc::channel(WAITING_EVENTS_MAX);
        let cut = CancellationToken::new();
        let mut state = self.lock();
        state.sockets += 1;
        let number = state.sockets;
        let feed = state.pools.entry(pool.clone()).or_insert_with(|| Feed { last_seq: from, ..Feed::default() });
        feed.chats.entry(conversation).or_default().push(Socket {
            number,
            administration: chat.administration.clone(),
            session: chat.id,
            queue,
            cut: cut.clone(),
        });
        Ok(Line { hub: Arc::clone(self), pool: pool.clone(), conversation, number, heard, cut })
    }

    /// Gives an aside to the sockets of its conversation.
    pub fn aside(&self, aside: &Arc<Aside>) {
        if let Some(feed) = self.lock().pools.get(&aside.pool) {
            feed.give(aside.conversation, &Heard::Aside(Arc::clone(aside)));
        }
    }

    fn last_seq(&self, pool: &PoolId) -> Option<i64> {
        self.lock().pools.get(pool).map(|feed| feed.last_seq)
    }

    fn give_out(&self, pool: &PoolId, events: impl Iterator<Item = Arc<Event>>, last_seq: i64) {
        let mut state = self.lock();
        let Some(feed) = state.pools.get_mut(pool) else { return };
        for event in events {
            feed.take(&event);
        }
        feed.last_seq = feed.last_seq.max(last_seq);
    }

    /// Takes a batch; a gap before it is read from the journal.
    async fn take(&self, batch: &FeedBatch) -> Result<(), StoreError> {
        let Some(last_seq) = self.last_seq(&batch.pool) else { return Ok(()) };
        if batch.first_seq > last_seq + 1 {
            self.recover(&batch.pool, last_seq, batch.first_seq - 1).await?;
        }
        self.give_out(&batch.pool, batch.events.iter().map(|item| Arc::clone(&item.event)), batch.last_seq);
        Ok(())
    }

    async fn recover(&self, pool: &PoolId, from: i64, until: i64) -> Result<(), StoreError> {
        ChatCounters::count(&self.counters.feed_gaps);
        tracing::info!(%pool, from, until, "the feed of pool {pool} has a gap; the chat reads the journal");
        // what the journal has forgotten is asked for anew, like what is too much
        let oldest = self.store.events_after(pool, 0, 1).await?;
        if until - from > GAP_MAX || oldest.first().is_some_and(|oldest| oldest.input_seq > from + 1) {
            let mut state = self.lock();
            if let Some(feed) = state.pools.get_mut(pool) {
                feed.chats.values().flatten().for_each(|socket| socket.cut.cancel());
                feed.last_seq = feed.last_seq.max(until);
            }
            return Ok(());
        }
        let mut after = from;
        while after < until {
            let page = self.store.events_after(pool, after, JOURNAL_PAGE).await?;
            let is_last = page.len() < JOURNAL_PAGE as usize;
            let end = if is_last { until } else { page.last().map_or(until, |record| record.seq) };
            let events = page.into_iter().filter(|record| record.seq <= until).filter_map(|record| {
                let event = serde_json::from_str::<Event>(&record.body);
                event.inspect_err(|error| tracing::error!(seq = record.seq, %error, "an event of the journal cannot be read")).ok()
            });
            self.give_out(pool, events.map(Arc::new), end.min(until));
            after = end;
        }
        Ok(())
    }

    /// Catches up with the journal where the feed lost its last batch and fell silent.
    async fn compare(&self, seen: &mut HashMap<PoolId, i64>) -> Result<(), StoreError> {
        let feeds: Vec<(PoolId, i64)> = {
            let state = self.lock();
            let with_sockets = state.pools.iter().filter(|(_, feed)| !feed.chats.is_empty());
            with_sockets.map(|(pool, feed)| (pool.clone(), feed.last_seq)).collect()
        };
        for (pool, before) in feeds {
            let end = self.store.last_seq(&pool).await?;
            // behind now and where it was two seconds ago: nothing is on its way
            if end > before && seen.insert(pool.clone(), before) == Some(before) {
                self.recover(&pool, before, end).await?;
            }
        }
        Ok(())
    }
}

/// Feeds the sockets until `stop`.
pub async fn run(
    hub: Arc<Hub>,
    mut feed: broadcast::Receiver<Arc<FeedBatch>>,
    mut asides: broadcast::Receiver<Arc<Aside>>,
    stop: CancellationToken,
) {
    let mut compare = tokio::time::interval(COMPARE_EVERY);
    compare.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = HashMap::new();
    let (mut fed, mut told) = (true, true);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            batch = feed.recv(), if fed => match batch {
                Ok(batch) => take_at_last(&hub, &batch, &stop).await,
                // what was lost shows as a gap before the next batch
                Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "the chat did not keep up with the live feed"),
                Err(RecvError::Closed) => fed = false,
            },
            aside = asides.recv(), if told => match aside {
                Ok(aside) => hub.aside(&aside),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => told = false,
            },
            _ = compare.tick() => if let Err(error) = hub.compare(&mut seen).await {
                tracing::warn!(%error, "the journal's end could not be read");
            },
        }
    }
}

/// Takes a batch however long the database is away: order matters more than haste, and the feed's buffer is bounded.
async fn take_at_last(hub: &Hub, batch: &FeedBatch, stop: &CancellationToken) {
    let mut pause = Duration::from_millis(50);
    while let Err(error) = hub.take(batch).await {
        tracing::warn!(pool = %batch.pool, %error, "the journal could not be read; trying again");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(2)),
        }
    }
}

/// Shows a gauge of sockets: one more now, one less when dropped.
pub struct Counted(Arc<ChatCounters>);

impl Counted {
    /// One more socket.
    pub fn new(counters: &Arc<ChatCounters>) -> Self {
        counters.sockets.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}
