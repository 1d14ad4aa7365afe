//! The daemon: builds every part from the settings, starts them in order, and ends them in order. Here alone concrete backends
//! are named.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::channel::email::EmailCounters;
use crate::channel::sms::SmsCounters;
use crate::channel::sms::spool::Spool;
use crate::channel::webchat::ChatCounters;
use crate::desk::counters::Counters as DeskCounters;
use crate::model::id::{IdMaker, PoolId};
use crate::plan::Plan;
use crate::port::broker::{Broker, Publisher};
use crate::port::store::Store;
use crate::settings::broker::BrokerKind;
use crate::settings::store::StoreKind;
use crate::settings::{ProcessRole, Settings};
use crate::telemetry::health::{self, HealthOptions};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::{Latch, Readiness, Watchdog};

pub use self::backends::{Backends, open_backends};
use self::backends::{OpenBroker, make_private_folder};
use self::declaring::Declaring;
use self::http::Limits;
use self::measured::MeasuredBroker;
pub use self::sms_options::TrialSms;
use super::aside::LiveAsides;
use super::commands::{DeskCommands, LocalCommands, RemoteCommands};
use super::feed::{self, Feed};
use super::housekeeping::{self, Housekeeping};
use super::keeping::Keeper;
use super::leader::{self, LeaderDeps};
use super::quarantine;
use super::relay::{self, RelayDeps};

mod backends;
mod chat_options;
mod declaring;
mod edges;
mod email_options;
mod first_start;
mod http;
mod measured;
mod public;
mod sampler;
mod sms_options;

/// What telemetry shows of text messages.
type SmsFigures = (Arc<SmsCounters>, Spool);
/// What the channels behind the public listener count.
type PublicFigures = (Option<SmsFigures>, Option<Arc<ChatCounters>>);

/// How long the parts have for ending in order before they are dropped.
const GRACE: Duration = Duration::from_secs(10);

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A folder or file cannot be used.
    #[error("{what} cannot be used: {source}")]
    Io {
        /// Which.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A part could not be built.
    #[error("{part}: {reason}")]
    Part {
        /// Which.
        part: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// The stored plan cannot be read.
    #[error("the plan in the database cannot be read: {0}; apply one that can with `sportello plan apply`")]
    Plan(String),
}

fn part(part: &'static str) -> impl Fn(String) -> DaemonError {
    move |reason| DaemonError::Part { part, reason }
}

/// Where a running daemon can be reached.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// Console and desk API.
    pub desk: Option<String>,
    /// What the public reaches, if this process has a channel that listens for it.
    pub public: Option<String>,
    /// Channel API, if this process has it.
    pub channel_api: Option<String>,
    /// Whether there is a chat page to try.
    pub has_chat: bool,
    /// An account of text messages that is for trying out.
    pub trial_sms: Option<TrialSms>,
    /// SMTP listener.
    pub smtp: Option<SocketAddr>,
    /// Metrics and health.
    pub metrics: Option<SocketAddr>,
}

/// A running daemon.
pub struct Daemon {
    /// Where it can be reached.
    pub addresses: Addresses,
    /// Sample accounts made at this start; none if the data was there before.
    pub samples: Option<first_start::Samples>,
    /// The main loop's sign of life.
    pub watchdog: Watchdog,
    broker: OpenBroker,
    edges: CancellationToken,
    leaders: CancellationToken,
    edge_tasks: TaskTracker,
    leader_tasks: TaskTracker,
}

/// What every part of this process shares.
struct Parts {
    settings: Arc<Settings>,
    backends: Backends,
    broker: Arc<dyn Broker>,
    publisher: Arc<dyn Publisher>,
    ids: IdMaker,
    plans: watch::Sender<Arc<Plan>>,
    local: LocalCommands,
    commands: Arc<DeskCommands>,
    asides: Arc<LiveAsides>,
    feed: Feed,
    metrics: Arc<Metrics>,
    node: String,
    holder: String,
    edges: CancellationToken,
    leaders: CancellationToken,
    edge_tasks: TaskTracker,
    leader_tasks: TaskTracker,
    watchdog: Watchdog,
}

impl Daemon {
    /// Starts every role of the settings. Ready when it returns.
    pub async fn start(settings: Settings) -> Result<Self, DaemonError> {
        let settings = Arc::new(settings);
        // another part may have chosen the provider before: it is the same
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let backends = open_backends(&settings).await?;
        let node = node_name();
        let secret = backends.store.installation_secret().await.map_err(|error| part("store")(error.to_string()))?;
        let ids = IdMaker::new(secret);
        let (plan, is_example) = first_start::plan_in_force(&*backends.store).await?;
        for mismatch in settings.mismatches(&plan) {
            tracing::warn!(key = mismatch.key, "the settings do not fit the plan: {mismatch}");
        }
        let open = OpenBroker::open(&settings, &node).await?;
        let metrics = Arc::new(Metrics::new());
        let broker = MeasuredBroker::wrap(open.port(), Arc::clone(&metrics));
        let publisher = broker.publisher().await.map_err(|error| part("broker")(error.to_string()))?;
        let (local, leaders) = (LocalCommands::default(), CancellationToken::new());
        // who has consoles or chats asks the engine and hears what happens, wherever it is led
        let has_people = settings.roles.has(ProcessRole::Desk) || settings.roles.has(ProcessRole::Webchat);
        let reaches_over = has_people && settings.broker.kind == BrokerKind::Amqp;
        let remote = reaches_over.then(|| RemoteCommands::start(Arc::clone(&broker), Arc::clone(&publisher), leaders.clone()));
        let parts = Parts {
            settings: Arc::clone(&settings),
            backends,
            publisher,
            ids,
            plans: watch::Sender::new(Arc::new(plan)),
            commands: Arc::new(DeskCommands { local: local.clone(), remote }),
            asides: if reaches_over { LiveAsides::shared(Arc::clone(&broker), &node, leaders.clone()) } else { LiveAsides::local() },
            local,
            feed: Feed::default(),
            metrics,
            holder: format!("{node}/{:016x}", rand::random::<u64>()),
            node,
            edges: CancellationToken::new(),
            leaders,
            edge_tasks: TaskTracker::new(),
            leader_tasks: TaskTracker::new(),
            watchdog: Watchdog::new(settings.metrics.watchdog),
            broker,
        };
        let readiness = Readiness::default();
        let latches = Latches::new(&readiness, &settings);
        let mut addresses = Addresses { metrics: parts.serve_health(readiness).await?, ..Addresses::default() };
        if settings.roles.has(ProcessRole::Router) {
            parts.declare().await;
        }
        let mut email_counters = None;
        let desk_counters = Arc::new(DeskCounters::default());
        if settings.roles.has(ProcessRole::Router) {
            parts.lead()?;
        }
        if reaches_over {
            parts.asides.hear_others(Arc::clone(&parts.broker), &parts.node, parts.leaders.clone());
            parts.follow_feeds();
        }
        if settings.roles.has(ProcessRole::Email) {
            let handle = parts.start_email().await?;
            addresses.smtp = handle.smtp_address;
            email_counters = Some(handle.counters);
        }
        let public = parts.serve_public(&mut addresses).await?;
        parts.serve_http(&desk_counters, &mut addresses).await?;
        parts.watch(latches, email_counters, public, desk_counters);
        let samples = match is_example && settings.roles.has(ProcessRole::Router) {
            true => first_start::make_samples(&*parts.backends.store, &parts.local).await?,
            false => None,
        };
        let Parts { edges, leaders, edge_tasks, leader_tasks, watchdog, .. } = parts;
        Ok(Self { addresses, samples, broker: open, watchdog, edges, leaders, edge_tasks, leader_tasks })
    }

    /// Ends in order: first what takes work in, then the leaders, which finish their batch and hand over, then the broker.
    pub async fn stop(self) {
        self.edges.cancel();
        self.edge_tasks.close();
        if tokio::time::timeout(GRACE, self.edge_tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time and are dropped");
        }
        self.leaders.cancel();
        self.leader_tasks.close();
        if tokio::time::timeout(GRACE, self.leader_tasks.wait()).await.is_err() {
            tracing::warn!("a pool was not handed over in time; its lease runs out");
        }
        if let OpenBroker::Embedded(broker) = &self.broker {
            broker.close().await;
        }
    }
}

/// What `/readyz` waits for.
pub(super) struct Latches {
    store: Latch,
    broker: Latch,
    leader: Option<Latch>,
}

impl Latches {
    fn new(readiness: &Readiness, settings: &Settings) -> Self {
        Self {
            store: readiness.latch("store"),
            broker: readiness.latch("broker"),
            leader: settings.roles.has(ProcessRole::Router).then(|| readiness.latch("router")),
        }
    }
}

impl Parts {
    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plans.borrow())
    }

    async fn serve_health(&self, readiness: Readiness) -> Result<Option<SocketAddr>, DaemonError> {
        let Some(listen) = self.settings.metrics.listen else { return Ok(None) };
        let options = HealthOptions { metrics: Arc::clone(&self.metrics), readiness, watchdog: self.watchdog.clone() };
        let listener = edges::bind("the metrics address", listen).await?;
        let address = listener.local_addr().map_err(|source| DaemonError::Io { what: "the metrics address".into(), source })?;
        // not tracked: it answers until the very end
        tokio::spawn(http::serve(
            listener,
            health::routes(options),
            Limits::with_sockets(0),
            Arc::clone(&self.metrics),
            self.leaders.clone(),
        ));
        Ok(Some(address))
    }

    /// Declares what the plan needs, and again whenever another plan is in force. Only a router has the right to.
    async fn declare(&self) {
        let mut declaring = Declaring::new(Arc::clone(&self.broker), self.plans.subscribe());
        let declared = declaring.once().await;
        tokio::spawn(declaring.keep(declared, self.leaders.clone()));
    }

    /// Starts what a pool needs, for each of the plan and for those that a later plan brings.
    fn each_pool(&self, start: impl Fn(PoolId) + Send + 'static) {
        let (mut plans, stop) = (self.plans.subscribe(), self.leaders.clone());
        let mut started = BTreeSet::new();
        let mut start_new = move |plan: &Plan| {
            let new: Vec<PoolId> = plan.pools.iter().filter(|pool| started.insert((*pool).clone())).cloned().collect();
            new.into_iter().for_each(&start);
        };
        start_new(&plans.borrow_and_update());
        tokio::spawn(async move {
            while let Some(Ok(())) = stop.run_until_cancelled(plans.changed()).await {
                start_new(&plans.borrow_and_update());
            }
        });
    }

    /// Leads each pool when it may, on a thread of its own: nothing else slows the one writer down.
    fn lead(&self) -> Result<(), DaemonError> {
        let amqp = self.settings.broker.kind == BrokerKind::Amqp;
        let watchdog = self.watchdog.clone();
        let deps = LeaderDeps {
            store: Arc::clone(&self.backends.store),
            leases: Arc::clone(&self.backends.leases),
            broker: Arc::clone(&self.broker),
            blobs: Arc::clone(&self.backends.blobs),
            relay: RelayDeps {
                store: Arc::clone(&self.backends.store),
                publisher: Arc::clone(&self.publisher),
                metrics: Arc::clone(&self.metrics),
                prefix: self.settings.installation.event_type_prefix.clone(),
                events: self.publishes_events(),
                other_desks: Arc::default(),
            },
            retry: Arc::new(self.retry()?),
            feed: self.feed.clone(),
            commands: self.local.clone(),
            plans: self.plans.clone(),
            ids: self.ids.clone(),
            metrics: Arc::clone(&self.metrics),
            tick: Arc::new(move || watchdog.tick()),
            holder: self.holder.clone(),
            lease_ttl: self.settings.router.lease_ttl,
            batch_max: self.settings.router.batch_max,
            prefetch: self.settings.router.prefetch,
            remote_desks: amqp,
            node: self.node.clone(),
            node_late: self.settings.router.node_late,
        };
        let (tasks, stop) = (self.leader_tasks.clone(), self.leaders.clone());
        self.each_pool(move |pool| {
            let relay = RelayDeps { other_desks: Arc::default(), ..deps.relay.clone() };
            tasks.spawn(leader::run(LeaderDeps { relay, ..deps.clone() }, pool, stop.clone()));
        });
        let store = Arc::clone(&self.backends.store);
        let dead = quarantine::drain_dead(Arc::clone(&self.broker), store, self.plans.subscribe(), self.leaders.clone());
        self.leader_tasks.spawn(dead);
        self.keep_house();
        Ok(())
    }

    fn publishes_events(&self) -> bool {
        self.settings.router.publish_events && self.settings.broker.kind == BrokerKind::Amqp
    }

    /// Takes away what is kept for a time only.
    fn keep_house(&self) {
        let housekeeping = Housekeeping {
            keeper: Keeper {
                keeping: Arc::clone(&self.backends.keeping),
                blobs: Arc::clone(&self.backends.blobs),
                pause: housekeeping::PAUSE,
            },
            leases: Arc::clone(&self.backends.leases),
            plans: self.plans.subscribe(),
            metrics: Arc::clone(&self.metrics),
            holder: self.holder.clone(),
            journal_kept: self.settings.store.journal_kept(),
            relays: relay::lanes(self.publishes_events()),
            stop: self.leaders.clone(),
        };
        self.leader_tasks.spawn(housekeeping.run());
    }

    /// Hears what happens in pools that other processes lead.
    fn follow_feeds(&self) {
        let (feed, broker) = (self.feed.clone(), Arc::clone(&self.broker));
        let (local, stop) = (self.local.clone(), self.leaders.clone());
        self.each_pool(move |pool| {
            tokio::spawn(feed::follow(feed.clone(), Arc::clone(&broker), pool, local.clone(), stop.clone()));
        });
    }

    /// Samples figures and readiness now and then.
    fn watch(&self, latches: Latches, email: Option<Arc<EmailCounters>>, (sms, chat): PublicFigures, desk: Arc<DeskCounters>) {
        let sampler = sampler::Sampler {
            store: Arc::clone(&self.backends.store),
            broker: Arc::clone(&self.broker),
            metrics: Arc::clone(&self.metrics),
            plans: self.plans.subscribe(),
            local: self.local.clone(),
            latches,
            email,
            sms,
            chat,
            desk,
            watchdog: self.watchdog.clone(),
        };
        tokio::spawn(sampler.run(self.leaders.clone()));
        let (store, plans, stop) = (Arc::clone(&self.backends.store), self.plans.clone(), self.leaders.clone());
        if !self.settings.roles.has(ProcessRole::Router) || self.settings.store.kind == StoreKind::Postgres {
            tokio::spawn(follow_plan(store, plans, stop));
        }
    }
}

/// Another process may have put a plan in force.
async fn follow_plan(store: Arc<dyn Store>, plans: watch::Sender<Arc<Plan>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
        let known = plans.borrow().version;
        if let Ok(Some((version, text))) = store.plan().await
            && version > known
            && let Ok(plan) = crate::plan::parse(&text)
        {
            plans.send_replace(Arc::new(Plan { version, ..plan }));
        }
    }
}

fn node_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}
