//! Citizens: contacts published straight to `sportello.inbound` with a stock client and confirms, as the public contract says.
//! Closed loop: a new one only when a place is free. Open loop: at its appointed time, whatever happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection};
use serde_json::json;
use sportello::model::time::Timestamp;
use tokio::sync::Semaphore;

use crate::now_micros;
use crate::raw::{confirmed, connect};

/// Bytes of a contact's CloudEvent.
pub const BODY_BYTES: usize = 1024;
/// Publishes not yet confirmed in an open loop before the bench itself would be the limit.
const UNCONFIRMED_MAX: usize = 10_000;

/// What kind of contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call: somebody is waiting; the queue `banco`.
    Call,
    /// A letter without a declared language: the queue `urp`.
    Letter,
}

/// A publisher of contacts.
pub struct Citizens {
    _connection: Connection,
    channel: Channel,
    run: u64,
    count: u64,
}

impl Citizens {
    /// Connects.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { _connection: connection, channel, run: rand::random(), count: 0 })
    }

    /// Publishes calls while there are places, until a time; returns how many. Everything is confirmed when it returns.
    pub async fn closed_loop(&mut self, places: &Arc<Semaphore>, until: Instant) -> anyhow::Result<u64> {
        let (mut unconfirmed, mut published) = (FuturesUnordered::new(), 0);
        while Instant::now() < until {
            let place = tokio::select! {
                biased;
                place = tokio::time::timeout_at(until.into(), places.acquire()) => place,
                Some(confirmation) = unconfirmed.next() => {
                    confirmed(Some(confirmation))?;
                    continue;
                }
            };
            let Ok(place) = place else { break };
            place?.forget();
            unconfirmed.push(self.publish(Kind::Call, now_micros()).await?);
            published += 1;
        }
        while !unconfirmed.is_empty() {
            confirmed(unconfirmed.next().await)?;
        }
        Ok(published)
    }

    /// Publishes calls at random times (Poisson), `rate` a second on average, each stamped with its intended time.
    pub async fn open_loop(&mut self, rate: f64, seconds: f64) -> anyhow::Result<u64> {
        let (began, began_micros) = (Instant::now(), now_micros());
        let (mut unconfirmed, mut published, mut due) = (FuturesUnordered::new(), 0, 0.0_f64);
        loop {
            due += -(1.0 - rand::random::<f64>()).ln() / rate;
            if due > seconds {
                break;
            }
            let at = began + Duration::from_secs_f64(due);
            while Instant::now() < at {
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(at.into()) => break,
                    Some(confirmation) = unconfirmed.next() => confirmed(Some(confirmation))?,
                }
            }
            let intended = began_micros + (due * 1e6) as i64;
            unconfirmed.push(self.publish(Kind::Call, intended).await?);
            published += 1;
            anyhow::ensure!(unconfirmed.len() < UNCONFIRMED_MAX, "the broker confirms too slowly for {rate} a second");
        }
        while !unconfirmed.is_empty() {
            confirmed(unconfirmed.next().await)?;
        }
        Ok(published)
    }

    /// Publishes letters as fast as they are confirmed.
    pub async fn letters(&mut self, count: u64) -> anyhow::Result<()> {
        let mut unconfirmed = FuturesUnordered::new();
        for _ in 0..count {
            unconfirmed.push(self.publish(Kind::Letter, now_micros()).await?);
            if unconfirmed.len() >= 256 {
                confirmed(unconfirmed.next().await)?;
            }
        }
        while !unconfirmed.is_empty() {
            confirmed(unconfirmed.next().await)?;
        }
        Ok(())
    }

    async fn publish(&mut self, kind: Kind, received_at: i64) -> anyhow::Result<lapin::PublisherConfirm> {
        self.count += 1;
        let id = format!("{:016x}-{}", self.run, self.count);
        let body = event(kind, &id, self.count, received_at);
        let key = if kind == Kind::Call { "main.comune.phone" } else { "main.comune.email" };
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_message_id(id.into())
            .with_content_type("application/cloudevents+json".into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        Ok(self.channel.basic_publish("sportello.inbound".into(), key.into(), options, body.as_bytes(), properties).await?)
    }
}

/// A contact as `docs/asyncapi.json` says, filled up to [`BODY_BYTES`]; another citizen each time.
pub fn event(kind: Kind, id: &str, number: u64, received_at: i64) -> String {
    let time = Timestamp(received_at).to_string();
    let (account, from, language) = match kind {
        Kind::Call => ("telefono", format!("+39333{:07}", number % 10_000_000), Some("it")),
        Kind::Letter => ("urp-mail", format!("cittadino{number}@example.it"), None),
    };
    let mut event = json!({
        "specversion": "1.0", "id": id, "source": format!("/account/{account}"), "type": "sportello.inbound.message.v1", "time": time,
        "datacontenttype": "application/json",
        "data": {"account": account, "provider_id": id, "received_at": time, "from": {"address": from},
            "subject": "Certificato", "text": "", "language": language},
    });
    if language.is_none()
        && let Some(data) = event["data"].as_object_mut()
    {
        data.remove("language");
    }
    let bare = event.to_string().len();
    event["data"]["text"] = words(BODY_BYTES.saturating_sub(bare)).into();
    event.to_string()
}

/// Italian words, so many bytes.
pub fn words(bytes: usize) -> String {
    const WORDS: &str =
        "Buongiorno, vorrei sapere quando posso passare allo sportello per ritirare il certificato che ho chiesto la settimana scorsa. ";
    WORDS.chars().cycle().take(bytes).collect()
}
