//! The shapes that are measured: how Sportello is laid out, and what is done to it.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;

use crate::daemon::Daemon;
use crate::database::Database;
use crate::embedded::Callers;
use crate::load::Citizens;
use crate::report::Report;
use crate::room::{Admin, Manner, Room};
use crate::{Setup, machine, now_micros};

/// Operators at work.
pub const OPERATORS: usize = 200;
/// Contacts published and not yet offered, in the closed loop. The example's queue takes 200.
const WAITING: usize = 190;
/// Before each measured shape, so that caches, connections and prepared statements are there.
pub const WARM_UP: Duration = Duration::from_secs(3);
/// How long what is under way may take to end.
pub const SETTLE_WITHIN: Duration = Duration::from_secs(60);
/// Its queue was full when it came: with more than [`OPERATORS`] in hand and 200 that wait, a call does not ring any more.
const NOT_ADMITTED: &str = "calls not admitted as live";
/// Warnings of a daemon's log that are printed.
const WARNINGS_SHOWN: usize = 12;

/// How the roles are spread over processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// All roles in one process.
    One,
    /// The router in one, desk and channel API in another.
    Apart,
    /// All roles in one process, without RabbitMQ and PostgreSQL.
    Embedded,
}

impl Layout {
    /// The name in `BENCH_SHAPES`.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Apart => "apart",
            Self::Embedded => "embedded",
        }
    }

    /// The name of one of its figures.
    pub fn figure(self, what: &str) -> String {
        match self {
            Self::One => format!("one process: {what}"),
            Self::Apart => format!("router and desk apart: {what}"),
            Self::Embedded => format!("embedded pair: {what}"),
        }
    }
}

/// Daemons, each shape with a virtual host and a database of its own.
pub struct Installation {
    layout: Layout,
    /// Its processes.
    pub daemons: Vec<Daemon>,
    /// Its database.
    pub database: Database,
    amqp: String,
    /// Where the desk is.
    pub desk: String,
    /// Its first administrator.
    pub admin: Admin,
}

/// A daemon that can be started again.
pub struct Start<'a> {
    folder: &'a Path,
    name: &'a str,
    settings: Vec<(&'a str, String)>,
}

impl Start<'_> {
    async fn daemon(&self) -> anyhow::Result<Daemon> {
        Daemon::start(self.folder, self.name, &self.settings).await
    }
}

/// Where contacts come from.
enum Source {
    Broker(Box<Citizens>),
    ChannelApi(Callers),
}

impl Source {
    async fn closed_loop(&mut self, room: &Room, until: Instant) -> anyhow::Result<u64> {
        match self {
            Self::Broker(citizens) => citizens.closed_loop(&room.places, until).await,
            Self::ChannelApi(callers) => callers.closed_loop(&room.places, until).await,
        }
    }
}

impl Installation {
    /// All roles in one process on RabbitMQ and PostgreSQL, with these settings of its own.
    pub async fn one<'a>(
        setup: &Setup,
        folder: &'a Path,
        name: &'a str,
        settings: &[(&'a str, String)],
    ) -> anyhow::Result<(Self, Start<'a>)> {
        let (database, amqp, backends) = Self::backends(setup, name).await?;
        let start = Start { folder, name, settings: [backends.as_slice(), settings].concat() };
        let it = Self::sign_in(Layout::One, vec![start.daemon().await?], database, amqp).await?;
        Ok((it, start))
    }

    /// Ends its one process and starts another. Who is signed in stays so.
    pub async fn again(mut self, start: &Start<'_>) -> anyhow::Result<Self> {
        for daemon in std::mem::take(&mut self.daemons) {
            daemon.stop().await?;
        }
        let daemon = start.daemon().await?;
        self.desk = daemon.desk()?;
        self.daemons.push(daemon);
        Ok(self)
    }

    async fn start(setup: &Setup, folder: &Path, name: &str, layout: Layout) -> anyhow::Result<Self> {
        if layout == Layout::One {
            return Ok(Self::one(setup, folder, name, &[]).await?.0);
        }
        if layout == Layout::Embedded {
            // every citizen comes by one token, which has its measure otherwise
            let callers = ["channel_api.requests_per_second", "channel_api.burst"].map(|key| (key, "100000".to_owned()));
            let daemon = Daemon::start(folder, name, &callers).await?;
            let database = Database::open(&folder.join(name).join("sportello.db")).await?;
            return Self::sign_in(layout, vec![daemon], database, String::new()).await;
        }
        let (database, amqp, backends) = Self::backends(setup, name).await?;
        let with = |roles: &str| [backends.as_slice(), &[("roles", roles.to_owned())]].concat();
        let daemons = vec![
            Daemon::start(folder, &format!("{name}-router"), &with("router")).await?,
            Daemon::start(folder, &format!("{name}-desk"), &with("desk,api")).await?,
        ];
        Self::sign_in(layout, daemons, database, amqp).await
    }

    /// A database and a virtual host, with the settings that name them.
    async fn backends(setup: &Setup, name: &str) -> anyhow::Result<(Database, String, [(&'static str, String); 4])> {
        let (database, store_url) = Database::make(&setup.postgres, &format!("bench_{name}")).await?;
        let amqp = virtual_host(setup, name)?;
        let backends = [
            ("broker.kind", "amqp".to_owned()),
            ("broker.url", amqp.clone()),
            ("store.kind", "postgres".to_owned()),
            ("store.url", store_url),
        ];
        Ok((database, amqp, backends))
    }

    async fn sign_in(layout: Layout, daemons: Vec<Daemon>, database: Database, amqp: String) -> anyhow::Result<Self> {
        let password = daemons[0].password("carla")?;
        let desk = daemons.last().context("there is a daemon")?.desk()?;
        let admin = Admin::sign_in(&desk, "carla", &password).await?;
        Ok(Self { layout, daemons, database, amqp, desk, admin })
    }

    async fn source(&self) -> anyhow::Result<Source> {
        Ok(match self.layout {
            Layout::Embedded => Source::ChannelApi(Callers::new(&self.desk, self.admin.token("telefono").await?)),
            _ => Source::Broker(Box::new(Citizens::connect(&self.amqp).await?)),
        })
    }

    /// Events that are committed and not yet published; the embedded broker publishes none.
    async fn relay_lag(&mut self) -> anyhow::Result<i64> {
        if self.layout == Layout::Embedded { Ok(0) } else { self.database.relay_lag().await }
    }

    /// Ends its processes.
    pub async fn stop(self) -> anyhow::Result<()> {
        for daemon in self.daemons.into_iter().rev() {
            let warnings = daemon.warnings();
            if !warnings.is_empty() {
                let first = &warnings[..warnings.len().min(WARNINGS_SHOWN)];
                println!("{} warnings in a daemon's log, the first ones:\n{}", warnings.len(), first.join("\n"));
            }
            daemon.stop().await?;
        }
        Ok(())
    }
}

fn virtual_host(setup: &Setup, name: &str) -> anyhow::Result<String> {
    let host = format!("bench-{name}");
    let (add, permit) = (["add_vhost", &host].to_vec(), ["set_permissions", "-p", &host, "guest", ".*", ".*", ".*"].to_vec());
    for arguments in [add, permit] {
        let output = std::process::Command::new(&setup.rabbitmqctl).args(&arguments).output()?;
        ensure!(output.status.success(), "rabbitmqctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut url: url::Url = setup.amqp.parse()?;
    url.set_path(&host);
    Ok(url.into())
}

/// Contacts per second, closed loop: everything published is offered, accepted, closed, durable, and its events are published
/// before the clock stops.
pub async fn throughput(setup: &Setup, folder: &Path, layout: Layout, report: &mut Report) -> anyhow::Result<()> {
    let mut it = Installation::start(setup, folder, layout.name(), layout).await?;
    let room = Room::open(&it.admin, &it.desk, OPERATORS, WAITING, Manner::Close).await?;
    let memory = |it: &Installation, when: &str, report: &mut Report| {
        for daemon in &it.daemons {
            report.add(layout.figure(&format!("memory {when}")), "MB", machine::memory_mb(daemon.id(), "VmRSS"));
        }
    };
    memory(&it, "with everybody signed in", report);
    let mut source = it.source().await?;
    let warm = source.closed_loop(&room, Instant::now() + WARM_UP).await?;
    settle(&mut it, &room, warm).await?;
    it.database.analyze().await?;
    for _ in 0..setup.runs {
        let before = it.database.counts().await?;
        let closed = room.tally.closed.load(Ordering::Relaxed);
        let cpu = machine::cpu_seconds();
        let began = Instant::now();
        let published = source.closed_loop(&room, began + Duration::from_secs_f64(setup.seconds)).await?;
        let lag = it.relay_lag().await?;
        settle(&mut it, &room, closed + published).await?;
        let took = began.elapsed().as_secs_f64();
        let used = machine::used(&cpu, &machine::cpu_seconds());
        let after = it.database.counts().await?;
        after.conserve(&before, published as i64)?;
        report.add(layout.figure("contacts"), "contacts/s", published as f64 / took);
        report.add(layout.figure("commits"), "commits/s", (after.commits - before.commits) as f64 / took);
        report.add(layout.figure("events behind at the end of publishing"), "events", lag as f64);
        report.add(layout.figure("public events"), "events/contact", (after.events - before.events) as f64 / published as f64);
        report.add(layout.figure(NOT_ADMITTED), "calls", (after.not_admitted - before.not_admitted) as f64);
        let bytes = after.journal_bytes - before.journal_bytes;
        report.add(layout.figure("journal, inputs and events"), "bytes/contact", bytes as f64 / published as f64);
        for (group, seconds) in used {
            report.add(layout.figure(&format!("processor, {group}")), "of a core", seconds / took);
            report.add(layout.figure(&format!("processor, {group}, a contact")), "µs", seconds * 1e6 / published as f64);
        }
    }
    if let (Some(disk), counts) = (it.database.journal_on_disk().await?, it.database.counts().await?) {
        report.add(layout.figure("journal on disk with indexes"), "bytes/contact", disk as f64 / counts.contacts.max(1) as f64);
    }
    println!("{}: database version {}", layout.name(), it.database.version().await?);
    memory(&it, "after the runs", report);
    room.close();
    it.stop().await
}

/// Waits until so many contacts are closed and every event is published.
async fn settle(it: &mut Installation, room: &Room, closed: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLE_WITHIN;
    while room.tally.closed.load(Ordering::Relaxed) < closed || it.relay_lag().await? > 0 {
        if Instant::now() > deadline {
            let (done, lag) = (room.tally.closed.load(Ordering::Relaxed), it.relay_lag().await?);
            // whether the others stand before the commit or behind it, and where
            let (counts, open) = (it.database.counts().await?, it.database.not_closed().await?);
            let open: Vec<String> = open.into_iter().map(|(state, mode, count)| format!("{count} {state} {mode}")).collect();
            bail!(
                "{done} of {closed} contacts are closed, {lag} events are not published; not closed: [{}]; first refusal: {:?}; {counts:?}",
                open.join(", "),
                room.tally.first_refusal()
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// From the intended arrival to the offer on the operator's WebSocket, open loop. A call that was not admitted as live is not offered: its
/// assignment counts.
pub async fn latency(setup: &Setup, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut it = Installation::start(setup, folder, "latency", Layout::One).await?;
    let room = Room::open(&it.admin, &it.desk, OPERATORS, 0, Manner::Close).await?;
    let mut citizens = Citizens::connect(&it.amqp).await?;
    let warm = citizens.open_loop(500.0, WARM_UP.as_secs_f64()).await?;
    settle(&mut it, &room, warm).await?;
    it.database.analyze().await?;
    for rate in [500.0, 1000.0] {
        let mut all = histogram()?;
        for _ in 0..setup.runs {
            room.tally.take_seen();
            let (before, since) = (it.database.counts().await?, now_micros());
            let closed = room.tally.closed.load(Ordering::Relaxed);
            let cpu = machine::cpu_seconds();
            let began = Instant::now();
            let published = citizens.open_loop(rate, setup.seconds).await?;
            settle(&mut it, &room, closed + published).await?;
            let took = began.elapsed().as_secs_f64();
            let used = machine::used(&cpu, &machine::cpu_seconds());
            let after = it.database.counts().await?;
            after.conserve(&before, published as i64)?;
            let mut one = histogram()?;
            let seen = room.tally.take_seen();
            for (contact, intended) in it.database.filed_since(since).await? {
                let offered = seen.get(&contact).with_context(|| format!("nobody was offered or given {contact}"))?;
                one.record((offered - intended).max(1).unsigned_abs())?;
            }
            ensure!(one.len() == published, "{published} published, {} measured", one.len());
            for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
                report.add(format!("arrival to offer at {rate}/s: {name}"), "ms", one.value_at_quantile(quantile) as f64 / 1000.0);
            }
            report.add(format!("arrival to offer at {rate}/s: max"), "ms", one.max() as f64 / 1000.0);
            report.add(format!("at {rate}/s: {NOT_ADMITTED}"), "calls", (after.not_admitted - before.not_admitted) as f64);
            for (group, seconds) in used {
                report.add(format!("at {rate}/s: processor, {group}"), "of a core", seconds / took);
            }
            all.add(one)?;
        }
        println!(
            "arrival to offer at {rate}/s, all runs together ({} contacts): p50 {:.2} p99 {:.2} p99.9 {:.2} max {:.2} ms",
            all.len(),
            all.value_at_quantile(0.5) as f64 / 1000.0,
            all.value_at_quantile(0.99) as f64 / 1000.0,
            all.value_at_quantile(0.999) as f64 / 1000.0,
            all.max() as f64 / 1000.0,
        );
    }
    room.close();
    it.stop().await
}

/// Microseconds, up to ten minutes.
pub fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 600_000_000, 3)?)
}

/// Contacts that wait while memory is measured.
const LETTERS: u64 = 10_000;

/// Resident memory with many contacts waiting: letters whose language has to be found, with nobody at work.
pub async fn memory(setup: &Setup, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut it = Installation::start(setup, folder, "memory", Layout::One).await?;
    let process = it.daemons[0].id();
    report.add("memory: nothing waiting", "MB", machine::memory_mb(process, "VmRSS"));
    Citizens::connect(&it.amqp).await?.letters(LETTERS).await?;
    let deadline = Instant::now() + SETTLE_WITHIN * 2;
    while it.database.number("select count(*) from contact where state = 'queued'").await? < LETTERS as i64 {
        ensure!(Instant::now() < deadline, "the letters were not all taken in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    report.add("memory: 10,000 contacts waiting", "MB", machine::memory_mb(process, "VmRSS"));
    report.add("memory: the most it ever was", "MB", machine::memory_mb(process, "VmHWM"));
    it.stop().await
}
