//! A socket's messages on their way to the broker: one after another, in the order in which they were written, each answered only
//! when the broker has it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::limits::UNPUBLISHED_MAX;
use crate::model::id::MessageId;
use crate::port::broker::{Outgoing, PublishError, Publisher};

/// A message that waits, with what is answered when it is out.
struct Item {
    client_id: Option<String>,
    message: Option<MessageId>,
    outgoing: Outgoing,
}

/// The one that is on its way.
struct Current {
    client_id: Option<String>,
    message: Option<MessageId>,
    publishing: JoinHandle<Result<(), PublishError>>,
}

/// What became of one.
pub struct Published {
    /// The browser's id; none: nothing is answered.
    pub client_id: Option<String>,
    /// The message's own.
    pub message: Option<MessageId>,
    /// Whether the broker has it.
    pub outcome: Result<(), PublishError>,
}

/// The messages of one socket.
pub struct Outbox {
    publisher: Arc<dyn Publisher>,
    waiting: VecDeque<Item>,
    current: Option<Current>,
}

impl Outbox {
    /// Nothing waits.
    pub fn new(publisher: Arc<dyn Publisher>) -> Self {
        Self { publisher, waiting: VecDeque::new(), current: None }
    }

    /// Takes one more; false if too many wait.
    pub fn push(&mut self, client_id: Option<String>, message: Option<MessageId>, outgoing: Outgoing) -> bool {
        if self.waiting.len() >= UNPUBLISHED_MAX {
            return false;
        }
        self.waiting.push_back(Item { client_id, message, outgoing });
        true
    }

    /// Waits until the next one is out or failed; for ever while none waits. Cancel safe: a publish goes on where it was.
    pub async fn published(&mut self) -> Published {
        if self.current.is_none() {
            let Some(Item { client_id, message, outgoing }) = self.waiting.pop_front() else { return std::future::pending().await };
            let publisher = Arc::clone(&self.publisher);
            let publishing = tokio::spawn(async move { publisher.publish(vec![outgoing]).await });
            self.current = Some(Current { client_id, message, publishing });
        }
        let Some(Current { publishing, .. }) = &mut self.current else { return std::future::pending().await };
        let outcome = publishing.await.unwrap_or_else(|_| Err(PublishError::Unavailable("the publish was dropped".to_owned())));
        let Current { client_id, message, .. } = self.current.take().expect("it was just awaited");
        Published { client_id, message, outcome }
    }

    /// Lets what waits go out without anybody to answer: the socket is gone, the words are not.
    pub async fn flush(&mut self) {
        while self.current.is_some() || !self.waiting.is_empty() {
            if self.published().await.outcome.is_err() {
                return;
            }
        }
    }
}
