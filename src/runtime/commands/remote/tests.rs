//! Commands and replies over a broker in memory: who gets which reply, what goes together, and what a lost router means.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::Notify;

use super::*;
use crate::model::command::{Actor, Authority, Command, CommandBody};
use crate::model::id::AccountId;
use crate::model::id::CommandId;
use crate::port::broker::{ConsumeError, Incoming};
use crate::port::testing::pool;

const REPLIES: &str = "replies of this desk";

/// Two queues: one of commands, one of replies. Publishing waits while the gate is shut.
struct MemoryBroker {
    queues: Mutex<HashMap<String, VecDeque<Incoming>>>,
    came: Notify,
    gate: Semaphore,
    published: AtomicU64,
}

struct MemoryConsumer(Arc<MemoryBroker>, String);

struct MemoryHandle(Arc<MemoryBroker>);

#[async_trait]
impl Broker for MemoryHandle {
    async fn declare(&self, _: &[PoolId], _: &[AccountId]) -> Result<(), PublishError> {
        Ok(())
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>, PublishError> {
        Ok(Arc::new(Self(Arc::clone(&self.0))))
    }
    async fn consumer(&self, source: Source, _: u16) -> Result<Box<dyn Consumer>, ConsumeError> {
        let queue = if source == Source::Replies { REPLIES } else { "commands" };
        Ok(Box::new(MemoryConsumer(Arc::clone(&self.0), queue.to_owned())))
    }
    fn is_up(&self) -> bool {
        true
    }
    fn kind(&self) -> &'static str {
        "memory"
    }
}

#[async_trait]
impl Publisher for MemoryHandle {
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        let _pass = self.0.gate.acquire().await.unwrap();
        for outgoing in batch {
            let tag = self.0.published.fetch_add(1, Ordering::Relaxed) + 1;
            let (queue, body): (String, Bytes) = match outgoing.destination {
                Destination::Direct { queue } => (queue, outgoing.body),
                _ => ("commands".to_owned(), outgoing.body),
            };
            let incoming = Incoming {
                tag,
                routing_key: String::new(),
                id: Some(outgoing.id),
                body,
                traceparent: None,
                reply_to: outgoing.reply_to,
                redelivered: false,
                death: None,
            };
            self.0.queues.lock().unwrap().entry(queue).or_default().push_back(incoming);
        }
        self.0.came.notify_waiters();
        Ok(())
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    fn queue(&self) -> &str {
        &self.1
    }
    async fn next(&mut self, _: usize) -> Result<Vec<Incoming>, ConsumeError> {
        loop {
            let came = self.0.came.notified();
            let mut came = std::pin::pin!(came);
            came.as_mut().enable();
            let batch: Vec<Incoming> = self.0.queues.lock().unwrap().entry(self.1.clone()).or_default().drain(..).collect();
            if !batch.is_empty() {
                return Ok(batch);
            }
            came.await;
        }
    }
    async fn ack(&mut self, _: u64) -> Result<(), ConsumeError> {
        Ok(())
    }
    async fn close(self: Box<Self>) {}
}

fn envelope(number: u128) -> CommandEnvelope {
    let actor = Actor { operator: None, authority: Authority::Own };
    CommandEnvelope {
        command: Command { id: CommandId(number), actor, expected_version: None, body: CommandBody::ApplyPlan { version: 1 } },
        text: None,
        traceparent: None,
    }
}

struct World {
    broker: Arc<MemoryBroker>,
    desk: Arc<RemoteCommands>,
    local: LocalCommands,
    stop: CancellationToken,
}

impl World {
    async fn new() -> Self {
        let broker =
            Arc::new(MemoryBroker { queues: Mutex::default(), came: Notify::new(), gate: Semaphore::new(1), published: AtomicU64::new(0) });
        let handle = Arc::new(MemoryHandle(Arc::clone(&broker)));
        let (local, stop) = (LocalCommands::default(), CancellationToken::new());
        let desk = RemoteCommands::start(handle.clone(), handle.clone(), stop.clone());
        let (serving, ending) = (local.clone(), stop.clone());
        tokio::spawn(async move { serve_remote(&*handle, handle.clone(), &pool(), &serving, &ending).await });
        while desk.desk.replies().is_empty() {
            tokio::task::yield_now().await;
        }
        Self { broker, desk, local, stop }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn everybody_gets_their_own_reply_and_what_waits_goes_together() {
    let world = World::new().await;
    let mut commands = world.local.attach(&pool());
    tokio::spawn(async move {
        while let Some(pending) = commands.recv().await {
            let seq = i64::try_from(pending.envelope.command.id.0).unwrap();
            let _ = pending.reply.send(Reply::Applied { seq });
        }
    });
    let shut = world.broker.gate.acquire().await.unwrap();
    let asked: Vec<_> = (0..100)
        .map(|number| {
            let desk = Arc::clone(&world.desk);
            tokio::spawn(async move { desk.send(&pool(), envelope(number)).await })
        })
        .collect();
    while world.desk.desk.waiting().len() < 100 {
        tokio::task::yield_now().await;
    }
    drop(shut);
    for (number, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked.await.unwrap(), Ok(Reply::Applied { seq: i64::try_from(number).unwrap() }));
    }
    assert!(world.broker.published.load(Ordering::Relaxed) < 100, "a hundred commands and replies took a message each");
    assert!(world.desk.desk.waiting().is_empty());
}

#[tokio::test]
async fn a_router_that_leads_nothing_says_so_at_once() {
    let world = World::new().await;
    let began = tokio::time::Instant::now();
    let answer = world.desk.send(&pool(), envelope(1)).await;
    assert!(matches!(answer, Err(CommandError::Unavailable(_))), "{answer:?}");
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn what_is_no_command_is_dropped_and_the_next_is_served() {
    let world = World::new().await;
    let mut commands = world.local.attach(&pool());
    let handle = MemoryHandle(Arc::clone(&world.broker));
    for body in ["", "{}", "[{\"place\":1}]", "\u{0}"] {
        let message = Outgoing {
            reply_to: Some(REPLIES.to_owned()),
            ..Outgoing::new(Destination::Command { pool: pool() }, "strange", body.to_owned())
        };
        handle.publish(vec![message]).await.unwrap();
    }
    let (desk, asked) = (Arc::clone(&world.desk), envelope(7));
    let answer = tokio::spawn(async move { desk.send(&pool(), asked).await });
    let pending = commands.recv().await.unwrap();
    let _ = pending.reply.send(Reply::Duplicate);
    assert_eq!(answer.await.unwrap(), Ok(Reply::Duplicate));
}

/// A desk of a newer release asks for what this router does not know, together with what it knows.
#[tokio::test]
async fn a_command_that_cannot_be_read_costs_no_other() {
    let world = World::new().await;
    let mut commands = world.local.attach(&pool());
    let asked = |place| serde_json::to_value(Asked { place, envelope: envelope(u128::from(place)) }).unwrap();
    let mut newer = asked(7);
    newer["envelope"]["command"]["body"] = serde_json::json!({ "do": "what nobody knows yet" });
    let (known, unknown) = (oneshot::channel(), oneshot::channel());
    world.desk.desk.waiting().extend([(8, known.0), (7, unknown.0)]);
    let message = Outgoing {
        reply_to: Some(REPLIES.to_owned()),
        ..Outgoing::new(Destination::Command { pool: pool() }, "two", serde_json::to_vec(&[newer, asked(8)]).unwrap())
    };
    MemoryHandle(Arc::clone(&world.broker)).publish(vec![message]).await.unwrap();
    let pending = commands.recv().await.unwrap();
    assert_eq!(pending.envelope.command.id, CommandId(8));
    let _ = pending.reply.send(Reply::Duplicate);
    assert_eq!(known.1.await.unwrap(), Ok(Reply::Duplicate));
    assert!(matches!(unknown.1.await.unwrap(), Err(CommandError::Unavailable(_))));
}

/// A request whose sender went away, as when a browser closes the connection.
#[tokio::test]
async fn who_goes_away_while_waiting_leaves_no_place_behind() {
    let world = World::new().await;
    let _never_answers = world.local.attach(&pool());
    let desk = Arc::clone(&world.desk);
    let asked = tokio::spawn(async move { desk.send(&pool(), envelope(1)).await });
    while world.desk.desk.waiting().is_empty() {
        tokio::task::yield_now().await;
    }
    asked.abort();
    let _gone = asked.await;
    assert_eq!(world.desk.desk.waiting().len(), 0);
}
