//! Fakes of the ports for tests: a store, a router of commands, blobs and a publisher in memory, with a small plan and the
//! rows that go with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, broadcast};

use crate::model::channel::{Channel, IdentityLevel, Language};
use crate::model::command::{CommandBody, Reply};
use crate::model::contact::{Contact, ContactState, Direction, Mode, OrderKey};
use crate::model::conversation::{BlobRef, Message};
use crate::model::delivery::Delivery;
use crate::model::id::*;
use crate::model::operator::{Grant, Operator, OperatorProfile, Presence, Role, Scope};
use crate::model::requirement::Requirement;
use crate::model::time::Timestamp;
use crate::plan::{Account, Administration, Office, Plan, Policy, Queue};
use crate::port::aside::{Aside, Asides};
use crate::port::blobs::{BlobError, Blobs};
use crate::port::broker::{Broker, ConsumeError, Consumer, Outgoing, PublishError, Publisher, Source};
use crate::port::chat::{ChatChange, ChatSession, Chats};
use crate::port::commands::{CommandEnvelope, CommandError, Commands};
use crate::port::retry::{Retried, Retries};
use crate::port::store::*;

pub fn pool() -> PoolId {
    PoolId::new("valle").unwrap()
}

pub fn pool_scope() -> Scope {
    Scope::Pool(pool())
}

pub fn administration(name: &str) -> AdministrationId {
    AdministrationId::new(name).unwrap()
}

pub fn office(name: &str) -> OfficeId {
    OfficeId::new(name).unwrap()
}

pub fn grant(role: Role, scope: Scope, content: bool) -> Grant {
    Grant { role, scope, content }
}

/// `comune` (offices `urp` and the restricted `sociale`) and `asl` (`cup`), each office with a queue of its name.
pub fn plan() -> Plan {
    let body = |name: &str, offices: &[(&str, bool)]| Administration {
        name: name.to_owned(),
        pool: pool(),
        domains: Default::default(),
        languages: vec![Language::ITALIAN],
        retention: None,
        offices: offices.iter().map(|(id, restricted)| (office(id), Office { name: (*id).to_owned(), restricted: *restricted })).collect(),
        topics: BTreeMap::from([(TopicId::new("tari").unwrap(), "TARI".to_owned())]),
        rules: Vec::new(),
    };
    let queue = |body: &str, name: &str| Queue {
        administration: administration(body),
        office: office(name),
        name: name.to_owned(),
        requirement: Requirement::Anybody,
        match_language: false,
        policy: Policy::BestFit,
        target: Duration::from_secs(3600),
        head_start: Duration::ZERO,
        offer_timeout: Duration::from_secs(20),
        untouched_for: Duration::from_secs(600),
        wrap_up: Duration::from_secs(60),
        cool_off: Duration::from_secs(60),
        returns_max: 3,
        waiting_max: 1000,
        silence: None,
        abandon_after: Duration::from_secs(120),
    };
    let account = |body: &str, queue: &str| Account {
        administration: administration(body),
        channel: Channel::new("phone").unwrap(),
        address: None,
        display_name: None,
        queue: QueueId::new(queue).unwrap(),
    };
    Plan {
        version: 1,
        pools: [pool()].into(),
        administrations: BTreeMap::from([
            (administration("comune"), body("Comune", &[("urp", false), ("sociale", true)])),
            (administration("asl"), body("ASL", &[("cup", false)])),
        ]),
        queues: [("comune", "urp"), ("comune", "sociale"), ("asl", "cup")]
            .into_iter()
            .map(|(body, name)| (QueueId::new(name).unwrap(), queue(body, name)))
            .collect(),
        accounts: BTreeMap::from([
            (AccountId::new("centralino").unwrap(), account("comune", "urp")),
            (AccountId::new("cupline").unwrap(), account("asl", "cup")),
        ]),
        skills: BTreeMap::from([(SkillId::new("tributi").unwrap(), "Tributi".to_owned())]),
    }
}

pub fn login(id: u128, name: &str, grants: Vec<Grant>) -> Login {
    Login {
        operator: OperatorId(id),
        pool: pool(),
        login: name.to_owned(),
        name: name.to_owned(),
        password_hash: String::new(),
        grants,
        enabled: true,
        language: "it".to_owned(),
    }
}

pub fn operator(id: u128, administrations: &[&str], offices: &[&str]) -> Operator {
    Operator {
        id: OperatorId(id),
        pool: pool(),
        profile: OperatorProfile {
            administrations: administrations.iter().map(|name| administration(name)).collect(),
            offices: offices.iter().map(|name| office(name)).collect(),
            ..OperatorProfile::default()
        },
        enabled: true,
        presence: Presence::default(),
        misses: 0,
        last_assigned: 0,
        reserved_for: None,
        version: 1,
    }
}

pub fn contact(id: u128, body: &str, desk: &str, state: ContactState) -> Contact {
    let at = Timestamp::from_secs(1_750_000_000);
    serde_json::from_value::<Contact>(serde_json::json!({
        "id": ContactId(id), "administration": body, "office": desk, "queue": desk, "conversation": ConversationId(id),
        "identity": IdentityLevel::Claimed, "channel": "phone", "account": "centralino", "mode": Mode::Live,
        "direction": Direction::Inbound, "requirement": {}, "filed_at": at, "opened_at": at, "queued_at": at,
        "key": OrderKey { tier: 5, due: at, seq: 1 }, "state": state, "version": 3,
    }))
    .unwrap()
}

pub fn message(id: u128, contact: &Contact) -> Message {
    Message {
        id: MessageId(id),
        administration: contact.administration.clone(),
        conversation: contact.conversation,
        contact: contact.id,
        direction: Direction::Inbound,
        channel: contact.channel.clone(),
        account: contact.account.clone(),
        author: None,
        at: contact.filed_at,
        filed_at: contact.filed_at,
        from: None,
        to: Vec::new(),
        subject: Some("segretissimo".into()),
        text: "segretissimo".into(),
        html: None,
        attachments: Vec::new(),
        raw: None,
        automatic: None,
        provider_id: None,
        header_id: None,
        attributes: BTreeMap::new(),
        seq: 0,
        delivery: None,
        failure: None,
        settled: None,
    }
}

#[derive(Default)]
pub struct Rows {
    pub contacts: BTreeMap<ContactId, Contact>,
    pub messages: Vec<Message>,
    pub deliveries: Vec<Delivery>,
    pub operators: BTreeMap<OperatorId, Operator>,
    pub logins: BTreeMap<OperatorId, Login>,
    pub sessions: HashMap<String, Session>,
    pub tokens: HashMap<String, ApiToken>,
    pub queues: Vec<QueueState>,
    pub events: Vec<EventRecord>,
    pub cursors: HashMap<String, i64>,
    pub last_seq: i64,
    pub quarantine: Vec<Quarantined>,
    pub inputs: HashMap<InputId, InputStatus>,
    pub sources: HashSet<String>,
    pub opt_outs: HashMap<(AdministrationId, AddressKey), OptOut>,
    pub opt_out_words: HashSet<InputId>,
    pub read_marks: HashMap<(OperatorId, ConversationId), Timestamp>,
    pub nodes: u64,
    /// Desk nodes by how long nobody has heard of them.
    pub silent: BTreeMap<String, Duration>,
    pub parts: Vec<(SentPart, String)>,
}

/// Why questions for facts are not answered; none: they are.
pub type FactsFail = fn(&[FactQuery]) -> Option<StoreError>;

/// A store in memory.
#[derive(Default)]
pub struct FakeStore {
    pub rows: Mutex<Rows>,
    pub away: AtomicBool,
    /// Says nothing of deliveries, and does not say that it says nothing.
    pub hangs: AtomicBool,
    /// A store with one connection, which questions for a session and for the journal's end wait for. Whoever reads a contact has it
    /// until told to go on.
    pub narrow: OnceLock<Narrow>,
    /// Questions for facts that it does not answer.
    pub facts_fail: OnceLock<FactsFail>,
    /// The stored plan.
    pub plan: Mutex<Option<(i64, String)>>,
}

/// See [`FakeStore::narrow`].
pub struct Narrow {
    connection: Semaphore,
    /// Who reads a contact goes on when there is a permit.
    pub go_on: Semaphore,
    /// Questions for a session that wait for the connection.
    pub sessions: AtomicUsize,
    /// Questions for the journal's end that wait for it.
    pub ends: AtomicUsize,
}

impl Narrow {
    /// Has the connection for a moment.
    async fn use_once(&self, waiting: &AtomicUsize) {
        waiting.fetch_add(1, Ordering::Relaxed);
        let _connection = self.connection.acquire().await.expect("open");
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Narrow {
    fn default() -> Self {
        Self { connection: Semaphore::new(1), go_on: Semaphore::new(0), sessions: AtomicUsize::new(0), ends: AtomicUsize::new(0) }
    }
}

impl FakeStore {
    pub fn rows(&self) -> std::sync::MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    fn up(&self) -> Result<std::sync::MutexGuard<'_, Rows>, StoreError> {
        if self.away.load(Ordering::Relaxed) { Err(StoreError::Unavailable("away".into())) } else { Ok(self.rows()) }
    }
}

fn summary(contact: &Contact) -> ContactSummary {
    ContactSummary { contact: contact.clone(), subject: Some("segretissimo".into()), citizen: Some("segretissimo".into()) }
}

#[async_trait]
impl Store for FakeStore {
    fn kind(&self) -> &'static str {
        "fake"
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.up().map(|_| ())
    }
    async fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        Err(StoreError::Unavailable("no writer here".into()))
    }
    async fn installation_secret(&self) -> Result<[u8; 32], StoreError> {
        Ok([7; 32])
    }
    async fn facts(&self, _: &PoolId, queries: &[FactQuery]) -> Result<Vec<FactRow>, StoreError> {
        match self.facts_fail.get().and_then(|fails| fails(queries)) {
            Some(error) => Err(error),
            None => Ok(queries.iter().map(|_| FactRow::default()).collect()),
        }
    }
    async fn known_sources(&self, _: &PoolId, sources: &[String]) -> Result<Vec<bool>, StoreError> {
        let known = &self.up()?.sources;
        Ok(sources.iter().map(|source| known.contains(source)).collect())
    }
    async fn events_after(&self, _: &PoolId, after: i64, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        let rows = self.up()?;
        let wanted = rows.events.iter().filter(|event| event.seq > after);
        Ok(wanted.take(limit as usize).cloned().collect())
    }
    async fn last_seq(&self, _: &PoolId) -> Result<i64, StoreError> {
        if let Some(narrow) = self.narrow.get() {
            narrow.use_once(&narrow.ends).await;
        }
        Ok(self.up()?.last_seq)
    }
    async fn inputs_after(&self, _: &PoolId, _: i64, _: u32) -> Result<Vec<InputRecord>, StoreError> {
        Ok(Vec::new())
    }
    async fn cursor(&self, _: &PoolId, relay: &str) -> Result<i64, StoreError> {
        Ok(self.up()?.cursors.get(relay).copied().unwrap_or_default())
    }
    async fn advance_cursor(&self, _: &PoolId, relay: &str, _: i64, seq: i64) -> Result<bool, StoreError> {
        self.up()?.cursors.insert(relay.to_owned(), seq);
        Ok(true)
    }
    async fn contact(&self, administrations: &[AdministrationId], id: ContactId) -> Result<Option<ContactSummary>, StoreError> {
        if let Some(narrow) = self.narrow.get() {
            let _connection = narrow.connection.acquire().await.expect("open");
            let _read = narrow.go_on.acquire().await.expect("open");
        }
        let rows = self.up()?;
        Ok(rows.contacts.get(&id).filter(|contact| administrations.contains(&contact.administration)).map(summary))
    }
    async fn contacts(
        &self,
        administrations: &[AdministrationId],
        filter: &ContactFilter,
        page: Page,
    ) -> Result<Vec<ContactSummary>, StoreError> {
        let rows = self.up()?;
        let wanted = rows.contacts.values().filter(|contact| {
            administrations.contains(&contact.administration)
                && (if filter.states.is_empty() { !contact.state.is_final() } else { filter.states.contains(&contact.state.name()) })
                && filter.queue.as_ref().is_none_or(|queue| *queue == contact.queue)
                && filter.operator.is_none_or(|who| [contact.state.owner(), contact.state.holder()].contains(&Some(who)))
                && filter.reach.as_ref().is_none_or(|reach| {
                    let holder = contact.state.owner().or(contact.state.holder());
                    reach.offices.contains(&(contact.administration.clone(), contact.office.clone()))
                        || (holder.is_some() && holder == reach.holder)
                })
        });
        Ok(wanted.skip(page.offset as usize).take(page.limit as usize).map(summary).collect())
    }
    async fn conversation(&self, body: &AdministrationId, id: ConversationId) -> Result<Option<ConversationView>, StoreError> {
        let rows = self.up()?;
        let contacts: Vec<_> =
            rows.contacts.values().filter(|contact| contact.conversation == id && contact.administration == *body).cloned().collect();
        if contacts.is_empty() {
            return Ok(None);
        }
        let conversation = Conversation {
            id,
            administration: body.clone(),
            citizen: None,
            subject: Some("segretissimo".into()),
            opened_at: contacts[0].opened_at,
        };
        let messages = rows.messages.iter().filter(|message| message.conversation == id).cloned().collect();
        let citizen = contacts.iter().find_map(|contact| contact.citizen);
        let is_elsewhere = |contact: &&Contact| {
            citizen.is_some()
                && contact.citizen == citizen
                && contact.conversation != id
                && contact.administration == *body
                && !contact.state.is_final()
        };
        let elsewhere = rows.contacts.values().filter(is_elsewhere).map(summary).collect();
        let addresses = citizen.map(|citizen| CitizenAddress {
            administration: body.clone(),
            key: AddressKey(1),
            citizen,
            channel: Channel::new("phone").unwrap(),
            address: "+390123456789".into(),
            name: None,
            level: IdentityLevel::Claimed,
            seen_at: conversation.opened_at,
        });
        let addresses = addresses.into_iter().collect();
        Ok(Some(ConversationView { conversation, contacts, messages, notes: Vec::new(), addresses, elsewhere }))
    }
    async fn message(&self, body: &AdministrationId, id: MessageId) -> Result<Option<Message>, StoreError> {
        Ok(self.up()?.messages.iter().find(|message| message.id == id && message.administration == *body).cloned())
    }
    async fn delivery(&self, body: &AdministrationId, id: MessageId) -> Result<Option<Delivery>, StoreError> {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(self.up()?.deliveries.iter().find(|delivery| delivery.message == id && delivery.administration == *body).cloned())
    }
    async fn operators(&self, _: &PoolId) -> Result<Vec<Operator>, StoreError> {
        Ok(self.up()?.operators.values().cloned().collect())
    }
    async fn queue_states(&self, _: &PoolId) -> Result<Vec<QueueState>, StoreError> {
        Ok(self.up()?.queues.clone())
    }
    async fn input_status(&self, administrations: &[AdministrationId], input: InputId) -> Result<Option<InputStatus>, StoreError> {
        let rows = self.up()?;
        let mine = |status: &&InputStatus| status.contact.as_ref().is_none_or(|contact| administrations.contains(&contact.administration));
        Ok(rows.inputs.get(&input).filter(mine).cloned())
    }
    async fn messages_of_contact(&self, _: &AdministrationId, contact: ContactId) -> Result<Vec<Message>, StoreError> {
        Ok(self.up()?.messages.iter().filter(|message| message.contact == contact).cloned().collect())
    }
    async fn login(&self, login: &str) -> Result<Option<Login>, StoreError> {
        Ok(self.up()?.logins.values().find(|row| row.login == login).cloned())
    }
    async fn login_of(&self, operator: OperatorId) -> Result<Option<Login>, StoreError> {
        Ok(self.up()?.logins.get(&operator).cloned())
    }
    async fn logins(&self, _: &PoolId) -> Result<Vec<Login>, StoreError> {
        Ok(self.up()?.logins.values().cloned().collect())
    }
    async fn put_login(&self, login: &Login) -> Result<(), StoreError> {
        let mut rows = self.up()?;
        let password_hash = rows.logins.get(&login.operator).unwrap_or(login).password_hash.clone();
        rows.logins.insert(login.operator, Login { password_hash, ..login.clone() });
        if !login.enabled {
            rows.sessions.retain(|_, session| session.operator != login.operator);
        }
        Ok(())
    }
    async fn set_password(&self, operator: OperatorId, hash: &str) -> Result<bool, StoreError> {
        let mut rows = self.up()?;
        rows.sessions.retain(|_, session| session.operator != operator);
        let known = rows.logins.get_mut(&operator);
        Ok(known.map(|login| login.password_hash = hash.to_owned()).is_some())
    }
    async fn put_session(&self, session: &Session) -> Result<(), StoreError> {
        self.up()?.sessions.insert(session.token_hash.clone(), session.clone());
        Ok(())
    }
    async fn session(&self, hash: &str, now: Timestamp) -> Result<Option<(Session, Login)>, StoreError> {
        if let Some(narrow) = self.narrow.get() {
            narrow.use_once(&narrow.sessions).await;
        }
        let rows = self.up()?;
        let session = rows.sessions.get(hash).filter(|session| session.expires_at > now).cloned();
        Ok(session.and_then(|session| rows.logins.get(&session.operator).cloned().map(|login| (session, login))))
    }
    async fn sessions(&self, hashes: &[String], now: Timestamp) -> Result<Vec<(Session, Login)>, StoreError> {
        if self.narrow.get().is_some() {
            return Err(StoreError::Unavailable("each for itself".into()));
        }
        let mut found = Vec::new();
        for hash in hashes {
            found.extend(self.session(hash, now).await?);
        }
        Ok(found)
    }
    async fn end_session(&self, hash: &str) -> Result<(), StoreError> {
        self.up()?.sessions.remove(hash);
        Ok(())
    }
    async fn put_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        self.up()?.tokens.insert(token.token_hash.clone(), token.clone());
        Ok(())
    }
    async fn token(&self, hash: &str, now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
        Ok(self.up()?.tokens.get(hash).filter(|token| token.expires_at.is_none_or(|end| end > now)).cloned())
    }
    async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        Ok(self.up()?.tokens.values().cloned().collect())
    }
    async fn end_token(&self, name: &str) -> Result<bool, StoreError> {
        let mut rows = self.up()?;
        let before = rows.tokens.len();
        rows.tokens.retain(|_, token| token.name != name);
        Ok(rows.tokens.len() < before)
    }
    async fn plan(&self) -> Result<Option<(i64, String)>, StoreError> {
        Ok(self.plan.lock().expect("whole").clone())
    }
    async fn plan_version(&self, _: i64) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
    async fn put_plan(&self, _: &str) -> Result<i64, StoreError> {
        Ok(1)
    }
    async fn node_seen(&self, _: &str) -> Result<(), StoreError> {
        self.up()?.nodes += 1;
        Ok(())
    }
    async fn nodes_lost(&self, late: Duration) -> Result<Vec<String>, StoreError> {
        Ok(self.up()?.silent.iter().filter(|(_, silent)| **silent >= late).map(|(node, _)| node.clone()).collect())
    }
    async fn forget_node(&self, node: &str) -> Result<(), StoreError> {
        self.up()?.silent.remove(node);
        Ok(())
    }
    async fn watermark(&self, _: &AccountId) -> Result<Option<Watermark>, StoreError> {
        Ok(None)
    }
    async fn put_watermark(&self, _: &AccountId, _: Watermark) -> Result<(), StoreError> {
        Ok(())
    }
    async fn begin_attempt(&self, _: &AdministrationId, _: MessageId, _: u32) -> Result<AttemptStart, StoreError> {
        Ok(AttemptStart::Void)
    }
    async fn quarantine(&self, item: &Quarantined) -> Result<(), StoreError> {
        self.up()?.quarantine.push(item.clone());
        Ok(())
    }
    async fn quarantined(&self, reach: Option<&QuarantineReach>, _retried: bool, page: Page) -> Result<Vec<Quarantined>, StoreError> {
        let rows = self.up()?;
        let held = rows.quarantine.iter().filter(|item| reach.is_none_or(|reach| reach.has(item)));
        Ok(held.skip(page.offset as usize).take(page.limit as usize).cloned().collect())
    }
    async fn quarantined_item(&self, id: i64) -> Result<Option<Quarantined>, StoreError> {
        Ok(self.up()?.quarantine.iter().find(|item| item.id == id).cloned())
    }
    async fn settle_quarantined(&self, id: i64, state: &str) -> Result<bool, StoreError> {
        let mut rows = self.up()?;
        let held = rows.quarantine.iter_mut().find(|item| item.id == id && item.state == "held");
        Ok(held.map(|item| item.state = state.to_owned()).is_some())
    }
    async fn quarantine_counts(&self) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(Vec::new())
    }
    async fn put_part_id(&self, _: &AdministrationId, part: SentPart, _: u32, name: &str) -> Result<(), StoreError> {
        self.up()?.parts.push((part, name.to_owned()));
        Ok(())
    }
    async fn parts_named(&self, _: &AdministrationId, names: &[String; 3]) -> Result<Vec<SentPart>, StoreError> {
        let rows = self.up()?;
        let named =
            |names: &[String]| rows.parts.iter().filter(|(_, name)| names.contains(name)).map(|(part, _)| *part).collect::<Vec<_>>();
        let exact = named(&names[..1]);
        Ok(if exact.is_empty() { named(names) } else { exact })
    }
    async fn part_arrived(&self, _: &AdministrationId, _: SentPart) -> Result<bool, StoreError> {
        Ok(true)
    }
    async fn last_at(&self, _: &PoolId) -> Result<Timestamp, StoreError> {
        Ok(self.up()?.messages.iter().map(|message| message.at).max().unwrap_or_default())
    }
    async fn put_read_mark(&self, mark: &ReadMark) -> Result<(), StoreError> {
        let mut rows = self.up()?;
        let until = rows.read_marks.entry((mark.operator, mark.conversation)).or_default();
        *until = mark.until.max(*until);
        Ok(())
    }
    async fn unread(
        &self,
        _: &[AdministrationId],
        operator: OperatorId,
        contacts: &[ContactId],
    ) -> Result<Vec<(ContactId, u32)>, StoreError> {
        let rows = self.up()?;
        let count = |contact: &Contact| {
            let until = rows.read_marks.get(&(operator, contact.conversation)).copied().unwrap_or_default().max(contact.queued_at);
            let is_new = |message: &&Message| message.contact == contact.id && message.at > until;
            let count = rows.messages.iter().filter(is_new).filter(|message| message.direction == Direction::Inbound).count();
            (contact.id, u32::try_from(count).unwrap_or(u32::MAX))
        };
        let mine = contacts.iter().filter_map(|id| rows.contacts.get(id));
        Ok(mine.map(count).filter(|(_, count)| *count > 0).collect())
    }
    async fn put_opt_out(&self, word: &OptOut) -> Result<(), StoreError> {
        let mut rows = self.up()?;
        let key = (word.administration.clone(), word.address);
        let is_last = rows.opt_outs.get(&key).is_none_or(|last| last.at < word.at);
        if rows.opt_out_words.insert(word.input) && is_last {
            rows.opt_outs.insert(key, word.clone());
        }
        Ok(())
    }
    async fn opted_out(
        &self,
        administration: &AdministrationId,
        _: &Channel,
        address: AddressKey,
    ) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.up()?.opt_outs.get(&(administration.clone(), address)).filter(|word| word.stopped).map(|word| word.at))
    }
    async fn leave_command(&self, _: &PoolId, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
    async fn left_commands(&self, _: &PoolId) -> Result<Vec<(String, String)>, StoreError> {
        Ok(Vec::new())
    }
    async fn answer_command(&self, _: &PoolId, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
    async fn command_answer(&self, _: &PoolId, _: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
    async fn contact_counts(&self, _: &PoolId) -> Result<Vec<ContactCount>, StoreError> {
        let rows = self.up()?;
        let open = rows.contacts.values().filter(|contact| !contact.state.is_final());
        let count = |contact: &Contact| ContactCount {
            administration: contact.administration.clone(),
            office: contact.office.clone(),
            queue: contact.queue.clone(),
            channel: contact.channel.clone(),
            state: contact.state.name(),
            count: 1,
            oldest: contact.queued_at,
        };
        Ok(open.map(count).collect())
    }
    async fn operator_loads(&self, _: &PoolId) -> Result<Vec<OperatorLoad>, StoreError> {
        let rows = self.up()?;
        let load = |contact: &Contact| {
            let (holder, operator) = (contact.state.holder(), contact.state.owner().or(contact.state.holder())?);
            Some(OperatorLoad { operator, channel: contact.channel.clone(), mode: contact.mode, holds: holder.is_some(), count: 1 })
        };
        Ok(rows.contacts.values().filter_map(load).collect())
    }
}

/// A router that says yes to everything, unless told otherwise, and remembers what it was asked.
#[derive(Default)]
pub struct FakeRouter {
    pub asked: Mutex<Vec<CommandEnvelope>>,
    pub answer: Mutex<Option<Reply>>,
    pub away: AtomicBool,
}

impl FakeRouter {
    pub fn bodies(&self) -> Vec<CommandBody> {
        self.asked.lock().unwrap().iter().map(|envelope| envelope.command.body.clone()).collect()
    }
}

#[async_trait]
impl Commands for FakeRouter {
    async fn send(&self, _: &PoolId, envelope: CommandEnvelope) -> Result<Reply, CommandError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(CommandError::TimedOut);
        }
        self.asked.lock().unwrap().push(envelope);
        Ok(self.answer.lock().unwrap().clone().unwrap_or(Reply::Applied { seq: 9 }))
    }
}

#[derive(Default)]
pub struct FakeBlobs(pub Mutex<HashMap<String, Bytes>>);

#[async_trait]
impl Blobs for FakeBlobs {
    async fn put(&self, body: &AdministrationId, bytes: Bytes) -> Result<BlobRef, BlobError> {
        let key = format!("{body}/2026-01/{}", self.0.lock().unwrap().len());
        let blob = BlobRef { key: key.clone(), sha256: "00".repeat(32), size: bytes.len() as u64 };
        self.0.lock().unwrap().insert(key, bytes);
        Ok(blob)
    }
    async fn get(&self, _: &AdministrationId, blob: &BlobRef) -> Result<Bytes, BlobError> {
        self.0.lock().unwrap().get(&blob.key).cloned().ok_or(BlobError::NotFound)
    }
    async fn kept_between(&self, _: &AdministrationId, _: Timestamp, _: Timestamp, _: &str, _: usize) -> Result<Vec<String>, BlobError> {
        Ok(Vec::new())
    }
    async fn delete(&self, _: &AdministrationId, key: &str) -> Result<(), BlobError> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }
}

/// Keeps what was to be tried again; what came from a mailbox is refused, a text message is held again.
#[derive(Default)]
pub struct FakeRetries(pub Mutex<Vec<i64>>);

#[async_trait]
impl Retries for FakeRetries {
    async fn retry(&self, item: &Quarantined) -> Result<Retried, CommandError> {
        self.0.lock().unwrap().push(item.id);
        Ok(match item.source.as_str() {
            "mailbox" => Retried::Refused { reason: "it lies there still".into() },
            "sms" => Retried::HeldAgain { reason: "no such account".into() },
            _ => Retried::HandedIn,
        })
    }
}

/// The chats that a test put there or opened.
#[derive(Default)]
pub struct FakeChats(pub Mutex<Vec<ChatSession>>);

impl FakeChats {
    /// Those that have a time, in its order.
    fn list(
        &self,
        body: &AdministrationId,
        after: Option<&ChatSession>,
        limit: u32,
        time: impl Fn(&ChatSession) -> Option<Timestamp>,
    ) -> Vec<ChatSession> {
        let place = |chat: &ChatSession| (time(chat), chat.id);
        let mut chats = self.0.lock().unwrap().clone();
        chats.retain(|chat| chat.administration == *body && time(chat).is_some() && after.is_none_or(|after| place(chat) > place(after)));
        chats.sort_by_key(place);
        chats.truncate(limit as usize);
        chats
    }
}

#[async_trait]
impl Chats for FakeChats {
    async fn open_chat(&self, chat: &ChatSession) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(chat.clone());
        Ok(())
    }
    async fn chat(&self, body: &AdministrationId, id: ChatSessionId, _: Timestamp) -> Result<Option<ChatSession>, StoreError> {
        Ok(self.0.lock().unwrap().iter().find(|chat| chat.administration == *body && chat.id == id).cloned())
    }
    async fn change_chat(&self, body: &AdministrationId, id: ChatSessionId, change: ChatChange) -> Result<(), StoreError> {
        let mut chats = self.0.lock().unwrap();
        let Some(chat) = chats.iter_mut().find(|chat| chat.administration == *body && chat.id == id) else { return Ok(()) };
        match change {
            ChatChange::Gone(as_of) => chat.gone |= chat.present_until == as_of,
            ChatChange::EndTold => chat.gone |= chat.ended,
            ChatChange::TranscriptSent(to) => drop(chat.transcript_to.take_if(|wanted| *wanted == to)),
            _ => {}
        }
        Ok(())
    }
    async fn want_transcript(&self, _: &AdministrationId, _: ChatSessionId, _: &str, _: u32) -> Result<bool, StoreError> {
        Ok(true)
    }
    async fn chats_present(&self, _: &AdministrationId, _: &[ChatSessionId], _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }
    async fn absent_chats(
        &self,
        body: &AdministrationId,
        since: Timestamp,
        after: Option<&ChatSession>,
        limit: u32,
    ) -> Result<Vec<ChatSession>, StoreError> {
        Ok(self.list(body, after, limit, |chat| (!chat.gone && chat.present_until < since).then_some(chat.present_until)))
    }
    async fn ended_chats(&self, body: &AdministrationId, after: Option<&ChatSession>, limit: u32) -> Result<Vec<ChatSession>, StoreError> {
        Ok(self.list(body, after, limit, |chat| (!chat.gone && chat.ended).then_some(chat.present_until)))
    }
    async fn wanted_transcripts(
        &self,
        body: &AdministrationId,
        after: Option<&ChatSession>,
        limit: u32,
    ) -> Result<Vec<ChatSession>, StoreError> {
        Ok(self.list(body, after, limit, |chat| chat.transcript_to.as_ref().map(|_| chat.created_at)))
    }
    async fn forget_chats(&self, _: &AdministrationId, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// Asides within the test.
pub struct FakeAsides(pub broadcast::Sender<Arc<Aside>>);

impl Default for FakeAsides {
    fn default() -> Self {
        Self(broadcast::channel(64).0)
    }
}

impl Asides for FakeAsides {
    fn say(&self, aside: Aside) {
        let _nobody = self.0.send(Arc::new(aside));
    }
    fn listen(&self) -> broadcast::Receiver<Arc<Aside>> {
        self.0.subscribe()
    }
}

/// A broker that keeps what is published, batch by batch, and takes no batch with a message that it refuses. Nobody consumes.
pub struct FakeBroker {
    pub batches: Mutex<Vec<Vec<Outgoing>>>,
    pub refuses: Mutex<fn(&Outgoing) -> Option<PublishError>>,
}

impl FakeBroker {
    /// What was published since somebody asked last.
    pub fn taken(&self) -> Vec<Vec<Outgoing>> {
        std::mem::take(&mut *self.batches.lock().unwrap())
    }
}

impl Default for FakeBroker {
    fn default() -> Self {
        Self { batches: Mutex::default(), refuses: Mutex::new(|_| None) }
    }
}

#[async_trait]
impl Publisher for FakeBroker {
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        let refuses = *self.refuses.lock().unwrap();
        if let Some(error) = batch.iter().find_map(refuses) {
            return Err(error);
        }
        self.batches.lock().unwrap().push(batch);
        Ok(())
    }
}

#[async_trait]
impl Broker for FakeBroker {
    async fn declare(&self, _: &[PoolId], _: &[AccountId]) -> Result<(), PublishError> {
        Ok(())
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>, PublishError> {
        Err(PublishError::Unavailable("given already".into()))
    }
    async fn consumer(&self, _: Source, _: u16) -> Result<Box<dyn Consumer>, ConsumeError> {
        Err(ConsumeError::Lost)
    }
    fn is_up(&self) -> bool {
        true
    }
    fn kind(&self) -> &'static str {
        "fake"
    }
}

/// Leases that everybody holds who asks while the database is there; nobody leads.
#[derive(Default)]
pub struct FakeLeases {
    pub away: AtomicBool,
}

#[async_trait]
impl Leases for FakeLeases {
    async fn lead(&self, _: &PoolId, _: &str, _: Duration) -> Result<Option<Leadership>, StoreError> {
        Ok(None)
    }
    async fn renew(&self, _: &Leadership, _: Duration) -> Result<bool, StoreError> {
        Ok(true)
    }
    async fn resign(&self, _: &Leadership) -> Result<(), StoreError> {
        Ok(())
    }
    async fn hold(&self, _: &str, _: &str, _: Duration) -> Result<bool, StoreError> {
        if self.away.load(Ordering::Relaxed) { Err(StoreError::Unavailable("away".into())) } else { Ok(true) }
    }
    async fn let_go(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}
