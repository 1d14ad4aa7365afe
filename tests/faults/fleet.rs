//! A pair with its processes, citizens and operators: what every scenario runs on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::chat;
use crate::citizens::{self, Way};
use crate::ledger::{Ledger, Verdict};
use crate::operators;
use crate::pair::Pair;
use crate::process::{self, Addresses, Process};
use crate::sink;

/// Operators at work.
const OPERATORS: usize = 6;
/// How long nothing may move, once all faults are healed, before the rest counts as left open. Longer than the five minutes before a mail
/// is tried for the third time, or an attempt that nobody reported counts as unknown.
const HEALED_WITHIN: Duration = Duration::from_secs(400);
/// With so many contacts open no more citizens come. An unbounded queue would hold all mail behind those who stand there, and
/// the points at which answers leave would never be passed.
const OPEN_MAX: i64 = 150;
/// How often the open contacts are counted.
const COUNT_EVERY: Duration = Duration::from_millis(200);

/// Writes each commit down with the epoch that was in force at that moment: an oracle that Sportello's code has no part in.
const AUDIT: &str = "
create table audit (epoch bigint, batch bigint, last_seq bigint, current bigint, at bigint);
create function audit() returns trigger language plpgsql as $$
begin
    insert into audit select new.epoch, new.batch, new.last_seq, e.epoch, (extract(epoch from clock_timestamp()) * 1000000)::bigint
        from epoch e where e.pool = new.pool;
    return new;
end $$;
create trigger audit after update on progress for each row execute function audit();";

/// Everything of one scenario.
pub struct Fleet {
    /// Broker and database.
    pub pair: Pair,
    /// What the peers know.
    pub ledger: Arc<Ledger>,
    /// For requests.
    pub http: reqwest::Client,
    /// Of the channel API.
    pub token: String,
    /// The processes; killed ones are replaced in their place.
    pub processes: Mutex<Vec<Process>>,
    operators: Vec<(String, String)>,
    loaded: AtomicBool,
    crowded: watch::Sender<bool>,
    ended: AtomicBool,
}

impl Fleet {
    /// One healthy process on the embedded pair, or one on the real servers, with accounts made.
    pub async fn new(real: bool) -> Arc<Self> {
        let ledger = Arc::new(Ledger::default());
        let port = sink::listen(Arc::clone(&ledger)).await;
        let pair = if real { Pair::servers(port).await } else { Pair::embedded(port) };
        if let Some(servers) = pair.real() {
            citizens::bind_events(&servers.amqp).await;
        }
        let first = Process::start(&pair, "").await;
        let token = process::run(&pair, &["token", "add", "citizens", "--account", "telefono"]).trim().to_owned();
        let mut operators = Vec::new();
        for number in 0..OPERATORS {
            let login = format!("op{number}");
            let profile = ["--administration", "comune", "--office", "urp", "--skill", "accoglienza=5", "--language", "it"];
            let size = ["--live-units", "1000", "--desk-slots", "10"];
            // Letters wait for those who are busy with chats: every second one reads letters and texts alone.
            let channels: &[&str] = if number % 2 == 0 { &[] } else { &["--channel", "email", "--channel", "sms"] };
            process::run(&pair, &[&["operator", "add", &login, "--name", &login], &profile[..], &size[..], channels].concat());
            let token = process::run(&pair, &["token", "add", &format!("console-{login}"), "--operator", &login]);
            operators.push((login, token.trim().to_owned()));
        }
        if real {
            pair.execute(AUDIT).await;
        }
        let http = reqwest::Client::builder().timeout(Duration::from_secs(8)).build().unwrap();
        let fleet = Arc::new(Self {
            pair,
            ledger,
            http,
            token,
            processes: Mutex::new(vec![first]),
            operators,
            loaded: AtomicBool::new(true),
            crowded: watch::Sender::new(false),
            ended: AtomicBool::new(false),
        });
        if real {
            tokio::spawn(citizens::follow_events(Arc::clone(&fleet)));
        }
        fleet
    }

    /// One process, armed with a fault from its second start on: the first makes the accounts.
    pub async fn armed(real: bool, fault: &str) -> Arc<Self> {
        let fleet = Self::new(real).await;
        fleet.processes.lock().await[0].kill();
        fleet.start(0, fault).await;
        fleet
    }

    /// Sends the operators to their consoles and lets citizens come, one of each way every `pause`.
    pub fn load(self: &Arc<Self>, pause: Duration) -> Load {
        let mut ways = vec![Way::Api, Way::Smtp, Way::Sms];
        ways.extend(self.pair.real().map(|_| Way::Amqp));
        let citizens = ways.into_iter().map(|way| {
            let pause = if way == Way::Smtp { pause * 3 } else { pause };
            tokio::spawn(citizens::come(Arc::clone(self), way, pause))
        });
        let operators =
            self.operators.iter().map(|(login, token)| tokio::spawn(operators::work(Arc::clone(self), login.clone(), token.clone())));
        tokio::spawn(Arc::clone(self).count_open());
        Load { citizens: citizens.collect(), operators: operators.collect() }
    }

    /// Lets citizens come to the web chat as well, so many at once.
    pub fn load_chats(self: &Arc<Self>, load: &mut Load, at_once: usize) {
        load.citizens.extend((0..at_once).map(|place| tokio::spawn(chat::come(Arc::clone(self), place))));
    }

    /// Whether citizens still come.
    pub fn takes_load(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }

    async fn count_open(self: Arc<Self>) {
        let mut looks = tokio::time::interval(COUNT_EVERY);
        while self.takes_load() {
            looks.tick().await;
            let open = self.pair.count("select count(*) from contact where state <> 'closed'").await;
            self.crowded.send_replace(open > OPEN_MAX);
        }
        self.crowded.send_replace(false);
    }

    /// Waits while too many contacts are open.
    pub async fn until_room(&self) {
        self.crowded.subscribe().wait_for(|crowded| !crowded).await.unwrap();
    }

    /// Whether operators go home.
    pub fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Where a process listens that lives now, any of them.
    pub async fn addresses(&self) -> Option<Addresses> {
        let mut processes = self.processes.lock().await;
        let up: Vec<Addresses> = processes.iter_mut().filter(|process| !process.is_stopped()).filter_map(Process::addresses).collect();
        (!up.is_empty()).then(|| up[rand::random_range(0..up.len())].clone())
    }

    /// Replaces the process at `place`, or adds one, armed with `fault`.
    pub async fn start(&self, place: usize, fault: &str) {
        let process = Process::start(&self.pair, fault).await;
        let mut processes = self.processes.lock().await;
        if place < processes.len() {
            processes[place] = process;
        } else {
            processes.push(process);
        }
    }

    /// The place of the process that leads, by the database.
    pub async fn leader(&self) -> Option<usize> {
        let holder = self.pair.ask("select holder from lease where pool = 'main'").await.pop()?;
        let pid: u32 = holder.rsplit('-').nth(1)?.parse().ok()?; // <host>-<pid>-<random>
        let mut processes = self.processes.lock().await;
        processes.iter_mut().position(|process| process.pid() == pid && process.is_alive())
    }

    /// Waits until the process at `place` leads.
    pub async fn until_leads(&self, place: usize, within: Duration) {
        crate::until("the other process to lead", within, async || self.leader().await == Some(place)).await;
    }

    /// Waits until the process at `place` has died by its fault, which ends it as `kill -9` does; another end is a defect.
    pub async fn until_dead(&self, place: usize, what: &str) {
        crate::until(what, Duration::from_secs(180), async || !self.processes.lock().await[place].is_alive()).await;
        let mut processes = self.processes.lock().await;
        assert!(processes[place].was_killed(), "{what}: it ended otherwise: {}", processes[place].log_text());
    }

    /// Waits until the process at `place` has logged a text, or does not live any more.
    pub async fn until_logged(&self, place: usize, text: &str) {
        crate::until(text, Duration::from_secs(60), async || self.processes.lock().await[place].log_text().contains(text)).await;
    }

    /// Waits until so many contacts more are acknowledged.
    pub async fn until_more(&self, contacts: usize) {
        let wanted = self.ledger.acknowledged_count() + contacts;
        crate::until("contacts to be taken", Duration::from_secs(120), async || self.ledger.acknowledged_count() >= wanted).await;
    }

    /// Waits until nothing is open: all contacts closed, all mail sent, all events out.
    pub async fn until_settled(&self) {
        let open = "select (select count(*) from contact where state <> 'closed')
            + (select count(*) from message where delivery in ('queued', 'attempting'))";
        let (mut moved, mut seen) = (Instant::now(), (i64::MAX, 0_usize));
        loop {
            let left = (self.pair.count(open).await, self.ledger.published_count());
            let effective = self.pair.count("select (select count(*) from contact) + (select count(*) from quarantine)").await;
            let all_in = usize::try_from(effective).unwrap() >= self.ledger.acknowledged_count();
            if (left.0 == 0 && all_in && left == seen) || moved.elapsed() > HEALED_WITHIN {
                return;
            }
            if left != seen {
                moved = Instant::now();
            }
            seen = left;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }

    /// Waits until everything that will come is in, where nobody serves it: one more contact is handed in, and comes after all of it.
    pub async fn until_settled_without_operators(&self) {
        let last = format!("Last-{}", self.ledger.acknowledged_count());
        citizens::hand_in(self, Way::Api, &last, false, &mut None).await;
        let effective = format!("select count(*) from conversation where subject = '{last}'");
        crate::until("the last contact", Duration::from_secs(60), async || self.pair.count(&effective).await == 1).await;
        if self.pair.real().is_some() {
            let event = self.pair.count("select max(seq) from event").await;
            crate::until("its public events", Duration::from_secs(60), async || self.ledger.published_last() >= event).await;
        }
    }

    /// Ends the load, waits until everything is closed, and compares.
    pub async fn finish(&self, load: Load) -> Verdict {
        self.loaded.store(false, Ordering::Relaxed);
        for citizen in load.citizens {
            citizen.await.unwrap();
        }
        self.until_settled().await;
        self.ended.store(true, Ordering::Relaxed);
        for operator in load.operators {
            operator.await.unwrap();
        }
        self.ledger.verdict(&self.pair).await
    }

    /// A figure of the process at `place`.
    pub async fn metric(&self, place: usize, name: &str, label: &str) -> Option<f64> {
        self.processes.lock().await[place].metric(name, label).await
    }
}

/// The peers at work.
pub struct Load {
    citizens: Vec<JoinHandle<()>>,
    operators: Vec<JoinHandle<()>>,
}
