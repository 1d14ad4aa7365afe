//! The one task that owns the file and the queues. It takes everything that waits, decides, writes one transaction, and only
//! then answers and delivers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::broker::embedded::file::{Changes, Contents, File};
use crate::broker::embedded::mailbox::Mailbox;
use crate::broker::embedded::queue::{Beyond, Delivery, Numbered, Queue, Stored};
use crate::broker::embedded::switchboard::Switchboard;
use crate::broker::embedded::{EmbeddedError, EmbeddedOptions, closed};
use crate::broker::topology::DEAD;
use crate::model::time::Timestamp;
use crate::port::broker::{ConsumeError, PublishError};
use crate::port::clock::now;

/// Messages after which no more requests are taken into one transaction.
const TRANSACTION_LEN: usize = 2_048;

type Answer<T> = oneshot::Sender<T>;

/// A message with the durable queue it goes to.
pub(super) struct Placed {
    pub(super) queue: String,
    pub(super) stored: Stored,
}

/// One caller's batch.
pub(super) struct Job {
    pub(super) placed: Vec<Placed>,
    pub(super) answer: Answer<Result<(), PublishError>>,
}

/// Everything else. Few at a time: each consumer has at most one request under way.
pub(super) enum Control {
    Declare { queues: Vec<String>, answer: Answer<Result<(), PublishError>> },
    Attach { queue: String, prefetch: usize, mailbox: Arc<Mailbox>, answer: Answer<Result<u64, ConsumeError>> },
    Ack { queue: String, reader: u64, tag: u64, answer: Answer<Result<(), ConsumeError>> },
    Detach { queue: String, reader: u64, handed: u64, answer: Answer<()> },
    Close { answer: Answer<()> },
}

enum Request {
    Publish(Job),
    Control(Control),
}

/// What is said once the transaction is durable, or has failed.
type Saying = Box<dyn FnOnce(Result<(), &str>) + Send>;

pub(super) struct Writer {
    path: PathBuf,
    options: EmbeddedOptions,
    switchboard: Arc<Switchboard>,
    /// None after a failed transaction, until the file is opened again.
    file: Option<File>,
    queues: BTreeMap<String, Queue>,
    bytes: usize,
    last_seq: u64,
    last_reader: u64,
}

impl Writer {
    pub(super) async fn open(path: &Path, options: EmbeddedOptions, switchboard: Arc<Switchboard>) -> Result<Self, EmbeddedError> {
        let mut writer = Self {
            path: path.to_owned(),
            options,
            switchboard,
            file: None,
            queues: BTreeMap::new(),
            bytes: 0,
            last_seq: 0,
            last_reader: 0,
        };
        writer.reload(false).await?;
        Ok(writer)
    }

    /// Runs until closed, or until every publisher, consumer and the broker itself are gone.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>, mut controls: mpsc::UnboundedReceiver<Control>) {
        loop {
            let first = tokio::select! {
                control = controls.recv() => control.map(Request::Control),
                job = jobs.recv() => job.map(Request::Publish),
            };
            let Some(first) = first else { return self.shut().await };
            let mut requests = vec![first];
            let mut len = 0;
            while len < TRANSACTION_LEN {
                if let Ok(control) = controls.try_recv() {
                    requests.push(Request::Control(control));
                } else if let Ok(job) = jobs.try_recv() {
                    len += job.placed.len();
                    requests.push(Request::Publish(job));
                } else {
                    break;
                }
            }
            if let Some(close) = self.transact(requests).await {
                self.shut().await;
                // Whoever asked may have gone away.
                let _ = close.send(());
                return;
            }
        }
    }

    /// One transaction. Returns who asked to close, if anybody did.
    async fn transact(&mut self, requests: Vec<Request>) -> Option<Answer<()>> {
        let reopened = if self.file.is_none() { self.reload(true).await.map_err(|error| error.to_string()) } else { Ok(()) };
        let (mut changes, mut sayings, mut close) = (Changes::default(), Vec::new(), None);
        let mut touched = BTreeSet::new();
        for request in requests {
            match request {
                Request::Control(Control::Close { answer }) => close = Some(answer),
                request => self.decide(request, &mut changes, &mut sayings, &mut touched),
            }
        }
        let deliveries = self.dispatch(&touched, &mut changes);
        let outcome = match reopened {
            Ok(()) => self.commit(&changes).await,
            Err(reason) => Err(reason),
        };
        if let Err(reason) = &outcome {
            self.fail(reason).await;
        } else {
            for (mailbox, messages) in deliveries {
                mailbox.deliver(messages);
            }
        }
        for saying in sayings {
            saying(outcome.as_ref().copied().map_err(String::as_str));
        }
        close
    }

    async fn commit(&mut self, changes: &Changes) -> Result<(), String> {
        if changes.is_empty() {
            return Ok(());
        }
        let file = self.file.as_mut().ok_or_else(closed)?;
        file.commit(changes).await.map_err(|error| error.to_string())
    }

    fn decide(&mut self, request: Request, changes: &mut Changes, sayings: &mut Vec<Saying>, touched: &mut BTreeSet<String>) {
        match request {
            Request::Publish(job) => {
                let verdict = self.publish(job.placed, changes, touched);
                sayings.push(Box::new(move |outcome| {
                    let verdict = outcome.map_err(|reason| PublishError::Unavailable(reason.to_owned())).and(verdict);
                    // The caller may have gone away; so below.
                    let _ = job.answer.send(verdict);
                }));
            }
            Request::Control(Control::Declare { queues, answer }) => {
                for name in queues {
                    if !self.queues.contains_key(&name) {
                        self.queues.insert(name.clone(), Queue::new(&name));
                        changes.declared.push(name);
                    }
                }
                let (switchboard, durable) = (Arc::clone(&self.switchboard), self.queues.keys().cloned().collect());
                sayings.push(Box::new(move |outcome| {
                    if outcome.is_ok() {
                        switchboard.set_durable(durable);
                    }
                    let _ = answer.send(outcome.map_err(|reason| PublishError::Unavailable(reason.to_owned())));
                }));
            }
            Request::Control(Control::Attach { queue, prefetch, mailbox, answer }) => {
                let verdict = self.attach(queue, prefetch, mailbox, touched);
                sayings.push(Box::new(move |outcome| {
                    let _ = answer.send(outcome.map_err(|reason| ConsumeError::Unavailable(reason.to_owned())).and(verdict));
                }));
            }
            Request::Control(Control::Ack { queue, reader, tag, answer }) => {
                let verdict = self.ack(&queue, reader, tag, changes);
                touched.insert(queue);
                sayings.push(Box::new(move |outcome| {
                    let _ = answer.send(outcome.map_err(|_| ConsumeError::Lost).and(verdict));
                }));
            }
            Request::Control(Control::Detach { queue, reader, handed, answer }) => {
                self.detach(&queue, reader, handed, changes, touched);
                touched.insert(queue);
                sayings.push(Box::new(move |_| {
                    let _ = answer.send(());
                }));
            }
            Request::Control(Control::Close { .. }) => unreachable!("taken out before"),
        }
    }

    /// Takes the whole batch or nothing of it.
    fn publish(&mut self, placed: Vec<Placed>, changes: &mut Changes, touched: &mut BTreeSet<String>) -> Result<(), PublishError> {
        let now = now();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for message in &placed {
            *counts.entry(&message.queue).or_default() += 1;
        }
        for (name, count) in counts {
            let queue = self.queues.get_mut(name).ok_or_else(|| {
                PublishError::Unroutable(placed.iter().filter(|message| message.queue == name).map(|m| m.stored.head.id.clone()).collect())
            })?;
            let expired = queue.expire(now);
            let full = queue.len() + count > self.options.queue_len_max;
            self.forget(expired, changes);
            if full {
                return Err(PublishError::Refused(format!("`{name}` holds {} messages already", self.options.queue_len_max)));
            }
        }
        let bytes: usize = placed.iter().map(|message| message.stored.body.len()).sum();
        if self.bytes + bytes > self.options.bytes_max {
            return Err(PublishError::Refused(format!("{} bytes are waiting already", self.options.bytes_max)));
        }
        self.bytes += bytes;
        for Placed { queue: name, mut stored } in placed {
            let queue = self.queues.get_mut(&name).expect("counted above");
            self.last_seq += 1;
            stored.expires_at = queue.expiry(now);
            queue.put(self.last_seq, stored.clone());
            touched.insert(name.clone());
            changes.inserted.push((name, (self.last_seq, stored)));
        }
        Ok(())
    }

    fn attach(
        &mut self,
        name: String,
        prefetch: usize,
        mailbox: Arc<Mailbox>,
        touched: &mut BTreeSet<String>,
    ) -> Result<u64, ConsumeError> {
        let queue = self
            .queues
            .get_mut(&name)
            .ok_or_else(|| ConsumeError::Unavailable(format!("there is no queue `{name}`: declare its pool or account first")))?;
        self.last_reader += 1;
        queue.attach(self.last_reader, prefetch, mailbox);
        touched.insert(name);
        Ok(self.last_reader)
    }

    fn ack(&mut self, name: &str, reader: u64, tag: u64, changes: &mut Changes) -> Result<(), ConsumeError> {
        let done = self.queues.get_mut(name).and_then(|queue| queue.ack(reader, tag)).ok_or(ConsumeError::Lost)?;
        self.forget(done, changes);
        Ok(())
    }

    fn detach(&mut self, name: &str, reader: u64, handed: u64, changes: &mut Changes, touched: &mut BTreeSet<String>) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        let beyond = queue.rules.beyond;
        let failed = queue.detach(reader, handed);
        changes.failed.extend(failed.iter().map(|(seq, _)| *seq));
        for (seq, stored) in failed {
            if stored.deliveries > self.options.delivery_limit {
                self.bury(name, beyond, seq, changes, touched);
            }
        }
    }

    /// A message that nobody acknowledges, however often it is delivered.
    fn bury(&mut self, name: &str, beyond: Beyond, seq: u64, changes: &mut Changes, touched: &mut BTreeSet<String>) {
        if beyond == Beyond::Stays {
            return;
        }
        let Some(mut stored) = self.queues.get_mut(name).and_then(|queue| queue.take(seq)) else { return };
        warn!(queue = name, message = %stored.head.id, deliveries = stored.deliveries, "delivered too often without an acknowledgement");
        if beyond == Beyond::Dropped {
            return self.forget(vec![(seq, stored)], changes);
        }
        let reason = format!("delivery_limit in {name}");
        stored.death = Some(reason.clone());
        stored.deliveries = 0;
        if !self.queues.contains_key(DEAD) {
            changes.declared.push(DEAD.to_owned());
        }
        self.queues.entry(DEAD.to_owned()).or_insert_with(|| Queue::new(DEAD)).put(seq, stored);
        touched.insert(DEAD.to_owned());
        changes.died.push((seq, DEAD.to_owned(), reason));
    }

    fn forget(&mut self, messages: Vec<Numbered>, changes: &mut Changes) {
        for (seq, stored) in messages {
            self.bytes -= stored.body.len();
            changes.removed.push(seq);
        }
    }

    /// Hands out, and marks how far in the same transaction: what a crash finds handed out counts as failed.
    fn dispatch(&mut self, touched: &BTreeSet<String>, changes: &mut Changes) -> Vec<Delivery> {
        let now: Timestamp = now();
        let mut deliveries = Vec::new();
        for name in touched {
            let Some(queue) = self.queues.get_mut(name) else { continue };
            let expired = queue.expire(now);
            deliveries.extend(queue.dispatch());
            let mark = queue.mark();
            if mark != queue.marked {
                queue.marked = mark;
                changes.marked.insert(name.clone(), mark);
            }
            self.forget(expired, changes);
        }
        deliveries
    }

    /// Nothing in memory is sure any more: everybody is told, and the file is read again before the next transaction.
    async fn fail(&mut self, reason: &str) {
        error!(%reason, "the broker's file cannot be written: look at the disk");
        self.switchboard.set_up(false);
        for mailbox in self.queues.values().flat_map(Queue::mailboxes) {
            mailbox.end(ConsumeError::Unavailable(reason.to_owned()));
        }
        self.queues.clear();
        if let Some(file) = self.file.take() {
            file.close().await;
        }
    }

    async fn reload(&mut self, again: bool) -> Result<(), EmbeddedError> {
        let (file, Contents { queues, messages }) = File::open(&self.path, again).await?;
        self.queues = queues.into_iter().map(|name| (name.clone(), Queue::new(&name))).collect();
        self.bytes = 0;
        let count = messages.len();
        let mut beyond = Vec::new();
        for (name, (seq, stored)) in messages {
            self.last_seq = self.last_seq.max(seq);
            self.bytes += stored.body.len();
            if stored.deliveries > self.options.delivery_limit {
                beyond.push((name.clone(), seq));
            }
            self.queues.entry(name.clone()).or_insert_with(|| Queue::new(&name)).put(seq, stored);
        }
        self.file = Some(file);
        let mut changes = Changes::default();
        for (name, seq) in beyond {
            let rule = self.queues[&name].rules.beyond;
            self.bury(&name, rule, seq, &mut changes, &mut BTreeSet::new());
        }
        self.commit(&changes).await.map_err(|reason| EmbeddedError::File { path: self.path.clone(), reason })?;
        self.switchboard.set_durable(self.queues.keys().cloned().collect());
        self.switchboard.set_up(true);
        info!(messages = count, "the embedded broker is open");
        Ok(())
    }

    async fn shut(&mut self) {
        let why = ConsumeError::Unavailable(closed());
        for mailbox in self.queues.values().flat_map(Queue::mailboxes) {
            mailbox.end(why.clone());
        }
        self.switchboard.end(&why);
        self.switchboard.set_up(false);
        if let Some(file) = self.file.take() {
            file.close().await;
        }
    }
}
