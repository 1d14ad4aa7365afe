//! Answers on their way out: one worker for each email account takes orders, makes exactly one attempt for each, and reports.
//! An order is acknowledged only when its report is published; when to try again is the router's to decide.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::transport::Carrier;
use super::counters::EmailCounters;
use super::inbound::{Inbound, back_off};
use super::reply::{Letter, compose, thread};
use super::{EmailDeps, EmailError, EmailOptions};
use crate::fault;
use crate::model::channel::Channel;
use crate::model::conversation::{Message, Party};
use crate::model::delivery::{AttemptResult, DeliveryReport};
use crate::model::id::{AccountId, IdMaker};
use crate::model::inbound::CloudEvent;
use crate::model::signature::sign;
use crate::model::wire::decode_order;
use crate::plan::Plan;
use crate::port::blobs::{BlobError, Blobs};
use crate::port::broker::{Broker, Consumer, Incoming, Source};
use crate::port::store::{AttemptStart, Quarantined, Store, StoreError};
use crate::port::trace::trace_id;

pub mod maildir;
pub mod transport;

/// How many orders the broker hands over ahead.
const PREFETCH: u16 = 4;
/// How often a report is tried after the shutdown began.
const LAST_TRIES: u32 = 3;

/// The senders of all email accounts.
pub struct Outbound {
    broker: Arc<dyn Broker>,
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    plan: watch::Receiver<Arc<Plan>>,
    ids: IdMaker,
    prefix: String,
    domain: String,
    bytes_max: usize,
    carriers: HashMap<Option<AccountId>, Carrier>,
    inbound: Inbound,
    counters: Arc<EmailCounters>,
}

impl Outbound {
    /// Senders by `options`. Fails if a trust store cannot be read.
    pub fn new(options: &EmailOptions, deps: &EmailDeps, counters: Arc<EmailCounters>) -> Result<Self, EmailError> {
        let mut carriers = HashMap::from([(None, Carrier::new(&options.transport, &options.domain)?)]);
        for (account, transport) in &options.transports {
            carriers.insert(Some(account.clone()), Carrier::new(transport, &options.domain)?);
        }
        Ok(Self {
            broker: Arc::clone(&deps.broker),
            store: Arc::clone(&deps.store),
            blobs: Arc::clone(&deps.blobs),
            plan: deps.plan.clone(),
            ids: deps.ids.clone(),
            prefix: options.event_prefix.clone(),
            domain: options.domain.clone(),
            bytes_max: options.outgoing_bytes_max,
            carriers,
            inbound: Inbound::new(options, deps, Arc::clone(&counters)),
            counters,
        })
    }

    /// Keeps one worker for each email account of the plan, as the plan changes, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken, tracker: TaskTracker) {
        let mut plan = self.plan.clone();
        let this = Arc::new(self);
        let mut workers: HashMap<AccountId, CancellationToken> = HashMap::new();
        loop {
            let accounts: Vec<AccountId> = {
                let plan = plan.borrow_and_update();
                let emails = plan.accounts.iter().filter(|(_, account)| account.channel.as_str() == Channel::EMAIL);
                emails.map(|(id, _)| id.clone()).collect()
            };
            workers.retain(|account, stop| {
                let stays = accounts.contains(account);
                if !stays {
                    stop.cancel();
                }
                stays
            });
            for account in accounts {
                workers.entry(account.clone()).or_insert_with(|| {
                    let stop = shutdown.child_token();
                    tracker.spawn(Arc::clone(&this).work(account, stop.clone()));
                    stop
                });
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = plan.changed() => if changed.is_err() {
                    // Nobody changes the plan any more; the workers go on.
                    return shutdown.cancelled().await;
                },
            }
        }
    }

    async fn work(self: Arc<Self>, account: AccountId, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                opened = self.broker.consumer(Source::Outbound(account.clone()), PREFETCH) => opened,
            };
            match opened {
                Ok(mut consumer) => {
                    failures = 0;
                    self.drain(consumer.as_mut(), &account, &stop).await;
                    consumer.close().await;
                }
                Err(error) => tracing::warn!(%account, %error, "no orders to send can be read"),
            }
            failures += 1;
            wait(back_off(failures), &stop).await;
        }
    }

    /// Works orders off until the consumer ends or `stop`.
    async fn drain(&self, consumer: &mut dyn Consumer, account: &AccountId, stop: &CancellationToken) {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = consumer.next(1) => batch,
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::warn!(%account, %error, "the consumer of orders ended");
                    return;
                }
            };
            for incoming in batch {
                let tag = incoming.tag;
                if !self.order(account, incoming, stop).await || consumer.ack(tag).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Carries one order out. True if it may be acknowledged.
    async fn order(&self, account: &AccountId, incoming: Incoming, stop: &CancellationToken) -> bool {
        let CloudEvent { data: order, traceparent, .. } = match decode_order(&self.prefix, &incoming.body) {
            Ok(event) if event.data.account == *account => event,
            Ok(_) => return self.quarantine(account, incoming, "an order for another account".to_owned()).await,
            Err(error) => return self.quarantine(account, incoming, format!("not an order: {error}")).await,
        };
        let mut failures = 0;
        let started = loop {
            match self.store.begin_attempt(&order.administration, order.message, order.attempt).await {
                Ok(started) => break started,
                Err(error @ (StoreError::Refused(_) | StoreError::Unreadable(_))) => {
                    return self.quarantine(account, incoming, error.to_string()).await;
                }
                Err(error) => tracing::warn!(message = %order.message, %error, "the attempt cannot be recorded now"),
            }
            failures += 1;
            if stop.is_cancelled() {
                return false;
            }
            wait(back_off(failures), stop).await;
        };
        let result = match started {
            AttemptStart::Void => return true,
            AttemptStart::BegunBefore => AttemptResult::Unknown,
            AttemptStart::Begun(message) => self.attempt(account, &message).await,
        };
        self.count(account, &result);
        let trace_id = traceparent.as_deref().and_then(trace_id);
        tracing::info!(message = %order.message, %account, trace_id, attempt = order.attempt, result = ?result, "attempt to send ended");
        self.report(account, DeliveryReport { message: order.message, attempt: order.attempt, result }, traceparent.as_deref(), stop).await
    }

    /// Publishes the report, again and again until it is out; gives up soon after `stop`, and then the order comes again.
    async fn report(&self, account: &AccountId, report: DeliveryReport, traceparent: Option<&str>, stop: &CancellationToken) -> bool {
        let (mut failures, mut last_tries) = (0, 0);
        loop {
            let Err(error) = self.inbound.report(account, &report, traceparent).await else { return true };
            tracing::warn!(message = %report.message, %error, "a delivery report cannot be published now");
            failures += 1;
            if stop.is_cancelled() {
                last_tries += 1;
                if last_tries >= LAST_TRIES {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            } else {
                wait(back_off(failures), stop).await;
            }
        }
    }

    /// One attempt to send `message`.
    async fn attempt(&self, account: &AccountId, message: &Message) -> AttemptResult {
        let began = Instant::now();
        let ended = self.try_send(account, message).await;
        self.counters.account(account).send_ms.add_time(began.elapsed());
        match ended {
            Ok(message_id) => AttemptResult::Sent { provider_id: Some(message_id) },
            Err(result) => result,
        }
    }

    async fn try_send(&self, account: &AccountId, message: &Message) -> Result<String, AttemptResult> {
        let from = self.sender(account).ok_or_else(|| permanent("no_sender"))?;
        let view = self.store.conversation(&message.administration, message.conversation).await.map_err(|_| temporary("store"))?;
        let messages = view.as_ref().map(|view| view.messages.as_slice()).unwrap_or_default();
        let before = messages.iter().position(|other| other.id == message.id).unwrap_or(messages.len());
        let domain = from.address.rsplit_once('@').map_or(self.domain.as_str(), |(_, domain)| domain);
        let recipient = message.to.first().ok_or_else(|| permanent("no_recipient"))?;
        let message_id = sign(&self.ids, message.id, &recipient.address, domain);
        let letter = Letter {
            message,
            from: &from,
            conversation_subject: view.as_ref().and_then(|view| view.conversation.subject.as_deref()),
            thread: &thread(&self.ids, &messages[..before], domain),
            message_id: &message_id,
            files: self.files(message).await?,
        };
        let composed = compose(letter).map_err(|error| permanent(error.code()))?;
        if composed.bytes.len() > self.bytes_max {
            return Err(permanent("552"));
        }
        let carrier = self.carriers.get(&Some(account.clone())).or_else(|| self.carriers.get(&None)).expect("a default carrier is there");
        carrier.carry(account, message, composed).await?;
        fault::point("after_next_hop");
        Ok(message_id)
    }

    /// The account's address and name, as the plan has them now.
    fn sender(&self, account: &AccountId) -> Option<Party> {
        let plan = self.plan.borrow();
        let account = plan.accounts.get(account)?;
        Some(Party { address: account.address.clone()?, name: account.display_name.clone() })
    }

    async fn files<'m>(&self, message: &'m Message) -> Result<Vec<(&'m crate::model::conversation::Attachment, Vec<u8>)>, AttemptResult> {
        let size: u64 = message.attachments.iter().map(|file| file.blob.size).sum();
        if usize::try_from(size).unwrap_or(usize::MAX) > self.bytes_max {
            return Err(permanent("552"));
        }
        let mut files = Vec::with_capacity(message.attachments.len());
        for file in &message.attachments {
            let bytes = self.blobs.get(&message.administration, &file.blob).await.map_err(|error| match error {
                BlobError::NotFound | BlobError::Damaged(_) => permanent("attachment"),
                BlobError::Unavailable(_) => temporary("blobs"),
            })?;
            files.push((file, bytes.to_vec()));
        }
        Ok(files)
    }

    async fn quarantine(&self, account: &AccountId, incoming: Incoming, reason: String) -> bool {
        let item = Quarantined {
            id: 0,
            pool: None,
            administration: None,
            source: "outbound".to_owned(),
            key: account.to_string(),
            message_id: incoming.id.unwrap_or_else(|| super::inbound::identity::digest(&incoming.body)),
            reason,
            body: incoming.body.to_vec(),
            at: crate::port::clock::now(),
            state: "held".to_owned(),
        };
        let kept = self.store.quarantine(&item).await;
        match &kept {
            Ok(()) => tracing::error!(%account, reason = item.reason, "order held in quarantine"),
            Err(error) => tracing::warn!(%account, %error, "an order cannot be held in quarantine now"),
        }
        self.counters.account(account).quarantined.add();
        kept.is_ok()
    }

    fn count(&self, account: &AccountId, result: &AttemptResult) {
        let counters = self.counters.account(account);
        match result {
            AttemptResult::Sent { .. } | AttemptResult::Delivered => counters.sent.add(),
            AttemptResult::Temporary { .. } => counters.send_temporary.add(),
            AttemptResult::Permanent { .. } | AttemptResult::Bounced { .. } => counters.send_permanent.add(),
            AttemptResult::Unknown => counters.send_unknown.add(),
        }
    }
}

fn temporary(code: &str) -> AttemptResult {
    AttemptResult::Temporary { code: code.to_owned() }
}

fn permanent(code: &str) -> AttemptResult {
    AttemptResult::Permanent { code: code.to_owned() }
}

/// Waits for `time`, or for `stop`.
async fn wait(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
