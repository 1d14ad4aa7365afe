//! Mailboxes on a real Dovecot, answers through a real SMTP server.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use secrecy::SecretString;
use sportello::channel::email::imap::trouble::Retries;
use sportello::channel::email::options::{Credentials, ImapSecurity, Start, Submission, SubmissionSecurity};
use sportello::channel::email::{self, EmailDeps, EmailHandle, EmailOptions, MailboxOptions, Transport};
use sportello::model::channel::Channel;
use sportello::model::contact::Direction;
use sportello::model::conversation::{Attachment, Message, Party};
use sportello::model::id::*;
use sportello::model::signature;
use sportello::model::time::Timestamp;
use sportello::model::wire::{OutboundOrder, encode_order};
use sportello::plan::Plan;
use sportello::port::blobs::Blobs;
use sportello::port::store::{Conversation, ConversationView, Watermark};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dovecot::Dovecot;
use crate::smtp_server::SmtpServer;
use crate::world::{World, WorldBroker, plan};

/// A running email channel.
pub struct Running {
    pub handle: EmailHandle,
    pub plan: watch::Sender<Arc<Plan>>,
    shutdown: CancellationToken,
    tracker: TaskTracker,
}

pub const SECRET: [u8; 32] = [9; 32];

impl Running {
    /// Starts the channel.
    pub async fn start(world: Arc<World>, options: EmailOptions, accounts: &[(&str, &str)]) -> Self {
        let (sender, receiver) = watch::channel(Arc::new(plan(accounts)));
        let deps = EmailDeps {
            publisher: world.clone(),
            broker: Arc::new(WorldBroker(world.clone())),
            store: world.clone(),
            leases: world.clone(),
            blobs: world.clone(),
            plan: receiver,
            ids: IdMaker::new(SECRET),
            holder: "test".to_owned(),
        };
        let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
        let handle = email::start(options, deps, shutdown.clone(), tracker.clone(), &tracker).await.expect("starts");
        Self { handle, plan: sender, shutdown, tracker }
    }

    /// Stops it and waits until everything has ended.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tracker.close();
        tokio::time::timeout(Duration::from_secs(20), self.tracker.wait()).await.expect("everything ends after a shutdown");
    }

    /// Asks it to stop and does not wait.
    pub fn begin_stop(&self) {
        self.shutdown.cancel();
    }
}

/// Options whose mail leaves into a maildir below `folder`.
pub fn options(folder: &std::path::Path) -> EmailOptions {
    EmailOptions::new("it.example.sportello", "comune.example", folder.join("out"))
}

fn mailbox(server: &Dovecot, start: Start) -> MailboxOptions {
    let account = AccountId::new("urp").unwrap();
    MailboxOptions {
        port: server.port,
        security: ImapSecurity::None,
        start,
        look_every: Duration::from_secs(5),
        command_timeout: Duration::from_secs(10),
        ..MailboxOptions::new(account, "127.0.0.1", "urp", SecretString::from("segreta".to_owned()))
    }
}

async fn reading(world: &Arc<World>, mailbox: MailboxOptions, limit: usize) -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = EmailOptions { mailboxes: vec![mailbox], ..options(folder.path()) };
    options.limits.size_max = limit;
    (Running::start(world.clone(), options, &[("urp", "urp@comune.example")]).await, folder)
}

fn mail(subject: &str) -> Vec<u8> {
    format!("From: Mario <mario@example.it>\r\nTo: urp@comune.example\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.it>\r\n\r\nciao\r\n").into_bytes()
}

fn subjects(world: &World) -> Vec<String> {
    world.events().iter().map(|event| event["data"]["subject"].as_str().unwrap_or_default().to_owned()).collect()
}

const LARGE: usize = 25 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_is_read_from_now_on_and_marked_only_when_published() {
    let server = Dovecot::start();
    server.deliver(&mail("storia"));
    let world = World::new();
    let (running, _folder) = reading(&world, mailbox(&server, Start::Now), LARGE).await;
    world.until("the watermark", |world| !world.watermarks.lock().unwrap().is_empty()).await;
    world.broker_down.store(true, Ordering::SeqCst);
    server.deliver(&mail("uno"));
    world.until("a deferred mail", |_| running.handle.counters.account(&AccountId::new("urp").unwrap()).deferred.get() > 0).await;
    assert_eq!((server.read_count(), world.published.lock().unwrap().len()), (0, 0));
    world.broker_down.store(false, Ordering::SeqCst);
    world.until("the first mail", |world| world.published.lock().unwrap().len() == 1).await;
    world.until("its mark", |_| server.read_count() == 1).await;
    server.deliver(&mail("due"));
    world.until("the second mail", |world| world.published.lock().unwrap().len() == 2).await;
    assert_eq!(subjects(&world), ["uno", "due"]);
    let event = &world.events()[0];
    assert_eq!(event["type"], "it.example.sportello.inbound.message.v1");
    assert_eq!(event["data"]["header_id"], "uno@example.it");
    assert_eq!(event["data"]["account"], "urp");
    // Filing time is when it reached the mailbox.
    assert_eq!(event["data"]["received_at"].as_str(), Some("2026-09-21T14:13:22Z"));
    let raw = event["data"]["raw"]["key"].as_str().unwrap();
    assert!(world.blobs.lock().unwrap()[raw].starts_with(b"From: Mario"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_and_a_giant_do_not_stop_the_mailbox() {
    let server = Dovecot::start();
    let bomb = [b"Subject: bomba\r\n".to_vec(), b"Content-Type: message/rfc822\r\n\r\n".repeat(22_000)].concat();
    let giant = [mail("gigante"), vec![b'x'; 1_200_000]].concat();
    for raw in [bomb, giant, mail("normale")] {
        server.deliver(&raw);
    }
    let world = World::new();
    let (running, _folder) = reading(&world, mailbox(&server, Start::All), 1_000_000).await;
    world.until("three mails", |world| world.published.lock().unwrap().len() == 3).await;
    assert_eq!(subjects(&world), ["bomba", "gigante", "normale"]);
    let events = world.events();
    assert!(events[0]["data"]["text"].as_str().unwrap().starts_with("(message not readable: parts nested deeper than 100"));
    assert!(events[1]["data"]["text"].as_str().unwrap().starts_with("(message not readable: 12"));
    assert!(events[1]["data"].get("raw").is_none());
    world.until("the marks of those that were fetched", |_| server.read_count() == 2).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_and_new_uids_lose_nothing() {
    let mut server = Dovecot::start();
    server.deliver(&mail("uno"));
    let world = World::new();
    let (running, _folder) = reading(&world, mailbox(&server, Start::Unseen), LARGE).await;
    world.until("the first mail", |world| world.published.lock().unwrap().len() == 1).await;
    world.until("its mark", |_| server.read_count() == 1).await;
    running.stop().await;
    server.deliver(&mail("due"));
    let (running, _folder) = reading(&world, mailbox(&server, Start::Unseen), LARGE).await;
    world.until("the second mail", |world| world.published.lock().unwrap().len() == 2).await;
    world.until("its mark", |_| server.read_count() == 2).await;
    running.stop().await;
    server.down();
    server.change_uid_validity();
    server.deliver(&mail("tre"));
    server.up();
    let (running, _folder) = reading(&world, mailbox(&server, Start::Now), LARGE).await;
    world.until("the third mail", |world| world.published.lock().unwrap().len() == 3).await;
    world.until("the new watermark", |world| world.watermarks.lock().unwrap().values().all(|mark| mark.uid_validity == 77)).await;
    assert_eq!(subjects(&world), ["uno", "due", "tre"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_going_away_is_survived() {
    let mut server = Dovecot::start();
    let world = World::new();
    let (running, _folder) = reading(&world, mailbox(&server, Start::Now), LARGE).await;
    world.until("the watermark", |world| !world.watermarks.lock().unwrap().is_empty()).await;
    server.down();
    world.until("a failure", |_| running.handle.counters.account(&AccountId::new("urp").unwrap()).imap_failures.get() > 0).await;
    server.deliver(&mail("dopo"));
    server.up();
    world.until("the mail", |world| world.published.lock().unwrap().len() == 1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_from_the_first_byte_and_after_starttls() {
    let server = Dovecot::start();
    for (marks, security, port) in [(1, ImapSecurity::Tls, server.tls_port), (2, ImapSecurity::StartTls, server.port)] {
        server.deliver(&mail("cifrata"));
        let world = World::new();
        let trust = Some(server.certificate.clone());
        let options = MailboxOptions { host: "localhost".into(), port, security, trust, ..mailbox(&server, Start::Unseen) };
        let (running, _folder) = reading(&world, options, LARGE).await;
        world.until("a mail over TLS", |world| world.published.lock().unwrap().len() == 1).await;
        world.until("its mark", |_| server.read_count() == marks).await;
        running.stop().await;
    }
    // A certificate that nobody vouches for is refused.
    let world = World::new();
    let options =
        MailboxOptions { host: "localhost".into(), port: server.tls_port, security: ImapSecurity::Tls, ..mailbox(&server, Start::All) };
    let (running, _folder) = reading(&world, options, LARGE).await;
    world.until("a failure", |_| running.handle.counters.account(&AccountId::new("urp").unwrap()).imap_failures.get() > 0).await;
    assert!(world.published.lock().unwrap().is_empty());
    running.stop().await;
}

/// What an odd server does instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Odd {
    /// The tagged answer says so.
    No,
    Bad,
    /// It takes its leave, or hangs up without a word.
    Bye,
    Close,
    /// It says OK and nothing else.
    Empty,
    /// It announces 400 MB.
    Lie,
    Silent,
}

/// An IMAP server with two unread mails. `script` says which commands it does not answer as it should.
async fn odd_server(script: impl Fn(&str) -> Option<Odd> + Send + Sync + 'static) -> u16 {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = Arc::new(script);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let script = Arc::clone(&script);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                stream.get_mut().write_all(b"* OK odd\r\n").await.unwrap();
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    let (tag, command) = line.trim_end().split_once(' ').unwrap();
                    let answer = match script(command) {
                        None => format!("{}{tag} OK done\r\n", usual_answer(command)),
                        Some(Odd::Empty) => format!("{tag} OK done\r\n"),
                        Some(Odd::No) => format!("{tag} NO [UNAVAILABLE] later\r\n"),
                        Some(Odd::Bad) => format!("{tag} BAD what\r\n"),
                        Some(Odd::Lie) => "* 1 FETCH (UID 1 BODY[] {400000000}\r\n".to_owned(),
                        Some(Odd::Bye) => {
                            let _ = stream.get_mut().write_all(b"* BYE going down\r\n").await;
                            return;
                        }
                        Some(Odd::Close) => return,
                        Some(Odd::Silent) => return std::future::pending().await,
                    };
                    if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
    });
    port
}

fn usual_answer(command: &str) -> String {
    let uid = command.split(' ').nth(2).unwrap_or_default();
    match command {
        "CAPABILITY" => "* CAPABILITY IMAP4rev1\r\n".to_owned(),
        command if command.starts_with("SELECT") => "* 2 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 3] x\r\n".to_owned(),
        "UID SEARCH UID 1:*" | "UID SEARCH UNSEEN" => "* SEARCH 1 2\r\n".to_owned(),
        command if command.starts_with("UID SEARCH") => "* SEARCH 2\r\n".to_owned(),
        command if command.contains("RFC822.SIZE") => {
            format!("* {uid} FETCH (UID {uid} RFC822.SIZE 40 INTERNALDATE \"23-Nov-2026 09:00:00 +0100\")\r\n")
        }
        command if command.contains("BODY.PEEK[]") => format!("* {uid} FETCH (UID {uid} BODY[] {{16}}\r\nSubject: {uid}\r\n\r\nhi)\r\n"),
        _ => String::new(),
    }
}

/// What fails is tried again at once, and no mail is given up within a test.
const RETRIES: Retries =
    Retries { first: Duration::from_millis(10), longest: Duration::from_millis(40), give_up_after: Duration::from_secs(600) };

/// Reads an odd server without waiting for long.
async fn reading_oddly(
    world: &Arc<World>,
    start: Start,
    script: impl Fn(&str) -> Option<Odd> + Send + Sync + 'static,
) -> (Running, tempfile::TempDir) {
    reading(world, odd_mailbox(odd_server(script).await, start), LARGE).await
}

fn odd_mailbox(port: u16, start: Start) -> MailboxOptions {
    MailboxOptions {
        port,
        security: ImapSecurity::None,
        start,
        look_every: Duration::from_millis(500),
        retries: RETRIES,
        ..MailboxOptions::new(urp(), "127.0.0.1", "urp", SecretString::from("segreta".to_owned()))
    }
}

fn urp() -> AccountId {
    AccountId::new("urp").unwrap()
}

fn watermark(world: &World) -> Option<u32> {
    world.watermarks.lock().unwrap().get(&urp()).map(|mark| mark.uid)
}

fn failures(running: &Running) -> u64 {
    running.handle.counters.account(&urp()).imap_failures.get()
}

fn is_up(running: &Running) -> bool {
    running.handle.counters.account(&urp()).imap_up.get() == Some(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_cannot_be_fetched_holds_up_itself_only() {
    for odd in [Odd::Lie, Odd::Silent, Odd::No, Odd::Bad, Odd::Bye, Odd::Close] {
        let world = World::new();
        let script = move |command: &str| (command == "UID FETCH 1 (UID BODY.PEEK[])").then_some(odd);
        let mailbox = MailboxOptions {
            command_timeout: Duration::from_millis(500),
            retries: Retries { give_up_after: Duration::from_millis(300), ..RETRIES },
            ..odd_mailbox(odd_server(script).await, Start::All)
        };
        let (running, _folder) = reading(&world, mailbox, LARGE).await;
        world.until("the second mail", |world| world.published.lock().unwrap().len() == 1).await;
        assert_eq!(subjects(&world), ["2"], "{odd:?}");
        world.until("the first is held", |world| !world.quarantined.lock().unwrap().is_empty()).await;
        let held = world.quarantined.lock().unwrap().clone();
        assert!(held.len() == 1 && held[0].reason.contains("UID 1 of UIDVALIDITY 1"), "{odd:?} {held:?}");
        world.until("the watermark", |world| watermark(world) == Some(2)).await;
        world.until("the mailbox is up", |_| is_up(&running)).await;
        assert_eq!(world.published.lock().unwrap().len(), 1, "{odd:?}: nothing comes twice");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_cannot_say_now_is_not_gone() {
    for odd in [Odd::No, Odd::Bad, Odd::Bye, Odd::Close] {
        for command in ["UID SEARCH", "UID FETCH", "UID FETCH 1 (UID RFC822.SIZE", "UID FETCH 2 (UID BODY"] {
            for start in [Start::All, Start::Unseen] {
                let what = format!("{odd:?} {command} {start:?}");
                let world = World::new();
                let is_ill = Arc::new(std::sync::atomic::AtomicBool::new(true));
                let ill = Arc::clone(&is_ill);
                let script = move |asked: &str| (ill.load(Ordering::SeqCst) && asked.starts_with(command)).then_some(odd);
                let (running, _folder) = reading_oddly(&world, start, script).await;
                world.until("failures", |_| failures(&running) >= 3).await;
                assert!(watermark(&world).is_none_or(|uid| uid < 2) && world.quarantined.lock().unwrap().is_empty(), "{what}");
                assert!(!is_up(&running) || command.contains(['1', '2']), "{what}");
                is_ill.store(false, Ordering::SeqCst);
                world.until("both mails", |world| world.published.lock().unwrap().len() == 2).await;
                world.until("the watermark", |world| watermark(world) == Some(2)).await;
                world.until("the mailbox is up", |_| is_up(&running)).await;
                let mut both = subjects(&world);
                both.sort();
                assert_eq!(both, ["1", "2"], "{what}");
                running.stop().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ill_server_is_asked_less_and_less_and_no_mail_is_given_up() {
    let world = World::new();
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let script = move |command: &str| {
        let is_fetch = command.starts_with("UID FETCH");
        (is_fetch && counted.fetch_add(1, Ordering::SeqCst) < 30).then_some(Odd::No)
    };
    // it would be given up in less than half the time that follows
    let retries = Retries { give_up_after: Duration::from_millis(100), ..RETRIES };
    let began = std::time::Instant::now();
    let mailbox = MailboxOptions { retries, ..odd_mailbox(odd_server(script).await, Start::All) };
    let (running, _folder) = reading(&world, mailbox, LARGE).await;
    world.until("both mails", |world| world.published.lock().unwrap().len() == 2).await;
    assert!(began.elapsed() > Duration::from_millis(25 * 40), "{:?}", began.elapsed());
    assert!(world.quarantined.lock().unwrap().is_empty());
    running.stop().await;
}

/// A mail that failed and that somebody then took away is no trouble any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_not_waited_for() {
    let world = World::new();
    let is_there = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let there = Arc::clone(&is_there);
    let script = move |command: &str| match there.load(Ordering::SeqCst) {
        true => command.starts_with("UID FETCH").then_some(Odd::No),
        false => command.starts_with("UID SEARCH").then_some(Odd::Empty),
    };
    let (running, _folder) = reading_oddly(&world, Start::All, script).await;
    world.until("failures", |_| failures(&running) >= 3).await;
    assert!(!is_up(&running));
    is_there.store(false, Ordering::SeqCst);
    world.until("the mailbox is up", |_| is_up(&running)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_stays_refused_is_tried_no_further() {
    for odd in [Odd::No, Odd::Bad, Odd::Bye, Odd::Close] {
        let world = World::new();
        let script = move |command: &str| command.starts_with("UID STORE").then_some(odd);
        let (running, _folder) = reading_oddly(&world, Start::All, script).await;
        world.until("the watermark", |world| watermark(world) == Some(2)).await;
        assert_eq!(subjects(&world), ["1", "2"], "{odd:?}: each once");
        running.stop().await;
    }
}

/// The watermark of another mailbox, or of this one before it was put back from a copy, hides no mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watermark_counts_for_its_own_mailbox_only() {
    let here = odd_mailbox(0, Start::Now).place();
    let mark = |uid_validity, uid, place| Watermark { uid_validity, uid, place };
    for (mark, start, expected) in [
        (mark(1, 1, Some(here)), Start::Now, vec!["2"]),
        (mark(1, 1, None), Start::Now, vec!["2"]),
        // another server, user or folder, with equal UIDs or not
        (mark(1, 2, Some(here ^ 1)), Start::All, vec!["1", "2"]),
        (mark(7, 2, Some(here ^ 1)), Start::Now, vec![]),
        // rebuilt, or put back from a copy: UIDNEXT was beyond what it is
        (mark(7, 2, Some(here)), Start::Now, vec!["1", "2"]),
        (mark(1, 3, Some(here)), Start::Now, vec!["1", "2"]),
        (mark(1, 5, None), Start::Now, vec!["1", "2"]),
    ] {
        let world = World::new();
        world.watermarks.lock().unwrap().insert(urp(), mark);
        let (running, _folder) = reading_oddly(&world, start, |_| None).await;
        let settled = Watermark { uid_validity: 1, uid: 2, place: Some(here) };
        world.until("the watermark", |world| world.watermarks.lock().unwrap()[&urp()] == settled).await;
        assert_eq!(subjects(&world), expected, "{mark:?}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_uids_and_a_search_that_fails_leave_the_watermark() {
    let world = World::new();
    let before = Watermark { uid_validity: 7, uid: 50, place: None };
    world.watermarks.lock().unwrap().insert(urp(), before);
    let is_ill = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let ill = Arc::clone(&is_ill);
    let script = move |asked: &str| (ill.load(Ordering::SeqCst) && asked == "UID SEARCH UNSEEN").then_some(Odd::No);
    let (running, _folder) = reading_oddly(&world, Start::Now, script).await;
    world.until("failures", |_| failures(&running) >= 3).await;
    assert_eq!(world.watermarks.lock().unwrap()[&urp()], before);
    is_ill.store(false, Ordering::SeqCst);
    world.until("both mails", |world| world.published.lock().unwrap().len() == 2).await;
    world.until("the watermark", |world| watermark(world) == Some(2)).await;
    running.stop().await;
}

fn message(id: u128, direction: Direction, to: &str) -> Message {
    Message {
        id: MessageId(id),
        administration: AdministrationId::new("urp").unwrap(),
        conversation: ConversationId(1),
        contact: ContactId(1),
        direction,
        channel: Channel::email(),
        account: AccountId::new("urp").unwrap(),
        author: (direction == Direction::Outbound).then_some(OperatorId(1)),
        at: Timestamp::from_secs(1_795_000_000 + i64::try_from(id).unwrap()),
        filed_at: Timestamp::from_secs(1_795_000_000),
        from: None,
        to: vec![Party { address: to.to_owned(), name: None }],
        subject: None,
        text: "Ecco la risposta.\n.\nUn saluto".to_owned(),
        html: None,
        attachments: vec![],
        raw: None,
        automatic: None,
        provider_id: None,
        header_id: (direction == Direction::Inbound).then(|| "domanda@example.it".to_owned()),
        attributes: std::collections::BTreeMap::new(),
        seq: 0,
        delivery: None,
        failure: None,
        settled: None,
    }
}

fn keep(world: &World, message: Message) -> MessageId {
    let id = message.id;
    world.messages.lock().unwrap().insert(id, message.clone());
    let mut views = world.views.lock().unwrap();
    let view = views.entry(message.conversation).or_insert_with(|| ConversationView {
        conversation: Conversation {
            id: message.conversation,
            administration: message.administration.clone(),
            citizen: None,
            subject: Some("Perché la TARI?".to_owned()),
            opened_at: message.at,
        },
        contacts: vec![],
        messages: vec![],
        notes: vec![],
        addresses: vec![],
        elsewhere: vec![],
    });
    view.messages.push(message);
    id
}

fn order(world: &World, message: MessageId, attempt: u32) {
    let (administration, account) = (AdministrationId::new("urp").unwrap(), AccountId::new("urp").unwrap());
    let order = OutboundOrder { message, administration, account, attempt };
    let body = encode_order("it.example.sportello", &PoolId::new("main").unwrap(), Timestamp(1), &order, None).unwrap();
    world.order("urp", String::from_utf8(body).unwrap());
}

fn submission(server: &SmtpServer) -> Submission {
    Submission {
        host: "localhost".into(),
        port: server.port,
        security: SubmissionSecurity::None,
        trust: None,
        credentials: None,
        timeout: Duration::from_secs(10),
    }
}

async fn sending(world: &Arc<World>, transport: Transport) -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = EmailOptions { transport, ..options(folder.path()) };
    (Running::start(world.clone(), options, &[("urp", "urp@comune.example")]).await, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_goes_out_and_every_attempt_is_reported_once() {
    let server = SmtpServer::start(false);
    let world = World::new();
    keep(&world, message(1, Direction::Inbound, "urp@comune.example"));
    let blob = world.put(&AdministrationId::new("urp").unwrap(), "%PDF".into()).await.unwrap();
    let file = Attachment { name: "modulo.pdf".into(), media_type: "application/pdf".into(), content_id: None, blob };
    let good = keep(&world, Message { attachments: vec![file], ..message(2, Direction::Outbound, "mario@example.it") });
    let later = keep(&world, message(3, Direction::Outbound, "temporary@example.it"));
    let never = keep(&world, message(4, Direction::Outbound, "permanent@example.it"));
    let (running, _folder) = sending(&world, Transport::Submission(submission(&server))).await;
    for (id, attempt) in [(good, 1), (later, 1), (never, 1), (good, 1), (MessageId(99), 1)] {
        order(&world, id, attempt);
    }
    world.order("urp", "not an order");
    world.until("every order done", World::all_acknowledged).await;
    let reports: Vec<_> = world.events().into_iter().map(|event| event["data"].clone()).collect();
    let results = |id: MessageId| {
        let of_it = reports.iter().filter(move |report| report["message"] == id.to_string());
        of_it.map(|report| (report["result"].as_str().unwrap(), report["code"].as_str())).collect::<Vec<_>>()
    };
    // Orders are under way at once, but one that came twice: begun before, outcome unknown. The last names a message that is gone.
    assert_eq!(results(good), [("sent", None), ("unknown", None)]);
    assert_eq!((results(later), results(never)), (vec![("temporary", Some("451"))], vec![("permanent", Some("550"))]));
    assert_eq!(results(MessageId(99)), []);
    assert_eq!(world.quarantined.lock().unwrap().len(), 1);
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    let signed = signature::sign(&IdMaker::new(SECRET), good, "mario@example.it", "comune.example");
    assert!(mail.contains("X-Envelope-From: <urp@comune.example>"), "{mail}");
    assert!(mail.contains(&format!("Message-ID: <{signed}>")), "{mail}");
    assert!(mail.contains("In-Reply-To: <domanda@example.it>") && mail.contains("modulo.pdf"), "{mail}");
    assert!(mail.contains("\n.\r\nUn saluto") || mail.contains("\n.\nUn saluto"), "{mail}");
    let sent = reports.iter().find(|report| report["result"] == "sent").unwrap();
    assert_eq!(sent["provider_id"].as_str(), Some(signed.as_str()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submission_with_starttls_and_a_login() {
    let server = SmtpServer::start(true);
    let world = World::new();
    let id = keep(&world, message(2, Direction::Outbound, "mario@example.it"));
    let with = |password: &str| Submission {
        security: SubmissionSecurity::StartTls,
        trust: server.certificate.clone(),
        credentials: Some(Credentials::Password { login: "urp".into(), password: password.to_owned().into() }),
        ..submission(&server)
    };
    let (running, _folder) = sending(&world, Transport::Submission(with("sbagliata"))).await;
    order(&world, id, 1);
    world.until("the first report", |world| world.published.lock().unwrap().len() == 1).await;
    running.stop().await;
    let (running, _folder) = sending(&world, Transport::Submission(with("segreta"))).await;
    order(&world, id, 2);
    world.until("the second report", |world| world.published.lock().unwrap().len() == 2).await;
    let events = world.events();
    // A wrong password is not the letter's fault.
    assert_eq!((events[0]["data"]["result"].as_str(), events[0]["data"]["code"].as_str()), (Some("temporary"), Some("535")));
    assert_eq!(events[1]["data"]["result"].as_str(), Some("sent"));
    assert_eq!(server.mails().len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_server_is_temporary_and_reports_wait_for_the_broker() {
    let world = World::new();
    let id = keep(&world, message(2, Direction::Outbound, "mario@example.it"));
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let nobody = Submission {
        host: "127.0.0.1".into(),
        port,
        security: SubmissionSecurity::None,
        trust: None,
        credentials: None,
        timeout: Duration::from_secs(5),
    };
    world.broker_down.store(true, Ordering::SeqCst);
    let (running, _folder) = sending(&world, Transport::Submission(nobody)).await;
    order(&world, id, 1);
    world.until("the attempt", |_| running.handle.counters.account(&AccountId::new("urp").unwrap()).send_temporary.get() == 1).await;
    assert!(!world.all_acknowledged());
    world.broker_down.store(false, Ordering::SeqCst);
    world.until("the report", World::all_acknowledged).await;
    assert_eq!(world.events()[0]["data"]["code"].as_str(), Some("connect"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_maildir_has_one_file_however_often_it_is_written() {
    let world = World::new();
    let id = keep(&world, message(2, Direction::Outbound, "mario@example.it"));
    let folder = tempfile::tempdir().unwrap();
    let (running, _folder) = sending(&world, Transport::Maildir(folder.path().to_owned())).await;
    order(&world, id, 1);
    order(&world, id, 2);
    world.until("both orders", World::all_acknowledged).await;
    let files: Vec<_> = std::fs::read_dir(folder.path().join("urp/new")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let mail = std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    assert!(mail.contains("To: mario@example.it") && mail.contains("X-Loop: urp@comune.example"), "{mail}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_answers_is_left_in_time() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let world = World::new();
    let id = keep(&world, message(2, Direction::Outbound, "mario@example.it"));
    let transport = Submission {
        host: "127.0.0.1".into(),
        port: silent.local_addr().unwrap().port(),
        security: SubmissionSecurity::None,
        trust: None,
        credentials: None,
        timeout: Duration::from_millis(200),
    };
    let (running, _folder) = sending(&world, Transport::Submission(transport)).await;
    order(&world, id, 1);
    world.until("the report", World::all_acknowledged).await;
    assert_eq!(world.events()[0]["data"]["code"].as_str(), Some("timeout"));
    running.stop().await;
}

/// A mail server that answers the end of a letter only when something else is asked, refuses those to one recipient at once, and never
/// says goodbye.
async fn late_server() -> u16 {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                stream.get_mut().write_all(b"220 late\r\n").await.unwrap();
                let (mut line, mut in_letter, mut late, mut refuses) = (String::new(), false, false, false);
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    let command = line.trim_end().to_owned();
                    line.clear();
                    let answer = match command.as_str() {
                        "." if in_letter && refuses => {
                            in_letter = false;
                            "550 not this one\r\n"
                        }
                        "." if in_letter => {
                            (in_letter, late) = (false, true);
                            continue;
                        }
                        _ if in_letter => continue,
                        "DATA" => {
                            in_letter = true;
                            "354 go on\r\n"
                        }
                        "QUIT" => continue,
                        command => {
                            refuses |= command.starts_with("RCPT TO:<permanent");
                            "250 good\r\n"
                        }
                    };
                    if late {
                        late = false;
                        stream.get_mut().write_all(b"250 the letter before\r\n").await.unwrap();
                    }
                    if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// What is left unanswered of one letter is not the answer to the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_late_is_not_the_next_letters() {
    let world = World::new();
    let late = keep(&world, message(2, Direction::Outbound, "mario@example.it"));
    let refused = keep(&world, message(3, Direction::Outbound, "permanent@example.it"));
    let transport = Submission {
        host: "127.0.0.1".into(),
        port: late_server().await,
        security: SubmissionSecurity::None,
        trust: None,
        credentials: None,
        timeout: Duration::from_millis(200),
    };
    let (running, _folder) = sending(&world, Transport::Submission(transport)).await;
    for (number, letter) in [late, refused].into_iter().enumerate() {
        order(&world, letter, 1);
        world.until("the report", |world| world.published.lock().unwrap().len() == number + 1).await;
    }
    let results: Vec<_> = world.events().into_iter().map(|event| event["data"]["code"].as_str().map(str::to_owned)).collect();
    assert_eq!(results, [Some("timeout".to_owned()), Some("550".to_owned())]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_do_not_wait_for_each_other_at_a_slow_next_hop() {
    let slow = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let world = World::new();
    let letters: Vec<_> = (2..6).map(|id| keep(&world, message(id, Direction::Outbound, "mario@example.it"))).collect();
    let transport = Submission {
        host: "127.0.0.1".into(),
        port: slow.local_addr().unwrap().port(),
        security: SubmissionSecurity::None,
        trust: None,
        credentials: None,
        timeout: Duration::from_secs(60),
    };
    for id in &letters {
        order(&world, *id, 1);
    }
    let (running, _folder) = sending(&world, Transport::Submission(transport)).await;
    // all four stand at the counter before it says a word to the first
    let mut at_the_counter = Vec::new();
    while at_the_counter.len() < letters.len() {
        let next = tokio::time::timeout(Duration::from_secs(30), slow.accept()).await;
        at_the_counter.push(next.expect("the next one in time").unwrap());
    }
    drop((at_the_counter, slow));
    world.until("the reports", World::all_acknowledged).await;
    assert!(world.events().iter().all(|event| event["data"]["result"] == "temporary"));
    assert_eq!(world.events().len(), letters.len());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_come_and_go_with_the_plan() {
    let world = World::new();
    let id = keep(&world, message(2, Direction::Outbound, "mario@example.it"));
    let folder = tempfile::tempdir().unwrap();
    let options = EmailOptions { transport: Transport::Maildir(folder.path().to_owned()), ..options(folder.path()) };
    let running = Running::start(world.clone(), options, &[]).await;
    order(&world, id, 1);
    running.plan.send_replace(Arc::new(plan(&[("urp", "urp@comune.example")])));
    world.until("the order", World::all_acknowledged).await;
    assert_eq!(world.events()[0]["data"]["result"].as_str(), Some("sent"));
    running.stop().await;
}
