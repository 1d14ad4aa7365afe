//! What is said beside chats, on its way between nodes: in memory within a process, over the broker between two. Bounded, kept
//! nowhere; what there is no room for is not said.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::port::aside::{Aside, Asides};
use crate::port::broker::{Broker, Destination, Outgoing, Source};

/// Asides that may wait for a listener of this process.
const WAITING_MAX: usize = 1_024;
/// Asides that may wait for the broker.
const UNPUBLISHED_MAX: usize = 256;
/// Asides in one publish.
const PUBLISH_MAX: usize = 64;

/// The asides of this process, and of others if there are any.
pub struct LiveAsides {
    here: broadcast::Sender<Arc<Aside>>,
    there: Option<mpsc::Sender<Aside>>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    node: String,
    aside: Aside,
}

impl LiveAsides {
    /// Within this process only.
    pub fn local() -> Arc<Self> {
        Arc::new(Self { here: broadcast::channel(WAITING_MAX).0, there: None })
    }

    /// To every process at the broker as well; `node` is this one's name.
    pub fn shared(broker: Arc<dyn Broker>, node: &str, stop: CancellationToken) -> Arc<Self> {
        let (sender, waiting) = mpsc::channel(UNPUBLISHED_MAX);
        tokio::spawn(publish(broker, node.to_owned(), waiting, stop));
        Arc::new(Self { here: broadcast::channel(WAITING_MAX).0, there: Some(sender) })
    }

    /// Hears from now on what others say. For what it hears from to be there, the broker's things are declared first.
    pub fn hear_others(&self, broker: Arc<dyn Broker>, node: &str, stop: CancellationToken) {
        tokio::spawn(hear(broker, node.to_owned(), self.here.clone(), stop));
    }
}

impl Asides for LiveAsides {
    fn say(&self, aside: Aside) {
        if let Some(there) = &self.there {
            let _full = there.try_send(aside.clone());
        }
        let _nobody = self.here.send(Arc::new(aside));
    }

    fn listen(&self) -> broadcast::Receiver<Arc<Aside>> {
        self.here.subscribe()
    }
}

async fn publish(broker: Arc<dyn Broker>, node: String, mut waiting: mpsc::Receiver<Aside>, stop: CancellationToken) {
    let mut publisher = None;
    let mut ready = Vec::new();
    loop {
        ready.clear();
        tokio::select! {
            () = stop.cancelled() => return,
            count = waiting.recv_many(&mut ready, PUBLISH_MAX) => if count == 0 { return },
        }
        if publisher.is_none() {
            publisher = broker.publisher().await.ok();
        }
        let Some(publisher) = &publisher else { continue };
        let message = |aside: Aside| {
            let body = serde_json::to_vec(&Wire { node: node.clone(), aside }).expect("an aside is plain data");
            Outgoing::new(Destination::Aside, format!("{:032x}", rand::random::<u128>()), body)
        };
        if let Err(error) = publisher.publish(ready.drain(..).map(message).collect()).await {
            tracing::debug!(%error, "asides were not published");
        }
    }
}

async fn hear(broker: Arc<dyn Broker>, node: String, here: broadcast::Sender<Arc<Aside>>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Ok(mut consumer) = broker.consumer(Source::Aside, 256).await {
            loop {
                let batch = tokio::select! {
                    () = stop.cancelled() => return,
                    batch = consumer.next(256) => batch,
                };
                let Ok(batch) = batch else { break };
                let last = batch.last().map(|incoming| incoming.tag);
                for wire in batch.iter().filter_map(|incoming| serde_json::from_slice::<Wire>(&incoming.body).ok()) {
                    if wire.node != node {
                        let _nobody = here.send(Arc::new(wire.aside));
                    }
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
