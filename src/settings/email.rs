//! `[email]`: the SMTP listener, the mailboxes that are read, the servers that take our mail.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::load::{Check, within};
use super::secret::{self, Secret};
use super::value::{human_duration, optional_address};
use crate::model::id::AccountId;

/// A whole attempt to send has five times the timeout, and the router takes it for lost after 300 s.
pub const RELAY_TIMEOUT_MAX: Duration = Duration::from_secs(45);

/// Mail in and out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailSettings {
    /// The largest message, in bytes.
    pub message_bytes_max: usize,
    /// The SMTP listener.
    pub smtp: SmtpListenerSettings,
    /// How mail leaves, for accounts without a sender of their own.
    pub relay: RelaySettings,
    /// How the mail of one account leaves.
    #[serde(default)]
    pub sender: BTreeMap<AccountId, RelaySettings>,
    /// Mailboxes that are read, by account.
    #[serde(default)]
    pub mailbox: BTreeMap<AccountId, MailboxSettings>,
}

/// The SMTP listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpListenerSettings {
    /// Where it listens; none: nowhere.
    #[serde(with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// The name in the greeting; empty: the machine's.
    pub hostname: String,
    /// The most connections.
    pub connections_max: usize,
    /// The most recipients of one message.
    pub recipients_max: usize,
    /// How long a silent client is kept.
    #[serde(with = "human_duration")]
    pub timeout: Duration,
    /// PEM chain; empty: no STARTTLS.
    pub tls_certificate_file: PathBuf,
    /// PEM key; empty: no STARTTLS.
    pub tls_key_file: PathBuf,
}

/// How mail leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayKind {
    /// Written to the data folder.
    Maildir,
    /// Submitted to a server.
    Smtp,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// From the first byte.
    Implicit,
    /// After STARTTLS, which must succeed.
    Starttls,
    /// Not at all.
    None,
}

/// A server that takes our mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelaySettings {
    /// How mail leaves.
    pub kind: RelayKind,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Empty: without signing in.
    pub user: String,
    /// The password of `user`.
    pub password: Secret,
    /// The file that holds `password`; empty: none.
    pub password_file: PathBuf,
    /// How long connecting may take; a whole attempt has five times as long, and more for a large letter.
    #[serde(with = "human_duration")]
    pub timeout: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            kind: RelayKind::Maildir,
            host: String::new(),
            port: 587,
            tls: MailTls::Starttls,
            user: String::new(),
            password: Secret::default(),
            password_file: PathBuf::new(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// What to read of a mailbox the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailboxStart {
    /// What arrives from now on.
    New,
    /// All that is there.
    All,
}

/// A mailbox that is read by IMAP.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailboxSettings {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Who signs in.
    pub user: String,
    /// The password of `user`.
    pub password: Secret,
    /// The file that holds `password`; empty: none.
    pub password_file: PathBuf,
    /// The folder.
    pub folder: String,
    /// What to read the first time.
    pub start: MailboxStart,
    /// How often to look when the server has no IDLE.
    #[serde(with = "human_duration")]
    pub poll: Duration,
}

impl Default for MailboxSettings {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 993,
            tls: MailTls::Implicit,
            user: String::new(),
            password: Secret::default(),
            password_file: PathBuf::new(),
            folder: "INBOX".to_owned(),
            start: MailboxStart::New,
            poll: Duration::from_secs(60),
        }
    }
}

impl EmailSettings {
    /// How the mail of an account leaves.
    pub fn sender_of(&self, account: &AccountId) -> &RelaySettings {
        self.sender.get(account).unwrap_or(&self.relay)
    }
}

impl Check for EmailSettings {
    fn resolve(&mut self, problem: &mut dyn FnMut(&str, String)) {
        secret::resolve("relay.password", &mut self.relay.password, &self.relay.password_file, problem);
        for (account, sender) in &mut self.sender {
            secret::resolve(&format!("sender.{account}.password"), &mut sender.password, &sender.password_file, problem);
        }
        for (account, mailbox) in &mut self.mailbox {
            secret::resolve(&format!("mailbox.{account}.password"), &mut mailbox.password, &mailbox.password_file, problem);
        }
    }

    fn check(&mut self, problem: &mut dyn FnMut(&str, String)) {
        if !(65_536..=256 * 1024 * 1024).contains(&self.message_bytes_max) {
            problem("message_bytes_max", "write a number from 65536 to 268435456".into());
        }
        self.smtp.check(problem);
        self.relay.check("relay", problem);
        for (account, sender) in &self.sender {
            sender.check(&format!("sender.{account}"), problem);
        }
        for (account, mailbox) in &self.mailbox {
            mailbox.check(&format!("mailbox.{account}"), problem);
        }
    }
}

impl SmtpListenerSettings {
    fn check(&self, problem: &mut dyn FnMut(&str, String)) {
        for (key, value, most) in
            [("smtp.connections_max", self.connections_max, 10_000), ("smtp.recipients_max", self.recipients_max, 1_000)]
        {
            if !(1..=most).contains(&value) {
                problem(key, format!("write a number from 1 to {most}"));
            }
        }
        within("smtp.timeout", self.timeout, 5, 600, problem);
        let (certificate, key) = (&self.tls_certificate_file, &self.tls_key_file);
        if certificate.as_os_str().is_empty() != key.as_os_str().is_empty() {
            problem("smtp.tls_key_file", "STARTTLS needs tls_certificate_file and tls_key_file: give both or none".into());
        }
        let has_both = !certificate.as_os_str().is_empty() && !key.as_os_str().is_empty();
        if self.listen.is_some() && has_both {
            pem_pair(certificate, key, problem);
        }
    }
}

/// Notes files that the listener could not offer STARTTLS with: not there, no PEM, or two that do not belong together.
fn pem_pair(certificate: &Path, key: &Path, problem: &mut dyn FnMut(&str, String)) {
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
    let private = PrivateKeyDer::from_pem_file(key);
    if let Err(error) = &chain {
        problem("smtp.tls_certificate_file", format!("no certificate can be read from {}: {}", certificate.display(), reason_of(error)));
    }
    if let Err(error) = &private {
        problem("smtp.tls_key_file", format!("no key can be read from {}: {}", key.display(), reason_of(error)));
    }
    if let (Ok(chain), Ok(private)) = (chain, private)
        && let Err(error) = CertifiedKey::from_der(chain, private, &rustls::crypto::aws_lc_rs::default_provider())
    {
        problem("smtp.tls_key_file", format!("the key in {} does not fit the certificate: {error}", key.display()));
    }
}

/// Never with what stands in the file.
fn reason_of(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is none in it".to_owned(),
        _ => "it is no PEM file".to_owned(),
    }
}

impl RelaySettings {
    fn check(&self, at: &str, problem: &mut dyn FnMut(&str, String)) {
        within(&format!("{at}.timeout"), self.timeout, 1, RELAY_TIMEOUT_MAX.as_secs(), problem);
        if self.kind == RelayKind::Maildir {
            if !self.host.is_empty() {
                problem(&format!("{at}.host"), "kind is maildir, so no server is asked: set kind = \"smtp\", or take the host out".into());
            }
            return;
        }
        if self.host.trim().is_empty() {
            problem(&format!("{at}.host"), "kind is smtp: name the server".into());
        }
        if self.user.is_empty() != self.password.is_empty() {
            problem(&format!("{at}.user"), "signing in needs user and password (or password_file): give both or none".into());
        }
        unencrypted(at, &self.host, self.tls, problem);
    }
}

impl MailboxSettings {
    fn check(&self, at: &str, problem: &mut dyn FnMut(&str, String)) {
        for (key, empty) in [("host", self.host.trim().is_empty()), ("user", self.user.is_empty()), ("folder", self.folder.is_empty())] {
            if empty {
                problem(&format!("{at}.{key}"), format!("`{key}` is missing: a mailbox needs host, user, folder and a password"));
            }
        }
        if self.password.is_empty() && self.password_file.as_os_str().is_empty() {
            problem(&format!("{at}.password_file"), "the password is missing: name a file that holds it".into());
        }
        within(&format!("{at}.poll"), self.poll, 1, 3_600, problem);
        unencrypted(at, &self.host, self.tls, problem);
    }
}

/// Mail, and mostly a password, that would go over the net for everybody to read.
fn unencrypted(at: &str, host: &str, tls: MailTls, problem: &mut dyn FnMut(&str, String)) {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if tls == MailTls::None && !here {
        problem(&format!("{at}.tls"), "mail and password would go over the net unprotected: write starttls or implicit".into());
    }
}
