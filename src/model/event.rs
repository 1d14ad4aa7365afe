//! What happened: the effects of inputs, in the pool's one order. Ids, codes and times only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::command::{RejectReason, TransferTarget};
use super::contact::{Direction, Mode, NotAdmitted, Outcome, PendingOn};
use super::conversation::Automatic;
use super::id::{AccountId, AdministrationId, ContactId, ConversationId, MessageId, NoteId, OfficeId, OperatorId, QueueId};
use super::operator::PresenceState;
use super::time::Timestamp;

/// One event of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The pool's sequence number: gapless over inputs and events together. Drop what is not above the last one seen.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// The contact it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// What.
    #[serde(flatten)]
    pub body: EventBody,
}

/// The contact an event is about, as it is after the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// The contact.
    pub contact: ContactId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Whose citizen it is.
    pub administration: AdministrationId,
    /// Which office is competent.
    pub office: OfficeId,
    /// Its queue.
    pub queue: QueueId,
    /// Its channel.
    pub channel: Channel,
    /// Live or deferrable.
    pub mode: Mode,
    /// Its version.
    pub version: u32,
}

/// What can happen. The tag is the middle of the public CloudEvents type: `contact.queued` is `<prefix>.contact.queued.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event")]
pub enum EventBody {
    /// A contact was opened.
    #[serde(rename = "contact.received")]
    ContactReceived {
        /// Who opened it.
        direction: Direction,
        /// The account that received it.
        account: AccountId,
        /// The closed contact it follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continues: Option<ContactId>,
        /// Number of the classification rule that matched, from 1; none: the account's default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<u32>,
        /// When it reached the administration.
        filed_at: Timestamp,
    },
    /// It waits.
    #[serde(rename = "contact.queued")]
    ContactQueued {
        /// When the first response is due.
        due: Timestamp,
        /// Why it is queued.
        reason: QueuedReason,
    },
    /// It rings at an operator.
    #[serde(rename = "offer.made")]
    OfferMade {
        /// The offer's number within the contact.
        ordinal: u32,
        /// At whom.
        operator: OperatorId,
        /// Until when.
        deadline: Timestamp,
    },
    /// An operator took it.
    #[serde(rename = "offer.accepted")]
    OfferAccepted {
        /// The offer's number.
        ordinal: u32,
        /// Who.
        operator: OperatorId,
    },
    /// An operator refused it.
    #[serde(rename = "offer.rejected")]
    OfferRejected {
        /// The offer's number.
        ordinal: u32,
        /// Who.
        operator: OperatorId,
        /// Why.
        reason: RejectReason,
    },
    /// Nobody answered in time.
    #[serde(rename = "offer.expired")]
    OfferExpired {
        /// The offer's number.
        ordinal: u32,
        /// Who missed it.
        operator: OperatorId,
    },
    /// It was taken back.
    #[serde(rename = "offer.revoked")]
    OfferRevoked {
        /// The offer's number.
        ordinal: u32,
        /// From whom.
        operator: OperatorId,
    },
    /// It became void, because the contact went elsewhere.
    #[serde(rename = "offer.rescinded")]
    OfferRescinded {
        /// The offer's number.
        ordinal: u32,
        /// From whom.
        operator: OperatorId,
    },
    /// An operator has it now, without ringing.
    #[serde(rename = "contact.assigned")]
    ContactAssigned {
        /// Who.
        operator: OperatorId,
        /// Why them.
        reason: AssignedReason,
        /// When it goes back if untouched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        untouched_until: Option<Timestamp>,
    },
    /// Its owner looked at it.
    #[serde(rename = "contact.touched")]
    ContactTouched {
        /// Who.
        operator: OperatorId,
    },
    /// It was taken from its operator.
    #[serde(rename = "contact.released")]
    ContactReleased {
        /// From whom.
        operator: OperatorId,
        /// Why.
        reason: ReleasedReason,
    },
    /// It came back too often: a supervisor should look.
    #[serde(rename = "contact.escalated")]
    ContactEscalated {
        /// How often it came back.
        returns: u32,
    },
    /// It waits for somebody, and keeps its owner.
    #[serde(rename = "contact.pending")]
    ContactPending {
        /// The owner.
        operator: OperatorId,
        /// Whom it waits for.
        on: PendingOn,
    },
    /// It goes to another queue or colleague.
    #[serde(rename = "contact.transferred")]
    ContactTransferred {
        /// Who sent it; none: a supervisor or rule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<OperatorId>,
        /// The queue it was in.
        from_queue: QueueId,
        /// Where to.
        to: TransferTarget,
        /// Why.
        reason: String,
    },
    /// It is put off.
    #[serde(rename = "contact.deferred")]
    ContactDeferred {
        /// Until when.
        until: Timestamp,
    },
    /// The talk is over, the work is not.
    #[serde(rename = "contact.wrap_up")]
    ContactWrapUp {
        /// The owner.
        operator: OperatorId,
        /// When it closes by itself.
        until: Timestamp,
    },
    /// Done.
    #[serde(rename = "contact.closed")]
    ContactClosed {
        /// Who had it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<OperatorId>,
        /// Why and how.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The citizen left before being served.
    #[serde(rename = "contact.abandoned")]
    ContactAbandoned {
        /// Within the first ten seconds.
        short: bool,
    },
    /// The citizen has not answered: they are asked whether they are still there.
    #[serde(rename = "contact.silent")]
    ContactSilent {
        /// The owner.
        operator: OperatorId,
        /// When it closes by itself.
        closes_at: Timestamp,
    },
    /// A live contact became a deferrable one: the citizen left text and an address, or it was not admitted.
    #[serde(rename = "contact.deferrable")]
    ContactDeferrable {
        /// Why it was not admitted when it came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_admitted: Option<NotAdmitted>,
    },
    /// The administration's file was named.
    #[serde(rename = "contact.case")]
    ContactCase,
    /// The citizen wrote.
    #[serde(rename = "message.received")]
    MessageReceived {
        /// Which message.
        message: MessageId,
        /// The operator who has the contact now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<OperatorId>,
        /// Set if no person wrote it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        automatic: Option<Automatic>,
    },
    /// The office answered: the message is to be delivered.
    #[serde(rename = "message.queued")]
    MessageQueued {
        /// Which message.
        message: MessageId,
        /// Who wrote it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<OperatorId>,
    },
    /// An attempt is ordered from the account's adapter.
    #[serde(rename = "message.attempting")]
    MessageAttempting {
        /// Which message.
        message: MessageId,
        /// Which account sends it.
        account: AccountId,
        /// The number of the attempt.
        attempt: u32,
    },
    /// The next hop has it.
    #[serde(rename = "message.sent")]
    MessageSent {
        /// Which message.
        message: MessageId,
        /// The operator to show it to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<OperatorId>,
    },
    /// The provider says it arrived.
    #[serde(rename = "message.delivered")]
    MessageDelivered {
        /// Which message.
        message: MessageId,
        /// The operator to show it to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<OperatorId>,
    },
    /// An attempt failed; there will be another.
    #[serde(rename = "message.retrying")]
    MessageRetrying {
        /// Which message.
        message: MessageId,
        /// When.
        retry_at: Timestamp,
        /// Code of the failure.
        code: String,
    },
    /// Given up, bounced, or of unknown outcome: somebody must look.
    #[serde(rename = "message.failed")]
    MessageFailed {
        /// Which message.
        message: MessageId,
        /// The operator to show it to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<OperatorId>,
        /// Code of the failure.
        code: String,
        /// Whether it came back after it had been sent.
        bounced: bool,
    },
    /// Of unknown outcome, and who answers for the contact says how it ended.
    #[serde(rename = "message.settled")]
    MessageSettled {
        /// Which message.
        message: MessageId,
        /// Who says it.
        operator: OperatorId,
        /// Whether it arrived. If not, it may be sent again: as a new order, when somebody asks for it.
        arrived: bool,
    },
    /// A note was written.
    #[serde(rename = "note.added")]
    NoteAdded {
        /// Which note.
        note: NoteId,
        /// Who wrote it.
        operator: OperatorId,
    },
    /// An operator's presence changed.
    #[serde(rename = "operator.presence")]
    OperatorPresence {
        /// Who.
        operator: OperatorId,
        /// What they say.
        presence: PresenceState,
        /// Whether their console is there.
        connected: bool,
    },
    /// An operator is new or changed.
    #[serde(rename = "operator.changed")]
    OperatorChanged {
        /// Who.
        operator: OperatorId,
    },
    /// A queue admits no more live contacts.
    #[serde(rename = "queue.closed")]
    QueueClosed {
        /// Which.
        queue: QueueId,
        /// Whose.
        administration: AdministrationId,
    },
    /// A queue admits live contacts again.
    #[serde(rename = "queue.opened")]
    QueueOpened {
        /// Which.
        queue: QueueId,
        /// Whose.
        administration: AdministrationId,
    },
    /// A plan was applied.
    #[serde(rename = "plan.applied")]
    PlanApplied {
        /// Its version.
        version: i64,
    },
    /// Another process leads the pool.
    #[serde(rename = "pool.led")]
    PoolLed {
        /// The leader's epoch.
        epoch: i64,
    },
}

/// Why a contact is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueuedReason {
    /// New.
    New,
    /// Its offer was rejected.
    Rejected,
    /// Its offer expired.
    Expired,
    /// Its offer was taken back.
    Revoked,
    /// Its owner did not touch it.
    Untouched,
    /// Its owner is gone.
    OwnerLost,
    /// Its owner or a supervisor gave it back.
    Returned,
    /// It was transferred.
    Transferred,
    /// The colleague it was transferred to did not take it.
    NotTaken,
    /// Its time came: deferred or pending.
    Due,
    /// The citizen wrote while its owner was not ready.
    CitizenWrote,
    /// The citizen came back within the grace.
    CameBack,
    /// A reply of ours came back or failed.
    DeliveryFailed,
}

/// Why an operator has a contact without it having rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssignedReason {
    /// The router chose them.
    Routed,
    /// They took it out of turn.
    Pulled,
    /// A supervisor gave it to them.
    Supervisor,
    /// They had it, and the citizen wrote.
    CitizenWrote,
    /// They took it up again, or its time came.
    Resumed,
}

/// Why a contact was taken from its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleasedReason {
    /// Not touched in time.
    Untouched,
    /// The operator is gone.
    OwnerLost,
    /// Given back.
    Returned,
    /// A supervisor gave it to somebody else.
    Reassigned,
}

impl EventBody {
    /// The tag, `contact.queued`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ContactReceived { .. } => "contact.received",
            Self::ContactQueued { .. } => "contact.queued",
            Self::OfferMade { .. } => "offer.made",
            Self::OfferAccepted { .. } => "offer.accepted",
            Self::OfferRejected { .. } => "offer.rejected",
            Self::OfferExpired { .. } => "offer.expired",
            Self::OfferRevoked { .. } => "offer.revoked",
            Self::OfferRescinded { .. } => "offer.rescinded",
            Self::ContactAssigned { .. } => "contact.assigned",
            Self::ContactTouched { .. } => "contact.touched",
            Self::ContactReleased { .. } => "contact.released",
            Self::ContactEscalated { .. } => "contact.escalated",
            Self::ContactPending { .. } => "contact.pending",
            Self::ContactTransferred { .. } => "contact.transferred",
            Self::ContactDeferred { .. } => "contact.deferred",
            Self::ContactWrapUp { .. } => "contact.wrap_up",
            Self::ContactClosed { .. } => "contact.closed",
            Self::ContactAbandoned { .. } => "contact.abandoned",
            Self::ContactSilent { .. } => "contact.silent",
            Self::ContactDeferrable { .. } => "contact.deferrable",
            Self::ContactCase => "contact.case",
            Self::MessageReceived { .. } => "message.received",
            Self::MessageQueued { .. } => "message.queued",
            Self::MessageAttempting { .. } => "message.attempting",
            Self::MessageSent { .. } => "message.sent",
            Self::MessageDelivered { .. } => "message.delivered",
            Self::MessageRetrying { .. } => "message.retrying",
            Self::MessageFailed { .. } => "message.failed",
            Self::MessageSettled { .. } => "message.settled",
            Self::NoteAdded { .. } => "note.added",
            Self::OperatorPresence { .. } => "operator.presence",
            Self::OperatorChanged { .. } => "operator.changed",
            Self::QueueClosed { .. } => "queue.closed",
            Self::QueueOpened { .. } => "queue.opened",
            Self::PlanApplied { .. } => "plan.applied",
            Self::PoolLed { .. } => "pool.led",
        }
    }

    /// The operator to whose console it goes, if to one.
    pub fn operator(&self) -> Option<OperatorId> {
        match self {
            Self::OfferMade { operator, .. }
            | Self::OfferAccepted { operator, .. }
            | Self::OfferRejected { operator, .. }
            | Self::OfferExpired { operator, .. }
            | Self::OfferRevoked { operator, .. }
            | Self::OfferRescinded { operator, .. }
            | Self::ContactAssigned { operator, .. }
            | Self::ContactTouched { operator }
            | Self::ContactReleased { operator, .. }
            | Self::ContactPending { operator, .. }
            | Self::ContactWrapUp { operator, .. }
            | Self::ContactSilent { operator, .. }
            | Self::MessageSettled { operator, .. }
            | Self::NoteAdded { operator, .. }
            | Self::OperatorPresence { operator, .. }
            | Self::OperatorChanged { operator } => Some(*operator),
            Self::ContactTransferred { operator, .. }
            | Self::ContactClosed { operator, .. }
            | Self::MessageReceived { operator, .. }
            | Self::MessageQueued { operator, .. }
            | Self::MessageSent { operator, .. }
            | Self::MessageDelivered { operator, .. }
            | Self::MessageFailed { operator, .. } => *operator,
            _ => None,
        }
    }
}
