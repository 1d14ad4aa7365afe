//! RabbitMQ by lapin, without its auto-recovery: whole incarnations of connection, channel and topology are built and dropped
//! on the first doubt. Publishing and consuming have a connection each, so that a publisher blocked by a memory alarm never
//! holds up an acknowledgement.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::uri::AMQPUri;

use crate::broker::amqp::declare::{Declared, Topology};
use crate::broker::amqp::link::Link;
use crate::model::id::{AccountId, PoolId};
use crate::port::broker::{Broker, ConsumeError, Consumer, PublishError, Publisher, Source};

mod consumer;
mod convert;
mod declare;
mod dial;
mod link;
mod publisher;

/// How to reach RabbitMQ and how patient to be.
#[derive(Clone)]
pub struct AmqpOptions {
    /// `amqp://user:password@host:5672/vhost`, or `amqps://`.
    pub url: String,
    /// The connection's name as the broker's pages show it, e.g. `sportello@host`.
    pub name: String,
    /// Heartbeat; a silent peer is given up after twice this. Whole seconds, at least one.
    pub heartbeat: Duration,
    /// A file's content: certificate authorities in PEM that sign the broker's certificate. None: the system's.
    pub ca_pem: Option<String>,
    /// The longest wait for a connection.
    pub connect_within: Duration,
    /// The longest wait for any single answer of the broker, confirms and acknowledgements included.
    pub deadline: Duration,
    /// The longest pause between two attempts to connect.
    pub backoff_max: Duration,
    /// How often a consumer's queue is looked at for messages that do not arrive.
    pub watchdog_every: Duration,
    /// A consumer that got nothing for this long while its queue holds messages is given up.
    pub watchdog_silence: Duration,
}

impl AmqpOptions {
    /// What fits a broker in the same network: heartbeat 4 s, connected within 5 s, deadline 10 s, a watchdog every 15 s.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: "sportello".into(),
            heartbeat: Duration::from_secs(4),
            ca_pem: None,
            connect_within: Duration::from_secs(5),
            deadline: Duration::from_secs(10),
            backoff_max: Duration::from_secs(5),
            watchdog_every: Duration::from_secs(15),
            watchdog_silence: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for AmqpOptions {
    /// Leaves the URL out: it holds the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmqpOptions").field("name", &self.name).field("heartbeat", &self.heartbeat).finish_non_exhaustive()
    }
}

/// Why there is no broker at all: waiting would not mend it.
#[derive(Debug, thiserror::Error)]
pub enum AmqpError {
    /// The URL is not one.
    #[error("the broker's URL cannot be read: {0}; use amqp://user:password@host:5672/vhost")]
    Url(String),
    /// The heartbeat is under a second or over a minute.
    #[error("the heartbeat must be between 1 and 60 seconds")]
    Heartbeat,
}

/// RabbitMQ. Keeps two connections up for as long as it lives.
pub struct AmqpBroker {
    topology: Arc<Topology>,
    publishing: Arc<Link>,
    consuming: Arc<Link>,
    options: AmqpOptions,
}

impl AmqpBroker {
    /// Connects, and keeps connecting: a broker that is away now is no error, [`Broker::is_up`] says so and everything else
    /// answers `Unavailable` until it is back. Waits for the first attempt.
    pub async fn connect(options: AmqpOptions) -> Result<Arc<Self>, AmqpError> {
        let mut uri: AMQPUri = options.url.parse().map_err(AmqpError::Url)?;
        uri.query.heartbeat = match options.heartbeat.as_secs() {
            seconds @ 1..=60 => Some(u16::try_from(seconds).expect("at most 60")),
            _ => return Err(AmqpError::Heartbeat),
        };
        let dialer = Arc::new(dial::Dialer::new(uri, &options));
        let topology = Arc::new(Topology::new(Arc::clone(&dialer)));
        let publishing = Link::keep("publish", Arc::clone(&dialer), Arc::clone(&topology), options.backoff_max);
        let consuming = Link::keep("consume", dialer, Arc::clone(&topology), options.backoff_max);
        let broker = Arc::new(Self { topology, publishing: Arc::new(publishing), consuming: Arc::new(consuming), options });
        broker.publishing.first_attempt().await;
        broker.consuming.first_attempt().await;
        Ok(broker)
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn declare(&self, pools: &[PoolId], accounts: &[AccountId]) -> Result<(), PublishError> {
        self.topology.declare(&Declared { pools: pools.iter().cloned().collect(), accounts: accounts.iter().cloned().collect() }).await
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>, PublishError> {
        Ok(Arc::new(publisher::AmqpPublisher::start(Arc::clone(&self.publishing), self.options.deadline)))
    }

    async fn consumer(&self, source: Source, prefetch: u16) -> Result<Box<dyn Consumer>, ConsumeError> {
        let consumer = consumer::AmqpConsumer::start(Arc::clone(&self.consuming), &source, prefetch, &self.options).await?;
        Ok(Box::new(consumer))
    }

    fn is_up(&self) -> bool {
        self.publishing.is_up() && self.consuming.is_up()
    }

    fn kind(&self) -> &'static str {
        "amqp"
    }
}
