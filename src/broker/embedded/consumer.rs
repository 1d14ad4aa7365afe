//! The consumers of the embedded broker: of a durable queue, whose acknowledgements go to the writer, and of a queue of this
//! process, which has nothing to remember.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::broker::embedded::closed;
use crate::broker::embedded::mailbox::Mailbox;
use crate::broker::embedded::writer::Control;
use crate::port::broker::{ConsumeError, Consumer, Incoming};

/// Reads a durable queue.
pub(super) struct DurableConsumer {
    queue: String,
    reader: u64,
    mailbox: Arc<Mailbox>,
    control: mpsc::UnboundedSender<Control>,
    handed: u64,
    acked: u64,
    attached: bool,
}

impl DurableConsumer {
    pub(super) async fn attach(queue: String, prefetch: usize, control: mpsc::UnboundedSender<Control>) -> Result<Self, ConsumeError> {
        let mailbox = Arc::new(Mailbox::default());
        let (answer, answered) = oneshot::channel();
        let request = Control::Attach { queue: queue.clone(), prefetch, mailbox: Arc::clone(&mailbox), answer };
        control.send(request).map_err(|_| ConsumeError::Unavailable(closed()))?;
        let reader = answered.await.map_err(|_| ConsumeError::Unavailable(closed()))??;
        Ok(Self { queue, reader, mailbox, control, handed: 0, acked: 0, attached: true })
    }

    fn detach(&mut self, handed: u64) -> Option<oneshot::Receiver<()>> {
        if !std::mem::take(&mut self.attached) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        let request = Control::Detach { queue: self.queue.clone(), reader: self.reader, handed, answer };
        self.control.send(request).ok().map(|()| answered)
    }
}

#[async_trait]
impl Consumer for DurableConsumer {
    fn queue(&self) -> &str {
        &self.queue
    }

    async fn next(&mut self, max: usize) -> Result<Vec<Incoming>, ConsumeError> {
        let batch = self.mailbox.take(max.max(1)).await?;
        self.handed = batch.last().map_or(self.handed, |last| last.tag);
        Ok(batch)
    }

    async fn ack(&mut self, tag: u64) -> Result<(), ConsumeError> {
        if tag <= self.acked {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let request = Control::Ack { queue: self.queue.clone(), reader: self.reader, tag, answer };
        self.control.send(request).map_err(|_| ConsumeError::Lost)?;
        answered.await.map_err(|_| ConsumeError::Lost)??;
        self.acked = tag;
        Ok(())
    }

    async fn close(mut self: Box<Self>) {
        // Nothing counts as failed: the owner says goodbye in good order.
        if let Some(answered) = self.detach(0) {
            // An error means that the writer has ended, and everything has been handed back.
            let _ = answered.await;
        }
    }
}

impl Drop for DurableConsumer {
    fn drop(&mut self) {
        self.detach(self.handed);
    }
}

/// Reads a queue of this process: a feed, or replies.
pub(super) struct ProcessConsumer {
    queue: String,
    mailbox: Arc<Mailbox>,
    prefetch: usize,
    unacked: std::collections::VecDeque<u64>,
    handed: u64,
}

impl ProcessConsumer {
    pub(super) fn new(queue: String, mailbox: Arc<Mailbox>, prefetch: usize) -> Self {
        Self { queue, mailbox, prefetch, unacked: std::collections::VecDeque::new(), handed: 0 }
    }
}

#[async_trait]
impl Consumer for ProcessConsumer {
    fn queue(&self) -> &str {
        &self.queue
    }

    async fn next(&mut self, max: usize) -> Result<Vec<Incoming>, ConsumeError> {
        // Without room it waits for ever, as it would at RabbitMQ: an acknowledgement needs `&mut self`, so none is missed.
        let room = self.prefetch.saturating_sub(self.unacked.len());
        if room == 0 {
            return std::future::pending().await;
        }
        let batch = self.mailbox.take(max.max(1).min(room)).await?;
        self.unacked.extend(batch.iter().map(|message| message.tag));
        self.handed = batch.last().map_or(self.handed, |last| last.tag);
        Ok(batch)
    }

    async fn ack(&mut self, tag: u64) -> Result<(), ConsumeError> {
        if tag > self.handed {
            return Err(ConsumeError::Lost);
        }
        self.unacked.retain(|held| *held > tag);
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}
