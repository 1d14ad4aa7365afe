//! Answers on their way out, whatever the channel: one worker for each account takes orders, has its sender make exactly one
//! attempt for each, and reports. An order is acknowledged only when its report is published; when to try again is the router's
//! to decide.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::held::Held;
use crate::model::channel::Channel;
use crate::model::conversation::Message;
use crate::model::delivery::{AttemptResult, DeliveryReport};
use crate::model::id::{AccountId, IdMaker, InputId};
use crate::model::inbound::{CloudEvent, InboundEvent};
use crate::model::wire::{self, decode_order};
use crate::plan::Plan;
use crate::port::broker::{Broker, Consumer, Destination, Incoming, Outgoing, Publisher, Source, inbound_message_id};
use crate::port::clock::now;
use crate::port::store::{AttemptStart, Quarantined, Store, StoreError};
use crate::port::trace::trace_id;

mod held;

/// How many orders of an account are under way at once where the channel does not say otherwise: one slow next hop answers in a second, and four letters need not wait
/// for each other. Letters that an operator writes one after the other are not that close.
pub const AT_ONCE: u16 = 4;
/// How often a report is tried after the shutdown began.
const LAST_TRIES: u32 = 3;

/// What carries a channel's messages to the next hop.
#[async_trait]
pub trait Sender: Send + Sync + 'static {
    /// The channel whose accounts it serves.
    fn channel(&self) -> Channel;

    /// How many orders of the account may be under way at once.
    fn at_once(&self, _account: &AccountId) -> u16 {
        AT_ONCE
    }

    /// The one attempt of this number.
    async fn attempt(&self, account: &AccountId, attempt: u32, message: &Message) -> AttemptResult;

    /// What the next hop says became of a message whose attempt nobody saw the end of. Unknown where it cannot be asked.
    async fn look_up(&self, _account: &AccountId, _message: &Message) -> AttemptResult {
        AttemptResult::Unknown
    }

    /// An attempt ended and took so long.
    fn ended(&self, account: &AccountId, result: &AttemptResult, took: Duration);

    /// An order of the account is held in quarantine.
    fn quarantined(&self, account: &AccountId);
}

/// What the workers stand on.
#[derive(Clone)]
pub struct OutboundDeps {
    /// Makes the consumers of orders.
    pub broker: Arc<dyn Broker>,
    /// Takes the reports.
    pub publisher: Arc<dyn Publisher>,
    /// Attempts and quarantine.
    pub store: Arc<dyn Store>,
    /// The plan in force: which accounts there are.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// Ids of reports.
    pub ids: IdMaker,
    /// Types of CloudEvents begin with it.
    pub prefix: String,
}

/// The workers of one channel's accounts.
pub struct Outbound {
    deps: OutboundDeps,
    sender: Arc<dyn Sender>,
}

impl Outbound {
    /// Workers that send by `sender`.
    pub fn new(deps: OutboundDeps, sender: Arc<dyn Sender>) -> Self {
        Self { deps, sender }
    }

    /// Keeps one worker for each account of the channel, as the plan changes, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken, tracker: TaskTracker) {
        let mut plan = self.deps.plan.clone();
        let channel = self.sender.channel();
        let this = Arc::new(self);
        let mut workers: HashMap<AccountId, CancellationToken> = HashMap::new();
        loop {
            let accounts: Vec<AccountId> = {
                let plan = plan.borrow_and_update();
                plan.accounts.iter().filter(|(_, account)| account.channel == channel).map(|(id, _)| id.clone()).collect()
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
        let at_once = self.sender.at_once(&account);
        let mut failures = 0;
        while !stop.is_cancelled() {
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                opened = self.deps.broker.consumer(Source::Outbound(account.clone()), at_once) => opened,
            };
            match opened {
                Ok(mut consumer) => {
                    failures = 0;
                    self.drain(consumer.as_mut(), &account, at_once, &stop).await;
                    consumer.close().await;
                }
                Err(error) => tracing::warn!(%account, %error, "no orders to send can be read"),
            }
            failures += 1;
            wait(back_off(failures), &stop).await;
        }
    }

    /// Works orders off until the consumer ends or `stop`, so many at once; what has begun is always brought to its end.
    async fn drain(&self, consumer: &mut dyn Consumer, account: &AccountId, at_once: u16, stop: &CancellationToken) {
        let one = |incoming: Incoming| async move { (incoming.tag, self.order(account, incoming, stop).await) };
        let (mut held, mut under_way, mut goes_on) = (Held::default(), FuturesUnordered::new(), true);
        loop {
            if goes_on {
                under_way.extend(std::iter::from_fn(|| held.begin()).map(one));
            } else if under_way.is_empty() {
                return;
            }
            let room = usize::from(at_once).saturating_sub(held.len());
            tokio::select! {
                () = stop.cancelled(), if goes_on => goes_on = false,
                batch = consumer.next(room), if goes_on && room > 0 => match batch {
                    Ok(batch) => held.take(batch),
                    Err(error) => {
                        tracing::warn!(%account, %error, "the consumer of orders ended");
                        goes_on = false;
                    }
                },
                Some((tag, is_done)) = under_way.next() => {
                    // one that is not done comes again, and with it what came behind it
                    goes_on &= is_done;
                    if is_done && let Some(tag) = held.end(tag) {
                        goes_on &= consumer.ack(tag).await.is_ok();
                    }
                }
            }
        }
    }

    /// Carries one order out. True if it may be acknowledged.
    async fn order(&self, account: &AccountId, incoming: Incoming, stop: &CancellationToken) -> bool {
        let CloudEvent { data: order, traceparent, .. } = match decode_order(&self.deps.prefix, &incoming.body) {
            Ok(event) if event.data.account == *account => event,
            Ok(_) => return self.quarantine(account, incoming, "an order for another account".to_owned()).await,
            Err(error) => return self.quarantine(account, incoming, format!("not an order: {error}")).await,
        };
        let mut failures = 0;
        let started = loop {
            match self.deps.store.begin_attempt(&order.administration, order.message, order.attempt).await {
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
        let began = Instant::now();
        let result = match started {
            AttemptStart::Void => return true,
            AttemptStart::BegunBefore => match self.deps.store.message(&order.administration, order.message).await {
                Ok(Some(message)) => self.sender.look_up(account, &message).await,
                Ok(None) => return true,
                Err(_) => AttemptResult::Unknown,
            },
            AttemptStart::Begun(message) => match self.sender.attempt(account, order.attempt, &message).await {
                AttemptResult::Unknown => self.sender.look_up(account, &message).await,
                result => result,
            },
        };
        self.sender.ended(account, &result, began.elapsed());
        let trace_id = traceparent.as_deref().and_then(trace_id);
        tracing::info!(message = %order.message, %account, trace_id, attempt = order.attempt, result = ?result, "attempt to send ended");
        let report = DeliveryReport { message: order.message, attempt: order.attempt, result };
        self.report(account, report, traceparent, stop).await
    }

    /// Publishes the report, again and again until it is out; gives up soon after `stop`, and then the order comes again.
    async fn report(&self, account: &AccountId, report: DeliveryReport, traceparent: Option<String>, stop: &CancellationToken) -> bool {
        let (mut failures, mut last_tries) = (0, 0);
        loop {
            let Err(reason) = publish_report(&self.deps, &self.sender.channel(), account, &report, traceparent.clone()).await else {
                return true;
            };
            tracing::warn!(message = %report.message, reason, "a delivery report cannot be published now");
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

    async fn quarantine(&self, account: &AccountId, incoming: Incoming, reason: String) -> bool {
        let id = incoming.id.unwrap_or_else(|| digest(&incoming.body));
        let owner = self.deps.plan.borrow().owner_of(account);
        let item = Quarantined::of_account("outbound", account, owner, id, reason, &incoming.body);
        let kept = self.deps.store.quarantine(&item).await;
        match &kept {
            Ok(()) => tracing::error!(%account, reason = item.reason, "order held in quarantine"),
            Err(error) => tracing::warn!(%account, %error, "an order cannot be held in quarantine now"),
        }
        self.sender.quarantined(account);
        kept.is_ok()
    }
}

/// Publishes a report on a message of `account`, in the trace of its order; the same report again has the same id.
///
/// # Errors
/// In words, when it is not published: the account is not of this channel any more, or the broker is away.
pub async fn publish_report(
    deps: &OutboundDeps,
    channel: &Channel,
    account: &AccountId,
    report: &DeliveryReport,
    traceparent: Option<String>,
) -> Result<(), String> {
    let destination = {
        let plan = deps.plan.borrow();
        let found = plan.accounts.get(account).filter(|found| found.channel == *channel).zip(plan.pool_of(account));
        let (found, pool) = found.ok_or_else(|| format!("the plan has no {channel} account `{account}`"))?;
        Destination::Inbound { pool: pool.clone(), administration: found.administration.clone(), channel: channel.clone() }
    };
    let (input, body) = encode_report(&deps.prefix, &deps.ids, account, report, traceparent.clone());
    let message = Outgoing { traceparent, ..Outgoing::new(destination, inbound_message_id(input), body) };
    deps.publisher.publish(vec![message]).await.map_err(|error| error.to_string())
}

/// The report's input, and the CloudEvent as JSON.
fn encode_report(
    prefix: &str,
    ids: &IdMaker,
    account: &AccountId,
    report: &DeliveryReport,
    traceparent: Option<String>,
) -> (InputId, Vec<u8>) {
    let key = format!("delivery:{}:{}", report.message, report.attempt);
    let result = serde_json::to_string(&report.result).expect("a report is plain data");
    let input = ids.input(account, format!("{key}:{result}").as_bytes());
    let event = wire::inbound_event(prefix, input, account, now(), traceparent, InboundEvent::Delivery(report.clone()));
    (input, wire::encode_inbound(&event).expect("our own codes and ids are within every limit"))
}

/// How long to wait before trying the `failures`-th time again: 1 s, doubled up to a minute.
pub fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1_u64 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}

/// Waits for `time`, or for `stop`.
pub async fn wait(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// SHA-256 in hexadecimal: the id of what came without one.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// A failed attempt that may be made again.
pub fn temporary(code: &str) -> AttemptResult {
    AttemptResult::Temporary { code: code.to_owned() }
}

/// A failed attempt that will always fail.
pub fn permanent(code: &str) -> AttemptResult {
    AttemptResult::Permanent { code: code.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::MessageId;

    #[test]
    fn a_delivery_report_is_the_same_on_a_second_sending() {
        let account = AccountId::new("urp").expect("a name");
        let ids = IdMaker::new([7; 32]);
        let sent = |result| DeliveryReport { message: MessageId(1), attempt: 2, result };
        let (input, body) = encode_report("it.example", &ids, &account, &sent(AttemptResult::Unknown), None);
        let (again, _) = encode_report("it.example", &ids, &account, &sent(AttemptResult::Unknown), None);
        let (other, _) = encode_report("it.example", &ids, &account, &sent(temporary("421")), None);
        assert!(input == again && input != other);
        let read: CloudEvent<DeliveryReport> = serde_json::from_slice(&body).expect("reads back");
        assert_eq!((read.kind.as_str(), read.data), ("it.example.inbound.delivery.v1", sent(AttemptResult::Unknown)));
    }
}
