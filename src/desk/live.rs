//! The console's WebSocket: events out, commands in, pings that say whether somebody is still there.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::command::{Asked, Done, Wish, perform};
use super::counters::Counters;
use super::hub::Place;
use super::hub::connection::{CLOSE_SESSION_ENDED, CLOSE_STOPPING, CLOSE_TOO_SLOW, Connection};
use super::problem::Problem;
use super::session::{Caller, SignedIn};
use super::{Shared, origin};
use crate::model::id::{CommandId, ContactId, ConversationId, MessageId};
use crate::port::aside::{Aside, AsideBody};
use crate::port::clock;

/// The longest frame from a console, in bytes.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// The read buffer of a console: zeroed anew for every read, and kept as long as the console is open. The default is 128 KiB.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Commands of one console that wait for their reply at once.
const COMMANDS_MAX: usize = 32;
/// Frames that could not be read before a console is cut.
const BAD_FRAMES_MAX: u32 = 20;
/// Things that a console says beside chats each second: a mark for each chat that is looked at, and that somebody types.
const BESIDE_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// The most of them at once; what is too much is lost.
const BESIDE_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// How long a close frame or a write may take.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// What a console is told to wait, in seconds, when there is no place for it.
const FULL_RETRY_SECONDS: u64 = 10;
/// How long a console may stay while the store cannot say whether its session stands.
const UNKNOWN_MAX: Duration = Duration::from_secs(30);

/// Where a console resumes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub struct After {
    /// The last sequence number it saw.
    after: Option<i64>,
}

/// The live feed and the way of commands. Frames: see `docs/desk-live.md`.
#[utoipa::path(get, path = "/live", tag = "live", params(After), responses(
    (status = 101, description = "a WebSocket; JSON text frames both ways"),
    (status = 401, body = super::problem::ProblemDocument), (status = 403, body = super::problem::ProblemDocument),
    (status = 429, body = super::problem::ProblemDocument), (status = 503, body = super::problem::ProblemDocument)))]
pub async fn live(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    headers: HeaderMap,
    after: Result<Query<After>, axum::extract::rejection::QueryRejection>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    if !origin::is_ours(&headers, &desk.options.public_url) {
        return Err(Problem::new(axum::http::StatusCode::FORBIDDEN, "foreign_origin", "the page is not one of this desk"));
    }
    let after = after.map_err(|_| Problem::invalid("`after` is a sequence number"))?.0.after;
    let upgrade = upgrade.map_err(|_| Problem::invalid("this address is for WebSockets"))?;
    if desk.hub.consoles(&caller.login.pool, caller.operator()) >= desk.options.sockets_per_operator_max {
        return Err(Problem::new(axum::http::StatusCode::TOO_MANY_REQUESTS, "too_many_consoles", "close another console first"));
    }
    // held as long as the console is there
    let full = |_| Problem {
        retry_after: Some(FULL_RETRY_SECONDS),
        ..Problem::unavailable("too_many_consoles", "no place for another console here now; come again")
    };
    let seat = Arc::clone(&desk.sockets).try_acquire_owned().map_err(full)?;
    let upgrade = upgrade
        .max_frame_size(FRAME_BYTES_MAX)
        .max_message_size(FRAME_BYTES_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(1024 * 1024);
    let tracker = desk.tracker.clone();
    // The server does not wait for upgraded sockets when it stops; the tracker does.
    Ok(upgrade.on_upgrade(move |socket| {
        tracker.track_future(async move {
            serve(desk, caller, socket, after).await;
            drop(seat);
        })
    }))
}

async fn serve(desk: Shared, caller: Arc<Caller>, socket: WebSocket, after: Option<i64>) {
    let connection = Arc::new(Connection::new(Arc::clone(&caller), desk.options.queue_frames_max, desk.options.queue_bytes_max));
    let place = match desk.hub.join(&connection, &desk.directory, after).await {
        Ok(place) => place,
        Err(error) => {
            tracing::warn!(operator = %caller.operator(), %error, "a console could not join the live feed");
            return;
        }
    };
    desk.counters.sockets.fetch_add(1, Ordering::Relaxed);
    if caller.is_operator() {
        desk.presence.opened(&desk, caller.operator(), &caller.login.pool);
    }
    let (sink, stream) = socket.split();
    let code = Console {
        desk: Arc::clone(&desk),
        connection: Arc::clone(&connection),
        sink,
        waiting: Vec::new(),
        beside: RateLimiter::direct(Quota::per_second(BESIDE_PER_SECOND).allow_burst(BESIDE_AT_ONCE)),
        last_chat: None,
    }
    .run(stream, place)
    .await;
    desk.hub.leave(&connection);
    if caller.is_operator() {
        desk.presence.closed(&desk, caller.operator());
    }
    desk.counters.sockets.fetch_sub(1, Ordering::Relaxed);
    match code {
        Some(CLOSE_TOO_SLOW) => Counters::count(&desk.counters.sockets_cut),
        None => Counters::count(&desk.counters.sockets_lost),
        _ => {}
    }
}

struct Console {
    desk: Shared,
    connection: Arc<Connection>,
    sink: SplitSink<WebSocket, Message>,
    waiting: Vec<Utf8Bytes>,
    /// How much may be said beside chats.
    beside: DefaultDirectRateLimiter,
    /// The chat that was last spoken beside.
    last_chat: Option<(ContactId, ConversationId)>,
}

/// What is said beside a chat: it has no id and gets no answer.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Beside {
    /// The operator types.
    Typing { contact: ContactId, on: bool },
    /// The newest message of the citizen that was on a visible screen.
    Read { contact: ContactId, message: MessageId },
}

/// Why a console's task ends.
enum End {
    /// We close it, with this code.
    Close(u16),
    /// The other side closed it, or the connection broke.
    Gone,
    /// It answered no ping.
    Lost,
}

impl Console {
    /// Serves the console to its end; returns the close code, none if it was lost.
    async fn run(mut self, stream: SplitStream<WebSocket>, place: Place) -> Option<u16> {
        let (asked, orders) = mpsc::channel(COMMANDS_MAX);
        let (answers, done) = mpsc::channel(COMMANDS_MAX);
        let commands = work(Arc::clone(&self.desk), Arc::clone(&self.connection), orders, answers);
        let conversing = async {
            match self.greet(place).await {
                Ok(()) => self.talk(stream, asked, done).await,
                Err(end) => end,
            }
        };
        let end = tokio::select! {
            end = conversing => end,
            never = commands => match never {},
        };
        match end {
            End::Close(code) => {
                let frame = CloseFrame { code, reason: reason(code).into() };
                let farewell = async {
                    let _broken = self.sink.send(Message::Close(Some(frame))).await;
                };
                let _late = tokio::time::timeout(Duration::from_secs(1), farewell).await;
                Some(code)
            }
            End::Gone => Some(1000),
            End::Lost => None,
        }
    }

    async fn greet(&mut self, place: Place) -> Result<(), End> {
        let Place { seq, missed } = place;
        let hello = format!(r#"{{"type":"hello","seq":{seq},"resumed":{}}}"#, missed.is_some());
        self.waiting.push(hello.into());
        self.waiting.extend(missed.unwrap_or_default());
        self.write().await
    }

    async fn talk(&mut self, mut stream: SplitStream<WebSocket>, asked: mpsc::Sender<Asked>, mut done: mpsc::Receiver<Utf8Bytes>) -> End {
        let ping_every = self.desk.options.ping_every;
        let mut ping = tokio::time::interval_at((Instant::now() + ping_every).into(), ping_every);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut recheck = tokio::time::interval(self.desk.options.session_recheck);
        recheck.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut under_way, mut unanswered, mut bad_frames) = (0_usize, 0_u32, 0_u32);
        let mut known = Instant::now();
        loop {
            if let Some(code) = self.connection.closing() {
                return End::Close(code);
            }
            let step = tokio::select! {
                frame = stream.next(), if under_way < COMMANDS_MAX => match frame {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return End::Gone,
                    Some(Ok(Message::Text(text))) => {
                        unanswered = 0;
                        match read_frame(&text) {
                            _ if self.beside(&text).await => {}
                            Ok(command) => {
                                under_way += 1;
                                asked.try_send(command).expect("there is room for as many as may be under way");
                            }
                            Err(reply) => {
                                bad_frames += 1;
                                Counters::count(&self.desk.counters.frames_rejected);
                                if bad_frames > BAD_FRAMES_MAX {
                                    return End::Close(1008);
                                }
                                self.waiting.push(reply);
                            }
                        }
                        self.write().await
                    }
                    Some(Ok(Message::Binary(_))) => return End::Close(1003),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                        unanswered = 0;
                        Ok(())
                    }
                },
                () = self.connection.woken() => {
                    let stands = if self.connection.take_recheck() { self.look(&mut known).await } else { Ok(()) };
                    match stands {
                        Ok(()) => self.write().await,
                        Err(end) => Err(end),
                    }
                }
                Some(reply) = done.recv() => {
                    under_way -= 1;
                    self.waiting.push(reply);
                    self.write().await
                }
                _ = ping.tick() => {
                    if unanswered >= 2 {
                        return End::Lost;
                    }
                    unanswered += 1;
                    self.beat().await
                }
                _ = recheck.tick() => self.look(&mut known).await,
                () = self.desk.shutdown.cancelled() => return End::Close(CLOSE_STOPPING),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Takes what is said beside a chat: nobody answers it, and it may be lost. False: it is a command.
    async fn beside(&mut self, text: &str) -> bool {
        let Ok(beside) = serde_json::from_str::<Beside>(text) else { return false };
        let (Beside::Typing { contact, .. } | Beside::Read { contact, .. }) = beside;
        let caller = self.connection.caller();
        let (operator, pool) = (caller.operator(), caller.login.pool.clone());
        if self.beside.check().is_err() || self.desk.hub.holder(&pool, contact) != Some(operator) {
            return true;
        }
        let Some(conversation) = self.conversation_of(contact).await else { return true };
        let body = match beside {
            Beside::Typing { on: false, .. } => return true,
            Beside::Typing { .. } => AsideBody::OperatorTypes { operator },
            Beside::Read { message, .. } => AsideBody::OperatorRead { message },
        };
        self.desk.asides.say(Aside { pool, contact, conversation, body });
        true
    }

    async fn conversation_of(&mut self, contact: ContactId) -> Option<ConversationId> {
        if let Some((known, conversation)) = self.last_chat
            && known == contact
        {
            return Some(conversation);
        }
        let administrations: Vec<_> = {
            let plan = self.desk.current_plan();
            plan.administrations_of(&self.connection.caller().login.pool).cloned().collect()
        };
        let summary = self.desk.store.contact(&administrations, contact).await.ok().flatten()?;
        self.last_chat = Some((contact, summary.contact.conversation));
        Some(summary.contact.conversation)
    }

    /// Whether the session still stands, and with which rights.
    async fn look(&mut self, known: &mut Instant) -> Result<(), End> {
        let caller = self.connection.caller();
        match self.desk.sessions.caller(&caller.credential, self.desk.options.session_recheck).await {
            Ok(now) => {
                *known = Instant::now();
                if !Arc::ptr_eq(&now, &caller) {
                    self.change_rights(&caller, now)?;
                }
                Ok(())
            }
            Err(problem) if problem.status == axum::http::StatusCode::UNAUTHORIZED => Err(End::Close(CLOSE_SESSION_ENDED)),
            Err(_) if known.elapsed() > UNKNOWN_MAX => Err(End::Close(CLOSE_STOPPING)),
            Err(_) => Ok(()),
        }
    }

    /// Other rights mean another feed: the console connects again and gets it. A new name or language changes nothing here.
    fn change_rights(&self, before: &Caller, now: Arc<Caller>) -> Result<(), End> {
        let same = before.login.grants == now.login.grants && before.login.pool == now.login.pool;
        self.connection.set_caller(now);
        if same { Ok(()) } else { Err(End::Close(CLOSE_STOPPING)) }
    }

    /// Writes everything that waits and flushes once.
    async fn write(&mut self) -> Result<(), End> {
        self.connection.drain(&mut self.waiting);
        if self.waiting.is_empty() {
            return Ok(());
        }
        let frames = std::mem::take(&mut self.waiting);
        let mut left = frames.into_iter();
        let written = async {
            for frame in left.by_ref() {
                self.sink.feed(Message::Text(frame)).await?;
            }
            self.sink.flush().await
        };
        finish(&self.connection, written).await
    }

    /// A ping, which shows us that the console is there, and a frame, which shows the page that we are: scripts see no pings.
    async fn beat(&mut self) -> Result<(), End> {
        let frame = serde_json::json!({ "type": "beat", "at": clock::now() }).to_string();
        self.waiting.push(frame.into());
        self.write().await?;
        finish(&self.connection, self.sink.send(Message::Ping(Default::default()))).await
    }
}

/// Waits for a write, unless the console is to be closed meanwhile or does not read.
async fn finish(connection: &Connection, written: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    tokio::select! {
        biased;
        outcome = tokio::time::timeout(WRITE_WITHIN, written) => match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Close(CLOSE_TOO_SLOW)),
        },
        code = connection.closed() => Err(End::Close(code)),
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        CLOSE_STOPPING => "connect again",
        CLOSE_SESSION_ENDED => "the session has ended",
        CLOSE_TOO_SLOW => "too slow",
        1003 => "text frames only",
        _ => "too many frames that cannot be read",
    }
}

/// What every client frame has beside its command.
#[derive(Deserialize)]
struct Envelope {
    id: CommandId,
    #[serde(default)]
    expected_version: Option<u32>,
}

fn read_frame(text: &str) -> Result<Asked, Utf8Bytes> {
    let refused = |id: Option<CommandId>, detail: String| reply_frame(id, &ReplyBody::Unread { outcome: "error", code: "invalid", detail });
    let Envelope { id, expected_version } = serde_json::from_str(text).map_err(|error| refused(None, error.to_string()))?;
    let wish = serde_json::from_str::<Wish>(text).map_err(|error| refused(Some(id), error.to_string()))?;
    Ok(Asked { id, expected_version, wish })
}

#[derive(Serialize)]
struct ReplyFrame<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<CommandId>,
    reply: &'a ReplyBody<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ReplyBody<'a> {
    Done(&'a Done),
    Refused { outcome: &'static str, code: &'a str },
    Unread { outcome: &'static str, code: &'static str, detail: String },
}

fn reply_frame(id: Option<CommandId>, reply: &ReplyBody<'_>) -> Utf8Bytes {
    serde_json::to_string(&ReplyFrame { kind: "reply", id, reply }).expect("plain types serialise").into()
}

/// Performs what a console asks, in its order, beside the conversation with it: a command that waits for the store, or holds one of
/// its connections, goes on while the console is written to or its session is looked at.
async fn work(
    desk: Shared,
    connection: Arc<Connection>,
    mut orders: mpsc::Receiver<Asked>,
    answers: mpsc::Sender<Utf8Bytes>,
) -> Infallible {
    let mut commands = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(asked) = orders.recv() => commands.push(answer(Arc::clone(&desk), connection.caller(), asked)),
            Some(reply) = commands.next() => answers.try_send(reply).expect("there is room for as many as may be under way"),
            else => std::future::pending().await,
        }
    }
}

async fn answer(desk: Shared, caller: Arc<Caller>, asked: Asked) -> Utf8Bytes {
    let id = asked.id;
    match perform(&desk, &caller, asked).await {
        Ok(done) => reply_frame(Some(id), &ReplyBody::Done(&done)),
        Err(problem) => {
            let outcome = if problem.status.is_server_error() { "error" } else { "refused" };
            reply_frame(Some(id), &ReplyBody::Refused { outcome, code: &problem.code })
        }
    }
}
