//! The contact: one unit of work for one operator at a time, opened by a citizen or by the office.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channel::{Channel, IdentityLevel, Language};
use super::id::{
    AccountId, AddressKey, AdministrationId, CitizenId, ContactId, ConversationId, OfferId, OfficeId, OperatorId, QueueId, TopicId,
};
use super::requirement::Requirement;
use super::time::Timestamp;

/// Whether somebody is standing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Chat, phone, counter: it rings, and may be abandoned.
    Live,
    /// Email, SMS: it is assigned, and may wait.
    Deferrable,
}

/// Why somebody who stands there was not admitted as such: the contact waits like a letter, and does not ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotAdmitted {
    /// A supervisor closed its queue.
    QueueClosed,
    /// As many waited there as the plan allows.
    QueueFull,
}

/// Who opened the contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A citizen.
    Inbound,
    /// The office.
    Outbound,
}

/// Whom a pending contact waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PendingOn {
    /// The citizen owes an answer; the office's clocks stand still.
    Citizen,
    /// Somebody inside owes something; the clocks run, the delay is ours.
    Office,
}

/// Where a contact is in its life. `Closed` and `Abandoned` are final, but for the grace of an abandoned one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ContactState {
    /// Waits for an operator.
    Queued,
    /// Held for one operator until accepted, rejected, expired, revoked or rescinded.
    Offered {
        /// Counts the contact's offers from 1.
        ordinal: u32,
        /// Whom it rings.
        operator: OperatorId,
        /// When it began to ring.
        made_at: Timestamp,
        /// When it stops ringing.
        deadline: Timestamp,
    },
    /// An operator works on it.
    Active {
        /// The owner.
        operator: OperatorId,
        /// A deferrable contact goes back to its queue at this time if the owner has not touched it.
        untouched_until: Option<Timestamp>,
    },
    /// Keeps its owner and holds no capacity.
    Pending {
        /// The owner.
        operator: OperatorId,
        /// Whom it waits for.
        on: PendingOn,
        /// When it became pending.
        since: Timestamp,
        /// When it comes back by itself.
        back_after: Option<Timestamp>,
    },
    /// The citizen is gone, the operator finishes; closes by itself at `until`.
    WrapUp {
        /// The owner.
        operator: OperatorId,
        /// The ceiling.
        until: Timestamp,
    },
    /// Put off until a time.
    Deferred {
        /// When it is queued again.
        until: Timestamp,
    },
    /// The citizen left before being served (live only).
    Abandoned {
        /// When.
        at: Timestamp,
    },
    /// Done.
    Closed {
        /// When.
        at: Timestamp,
    },
}

/// The name of a [`ContactState`], for wires, rows and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// See [`ContactState::Queued`].
    Queued,
    /// See [`ContactState::Offered`].
    Offered,
    /// See [`ContactState::Active`].
    Active,
    /// See [`ContactState::Pending`].
    Pending,
    /// See [`ContactState::WrapUp`].
    WrapUp,
    /// See [`ContactState::Deferred`].
    Deferred,
    /// See [`ContactState::Abandoned`].
    Abandoned,
    /// See [`ContactState::Closed`].
    Closed,
}

impl StateName {
    /// Every state, in the order of a contact's life.
    pub const ALL: [Self; 8] =
        [Self::Queued, Self::Offered, Self::Active, Self::Pending, Self::WrapUp, Self::Deferred, Self::Abandoned, Self::Closed];

    /// The name as written in rows and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Offered => "offered",
            Self::Active => "active",
            Self::Pending => "pending",
            Self::WrapUp => "wrap_up",
            Self::Deferred => "deferred",
            Self::Abandoned => "abandoned",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ContactState {
    /// The state's name.
    pub fn name(&self) -> StateName {
        match self {
            Self::Queued => StateName::Queued,
            Self::Offered { .. } => StateName::Offered,
            Self::Active { .. } => StateName::Active,
            Self::Pending { .. } => StateName::Pending,
            Self::WrapUp { .. } => StateName::WrapUp,
            Self::Deferred { .. } => StateName::Deferred,
            Self::Abandoned { .. } => StateName::Abandoned,
            Self::Closed { .. } => StateName::Closed,
        }
    }

    /// The operator who owns the contact; an offer does not make an owner.
    pub fn owner(&self) -> Option<OperatorId> {
        match self {
            Self::Active { operator, .. } | Self::Pending { operator, .. } | Self::WrapUp { operator, .. } => Some(*operator),
            _ => None,
        }
    }

    /// The operator whose capacity it takes: whoever it rings, works on it or wraps it up.
    pub fn holder(&self) -> Option<OperatorId> {
        match self {
            Self::Offered { operator, .. } | Self::Active { operator, .. } | Self::WrapUp { operator, .. } => Some(*operator),
            _ => None,
        }
    }

    /// When it was over, if it is.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self {
            Self::Closed { at } | Self::Abandoned { at } => Some(*at),
            _ => None,
        }
    }

    /// Whether nothing more happens to it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Abandoned { .. })
    }
}

/// The place of a waiting contact: lower goes first. Fixed when it is queued, so nothing is ever sorted again and nothing
/// starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderKey {
    /// Strict precedence, 0 first; 5 unless a rule says otherwise.
    pub tier: u8,
    /// The absolute instant by which the first response is due, less the queue's head start.
    pub due: Timestamp,
    /// The sequence number of the input that queued it: first come, first served where all else is equal.
    pub seq: i64,
}

/// Why and how a contact ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Why the citizen wrote, from the plan; none when the wrap-up's ceiling closed it.
    pub topic: Option<TopicId>,
    /// How it ended.
    pub resolution: Resolution,
}

/// How a contact ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The citizen has what they came for.
    Resolved,
    /// Another office or body answers.
    HandedOver,
    /// The citizen did not answer.
    NoAnswer,
    /// Thanks, spam, a newsletter.
    NotARequest,
    /// The same matter is dealt with in another contact.
    Duplicate,
    /// Nobody said.
    NotGiven,
    /// The citizen was asked whether they are still there and said nothing: closed by itself.
    CitizenSilent,
}

/// The administration's own file. A reference; its life is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseReference {
    /// Protocol number, as the registry writes it.
    pub number: String,
    /// The administrative deadline, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

/// An operator whom a contact is not offered to for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// Who.
    pub operator: OperatorId,
    /// Until when; [`Timestamp::MAX`] for a conflict of interest.
    pub until: Timestamp,
    /// Until when if nobody else could take the contact: the one-person office.
    pub alone_until: Timestamp,
}

/// A live contact in which the citizen owes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Since when: the operator wrote last.
    pub since: Timestamp,
    /// Whether the citizen was asked if they are still there.
    pub warned: bool,
}

/// A contact as the engine keeps it and as its row holds it: ids, codes and times, never text, names or addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// Whose citizen it is.
    pub administration: AdministrationId,
    /// Which office is competent.
    pub office: OfficeId,
    /// Where it waits, or waited.
    pub queue: QueueId,
    /// The conversation it is part of.
    pub conversation: ConversationId,
    /// The citizen, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citizen: Option<CitizenId>,
    /// How sure it is that the address is that citizen's and nobody else's. None: several write from it, or nobody knows: then it says
    /// nothing of who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citizen_level: Option<IdentityLevel>,
    /// The citizen's address, as a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressKey>,
    /// How sure it is who is behind the address.
    #[serde(default)]
    pub identity: IdentityLevel,
    /// The channel it came by and is answered on.
    pub channel: Channel,
    /// The account that received it and answers.
    pub account: AccountId,
    /// Live or deferrable.
    pub mode: Mode,
    /// It came as a live contact and was not admitted as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_admitted: Option<NotAdmitted>,
    /// Who opened it.
    pub direction: Direction,
    /// The operator who opened it, if outbound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<OperatorId>,
    /// The closed contact that it follows in the same conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<ContactId>,
    /// The language to answer in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// What a rule asked for beyond the queue's own requirement.
    #[serde(default)]
    pub requirement: Requirement,
    /// When it reached the administration. Legal; never moves.
    pub filed_at: Timestamp,
    /// When the engine opened it.
    pub opened_at: Timestamp,
    /// When it was last queued.
    pub queued_at: Timestamp,
    /// Microseconds it waited before it was last queued: what a transfer may credit.
    #[serde(default)]
    pub waited_us: i64,
    /// Its place.
    pub key: OrderKey,
    /// The first human answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_response_at: Option<Timestamp>,
    /// Where it is.
    pub state: ContactState,
    /// How many offers it had.
    #[serde(default)]
    pub offers: u32,
    /// How often it came back to the queue.
    #[serde(default)]
    pub returns: u32,
    /// How often it was transferred.
    #[serde(default)]
    pub transfers: u32,
    /// Whom it is not offered to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<Exclusion>,
    /// The only operator it may go to: a transfer to a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<OperatorId>,
    /// The operator it goes to first: who holds the citizen's other contact, or helped last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred: Option<OperatorId>,
    /// The administration's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseReference>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Who owned it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_owner: Option<OperatorId>,
    /// Whether the citizen left words: with an address they outlive an abandoned chat.
    #[serde(default)]
    pub has_text: bool,
    /// Whether the citizen left an address at which they can be answered after a chat.
    #[serde(default)]
    pub answerable: bool,
    /// The citizen owes an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// Grows by one with each change.
    pub version: u32,
}

impl Contact {
    /// Who must abstain from it, and from whatever follows it.
    pub fn abstaining(&self) -> impl Iterator<Item = OperatorId> {
        self.exclusions.iter().filter(|exclusion| exclusion.until == Timestamp::MAX).map(|exclusion| exclusion.operator)
    }
}

/// How an offer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferState {
    /// It rings.
    Live,
    /// Taken.
    Accepted,
    /// Refused with a reason.
    Rejected,
    /// Nobody answered.
    Expired,
    /// Taken back by a supervisor or because the operator left.
    Revoked,
    /// Void because the contact went elsewhere: abandoned, closed, taken by a colleague.
    Rescinded,
}

impl OfferState {
    /// The name as written in rows and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Rescinded => "rescinded",
        }
    }
}

/// An offer as its row holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Which contact and which of its offers.
    pub id: OfferId,
    /// Whom it was made to.
    pub operator: OperatorId,
    /// Where it is.
    pub state: OfferState,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it stops ringing.
    pub deadline: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}
