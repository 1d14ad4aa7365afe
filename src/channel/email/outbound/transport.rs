//! How a composed mail leaves, and what the next hop's answer means: once more later, or never.

use std::path::PathBuf;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials as Login, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout, timeout_at};

use super::{maildir, permanent, temporary};
use crate::channel::email::EmailError;
use crate::channel::email::options::{Credentials, Submission, SubmissionSecurity, Transport};
use crate::channel::email::reply::Composed;
use crate::model::conversation::Message;
use crate::model::delivery::AttemptResult;
use crate::model::id::AccountId;

/// What an attempt is given beside its five timeouts: a second for each so many bytes.
const BYTES_PER_SECOND: usize = 32 * 1024;
/// The longest attempt. The router takes one for lost after 300 s and orders the next: two at once would be two letters.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(240);
/// How long a server may take to answer our goodbye. The letter is gone by then.
const GOODBYE: Duration = Duration::from_secs(2);

/// A way out.
pub enum Carrier {
    /// Into a maildir of the account below this folder.
    Maildir(PathBuf),
    /// To a mail server.
    Submission(Server),
}

/// A mail server, with a connection of its own for each letter: one on which an attempt ran out of time still has answers under way, and
/// the next letter would take them for its own.
pub struct Server {
    host: String,
    port: u16,
    security: SubmissionSecurity,
    tls: Option<TlsParameters>,
    login: Option<Login>,
    hello: ClientId,
    /// The timeout of connecting, a fifth of what an attempt may last.
    timeout: Duration,
}

impl Carrier {
    /// The way that `transport` describes; `hello` is our name in EHLO.
    pub fn new(transport: &Transport, hello: &str) -> Result<Self, EmailError> {
        Ok(match transport {
            Transport::Maildir(folder) => Self::Maildir(folder.clone()),
            Transport::Submission(submission) => Self::Submission(Server::new(submission, hello)?),
        })
    }

    /// One attempt.
    pub async fn carry(&self, account: &AccountId, message: &Message, mail: Composed) -> Result<(), AttemptResult> {
        match self {
            Self::Maildir(folder) => {
                let folder = folder.join(account.as_str());
                let name = format!("{}.{:032x}.sportello", message.at.0 / 1_000_000, message.id.0);
                let written = tokio::task::spawn_blocking(move || maildir::write(&folder, &name, &mail.bytes)).await;
                match written {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => {
                        tracing::warn!(%account, message = %message.id, %error, "a mail cannot be written to the maildir");
                        Err(temporary("maildir"))
                    }
                    Err(_) => Err(temporary("maildir")),
                }
            }
            Self::Submission(server) => server.send(&mail).await,
        }
    }
}

/// How long an attempt with so many bytes may last.
fn attempt_limit(timeout: Duration, bytes: usize) -> Duration {
    let seconds = u64::try_from(bytes / BYTES_PER_SECOND).unwrap_or(u64::MAX);
    timeout.saturating_mul(5).saturating_add(Duration::from_secs(seconds)).min(ATTEMPT_MAX)
}

impl Server {
    fn new(submission: &Submission, hello: &str) -> Result<Self, EmailError> {
        let tls = || -> Result<TlsParameters, EmailError> {
            let mut builder = TlsParameters::builder(submission.host.clone());
            if let Some(file) = &submission.trust {
                let pem = std::fs::read(file).map_err(|error| EmailError::Tls(format!("{}: {error}", file.display())))?;
                builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| EmailError::Tls(error.to_string()))?);
            }
            builder.build_rustls().map_err(|error| EmailError::Tls(error.to_string()))
        };
        let login = submission.credentials.as_ref().map(|credentials| {
            let Credentials::Password { login, password } = credentials;
            Login::new(login.clone(), password.expose_secret().to_owned())
        });
        Ok(Self {
            host: submission.host.clone(),
            port: submission.port,
            security: submission.security,
            tls: (submission.security != SubmissionSecurity::None).then(tls).transpose()?,
            login,
            hello: ClientId::Domain(hello.to_owned()),
            timeout: submission.timeout,
        })
    }

    /// Connects, sends and takes leave. When the time is over, or it is dropped half way, the connection is closed without a word.
    async fn send(&self, mail: &Composed) -> Result<(), AttemptResult> {
        let deadline = Instant::now() + attempt_limit(self.timeout, mail.bytes.len());
        let unicode = has_unicode_address(mail);
        let failed = |error: Error| meaning(&error, unicode);
        let late = |_| temporary("timeout");
        let mut connection = timeout_at(deadline, self.connect()).await.map_err(late)?.map_err(failed)?;
        let has = |extension| connection.server_info().supports_feature(extension);
        if unicode && !has(Extension::SmtpUtfEight) {
            return Err(permanent("smtputf8"));
        }
        if !mail.bytes.is_ascii() && !has(Extension::EightBitMime) {
            return Err(temporary("client"));
        }
        let sent = timeout_at(deadline, submit(&mut connection, mail, unicode)).await.map_err(late)?;
        // Whatever the server says to that, and when, changes nothing.
        let _ = timeout(GOODBYE, connection.quit()).await;
        sent.map_err(failed)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let from_the_start = self.tls.clone().filter(|_| self.security == SubmissionSecurity::Tls);
        let place = (self.host.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(place, Some(self.timeout), &self.hello, from_the_start, None).await?;
        let upgrades = match self.security {
            SubmissionSecurity::StartTls => true,
            SubmissionSecurity::Opportunistic => connection.can_starttls(),
            SubmissionSecurity::Tls | SubmissionSecurity::None => false,
        };
        if let Some(tls) = self.tls.clone().filter(|_| upgrades) {
            connection.starttls(tls, &self.hello).await?;
        }
        if let Some(login) = &self.login {
            connection.auth(DEFAULT_MECHANISMS, login).await?;
        }
        Ok(connection)
    }
}

async fn submit(connection: &mut AsyncSmtpConnection, mail: &Composed, unicode: bool) -> Result<(), Error> {
    let mut parameters = Vec::new();
    if unicode {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.bytes.is_ascii() {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    connection.command(Mail::new(mail.envelope.from().cloned(), parameters)).await?;
    for recipient in mail.envelope.to() {
        connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
    }
    connection.command(Data).await?;
    connection.message(&mail.bytes).await.map(drop)
}

fn has_unicode_address(mail: &Composed) -> bool {
    let addresses = mail.envelope.to().iter().chain(mail.envelope.from());
    addresses.into_iter().any(|address| !AsRef::<str>::as_ref(address).is_ascii())
}

/// What a failed attempt means.
fn meaning(error: &Error, unicode_address: bool) -> AttemptResult {
    match error.status().map(u16::from) {
        Some(code) => meaning_of_code(code),
        None if error.is_client() && unicode_address => permanent("smtputf8"),
        None if error.is_timeout() => temporary("timeout"),
        None if error.is_tls() => temporary("tls"),
        None if error.is_client() => temporary("client"),
        None if error.is_response() => temporary("response"),
        None => temporary("connect"),
    }
}

/// 5xx is final, but for what says that *we* may not: a wrong password is not the letter's fault and is mended without it.
fn meaning_of_code(code: u16) -> AttemptResult {
    match code {
        530 | 534 | 535 | 538 => temporary(&code.to_string()),
        500..=599 => permanent(&code.to_string()),
        _ => temporary(&code.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_lasts_as_long_as_it_may_need_but_never_too_long() {
        let seconds = Duration::from_secs;
        for (timeout, bytes, expected) in [
            (seconds(1), 0, seconds(5)),
            (seconds(30), 1024 * 1024, seconds(182)),
            (seconds(30), 25 * 1024 * 1024, ATTEMPT_MAX),
            (seconds(600), 0, ATTEMPT_MAX),
            (Duration::MAX, usize::MAX, ATTEMPT_MAX),
        ] {
            assert_eq!(attempt_limit(timeout, bytes), expected, "{timeout:?} {bytes}");
        }
    }

    #[test]
    fn codes() {
        for (code, expected) in [
            (421, temporary("421")),
            (450, temporary("450")),
            (535, temporary("535")),
            (550, permanent("550")),
            (552, permanent("552")),
            (554, permanent("554")),
        ] {
            assert_eq!(meaning_of_code(code), expected);
        }
    }
}
