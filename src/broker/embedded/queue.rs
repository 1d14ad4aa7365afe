//! One durable queue in memory: what is ready, who holds what, in which order. It decides, the file remembers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::broker::embedded::mailbox::Mailbox;
use crate::broker::topology::{COMMAND_TTL_MS, DEAD};
use crate::model::time::Timestamp;
use crate::port::broker::Incoming;

/// What a message says beside its body; one column of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    #[serde(rename = "k")]
    pub(super) routing_key: String,
    #[serde(rename = "i")]
    pub(super) id: String,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<String>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) reply_to: Option<String>,
}

/// A message of a durable queue.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) head: Arc<Head>,
    pub(super) body: Bytes,
    pub(super) expires_at: Option<Timestamp>,
    /// Deliveries that ended without an acknowledgement.
    pub(super) deliveries: u32,
    pub(super) death: Option<String>,
}

/// The rules of a queue, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// Only the first consumer gets messages; the next one when it ends.
    single_active: bool,
    /// Messages expire.
    pub(super) expires: bool,
    /// What becomes of a message beyond the delivery limit.
    pub(super) beyond: Beyond,
}

/// What becomes of a message beyond the delivery limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    /// It goes to the dead letters.
    Dies,
    /// It is dropped: a late command.
    Dropped,
    /// It is delivered again for ever: a dead letter.
    Stays,
}

impl Rules {
    fn of(name: &str) -> Self {
        if name == DEAD {
            Self { single_active: false, expires: false, beyond: Beyond::Stays }
        } else if name.starts_with("sportello.command.") {
            Self { single_active: true, expires: true, beyond: Beyond::Dropped }
        } else {
            Self { single_active: name.starts_with("sportello.router."), expires: false, beyond: Beyond::Dies }
        }
    }
}

/// A consumer as the queue sees it.
struct Reader {
    id: u64,
    prefetch: usize,
    mailbox: Arc<Mailbox>,
    next_tag: u64,
    /// By tag, in the order handed out.
    held: VecDeque<(u64, u64, Stored)>,
}

/// A durable queue. Sequence numbers are the file's primary key and order all queues.
pub(super) struct Queue {
    pub(super) rules: Rules,
    ready: BTreeMap<u64, Stored>,
    readers: VecDeque<Reader>,
    held: usize,
    /// The highest sequence number held, as the file has it.
    pub(super) marked: u64,
}

/// A message taken out of a queue, with its sequence number.
pub(super) type Numbered = (u64, Stored);

/// A reader's mailbox with what it gets once the transaction is durable.
pub(super) type Delivery = (Arc<Mailbox>, Vec<Incoming>);

impl Queue {
    pub(super) fn new(name: &str) -> Self {
        Self { rules: Rules::of(name), ready: BTreeMap::new(), readers: VecDeque::new(), held: 0, marked: 0 }
    }

    /// Messages, handed-out ones included.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.held
    }

    /// When a message published now expires here.
    pub(super) fn expiry(&self, now: Timestamp) -> Option<Timestamp> {
        self.rules.expires.then(|| now.plus(std::time::Duration::from_millis(COMMAND_TTL_MS.into())))
    }

    pub(super) fn put(&mut self, seq: u64, stored: Stored) {
        self.ready.insert(seq, stored);
    }

    /// Takes out what has expired; expiry follows the order, so only the front can have.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Numbered> {
        let mut expired = Vec::new();
        while let Some(front) = self.ready.first_entry()
            && front.get().expires_at.is_some_and(|at| at <= now)
        {
            expired.push(front.remove_entry());
        }
        expired
    }

    pub(super) fn attach(&mut self, id: u64, prefetch: usize, mailbox: Arc<Mailbox>) {
        self.readers.push_back(Reader { id, prefetch, mailbox, next_tag: 1, held: VecDeque::new() });
    }

    /// Hands out what is ready to whoever has room.
    pub(super) fn dispatch(&mut self) -> Vec<Delivery> {
        let active = if self.rules.single_active { 1 } else { self.readers.len() };
        let mut deliveries = Vec::new();
        for reader in self.readers.iter_mut().take(active) {
            let mut messages = Vec::new();
            while reader.held.len() < reader.prefetch {
                let Some((seq, stored)) = self.ready.pop_first() else { break };
                let tag = reader.next_tag;
                reader.next_tag += 1;
                messages.push(stored.incoming(tag));
                reader.held.push_back((tag, seq, stored));
            }
            if !messages.is_empty() {
                self.held += messages.len();
                deliveries.push((Arc::clone(&reader.mailbox), messages));
            }
        }
        // Whoever came first this time comes last the next.
        if !self.rules.single_active && self.readers.len() > 1 {
            self.readers.rotate_left(1);
        }
        deliveries
    }

    /// Takes out what a reader acknowledges; none if the reader does not hold `tag`.
    pub(super) fn ack(&mut self, reader: u64, tag: u64) -> Option<Vec<Numbered>> {
        let reader = self.readers.iter_mut().find(|candidate| candidate.id == reader)?;
        let position = reader.held.iter().position(|(held, ..)| *held == tag)?;
        let done: Vec<Numbered> = reader.held.drain(..=position).map(|(_, seq, stored)| (seq, stored)).collect();
        self.held -= done.len();
        Some(done)
    }

    /// Takes a reader away and what it holds back into its place. `handed`: the last tag its owner got to see; those count as
    /// failed. Returns the messages that now have one failure more.
    pub(super) fn detach(&mut self, reader: u64, handed: u64) -> Vec<Numbered> {
        let Some(position) = self.readers.iter().position(|candidate| candidate.id == reader) else { return Vec::new() };
        let reader = self.readers.remove(position).expect("its position was just found");
        self.held -= reader.held.len();
        let mut failed = Vec::new();
        for (tag, seq, mut stored) in reader.held {
            if tag <= handed {
                stored.deliveries += 1;
                failed.push((seq, stored.clone()));
            }
            self.ready.insert(seq, stored);
        }
        failed
    }

    /// Takes out a message that is ready.
    pub(super) fn take(&mut self, seq: u64) -> Option<Stored> {
        self.ready.remove(&seq)
    }

    /// The highest sequence number held; 0 if nothing is.
    pub(super) fn mark(&self) -> u64 {
        self.readers.iter().flat_map(|reader| reader.held.iter().map(|(_, seq, _)| *seq)).max().unwrap_or(0)
    }

    /// Everybody who reads.
    pub(super) fn mailboxes(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.readers.iter().map(|reader| &reader.mailbox)
    }
}

impl Stored {
    fn incoming(&self, tag: u64) -> Incoming {
        Incoming {
            tag,
            routing_key: self.head.routing_key.clone(),
            id: Some(self.head.id.clone()),
            body: self.body.clone(),
            traceparent: self.head.traceparent.clone(),
            reply_to: self.head.reply_to.clone(),
            redelivered: self.deliveries > 0,
            death: self.death.clone(),
        }
    }
}
