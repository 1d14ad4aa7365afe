//! What a console may ask for, as it says it: by its socket with the tag `do`, by HTTP as a route of its own.

use serde::Deserialize;

use crate::model::command::{RejectReason, TransferTarget};
use crate::model::contact::{CaseReference, PendingOn, Resolution};
use crate::model::conversation::Party;
use crate::model::id::{ContactId, MessageId, OperatorId, QueueId, TopicId};
use crate::model::time::Timestamp;

/// What a console asks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Wish {
    /// Takes contacts from now on.
    Ready,
    /// Takes nothing from now on.
    Away {
        /// Code of the reason.
        reason: String,
    },
    /// Goes home.
    Offline,
    /// Takes what rings.
    Accept {
        /// Which contact.
        contact: ContactId,
        /// Which of its offers.
        ordinal: u32,
    },
    /// Refuses what rings.
    Reject {
        /// Which contact.
        contact: ContactId,
        /// Which of its offers.
        ordinal: u32,
        /// Why.
        reason: RejectReason,
    },
    /// Looks at it.
    Touch {
        /// Which contact.
        contact: ContactId,
    },
    /// Takes a waiting one.
    Pull {
        /// Which contact.
        contact: ContactId,
    },
    /// Takes a pending one up again.
    Resume {
        /// Which contact.
        contact: ContactId,
    },
    /// The talk is over.
    WrapUp {
        /// Which contact.
        contact: ContactId,
    },
    /// Gives it back.
    Return {
        /// Which contact.
        contact: ContactId,
    },
    /// Waits for somebody.
    Pend {
        /// Which contact.
        contact: ContactId,
        /// For whom.
        on: PendingOn,
        /// When it comes back by itself.
        #[serde(default)]
        back_after: Option<Timestamp>,
    },
    /// Puts it off.
    Defer {
        /// Which contact.
        contact: ContactId,
        /// Until when.
        until: Timestamp,
    },
    /// Done.
    Close {
        /// Which contact.
        contact: ContactId,
        /// Why they wrote.
        #[serde(default)]
        topic: Option<TopicId>,
        /// How it ended.
        resolution: Resolution,
    },
    /// To another queue or colleague.
    Transfer {
        /// Which contact.
        contact: ContactId,
        /// Where to.
        to: TransferTarget,
        /// Code of the reason.
        reason: String,
    },
    /// Gives it to an operator.
    Assign {
        /// Which contact.
        contact: ContactId,
        /// To whom.
        operator: OperatorId,
    },
    /// Answers the citizen.
    Reply {
        /// Which contact.
        contact: ContactId,
        /// What.
        #[serde(flatten)]
        answer: Answer,
    },
    /// Writes a note.
    Note {
        /// Which contact.
        contact: ContactId,
        /// What.
        text: String,
    },
    /// Tries a failed message again.
    RetryMessage {
        /// Which contact.
        contact: ContactId,
        /// Which message.
        message: MessageId,
    },
    /// Says how an attempt of unknown outcome ended.
    SettleMessage {
        /// Which contact.
        contact: ContactId,
        /// Which message.
        message: MessageId,
        /// Whether it arrived.
        arrived: bool,
    },
    /// Names the administration's file, or takes the name away.
    SetCase {
        /// Which contact.
        contact: ContactId,
        /// The file.
        #[serde(default)]
        case: Option<CaseReference>,
    },
    /// Admits no more live contacts.
    CloseQueue {
        /// Which queue.
        queue: QueueId,
        /// What citizens are told.
        #[serde(default)]
        notice: Option<String>,
    },
    /// Admits them again.
    OpenQueue {
        /// Which queue.
        queue: QueueId,
    },
}

/// An answer to the citizen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
pub struct Answer {
    /// Plain text, at most 32 KiB; may be empty beside a file.
    pub text: String,
    /// Subject; by default the conversation's.
    #[serde(default)]
    pub subject: Option<String>,
    /// Carbon copies.
    #[serde(default)]
    #[schemars(length(max = 20))]
    pub cc: Vec<Party>,
    /// Handles of uploaded files.
    #[serde(default)]
    #[schemars(length(max = 20))]
    pub attachments: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(json: &str) -> Result<Wish, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn wishes_read_as_documented() {
        let contact = ContactId(5);
        assert_eq!(
            wish(&format!(r#"{{"id":"cm_x","do":"accept","contact":"{contact}","ordinal":2}}"#)).unwrap(),
            Wish::Accept { contact, ordinal: 2 }
        );
        assert_eq!(
            wish(&format!(r#"{{"do":"close","contact":"{contact}","resolution":"resolved"}}"#)).unwrap(),
            Wish::Close { contact, topic: None, resolution: Resolution::Resolved }
        );
        assert!(matches!(wish(&format!(r#"{{"do":"reply","contact":"{contact}","text":"ciao"}}"#)).unwrap(), Wish::Reply { .. }));
        assert_eq!(wish(r#"{"do":"ready"}"#).unwrap(), Wish::Ready);
        assert!(wish(r#"{"do":"put_operator"}"#).is_err(), "what only the machinery may ask is no wish");
        assert!(wish(r#"{"do":"apply_plan","version":1}"#).is_err());
    }
}
