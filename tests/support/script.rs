//! A script with people at real browsers (`web/tests/*.e2e.mjs`), in step with a story: it prints `== step`, and waits for a line.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::daemon::{DEADLINE, House};

/// A running script.
pub struct Script {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    printed: Vec<String>,
}

impl Script {
    /// Starts one; it knows where the daemon is and everybody's password.
    pub fn start(house: &House, name: &str) -> Self {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(root.join("web/node_modules/playwright-core").is_dir(), "run `npm --prefix web ci`, or `make test`, which does");
        let mut command = Command::new("node");
        command.arg(root.join("web/tests").join(name)).env("SPORTELLO_URL", &house.at.desk).kill_on_drop(true);
        command.env("SPORTELLO_PUBLIC_URL", &house.at.public);
        for (login, password) in &house.passwords {
            command.env(format!("SPORTELLO_PASSWORD_{}", login.to_uppercase()), password);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node is installed");
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        Self { child, input, output, printed: Vec::new() }
    }

    /// Waits until the script says so.
    pub async fn reaches(&mut self, step: &str) {
        let wait = async {
            while let Some(line) = self.output.next_line().await.unwrap() {
                if line == format!("== {step}") {
                    return true;
                }
                self.printed.push(line);
            }
            false
        };
        let reached = tokio::time::timeout(3 * DEADLINE, wait).await.unwrap_or(false);
        assert!(reached, "the browser never came to `{step}`:\n{}", self.printed.join("\n"));
    }

    /// Lets the script go on.
    pub async fn go(&mut self) {
        self.input.write_all(b"go\n").await.unwrap();
    }

    /// The script is done, and nothing went wrong.
    pub async fn ends(mut self) {
        self.reaches("done").await;
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("the browser ends").unwrap();
        assert!(status.success(), "{}", self.printed.join("\n"));
    }
}
