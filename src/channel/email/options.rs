//! What the email channel is told at start.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::EmailError;
use super::gate::GateLimits;
use super::imap::trouble::Retries;
use crate::model::id::AccountId;
use crate::model::time::Timestamp;

/// The channel's options.
#[derive(Debug, Clone)]
pub struct EmailOptions {
    /// The installation's prefix of CloudEvents types: `it.example.sportello`.
    pub event_prefix: String,
    /// The name in EHLO, a domain of the installation; the right side of the Message-ID where an account's address has none.
    pub domain: String,
    /// What a mail may be like to be parsed.
    pub limits: GateLimits,
    /// Mails parsed at once.
    pub parsers: usize,
    /// The SMTP listener, if there is one.
    pub smtp: Option<SmtpOptions>,
    /// The IMAP mailboxes.
    pub mailboxes: Vec<MailboxOptions>,
    /// How mail leaves, unless the account says otherwise.
    pub transport: Transport,
    /// How the mail of certain accounts leaves.
    pub transports: BTreeMap<AccountId, Transport>,
    /// The largest mail that is sent, in bytes, attachments encoded.
    pub outgoing_bytes_max: usize,
}

impl EmailOptions {
    /// Options without listener and mailboxes whose mail leaves into a maildir.
    pub fn new(event_prefix: impl Into<String>, domain: impl Into<String>, maildir: impl Into<PathBuf>) -> Self {
        Self {
            event_prefix: event_prefix.into(),
            domain: domain.into(),
            limits: GateLimits::default(),
            parsers: 2,
            smtp: None,
            mailboxes: Vec::new(),
            transport: Transport::Maildir(maildir.into()),
            transports: BTreeMap::new(),
            outgoing_bytes_max: 25 * 1024 * 1024,
        }
    }

    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<(), EmailError> {
        let refuse = |option, reason: &str| Err(EmailError::Option { option, reason: reason.to_owned() });
        let is_domain = !self.domain.is_empty()
            && self.domain.len() <= 253
            && self.domain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        if !is_domain {
            return refuse("domain", "use a domain name in ASCII, such as comune.example");
        }
        if self.event_prefix.is_empty() || self.parsers == 0 {
            return refuse("event_prefix, parsers", "must not be empty or 0");
        }
        for transport in self.transports.values().chain([&self.transport]) {
            if let Transport::Submission(submission) = transport {
                submission.check()?;
            }
        }
        for mailbox in &self.mailboxes {
            if mailbox.security == ImapSecurity::None && !is_loopback(&mailbox.host) {
                return refuse("mailboxes.security", "a password goes unencrypted to loopback only; use `tls` or `start_tls`");
            }
        }
        Ok(())
    }
}

/// The listener for other mail servers.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Where it listens; port 0: any free one.
    pub listen: SocketAddr,
    /// Its name in the greeting.
    pub hostname: String,
    /// Certificate chain and key in PEM; with them it offers STARTTLS.
    pub certificate: Option<CertificateFiles>,
    /// The largest mail it takes, in bytes.
    pub size_max: usize,
    /// Connections at once, in all.
    pub connections_max: usize,
    /// Connections at once from one address.
    pub connections_per_address_max: usize,
    /// Mails per minute from one address.
    pub mails_per_minute: u32,
    /// Commands in one session.
    pub commands_max: usize,
    /// Commands that hand in nothing (NOOP, RSET, VRFY, HELP, EHLO) until a mail is taken.
    pub idle_commands_max: usize,
    /// Recipients of one mail.
    pub recipients_max: usize,
    /// Megabytes of mail in memory over all sessions.
    pub memory_max_mb: usize,
    /// How long a session may be silent.
    pub idle_timeout: Duration,
    /// How long a session may go on without a mail being taken; a mail on its way has as long for its beginning and for each megabyte.
    pub mail_timeout: Duration,
    /// How long a session may last.
    pub session_timeout: Duration,
    /// How long keeping and publishing a mail may take before the sender is told to come again.
    pub accept_timeout: Duration,
}

impl SmtpOptions {
    /// A listener on `listen` with the usual limits.
    pub fn new(listen: SocketAddr, hostname: impl Into<String>) -> Self {
        Self {
            listen,
            hostname: hostname.into(),
            certificate: None,
            size_max: 25 * 1024 * 1024,
            connections_max: 100,
            connections_per_address_max: 20,
            mails_per_minute: 600,
            commands_max: 1_000,
            idle_commands_max: 30,
            recipients_max: 100,
            memory_max_mb: 256,
            idle_timeout: Duration::from_secs(300),
            mail_timeout: Duration::from_secs(300),
            session_timeout: Duration::from_secs(3_600),
            accept_timeout: Duration::from_secs(120),
        }
    }
}

/// A certificate on disk.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The chain, PEM.
    pub chain: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// A mailbox that is read.
#[derive(Debug, Clone)]
pub struct MailboxOptions {
    /// The account whose mail it is.
    pub account: AccountId,
    /// The IMAP server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: ImapSecurity,
    /// A certificate authority trusted beside the system's, PEM.
    pub trust: Option<PathBuf>,
    /// How we sign in.
    pub credentials: Credentials,
    /// The folder.
    pub folder: String,
    /// What of the mail that is there already is taken at the first connection.
    pub start: Start,
    /// How long one IDLE lasts before the folder is looked at again, at most 29 min; without IDLE, the interval of looking.
    pub look_every: Duration,
    /// The time limit of every command.
    pub command_timeout: Duration,
    /// How what fails is tried again.
    pub retries: Retries,
}

impl MailboxOptions {
    /// The INBOX of `login` on `host` by TLS, from now on.
    pub fn new(account: AccountId, host: impl Into<String>, login: impl Into<String>, password: SecretString) -> Self {
        Self {
            account,
            host: host.into(),
            port: 993,
            security: ImapSecurity::Tls,
            trust: None,
            credentials: Credentials::Password { login: login.into(), password },
            folder: "INBOX".to_owned(),
            start: Start::Now,
            look_every: Duration::from_secs(240),
            command_timeout: Duration::from_secs(60),
            retries: Retries::default(),
        }
    }

    /// A fingerprint of server, user and folder: UIDs of one say nothing about another.
    pub fn place(&self) -> i64 {
        use sha2::Digest as _;
        let Credentials::Password { login, .. } = &self.credentials;
        // the one folder whose name may be written either way (RFC 3501, 5.1)
        let folder = if self.folder.eq_ignore_ascii_case("INBOX") { "INBOX" } else { &self.folder };
        let named = serde_json::json!([self.host.to_ascii_lowercase(), login, folder]).to_string();
        let digest = sha2::Sha256::digest(named.as_bytes());
        i64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

/// How a connection to a mailbox is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImapSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS, required.
    StartTls,
    /// None; on loopback only.
    None,
}

/// How we sign in to a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// LOGIN.
    Password {
        /// The name.
        login: String,
        /// The password.
        password: SecretString,
    },
}

/// What is taken of the mail that was there before the first connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing: the history of a shared mailbox is not work.
    Now,
    /// What nobody has read.
    Unseen,
    /// Everything.
    All,
    /// What arrived since.
    Since(Timestamp),
}

/// How mail leaves.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Files in a maildir, `<folder>/<account>/new`.
    Maildir(PathBuf),
    /// A mail server.
    Submission(Submission),
}

/// A mail server that takes our mail.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its name, which its certificate bears.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SubmissionSecurity,
    /// A certificate authority trusted beside the system's, PEM.
    pub trust: Option<PathBuf>,
    /// How we sign in, if at all.
    pub credentials: Option<Credentials>,
    /// The time limit of connecting. A whole attempt has five times as long, and a second more for each 32 KiB, but never more than the
    /// router waits for it.
    pub timeout: Duration,
}

impl Submission {
    fn check(&self) -> Result<(), EmailError> {
        let refuse = |reason: &str| Err(EmailError::Option { option: "transport.security", reason: reason.to_owned() });
        match self.security {
            SubmissionSecurity::None if !is_loopback(&self.host) => refuse("mail goes unencrypted to this machine only"),
            SubmissionSecurity::Opportunistic if self.credentials.is_some() => {
                refuse("a password needs `tls` or `start_tls`: an opportunistic connection can be stripped of its TLS")
            }
            _ => Ok(()),
        }
    }
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmissionSecurity {
    /// TLS from the first byte (port 465).
    Tls,
    /// STARTTLS, required (port 587).
    StartTls,
    /// STARTTLS if offered (port 25).
    Opportunistic,
    /// None; on loopback only.
    None,
}

/// Whether `host` is this machine by its very name.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> EmailOptions {
        EmailOptions::new("it.example", "comune.example", "/var/lib/mail")
    }

    fn submission(host: &str, security: SubmissionSecurity, password: bool) -> Transport {
        let credentials = password.then(|| Credentials::Password { login: "a".into(), password: "b".to_owned().into() });
        Transport::Submission(Submission {
            host: host.into(),
            port: 25,
            security,
            trust: None,
            credentials,
            timeout: Duration::from_secs(1),
        })
    }

    #[test]
    fn secrets_never_go_unencrypted_over_a_network() {
        for (host, security, password, ok) in [
            ("mx.example", SubmissionSecurity::None, false, false),
            ("127.0.0.1", SubmissionSecurity::None, true, true),
            ("localhost", SubmissionSecurity::None, false, true),
            ("mx.example", SubmissionSecurity::Opportunistic, true, false),
            ("mx.example", SubmissionSecurity::Opportunistic, false, true),
            ("mx.example", SubmissionSecurity::StartTls, true, true),
        ] {
            let options = EmailOptions { transport: submission(host, security, password), ..options() };
            assert_eq!(options.check().is_ok(), ok, "{host} {security:?} {password}");
        }
        let mailbox = MailboxOptions {
            security: ImapSecurity::None,
            ..MailboxOptions::new(AccountId::new("urp").expect("a name"), "imap.example", "a", "b".to_owned().into())
        };
        assert!(EmailOptions { mailboxes: vec![mailbox], ..options() }.check().is_err());
        assert!(EmailOptions { domain: "a b".into(), ..options() }.check().is_err());
    }

    #[test]
    fn another_server_user_or_folder_is_another_place() {
        let mailbox = |host: &str, login: &str, folder: &str| {
            let account = AccountId::new("urp").expect("a name");
            MailboxOptions { folder: folder.into(), ..MailboxOptions::new(account, host, login, "b".to_owned().into()) }.place()
        };
        let known = mailbox("imap.example", "urp", "INBOX");
        for (host, login, folder, same) in [
            ("imap.example", "urp", "INBOX", true),
            ("IMAP.example", "urp", "inbox", true),
            ("imap.other.example", "urp", "INBOX", false),
            ("imap.example", "tributi", "INBOX", false),
            ("imap.example", "urp", "INBOX/old", false),
            ("imap.example", "URP", "INBOX", false),
        ] {
            assert_eq!(mailbox(host, login, folder) == known, same, "{host} {login} {folder}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let shown = format!("{:?}", MailboxOptions::new(AccountId::new("urp").expect("a name"), "h", "l", "secret-word".to_owned().into()));
        assert!(!shown.contains("secret-word"), "{shown}");
    }
}
