//! A citizen's browser as far as the chat goes: opens a session, says hello, keeps every frame, and can misbehave.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::daemon::{DEADLINE, House};

/// The example plan's chat account.
pub const ACCOUNT: &str = "urp-chat";

/// A citizen with a session.
#[derive(Clone)]
pub struct Citizen {
    pub url: String,
    pub token: String,
    pub http: reqwest::Client,
}

impl Citizen {
    /// Opens a session.
    pub async fn with(house: &House, about: Value) -> Self {
        let (url, http) = (format!("{}/chat/v1/{ACCOUNT}", house.at.public), reqwest::Client::new());
        let answer = http.post(format!("{url}/sessions")).json(&about).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        let opened: Value = answer.json().await.unwrap();
        Self { url, token: opened["session"].as_str().unwrap().to_owned(), http }
    }

    /// Opens a session about a topic.
    pub async fn about(house: &House, name: &str, topic: &str) -> Self {
        Self::with(house, json!({ "name": name, "topic": topic, "language": "it", "privacy_accepted": true })).await
    }

    /// Connects without a word.
    pub async fn socket(&self, origin: Option<&str>) -> Tab {
        let mut request = format!("{}/socket", self.url.replacen("http", "ws", 1)).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "sportello.chat.v1".parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        // the test sends more than the server takes
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let (socket, _) = tokio_tungstenite::connect_async_with_config(request, Some(config), false).await.expect("the socket opens");
        let (frames, changed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(watch::channel(()).0));
        let (words, mut to_send) = mpsc::unbounded_channel::<Message>();
        let deaf = Arc::new(watch::channel(false).0);
        let mut is_deaf = deaf.subscribe();
        let (kept, told) = (Arc::clone(&frames), Arc::clone(&changed));
        let task = tokio::spawn(async move {
            let (mut sink, mut stream) = socket.split();
            loop {
                tokio::select! {
                    _ = is_deaf.changed() => std::future::pending::<()>().await,
                    Some(word) = to_send.recv() => { let _ = sink.send(word).await; }
                    frame = stream.next() => {
                        let frame = match frame {
                            Some(Ok(Message::Text(text))) => serde_json::from_str(text.as_str()).unwrap(),
                            Some(Ok(Message::Close(close))) => json!({
                                "type": "close",
                                "code": close.as_ref().map(|close| u16::from(close.code)),
                                "reason": close.map(|close| close.reason.as_str().to_owned()),
                            }),
                            Some(Ok(_)) => continue,
                            Some(Err(_)) | None => json!({ "type": "end" }),
                        };
                        let is_end = frame["type"] == "end";
                        kept.lock().unwrap().push(frame);
                        let _ = told.send(());
                        if is_end { return }
                    }
                }
            }
        });
        Tab { frames, changed, words, deaf, task }
    }

    /// Connects and says hello; the welcome.
    pub async fn hello(&self, after: Option<i64>) -> (Tab, Value) {
        let tab = self.socket(None).await;
        tab.say(json!({ "type": "hello", "session": self.token, "after": after, "language": "it" }));
        let welcome = tab.frame("the welcome", |frame| frame["type"] == "welcome").await;
        (tab, welcome)
    }

    /// A request to the account with the session's token.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }
}

/// A tab of a citizen's browser.
pub struct Tab {
    frames: Arc<Mutex<Vec<Value>>>,
    changed: Arc<watch::Sender<()>>,
    words: mpsc::UnboundedSender<Message>,
    deaf: Arc<watch::Sender<bool>>,
    task: tokio::task::JoinHandle<()>,
}

impl Tab {
    /// Neither reads nor answers from now on, but stays connected.
    pub fn fall_silent(&self) {
        self.deaf.send_replace(true);
    }

    /// Sends a frame.
    pub fn say(&self, frame: Value) {
        self.words.send(Message::text(frame.to_string())).unwrap();
    }

    /// Sends whatever it is.
    pub fn send(&self, message: Message) {
        let _ = self.words.send(message);
    }

    /// The first frame that fits, past or to come.
    pub async fn frame(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut changed = self.changed.subscribe();
        let wait = async {
            loop {
                if let Some(frame) = self.frames.lock().unwrap().iter().find(|frame| fits(frame)) {
                    return frame.clone();
                }
                changed.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(frame) => frame,
            Err(_) => panic!("waited {DEADLINE:?} for {what}; came: {:#?}", self.frames.lock().unwrap()),
        }
    }

    /// Writes a message and waits until it is accepted.
    pub async fn write(&self, id: &str, text: &str) -> Value {
        self.say(json!({ "type": "message", "id": id, "text": text, "files": [] }));
        self.accepted(id).await
    }

    /// The acceptance of a message.
    pub async fn accepted(&self, id: &str) -> Value {
        self.frame(&format!("{id} is accepted"), |frame| frame["type"] == "accepted" && frame["id"] == id).await
    }

    /// The state of this name.
    pub async fn status(&self, status: &str) -> Value {
        self.frame(status, |frame| frame["type"] == "state" && frame["status"] == status).await
    }

    /// The message with this text.
    pub async fn message(&self, text: &str) -> Value {
        self.frame(text, |frame| frame["type"] == "message" && frame["text"] == text).await
    }

    /// Why a frame was refused.
    pub async fn refused(&self, code: &str) -> Value {
        self.frame(code, |frame| frame["type"] == "refused" && frame["code"] == code).await
    }

    /// Everything that came so far.
    pub fn all(&self) -> Vec<Value> {
        self.frames.lock().unwrap().clone()
    }

    /// The texts of the messages that came, welcome first.
    pub fn texts(&self) -> Vec<String> {
        let text = |message: &Value| message["text"].as_str().unwrap().to_owned();
        let mut texts = Vec::new();
        for frame in self.all() {
            match frame["type"].as_str() {
                Some("welcome") => texts.extend(frame["messages"].as_array().unwrap().iter().map(text)),
                Some("message") => texts.push(text(&frame)),
                _ => {}
            }
        }
        texts
    }

    /// The highest number seen on a message.
    pub fn last_seq(&self) -> i64 {
        let mut seqs = vec![0];
        for frame in self.all() {
            match frame["type"].as_str() {
                Some("welcome") => {
                    seqs.extend(frame["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_i64().unwrap()))
                }
                Some("message") => seqs.push(frame["seq"].as_i64().unwrap()),
                _ => {}
            }
        }
        seqs.into_iter().max().unwrap()
    }

    /// How the other side closed it: code and reason.
    pub async fn closed(&self) -> (Option<u64>, String) {
        let frame = self.frame("the end", |frame| frame["type"] == "close" || frame["type"] == "end").await;
        (frame["code"].as_u64(), frame["reason"].as_str().unwrap_or_default().to_owned())
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.task.abort();
    }
}
