//! The way of a command from a desk to the pool's engine and of its reply back: a bounded channel in one process, the
//! broker between two.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::command::{Command, Reply};
use crate::model::conversation::{Attachment, Party};
use crate::model::id::PoolId;

/// The text that travels beside a command: it goes to rows that can be erased, never into the engine or its log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "carries")]
pub enum CommandText {
    /// An answer to the citizen.
    Reply {
        /// Plain text.
        text: String,
        /// Subject; by default the conversation's, with `Re:`.
        subject: Option<String>,
        /// The citizen who is answered; none: the channel carries no written answer.
        to: Option<Party>,
        /// Carbon copies.
        cc: Vec<Party>,
        /// Files, already in the blob store.
        attachments: Vec<Attachment>,
    },
    /// A note's text, or a closed queue's notice.
    Text(String),
}

/// A command with its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandEnvelope {
    /// What is asked.
    pub command: Command,
    /// Its text, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<CommandText>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Why a command has no reply. It may have been applied: send it again with the same id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No answer within 5 s.
    #[error("the router did not answer in time; send the same command again")]
    TimedOut,
    /// It lies in the database for the next leader.
    #[error("no process leads the pool now; the next one that does will carry it out")]
    LeftForLater,
    /// The router cannot be reached, or its queue of commands is full.
    #[error("the router is not available: {0}")]
    Unavailable(String),
}

/// Carries commands to the pool's engine.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Returns the reply once the command is committed, refused or recognised.
    async fn send(&self, pool: &PoolId, envelope: CommandEnvelope) -> Result<Reply, CommandError>;
}
