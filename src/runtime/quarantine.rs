//! Messages of the broker as quarantine keeps them, and the dead letters among them: what the broker gave up on is kept, counted and
//! shown, and only then acknowledged.

use std::sync::Arc;
use std::time::Duration;

use sha2::Digest as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::model::id::{AccountId, PoolId};
use crate::plan::Plan;
use crate::port::broker::{Broker, Consumer, Incoming, Source, parse_inbound_key};
use crate::port::clock;
use crate::port::store::{Quarantined, Store};

/// Drains the queue of dead letters until `stop`. `plan` says whose an order's account is.
pub async fn drain_dead(broker: Arc<dyn Broker>, store: Arc<dyn Store>, plan: watch::Receiver<Arc<Plan>>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Ok(mut consumer) = broker.consumer(Source::Dead, 64).await {
            tokio::select! {
                () = stop.cancelled() => {
                    consumer.close().await;
                    return;
                }
                () = drain(&mut *consumer, &*store, &plan) => {}
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

async fn drain(consumer: &mut dyn Consumer, store: &dyn Store, plan: &watch::Receiver<Arc<Plan>>) {
    while let Ok(batch) = consumer.next(64).await {
        let Some(last) = batch.last().map(|incoming| incoming.tag) else { continue };
        for incoming in batch {
            let item = dead_letter(&incoming, &plan.borrow());
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

fn dead_letter(incoming: &Incoming, plan: &Plan) -> Quarantined {
    let pool = parse_inbound_key(&incoming.routing_key).map(|(pool, ..)| pool);
    let item = kept("dead", pool, incoming, incoming.death.clone().unwrap_or_else(|| "the broker gave it up".into()));
    match AccountId::new(&incoming.routing_key).ok().and_then(|account| plan.owner_of(&account)) {
        Some((pool, administration)) => Quarantined { pool: Some(pool), administration: Some(administration), ..item },
        None => item,
    }
}

/// A message of the broker as quarantine keeps it.
pub fn kept(source: &str, pool: Option<PoolId>, incoming: &Incoming, reason: String) -> Quarantined {
    Quarantined {
        id: 0,
        pool,
        administration: parse_inbound_key(&incoming.routing_key).map(|(_, administration, _)| administration),
        source: source.to_owned(),
        key: incoming.routing_key.clone(),
        message_id: identity(incoming),
        reason,
        body: incoming.body.to_vec(),
        at: clock::now(),
        state: "held".into(),
    }
}

/// What a message is known by in quarantine: `<its publisher's id>#<digest>`, or the digest alone if it has no id. The id is the
/// publisher's to choose: the same message again is the same item, another one by the same id is another.
fn identity(incoming: &Incoming) -> String {
    let digest = digest(incoming);
    match incoming.id.as_deref() {
        Some(id) if !id.is_empty() && id != digest => format!("{id}#{digest}"),
        _ => digest,
    }
}

/// The id under which a kept message is published again: its publisher's, so that it comes back as the same item. Who gave an empty one
/// gave none.
pub fn published_id(message_id: &str) -> &str {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    message_id.rsplit_once('#').filter(|(id, digest)| is_digest(digest) && !id.is_empty()).map_or(message_id, |(id, _)| id)
}

/// SHA-256 of routing key and body, in hexadecimal digits.
fn digest(incoming: &Incoming) -> String {
    let mut digest = sha2::Sha256::new();
    digest.update(incoming.routing_key.len().to_be_bytes());
    digest.update(&incoming.routing_key);
    digest.update(&incoming.body);
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(id: Option<&str>, key: &str, body: &str) -> Incoming {
        Incoming {
            tag: 1,
            routing_key: key.to_owned(),
            id: id.map(str::to_owned),
            body: body.to_owned().into(),
            traceparent: None,
            reply_to: None,
            redelivered: false,
            death: None,
        }
    }

    #[test]
    fn the_same_message_is_one_item_and_another_by_the_same_id_is_another() {
        let named = |id, key, body| identity(&incoming(id, key, body));
        let first = named(Some("m-1"), "main.comune.phone", "{");
        assert!(first.starts_with("m-1#"), "{first}");
        assert_eq!(first, named(Some("m-1"), "main.comune.phone", "{"));
        for other in [
            named(Some("m-1"), "main.comune.phone", "{{"),
            named(Some("m-1"), "main.comune.phon", "e{"),
            named(Some("m-2"), "main.comune.phone", "{"),
            named(None, "main.comune.phone", "{"),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn published_again_it_is_the_same_item() {
        let digest = identity(&incoming(None, "k", "{"));
        for id in [None, Some(""), Some("m-1"), Some("a#b"), Some(digest.as_str()), Some(&*format!("x#{digest}"))] {
            let held = identity(&incoming(id, "k", "{"));
            let again = identity(&incoming(Some(published_id(&held)), "k", "{"));
            assert_eq!(again, held, "{id:?}");
        }
        assert_eq!(published_id("ms_1/1"), "ms_1/1", "an order's id");
    }
}
