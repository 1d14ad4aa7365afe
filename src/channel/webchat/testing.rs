//! The channel on the fakes of the ports, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Maxima, Shared, WebChatDeps, WebChatOptions, build};
use crate::model::channel::Channel;
use crate::model::id::{AccountId, IdMaker, QueueId};
use crate::plan::{Account, Plan};
use crate::port::testing::{self, FakeAsides, FakeBlobs, FakeBroker, FakeChats, FakeLeases, FakeRouter, FakeStore};

/// The channel on fakes. `comune` has a chat account only, `asl` an email account too.
pub struct Setting {
    pub chat: Shared,
    pub store: Arc<FakeStore>,
    pub chats: Arc<FakeChats>,
    pub blobs: Arc<FakeBlobs>,
    pub router: Arc<FakeRouter>,
    pub broker: Arc<FakeBroker>,
    pub lease: Arc<FakeLeases>,
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
    pub fn new() -> Self {
        let (store, chats, router, broker) =
            (Arc::<FakeStore>::default(), Arc::<FakeChats>::default(), Arc::<FakeRouter>::default(), Arc::<FakeBroker>::default());
        let (lease, blobs) = (Arc::<FakeLeases>::default(), Arc::<FakeBlobs>::default());
        let options = WebChatOptions {
            accounts: BTreeMap::new(),
            public_origin: "https://chat.example".to_owned(),
            trusted_proxies: Vec::new(),
            session_life: Duration::from_secs(86_400),
            ping_every: Duration::from_secs(20),
            sessions_per_minute: 30,
            sockets: Maxima { node: 1, account: 1, address: 1 },
            attachment_bytes_max: 1_024,
            attachment_types: vec!["image/png".to_owned()],
            upload_bytes_per_hour: 4_096,
            event_prefix: "sportello".to_owned(),
            node: "here".to_owned(),
        };
        let deps = WebChatDeps {
            store: Arc::<FakeStore>::clone(&store),
            chats: Arc::<FakeChats>::clone(&chats),
            leases: Arc::<FakeLeases>::clone(&lease),
            blobs: Arc::<FakeBlobs>::clone(&blobs),
            broker: Arc::<FakeBroker>::clone(&broker),
            publisher: Arc::<FakeBroker>::clone(&broker),
            commands: Arc::<FakeRouter>::clone(&router),
            asides: Arc::new(FakeAsides::default()),
            feed: broadcast::channel(1).1,
            plan: watch::channel(Arc::new(plan())).1,
            ids: IdMaker::new([1; 32]),
        };
        let (chat, _feed) = build(options, deps, CancellationToken::new(), TaskTracker::new());
        Self { chat, store, chats, blobs, router, broker, lease }
    }
}
