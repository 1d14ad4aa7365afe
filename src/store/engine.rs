//! What the two databases do differently, behind one trait: connections, transactions, scopes and locks.

use async_trait::async_trait;

use crate::model::id::{AdministrationId, PoolId};
use crate::port::store::StoreError;

use super::value::{Row, Value};

/// How a database is handed many rows at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// One array per column, by UNNEST.
    Postgres,
    /// VALUES in chunks.
    Sqlite,
}

/// Whose rows a transaction may see and write, for row-level security. SQLite has none: there the statements' own WHERE is
/// the only belt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Rows that belong to no administration.
    Installation,
    /// Rows of these administrations.
    Administrations(String),
    /// A leader that rebuilds its engine: contacts and messages of its pool.
    Pool(PoolId),
}

impl Scope {
    /// Rows of these administrations. Their ids are names without comma or quote, by type.
    pub fn of<'a>(administrations: impl IntoIterator<Item = &'a AdministrationId>) -> Self {
        let mut names: Vec<&str> = administrations.into_iter().map(AdministrationId::as_str).collect();
        names.sort_unstable();
        names.dedup();
        Self::Administrations(names.join(","))
    }
}

/// A statement with its arguments.
pub type Step = (&'static str, Vec<Value>);

/// A database with its pools.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// `postgres` or `sqlite`.
    const KIND: &'static str;
    /// How it takes many rows.
    const DIALECT: Dialect;

    /// Reads; several steps see one state of the database. Safe to cancel.
    async fn read(&self, scope: Scope, steps: Vec<Step>) -> Result<Vec<Vec<Row>>, StoreError>;

    /// Writes, in one transaction. Safe to cancel: it is then done or not done as a whole.
    async fn write(&self, scope: Scope, steps: Vec<Step>) -> Result<Vec<Vec<Row>>, StoreError>;

    /// A connection of its own for a leader's commits.
    async fn session(&self) -> Result<Box<dyn Session>, StoreError>;

    /// A connection of its own for one lead, with the lock that says its holder is alive.
    async fn lead_session(&self) -> Result<Box<dyn LeadSession>, StoreError>;
}

/// One connection. Whoever meets an error drops it: what was not committed is then undone by the database.
#[async_trait]
pub trait Session: Send {
    /// Begins a transaction that will write if `writing`.
    async fn begin(&mut self, scope: &Scope, writing: bool) -> Result<(), StoreError>;
    /// Runs one statement.
    async fn run(&mut self, sql: &'static str, arguments: Vec<Value>) -> Result<Vec<Row>, StoreError>;
    /// Runs statements none of which reads or writes a row that another of them writes. Across a network they are one.
    async fn run_together(&mut self, steps: Vec<Step>) -> Result<(), StoreError> {
        for (sql, arguments) in steps {
            self.run(sql, arguments).await?;
        }
        Ok(())
    }
    /// Ends the transaction.
    async fn commit(&mut self) -> Result<(), StoreError>;
}

/// A connection that can hold the sign of life of a pool's leader. The sign is per epoch, so that who takes over from a
/// paused leader has one too while the paused one still holds its own.
#[async_trait]
pub trait LeadSession: Session {
    /// Takes the sign of life of (pool, epoch) unless another session holds it. Kept until [`LeadSession::put_down`] or the
    /// session's end. Taking it again is harmless.
    async fn take_up(&mut self, pool: &PoolId, epoch: i64) -> Result<bool, StoreError>;
    /// Gives it back.
    async fn put_down(&mut self, pool: &PoolId, epoch: i64) -> Result<(), StoreError>;
}

/// One statement that reads.
pub async fn read<E: Engine>(engine: &E, scope: Scope, sql: &'static str, arguments: Vec<Value>) -> Result<Vec<Row>, StoreError> {
    let mut answers = engine.read(scope, vec![(sql, arguments)]).await?;
    Ok(answers.pop().unwrap_or_default())
}

/// One statement that writes.
pub async fn write<E: Engine>(engine: &E, sql: &'static str, arguments: Vec<Value>) -> Result<Vec<Row>, StoreError> {
    let mut answers = engine.write(Scope::Installation, vec![(sql, arguments)]).await?;
    Ok(answers.pop().unwrap_or_default())
}
