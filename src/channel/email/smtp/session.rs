//! What is said on one SMTP connection (RFC 5321). 250 after DATA means: kept and published; 4xx: come again; 5xx: never.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smtp_proto::{MAIL_BODY_BINARYMIME, Request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Shared;
use super::data::DataReader;
use crate::channel::email::inbound::AcceptError;
use crate::channel::email::name;
use crate::fault;
use crate::model::id::AccountId;
use crate::model::time::Timestamp;
use crate::port::clock;

/// The longest command line, in bytes: RFC 5321's 512 and what extensions add.
const LINE_MAX: usize = 2_048;
/// Mistakes and unknown recipients after which a peer is hung up on.
const ERRORS_MAX: usize = 20;
/// A megabyte, the step in which memory is taken.
const MEGABYTE: usize = 1024 * 1024;

/// How a session ended.
pub enum End<S> {
    /// For good.
    Closed,
    /// The peer starts TLS on the stream.
    StartTls(S),
}

/// Why nothing more can be read or written.
enum Broken {
    /// The peer is gone, silent or breaks the rules.
    Peer,
    /// The daemon stops.
    Shutdown,
    /// No mail came in time.
    Late,
    /// A line without CRLF, or too long.
    Line,
}

/// A mail on its way in.
struct Transaction {
    from: String,
    accounts: BTreeSet<AccountId>,
    recipients: usize,
}

/// One connection.
pub struct Session<'s, S> {
    stream: S,
    peer: SocketAddr,
    shared: &'s Arc<Shared>,
    encrypted: bool,
    /// Bytes read and not yet understood.
    input: Vec<u8>,
    /// Answers not yet written.
    output: Vec<u8>,
    hello: Option<(String, bool)>,
    transaction: Option<Transaction>,
    commands: usize,
    /// Commands that hand in nothing, since the last mail.
    idle_commands: usize,
    errors: usize,
    /// Until when a mail must have got on.
    mail_by: Instant,
}

/// What follows a command.
enum Next {
    Go,
    Data,
    StartTls,
    Close,
}

/// Whether it only keeps a session alive.
fn hands_in_nothing<T>(request: &Request<T>) -> bool {
    use Request::{Ehlo, Helo, Help, Noop, Rset, Vrfy};
    matches!(request, Ehlo { .. } | Helo { .. } | Help { .. } | Noop { .. } | Rset | Vrfy { .. })
}

/// Tells a peer for whom there is no place to come again.
pub async fn refuse(mut stream: TcpStream, hostname: &str) {
    let answer = format!("421 4.7.0 {hostname} too many connections, come again later\r\n");
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.write_all(answer.as_bytes())).await;
}

impl<'s, S: AsyncRead + AsyncWrite + Unpin + Send> Session<'s, S> {
    /// A session on `stream`.
    pub fn new(stream: S, peer: SocketAddr, shared: &'s Arc<Shared>, encrypted: bool) -> Self {
        Self {
            stream,
            peer,
            shared,
            encrypted,
            input: Vec::new(),
            output: Vec::new(),
            hello: None,
            transaction: None,
            commands: 0,
            idle_commands: 0,
            errors: 0,
            mail_by: Instant::now() + shared.options.mail_timeout,
        }
    }

    /// Talks until one side ends it, or the peer starts TLS. With a greeting first, unless TLS just began.
    pub async fn run(mut self, greet: bool) -> End<S> {
        if greet {
            let greeting = format!("{} ESMTP", self.shared.options.hostname);
            self.say(220, None, &greeting);
        }
        match self.talk().await {
            Ok(true) => return End::StartTls(self.stream),
            Ok(false) | Err(Broken::Peer) => {}
            Err(Broken::Shutdown) => self.say(421, Some("4.3.2"), "the service is closing, come again later"),
            Err(Broken::Late) => {
                self.shared.inbound.counters().smtp_refused.add();
                self.say(421, Some("4.4.2"), "no mail came in time, connect again when there is one");
            }
            Err(Broken::Line) => {
                self.shared.inbound.counters().smtp_refused.add();
                self.say(500, Some("5.5.2"), "lines end with CRLF and have at most 2048 bytes");
            }
        }
        let _ = self.flush().await;
        let _ = tokio::time::timeout(Duration::from_secs(5), self.stream.shutdown()).await;
        End::Closed
    }

    /// True: the peer starts TLS.
    async fn talk(&mut self) -> Result<bool, Broken> {
        loop {
            let line = self.line().await?;
            self.commands += 1;
            let is_too_much = self.commands > self.shared.options.commands_max || self.errors > ERRORS_MAX;
            let next = if is_too_much { self.too_much() } else { self.command(&line) };
            match next {
                Next::Go => {}
                Next::Data => {
                    self.data().await?;
                    self.flush().await?;
                    fault::point("after_smtp_250");
                }
                Next::Close => return Ok(false),
                Next::StartTls => {
                    self.flush().await?;
                    return Ok(true);
                }
            }
        }
    }

    /// The next command line with its CRLF. Answers are written when there is no further line to answer (PIPELINING).
    async fn line(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return if line.ends_with(b"\r\n") && line.len() <= LINE_MAX { Ok(line) } else { Err(Broken::Line) };
            }
            if self.input.len() > LINE_MAX {
                return Err(Broken::Line);
            }
            self.flush().await?;
            self.read().await?;
        }
    }

    /// Waits for more bytes, no longer than the peer may be silent.
    async fn read(&mut self) -> Result<(), Broken> {
        let mut chunk = [0_u8; 16 * 1024];
        let read = tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled() => return Err(Broken::Shutdown),
            () = tokio::time::sleep_until(self.mail_by) => return Err(Broken::Late),
            read = tokio::time::timeout(self.shared.options.idle_timeout, self.stream.read(&mut chunk)) => read,
        };
        match read {
            Ok(Ok(count)) if count > 0 => {
                self.input.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            _ => Err(Broken::Peer),
        }
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        if self.output.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.shared.options.idle_timeout, write).await {
            Ok(Ok(())) => {
                self.output.clear();
                Ok(())
            }
            _ => Err(Broken::Peer),
        }
    }

    fn say(&mut self, code: u16, enhanced: Option<&str>, text: &str) {
        let enhanced = enhanced.map(|enhanced| format!("{enhanced} ")).unwrap_or_default();
        self.output.extend_from_slice(format!("{code} {enhanced}{text}\r\n").as_bytes());
    }

    fn mistake(&mut self, code: u16, enhanced: &str, text: &str) -> Next {
        self.errors += 1;
        self.say(code, Some(enhanced), text);
        Next::Go
    }

    fn too_much(&mut self) -> Next {
        self.shared.inbound.counters().smtp_refused.add();
        self.say(421, Some("4.7.0"), "too many commands or mistakes");
        Next::Close
    }

    /// From now on the peer has its time anew to hand a mail in, or the next megabyte of one.
    fn wait_for_mail(&mut self) {
        self.mail_by = Instant::now() + self.shared.options.mail_timeout;
    }

    fn command(&mut self, line: &[u8]) -> Next {
        let request = match Request::parse(&mut line.iter()) {
            Ok(request) => request,
            Err(smtp_proto::Error::UnknownCommand) => return self.mistake(500, "5.5.1", "unknown command"),
            Err(smtp_proto::Error::InvalidSenderAddress) => return self.mistake(501, "5.1.7", "that is no sender's address"),
            Err(smtp_proto::Error::InvalidRecipientAddress) => return self.mistake(501, "5.1.3", "that is no recipient's address"),
            Err(smtp_proto::Error::UnsupportedParameter { .. }) => return self.mistake(555, "5.5.4", "unknown parameter"),
            Err(_) => return self.mistake(501, "5.5.4", "that cannot be read"),
        };
        self.idle_commands += usize::from(hands_in_nothing(&request));
        if self.idle_commands > self.shared.options.idle_commands_max {
            return self.too_much();
        }
        match request {
            Request::Ehlo { host } => self.hello(&host, true),
            Request::Helo { host } => self.hello(&host, false),
            Request::Mail { from } => self.mail(&from.address, from.size, from.flags),
            Request::Rcpt { to } => self.recipient(&to.address),
            Request::Data => self.begin_data(),
            Request::Rset => {
                self.transaction = None;
                self.ok("2.0.0", "forgotten")
            }
            Request::Noop { .. } => self.ok("2.0.0", "still here"),
            Request::Vrfy { .. } => {
                self.say(252, Some("2.5.0"), "cannot say; send the mail and see");
                Next::Go
            }
            Request::Help { .. } => {
                self.say(214, Some("2.0.0"), "see RFC 5321");
                Next::Go
            }
            Request::StartTls => self.start_tls(),
            Request::Quit => {
                self.say(221, Some("2.0.0"), "goodbye");
                Next::Close
            }
            _ => self.mistake(502, "5.5.1", "not offered here"),
        }
    }

    fn ok(&mut self, enhanced: &str, text: &str) -> Next {
        self.say(250, Some(enhanced), text);
        Next::Go
    }

    fn hello(&mut self, host: &str, extended: bool) -> Next {
        let host: String = host.chars().filter(|c| c.is_ascii_graphic() && !"()<>;".contains(*c)).take(255).collect();
        self.hello = Some((host, extended));
        self.transaction = None;
        let options = &self.shared.options;
        let mut lines = vec![options.hostname.clone()];
        if extended {
            lines.extend([format!("SIZE {}", options.size_max), "8BITMIME".into(), "SMTPUTF8".into(), "PIPELINING".into()]);
            if self.shared.acceptor.is_some() && !self.encrypted {
                lines.push("STARTTLS".to_owned());
            }
            lines.push("ENHANCEDSTATUSCODES".to_owned());
        }
        for (index, line) in lines.iter().enumerate() {
            let mark = if index + 1 == lines.len() { ' ' } else { '-' };
            self.output.extend_from_slice(format!("250{mark}{line}\r\n").as_bytes());
        }
        Next::Go
    }

    fn start_tls(&mut self) -> Next {
        if self.shared.acceptor.is_none() || self.encrypted {
            return self.mistake(502, "5.5.1", "not offered here");
        }
        if !self.input.is_empty() {
            // What came in the clear must not count as said under TLS (RFC 3207, CVE-2011-0411).
            return self.mistake(501, "5.5.4", "nothing may follow STARTTLS before the handshake");
        }
        self.say(220, Some("2.0.0"), "ready for TLS");
        Next::StartTls
    }

    fn mail(&mut self, from: &str, size: usize, flags: u64) -> Next {
        if self.hello.is_none() {
            return self.mistake(503, "5.5.1", "say EHLO first");
        }
        if self.transaction.is_some() {
            return self.mistake(503, "5.5.1", "one mail at a time");
        }
        if size > self.shared.options.size_max {
            self.shared.inbound.counters().smtp_refused.add();
            return self.mistake(552, "5.3.4", "the mail is too large");
        }
        if flags & MAIL_BODY_BINARYMIME != 0 {
            return self.mistake(555, "5.6.1", "BINARYMIME is not offered here");
        }
        if !self.shared.limits.mail(self.peer.ip()) {
            self.say(450, Some("4.7.1"), "too many mails from your address, come again later");
            return Next::Go;
        }
        self.transaction = Some(Transaction { from: from.to_owned(), accounts: BTreeSet::new(), recipients: 0 });
        self.ok("2.1.0", "go on")
    }

    fn recipient(&mut self, address: &str) -> Next {
        let account = self.shared.inbound.account_of(address);
        let Some(transaction) = &mut self.transaction else {
            return self.mistake(503, "5.5.1", "say MAIL first");
        };
        if transaction.recipients >= self.shared.options.recipients_max {
            self.say(452, Some("4.5.3"), "too many recipients");
            return Next::Go;
        }
        match account {
            Some(account) => {
                transaction.recipients += 1;
                transaction.accounts.insert(account);
                self.ok("2.1.5", "known here")
            }
            None => {
                self.shared.inbound.counters().smtp_refused.add();
                self.mistake(550, "5.1.1", "nobody here has this address, and mail for others is not carried on")
            }
        }
    }

    fn begin_data(&mut self) -> Next {
        match &self.transaction {
            None => self.mistake(503, "5.5.1", "say MAIL first"),
            Some(transaction) if transaction.accounts.is_empty() => self.mistake(554, "5.5.1", "no valid recipients"),
            Some(_) => {
                self.say(354, None, "end with <CRLF>.<CRLF>");
                Next::Data
            }
        }
    }

    /// Reads the mail to its end and says what became of it.
    async fn data(&mut self) -> Result<(), Broken> {
        self.flush().await?;
        let transaction = self.transaction.take().expect("DATA begins within a transaction");
        let mut reader = DataReader::new(self.shared.options.size_max);
        let mut memory = Vec::new();
        let mut short_of_memory = false;
        let mut came = 0;
        self.wait_for_mail();
        loop {
            let input = std::mem::take(&mut self.input);
            came += input.len();
            if came >= MEGABYTE {
                came = 0;
                self.wait_for_mail();
            }
            if let Some(used) = reader.push(&input) {
                self.input = input[used..].to_vec();
                break;
            }
            while !short_of_memory && memory.len() * MEGABYTE < reader.kept_bytes() {
                match Arc::clone(&self.shared.memory_mb).try_acquire_owned() {
                    Ok(permit) => memory.push(permit),
                    Err(_) => {
                        short_of_memory = true;
                        reader.give_up();
                    }
                }
            }
            self.read().await?;
        }
        let Some(content) = reader.finish() else {
            self.shared.inbound.counters().smtp_refused.add();
            match short_of_memory {
                true => self.say(452, Some("4.3.1"), "short of memory, come again later"),
                false => self.say(552, Some("5.3.4"), "the mail is too large"),
            }
            return Ok(());
        };
        let raw = Bytes::from([self.trace(&transaction.from).into_bytes(), content].concat());
        let (code, enhanced, text) = self.deliver(raw, transaction.accounts, memory).await;
        if code == 250 {
            self.idle_commands = 0;
            self.wait_for_mail();
        }
        self.say(code, Some(enhanced), text);
        Ok(())
    }

    /// What a final receiving server writes on top of a mail (RFC 5321, 4.4).
    fn trace(&self, from: &str) -> String {
        let (hello, extended) = self.hello.as_ref().map_or(("unknown", false), |(hello, extended)| (hello.as_str(), *extended));
        let protocol = match (extended, self.encrypted) {
            (true, true) => "ESMTPS",
            (true, false) => "ESMTP",
            _ => "SMTP",
        };
        let now = clock::now();
        let date = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default().to_zoned_datetime(jiff::tz::TimeZone::UTC);
        let date = jiff::fmt::rfc2822::to_string(&date).unwrap_or_default();
        let from = name::line(from, 320);
        let (peer, host) = (self.peer.ip(), &self.shared.options.hostname);
        format!("Return-Path: <{from}>\r\nReceived: from {hello} ([{peer}])\r\n\tby {host} with {protocol}; {date}\r\n")
    }

    /// One inbound event for each account. A mail that one of them could not get comes again for all: who had it drops the double.
    async fn deliver(
        &self,
        raw: Bytes,
        accounts: BTreeSet<AccountId>,
        memory: Vec<OwnedSemaphorePermit>,
    ) -> (u16, &'static str, &'static str) {
        let received_at: Timestamp = clock::now();
        let inbound = Arc::clone(&self.shared.inbound);
        // A task of its own: a time limit must not cut what writes to the database. The mail's memory is given back when it ends.
        let task = self.shared.tracker.spawn(async move {
            let _memory = memory;
            for account in accounts {
                inbound.accept(&account, raw.clone(), received_at, "smtp").await?;
            }
            Ok::<(), AcceptError>(())
        });
        match tokio::time::timeout(self.shared.options.accept_timeout, task).await {
            Ok(Ok(Ok(()))) => (250, "2.0.0", "taken"),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "a mail is deferred");
                match error {
                    AcceptError::UnknownAccount(_) => (451, "4.3.0", "the recipient is being changed, come again later"),
                    AcceptError::NotNow(_) => (451, "4.3.0", "cannot take it now, come again later"),
                }
            }
            Ok(Err(_)) | Err(_) => (451, "4.4.5", "cannot take it in time, come again later"),
        }
    }
}

#[cfg(test)]
mod tests;
