//! Broker, store, leases and blobs in memory, with switches for their failures: what an adapter's tests stand on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use sportello::model::channel::Channel;
use sportello::model::conversation::{BlobRef, Message};
use sportello::model::delivery::Delivery;
use sportello::model::id::*;
use sportello::model::operator::Operator;
use sportello::model::time::Timestamp;
use sportello::plan::{Account, Administration, Plan};
use sportello::port::blobs::{BlobError, Blobs};
use sportello::port::broker::*;
use sportello::port::store::*;
use tokio::sync::watch;

/// Everything an adapter needs, in memory.
pub struct World {
    pub published: Mutex<Vec<Outgoing>>,
    pub orders: Mutex<Vec<(AccountId, Incoming, bool)>>,
    pub blobs: Mutex<HashMap<String, Bytes>>,
    pub watermarks: Mutex<HashMap<AccountId, Watermark>>,
    pub quarantined: Mutex<Vec<Quarantined>>,
    pub messages: Mutex<HashMap<MessageId, Message>>,
    pub views: Mutex<HashMap<ConversationId, ConversationView>>,
    attempts: Mutex<BTreeSet<(MessageId, u32)>>,
    holders: Mutex<HashMap<String, String>>,
    pub broker_down: AtomicBool,
    pub blobs_down: AtomicBool,
    keys: AtomicU64,
    changed: watch::Sender<u64>,
}

impl World {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            published: Mutex::default(),
            orders: Mutex::default(),
            blobs: Mutex::default(),
            watermarks: Mutex::default(),
            quarantined: Mutex::default(),
            messages: Mutex::default(),
            views: Mutex::default(),
            attempts: Mutex::default(),
            holders: Mutex::default(),
            broker_down: AtomicBool::new(false),
            blobs_down: AtomicBool::new(false),
            keys: AtomicU64::new(0),
            changed: watch::channel(0).0,
        })
    }

    /// Wakes whoever waits for a condition.
    pub fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Waits until `condition` holds; fails the test after 30 s.
    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !condition(self) {
                // Conditions on files and sockets are not announced: look again now and then.
                let _ = tokio::time::timeout(Duration::from_millis(50), changed.changed()).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), wait).await.is_err() {
            panic!("waited 30 s for: {what}");
        }
    }

    /// Published bodies as JSON.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.published.lock().unwrap().iter().map(|message| serde_json::from_slice(&message.body).unwrap()).collect()
    }

    /// Puts an order to send into the account's queue.
    pub fn order(&self, account: &str, body: impl Into<Bytes>) {
        let mut orders = self.orders.lock().unwrap();
        let tag = u64::try_from(orders.len()).unwrap() + 1;
        let incoming = Incoming {
            tag,
            routing_key: account.to_owned(),
            id: Some(format!("order-{tag}")),
            body: body.into(),
            traceparent: None,
            reply_to: None,
            redelivered: false,
            death: None,
        };
        orders.push((AccountId::new(account).unwrap(), incoming, false));
        drop(orders);
        self.touch();
    }

    /// Whether every order is acknowledged.
    pub fn all_acknowledged(&self) -> bool {
        self.orders.lock().unwrap().iter().all(|(_, _, acknowledged)| *acknowledged)
    }
}

/// A plan with one administration per entry of `accounts`: (account, address).
pub fn plan(accounts: &[(&str, &str)]) -> Plan {
    let pool = PoolId::new("comuni").unwrap();
    let mut plan = Plan { version: 1, pools: [pool.clone()].into(), ..Plan::default() };
    for (account, address) in accounts {
        let administration = AdministrationId::new(account).unwrap();
        let body = Administration {
            name: format!("Comune {account}"),
            pool: pool.clone(),
            domains: BTreeSet::new(),
            languages: vec![],
            retention: None,
            offices: BTreeMap::new(),
            topics: BTreeMap::new(),
            rules: vec![],
        };
        plan.administrations.insert(administration.clone(), body);
        let account_body = Account {
            administration,
            channel: Channel::email(),
            address: Some((*address).to_owned()),
            display_name: Some("Sportello — URP".to_owned()),
            queue: QueueId::new("generale").unwrap(),
        };
        plan.accounts.insert(AccountId::new(account).unwrap(), account_body);
    }
    plan
}

#[async_trait]
impl Publisher for World {
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        if self.broker_down.load(Ordering::SeqCst) {
            return Err(PublishError::Unavailable("down for the test".into()));
        }
        self.published.lock().unwrap().extend(batch);
        self.touch();
        Ok(())
    }
}

struct WorldConsumer {
    world: Arc<World>,
    account: AccountId,
    queue: String,
    given: BTreeSet<u64>,
}

#[async_trait]
impl Consumer for WorldConsumer {
    fn queue(&self) -> &str {
        &self.queue
    }

    async fn next(&mut self, max: usize) -> Result<Vec<Incoming>, ConsumeError> {
        let mut changed = self.world.changed.subscribe();
        loop {
            let fresh: Vec<Incoming> = {
                let orders = self.world.orders.lock().unwrap();
                let mine =
                    orders.iter().filter(|(account, order, acked)| *account == self.account && !acked && !self.given.contains(&order.tag));
                mine.take(max).map(|(_, order, _)| order.clone()).collect()
            };
            if !fresh.is_empty() {
                self.given.extend(fresh.iter().map(|order| order.tag));
                return Ok(fresh);
            }
            let _ = changed.changed().await;
        }
    }

    async fn ack(&mut self, tag: u64) -> Result<(), ConsumeError> {
        for (account, order, acked) in self.world.orders.lock().unwrap().iter_mut() {
            *acked |= *account == self.account && order.tag <= tag;
        }
        self.world.touch();
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

/// A broker over a [`World`].
pub struct WorldBroker(pub Arc<World>);

#[async_trait]
impl Broker for WorldBroker {
    async fn declare(&self, _pools: &[PoolId], _accounts: &[AccountId]) -> Result<(), PublishError> {
        Ok(())
    }

    async fn publisher(&self) -> Result<Arc<dyn Publisher>, PublishError> {
        Ok(Arc::clone(&self.0) as Arc<dyn Publisher>)
    }

    async fn consumer(&self, source: Source, _prefetch: u16) -> Result<Box<dyn Consumer>, ConsumeError> {
        let Source::Outbound(account) = source else { return Err(ConsumeError::Unavailable("not in this fake".into())) };
        let (world, queue) = (Arc::clone(&self.0), account.to_string());
        Ok(Box::new(WorldConsumer { world, account, queue, given: BTreeSet::new() }))
    }

    fn is_up(&self) -> bool {
        true
    }

    fn kind(&self) -> &'static str {
        "fake"
    }
}

#[async_trait]
impl Blobs for World {
    async fn put(&self, administration: &AdministrationId, bytes: Bytes) -> Result<BlobRef, BlobError> {
        if self.blobs_down.load(Ordering::SeqCst) {
            return Err(BlobError::Unavailable("down for the test".into()));
        }
        let key = format!("{administration}/2026-11/{}", self.keys.fetch_add(1, Ordering::SeqCst));
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let size = u64::try_from(bytes.len()).unwrap();
        self.blobs.lock().unwrap().insert(key.clone(), bytes);
        Ok(BlobRef { key, sha256, size })
    }

    async fn get(&self, administration: &AdministrationId, blob: &BlobRef) -> Result<Bytes, BlobError> {
        let inside = blob.key.starts_with(&format!("{administration}/"));
        self.blobs.lock().unwrap().get(&blob.key).filter(|_| inside).cloned().ok_or(BlobError::NotFound)
    }

    async fn kept_between(&self, _: &AdministrationId, _: Timestamp, _: Timestamp, _: &str, _: usize) -> Result<Vec<String>, BlobError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _administration: &AdministrationId, key: &str) -> Result<(), BlobError> {
        self.blobs.lock().unwrap().remove(key);
        Ok(())
    }
}

#[async_trait]
impl Leases for World {
    async fn lead(&self, _pool: &PoolId, _holder: &str, _ttl: Duration) -> Result<Option<Leadership>, StoreError> {
        absent()
    }

    async fn renew(&self, _leadership: &Leadership, _ttl: Duration) -> Result<bool, StoreError> {
        absent()
    }

    async fn resign(&self, _leadership: &Leadership) -> Result<(), StoreError> {
        absent()
    }

    async fn hold(&self, name: &str, holder: &str, _ttl: Duration) -> Result<bool, StoreError> {
        let mut holders = self.holders.lock().unwrap();
        Ok(holders.entry(name.to_owned()).or_insert_with(|| holder.to_owned()) == holder)
    }

    async fn let_go(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        self.holders.lock().unwrap().retain(|lease, owner| lease != name || owner != holder);
        Ok(())
    }
}

fn absent<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("not in this fake".into()))
}

#[async_trait]
impl Store for World {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn installation_secret(&self) -> Result<[u8; 32], StoreError> {
        Ok([9; 32])
    }

    async fn watermark(&self, account: &AccountId) -> Result<Option<Watermark>, StoreError> {
        Ok(self.watermarks.lock().unwrap().get(account).copied())
    }

    async fn put_watermark(&self, account: &AccountId, watermark: Watermark) -> Result<(), StoreError> {
        self.watermarks.lock().unwrap().insert(account.clone(), watermark);
        self.touch();
        Ok(())
    }

    async fn begin_attempt(&self, administration: &AdministrationId, message: MessageId, attempt: u32) -> Result<AttemptStart, StoreError> {
        let found = self.messages.lock().unwrap().get(&message).filter(|found| found.administration == *administration).cloned();
        let Some(found) = found else { return Ok(AttemptStart::Void) };
        let is_new = self.attempts.lock().unwrap().insert((message, attempt));
        Ok(if is_new { AttemptStart::Begun(Box::new(found)) } else { AttemptStart::BegunBefore })
    }

    async fn quarantine(&self, item: &Quarantined) -> Result<(), StoreError> {
        self.quarantined.lock().unwrap().push(item.clone());
        self.touch();
        Ok(())
    }

    async fn conversation(
        &self,
        _administration: &AdministrationId,
        conversation: ConversationId,
    ) -> Result<Option<ConversationView>, StoreError> {
        Ok(self.views.lock().unwrap().get(&conversation).cloned())
    }

    async fn put_part_id(&self, _: &AdministrationId, _: SentPart, _: u32, _: &str) -> Result<(), StoreError> {
        absent()
    }
    async fn parts_named(&self, _: &AdministrationId, _: &[String; 3]) -> Result<Vec<SentPart>, StoreError> {
        absent()
    }
    async fn part_arrived(&self, _: &AdministrationId, _: SentPart) -> Result<bool, StoreError> {
        absent()
    }
    async fn last_at(&self, _pool: &PoolId) -> Result<Timestamp, StoreError> {
        absent()
    }
    async fn put_read_mark(&self, _mark: &ReadMark) -> Result<(), StoreError> {
        absent()
    }
    async fn unread(
        &self,
        _administrations: &[AdministrationId],
        _operator: OperatorId,
        _contacts: &[ContactId],
    ) -> Result<Vec<(ContactId, u32)>, StoreError> {
        absent()
    }
    async fn put_opt_out(&self, _word: &OptOut) -> Result<(), StoreError> {
        absent()
    }
    async fn opted_out(&self, _body: &AdministrationId, _channel: &Channel, _address: AddressKey) -> Result<Option<Timestamp>, StoreError> {
        absent()
    }
    async fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        absent()
    }
    async fn facts(&self, _pool: &PoolId, _queries: &[FactQuery]) -> Result<Vec<FactRow>, StoreError> {
        absent()
    }
    async fn known_sources(&self, _pool: &PoolId, _sources: &[String]) -> Result<Vec<bool>, StoreError> {
        absent()
    }
    async fn events_after(&self, _pool: &PoolId, _after: i64, _limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        absent()
    }
    async fn last_seq(&self, _pool: &PoolId) -> Result<i64, StoreError> {
        absent()
    }
    async fn inputs_after(&self, _pool: &PoolId, _after: i64, _limit: u32) -> Result<Vec<InputRecord>, StoreError> {
        absent()
    }
    async fn cursor(&self, _pool: &PoolId, _name: &str) -> Result<i64, StoreError> {
        absent()
    }
    async fn advance_cursor(&self, _pool: &PoolId, _name: &str, _epoch: i64, _seq: i64) -> Result<bool, StoreError> {
        absent()
    }
    async fn contact(&self, _administrations: &[AdministrationId], _contact: ContactId) -> Result<Option<ContactSummary>, StoreError> {
        absent()
    }
    async fn contacts(
        &self,
        _administrations: &[AdministrationId],
        _filter: &ContactFilter,
        _page: Page,
    ) -> Result<Vec<ContactSummary>, StoreError> {
        absent()
    }
    async fn message(&self, _administration: &AdministrationId, _message: MessageId) -> Result<Option<Message>, StoreError> {
        absent()
    }
    async fn delivery(&self, _administration: &AdministrationId, _message: MessageId) -> Result<Option<Delivery>, StoreError> {
        absent()
    }
    async fn operators(&self, _pool: &PoolId) -> Result<Vec<Operator>, StoreError> {
        absent()
    }
    async fn queue_states(&self, _pool: &PoolId) -> Result<Vec<QueueState>, StoreError> {
        absent()
    }
    async fn input_status(&self, _administrations: &[AdministrationId], _input: InputId) -> Result<Option<InputStatus>, StoreError> {
        absent()
    }
    async fn messages_of_contact(&self, _administration: &AdministrationId, _contact: ContactId) -> Result<Vec<Message>, StoreError> {
        absent()
    }
    async fn login(&self, _login: &str) -> Result<Option<Login>, StoreError> {
        absent()
    }
    async fn login_of(&self, _operator: OperatorId) -> Result<Option<Login>, StoreError> {
        absent()
    }
    async fn logins(&self, _pool: &PoolId) -> Result<Vec<Login>, StoreError> {
        absent()
    }
    async fn put_login(&self, _login: &Login) -> Result<(), StoreError> {
        absent()
    }
    async fn set_password(&self, _operator: OperatorId, _hash: &str) -> Result<bool, StoreError> {
        absent()
    }
    async fn put_session(&self, _session: &Session) -> Result<(), StoreError> {
        absent()
    }
    async fn session(&self, _token_hash: &str, _now: Timestamp) -> Result<Option<(Session, Login)>, StoreError> {
        absent()
    }
    async fn end_session(&self, _token_hash: &str) -> Result<(), StoreError> {
        absent()
    }
    async fn put_token(&self, _token: &ApiToken) -> Result<(), StoreError> {
        absent()
    }
    async fn token(&self, _token_hash: &str, _now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
        absent()
    }
    async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        absent()
    }
    async fn end_token(&self, _name: &str) -> Result<bool, StoreError> {
        absent()
    }
    async fn plan(&self) -> Result<Option<(i64, String)>, StoreError> {
        absent()
    }
    async fn plan_version(&self, _version: i64) -> Result<Option<String>, StoreError> {
        absent()
    }
    async fn put_plan(&self, _toml: &str) -> Result<i64, StoreError> {
        absent()
    }
    async fn node_seen(&self, _node: &str) -> Result<(), StoreError> {
        absent()
    }
    async fn nodes_lost(&self, _late: Duration) -> Result<Vec<String>, StoreError> {
        absent()
    }
    async fn forget_node(&self, _node: &str) -> Result<(), StoreError> {
        absent()
    }
    async fn leave_command(&self, _pool: &PoolId, _id: &str, _body: &str) -> Result<(), StoreError> {
        absent()
    }
    async fn left_commands(&self, _pool: &PoolId) -> Result<Vec<(String, String)>, StoreError> {
        absent()
    }
    async fn answer_command(&self, _pool: &PoolId, _id: &str, _answer: &str) -> Result<(), StoreError> {
        absent()
    }
    async fn command_answer(&self, _pool: &PoolId, _id: &str) -> Result<Option<String>, StoreError> {
        absent()
    }
    async fn quarantined(&self, _reach: Option<&QuarantineReach>, _retried: bool, _page: Page) -> Result<Vec<Quarantined>, StoreError> {
        absent()
    }
    async fn quarantined_item(&self, _id: i64) -> Result<Option<Quarantined>, StoreError> {
        absent()
    }
    async fn settle_quarantined(&self, _id: i64, _state: &str) -> Result<bool, StoreError> {
        absent()
    }
    async fn quarantine_counts(&self) -> Result<Vec<(String, i64)>, StoreError> {
        absent()
    }
    async fn contact_counts(&self, _pool: &PoolId) -> Result<Vec<ContactCount>, StoreError> {
        absent()
    }
    async fn operator_loads(&self, _pool: &PoolId) -> Result<Vec<OperatorLoad>, StoreError> {
        absent()
    }
}
