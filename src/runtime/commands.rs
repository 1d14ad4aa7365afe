//! Commands on their way to the driver: a bounded channel in one process, the broker between two.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::model::command::Reply;
use crate::model::id::PoolId;
use crate::port::broker::{Broker, Consumer, Destination, Outgoing, Publisher, Source};
use crate::port::commands::{CommandEnvelope, CommandError, Commands};

/// How long a sender waits for the reply.
const PATIENCE: Duration = Duration::from_secs(5);
/// Commands that may wait for the driver; beyond it senders are told to come back.
pub const WAITING_MAX: usize = 4096;

/// A command with the place for its reply.
#[derive(Debug)]
pub struct PendingCommand {
    /// The command.
    pub envelope: CommandEnvelope,
    /// Where the reply goes. Dropped unanswered: the sender asks again.
    pub reply: oneshot::Sender<Reply>,
}

/// Where the drivers of this process take their commands from: one channel for each pool it may lead.
#[derive(Debug, Clone, Default)]
pub struct LocalCommands {
    pools: Arc<Mutex<HashMap<PoolId, mpsc::Sender<PendingCommand>>>>,
}

impl LocalCommands {
    /// A new driver of the pool: commands go to it from now on.
    pub fn attach(&self, pool: &PoolId) -> mpsc::Receiver<PendingCommand> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        self.lock().insert(pool.clone(), sender);
        receiver
    }

    /// Whether the pool is led here.
    pub fn leads(&self, pool: &PoolId) -> bool {
        self.lock().contains_key(pool)
    }

    /// The pool is not led here any more.
    pub fn detach(&self, pool: &PoolId) {
        self.lock().remove(pool);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PoolId, mpsc::Sender<PendingCommand>>> {
        self.pools.lock().expect("nothing panics while it holds the pools")
    }
}

#[async_trait]
impl Commands for LocalCommands {
    async fn send(&self, pool: &PoolId, envelope: CommandEnvelope) -> Result<Reply, CommandError> {
        let sender = self.lock().get(pool).cloned();
        let sender = sender.ok_or_else(|| CommandError::Unavailable("nobody leads the pool at the moment".into()))?;
        let (reply, answered) = oneshot::channel();
        sender.try_send(PendingCommand { envelope, reply }).map_err(|_| CommandError::Unavailable("too many commands wait".into()))?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(CommandError::Unavailable("the leader stepped down".into())),
            Err(_) => Err(CommandError::TimedOut),
        }
    }
}

/// Commands of a desk: to this process while it leads the pool, over the broker otherwise.
pub struct DeskCommands {
    /// This process.
    pub local: LocalCommands,
    /// Others; none with an embedded broker, where there are none.
    pub remote: Option<Arc<RemoteCommands>>,
}

#[async_trait]
impl Commands for DeskCommands {
    async fn send(&self, pool: &PoolId, envelope: CommandEnvelope) -> Result<Reply, CommandError> {
        match &self.remote {
            Some(remote) if !self.local.leads(pool) => remote.send(pool, envelope).await,
            _ => self.local.send(pool, envelope).await,
        }
    }
}

/// Sends commands over the broker and matches the replies: for a desk without a router in its process.
pub struct RemoteCommands {
    publisher: Arc<dyn Publisher>,
    replies: Mutex<String>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Reply>>>,
}

impl RemoteCommands {
    /// Starts listening for replies; ends with `shutdown`.
    pub fn start(broker: Arc<dyn Broker>, publisher: Arc<dyn Publisher>, shutdown: CancellationToken) -> Arc<Self> {
        let commands = Arc::new(Self { publisher, replies: Mutex::default(), waiting: Mutex::default() });
        let listening = Arc::clone(&commands);
        tokio::spawn(async move {
            while !shutdown.is_cancelled() {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = listening.listen(&*broker) => {}
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        commands
    }

    async fn listen(&self, broker: &dyn Broker) {
        let Ok(mut consumer) = broker.consumer(Source::Replies, 512).await else { return };
        *self.replies.lock().expect("nothing panics while it holds the name") = consumer.queue().to_owned();
        while let Ok(batch) = consumer.next(512).await {
            for incoming in &batch {
                let sender = incoming.correlation_id.as_ref().and_then(|id| self.lock().remove(id));
                if let (Some(sender), Ok(reply)) = (sender, serde_json::from_slice(&incoming.body)) {
                    let _ = sender.send(reply);
                }
            }
            if let Some(last) = batch.last()
                && consumer.ack(last.tag).await.is_err()
            {
                break;
            }
        }
        self.replies.lock().expect("nothing panics while it holds the name").clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Reply>>> {
        self.waiting.lock().expect("nothing panics while it holds the senders")
    }
}

#[async_trait]
impl Commands for RemoteCommands {
    async fn send(&self, pool: &PoolId, envelope: CommandEnvelope) -> Result<Reply, CommandError> {
        let reply_to = self.replies.lock().expect("nothing panics while it holds the name").clone();
        if reply_to.is_empty() {
            return Err(CommandError::Unavailable("the broker is away".into()));
        }
        if self.lock().len() >= WAITING_MAX {
            return Err(CommandError::Unavailable("too many commands wait".into()));
        }
        // a command may be sent twice at once: each sending has its own place
        let correlation_id = format!("{}.{:016x}", envelope.command.id, rand::random::<u64>());
        let body = serde_json::to_vec(&envelope).map_err(|error| CommandError::Unavailable(error.to_string()))?;
        let (sender, answered) = oneshot::channel();
        self.lock().insert(correlation_id.clone(), sender);
        let message = Outgoing {
            traceparent: envelope.traceparent.clone(),
            reply_to: Some(reply_to),
            correlation_id: Some(correlation_id.clone()),
            ..Outgoing::new(Destination::Command { pool: pool.clone() }, envelope.command.id.to_string(), body)
        };
        let answer = async {
            self.publisher.publish(vec![message]).await.map_err(|error| CommandError::Unavailable(error.to_string()))?;
            answered.await.map_err(|_| CommandError::TimedOut)
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap_or(Err(CommandError::TimedOut));
        self.lock().remove(&correlation_id);
        answer
    }
}

/// Takes commands from the broker to the driver and its replies back, for as long as the pool is led here.
pub async fn serve_remote(
    broker: &dyn Broker,
    publisher: Arc<dyn Publisher>,
    pool: &PoolId,
    local: &LocalCommands,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        let consumer = broker.consumer(Source::Commands(pool.clone()), 512).await;
        if let Ok(mut consumer) = consumer {
            tokio::select! {
                () = stop.cancelled() => consumer.close().await,
                () = pump(&mut *consumer, &publisher, pool, local) => {}
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}

async fn pump(consumer: &mut dyn Consumer, publisher: &Arc<dyn Publisher>, pool: &PoolId, local: &LocalCommands) {
    while let Ok(batch) = consumer.next(512).await {
        let last = batch.last().map(|incoming| incoming.tag);
        let answers = batch.into_iter().filter_map(|incoming| {
            let envelope: CommandEnvelope = serde_json::from_slice(&incoming.body).ok()?;
            let (reply_to, correlation_id) = (incoming.reply_to?, incoming.correlation_id?);
            Some(async move {
                let reply = local.send(pool, envelope).await.ok()?;
                let body = serde_json::to_vec(&reply).ok()?;
                let message = Outgoing {
                    correlation_id: Some(correlation_id.clone()),
                    ..Outgoing::new(Destination::Direct { queue: reply_to }, correlation_id, body)
                };
                Some(message)
            })
        });
        let replies: Vec<Outgoing> = futures_util::future::join_all(answers).await.into_iter().flatten().collect();
        // a reply that finds its desk gone is nobody's loss: the desk asks again with the same id
        if !replies.is_empty() && publisher.publish(replies).await.is_err() {
            tracing::debug!(%pool, "replies to commands were not delivered");
        }
        if let Some(tag) = last
            && consumer.ack(tag).await.is_err()
        {
            return;
        }
    }
}
