//! What operators, supervisors and the pool's own machinery ask the engine to do, and how it may refuse.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contact::{CaseReference, Outcome, PendingOn};
use super::id::{AccountId, AdministrationId, CommandId, ContactId, ConversationId, MessageId, NoteId, OfferId, OperatorId, QueueId};
use super::operator::OperatorProfile;
use super::time::Timestamp;

/// Who asks. The desk has checked role and scope; the engine checks ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The person; none for the machinery itself.
    pub operator: Option<OperatorId>,
    /// Whether they may act on contacts that are not theirs.
    pub authority: Authority,
}

/// How far an actor's word goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// Their own contacts.
    Own,
    /// Any contact: a supervisor in whose scope it is, or the machinery.
    Any,
}

/// A command on its way to the engine. Its text, if it has one, travels beside it: the engine sees ids only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Made by the sender; the second sending is recognised by it.
    pub id: CommandId,
    /// Who asks.
    pub actor: Actor,
    /// The contact's version the sender saw; refused if it has moved on. None: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u32>,
    /// What.
    pub body: CommandBody,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum CommandBody {
    /// A console turned up.
    Connect {
        /// Whose.
        operator: OperatorId,
        /// The desk node that holds its socket.
        node: String,
        /// The country of the session.
        country: Option<String>,
    },
    /// A console was lost or closed.
    Disconnect {
        /// Whose.
        operator: OperatorId,
        /// The node that held it; another node's word is ignored.
        node: String,
        /// Closed on purpose: offline at once, without waiting for it to turn up again.
        signed_out: bool,
    },
    /// Takes contacts from now on.
    Ready {
        /// Who.
        operator: OperatorId,
    },
    /// Takes nothing from now on.
    Away {
        /// Who.
        operator: OperatorId,
        /// Code of the reason.
        reason: String,
    },
    /// Takes a live contact that rings.
    Accept {
        /// Which offer.
        offer: OfferId,
    },
    /// Refuses a live contact that rings.
    Reject {
        /// Which offer.
        offer: OfferId,
        /// Why; `conflict` excludes the operator from the whole conversation.
        reason: RejectReason,
    },
    /// The owner looks at a deferrable contact: it does not go back by itself any more.
    Touch {
        /// Which contact.
        contact: ContactId,
    },
    /// Takes a waiting contact out of turn.
    Pull {
        /// Which contact.
        contact: ContactId,
    },
    /// Answers the citizen.
    Reply {
        /// In which contact.
        contact: ContactId,
        /// The message's id; its text travels beside the command.
        message: MessageId,
        /// Another account of the administration that sends it, when the citizen has left the contact's own channel.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountId>,
    },
    /// The machinery sends the citizen a copy that they asked for, by another account. The contact may be closed and gone.
    Copy {
        /// Whose citizen it is.
        administration: AdministrationId,
        /// In which contact.
        contact: ContactId,
        /// In which conversation.
        conversation: ConversationId,
        /// The contact's queue.
        queue: QueueId,
        /// The account that sends it.
        account: AccountId,
        /// The message's id; its text travels beside the command.
        message: MessageId,
    },
    /// Writes a note.
    Note {
        /// In which contact.
        contact: ContactId,
        /// The note's id; its text travels beside the command.
        note: NoteId,
    },
    /// Waits for somebody.
    Pend {
        /// Which contact.
        contact: ContactId,
        /// For whom.
        on: PendingOn,
        /// When it comes back by itself.
        back_after: Option<Timestamp>,
    },
    /// Takes a pending contact up again.
    Resume {
        /// Which contact.
        contact: ContactId,
    },
    /// Puts a contact off until a time.
    Defer {
        /// Which contact.
        contact: ContactId,
        /// When it is queued again.
        until: Timestamp,
    },
    /// The talk is over, the work is not.
    WrapUp {
        /// Which contact.
        contact: ContactId,
    },
    /// Done.
    Close {
        /// Which contact.
        contact: ContactId,
        /// Why they wrote and how it ended.
        outcome: Outcome,
    },
    /// To another queue or colleague.
    Transfer {
        /// Which contact.
        contact: ContactId,
        /// Where to.
        to: TransferTarget,
        /// Code of the reason; `conflict` excludes the owner from the whole conversation.
        reason: String,
    },
    /// Back to its queue, in its place.
    Return {
        /// Which contact.
        contact: ContactId,
    },
    /// A supervisor gives a contact to an operator, ready or not.
    Assign {
        /// Which contact.
        contact: ContactId,
        /// To whom.
        operator: OperatorId,
    },
    /// Tries a failed message again, as a new order. One of unknown outcome is settled first.
    RetryMessage {
        /// The contact in which it was written, or another of its conversation.
        contact: ContactId,
        /// Which message.
        message: MessageId,
    },
    /// Says how an attempt of unknown outcome ended.
    SettleMessage {
        /// The contact in which it was written, or another of its conversation.
        contact: ContactId,
        /// Which message.
        message: MessageId,
        /// Whether it arrived.
        arrived: bool,
    },
    /// Names the administration's file.
    SetCase {
        /// Which contact.
        contact: ContactId,
        /// The file; none takes the reference away.
        case: Option<CaseReference>,
    },
    /// Admits no more live contacts; the notice travels beside the command.
    CloseQueue {
        /// Which queue.
        queue: QueueId,
    },
    /// Admits live contacts again.
    OpenQueue {
        /// Which queue.
        queue: QueueId,
    },
    /// An operator is new or changed.
    PutOperator {
        /// Who.
        operator: OperatorId,
        /// What they can do.
        profile: OperatorProfile,
        /// Whether they may work.
        enabled: bool,
    },
    /// A plan was applied.
    ApplyPlan {
        /// Its version in the store.
        version: i64,
    },
    /// A desk node has not been heard of for too long.
    LoseNode {
        /// Its name.
        node: String,
    },
}

impl CommandBody {
    /// The contact and the message of a command about a message that is there already.
    pub fn message(&self) -> Option<(ContactId, MessageId)> {
        match self {
            Self::RetryMessage { contact, message } | Self::SettleMessage { contact, message, .. } => Some((*contact, *message)),
            _ => None,
        }
    }
}

/// Where a transfer goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferTarget {
    /// A queue of the same administration.
    Queue(QueueId),
    /// A colleague.
    Operator(OperatorId),
}

/// Why an operator rejects an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// Busy with something else.
    Busy,
    /// Does not know the matter.
    NotCompetent,
    /// Must abstain.
    Conflict,
    /// Technical trouble.
    Technical,
    /// Another reason.
    Other,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Reply {
    /// Done and committed.
    Applied {
        /// The pool's sequence number of the command.
        seq: i64,
    },
    /// Not done; nothing changed.
    Refused {
        /// Why.
        code: Refusal,
    },
    /// Done before; nothing changed now.
    Duplicate,
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No such contact, offer, operator, queue or message, or not yours to know.
    #[error("there is no such thing")]
    NotFound,
    /// Somebody else's contact.
    #[error("the contact belongs to somebody else")]
    NotOwner,
    /// The contact changed since the sender looked.
    #[error("the contact has changed; look again")]
    VersionChanged,
    /// Not possible in the contact's state.
    #[error("not possible in this state of the contact")]
    WrongState,
    /// The offer stopped ringing.
    #[error("the offer has expired")]
    OfferExpired,
    /// The offer was taken back.
    #[error("the offer was taken back")]
    OfferRevoked,
    /// The offer ended before: accepted or rejected.
    #[error("the offer was answered before")]
    OfferEnded,
    /// The colleague does not take contacts now.
    #[error("the operator is not ready")]
    OperatorNotReady,
    /// The colleague may not see it: administration, restricted office, disabled.
    #[error("the operator may not take this contact")]
    OperatorNotAllowed,
    /// The operator's console is not there.
    #[error("open the console first")]
    NotConnected,
    /// Not a queue of that administration.
    #[error("the queue belongs to another administration")]
    OtherAdministration,
    /// The account cannot carry an answer.
    #[error("this channel carries no written answer")]
    NoReplyChannel,
    /// A value out of its range.
    #[error("a value is not acceptable")]
    Invalid,
    /// A limit is reached.
    #[error("a limit is reached")]
    LimitReached,
    /// Quarantined: the engine or the store could not take it.
    #[error("the input was put into quarantine")]
    Quarantined,
}
