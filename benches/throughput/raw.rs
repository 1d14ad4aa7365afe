//! What the broker alone does: the same client, the same kind of queue, 1 KiB, publisher confirms, every message consumed and
//! acknowledged. The measure that contacts per second are compared with.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueBindOptions};
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};

/// Bytes of a body.
const BODY_BYTES: usize = 1024;
/// Deliveries acknowledged at once.
const ACK_EVERY: u64 = 50;
const EXCHANGE: &str = "bench.inbound";
const QUEUE: &str = "bench.router";

/// Messages per second from publish to acknowledgement, with at most `window` unconfirmed.
pub async fn rate(url: &str, window: usize, seconds: f64) -> anyhow::Result<f64> {
    let (publishing, consuming) = (connect(url).await?, connect(url).await?);
    let channel = publishing.create_channel().await?;
    declare(&channel).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let reader = consuming.create_channel().await?;
    reader.basic_qos(1000, BasicQosOptions::default()).await?;
    let mut deliveries = reader.basic_consume(QUEUE.into(), "bench".into(), BasicConsumeOptions::default(), FieldTable::default()).await?;
    let began = Instant::now();
    let publisher = tokio::spawn(publish(channel.clone(), window, began + Duration::from_secs_f64(seconds)));
    let (mut taken, mut total) = (0_u64, None);
    let mut publisher = std::pin::pin!(publisher);
    while total.is_none_or(|total| taken < total) {
        tokio::select! {
            published = &mut publisher, if total.is_none() => total = Some(published??),
            delivery = deliveries.next() => {
                let delivery = delivery.ok_or_else(|| anyhow::anyhow!("the consumer ended"))??;
                taken += 1;
                if taken % ACK_EVERY == 0 {
                    delivery.ack(BasicAckOptions { multiple: true }).await?;
                }
            }
        }
    }
    let rate = taken as f64 / began.elapsed().as_secs_f64();
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    publishing.close(200, "done".into()).await?;
    consuming.close(200, "done".into()).await?;
    Ok(rate)
}

async fn publish(channel: Channel, window: usize, until: Instant) -> anyhow::Result<u64> {
    let body = vec![b'x'; BODY_BYTES];
    let (mut unconfirmed, mut count) = (FuturesUnordered::new(), 0_u64);
    while Instant::now() < until {
        let properties = BasicProperties::default().with_delivery_mode(2).with_message_id(count.to_string().into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        unconfirmed.push(channel.basic_publish(EXCHANGE.into(), "main.comune.phone".into(), options, &body, properties).await?);
        count += 1;
        while unconfirmed.len() >= window {
            confirmed(unconfirmed.next().await)?;
        }
    }
    while !unconfirmed.is_empty() {
        confirmed(unconfirmed.next().await)?;
    }
    Ok(count)
}

/// An error unless the broker has taken the message.
pub fn confirmed(confirmation: Option<lapin::Result<Confirmation>>) -> anyhow::Result<()> {
    match confirmation {
        Some(Ok(Confirmation::Ack(None))) | None => Ok(()),
        Some(Ok(other)) => anyhow::bail!("the broker did not take a message: {other:?}"),
        Some(Err(error)) => Err(error.into()),
    }
}

/// A connection of its own.
pub async fn connect(url: &str) -> anyhow::Result<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}

async fn declare(channel: &Channel) -> anyhow::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, arguments).await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    channel.queue_bind(QUEUE.into(), EXCHANGE.into(), "main.#".into(), QueueBindOptions::default(), FieldTable::default()).await?;
    Ok(())
}
