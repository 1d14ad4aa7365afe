//! What only the embedded broker promises.

use sportello::broker::embedded::{EmbeddedBroker, EmbeddedError, EmbeddedOptions};
use sportello::port::broker::{Broker, ConsumeError, PublishError, Source};

use super::place::{Kind, Place, ids, inbound, numbered, pool, publish, take};

#[tokio::test]
async fn one_process_at_a_time() {
    let place = Place::new(Kind::Embedded).await;
    place.declare().await;
    let second = EmbeddedBroker::open(&place.address, EmbeddedOptions::default()).await;
    assert!(matches!(second, Err(EmbeddedError::File { .. })), "the file is locked");
}

#[tokio::test]
async fn nothing_works_after_a_close() {
    let place = Place::new(Kind::Embedded).await;
    place.declare().await;
    let publisher = place.publisher().await;
    place.leave().await;
    assert!(!place.broker.is_up());
    assert!(matches!(publisher.publish(numbered(&inbound(), 0, 1)).await, Err(PublishError::Unavailable(_))));
    assert!(matches!(place.broker.consumer(Source::Router(pool()), 1).await, Err(ConsumeError::Unavailable(_))));
    assert!(matches!(place.broker.declare(&[pool()], &[]).await, Err(PublishError::Unavailable(_))));
}

#[tokio::test]
async fn a_layout_of_another_release_is_refused() {
    let place = Place::new(Kind::Embedded).await;
    place.leave().await;
    let mut connection = connect(&place.address).await;
    sqlx::raw_sql("PRAGMA user_version = 7").execute(&mut connection).await.expect("writes");
    sqlx::Connection::close(connection).await.expect("closes");
    let opened = EmbeddedBroker::open(&place.address, EmbeddedOptions::default()).await;
    assert!(matches!(opened, Err(EmbeddedError::Layout { found: 7, .. })));
}

#[tokio::test]
async fn acknowledged_messages_leave_the_file() {
    let place = Place::new(Kind::Embedded).await;
    place.declare().await;
    publish(&place.publisher().await, numbered(&inbound(), 0, 300)).await;
    let mut consumer = place.consumer(Source::Router(pool()), 300).await;
    let held = take(&mut consumer, 300).await;
    assert_eq!(ids(&held), (0..300).collect::<Vec<_>>());
    consumer.ack(held[298].tag).await.expect("acknowledges");
    place.leave().await;
    let mut connection = connect(&place.address).await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM message").fetch_one(&mut connection).await.expect("reads");
    assert_eq!(left, 1);
    sqlx::Connection::close(connection).await.expect("closes");
}

#[tokio::test]
async fn bytes_are_bounded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = EmbeddedOptions { bytes_max: 100_000, ..EmbeddedOptions::default() };
    let broker = EmbeddedBroker::open(folder.path().join("broker.db"), options).await.expect("a new file");
    broker.declare(&[pool()], &[]).await.expect("declares");
    let publisher = broker.publisher().await.expect("a publisher");
    let heavy = |id: &str| vec![sportello::port::broker::Outgoing::new(inbound(), id, vec![b'x'; 60_000])];
    assert_eq!(publisher.publish(heavy("1")).await, Ok(()));
    assert!(matches!(publisher.publish(heavy("2")).await, Err(PublishError::Refused(_))));
    let mut consumer = broker.consumer(Source::Router(pool()), 10).await.expect("a consumer");
    let held = take(&mut consumer, 1).await;
    consumer.ack(held[0].tag).await.expect("acknowledges");
    assert_eq!(publisher.publish(heavy("3")).await, Ok(()));
}

async fn connect(path: &str) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.expect("opens")
}
