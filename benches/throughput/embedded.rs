//! The embedded pair: what its broker does alone, in this process, and citizens who come through the channel API.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use sportello::broker::embedded::{EmbeddedBroker, EmbeddedOptions};
use sportello::model::channel::Channel;
use sportello::model::id::{AdministrationId, PoolId};
use sportello::port::broker::{Broker, Destination, Outgoing, PublishError, Publisher, Source};
use tokio::sync::Semaphore;

use crate::load::{BODY_BYTES, words};

/// Requests of the channel API under way at once.
const REQUESTS_MAX: usize = 64;

/// Messages per second from publish to acknowledgement, with at most `window` unconfirmed.
pub async fn rate(folder: &Path, window: usize, seconds: f64) -> anyhow::Result<f64> {
    let file = folder.join(format!("raw-{window}-{}.db", rand::random::<u32>()));
    let broker = EmbeddedBroker::open(&file, EmbeddedOptions::default()).await?;
    let pool = PoolId::new("main")?;
    broker.declare(std::slice::from_ref(&pool), &[]).await?;
    let mut consumer = broker.consumer(Source::Router(pool.clone()), 1000).await?;
    let publisher = broker.publisher().await?;
    let began = Instant::now();
    let mut publishing = tokio::spawn(publish(publisher, pool, window, began + Duration::from_secs_f64(seconds)));
    let (mut taken, mut total) = (0_u64, None);
    while total.is_none_or(|total| taken < total) {
        tokio::select! {
            published = &mut publishing, if total.is_none() => total = Some(published??),
            batch = consumer.next(512) => {
                let batch = batch?;
                taken += batch.len() as u64;
                consumer.ack(batch.last().context("a batch holds something")?.tag).await?;
            }
        }
    }
    let rate = taken as f64 / began.elapsed().as_secs_f64();
    consumer.close().await;
    broker.close().await;
    Ok(rate)
}

async fn publish(publisher: Arc<dyn Publisher>, pool: PoolId, window: usize, until: Instant) -> anyhow::Result<u64> {
    let destination = Destination::Inbound { pool, administration: AdministrationId::new("comune")?, channel: Channel::new("phone")? };
    let (mut unconfirmed, mut count) = (FuturesUnordered::new(), 0_u64);
    while Instant::now() < until {
        count += 1;
        let message = Outgoing::new(destination.clone(), count.to_string(), vec![b'x'; BODY_BYTES]);
        unconfirmed.push(until_taken(Arc::clone(&publisher), message));
        while unconfirmed.len() >= window {
            unconfirmed.next().await.context("something is under way")??;
        }
    }
    while let Some(confirmed) = unconfirmed.next().await {
        confirmed?;
    }
    Ok(count)
}

/// A full queue is not the end: the consumer is the slower one.
async fn until_taken(publisher: Arc<dyn Publisher>, message: Outgoing) -> Result<(), PublishError> {
    loop {
        match publisher.publish(vec![message.clone()]).await {
            Err(PublishError::Refused(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            ended => return ended,
        }
    }
}

/// Programs that report calls to the channel API.
pub struct Callers {
    client: reqwest::Client,
    url: String,
    token: String,
    run: u64,
    count: AtomicU64,
}

impl Callers {
    /// `token`: of the account `telefono`.
    pub fn new(api: &str, token: String) -> Self {
        let url = format!("{}/channel/v1/contacts", api.trim_end_matches('/'));
        Self { client: reqwest::Client::new(), url, token, run: rand::random(), count: AtomicU64::new(0) }
    }

    /// Hands in calls while there are places, until a time; returns how many. Everything is confirmed when it returns.
    pub async fn closed_loop(&self, places: &Arc<Semaphore>, until: Instant) -> anyhow::Result<u64> {
        let (mut unconfirmed, mut published) = (FuturesUnordered::new(), 0);
        while Instant::now() < until {
            let place = tokio::select! {
                biased;
                place = tokio::time::timeout_at(until.into(), places.acquire()), if unconfirmed.len() < REQUESTS_MAX => place,
                Some(confirmed) = unconfirmed.next() => {
                    confirmed?;
                    continue;
                }
            };
            let Ok(place) = place else { break };
            place?.forget();
            unconfirmed.push(self.call());
            published += 1;
        }
        while let Some(confirmed) = unconfirmed.next().await {
            confirmed?;
        }
        Ok(published)
    }

    async fn call(&self) -> anyhow::Result<()> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "external_id": format!("{:016x}-{number}", self.run), "from": {"address": format!("+39333{:07}", number % 10_000_000)},
            "subject": "Certificato", "text": words(BODY_BYTES - 160), "language": "it",
        });
        let answer = self.client.post(&self.url).bearer_auth(&self.token).json(&body).send().await?;
        ensure!(answer.status() == 202, "the channel API: {} {}", answer.status(), answer.text().await?);
        answer.bytes().await?;
        Ok(())
    }
}
