//! A batch while it is put together, and until it is committed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::command::{CommandBody, Reply};
use crate::model::event::EventBody;
use crate::model::id::{MessageId, QueueId};
use crate::model::time::Timestamp;
use crate::plan::Plan;
use crate::port::feed::FeedEvent;
use crate::port::store::WriteSet;
use crate::routing::Effects;

use super::super::commands::PendingCommand;
use super::super::consumer::Ack;
use super::Arrival;

/// A batch while it is put together.
pub(super) struct Open {
    pub(super) arrivals: Vec<Arrival>,
    pub(super) acks: Vec<Ack>,
    /// Commands that came again: answered once all that was decided before them is committed. If it never is, nobody answers them, and
    /// who sent them asks again.
    pub(super) again: Vec<PendingCommand>,
    /// Why the engine must be rebuilt before anything else: an input made it panic.
    pub(super) panicked: Option<String>,
    pub(super) at: Timestamp,
    pub(super) seq: i64,
    pub(super) input_seq: i64,
    pub(super) effects: Effects,
    pub(super) writes: WriteSet,
    pub(super) feed: Vec<FeedEvent>,
    pub(super) answers: Vec<Reply>,
    /// What citizens are told of queues that the batch closes.
    pub(super) notices: HashMap<QueueId, String>,
    /// The plan that a command of the batch put in force.
    pub(super) plan: Option<Arc<Plan>>,
}

impl Open {
    /// Stands on a state: its time and its last number.
    pub(super) fn new(at: Timestamp, seq: i64) -> Self {
        Self {
            arrivals: Vec::new(),
            acks: Vec::new(),
            again: Vec::new(),
            panicked: None,
            at,
            seq,
            input_seq: seq,
            effects: Effects::default(),
            writes: WriteSet::default(),
            feed: Vec::new(),
            answers: Vec::new(),
            notices: HashMap::new(),
            plan: None,
        }
    }

    /// Whether there is nothing to commit and nothing to acknowledge. Commands that came again need no commit of their own.
    pub(super) fn is_empty(&self) -> bool {
        self.arrivals.is_empty() && self.acks.is_empty()
    }

    /// How many places of a batch are taken.
    pub(super) fn len(&self) -> usize {
        self.arrivals.len() + self.again.len()
    }

    /// This batch's inputs and those of the one behind it, to be decided anew.
    pub(super) fn followed_by(mut self, next: Self) -> Self {
        self.arrivals.extend(next.arrivals);
        self.acks.extend(next.acks);
        self
    }

    /// The number of the event that recorded a message in this batch.
    pub(super) fn number_of(&self, message: MessageId) -> i64 {
        let is_it = |event: &&FeedEvent| match event.event.body {
            EventBody::MessageReceived { message: it, .. } | EventBody::MessageQueued { message: it, .. } => it == message,
            _ => false,
        };
        self.feed.iter().rev().find(is_it).map_or(self.seq, |event| event.event.seq)
    }

    pub(super) fn number_of_written(&self, body: &CommandBody) -> i64 {
        match body {
            CommandBody::Reply { message, .. } | CommandBody::Copy { message, .. } => self.number_of(*message),
            _ => self.seq,
        }
    }
}
