//! A lane for each account: what holds up one account's messages, a full queue or a slow picture, holds up no other's.

use std::collections::{HashMap, VecDeque, hash_map};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Courier, Handed, Letter, Outcome};
use crate::channel::outbound::{back_off, wait};
use crate::channel::sms::parts::Parts;
use crate::channel::sms::provider::Said;
use crate::channel::sms::spool::Entry;
use crate::channel::sms::webhook::Taken;
use crate::model::id::AccountId;
use crate::port::broker::PublishError;
use crate::port::clock::now;

/// How often it is looked for messages whose missing parts are not waited for any more.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of so many looks one forgets what need not be known any more.
const FORGET_ROUNDS: u32 = 600;
/// Texts published together: the broker confirms them once.
const TOGETHER_MAX: usize = 64;
/// The longest time between two questions for a receipt's message.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(16);
/// Receipts of one account that wait for their message's note; beyond it one more is looked at no further.
const UNCLAIMED_MAX: usize = 1_000;

impl Courier {
    /// Hands everything on, each account's in its order, until the spool or the process ends. What is under way then comes again. A
    /// part waits in `parts` for the others; what is not waited for any more goes when nothing else of its account has come that could
    /// belong to it. First come those `left` by an earlier life.
    pub async fn run(self, left: Vec<Entry>, mut entries: mpsc::UnboundedReceiver<Entry>, parts: Parts, shutdown: CancellationToken) {
        let mut lanes = Lanes {
            courier: Arc::new(self),
            parts: Arc::new(parts),
            shutdown: shutdown.clone(),
            open: HashMap::new(),
            tasks: JoinSet::new(),
        };
        let mut come = left;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rounds = 0_u32;
        loop {
            come.drain(..).for_each(|entry| lanes.give(entry));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                // before a look: a part that has come is not given up for missing
                count = entries.recv_many(&mut come, TOGETHER_MAX) => if count == 0 { break },
                _ = looks.tick() => {
                    rounds = rounds.wrapping_add(1);
                    if let Err(reason) = lanes.look(rounds % FORGET_ROUNDS == 1).await {
                        tracing::warn!(reason, "it cannot be looked for messages that wait for parts");
                    }
                }
            }
        }
        lanes.end().await;
    }
}

/// The way into a lane. What waits in it is within the spool's limit.
struct Lane {
    entries: mpsc::UnboundedSender<Entry>,
    look: Arc<Notify>,
}

/// The lanes by account; one for what cannot be read.
struct Lanes {
    courier: Arc<Courier>,
    parts: Arc<Parts>,
    shutdown: CancellationToken,
    open: HashMap<Option<AccountId>, Lane>,
    tasks: JoinSet<()>,
}

impl Lanes {
    fn give(&mut self, entry: Entry) {
        // of a lane that died what it had comes again after the next start
        let _ = self.lane(account_of(&entry.content)).entries.send(entry);
    }

    /// Has each account that has parts on the disk look after them.
    async fn look(&mut self, forget: bool) -> Handed {
        let work = move |parts: &Parts| parts.accounts().and_then(|found| if forget { parts.forget().map(|()| found) } else { Ok(found) });
        for account in on_disk(&self.parts, work).await? {
            self.lane(Some(account)).look.notify_one();
        }
        Ok(())
    }

    /// The account's lane, begun when it is first used.
    fn lane(&mut self, account: Option<AccountId>) -> &Lane {
        match self.open.entry(account) {
            hash_map::Entry::Occupied(lane) if !lane.get().entries.is_closed() => lane.into_mut(),
            place => {
                let (give, entries) = mpsc::unbounded_channel();
                let look = Arc::new(Notify::new());
                let worker = Worker {
                    courier: Arc::clone(&self.courier),
                    parts: Arc::clone(&self.parts),
                    account: place.key().clone(),
                    shutdown: self.shutdown.clone(),
                };
                self.tasks.spawn(worker.run(entries, Arc::clone(&look)));
                place.insert_entry(Lane { entries: give, look }).into_mut()
            }
        }
    }

    /// Waits until the lanes have handed on what they have, or stopped.
    async fn end(mut self) {
        self.open.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Who hands on what one lane has.
struct Worker {
    courier: Arc<Courier>,
    parts: Arc<Parts>,
    account: Option<AccountId>,
    shutdown: CancellationToken,
}

impl Worker {
    /// Hands on entries in their order until no more can come. One that cannot be handed on now holds up those behind it, but for
    /// a receipt whose message is not known yet: that waits aside.
    async fn run(self, mut entries: mpsc::UnboundedReceiver<Entry>, look: Arc<Notify>) {
        let (mut waiting, mut failures, mut aside) = (Vec::new(), 0, Aside::default());
        while !self.shutdown.is_cancelled() {
            if waiting.is_empty() {
                tokio::select! {
                    biased;
                    () = self.shutdown.cancelled() => return,
                    count = entries.recv_many(&mut waiting, TOGETHER_MAX) => if count == 0 { return },
                    () = look.notified() => {}
                    () = aside.is_due() => {
                        self.claim(&mut aside).await;
                        continue;
                    }
                }
            }
            let handed = match &waiting[..] {
                [] => self.give_up().await.map(|()| (0, Outcome::Done)),
                entries => self.hand_on_first(entries).await,
            };
            match handed {
                Ok((handed, outcome)) => {
                    failures = 0;
                    let handed = waiting.drain(..handed);
                    match outcome {
                        Outcome::Done => handed.for_each(Entry::done),
                        Outcome::Unclaimed => handed.for_each(|entry| aside.put(entry)),
                    }
                    self.claim(&mut aside).await;
                }
                Err(reason) => {
                    failures += 1;
                    let account = self.account.as_ref().map(AccountId::as_str);
                    tracing::warn!(account, reason, failures, "a text message is not published yet; trying again");
                    wait(back_off(failures), &self.shutdown).await;
                }
            }
        }
    }

    /// Asks again for those that are due.
    async fn claim(&self, aside: &mut Aside) {
        while let Some(unclaimed) = aside.take_due() {
            match self.courier.hand_on(&unclaimed.entry.content, &self.shutdown).await {
                Ok(Outcome::Done) => unclaimed.entry.done(),
                Ok(Outcome::Unclaimed) => aside.put_again(unclaimed),
                Err(reason) => {
                    tracing::warn!(account = self.account.as_ref().map(AccountId::as_str), reason, "a receipt waits on");
                    aside.put_again(unclaimed);
                }
            }
        }
    }

    /// Hands on the first entries that go together: texts that need nothing but the broker, or one entry of another kind. How many
    /// they were, and what became of them.
    async fn hand_on_first(&self, entries: &[Entry]) -> Result<(usize, Outcome), String> {
        let letters: Vec<Letter> = entries.iter().map_while(|entry| self.courier.plain(&entry.content)).collect();
        let count = letters.len();
        if count > 1 {
            match self.courier.publish(letters).await {
                Ok(()) => return Ok((count, Outcome::Done)),
                // one of them, and it is not said which: the first alone
                Err(PublishError::Invalid(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        self.step(&entries[0].content).await.map(|outcome| (1, outcome))
    }

    async fn step(&self, content: &Bytes) -> Result<Outcome, String> {
        match serde_json::from_slice::<Taken>(content) {
            Ok(taken) if matches!(&taken.said, Said::Received(received) if received.part.is_some()) => {
                let account = taken.account.clone();
                on_disk(&self.parts, move |parts| parts.add(&taken)).await?;
                self.hand_out(account).await.map(|()| Outcome::Done)
            }
            _ => self.courier.hand_on(content, &self.shutdown).await,
        }
    }

    async fn give_up(&self) -> Handed {
        let Some(account) = self.account.clone() else { return Ok(()) };
        let whose = account.clone();
        on_disk(&self.parts, move |parts| parts.give_up(&whose, now())).await?;
        self.hand_out(account).await
    }

    /// Hands on what waits for no part any more.
    async fn hand_out(&self, account: AccountId) -> Handed {
        for ready in on_disk(&self.parts, move |parts| parts.ready(&account)).await? {
            match &ready.message {
                Ok(joining) => {
                    let content = serde_json::to_vec(&joining.taken()).expect("texts and numbers are JSON");
                    self.courier.hand_on(&content.into(), &self.shutdown).await?;
                }
                Err(content) => {
                    self.courier.hold("parts", content, "a file with parts of a message cannot be read".to_owned()).await?;
                }
            }
            on_disk(&self.parts, move |parts| parts.done(&ready)).await?;
        }
        Ok(())
    }
}

/// A receipt whose message is not known yet.
struct Unclaimed {
    entry: Entry,
    tries: u32,
    at: Instant,
}

/// Receipts that wait aside, in the order in which they are asked for again. They stay in the spool meanwhile.
#[derive(Default)]
struct Aside(VecDeque<Unclaimed>);

impl Aside {
    /// One more. Of too many, the one that has been asked for most often counts as nobody's.
    fn put(&mut self, entry: Entry) {
        if self.0.len() >= UNCLAIMED_MAX
            && let Some(oldest) = self.0.pop_back()
        {
            tracing::warn!("too many receipts wait for their messages: one is not waited for any more");
            oldest.entry.done();
        }
        self.put_again(Unclaimed { entry, tries: 0, at: Instant::now() });
    }

    fn put_again(&mut self, unclaimed: Unclaimed) {
        let tries = unclaimed.tries + 1;
        let unclaimed = Unclaimed { tries, at: Instant::now() + back_off(tries).min(ASK_AGAIN_MAX), ..unclaimed };
        let place = self.0.partition_point(|other| other.at <= unclaimed.at);
        self.0.insert(place, unclaimed);
    }

    fn take_due(&mut self) -> Option<Unclaimed> {
        self.0.pop_front_if(|unclaimed| unclaimed.at <= Instant::now())
    }

    /// Waits until one is due; for ever while none waits.
    async fn is_due(&self) {
        match self.0.front() {
            Some(unclaimed) => sleep_until(unclaimed.at).await,
            None => std::future::pending().await,
        }
    }
}

/// The account an entry is of; none if it cannot be read.
fn account_of(content: &[u8]) -> Option<AccountId> {
    #[derive(Deserialize)]
    struct Whose {
        account: AccountId,
    }
    serde_json::from_slice::<Whose>(content).ok().map(|whose| whose.account)
}

/// Works on the parts' files away from the tasks that wait for nothing.
async fn on_disk<T: Send + 'static>(
    parts: &Arc<Parts>,
    work: impl FnOnce(&Parts) -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let parts = Arc::clone(parts);
    let worked = tokio::task::spawn_blocking(move || work(&parts)).await;
    worked.map_err(|error| error.to_string())?.map_err(|error| format!("the folder of parts: {error}"))
}
