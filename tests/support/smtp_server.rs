//! A private SMTP server (Debian's aiosmtpd) that keeps what it accepts in a maildir.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running server; dropping it stops it.
pub struct SmtpServer {
    pub port: u16,
    pub certificate: Option<PathBuf>,
    folder: tempfile::TempDir,
    child: Child,
}

impl SmtpServer {
    /// Starts it; with `secure` it wants STARTTLS and a login.
    pub fn start(secure: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp_server.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(folder.path().join("mail"));
        let certificate = secure.then(|| {
            let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            let (chain, secret) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
            std::fs::write(&chain, key.cert.pem()).unwrap();
            std::fs::write(&secret, key.signing_key.serialize_pem()).unwrap();
            command.arg(&chain).arg(secret);
            chain
        });
        let mut child = command.stdout(Stdio::piped()).spawn().expect("python3-aiosmtpd is installed");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the server prints its port; is python3-aiosmtpd installed?");
        Self { port, certificate, folder, child }
    }

    /// The mails it has.
    pub fn mails(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("mail/new")) else { return Vec::new() };
        entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
