//! A consumer's buffer: whoever delivers puts messages in, the consumer takes them out or learns that there will be no more.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::broker::topology::{PROCESS_QUEUE_BYTES_MAX, PROCESS_QUEUE_LEN_MAX};
use crate::port::broker::{ConsumeError, Incoming};

/// Messages on their way to one consumer.
#[derive(Default)]
pub(super) struct Mailbox {
    inside: Mutex<Inside>,
    changed: Notify,
}

#[derive(Default)]
struct Inside {
    messages: VecDeque<Incoming>,
    bytes: usize,
    next_tag: u64,
    over: Option<ConsumeError>,
}

impl Mailbox {
    /// Puts in messages that carry their tags. Their number is bounded by the consumer's prefetch.
    pub(super) fn deliver(&self, messages: Vec<Incoming>) {
        let mut inside = self.lock();
        inside.bytes += messages.iter().map(|message| message.body.len()).sum::<usize>();
        inside.messages.extend(messages);
        drop(inside);
        self.changed.notify_one();
    }

    /// Puts in a message, gives it the next tag, and drops the oldest while there is too much.
    pub(super) fn push_dropping_oldest(&self, mut message: Incoming) {
        let mut inside = self.lock();
        inside.next_tag += 1;
        message.tag = inside.next_tag;
        inside.bytes += message.body.len();
        inside.messages.push_back(message);
        while inside.messages.len() > PROCESS_QUEUE_LEN_MAX as usize || inside.bytes > PROCESS_QUEUE_BYTES_MAX as usize {
            let Some(oldest) = inside.messages.pop_front() else { break };
            inside.bytes -= oldest.body.len();
        }
        drop(inside);
        self.changed.notify_one();
    }

    /// Ends it: what is still inside is taken away, for it will be delivered to somebody else.
    pub(super) fn end(&self, why: ConsumeError) {
        let mut inside = self.lock();
        inside.messages.clear();
        inside.bytes = 0;
        inside.over.get_or_insert(why);
        drop(inside);
        self.changed.notify_one();
    }

    /// Waits for messages and takes at most `max`. Cancel safe: they are taken in the last step.
    pub(super) async fn take(&self, max: usize) -> Result<Vec<Incoming>, ConsumeError> {
        loop {
            {
                let mut inside = self.lock();
                if let Some(over) = &inside.over {
                    return Err(over.clone());
                }
                let len = inside.messages.len().min(max);
                if len > 0 {
                    let taken: Vec<Incoming> = inside.messages.drain(..len).collect();
                    inside.bytes -= taken.iter().map(|message| message.body.len()).sum::<usize>();
                    return Ok(taken);
                }
            }
            // There is one reader, and a change since the look above has left its permit.
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
