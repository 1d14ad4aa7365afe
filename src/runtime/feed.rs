//! The feed from the driver to the desks of this process: a bounded broadcast. Who falls behind reads the journal.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::model::id::PoolId;
use crate::port::broker::{Broker, Source};
use crate::port::feed::FeedBatch;

use super::commands::LocalCommands;
use super::relay::decode_feed;

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

/// Feeds the desks of this process from the broker while another process leads the pool.
pub async fn follow(feed: Feed, broker: Arc<dyn Broker>, pool: PoolId, local: LocalCommands, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if !local.leads(&pool)
            && let Ok(mut consumer) = broker.consumer(Source::Feed(pool.clone()), 256).await
        {
            while !stop.is_cancelled() && !local.leads(&pool) {
                let batch = tokio::select! {
                    () = stop.cancelled() => break,
                    batch = tokio::time::timeout(Duration::from_millis(500), consumer.next(256)) => batch,
                };
                let Ok(batch) = batch else { continue };
                let Ok(batch) = batch else { break };
                let last = batch.last().map(|incoming| incoming.tag);
                for commit in batch.iter().filter_map(|incoming| decode_feed(&incoming.body)) {
                    feed.send(Arc::new(commit));
                }
                if let Some(tag) = last
                    && consumer.ack(tag).await.is_err()
                {
                    break;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}
