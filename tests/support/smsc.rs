//! An SMSC that is somebody else's program, run for one test: told what to do, and asked what it has seen.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::daemon::eventually;

/// A running one. Ends with the value.
pub struct Smsc {
    port: u64,
    seen: Arc<Mutex<Vec<Value>>>,
    input: ChildStdin,
    _child: Child,
}

impl Smsc {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smsc/smsc.mjs");
        let mut command = Command::new("node");
        let spawned = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = spawned.expect("node is installed");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let mut smsc = Self { port: 0, seen, input, _child: child };
        smsc.port = smsc.see("a port; is tests/smsc installed? run `make tools`", |said| said["port"].as_u64()).await;
        smsc
    }

    /// The settings of an account with it.
    pub fn settings(&self, account: &str) -> String {
        format!(
            "[sms.account.{account}]\nprovider = \"smpp\"\nuser = \"sportello\"\npassword = \"segreto\"\nurl = \"smpp://127.0.0.1:{}\"\n",
            self.port
        )
    }

    /// Tells it to do something.
    pub async fn tell(&mut self, what: Value) {
        self.input.write_all(format!("{what}\n").as_bytes()).await.unwrap();
    }

    /// The first thing it has said, or will say, that fits.
    pub async fn see<T>(&self, what: &str, fits: impl Fn(&Value) -> Option<T>) -> T {
        eventually(what, async || self.seen.lock().unwrap().iter().find_map(&fits)).await
    }

    /// Everything it has said that fits.
    pub fn all<T>(&self, fits: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        self.seen.lock().unwrap().iter().filter_map(fits).collect()
    }
}
