//! The way of an answer out: a state machine of the pool. The adapter makes exactly one attempt for each order it gets; when
//! to try again is the router's to decide.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channel::{Channel, Language};
use super::id::{AccountId, AddressKey, AdministrationId, CitizenId, ContactId, ConversationId, MessageId, OperatorId, QueueId};
use super::time::Timestamp;

/// Where an outbound message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Nobody has tried yet, or the next attempt has a time.
    Queued,
    /// An order for an attempt is out.
    Attempting,
    /// The next hop has it.
    Sent,
    /// Given up; the operator is shown it.
    Failed,
    /// An attempt whose end nobody saw, on a channel where repeating it is not harmless.
    Unknown,
    /// It arrived: the provider says so, or who answers for the contact.
    Delivered,
    /// It came back.
    Bounced,
}

impl DeliveryState {
    /// The name as written in rows and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Attempting => "attempting",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
        }
    }

    /// Whether the router still has something to do for it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Attempting)
    }
}

/// An outbound message as the engine keeps it while its delivery is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The message.
    pub message: MessageId,
    /// Whose it is.
    pub administration: AdministrationId,
    /// The contact in which it was written.
    pub contact: ContactId,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// The account that sends it.
    pub account: AccountId,
    /// The account's channel.
    pub channel: Channel,
    /// Where it is.
    pub state: DeliveryState,
    /// Attempts ordered so far.
    pub attempts: u32,
    /// `Queued`: when the next attempt is ordered. `Attempting`: when the attempt counts as of unknown outcome. What is given up,
    /// came back or is of unknown outcome: since when.
    pub due: Timestamp,
    /// The code of the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whose word says how it ended, if no machine knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
    /// Whose work it is if it fails after its contact was closed.
    pub origin: Origin,
}

/// A person's word on how an attempt of unknown outcome ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settled {
    /// Who says it.
    pub operator: OperatorId,
    /// When they said it.
    pub at: Timestamp,
}

/// What a follow-on contact needs to know of the one it follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its queue.
    pub queue: QueueId,
    /// Who had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OperatorId>,
    /// The citizen's address, as a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressKey>,
    /// The citizen, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citizen: Option<CitizenId>,
    /// The language to answer in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Who must abstain from the conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abstaining: Vec<OperatorId>,
    /// Nobody has to work on it if it fails: a copy that the citizen asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_copy: bool,
}

/// How one attempt ended, or what became of the message later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum AttemptResult {
    /// The next hop accepted it.
    Sent {
        /// The id the provider gave it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_id: Option<String>,
    },
    /// Not now: connection refused, 4xx.
    Temporary {
        /// A short code, `connect`, `421`…: never an address or text.
        code: String,
    },
    /// Never: 5xx, no such mailbox.
    Permanent {
        /// A short code.
        code: String,
    },
    /// The attempt was begun before and nobody knows how it ended.
    Unknown,
    /// The provider says it arrived.
    Delivered,
    /// It came back.
    Bounced {
        /// The status code of the report, `5.1.1`.
        code: String,
    },
}

/// An adapter's report on an outbound message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryReport {
    /// Which message.
    pub message: MessageId,
    /// Which attempt, from 1; 0 when the report is not about one attempt (a bounce, a receipt).
    pub attempt: u32,
    /// What happened.
    #[serde(flatten)]
    pub result: AttemptResult,
}
