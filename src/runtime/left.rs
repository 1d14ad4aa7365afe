//! Orders by way of the database: the command line leaves them, the pool's leader finds and answers them. Works on every
//! pair of backends, needs no credentials but the database's, and waits for a daemon that is not running yet.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::model::command::{Refusal, Reply};
use crate::model::id::PoolId;
use crate::port::broker::{Destination, Outgoing, Publisher, parse_inbound_key};
use crate::port::commands::{CommandEnvelope, CommandError, Commands};
use crate::port::store::Store;

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

impl LeftCommands {
    /// Asks the pool's leader to hand an item of the quarantine in again.
    pub async fn retry_quarantined(&self, pool: &PoolId, item: i64) -> Result<Reply, CommandError> {
        let id = format!("retry_{item}_{:016x}", rand::random::<u64>());
        self.leave(pool, &id, &Left::RetryQuarantined { item }).await
    }

    async fn leave(&self, pool: &PoolId, id: &str, left: &Left) -> Result<Reply, CommandError> {
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
        Err(unavailable("no daemon leads the pool now; the next one that does will carry it out".into()))
    }
}

/// Carries out what was left, for as long as the pool is led here.
pub async fn serve(store: Arc<dyn Store>, publisher: Arc<dyn Publisher>, commands: impl Commands, pool: PoolId, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let Ok(left) = store.left_commands(&pool).await else { continue };
        for (id, body) in left {
            let reply = match serde_json::from_str::<Left>(&body) {
                Ok(Left::Command(envelope)) => commands.send(&pool, *envelope).await.ok(),
                Ok(Left::RetryQuarantined { item }) => hand_in(&*store, &*publisher, item).await,
                Err(error) => {
                    tracing::error!(%pool, id, %error, "an order that was left cannot be read");
                    Some(Reply::Refused { code: Refusal::Invalid })
                }
            };
            let Some(reply) = reply else { continue };
            let written = serde_json::to_string(&reply).expect("a reply is plain data");
            if let Err(error) = store.answer_command(&pool, &id, &written).await {
                tracing::warn!(%pool, id, %error, "the answer to an order that was left is not recorded yet");
            }
        }
    }
}

/// Publishes an item of the quarantine again, as it came. None: not now.
async fn hand_in(store: &dyn Store, publisher: &dyn Publisher, item: i64) -> Option<Reply> {
    let Some(held) = store.quarantined_item(item).await.ok()?.filter(|held| held.state != "discarded") else {
        return Some(Reply::Refused { code: Refusal::NotFound });
    };
    let Some((pool, administration, channel)) = parse_inbound_key(&held.key) else {
        return Some(Reply::Refused { code: Refusal::Invalid });
    };
    let destination = Destination::Inbound { pool, administration, channel };
    // First the row, then the message: what fails again must find it retried, so that it is held again. One that is retried
    // already may go out again after a crash in between; its id makes that harmless.
    store.settle_quarantined(item, "retried").await.ok()?;
    let message = Outgoing::new(destination, held.message_id.clone(), held.body.clone());
    if let Err(error) = publisher.publish(vec![message]).await {
        tracing::warn!(item, %error, "an item of the quarantine cannot be handed in now");
        store.quarantine(&held).await.ok()?;
        return None;
    }
    Some(Reply::Applied { seq: 0 })
}
