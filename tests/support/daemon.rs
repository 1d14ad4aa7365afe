//! The real `sportello` in a folder of its own, on free ports, on either pair of backends: started, killed, started again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::production::Production;

/// Broker and store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// The embedded broker and SQLite; mail out goes to a maildir.
    Embedded,
    /// RabbitMQ and PostgreSQL; mail out goes to a real SMTP server.
    Production,
}

/// Longer than anything takes that works.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Where a running daemon is reached.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    pub desk: String,
    pub public: String,
    pub smtp: String,
    pub metrics: String,
}

/// A daemon with its data. Dropping it kills the process and takes the data away.
pub struct House {
    pub at: Addresses,
    /// Passwords of the sample accounts, by login.
    pub passwords: HashMap<String, String>,
    /// The sample token of the channel API, for the account `telefono`.
    pub token: String,
    pub production: Option<Production>,
    pub folder: tempfile::TempDir,
    child: Option<Child>,
    starts: u32,
}

impl House {
    /// A first start.
    pub async fn start(pair: Pair) -> Self {
        Self::with(pair, "").await
    }

    /// A first start with more settings.
    pub async fn with(pair: Pair, more: &str) -> Self {
        let production = match pair {
            Pair::Embedded => None,
            Pair::Production => Some(Production::new().await),
        };
        let folder = tempfile::Builder::new().prefix("sportello").tempdir().unwrap();
        let backends = production.as_ref().map(Production::settings).unwrap_or_default();
        let data = folder.path().join("data");
        let settings = format!(
            "[data]\nfolder = \"{}\"\n[installation]\nmessage_domain = \"comune.example\"\n\
             event_type_prefix = \"it.example.sportello\"\n{backends}\n{more}",
            data.display()
        );
        std::fs::write(folder.path().join("settings.toml"), settings).unwrap();
        let http = || "http://127.0.0.1:0".to_owned();
        let nowhere = Addresses { desk: http(), public: http(), smtp: "127.0.0.1:0".into(), metrics: http() };
        let (passwords, token) = (HashMap::new(), String::new());
        let mut house = Self { at: nowhere, passwords, token, production, folder, child: None, starts: 0 };
        house.up().await;
        house
    }

    /// Starts the process on the addresses it had before, if it had any, and waits until it is ready.
    pub async fn up(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.starts += 1;
        let bare = |url: &str| url.trim_start_matches("http://").to_owned();
        let mut command = self.command(&["serve"]);
        let http = [("desk.listen", &self.at.desk), ("public.listen", &self.at.public), ("metrics.listen", &self.at.metrics)];
        let addresses = http.map(|(key, url)| (key, bare(url))).into_iter().chain([("email.smtp.listen", self.at.smtp.clone())]);
        for (key, address) in addresses {
            command.arg("--set").arg(format!("{key}={address}"));
        }
        let log = std::fs::File::create(self.log_file()).unwrap();
        let errors = log.try_clone().unwrap();
        self.child = Some(command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().unwrap());
        let deadline = Instant::now() + DEADLINE;
        while !self.read_banner() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "the daemon did not start: {ended:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ready = format!("{}/readyz", self.at.metrics);
        eventually("the daemon is ready", async || {
            let answer = reqwest::get(&ready).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// What it printed at the start; false while it is not there.
    fn read_banner(&mut self) -> bool {
        let log = self.log();
        if !log.contains("\nTry a citizen's mail:\n  printf ") || (self.starts == 1 && !log.contains("Authorization: Bearer ")) {
            return false;
        }
        let named = |name: &str| {
            let line = log.lines().find_map(|line| line.strip_prefix("  ")?.strip_prefix(name)).expect("an address is printed");
            line.trim().split(',').next().unwrap().to_owned()
        };
        let metrics = named("metrics and health").trim_end_matches("/metrics").to_owned();
        self.at = Addresses { desk: named("console"), public: named("public address"), smtp: named("SMTP"), metrics };
        for login in ["anna", "bruno", "carla"] {
            if let Some(line) = log.lines().find(|line| line.starts_with(&format!("  {login} "))) {
                self.passwords.insert(login.to_owned(), line.split_whitespace().nth(1).unwrap().to_owned());
            }
        }
        if let Some((_, rest)) = log.split_once("Authorization: Bearer ") {
            self.token = rest.split('\'').next().unwrap().to_owned();
        }
        true
    }

    /// Where the running process, or the last one, prints.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join(format!("log-{}", self.starts))
    }

    /// What the running process, or the last one, has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A command of the program with this daemon's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.arg("--config").arg(self.folder.path().join("settings.toml")).args(arguments);
        command
    }

    /// Runs a command against the same data.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output().unwrap()).await.unwrap()
    }

    /// Runs a command that must work; what it printed.
    pub async fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.as_ref().expect("it runs").id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Kills it with no chance to do anything.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.take().unwrap().wait().unwrap();
    }

    /// Asks it to end; how long it took.
    pub async fn terminate(&mut self) -> Duration {
        let asked = Instant::now();
        self.signal(Signal::TERM);
        let mut child = self.child.take().unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(asked.elapsed() < DEADLINE, "SIGTERM does not end it:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(status.code(), Some(0), "{}", self.log());
        asked.elapsed()
    }

    /// The mails that left.
    pub fn mails(&self) -> Vec<String> {
        match &self.production {
            Some(production) => production.smtp.mails(),
            None => maildir_mails(&self.folder.path().join("data/maildir")),
        }
    }

    /// The end of a story: ready still, figures in order, everything on the wire as documented, an orderly end.
    pub async fn finish(mut self) {
        let ready = reqwest::get(format!("{}/readyz", self.at.metrics)).await.unwrap();
        assert_eq!(ready.status(), 200, "{}", ready.text().await.unwrap());
        let metrics = reqwest::get(format!("{}/metrics", self.at.metrics)).await.unwrap().text().await.unwrap();
        check_metrics(&metrics);
        if let Some(production) = &self.production {
            let document = serde_json::from_str(&self.done(&["asyncapi"]).await).unwrap();
            production.check_wire(&document).await;
        }
        self.terminate().await;
        assert!(!self.log().contains("panicked at"), "{}", self.log());
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("── the end of the daemon's log\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

/// The program, without settings of the surroundings.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sportello"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SPORTELLO_")) {
        command.env_remove(name);
    }
    command
}

fn maildir_mails(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut mails = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true if path.ends_with("tmp") => {}
            true => mails.extend(maildir_mails(&path)),
            false => mails.push(std::fs::read_to_string(path).unwrap()),
        }
    }
    mails
}

/// The figures as Prometheus' own tool reads them.
fn check_metrics(metrics: &str) {
    use std::io::Write as _;
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (Debian: prometheus): run `make test`");
    tool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// How many inputs a process has set aside, by its metrics.
pub async fn set_aside(metrics: &str) -> f64 {
    let figures = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    let lines = figures.lines().filter(|line| line.starts_with("sportello_inputs_total{") && line.contains("outcome=\"quarantined\""));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// Asks until the answer is there; fails the test after [`DEADLINE`].
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
