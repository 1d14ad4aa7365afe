//! What every broker promises.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sportello::broker::topology::{COMMAND_TTL_MS, PROCESS_QUEUE_LEN_MAX};
use sportello::model::id::AccountId;
use sportello::model::inbound::BODY_BYTES_MAX;
use sportello::port::broker::{ConsumeError, Destination, Outgoing, PublishError, Source, parse_inbound_key};
use tokio::time::timeout;

use super::on_both;
use super::place::{DEADLINE, Kind, Limits, Place, ends, ids, inbound, numbered, pool, publish, silence, take};

on_both!(
    keeps_order_and_fields,
    takes_many_callers_at_once,
    gives_again_what_was_dropped,
    hands_back_in_order_on_close,
    names_what_no_queue_takes,
    refuses_beyond_the_length_limit,
    an_ack_after_a_loss_is_lost,
    a_feed_reaches_everybody_and_drops_the_oldest,
    asides_reach_who_listens_and_nobody_later,
    a_late_command_is_gone,
    answers_find_their_way,
    what_fails_too_often_is_a_dead_letter,
    events_need_no_reader,
    refuses_what_is_too_large_and_goes_on,
    an_unacknowledged_prefetch_is_the_limit,
    an_order_goes_to_one_of_several,
);

async fn keeps_order_and_fields(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let publisher = place.publisher().await;
    let mut from = 0;
    for count in [1, 2, 197, 300] {
        publish(&publisher, numbered(&inbound(), from, count)).await;
        from += count;
    }
    let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    publish(&publisher, vec![Outgoing { traceparent: traceparent.clone(), ..numbered(&inbound(), 500, 1).remove(0) }]).await;
    let mut consumer = place.consumer(Source::Router(pool()), 100).await;
    assert_eq!(consumer.queue(), "sportello.router.main");
    let mut seen = Vec::new();
    while seen.len() < 501 {
        let batch = timeout(DEADLINE, consumer.next(64)).await.expect("in time").expect("a broker");
        assert!((1..=64).contains(&batch.len()));
        consumer.ack(batch.last().expect("not empty").tag).await.expect("acknowledges");
        seen.extend(batch);
    }
    assert_eq!(ids(&seen), (0..501).collect::<Vec<_>>());
    let last = seen.last().expect("not empty");
    assert_eq!((last.body.as_ref(), last.redelivered, &last.death), (&b"500"[..], false, &None));
    assert_eq!(last.traceparent, traceparent);
    assert_eq!(parse_inbound_key(&last.routing_key).expect("a key").0, pool());
    consumer.close().await;
    // Nothing acknowledged comes again.
    publish(&publisher, numbered(&inbound(), 501, 1)).await;
    let mut consumer = place.consumer(Source::Router(pool()), 100).await;
    assert_eq!(ids(&take(&mut consumer, 1).await), [501]);
}

async fn takes_many_callers_at_once(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let publisher = place.publisher().await;
    let callers = (0..100).map(|number| {
        let publisher = Arc::clone(&publisher);
        async move { publisher.publish(numbered(&inbound(), number, 1)).await }
    });
    assert!(join_all(callers).await.iter().all(Result::is_ok));
    let mut consumer = place.consumer(Source::Router(pool()), 200).await;
    let mut arrived = ids(&take(&mut consumer, 100).await);
    arrived.sort_unstable();
    assert_eq!(arrived, (0..100).collect::<Vec<_>>());
}

async fn gives_again_what_was_dropped(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    publish(&place.publisher().await, numbered(&inbound(), 0, 10)).await;
    let mut first = place.consumer(Source::Router(pool()), 5).await;
    let held = take(&mut first, 4).await;
    first.ack(held[0].tag).await.expect("acknowledges");
    drop(first);
    let mut second = place.consumer(Source::Router(pool()), 100).await;
    let again = take(&mut second, 9).await;
    assert_eq!(ids(&again), (1..10).collect::<Vec<_>>());
    assert!(again[..3].iter().all(|message| message.redelivered), "handed out before");
    assert!(again[5..].iter().all(|message| !message.redelivered), "beyond the prefetch of the first");
}

async fn hands_back_in_order_on_close(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    publish(&place.publisher().await, numbered(&inbound(), 0, 20)).await;
    let mut first = place.consumer(Source::Router(pool()), 10).await;
    let mut second = place.consumer(Source::Router(pool()), 100).await;
    assert_eq!(ids(&take(&mut first, 3).await), [0, 1, 2]);
    first.close().await;
    let again = take(&mut second, 20).await;
    assert_eq!(ids(&again), (0..20).collect::<Vec<_>>());
    if place.kind() == Kind::Embedded {
        assert!(again.iter().all(|message| !message.redelivered), "a close in good order is no failure");
    }
}

async fn names_what_no_queue_takes(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let publisher = place.publisher().await;
    let nowhere = Destination::Outbound { account: AccountId::new("unknown").expect("a name") };
    for round in 0..20 {
        let is_lost = |number: &usize| (number * 7 + round).is_multiple_of(3);
        let batch =
            (0..200).map(|number| numbered(&if is_lost(&number) { nowhere.clone() } else { inbound() }, number, 1).remove(0)).collect();
        let lost: Vec<String> = (0..200).filter(is_lost).map(|number| number.to_string()).collect();
        assert_eq!(publisher.publish(batch).await, Err(PublishError::Unroutable(lost)));
    }
    // Two callers in one barrier: each is told its own.
    let outcomes = join_all((0..50).map(|number| {
        let destination = if number % 2 == 0 { nowhere.clone() } else { inbound() };
        let publisher = Arc::clone(&publisher);
        async move { publisher.publish(numbered(&destination, number, 1)).await }
    }))
    .await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let expected = if number % 2 == 0 { Err(PublishError::Unroutable(vec![number.to_string()])) } else { Ok(()) };
        assert_eq!(outcome, expected, "{number}");
    }
}

async fn refuses_beyond_the_length_limit(kind: Kind) {
    let place = Place::with(kind, Limits { len: Some(10), ..Limits::default() }).await;
    place.declare().await;
    let publisher = place.publisher().await;
    let mut taken = 0;
    // RabbitMQ lets a few more in before it says no.
    let refused = loop {
        match publisher.publish(numbered(&inbound(), taken, 1)).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "the limit is 10");
    };
    assert!(matches!(refused, PublishError::Refused(_)), "{refused:?}");
    assert!(taken >= 10);
    let mut consumer = place.consumer(Source::Router(pool()), 100).await;
    let held = take(&mut consumer, taken).await;
    consumer.ack(held.last().expect("not empty").tag).await.expect("acknowledges");
    let room = async {
        while let Err(error) = publisher.publish(numbered(&inbound(), taken, 1)).await {
            assert!(matches!(error, PublishError::Refused(_)), "{error:?}");
        }
    };
    timeout(DEADLINE, room).await.expect("room again");
}

async fn an_ack_after_a_loss_is_lost(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    publish(&place.publisher().await, numbered(&inbound(), 0, 3)).await;
    let mut consumer = place.consumer(Source::Router(pool()), 2).await;
    let held = take(&mut consumer, 2).await;
    assert_eq!(consumer.ack(held[1].tag + 1).await, Err(ConsumeError::Lost), "never handed out");
    place.sever().await;
    assert!(matches!(ends(&mut consumer).await, ConsumeError::Unavailable(_)));
    assert_eq!(consumer.ack(held[1].tag).await, Err(ConsumeError::Lost));
    drop(consumer);
    let place = place.again().await;
    let publisher = place.publisher().await;
    publish(&publisher, numbered(&inbound(), 3, 1)).await;
    let mut consumer = place.consumer(Source::Router(pool()), 10).await;
    assert_eq!(ids(&take(&mut consumer, 4).await), [0, 1, 2, 3]);
}

async fn a_feed_reaches_everybody_and_drops_the_oldest(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let feed = Destination::Feed { pool: pool() };
    let publisher = place.publisher().await;
    publish(&publisher, numbered(&feed, 0, 1)).await;
    let mut quick = place.consumer(Source::Feed(pool()), 100).await;
    let mut slow = place.consumer(Source::Feed(pool()), 100).await;
    let large = Outgoing::new(feed.clone(), "1", vec![b'x'; 4 * BODY_BYTES_MAX]);
    publish(&publisher, vec![large]).await;
    publish(&publisher, numbered(&feed, 2, 2)).await;
    let seen = take(&mut quick, 3).await;
    assert_eq!(ids(&seen), [1, 2, 3], "what was before the queue is not in it");
    assert_eq!(seen[0].body.len(), 4 * BODY_BYTES_MAX);
    quick.ack(seen[2].tag).await.expect("acknowledges");
    let total = PROCESS_QUEUE_LEN_MAX as usize + 1_000;
    for from in (4..4 + total).step_by(500) {
        publish(&publisher, numbered(&feed, from, 500.min(4 + total - from))).await;
    }
    let mut arrived: Vec<usize> = Vec::new();
    while arrived.last() != Some(&(total + 3)) {
        let batch = timeout(DEADLINE, slow.next(100)).await.expect("in time").expect("a broker");
        slow.ack(batch.last().expect("not empty").tag).await.expect("acknowledges");
        arrived.extend(ids(&batch));
    }
    assert!(arrived.is_sorted(), "in order, with a gap");
    assert!(arrived.len() < total, "{} of {total}: bounded", arrived.len());
    assert!(arrived.len() >= PROCESS_QUEUE_LEN_MAX as usize / 2, "{} of {total}: not more than needed is dropped", arrived.len());
}

async fn asides_reach_who_listens_and_nobody_later(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let publisher = place.publisher().await;
    publish(&publisher, numbered(&Destination::Aside, 0, 1)).await;
    let mut one = place.consumer(Source::Aside, 100).await;
    let mut other = place.consumer(Source::Aside, 100).await;
    publish(&publisher, numbered(&Destination::Aside, 1, 2)).await;
    for listener in [&mut one, &mut other] {
        assert_eq!(ids(&take(listener, 2).await), [1, 2]);
    }
}

async fn a_late_command_is_gone(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let command = Destination::Command { pool: pool() };
    let publisher = place.publisher().await;
    publish(&publisher, numbered(&command, 1, 1)).await;
    let mut replies = place.consumer(Source::Replies, 1).await;
    silence(&mut replies, Duration::from_millis(u64::from(COMMAND_TTL_MS) + 500)).await;
    publish(&publisher, numbered(&command, 2, 1)).await;
    let mut commands = place.consumer(Source::Commands(pool()), 10).await;
    assert_eq!(ids(&take(&mut commands, 1).await), [2]);
    let mut dead = place.consumer(Source::Dead, 1).await;
    silence(&mut dead, Duration::from_millis(200)).await;
}

async fn answers_find_their_way(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let publisher = place.publisher().await;
    let mut replies = place.consumer(Source::Replies, 10).await;
    let queue = replies.queue().to_owned();
    let ask = Outgoing { reply_to: Some(queue), ..Outgoing::new(Destination::Command { pool: pool() }, "1", &b"accept"[..]) };
    publish(&publisher, vec![ask]).await;
    let mut commands = place.consumer(Source::Commands(pool()), 10).await;
    let asked = take(&mut commands, 1).await.remove(0);
    let back = Destination::Direct { queue: asked.reply_to.expect("where to") };
    let answer = Outgoing::new(back, "2", &b"applied"[..]);
    publish(&publisher, vec![answer.clone()]).await;
    let answered = take(&mut replies, 1).await.remove(0);
    assert_eq!((answered.id.as_deref(), answered.body.as_ref()), (Some("2"), &b"applied"[..]));
    replies.close().await;
    let gone = async { while publisher.publish(vec![answer.clone()]).await != Err(PublishError::Unroutable(vec!["2".into()])) {} };
    timeout(DEADLINE, gone).await.expect("the queue ends with its consumer");
}

async fn what_fails_too_often_is_a_dead_letter(kind: Kind) {
    let place = Place::with(kind, Limits { deliveries: Some(2), ..Limits::default() }).await;
    place.declare().await;
    publish(&place.publisher().await, numbered(&inbound(), 7, 1)).await;
    for attempt in 0..3 {
        let mut consumer = place.consumer(Source::Router(pool()), 1).await;
        let poison = take(&mut consumer, 1).await.remove(0);
        assert_eq!(poison.redelivered, attempt > 0);
    }
    let mut dead = place.consumer(Source::Dead, 10).await;
    let letter = take(&mut dead, 1).await.remove(0);
    assert_eq!((letter.id.as_deref(), letter.body.as_ref()), (Some("7"), &b"7"[..]));
    assert_eq!(letter.death.as_deref(), Some("delivery_limit in sportello.router.main"));
    assert_eq!(letter.routing_key, "main.comune.email");
    dead.ack(letter.tag).await.expect("acknowledges");
}

async fn events_need_no_reader(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let events = Destination::Events { pool: pool(), administration: None, name: "plan.applied".into() };
    assert_eq!(place.publisher().await.publish(numbered(&events, 0, 10)).await, Ok(()));
    assert!(place.broker.is_up());
}

async fn refuses_what_is_too_large_and_goes_on(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let publisher = place.publisher().await;
    let large = Outgoing::new(inbound(), "1", vec![b'x'; BODY_BYTES_MAX + 1]);
    assert!(matches!(publisher.publish(vec![large]).await, Err(PublishError::Invalid(_))));
    assert_eq!(publisher.publish(Vec::new()).await, Ok(()));
    let just = Outgoing::new(inbound(), "2", vec![b'x'; BODY_BYTES_MAX]);
    assert_eq!(publisher.publish(vec![just]).await, Ok(()));
}

async fn an_unacknowledged_prefetch_is_the_limit(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    publish(&place.publisher().await, numbered(&inbound(), 0, 10)).await;
    let mut consumer = place.consumer(Source::Router(pool()), 3).await;
    let held = take(&mut consumer, 3).await;
    silence(&mut consumer, Duration::from_millis(200)).await;
    consumer.ack(held[1].tag).await.expect("acknowledges");
    assert_eq!(ids(&take(&mut consumer, 2).await), [3, 4]);
    assert_eq!(consumer.ack(held[0].tag).await, Ok(()), "acknowledged with the one after it");
}

async fn an_order_goes_to_one_of_several(kind: Kind) {
    let place = Place::new(kind).await;
    place.declare().await;
    let source = Source::Outbound(super::place::account());
    let mut first = place.consumer(source.clone(), 1).await;
    let mut second = place.consumer(source, 1).await;
    publish(&place.publisher().await, numbered(&Destination::Outbound { account: super::place::account() }, 0, 2)).await;
    let mut both = [ids(&take(&mut first, 1).await), ids(&take(&mut second, 1).await)].concat();
    both.sort_unstable();
    assert_eq!(both, [0, 1]);
}
