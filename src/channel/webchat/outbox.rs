//! A socket's messages on their way to the broker: one after another, in the order in which they were written, each answered only
//! when the broker has it. None goes before one that was written earlier and has to come again.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::limits::{LATER_WITHIN, UNPUBLISHED_MAX};
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
    /// Those that stood behind one that failed.
    behind: VecDeque<Item>,
    /// The first that was answered `later`, and how long the others wait for it.
    later: Option<(String, Instant)>,
}

impl Outbox {
    /// Nothing waits.
    pub fn new(publisher: Arc<dyn Publisher>) -> Self {
        Self { publisher, waiting: VecDeque::new(), current: None, behind: VecDeque::new(), later: None }
    }

    /// Whether a message must wait for an earlier one that was answered `later` and has not come again.
    pub fn must_wait(&mut self, id: &str) -> bool {
        if self.later.as_ref().is_some_and(|(first, until)| first == id || *until <= Instant::now()) {
            self.later = None;
        }
        self.later.is_some()
    }

    /// A message is answered `later`: what is written behind it is, too, until it comes again.
    pub fn put_off(&mut self, id: &str) {
        self.later.get_or_insert_with(|| (id.to_owned(), Instant::now() + LATER_WITHIN));
    }

    /// Takes one more; false if too many wait.
    pub fn push(&mut self, client_id: Option<String>, message: Option<MessageId>, outgoing: Outgoing) -> bool {
        if self.waiting.len() >= UNPUBLISHED_MAX {
            return false;
        }
        self.waiting.push_back(Item { client_id, message, outgoing });
        true
    }

    /// Waits until the next one is out or failed, and with it all behind it; for ever while none waits. Cancel safe: a publish goes
    /// on where it was.
    pub async fn published(&mut self) -> Published {
        if let Some(Item { client_id, message, .. }) = self.behind.pop_front() {
            let outcome = Err(PublishError::Unavailable("the one before it was not published".to_owned()));
            return Published { client_id, message, outcome };
        }
        if self.current.is_none() {
            let Some(Item { client_id, message, outgoing }) = self.waiting.pop_front() else { return std::future::pending().await };
            let publisher = Arc::clone(&self.publisher);
            let publishing = tokio::spawn(async move { publisher.publish(vec![outgoing]).await });
            self.current = Some(Current { client_id, message, publishing });
        }
        let Some(Current { publishing, .. }) = &mut self.current else { return std::future::pending().await };
        let outcome = publishing.await.unwrap_or_else(|_| Err(PublishError::Unavailable("the publish was dropped".to_owned())));
        let Current { client_id, message, .. } = self.current.take().expect("it was just awaited");
        if outcome.is_err() {
            self.behind.append(&mut self.waiting);
            if let Some(id) = &client_id {
                self.put_off(id);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::channel::Channel;
    use crate::model::id::PoolId;
    use crate::port::broker::Destination;
    use crate::port::testing::{FakeBroker, administration};

    fn push(outbox: &mut Outbox, id: &str) {
        let pool = PoolId::new("pool").expect("a name");
        let destination = Destination::Inbound { pool, administration: administration("comune"), channel: Channel::webchat() };
        assert!(outbox.push(Some(id.to_owned()), None, Outgoing::new(destination, id.to_owned(), Vec::new())));
    }

    /// The next answer: whose, and whether it is out.
    async fn answer(outbox: &mut Outbox) -> (String, bool) {
        let Published { client_id, outcome, .. } = outbox.published().await;
        (client_id.expect("a message's"), outcome.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_behind_one_that_failed_does_not_overtake_it() {
        let broker = Arc::new(FakeBroker::default());
        let mut outbox = Outbox::new(Arc::clone(&broker) as Arc<dyn Publisher>);
        *broker.refuses.lock().expect("nobody panicked") =
            |message| (message.id == "a").then(|| PublishError::Unavailable("full".to_owned()));
        for id in ["a", "b", "c"] {
            push(&mut outbox, id);
        }
        for id in ["a", "b", "c"] {
            assert_eq!(answer(&mut outbox).await, (id.to_owned(), false));
        }
        *broker.refuses.lock().expect("nobody panicked") = |_| None;
        assert!(outbox.must_wait("d"), "it was on its way when the first failed");
        assert!(outbox.must_wait("b"));
        assert!(!outbox.must_wait("a") && !outbox.must_wait("b"), "from the first on, in their order");
        for id in ["a", "b"] {
            push(&mut outbox, id);
            assert_eq!(answer(&mut outbox).await, (id.to_owned(), true));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_come_again_is_not_waited_for_any_longer() {
        let mut outbox = Outbox::new(Arc::new(FakeBroker::default()));
        outbox.put_off("a");
        outbox.put_off("b");
        assert!(outbox.must_wait("b"), "the first counts");
        tokio::time::sleep(LATER_WITHIN).await;
        assert!(!outbox.must_wait("b"));
    }
}
