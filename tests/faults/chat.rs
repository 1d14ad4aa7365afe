//! Citizens at the web chat: write with ids of their own, say again what was not accepted, resume on whichever process lives, and
//! write down what they were told and what came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::fleet::Fleet;

/// What a citizen writes last: the operator answers it and closes.
pub const GOODBYE: &str = "grazie, a posto così";
/// What a citizen writes in one chat; from the third on each waits for one answer more.
const WORDS: usize = 5;
/// A connection that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a chat may take.
const ENDED_WITHIN: Duration = Duration::from_secs(600);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a citizen knows of their chat.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// What they wrote, in order, each with the message that it was accepted as.
    pub words: Vec<(String, Option<String>)>,
    /// The messages that came, in order.
    pub received: Vec<String>,
    /// What should not have come.
    pub wrong: Vec<String>,
    /// Connections that they resumed with.
    pub resumed: usize,
}

/// One chat after the other until the fleet stops the load.
pub async fn come(fleet: Arc<Fleet>, place: usize) {
    let mut number = 0_u32;
    while fleet.takes_load() {
        let subject = format!("Chat-{place}-{number}");
        number += 1;
        fleet.ledger.attempted(&subject);
        let book = Citizen::new(&fleet, &subject).chat(&subject).await;
        fleet.ledger.chatted(book);
    }
}

struct Citizen<'f> {
    fleet: &'f Fleet,
    book: Book,
    session: Option<String>,
    last_seq: i64,
    answers: usize,
    ended: bool,
}

impl<'f> Citizen<'f> {
    fn new(fleet: &'f Fleet, subject: &str) -> Self {
        let word = |number| match number {
            0 => subject.to_owned(),
            _ if number == WORDS - 1 => format!("{subject} {GOODBYE}"),
            _ => format!("{subject} {number}"),
        };
        let book = Book { words: (0..WORDS).map(|number| (word(number), None)).collect(), ..Book::default() };
        Self { fleet, book, session: None, last_seq: 0, answers: 0, ended: false }
    }

    /// Writes until everything is said and the operator has closed.
    async fn chat(mut self, subject: &str) -> Book {
        let deadline = Instant::now() + ENDED_WITHIN;
        while !self.is_over() {
            assert!(Instant::now() < deadline, "{subject} did not end in time: {:?}", self.book);
            if let Some((socket, is_new)) = self.connect().await {
                self.book.resumed += usize::from(!is_new);
                let _lost = self.sit(socket).await;
            } else {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        self.book
    }

    fn is_over(&self) -> bool {
        self.ended && self.book.words.iter().all(|(_, accepted)| accepted.is_some())
    }

    /// A connection to a process that lives, and whether it is the chat's first.
    async fn connect(&mut self) -> Option<(Socket, bool)> {
        let url = format!("{}/chat/v1/urp-chat", self.fleet.addresses().await?.public);
        let is_new = self.session.is_none();
        if is_new {
            let about = json!({ "name": self.book.words[0].0, "language": "it", "privacy_accepted": true });
            let opened = self.fleet.http.post(format!("{url}/sessions")).json(&about).send().await.ok()?;
            self.session = Some(opened.json::<Value>().await.ok()?["session"].as_str()?.to_owned());
        }
        let mut request = format!("{}/socket", url.replacen("http", "ws", 1)).into_client_request().ok()?;
        request.headers_mut().insert("sec-websocket-protocol", "sportello.chat.v1".parse().ok()?);
        let connecting = tokio::time::timeout(PATIENCE, tokio_tungstenite::connect_async(request));
        let (mut socket, _) = connecting.await.ok()?.ok()?;
        let after = (self.last_seq > 0).then_some(self.last_seq);
        let hello = json!({ "type": "hello", "session": self.session, "after": after });
        socket.send(Message::text(hello.to_string())).await.ok()?;
        Some((socket, is_new))
    }

    /// One connection, to its end or to the chat's.
    async fn sit(&mut self, mut socket: Socket) -> Option<()> {
        let (mut welcome, mut next) = (false, 0);
        while !self.is_over() {
            while welcome && next < WORDS && next <= self.answers + 1 {
                let (text, accepted) = &self.book.words[next];
                if accepted.is_none() && !self.ended {
                    let frame = json!({ "type": "message", "id": format!("w-{next}"), "text": text, "files": [] });
                    socket.send(Message::text(frame.to_string())).await.ok()?;
                }
                next += 1;
            }
            let frame = tokio::time::timeout(PATIENCE, socket.next()).await.ok()??.ok()?;
            let Message::Text(text) = frame else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            welcome |= frame["type"] == "welcome";
            self.read(&frame)?;
        }
        Some(())
    }

    /// None: what was said must be said again.
    fn read(&mut self, frame: &Value) -> Option<()> {
        match frame["type"].as_str().unwrap_or_default() {
            "welcome" => {
                for message in frame["messages"].as_array().into_iter().flatten() {
                    self.receive(message);
                }
                self.ended = frame["state"]["status"] == "ended";
            }
            "message" => self.receive(frame),
            "state" => self.ended = frame["status"] == "ended",
            "accepted" => self.accepted(&frame["id"], &frame["message"]),
            "refused" if frame["code"] == "later" => return None,
            "refused" => self.book.wrong.push(frame.to_string()),
            _ => {}
        }
        Some(())
    }

    /// Each number above the last one.
    fn receive(&mut self, message: &Value) {
        let (seq, id) = (message["seq"].as_i64().unwrap(), message["id"].as_str().unwrap().to_owned());
        if seq <= self.last_seq {
            self.book.wrong.push(format!("{id} came as {seq} after {}", self.last_seq));
        }
        self.last_seq = self.last_seq.max(seq);
        self.book.received.push(id);
        match message["from"].as_str() {
            // it came back: that says as much as an acceptance that was lost
            Some("citizen") => self.accepted(&message["client_id"], &message["id"]),
            _ => self.answers += 1,
        }
    }

    fn accepted(&mut self, client_id: &Value, message: &Value) {
        let number: usize = client_id.as_str().and_then(|id| id.strip_prefix("w-")?.parse().ok()).unwrap();
        let message = message.as_str().unwrap();
        let (text, accepted) = &mut self.book.words[number];
        if number == 0 {
            self.fleet.ledger.acknowledged(text);
        }
        if accepted.get_or_insert_with(|| message.to_owned()) != message {
            self.book.wrong.push(format!("{text} is {accepted:?} and {message}"));
        }
    }
}
