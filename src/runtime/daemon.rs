//! The daemon: builds every part from the settings, starts them in order, and ends them in order. Here alone concrete backends
//! are named.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::channel::email::EmailCounters;
use crate::channel::sms::SmsCounters;
use crate::channel::sms::spool::Spool;
use crate::channel::webchat::ChatCounters;
use crate::desk::counters::Counters as DeskCounters;
use crate::model::id::{IdMaker, PoolId};
use crate::plan::Plan;
use crate::port::broker::{Broker, Publisher};
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
use super::plans;
use super::quarantine;
use super::relay::{self, RelayDeps};
use super::ticking::ticking;

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

/// How long connections and readers have for ending before the pools are handed over: they need nothing of who leads here.
const DOORS_WITHIN: Duration = Duration::from_secs(2);
/// How long the leaders have for handing over, and what is left of connections after them.
const GRACE: Duration = Duration::from_secs(10);
/// How long an answer on its way to the next hop has: cut off, nobody would know whether it arrived. Together with the others less
/// than the unit's `TimeoutStopSec`.
const ATTEMPTS_WITHIN: Duration = Duration::from_secs(40);

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A folder or file cannot be used.
    #[error("{what} cannot be used")]
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
    readiness: Readiness,
    edges: CancellationToken,
    leaders: CancellationToken,
    edge_tasks: TaskTracker,
    attempt_tasks: TaskTracker,
    leader_tasks: TaskTracker,
    /// Metrics and health answer as long as the daemon is there.
    _health: DropGuard,
}

/// A daemon that has its servers and does nothing yet: it may be dropped.
pub struct Prepared {
    parts: Parts,
    broker: OpenBroker,
    readiness: Readiness,
    latches: Latches,
    /// Where metrics and health are, and until when.
    metrics: Option<SocketAddr>,
    health: DropGuard,
    /// Whether there are people here who hear of pools led elsewhere.
    reaches_over: bool,
    is_example: bool,
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
    /// The name of this start.
    node: String,
    edges: CancellationToken,
    leaders: CancellationToken,
    edge_tasks: TaskTracker,
    /// Answers on their way: they outlive the rest.
    attempt_tasks: TaskTracker,
    leader_tasks: TaskTracker,
    watchdog: Watchdog,
}

impl Daemon {
    /// Waits for database and broker.
    pub async fn prepare(settings: Settings) -> Result<Prepared, DaemonError> {
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
            node,
            edges: CancellationToken::new(),
            leaders,
            edge_tasks: TaskTracker::new(),
            attempt_tasks: TaskTracker::new(),
            leader_tasks: TaskTracker::new(),
            watchdog: Watchdog::new(settings.metrics.watchdog),
            broker,
        };
        let readiness = Readiness::default();
        let latches = Latches::new(&readiness, &settings);
        let health = CancellationToken::new();
        let metrics = parts.serve_health(readiness.clone(), health.clone()).await?;
        if settings.roles.has(ProcessRole::Router) {
            parts.declare().await;
        }
        Ok(Prepared { parts, broker: open, readiness, latches, metrics, health: health.drop_guard(), reaches_over, is_example })
    }

    /// Ends in order: first what takes work in, then the leaders, which finish their batch and hand over, then answers on their way
    /// and what else is late, then the broker. Metrics and health answer until then, and it is alive: each wait has a limit.
    pub async fn stop(self) {
        self.readiness.latch("process").not_ready("it stops");
        ticking(&|| self.watchdog.tick(), self.end()).await;
    }

    async fn end(&self) {
        self.edges.cancel();
        for tasks in [&self.edge_tasks, &self.attempt_tasks, &self.leader_tasks] {
            tasks.close();
        }
        let _in_time = tokio::time::timeout(DOORS_WITHIN, self.edge_tasks.wait()).await;
        self.leaders.cancel();
        if tokio::time::timeout(GRACE, self.leader_tasks.wait()).await.is_err() {
            tracing::warn!("a pool was not handed over in time; its lease runs out");
        }
        let (doors, attempts) = tokio::join!(
            tokio::time::timeout(GRACE, self.edge_tasks.wait()),
            tokio::time::timeout(ATTEMPTS_WITHIN, self.attempt_tasks.wait()),
        );
        if doors.is_err() {
            tracing::warn!("some connections did not end in time and are dropped");
        }
        if attempts.is_err() {
            tracing::warn!("answers on their way are cut off; of some nobody will know whether they arrived");
        }
        if let OpenBroker::Embedded(broker) = &self.broker {
            broker.close().await;
        }
    }
}

impl Prepared {
    /// Starts every role of the settings. Ready when it returns; what had begun when something failed is ended in order.
    ///
    /// # Errors
    /// An address that is taken, mostly.
    pub async fn begin(self) -> Result<Daemon, DaemonError> {
        let Self { parts, broker, readiness, latches, metrics, health, reaches_over, is_example } = self;
        let mut addresses = Addresses { metrics, ..Addresses::default() };
        let begun = parts.begin(latches, reaches_over, is_example, &mut addresses).await;
        let Parts { edges, leaders, edge_tasks, attempt_tasks, leader_tasks, watchdog, .. } = parts;
        let mut daemon = Daemon {
            addresses,
            samples: None,
            watchdog,
            broker,
            readiness,
            edges,
            leaders,
            edge_tasks,
            attempt_tasks,
            leader_tasks,
            _health: health,
        };
        match begun {
            Ok(samples) => {
                daemon.samples = samples;
                Ok(daemon)
            }
            Err(error) => {
                daemon.stop().await;
                Err(error)
            }
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
    /// Starts every role: first who leads, then the doors, then, at a first start, the sample accounts.
    async fn begin(
        &self,
        latches: Latches,
        reaches_over: bool,
        is_example: bool,
        addresses: &mut Addresses,
    ) -> Result<Option<first_start::Samples>, DaemonError> {
        let roles = &self.settings.roles;
        if roles.has(ProcessRole::Router) {
            self.lead()?;
        }
        if reaches_over {
            self.asides.hear_others(Arc::clone(&self.broker), &self.node, self.leaders.clone());
            self.follow_feeds();
        }
        let mut email_counters = None;
        if roles.has(ProcessRole::Email) {
            let handle = self.start_email().await?;
            addresses.smtp = handle.smtp_address;
            email_counters = Some(handle.counters);
        }
        let desk_counters = Arc::new(DeskCounters::default());
        let public = self.serve_public(addresses).await?;
        self.serve_http(&desk_counters, addresses).await?;
        self.watch(latches, email_counters, public, desk_counters);
        match is_example && roles.has(ProcessRole::Router) {
            true => first_start::make_samples(&*self.backends.store, &self.local).await,
            false => Ok(None),
        }
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plans.borrow())
    }

    async fn serve_health(&self, readiness: Readiness, stop: CancellationToken) -> Result<Option<SocketAddr>, DaemonError> {
        let Some(listen) = self.settings.metrics.listen else { return Ok(None) };
        let options = HealthOptions { metrics: Arc::clone(&self.metrics), readiness, watchdog: self.watchdog.clone() };
        let listener = edges::bind("the metrics address", listen).await?;
        let address = listener.local_addr().map_err(|source| DaemonError::Io { what: "the metrics address".into(), source })?;
        // not tracked: it answers until the very end
        tokio::spawn(http::serve(listener, health::routes(options), Limits::with_sockets(0), Arc::clone(&self.metrics), stop));
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
            lease_ttl: self.settings.router.lease_ttl,
            batch_max: self.settings.router.batch_max,
            prefetch: self.settings.router.prefetch,
            remote_desks: amqp,
            node: self.node.clone(),
            node_late: self.settings.router.node_late,
        };
        let (tasks, stop) = (self.leader_tasks.clone(), self.leaders.clone());
        self.each_pool(move |pool| {
            // until it is known whether there are any: nobody may miss what rings
            let relay = RelayDeps { other_desks: Arc::new(AtomicBool::new(amqp)), ..deps.relay.clone() };
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
            holder: self.node.clone(),
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
            tokio::spawn(plans::follow(store, plans, stop));
        }
    }
}

/// Of this start alone: in a container host and process id are the same after each.
fn node_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}-{:08x}", std::process::id(), rand::random::<u32>())
}
