//! Leadership: one process leads a pool. Two rows decide: a lease that is renewed on a connection of its own, and an epoch
//! that each commit holds on to. Killed: another leads within two seconds; paused: within twelve.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::id::{IdMaker, PoolId};
use crate::plan::Plan;
use crate::port::blobs::Blobs;
use crate::port::broker::Broker;
use crate::port::store::{Leadership, Leases, Store, StoreError};
use crate::telemetry::metrics::Metrics;

use super::commands::{LocalCommands, serve_remote};
use super::consumer;
use super::driver::{Driver, DriverDeps, Ended};
use super::feed::Feed;
use super::intake::Intake;
use super::left;
use super::nodes::Nodes;
use super::plans;
use super::relay::{self, RelayDeps, RelayHandle};
use super::retry::Retry;
use super::ticking::ticking;

/// How often somebody who does not lead asks whether they may.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// Who cannot read what the pool stands on leaves the lead to others for so long.
const UNABLE_PAUSE: Duration = Duration::from_secs(5);
/// Who hands a pool over waits so long for what it committed to be published, and for its helpers. Longer, and its contacts would wait
/// for the other.
const LAST_PATIENCE: Duration = Duration::from_millis(500);
/// How often the lead is renewed, as a share of its time to live.
const RENEWALS: u32 = 4;

/// What leading takes.
#[derive(Clone)]
pub struct LeaderDeps {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Who leads.
    pub leases: Arc<dyn Leases>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// Long texts.
    pub blobs: Arc<dyn Blobs>,
    /// Orders, events, feed.
    pub relay: RelayDeps,
    /// The way back from quarantine.
    pub retry: Arc<Retry>,
    /// Desks of this process.
    pub feed: Feed,
    /// Commands of this process.
    pub commands: LocalCommands,
    /// The plan in force.
    pub plans: watch::Sender<Arc<Plan>>,
    /// Ids.
    pub ids: IdMaker,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Shows that the loop goes on.
    pub tick: Arc<dyn Fn() + Send + Sync>,
    /// How long a leader counts as alive without a sign.
    pub lease_ttl: Duration,
    /// The most inputs in one commit.
    pub batch_max: usize,
    /// The most messages the broker hands over before the first is committed.
    pub prefetch: u16,
    /// Whether desks of other processes may be there: they get the feed and send commands over the broker.
    pub remote_desks: bool,
    /// The name of this start: it holds the lead, and its desk is the node of that name.
    pub node: String,
    /// A desk node not heard of for this long is lost.
    pub node_late: Duration,
}

/// Leads a pool whenever it may, until `shutdown`.
pub async fn run(deps: LeaderDeps, pool: PoolId, shutdown: CancellationToken) {
    deps.metrics.leads(&pool, false);
    while !shutdown.is_cancelled() {
        let mut pause = ASK_EVERY;
        match ticking(&*deps.tick, deps.leases.lead(&pool, &deps.node, deps.lease_ttl)).await {
            Ok(Some(leadership)) => {
                tracing::info!(%pool, epoch = leadership.epoch, "this process leads the pool");
                deps.metrics.leads(&pool, true);
                if let Err(StoreError::Unreadable(_)) = lead(&deps, &leadership, &shutdown).await {
                    pause = UNABLE_PAUSE;
                }
                deps.metrics.leads(&pool, false);
                if let Err(error) = ticking(&*deps.tick, deps.leases.resign(&leadership)).await {
                    tracing::debug!(%pool, %error, "the lead could not be given up; it ends by itself");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%pool, %error, "the lead cannot be asked for"),
        }
        (deps.tick)();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One leadership from its first load to its last acknowledgement. The error: why it could not begin.
async fn lead(deps: &LeaderDeps, leadership: &Leadership, shutdown: &CancellationToken) -> Result<(), StoreError> {
    let (stop, lost) = (shutdown.child_token(), CancellationToken::new());
    let helpers = TaskTracker::new();
    let renewing = tokio::spawn(renew(Arc::clone(&deps.leases), leadership.clone(), deps.lease_ttl, lost.clone(), stop.clone()));
    let (handle, relay) = relay::start(&deps.relay, leadership);
    // Who dies here would keep the lead for ever, for it is renewed by another task.
    let driven = AssertUnwindSafe(drive(deps, leadership, handle, &stop, &lost, &helpers)).catch_unwind().await;
    let is_fenced = matches!(driven, Ok(Ok(Ended::Fenced)));
    match &driven {
        Err(_) => {
            tracing::error!(pool = %leadership.pool, epoch = leadership.epoch, "the driver panicked; the lead is given up, to begin anew")
        }
        Ok(Ok(Ended::Stopped)) => tracing::info!(pool = %leadership.pool, "the pool is handed over"),
        Ok(Ok(Ended::Fenced)) => tracing::warn!(pool = %leadership.pool, epoch = leadership.epoch, "another process leads the pool now"),
        Ok(Ok(Ended::IntakeEnded)) => {
            tracing::error!(pool = %leadership.pool, epoch = leadership.epoch, "intake ended; the lead is given up, to begin anew");
        }
        Ok(Ok(Ended::Unkept)) => {
            tracing::error!(pool = %leadership.pool, epoch = leadership.epoch, "an input can be kept nowhere; the lead is given up, to begin anew");
        }
        Ok(Err(error)) => tracing::error!(pool = %leadership.pool, %error, "the pool cannot be led"),
    }
    stop.cancel();
    helpers.close();
    let relayed = relay.finish(if is_fenced { Duration::ZERO } else { LAST_PATIENCE });
    let _in_time = tokio::join!(tokio::time::timeout(LAST_PATIENCE, helpers.wait()), relayed);
    renewing.abort();
    driven.unwrap_or(Ok(Ended::Stopped)).map(drop)
}

async fn drive(
    deps: &LeaderDeps,
    leadership: &Leadership,
    relay: RelayHandle,
    stop: &CancellationToken,
    lost: &CancellationToken,
    helpers: &TaskTracker,
) -> Result<Ended, StoreError> {
    let pool = leadership.pool.clone();
    // A plan that another process has put in force a moment ago: the engine hears of each only once.
    ticking(&*deps.tick, plans::catch_up(&*deps.store, &deps.plans)).await?;
    let writer = ticking(&*deps.tick, deps.store.writer()).await?;
    let driver_deps = DriverDeps {
        store: Arc::clone(&deps.store),
        feed: deps.feed.clone(),
        relay,
        metrics: Arc::clone(&deps.metrics),
        plans: deps.plans.clone(),
        batch_max: deps.batch_max,
        tick: Arc::clone(&deps.tick),
    };
    let driver = ticking(&*deps.tick, Driver::start(driver_deps, leadership.clone(), writer, lost.clone())).await?;
    let intake = Intake {
        pool: pool.clone(),
        prefix: deps.relay.prefix.clone(),
        ids: deps.ids.clone(),
        store: Arc::clone(&deps.store),
        blobs: Arc::clone(&deps.blobs),
    };
    let commands = deps.commands.attach(&pool);
    // the reader ends when the driver has let go of its end, after the last acknowledgement
    let reader_stop = stop.child_token();
    let (inflow, reading) = consumer::start(Arc::clone(&deps.broker), intake, deps.plans.subscribe(), deps.prefetch, reader_stop.clone());
    if deps.remote_desks {
        let (deps, pool, stop) = (deps.clone(), pool.clone(), stop.clone());
        helpers.spawn(async move { serve_remote(&*deps.broker, Arc::clone(&deps.relay.publisher), &pool, &deps.commands, &stop).await });
    }
    helpers.spawn(left::serve(Arc::clone(&deps.store), Arc::clone(&deps.retry), deps.commands.clone(), pool.clone(), stop.clone()));
    let nodes = Nodes {
        store: Arc::clone(&deps.store),
        commands: Arc::new(deps.commands.clone()),
        pool: pool.clone(),
        own: deps.node.clone(),
        late: deps.node_late,
        others: deps.remote_desks.then(|| Arc::clone(&deps.relay.other_desks)),
    };
    helpers.spawn(nodes.watch(stop.clone()));
    let lost = lost.clone();
    let ended = driver.run(inflow, commands, stop.clone()).await;
    if lost.is_cancelled() {
        tracing::debug!(%pool, "the lead was lost");
    }
    reader_stop.cancel();
    let _ = reading.await;
    Ok(ended)
}

/// Renews the lead until it is lost or given up. A database that does not answer for the lead's whole time counts as lost.
async fn renew(leases: Arc<dyn Leases>, leadership: Leadership, ttl: Duration, lost: CancellationToken, stop: CancellationToken) {
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ttl / RENEWALS) => {}
        }
        match leases.renew(&leadership, ttl).await {
            Ok(true) => renewed = Instant::now(),
            Ok(false) => break,
            Err(error) => {
                tracing::warn!(pool = %leadership.pool, %error, "the lead cannot be renewed");
                // the epoch fences what is committed late: only a lead that is certainly over is dropped here
                if renewed.elapsed() > ttl * 6 {
                    break;
                }
            }
        }
    }
    lost.cancel();
}
