//! What lives in memory only: the feeds, the queues of replies, and the names of the durable queues, so that a message that no
//! queue takes is found before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::broker::embedded::mailbox::Mailbox;
use crate::model::id::PoolId;
use crate::port::broker::{ConsumeError, Incoming, Source};

/// The names and the queues of this process.
#[derive(Default)]
pub(super) struct Switchboard {
    tables: RwLock<Tables>,
    up: AtomicBool,
}

#[derive(Default)]
struct Tables {
    durable: BTreeSet<String>,
    replies: BTreeMap<String, Weak<Mailbox>>,
    feeds: BTreeMap<PoolId, Vec<Weak<Mailbox>>>,
    asides: Vec<Weak<Mailbox>>,
    opened: u64,
}

impl Switchboard {
    /// The durable queues there are now.
    pub(super) fn set_durable(&self, durable: BTreeSet<String>) {
        self.write(|tables| tables.durable = durable);
    }

    /// Whether the file can be written.
    pub(super) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn has_durable(&self, queue: &str) -> bool {
        self.read(|tables| tables.durable.contains(queue))
    }

    /// A new queue of this process for a feed or for replies, with its name.
    pub(super) fn open(&self, source: &Source) -> (String, Arc<Mailbox>) {
        let mailbox = Arc::new(Mailbox::default());
        let name = self.write(|tables| {
            tables.replies.retain(|_, mailbox| mailbox.strong_count() > 0);
            tables.opened += 1;
            let weak = Arc::downgrade(&mailbox);
            if let Source::Feed(pool) = source {
                let mailboxes = tables.feeds.entry(pool.clone()).or_default();
                mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
                mailboxes.push(weak);
                format!("sportello.feed.{pool}.{}", tables.opened)
            } else if *source == Source::Aside {
                tables.asides.retain(|mailbox| mailbox.strong_count() > 0);
                tables.asides.push(weak);
                format!("sportello.aside.{}", tables.opened)
            } else {
                // Random, as RabbitMQ's own names are: an answer must not reach who opened the same number after a restart.
                let name = format!("sportello.reply.{:032x}", rand::random::<u128>());
                tables.replies.insert(name.clone(), weak);
                name
            }
        });
        (name, mailbox)
    }

    /// The mailbox of a queue of replies, if its consumer is still there.
    pub(super) fn reply(&self, queue: &str) -> Option<Arc<Mailbox>> {
        self.read(|tables| tables.replies.get(queue).and_then(Weak::upgrade))
    }

    /// Gives a message to every reader of a pool's feed.
    pub(super) fn feed(&self, pool: &PoolId, message: &Incoming) {
        let readers: Vec<Arc<Mailbox>> = self
            .read(|tables| tables.feeds.get(pool).map(|mailboxes| mailboxes.iter().filter_map(Weak::upgrade).collect()))
            .unwrap_or_default();
        for reader in readers {
            reader.push_dropping_oldest(message.clone());
        }
    }

    /// Gives a message to every reader of asides.
    pub(super) fn aside(&self, message: &Incoming) {
        let readers: Vec<Arc<Mailbox>> = self.read(|tables| tables.asides.iter().filter_map(Weak::upgrade).collect());
        for reader in readers {
            reader.push_dropping_oldest(message.clone());
        }
    }

    /// Ends every queue of this process.
    pub(super) fn end(&self, why: &ConsumeError) {
        let tables = self.write(std::mem::take);
        let of_feeds = tables.feeds.into_values().flatten();
        for mailbox in tables.replies.into_values().chain(of_feeds).chain(tables.asides).filter_map(|mailbox| mailbox.upgrade()) {
            mailbox.end(why.clone());
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Tables) -> T) -> T {
        change(&mut self.tables.write().unwrap_or_else(PoisonError::into_inner))
    }
}
