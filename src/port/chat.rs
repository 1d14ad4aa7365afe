//! Citizens' chats on web pages as they are kept: any node resumes one, and erasing it leaves nothing. The token is not kept; what
//! was said is in the conversation.

use async_trait::async_trait;

use super::store::StoreError;
use crate::model::channel::Language;
use crate::model::id::{AccountId, AdministrationId, ChatSessionId, TopicId};
use crate::model::time::Timestamp;

/// A citizen's chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatSession {
    /// Its id: the citizen's address on the channel.
    pub id: ChatSessionId,
    /// Whose citizen.
    pub administration: AdministrationId,
    /// By which account.
    pub account: AccountId,
    /// What the citizen calls themself.
    pub name: String,
    /// An email address that they gave: claimed, so it is answered and never searched for.
    pub email: Option<String>,
    /// Why they come, if the account offers topics.
    pub topic: Option<TopicId>,
    /// The language they read the widget in.
    pub language: Option<Language>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
    /// Until when a connection is certain: moved on while there is one.
    pub present_until: Timestamp,
    /// Whether the pool was told that the citizen is gone.
    pub gone: bool,
    /// Whether the citizen ended it for good.
    pub ended: bool,
    /// Up to which number the operator has seen the citizen's messages.
    pub operator_read: i64,
    /// Up to which number the citizen has seen the office's messages.
    pub citizen_read: i64,
    /// Where a transcript goes when it is over.
    pub transcript_to: Option<String>,
}

/// What changes of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatChange {
    /// There is a connection until then at least: the citizen is not gone any more.
    Present(Timestamp),
    /// The last connection was closed then, unless more is known than until when whoever says so has said that there is one.
    Absent(Timestamp, Timestamp),
    /// The pool was told that the citizen is gone, as of this [`ChatSession::present_until`].
    Gone(Timestamp),
    /// The citizen left for good.
    Ended,
    /// The pool was told so: from now on they are gone, whatever connection there is.
    EndTold,
    /// The citizen gave an address to be answered at, which is kept until then at least.
    Email(String, Timestamp),
    /// The operator has seen everything up to this number.
    OperatorRead(i64),
    /// The citizen has seen everything up to this number.
    CitizenRead(i64),
    /// The transcript was handed over to this address; another that was asked for meanwhile still waits.
    TranscriptSent(String),
}

/// The chats of all administrations.
#[async_trait]
pub trait Chats: Send + Sync {
    /// Keeps a new chat.
    async fn open_chat(&self, chat: &ChatSession) -> Result<(), StoreError>;

    /// A chat of the administration that is not forgotten at `now`.
    async fn chat(&self, administration: &AdministrationId, id: ChatSessionId, now: Timestamp) -> Result<Option<ChatSession>, StoreError>;

    /// Changes a chat; one that is not there is left alone. Numbers and times never go back.
    async fn change_chat(&self, administration: &AdministrationId, id: ChatSessionId, change: ChatChange) -> Result<(), StoreError>;

    /// The citizen wants a transcript sent to `email` when it is over. False: it went, or goes, to `addresses_max` others, and
    /// nothing changes.
    async fn want_transcript(
        &self,
        administration: &AdministrationId,
        id: ChatSessionId,
        email: &str,
        addresses_max: u32,
    ) -> Result<bool, StoreError>;

    /// There is a connection of each of these chats until `until` at least: one statement for a node.
    async fn chats_present(&self, administration: &AdministrationId, ids: &[ChatSessionId], until: Timestamp) -> Result<(), StoreError>;

    /// Chats without a connection since `since`, of whom the pool was not told: the longest gone first, those behind `after`, at most
    /// `limit`.
    async fn absent_chats(
        &self,
        administration: &AdministrationId,
        since: Timestamp,
        after: Option<&ChatSession>,
        limit: u32,
    ) -> Result<Vec<ChatSession>, StoreError>;

    /// Chats that the citizen ended and of which the pool was not told: the longest gone first, those behind `after`, at most `limit`.
    async fn ended_chats(
        &self,
        administration: &AdministrationId,
        after: Option<&ChatSession>,
        limit: u32,
    ) -> Result<Vec<ChatSession>, StoreError>;

    /// Chats whose citizen waits for a transcript: the oldest first, those behind `after`, at most `limit`.
    async fn wanted_transcripts(
        &self,
        administration: &AdministrationId,
        after: Option<&ChatSession>,
        limit: u32,
    ) -> Result<Vec<ChatSession>, StoreError>;

    /// Erases chats that ended before `now`; returns how many.
    async fn forget_chats(&self, administration: &AdministrationId, now: Timestamp) -> Result<u64, StoreError>;
}
