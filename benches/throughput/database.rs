//! A database for each shape, owned by an ordinary role as in production, and what is in it after a run: nothing lost, nothing
//! twice.

use std::path::Path;

use anyhow::{Context, ensure};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, SqliteConnection};

/// The database of one shape, seen by the bench.
pub enum Database {
    /// As superuser, whom row-level security does not bind.
    Postgres(PgConnection),
    /// The daemon's file, read only.
    Sqlite(SqliteConnection),
}

/// Counts after a run.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Contacts there are.
    pub contacts: i64,
    /// Of these closed.
    pub closed: i64,
    /// Calls that were not admitted as live: they did not ring, somebody was given them as a letter is given.
    pub not_admitted: i64,
    /// Events `contact.received`.
    pub received: i64,
    /// Events `contact.closed`.
    pub closes: i64,
    /// Offers that ended otherwise than by being accepted.
    pub missed: i64,
    /// Held in quarantine.
    pub quarantined: i64,
    /// Events.
    pub events: i64,
    /// Bytes of both logs' bodies.
    pub journal_bytes: i64,
    /// Commits of the leaders.
    pub commits: i64,
}

impl Database {
    /// Makes a PostgreSQL database; returns it with the URL for the daemon.
    pub async fn make(superuser: &str, name: &str) -> anyhow::Result<(Self, String)> {
        let mut server = PgConnection::connect(superuser).await.context("PostgreSQL cannot be reached")?;
        let known = sqlx::query("select 1 from pg_roles where rolname = 'bench'").fetch_optional(&mut server).await?;
        if known.is_none() {
            sqlx::query("create role bench login password 'bench'").execute(&mut server).await?;
        }
        sqlx::query(AssertSqlSafe(format!("create database {name} owner bench"))).execute(&mut server).await?;
        let mut url: url::Url = superuser.parse()?;
        url.set_path(name);
        let ours = PgConnection::connect(url.as_str()).await?;
        let changed = url.set_username("bench").and_then(|()| url.set_password(Some("bench")));
        ensure!(changed.is_ok(), "the database's URL takes no user");
        Ok((Self::Postgres(ours), url.into()))
    }

    /// The embedded store's file.
    pub async fn open(file: &Path) -> anyhow::Result<Self> {
        Ok(Self::Sqlite(SqliteConnectOptions::new().filename(file).read_only(true).connect().await?))
    }

    /// The version of the server.
    pub async fn version(&mut self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Postgres(connection) => {
                sqlx::query("select current_setting('server_version')").fetch_one(connection).await?.try_get::<String, _>(0)?
            }
            Self::Sqlite(connection) => sqlx::query("select sqlite_version()").fetch_one(connection).await?.try_get::<String, _>(0)?,
        })
    }

    /// One number; nothing counts as 0.
    pub async fn number(&mut self, sql: &'static str) -> anyhow::Result<i64> {
        Ok(match self {
            Self::Postgres(connection) => {
                sqlx::query(sql).fetch_optional(connection).await?.and_then(|row| row.try_get::<Option<i64>, _>(0).ok().flatten())
            }
            Self::Sqlite(connection) => {
                sqlx::query(sql).fetch_optional(connection).await?.and_then(|row| row.try_get::<Option<i64>, _>(0).ok().flatten())
            }
        }
        .unwrap_or_default())
    }

    /// Counts everything.
    pub async fn counts(&mut self) -> anyhow::Result<Counts> {
        Ok(Counts {
            contacts: self.number("select count(*) from contact").await?,
            closed: self.number("select count(*) from contact where state = 'closed'").await?,
            not_admitted: self.number("select count(*) from contact where channel = 'phone' and mode = 'deferrable'").await?,
            received: self.number("select count(*) from event where name = 'contact.received'").await?,
            closes: self.number("select count(*) from event where name = 'contact.closed'").await?,
            missed: self.number("select count(*) from offer where state <> 'accepted'").await?,
            quarantined: self.number("select count(*) from quarantine").await?,
            events: self.number("select count(*) from event").await?,
            journal_bytes: self
                .number("select cast((select sum(length(body)) from event) + (select sum(length(body)) from input) as bigint)")
                .await?,
            commits: self.number("select cast(sum(batch) as bigint) from progress").await?,
        })
    }

    /// Bytes on disk of both logs with their indexes; PostgreSQL only.
    pub async fn journal_on_disk(&mut self) -> anyhow::Result<Option<i64>> {
        match self {
            Self::Postgres(_) => Ok(Some(self.number("select pg_total_relation_size('event') + pg_total_relation_size('input')").await?)),
            Self::Sqlite(_) => Ok(None),
        }
    }

    /// Gathers the planner's statistics, as autovacuum does within a minute of a table's first rows: the bench does not wait so long.
    pub async fn analyze(&mut self) -> anyhow::Result<()> {
        if let Self::Postgres(connection) = self {
            sqlx::raw_sql("analyze").execute(connection).await?;
        }
        Ok(())
    }

    /// Events that are committed and not yet published.
    pub async fn relay_lag(&mut self) -> anyhow::Result<i64> {
        self.number(
            "select p.last_seq - coalesce((select c.seq from relay_cursor c where c.pool = p.pool and c.name = 'events'), 0) from progress p",
        )
        .await
    }

    /// Contacts that are not closed, by state and mode.
    pub async fn not_closed(&mut self) -> anyhow::Result<Vec<(String, String, i64)>> {
        let sql = "select state, mode, count(*) from contact where state <> 'closed' group by state, mode order by state, mode";
        Ok(match self {
            Self::Postgres(connection) => sqlx::query_as(sql).fetch_all(connection).await?,
            Self::Sqlite(connection) => sqlx::query_as(sql).fetch_all(connection).await?,
        })
    }

    /// Filing times by contact, from a time on, in microseconds: the intended times of an open-loop run.
    pub async fn filed_since(&mut self, since: i64) -> anyhow::Result<Vec<(String, i64)>> {
        let sql = "select id, filed_at from contact where filed_at >= $1";
        Ok(match self {
            Self::Postgres(connection) => sqlx::query_as(sql).bind(since).fetch_all(connection).await?,
            Self::Sqlite(connection) => sqlx::query_as(sql).bind(since).fetch_all(connection).await?,
        })
    }
}

impl Counts {
    /// Whether everything published since `before` is there once, was closed once, and nothing else.
    pub fn conserve(&self, before: &Self, published: i64) -> anyhow::Result<()> {
        let new = |count: fn(&Self) -> i64| count(self) - count(before);
        let expected = [
            ("contacts", new(|it| it.contacts)),
            ("closed contacts", new(|it| it.closed)),
            ("events contact.received", new(|it| it.received)),
            ("events contact.closed", new(|it| it.closes)),
        ];
        for (what, found) in expected {
            ensure!(found == published, "conservation: {published} published, {found} {what}");
        }
        ensure!(new(|it| it.quarantined) == 0, "conservation: {} messages in quarantine", new(|it| it.quarantined));
        ensure!(new(|it| it.missed) == 0, "{} offers were not accepted: the operators did not keep up", new(|it| it.missed));
        Ok(())
    }
}
