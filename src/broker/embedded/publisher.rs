//! Sorts a batch by where it goes: durable queues through the writer, feeds and replies straight into memory, events nowhere,
//! for nobody can bind to an embedded broker.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::broker::embedded::closed;
use crate::broker::embedded::queue::{Head, Stored};
use crate::broker::embedded::switchboard::Switchboard;
use crate::broker::embedded::writer::{Job, Placed};
use crate::broker::topology::{check, command_queue, outbound_queue, route, router_queue};
use crate::port::broker::{Destination, Incoming, Outgoing, PublishError, Publisher};

pub(super) struct EmbeddedPublisher {
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) switchboard: Arc<Switchboard>,
}

/// The durable queue that takes a message; none if it is kept in memory or by nobody.
fn queue_of(destination: &Destination) -> Option<String> {
    match destination {
        Destination::Inbound { pool, .. } => Some(router_queue(pool)),
        Destination::Command { pool } => Some(command_queue(pool)),
        Destination::Outbound { account } => Some(outbound_queue(account)),
        Destination::Direct { queue } => Some(queue.clone()),
        Destination::Feed { .. } | Destination::Aside | Destination::Events { .. } => None,
    }
}

#[async_trait]
impl Publisher for EmbeddedPublisher {
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        batch.iter().try_for_each(check)?;
        let (mut placed, mut in_memory, mut unroutable) = (Vec::new(), Vec::new(), Vec::new());
        for message in batch {
            match queue_of(&message.destination) {
                Some(queue) if self.switchboard.has_durable(&queue) => placed.push(place(queue, message)),
                Some(queue) => match self.switchboard.reply(&queue) {
                    Some(mailbox) => in_memory.push((Some(mailbox), message)),
                    None => unroutable.push(message.id),
                },
                None => in_memory.push((None, message)),
            }
        }
        if self.jobs.is_closed() {
            return Err(PublishError::Unavailable(closed()));
        }
        if !unroutable.is_empty() {
            return Err(PublishError::Unroutable(unroutable));
        }
        if !placed.is_empty() {
            let (answer, answered) = oneshot::channel();
            self.jobs.send(Job { placed, answer }).await.map_err(|_| PublishError::Unavailable(closed()))?;
            answered.await.map_err(|_| PublishError::Unavailable(closed()))??;
        }
        for (mailbox, message) in in_memory {
            let incoming = transient(&message);
            match (mailbox, &message.destination) {
                (Some(mailbox), _) => mailbox.push_dropping_oldest(incoming),
                (None, Destination::Feed { pool }) => self.switchboard.feed(pool, &incoming),
                (None, Destination::Aside) => self.switchboard.aside(&incoming),
                (None, _) => {}
            }
        }
        Ok(())
    }
}

fn place(queue: String, message: Outgoing) -> Placed {
    let head =
        Head { routing_key: route(&message.destination).key, id: message.id, traceparent: message.traceparent, reply_to: message.reply_to };
    Placed { queue, stored: Stored { head: Arc::new(head), body: message.body, expires_at: None, deliveries: 0, death: None } }
}

fn transient(message: &Outgoing) -> Incoming {
    Incoming {
        tag: 0,
        routing_key: route(&message.destination).key,
        id: Some(message.id.clone()),
        body: message.body.clone(),
        traceparent: message.traceparent.clone(),
        reply_to: message.reply_to.clone(),
        redelivered: false,
        death: None,
    }
}
