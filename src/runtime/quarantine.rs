//! Dead letters: what the broker gave up on is kept in quarantine, counted and shown, and only then acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::port::broker::{Broker, Consumer, Incoming, Source, parse_inbound_key};
use crate::port::clock;
use crate::port::store::{Quarantined, Store};

/// Drains the queue of dead letters until `stop`.
pub async fn drain_dead(broker: Arc<dyn Broker>, store: Arc<dyn Store>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Ok(mut consumer) = broker.consumer(Source::Dead, 64).await {
            tokio::select! {
                () = stop.cancelled() => {
                    consumer.close().await;
                    return;
                }
                () = drain(&mut *consumer, &*store) => {}
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

async fn drain(consumer: &mut dyn Consumer, store: &dyn Store) {
    while let Ok(batch) = consumer.next(64).await {
        let Some(last) = batch.last().map(|incoming| incoming.tag) else { continue };
        for incoming in batch {
            let item = dead_letter(incoming);
            while let Err(error) = store.quarantine(&item).await {
                tracing::warn!(message_id = item.message_id, %error, "a dead letter is not in quarantine yet");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            tracing::error!(message_id = item.message_id, reason = item.reason, "a dead letter is kept in quarantine");
        }
        if consumer.ack(last).await.is_err() {
            return;
        }
    }
}

fn dead_letter(incoming: Incoming) -> Quarantined {
    let from = parse_inbound_key(&incoming.routing_key);
    Quarantined {
        id: 0,
        pool: from.as_ref().map(|(pool, ..)| pool.clone()),
        administration: from.map(|(_, administration, _)| administration),
        source: "dead".into(),
        key: incoming.routing_key,
        message_id: incoming.id.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>())),
        reason: incoming.death.unwrap_or_else(|| "the broker gave it up".into()),
        body: incoming.body.to_vec(),
        at: clock::now(),
        state: "held".into(),
    }
}
