//! The way back from quarantine: whoever wants something tried again asks the leader of its pool, who has the right to send it
//! where it came from.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::commands::CommandError;
use super::store::Quarantined;

/// What became of something in quarantine that was to be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "retried")]
pub enum Retried {
    /// It is on its way again.
    HandedIn,
    /// It was tried, and is held again.
    HeldAgain {
        /// Why, without its content.
        reason: String,
    },
    /// It was not tried, and stays as it is.
    Refused {
        /// Why, and what to do instead.
        reason: String,
    },
}

/// Has things in quarantine tried again.
#[async_trait]
pub trait Retries: Send + Sync {
    /// Tries an item again by the way it came. On an error it may still be tried later.
    async fn retry(&self, item: &Quarantined) -> Result<Retried, CommandError>;
}
