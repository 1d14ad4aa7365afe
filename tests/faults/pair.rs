//! The two pairs of broker and database, and plain questions to the database that Sportello's code has no part in.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

/// A broker and a database of its own.
pub struct Pair {
    folder: TempDir,
    sink: u16,
    servers: Option<Servers>,
}

/// Where the pair of real servers is.
pub struct Servers {
    /// The database.
    pub postgres: String,
    /// The broker's virtual host.
    pub amqp: String,
    vhost: String,
}

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this with tests/servers.py run --postgres --rabbitmq --"))
}

fn rabbitmqctl(arguments: &[&str]) {
    let program = environment("SPORTELLO_TEST_RABBITMQCTL");
    let output = Command::new("sh").arg("-c").arg(format!("{program} \"$@\"")).arg("sh").args(arguments).output().unwrap();
    assert!(output.status.success(), "rabbitmqctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Pair {
    /// The embedded broker and SQLite; mail goes to the server on the port `sink`.
    pub fn embedded(sink: u16) -> Self {
        Self { folder: TempDir::new().unwrap(), sink, servers: None }
    }

    /// RabbitMQ and PostgreSQL.
    pub async fn servers(sink: u16) -> Self {
        let name = format!("f{}_{:08x}", std::process::id(), rand::random::<u32>());
        let base = environment("SPORTELLO_TEST_POSTGRES");
        let mut connection = sqlx::PgConnection::connect(&base).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))).await.unwrap();
        let postgres = format!("{}/{name}", base.rsplit_once('/').unwrap().0);
        let url = environment("SPORTELLO_TEST_AMQP");
        let (scheme, rest) = url.split_once("://").unwrap();
        let authority = rest.split('/').next().unwrap();
        let user = authority.split_once('@').map_or("guest", |(user, _)| user.split(':').next().unwrap());
        rabbitmqctl(&["add_vhost", &name]);
        rabbitmqctl(&["set_permissions", "-p", &name, user, ".*", ".*", ".*"]);
        let servers = Servers { postgres, amqp: format!("{scheme}://{authority}/{name}"), vhost: name };
        Self { folder: TempDir::new().unwrap(), sink, servers: Some(servers) }
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The real servers, if this is that pair.
    pub fn real(&self) -> Option<&Servers> {
        self.servers.as_ref()
    }

    /// The settings as environment variables.
    pub fn settings(&self) -> Vec<(String, String)> {
        let data = self.folder.path().join("data").display().to_string();
        let port = self.sink.to_string();
        let mut settings = vec![
            ("DATA__FOLDER", data.as_str()),
            ("DESK__LISTEN", "127.0.0.1:0"),
            ("PUBLIC__LISTEN", "127.0.0.1:0"),
            ("METRICS__LISTEN", "127.0.0.1:0"),
            ("EMAIL__SMTP__LISTEN", "127.0.0.1:0"),
            ("INSTALLATION__MESSAGE_DOMAIN", "comune.example"),
            ("EMAIL__RELAY__KIND", "smtp"),
            ("EMAIL__RELAY__HOST", "127.0.0.1"),
            ("EMAIL__RELAY__PORT", port.as_str()),
            ("EMAIL__RELAY__TLS", "none"),
            ("CHANNEL_API__REQUESTS_PER_SECOND", "10000"),
            ("CHANNEL_API__BURST", "10000"),
            ("WEBCHAT__SESSIONS_PER_MINUTE", "10000"),
            ("LOG__FORMAT", "text"),
            ("LOG__FILTER", "info,sportello::runtime::intake=debug"),
        ];
        if let Some(servers) = &self.servers {
            settings.extend([
                ("BROKER__KIND", "amqp"),
                ("BROKER__URL", servers.amqp.as_str()),
                ("STORE__KIND", "postgres"),
                ("STORE__URL", servers.postgres.as_str()),
            ]);
        }
        settings.into_iter().map(|(key, value)| (format!("SPORTELLO__{key}"), value.to_owned())).collect()
    }

    /// The rows of a query with one text column; nulls are left out.
    pub async fn ask(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        let rows: Result<Vec<Option<String>>, sqlx::Error> = match &self.servers {
            Some(servers) => {
                let mut connection = sqlx::PgConnection::connect(&servers.postgres).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut connection).await
            }
            None => {
                let data = self.folder.path().join("data");
                let file = std::fs::read_dir(&data).unwrap().filter_map(Result::ok).map(|entry| entry.path());
                let file = file.filter(|path| begins_with(path, b"SQLite format 3"));
                let file = file.max_by_key(|path| path.to_string_lossy().contains("sportello")).expect("a database file");
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).busy_timeout(std::time::Duration::from_secs(20));
                let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut connection).await
            }
        };
        rows.unwrap_or_else(|error| panic!("{error}")).into_iter().flatten().collect()
    }

    /// The one number that a query gives, 0 if it gives none.
    pub async fn count(&self, sql: &str) -> i64 {
        self.ask(&format!("select cast(({sql}) as text)")).await.first().map_or(0, |text| text.parse().unwrap())
    }

    /// Runs statements on PostgreSQL.
    pub async fn execute(&self, sql: &'static str) {
        let servers = self.real().expect("PostgreSQL");
        let mut connection = sqlx::PgConnection::connect(&servers.postgres).await.unwrap();
        connection.execute(sqlx::raw_sql(sql)).await.unwrap();
    }
}

fn begins_with<const N: usize>(file: &Path, magic: &[u8; N]) -> bool {
    let mut start = [0; N];
    std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == magic
}

impl Drop for Pair {
    fn drop(&mut self) {
        if let Some(servers) = &self.servers {
            rabbitmqctl(&["delete_vhost", &servers.vhost]);
        }
        if std::thread::panicking() {
            let kept = std::env::temp_dir().join(format!("sportello-faults-{}", std::process::id()));
            let _ = std::fs::create_dir_all(&kept);
            let logs = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten().filter(|entry| entry.path().is_file());
            for log in logs {
                let _ = std::fs::copy(log.path(), kept.join(log.file_name()));
            }
            eprintln!("the logs are kept in {}", kept.display());
        }
    }
}
