//! The daemon under test: the release binary as a process of its own, with the shipped settings; only addresses, backends,
//! roles and folders are set, and for citizens who all come by one token or one address, its measure.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a start may take.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long an orderly end may take.
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// A running daemon. Ends with the value.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it says where it can be reached.
    pub async fn start(folder: &Path, name: &str, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_sportello"));
        command.arg("serve").arg("--data").arg(folder.join(name));
        let addresses = ["desk.listen", "public.listen", "metrics.listen", "email.smtp.listen"].map(|key| (key, "127.0.0.1:0".to_owned()));
        for (key, value) in addresses.iter().chain(settings) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let ours = std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("SPORTELLO_"));
        for (key, _) in ours {
            command.env_remove(key);
        }
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut daemon = Self { child: command.spawn().context("the daemon cannot be started")?, log };
        let deadline = Instant::now() + START_WITHIN;
        while daemon.said("metrics and health").is_none() {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("{name} ended with {status}:\n{}", daemon.tail());
            }
            if Instant::now() > deadline {
                bail!("{name} did not start in time:\n{}", daemon.tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(daemon)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed behind a word of its greeting.
    pub fn said(&self, word: &str) -> Option<String> {
        let text = std::fs::read_to_string(&self.log).ok()?;
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(word))?;
        line.split_whitespace().next().map(str::to_owned)
    }

    /// The sample account's password, printed at the first start.
    pub fn password(&self, login: &str) -> anyhow::Result<String> {
        self.said(&format!("{login} ")).with_context(|| format!("no sample account {login}:\n{}", self.tail()))
    }

    /// Where the desk is.
    pub fn desk(&self) -> anyhow::Result<String> {
        self.said("console").with_context(|| format!("no desk:\n{}", self.tail()))
    }

    /// What citizens and providers reach.
    pub fn public(&self) -> anyhow::Result<String> {
        self.said("public address").with_context(|| format!("no public address:\n{}", self.tail()))
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Lines of its log that warn of something.
    pub fn warnings(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).map(str::to_owned).collect()
    }

    /// Asks it to end and waits.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.ask(rustix::process::Signal::TERM);
        let deadline = Instant::now() + STOP_WITHIN;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the daemon did not end in time:\n{}", self.tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn ask(&self, signal: rustix::process::Signal) {
        if let Some(id) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _gone = rustix::process::kill_process(id, signal);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
