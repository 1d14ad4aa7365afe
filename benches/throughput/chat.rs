//! Chats: citizens at the web chat's sockets and operators who answer each message at once. How long a message takes to the
//! operator's console, the answer to the citizen's browser, and what an open chat costs in memory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::report::Report;
use crate::room::{ANSWER, GREETING, Manner, Room, Tally};
use crate::shape::{Installation, OPERATORS, SETTLE_WITHIN, histogram};
use crate::{Setup, machine, now_micros};

/// Open chats: ten for each operator.
const CHATS: usize = 2_000;
/// Messages of citizens a second; each is answered, so twice as many messages go by.
const RATE: f64 = 100.0;
/// Chats opened at once: the example's queue takes 50 that wait.
const OPENING: usize = 32;
/// The most that an open chat should hold of the daemon's memory, in kB.
const CHAT_KB: f64 = 40.0;

/// At 2,000 open chats and 200 messages a second, half of them answers.
pub async fn measure(setup: &Setup, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    // all citizens come from one address and to one account, which have their measure otherwise
    let measures = ["sessions_per_minute", "sockets_per_account_max", "sockets_per_address_max"];
    let settings = measures.map(|key| (format!("webchat.{key}"), "100000".to_owned()));
    let settings: Vec<(&str, String)> = settings.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let (it, start) = Installation::one(setup, folder, "chat", &settings).await?;
    let cookies = Room::accounts(&it.admin, OPERATORS, Manner::Answer).await?;
    // a process in which no password was hashed: what the allocator keeps of 200 hashes is more than 2,000 chats take
    let mut it = it.again(&start).await?;
    let (daemon, public) = (it.daemons[0].id(), it.daemons[0].public()?);
    let room = Room::connect(&it.desk, &cookies, 0, Manner::Answer).await?;
    let before = machine::memory_mb(daemon, "VmRSS");
    let mut chats = Chats::open(&public, CHATS).await?;
    chats.each_once();
    chats.settle(&room.tally).await?;
    it.database.analyze().await?;
    let open = machine::memory_mb(daemon, "VmRSS");
    report.add("chats: memory without any", "MB", before);
    report.add("chats: memory with 2,000 of them", "MB", open);
    report.add(MEMORY, "kB/chat", (open - before) * 1024.0 / CHATS as f64);
    report.aim(MEMORY, CHAT_KB);
    for _ in 0..setup.runs {
        chats.take_times();
        room.tally.take_seen();
        let cpu = machine::cpu_seconds();
        let began = Instant::now();
        chats.open_loop(RATE, setup.seconds).await?;
        chats.settle(&room.tally).await?;
        let took = began.elapsed().as_secs_f64();
        for (group, seconds) in machine::used(&cpu, &machine::cpu_seconds()) {
            report.add(format!("chats: processor, {group}"), "of a core", seconds / took);
        }
        measure_times(chats.take_times(), &room.tally.take_seen(), report)?;
    }
    // what opened a chat was greeted
    let written = chats.written + CHATS as u64;
    for (what, sql, expected) in [
        ("chats", "select count(*) from contact", CHATS as u64),
        ("messages of citizens", "select count(*) from message where direction = 'inbound'", written),
        ("answers", "select count(*) from message where direction = 'outbound'", written),
        ("in quarantine", "select count(*) from quarantine", 0),
    ] {
        let found = it.database.number(sql).await?;
        ensure!(found == expected as i64, "conservation: {expected} {what} by the citizens' book, {found} in the database");
    }
    report.add("chats: memory after the runs", "MB", machine::memory_mb(daemon, "VmRSS"));
    drop(chats);
    room.close();
    it.stop().await
}

/// The figure with a target.
const MEMORY: &str = "chats: memory of an open chat";

fn measure_times(times: Times, seen: &HashMap<String, i64>, report: &mut Report) -> anyhow::Result<()> {
    let (mut there, mut back, mut both) = (histogram()?, histogram()?, histogram()?);
    ensure!(times.accepted.len() == times.answered.len(), "{} accepted, {} answered", times.accepted.len(), times.answered.len());
    let micros = |from: i64, to: i64| (to - from).max(1).unsigned_abs();
    for (message, intended) in &times.accepted {
        let seen = *seen.get(message).with_context(|| format!("no operator saw {message}"))?;
        let answered = *times.answered.get(message).with_context(|| format!("{message} was not answered"))?;
        there.record(micros(*intended, seen))?;
        back.record(micros(seen, answered))?;
        both.record(micros(*intended, answered))?;
    }
    for (what, times) in [("citizen to operator", there), ("answer to citizen", back), ("there and back", both)] {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            report.add(format!("chats, {what}: {name}"), "ms", times.value_at_quantile(quantile) as f64 / 1000.0);
        }
    }
    Ok(())
}

/// What citizens' browsers were told, by message.
#[derive(Debug, Default)]
struct Times {
    /// When each accepted message should have been sent, microseconds UTC.
    accepted: HashMap<String, i64>,
    /// When its answer came.
    answered: HashMap<String, i64>,
}

#[derive(Debug, Default)]
struct Book {
    times: Mutex<Times>,
    accepted: AtomicU64,
    answered: AtomicU64,
    /// Why a browser stopped, the first time.
    trouble: Mutex<Option<String>>,
}

/// Citizens with a chat each.
#[derive(Default)]
struct Chats {
    book: Arc<Book>,
    citizens: Vec<mpsc::UnboundedSender<i64>>,
    tasks: Vec<JoinHandle<()>>,
    next: usize,
    /// Messages written since the chats were opened.
    written: u64,
}

impl Drop for Chats {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Chats {
    /// Opens so many, each greeted by its operator.
    async fn open(public: &str, count: usize) -> anyhow::Result<Self> {
        let (base, client) = (format!("{}/chat/v1/urp-chat", public.trim_end_matches('/')), Client::new());
        let browsers = stream::iter(0..count).map(|number| Browser::open(&client, &base, number)).buffer_unordered(OPENING);
        let browsers: Vec<Browser> = browsers.try_collect().await?;
        let mut chats = Self::default();
        for browser in browsers {
            let (citizen, wishes) = mpsc::unbounded_channel();
            let book = Arc::clone(&chats.book);
            chats.tasks.push(tokio::spawn(async move {
                if let Err(error) = browser.chat(wishes, &book).await {
                    book.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| format!("{error:#}"));
                }
            }));
            chats.citizens.push(citizen);
        }
        Ok(chats)
    }

    /// Every citizen writes once.
    fn each_once(&mut self) {
        for _ in 0..self.citizens.len() {
            self.write(now_micros());
        }
    }

    /// Citizens write in turn at random times (Poisson), `rate` a second on average.
    async fn open_loop(&mut self, rate: f64, seconds: f64) -> anyhow::Result<()> {
        let (began, began_micros, mut due) = (Instant::now(), now_micros(), 0.0_f64);
        loop {
            due += -(1.0 - rand::random::<f64>()).ln() / rate;
            if due > seconds {
                return Ok(());
            }
            tokio::time::sleep_until((began + Duration::from_secs_f64(due)).into()).await;
            self.write(began_micros + (due * 1e6) as i64);
        }
    }

    fn write(&mut self, intended: i64) {
        // a browser that stopped shows when all must be answered
        let _stopped = self.citizens[self.next].send(intended);
        self.next = (self.next + 1) % self.citizens.len();
        self.written += 1;
    }

    /// Waits until everything is accepted and answered.
    async fn settle(&self, tally: &Tally) -> anyhow::Result<()> {
        let deadline = Instant::now() + SETTLE_WITHIN;
        let done = || [&self.book.accepted, &self.book.answered].map(|count| count.load(Ordering::Relaxed));
        while done().iter().any(|count| *count < self.written) {
            if Instant::now() > deadline {
                let ([accepted, answered], trouble) = (done(), self.book.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone());
                let refusal = tally.first_refusal();
                bail!("of {} messages {accepted} are accepted, {answered} answered; {trouble:?}; first refusal: {refusal:?}", self.written);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Takes the times so far.
    fn take_times(&self) -> Times {
        std::mem::take(&mut self.book.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A citizen's tab.
struct Browser {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: Option<&'a str>,
    message: Option<&'a str>,
    from: Option<&'a str>,
    text: Option<String>,
    code: Option<&'a str>,
}

impl Browser {
    /// Opens a session, connects, writes, and waits for the greeting.
    async fn open(client: &Client, base: &str, number: usize) -> anyhow::Result<Self> {
        let citizen = json!({"name": format!("Cittadino {number}"), "language": "it", "privacy_accepted": true});
        let answer = client.post(format!("{base}/sessions")).json(&citizen).send().await?;
        ensure!(answer.status() == 201, "a session: {} {}", answer.status(), answer.text().await?);
        let opened: serde_json::Value = answer.json().await?;
        let mut request = format!("{}/socket", base.replacen("http", "ws", 1)).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "sportello.chat.v1".parse()?);
        let small = WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(0);
        let (mut socket, _) = tokio_tungstenite::connect_async_with_config(request, Some(small), true).await.context("a chat")?;
        let hello = json!({"type": "hello", "session": opened["session"], "after": null});
        socket.send(Message::text(hello.to_string())).await?;
        socket.send(Message::text(said("first"))).await?;
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else { continue };
            if text.contains(GREETING) {
                return Ok(Self { socket });
            }
        }
        bail!("the chat was closed before its greeting")
    }

    /// Writes at each wish, which is the intended time, and keeps what comes.
    async fn chat(mut self, mut wishes: mpsc::UnboundedReceiver<i64>, book: &Book) -> anyhow::Result<()> {
        let (mut sent, mut intended) = (0_u64, HashMap::new());
        loop {
            tokio::select! {
                wish = wishes.recv() => {
                    let Some(wish) = wish else { return Ok(()) };
                    sent += 1;
                    intended.insert(format!("m-{sent}"), wish);
                    self.socket.send(Message::text(said(&format!("m-{sent}")))).await?;
                }
                frame = self.socket.next() => match frame.context("the chat was closed")?? {
                    Message::Text(text) => read(&serde_json::from_str(&text)?, &mut intended, book)?,
                    Message::Close(frame) => bail!("the chat was closed: {frame:?}"),
                    _ => {}
                }
            }
        }
    }
}

fn read(frame: &Frame<'_>, intended: &mut HashMap<String, i64>, book: &Book) -> anyhow::Result<()> {
    let now = now_micros();
    let mut times = book.times.lock().unwrap_or_else(PoisonError::into_inner);
    match (frame.kind, frame.id, frame.message) {
        ("accepted", Some(id), Some(message)) => {
            if let Some(intended) = intended.remove(id) {
                times.accepted.insert(message.to_owned(), intended);
                book.accepted.fetch_add(1, Ordering::Relaxed);
            }
        }
        ("message", ..) if frame.from == Some("operator") => {
            let text = frame.text.as_deref().unwrap_or_default();
            let message = text.strip_prefix(ANSWER).context("an answer to something else")?.trim();
            ensure!(times.answered.insert(message.to_owned(), now).is_none(), "{message} was answered twice");
            book.answered.fetch_add(1, Ordering::Relaxed);
        }
        ("refused", ..) => bail!("a message was refused: {:?}", frame.code),
        _ => {}
    }
    Ok(())
}

/// A message as the widget sends it.
fn said(id: &str) -> String {
    json!({"type": "message", "id": id, "text": "Vorrei sapere quando posso ritirare il certificato di residenza.", "files": []})
        .to_string()
}
