//! `make bench`: the figures of the README, measured on the release binary as separate processes with the shipped settings.
//!
//! The load generator and the operators' WebSockets are this process; broker and database are private servers that
//! `tests/servers.py` starts. Everything shares one machine, and the table says who used its processors.
//!
//! `BENCH_RUNS` (5), `BENCH_SECONDS` (60) and `BENCH_SHAPES` (all of raw,one,apart,embedded,latency,chat,sms,memory) shorten it.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

#[path = "throughput/chat.rs"]
mod chat;
#[path = "throughput/daemon.rs"]
mod daemon;
#[path = "throughput/database.rs"]
mod database;
#[path = "throughput/embedded.rs"]
mod embedded;
#[path = "throughput/load.rs"]
mod load;
#[path = "throughput/machine.rs"]
mod machine;
#[path = "throughput/raw.rs"]
mod raw;
#[path = "throughput/report.rs"]
mod report;
#[path = "throughput/room.rs"]
mod room;
#[path = "throughput/shape.rs"]
mod shape;
#[path = "throughput/sms.rs"]
mod sms;

use report::Report;
use shape::Layout;

/// Microseconds UTC.
fn now_micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// How long and how often, and with which servers.
pub struct Setup {
    runs: usize,
    seconds: f64,
    shapes: Vec<String>,
    amqp: String,
    postgres: String,
    rabbitmqctl: String,
}

impl Setup {
    fn read() -> anyhow::Result<Self> {
        let text = |key: &str, default: &str| std::env::var(key).unwrap_or_else(|_| default.to_owned());
        let server = |key: &str| std::env::var(key).with_context(|| format!("{key} is not set: run `make bench`"));
        Ok(Self {
            runs: text("BENCH_RUNS", "5").parse().context("BENCH_RUNS is a number")?,
            seconds: text("BENCH_SECONDS", "60").parse().context("BENCH_SECONDS is a number")?,
            shapes: text("BENCH_SHAPES", "raw,one,apart,embedded,latency,chat,sms,memory").split(',').map(str::to_owned).collect(),
            amqp: server("SPORTELLO_TEST_AMQP")?,
            postgres: server("SPORTELLO_TEST_POSTGRES")?,
            rabbitmqctl: server("SPORTELLO_TEST_RABBITMQCTL")?,
        })
    }

    fn has(&self, shape: &str) -> bool {
        self.shapes.iter().any(|wanted| wanted == shape)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let setup = Setup::read()?;
    let folder = std::env::temp_dir().join(format!("sportello-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure(&setup, &folder).await;
    if outcome.is_ok() {
        std::fs::remove_dir_all(&folder)?;
    } else {
        eprintln!("the daemons' logs stay in {}", folder.display());
    }
    outcome
}

async fn measure(setup: &Setup, folder: &Path) -> anyhow::Result<()> {
    let mut report = Report::default();
    println!("{}", machine::describe());
    println!(
        "{} runs of {} s; {} operators; contacts of {} bytes; nobody has bound a queue to sportello.events",
        setup.runs,
        setup.seconds,
        shape::OPERATORS,
        load::BODY_BYTES
    );
    if setup.has("raw") {
        for _ in 0..setup.runs {
            let mut best = 0.0_f64;
            for window in [256, 1000] {
                best = best.max(raw::rate(&setup.amqp, window, setup.seconds.min(10.0)).await?);
            }
            report.add(RAW, "messages/s", best);
        }
    }
    if setup.has("embedded") {
        for _ in 0..setup.runs {
            let mut best = 0.0_f64;
            for window in [256, 1000] {
                best = best.max(embedded::rate(folder, window, setup.seconds.min(10.0)).await?);
            }
            report.add(RAW_EMBEDDED, "messages/s", best);
        }
    }
    for layout in [Layout::One, Layout::Apart, Layout::Embedded] {
        if setup.has(layout.name()) {
            shape::throughput(setup, folder, layout, &mut report).await?;
        }
    }
    if setup.has("latency") {
        shape::latency(setup, folder, &mut report).await?;
    }
    if setup.has("chat") {
        chat::measure(setup, folder, &mut report).await?;
    }
    if setup.has("sms") {
        sms::measure(setup, folder, &mut report).await?;
    }
    if setup.has("memory") {
        shape::memory(setup, folder, &mut report).await?;
    }
    report.print();
    println!();
    for (layout, raw) in [(Layout::One, RAW), (Layout::Apart, RAW), (Layout::Embedded, RAW_EMBEDDED)] {
        if let (Some(rate), Some(raw)) = (report.median(&layout.figure("contacts")), report.median(raw)) {
            println!("{}: {:.3} of what its broker does alone (medians)", layout.name(), rate / raw);
        }
    }
    Ok(())
}

/// The figure that the others are compared with.
const RAW: &str = "RabbitMQ alone: publish, confirm, consume, acknowledge";
/// The same on the embedded broker, in one process.
const RAW_EMBEDDED: &str = "embedded broker alone, in one process";
