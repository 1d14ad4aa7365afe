//! Everybody has their turn: those who are not due hide nobody, and what cannot be sent is done with.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::channel::webchat::{Maxima, WebChatDeps, WebChatOptions, build};
use crate::model::channel::Channel;
use crate::model::contact::Direction;
use crate::model::conversation::Message;
use crate::model::id::{AccountId, IdMaker, OperatorId, QueueId};
use crate::plan::{Account, Plan};
use crate::port::testing::{self, FakeAsides, FakeBlobs, FakeBroker, FakeChats, FakeLeases, FakeRouter, FakeStore};

/// The channel on fakes. `comune` has a chat account only, `asl` an email account too.
struct Setting {
    chat: Shared,
    store: Arc<FakeStore>,
    chats: Arc<FakeChats>,
    router: Arc<FakeRouter>,
    broker: Arc<FakeBroker>,
}

fn plan() -> Plan {
    let mut plan = testing::plan();
    for (id, body, channel, queue) in [
        ("sito", "comune", Channel::webchat(), "urp"),
        ("asl-chat", "asl", Channel::webchat(), "cup"),
        ("asl-mail", "asl", Channel::email(), "cup"),
    ] {
        let queue = QueueId::new(queue).unwrap();
        let account = Account { administration: testing::administration(body), channel, address: None, display_name: None, queue };
        plan.accounts.insert(AccountId::new(id).unwrap(), account);
    }
    plan.queues.get_mut(&QueueId::new("urp").unwrap()).unwrap().abandon_after = Duration::from_secs(3_600);
    plan
}

impl Setting {
    fn new() -> Self {
        let (store, chats, router, broker) =
            (Arc::<FakeStore>::default(), Arc::<FakeChats>::default(), Arc::<FakeRouter>::default(), Arc::<FakeBroker>::default());
        let options = WebChatOptions {
            accounts: BTreeMap::new(),
            public_origin: "https://chat.example".to_owned(),
            trusted_proxies: Vec::new(),
            session_life: Duration::from_secs(86_400),
            ping_every: Duration::from_secs(20),
            sessions_per_minute: 30,
            sockets: Maxima { node: 1, account: 1, address: 1 },
            attachment_bytes_max: 1_024,
            attachment_types: Vec::new(),
            event_prefix: "sportello".to_owned(),
            holder: "here".to_owned(),
            node: "here".to_owned(),
        };
        let deps = WebChatDeps {
            store: Arc::<FakeStore>::clone(&store),
            chats: Arc::<FakeChats>::clone(&chats),
            leases: Arc::new(FakeLeases),
            blobs: Arc::new(FakeBlobs::default()),
            broker: Arc::<FakeBroker>::clone(&broker),
            publisher: Arc::<FakeBroker>::clone(&broker),
            commands: Arc::<FakeRouter>::clone(&router),
            asides: Arc::new(FakeAsides::default()),
            feed: broadcast::channel(1).1,
            plan: watch::channel(Arc::new(plan())).1,
            ids: IdMaker::new([1; 32]),
        };
        let (chat, _feed) = build(options, deps, CancellationToken::new(), TaskTracker::new());
        Self { chat, store, chats, router, broker }
    }

    /// A chat with its contact, in which an operator has written.
    fn add(&self, n: u128, body: &str, queue: &str, state: ContactState, change: impl FnOnce(&mut ChatSession)) {
        let mut session = ChatSession {
            id: ChatSessionId(n),
            administration: testing::administration(body),
            account: AccountId::new(if body == "asl" { "asl-chat" } else { "sito" }).unwrap(),
            name: "Luisa".to_owned(),
            email: None,
            topic: None,
            language: None,
            created_at: now(),
            expires_at: now().plus(Duration::from_secs(86_400)),
            present_until: now().plus(Duration::from_secs(60)),
            gone: false,
            ended: false,
            operator_read: 0,
            citizen_read: 0,
            transcript_to: None,
        };
        change(&mut session);
        let mut contact = testing::contact(n, body, queue, state);
        contact.conversation = conversation_of(&self.chat.ids, &session.account, session.id);
        contact.channel = Channel::webchat();
        let answer = Message {
            direction: Direction::Outbound,
            author: Some(OperatorId(1)),
            text: "Buongiorno".into(),
            ..testing::message(n, &contact)
        };
        let mut rows = self.store.rows();
        rows.contacts.insert(contact.id, contact);
        rows.messages.push(answer);
        self.chats.0.lock().unwrap().push(session);
    }

    async fn look(&self, body: &str, round: &mut Round) {
        look_after(&self.chat, &testing::administration(body), round).await;
    }

    /// Where transcripts are still waited for.
    fn waiting(&self) -> Vec<u128> {
        self.chats.0.lock().unwrap().iter().filter(|chat| chat.transcript_to.is_some()).map(|chat| chat.id.0).collect()
    }
}

fn active() -> ContactState {
    ContactState::Active { operator: OperatorId(1), untouched_until: None }
}

fn closed() -> ContactState {
    ContactState::Closed { at: Timestamp(1) }
}

fn wants(session: &mut ChatSession) {
    session.transcript_to = Some("luisa@example.it".to_owned());
}

#[tokio::test]
async fn a_transcript_that_no_account_can_send_is_done_with() {
    let setting = Setting::new();
    setting.add(1, "comune", "urp", closed(), wants);
    setting.add(2, "asl", "cup", closed(), wants);
    setting.add(3, "asl", "cup", active(), wants);
    setting.add(4, "asl", "cup", closed(), wants);
    setting.store.rows().contacts.retain(|id, _| id.0 != 4);
    for body in ["comune", "asl"] {
        setting.look(body, &mut Round::default()).await;
    }
    assert_eq!(setting.waiting(), [3], "it is not over; the fourth was erased, and the first would never be sent");
    let sent = setting.router.bodies();
    let [crate::model::command::CommandBody::Copy { administration, account, .. }] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((administration.as_str(), account.as_str()), ("asl", "asl-mail"));
    // an account that comes later does not send what was done with
    setting.look("comune", &mut Round::default()).await;
    assert_eq!(setting.router.bodies().len(), 1);
}

#[tokio::test]
async fn transcripts_of_chats_that_go_on_hide_none_that_is_due() {
    let setting = Setting::new();
    let opened = now();
    for n in 1..=250 {
        setting.add(n, "asl", "cup", active(), wants);
    }
    setting.add(251, "asl", "cup", closed(), |session| {
        wants(session);
        session.created_at = opened.plus(Duration::from_secs(60));
    });
    let mut round = Round::default();
    for expected in [0, 1, 1, 1] {
        setting.look("asl", &mut round).await;
        assert_eq!(setting.router.bodies().len(), expected);
    }
    assert_eq!(setting.waiting().len(), 250);
    // the first is over: the rounds begin anew
    setting.store.rows().contacts.values_mut().next().expect("the first").state = closed();
    for _ in 0..2 {
        setting.look("asl", &mut round).await;
    }
    assert_eq!((setting.router.bodies().len(), setting.waiting().len()), (2, 249));
}

#[tokio::test]
async fn who_has_more_time_hides_nobody_whose_time_is_over() {
    let setting = Setting::new();
    let ago = |seconds| move |session: &mut ChatSession| session.present_until = now().minus(Duration::from_secs(seconds));
    for n in 1..=250 {
        setting.add(n, "comune", "urp", active(), ago(600));
    }
    setting.add(251, "comune", "sociale", active(), ago(180));
    let mut round = Round::default();
    for expected in [0, 1, 1, 1] {
        setting.look("comune", &mut round).await;
        assert_eq!(setting.broker.batches.lock().unwrap().concat().len(), expected);
    }
    let gone: Vec<u128> = setting.chats.0.lock().unwrap().iter().filter(|chat| chat.gone).map(|chat| chat.id.0).collect();
    assert_eq!(gone, [251]);
}
