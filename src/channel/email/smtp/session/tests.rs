//! Who only keeps a session alive is sent away, whoever hands mails in stays: scripts on a paused clock.

use tokio::io::{AsyncBufReadExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::channel::email::counters::EmailCounters;
use crate::channel::email::inbound::Inbound;
use crate::channel::email::smtp::limits::Limits;
use crate::channel::email::{EmailDeps, EmailOptions, SmtpOptions};
use crate::model::channel::Channel;
use crate::model::id::IdMaker;
use crate::port::testing::{self, FakeBlobs, FakeBroker, FakeLeases, FakeStore};

/// After so many seconds this is said, and answered with this code; without a code there is no answer.
type Step = (u64, String, &'static str);

fn step(seconds: u64, said: &str, code: &'static str) -> Vec<Step> {
    vec![(seconds, format!("{said}\r\n"), code)]
}

fn times(steps: Vec<Step>, count: usize) -> Vec<Step> {
    vec![steps; count].concat()
}

/// Says nothing, and hears that the session is over.
fn sent_away(seconds: u64) -> Vec<Step> {
    vec![(seconds, String::new(), "421"), (0, String::new(), "")]
}

/// Up to the content, after so many seconds.
fn envelope(seconds: u64) -> Vec<Step> {
    [step(seconds, "MAIL FROM:<a@b.example>", "250"), step(0, "RCPT TO:<urp@comune.example>", "250"), step(0, "DATA", "354")].concat()
}

fn mail(seconds: u64) -> Vec<Step> {
    [envelope(seconds), step(0, "Subject: ciao\r\n\r\nciao\r\n.", "250")].concat()
}

fn shared() -> Shared {
    let options = SmtpOptions::new("127.0.0.1:0".parse().expect("an address"), "mx.comune.example");
    let mut plan = testing::plan();
    let account = plan.accounts.values_mut().find(|account| account.queue.as_str() == "urp").expect("an account");
    (account.channel, account.address) = (Channel::email(), Some("urp@comune.example".to_owned()));
    let broker = Arc::new(FakeBroker::default());
    let deps = EmailDeps {
        publisher: Arc::<FakeBroker>::clone(&broker),
        broker,
        store: Arc::new(FakeStore::default()),
        leases: Arc::new(FakeLeases::default()),
        blobs: Arc::new(FakeBlobs::default()),
        plan: watch::channel(Arc::new(plan)).1,
        ids: IdMaker::new([1; 32]),
        holder: "here".to_owned(),
    };
    let email = EmailOptions::new("it.example.sportello", "comune.example", "/nowhere");
    Shared {
        inbound: Arc::new(Inbound::new(&email, &deps, Arc::new(EmailCounters::default()))),
        limits: Limits::new(options.connections_max, options.connections_per_address_max, options.mails_per_minute),
        memory_mb: Arc::new(Semaphore::new(options.memory_max_mb)),
        acceptor: None,
        shutdown: CancellationToken::new(),
        tracker: TaskTracker::new(),
        options,
    }
}

/// The code of the next answer; none if the session is over.
async fn answer(stream: &mut BufReader<DuplexStream>) -> String {
    loop {
        let mut line = String::new();
        let _broken = stream.read_line(&mut line).await;
        if line.as_bytes().get(3) != Some(&b'-') {
            return line.chars().take(3).collect();
        }
    }
}

async fn check(what: &str, steps: Vec<Step>) {
    let (ours, theirs) = duplex(64 * 1024);
    let shared = Arc::new(shared());
    let session = tokio::spawn(async move {
        let _end = Session::new(theirs, SocketAddr::from(([192, 0, 2, 1], 4_321)), &shared, false).run(true).await;
    });
    let mut stream = BufReader::new(ours);
    assert_eq!(answer(&mut stream).await, "220");
    let begun = Instant::now();
    for (number, (seconds, said, code)) in steps.into_iter().enumerate() {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        stream.get_mut().write_all(said.as_bytes()).await.expect("the session is there");
        if !code.is_empty() || said.is_empty() {
            let at = begun.elapsed().as_secs();
            assert_eq!(answer(&mut stream).await, code, "{what}: step {number} after {at} s");
        }
    }
    session.abort();
}

#[tokio::test(start_paused = true)]
async fn who_hands_in_no_mail_is_sent_away() {
    let hello = || step(0, "EHLO client.example", "250");
    let noop = |seconds, count| times(step(seconds, "NOOP", "250"), count);
    let megabyte = || times(step(200, &"x".repeat(MEGABYTE), ""), 3);
    for (what, steps) in [
        ("NOOP every 50 s", [noop(50, 5), sent_away(50)].concat()),
        ("mails begun and not sent", [hello(), step(290, "MAIL FROM:<a@b.example>", "250"), sent_away(10)].concat()),
        ("a mail that takes its time to begin", [hello(), mail(290)].concat()),
        ("and then none", [hello(), mail(290), noop(290, 1), sent_away(10)].concat()),
        ("a mail every 4 minutes", [hello(), times(mail(240), 10)].concat()),
        ("a mail that trickles", [hello(), envelope(0), times(step(100, "x", ""), 2), sent_away(100)].concat()),
        ("a large mail on a slow line", [hello(), envelope(0), megabyte(), step(0, ".", "250")].concat()),
        ("30 commands, and one more", [hello(), noop(0, 29), step(0, "NOOP", "421")].concat()),
        ("EHLO again and again", [times(hello(), 30), step(0, "EHLO client.example", "421")].concat()),
        ("30 again after a mail", [hello(), noop(0, 29), mail(0), noop(0, 30), step(0, "RSET", "421")].concat()),
        ("addresses tried out", [times(step(0, "VRFY urp", "252"), 30), step(0, "VRFY urp", "421")].concat()),
    ] {
        check(what, steps).await;
    }
}
