//! A fresh database for one test, on either engine, and a way behind the store's back.

use std::sync::Arc;
use std::time::Duration;

use sportello::port::chat::Chats;
use sportello::port::keeping::Keeping;
use sportello::port::store::{Leases, Store, StoreError};
use sportello::store::postgres::{PostgresOptions, PostgresStore};
use sportello::store::sqlite::{SqliteOptions, SqliteStore};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

/// All ports of a store.
pub trait Database: Store + Leases + Chats + Keeping {}
impl<T: Store + Leases + Chats + Keeping> Database for T {}

/// A database that one test has for itself.
pub struct Place {
    /// The store.
    pub store: Arc<dyn Database>,
    /// Where it is.
    pub at: At,
}

/// Where a database is.
pub enum At {
    /// In a folder that goes with the test.
    Sqlite { folder: tempfile::TempDir },
    /// On the test server: the store's own address and the superuser's, for the same database.
    Postgres { url: String, superuser: String, name: String },
}

impl Place {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = At::Sqlite { folder };
        Self { store: open(&at).await, at }
    }

    /// A database owned by an ordinary role, so that row-level security binds it.
    pub async fn postgres() -> Self {
        let server = std::env::var("SPORTELLO_TEST_POSTGRES")
            .expect("SPORTELLO_TEST_POSTGRES is not set: run `make test`, which starts the servers the tests need");
        let name = format!("sportello_test_{:016x}", rand::random::<u64>());
        let mut connection = PgConnection::connect(&server).await.expect("the test server");
        for sql in [format!("create role {name} login password '{name}'"), format!("create database {name} owner {name}")] {
            connection.execute(AssertSqlSafe(sql)).await.expect("a database of the test's own");
        }
        let superuser = with_database(&server, &name, None);
        let url = with_database(&server, &name, Some(&name));
        let at = At::Postgres { url, superuser, name };
        Self { store: open(&at).await, at }
    }

    /// The store as another process sees it.
    pub async fn another(&self) -> Arc<dyn Database> {
        open(&self.at).await
    }

    /// Opens the store once more; the error, if there is one.
    pub async fn reopen(&self) -> Result<(), StoreError> {
        match &self.at {
            At::Sqlite { folder } => SqliteStore::open(sqlite_options(folder)).await.map(drop),
            At::Postgres { url, .. } => PostgresStore::connect(postgres_options(url)).await.map(drop),
        }
    }

    /// How many connections stand inside a commit that has locked its epoch and come to its contacts (PostgreSQL only).
    pub async fn paused_in_commit(&self) -> i64 {
        let At::Postgres { superuser, .. } = &self.at else { return 0 };
        let sql = "select count(*) from pg_stat_activity a join pg_locks l on l.pid = a.pid \
                   where a.datname = current_database() and a.state = 'idle in transaction' and l.relation = 'contact'::regclass and l.mode = 'RowExclusiveLock'";
        let mut connection = PgConnection::connect(superuser).await.expect("connects");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("counts")
    }

    /// Holds a table in a mode until the connection is closed (PostgreSQL only): `share` keeps everybody from writing it.
    pub async fn hold(&self, table: &str, mode: &str) -> PgConnection {
        let At::Postgres { superuser, .. } = &self.at else { panic!("PostgreSQL only") };
        let mut connection = PgConnection::connect(superuser).await.expect("connects");
        let lock = format!("begin; lock table {table} in {mode} mode");
        connection.execute(AssertSqlSafe(lock)).await.expect("locks");
        connection
    }

    /// How many connections wait for a lock (PostgreSQL only).
    pub async fn waiting(&self) -> i64 {
        let At::Postgres { superuser, .. } = &self.at else { return 0 };
        let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let mut connection = PgConnection::connect(superuser).await.expect("connects");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("counts")
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &str) -> i64 {
        let sql = AssertSqlSafe(format!("select count(*) from {table}"));
        match &self.at {
            At::Sqlite { folder } => {
                let file = format!("sqlite://{}", folder.path().join("store.db").display());
                let mut connection = SqliteConnection::connect(&file).await.expect("connects");
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("counts")
            }
            At::Postgres { superuser, .. } => {
                let mut connection = PgConnection::connect(superuser).await.expect("connects");
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("counts")
            }
        }
    }

    /// Whether a text is anywhere: in a row of any table, on SQLite in any byte of its files.
    pub async fn has_anywhere(&self, text: &str) -> bool {
        match &self.at {
            At::Sqlite { folder } => {
                let files = ["store.db", "store.db-wal"].map(|name| std::fs::read(folder.path().join(name)).unwrap_or_default());
                files.iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
            }
            At::Postgres { superuser, .. } => {
                let mut connection = PgConnection::connect(superuser).await.expect("connects");
                let tables: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
                    .fetch_all(&mut connection)
                    .await
                    .expect("lists");
                assert!(tables.len() > 20, "{tables:?}");
                for table in tables {
                    let sql = format!("select exists (select 1 from {table} t where t::text like '%{text}%')");
                    if sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.expect("looks") {
                        return true;
                    }
                }
                false
            }
        }
    }

    /// Runs a statement behind the store's back.
    pub async fn run(&self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.at {
            At::Sqlite { folder } => {
                let file = format!("sqlite://{}", folder.path().join("store.db").display());
                SqliteConnection::connect(&file).await?.execute(sql).await.map(drop)
            }
            At::Postgres { superuser, .. } => PgConnection::connect(superuser).await?.execute(sql).await.map(drop),
        }
    }
}

async fn open(at: &At) -> Arc<dyn Database> {
    match at {
        At::Sqlite { folder } => SqliteStore::open(sqlite_options(folder)).await.expect("SQLite opens"),
        At::Postgres { url, .. } => PostgresStore::connect(postgres_options(url)).await.expect("PostgreSQL connects"),
    }
}

fn sqlite_options(folder: &tempfile::TempDir) -> SqliteOptions {
    SqliteOptions { file: folder.path().join("store.db"), readers_max: 2 }
}

fn postgres_options(url: &str) -> PostgresOptions {
    PostgresOptions { url: url.to_owned().into(), connections_max: 2, connect_within: Duration::from_secs(10) }
}

fn with_database(server: &str, name: &str, role: Option<&str>) -> String {
    let mut url = url::Url::parse(server).expect("SPORTELLO_TEST_POSTGRES is a URL");
    url.set_path(name);
    if let Some(role) = role {
        url.set_username(role).expect("takes a user");
        url.set_password(Some(role)).expect("takes a password");
    }
    url.into()
}

impl Drop for Place {
    /// A server that outlives the test keeps nothing of it.
    fn drop(&mut self) {
        let At::Postgres { name, .. } = &self.at else { return };
        let server = std::env::var("SPORTELLO_TEST_POSTGRES").expect("was set");
        let sql = [format!("drop database if exists {name} with (force)"), format!("drop role if exists {name}")];
        let work = async move {
            let mut connection = PgConnection::connect(&server).await?;
            for sql in sql {
                connection.execute(AssertSqlSafe(sql)).await?;
            }
            Ok::<(), sqlx::Error>(())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let done = std::thread::spawn(move || runtime.block_on(work)).join();
        if !matches!(done, Ok(Ok(()))) {
            eprintln!("database {name} stays on the test server: {done:?}");
        }
    }
}
