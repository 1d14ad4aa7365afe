//! What is said beside a chat: that somebody types, that something was seen. It goes between the nodes that hold the two ends, is
//! kept nowhere, and may be lost.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::model::id::{ContactId, ConversationId, MessageId, OperatorId, PoolId};

/// Something said beside a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// The pool.
    pub pool: PoolId,
    /// The contact that it is about.
    pub contact: ContactId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// What.
    #[serde(flatten)]
    pub body: AsideBody,
}

/// What is said beside a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "aside", rename_all = "snake_case")]
pub enum AsideBody {
    /// The citizen types.
    CitizenTypes,
    /// The citizen has seen everything of the office's up to this message.
    CitizenRead {
        /// Which.
        message: MessageId,
    },
    /// The operator types.
    OperatorTypes {
        /// Who.
        operator: OperatorId,
    },
    /// The operator has read the contact at one of their consoles.
    Seen {
        /// Who.
        operator: OperatorId,
    },
    /// The operator has seen everything of the citizen's up to this message.
    OperatorRead {
        /// Which.
        message: MessageId,
    },
}

/// Carries asides to every node.
pub trait Asides: Send + Sync {
    /// Says it; nobody listening is no error.
    fn say(&self, aside: Aside);

    /// Everything said from now on, on any node. Who falls behind misses some.
    fn listen(&self) -> broadcast::Receiver<Arc<Aside>>;
}
