//! The driver of a pool: takes inputs in one order, lets the engine decide, commits, and only then acts: acknowledges,
//! replies, tells the desks and the relay.
//!
//! A batch commits as one write-set and is sent again after an error or an unknown outcome. A write-set that the database
//! refuses, or a panic in the engine, rebuilds it from rows and goes through the batch one input at a time; the culprit goes
//! to quarantine. Only a lost epoch ends the driver, or an intake that is no more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fault;
use crate::model::command::{CommandBody, Reply};
use crate::model::input::Input;
use crate::model::time::Timestamp;
use crate::plan::Plan;
use crate::port::feed::FeedBatch;
use crate::port::store::{Leadership, PoolSnapshot, Store, StoreError, Writer};
use crate::routing::{ENGINE_VERSION, Engine, Rows};
use crate::telemetry::metrics::Metrics;

use super::clock::PoolClock;
use super::commands::PendingCommand;
use super::consumer::{Ack, Inflow};
use super::feed::Feed;
use super::intake::Item;
use super::relay::RelayHandle;
use super::ticking::ticking;

mod collector;
mod commit;
mod decide;
mod known;
mod open;
#[cfg(test)]
mod tests;
mod trouble;

use self::collector::{Collected, Collector};
use self::commit::{UnderWay, ended};
use self::known::{Known, LOOKED_UP_FOR};
use self::open::Open;

/// From the beginning of one commit to that of the next, at least. The first after a pause begins at once; under load a commit
/// costs the database more than its rows do, and a few of them together leave it the time for everybody else.
const COMMIT_PACE: Duration = Duration::from_millis(4);
/// Between two attempts to commit while the database is away.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// What a driver works with.
pub struct DriverDeps {
    /// Plans and known sources.
    pub store: Arc<dyn Store>,
    /// Desks of this process.
    pub feed: Feed,
    /// Outbound orders and public events.
    pub relay: RelayHandle,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Puts the plan that a command names in force everywhere in this process.
    pub plans: tokio::sync::watch::Sender<Arc<Plan>>,
    /// The most inputs in one commit.
    pub batch_max: usize,
    /// Moved by the driver each time round: see `/livez`.
    pub tick: Arc<dyn Fn() + Send + Sync>,
}

/// Why a driver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// Another process leads the pool.
    Fenced,
    /// Intake ended unasked: whoever leads next, begins with a new one.
    IntakeEnded,
    /// An input can neither be committed nor kept in quarantine. Nothing of its batch is acknowledged: the broker brings it again, and
    /// makes a dead letter of it in the end.
    Unkept,
}

/// Something that waits for the commit.
enum Waiting {
    Command { reply: tokio::sync::oneshot::Sender<Reply>, answer: Reply },
    Ack(Ack),
}

/// One input on its way into a batch.
enum Arrival {
    Command(Box<PendingCommand>),
    Timers,
    Item(Item),
    Leader(Input),
}

/// The driver of one pool, for one leadership.
pub struct Driver {
    deps: DriverDeps,
    leadership: Leadership,
    /// Away while a commit is under way.
    writer: Option<Box<dyn Writer>>,
    engine: Engine,
    clock: PoolClock,
    /// Until when commands are looked up in the database.
    looks_up_until: Instant,
    seq: i64,
    last_at: Timestamp,
    batch: i64,
    known: Known,
    lost: CancellationToken,
    /// When the last commit began.
    paced: Instant,
}

impl Driver {
    /// Rebuilds the pool's engine from its rows.
    pub async fn start(
        deps: DriverDeps,
        leadership: Leadership,
        mut writer: Box<dyn Writer>,
        lost: CancellationToken,
    ) -> Result<Self, StoreError> {
        let snapshot = writer.load(&leadership.pool).await?;
        let clock = PoolClock::start(snapshot.database_time, snapshot.last_at);
        let (seq, last_at) = (snapshot.last_seq, snapshot.last_at);
        let plan = Arc::clone(&deps.plans.borrow());
        let engine = rebuild(&leadership, plan, snapshot);
        deps.metrics.roster(&leadership.pool, &engine.all_rows().operators);
        Ok(Self {
            deps,
            leadership,
            writer: Some(writer),
            engine,
            clock,
            looks_up_until: Instant::now() + LOOKED_UP_FOR,
            seq,
            last_at,
            batch: 0,
            known: Known::default(),
            lost,
            paced: Instant::now(),
        })
    }

    /// The sequence number up to which the pool is committed.
    pub fn last_seq(&self) -> i64 {
        self.seq
    }

    /// Drives the pool until `stop`, until the lead is lost or until intake ends. While one batch commits, the next is decided; what
    /// it says to anybody is said after its own commit. What is decided when `stop` comes or intake ends is finished first.
    pub async fn run(mut self, mut inflow: Inflow, mut commands: mpsc::Receiver<PendingCommand>, stop: CancellationToken) -> Ended {
        let led = Input::LeaderStarted { epoch: self.leadership.epoch, engine_version: ENGINE_VERSION, digest: self.engine.digest() };
        let mut open = self.open();
        self.decide(vec![Arrival::Leader(led)], Vec::new(), &mut open, &inflow).await;
        let mut under_way: Option<UnderWay> = None;
        let mut stopping: Option<Ended> = None;
        loop {
            (self.deps.tick)();
            if under_way.is_none() && open.is_empty() {
                self.answer_again(std::mem::take(&mut open.again));
            }
            let is_full = open.len() >= self.deps.batch_max;
            if under_way.is_none() && !open.is_empty() && (is_full || stopping.is_some() || self.paced.elapsed() >= COMMIT_PACE) {
                let next = Open::new(open.at, open.seq);
                let ready = std::mem::replace(&mut open, next);
                match ready.panicked {
                    None => under_way = Some(self.seal(ready)),
                    Some(ref reason) => {
                        let error = StoreError::Refused(reason.clone());
                        if let Some(ended) = self.one_by_one(ready, &inflow, &error).await {
                            return ended;
                        }
                        open = self.open();
                    }
                }
                continue;
            }
            if let Some(ended) = stopping
                && under_way.is_none()
            {
                return ended;
            }
            let room = self.deps.batch_max.saturating_sub(open.len());
            let collector = Collector { engine: &self.engine, clock: self.clock, lost: &self.lost, batch_max: room };
            tokio::select! {
                biased;
                () = ticking(&*self.deps.tick, ended(&mut under_way)), if under_way.is_some() => {
                    if let Some(committing) = under_way.take()
                        && let Some(ended) = self.settle(committing, &mut open, &inflow).await
                    {
                        return ended;
                    }
                }
                () = tokio::time::sleep_until((self.paced + COMMIT_PACE).into()), if under_way.is_none() && !open.is_empty() => {}
                collected = collector.collect(&mut inflow, &mut commands, &stop), if stopping.is_none() && room > 0 && open.panicked.is_none() => {
                    match collected {
                        Collected::Work(arrivals, acks) => self.decide(arrivals, acks, &mut open, &inflow).await,
                        Collected::Stop if self.lost.is_cancelled() => {
                            // what is on its way is not cut off: whether it counts, the database says, as always
                            if let Some(committing) = under_way.take() {
                                self.settle(committing, &mut open, &inflow).await;
                            }
                            return Ended::Fenced;
                        }
                        Collected::Stop => stopping = Some(Ended::Stopped),
                        Collected::IntakeEnded => stopping = Some(Ended::IntakeEnded),
                    }
                }
            }
        }
    }

    /// Waits for a commit and does what follows from how it ended. `Some`: the driver must end.
    async fn settle(&mut self, committing: UnderWay, open: &mut Open, inflow: &Inflow) -> Option<Ended> {
        let (batch, outcome) = self.take_back(committing).await;
        assert!(!fault::happens("driver_panics"), "asked for by the fault run");
        match outcome {
            Ok(()) => self.act(batch, inflow),
            Err(StoreError::Fenced) => return Some(Ended::Fenced),
            Err(error) => {
                // what was decided since stands on what is refused
                let refused = batch.followed_by(std::mem::replace(open, self.open()));
                let ended = self.one_by_one(refused, inflow, &error).await;
                if ended.is_some() {
                    return ended;
                }
                *open = self.open();
            }
        }
        None
    }

    /// An empty batch that stands on what is committed.
    fn open(&self) -> Open {
        Open::new(self.last_at, self.seq)
    }

    // ── deciding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes what has come into the open batch. After a panic the rest waits for the rebuilt engine.
    async fn decide(&mut self, arrivals: Vec<Arrival>, acks: Vec<Ack>, open: &mut Open, inflow: &Inflow) {
        if fault::is_broken("ack_before_commit") && !acks.is_empty() {
            for ack in &acks {
                let _ = inflow.acks.send(*ack);
            }
            // time for the acknowledgement to reach the broker, so that what it breaks shows every time
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let arrivals = self.look_up(arrivals, open).await;
        let arrivals = self.recognise(arrivals, open).await;
        self.load_plans(&arrivals).await;
        open.at = self.clock.now().max(open.at);
        for arrival in arrivals {
            if open.panicked.is_none() {
                open.panicked = self.apply(&arrival, open).err();
            }
            open.arrivals.push(arrival);
        }
        open.acks.extend(acks);
    }

    /// Adds to commands about a message what is stored of it. What the database cannot say now is not asked for either: the sender
    /// is told to come again.
    async fn look_up(&mut self, arrivals: Vec<Arrival>, open: &Open) -> Vec<Arrival> {
        let (mut known, mut away) = (Vec::with_capacity(arrivals.len()), false);
        for mut arrival in arrivals {
            if let Arrival::Command(pending) = &mut arrival
                && let Some((contact, message)) = pending.envelope.command.body.message()
                && let Some(contact) = self.engine.known_contact(contact, &open.effects)
            {
                // a database that is away is waited for once, not for each of them
                if away {
                    continue;
                }
                match ticking(&*self.deps.tick, self.deps.store.delivery(&contact.administration, message)).await {
                    Ok(stored) => pending.stored = stored,
                    Err(error) => {
                        tracing::warn!(pool = %self.leadership.pool, %message, %error, "what is stored of {message} cannot be read");
                        away = matches!(error, StoreError::Unavailable(_));
                        continue;
                    }
                }
            }
            known.push(arrival);
        }
        known
    }

    /// Reads the plans that commands of the batch put in force.
    async fn load_plans(&mut self, arrivals: &[Arrival]) {
        for arrival in arrivals {
            let Arrival::Command(pending) = arrival else { continue };
            let CommandBody::ApplyPlan { version } = pending.envelope.command.body else { continue };
            match ticking(&*self.deps.tick, self.deps.store.plan_version(version)).await {
                Ok(Some(text)) => match crate::plan::parse(&text) {
                    Ok(plan) => self.engine.offer_plan(Arc::new(Plan { version, ..plan })),
                    Err(problems) => tracing::error!(version, problems = problems.len(), "a stored plan cannot be read"),
                },
                Ok(None) => tracing::error!(version, "there is no such plan"),
                Err(error) => tracing::error!(version, %error, "a plan cannot be loaded"),
            }
        }
    }

    // ── acting ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// The batch is committed: acknowledge, reply, tell.
    fn act(&mut self, batch: Open, inflow: &Inflow) {
        let Open { arrivals, acks, again, seq, feed, answers, at, plan, .. } = batch;
        let first_seq = self.seq + 1;
        self.seq = seq;
        self.last_at = at;
        fault::point("before_ack");
        let mut waiting: Vec<Waiting> = acks.into_iter().map(Waiting::Ack).collect();
        let commands = arrivals.into_iter().filter_map(|arrival| match arrival {
            Arrival::Command(pending) => Some(*pending),
            _ => None,
        });
        for (pending, answer) in commands.zip(answers) {
            waiting.push(Waiting::Command { reply: pending.reply, answer });
        }
        if let Some(plan) = plan {
            self.deps.plans.send_replace(plan);
        }
        if seq >= first_seq {
            for event in &feed {
                self.deps.metrics.event(&self.leadership.pool, &event.event);
            }
            let batch = Arc::new(FeedBatch { pool: self.leadership.pool.clone(), first_seq, last_seq: seq, events: feed });
            self.deps.feed.send(Arc::clone(&batch));
            self.deps.relay.send(batch);
        }
        for waiting in waiting {
            match waiting {
                Waiting::Ack(ack) => {
                    let _ = inflow.acks.send(ack);
                }
                Waiting::Command { reply, answer } => {
                    let _ = reply.send(answer);
                }
            }
        }
        self.answer_again(again);
    }
}

fn rebuild(leadership: &Leadership, plan: Arc<Plan>, snapshot: PoolSnapshot) -> Engine {
    let rows = Rows {
        contacts: snapshot.contacts,
        offers: Vec::new(),
        operators: snapshot.operators,
        deliveries: snapshot.deliveries,
        queues: snapshot.queues.into_iter().map(|state| (state.queue, state.closed)).collect(),
    };
    Engine::rebuild(leadership.pool.clone(), plan, snapshot.last_at, rows)
}

fn kind_of(arrival: &Arrival) -> &'static str {
    match arrival {
        Arrival::Command(_) => "command",
        Arrival::Timers => "timers",
        Arrival::Leader(_) => "leader_started",
        Arrival::Item(Item::Input(prepared)) => prepared.input.kind(),
        Arrival::Item(_) => "inbound",
    }
}
