//! Declares exchanges and queues, on a throw-away connection: RabbitMQ answers a mismatch by closing the channel or the whole
//! connection. Runs on RabbitMQ 3.10 and 4.x: quorum queues, every limit said.

use std::collections::BTreeSet;
use std::sync::Arc;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};
use tokio::sync::Mutex;

use crate::broker::amqp::dial::{Dialer, within};
use crate::broker::topology::{
    ASIDE, COMMAND, COMMAND_TTL_MS, DEAD, DELIVERY_LIMIT, EVENTS, INBOUND, OUTBOUND, PROCESS_QUEUE_BYTES_MAX, PROCESS_QUEUE_LEN_MAX,
    command_queue, feed_exchange, inbound_binding, outbound_queue, router_queue,
};
use crate::model::id::{AccountId, PoolId};
use crate::port::broker::PublishError;

/// More deliveries than any drain will ever need: a dead letter must not be dropped by 4.x's default of 20.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// What pools and accounts have queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) pools: BTreeSet<PoolId>,
    pub(super) accounts: BTreeSet<AccountId>,
}

/// Declares, and remembers what to declare again with each new incarnation.
pub(super) struct Topology {
    dialer: Arc<Dialer>,
    declared: Mutex<Declared>,
}

impl Topology {
    pub(super) fn new(dialer: Arc<Dialer>) -> Self {
        Self { dialer, declared: Mutex::new(Declared::default()) }
    }

    /// Declares what `wanted` needs, and from now on with each incarnation.
    pub(super) async fn declare(&self, wanted: &Declared) -> Result<(), PublishError> {
        let mut declared = self.declared.lock().await;
        self.run(wanted).await?;
        declared.pools.extend(wanted.pools.iter().cloned());
        declared.accounts.extend(wanted.accounts.iter().cloned());
        Ok(())
    }

    /// Declares what was declared before: somebody may have deleted it while we were away.
    pub(super) async fn declare_again(&self) -> Result<(), String> {
        let declared = self.declared.lock().await.clone();
        if declared == Declared::default() {
            return Ok(());
        }
        self.run(&declared).await.map_err(|error| error.to_string())
    }

    async fn run(&self, wanted: &Declared) -> Result<(), PublishError> {
        let connection = self.dialer.connect("declare").await.map_err(PublishError::Unavailable)?;
        let deadline = self.dialer.deadline;
        let channel = within(deadline, "opening a channel", connection.create_channel()).await.map_err(PublishError::Unavailable)?;
        let outcome = tokio::time::timeout(deadline, declare_all(&channel, wanted)).await;
        // Best effort: the connection has done what it was for.
        let _ = tokio::time::timeout(deadline, connection.close(200, "declared".into())).await;
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(refusal(&error)),
            Err(_) => Err(PublishError::Unavailable("declaring queues: no answer in time".into())),
        }
    }
}

/// A queue that exists with other arguments, or a missing permission, is for people; all else passes.
fn refusal(error: &lapin::Error) -> PublishError {
    match error.kind() {
        ErrorKind::ProtocolError(answer) if matches!(answer.kind(), AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)) => {
            PublishError::Invalid(format!("{answer}; it exists with other arguments: drain and delete it, and it is declared anew"))
        }
        ErrorKind::ProtocolError(answer) if matches!(answer.kind(), AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => {
            PublishError::Invalid(format!("{answer}; the broker's user needs the permission to configure it"))
        }
        _ => PublishError::Unavailable(error.to_string()),
    }
}

async fn declare_all(channel: &Channel, wanted: &Declared) -> lapin::Result<()> {
    for (name, kind) in [
        (INBOUND, ExchangeKind::Topic),
        (COMMAND, ExchangeKind::Direct),
        (OUTBOUND, ExchangeKind::Direct),
        (ASIDE, ExchangeKind::Fanout),
        (EVENTS, ExchangeKind::Topic),
        (DEAD, ExchangeKind::Fanout),
    ] {
        exchange(channel, name, kind).await?;
    }
    queue(channel, DEAD, dead_arguments()).await?;
    bind(channel, DEAD, DEAD, "").await?;
    for pool in &wanted.pools {
        let router = router_queue(pool);
        queue(channel, &router, dead_lettered(single_active(quorum()))).await?;
        bind(channel, &router, INBOUND, &inbound_binding(pool)).await?;
        let command = command_queue(pool);
        queue(channel, &command, command_arguments()).await?;
        bind(channel, &command, COMMAND, pool.as_str()).await?;
        exchange(channel, &feed_exchange(pool), ExchangeKind::Fanout).await?;
    }
    for account in &wanted.accounts {
        let outbound = outbound_queue(account);
        queue(channel, &outbound, dead_lettered(quorum())).await?;
        bind(channel, &outbound, OUTBOUND, account.as_str()).await?;
    }
    Ok(())
}

/// Declares an exclusive queue of this process and returns the name the broker gave it.
pub(super) async fn process_queue(channel: &Channel) -> lapin::Result<String> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(PROCESS_QUEUE_LEN_MAX.into()));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(PROCESS_QUEUE_BYTES_MAX.into()));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, arguments).await?;
    Ok(queue.name().as_str().to_owned())
}

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await
}

async fn queue(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, arguments).await.map(|_| ())
}

pub(super) async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    channel.queue_bind(queue.into(), exchange.into(), key.into(), QueueBindOptions::default(), FieldTable::default()).await
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT.into()));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments
}

fn single_active(mut arguments: FieldTable) -> FieldTable {
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments
}

/// At-least-once dead-lettering needs `reject-publish`, which [`quorum`] sets.
fn dead_lettered(mut arguments: FieldTable) -> FieldTable {
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(DEAD.into()));
    arguments.insert("x-dead-letter-strategy".into(), AMQPValue::LongString("at-least-once".into()));
    arguments
}

/// No dead letters: a late command is dropped, and its sender has long been told that it timed out.
fn command_arguments() -> FieldTable {
    let mut arguments = single_active(quorum());
    arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(COMMAND_TTL_MS.into()));
    arguments
}

fn dead_arguments() -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DEAD_DELIVERY_LIMIT));
    arguments
}
