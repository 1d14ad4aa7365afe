//! SQLite: one file in WAL mode with `synchronous = FULL`, a pool that reads, a connection that writes, and one of its own for
//! each leader's commits and for each lead.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Arguments, ConnectOptions, Connection, Executor};

use crate::model::id::PoolId;
use crate::port::store::StoreError;

use super::SqlStore;
use super::engine::{Dialect, Engine, LeadSession, Scope, Session, Step};
use super::error::classify;
use super::postgres::migration_error;
use super::value::{Row, Value};

/// The store in an SQLite file.
pub type SqliteStore = SqlStore<SqliteEngine>;

/// Where the file is.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The database file; made if it is not there, with `-wal`, `-shm` and lock files beside it. Not on a network file system.
    pub file: PathBuf,
    /// The most connections that read, at least 1.
    pub readers_max: u32,
}

/// How long a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a pool may take to hand out a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

impl SqliteStore {
    /// Opens or makes the file and brings its schema up to date. A schema that a newer release has extended is taken as it is.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be opened, `Unreadable` if its schema is not ours.
    pub async fn open(options: SqliteOptions) -> Result<Arc<Self>, StoreError> {
        let connect = SqliteConnectOptions::new()
            .filename(&options.file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // what is deleted is overwritten: an erasure leaves no text in the file's free pages
            .pragma("secure_delete", "on")
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let mut first = connect.connect().await.map_err(classify)?;
        let mut migrations = sqlx::migrate!("src/store/migrations/sqlite");
        migrations.set_ignore_missing(true).run(&mut first).await.map_err(migration_error)?;
        first.close().await.map_err(classify)?;
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
        let write = pool(1).connect_with(connect.clone()).await.map_err(classify)?;
        let reading = connect.clone().create_if_missing(false).pragma("query_only", "on");
        let read = pool(options.readers_max.max(1)).connect_with(reading).await.map_err(classify)?;
        Ok(Self::new(SqliteEngine { read, write, connect, file: options.file }))
    }
}

/// SQLite behind the store.
pub struct SqliteEngine {
    read: SqlitePool,
    write: SqlitePool,
    connect: SqliteConnectOptions,
    file: PathBuf,
}

impl SqliteEngine {
    async fn open_session(&self) -> Result<SqliteSession, StoreError> {
        let connection = self.connect.connect().await.map_err(classify)?;
        Ok(SqliteSession { connection, file: self.file.clone(), held: Vec::new() })
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    const KIND: &'static str = "sqlite";
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn read(&self, _scope: Scope, steps: Vec<Step>) -> Result<Vec<Vec<Row>>, StoreError> {
        transact(&self.read, "begin", steps).await
    }

    async fn write(&self, _scope: Scope, steps: Vec<Step>) -> Result<Vec<Vec<Row>>, StoreError> {
        transact(&self.write, "begin immediate", steps).await
    }

    async fn session(&self) -> Result<Box<dyn Session>, StoreError> {
        Ok(Box::new(self.open_session().await?))
    }

    async fn lead_session(&self) -> Result<Box<dyn LeadSession>, StoreError> {
        Ok(Box::new(self.open_session().await?))
    }
}

/// Runs the steps in a task of its own, which nobody cancels: a future dropped inside a transaction would leave it open on a
/// connection that goes back to the pool (sqlx #4393).
async fn transact(pool: &SqlitePool, begin: &'static str, steps: Vec<Step>) -> Result<Vec<Vec<Row>>, StoreError> {
    let pool = pool.clone();
    let work = async move {
        let mut answers = Vec::with_capacity(steps.len());
        let mut transaction = pool.begin_with(begin).await.map_err(classify)?;
        for (sql, arguments) in steps {
            let rows = sqlx::query_with(sql, bind(arguments)?).fetch_all(&mut *transaction).await.map_err(classify)?;
            answers.push(rows.into_iter().map(Row::Sqlite).collect());
        }
        transaction.commit().await.map_err(classify)?;
        Ok(answers)
    };
    tokio::spawn(work).await.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("the transaction's task ended: {error}"))))
}

fn bind(values: Vec<Value>) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(int) => arguments.add(int),
            Value::Flag(flag) => arguments.add(flag),
            Value::Bytes(bytes) => arguments.add(bytes),
            Value::Texts(_) | Value::Ints(_) => Err("SQLite takes no arrays".into()),
        }
        .map_err(|error| StoreError::Refused(error.to_string()))?;
    }
    Ok(arguments)
}

/// A connection outside the pools. Whoever gets an error from it drops it, and SQLite rolls back.
struct SqliteSession {
    connection: SqliteConnection,
    file: PathBuf,
    held: Vec<Sign>,
}

/// A lock file that is locked. It goes when it is put down; one left by a killed process is removed by who follows.
struct Sign {
    pool: PoolId,
    epoch: i64,
    path: PathBuf,
    _locked: File,
}

impl Drop for Sign {
    fn drop(&mut self) {
        // Nobody needs the file any more; one that stays is harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[async_trait]
impl Session for SqliteSession {
    async fn begin(&mut self, _scope: &Scope, writing: bool) -> Result<(), StoreError> {
        let begin = if writing { "begin immediate" } else { "begin" };
        self.connection.execute(sqlx::raw_sql(begin)).await.map(drop).map_err(classify)
    }

    async fn run(&mut self, sql: &'static str, arguments: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let rows = sqlx::query_with(sql, bind(arguments)?).fetch_all(&mut self.connection).await.map_err(classify)?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.connection.execute(sqlx::raw_sql("commit")).await.map(drop).map_err(classify)
    }
}

/// The sign of life is an `flock` on `<file>.<pool>.<epoch>.lock`, which the kernel gives back when the process ends.
#[async_trait]
impl LeadSession for SqliteSession {
    async fn take_up(&mut self, pool: &PoolId, epoch: i64) -> Result<bool, StoreError> {
        if self.held.iter().any(|sign| sign.pool == *pool && sign.epoch == epoch) {
            return Ok(true);
        }
        let mut name = self.file.clone().into_os_string();
        name.push(format!(".{pool}.{epoch}.lock"));
        let path = PathBuf::from(name);
        let unavailable = |error: std::io::Error| StoreError::Unavailable(format!("lock file {}: {error}", path.display()));
        let locked = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(unavailable)?;
        match flock(&locked, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(unavailable(error.into())),
        }
        self.held.push(Sign { pool: pool.clone(), epoch, path, _locked: locked });
        Ok(true)
    }

    async fn put_down(&mut self, pool: &PoolId, epoch: i64) -> Result<(), StoreError> {
        self.held.retain(|sign| sign.pool != *pool || sign.epoch != epoch);
        Ok(())
    }
}
