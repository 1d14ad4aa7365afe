//! The room: operators who are signed in, each with one console's WebSocket, who take whatever rings, open whatever they are given, and
//! close or answer it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::now_micros;

/// Accounts made at once: each password costs a hash of 19 MiB.
const ACCOUNTS_AT_ONCE: usize = 2;
/// How long everybody may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// What an operator says first to whoever they took.
pub const GREETING: &str = "Buongiorno, come posso aiutarla?";
/// What an answer begins with; the id of the message follows.
pub const ANSWER: &str = "Certo: il certificato si ritira allo sportello, dal lunedì al venerdì dalle 9 alle 12, con un documento valido.";

/// What operators do with what they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Close it at once.
    Close,
    /// Greet the citizen, keep it, and answer each message at once.
    Answer,
}

impl Manner {
    /// The units for live contacts that it takes: one call, or a dozen chats.
    fn live_units(self) -> u16 {
        match self {
            Self::Close => 100,
            Self::Answer => 400,
        }
    }
}

/// What the operators did.
#[derive(Default)]
pub struct Tally {
    /// Closes confirmed.
    pub closed: AtomicU64,
    /// Commands refused.
    pub refused: AtomicU64,
    /// When each contact first rang or was given to somebody, or each message, was seen, microseconds UTC.
    pub seen: Mutex<HashMap<String, i64>>,
    ready: AtomicU64,
    first_refusal: Mutex<Option<String>>,
}

/// Operators at work.
pub struct Room {
    /// What they did.
    pub tally: Arc<Tally>,
    /// A place for each contact that may wait for an operator: given back when one has it.
    pub places: Arc<Semaphore>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// The desk's API as its first administrator.
pub struct Admin {
    client: Client,
    visitor: Client,
    base: String,
}

impl Admin {
    /// Signs in.
    pub async fn sign_in(desk: &str, login: &str, password: &str) -> anyhow::Result<Self> {
        let client = Client::builder().cookie_store(true).build()?;
        let base = format!("{}/api/v1", desk.trim_end_matches('/'));
        let answer = client.post(format!("{base}/session")).json(&json!({"login": login, "password": password})).send().await?;
        ensure!(answer.status().is_success(), "signing in: {} {}", answer.status(), answer.text().await?);
        Ok(Self { client, visitor: Client::new(), base })
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let answer = self.client.post(format!("{}{path}", self.base)).json(&body).send().await?;
        ensure!(answer.status().is_success(), "POST {path}: {} {}", answer.status(), answer.text().await?);
        Ok(answer.json().await?)
    }

    /// Makes an operator of the example plan who can take every contact, and signs them in; returns their cookie.
    async fn operator(&self, number: usize, manner: Manner) -> anyhow::Result<String> {
        let account = json!({
            "login": format!("bench-{number}"), "name": format!("Operatore {number}"), "password": format!("bench-password-{number}"),
            "profile": {"administrations": ["comune"], "offices": ["urp"], "skills": {"accoglienza": 5}, "languages": ["it", "de"],
                "capacity": {"live_units": manner.live_units()}},
            "grants": [{"role": "operator", "scope": {"pool": "main"}, "content": true}],
        });
        self.post("/operators", account).await?;
        let person = json!({"login": format!("bench-{number}"), "password": format!("bench-password-{number}")});
        let answer = self.visitor.post(format!("{}/session", self.base)).json(&person).send().await?;
        ensure!(answer.status().is_success(), "signing in bench-{number}: {} {}", answer.status(), answer.text().await?);
        let cookie = answer.headers().get("set-cookie").context("a session begins with a cookie")?.to_str()?;
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    /// Makes a token of the channel API.
    pub async fn token(&self, account: &str) -> anyhow::Result<String> {
        let made = self.post("/tokens", json!({"name": format!("bench-{account}"), "account": account})).await?;
        Ok(made["token"].as_str().context("a token is a text")?.to_owned())
    }
}

impl Room {
    /// Makes `operators` accounts, connects each, and waits until all are ready.
    pub async fn open(admin: &Admin, desk: &str, operators: usize, places: usize, manner: Manner) -> anyhow::Result<Self> {
        Self::connect(desk, &Self::accounts(admin, operators, manner).await?, places, manner).await
    }

    /// Makes accounts and signs them in: their cookies.
    pub async fn accounts(admin: &Admin, operators: usize, manner: Manner) -> anyhow::Result<Vec<String>> {
        let made = stream::iter(0..operators).map(|number| admin.operator(number, manner)).buffer_unordered(ACCOUNTS_AT_ONCE);
        made.try_collect().await
    }

    /// Connects who has these cookies, and waits until all are ready.
    pub async fn connect(desk: &str, cookies: &[String], places: usize, manner: Manner) -> anyhow::Result<Self> {
        let operators = cookies.len();
        let (tally, places) = (Arc::new(Tally::default()), Arc::new(Semaphore::new(places)));
        let mut tasks = Vec::new();
        for (number, cookie) in cookies.iter().enumerate() {
            let socket = connect(desk, cookie).await?;
            let (number, tally, places) = (number as u64, Arc::clone(&tally), Arc::clone(&places));
            let operator = Operator { number, manner, tally, places, sent: 0, taken: HashMap::new() };
            tasks.push(tokio::spawn(async move {
                if let Err(error) = operator.work(socket).await {
                    eprintln!("operator {number} stops working: {error:#}");
                }
            }));
        }
        let deadline = Instant::now() + READY_WITHIN;
        while tally.ready.load(Ordering::Relaxed) < operators as u64 {
            if Instant::now() > deadline {
                bail!("only {} of {operators} operators are ready: {:?}", tally.ready.load(Ordering::Relaxed), tally.first_refusal());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { tally, places, tasks })
    }

    /// Everybody goes home.
    pub fn close(self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Tally {
    /// Why a command was refused, the first time.
    pub fn first_refusal(&self) -> Option<String> {
        self.first_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn see(&self, id: &str) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).entry(id.to_owned()).or_insert_with(now_micros);
    }

    /// Takes the times seen so far.
    pub fn take_seen(&self) -> HashMap<String, i64> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(desk: &str, cookie: &str) -> anyhow::Result<Socket> {
    let url = format!("{}/api/v1/live", desk.trim_end_matches('/').replacen("http", "ws", 1));
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("cookie", cookie.parse()?);
    let small = WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(4 * 1024);
    let (socket, _) = tokio_tungstenite::connect_async_with_config(request, Some(small), true).await.context("a console cannot connect")?;
    Ok(socket)
}

/// One operator: one console.
struct Operator {
    number: u64,
    manner: Manner,
    tally: Arc<Tally>,
    places: Arc<Semaphore>,
    sent: u64,
    taken: HashMap<String, Step>,
}

/// What an operator waits for.
enum Step {
    Ready,
    /// Accepted, or opened: theirs to work on.
    Taken(String),
    Answered,
    Closed,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: Option<&'a str>,
    #[serde(borrow)]
    event: Option<Event<'a>>,
    #[serde(borrow)]
    reply: Option<Reply<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    event: &'a str,
    ordinal: Option<u32>,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    #[serde(borrow)]
    about: Option<About<'a>>,
}

#[derive(Deserialize)]
struct About<'a> {
    contact: &'a str,
}

#[derive(Deserialize)]
struct Reply<'a> {
    outcome: &'a str,
    code: Option<&'a str>,
}

impl Operator {
    async fn work(mut self, mut socket: Socket) -> anyhow::Result<()> {
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else { continue };
            // most frames tell of what this operator did: not worth reading
            if !["\"offer.made\"", "\"contact.assigned\"", "\"message.received\"", "\"type\":\"reply\"", "\"type\":\"hello\""]
                .iter()
                .any(|word| text.contains(word))
            {
                continue;
            }
            let frame: Frame<'_> = serde_json::from_str(&text)?;
            let command = match (frame.kind, frame.event, frame.reply) {
                ("hello", ..) => Some(self.command(Step::Ready, "\"do\":\"ready\"")),
                (_, Some(event), _) if event.event == "offer.made" => self.offered(&event),
                (_, Some(event), _) if event.event == "contact.assigned" => self.given(&event),
                (_, Some(event), _) if event.event == "message.received" => self.written_to(&event),
                (_, _, Some(reply)) => self.answered(frame.id, &reply),
                _ => None,
            };
            if let Some(command) = command {
                socket.send(Message::text(command)).await?;
            }
        }
        bail!("the desk closed the console")
    }

    /// Takes what rings, at once.
    fn offered(&mut self, event: &Event<'_>) -> Option<String> {
        let contact = event.about.as_ref()?.contact;
        let ordinal = event.ordinal?;
        self.tally.see(contact);
        self.places.add_permits(1);
        let wish = format!(r#""do":"accept","contact":"{contact}","ordinal":{ordinal}"#);
        Some(self.command(Step::Taken(contact.to_owned()), &wish))
    }

    /// Opens what the router gives without its ringing, at once: a call that was not admitted as a live one, for its queue was full.
    fn given(&mut self, event: &Event<'_>) -> Option<String> {
        let contact = event.about.as_ref().filter(|_| event.reason == Some("routed"))?.contact;
        self.tally.see(contact);
        self.places.add_permits(1);
        Some(self.command(Step::Taken(contact.to_owned()), &format!(r#""do":"touch","contact":"{contact}""#)))
    }

    /// Answers what a citizen wrote, at once; the answer says to what.
    fn written_to(&mut self, event: &Event<'_>) -> Option<String> {
        let (contact, message) = (event.about.as_ref()?.contact, event.message.filter(|_| self.manner == Manner::Answer)?);
        self.tally.see(message);
        Some(self.command(Step::Answered, &format!(r#""do":"reply","contact":"{contact}","text":"{ANSWER} {message}""#)))
    }

    /// Closes what was taken, at once, or greets the citizen.
    fn answered(&mut self, id: Option<&str>, reply: &Reply<'_>) -> Option<String> {
        let step = self.taken.remove(id?)?;
        if reply.outcome != "applied" {
            self.tally.refused.fetch_add(1, Ordering::Relaxed);
            let mut first = self.tally.first_refusal.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| format!("{} {}", reply.outcome, reply.code.unwrap_or_default()));
            return None;
        }
        match step {
            Step::Ready => {
                self.tally.ready.fetch_add(1, Ordering::Relaxed);
                None
            }
            Step::Answered => None,
            Step::Taken(contact) if self.manner == Manner::Answer => {
                let wish = format!(r#""do":"reply","contact":"{contact}","text":"{GREETING}""#);
                Some(self.command(Step::Answered, &wish))
            }
            Step::Taken(contact) => {
                let wish = format!(r#""do":"close","contact":"{contact}","resolution":"resolved""#);
                Some(self.command(Step::Closed, &wish))
            }
            Step::Closed => {
                self.tally.closed.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    fn command(&mut self, step: Step, wish: &str) -> String {
        self.sent += 1;
        let id = format!("cm_{:016x}{:016x}", self.number + 1, self.sent);
        let frame = format!(r#"{{"id":"{id}",{wish}}}"#);
        self.taken.insert(id, step);
        frame
    }
}
