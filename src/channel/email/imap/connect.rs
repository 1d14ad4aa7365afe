//! A signed-in connection to an IMAP server whose every answer is bounded in bytes and whose every command is bounded in time.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_imap::error::Error;
use async_imap::{Client, Session};
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ImapError;
use super::frames::Frames;
use crate::channel::email::options::{Credentials, ImapSecurity, MailboxOptions};

/// What every command but the fetch of a mail may be answered with, in bytes.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// Bytes that may still be read.
#[derive(Debug, Clone, Default)]
pub struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    /// Lets the usual answer through from now on, and `more` bytes.
    pub fn grant(&self, more: usize) {
        self.0.store(ANSWER_MAX.saturating_add(more), Ordering::Relaxed);
    }
}

/// A byte stream, encrypted or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug> Wire for T {}

/// A stream that gives no more than it is allowed to, and no announcement of more. Its end is an error: the client library takes it
/// for the end of an answer.
#[derive(Debug)]
pub struct Bounded {
    wire: Box<dyn Wire>,
    allowance: Allowance,
    frames: Frames,
}

impl Bounded {
    fn new(wire: Box<dyn Wire>, allowance: Allowance) -> Self {
        Self { wire, allowance, frames: Frames::default() }
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.allowance.0.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes than were asked for")));
        }
        let before = buffer.filled().len();
        let this = &mut *self;
        let polled = Pin::new(&mut this.wire).poll_read(context, buffer);
        let read = &buffer.filled()[before..];
        if matches!(polled, Poll::Ready(Ok(()))) && read.is_empty() && buffer.remaining() > 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        this.allowance.0.store(left.saturating_sub(read.len()), Ordering::Relaxed);
        if !this.frames.push(read, left) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes announced than were asked for")));
        }
        polled
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

/// Runs a command within `limit`.
pub async fn timed<T>(limit: Duration, what: &'static str, command: impl Future<Output = Result<T, Error>>) -> Result<T, ImapError> {
    match tokio::time::timeout(limit, command).await {
        Err(_) => Err(ImapError::TimedOut(what)),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(match error {
            Error::Io(error) => ImapError::Connection(what, error.kind().to_string()),
            Error::ConnectionLost => ImapError::Connection(what, "closed by the server".to_owned()),
            Error::Bad(_) | Error::No(_) => ImapError::Refused(what),
            _ => ImapError::Nonsense(what),
        }),
    }
}

/// Connects, protects the connection as told, and signs in.
pub async fn connect(options: &MailboxOptions, connector: Option<&TlsConnector>) -> Result<(Session<Bounded>, Allowance), ImapError> {
    let limit = options.command_timeout;
    let allowance = Allowance::default();
    allowance.grant(0);
    let stream = timed(limit, "connect", async { Ok(TcpStream::connect((options.host.as_str(), options.port)).await?) }).await?;
    let client = match (options.security, connector) {
        (ImapSecurity::Tls, Some(connector)) => {
            let wire = encrypt(limit, connector, &options.host, Box::new(stream)).await?;
            greeted(limit, Bounded::new(wire, allowance.clone())).await?
        }
        (ImapSecurity::StartTls, Some(connector)) => {
            let mut client = greeted(limit, Bounded::new(Box::new(stream), allowance.clone())).await?;
            timed(limit, "STARTTLS", client.run_command_and_check_ok("STARTTLS", None)).await?;
            // What the server, or somebody in between, sent after its OK is dropped with the client's buffer.
            let wire = encrypt(limit, connector, &options.host, client.into_inner().wire).await?;
            Client::new(Bounded::new(wire, allowance.clone()))
        }
        (ImapSecurity::None, _) => greeted(limit, Bounded::new(Box::new(stream), allowance.clone())).await?,
        _ => return Err(ImapError::Connection("TLS", "not set up".to_owned())),
    };
    let Credentials::Password { login, password } = &options.credentials;
    let signed_in = async { client.login(login, password.expose_secret()).await.map_err(|(error, _)| error) };
    Ok((timed(limit, "LOGIN", signed_in).await?, allowance))
}

async fn greeted(limit: Duration, stream: Bounded) -> Result<Client<Bounded>, ImapError> {
    let mut client = Client::new(stream);
    let greeting = timed(limit, "connect", async { Ok(client.read_response().await?) }).await?;
    if greeting.is_none() {
        return Err(ImapError::Connection("greeting", "closed by the server".to_owned()));
    }
    Ok(client)
}

async fn encrypt(limit: Duration, connector: &TlsConnector, host: &str, stream: Box<dyn Wire>) -> Result<Box<dyn Wire>, ImapError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| ImapError::Connection("TLS", "the host is no name".to_owned()))?;
    let handshake = async { Ok(connector.connect(name, stream).await?) };
    Ok(Box::new(timed(limit, "TLS", handshake).await?))
}
