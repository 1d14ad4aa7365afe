//! Who meets the daemon: people at the desk with their live feed, programs at the channel API, citizens who write mail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::daemon::{DEADLINE, House, eventually};

/// Somebody signed in at the desk.
#[derive(Clone)]
pub struct Person {
    url: String,
    cookie: String,
    http: reqwest::Client,
    pub id: String,
}

impl Person {
    /// Signs in with the password the daemon printed.
    pub async fn sign_in(house: &House, login: &str) -> Self {
        Self::with_password(house, login, &house.passwords[login]).await.expect("a good password signs in")
    }

    /// Signs in; none if refused.
    pub async fn with_password(house: &House, login: &str, password: &str) -> Option<Self> {
        let (url, http) = (house.at.desk.clone(), reqwest::Client::new());
        let body = json!({ "login": login, "password": password });
        let answer = http.post(format!("{url}/api/v1/session")).json(&body).send().await.unwrap();
        if answer.status() == 401 {
            return None;
        }
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let me: Value = answer.json().await.unwrap();
        Some(Self { url, cookie, http, id: me["operator"].as_str().unwrap().to_owned() })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.url)).header("cookie", &self.cookie)
    }

    /// Reads something that must be there.
    pub async fn get(&self, path: &str) -> Value {
        answer(self.request(Method::GET, path), path).await
    }

    /// The status of reading something.
    pub async fn status(&self, path: &str) -> u16 {
        self.request(Method::GET, path).send().await.unwrap().status().as_u16()
    }

    /// Saves a file that must be there; its type as it is told, and its bytes.
    pub async fn file(&self, path: &str) -> (String, Vec<u8>) {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, answer.bytes().await.unwrap().to_vec())
    }

    /// Asks for something that must be done.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        answer(self.request(Method::POST, path).json(&body), path).await
    }

    /// Asks for something that may be refused; status and body.
    pub async fn try_post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.request(Method::POST, path).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// The same with PUT.
    pub async fn put(&self, path: &str, body: Value) -> Value {
        answer(self.request(Method::PUT, path).json(&body), path).await
    }

    /// Opens the live feed.
    pub async fn live(&self, after: Option<i64>) -> Live {
        let after = after.map(|seq| format!("?after={seq}")).unwrap_or_default();
        let mut request = format!("{}/api/v1/live{after}", self.url.replacen("http", "ws", 1)).into_client_request().unwrap();
        request.headers_mut().insert("cookie", self.cookie.parse().unwrap());
        request.headers_mut().insert("origin", self.url.parse().unwrap());
        let (socket, _) = tokio_tungstenite::connect_async(request).await.expect("the live feed opens");
        let (frames, changed) = (Arc::new(Mutex::new(Vec::new())), watch::channel(()).0);
        let changed = Arc::new(changed);
        let (orders, mut to_send) = mpsc::unbounded_channel::<Value>();
        let (kept, told) = (Arc::clone(&frames), Arc::clone(&changed));
        let task = tokio::spawn(async move {
            let (mut sink, mut stream) = socket.split();
            loop {
                tokio::select! {
                    Some(order) = to_send.recv() => { let _ = sink.send(Message::text(order.to_string())).await; }
                    frame = stream.next() => {
                        let frame = match frame {
                            Some(Ok(Message::Text(text))) => serde_json::from_str(text.as_str()).unwrap(),
                            Some(Ok(Message::Close(close))) => json!({ "type": "close", "code": close.map(|close| u16::from(close.code)) }),
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
        let live = Live { frames, changed, orders, task };
        live.frame("the greeting", |frame| frame["type"] == "hello").await;
        live
    }

    /// Opens the live feed and takes contacts from now on.
    pub async fn ready(&self) -> Live {
        let live = self.live(None).await;
        // The engine hears of the console a moment after the greeting.
        eventually("the operator is ready", async || {
            let body = json!({ "state": "ready" });
            let answer = self.request(Method::PUT, "/presence").json(&body).send().await.unwrap();
            answer.status().is_success().then_some(())
        })
        .await;
        live
    }

    /// The contact with this subject, as soon as it is this person's own, opened at last.
    pub async fn own(&self, subject: &str) -> Value {
        eventually(&format!("`{subject}` reaches its operator"), async || {
            let state = self.get("/state").await;
            state["contacts"].as_array()?.iter().find(|contact| contact["subject"] == subject).cloned()
        })
        .await
    }

    /// The entries of a conversation.
    pub async fn entries(&self, contact: &Value) -> Vec<Value> {
        let conversation = self.get(&format!("/conversations/{}", text(&contact["conversation"]))).await;
        conversation["entries"].as_array().unwrap().clone()
    }
}

async fn answer(request: RequestBuilder, path: &str) -> Value {
    let answer = request.send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{path}: {status} {body}");
    if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() }
}

/// A text of a document.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A console's live feed.
pub struct Live {
    frames: Arc<Mutex<Vec<Value>>>,
    changed: Arc<watch::Sender<()>>,
    orders: mpsc::UnboundedSender<Value>,
    task: tokio::task::JoinHandle<()>,
}

impl Live {
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

    /// The event of this name about this contact.
    pub async fn event(&self, name: &str, contact: &str) -> Value {
        let fits = |frame: &Value| frame["event"]["event"] == name && frame["event"]["about"]["contact"] == contact;
        self.frame(&format!("{name} of {contact}"), fits).await["event"].clone()
    }

    /// The first offer that is not about one of `known`.
    pub async fn offer(&self, known: &[String]) -> (String, u64) {
        let is_new = |frame: &Value| {
            let contact = frame["event"]["about"]["contact"].as_str();
            frame["event"]["event"] == "offer.made" && !known.iter().any(|known| Some(known.as_str()) == contact)
        };
        let event = self.frame("another offer", is_new).await["event"].clone();
        (text(&event["about"]["contact"]), event["ordinal"].as_u64().unwrap())
    }

    /// Sends a command by the socket; its reply.
    pub async fn command(&self, mut order: Value) -> Value {
        let id = format!("cm_{:032x}", rand::random::<u128>());
        order["id"] = json!(id);
        self.orders.send(order).unwrap();
        self.frame("a reply", |frame| frame["type"] == "reply" && frame["id"] == id).await["reply"].clone()
    }

    /// Says something that has no answer.
    pub fn say(&self, frame: Value) {
        self.orders.send(frame).unwrap();
    }

    /// Whether anything rang so far.
    pub fn has_offer(&self) -> bool {
        self.frames.lock().unwrap().iter().any(|frame| frame["event"]["event"] == "offer.made")
    }

    /// The highest sequence number seen.
    pub fn last_seq(&self) -> i64 {
        let frames = self.frames.lock().unwrap();
        frames.iter().filter_map(|frame| frame["event"]["seq"].as_i64().or(frame["seq"].as_i64())).max().unwrap()
    }

    /// How the other side closed it.
    pub async fn close_code(&self) -> Option<u64> {
        self.frame("the end", |frame| frame["type"] == "close" || frame["type"] == "end").await["code"].as_u64()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A program with a token at the channel API.
pub struct Program {
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Program {
    pub fn new(house: &House, token: &str) -> Self {
        Self { url: house.at.desk.clone(), token: token.to_owned(), http: reqwest::Client::new() }
    }

    fn request(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.http.post(format!("{}/channel/v1{path}", self.url)).bearer_auth(&self.token);
        request.header("content-type", "application/json").body(body)
    }

    /// A raw request; status and body.
    pub async fn send(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        answer_of(self.request(path, body)).await
    }

    /// Something that must be accepted; the input's id.
    pub async fn accepted(&self, path: &str, body: Value) -> String {
        input_of(self.request(path, body.to_string())).await
    }

    /// A call; the input's id.
    pub async fn call(&self, external_id: &str) -> String {
        self.accepted("/contacts", call(external_id)).await
    }

    /// A call within a trace that the program began; the input's id.
    pub async fn call_in_trace(&self, external_id: &str, traceparent: &str) -> String {
        input_of(self.request("/contacts", call(external_id).to_string()).header("traceparent", traceparent)).await
    }

    /// What became of an input, as soon as it fits.
    pub async fn status(&self, input: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let path = format!("{}/channel/v1/inputs/{input}", self.url);
        eventually(what, async || {
            let answer = self.http.get(&path).bearer_auth(&self.token).send().await.unwrap();
            let status: Value = answer.json().await.ok()?;
            fits(&status).then_some(status)
        })
        .await
    }

    /// The contact that an input opened.
    pub async fn contact(&self, input: &str) -> String {
        text(&self.status(input, "the contact", |status| status["contact"]["id"].is_string()).await["contact"]["id"])
    }
}

fn call(external_id: &str) -> Value {
    json!({ "external_id": external_id, "from": { "address": "+390471123456" }, "subject": external_id, "language": "it", "attributes": { "menu": "2" } })
}

async fn answer_of(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

async fn input_of(request: RequestBuilder) -> String {
    let (status, answer) = answer_of(request).await;
    assert_eq!(status, 202, "{answer}");
    text(&answer["input"])
}

/// Hands a mail in by SMTP; the first answer that is no 2xx or 3xx, or the last one.
pub async fn mail(house: &House, from: &str, to: &str, content: &[u8]) -> String {
    let stream = TcpStream::connect(&house.at.smtp).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut answer = reply(&mut stream).await;
    let mut body: Vec<u8> = content.to_vec();
    body.extend_from_slice(b"\r\n.\r\n");
    let steps: [Vec<u8>; 5] = [
        b"EHLO client.example\r\n".to_vec(),
        format!("MAIL FROM:<{from}>\r\n").into_bytes(),
        format!("RCPT TO:<{to}>\r\n").into_bytes(),
        b"DATA\r\n".to_vec(),
        body,
    ];
    for step in steps {
        stream.get_mut().write_all(&step).await.unwrap();
        answer = reply(&mut stream).await;
        if !answer.starts_with(['2', '3']) {
            break;
        }
    }
    answer
}

async fn reply(stream: &mut BufReader<TcpStream>) -> String {
    let mut answer = String::new();
    loop {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(60), stream.read_line(&mut line)).await.expect("an answer").unwrap();
        answer.push_str(&line);
        if read == 0 || line.as_bytes().get(3) == Some(&b' ') {
            return answer;
        }
    }
}

/// A citizen's plain letter, accepted.
pub async fn letter(house: &House, from: &str, to: &str, subject: &str, words: &str) {
    let id = format!("{:016x}@citizen.example", rand::random::<u64>());
    let content = format!("From: Mario Bianchi <{from}>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\n\r\n{words}\r\n");
    let answer = mail(house, from, to, content.as_bytes()).await;
    assert!(answer.starts_with("250"), "{answer}");
}
