//! A chat's WebSocket: hello and resume, frames in, what happens out, pings that say whether somebody is still there.

use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Shared;
use super::access::Visitor;
use super::codec::{
    self, CLOSE_BAD_FRAME, CLOSE_BINARY, CLOSE_COME_AGAIN, CLOSE_NO_SESSION, CLOSE_ORIGIN, CLOSE_TOO_LARGE, CLOSE_TOO_MUCH, Said, Told,
};
use super::counters::ChatCounters;
use super::hub::{Counted, Heard};
use super::limits::{
    FAREWELL_FRAMES_MAX, FAREWELL_WITHIN, FRAME_BYTES_MAX, FRAME_BYTES_READ_MAX, HELLO_WITHIN, PLACE_EVERY, RETRY_SECONDS, WRITE_WITHIN,
};
use super::talk::Talk;
use crate::channel::problem::Problem;

/// The read buffer of a socket: kept as long as the socket is open. The library's own is 128 KiB.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Why a socket's task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// We close it, with this code and reason.
    Close(u16, &'static str),
    /// We close it, and say how many seconds to wait.
    TooMuch,
    /// The other side closed it, or the connection broke.
    Gone,
    /// It answered no ping.
    Lost,
}

impl End {
    /// Something of ours is away: the browser comes again and resumes.
    pub const COME_AGAIN: Self = Self::Close(CLOSE_COME_AGAIN, "come again");
    /// A frame that cannot be read.
    pub const BAD_FRAME: Self = Self::Close(CLOSE_BAD_FRAME, "a frame that cannot be read");
}

/// `GET …/socket`.
pub async fn socket(
    State(chat): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| Problem::invalid("this address is for WebSockets"))?;
    let upgrade = upgrade
        .protocols([codec::SUBPROTOCOL])
        .max_frame_size(FRAME_BYTES_READ_MAX)
        .max_message_size(FRAME_BYTES_READ_MAX)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024);
    let tracker = chat.tracker.clone();
    // the server does not wait for upgraded sockets when it stops; the tracker does
    Ok(upgrade.on_upgrade(move |socket| tracker.track_future(serve(chat, visitor, socket))))
}

async fn serve(chat: Shared, visitor: Visitor, socket: WebSocket) {
    let _counted = Counted::new(&chat.counters);
    let (sink, mut stream) = socket.split();
    let mut wire = Wire { sink };
    let end = match chat.measures.socket(&visitor) {
        _ if visitor.is_foreign => {
            chat.counters.refuse("origin");
            End::Close(CLOSE_ORIGIN, "the page's origin is not allowed")
        }
        None => {
            chat.counters.refuse("sockets");
            End::TooMuch
        }
        Some(_place) => talk(&chat, &visitor, &mut wire, &mut stream).await,
    };
    match end {
        End::Close(code, reason) => wire.close(code, reason).await,
        End::TooMuch => wire.close(CLOSE_TOO_MUCH, &RETRY_SECONDS.to_string()).await,
        End::Gone => return,
        End::Lost => return ChatCounters::count(&chat.counters.lost),
    }
    if !chat.shutdown.is_cancelled() {
        let _late = timeout(FAREWELL_WITHIN, drop_rest(&mut stream)).await;
    }
}

/// Reads on to the browser's own goodbye: a connection that is closed with something unread in it takes the reason back.
async fn drop_rest(stream: &mut SplitStream<WebSocket>) {
    for _ in 0..FAREWELL_FRAMES_MAX {
        let Some(Ok(_)) = stream.next().await else { return };
    }
}

/// The sending half.
pub struct Wire {
    sink: SplitSink<WebSocket, Frame>,
}

impl Wire {
    /// Tells the browser something.
    pub async fn tell(&mut self, told: &Told) -> Result<(), End> {
        self.send(Frame::Text(Utf8Bytes::from(told.frame()))).await
    }

    /// Asks for a sign of life. The answer says that everything before it has arrived.
    pub async fn ping(&mut self, mark: i64) -> Result<(), End> {
        self.send(Frame::Ping(mark.to_string().into())).await
    }

    async fn send(&mut self, frame: Frame) -> Result<(), End> {
        match timeout(WRITE_WITHIN, self.sink.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Close(CLOSE_COME_AGAIN, "too slow")),
        }
    }

    async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code, reason: reason.to_owned().into() };
        let farewell = async {
            let _broken = self.sink.send(Frame::Close(Some(frame))).await;
            let _broken = self.sink.close().await;
        };
        let _late = timeout(WRITE_WITHIN, farewell).await;
    }
}

/// A frame from the browser, as far as the protocol itself is concerned.
enum Came {
    Said(Said),
    Pong(i64),
    Alive,
}

fn came(chat: &Shared, frame: Option<Result<Frame, axum::Error>>) -> Result<Came, End> {
    match frame {
        None | Some(Ok(Frame::Close(_))) => Err(End::Gone),
        Some(Ok(Frame::Text(text))) if text.len() > FRAME_BYTES_MAX => Err(too_large(chat)),
        Some(Ok(Frame::Text(text))) => codec::read(&text).map(Came::Said).map_err(|_| {
            chat.counters.refuse("unreadable");
            End::BAD_FRAME
        }),
        Some(Ok(Frame::Binary(_))) => {
            chat.counters.refuse("binary");
            Err(End::Close(CLOSE_BINARY, "text frames only"))
        }
        Some(Ok(Frame::Ping(_))) => Ok(Came::Alive),
        Some(Ok(Frame::Pong(mark))) => {
            let mark = std::str::from_utf8(&mark).ok().and_then(|mark| mark.parse().ok());
            Ok(mark.map_or(Came::Alive, Came::Pong))
        }
        Some(Err(error)) => Err(broken(chat, &error)),
    }
}

/// What a broken read means: too large a frame and text that is no UTF-8 are answered, the rest is a lost connection.
fn broken(chat: &Shared, error: &axum::Error) -> End {
    let said = error.to_string();
    if said.contains("too long") || said.contains("too large") || said.contains("too big") {
        too_large(chat)
    } else if said.contains("UTF-8") || said.contains("utf-8") {
        chat.counters.refuse("unreadable");
        End::BAD_FRAME
    } else {
        End::Gone
    }
}

fn too_large(chat: &Shared) -> End {
    chat.counters.refuse("too_large");
    End::Close(CLOSE_TOO_LARGE, "at most 64 KiB")
}

async fn talk(chat: &Shared, visitor: &Visitor, wire: &mut Wire, stream: &mut SplitStream<WebSocket>) -> End {
    let hello = async {
        loop {
            match came(chat, stream.next().await)? {
                Came::Said(Said::Hello { session, after }) => return Ok((session, after)),
                Came::Said(_) => return Err(End::BAD_FRAME),
                Came::Pong(_) | Came::Alive => {}
            }
        }
    };
    let hello = tokio::select! {
        hello = timeout(HELLO_WITHIN, hello) => hello.unwrap_or(Err(End::BAD_FRAME)),
        () = chat.shutdown.cancelled() => Err(End::COME_AGAIN),
    };
    let greeted = match hello {
        Ok(_) if chat.measures.token(visitor.peer).is_err() => {
            chat.counters.refuse("hellos");
            Err(End::TooMuch)
        }
        Ok((token, after)) => Talk::begin(chat, visitor, &token, after, wire).await,
        Err(end) => Err(end),
    };
    let mut talk = match greeted {
        Ok(Some(talk)) => talk,
        Ok(None) => {
            chat.counters.refuse("session");
            return End::Close(CLOSE_NO_SESSION, "the session is unknown or over");
        }
        Err(end) => return end,
    };
    let end = listen(chat, &mut talk, wire, stream).await;
    talk.end(end == End::Lost).await;
    end
}

async fn listen(chat: &Shared, talk: &mut Talk, wire: &mut Wire, stream: &mut SplitStream<WebSocket>) -> End {
    let mut ping = interval_at(Instant::now() + chat.options.ping_every, chat.options.ping_every);
    let mut place = interval_at(Instant::now() + PLACE_EVERY, PLACE_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    place.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let cut = talk.line.cut.clone();
    let mut unanswered = 0;
    loop {
        let step = tokio::select! {
            biased;
            () = chat.shutdown.cancelled() => Err(End::COME_AGAIN),
            () = cut.cancelled() => {
                ChatCounters::count(&chat.counters.cut);
                Err(End::Close(CLOSE_COME_AGAIN, "too slow"))
            }
            Some(heard) = talk.line.heard.recv() => match heard {
                Heard::Event(event) => talk.event(&event, wire).await,
                Heard::Aside(aside) => talk.aside(&aside, wire).await,
            },
            published = talk.outbox.published() => talk.published(published, wire).await,
            frame = stream.next() => {
                unanswered = 0;
                match came(chat, frame) {
                    Ok(Came::Said(said)) => talk.said(said, wire).await,
                    Ok(Came::Pong(mark)) => {
                        talk.arrived(mark);
                        Ok(())
                    }
                    Ok(Came::Alive) => Ok(()),
                    Err(end) => Err(end),
                }
            }
            _ = place.tick(), if talk.waits() => talk.tell_state(wire, false).await,
            _ = ping.tick() => {
                if unanswered >= 2 {
                    return End::Lost;
                }
                unanswered += 1;
                match wire.tell(&Told::Beat).await {
                    Ok(()) => wire.ping(talk.mark()).await,
                    Err(end) => Err(end),
                }
            }
        };
        if let Err(end) = step {
            return end;
        }
    }
}
