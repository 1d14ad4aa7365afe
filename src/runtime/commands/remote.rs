//! Commands over the broker, for a desk without the pool's router in its process. What comes while a message is on its way goes
//! together in the next one, and so do the replies of a commit: under load an AMQP message carries dozens of clicks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::model::command::Reply;
use crate::model::id::PoolId;
use crate::model::json;
use crate::port::broker::{Broker, Consumer, Destination, Outgoing, PublishError, Publisher, Source};
use crate::port::commands::{CommandEnvelope, CommandError, Commands};

use super::{LocalCommands, PATIENCE, WAITING_MAX, answer};

/// The most commands, or replies, in one message.
const TOGETHER_MAX: usize = 64;
/// Messages of a side that may be on their way to the broker at once: while they are, the next one fills.
const UNDER_WAY: usize = 2;
/// Before a consumer that ended is made again.
const PAUSE: Duration = Duration::from_millis(500);

/// A command in a message. Its place is where the desk waits for the reply: a command may be sent twice at once.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    place: u64,
    envelope: CommandEnvelope,
}

/// One of a message, of which more cannot be read: it is of another release perhaps.
#[derive(Deserialize)]
struct Placed {
    place: u64,
}

/// What became of a command. Without a reply: the router is not available, ask again with the same id.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answered {
    place: u64,
    reply: Option<Reply>,
}

type Place = oneshot::Sender<Result<Reply, CommandError>>;

/// Sends commands over the broker and matches the replies.
pub struct RemoteCommands {
    asking: mpsc::Sender<(PoolId, Asked)>,
    desk: Arc<Desk>,
}

/// What sending and listening share.
#[derive(Default)]
struct Desk {
    /// The queue of replies; empty while there is none.
    replies: Mutex<String>,
    waiting: Mutex<HashMap<u64, Place>>,
    places: AtomicU64,
}

impl RemoteCommands {
    /// Starts sending, and listening for replies; ends with `shutdown`.
    pub fn start(broker: Arc<dyn Broker>, publisher: Arc<dyn Publisher>, shutdown: CancellationToken) -> Arc<Self> {
        let (asking, asked) = mpsc::channel(WAITING_MAX);
        let desk = Arc::new(Desk::default());
        tokio::spawn(send_together(Arc::clone(&desk), publisher, asked));
        let listening = Arc::clone(&desk);
        tokio::spawn(async move {
            while !shutdown.is_cancelled() {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = listening.listen(&*broker) => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Arc::new(Self { asking, desk })
    }
}

#[async_trait]
impl Commands for RemoteCommands {
    async fn send(&self, pool: &PoolId, envelope: CommandEnvelope) -> Result<Reply, CommandError> {
        let place = self.desk.places.fetch_add(1, Ordering::Relaxed);
        let (sender, answered) = oneshot::channel();
        if self.desk.waiting().len() >= WAITING_MAX {
            return Err(CommandError::Unavailable("too many commands wait".into()));
        }
        self.desk.waiting().insert(place, sender);
        let _held = Held { desk: &self.desk, place };
        let answer = match self.asking.try_send((pool.clone(), Asked { place, envelope })) {
            Ok(()) => tokio::time::timeout(PATIENCE, answered).await,
            Err(_) => Ok(Ok(Err(CommandError::Unavailable("too many commands wait".into())))),
        };
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CommandError::Unavailable("the desk stops".into())),
            Err(_) => Err(CommandError::TimedOut),
        }
    }
}

/// A place that is held while somebody waits, and free again when they are answered, give up or go away.
struct Held<'d> {
    desk: &'d Desk,
    place: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.desk.waiting().remove(&self.place);
    }
}

impl Desk {
    async fn listen(&self, broker: &dyn Broker) {
        let Ok(mut consumer) = broker.consumer(Source::Replies, 512).await else { return };
        *self.replies() = consumer.queue().to_owned();
        while let Ok(batch) = consumer.next(512).await {
            for incoming in &batch {
                for Answered { place, reply } in answers_in(&incoming.body) {
                    self.settle(place, reply.ok_or_else(|| CommandError::Unavailable("the router is not ready".into())));
                }
            }
            if let Some(last) = batch.last()
                && consumer.ack(last.tag).await.is_err()
            {
                break;
            }
        }
        self.replies().clear();
    }

    fn settle(&self, place: u64, answer: Result<Reply, CommandError>) {
        if let Some(waiting) = self.waiting().remove(&place) {
            let _ = waiting.send(answer);
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Place>> {
        self.waiting.lock().expect("nothing panics while it holds the places")
    }

    fn replies(&self) -> std::sync::MutexGuard<'_, String> {
        self.replies.lock().expect("nothing panics while it holds the name")
    }
}

/// The answers of a message. One that cannot be read, and only it, is none: who asked asks again.
fn answers_in(body: &[u8]) -> Vec<Answered> {
    let each: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_default();
    each.into_iter()
        .filter_map(|one| {
            let unreadable = |_| serde_json::from_str(one.get()).map(|Placed { place }| Answered { place, reply: None });
            serde_json::from_str(one.get()).or_else(unreadable).ok()
        })
        .collect()
}

/// Sends what has come, together by pool, while messages before are on their way.
async fn send_together(desk: Arc<Desk>, publisher: Arc<dyn Publisher>, mut asked: mpsc::Receiver<(PoolId, Asked)>) {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let mut taken = Vec::with_capacity(TOGETHER_MAX);
    loop {
        let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { return };
        if asked.recv_many(&mut taken, TOGETHER_MAX).await == 0 {
            return;
        }
        let reply_to = desk.replies().clone();
        let mut pools: BTreeMap<PoolId, Vec<Asked>> = BTreeMap::new();
        for (pool, command) in taken.drain(..) {
            pools.entry(pool).or_default().push(command);
        }
        let (desk, publisher) = (Arc::clone(&desk), Arc::clone(&publisher));
        tokio::spawn(async move {
            let _permit = permit;
            for (pool, commands) in pools {
                if let Err(error) = send(&*publisher, &pool, &commands, &reply_to).await {
                    let error = CommandError::Unavailable(error.to_string());
                    commands.iter().for_each(|command| desk.settle(command.place, Err(error.clone())));
                }
            }
        });
    }
}

async fn send(publisher: &dyn Publisher, pool: &PoolId, commands: &[Asked], reply_to: &str) -> Result<(), PublishError> {
    if reply_to.is_empty() {
        return Err(PublishError::Unavailable("there is no queue for replies yet".into()));
    }
    let body = serde_json::to_vec(commands).map_err(|error| PublishError::Invalid(error.to_string()))?;
    let first = commands.first().expect("a group is not empty");
    let id = format!("{}.{:016x}", first.envelope.command.id, rand::random::<u64>());
    let traceparent = match commands {
        [one] => one.envelope.traceparent.clone(),
        _ => None,
    };
    let message = Outgoing {
        traceparent,
        reply_to: Some(reply_to.to_owned()),
        ..Outgoing::new(Destination::Command { pool: pool.clone() }, id, body)
    };
    publisher.publish(vec![message]).await
}

// ── the router's side ─────────────────────────────────────────────────────────────────────────────────────────────────

/// Takes commands from the broker to the driver and its replies back, for as long as the pool is led here; ends when the last reply is
/// out.
pub async fn serve_remote(
    broker: &dyn Broker,
    publisher: Arc<dyn Publisher>,
    pool: &PoolId,
    local: &LocalCommands,
    stop: &CancellationToken,
) {
    let (replying, replies) = mpsc::channel(WAITING_MAX);
    let answering = tokio::spawn(reply_together(publisher, replies));
    while !stop.is_cancelled() {
        if let Ok(mut consumer) = broker.consumer(Source::Commands(pool.clone()), 512).await {
            tokio::select! {
                () = stop.cancelled() => consumer.close().await,
                () = pump(&mut *consumer, pool, local, &replying) => {}
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    drop(replying);
    let _ended = answering.await;
}

type Replying = mpsc::Sender<(String, Answered)>;

/// Hands commands to the driver in their order. They are acknowledged when it has them: a click is never durable before its
/// commit, and who clicked asks again.
async fn pump(consumer: &mut dyn Consumer, pool: &PoolId, local: &LocalCommands, replying: &Replying) {
    while let Ok(batch) = consumer.next(512).await {
        let last = batch.last().map(|incoming| incoming.tag);
        for incoming in batch {
            let commands = serde_json::from_slice::<Vec<&RawValue>>(&incoming.body);
            let (Ok(commands), Some(reply_to)) = (commands, incoming.reply_to) else {
                tracing::warn!(%pool, "a message in the queue of commands is none and is dropped");
                continue;
            };
            let mut answers: FuturesUnordered<_> = commands
                .into_iter()
                .filter_map(|one| asked(pool, one))
                .map(|(place, envelope)| {
                    let answered = envelope.and_then(|envelope| local.enqueue(pool, envelope).ok());
                    async move {
                        let reply = match answered {
                            Some(answered) => answer(answered).await.ok(),
                            None => None,
                        };
                        Answered { place, reply }
                    }
                })
                .collect();
            let replying = replying.clone();
            tokio::spawn(async move {
                while let Some(answered) = answers.next().await {
                    if replying.send((reply_to.clone(), answered)).await.is_err() {
                        return;
                    }
                }
            });
        }
        if let Some(tag) = last
            && consumer.ack(tag).await.is_err()
        {
            return;
        }
    }
}

/// A command of a message and where its reply is waited for; without the command if it cannot be read: a desk of a newer release may ask
/// for what this one does not know, and then it alone hears that it cannot be done now.
fn asked(pool: &PoolId, one: &RawValue) -> Option<(u64, Option<CommandEnvelope>)> {
    match serde_json::from_str(one.get()) {
        Ok(Asked { place, envelope }) => Some((place, Some(envelope))),
        Err(error) => {
            tracing::warn!(%pool, error = %json::blame(&error), "a command cannot be read; is its desk of another release?");
            serde_json::from_str(one.get()).ok().map(|Placed { place }| (place, None))
        }
    }
}

/// Sends replies together by desk. One that finds its desk gone is nobody's loss: the desk asks again with the same id.
async fn reply_together(publisher: Arc<dyn Publisher>, mut replies: mpsc::Receiver<(String, Answered)>) {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let mut taken = Vec::with_capacity(TOGETHER_MAX);
    loop {
        let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { return };
        if replies.recv_many(&mut taken, TOGETHER_MAX).await == 0 {
            drop(permit);
            let _all_are_out = under_way.acquire_many(UNDER_WAY as u32).await;
            return;
        }
        let mut desks: BTreeMap<String, Vec<Answered>> = BTreeMap::new();
        for (desk, answered) in taken.drain(..) {
            desks.entry(desk).or_default().push(answered);
        }
        let messages = desks.into_iter().filter_map(|(queue, answers)| {
            let body = serde_json::to_vec(&answers).ok()?;
            Some(Outgoing::new(Destination::Direct { queue }, format!("{:032x}", rand::random::<u128>()), body))
        });
        let (messages, publisher): (Vec<Outgoing>, _) = (messages.collect(), Arc::clone(&publisher));
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = publisher.publish(messages).await {
                tracing::debug!(%error, "replies to commands were not delivered");
            }
        });
    }
}

#[cfg(test)]
mod tests;
