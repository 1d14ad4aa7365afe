//! The engine and what it stands on: inputs, commits, leadership, operators, relay, broker, store, quarantine.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::family::Families;
use super::{Metrics, lock};
use crate::model::event::{Event, EventBody};
use crate::model::id::{OperatorId, PoolId};
use crate::model::operator::{Operator, PresenceState};
use crate::model::time::Timestamp;

/// A commit is one fsync: a millisecond on good disks, tens on bad ones; above a second something is wrong.
const COMMIT_SECONDS: [f64; 11] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// Powers of two up to the default batch: the right end filling up means that inputs come faster than commits.
const BATCH_INPUTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

const PRESENCES: [&str; 4] = ["offline", "ready", "away", "lost"];
/// Where quarantined inputs can come from: shown as 0 while none is held.
const QUARANTINE_SOURCES: [&str; 8] = ["inbound", "outbound", "dead", "command", "smtp", "imap", "mailbox", "sms"];
pub(super) struct EngineMetrics {
    inputs: IntCounterVec,
    events: IntCounterVec,
    operators: IntGaugeVec,
    leader: IntGaugeVec,
    takeovers: IntCounterVec,
    rebuilds: IntCounterVec,
    commit_seconds: HistogramVec,
    batch_inputs: HistogramVec,
    relay_lag: IntGaugeVec,
    relay_passed_over: IntCounterVec,
    store_up: IntGaugeVec,
    store_errors: IntCounterVec,
    quarantine: IntGaugeVec,
    removed: IntCounterVec,
    presence: Mutex<HashMap<OperatorId, (PoolId, &'static str)>>,
}

impl EngineMetrics {
    pub(super) fn new(families: &mut Families) -> Self {
        let (commits, batches) = (&COMMIT_SECONDS, &BATCH_INPUTS);
        Self {
            inputs: families.counter(
                "sportello_inputs_total",
                &["pool", "kind", "outcome"],
                "Inputs of the engine, by kind and what came of them: applied, duplicate, refused, quarantined.",
            ),
            events: families.counter("sportello_events_total", &["pool", "event"], "Events, by name."),
            operators: families.gauge(
                "sportello_operators",
                &["pool", "presence"],
                "Operators by presence; lost ones have no console at the moment.",
            ),
            leader: families.gauge("sportello_leader", &["pool"], "1 while this process leads the pool."),
            takeovers: families.counter("sportello_takeovers_total", &["pool"], "How often this process took the lead of the pool."),
            rebuilds: families.counter(
                "sportello_engine_rebuilds_total",
                &["pool", "reason"],
                "How often the engine was made anew from the store: fenced, refused, panic.",
            ),
            commit_seconds: families.histogram(
                "sportello_commit_duration_seconds",
                &["pool"],
                commits,
                "How long a commit took, repetitions included.",
            ),
            batch_inputs: families.histogram("sportello_batch_inputs", &["pool"], batches, "Inputs in one commit."),
            relay_lag: families.gauge(
                "sportello_relay_lag_events",
                &["pool", "relay"],
                "Sequence numbers committed and not yet passed by the relay.",
            ),
            relay_passed_over: families.counter(
                "sportello_relay_passed_over_total",
                &["pool", "relay"],
                "Events of which the relay could publish nothing, and orders that went to nobody: see the log.",
            ),
            store_up: families.gauge("sportello_store_up", &["kind"], "1 while the database answers."),
            store_errors: families.counter("sportello_store_errors_total", &["kind", "error"], "Failed calls to the database, by error."),
            quarantine: families.gauge(
                "sportello_quarantine_held",
                &["source"],
                "Inputs that could not be processed and wait for somebody to look.",
            ),
            removed: families.counter(
                "sportello_housekeeping_removed_total",
                &["what"],
                "What was taken away because its time was over: events and inputs of the logs, conversations erased by their administration's term, bytes of the quarantine that were handed in again, blobs that no row names.",
            ),
            presence: Mutex::default(),
        }
    }

    fn event(&self, pool: &PoolId, body: &EventBody) {
        // One look-up by two short names, without allocation.
        self.events.with_label_values(&[pool.as_str(), body.name()]).inc();
        match body {
            EventBody::PoolLed { .. } => self.takeovers.with_label_values(&[pool.as_str()]).inc(),
            EventBody::OperatorPresence { operator, presence, connected } => {
                self.set_presence(pool, *operator, presence, *connected);
            }
            _ => {}
        }
    }

    fn set_presence(&self, pool: &PoolId, operator: OperatorId, state: &PresenceState, connected: bool) {
        let name = if connected || *state == PresenceState::Offline { state.name() } else { "lost" };
        let before = lock(&self.presence).insert(operator, (pool.clone(), name));
        if let Some((pool, name)) = before {
            self.operators.with_label_values(&[pool.as_str(), name]).dec();
        }
        self.operators.with_label_values(&[pool.as_str(), name]).inc();
    }
}

impl Metrics {
    /// Moves what an event moves. The driver calls it for every committed event of a pool, in order.
    pub fn event(&self, pool: &PoolId, event: &Event) {
        self.engine.event(pool, &event.body);
        self.contacts.event(event);
    }

    /// The operators of a pool as a new leader finds them: replaces what was known.
    pub fn roster<'o>(&self, pool: &PoolId, operators: impl IntoIterator<Item = &'o Operator>) {
        lock(&self.engine.presence).retain(|_, (known, _)| known != pool);
        for name in PRESENCES {
            self.engine.operators.with_label_values(&[pool.as_str(), name]).set(0);
        }
        // from 0 on, so that the first of them is an increase
        for reason in ["fenced", "refused", "panic"] {
            self.engine.rebuilds.with_label_values(&[pool.as_str(), reason]).inc_by(0);
        }
        for relay in ["outbound", "events"] {
            self.engine.relay_passed_over.with_label_values(&[pool.as_str(), relay]).inc_by(0);
            self.engine.relay_lag.with_label_values(&[pool.as_str(), relay]).set(0);
        }
        for operator in operators {
            let connected = operator.presence.node.is_some() && operator.presence.lost_at.is_none();
            self.engine.set_presence(pool, operator.id, &operator.presence.state, connected);
        }
    }

    /// An input reached the engine. `kind` is [`crate::model::input::Input::kind`]; `outcome` is `applied`, `duplicate`,
    /// `refused` or `quarantined`.
    pub fn input(&self, pool: &PoolId, kind: &'static str, outcome: &'static str) {
        self.engine.inputs.with_label_values(&[pool.as_str(), kind, outcome]).inc();
    }

    /// A batch was committed.
    pub fn committed(&self, pool: &PoolId, inputs: usize, took: Duration) {
        self.engine.commit_seconds.with_label_values(&[pool.as_str()]).observe(took.as_secs_f64());
        self.engine.batch_inputs.with_label_values(&[pool.as_str()]).observe(inputs as f64);
    }

    /// Whether this process leads a pool now. Who does not lead says nothing of the pool's contacts and operators.
    pub fn leads(&self, pool: &PoolId, leads: bool) {
        self.engine.leader.with_label_values(&[pool.as_str()]).set(i64::from(leads));
        if !leads {
            self.contact_counts(pool, &[], Timestamp(0));
            self.roster(pool, []);
            self.contacts.forget_waits();
        }
    }

    /// The engine is made anew. `reason` is `fenced`, `refused` or `panic`.
    pub fn rebuilt(&self, pool: &PoolId, reason: &'static str) {
        self.engine.rebuilds.with_label_values(&[pool.as_str(), reason]).inc();
    }

    /// How far a relay (`feed`, `outbound`, `events`) is behind: the last committed sequence number less its cursor.
    pub fn relay_lag(&self, pool: &PoolId, relay: &'static str, behind: i64) {
        self.engine.relay_lag.with_label_values(&[pool.as_str(), relay]).set(behind.max(0));
    }

    /// So many messages of a relay could not be made or published, and never will be.
    pub fn relay_passed_over(&self, pool: &PoolId, relay: &'static str, count: usize) {
        self.engine.relay_passed_over.with_label_values(&[pool.as_str(), relay]).inc_by(count as u64);
    }

    /// Whether the database answers. `kind` is [`crate::port::store::Store::kind`].
    pub fn store_up(&self, kind: &'static str, up: bool) {
        self.engine.store_up.with_label_values(&[kind]).set(i64::from(up));
    }

    /// A call to the database failed. `error` is `unavailable`, `refused`, `fenced` or `unreadable`.
    pub fn store_error(&self, kind: &'static str, error: &'static str) {
        self.engine.store_errors.with_label_values(&[kind, error]).inc();
    }

    /// Housekeeping took something away. `what` is `events`, `inputs`, `conversations`, `quarantined` or `blobs`.
    pub fn removed(&self, what: &'static str, count: u64) {
        self.engine.removed.with_label_values(&[what]).inc_by(count);
    }

    /// What quarantine holds, by source: [`crate::port::store::Store::quarantine_counts`]. Sources not named hold nothing.
    pub fn quarantine_held(&self, counts: &[(String, i64)]) {
        for source in QUARANTINE_SOURCES {
            self.engine.quarantine.with_label_values(&[source]).set(0);
        }
        for (source, count) in counts {
            // A source that is none of ours must not become a series of its own.
            let source = QUARANTINE_SOURCES.into_iter().find(|known| known == source).unwrap_or("inbound");
            self.engine.quarantine.with_label_values(&[source]).add(*count);
        }
    }
}
