//! The embedded broker: the default when no RabbitMQ is set, for all roles in one process. Durable in a SQLite file of its own,
//! bounded, with group commit: one writer takes all that waits into one transaction. Feed and replies are in memory only, as
//! their readers are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::broker::embedded::consumer::{DurableConsumer, ProcessConsumer};
use crate::broker::embedded::publisher::EmbeddedPublisher;
use crate::broker::embedded::switchboard::Switchboard;
use crate::broker::embedded::writer::{Control, Writer};
use crate::broker::topology::{DEAD, DELIVERY_LIMIT, command_queue, durable_queue, outbound_queue, router_queue};
use crate::model::id::{AccountId, PoolId};
use crate::port::broker::{Broker, ConsumeError, Consumer, PublishError, Publisher, Source};

mod consumer;
mod file;
mod mailbox;
mod publisher;
mod queue;
mod switchboard;
mod writer;

/// Publishers that may wait for the writer; more wait for a place.
const JOBS_MAX: usize = 1_024;

/// The bounds of the embedded broker.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The most messages in one queue, handed-out ones included; beyond it publishing is refused.
    pub queue_len_max: usize,
    /// The most bytes of bodies in all queues together, for they are kept in memory too; beyond it publishing is refused.
    pub bytes_max: usize,
    /// Deliveries without an acknowledgement before a message is a dead letter.
    pub delivery_limit: u32,
}

impl Default for EmbeddedOptions {
    /// 100,000 messages a queue, 256 MiB in all, 50 deliveries.
    fn default() -> Self {
        Self { queue_len_max: 100_000, bytes_max: 256 * 1024 * 1024, delivery_limit: DELIVERY_LIMIT }
    }
}

/// Why the broker's file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// SQLite cannot open, lock or read it.
    #[error("the broker's file `{path}` cannot be used: {reason}; is another sportello running on it?")]
    File {
        /// Which file.
        path: PathBuf,
        /// What SQLite or the system says.
        reason: String,
    },
    /// Written by a release with another layout.
    #[error("the broker's file `{path}` has layout {found}, this release writes {expected}: let the release that wrote it drain it")]
    Layout {
        /// Which file.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// Ours.
        expected: i64,
    },
}

/// The embedded broker.
pub struct EmbeddedBroker {
    jobs: mpsc::Sender<writer::Job>,
    control: mpsc::UnboundedSender<Control>,
    switchboard: Arc<Switchboard>,
}

impl EmbeddedBroker {
    /// Opens or creates the file and starts the writer. What was handed out when the process last ended comes again.
    pub async fn open(path: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Arc<Self>, EmbeddedError> {
        let switchboard = Arc::new(Switchboard::default());
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let (control, controls) = mpsc::unbounded_channel();
        let writer = Writer::open(path.as_ref(), options, Arc::clone(&switchboard)).await?;
        tokio::spawn(writer.run(waiting, controls));
        Ok(Arc::new(Self { jobs, control, switchboard }))
    }

    /// Ends all consumers and closes the file. Afterwards everything answers `Unavailable`, acknowledgements `Lost`.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.control.send(Control::Close { answer }).is_ok() {
            // An error means that the writer has ended already.
            let _ = answered.await;
        }
    }
}

/// The writer's task has ended: only after a close.
fn closed() -> String {
    "the embedded broker is closed".into()
}

#[async_trait]
impl Broker for EmbeddedBroker {
    async fn declare(&self, pools: &[PoolId], accounts: &[AccountId]) -> Result<(), PublishError> {
        let pools = pools.iter().flat_map(|pool| [router_queue(pool), command_queue(pool)]);
        let queues = pools.chain(accounts.iter().map(outbound_queue)).chain([DEAD.to_owned()]).collect();
        let (answer, answered) = oneshot::channel();
        self.control.send(Control::Declare { queues, answer }).map_err(|_| PublishError::Unavailable(closed()))?;
        answered.await.map_err(|_| PublishError::Unavailable(closed()))?
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>, PublishError> {
        Ok(Arc::new(EmbeddedPublisher { jobs: self.jobs.clone(), switchboard: Arc::clone(&self.switchboard) }))
    }

    async fn consumer(&self, source: Source, prefetch: u16) -> Result<Box<dyn Consumer>, ConsumeError> {
        let prefetch = usize::from(prefetch.max(1));
        match durable_queue(&source) {
            Some(queue) => Ok(Box::new(DurableConsumer::attach(queue, prefetch, self.control.clone()).await?)),
            None => {
                let (name, mailbox) = self.switchboard.open(&source);
                Ok(Box::new(ProcessConsumer::new(name, mailbox, prefetch)))
            }
        }
    }

    fn is_up(&self) -> bool {
        self.switchboard.is_up() && !self.jobs.is_closed()
    }

    fn kind(&self) -> &'static str {
        "embedded"
    }
}
