//! The driver of a pool: takes inputs in one order, lets the engine decide, commits, and only then acts: acknowledges,
//! replies, tells the desks and the relay.
//!
//! A batch commits as one write-set and is sent again after an error or an unknown outcome. A write-set that the database
//! refuses, or a panic in the engine, rebuilds it from rows and goes through the batch one input at a time; the culprit goes
//! to quarantine. Only a lost epoch ends the driver.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fault;
use crate::model::command::{Command, CommandBody, Refusal, Reply};
use crate::model::event::{EventBody, QueuedReason};
use crate::model::id::MessageId;
use crate::model::input::Input;
use crate::model::time::Timestamp;
use crate::plan::Plan;
use crate::port::feed::{FeedBatch, FeedEvent};
use crate::port::store::{Leadership, PoolSnapshot, Quarantined, QueueState, Store, StoreError, WriteSet, Writer};
use crate::port::trace::{TraceParent, trace_id};
use crate::routing::{Applied, ENGINE_VERSION, Effects, Engine, Rows};
use crate::telemetry::metrics::Metrics;

use super::clock::PoolClock;
use super::commands::PendingCommand;
use super::consumer::{Ack, Inflow, IntakeBatch};
use super::feed::Feed;
use super::intake::{Item, Prepared};
use super::relay::RelayHandle;
use super::rows;

/// Sources remembered, so that what comes twice in a short time is known without the database.
const REMEMBERED_MAX: usize = 100_000;
/// For so long after a take-over commands are looked up in the database: a predecessor may have committed them.
const PREDECESSOR_TIME: Duration = Duration::from_secs(60);
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
    writer: Box<dyn Writer>,
    engine: Engine,
    clock: PoolClock,
    started: Instant,
    seq: i64,
    last_at: Timestamp,
    batch: i64,
    known: HashSet<String>,
    known_order: VecDeque<String>,
    notices: HashMap<crate::model::id::QueueId, Option<String>>,
    lost: CancellationToken,
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
        let notices = snapshot.queues.iter().map(|state| (state.queue.clone(), state.notice.clone())).collect();
        let engine = rebuild(&leadership, plan, snapshot);
        deps.metrics.roster(&leadership.pool, &engine.all_rows().operators);
        Ok(Self {
            deps,
            leadership,
            writer,
            engine,
            clock,
            started: Instant::now(),
            seq,
            last_at,
            batch: 0,
            known: HashSet::new(),
            known_order: VecDeque::new(),
            notices,
            lost,
        })
    }

    /// The sequence number up to which the pool is committed.
    pub fn last_seq(&self) -> i64 {
        self.seq
    }

    /// Drives the pool until `stop` or until the lead is lost. A batch in progress is finished first.
    pub async fn run(mut self, mut inflow: Inflow, mut commands: mpsc::Receiver<PendingCommand>, stop: CancellationToken) -> Ended {
        let led = Input::LeaderStarted { epoch: self.leadership.epoch, engine_version: ENGINE_VERSION, digest: self.engine.digest() };
        let mut ended = self.batch(vec![Arrival::Leader(led)], Vec::new(), &inflow).await;
        while ended.is_none() {
            (self.deps.tick)();
            let collector = Collector { engine: &self.engine, clock: self.clock, lost: &self.lost, batch_max: self.deps.batch_max };
            let Some((arrivals, acks)) = collector.collect(&mut inflow, &mut commands, &stop).await else {
                return if self.lost.is_cancelled() { Ended::Fenced } else { Ended::Stopped };
            };
            ended = self.batch(arrivals, acks, &inflow).await;
        }
        ended.expect("the loop ends with a reason")
    }

    // ── one batch ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Applies, commits, acts. `Some`: the driver must end.
    async fn batch(&mut self, arrivals: Vec<Arrival>, acks: Vec<Ack>, inflow: &Inflow) -> Option<Ended> {
        if arrivals.is_empty() && acks.is_empty() {
            return None;
        }
        if fault::is_broken("ack_before_commit") {
            for ack in &acks {
                let _ = inflow.acks.send(*ack);
            }
            // time for the acknowledgement to reach the broker, so that what it breaks shows every time
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let arrivals = self.recognise(arrivals).await;
        self.load_plans(&arrivals).await;
        let mut open = Open::new(self.clock.now().max(self.last_at), self.seq);
        let mut refused = None;
        for arrival in &arrivals {
            if let Err(reason) = self.apply(arrival, &mut open) {
                refused = Some(reason);
                break;
            }
        }
        let outcome = match refused {
            Some(reason) => Err(StoreError::Refused(reason)),
            None => self.commit(&mut open).await,
        };
        match outcome {
            Ok(()) => self.act(open, arrivals, acks, inflow),
            Err(StoreError::Fenced) => return Some(Ended::Fenced),
            Err(error) => {
                tracing::error!(pool = %self.leadership.pool, %error, inputs = arrivals.len(), "a batch is refused; going through it one by one");
                return self.one_by_one(arrivals, acks, inflow, &error).await;
            }
        }
        None
    }

    /// Drops what was processed before and answers it.
    async fn recognise(&mut self, arrivals: Vec<Arrival>) -> Vec<Arrival> {
        let unsure: Vec<String> = arrivals
            .iter()
            .filter_map(|arrival| match arrival {
                Arrival::Command(pending) => Some(pending.envelope.command.id.to_string()),
                _ => None,
            })
            .collect();
        let mut committed: HashSet<String> = HashSet::new();
        if self.started.elapsed() < PREDECESSOR_TIME
            && !unsure.is_empty()
            && let Ok(known) = self.deps.store.known_sources(&self.leadership.pool, &unsure).await
        {
            committed = unsure.into_iter().zip(known).filter(|(_, known)| *known).map(|(source, _)| source).collect();
        }
        let mut new = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let source = match &arrival {
                Arrival::Command(pending) => Some(pending.envelope.command.id.to_string()),
                Arrival::Item(Item::Input(prepared)) => Some(prepared.source.clone()),
                _ => None,
            };
            let is_known = source.is_some_and(|source| committed.contains(&source) || !self.remember(source));
            if is_known && !fault::is_broken("no_inbox") {
                self.deps.metrics.input(&self.leadership.pool, kind_of(&arrival), "duplicate");
                if let Arrival::Command(pending) = arrival {
                    let _ = pending.reply.send(Reply::Duplicate);
                }
            } else {
                new.push(arrival);
            }
        }
        new
    }

    /// False if it is remembered already.
    fn remember(&mut self, source: String) -> bool {
        if !self.known.insert(source.clone()) {
            return false;
        }
        self.known_order.push_back(source);
        if self.known_order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.known_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Reads the plans that commands of the batch put in force.
    async fn load_plans(&mut self, arrivals: &[Arrival]) {
        for arrival in arrivals {
            let Arrival::Command(pending) = arrival else { continue };
            let CommandBody::ApplyPlan { version } = pending.envelope.command.body else { continue };
            match self.deps.store.plan_version(version).await {
                Ok(Some(text)) => match crate::plan::parse(&text) {
                    Ok(plan) => self.engine.offer_plan(Arc::new(Plan { version, ..plan })),
                    Err(problems) => tracing::error!(version, problems = problems.len(), "a stored plan cannot be read"),
                },
                Ok(None) => tracing::error!(version, "there is no such plan"),
                Err(error) => tracing::error!(version, %error, "a plan cannot be loaded"),
            }
        }
    }

    /// One arrival into the open batch. `Err`: the engine panicked, and must be rebuilt.
    fn apply(&mut self, arrival: &Arrival, open: &mut Open) -> Result<(), String> {
        match arrival {
            Arrival::Item(Item::Duplicate) => self.deps.metrics.input(&self.leadership.pool, "inbound", "duplicate"),
            Arrival::Item(Item::Quarantined(item)) => {
                self.deps.metrics.input(&self.leadership.pool, "inbound", "quarantined");
                open.writes.quarantine.push((**item).clone());
            }
            Arrival::Item(Item::Input(prepared)) => self.apply_prepared(prepared, open)?,
            Arrival::Command(pending) => self.apply_command(pending, open)?,
            Arrival::Timers => {
                self.apply_input(&Input::Timers, None, None, open)?;
            }
            Arrival::Leader(input) => {
                self.apply_input(input, None, None, open)?;
            }
        }
        Ok(())
    }

    fn apply_prepared(&mut self, prepared: &Prepared, open: &mut Open) -> Result<(), String> {
        let opened_before = open.effects.events.len();
        let applied = self.apply_input(&prepared.input, Some(prepared.source.clone()), prepared.traceparent.as_ref(), open)?;
        self.log_opened(prepared, &open.effects, opened_before);
        if let (Input::Inbound(facts), Some(text)) = (&prepared.input, &prepared.message) {
            if applied.result.is_err() {
                // the engine knows no account or queue for it: kept, counted, shown
                let reason = "the plan has no account or queue for it any more".to_owned();
                open.writes.quarantine.push(Quarantined { reason, ..prepared.raw.clone() });
            }
            let numbered = (open.number_of(facts.message), open.at);
            rows::add_inbound(facts, (**text).clone(), &applied, numbered, &mut open.writes);
        }
        Ok(())
    }

    fn apply_command(&mut self, pending: &PendingCommand, open: &mut Open) -> Result<(), String> {
        let command: &Command = &pending.envelope.command;
        let input = Input::Command(Box::new(command.clone()));
        let traceparent = pending.envelope.traceparent.as_deref().filter(|text| text.parse::<TraceParent>().is_ok()).map(Arc::from);
        let applied = self.apply_input(&input, Some(command.id.to_string()), traceparent.as_ref(), open)?;
        if applied.result.is_ok()
            && let Some(placement) = &applied.placement
        {
            let contact = self.engine.known_contact(placement.contact, &open.effects).cloned();
            if let Some(contact) = contact {
                let numbered = (open.number_of_written(&command.body), open.at);
                rows::add_written(self.engine.plan(), &contact, &pending.envelope, numbered, &mut open.writes);
            }
        }
        if applied.result.is_ok() && matches!(command.body, CommandBody::Copy { .. }) {
            let numbered = (open.number_of_written(&command.body), open.at);
            rows::add_copy(self.engine.plan(), &pending.envelope, numbered, &mut open.writes);
        }
        if let (CommandBody::CloseQueue { queue }, Some(crate::port::commands::CommandText::Text(notice))) =
            (&command.body, &pending.envelope.text)
        {
            self.notices.insert(queue.clone(), Some(notice.clone()));
        }
        open.answers.push(match applied.result {
            Ok(()) => Reply::Applied { seq: open.input_seq },
            Err(code) => Reply::Refused { code },
        });
        Ok(())
    }

    /// One line for each contact that an input opened: from here its trace is found by the contact's id.
    fn log_opened(&self, prepared: &Prepared, effects: &Effects, from: usize) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        for (about, body) in &effects.events[from..] {
            if let (Some(about), EventBody::ContactQueued { reason: QueuedReason::New, .. }) = (about, body) {
                let trace_id = prepared.traceparent.as_deref().and_then(trace_id);
                tracing::debug!(pool = %self.leadership.pool, contact = %about.contact, input = prepared.source, trace_id, "contact opened");
            }
        }
    }

    fn apply_input(
        &mut self,
        input: &Input,
        source: Option<String>,
        traceparent: Option<&Arc<str>>,
        open: &mut Open,
    ) -> Result<Applied, String> {
        let seq = open.seq + 1;
        let from = open.effects.events.len();
        let applied = catch_unwind(AssertUnwindSafe(|| {
            if let Input::Inbound(facts) = input
                && facts.text.as_ref().is_some_and(|text| fault::is_marked("panic", &text.subject))
            {
                panic!("asked for by the fault run");
            }
            self.engine.apply(open.at, seq, input, &mut open.effects)
        }));
        let applied = applied.map_err(|_| format!("the engine panicked on an input of kind {}", input.kind()))?;
        let outcome = if applied.result.is_ok() { "applied" } else { "refused" };
        self.deps.metrics.input(&self.leadership.pool, input.kind(), outcome);
        open.input_seq = seq;
        let source = source.filter(|_| !fault::is_broken("no_inbox"));
        open.writes.inputs.push(rows::input_record(seq, open.at, input, source, &applied));
        open.seq = rows::number_events(&open.effects, from, (seq, open.at), traceparent, &mut open.writes, &mut open.feed);
        Ok(applied)
    }

    // ── commit ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Commits the open batch, again and again while the database is away. The deliveries stay unacknowledged meanwhile.
    async fn commit(&mut self, open: &mut Open) -> Result<(), StoreError> {
        let rows = self.engine.rows(&open.effects);
        self.batch += 1;
        let writes = &mut open.writes;
        writes.pool = Some(self.leadership.pool.clone());
        writes.epoch = self.leadership.epoch;
        writes.batch = self.batch;
        writes.last_seq = open.seq;
        writes.at = open.at;
        writes.contacts = rows.contacts;
        writes.offers = rows.offers;
        writes.operators = rows.operators;
        writes.deliveries = rows.deliveries;
        let notices = &self.notices;
        let state = |(queue, closed)| QueueState { notice: notices.get(&queue).cloned().flatten().filter(|_| closed), queue, closed };
        writes.queues = rows.queues.into_iter().map(state).collect();
        let began = Instant::now();
        loop {
            fault::point("before_commit");
            match self.writer.commit(&open.writes).await {
                Ok(()) => break,
                Err(StoreError::Unavailable(reason)) => {
                    self.deps.metrics.store_error(self.deps.store.kind(), "unavailable");
                    tracing::warn!(pool = %self.leadership.pool, batch = self.batch, reason, "the batch is not committed yet; trying again");
                    if self.lost.is_cancelled() {
                        return Err(StoreError::Fenced);
                    }
                    (self.deps.tick)();
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => {
                    let name = if error == StoreError::Fenced { "fenced" } else { "refused" };
                    self.deps.metrics.store_error(self.deps.store.kind(), name);
                    return Err(error);
                }
            }
        }
        fault::point("after_commit");
        self.deps.metrics.committed(&self.leadership.pool, open.writes.inputs.len(), began.elapsed());
        Ok(())
    }

    /// The batch is committed: acknowledge, reply, tell.
    fn act(&mut self, open: Open, arrivals: Vec<Arrival>, acks: Vec<Ack>, inflow: &Inflow) {
        let Open { seq, writes, feed, answers, at, .. } = open;
        let first_seq = self.seq + 1;
        self.seq = seq;
        self.last_at = at;
        fault::point("before_ack");
        let mut waiting: Vec<Waiting> = acks.into_iter().map(Waiting::Ack).collect();
        let commands = arrivals.into_iter().filter_map(|arrival| match arrival {
            Arrival::Command(pending) => Some(*pending),
            _ => None,
        });
        let mut plan_applied = false;
        for (pending, answer) in commands.zip(answers) {
            plan_applied |= matches!((&pending.envelope.command.body, &answer), (CommandBody::ApplyPlan { .. }, Reply::Applied { .. }));
            waiting.push(Waiting::Command { reply: pending.reply, answer });
        }
        if plan_applied {
            self.deps.plans.send_replace(Arc::clone(self.engine.plan()));
        }
        if seq >= first_seq {
            for event in &feed {
                self.deps.metrics.event(&self.leadership.pool, &event.event);
            }
            let batch = Arc::new(FeedBatch { pool: self.leadership.pool.clone(), first_seq, last_seq: seq, events: feed });
            self.deps.feed.send(Arc::clone(&batch));
            self.deps.relay.send(batch);
        }
        drop(writes);
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
    }

    // ── trouble ───────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Goes through a refused batch one input at a time on a rebuilt engine; what is refused again goes to quarantine.
    async fn one_by_one(&mut self, arrivals: Vec<Arrival>, acks: Vec<Ack>, inflow: &Inflow, error: &StoreError) -> Option<Ended> {
        let reason = if matches!(error, StoreError::Refused(reason) if reason.contains("panicked")) { "panic" } else { "refused" };
        if let Some(ended) = self.rebuild(reason).await {
            return Some(ended);
        }
        for arrival in arrivals {
            let mut open = Open::new(self.clock.now().max(self.last_at), self.seq);
            let outcome = match self.apply(&arrival, &mut open) {
                Ok(()) => self.commit(&mut open).await,
                Err(reason) => Err(StoreError::Refused(reason)),
            };
            match outcome {
                Ok(()) => self.act(open, vec![arrival], Vec::new(), inflow),
                Err(StoreError::Fenced) => return Some(Ended::Fenced),
                Err(error) => {
                    if let Some(ended) = self.rebuild("refused").await {
                        return Some(ended);
                    }
                    if let Some(ended) = self.set_aside(arrival, &error, inflow).await {
                        return Some(ended);
                    }
                }
            }
        }
        for ack in acks {
            let _ = inflow.acks.send(ack);
        }
        None
    }

    /// Puts the culprit into quarantine. A command is refused; timers that cannot fire wait a while, loudly.
    async fn set_aside(&mut self, arrival: Arrival, error: &StoreError, inflow: &Inflow) -> Option<Ended> {
        tracing::error!(pool = %self.leadership.pool, kind = kind_of(&arrival), %error, "an input is put into quarantine");
        self.deps.metrics.input(&self.leadership.pool, kind_of(&arrival), "quarantined");
        let mut open = Open::new(self.clock.now().max(self.last_at), self.seq);
        match arrival {
            Arrival::Item(Item::Input(prepared)) => open.writes.quarantine.push(Quarantined { reason: error.to_string(), ..prepared.raw }),
            Arrival::Item(Item::Quarantined(item)) => {
                tracing::error!(message_id = item.message_id, "quarantine itself refuses an item; it is dropped")
            }
            Arrival::Command(pending) => {
                let _ = pending.reply.send(Reply::Refused { code: Refusal::Quarantined });
            }
            Arrival::Timers | Arrival::Leader(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            Arrival::Item(Item::Duplicate) => {}
        }
        if !open.writes.quarantine.is_empty() {
            match self.commit(&mut open).await {
                Ok(()) => self.act(open, Vec::new(), Vec::new(), inflow),
                Err(StoreError::Fenced) => return Some(Ended::Fenced),
                Err(error) => tracing::error!(%error, "an item cannot be put into quarantine"),
            }
        }
        None
    }

    /// The engine again, from its rows. Waits for the database.
    async fn rebuild(&mut self, reason: &'static str) -> Option<Ended> {
        self.deps.metrics.rebuilt(&self.leadership.pool, reason);
        loop {
            match self.writer.load(&self.leadership.pool).await {
                Ok(snapshot) => {
                    self.seq = snapshot.last_seq;
                    self.last_at = self.last_at.max(snapshot.last_at);
                    let plan = Arc::clone(&self.deps.plans.borrow());
                    let rebuilt_at = self.last_at;
                    self.engine = rebuild(&self.leadership, plan, PoolSnapshot { last_at: rebuilt_at, ..snapshot });
                    return None;
                }
                Err(StoreError::Fenced) => return Some(Ended::Fenced),
                Err(error) => {
                    tracing::error!(pool = %self.leadership.pool, %error, "the engine cannot be rebuilt yet");
                    if self.lost.is_cancelled() {
                        return Some(Ended::Fenced);
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

/// What waiting for work needs of the driver: not its connection, which only one task may hold.
struct Collector<'d> {
    engine: &'d Engine,
    clock: PoolClock,
    lost: &'d CancellationToken,
    batch_max: usize,
}

impl Collector<'_> {
    /// Waits for something to do, then takes what has come: commands first, then timers, then contacts. None: stop.
    async fn collect(
        &self,
        inflow: &mut Inflow,
        commands: &mut mpsc::Receiver<PendingCommand>,
        stop: &CancellationToken,
    ) -> Option<(Vec<Arrival>, Vec<Ack>)> {
        let mut arrivals = Vec::new();
        let mut acks = Vec::new();
        let wait = self.engine.next_deadline().map_or(Duration::from_secs(1), |at| self.clock.until(at)).min(Duration::from_secs(1));
        tokio::select! {
            biased;
            () = self.lost.cancelled() => return None,
            () = stop.cancelled() => return None,
            Some(command) = commands.recv() => arrivals.push(Arrival::Command(Box::new(command))),
            batch = inflow.batches.recv() => match batch {
                Some(batch) => take_batch(batch, &mut arrivals, &mut acks),
                // intake has ended: only when the pool is given up
                None => stop.cancelled().await,
            },
            () = tokio::time::sleep(wait) => {}
        }
        let mut first: Vec<Arrival> = Vec::new();
        while first.len() < self.batch_max
            && let Ok(command) = commands.try_recv()
        {
            first.push(Arrival::Command(Box::new(command)));
        }
        if self.engine.next_deadline().is_some_and(|at| at <= self.clock.now()) {
            first.push(Arrival::Timers);
        }
        while first.len() + arrivals.len() < self.batch_max
            && let Ok(batch) = inflow.batches.try_recv()
        {
            take_batch(batch, &mut arrivals, &mut acks);
        }
        // the command that woke us stands first anyway; contacts that woke us stand behind commands and timers
        if matches!(arrivals.first(), Some(Arrival::Command(_))) {
            let contacts = arrivals.split_off(1);
            arrivals.extend(first);
            arrivals.extend(contacts);
        } else {
            first.append(&mut arrivals);
            arrivals = first;
        }
        Some((arrivals, acks))
    }
}

/// A batch while it is put together.
struct Open {
    at: Timestamp,
    seq: i64,
    input_seq: i64,
    effects: Effects,
    writes: WriteSet,
    feed: Vec<FeedEvent>,
    answers: Vec<Reply>,
}

impl Open {
    fn new(at: Timestamp, seq: i64) -> Self {
        Self { at, seq, input_seq: seq, effects: Effects::default(), writes: WriteSet::default(), feed: Vec::new(), answers: Vec::new() }
    }
}

impl Open {
    /// The number of the event that recorded a message in this batch.
    fn number_of(&self, message: MessageId) -> i64 {
        let is_it = |event: &&FeedEvent| match event.event.body {
            EventBody::MessageReceived { message: it, .. } | EventBody::MessageQueued { message: it, .. } => it == message,
            _ => false,
        };
        self.feed.iter().rev().find(is_it).map_or(self.seq, |event| event.event.seq)
    }

    fn number_of_written(&self, body: &CommandBody) -> i64 {
        match body {
            CommandBody::Reply { message, .. } | CommandBody::Copy { message, .. } => self.number_of(*message),
            _ => self.seq,
        }
    }
}

fn take_batch(batch: IntakeBatch, arrivals: &mut Vec<Arrival>, acks: &mut Vec<Ack>) {
    arrivals.extend(batch.items.into_iter().map(Arrival::Item));
    acks.clear(); // a later tag acknowledges the earlier ones
    acks.push(batch.ack);
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
