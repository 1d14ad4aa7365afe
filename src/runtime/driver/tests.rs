//! The driver on a fake database: what goes to quarantine is new when it is tried again in the same leadership, and nobody hears of
//! what is not committed.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::*;
use crate::model::command::{Actor, Authority, Command, Refusal};
use crate::model::id::{AccountId, CommandId, IdMaker, InputId, QueueId};
use crate::model::inbound::{InboundEvent, InboundMessage};
use crate::model::wire;
use crate::port::broker::Incoming;
use crate::port::clock;
use crate::port::commands::{CommandEnvelope, CommandText};
use crate::port::store::WriteSet;
use crate::port::testing::{FakeBlobs, FakeStore, plan, pool};
use crate::runtime::consumer::IntakeBatch;
use crate::runtime::intake::Intake;

/// When the calls come, so that the same call has the same bytes.
const AT: Timestamp = Timestamp(1_750_000_000_000_000);

/// What was committed, and what is refused.
#[derive(Default)]
struct Table {
    committed: Vec<WriteSet>,
    /// Inputs that somebody else committed.
    sources: HashSet<String>,
    /// How often a commit was tried.
    tries: usize,
    is_away: bool,
    is_fenced: bool,
    refuses: bool,
    refuses_quarantine: bool,
}

impl Table {
    /// How many items of the quarantine and how many messages.
    fn counts(&self) -> (usize, usize) {
        let of = |count: fn(&WriteSet) -> usize| self.committed.iter().map(count).sum();
        (of(|writes| writes.quarantine.len()), of(|writes| writes.messages.len()))
    }

    /// A source that is there already, as the unique index finds it.
    fn is_double(&self, writes: &WriteSet) -> bool {
        let committed = self.committed.iter().flat_map(|writes| &writes.inputs).filter_map(|input| input.source.as_ref());
        let known: HashSet<&String> = committed.chain(&self.sources).collect();
        writes.inputs.iter().filter_map(|input| input.source.as_ref()).any(|source| known.contains(source))
    }

    /// The notices of the queues' rows, in the order in which they were committed.
    fn notices(&self) -> Vec<Option<String>> {
        self.committed.iter().flat_map(|writes| &writes.queues).map(|state| state.notice.clone()).collect()
    }
}

#[derive(Default)]
struct FakeWriter(Arc<Mutex<Table>>);

#[async_trait]
impl Writer for FakeWriter {
    async fn load(&mut self, _: &crate::model::id::PoolId) -> Result<PoolSnapshot, StoreError> {
        let table = self.0.lock().unwrap();
        let contacts = table.committed.iter().flat_map(|writes| writes.contacts.clone());
        Ok(PoolSnapshot {
            last_seq: table.committed.last().map_or(0, |writes| writes.last_seq),
            last_at: table.committed.last().map_or(Timestamp(0), |writes| writes.at),
            contacts: contacts.map(|contact| (contact.id, contact)).collect::<HashMap<_, _>>().into_values().collect(),
            database_time: clock::now(),
            ..PoolSnapshot::default()
        })
    }

    /// While it refuses, it takes neither messages nor commands, and nothing at all into quarantine if that is refused too.
    async fn commit(&mut self, writes: &WriteSet) -> Result<(), StoreError> {
        let mut table = self.0.lock().unwrap();
        table.tries += 1;
        if table.is_fenced {
            return Err(StoreError::Fenced);
        }
        if table.is_away {
            return Err(StoreError::Unavailable("asked for by the test".into()));
        }
        if table.is_double(writes) {
            return Err(StoreError::Refused("input_source".into()));
        }
        let unkept = table.refuses_quarantine && !writes.quarantine.is_empty();
        if unkept || table.refuses && (!writes.messages.is_empty() || writes.inputs.iter().any(|input| input.kind == "command")) {
            return Err(StoreError::Refused("asked for by the test".into()));
        }
        table.committed.push(writes.clone());
        Ok(())
    }
}

/// A driver that runs, with a plan of its own, and what feeds it.
struct Bench {
    table: Arc<Mutex<Table>>,
    rows: Arc<FakeStore>,
    batches: Option<mpsc::Sender<IntakeBatch>>,
    acks: mpsc::UnboundedReceiver<Ack>,
    commands: mpsc::Sender<PendingCommand>,
    intake: Intake,
    tag: u64,
    driver: tokio::task::JoinHandle<Ended>,
}

impl Bench {
    async fn start(plan: Plan) -> Self {
        let table = Arc::new(Mutex::new(Table::default()));
        let rows = Arc::new(FakeStore::default());
        let store: Arc<dyn Store> = rows.clone();
        let deps = DriverDeps {
            store: Arc::clone(&store),
            feed: Feed::default(),
            relay: RelayHandle::default(),
            metrics: Arc::new(Metrics::new()),
            plans: tokio::sync::watch::channel(Arc::new(plan)).0,
            batch_max: 16,
            tick: Arc::new(|| {}),
        };
        let leadership = Leadership { pool: pool(), epoch: 1, holder: "here".into() };
        let writer = Box::new(FakeWriter(Arc::clone(&table)));
        let driver = Driver::start(deps, leadership, writer, CancellationToken::new()).await.expect("loads");
        let (batches, receiver) = mpsc::channel(1);
        let (acks, acked) = mpsc::unbounded_channel();
        let (commands, pending) = mpsc::channel(1);
        let inflow = Inflow { batches: receiver, acks };
        let driver = tokio::spawn(driver.run(inflow, pending, CancellationToken::new()));
        let (ids, blobs) = (IdMaker::new([1; 32]), Arc::new(FakeBlobs::default()));
        let intake = Intake { pool: pool(), prefix: "it.example".into(), ids, store, blobs };
        Self { table, rows, batches: Some(batches), acks: acked, commands, intake, tag: 0, driver }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap()
    }

    /// Delivers a call and waits until it is acknowledged.
    async fn call(&mut self, external_id: &str) {
        let ack = self.deliver(external_id).await;
        assert_eq!(self.acks.recv().await, Some(ack));
    }

    /// Delivers a call. Returns its acknowledgement to come.
    async fn deliver(&mut self, external_id: &str) -> Ack {
        self.tag += 1;
        let account = AccountId::new("centralino").expect("a name");
        let message = serde_json::json!({ "account": account, "provider_id": external_id, "received_at": AT });
        let message: InboundMessage = serde_json::from_value(message).expect("a message");
        let event = InboundEvent::Message(Box::new(message));
        let event = wire::inbound_event("it.example", InputId(1), &account, AT, None, event);
        let incoming = Incoming {
            tag: self.tag,
            routing_key: format!("{}.comune.phone", pool()),
            id: Some(external_id.to_owned()),
            body: wire::encode_inbound(&event).expect("small").into(),
            traceparent: None,
            reply_to: None,
            redelivered: false,
            death: None,
        };
        let ack = Ack { generation: 1, tag: self.tag };
        let items = self.intake.prepare(&plan(), &[incoming]).await.expect("the store answers");
        let batches = self.batches.as_ref().expect("intake goes on");
        batches.send(IntakeBatch { ack, items }).await.expect("the driver runs");
        ack
    }

    async fn command(&self, id: CommandId) -> Reply {
        self.ask(id, lose_node(), None).await.await.expect("an answer")
    }

    /// Sends a command of the machinery. Returns its answer to come.
    async fn ask(&self, id: CommandId, body: CommandBody, text: Option<&str>) -> oneshot::Receiver<Reply> {
        let command = Command { id, actor: Actor { operator: None, authority: Authority::Any }, expected_version: None, body };
        let text = text.map(|text| CommandText::Text(text.to_owned()));
        self.hand_in(CommandEnvelope { command, text, traceparent: None }).await
    }

    async fn hand_in(&self, envelope: CommandEnvelope) -> oneshot::Receiver<Reply> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(PendingCommand { envelope, stored: None, reply }).await.expect("the driver runs");
        answer
    }

    /// Sends a command twice while the database is away. Returns the answers to come, when the driver has both and tries to commit
    /// the first; neither is there.
    async fn ask_twice_in_vain(&self, id: CommandId) -> [oneshot::Receiver<Reply>; 2] {
        self.table().is_away = true;
        let first = self.ask(id, lose_node(), None).await;
        let before = self.table().tries;
        while self.table().tries == before {
            tokio::task::yield_now().await;
        }
        let mut again = self.ask(id, lose_node(), None).await;
        let early = tokio::time::timeout(Duration::from_millis(300), &mut again).await;
        assert!(early.is_err(), "answered before the first is committed: {early:?}");
        [first, again]
    }
}

fn lose_node() -> CommandBody {
    CommandBody::LoseNode { node: "desk-1".into() }
}

fn queue(name: &str) -> QueueId {
    QueueId::new(name).expect("a name")
}

#[tokio::test]
async fn what_the_database_refused_is_taken_when_it_is_tried_again() {
    let mut bench = Bench::start(plan()).await;
    bench.table().refuses = true;
    bench.call("a").await;
    assert_eq!(bench.table().counts(), (1, 0));
    bench.table().refuses = false;
    for time in 1..=2 {
        bench.call("a").await;
        assert_eq!(bench.table().counts(), (1, 1), "tried {time} times, taken once");
    }
}

#[tokio::test]
async fn a_command_that_was_set_aside_is_no_duplicate() {
    let bench = Bench::start(plan()).await;
    bench.table().refuses = true;
    let id = CommandId(7);
    assert_eq!(bench.command(id).await, Reply::Refused { code: Refusal::Quarantined });
    bench.table().refuses = false;
    assert!(matches!(bench.command(id).await, Reply::Applied { .. }));
    assert_eq!(bench.command(id).await, Reply::Duplicate);
}

/// Nobody leads a pool into which nothing comes: what is decided is finished, and somebody else begins anew.
#[tokio::test]
async fn without_intake_the_leadership_ends() {
    let mut bench = Bench::start(plan()).await;
    bench.call("a").await;
    bench.batches = None;
    assert_eq!(bench.driver.await.expect("no panic"), Ended::IntakeEnded);
    assert_eq!(bench.table.lock().unwrap().counts(), (0, 1));
}

/// What the database takes nowhere, not even into quarantine, is not acknowledged: the broker keeps it.
#[tokio::test]
async fn what_can_be_kept_nowhere_stays_at_the_broker() {
    let mut bench = Bench::start(plan()).await;
    bench.table().refuses = true;
    bench.table().refuses_quarantine = true;
    bench.deliver("a").await;
    assert_eq!(bench.driver.await.expect("no panic"), Ended::Unkept);
    assert_eq!(bench.acks.recv().await, None, "no acknowledgement");
}

/// The row of what the engine refused says nothing of its source: neither this leader nor the next takes a retry for a duplicate.
#[tokio::test]
async fn what_the_engine_refused_leaves_no_source() {
    let mut without = plan();
    without.accounts.clear();
    let mut bench = Bench::start(without).await;
    for times in 1..=2 {
        bench.call("a").await;
        assert_eq!(bench.table().counts(), (times, 0));
    }
    let table = bench.table();
    let ids: HashMap<_, _> = table.committed.iter().flat_map(|writes| &writes.quarantine).map(|item| (&item.message_id, ())).collect();
    assert_eq!(ids.len(), 1, "the same item each time");
    let inputs: Vec<_> = table.committed.iter().flat_map(|writes| &writes.inputs).filter(|input| input.kind == "inbound").collect();
    assert_eq!(inputs.len(), 2);
    assert!(inputs.iter().all(|input| input.source.is_none() && input.outcome == "not_found"), "{inputs:?}");
}

#[tokio::test]
async fn a_command_sent_again_is_a_duplicate_when_the_first_is_committed_and_not_before() {
    let bench = Bench::start(plan()).await;
    let [first, again] = bench.ask_twice_in_vain(CommandId(7)).await;
    bench.table().is_away = false;
    assert!(matches!(first.await, Ok(Reply::Applied { .. })));
    assert_eq!(again.await, Ok(Reply::Duplicate));
    assert_eq!(bench.command(CommandId(7)).await, Reply::Duplicate);
}

#[tokio::test]
async fn a_command_sent_again_hears_nothing_if_the_first_is_never_committed() {
    let bench = Bench::start(plan()).await;
    let [first, again] = bench.ask_twice_in_vain(CommandId(7)).await;
    bench.table().is_fenced = true;
    assert_eq!(bench.driver.await.expect("no panic"), Ended::Fenced);
    assert!(first.await.is_err() && again.await.is_err(), "both ask again");
}

#[tokio::test]
async fn a_command_sent_again_asks_once_more_if_the_first_is_set_aside() {
    let bench = Bench::start(plan()).await;
    let [first, again] = bench.ask_twice_in_vain(CommandId(7)).await;
    {
        let mut table = bench.table();
        (table.is_away, table.refuses) = (false, true);
    }
    assert_eq!(first.await, Ok(Reply::Refused { code: Refusal::Quarantined }));
    assert!(again.await.is_err(), "it asks again");
    bench.table().refuses = false;
    assert!(matches!(bench.command(CommandId(7)).await, Reply::Applied { .. }));
}

#[tokio::test]
async fn a_refused_command_sent_again_hears_the_same_refusal() {
    let bench = Bench::start(plan()).await;
    for _ in 0..2 {
        let answer = bench.ask(CommandId(7), CommandBody::OpenQueue { queue: queue("nowhere") }, None).await;
        assert_eq!(answer.await, Ok(Reply::Refused { code: Refusal::NotFound }));
    }
    let table = bench.table();
    assert_eq!(table.committed.iter().flat_map(|writes| &writes.inputs).filter(|input| input.kind == "command").count(), 1);
}

/// A predecessor committed it, and the database could not say so in time.
#[tokio::test]
async fn a_command_that_only_the_database_knows_is_a_duplicate() {
    let bench = Bench::start(plan()).await;
    let (known, new) = (CommandId(7), CommandId(8));
    bench.rows.rows().sources.insert(known.to_string());
    bench.table().sources.insert(known.to_string());
    bench.rows.away.store(true, std::sync::atomic::Ordering::Relaxed);
    bench.table().is_away = true;
    let known = bench.ask(known, lose_node(), None).await;
    let new = bench.ask(new, lose_node(), None).await;
    let before = bench.table().tries;
    while bench.table().tries == before {
        tokio::task::yield_now().await;
    }
    bench.rows.away.store(false, std::sync::atomic::Ordering::Relaxed);
    bench.table().is_away = false;
    assert_eq!(known.await, Ok(Reply::Duplicate));
    assert!(matches!(new.await, Ok(Reply::Applied { .. })));
}

/// A notice goes with its closing: an earlier one's is not shown again, nor that of a closing that was refused.
#[tokio::test]
async fn a_notice_goes_with_its_closing() {
    let bench = Bench::start(plan()).await;
    let (close, open) = (CommandBody::CloseQueue { queue: queue("urp") }, CommandBody::OpenQueue { queue: queue("urp") });
    for (number, (body, notice)) in [(&close, Some("in assemblea")), (&open, None), (&close, None)].into_iter().enumerate() {
        let answer = bench.ask(CommandId(number as u128), body.clone(), notice).await;
        assert!(matches!(answer.await, Ok(Reply::Applied { .. })));
    }
    assert_eq!(bench.table().notices(), [Some("in assemblea".to_owned()), None, None]);
    let stranger = Actor { operator: None, authority: Authority::Own };
    let command = Command { id: CommandId(10), actor: stranger, expected_version: None, body: close.clone() };
    let envelope = CommandEnvelope { command, text: Some(CommandText::Text("scherzo".into())), traceparent: None };
    assert_eq!(bench.hand_in(envelope).await.await, Ok(Reply::Refused { code: Refusal::NotOwner }));
    bench.table().refuses = true;
    let answer = bench.ask(CommandId(11), close.clone(), Some("mai preso")).await;
    assert_eq!(answer.await, Ok(Reply::Refused { code: Refusal::Quarantined }));
    bench.table().refuses = false;
    let answer = bench.ask(CommandId(12), close, None).await;
    assert!(matches!(answer.await, Ok(Reply::Applied { .. })));
    assert_eq!(bench.table().notices().last(), Some(&None));
}
