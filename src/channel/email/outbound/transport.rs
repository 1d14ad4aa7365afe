//! How a composed mail leaves, and what the next hop's answer means: once more later, or never.

use std::path::PathBuf;
use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials as Login;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::ExposeSecret;

use super::{maildir, permanent, temporary};
use crate::channel::email::EmailError;
use crate::channel::email::options::{Credentials, Submission, SubmissionSecurity, Transport};
use crate::channel::email::reply::Composed;
use crate::model::conversation::Message;
use crate::model::delivery::AttemptResult;
use crate::model::id::AccountId;

/// The longest that one attempt may last, whatever the server does.
const ATTEMPT_MAX: Duration = Duration::from_secs(600);

/// A way out.
pub enum Carrier {
    /// Into a maildir of the account below this folder.
    Maildir(PathBuf),
    /// To a mail server.
    Submission(AsyncSmtpTransport<Tokio1Executor>),
}

impl Carrier {
    /// The way that `transport` describes; `hello` is our name in EHLO.
    pub fn new(transport: &Transport, hello: &str) -> Result<Self, EmailError> {
        Ok(match transport {
            Transport::Maildir(folder) => Self::Maildir(folder.clone()),
            Transport::Submission(submission) => Self::Submission(connect(submission, hello)?),
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
            Self::Submission(transport) => {
                let sent = tokio::time::timeout(ATTEMPT_MAX, transport.send_raw(&mail.envelope, &mail.bytes)).await;
                match sent {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(meaning(&error, has_unicode_address(&mail))),
                    Err(_) => Err(temporary("timeout")),
                }
            }
        }
    }
}

fn connect(submission: &Submission, hello: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, EmailError> {
    let tls = || -> Result<TlsParameters, EmailError> {
        let mut builder = TlsParameters::builder(submission.host.clone());
        if let Some(file) = &submission.trust {
            let pem = std::fs::read(file).map_err(|error| EmailError::Tls(format!("{}: {error}", file.display())))?;
            builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| EmailError::Tls(error.to_string()))?);
        }
        builder.build_rustls().map_err(|error| EmailError::Tls(error.to_string()))
    };
    let tls = match submission.security {
        SubmissionSecurity::Tls => Tls::Wrapper(tls()?),
        SubmissionSecurity::StartTls => Tls::Required(tls()?),
        SubmissionSecurity::Opportunistic => Tls::Opportunistic(tls()?),
        SubmissionSecurity::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(submission.host.clone())
        .port(submission.port)
        .tls(tls)
        .timeout(Some(submission.timeout))
        .hello_name(ClientId::Domain(hello.to_owned()));
    if let Some(Credentials::Password { login, password }) = &submission.credentials {
        builder = builder.credentials(Login::new(login.clone(), password.expose_secret().to_owned()));
    }
    Ok(builder.build())
}

fn has_unicode_address(mail: &Composed) -> bool {
    let addresses = mail.envelope.to().iter().chain(mail.envelope.from());
    addresses.into_iter().any(|address| !AsRef::<str>::as_ref(address).is_ascii())
}

/// What a failed attempt means.
fn meaning(error: &lettre::transport::smtp::Error, unicode_address: bool) -> AttemptResult {
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
