//! A `sportello` process under test: started with faults armed, killed, stopped, woken, and asked for its figures.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::pair::Pair;

static STARTS: AtomicU32 = AtomicU32::new(0);

/// A running process, or one that died by its fault.
pub struct Process {
    child: Child,
    log: PathBuf,
    addresses: Option<Addresses>,
}

/// Where it listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Console and channel API, without a slash at the end.
    pub desk: String,
    /// What providers of text messages call, and chats of citizens.
    pub public: String,
    /// The SMTP listener.
    pub smtp: String,
    /// Metrics.
    pub metrics: String,
}

/// The program under test with the settings of a pair.
pub fn command(pair: &Pair) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sportello"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(pair.settings()).stdin(Stdio::null());
    command
}

/// What a command of the command line says.
pub fn run(pair: &Pair, arguments: &[&str]) -> String {
    let output = command(pair).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "sportello {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

impl Process {
    /// Starts one and waits until it says where it listens, or has died by `fault`.
    pub async fn start(pair: &Pair, fault: &str) -> Self {
        let log = pair.folder().join(format!("log-{}", STARTS.fetch_add(1, Ordering::Relaxed)));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = command(pair);
        command.arg("serve").env("SPORTELLO_FAULT", fault).stdout(file.try_clone().unwrap()).stderr(file);
        let mut process = Self { child: command.spawn().unwrap(), log, addresses: None };
        let deadline = Instant::now() + Duration::from_secs(60);
        while process.addresses.is_none() && process.is_alive() && !process.is_stopped() {
            assert!(Instant::now() < deadline, "not up within a minute: {}", process.log_text());
            tokio::time::sleep(Duration::from_millis(20)).await;
            process.addresses = addresses(&process.log_text());
        }
        assert!(process.addresses.is_some() || !fault.is_empty(), "it did not start: {}", process.log_text());
        process
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens, while it lives.
    pub fn addresses(&mut self) -> Option<Addresses> {
        if self.is_alive() { self.addresses.clone() } else { None }
    }

    /// Whether it runs, or is stopped.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Whether it has ended by `SIGKILL`, whoever sent it.
    pub fn was_killed(&mut self) -> bool {
        let status = self.child.try_wait().unwrap();
        status.is_some_and(|status| status.signal() == Some(rustix::process::Signal::KILL.as_raw()))
    }

    /// Whether it is stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        let _gone = rustix::process::kill_process(pid, signal);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }

    /// `kill -CONT`.
    pub fn wake(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// `kill -TERM`, and its end.
    pub async fn terminate(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        crate::until("the process to end", Duration::from_secs(25), async || !self.is_alive()).await;
    }

    /// Everything it logged.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The sum of a metric over the lines that contain `label`; none if it does not answer.
    pub async fn metric(&mut self, name: &str, label: &str) -> Option<f64> {
        let address = self.addresses()?.metrics;
        let text = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let text = text.get(format!("http://{address}/metrics")).send().await.ok()?.text().await.ok()?;
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        Some(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The addresses of the banner.
fn addresses(log: &str) -> Option<Addresses> {
    let after = |what: &str| {
        let line = log.lines().find(|line| line.trim_start().starts_with(what) && line.starts_with("  "))?;
        Some(line.trim_start().strip_prefix(what)?.trim().trim_end_matches('/').to_owned())
    };
    let metrics = after("metrics and health")?;
    let metrics = metrics.strip_prefix("http://")?.split('/').next()?.to_owned();
    Some(Addresses { desk: after("console")?, public: after("public address")?, smtp: after("SMTP")?, metrics })
}
