//! What was taken in before: by this leader's memory, and for a while after a take-over by the database.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::fault;
use crate::model::command::Reply;

use super::super::intake::Item;
use super::{Arrival, Driver, kind_of};

/// Sources remembered, so that what comes twice in a short time is known without the database.
const REMEMBERED_MAX: usize = 100_000;
/// For so long after a take-over commands are looked up in the database: a predecessor may have committed them.
const PREDECESSOR_TIME: Duration = Duration::from_secs(60);

/// The sources of the newest inputs, at most [`REMEMBERED_MAX`].
#[derive(Debug, Default)]
pub(super) struct Known {
    sources: HashSet<String>,
    order: VecDeque<String>,
}

impl Known {
    /// False if it is remembered already.
    fn remember(&mut self, source: String) -> bool {
        if !self.sources.insert(source.clone()) {
            return false;
        }
        self.order.push_back(source);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.sources.remove(&oldest);
        }
        true
    }

    /// What goes to quarantine has had no effect: when it is tried again it is new.
    pub(super) fn forget(&mut self, source: &str) {
        if self.sources.remove(source) {
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
    /// Drops what was processed before and answers it.
    pub(super) async fn recognise(&mut self, arrivals: Vec<Arrival>) -> Vec<Arrival> {
        let unsure: Vec<String> = arrivals.iter().filter(|arrival| matches!(arrival, Arrival::Command(_))).filter_map(source_of).collect();
        let mut committed: HashSet<String> = HashSet::new();
        if self.started.elapsed() < PREDECESSOR_TIME
            && !unsure.is_empty()
            && let Ok(known) = self.deps.store.known_sources(&self.leadership.pool, &unsure).await
        {
            committed = unsure.into_iter().zip(known).filter(|(_, known)| *known).map(|(source, _)| source).collect();
        }
        let mut new = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let is_known = source_of(&arrival).is_some_and(|source| committed.contains(&source) || !self.known.remember(source));
            if is_known && !fault::is_broken("no_inbox") {
                self.deps.metrics.input(&self.leadership.pool, kind_of(&arrival), "duplicate");
                if let Arrival::Command(pending) = arrival {
                    let _ = pending.reply.send(Reply::Duplicate);
                }
            } else {
                new.push(arrival);
            }
        }
        new
    }
}
