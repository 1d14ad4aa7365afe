//! What was taken in before: by this leader's memory, and for a while after a take-over by the database. A command that comes again
//! is answered as the first was, and not before that is committed.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::fault;
use crate::model::command::{Refusal, Reply};
use crate::model::id::PoolId;
use crate::port::store::Store;

use super::super::commands::PendingCommand;
use super::super::intake::Item;
use super::super::ticking::ticking;
use super::open::Open;
use super::{Arrival, Driver, kind_of};

/// Sources remembered, so that what comes twice in a short time is known without the database.
const REMEMBERED_MAX: usize = 100_000;
/// For so long after a take-over commands are looked up in the database, for a predecessor may have committed them; and so long after
/// one came that only the database remembered, for more of that kind may follow.
pub(super) const LOOKED_UP_FOR: Duration = Duration::from_secs(60);

/// The sources of the newest inputs, at most [`REMEMBERED_MAX`], and why those were refused that were.
#[derive(Debug, Default)]
pub(super) struct Known {
    sources: HashMap<String, Option<Refusal>>,
    order: VecDeque<String>,
}

impl Known {
    /// False if it is remembered already.
    fn remember(&mut self, source: String) -> bool {
        if self.sources.contains_key(&source) {
            return false;
        }
        self.sources.insert(source.clone(), None);
        self.order.push_back(source);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.sources.remove(&oldest);
        }
        true
    }

    /// How it ended: what it hears when it comes again.
    pub(super) fn note(&mut self, source: &str, refusal: Option<Refusal>) {
        if let Some(known) = self.sources.get_mut(source) {
            *known = refusal;
        }
    }

    /// What is said to one that comes again.
    pub(super) fn answer(&self, source: &str) -> Option<Reply> {
        self.sources.get(source).map(|refusal| refusal.map_or(Reply::Duplicate, |code| Reply::Refused { code }))
    }

    /// What goes to quarantine has had no effect: when it is tried again it is new.
    pub(super) fn forget(&mut self, source: &str) {
        if self.sources.remove(source).is_some() {
            // the newest, or nearly
            if let Some(at) = self.order.iter().rposition(|known| known == source) {
                self.order.remove(at);
            }
        }
    }
}

/// By what an arrival is known when it comes again; none: it cannot come again.
pub(super) fn source_of(arrival: &Arrival) -> Option<String> {
    match arrival {
        Arrival::Command(pending) => Some(pending.envelope.command.id.to_string()),
        Arrival::Item(Item::Input(prepared)) => Some(prepared.source.clone()),
        _ => None,
    }
}

impl Driver {
    /// Drops what was processed before. A command is answered at once if the database has it; one that is remembered waits in the open
    /// batch: what it repeats stands in that one, or in the one before it.
    pub(super) async fn recognise(&mut self, arrivals: Vec<Arrival>, open: &mut Open) -> Vec<Arrival> {
        let unsure: Vec<String> = arrivals.iter().filter(|arrival| matches!(arrival, Arrival::Command(_))).filter_map(source_of).collect();
        let committed = if Instant::now() < self.looks_up_until {
            ticking(&*self.deps.tick, committed(&*self.deps.store, &self.leadership.pool, unsure)).await
        } else {
            HashMap::new()
        };
        let mut new = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let Some(source) = source_of(&arrival) else {
                new.push(arrival);
                continue;
            };
            let stored = committed.get(&source).cloned();
            if stored.is_none() && self.known.remember(source) || fault::is_broken("no_inbox") {
                new.push(arrival);
                continue;
            }
            self.deps.metrics.input(&self.leadership.pool, kind_of(&arrival), "duplicate");
            match (arrival, stored) {
                (Arrival::Command(pending), Some(reply)) => drop(pending.reply.send(reply)),
                (Arrival::Command(pending), None) => open.again.push(*pending),
                _ => {}
            }
        }
        new
    }

    /// Answers what of these the database has, by a predecessor or longer ago than is remembered. Returns the others.
    pub(super) async fn answer_committed(&mut self, arrivals: Vec<Arrival>) -> Vec<Arrival> {
        let sources = arrivals.iter().filter_map(source_of).collect();
        let committed = ticking(&*self.deps.tick, committed(&*self.deps.store, &self.leadership.pool, sources)).await;
        if committed.is_empty() || fault::is_broken("no_inbox") {
            return arrivals;
        }
        self.looks_up_until = Instant::now() + LOOKED_UP_FOR;
        tracing::warn!(pool = %self.leadership.pool, inputs = committed.len(), "inputs came that are committed already; they are answered");
        let mut new = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let Some((source, reply)) = source_of(&arrival).and_then(|source| committed.get_key_value(&source)) else {
                new.push(arrival);
                continue;
            };
            self.deps.metrics.input(&self.leadership.pool, kind_of(&arrival), "duplicate");
            self.known.note(source, refusal_in(reply));
            if let Arrival::Command(pending) = arrival {
                let _ = pending.reply.send(reply.clone());
            }
        }
        new
    }

    /// Answers commands that came again: all they repeat is committed. One of which nothing is known asks once more.
    pub(super) fn answer_again(&self, again: Vec<PendingCommand>) {
        for pending in again {
            if let Some(reply) = self.known.answer(&pending.envelope.command.id.to_string()) {
                let _ = pending.reply.send(reply);
            }
        }
    }
}

/// What the database says of sources that it has: how each is answered when it comes again. Nothing while it is away.
async fn committed(store: &dyn Store, pool: &PoolId, sources: Vec<String>) -> HashMap<String, Reply> {
    if sources.is_empty() {
        return HashMap::new();
    }
    let Ok(outcomes) = store.outcomes(pool, &sources).await else { return HashMap::new() };
    let reply = |outcome: String| match serde_json::from_value(serde_json::Value::String(outcome)) {
        Ok(code) => Reply::Refused { code },
        Err(_applied) => Reply::Duplicate,
    };
    sources.into_iter().zip(outcomes).filter_map(|(source, outcome)| Some((source, reply(outcome?)))).collect()
}

fn refusal_in(reply: &Reply) -> Option<Refusal> {
    match reply {
        Reply::Refused { code } => Some(*code),
        Reply::Applied { .. } | Reply::Duplicate => None,
    }
}
