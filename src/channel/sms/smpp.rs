//! A session with an SMSC by SMPP 3.4: bound as transceiver, bound again whenever it breaks. What comes is acknowledged when it
//! lies in the spool, also what cannot be read; what goes out is answered one by one, at most so many at once. Before the process ends
//! what is on its way is brought to its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rusmpp::pdus::{DeliverSmResp, SubmitSm};
use rusmpp::types::COctetString;
use rusmpp::{Command, CommandId, CommandStatus, Pdu};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, interval, timeout};
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use self::frames::{Frame, Frames, Unreadable};
use self::unproven::{Fingerprint, Unproven};
use super::SmsCounters;
use super::provider::Said;
use super::spool::Spool;
use super::webhook::Taken;
use crate::channel::outbound::back_off;
use crate::model::id::AccountId;
use crate::model::text_message::ShortAlphabet;
use crate::port::clock::now;

mod frames;
pub mod pdu;
pub mod unproven;

/// How long the SMSC may take to be connected, to bind, to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// After this silence the SMSC is asked whether it is there.
const ENQUIRE_AFTER: Duration = Duration::from_secs(30);
/// Between two looks at what is late, and at what answers are not proved to have arrived.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long, before the process ends, answers and the rest of long texts are waited for.
const LEAVE_WITHIN: Duration = Duration::from_secs(7);
/// The first rest after the SMSC said that it is too much, and the longest.
const THROTTLE_MIN: Duration = Duration::from_millis(500);
const THROTTLE_MAX: Duration = Duration::from_secs(30);

/// Where the SMSC is, and as whom it knows us.
#[derive(Debug, Clone)]
pub struct SmppOptions {
    /// `host:port`
    pub address: String,
    /// `system_id`
    pub user: String,
    /// `password`, at most 8 characters.
    pub password: SecretString,
    /// `system_type`, mostly empty.
    pub system_type: String,
    /// Orders that may wait for their answers at once.
    pub window: u16,
    /// The SMSC's own alphabet, `data_coding` 0.
    pub alphabet: ShortAlphabet,
}

/// Why an order was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitError {
    /// There is no session: it was not sent.
    NotBound,
    /// Too much at the moment: it was not taken.
    Throttled,
    /// Never: the code.
    Refused(String),
    /// It was sent, and no answer came.
    Unknown,
}

/// The way to a session. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Smpp {
    requests: mpsc::Sender<Request>,
    state: Arc<State>,
    window: u16,
    alphabet: ShortAlphabet,
}

/// What the session and those who use it know of each other.
#[derive(Debug, Default)]
struct State {
    is_bound: AtomicBool,
    /// The process ends: nothing new is begun.
    is_leaving: AtomicBool,
    /// Orders that have begun and are not done.
    under_way: AtomicUsize,
    /// Told when one of them is done.
    done: Notify,
}

#[derive(Debug)]
struct Request {
    order: SubmitSm,
    is_first: bool,
    answer: oneshot::Sender<Result<String, SubmitError>>,
}

impl Smpp {
    /// Orders that may wait for their answers at once.
    pub fn window(&self) -> u16 {
        self.window
    }

    /// The SMSC's own alphabet.
    pub fn alphabet(&self) -> ShortAlphabet {
        self.alphabet
    }

    /// A message that goes out in parts.
    pub fn order(&self) -> Order {
        Order { smpp: self.clone(), has_begun: false }
    }
}

/// One message on its way. While it has begun, the session does not end by itself.
#[derive(Debug)]
pub struct Order {
    smpp: Smpp,
    has_begun: bool,
}

impl Order {
    /// Sends the next part; the SMSC's id of it.
    pub async fn submit(&mut self, order: SubmitSm) -> Result<String, SubmitError> {
        let state = &self.smpp.state;
        let is_first = !self.has_begun;
        if !state.is_bound.load(Ordering::SeqCst) || (is_first && state.is_leaving.load(Ordering::SeqCst)) {
            return Err(SubmitError::NotBound);
        }
        if is_first {
            state.under_way.fetch_add(1, Ordering::SeqCst);
            self.has_begun = true;
        }
        let (answer, answered) = oneshot::channel();
        let sent = self.smpp.requests.send(Request { order, is_first, answer }).await;
        let answer = match sent {
            Ok(()) => answered.await.unwrap_or(Err(SubmitError::Unknown)),
            Err(_) => Err(SubmitError::NotBound),
        };
        if is_first && answer.is_err() {
            self.end();
        }
        answer
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.has_begun) {
            self.smpp.state.under_way.fetch_sub(1, Ordering::SeqCst);
            self.smpp.state.done.notify_one();
        }
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        self.end();
    }
}

/// Keeps the session of an account.
pub struct Session {
    options: SmppOptions,
    account: AccountId,
    spool: Spool,
    counters: Arc<SmsCounters>,
    requests: mpsc::Receiver<Request>,
    state: Arc<State>,
    sequence: u32,
    answers: Unproven,
}

/// A way in for orders, and the session's own loop to be run.
///
/// `left` is what a process that was killed has left in the spool, of all accounts.
pub fn session(options: SmppOptions, account: AccountId, spool: Spool, left: &[Taken], counters: Arc<SmsCounters>) -> (Smpp, Session) {
    let of_it = left.iter().filter(|taken| taken.account == account);
    let answers = Unproven::left(of_it.filter_map(|taken| Some((taken.at, taken.fingerprint?))).collect());
    let (sender, requests) = mpsc::channel(1);
    let state = Arc::<State>::default();
    let smpp = Smpp { requests: sender, state: Arc::clone(&state), window: options.window, alphabet: options.alphabet };
    (smpp, Session { options, account, spool, counters, requests, state, sequence: 0, answers })
}

type Wire = Framed<TcpStream, Frames>;

/// Orders without an answer yet, by sequence number.
type Pending = HashMap<u32, (Instant, oneshot::Sender<Result<String, SubmitError>>)>;

/// When the SMSC was heard and asked last.
struct Clocks {
    heard: Instant,
    enquired: Option<Instant>,
    rest: Rest,
}

/// How long an SMSC that said it is too much is left alone: each time twice as long, until it takes something again.
struct Rest {
    since: Instant,
    time: Duration,
}

impl Rest {
    /// Of a new session: none.
    fn none(now: Instant) -> Self {
        Self { since: now, time: Duration::ZERO }
    }

    fn is_over(&self, now: Instant) -> bool {
        now >= self.since + self.time
    }

    /// An order that went out at `sent` was too much. The others that were on their way with it say nothing new.
    fn throttled(&mut self, sent: Instant, now: Instant) {
        if self.time.is_zero() || sent >= self.since + self.time {
            self.time = (self.time * 2).clamp(THROTTLE_MIN, THROTTLE_MAX);
            self.since = now;
        }
    }

    /// One that went out at `sent` was taken: if that was after the rest, it was long enough.
    fn taken(&mut self, sent: Instant) {
        if sent >= self.since + self.time {
            self.time = Duration::ZERO;
        }
    }
}

/// Reads until the SMSC has answered that it lets us go, or hangs up.
async fn unbound(wire: &mut Wire) {
    while let Some(Ok(frame)) = wire.next().await {
        if matches!(frame, Frame::Read(answer) if matches!(answer.pdu(), Some(Pdu::UnbindResp))) {
            return;
        }
    }
}

impl Session {
    /// Binds, works, binds again, until `shutdown`; then as long as something is under way, but not for long.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            let bound = tokio::select! {
                () = shutdown.cancelled() => break,
                bound = timeout(ANSWER_WITHIN, self.bind()) => bound.unwrap_or_else(|_| Err("no answer in time".into())),
            };
            match bound {
                Ok(mut wire) => {
                    tracing::info!(account = %self.account, "bound to the SMSC");
                    failures = 0;
                    self.answers.begin(Instant::now());
                    self.state.is_bound.store(true, Ordering::SeqCst);
                    let ended = self.work(&mut wire, &shutdown).await;
                    self.state.is_bound.store(false, Ordering::SeqCst);
                    tracing::warn!(account = %self.account, reason = ended, "the session with the SMSC ended");
                }
                Err(reason) => tracing::warn!(account = %self.account, reason, failures, "the SMSC cannot be bound to now"),
            }
            self.counters.count(&self.account, "smpp_ended");
            failures += 1;
            self.refuse_for(back_off(failures), &shutdown).await;
        }
        self.requests.close();
        while let Some(request) = self.requests.recv().await {
            let _ = request.answer.send(Err(SubmitError::NotBound));
        }
    }

    /// Nobody waits for a session: orders are told at once that there is none.
    async fn refuse_for(&mut self, time: Duration, shutdown: &CancellationToken) {
        let over = tokio::time::sleep(time);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = &mut over => return,
                Some(request) = self.requests.recv() => drop(request.answer.send(Err(SubmitError::NotBound))),
            }
        }
    }

    async fn bind(&mut self) -> Result<Wire, String> {
        let SmppOptions { address, user, password, system_type, .. } = &self.options;
        let bind = pdu::bind(user, password.expose_secret(), system_type)?;
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut wire = Framed::new(stream, Frames);
        self.sequence = 1;
        send(&mut wire, Command::new(CommandStatus::EsmeRok, self.sequence, bind)).await?;
        match wire.next().await {
            Some(Ok(Frame::Read(answer)))
                if matches!(answer.pdu(), Some(Pdu::BindTransceiverResp(_))) && answer.status() == CommandStatus::EsmeRok =>
            {
                Ok(wire)
            }
            Some(Ok(Frame::Read(answer))) => Err(format!("refused: {:?}", answer.status())),
            Some(Ok(Frame::Unreadable(answer))) => Err(format!("an answer that cannot be read: {:?}", answer.status)),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the SMSC hung up".into()),
        }
    }

    /// One session, until it ends; why. What has no answer then is of unknown end.
    async fn work(&mut self, wire: &mut Wire, shutdown: &CancellationToken) -> String {
        let mut pending = Pending::new();
        let mut looks = interval(LOOK_EVERY);
        let mut clocks = Clocks { heard: Instant::now(), enquired: None, rest: Rest::none(Instant::now()) };
        let state = Arc::clone(&self.state);
        let mut leave_at: Option<Instant> = None;
        let ended = loop {
            if let Some(at) = leave_at
                && (Instant::now() >= at || (pending.is_empty() && state.under_way.load(Ordering::SeqCst) == 0))
            {
                let unbind = Command::new(CommandStatus::EsmeRok, self.next(), Pdu::Unbind);
                let _ = timeout(LOOK_EVERY, send(wire, unbind)).await;
                // A socket that is closed with something unread takes along what the SMSC has not read: our answers. What is
                // read here is not taken, and comes again.
                let _ = timeout(LOOK_EVERY, unbound(wire)).await;
                break "the process ends".to_owned();
            }
            let may_send = pending.len() < usize::from(self.options.window) && clocks.rest.is_over(Instant::now());
            let done = tokio::select! {
                () = shutdown.cancelled(), if leave_at.is_none() => {
                    state.is_leaving.store(true, Ordering::SeqCst);
                    leave_at = Some(Instant::now() + LEAVE_WITHIN);
                    Ok(())
                }
                () = state.done.notified(), if leave_at.is_some() => Ok(()),
                frame = wire.next() => match frame {
                    Some(Ok(frame)) => {
                        clocks.heard = Instant::now();
                        match frame {
                            Frame::Read(command) => self.hear(wire, *command, &mut pending, &mut clocks).await,
                            Frame::Unreadable(unreadable) => self.hear_unreadable(wire, unreadable, &mut pending, &mut clocks).await,
                        }
                    }
                    // a peer that lies about lengths is not listened to any more
                    Some(Err(error)) => Err(error.to_string()),
                    None => Err("the SMSC hung up".to_owned()),
                },
                Some(Request { order, is_first, answer }) = self.requests.recv(), if may_send || leave_at.is_some() => {
                    match (leave_at.is_some() && is_first, may_send) {
                        (true, _) => drop(answer.send(Err(SubmitError::NotBound))),
                        (false, false) => drop(answer.send(Err(SubmitError::Throttled))),
                        (false, true) => {
                            let sequence = self.next();
                            pending.insert(sequence, (Instant::now(), answer));
                            if let Err(reason) = send(wire, Command::new(CommandStatus::EsmeRok, sequence, order)).await {
                                break reason;
                            }
                        }
                    }
                    Ok(())
                }
                _ = looks.tick() => self.look(wire, &mut pending, &mut clocks).await,
            };
            if let Err(reason) = done {
                break reason;
            }
        };
        for (_, answer) in pending.into_values() {
            let _ = answer.send(Err(SubmitError::Unknown));
        }
        ended
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence % 0x7fff_ffff + 1;
        self.sequence
    }

    /// Asks a silent SMSC whether it is there; gives up on answers that are late.
    async fn look(&mut self, wire: &mut Wire, pending: &mut Pending, clocks: &mut Clocks) -> Result<(), String> {
        let late: Vec<u32> = pending.iter().filter(|(_, (at, _))| at.elapsed() > ANSWER_WITHIN).map(|(sequence, _)| *sequence).collect();
        for (_, answer) in late.iter().filter_map(|sequence| pending.remove(sequence)) {
            let _ = answer.send(Err(SubmitError::Unknown));
        }
        match clocks.enquired {
            Some(asked) if clocks.heard > asked => clocks.enquired = None,
            Some(asked) if asked.elapsed() > ANSWER_WITHIN => return Err("the SMSC is silent".to_owned()),
            None if clocks.heard.elapsed() > ENQUIRE_AFTER => {
                clocks.enquired = Some(Instant::now());
                let enquire = Command::new(CommandStatus::EsmeRok, self.next(), Pdu::EnquireLink);
                return send(wire, enquire).await;
            }
            _ => {}
        }
        if self.answers.wants_proof() {
            let sequence = self.next();
            self.answers.ask(sequence);
            return send(wire, Command::new(CommandStatus::EsmeRok, sequence, Pdu::EnquireLink)).await;
        }
        Ok(())
    }

    async fn hear(&mut self, wire: &mut Wire, command: Command, pending: &mut Pending, clocks: &mut Clocks) -> Result<(), String> {
        let (sequence, status) = (command.sequence_number(), command.status());
        let answer = match command.pdu() {
            Some(Pdu::DeliverSm(delivered)) => {
                // a `deliver_sm` has no id: ours is made once, before it is kept, so that the spool's repetition is recognised
                let said = pdu::read(delivered, self.options.alphabet, format!("smpp-{:032x}", rand::random::<u128>()));
                let status = self.take(pdu::fingerprint(delivered), said).await;
                Command::new(status, sequence, DeliverSmResp::new(COctetString::empty(), Vec::new()))
            }
            Some(Pdu::EnquireLinkResp) => {
                self.answers.prove(sequence);
                return Ok(());
            }
            Some(Pdu::EnquireLink) => Command::new(CommandStatus::EsmeRok, sequence, Pdu::EnquireLinkResp),
            Some(Pdu::Unbind) => {
                let _ = send(wire, Command::new(CommandStatus::EsmeRok, sequence, Pdu::UnbindResp)).await;
                return Err("the SMSC unbinds".to_owned());
            }
            Some(Pdu::SubmitSmResp(submitted)) => {
                let id = submitted.message_id().as_str().to_owned();
                answered(sequence, status, id, pending, clocks);
                return Ok(());
            }
            Some(Pdu::GenericNack) | None if is_answer(command.id()) => {
                answered(sequence, status, String::new(), pending, clocks);
                return Ok(());
            }
            _ if !wants_answer(command.id()) => return Ok(()),
            _ => Command::new(CommandStatus::EsmeRinvcmdid, sequence, Pdu::GenericNack),
        };
        send(wire, answer).await
    }

    /// A message that cannot be read is kept for a person to look at, and answered: the SMSC would send it again for ever.
    async fn hear_unreadable(
        &mut self,
        wire: &mut Wire,
        unreadable: Unreadable,
        pending: &mut Pending,
        clocks: &mut Clocks,
    ) -> Result<(), String> {
        let Unreadable { id, status, sequence, .. } = unreadable;
        tracing::error!(account = %self.account, ?id, sequence, "a PDU of the SMSC cannot be read");
        if id == CommandId::DeliverSm {
            let said = Said::Unreadable(hex::encode(&unreadable.bytes));
            let status = self.take(pdu::fingerprint_of(unreadable.body()), said).await;
            return send(wire, Command::new(status, sequence, DeliverSmResp::new(COctetString::empty(), Vec::new()))).await;
        }
        if wants_answer(id) {
            return send(wire, Command::new(CommandStatus::EsmeRinvcmdid, sequence, Pdu::GenericNack)).await;
        }
        if is_answer(id) {
            answered(sequence, status, String::new(), pending, clocks);
        }
        Ok(())
    }

    /// Keeps what came, once; the status to answer with.
    async fn take(&mut self, fingerprint: Fingerprint, said: Said) -> CommandStatus {
        let status = if self.answers.is_repeated(&fingerprint, Instant::now()) {
            self.counters.count(&self.account, "repeated");
            CommandStatus::EsmeRok
        } else {
            self.keep(fingerprint, said).await
        };
        if status == CommandStatus::EsmeRok {
            self.answers.answered(fingerprint);
        }
        status
    }

    async fn keep(&self, fingerprint: Fingerprint, said: Said) -> CommandStatus {
        let outcome = match said {
            Said::Nothing => {
                self.counters.count(&self.account, "nothing");
                return CommandStatus::EsmeRok;
            }
            Said::Unreadable(_) => "unreadable",
            Said::Received(_) | Said::Status(_) => "taken",
        };
        let taken = Taken { account: self.account.clone(), at: now(), said, fingerprint: Some(fingerprint) };
        let content = serde_json::to_vec(&taken).expect("texts and numbers are JSON");
        match self.spool.put(content.into()).await {
            Ok(()) => {
                self.counters.count(&self.account, outcome);
                CommandStatus::EsmeRok
            }
            Err(error) => {
                self.counters.count(&self.account, "refused");
                tracing::error!(account = %self.account, %error, "a message cannot be kept now; the SMSC is asked to come again");
                // temporary: the SMSC keeps it
                CommandStatus::EsmeRxTAppn
            }
        }
    }
}

/// Sends one PDU; a peer that does not read is given up.
async fn send(wire: &mut Wire, command: Command) -> Result<(), String> {
    match timeout(ANSWER_WITHIN, wire.send(command)).await {
        Ok(sent) => sent.map_err(|error| error.to_string()),
        Err(_) => Err("the SMSC does not read".to_owned()),
    }
}

/// The bit that makes an answer of a request's command.
const ANSWER: u32 = 0x8000_0000;

/// Whether a PDU is a question, and not one of the two that are only told.
fn wants_answer(id: CommandId) -> bool {
    u32::from(id) & ANSWER == 0 && !matches!(id, CommandId::AlertNotification | CommandId::Outbind)
}

/// Whether a PDU may be the answer to an order.
fn is_answer(id: CommandId) -> bool {
    matches!(id, CommandId::SubmitSmResp | CommandId::GenericNack)
}

/// Tells who waits what the answer to their order means.
fn answered(sequence: u32, status: CommandStatus, id: String, pending: &mut Pending, clocks: &mut Clocks) {
    if let Some((sent, answer)) = pending.remove(&sequence) {
        let _ = answer.send(outcome(status, id, sent, &mut clocks.rest));
    }
}

/// What an answer to an order that went out at `sent` means.
fn outcome(status: CommandStatus, id: String, sent: Instant, rest: &mut Rest) -> Result<String, SubmitError> {
    match status {
        CommandStatus::EsmeRok => {
            rest.taken(sent);
            if id.is_empty() { Err(SubmitError::Unknown) } else { Ok(id) }
        }
        // not taken, each of them: too fast, its queue is full, it has trouble of its own
        CommandStatus::EsmeRthrottled | CommandStatus::EsmeRmsgqful | CommandStatus::EsmeRsyserr | CommandStatus::EsmeRxTAppn => {
            rest.throttled(sent, Instant::now());
            Err(SubmitError::Throttled)
        }
        other => Err(SubmitError::Refused(format!("smpp-{:02x}", u32::from(other)))),
    }
}

#[cfg(test)]
mod tests;
