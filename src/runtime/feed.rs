//! The feed from the driver to the desks of this process: a bounded broadcast. Who falls behind reads the journal.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::port::feed::FeedBatch;

/// Commits a desk may lag behind before it has to read the journal.
const BATCHES_MAX: usize = 1024;

/// Sends each commit's events to every desk of this process.
#[derive(Debug, Clone)]
pub struct Feed {
    sender: broadcast::Sender<Arc<FeedBatch>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { sender: broadcast::channel(BATCHES_MAX).0 }
    }
}

impl Feed {
    /// What every desk listens to from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<FeedBatch>> {
        self.sender.subscribe()
    }

    /// Tells every desk; nobody listening is no error.
    pub fn send(&self, batch: Arc<FeedBatch>) {
        let _ = self.sender.send(batch);
    }
}
