//! The daemon: builds every part from the settings, starts them in order, and ends them in order. The one place that names
//! concrete backends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::broker::amqp::{AmqpBroker, AmqpOptions};
use crate::broker::embedded::{EmbeddedBroker, EmbeddedOptions};
use crate::channel::api::{self, ChannelApiDeps};
use crate::channel::email::{self, EmailCounters, EmailDeps};
use crate::channel::sms::spool::Spool;
use crate::channel::sms::{self, SmsCounters, SmsDeps};
use crate::channel::webchat::{self, ChatCounters, WebChatDeps};
use crate::desk::counters::Counters as DeskCounters;
use crate::desk::{self, DeskDeps, DeskOptions};
use crate::model::id::{AccountId, IdMaker, PoolId};
use crate::plan::Plan;
use crate::port::aside::Asides;
use crate::port::blobs::Blobs;
use crate::port::broker::{Broker, Publisher};
use crate::port::chat::Chats;
use crate::port::commands::Commands;
use crate::port::store::{Leases, Store};
use crate::settings::broker::BrokerKind;
use crate::settings::store::StoreKind;
use crate::settings::{ProcessRole, Settings};
use crate::store::blobs::FolderBlobs;
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::telemetry::health::{HealthOptions, HealthServer};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::{Latch, Readiness, Watchdog};

use self::measured::MeasuredBroker;
use self::public::Public;
pub use self::sms_options::TrialSms;
use super::aside::Whispers;
use super::commands::{DeskCommands, LocalCommands, RemoteCommands};
use super::feed::{self, Feed};
use super::leader::{self, LeaderDeps};
use super::quarantine;
use super::relay::RelayDeps;

mod chat_options;
mod email_options;
mod first_start;
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

/// The backends, opened.
#[derive(Clone)]
pub struct Backends {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Its leases.
    pub leases: Arc<dyn Leases>,
    /// Its chats.
    pub chats: Arc<dyn Chats>,
    /// Blobs.
    pub blobs: Arc<dyn Blobs>,
}

/// Opens database and blobs, and makes the data folder if it is not there.
pub async fn open_backends(settings: &Settings) -> Result<Backends, DaemonError> {
    make_folder(&settings.data.folder)?;
    let (store, leases, chats): (Arc<dyn Store>, Arc<dyn Leases>, Arc<dyn Chats>) = match settings.store.kind {
        StoreKind::Sqlite => {
            let options = SqliteOptions { file: settings.data.store_file(), readers_max: settings.store.connections_max.min(8) };
            let store = SqliteStore::open(options).await.map_err(|error| part("store")(error.to_string()))?;
            (Arc::clone(&store) as Arc<dyn Store>, Arc::clone(&store) as Arc<dyn Leases>, store)
        }
        StoreKind::Postgres => {
            let url = SecretString::from(settings.store.url.expose().to_owned());
            let options = PostgresOptions { url, connections_max: settings.store.connections_max };
            let store = PostgresStore::connect(options).await.map_err(|error| part("store")(error.to_string()))?;
            (Arc::clone(&store) as Arc<dyn Store>, Arc::clone(&store) as Arc<dyn Leases>, store)
        }
    };
    let folder = settings.data.blobs_folder();
    make_folder(&folder)?;
    let blobs = FolderBlobs::open(&folder).map_err(|error| part("blobs")(error.to_string()))?;
    Ok(Backends { store, leases, chats, blobs: Arc::new(blobs) })
}

fn make_folder(folder: &std::path::Path) -> Result<(), DaemonError> {
    make_private_folder(folder).map_err(|source| DaemonError::Io { what: folder.display().to_string(), source })
}

fn make_private_folder(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The broker, and what must be closed at the very end.
enum OpenBroker {
    Embedded(Arc<EmbeddedBroker>),
    Amqp(Arc<AmqpBroker>),
}

impl OpenBroker {
    async fn open(settings: &Settings, node: &str) -> Result<Self, DaemonError> {
        match settings.broker.kind {
            BrokerKind::Embedded => {
                let options = EmbeddedOptions { queue_len_max: settings.broker.queue_len_max as usize, ..EmbeddedOptions::default() };
                let broker = EmbeddedBroker::open(settings.data.broker_file(), options).await;
                Ok(Self::Embedded(broker.map_err(|error| part("broker")(error.to_string()))?))
            }
            BrokerKind::Amqp => {
                let options = AmqpOptions {
                    name: format!("sportello@{node}"),
                    heartbeat: settings.broker.heartbeat,
                    deadline: settings.broker.publish_timeout,
                    ..AmqpOptions::new(settings.broker.url.expose())
                };
                Ok(Self::Amqp(AmqpBroker::connect(options).await.map_err(|error| part("broker")(error.to_string()))?))
            }
        }
    }

    fn port(&self) -> Arc<dyn Broker> {
        match self {
            Self::Embedded(broker) => Arc::clone(broker) as Arc<dyn Broker>,
            Self::Amqp(broker) => Arc::clone(broker) as Arc<dyn Broker>,
        }
    }
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
    asides: Arc<Whispers>,
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
        let (plan, is_new) = first_start::plan_in_force(&*backends.store).await?;
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
            asides: if reaches_over { Whispers::shared(Arc::clone(&broker), &node, leaders.clone()) } else { Whispers::local() },
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
            parts.lead();
        }
        if reaches_over {
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
        let samples = match is_new && settings.roles.has(ProcessRole::Router) {
            true => Some(first_start::make_samples(&*parts.backends.store, &parts.local).await?),
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

    fn pools(&self) -> Vec<PoolId> {
        self.plan().pools.iter().cloned().collect()
    }

    async fn serve_health(&self, readiness: Readiness) -> Result<Option<SocketAddr>, DaemonError> {
        let Some(listen) = self.settings.metrics.listen else { return Ok(None) };
        let options = HealthOptions { metrics: Arc::clone(&self.metrics), readiness, watchdog: self.watchdog.clone() };
        let io = |source| DaemonError::Io { what: format!("the metrics address {listen}"), source };
        let server = HealthServer::bind(listen, options).await.map_err(io)?;
        let address = server.address().map_err(io)?;
        let stop = self.leaders.clone();
        // not tracked: it answers until the very end
        tokio::spawn(server.serve(async move { stop.cancelled().await }));
        Ok(Some(address))
    }

    /// Declares what the plan needs, and again whenever another plan is in force. Only a router has the right to.
    async fn declare(&self) {
        if let Err(error) = self.broker.declare(&self.pools(), &senders(&self.plan())).await {
            tracing::warn!(%error, "the broker's queues are not declared yet; trying again");
        }
        let (broker, mut plans, stop) = (Arc::clone(&self.broker), self.plans.subscribe(), self.leaders.clone());
        tokio::spawn(async move {
            let mut declared = false;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = plans.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(Duration::from_secs(if declared { 3600 } else { 2 })) => {}
                }
                let plan = Arc::clone(&plans.borrow());
                let pools: Vec<PoolId> = plan.pools.iter().cloned().collect();
                declared = broker.declare(&pools, &senders(&plan)).await.is_ok();
            }
        });
    }

    /// Leads each pool when it may, on a thread of its own: nothing else slows the one writer down.
    fn lead(&self) {
        let amqp = self.settings.broker.kind == BrokerKind::Amqp;
        for pool in self.pools() {
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
                    events: self.settings.router.publish_events && amqp,
                    other_desks: Arc::new(AtomicBool::new(false)),
                },
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
            self.leader_tasks.spawn(leader::run(deps, pool, self.leaders.clone()));
        }
        let dead = quarantine::drain_dead(Arc::clone(&self.broker), Arc::clone(&self.backends.store), self.leaders.clone());
        self.leader_tasks.spawn(dead);
    }

    async fn start_email(&self) -> Result<email::EmailHandle, DaemonError> {
        let options = email_options::options(&self.settings);
        let deps = EmailDeps {
            publisher: Arc::clone(&self.publisher),
            broker: Arc::clone(&self.broker),
            store: Arc::clone(&self.backends.store),
            leases: Arc::clone(&self.backends.leases),
            blobs: Arc::clone(&self.backends.blobs),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
            holder: self.holder.clone(),
        };
        let started = email::start(options, deps, self.edges.clone(), self.edge_tasks.clone()).await;
        started.map_err(|error| part("email")(error.to_string()))
    }

    /// What citizens and providers reach: each channel brings its routes.
    async fn serve_public(&self, addresses: &mut Addresses) -> Result<PublicFigures, DaemonError> {
        let roles = &self.settings.roles;
        if !roles.has(ProcessRole::Sms) && !roles.has(ProcessRole::Webchat) {
            return Ok((None, None));
        }
        let mut public = Public::bind(&self.settings.public).await?;
        let (mut sms_figures, mut chat_figures) = (None, None);
        if roles.has(ProcessRole::Sms) {
            let handle = self.start_sms(&public.url, addresses)?;
            public.merge(handle.router);
            sms_figures = Some((handle.counters, handle.spool));
        }
        if roles.has(ProcessRole::Webchat) {
            let handle = self.start_webchat(&public.url);
            public.merge(handle.router);
            chat_figures = Some(handle.counters);
            addresses.has_chat = self.plan().accounts.values().any(|account| account.channel.is_session());
        }
        addresses.public = Some(public.url.as_str().trim_end_matches('/').to_owned());
        let (listener, router) = public.into_parts();
        self.serve(listener, router);
        Ok((sms_figures, chat_figures))
    }

    /// Chats on web pages; what time does to them runs beside.
    fn start_webchat(&self, public_url: &Url) -> webchat::WebChatHandle {
        let options = chat_options::options(&self.settings, public_url, &self.holder, &self.node);
        let deps = WebChatDeps {
            store: Arc::clone(&self.backends.store),
            chats: Arc::clone(&self.backends.chats),
            leases: Arc::clone(&self.backends.leases),
            blobs: Arc::clone(&self.backends.blobs),
            broker: Arc::clone(&self.broker),
            publisher: Arc::clone(&self.publisher),
            commands: Arc::clone(&self.commands) as Arc<dyn Commands>,
            asides: Arc::clone(&self.asides) as Arc<dyn Asides>,
            feed: self.feed.subscribe(),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
        };
        webchat::start(options, deps, self.edges.clone(), self.edge_tasks.clone())
    }

    /// Hears what happens in pools that other processes lead.
    fn follow_feeds(&self) {
        for pool in self.pools() {
            tokio::spawn(feed::follow(self.feed.clone(), Arc::clone(&self.broker), pool, self.local.clone(), self.leaders.clone()));
        }
    }

    /// The webhooks of providers; courier and senders run beside.
    fn start_sms(&self, public_url: &Url, addresses: &mut Addresses) -> Result<sms::SmsHandle, DaemonError> {
        let trials = sms_options::trials(&self.settings, &self.plan())?;
        addresses.trial_sms = trials.values().next().cloned();
        let options = sms_options::options(&self.settings, public_url, &trials);
        let deps = SmsDeps {
            publisher: Arc::clone(&self.publisher),
            broker: Arc::clone(&self.broker),
            store: Arc::clone(&self.backends.store),
            blobs: Arc::clone(&self.backends.blobs),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
        };
        let started = sms::start(options, deps, self.edges.clone(), &self.edge_tasks);
        started.map_err(|error| part("sms")(error.to_string()))
    }

    /// Desk and channel API: on one address, or the channel API on its own.
    async fn serve_http(&self, counters: &Arc<DeskCounters>, addresses: &mut Addresses) -> Result<(), DaemonError> {
        let roles = &self.settings.roles;
        let own_address = self.settings.channel_api.listen;
        let api = roles.has(ProcessRole::Api).then(|| self.channel_api());
        if roles.has(ProcessRole::Desk) {
            let listener = bind("the desk's address", self.settings.desk.listen).await?;
            let bound = listener.local_addr().map_err(|source| DaemonError::Io { what: "the desk's address".into(), source })?;
            let url = self.settings.desk.public_url(bound);
            let mut router = self.desk(&url, counters)?;
            if let (Some(api), None) = (&api, own_address) {
                router = router.merge(api.clone());
                addresses.channel_api = Some(url.clone());
            }
            addresses.desk = Some(url);
            self.serve(listener, router);
        }
        if let Some(api) = api
            && (own_address.is_some() || !roles.has(ProcessRole::Desk))
        {
            let listener = bind("the channel API's address", own_address.unwrap_or(self.settings.desk.listen)).await?;
            addresses.channel_api = listener.local_addr().ok().map(|address| format!("http://{address}"));
            self.serve(listener, api);
        }
        Ok(())
    }

    fn channel_api(&self) -> axum::Router {
        api::router(ChannelApiDeps {
            store: Arc::clone(&self.backends.store),
            publisher: Arc::clone(&self.publisher),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
            type_prefix: self.settings.installation.event_type_prefix.clone(),
        })
    }

    fn desk(&self, url: &str, counters: &Arc<DeskCounters>) -> Result<axum::Router, DaemonError> {
        let public_url = url.parse().map_err(|error| part("desk.public_url")(format!("{url}: {error}")))?;
        let settings = &self.settings.desk;
        let options = DeskOptions {
            session_idle: settings.session_idle,
            session_absolute: settings.session_max,
            trusted_proxies: settings.trusted_proxies.clone(),
            queue_frames_max: settings.socket_queue_len_max as usize,
            ..DeskOptions::new(public_url, self.node.clone())
        };
        let deps = DeskDeps {
            store: Arc::clone(&self.backends.store),
            blobs: Arc::clone(&self.backends.blobs),
            chats: Arc::clone(&self.backends.chats),
            commands: Arc::clone(&self.commands) as Arc<dyn Commands>,
            asides: Arc::clone(&self.asides) as Arc<dyn Asides>,
            publisher: Arc::clone(&self.publisher),
            plan: self.plans.subscribe(),
            ids: self.ids.clone(),
            feed: self.feed.subscribe(),
            counters: Arc::clone(counters),
            options,
        };
        desk::router(deps, self.edges.clone(), self.edge_tasks.clone()).map_err(|error| part("desk")(error.to_string()))
    }

    fn serve(&self, listener: TcpListener, router: axum::Router) {
        let stop = self.edges.clone();
        let router = router.layer(from_fn_with_state(Arc::clone(&self.metrics), measured::time_request));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        self.edge_tasks.spawn(async move {
            let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "the HTTP listener ended");
            }
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

/// Accounts whose answers an adapter of ours carries.
fn senders(plan: &Plan) -> Vec<AccountId> {
    plan.accounts.iter().filter(|(_, account)| account.channel.has_sender()).map(|(id, _)| id.clone()).collect()
}

async fn bind(what: &str, address: SocketAddr) -> Result<TcpListener, DaemonError> {
    TcpListener::bind(address).await.map_err(|source| DaemonError::Io { what: format!("{what} {address}"), source })
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
