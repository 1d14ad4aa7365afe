//! What Sportello needs of a message broker: confirmed publishing, one ordered consumer per queue, acknowledgement after
//! the commit. Two backends stand behind it, `broker::amqp` and `broker::embedded`; one contract suite runs on both.

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::channel::Channel;
use crate::model::id::{AccountId, AdministrationId, InputId, PoolId};

/// Where a message is published to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `sportello.inbound`, key `<pool>.<administration>.<channel>`: the key wins over what body or headers say.
    Inbound {
        /// The pool that serves the account.
        pool: PoolId,
        /// The account's administration.
        administration: AdministrationId,
        /// The account's channel.
        channel: Channel,
    },
    /// `sportello.command`, key `<pool>`: expires after 10 s, the answer goes to `reply_to`.
    Command {
        /// The pool.
        pool: PoolId,
    },
    /// `sportello.feed.<pool>`: what happened, one message per commit, to every desk node.
    Feed {
        /// The pool.
        pool: PoolId,
    },
    /// `sportello.aside`: what is said beside chats, to every node that holds an end of one. Not durable; gone after seconds.
    Aside,
    /// `sportello.outbound`, key `<account>`: an order to send one message, once.
    Outbound {
        /// The account whose adapter sends it.
        account: AccountId,
    },
    /// `sportello.events`, key `<pool>.<administration>.<event name>`: one CloudEvent each, for whoever binds. Not mandatory.
    Events {
        /// The pool.
        pool: PoolId,
        /// Whose it is; none: the pool's own.
        administration: Option<AdministrationId>,
        /// `contact.queued`.
        name: String,
    },
    /// Straight to a named queue: the answer to a command.
    Direct {
        /// The queue's name.
        queue: String,
    },
}

/// A message on its way to the broker.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub destination: Destination,
    /// Its own id; consumers drop what they have seen.
    pub id: String,
    /// The body, at most [`crate::model::inbound::BODY_BYTES_MAX`] but for feed messages.
    pub body: Bytes,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// A command: where the answer goes.
    pub reply_to: Option<String>,
}

impl Outgoing {
    /// A message without trace or answer.
    pub fn new(destination: Destination, id: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { destination, id: id.into(), body: body.into(), traceparent: None, reply_to: None }
    }
}

/// Why messages were not published. Nothing of the batch may be taken as published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker is away, blocked or slow: try again later.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// No queue takes it; a binding is lost. The messages named were returned.
    #[error("no queue takes {}: is the router's queue bound?", .0.join(", "))]
    Unroutable(Vec<String>),
    /// The queue is full or the broker refused: try again later.
    #[error("the broker refused: {0}")]
    Refused(String),
    /// It will never be accepted: too large, malformed.
    #[error("the message cannot be published: {0}")]
    Invalid(String),
}

/// Publishes with confirmation. One batch is in flight at a time; more callers wait.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Returns `Ok` only when the broker has every message durably. On an error the whole batch counts as not published;
    /// some of it may have been, so consumers drop doubles by id.
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError>;
}

/// What a consumer listens to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// `sportello.router.<pool>`: contacts in, single active consumer.
    Router(PoolId),
    /// `sportello.command.<pool>`.
    Commands(PoolId),
    /// An exclusive queue of this process bound to `sportello.feed.<pool>`; bounded, drops the oldest.
    Feed(PoolId),
    /// An exclusive queue of this process bound to `sportello.aside`; bounded, drops the oldest.
    Aside,
    /// `sportello.outbound.<account>`.
    Outbound(AccountId),
    /// An exclusive queue of this process for answers to commands. Its name is the consumer's [`Consumer::queue`].
    Replies,
    /// `sportello.dead`.
    Dead,
}

/// A message from the broker.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Grows within one consumer; acknowledging it acknowledges all before it.
    pub tag: u64,
    /// The routing key, by whose segments pool, administration and channel are known.
    pub routing_key: String,
    /// The message's own id, if it has one.
    pub id: Option<String>,
    /// The body.
    pub body: Bytes,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// A command: where the answer goes.
    pub reply_to: Option<String>,
    /// Whether the broker delivered it before.
    pub redelivered: bool,
    /// Dead letters: why and from which queue, as the broker says it.
    pub death: Option<String>,
}

/// Why a consumer gives nothing more. Drop it and make a new one; what was not acknowledged comes again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// Connection, channel or queue is gone.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// The broker gave the queue to somebody else: not the leader any more.
    #[error("the queue is consumed by somebody else now")]
    Lost,
}

/// Reads one queue in order.
#[async_trait]
pub trait Consumer: Send {
    /// The queue's name.
    fn queue(&self) -> &str;

    /// Waits for a message and returns it with all that have arrived, at most `max`. Cancel safe: dropping the future loses
    /// nothing.
    async fn next(&mut self, max: usize) -> Result<Vec<Incoming>, ConsumeError>;

    /// Acknowledges every message up to `tag`. `Lost` if the broker would not take it.
    async fn ack(&mut self, tag: u64) -> Result<(), ConsumeError>;

    /// Stops and hands the rest back in order, uncounted as failed: closes the channel, never cancels the consumer.
    async fn close(self: Box<Self>);
}

/// A broker: makes publishers and consumers, and says how it is.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Declares what a pool and its accounts need. Idempotent; refuses a queue that exists with other arguments.
    async fn declare(&self, pools: &[PoolId], accounts: &[AccountId]) -> Result<(), PublishError>;

    /// A publisher; reconnects by itself and answers `Unavailable` meanwhile.
    async fn publisher(&self) -> Result<std::sync::Arc<dyn Publisher>, PublishError>;

    /// A consumer with at most `prefetch` unacknowledged messages.
    async fn consumer(&self, source: Source, prefetch: u16) -> Result<Box<dyn Consumer>, ConsumeError>;

    /// Whether it can be reached now.
    fn is_up(&self) -> bool;

    /// `amqp` or `embedded`, for logs and metrics.
    fn kind(&self) -> &'static str;
}

/// The routing key of an inbound message taken apart.
pub fn parse_inbound_key(key: &str) -> Option<(PoolId, AdministrationId, Channel)> {
    let mut parts = key.split('.');
    let parsed = (PoolId::new(parts.next()?).ok()?, AdministrationId::new(parts.next()?).ok()?, Channel::new(parts.next()?).ok()?);
    parts.next().is_none().then_some(parsed)
}

/// The message id under which an input is published, so that the broker's log and ours speak of the same thing.
pub fn inbound_message_id(input: InputId) -> String {
    input.to_string()
}
