//! A broker for one test: a virtual host of its own at the RabbitMQ that the environment names, or a file in a temporary folder.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sportello::broker::amqp::{AmqpBroker, AmqpOptions};
use sportello::broker::embedded::{EmbeddedBroker, EmbeddedOptions};
use sportello::model::channel::Channel;
use sportello::model::id::{AccountId, AdministrationId, PoolId};
use sportello::port::broker::{Broker, ConsumeError, Consumer, Destination, Incoming, Outgoing, PublishError, Publisher, Source};

/// Longer than anything takes that works.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Which backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RabbitMQ.
    Amqp,
    /// A file.
    Embedded,
}

/// Tighter bounds than the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Messages in the router's queue.
    pub len: Option<usize>,
    /// Failed deliveries.
    pub deliveries: Option<u32>,
}

/// A broker of a test's own.
pub struct Place {
    /// What is tested.
    pub broker: Arc<dyn Broker>,
    /// URL or path, for a child process.
    pub address: String,
    kind: Kind,
    embedded: Option<Arc<EmbeddedBroker>>,
    vhost: Option<String>,
    _folder: Option<tempfile::TempDir>,
}

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`, which starts a RabbitMQ for the tests"))
}

/// Runs rabbitmqctl; its output.
pub fn rabbitmqctl(arguments: &[&str]) -> String {
    let command = environment("SPORTELLO_TEST_RABBITMQCTL");
    let output = Command::new("sh").arg("-c").arg(format!("{command} \"$@\"")).arg("sh").args(arguments).output().expect("sh runs");
    assert!(output.status.success(), "rabbitmqctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

static PLACES: AtomicU32 = AtomicU32::new(0);

/// A new virtual host's name and URL.
fn virtual_host() -> (String, String) {
    let url = environment("SPORTELLO_TEST_AMQP");
    let scheme = url.find("://").expect("an URL") + 3;
    let (base, user) = match url[scheme..].find('/') {
        Some(slash) => (url[..scheme + slash].to_owned(), &url[scheme..]),
        None => (url.clone(), &url[scheme..]),
    };
    let user = user.split_once('@').map_or("guest", |(user, _)| user.split(':').next().expect("split gives one")).to_owned();
    let vhost = format!("t{}-{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
    rabbitmqctl(&["add_vhost", &vhost]);
    rabbitmqctl(&["set_permissions", "-p", &vhost, &user, ".*", ".*", ".*"]);
    let url = format!("{base}/{vhost}");
    (vhost, url)
}

/// Options of a test: the default but for a quick return after a loss.
pub fn amqp_options(url: &str) -> AmqpOptions {
    AmqpOptions { backoff_max: Duration::from_millis(500), ..AmqpOptions::new(url) }
}

impl Place {
    /// A broker with the default bounds.
    pub async fn new(kind: Kind) -> Self {
        Self::with(kind, Limits::default()).await
    }

    /// A broker with tighter bounds: by policy on RabbitMQ, by option on the embedded one.
    pub async fn with(kind: Kind, limits: Limits) -> Self {
        match kind {
            Kind::Amqp => {
                let (vhost, url) = virtual_host();
                let mut policy = Vec::new();
                policy.extend(limits.len.map(|len| format!("\"max-length\":{len}")));
                policy.extend(limits.deliveries.map(|deliveries| format!("\"delivery-limit\":{deliveries}")));
                if !policy.is_empty() {
                    let policy = format!("{{{}}}", policy.join(","));
                    rabbitmqctl(&[
                        "set_policy",
                        "-p",
                        &vhost,
                        "test",
                        "^sportello\\.(router|outbound)\\.",
                        &policy,
                        "--apply-to",
                        "queues",
                    ]);
                }
                let broker = AmqpBroker::connect(amqp_options(&url)).await.expect("a good URL");
                Self { broker, address: url, kind, embedded: None, vhost: Some(vhost), _folder: None }
            }
            Kind::Embedded => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let path = folder.path().join("broker.db");
                let default = EmbeddedOptions::default();
                let options = EmbeddedOptions {
                    queue_len_max: limits.len.unwrap_or(default.queue_len_max),
                    delivery_limit: limits.deliveries.unwrap_or(default.delivery_limit),
                    ..default
                };
                let broker = EmbeddedBroker::open(&path, options).await.expect("a new file");
                let address = path.to_str().expect("UTF-8").to_owned();
                Self { broker: broker.clone(), address, kind, embedded: Some(broker), vhost: None, _folder: Some(folder) }
            }
        }
    }

    /// The same broker for whoever comes after a crash.
    pub async fn again(mut self) -> Self {
        match self.kind {
            Kind::Amqp => self,
            Kind::Embedded => {
                if let Some(broker) = &self.embedded {
                    broker.close().await;
                }
                let broker = EmbeddedBroker::open(PathBuf::from(&self.address), EmbeddedOptions::default()).await.expect("an old file");
                self.broker = broker.clone();
                self.embedded = Some(broker);
                self
            }
        }
    }

    /// Leaves the file to a child process.
    pub async fn leave(&self) {
        if let Some(broker) = &self.embedded {
            broker.close().await;
        }
    }

    /// Cuts every consumer off.
    pub async fn sever(&self) {
        match (&self.vhost, &self.embedded) {
            (Some(vhost), _) => {
                rabbitmqctl(&["close_all_connections", "-p", vhost, "test"]);
            }
            (None, Some(broker)) => broker.close().await,
            (None, None) => unreachable!("a place is one of both"),
        }
    }

    /// Which backend.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Declares the pool and the account of the tests.
    pub async fn declare(&self) {
        self.broker.declare(&[pool()], &[account()]).await.expect("declares");
    }

    /// A publisher.
    pub async fn publisher(&self) -> Arc<dyn Publisher> {
        self.broker.publisher().await.expect("a publisher")
    }

    /// A consumer, as soon as the broker is there.
    pub async fn consumer(&self, source: Source, prefetch: u16) -> Box<dyn Consumer> {
        let trying = async {
            loop {
                match self.broker.consumer(source.clone(), prefetch).await {
                    Ok(consumer) => return consumer,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(DEADLINE, trying).await.expect("a consumer in time")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(vhost) = &self.vhost
            && !std::thread::panicking()
        {
            rabbitmqctl(&["delete_vhost", vhost]);
        }
    }
}

/// The pool of the tests.
pub fn pool() -> PoolId {
    PoolId::new("main").expect("a name")
}

/// The account of the tests.
pub fn account() -> AccountId {
    AccountId::new("urp").expect("a name")
}

/// Contacts in.
pub fn inbound() -> Destination {
    Destination::Inbound { pool: pool(), administration: AdministrationId::new("comune").expect("a name"), channel: Channel::email() }
}

/// `count` messages with the ids and bodies `from…`.
pub fn numbered(destination: &Destination, from: usize, count: usize) -> Vec<Outgoing> {
    (from..from + count).map(|number| Outgoing::new(destination.clone(), number.to_string(), number.to_string().into_bytes())).collect()
}

/// Publishes until the broker takes it.
pub async fn publish(publisher: &Arc<dyn Publisher>, batch: Vec<Outgoing>) {
    let trying = async {
        loop {
            match publisher.publish(batch.clone()).await {
                Ok(()) => return,
                Err(PublishError::Unavailable(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, trying).await.expect("published in time");
}

/// Takes exactly `count` messages.
pub async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Incoming> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = tokio::time::timeout(DEADLINE, consumer.next(count - taken.len())).await;
        taken.extend(batch.unwrap_or_else(|_| panic!("{} of {count} messages in time", taken.len())).expect("a broker"));
    }
    taken
}

/// The error with which a consumer ends.
pub async fn ends(consumer: &mut Box<dyn Consumer>) -> ConsumeError {
    let ending = async {
        loop {
            if let Err(error) = consumer.next(100).await {
                return error;
            }
        }
    };
    tokio::time::timeout(DEADLINE, ending).await.expect("ends in time")
}

/// Watches that nothing arrives for a while.
pub async fn silence(consumer: &mut Box<dyn Consumer>, time: Duration) {
    if let Ok(arrived) = tokio::time::timeout(time, consumer.next(1)).await {
        panic!("nothing should arrive, but {arrived:?}");
    }
}

/// The ids, in the order of arrival.
pub fn ids(messages: &[Incoming]) -> Vec<usize> {
    messages.iter().map(|message| message.id.as_deref().expect("an id").parse().expect("a number")).collect()
}
