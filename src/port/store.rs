//! What Sportello needs of a database. Only `store` knows SQL. `administration` is a parameter of every method that reads
//! what belongs to one. Two backends, PostgreSQL and SQLite; one contract suite runs on both.

use async_trait::async_trait;

use crate::model::channel::Channel;
use crate::model::channel::IdentityLevel;
use crate::model::contact::{Contact, Mode, Offer, StateName};
use crate::model::conversation::{Message, Note};
use crate::model::delivery::Delivery;
use crate::model::id::{
    AccountId, AddressKey, AdministrationId, CitizenId, ContactId, ConversationId, InputId, MessageId, OfficeId, OperatorId, PoolId,
    QueueId,
};
use crate::model::operator::{Grant, Operator};
use crate::model::time::Timestamp;
use crate::port::clock::now;

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database is away, slow or full: the same call may be made again.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database will never take it: a constraint, a value out of range. The caller quarantines the culprit.
    #[error("the database refuses it: {0}")]
    Refused(String),
    /// Another process leads the pool: drop everything.
    #[error("another process leads the pool")]
    Fenced,
    /// A row cannot be read: written by a newer release, or damaged.
    #[error("a row cannot be read: {0}")]
    Unreadable(String),
}

/// Everything that one batch changes, as one transaction. Idempotent by (pool, epoch, batch): after an error or an unknown
/// outcome the same write-set is sent again.
#[derive(Debug, Clone, Default)]
pub struct WriteSet {
    /// The pool.
    pub pool: Option<PoolId>,
    /// The leader's epoch; a commit under an old one is refused as [`StoreError::Fenced`].
    pub epoch: i64,
    /// Counts the pool's batches under this epoch from 1.
    pub batch: i64,
    /// The last sequence number after this batch.
    pub last_seq: i64,
    /// The time of the batch.
    pub at: Timestamp,
    /// Final rows of the contacts that changed.
    pub contacts: Vec<Contact>,
    /// Final rows of the offers that changed.
    pub offers: Vec<Offer>,
    /// Final rows of the operators that changed.
    pub operators: Vec<Operator>,
    /// Final rows of the queues whose admission changed.
    pub queues: Vec<QueueState>,
    /// New conversations.
    pub conversations: Vec<Conversation>,
    /// New messages.
    pub messages: Vec<Message>,
    /// New notes.
    pub notes: Vec<Note>,
    /// Final rows of the deliveries that changed: they update their messages.
    pub deliveries: Vec<Delivery>,
    /// Citizens and addresses that became known, or were seen again.
    pub citizens: Vec<CitizenAddress>,
    /// What reached the engine.
    pub inputs: Vec<InputRecord>,
    /// What followed.
    pub events: Vec<EventRecord>,
    /// What could not be processed.
    pub quarantine: Vec<Quarantined>,
}

/// Whether a queue admits live contacts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct QueueState {
    /// Which queue.
    pub queue: QueueId,
    /// Whether a supervisor closed it.
    pub closed: bool,
    /// What citizens are told meanwhile.
    pub notice: Option<String>,
}

/// A conversation's own row: the subject is text and can be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Whose it is.
    pub administration: AdministrationId,
    /// The citizen, when known.
    pub citizen: Option<CitizenId>,
    /// The subject of its first message.
    pub subject: Option<String>,
    /// When it began.
    pub opened_at: Timestamp,
}

/// A citizen's address. Many to many: one person has several, one address may be a family's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CitizenAddress {
    /// Whose citizen.
    pub administration: AdministrationId,
    /// The key of the address.
    pub key: AddressKey,
    /// The citizen.
    pub citizen: CitizenId,
    /// The channel it is an address of.
    pub channel: Channel,
    /// The address itself.
    pub address: String,
    /// The name last written beside it.
    pub name: Option<String>,
    /// How sure it is who is behind it.
    pub level: IdentityLevel,
    /// When it was last seen.
    pub seen_at: Timestamp,
}

/// A row of the input log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRecord {
    /// Its place in the pool's one order.
    pub seq: i64,
    /// The exact `now` it was applied at.
    pub at: Timestamp,
    /// `inbound`, `command`, `timers`…
    pub kind: String,
    /// The key against doubles, unique in the pool: `in_…`, `cm_…`; none for timers and leaders.
    pub source: Option<String>,
    /// The contact it landed in.
    pub contact: Option<ContactId>,
    /// The input as JSON: ids, codes and times only.
    pub body: String,
    /// For inbound ones: whose they are.
    pub administration: Option<AdministrationId>,
    /// What came of it: `applied`, a refusal's code.
    pub outcome: String,
}

/// A row of the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Its place in the pool's one order.
    pub seq: i64,
    /// The input it follows from.
    pub input_seq: i64,
    /// When.
    pub at: Timestamp,
    /// `contact.queued`.
    pub name: String,
    /// Whose it is; none: the pool's own.
    pub administration: Option<AdministrationId>,
    /// The contact it is about.
    pub contact: Option<ContactId>,
    /// The operator to whose console it goes.
    pub operator: Option<OperatorId>,
    /// [`crate::model::event::Event`] as JSON: the same bytes go to the feed.
    pub body: String,
}

/// Something that could not be processed: kept, counted, listed, retried or discarded by command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its number; 0 before it is stored.
    pub id: i64,
    /// The pool it was meant for, if that is known.
    pub pool: Option<PoolId>,
    /// Whose it is, if that is known.
    pub administration: Option<AdministrationId>,
    /// Where it came from: `inbound`, `outbound`, `dead`, `command`; `smtp`, `imap` (a raw mail), `mailbox` (a mail that lies there
    /// unread still), `sms` (an entry of the spool).
    pub source: String,
    /// The routing key or account it came by.
    pub key: String,
    /// What the thing is known by, so that a second delivery is recognised: for `inbound` and `dead` the message's own id and a digest,
    /// for the publisher chooses the id; else the order's id or a digest of the bytes.
    pub message_id: String,
    /// What was wrong with it, without its content.
    pub reason: String,
    /// The raw bytes.
    pub body: Vec<u8>,
    /// When.
    pub at: Timestamp,
    /// `held`, `retried`, `discarded`.
    pub state: String,
}

impl Quarantined {
    /// Something that came by an account, to be held from now on. `owner` is [`crate::plan::Plan::owner_of`] the account: who sees
    /// it, and may discard it.
    pub fn of_account(
        source: &str,
        account: impl ToString,
        owner: Option<(PoolId, AdministrationId)>,
        message_id: String,
        reason: String,
        body: &[u8],
    ) -> Self {
        let (pool, administration) = owner.unzip();
        let (source, key, body) = (source.to_owned(), account.to_string(), body.to_vec());
        Self { id: 0, pool, administration, source, key, message_id, reason, body, at: now(), state: "held".to_owned() }
    }
}

/// What the store knows of a pool at take-over: enough to make the same engine again.
#[derive(Debug, Clone, Default)]
pub struct PoolSnapshot {
    /// The last sequence number.
    pub last_seq: i64,
    /// The last logged time.
    pub last_at: Timestamp,
    /// Contacts that are not final, and abandoned ones still in their grace.
    pub contacts: Vec<Contact>,
    /// Every operator of the pool.
    pub operators: Vec<Operator>,
    /// Queues that are closed.
    pub queues: Vec<QueueState>,
    /// Deliveries that are open.
    pub deliveries: Vec<Delivery>,
    /// The database's own time.
    pub database_time: Timestamp,
}

/// What intake asks of the store for one inbound event.
#[derive(Debug, Clone)]
pub struct FactQuery {
    /// The input.
    pub input: InputId,
    /// Whose citizen it is.
    pub administration: AdministrationId,
    /// The sender's address, as a key.
    pub address: Option<AddressKey>,
    /// The channel.
    pub channel: Channel,
    /// Our own messages it answers, signatures checked, newest last.
    pub references: Vec<MessageId>,
    /// The input to whose contact it belongs.
    pub thread: Option<InputId>,
}

/// What the store answers to a [`FactQuery`], in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactRow {
    /// The input was processed before, or erased and must stay dead.
    pub duplicate: bool,
    /// The newest contact in the conversation of the newest referenced message that exists in the administration.
    pub reference: Option<Box<Contact>>,
    /// The newest contact with that address on that channel, if what comes from an address goes on there.
    pub recent: Option<Box<Contact>>,
    /// The citizen behind the address, if exactly one is.
    pub citizen: Option<CitizenId>,
    /// How sure that is.
    pub citizen_level: IdentityLevel,
    /// Several are: it identifies nobody.
    pub shared: bool,
    /// The owner of the citizen's newest closed contact in the administration, and its office.
    pub last_helper: Option<(OperatorId, OfficeId)>,
    /// The contact in which the `thread` input landed.
    pub thread_contact: Option<ContactId>,
}

/// Leadership of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// The pool.
    pub pool: PoolId,
    /// Raised by every take-over.
    pub epoch: i64,
    /// Who: unique per process start.
    pub holder: String,
}

/// The lead of pools and other named leases. Its connection is its own, never the commit's.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Tries to lead `pool`: succeeds if nobody does, the lease's time is past, or its holder's session is gone (advisory lock
    /// in PostgreSQL, `flock` beside SQLite). Raises the epoch.
    async fn lead(&self, pool: &PoolId, holder: &str, ttl: std::time::Duration) -> Result<Option<Leadership>, StoreError>;

    /// Keeps the lead for another `ttl`; false: it is lost.
    async fn renew(&self, leadership: &Leadership, ttl: std::time::Duration) -> Result<bool, StoreError>;

    /// Gives the lead up at once.
    async fn resign(&self, leadership: &Leadership) -> Result<(), StoreError>;

    /// A lease on something else, a mailbox say: taken or kept if free, past its time, or already `holder`'s.
    async fn hold(&self, name: &str, holder: &str, ttl: std::time::Duration) -> Result<bool, StoreError>;

    /// Gives such a lease up.
    async fn let_go(&self, name: &str, holder: &str) -> Result<(), StoreError>;
}

/// The leader's own connection: one, in a task nobody cancels.
#[async_trait]
pub trait Writer: Send {
    /// Everything needed to rebuild the pool's engine.
    async fn load(&mut self, pool: &PoolId) -> Result<PoolSnapshot, StoreError>;

    /// Commits one batch. `Ok` also if this very batch was committed before.
    async fn commit(&mut self, writes: &WriteSet) -> Result<(), StoreError>;
}

/// A page of a list: at most `limit` rows, those after `after` in the list's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The most rows, 1 to 500.
    pub limit: u32,
    /// Skip this many.
    pub offset: u32,
}

/// A contact with what lists show of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactSummary {
    /// The contact.
    pub contact: Contact,
    /// Subject of its conversation.
    pub subject: Option<String>,
    /// Name or address of the citizen.
    pub citizen: Option<String>,
}

/// Which contacts a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactFilter {
    /// States; empty: all that are not final.
    pub states: Vec<StateName>,
    /// A queue.
    pub queue: Option<QueueId>,
    /// The owner, or whom it rings.
    pub operator: Option<OperatorId>,
    /// A conversation.
    pub conversation: Option<ConversationId>,
    /// Only what its reader may know of; none: everything of the administrations.
    pub reach: Option<Reach>,
}

/// Which contacts somebody may know of. A list is narrowed by it before it is cut, so that what they may not know of takes no
/// place in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Those of these offices.
    pub offices: Vec<(AdministrationId, OfficeId)>,
    /// And those that this operator has, or that ring at them.
    pub holder: Option<OperatorId>,
}

/// Whose things in quarantine somebody may know of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineReach {
    /// Those of these administrations.
    pub administrations: Vec<AdministrationId>,
    /// And those that came to this pool, or to none, and are of none of the administrations named: nobody else would see them.
    pub strays: Option<(PoolId, Vec<AdministrationId>)>,
}

impl QuarantineReach {
    /// Whether it has an item.
    pub fn has(&self, item: &Quarantined) -> bool {
        let is_stray = |(pool, known): &(PoolId, Vec<AdministrationId>)| {
            item.pool.as_ref().is_none_or(|its| its == pool) && item.administration.as_ref().is_none_or(|id| !known.contains(id))
        };
        item.administration.as_ref().is_some_and(|id| self.administrations.contains(id)) || self.strays.as_ref().is_some_and(is_stray)
    }
}

/// A conversation with all that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationView {
    /// The conversation.
    pub conversation: Conversation,
    /// Its contacts, oldest first.
    pub contacts: Vec<Contact>,
    /// Its messages, oldest first, at most 500, the newest ones.
    pub messages: Vec<Message>,
    /// Its notes, oldest first, at most 500, the newest ones.
    pub notes: Vec<Note>,
    /// Addresses of its citizen.
    pub addresses: Vec<CitizenAddress>,
    /// Open contacts of its citizen in other conversations, oldest first, at most 20.
    pub elsewhere: Vec<ContactSummary>,
}

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The operator they are.
    pub operator: OperatorId,
    /// The pool they are in.
    pub pool: PoolId,
    /// What they type.
    pub login: String,
    /// Their name.
    pub name: String,
    /// PHC string of argon2id.
    pub password_hash: String,
    /// What they may do.
    pub grants: Vec<Grant>,
    /// A disabled account signs in nowhere.
    pub enabled: bool,
    /// Their language on the pages.
    pub language: String,
}

/// A session of a signed-in person. The cookie's token is not stored, its SHA-256 is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token, hexadecimal.
    pub token_hash: String,
    /// Whose.
    pub operator: OperatorId,
    /// When they signed in.
    pub created_at: Timestamp,
    /// Last use.
    pub seen_at: Timestamp,
    /// End, whatever happens.
    pub expires_at: Timestamp,
}

/// A token for a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// SHA-256 of the token, hexadecimal.
    pub token_hash: String,
    /// What it is for, shown in lists.
    pub name: String,
    /// An account of the channel API: what it publishes comes by this account.
    pub account: Option<AccountId>,
    /// A person in whose name it acts at the desk.
    pub operator: Option<OperatorId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// How far a mailbox was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: u32,
    /// The last UID that was published.
    pub uid: u32,
    /// A fingerprint of the mailbox: server, user and folder. None: an earlier release kept it.
    pub place: Option<i64>,
}

/// A part of a message as an attempt sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentPart {
    /// The message.
    pub message: MessageId,
    /// Which attempt.
    pub attempt: u32,
    /// Which part, from 1.
    pub number: u32,
}

/// A citizen's word on whether an address of theirs wants messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOut {
    /// What came: the same again changes nothing, however much later.
    pub input: InputId,
    /// Whose messages.
    pub administration: AdministrationId,
    /// By which channel.
    pub channel: Channel,
    /// The address, as a key.
    pub address: AddressKey,
    /// True: no more. False: again.
    pub stopped: bool,
    /// When it was said.
    pub at: Timestamp,
}

/// How far an operator has read a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMark {
    /// Whose citizen it is with.
    pub administration: AdministrationId,
    /// Which conversation.
    pub conversation: ConversationId,
    /// Who reads.
    pub operator: OperatorId,
    /// Everything recorded up to this time.
    pub until: Timestamp,
}

/// What became of an input, for its status address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputStatus {
    /// When it was applied.
    pub at: Timestamp,
    /// `applied`, or a refusal's code.
    pub outcome: String,
    /// The contact it landed in, as it is now.
    pub contact: Option<Contact>,
}

/// A delivery attempt begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptStart {
    /// Go: nobody began it before.
    Begun(Box<Message>),
    /// It was begun before and its end was never recorded: its outcome is unknown.
    BegunBefore,
    /// The message is gone (erased) or not to be sent any more.
    Void,
}

/// Everything but the leader's writes: facts, journal, desk, accounts, settings that change at run time.
#[async_trait]
pub trait Store: Send + Sync {
    /// `postgres` or `sqlite`, for logs and metrics.
    fn kind(&self) -> &'static str;

    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// A connection for the leader of a pool.
    async fn writer(&self) -> Result<Box<dyn Writer>, StoreError>;

    /// The installation's secret: made at the first call, the same ever after.
    async fn installation_secret(&self) -> Result<[u8; 32], StoreError>;

    // ── intake ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// One query for a batch of inbound events; answers in the same order.
    async fn facts(&self, pool: &PoolId, queries: &[FactQuery]) -> Result<Vec<FactRow>, StoreError>;

    /// Whether commands or inputs with these keys were processed before; answers in the same order.
    async fn known_sources(&self, pool: &PoolId, sources: &[String]) -> Result<Vec<bool>, StoreError>;

    /// What came of the commands or inputs with these keys that were processed before, as in [`InputRecord::outcome`]; answers in the
    /// same order.
    async fn outcomes(&self, pool: &PoolId, sources: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        let known = self.known_sources(pool, sources).await?;
        Ok(known.into_iter().map(|known| known.then(|| "applied".to_owned())).collect())
    }

    // ── journal ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Events above `after` in order, at most `limit`.
    async fn events_after(&self, pool: &PoolId, after: i64, limit: u32) -> Result<Vec<EventRecord>, StoreError>;

    /// The last sequence number committed.
    async fn last_seq(&self, pool: &PoolId) -> Result<i64, StoreError>;

    /// Inputs above `after` in order, at most `limit`.
    async fn inputs_after(&self, pool: &PoolId, after: i64, limit: u32) -> Result<Vec<InputRecord>, StoreError>;

    /// How far the relay `name` has published; 0 before its first.
    async fn cursor(&self, pool: &PoolId, name: &str) -> Result<i64, StoreError>;

    /// Moves the relay's cursor on; false if `epoch` is not the leader's any more or the cursor is already further.
    async fn advance_cursor(&self, pool: &PoolId, name: &str, epoch: i64, seq: i64) -> Result<bool, StoreError>;

    // ── desk: reading ──────────────────────────────────────────────────────────────────────────────────────────────

    /// A contact of one of these administrations.
    async fn contact(&self, administrations: &[AdministrationId], contact: ContactId) -> Result<Option<ContactSummary>, StoreError>;

    /// Contacts of these administrations: waiting ones in their order, then what rings, is worked on or wrapped up, then pending,
    /// then deferred ones, then those that ended; each the oldest first.
    async fn contacts(
        &self,
        administrations: &[AdministrationId],
        filter: &ContactFilter,
        page: Page,
    ) -> Result<Vec<ContactSummary>, StoreError>;

    /// A conversation of the administration.
    async fn conversation(
        &self,
        administration: &AdministrationId,
        conversation: ConversationId,
    ) -> Result<Option<ConversationView>, StoreError>;

    /// A message of the administration.
    async fn message(&self, administration: &AdministrationId, message: MessageId) -> Result<Option<Message>, StoreError>;

    /// The delivery of an outbound message of the administration, settled or not.
    async fn delivery(&self, administration: &AdministrationId, message: MessageId) -> Result<Option<Delivery>, StoreError>;

    /// The operators of a pool.
    async fn operators(&self, pool: &PoolId) -> Result<Vec<Operator>, StoreError>;

    /// Queues of the pool whose admission was ever changed.
    async fn queue_states(&self, pool: &PoolId) -> Result<Vec<QueueState>, StoreError>;

    /// What became of an input of one of these administrations.
    async fn input_status(&self, administrations: &[AdministrationId], input: InputId) -> Result<Option<InputStatus>, StoreError>;

    /// Messages of an input's contact, oldest first: what a program that opened it may read.
    async fn messages_of_contact(&self, administration: &AdministrationId, contact: ContactId) -> Result<Vec<Message>, StoreError>;

    /// The time of the pool's last commit: what is read after this answer has everything recorded up to it.
    async fn last_at(&self, pool: &PoolId) -> Result<Timestamp, StoreError>;

    /// Keeps how far somebody has read; of several marks the furthest counts.
    async fn put_read_mark(&self, mark: &ReadMark) -> Result<(), StoreError>;

    /// How much came to each of these contacts since it was queued that the operator has not read: the citizen's messages, others'
    /// notes, and answers that failed. Contacts without any are left out.
    async fn unread(
        &self,
        administrations: &[AdministrationId],
        operator: OperatorId,
        contacts: &[ContactId],
    ) -> Result<Vec<(ContactId, u32)>, StoreError>;

    // ── desk: accounts ─────────────────────────────────────────────────────────────────────────────────────────────

    /// Who signs in as `login`.
    async fn login(&self, login: &str) -> Result<Option<Login>, StoreError>;

    /// Who an operator is.
    async fn login_of(&self, operator: OperatorId) -> Result<Option<Login>, StoreError>;

    /// Everybody in a pool who can sign in.
    async fn logins(&self, pool: &PoolId) -> Result<Vec<Login>, StoreError>;

    /// Keeps a person, new or changed; the password of one who is known stays. Refused if another has the same login. Disabling ends
    /// their sessions.
    async fn put_login(&self, login: &Login) -> Result<(), StoreError>;

    /// Changes a person's password and nothing else, whatever else is changed at the same moment. Ends their sessions. False: nobody.
    async fn set_password(&self, operator: OperatorId, hash: &str) -> Result<bool, StoreError>;

    /// Keeps a session.
    async fn put_session(&self, session: &Session) -> Result<(), StoreError>;

    /// The session of a token that has not ended, and whose it is.
    async fn session(&self, token_hash: &str, now: Timestamp) -> Result<Option<(Session, Login)>, StoreError>;

    /// The sessions of many tokens that have not ended, and whose they are: one question for every console of a desk.
    async fn sessions(&self, token_hashes: &[String], now: Timestamp) -> Result<Vec<(Session, Login)>, StoreError> {
        let mut found = Vec::new();
        for token_hash in token_hashes {
            found.extend(self.session(token_hash, now).await?);
        }
        Ok(found)
    }

    /// Moves a session's last use on, if it has not ended meanwhile; false if it has. A backend does it as one conditional
    /// update, so that a use that crosses a sign-out cannot bring the session back.
    async fn touch_session(&self, session: &Session) -> Result<bool, StoreError> {
        if self.session(&session.token_hash, session.seen_at).await?.is_none() {
            return Ok(false);
        }
        self.put_session(session).await?;
        Ok(true)
    }

    /// Ends a session.
    async fn end_session(&self, token_hash: &str) -> Result<(), StoreError>;

    /// Keeps a token.
    async fn put_token(&self, token: &ApiToken) -> Result<(), StoreError>;

    /// The token, if it has not ended.
    async fn token(&self, token_hash: &str, now: Timestamp) -> Result<Option<ApiToken>, StoreError>;

    /// Every token.
    async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError>;

    /// Ends a token by its name; false if there is none.
    async fn end_token(&self, name: &str) -> Result<bool, StoreError>;

    // ── plan, nodes, mailboxes, attempts ───────────────────────────────────────────────────────────────────────────

    /// The current plan's version and TOML text.
    async fn plan(&self) -> Result<Option<(i64, String)>, StoreError>;

    /// A plan by its version.
    async fn plan_version(&self, version: i64) -> Result<Option<String>, StoreError>;

    /// Stores a plan as the next version and makes it current; returns the version.
    async fn put_plan(&self, toml: &str) -> Result<i64, StoreError>;

    /// A desk node is alive.
    async fn node_seen(&self, node: &str) -> Result<(), StoreError>;

    /// Desk nodes not heard of for `late`, each returned until [`Store::forget_node`].
    async fn nodes_lost(&self, late: std::time::Duration) -> Result<Vec<String>, StoreError>;

    /// Forgets a node.
    async fn forget_node(&self, node: &str) -> Result<(), StoreError>;

    /// How far a mailbox was read.
    async fn watermark(&self, account: &AccountId) -> Result<Option<Watermark>, StoreError>;

    /// Records how far a mailbox was read.
    async fn put_watermark(&self, account: &AccountId, watermark: Watermark) -> Result<(), StoreError>;

    /// Begins the only attempt of number `attempt` for a message: a conditional insert.
    async fn begin_attempt(&self, administration: &AdministrationId, message: MessageId, attempt: u32) -> Result<AttemptStart, StoreError>;

    /// Keeps a citizen's word on an address of theirs, once by its input; of several the one said last counts, in whatever order they
    /// are kept.
    async fn put_opt_out(&self, word: &OptOut) -> Result<(), StoreError>;

    /// Since when an address wants no messages; none: it may be written to.
    async fn opted_out(
        &self,
        administration: &AdministrationId,
        channel: &Channel,
        address: AddressKey,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Keeps how the provider named a part that an attempt sent, of so many in `total`.
    async fn put_part_id(&self, administration: &AdministrationId, part: SentPart, total: u32, provider_id: &str)
    -> Result<(), StoreError>;

    /// The part, of attempts of the last days, that the provider named in the first of these ways; if there is none, in any of them.
    /// Two: it may be either, or yet another.
    async fn parts_named(&self, administration: &AdministrationId, provider_ids: &[String; 3]) -> Result<Vec<SentPart>, StoreError>;

    /// A part arrived. Whether all of its attempt have now.
    async fn part_arrived(&self, administration: &AdministrationId, part: SentPart) -> Result<bool, StoreError>;

    // ── commands left by the command line ──────────────────────────────────────────────────────────────────────────

    /// Leaves a command for the pool's leader: for whoever has the database and no way to the engine, the command line. The
    /// same id is left once.
    async fn leave_command(&self, pool: &PoolId, id: &str, body: &str) -> Result<(), StoreError>;

    /// Commands left and not answered, oldest first, at most 100: id and body.
    async fn left_commands(&self, pool: &PoolId) -> Result<Vec<(String, String)>, StoreError>;

    /// Answers a command that was left.
    async fn answer_command(&self, pool: &PoolId, id: &str, answer: &str) -> Result<(), StoreError>;

    /// The answer to a command that was left, if there is one.
    async fn command_answer(&self, pool: &PoolId, id: &str) -> Result<Option<String>, StoreError>;

    // ── quarantine ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// Keeps something that could not be processed; the same (source, message_id) is held once, and again if it was settled.
    async fn quarantine(&self, item: &Quarantined) -> Result<(), StoreError>;

    /// What is held and within `reach`, newest first; without it, everything. `retried`: what was handed in again too, while its bytes
    /// are there. Bodies are left out.
    async fn quarantined(&self, reach: Option<&QuarantineReach>, retried: bool, page: Page) -> Result<Vec<Quarantined>, StoreError>;

    /// One item with its body.
    async fn quarantined_item(&self, id: i64) -> Result<Option<Quarantined>, StoreError>;

    /// Marks an item `retried` or `discarded`; a discarded one loses its body. False if it is not held, nor retried and to be discarded.
    async fn settle_quarantined(&self, id: i64, state: &str) -> Result<bool, StoreError>;

    /// How many are held, by source.
    async fn quarantine_counts(&self) -> Result<Vec<(String, i64)>, StoreError>;

    // ── figures ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Contacts by administration, queue, channel and state, with the oldest `queued_at`: what metrics show of waiting.
    async fn contact_counts(&self, pool: &PoolId) -> Result<Vec<ContactCount>, StoreError>;

    /// What the operators of a pool have, or what rings at them, counted: however much it is.
    async fn operator_loads(&self, pool: &PoolId) -> Result<Vec<OperatorLoad>, StoreError>;
}

/// A row of [`Store::operator_loads`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorLoad {
    /// Who.
    pub operator: OperatorId,
    /// By which channel.
    pub channel: Channel,
    /// Live or deferrable.
    pub mode: Mode,
    /// Whether they take capacity: pending ones do not.
    pub holds: bool,
    /// How many.
    pub count: i64,
}

/// A row of [`Store::contact_counts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactCount {
    /// Whose.
    pub administration: AdministrationId,
    /// Its office.
    pub office: OfficeId,
    /// Its queue.
    pub queue: QueueId,
    /// Its channel.
    pub channel: Channel,
    /// Its state.
    pub state: StateName,
    /// How many.
    pub count: i64,
    /// The oldest `queued_at` among them.
    pub oldest: Timestamp,
}
