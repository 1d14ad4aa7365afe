//! The live feed inside the desk: takes the batches of every pool, knows who holds what, and puts each event into the queues
//! of the consoles it concerns. An event that names an operator costs one hash lookup, however many consoles are open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};

use self::connection::Connection;
use self::pool::{PoolFeed, Resumed};
use super::Shared;
use super::counters::Counters;
use super::directory::Directory;
use super::session::Credential;
use crate::model::event::{Event, EventBody};
use crate::model::id::{ContactId, OperatorId, PoolId};
use crate::plan::Plan;
use crate::port::aside::{Aside, AsideBody};
use crate::port::feed::{FeedBatch, FeedEvent};
use crate::port::store::{ContactFilter, EventRecord, Page, Store, StoreError};

pub mod connection;
mod pool;

/// Events read from the journal at once.
const JOURNAL_PAGE: u32 = 1_000;
/// A gap longer than this is not read: everybody starts from a snapshot.
const GAP_MAX: i64 = 50_000;
/// Contacts read at once when a pool's holders are first learnt.
const SEED_PAGE: u32 = 500;
/// How often the journal's end is compared with the feed's.
const COMPARE_EVERY: Duration = Duration::from_secs(2);

/// The feeds of all pools.
pub struct Hub {
    store: Arc<dyn Store>,
    plan: watch::Receiver<Arc<Plan>>,
    counters: Arc<Counters>,
    pools: Mutex<HashMap<PoolId, Arc<PoolFeed>>>,
}

/// What the rest of the desk must know of an event: presence, accounts.
enum Noted {
    PresenceLost(OperatorId),
    Changed(OperatorId, PoolId),
}

/// A console's place in the feed: everything up to `seq` is in `missed` or was seen, the rest comes through its queue.
pub struct Place {
    /// Where the live feed begins for it.
    pub seq: i64,
    /// The frames between what it saw last and `seq`; none: it must take a snapshot.
    pub missed: Option<Vec<Utf8Bytes>>,
}

impl Hub {
    /// An empty hub; pools are learnt when they are first needed.
    pub fn new(store: Arc<dyn Store>, plan: watch::Receiver<Arc<Plan>>, counters: Arc<Counters>) -> Self {
        Self { store, plan, counters, pools: Mutex::default() }
    }

    fn pool(&self, pool: &PoolId) -> Arc<PoolFeed> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        match pools.get(pool) {
            Some(feed) => Arc::clone(feed),
            None => {
                let feed = Arc::new(PoolFeed::new(pool.clone()));
                pools.insert(pool.clone(), Arc::clone(&feed));
                feed
            }
        }
    }

    fn feeds(&self) -> Vec<Arc<PoolFeed>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    /// The operator who holds a contact now, as far as the feed has told.
    pub fn holder(&self, pool: &PoolId, contact: ContactId) -> Option<OperatorId> {
        self.pool(pool).holder(contact)
    }

    /// The pool's feed, with its holders read from the store at the first use.
    async fn ready(&self, pool: &PoolId) -> Result<Arc<PoolFeed>, StoreError> {
        let feed = self.pool(pool);
        let _one_at_a_time = feed.seeding.lock().await;
        if !feed.is_seeded() {
            // The number first: contacts read after it are at least that new, and older events applied to them do no harm.
            let seq = self.store.last_seq(pool).await?;
            feed.seed(seq, self.holders(pool).await?);
        }
        drop(_one_at_a_time);
        Ok(feed)
    }

    async fn holders(&self, pool: &PoolId) -> Result<HashMap<ContactId, OperatorId>, StoreError> {
        let administrations: Vec<_> = self.plan.borrow().administrations_of(pool).cloned().collect();
        let filter = ContactFilter {
            states: vec![
                crate::model::contact::StateName::Offered,
                crate::model::contact::StateName::Active,
                crate::model::contact::StateName::Pending,
                crate::model::contact::StateName::WrapUp,
            ],
            ..ContactFilter::default()
        };
        let mut holders = HashMap::new();
        let mut offset = 0;
        loop {
            let page = self.store.contacts(&administrations, &filter, Page { limit: SEED_PAGE, offset }).await?;
            let count = u32::try_from(page.len()).unwrap_or(u32::MAX);
            for summary in page {
                let state = summary.contact.state;
                if let Some(operator) = state.owner().or(state.holder()) {
                    holders.insert(summary.contact.id, operator);
                }
            }
            if count < SEED_PAGE {
                return Ok(holders);
            }
            offset += count;
        }
    }

    /// Adds a console that saw everything up to `after`. From here on its queue fills.
    pub async fn join(&self, connection: &Arc<Connection>, directory: &Directory, after: Option<i64>) -> Result<Place, StoreError> {
        let pool = &connection.caller().login.pool;
        let feed = self.ready(pool).await?;
        let people = directory.people(pool).await?;
        feed.know(people);
        let plan = Arc::clone(&self.plan.borrow());
        let (seq, resumed) = feed.join(connection, after, &plan);
        let missed = match resumed {
            Resumed::Frames(frames) => Some(frames),
            Resumed::TooOld => None,
            // A snapshot may be newer than the feed, by what is on its way; anything beyond the journal was never there.
            Resumed::Ahead => (after <= Some(self.store.last_seq(pool).await?)).then(Vec::new),
        };
        Ok(Place { seq, missed })
    }

    /// Takes a console out; true if it was the operator's last.
    pub fn leave(&self, connection: &Arc<Connection>) {
        self.pool(&connection.caller().login.pool).leave(connection);
    }

    /// How many consoles an operator has open here.
    pub fn consoles(&self, pool: &PoolId, operator: OperatorId) -> usize {
        self.pool(pool).consoles(operator).len()
    }

    /// What a citizen does beside the chat, to the consoles of who has it; and what somebody has read, to their own.
    fn pass_aside(&self, aside: &Aside) {
        let feed = self.pool(&aside.pool);
        let mut to = feed.holder(aside.contact);
        let frame = match &aside.body {
            AsideBody::Seen { operator } => {
                to = Some(*operator);
                serde_json::json!({ "type": "seen", "contact": aside.contact })
            }
            AsideBody::CitizenTypes => serde_json::json!({ "type": "typing", "contact": aside.contact }),
            AsideBody::CitizenRead { message } => serde_json::json!({ "type": "read", "contact": aside.contact, "message": message }),
            AsideBody::OperatorTypes { .. } | AsideBody::OperatorRead { .. } => return,
        };
        if let Some(operator) = to {
            let frame = Utf8Bytes::from(frame.to_string());
            feed.consoles(operator).iter().for_each(|console| console.push_if_room(frame.clone()));
        }
    }

    /// An operator's consoles that fulfil a condition are told to look whether their session still stands.
    pub fn recheck(&self, operator: OperatorId) {
        for feed in self.feeds() {
            feed.consoles(operator).iter().for_each(|console| console.recheck());
        }
    }

    /// Closes the consoles of a session that ended here; other nodes find out within about a second.
    pub fn close_session(&self, pool: &PoolId, credential: &Credential) {
        let consoles = self.pool(pool).everybody();
        let mine = consoles.iter().filter(|console| console.caller().credential == *credential);
        mine.for_each(|console| console.close(connection::CLOSE_SESSION_ENDED));
    }

    /// How many consoles an operator has open here by other sessions.
    pub fn consoles_of_others(&self, pool: &PoolId, operator: OperatorId, credential: &Credential) -> usize {
        self.pool(pool).consoles(operator).iter().filter(|console| console.caller().credential != *credential).count()
    }

    /// Tells every console that the server stops.
    pub fn stop(&self) {
        for feed in self.feeds() {
            feed.everybody().iter().for_each(|console| console.close(connection::CLOSE_STOPPING));
        }
    }

    /// Takes a batch; a gap before it is read from the journal.
    async fn take(&self, batch: &FeedBatch) -> Result<Vec<Noted>, StoreError> {
        let feed = self.ready(&batch.pool).await?;
        let mut noted = Vec::new();
        if batch.first_seq > feed.last_seq() + 1 {
            self.recover(&feed, Some(batch.first_seq - 1), &mut noted).await?;
        }
        let plan = Arc::clone(&self.plan.borrow());
        self.note(&batch.pool, &batch.events, feed.last_seq(), &mut noted);
        let queued = feed.take(&batch.events, batch.last_seq, &plan);
        self.counters.frames_queued.fetch_add(queued, std::sync::atomic::Ordering::Relaxed);
        Ok(noted)
    }

    /// Reads what the feed did not bring, up to `until` or the journal's end.
    async fn recover(&self, feed: &Arc<PoolFeed>, until: Option<i64>, noted: &mut Vec<Noted>) -> Result<(), StoreError> {
        Counters::count(&self.counters.feed_gaps);
        let pool = &feed.pool;
        let end = match until {
            Some(until) => until,
            None => self.store.last_seq(pool).await?,
        };
        let from = feed.last_seq();
        tracing::info!(pool = %pool, from, end, "the live feed of pool {pool} has a gap; reading the journal");
        if end - from > GAP_MAX || self.is_forgotten(pool, from).await? {
            feed.restart(end, self.holders(pool).await?);
            return Ok(());
        }
        let plan = Arc::clone(&self.plan.borrow());
        let mut after = from;
        while after < end {
            let page = self.store.events_after(pool, after, JOURNAL_PAGE).await?;
            let full = page.len() == JOURNAL_PAGE as usize;
            after = page.last().map_or(end, |record| record.seq);
            let events: Vec<FeedEvent> = page.into_iter().filter(|record| record.seq <= end).filter_map(read_record).collect();
            self.note(pool, &events, feed.last_seq(), noted);
            feed.take(&events, if full { after.min(end) } else { end }, &plan);
            if !full {
                break;
            }
        }
        Ok(())
    }

    /// Whether the journal may no longer have everything after this number.
    async fn is_forgotten(&self, pool: &PoolId, after: i64) -> Result<bool, StoreError> {
        let oldest = self.store.events_after(pool, 0, 1).await?;
        Ok(oldest.first().is_some_and(|oldest| oldest.input_seq > after + 1))
    }

    fn note(&self, pool: &PoolId, events: &[FeedEvent], above: i64, noted: &mut Vec<Noted>) {
        for event in events.iter().filter(|event| event.event.seq > above) {
            match &event.event.body {
                EventBody::OperatorPresence { operator, connected: false, .. } => noted.push(Noted::PresenceLost(*operator)),
                EventBody::OperatorChanged { operator } => noted.push(Noted::Changed(*operator, pool.clone())),
                _ => {}
            }
        }
    }

    /// The pools whose feed lost its last batch and fell silent: behind the journal now, and where they were the last time.
    async fn silent(&self, seen: &mut HashMap<PoolId, i64>) -> Result<Vec<Arc<PoolFeed>>, StoreError> {
        let mut silent = Vec::new();
        for feed in self.feeds().into_iter().filter(|feed| feed.is_seeded()) {
            let before = feed.last_seq();
            let end = self.store.last_seq(&feed.pool).await?;
            if let Ok(people) = self.store.operators(&feed.pool).await.map(pool::people_of) {
                feed.know(people);
            }
            if end > before && seen.insert(feed.pool.clone(), before) == Some(before) {
                silent.push(feed);
            }
        }
        Ok(silent)
    }

    /// Catches up with the journal's end.
    async fn catch_up(&self, feed: &Arc<PoolFeed>) -> Vec<Noted> {
        let mut noted = Vec::new();
        if let Err(error) = self.recover(feed, None, &mut noted).await {
            tracing::warn!(pool = %feed.pool, %error, "the journal could not be read");
        }
        noted
    }
}

/// A journal row as the feed would have brought it.
fn read_record(record: EventRecord) -> Option<FeedEvent> {
    match serde_json::from_str::<Event>(&record.body) {
        Ok(event) => Some(FeedEvent { event: Arc::new(event), json: record.body.into(), traceparent: None }),
        Err(error) => {
            tracing::error!(seq = record.seq, %error, "event {} in the journal cannot be read", record.seq);
            None
        }
    }
}

/// Feeds the consoles until the desk stops.
pub async fn run(desk: Shared, feed: broadcast::Receiver<Arc<FeedBatch>>) {
    let (behind, catching_up) = mpsc::channel(1);
    tokio::select! {
        () = pass_on(&desk, feed, catching_up) => {}
        () = compare(&desk, behind) => {}
    }
    desk.hub.stop();
}

/// Compares each feed with its journal now and then. Beside the feed: a database that is slow to answer holds up no offer.
async fn compare(desk: &Shared, behind: mpsc::Sender<Arc<PoolFeed>>) {
    let mut look = tokio::time::interval(COMPARE_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = HashMap::new();
    loop {
        look.tick().await;
        match desk.hub.silent(&mut seen).await {
            Ok(silent) => {
                for feed in silent {
                    let _stopping = behind.send(feed).await;
                }
            }
            Err(error) => tracing::warn!(%error, "the journal's end could not be read"),
        }
    }
}

async fn pass_on(desk: &Shared, mut feed: broadcast::Receiver<Arc<FeedBatch>>, mut behind: mpsc::Receiver<Arc<PoolFeed>>) {
    let mut open = true;
    let mut asides = desk.asides.listen();
    let mut told = true;
    loop {
        let noted = tokio::select! {
            biased;
            () = desk.shutdown.cancelled() => break,
            batch = feed.recv(), if open => match batch {
                Ok(batch) => take_at_last(desk, &batch).await,
                // What was lost shows as a gap before the next batch.
                Err(RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "the desk did not keep up with the live feed");
                    Vec::new()
                }
                Err(RecvError::Closed) => {
                    open = false;
                    Vec::new()
                }
            },
            aside = asides.recv(), if told => {
                match aside {
                    Ok(aside) => desk.hub.pass_aside(&aside),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => told = false,
                }
                Vec::new()
            }
            Some(feed) = behind.recv() => desk.hub.catch_up(&feed).await,
        };
        for note in noted {
            match note {
                Noted::PresenceLost(operator) => desk.presence.router_lost(desk, operator),
                Noted::Changed(operator, pool) => {
                    desk.sessions.forget_operator(operator);
                    desk.directory.forget(&pool);
                    desk.hub.recheck(operator);
                }
            }
        }
    }
}

/// Takes a batch however long the database is away: order matters more than haste, and the feed's buffer is bounded.
async fn take_at_last(desk: &Shared, batch: &FeedBatch) -> Vec<Noted> {
    let mut pause = Duration::from_millis(50);
    loop {
        match desk.hub.take(batch).await {
            Ok(noted) => return noted,
            Err(error) => tracing::warn!(pool = %batch.pool, %error, "the journal could not be read; trying again"),
        }
        tokio::select! {
            () = desk.shutdown.cancelled() => return Vec::new(),
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(2)),
        }
    }
}
