//! The feed of one pool: who holds which contact, whose consoles are open, and the last events with whom they concerned.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;

use super::connection::Connection;
use crate::desk::authorisation::{known_administrations, watches};
use crate::desk::directory::People;
use crate::model::event::{Event, EventBody};
use crate::model::id::{ContactId, OperatorId, PoolId};
use crate::model::operator::{Operator, Role};
use crate::plan::Plan;
use crate::port::feed::FeedEvent;

/// Events kept for consoles that come back.
const KEPT_MAX: usize = 8_192;
/// The most frames that a console gets when it comes back; beyond it a snapshot is cheaper.
const RESUMED_FRAMES_MAX: usize = 1_000;

/// One pool's feed.
pub(super) struct PoolFeed {
    /// Which pool.
    pub(super) pool: PoolId,
    /// Held while the pool is first learnt.
    pub(super) seeding: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seeded: bool,
    last_seq: i64,
    holders: HashMap<ContactId, OperatorId>,
    consoles: HashMap<OperatorId, Vec<Arc<Connection>>>,
    watchers: Vec<Arc<Connection>>,
    people: Arc<People>,
    kept: VecDeque<Kept>,
    /// Everything above this number is in `kept`.
    kept_from: i64,
}

/// An event with whom it concerned when it happened.
struct Kept {
    item: FeedEvent,
    audience: Audience,
}

/// The operators whom an event concerns: whom it names, who held the contact before it, who holds it after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Audience {
    named: Option<OperatorId>,
    before: Option<OperatorId>,
    after: Option<OperatorId>,
}

impl Audience {
    fn has(self, operator: OperatorId) -> bool {
        [self.named, self.before, self.after].contains(&Some(operator))
    }

    /// Each of them once.
    fn each(self) -> impl Iterator<Item = OperatorId> {
        let before = self.before.filter(|_| self.before != self.named);
        let after = self.after.filter(|_| self.after != self.named && self.after != self.before);
        [self.named, before, after].into_iter().flatten()
    }
}

/// What a console that comes back gets.
pub(super) enum Resumed {
    /// What it missed.
    Frames(Vec<Utf8Bytes>),
    /// It was away too long, or was never here.
    TooOld,
    /// It has seen more than the feed has brought so far.
    Ahead,
}

/// The names are not needed here.
pub(super) fn people_of(operators: Vec<Operator>) -> Arc<People> {
    let operators = operators.into_iter().map(|operator| (operator.id, operator)).collect();
    Arc::new(People { operators, ..People::default() })
}

impl PoolFeed {
    pub(super) fn new(pool: PoolId) -> Self {
        Self { pool, seeding: tokio::sync::Mutex::new(()), state: Mutex::default() }
    }

    pub(super) fn is_seeded(&self) -> bool {
        self.state().seeded
    }

    pub(super) fn seed(&self, seq: i64, holders: HashMap<ContactId, OperatorId>) {
        let mut state = self.state();
        (state.seeded, state.last_seq, state.kept_from, state.holders) = (true, seq, seq, holders);
    }

    /// Starts again from `seq`: every console must take a snapshot.
    pub(super) fn restart(&self, seq: i64, holders: HashMap<ContactId, OperatorId>) {
        let mut state = self.state();
        state.kept.clear();
        (state.last_seq, state.kept_from, state.holders) = (seq, seq, holders);
        let frame = Utf8Bytes::from(format!(r#"{{"type":"hello","seq":{seq},"resumed":false}}"#));
        state.consoles.values().flatten().for_each(|console| console.restart(seq, frame.clone()));
    }

    pub(super) fn last_seq(&self) -> i64 {
        self.state().last_seq
    }

    pub(super) fn holder(&self, contact: ContactId) -> Option<OperatorId> {
        self.state().holders.get(&contact).copied()
    }

    pub(super) fn know(&self, people: Arc<People>) {
        self.state().people = people;
    }

    pub(super) fn consoles(&self, operator: OperatorId) -> Vec<Arc<Connection>> {
        self.state().consoles.get(&operator).cloned().unwrap_or_default()
    }

    pub(super) fn everybody(&self) -> Vec<Arc<Connection>> {
        self.state().consoles.values().flatten().cloned().collect()
    }

    /// Adds a console. Under one lock with what the feed brings: what came before is in the answer, what comes after goes to
    /// its queue, and nothing is in both.
    pub(super) fn join(&self, console: &Arc<Connection>, after: Option<i64>, plan: &Plan) -> (i64, Resumed) {
        let mut state = self.state();
        let seq = state.last_seq;
        let resumed = match after {
            Some(after) if after > seq => Resumed::Ahead,
            Some(after) if after >= state.kept_from => state.missed(console, after, plan, &self.pool),
            _ => Resumed::TooOld,
        };
        console.begin_after(after.unwrap_or(0).max(seq));
        if !matches!(resumed, Resumed::Ahead) {
            console.begin_after(seq);
        }
        state.consoles.entry(console.operator()).or_default().push(Arc::clone(console));
        if console.caller().has_role(Role::Supervisor) {
            state.watchers.push(Arc::clone(console));
        }
        (seq, resumed)
    }

    pub(super) fn leave(&self, console: &Arc<Connection>) {
        let mut state = self.state();
        if let Some(consoles) = state.consoles.get_mut(&console.operator()) {
            consoles.retain(|other| !Arc::ptr_eq(other, console));
            if consoles.is_empty() {
                state.consoles.remove(&console.operator());
            }
        }
        state.watchers.retain(|other| !Arc::ptr_eq(other, console));
    }

    /// Puts events above the last number into the queues they belong to; returns how many frames that were.
    pub(super) fn take(&self, events: &[FeedEvent], last_seq: i64, plan: &Plan) -> u64 {
        let mut state = self.state();
        let mut queued = 0;
        for item in events {
            if item.event.seq > state.last_seq {
                queued += state.apply(item, plan, &self.pool);
            }
        }
        state.last_seq = state.last_seq.max(last_seq);
        queued
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, item: &FeedEvent, plan: &Plan, pool: &PoolId) -> u64 {
        let event = &*item.event;
        let audience = self.follow(event);
        // A frame is made only if somebody gets it, and once for all who do.
        let mut frame: Option<Utf8Bytes> = None;
        let mut queued = 0;
        let mut push = |console: &Connection| {
            let frame = frame.get_or_insert_with(|| frame_of(item));
            queued += u64::from(console.push(event.seq, frame));
        };
        if is_for_many(&event.body) {
            let concerned = self.consoles.values().flatten().filter(|console| is_known_to(&event.body, console, plan, &self.people));
            concerned.for_each(|console| push(console));
        } else {
            for operator in audience.each() {
                self.consoles.get(&operator).into_iter().flatten().for_each(|console| push(console));
            }
            for console in &self.watchers {
                if !audience.has(console.operator()) && watches(plan, &console.caller().login.grants, pool, &self.people, event) {
                    push(console);
                }
            }
        }
        if self.kept.len() >= KEPT_MAX
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_from = oldest.item.event.seq;
        }
        self.kept.push_back(Kept { item: item.clone(), audience });
        queued
    }

    /// Keeps up who holds the contact, and says whom the event concerns.
    fn follow(&mut self, event: &Event) -> Audience {
        let named = event.body.operator();
        let Some(about) = &event.about else { return Audience { named, before: None, after: None } };
        let before = self.holders.get(&about.contact).copied();
        let after = holder_after(&event.body, before);
        if after != before {
            match after {
                Some(operator) => self.holders.insert(about.contact, operator),
                None => self.holders.remove(&about.contact),
            };
        }
        Audience { named, before, after }
    }

    fn missed(&self, console: &Connection, after: i64, plan: &Plan, pool: &PoolId) -> Resumed {
        let caller = console.caller();
        let operator = console.operator();
        let from = self.kept.partition_point(|kept| kept.item.event.seq <= after);
        let concerns = |kept: &&Kept| {
            let event = &*kept.item.event;
            kept.audience.has(operator)
                || (is_for_many(&event.body) && is_known_to(&event.body, console, plan, &self.people))
                || (caller.has_role(Role::Supervisor) && watches(plan, &caller.login.grants, pool, &self.people, event))
        };
        let frames: Vec<Utf8Bytes> =
            self.kept.range(from..).filter(concerns).take(RESUMED_FRAMES_MAX + 1).map(|kept| frame_of(&kept.item)).collect();
        if frames.len() > RESUMED_FRAMES_MAX { Resumed::TooOld } else { Resumed::Frames(frames) }
    }
}

/// Queues and plan: they name nobody, and concern whoever may know of them.
fn is_for_many(body: &EventBody) -> bool {
    matches!(body, EventBody::QueueClosed { .. } | EventBody::QueueOpened { .. } | EventBody::PlanApplied { .. })
}

/// A queue is known to those who may see anything of its administration, a plan to everybody.
fn is_known_to(body: &EventBody, console: &Connection, plan: &Plan, people: &People) -> bool {
    let (EventBody::QueueClosed { administration, .. } | EventBody::QueueOpened { administration, .. }) = body else { return true };
    let profile = people.operators.get(&console.operator()).map(|operator| &operator.profile);
    known_administrations(plan, &console.caller().login.grants, profile).contains(administration)
}

fn frame_of(item: &FeedEvent) -> Utf8Bytes {
    let mut frame = String::with_capacity(item.json.len() + 100);
    frame.push_str(r#"{"type":"event","event":"#);
    frame.push_str(&item.json);
    // It was checked where it came in: nothing in it has to be escaped.
    if let Some(traceparent) = &item.traceparent {
        frame.push_str(r#","traceparent":""#);
        frame.push_str(traceparent);
        frame.push('"');
    }
    frame.push('}');
    Utf8Bytes::from(frame)
}

/// Who holds a contact after an event, if `before` did: the offered operator counts as a holder.
fn holder_after(body: &EventBody, before: Option<OperatorId>) -> Option<OperatorId> {
    match body {
        EventBody::OfferMade { operator, .. }
        | EventBody::OfferAccepted { operator, .. }
        | EventBody::ContactAssigned { operator, .. }
        | EventBody::ContactTouched { operator }
        | EventBody::ContactPending { operator, .. }
        | EventBody::ContactWrapUp { operator, .. } => Some(*operator),
        EventBody::OfferRejected { operator, .. }
        | EventBody::OfferExpired { operator, .. }
        | EventBody::OfferRevoked { operator, .. }
        | EventBody::OfferRescinded { operator, .. }
        | EventBody::ContactReleased { operator, .. } => before.filter(|holder| holder != operator),
        EventBody::ContactQueued { .. }
        | EventBody::ContactTransferred { .. }
        | EventBody::ContactDeferred { .. }
        | EventBody::ContactClosed { .. }
        | EventBody::ContactAbandoned { .. } => None,
        _ => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    #[test]
    fn a_frame_has_the_trace_beside_the_event() {
        let event = Event { seq: 1, at: Timestamp(1), about: None, body: EventBody::PoolLed { epoch: 1 } };
        let json: Arc<str> = serde_json::to_string(&event).expect("plain data").into();
        for trace in [None, Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")] {
            let item = FeedEvent { event: Arc::new(event.clone()), json: Arc::clone(&json), traceparent: trace.map(Arc::from) };
            let frame: serde_json::Value = serde_json::from_str(&frame_of(&item)).expect("JSON");
            assert_eq!((frame["type"].as_str(), frame["traceparent"].as_str()), (Some("event"), trace));
            assert_eq!(frame["event"]["seq"], 1);
        }
    }
}
