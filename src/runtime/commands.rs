//! Commands on their way to the driver: a bounded channel in one process, the broker between two.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::model::command::Reply;
use crate::model::delivery::Delivery;
use crate::model::id::PoolId;
use crate::port::commands::{CommandEnvelope, CommandError, Commands};

mod remote;

pub use remote::{RemoteCommands, serve_remote};

/// How long a sender waits for the reply.
const PATIENCE: Duration = Duration::from_secs(5);
/// Commands that may wait for the driver; beyond it senders are told to come back.
pub const WAITING_MAX: usize = 4096;

/// A command with the place for its reply.
#[derive(Debug)]
pub struct PendingCommand {
    /// The command.
    pub envelope: CommandEnvelope,
    /// What is stored of the message that it names: the driver looks, whatever the sender says.
    pub stored: Option<Delivery>,
    /// Where the reply goes. Dropped unanswered: the sender asks again.
    pub reply: oneshot::Sender<Reply>,
}

/// Where the drivers of this process take their commands from: one channel for each pool it may lead.
#[derive(Debug, Clone, Default)]
pub struct LocalCommands {
    pools: Arc<Mutex<HashMap<PoolId, mpsc::Sender<PendingCommand>>>>,
}

impl LocalCommands {
    /// A new driver of the pool: commands go to it for as long as it has its end.
    pub fn attach(&self, pool: &PoolId) -> mpsc::Receiver<PendingCommand> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        self.lock().insert(pool.clone(), sender);
        receiver
    }

    /// Whether the pool is led here.
    pub fn leads(&self, pool: &PoolId) -> bool {
        self.driver(pool).is_some()
    }

    fn driver(&self, pool: &PoolId) -> Option<mpsc::Sender<PendingCommand>> {
        self.lock().get(pool).filter(|driver| !driver.is_closed()).cloned()
    }

    /// Hands a command to the driver, in the order of the calls.
    fn enqueue(&self, pool: &PoolId, envelope: CommandEnvelope) -> Result<oneshot::Receiver<Reply>, CommandError> {
        let driver = self.driver(pool).ok_or_else(|| CommandError::Unavailable("nobody leads the pool at the moment".into()))?;
        let (reply, answered) = oneshot::channel();
        driver
            .try_send(PendingCommand { envelope, stored: None, reply })
            .map_err(|_| CommandError::Unavailable("too many commands wait".into()))?;
        Ok(answered)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PoolId, mpsc::Sender<PendingCommand>>> {
        self.pools.lock().expect("nothing panics while it holds the pools")
    }
}

#[async_trait]
impl Commands for LocalCommands {
    async fn send(&self, pool: &PoolId, envelope: CommandEnvelope) -> Result<Reply, CommandError> {
        answer(self.enqueue(pool, envelope)?).await
    }
}

/// Waits for the reply.
async fn answer(answered: oneshot::Receiver<Reply>) -> Result<Reply, CommandError> {
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(_)) => Err(CommandError::Unavailable("the leader stepped down".into())),
        Err(_) => Err(CommandError::TimedOut),
    }
}

/// Commands of a desk: to this process while it leads the pool, over the broker otherwise.
pub struct DeskCommands {
    /// This process.
    pub local: LocalCommands,
    /// Others; none with an embedded broker, where there are none.
    pub remote: Option<Arc<RemoteCommands>>,
}

#[async_trait]
impl Commands for DeskCommands {
    async fn send(&self, pool: &PoolId, envelope: CommandEnvelope) -> Result<Reply, CommandError> {
        match &self.remote {
            Some(remote) if !self.local.leads(pool) => remote.send(pool, envelope).await,
            _ => self.local.send(pool, envelope).await,
        }
    }
}
