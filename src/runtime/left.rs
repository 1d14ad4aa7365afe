//! Orders by way of the database: the command line leaves them, the pool's leader finds and answers them. Works on every
//! pair of backends, needs no credentials but the database's, and waits for a daemon that is not running yet.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::model::command::{Refusal, Reply};
use crate::model::id::{AccountId, PoolId};
use crate::plan;
use crate::port::commands::{CommandEnvelope, CommandError, Commands};
use crate::port::retry::{Retried, Retries};
use crate::port::store::{Quarantined, Store};

use super::retry::Retry;

/// How often the leader looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the command line waits for a leader.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be left for a pool's leader.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "left")]
enum Left {
    /// A command for the engine.
    Command(Box<CommandEnvelope>),
    /// Hand an item of the quarantine in again.
    RetryQuarantined {
        /// Its number.
        item: i64,
    },
}

/// Leaves commands in the database and waits for the answer.
pub struct LeftCommands {
    /// The database.
    pub store: Arc<dyn Store>,
}

#[async_trait]
impl Commands for LeftCommands {
    async fn send(&self, pool: &PoolId, envelope: CommandEnvelope) -> Result<Reply, CommandError> {
        let id = envelope.command.id.to_string();
        self.leave(pool, &id, &Left::Command(Box::new(envelope))).await
    }
}

#[async_trait]
impl Retries for LeftCommands {
    async fn retry(&self, item: &Quarantined) -> Result<Retried, CommandError> {
        let pool = self.pool_of(item).await?;
        let id = format!("retry_{}_{:016x}", item.id, rand::random::<u64>());
        self.leave(&pool, &id, &Left::RetryQuarantined { item: item.id }).await
    }
}

impl LeftCommands {
    /// Whose leader tries it: its own pool's, that of the account it came by, or any.
    async fn pool_of(&self, item: &Quarantined) -> Result<PoolId, CommandError> {
        let unavailable = |error: String| CommandError::Unavailable(error);
        let stored = self.store.plan().await.map_err(|error| unavailable(error.to_string()))?;
        let plan = stored.and_then(|(_, text)| plan::parse(&text).ok()).ok_or_else(|| unavailable("there is no plan in force".into()))?;
        let named = item.pool.as_ref().filter(|pool| plan.pools.contains(*pool));
        let by_account = || AccountId::new(&item.key).ok().and_then(|account| plan.pool_of(&account));
        let pool = named.or_else(by_account).or_else(|| plan.pools.first());
        pool.cloned().ok_or_else(|| unavailable("the plan has no pool".into()))
    }

    async fn leave<T: DeserializeOwned>(&self, pool: &PoolId, id: &str, left: &Left) -> Result<T, CommandError> {
        let unavailable = |error: String| CommandError::Unavailable(error);
        let body = serde_json::to_string(left).map_err(|error| unavailable(error.to_string()))?;
        self.store.leave_command(pool, id, &body).await.map_err(|error| unavailable(error.to_string()))?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < deadline {
            let answer = self.store.command_answer(pool, id).await.map_err(|error| unavailable(error.to_string()))?;
            if let Some(answer) = answer {
                return serde_json::from_str(&answer).map_err(|error| unavailable(error.to_string()));
            }
            tokio::time::sleep(LOOK_EVERY / 5).await;
        }
        Err(CommandError::LeftForLater)
    }
}

/// Carries out what was left, for as long as the pool is led here.
pub async fn serve(store: Arc<dyn Store>, retry: Arc<Retry>, commands: impl Commands, pool: PoolId, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let Ok(left) = store.left_commands(&pool).await else { continue };
        for (id, body) in left {
            let written = match serde_json::from_str::<Left>(&body) {
                Ok(Left::Command(envelope)) => commands.send(&pool, *envelope).await.ok().map(|reply| written(&reply)),
                Ok(Left::RetryQuarantined { item }) => retry.again(item).await.map(|retried| written(&retried)),
                Err(error) => {
                    tracing::error!(%pool, id, %error, "an order that was left cannot be read");
                    Some(written(&Reply::Refused { code: Refusal::Invalid }))
                }
            };
            let Some(written) = written else { continue };
            if let Err(error) = store.answer_command(&pool, &id, &written).await {
                tracing::warn!(%pool, id, %error, "the answer to an order that was left is not recorded yet");
            }
        }
    }
}

fn written<T: Serialize>(answer: &T) -> String {
    serde_json::to_string(answer).expect("an answer is plain data")
}
