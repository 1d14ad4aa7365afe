//! The broker's file: SQLite in WAL mode, one connection, locked against every other process. All its SQL is here.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection};

use crate::broker::embedded::EmbeddedError;
use crate::broker::embedded::queue::{Numbered, Stored};
use crate::model::time::Timestamp;

/// Grows with every change of the tables.
const LAYOUT: i64 = 1;
/// Rows of one INSERT: large enough to save statements, small enough for SQLite's variables.
const INSERT_ROWS: usize = 64;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS queue (name TEXT PRIMARY KEY, marked INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    expires_at INTEGER,
    deliveries INTEGER NOT NULL DEFAULT 0,
    death TEXT,
    head TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;";

/// What one transaction changes.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) declared: Vec<String>,
    pub(super) inserted: Vec<(String, Numbered)>,
    pub(super) removed: Vec<u64>,
    pub(super) failed: Vec<u64>,
    /// Sequence number, new queue, reason.
    pub(super) died: Vec<(u64, String, String)>,
    /// Queue and the highest sequence number handed out.
    pub(super) marked: BTreeMap<String, u64>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.declared.is_empty()
            && self.inserted.is_empty()
            && self.removed.is_empty()
            && self.failed.is_empty()
            && self.died.is_empty()
            && self.marked.is_empty()
    }

    /// A publish must survive a power cut. All else may be forgotten by one: it only makes messages come again.
    fn needs_sync(&self) -> bool {
        !self.inserted.is_empty() || !self.declared.is_empty()
    }
}

/// What the file held when it was opened.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) queues: Vec<String>,
    pub(super) messages: Vec<(String, Numbered)>,
}

/// The open file.
pub(super) struct File {
    connection: SqliteConnection,
    synced: bool,
}

/// A row of `message`.
type Row = (i64, String, Option<i64>, i64, Option<String>, String, Vec<u8>);

impl File {
    /// Opens or creates it and reads it whole. What was handed out when its process ended counts as failed once more, unless it is the
    /// same process that opens it `again`: then the fault is the disk's.
    pub(super) async fn open(path: &Path, again: bool) -> Result<(Self, Contents), EmbeddedError> {
        let failed = |reason: String| EmbeddedError::File { path: path.to_owned(), reason };
        create_private(path).map_err(|error| failed(error.to_string()))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .locking_mode(SqliteLockingMode::Exclusive)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(2))
            .pragma("secure_delete", "ON")
            .pragma("journal_size_limit", "67108864");
        let connection = SqliteConnection::connect_with(&options).await.map_err(|error| failed(error.to_string()))?;
        let mut file = Self { connection, synced: true };
        file.prepare(path, again).await?;
        let contents = file.read().await.map_err(|error| failed(error.to_string()))?;
        Ok((file, contents))
    }

    async fn prepare(&mut self, path: &Path, again: bool) -> Result<(), EmbeddedError> {
        let failed = |error: sqlx::Error| EmbeddedError::File { path: path.to_owned(), reason: error.to_string() };
        let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut self.connection).await.map_err(failed)?;
        if found != 0 && found != LAYOUT {
            return Err(EmbeddedError::Layout { path: PathBuf::from(path), found, expected: LAYOUT });
        }
        let mut transaction = self.connection.begin().await.map_err(failed)?;
        sqlx::raw_sql(TABLES).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::raw_sql("PRAGMA user_version = 1").execute(&mut *transaction).await.map_err(failed)?;
        let crashed = "UPDATE message SET deliveries = deliveries + 1
             WHERE EXISTS (SELECT 1 FROM queue WHERE queue.name = message.queue AND message.seq <= queue.marked)";
        if !again {
            sqlx::query(crashed).execute(&mut *transaction).await.map_err(failed)?;
        }
        sqlx::query("UPDATE queue SET marked = 0 WHERE marked <> 0").execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn read(&mut self) -> Result<Contents, sqlx::Error> {
        let queues = sqlx::query_scalar("SELECT name FROM queue").fetch_all(&mut self.connection).await?;
        let rows: Vec<Row> = sqlx::query_as("SELECT seq, queue, expires_at, deliveries, death, head, body FROM message ORDER BY seq")
            .fetch_all(&mut self.connection)
            .await?;
        let messages = rows.into_iter().map(message).collect::<Result<_, _>>()?;
        Ok(Contents { queues, messages })
    }

    /// Makes the changes in one transaction; durable against a power cut if they hold a publish, else against a crash.
    pub(super) async fn commit(&mut self, changes: &Changes) -> Result<(), sqlx::Error> {
        if changes.needs_sync() != self.synced {
            let level = if changes.needs_sync() { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            sqlx::raw_sql(level).execute(&mut self.connection).await?;
            self.synced = changes.needs_sync();
        }
        let mut transaction = self.connection.begin().await?;
        for name in &changes.declared {
            sqlx::query("INSERT INTO queue (name) VALUES ($1) ON CONFLICT DO NOTHING")
                .bind(name.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        for rows in changes.inserted.chunks(INSERT_ROWS) {
            insert(&mut transaction, rows).await?;
        }
        if !changes.failed.is_empty() {
            sqlx::query("UPDATE message SET deliveries = deliveries + 1 WHERE seq IN (SELECT value FROM json_each($1))")
                .bind(numbers(&changes.failed))
                .execute(&mut *transaction)
                .await?;
        }
        for (seq, queue, reason) in &changes.died {
            sqlx::query("UPDATE message SET queue = $2, death = $3, deliveries = 0, expires_at = NULL WHERE seq = $1")
                .bind(column(*seq))
                .bind(queue.as_str())
                .bind(reason.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        if !changes.removed.is_empty() {
            sqlx::query("DELETE FROM message WHERE seq IN (SELECT value FROM json_each($1))")
                .bind(numbers(&changes.removed))
                .execute(&mut *transaction)
                .await?;
        }
        for (queue, seq) in &changes.marked {
            sqlx::query("UPDATE queue SET marked = $2 WHERE name = $1")
                .bind(queue.as_str())
                .bind(column(*seq))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// Closes it and lets go of its lock.
    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the broker's file was not closed in good order");
        }
    }
}

/// Nobody but its owner may read what citizens wrote.
fn create_private(path: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(|_| ())
}

async fn insert(connection: &mut SqliteConnection, rows: &[(String, Numbered)]) -> Result<(), sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO message (seq, queue, expires_at, head, body) ");
    query.push_values(rows, |mut row, (queue, (seq, stored))| {
        let head = serde_json::to_string(&*stored.head).expect("texts only");
        row.push_bind(column(*seq))
            .push_bind(queue.clone())
            .push_bind(stored.expires_at.map(|at| at.0))
            .push_bind(head)
            .push_bind(stored.body.to_vec());
    });
    query.build().execute(connection).await.map(|_| ())
}

fn message((seq, queue, expires_at, deliveries, death, head, body): Row) -> Result<(String, Numbered), sqlx::Error> {
    let head = serde_json::from_str(&head).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let stored = Stored {
        head: Arc::new(head),
        body: Bytes::from(body),
        expires_at: expires_at.map(Timestamp),
        deliveries: u32::try_from(deliveries).unwrap_or(u32::MAX),
        death,
    };
    Ok((queue, (u64::try_from(seq).unwrap_or(0), stored)))
}

fn column(seq: u64) -> i64 {
    i64::try_from(seq).expect("a sequence number counted up from 1")
}

fn numbers(seqs: &[u64]) -> String {
    serde_json::to_string(seqs).expect("numbers only")
}
