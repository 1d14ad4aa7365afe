//! A process killed between publish, deliver and acknowledge loses nothing that was confirmed. The process is this very test
//! binary, started again for the one test `child`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use sportello::broker::amqp::AmqpBroker;
use sportello::broker::embedded::{EmbeddedBroker, EmbeddedOptions};
use sportello::port::broker::{Broker, Source};

use super::on_both;
use super::place::{Kind, Place, amqp_options, ids, inbound, numbered, pool, publish, take};

const ROLE: &str = "SPORTELLO_TEST_CHILD";
const ADDRESS: &str = "SPORTELLO_TEST_CHILD_ADDRESS";

on_both!(killed_after_publish, killed_after_delivery, killed_after_ack, killed_at_any_moment);

/// What the child says.
struct Victim {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Victim {
    fn start(place: &Place, role: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "broker::crash::child", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(ADDRESS, &place.address)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { process, lines }
    }

    /// The next line that begins with `word`, without it; none at the end.
    fn says(&mut self, word: &str) -> Option<String> {
        self.lines.by_ref().map_while(Result::ok).find_map(|line| line.split_once(word).map(|(_, rest)| rest.trim().to_owned()))
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ran");
    }
}

async fn killed_once_it_is_ready(kind: Kind, role: &'static str) -> Place {
    let place = Place::new(kind).await;
    place.declare().await;
    place.leave().await;
    let mut victim = Victim::start(&place, role);
    let ready = tokio::task::spawn_blocking(move || {
        let ready = victim.says("READY").is_some();
        victim.kill();
        ready
    });
    assert!(ready.await.expect("no panic"), "the child got as far as `{role}`");
    place.again().await
}

async fn killed_after_publish(kind: Kind) {
    let place = killed_once_it_is_ready(kind, "publish").await;
    let mut consumer = place.consumer(Source::Router(pool()), 100).await;
    let all = take(&mut consumer, 20).await;
    assert_eq!(ids(&all), (0..20).collect::<Vec<_>>());
    assert!(all.iter().all(|message| !message.redelivered));
}

async fn killed_after_delivery(kind: Kind) {
    let place = killed_once_it_is_ready(kind, "deliver").await;
    let mut consumer = place.consumer(Source::Router(pool()), 100).await;
    let all = take(&mut consumer, 20).await;
    assert_eq!(ids(&all), (0..20).collect::<Vec<_>>());
    assert!(all[..5].iter().all(|message| message.redelivered), "handed out before the kill");
    assert!(all[10..].iter().all(|message| !message.redelivered), "beyond its prefetch");
}

async fn killed_after_ack(kind: Kind) {
    let place = killed_once_it_is_ready(kind, "ack").await;
    let mut consumer = place.consumer(Source::Router(pool()), 100).await;
    assert_eq!(ids(&take(&mut consumer, 15).await), (5..20).collect::<Vec<_>>());
}

async fn killed_at_any_moment(kind: Kind) {
    let mut place = Place::new(kind).await;
    place.declare().await;
    let mut confirmed = BTreeSet::new();
    for round in 1..=3 {
        place.leave().await;
        let mut victim = Victim::start(&place, &format!("stream {round}"));
        let seen = tokio::task::spawn_blocking(move || {
            let mut seen: Vec<usize> = Vec::new();
            while seen.len() < 40 * round {
                seen.push(victim.says("CONFIRMED").expect("it goes on for ever").parse().expect("a number"));
            }
            victim.kill();
            seen.extend(std::iter::from_fn(|| victim.says("CONFIRMED")).filter_map(|number| number.parse::<usize>().ok()));
            seen
        });
        confirmed.extend(seen.await.expect("no panic"));
        place = place.again().await;
    }
    let mut consumer = place.consumer(Source::Router(pool()), 100).await;
    let mut arrived = Vec::new();
    while !confirmed.iter().all(|number| arrived.contains(number)) {
        let batch = take(&mut consumer, 1).await;
        consumer.ack(batch[0].tag).await.expect("acknowledges");
        arrived.extend(ids(&batch));
    }
    assert!(arrived.is_sorted(), "in the order published");
}

/// Not a test by itself: what the tests above start and kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(role), Ok(address)) = (std::env::var(ROLE), std::env::var(ADDRESS)) else { return };
    let broker: Arc<dyn Broker> = if address.starts_with("amqp") {
        AmqpBroker::connect(amqp_options(&address)).await.expect("a good URL")
    } else {
        EmbeddedBroker::open(&address, EmbeddedOptions::default()).await.expect("the file")
    };
    let publisher = broker.publisher().await.expect("a publisher");
    if let Some(round) = role.strip_prefix("stream ") {
        let from: usize = round.parse::<usize>().expect("a number") * 1_000_000;
        for number in from.. {
            publish(&publisher, numbered(&inbound(), number, 1)).await;
            say(&format!("CONFIRMED {number}"));
        }
    }
    publish(&publisher, numbered(&inbound(), 0, 20)).await;
    let mut consumer = None;
    if role != "publish" {
        let mut reader = broker.consumer(Source::Router(pool()), 10).await.expect("a consumer");
        let held = take(&mut reader, 5).await;
        if role == "ack" {
            reader.ack(held[4].tag).await.expect("acknowledges");
            // The broker has an acknowledgement once it has given more room for it.
            take(&mut reader, 6).await;
        }
        consumer = Some(reader);
    }
    say("READY");
    std::future::pending::<()>().await;
    drop(consumer);
}

/// Whole lines, at once, to whoever may be about to kill us.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the parent listens");
}
