//! The SMTP listener over real TCP.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sportello::channel::email::options::CertificateFiles;
use sportello::channel::email::{EmailOptions, SmtpOptions};
use sportello::model::id::{AccountId, IdMaker, MessageId};
use sportello::model::signature;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::email::{Running, SECRET, options};
use crate::world::World;

const ACCOUNTS: [(&str, &str); 2] = [("urp", "URP@comune.example"), ("tributi", "tributi@altro.example")];

/// A talking client.
struct Client<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).await.unwrap();
        self.stream.get_mut().flush().await.unwrap();
    }

    /// The next answer, whole; empty if the server hung up.
    async fn answer(&mut self) -> String {
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read_line(&mut line)).await.expect("an answer in time");
            answer.push_str(&line);
            if read.unwrap_or(0) == 0 || line.as_bytes().get(3) == Some(&b' ') {
                return answer;
            }
        }
    }

    /// Sends a line and expects an answer with this code.
    async fn say(&mut self, line: &str, code: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        let answer = self.answer().await;
        assert!(answer.starts_with(code), "`{line}` was answered `{answer}`, not {code}");
        answer
    }

    /// Hands a mail in up to the answer to its content.
    async fn mail(&mut self, to: &[&str], content: &str) -> String {
        self.say("MAIL FROM:<mario@example.it>", "250").await;
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250").await;
        }
        self.say("DATA", "354").await;
        self.send(format!("{content}\r\n.\r\n")).await;
        self.answer().await
    }
}

async fn connect(running: &Running) -> Client<TcpStream> {
    let stream = TcpStream::connect(running.handle.smtp_address.expect("listens")).await.unwrap();
    let mut client = Client { stream: BufReader::new(stream) };
    assert!(client.answer().await.starts_with("220 "));
    client
}

async fn greeted(running: &Running) -> Client<TcpStream> {
    let mut client = connect(running).await;
    client.say("EHLO client.example", "250").await;
    client
}

fn smtp() -> SmtpOptions {
    SmtpOptions::new("127.0.0.1:0".parse().unwrap(), "mx.comune.example")
}

async fn listening(world: &Arc<World>, smtp: SmtpOptions) -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = EmailOptions { smtp: Some(smtp), ..options(folder.path()) };
    (Running::start(world.clone(), options, &ACCOUNTS).await, folder)
}

const MAIL: &str = "From: Mario <mario@example.it>\r\nTo: urp@comune.example\r\nSubject: Prova\r\n\r\nciao";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_for_two_accounts_is_two_events_and_the_same_again_has_the_same_ids() {
    let world = World::new();
    let (running, _folder) = listening(&world, smtp()).await;
    let mut client = connect(&running).await;
    let offers = client.say("EHLO client.example", "250").await;
    for offer in ["SIZE 26214400", "8BITMIME", "SMTPUTF8", "PIPELINING"] {
        assert!(offers.contains(offer), "{offers}");
    }
    assert!(!offers.contains("STARTTLS"));
    let both = ["urp+tag@comune.example", "TRIBUTI@altro.example", "urp@comune.example"];
    assert!(client.mail(&both, MAIL).await.starts_with("250"));
    assert!(client.mail(&both, MAIL).await.starts_with("250"));
    client.say("QUIT", "221").await;
    let published = world.published.lock().unwrap().clone();
    let ids: Vec<_> = published.iter().map(|message| message.id.clone()).collect();
    assert_eq!((ids.len(), &ids[..2]), (4, &ids[2..]));
    assert_ne!(ids[0], ids[1]);
    let events = world.events();
    let (first, raw) = (&events[0]["data"], world.blobs.lock().unwrap()[events[0]["data"]["raw"]["key"].as_str().unwrap()].clone());
    assert_eq!((first["subject"].as_str(), first["text"].as_str()), (Some("Prova"), Some("ciao")));
    assert!(raw.starts_with(b"Return-Path: <mario@example.it>\r\nReceived: from client.example ([127.0.0.1])\r\n"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_and_rules_of_the_dialogue() {
    let world = World::new();
    let limits = SmtpOptions { size_max: 10_000, recipients_max: 1, ..smtp() };
    let (running, _folder) = listening(&world, limits).await;
    let mut client = connect(&running).await;
    for (line, code) in [
        ("MAIL FROM:<a@b.example>", "503"),
        ("HELO x", "250"),
        ("RCPT TO:<urp@comune.example>", "503"),
        ("DATA", "503"),
        ("MAIL FROM:<a@b.example> SIZE=20000", "552"),
        ("MAIL FROM:<> BODY=8BITMIME SMTPUTF8", "250"),
        ("MAIL FROM:<a@b.example>", "503"),
        ("DATA", "554"),
        ("RCPT TO:<somebody@elsewhere.example>", "550"),
        ("RCPT TO:<urp@comune.example>", "250"),
        ("RCPT TO:<tributi@altro.example>", "452"),
        ("VRFY urp", "252"),
        ("NOOP", "250"),
        ("RSET", "250"),
        ("DATA", "503"),
        ("STARTTLS", "502"),
        ("AUTH PLAIN AAAA", "502"),
        ("EXPN all", "502"),
        ("GARBAGE", "500"),
        ("QUIT", "221"),
    ] {
        client.say(line, code).await;
    }
    assert_eq!(client.answer().await, "");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_commands_are_answered_in_order() {
    let world = World::new();
    let (running, _folder) = listening(&world, smtp()).await;
    let mut client = greeted(&running).await;
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@comune.example>\r\nRCPT TO:<urp@comune.example>\r\nDATA\r\n").await;
    for code in ["250", "550", "250", "354"] {
        assert!(client.answer().await.starts_with(code));
    }
    client.send(format!("{MAIL}\r\n.\r\nNOOP\r\nQUIT\r\n")).await;
    for code in ["250", "250", "221"] {
        assert!(client.answer().await.starts_with(code));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_second_mail_is_smuggled_in() {
    let world = World::new();
    let (running, _folder) = listening(&world, smtp()).await;
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r"] {
        let mut client = greeted(&running).await;
        let before = world.published.lock().unwrap().len();
        let smuggled =
            format!("{MAIL} {end:?}{end}MAIL FROM:<evil@x.example>\r\nRCPT TO:<urp@comune.example>\r\nDATA\r\nSubject: evil\r\n\r\nx");
        assert!(client.mail(&["urp@comune.example"], &smuggled).await.starts_with("250"), "{end:?}");
        client.say("QUIT", "221").await;
        let events = world.events();
        assert_eq!(events.len(), before + 1, "{end:?}");
        assert!(events[before]["data"]["text"].as_str().unwrap().contains("evil"), "{end:?}");
    }
    // A command that ends with a bare LF ends the session.
    let mut client = greeted(&running).await;
    client.send("NOOP\nQUIT\r\n").await;
    assert!(client.answer().await.starts_with("500"));
    assert_eq!(client.answer().await, "");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_now_is_asked_for_again() {
    let world = World::new();
    let (running, _folder) = listening(&world, smtp()).await;
    let mut client = greeted(&running).await;
    world.broker_down.store(true, Ordering::SeqCst);
    assert!(client.mail(&["urp@comune.example"], MAIL).await.starts_with("451"));
    world.broker_down.store(false, Ordering::SeqCst);
    world.blobs_down.store(true, Ordering::SeqCst);
    assert!(client.mail(&["urp@comune.example"], MAIL).await.starts_with("451"));
    world.blobs_down.store(false, Ordering::SeqCst);
    assert!(client.mail(&["urp@comune.example"], MAIL).await.starts_with("250"));
    assert_eq!(
        (world.published.lock().unwrap().len(), running.handle.counters.account(&AccountId::new("urp").unwrap()).deferred.get()),
        (1, 2)
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_and_short_of_memory() {
    let world = World::new();
    let limits = SmtpOptions { size_max: 3 * 1024 * 1024, memory_max_mb: 1, ..smtp() };
    let (running, _folder) = listening(&world, limits).await;
    let mut client = greeted(&running).await;
    let line = format!("{}\r\n", "x".repeat(998));
    let body = |kilobytes: usize| format!("{MAIL}\r\n{}", line.repeat(kilobytes));
    assert!(client.mail(&["urp@comune.example"], &body(2_000)).await.starts_with("452"));
    assert!(client.mail(&["urp@comune.example"], &body(500)).await.starts_with("250"));
    running.stop().await;
    let (running, _folder) = listening(&world, SmtpOptions { size_max: 100_000, ..smtp() }).await;
    let mut client = greeted(&running).await;
    assert!(client.mail(&["urp@comune.example"], &body(200)).await.starts_with("552"));
    assert!(client.mail(&["urp@comune.example"], &body(50)).await.starts_with("250"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_by_address_and_in_a_session() {
    let world = World::new();
    let limits = SmtpOptions { connections_per_address_max: 1, mails_per_minute: 1, commands_max: 8, ..smtp() };
    let (running, _folder) = listening(&world, limits).await;
    let mut client = greeted(&running).await;
    let stream = TcpStream::connect(running.handle.smtp_address.unwrap()).await.unwrap();
    assert!(Client { stream: BufReader::new(stream) }.answer().await.starts_with("421"));
    assert!(client.mail(&["urp@comune.example"], MAIL).await.starts_with("250"));
    client.say("MAIL FROM:<a@b.example>", "450").await;
    for _ in 0..3 {
        client.say("NOOP", "250").await;
    }
    client.say("NOOP", "421").await;
    assert_eq!(client.answer().await, "");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_and_endless_lines_end_a_session() {
    let world = World::new();
    // the greeting must come within it as well
    let limits = SmtpOptions { idle_timeout: Duration::from_secs(1), ..smtp() };
    let (running, _folder) = listening(&world, limits).await;
    let mut client = greeted(&running).await;
    assert_eq!(client.answer().await, "");
    running.stop().await;
    let (running, _folder) = listening(&world, smtp()).await;
    let mut client = greeted(&running).await;
    client.send("x".repeat(5_000)).await;
    assert!(client.answer().await.starts_with("500"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_says_goodbye() {
    let world = World::new();
    let (running, _folder) = listening(&world, smtp()).await;
    let mut client = greeted(&running).await;
    running.begin_stop();
    assert!(client.answer().await.starts_with("421"));
    assert_eq!(client.answer().await, "");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starttls_and_nothing_said_before_it_counts() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = CertificateFiles { chain: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.chain, key.cert.pem()).unwrap();
    std::fs::write(&files.key, key.signing_key.serialize_pem()).unwrap();
    let (running, _folder) = listening(&world, SmtpOptions { certificate: Some(files), ..smtp() }).await;

    let mut injecting = greeted(&running).await;
    injecting.send("STARTTLS\r\nMAIL FROM:<evil@x.example>\r\n").await;
    assert!(injecting.answer().await.starts_with("501"));

    let mut client = greeted(&running).await;
    client.say("STARTTLS", "220").await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(key.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), client.stream.into_inner()).await.unwrap();
    let mut client = Client { stream: BufReader::new(stream) };
    client.say("MAIL FROM:<a@b.example>", "503").await;
    assert!(!client.say("EHLO client.example", "250").await.contains("STARTTLS"));
    assert!(client.mail(&["urp@comune.example"], MAIL).await.starts_with("250"));
    let raw = world.blobs.lock().unwrap().values().next().unwrap().clone();
    assert!(String::from_utf8_lossy(&raw).contains("with ESMTPS;"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bounce_names_the_message_of_ours_that_came_back() {
    let world = World::new();
    let (running, _folder) = listening(&world, smtp()).await;
    let ids = IdMaker::new(SECRET);
    let ours = signature::sign(&ids, MessageId(7), "nessuno@example.it", "comune.example");
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/postfix_bounce.eml");
    let sample = std::fs::read_to_string(sample).unwrap();
    let forged = "000000000000000000000000000000aa.1111111111111111.2222222222222222@comune.example";
    let mut client = greeted(&running).await;
    for bounce in [sample.replace(forged, &ours), sample] {
        assert!(client.mail(&["urp@comune.example"], &bounce).await.starts_with("250"));
    }
    let events = world.events();
    assert_eq!(events[0]["data"]["automatic"], "bounce");
    assert_eq!(events[0]["data"]["attributes"]["bounce_status"], "5.1.1");
    let named = events[0]["data"]["references"][0].as_str().unwrap();
    assert_eq!(signature::verify_any(&ids, named), Some(MessageId(7)));
    // Whoever writes from the mail system's address is not the citizen: the reference must not join as theirs.
    assert_eq!(signature::verify(&ids, named, "MAILER-DAEMON@mx.comune.example"), None);
    assert_eq!(events[1]["data"]["references"], serde_json::json!([]));
    running.stop().await;
}
