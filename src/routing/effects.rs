//! What follows from inputs: events in order, and which rows changed. The driver commits them, and only then acts.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::command::Refusal;
use crate::model::contact::{Contact, Offer};
use crate::model::delivery::Delivery;
use crate::model::event::{About, EventBody};
use crate::model::id::{ContactId, ConversationId, MessageId, OfferId, OperatorId, QueueId};
use crate::model::input::Classification;

/// The effects of a batch, gathered over its inputs.
#[derive(Debug, Default)]
pub struct Effects {
    /// What happened, in order. The driver numbers it.
    pub events: Vec<(Option<About>, EventBody)>,
    /// Open contacts that changed.
    pub(super) contacts: BTreeSet<ContactId>,
    /// Contacts that the engine has let go: their last rows.
    pub(super) finished: BTreeMap<ContactId, Contact>,
    /// Offers that changed.
    pub(super) offers: BTreeMap<OfferId, Offer>,
    /// Operators that changed.
    pub(super) operators: BTreeSet<OperatorId>,
    /// Deliveries that changed.
    pub(super) deliveries: BTreeMap<MessageId, Delivery>,
    /// Queues whose admission changed.
    pub(super) queues: BTreeSet<QueueId>,
}

/// What came of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// `Err`: refused, nothing changed.
    pub result: Result<(), Refusal>,
    /// The contact it landed in.
    pub landed: Option<ContactId>,
    /// Where the input's message or note belongs.
    pub placement: Option<Placement>,
    /// What the rules made of it: goes to the log in place of the text.
    pub classification: Option<Classification>,
}

/// Where a message or note belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The conversation.
    pub conversation: ConversationId,
    /// The contact.
    pub contact: ContactId,
    /// Whether the conversation begins with it.
    pub is_new_conversation: bool,
}

impl Applied {
    /// Done, and about no contact.
    pub(super) fn done() -> Self {
        Self { result: Ok(()), landed: None, placement: None, classification: None }
    }

    /// Not done.
    pub(super) fn refused(code: Refusal) -> Self {
        Self { result: Err(code), landed: None, placement: None, classification: None }
    }

    /// Done, in a contact.
    pub(super) fn landed(contact: ContactId) -> Self {
        Self { landed: Some(contact), ..Self::done() }
    }

    /// Done, and a message or note belongs there.
    pub(super) fn placed(contact: &Contact, is_new_conversation: bool) -> Self {
        let placement = Placement { conversation: contact.conversation, contact: contact.id, is_new_conversation };
        Self { landed: Some(contact.id), placement: Some(placement), ..Self::done() }
    }
}
