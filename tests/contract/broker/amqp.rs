//! What only RabbitMQ can show.

use std::time::Duration;

use lapin::options::{BasicGetOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use sportello::broker::amqp::{AmqpBroker, AmqpError, AmqpOptions};
use sportello::model::id::AdministrationId;
use sportello::port::broker::{Broker, ConsumeError, Destination, Outgoing, PublishError, Source};

use super::place::{DEADLINE, Kind, Place, amqp_options, ends, inbound, numbered, pool, publish, rabbitmqctl, take};

async fn stock_client(place: &Place) -> Connection {
    Connection::connect(&place.address, ConnectionProperties::default()).await.expect("connects")
}

#[tokio::test]
async fn refuses_settings_that_waiting_would_not_mend() {
    assert!(matches!(AmqpBroker::connect(AmqpOptions::new("http://localhost")).await, Err(AmqpError::Url(_))));
    let options = AmqpOptions { heartbeat: Duration::from_millis(500), ..AmqpOptions::new("amqp://localhost") };
    assert!(matches!(AmqpBroker::connect(options).await, Err(AmqpError::Heartbeat)));
}

#[tokio::test]
async fn an_absent_broker_is_no_error_but_unavailable() {
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    let broker = AmqpBroker::connect(amqp_options(&format!("amqp://127.0.0.1:{port}"))).await.expect("a good URL");
    assert!(!broker.is_up());
    let publisher = broker.publisher().await.expect("a publisher");
    assert!(matches!(publisher.publish(numbered(&inbound(), 0, 1)).await, Err(PublishError::Unavailable(_))));
    assert!(matches!(broker.consumer(Source::Dead, 1).await, Err(ConsumeError::Unavailable(_))));
    assert!(matches!(broker.declare(&[pool()], &[]).await, Err(PublishError::Unavailable(_))));
}

#[tokio::test]
async fn a_queue_with_other_arguments_is_refused() {
    let place = Place::new(Kind::Amqp).await;
    let client = stock_client(&place).await;
    let channel = client.create_channel().await.expect("a channel");
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("sportello.router.main".into(), durable, FieldTable::default()).await.expect("a classic queue");
    let refused = place.broker.declare(&[pool()], &[]).await;
    assert!(matches!(&refused, Err(PublishError::Invalid(text)) if text.contains("sportello.router.main")), "{refused:?}");
    assert!(place.broker.is_up(), "the working connections are others");
}

#[tokio::test]
async fn topology_comes_back_with_the_next_incarnation() {
    let place = Place::new(Kind::Amqp).await;
    place.declare().await;
    let publisher = place.publisher().await;
    publish(&publisher, numbered(&inbound(), 0, 1)).await;
    let client = stock_client(&place).await;
    let channel = client.create_channel().await.expect("a channel");
    channel.queue_delete("sportello.router.main".into(), lapin::options::QueueDeleteOptions::default()).await.expect("deletes");
    assert!(matches!(publisher.publish(numbered(&inbound(), 1, 1)).await, Err(PublishError::Unroutable(_))));
    place.sever().await;
    let routed = async { while publisher.publish(numbered(&inbound(), 2, 1)).await.is_err() {} };
    tokio::time::timeout(DEADLINE, routed).await.expect("declared again");
}

#[tokio::test]
async fn an_exchange_that_is_not_there_hurts_only_its_own_caller() {
    let place = Place::new(Kind::Amqp).await;
    place.declare().await;
    let publisher = place.publisher().await;
    let nowhere = Destination::Feed { pool: sportello::model::id::PoolId::new("unknown").expect("a name") };
    let outcomes = futures_util::future::join_all((0..20).map(|number| {
        let destination = if number == 7 { nowhere.clone() } else { inbound() };
        let publisher = std::sync::Arc::clone(&publisher);
        async move { publisher.publish(numbered(&destination, number, 1)).await }
    }))
    .await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let expected = if number == 7 { Err(PublishError::Unroutable(vec!["7".into()])) } else { Ok(()) };
        assert_eq!(outcome, expected, "{number}");
    }
}

#[tokio::test]
async fn a_deleted_queue_ends_its_consumer() {
    let place = Place::new(Kind::Amqp).await;
    place.declare().await;
    let mut consumer = place.consumer(Source::Router(pool()), 10).await;
    rabbitmqctl(&["delete_queue", "-p", place.address.rsplit('/').next().expect("a virtual host"), "sportello.router.main"]);
    assert!(matches!(ends(&mut consumer).await, ConsumeError::Unavailable(_)));
}

#[tokio::test]
async fn the_watchdog_ends_a_consumer_that_gets_nothing() {
    let place = Place::new(Kind::Amqp).await;
    place.declare().await;
    let quick = AmqpOptions {
        watchdog_every: Duration::from_millis(100),
        watchdog_silence: Duration::from_millis(300),
        ..amqp_options(&place.address)
    };
    let watched = AmqpBroker::connect(quick).await.expect("a good URL");
    watched.declare(&[pool()], &[]).await.expect("declares");
    // The active consumer holds its prefetch; for the other one the queue looks like one whose consumer was forgotten.
    let mut active = place.consumer(Source::Router(pool()), 1).await;
    let mut forgotten = watched.consumer(Source::Router(pool()), 10).await.expect("a consumer");
    let waited = tokio::time::timeout(Duration::from_secs(1), forgotten.next(1)).await;
    assert!(waited.is_err(), "an empty queue is no reason: {waited:?}");
    publish(&place.publisher().await, numbered(&inbound(), 0, 5)).await;
    take(&mut active, 1).await;
    let error = ends(&mut forgotten).await;
    assert!(matches!(&error, ConsumeError::Unavailable(text) if text.contains("delivers none")), "{error}");
}

#[tokio::test]
async fn a_stock_client_reads_events_and_publishes_contacts() {
    let place = Place::new(Kind::Amqp).await;
    place.declare().await;
    let client = stock_client(&place).await;
    let channel = client.create_channel().await.expect("a channel");
    let queue =
        channel.queue_declare("".into(), QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() }, FieldTable::default());
    let queue = queue.await.expect("a queue").name().to_string();
    let bind = QueueBindOptions::default();
    channel
        .queue_bind(queue.as_str().into(), "sportello.events".into(), "main.comune.contact.#".into(), bind, FieldTable::default())
        .await
        .expect("binds");
    let administration = Some(AdministrationId::new("comune").expect("a name"));
    let event = |name: &str| Destination::Events { pool: pool(), administration: administration.clone(), name: name.into() };
    let batch =
        vec![Outgoing::new(event("message.received"), "main/1", &b"{}"[..]), Outgoing::new(event("contact.queued"), "main/2", &b"{}"[..])];
    publish(&place.publisher().await, batch).await;
    let got = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true }).await.expect("answers").expect("a message");
    assert_eq!(got.delivery.routing_key.as_str(), "main.comune.contact.queued");
    assert_eq!(got.delivery.properties.content_type().as_ref().expect("a type").as_str(), "application/cloudevents+json");
    assert_eq!(got.delivery.properties.message_id().as_ref().expect("an id").as_str(), "main/2");

    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let publishing = lapin::options::BasicPublishOptions { mandatory: true, immediate: false };
    let properties = lapin::BasicProperties::default().with_delivery_mode(2).with_message_id("x".into());
    let confirm = channel.basic_publish("sportello.inbound".into(), "main.comune.phone".into(), publishing, b"{}", properties);
    assert_eq!(confirm.await.expect("sends").await.expect("answers"), lapin::Confirmation::Ack(None));
    let mut router = place.consumer(Source::Router(pool()), 10).await;
    assert_eq!(take(&mut router, 1).await[0].routing_key, "main.comune.phone");
}
