//! PostgreSQL: one pool for everybody, a connection of its own for each leader's commits and for each lead.
//!
//! Row-level security is the second belt: each transaction names its scope. It does not bind superusers, so the database's
//! owner should be an ordinary role.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::oneshot;

use crate::model::id::PoolId;
use crate::port::store::StoreError;

use super::SqlStore;
use super::engine::{Dialect, Engine, LeadSession, Scope, Session, Step};
use super::error::classify;
use super::value::{Row, Value};

/// The store on PostgreSQL.
pub type PostgresStore = SqlStore<PostgresEngine>;

/// Where the database is.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:5432/database?sslmode=verify-full`.
    pub url: SecretString,
    /// The most connections of the common pool, at least 1. Each pool of operators that is led takes two more.
    pub connections_max: u32,
    /// How long a connection may take, a new one or one of the common pool.
    pub connect_within: Duration,
}

/// How long a client waits for an answer before it gives the connection up. The server's own limits are shorter; this one
/// is for a server that does not answer at all.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same where the lead is asked for and renewed: longer than a lock may be waited for, and short, for nobody leads meanwhile.
const LEAD_PATIENCE: Duration = Duration::from_secs(15);
/// A connection used so lately is not asked whether it still works.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long a migration waits for a table's lock at a time, how long it leaves the table to others then, and how long in all.
const LOCK_TURN: &str = "2s";
const LOCK_PAUSE: Duration = Duration::from_secs(3);
const LOCK_WITHIN: Duration = Duration::from_secs(60);

/// Limits that the server keeps for every session of ours: a paused process must not hold a lock for longer than a take-over
/// may wait, and a host that went away must be noticed.
///
/// And how statements are planned: every one of ours finds its rows by an index, few at a time, so a fresh table without
/// statistics must not tempt the planner to read it whole, and planning or compiling a statement anew costs more than running it.
const LIMITS: [(&str, &str); 11] = [
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "6s"),
    ("idle_in_transaction_session_timeout", "3s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
];

impl PostgresStore {
    /// Connects and brings the schema up to date. A schema that a newer release has extended is taken as it is: within the
    /// two releases that may run together schemas only grow.
    ///
    /// # Errors
    /// `Refused` if the address cannot be read, `Unavailable` if the database is not there, `Unreadable` if its schema is not ours.
    pub async fn connect(options: PostgresOptions) -> Result<Arc<Self>, StoreError> {
        let connect: PgConnectOptions = options
            .url
            .expose_secret()
            .parse()
            .map_err(|_| StoreError::Refused("the database's address is not of the form postgres://user@host/database".into()))?;
        let connect = connect.application_name("sportello").disable_statement_logging();
        migrate(&connect, options.connect_within).await?;
        let connect = connect.options(LIMITS);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max.max(1))
            .acquire_timeout(options.connect_within)
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(connect.clone())
            .await
            .map_err(classify)?;
        warn_if_unbound(&pool).await?;
        Ok(Self::new(PostgresEngine { pool, connect, connect_within: options.connect_within, patience: PATIENCE }))
    }
}

/// Brings the schema up to date. It waits for a table's lock in short turns: everybody who works with the table would wait behind it,
/// and a dump of the database may hold that lock for an hour.
async fn migrate(connect: &PgConnectOptions, within: Duration) -> Result<(), StoreError> {
    let connect = connect.clone().options([("lock_timeout", LOCK_TURN)]);
    let mut migrations = sqlx::migrate!("src/store/migrations/postgres");
    migrations.set_ignore_missing(true);
    let began = Instant::now();
    loop {
        let mut connection = patiently(within, connect.connect()).await?;
        match migrations.run(&mut connection).await {
            Ok(()) => return connection.close().await.map_err(classify),
            Err(error) if waits_for_a_lock(&error) && began.elapsed() < LOCK_WITHIN => {
                tracing::warn!("the schema cannot be brought up to date yet: somebody holds a table or does the same; trying again");
                connection.close().await.map_err(classify)?;
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Err(error) => return Err(migration_error(error)),
        }
    }
}

/// Whether a migration gave up waiting for a lock.
fn waits_for_a_lock(error: &sqlx::migrate::MigrateError) -> bool {
    let (sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03")
}

/// What a failed migration means.
pub fn migration_error(error: sqlx::migrate::MigrateError) -> StoreError {
    match error {
        sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
            StoreError::Unavailable(format!("the schema could not be brought up to date: {error}"))
        }
        error => StoreError::Unreadable(format!("the schema is not one of ours: {error}")),
    }
}

async fn warn_if_unbound(pool: &PgPool) -> Result<(), StoreError> {
    let unbound: bool = sqlx::query_scalar("select rolsuper or rolbypassrls from pg_roles where rolname = current_user")
        .fetch_one(pool)
        .await
        .map_err(classify)?;
    if unbound {
        tracing::warn!("the database role passes row-level security: give the database to an ordinary role");
    }
    Ok(())
}

/// PostgreSQL behind the store.
pub struct PostgresEngine {
    pool: PgPool,
    connect: PgConnectOptions,
    connect_within: Duration,
    /// [`PATIENCE`] with what the common pool asks.
    patience: Duration,
}

impl PostgresEngine {
    async fn open(&self, patience: Duration) -> Result<PostgresSession, StoreError> {
        let connection = patiently(self.connect_within, self.connect.connect()).await?;
        Ok(PostgresSession { connection, patience, held: Vec::new() })
    }
}

#[async_trait]
impl Engine for PostgresEngine {
    const KIND: &'static str = "postgres";
    const DIALECT: Dialect = Dialect::Postgres;

    async fn read(&self, scope: Scope, steps: Vec<Step>) -> Result<Vec<Vec<Row>>, StoreError> {
        transact(&self.pool, self.patience, Kind::Reading, scope, steps).await
    }

    async fn write(&self, scope: Scope, steps: Vec<Step>) -> Result<Vec<Vec<Row>>, StoreError> {
        transact(&self.pool, self.patience, Kind::Writing, scope, steps).await
    }

    async fn session(&self) -> Result<Box<dyn Session>, StoreError> {
        Ok(Box::new(self.open(PATIENCE).await?))
    }

    async fn lead_session(&self) -> Result<Box<dyn LeadSession>, StoreError> {
        Ok(Box::new(self.open(LEAD_PATIENCE).await?))
    }
}

/// The rows that each step answered with.
type Answers = Result<Vec<Vec<Row>>, StoreError>;

/// A transaction on a connection of the pool. It runs in a task of its own, which nobody cancels: a future dropped inside a
/// transaction would leave it open on a connection that goes back to the pool (sqlx #4393). What was read is answered at once;
/// what was written, when it is committed. A connection on which no answer comes in time is closed: it does not go back.
async fn transact(pool: &PgPool, within: Duration, kind: Kind, scope: Scope, steps: Vec<Step>) -> Answers {
    let pool = pool.clone();
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        let mut connection = match pool.acquire().await {
            Ok(connection) => connection,
            Err(error) => return drop(answer.send(Err(classify(error)))),
        };
        let mut answer = Some(answer);
        let work = work(&mut connection, kind, &scope, steps, &mut answer);
        if tokio::time::timeout(within, work).await.is_err() {
            connection.close_on_drop();
            say(&mut answer, Err(late(within)));
        }
    });
    answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the transaction's task ended".into())))
}

/// One statement outside administrations and pools is its own transaction.
async fn work(connection: &mut PgConnection, kind: Kind, scope: &Scope, steps: Vec<Step>, answer: &mut Option<oneshot::Sender<Answers>>) {
    if let ([_], Scope::Installation) = (steps.as_slice(), scope) {
        return say(answer, run_all(connection, steps).await);
    }
    let mut transaction = match connection.begin_with(AssertSqlSafe(begin_in(kind.begin(), scope))).await {
        Ok(transaction) => transaction,
        Err(error) => return say(answer, Err(classify(error))),
    };
    match (run_all(&mut transaction, steps).await, kind) {
        (Ok(answers), Kind::Reading) => {
            say(answer, Ok(answers));
            let _nothing_to_lose = transaction.commit().await;
        }
        (Ok(answers), Kind::Writing) => say(answer, transaction.commit().await.map_err(classify).map(|()| answers)),
        (Err(error), _) => say(answer, Err(error)),
    }
}

/// Answers once.
fn say(answer: &mut Option<oneshot::Sender<Answers>>, answers: Answers) {
    if let Some(answer) = answer.take() {
        let _nobody_waits = answer.send(answers);
    }
}

async fn run_all(connection: &mut PgConnection, steps: Vec<Step>) -> Result<Vec<Vec<Row>>, StoreError> {
    let mut answers = Vec::with_capacity(steps.len());
    for (sql, arguments) in steps {
        let rows = sqlx::query_with(sql, bind(arguments)?).fetch_all(&mut *connection).await.map_err(classify)?;
        answers.push(rows.into_iter().map(Row::Postgres).collect());
    }
    Ok(answers)
}

/// What a transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Several statements see one state of the database.
    Reading,
    Writing,
}

impl Kind {
    fn begin(self) -> &'static str {
        match self {
            Self::Reading => "begin isolation level repeatable read read only",
            Self::Writing => "begin",
        }
    }
}

/// The statement that begins a transaction in a scope, in one round trip. Ids are names without quotes, by type.
fn begin_in(begin: &str, scope: &Scope) -> String {
    match scope {
        Scope::Installation => begin.to_owned(),
        Scope::Administrations(names) => format!("{begin}; set local sportello.administrations = '{names}'"),
        Scope::Pool(pool) => format!("{begin}; set local sportello.pool = '{pool}'"),
    }
}

fn bind(values: Vec<Value>) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(int) => arguments.add(int),
            Value::Flag(flag) => arguments.add(flag),
            Value::Bytes(bytes) => arguments.add(bytes),
            Value::Texts(texts) => arguments.add(texts),
            Value::Ints(ints) => arguments.add(ints),
        }
        .map_err(|error| StoreError::Refused(error.to_string()))?;
    }
    Ok(arguments)
}

async fn patiently<T>(within: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(within, work).await {
        Ok(answer) => answer.map_err(classify),
        Err(_) => Err(late(within)),
    }
}

fn late(within: Duration) -> StoreError {
    StoreError::Unavailable(format!("no answer within {} ms", within.as_millis()))
}

/// A connection outside the pool. Whoever gets an error from it, a lack of patience too, drops it.
struct PostgresSession {
    connection: PgConnection,
    /// How long it waits for an answer.
    patience: Duration,
    held: Vec<(PoolId, i64)>,
}

#[async_trait]
impl Session for PostgresSession {
    async fn begin(&mut self, scope: &Scope, writing: bool) -> Result<(), StoreError> {
        let begin = begin_in(if writing { Kind::Writing } else { Kind::Reading }.begin(), scope);
        patiently(self.patience, self.connection.execute(sqlx::raw_sql(AssertSqlSafe(begin)))).await.map(drop)
    }

    async fn run(&mut self, sql: &'static str, arguments: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let rows = patiently(self.patience, sqlx::query_with(sql, bind(arguments)?).fetch_all(&mut self.connection)).await?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    /// One statement, whose parts are `with` clauses: a commit is four round trips instead of sixteen.
    async fn run_together(&mut self, steps: Vec<Step>) -> Result<(), StoreError> {
        let (sql, arguments) = together(steps);
        patiently(self.patience, sqlx::query_with(AssertSqlSafe(sql), bind(arguments)?).execute(&mut self.connection)).await.map(drop)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        patiently(self.patience, self.connection.execute(sqlx::raw_sql("commit"))).await.map(drop)
    }
}

/// Statements as one, their parameters numbered on: `with s0 as (…), s1 as (…) <the last>`.
fn together(steps: Vec<Step>) -> (String, Vec<Value>) {
    let mut sql = String::with_capacity(16 * 1024);
    let mut arguments: Vec<Value> = Vec::with_capacity(160);
    let last = steps.len().saturating_sub(1);
    for (number, (text, values)) in steps.into_iter().enumerate() {
        if number < last {
            let _ = write!(sql, "{} s{number} as (", if number == 0 { "with" } else { "," });
        }
        let mut pieces = text.split('$');
        sql.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let digits = piece.find(|character: char| !character.is_ascii_digit()).unwrap_or(piece.len());
            let parameter: usize = piece[..digits].parse().expect("`$` stands before a parameter's number only");
            let _ = write!(sql, "${}{}", parameter + arguments.len(), &piece[digits..]);
        }
        if number < last {
            sql.push(')');
        }
        arguments.extend(values);
    }
    (sql, arguments)
}

/// The sign of life is a session's advisory lock, whose key is a digest of pool and epoch.
#[async_trait]
impl LeadSession for PostgresSession {
    async fn take_up(&mut self, pool: &PoolId, epoch: i64) -> Result<bool, StoreError> {
        let sign = (pool.clone(), epoch);
        if self.held.contains(&sign) {
            return Ok(true);
        }
        let rows = self.run("select pg_try_advisory_lock($1)", vec![Value::from(lock_key(pool, epoch))]).await?;
        let taken = rows.first().map_or(Ok(false), |row| row.flag(0))?;
        if taken {
            self.held.push(sign);
        }
        Ok(taken)
    }

    async fn put_down(&mut self, pool: &PoolId, epoch: i64) -> Result<(), StoreError> {
        if self.held.iter().any(|(held, of)| held == pool && *of == epoch) {
            self.run("select pg_advisory_unlock($1)", vec![Value::from(lock_key(pool, epoch))]).await?;
            self.held.retain(|(held, of)| held != pool || *of != epoch);
        }
        Ok(())
    }
}

fn lock_key(pool: &PoolId, epoch: i64) -> i64 {
    let digest = Sha256::digest(format!("sportello lead {pool} {epoch}"));
    i64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 digest has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up_in_time() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("postgres://u:p@{}/d?sslmode=disable", silent.local_addr().expect("bound")).into();
        let options = PostgresOptions { url, connections_max: 2, connect_within: Duration::from_millis(50) };
        let refused = PostgresStore::connect(options).await.err().expect("nobody answers");
        assert!(matches!(&refused, StoreError::Unavailable(reason) if reason == "no answer within 50 ms"), "{refused}");
    }

    /// A server that lets everybody in and says nothing more, as one behind a firewall that drops a flow. Tells of every connection that
    /// its client has closed.
    async fn mute() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (closing, closed) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let closing = closing.clone();
                tokio::spawn(async move {
                    let mut said = [0; 1024];
                    let _startup = stream.read(&mut said).await;
                    // AuthenticationOk, and ReadyForQuery with nothing begun
                    stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.expect("written");
                    while stream.read(&mut said).await.is_ok_and(|read| read > 0) {}
                    let _ = closing.send(());
                });
            }
        });
        (address, closed)
    }

    /// An engine of one connection at this address.
    fn engine(address: std::net::SocketAddr, patience: Duration) -> PostgresEngine {
        let connect: PgConnectOptions = format!("postgres://u:p@{address}/d?sslmode=disable").parse().expect("an address");
        let connect_within = Duration::from_secs(5);
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(connect_within).test_before_acquire(false);
        let pool = pool.connect_lazy_with(connect.clone());
        PostgresEngine { pool, connect, connect_within, patience }
    }

    #[tokio::test]
    async fn a_connection_on_which_no_answer_comes_is_closed_and_not_used_again() {
        let (address, mut closed) = mute().await;
        let engine = engine(address, Duration::from_millis(50));
        let one = ("select 1", Vec::new());
        for (scope, steps) in [
            (Scope::Installation, vec![one.clone()]),
            (Scope::Installation, vec![one.clone(), one.clone()]),
            (Scope::Administrations("comune".into()), vec![one.clone()]),
        ] {
            for is_writing in [false, true] {
                let (scope, steps) = (scope.clone(), steps.clone());
                let asked = async { if is_writing { engine.write(scope, steps).await } else { engine.read(scope, steps).await } };
                let answered = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("given up");
                let reason = answered.map(|rows| rows.len()).expect_err("nobody answers").to_string();
                assert!(reason.contains("no answer within 50 ms"), "{reason}");
                closed.recv().await.expect("closed");
            }
        }
    }

    /// Who gives up earlier does not send the connection back unfinished either.
    #[tokio::test]
    async fn who_gives_up_earlier_leaves_no_connection_behind() {
        let (address, mut closed) = mute().await;
        let engine = engine(address, Duration::from_secs(2));
        let asked = engine.read(Scope::Installation, vec![("select 1", Vec::new())]);
        assert!(tokio::time::timeout(Duration::from_millis(20), asked).await.is_err());
        tokio::time::timeout(Duration::from_secs(10), closed.recv()).await.expect("in time").expect("closed");
    }
}
