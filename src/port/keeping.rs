//! What keeps the data in bounds: conversations are erased, old rows of the logs go, and what no row names any more is found.
//! Everything here may be done twice, by two processes at once, and be cut off anywhere.

use async_trait::async_trait;

use crate::model::contact::StateName;
use crate::model::id::{AdministrationId, CitizenId, ContactId, ConversationId, MessageId, PoolId};
use crate::model::time::Timestamp;

use super::store::StoreError;

/// What became of a conversation that was to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erasure {
    /// The administration has no such conversation.
    Unknown,
    /// Somebody has still to do with this contact; the engine holds it in memory. Nothing was erased.
    Open(ContactId, StateName),
    /// This message is still on its way out. Nothing was erased.
    Sending(MessageId),
    /// It is erased: now, or before.
    Done(Erased),
}

/// What an erasure took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Messages.
    pub messages: u64,
    /// Notes.
    pub notes: u64,
    /// Keys of the blobs that they named: to be deleted if nothing else names them.
    pub blobs: Vec<String>,
}

/// Part of a longer list, and where the next part begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// What was found, perhaps nothing.
    pub found: Vec<T>,
    /// To be given as `after` for the next part; none: there is no more.
    pub next: Option<String>,
}

/// Rows of the logs that went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Events.
    pub events: u64,
    /// Inputs.
    pub inputs: u64,
}

/// Erasing, trimming, and who names which blob.
#[async_trait]
pub trait Keeping: Send + Sync {
    /// Erases a conversation in one transaction: messages, notes, attempts, marks, chats, subject, whose it was, and the addresses that
    /// no other conversation of its citizen needs. Contacts stay without address and citizen, for the figures. What was delivered to
    /// it stays dead when it comes again.
    async fn erase(&self, administration: &AdministrationId, conversation: ConversationId) -> Result<Erasure, StoreError>;

    /// Conversations of a citizen that are not erased.
    async fn conversations_of(&self, administration: &AdministrationId, citizen: CitizenId) -> Result<Vec<ConversationId>, StoreError>;

    /// Looks at `limit` conversations above `after`, and finds those that are not erased and whose every contact ended before `before`.
    async fn ended_conversations(
        &self,
        administration: &AdministrationId,
        before: Timestamp,
        after: &str,
        limit: u32,
    ) -> Result<Part<ConversationId>, StoreError>;

    /// Takes the oldest `limit` events of a pool that happened before `before` and that each of these relays has passed, but never the
    /// last one; with them the inputs they followed from that nobody can send again: timers, leaders, commands. The inputs of
    /// citizens' messages stay.
    async fn trim_journal(&self, pool: &PoolId, relays: &[&str], before: Timestamp, limit: u32) -> Result<Trimmed, StoreError>;

    /// Takes the bytes of `limit` items of the quarantine that were handed in again before `before`, and `limit` answered orders of the
    /// command line from before it; returns how many of each.
    async fn drop_settled(&self, before: Timestamp, limit: u32) -> Result<[u64; 2], StoreError>;

    /// When this database began: what lies on the disk from before it is not its to judge. None: it has no plan yet.
    async fn began_at(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Names of blobs in an administration's messages: of `limit` of them above `after`.
    async fn named_by_messages(&self, administration: &AdministrationId, after: &str, limit: u32) -> Result<Part<String>, StoreError>;

    /// Names of blobs in what quarantine keeps, of all administrations: what is handed in again names them still.
    async fn named_in_quarantine(&self, after: &str, limit: u32) -> Result<Part<String>, StoreError>;

    /// After erasures: takes from the database's files what it still keeps of deleted rows, as far as it can while others use it.
    async fn scrub(&self) -> Result<(), StoreError>;
}
