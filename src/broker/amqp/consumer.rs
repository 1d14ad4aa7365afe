//! Reads one queue in order on a channel of its own. Closing, and dropping too, close the channel: cancelling a single active
//! consumer would give its queue to another while this one still holds messages.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::broker::amqp::AmqpOptions;
use crate::broker::amqp::convert::incoming;
use crate::broker::amqp::declare::{bind, process_queue};
use crate::broker::amqp::dial::within;
use crate::broker::amqp::link::{Incarnation, Link};
use crate::broker::topology::{ASIDE, durable_queue, feed_exchange};
use crate::port::broker::{ConsumeError, Consumer, Incoming, Source};

/// How long closing a channel may take before it is just dropped.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// A channel with its deliveries.
pub(super) struct AmqpConsumer {
    queue: String,
    /// Taken by `close` and by `drop`, together.
    open: Option<(Channel, lapin::Consumer)>,
    /// Handed out and not acknowledged, by tag.
    held: VecDeque<(u64, Acker)>,
    /// The last tag acknowledged.
    acked: u64,
    /// Why it gives nothing more.
    over: Option<ConsumeError>,
    link: Arc<Link>,
    incarnation: u64,
    deadline: Duration,
    pulse: Arc<Pulse>,
    silent: CancellationToken,
    _stops_the_watchdog: DropGuard,
}

impl AmqpConsumer {
    pub(super) async fn start(link: Arc<Link>, source: &Source, prefetch: u16, options: &AmqpOptions) -> Result<Self, ConsumeError> {
        let incarnation = link.current().map_err(ConsumeError::Unavailable)?;
        let opening = open(&incarnation, source, prefetch.max(1));
        let (queue, channel, stream) = within(options.deadline, "consuming", opening).await.map_err(ConsumeError::Unavailable)?;
        let (pulse, silent, stop) = (Arc::new(Pulse::new()), CancellationToken::new(), CancellationToken::new());
        let watchdog = Watchdog {
            queue: queue.clone(),
            incarnation: incarnation.clone(),
            pulse: Arc::clone(&pulse),
            silent: silent.clone(),
            every: options.watchdog_every,
            silence: options.watchdog_silence,
        };
        let guard = stop.clone().drop_guard();
        tokio::spawn(async move { stop.run_until_cancelled(watchdog.run()).await });
        Ok(Self {
            queue,
            open: Some((channel, stream)),
            held: VecDeque::new(),
            acked: 0,
            over: None,
            link,
            incarnation: incarnation.number,
            deadline: options.deadline,
            pulse,
            silent,
            _stops_the_watchdog: guard,
        })
    }

    fn take(&mut self, mut delivery: Delivery) -> Incoming {
        let message = incoming(&mut delivery);
        self.held.push_back((delivery.delivery_tag, delivery.acker));
        self.pulse.beat(self.held.len());
        message
    }

    /// The first delivery, or why there is none.
    async fn first(&mut self) -> Result<Delivery, ConsumeError> {
        let Some((_, stream)) = self.open.as_mut() else {
            return Err(ConsumeError::Unavailable("the consumer is closed".into()));
        };
        let _waiting = self.pulse.wait();
        tokio::select! {
            biased;
            delivery = stream.next() => ended(delivery),
            () = self.silent.cancelled() => {
                self.link.doubt(self.incarnation);
                Err(ConsumeError::Unavailable(format!("`{}` holds messages and delivers none", self.queue)))
            }
        }
    }
}

async fn open(incarnation: &Incarnation, source: &Source, prefetch: u16) -> lapin::Result<(String, Channel, lapin::Consumer)> {
    let channel = incarnation.connection.create_channel().await?;
    let queue = match durable_queue(source) {
        Some(queue) => queue,
        None => process_queue(&channel).await?,
    };
    if let Source::Feed(pool) = source {
        bind(&channel, &queue, &feed_exchange(pool), "").await?;
    }
    if *source == Source::Aside {
        bind(&channel, &queue, ASIDE, "").await?;
    }
    channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
    let stream = channel.basic_consume(queue.as_str().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await?;
    Ok((queue, channel, stream))
}

fn ended(delivery: Option<lapin::Result<Delivery>>) -> Result<Delivery, ConsumeError> {
    match delivery {
        Some(Ok(delivery)) => Ok(delivery),
        Some(Err(error)) => Err(ConsumeError::Unavailable(error.to_string())),
        None => Err(ConsumeError::Unavailable("the broker ended the consumer: was its queue deleted?".into())),
    }
}

#[async_trait]
impl Consumer for AmqpConsumer {
    fn queue(&self) -> &str {
        &self.queue
    }

    async fn next(&mut self, max: usize) -> Result<Vec<Incoming>, ConsumeError> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        let first = match self.first().await {
            Ok(first) => first,
            Err(over) => {
                self.over = Some(over.clone());
                return Err(over);
            }
        };
        // From here on nothing awaits, so nothing that was taken can be lost by dropping this future.
        let mut batch = vec![self.take(first)];
        while batch.len() < max {
            let Some((_, stream)) = self.open.as_mut() else { break };
            let Some(delivery) = stream.next().now_or_never() else { break };
            match ended(delivery) {
                Ok(delivery) => batch.push(self.take(delivery)),
                Err(over) => {
                    self.over = Some(over);
                    break;
                }
            }
        }
        Ok(batch)
    }

    async fn ack(&mut self, tag: u64) -> Result<(), ConsumeError> {
        if tag <= self.acked {
            return Ok(());
        }
        let Some(position) = self.held.iter().position(|(held, _)| *held == tag) else {
            return Err(ConsumeError::Lost);
        };
        let (_, acker) = &self.held[position];
        match within(self.deadline, "acknowledging", acker.ack(BasicAckOptions { multiple: true })).await {
            Ok(true) => {
                self.held.drain(..=position);
                self.acked = tag;
                self.pulse.beat(self.held.len());
                Ok(())
            }
            // Not sent: the channel is gone, and the broker has given the messages to somebody else.
            Ok(false) => {
                self.over.get_or_insert(ConsumeError::Lost);
                Err(ConsumeError::Lost)
            }
            Err(reason) => {
                self.link.doubt(self.incarnation);
                let over = ConsumeError::Unavailable(reason);
                self.over.get_or_insert(over.clone());
                Err(over)
            }
        }
    }

    async fn close(mut self: Box<Self>) {
        if let Some(open) = self.open.take() {
            close(open).await;
        }
    }
}

impl Drop for AmqpConsumer {
    fn drop(&mut self) {
        if let Some(open) = self.open.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(close(open));
        }
    }
}

/// The stream lives until the channel is closed: dropping it earlier would cancel the consumer.
async fn close((channel, stream): (Channel, lapin::Consumer)) {
    // If it does not answer, the connection is on its way out and takes the channel along.
    let _ = tokio::time::timeout(CLOSE_DEADLINE, channel.close(200, "done".into())).await;
    drop(stream);
}

/// What the watchdog knows of a consumer.
struct Pulse {
    start: Instant,
    /// Milliseconds after `start` of the last delivery or acknowledgement.
    last_ms: AtomicU64,
    held: AtomicUsize,
    waiting: AtomicBool,
}

impl Pulse {
    fn new() -> Self {
        Self { start: Instant::now(), last_ms: AtomicU64::new(0), held: AtomicUsize::new(0), waiting: AtomicBool::new(false) }
    }

    fn beat(&self, held: usize) {
        self.last_ms.store(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.held.store(held, Ordering::Relaxed);
    }

    /// Marks that somebody waits for a message, until the guard is dropped.
    fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.store(true, Ordering::Relaxed);
        Waiting(Arc::clone(self))
    }

    /// How long somebody has waited with nothing in hand; none if it is not so.
    fn silence(&self) -> Option<Duration> {
        let starved = self.waiting.load(Ordering::Relaxed) && self.held.load(Ordering::Relaxed) == 0;
        starved.then(|| self.start.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed))))
    }
}

struct Waiting(Arc<Pulse>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.store(false, Ordering::Relaxed);
    }
}

/// Finds a consumer that the broker has lost without a word (a crashed queue process forgets its consumers).
struct Watchdog {
    queue: String,
    incarnation: Incarnation,
    pulse: Arc<Pulse>,
    silent: CancellationToken,
    every: Duration,
    silence: Duration,
}

impl Watchdog {
    async fn run(self) {
        let mut look = tokio::time::interval_at(tokio::time::Instant::now() + self.every, self.every);
        loop {
            look.tick().await;
            if self.pulse.silence().is_none_or(|silence| silence < self.silence) {
                continue;
            }
            match self.messages_ready().await {
                Ok(0) => {}
                Ok(ready) => {
                    // Something may have arrived while the broker was asked.
                    if self.pulse.silence().is_some_and(|silence| silence >= self.silence) {
                        warn!(queue = %self.queue, ready, "the queue holds messages and delivers none: starting again");
                        return self.silent.cancel();
                    }
                }
                Err(reason) => {
                    warn!(queue = %self.queue, %reason, "the queue cannot be looked at: starting again");
                    return self.silent.cancel();
                }
            }
        }
    }

    async fn messages_ready(&self) -> Result<u32, String> {
        let looking = async {
            let channel = self.incarnation.connection.create_channel().await?;
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = channel.queue_declare(self.queue.as_str().into(), options, FieldTable::default()).await?;
            channel.close(200, "looked".into()).await?;
            lapin::Result::Ok(queue.message_count())
        };
        within(CLOSE_DEADLINE, "looking at the queue", looking).await
    }
}
