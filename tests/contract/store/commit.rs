//! Commits: once, fenced, refused for ever or for now, and rebuilt from rows.

use std::time::Duration;

use sportello::model::contact::{ContactState, OfferState, PendingOn};
use sportello::model::delivery::{DeliveryState, Settled};
use sportello::model::id::{ContactId, InputId, OperatorId, SkillId};
use sportello::port::store::{QueueState, StoreError, WriteSet};

use super::fixture::*;
use super::on_both;
use super::place::{At, Place};

on_both!(
    the_same_batch_twice_is_written_once,
    an_old_epoch_is_fenced,
    what_no_row_can_hold_is_refused,
    a_refusal_leaves_nothing_behind,
    a_lost_connection_is_unavailable_and_made_again,
    a_dropped_commit_leaves_no_transaction,
    rows_come_back_as_they_went,
    an_offer_is_kept_when_it_has_ended,
    deliveries_follow_their_messages,
    a_text_with_nul_is_kept,
    without_a_lead_nothing_is_committed,
);

async fn the_same_batch_twice_is_written_once(place: Place) {
    let mut leader = Leader::of(&place).await;
    let mut writes = leader.batch();
    writes.inputs = vec![input(1, Some(InputId(1)), None)];
    writes.messages = vec![message(1, 1)];
    writes.last_seq = 1;
    for _ in 0..2 {
        leader.writer.commit(&writes).await.expect("the second time too");
    }
    // After an unknown outcome the batch goes by another connection.
    place.store.writer().await.expect("a writer").commit(&writes).await.expect("and by another");
    assert_eq!(place.store.inputs_after(&pool(), 0, 10).await.expect("reads").len(), 1);
    assert_eq!(place.store.last_seq(&pool()).await.expect("reads"), 1);
    // The same content as the next batch is not the same batch.
    writes.batch += 1;
    assert!(matches!(leader.writer.commit(&writes).await, Err(StoreError::Refused(_))));
}

async fn an_old_epoch_is_fenced(place: Place) {
    let mut old = Leader::of(&place).await;
    old.commit(|writes| writes.contacts = vec![contact(1)]).await;
    place.store.resign(&old.leadership).await.expect("resigns");
    let new = place.store.lead(&pool(), "second", TTL).await.expect("asks").expect("leads");
    assert_eq!(new.epoch, old.leadership.epoch + 1);

    let mut late = old.batch();
    late.contacts = vec![contact(2)];
    assert_eq!(old.writer.commit(&late).await, Err(StoreError::Fenced));
    assert_eq!(old.writer.commit(&late).await, Err(StoreError::Fenced), "and stays so");
    // Batches are counted anew under each epoch.
    let first = WriteSet { epoch: new.epoch, batch: 1, contacts: vec![contact(3)], ..old.batch() };
    old.writer.commit(&first).await.expect("the new leader's first batch");
    let snapshot = old.writer.load(&pool()).await.expect("loads");
    assert_eq!(snapshot.contacts.iter().map(|contact| contact.id).collect::<Vec<_>>(), [ContactId(1), ContactId(3)]);
}

async fn what_no_row_can_hold_is_refused(place: Place) {
    let mut leader = Leader::of(&place).await;
    leader
        .commit(|writes| {
            writes.inputs = vec![input(1, Some(InputId(1)), None)];
            writes.events = vec![event(2, None)];
            writes.conversations = vec![conversation(1)];
            writes.messages = vec![message(1, 1)];
        })
        .await;
    let mut unskilled = operator(1);
    unskilled.profile.skills.insert(SkillId::new("spid").expect("name"), 11);
    let wrong: [(&str, WriteSet); 7] = [
        ("a source twice", WriteSet { inputs: vec![input(3, Some(InputId(1)), None)], ..leader.batch() }),
        ("an input's number twice", WriteSet { inputs: vec![input(1, None, None)], ..leader.batch() }),
        ("an event's number twice", WriteSet { events: vec![event(2, None)], ..leader.batch() }),
        ("a message twice", WriteSet { messages: vec![message(1, 1)], ..leader.batch() }),
        ("a conversation twice", WriteSet { conversations: vec![conversation(1)], ..leader.batch() }),
        ("a level of eleven", WriteSet { operators: vec![unskilled], ..leader.batch() }),
        ("no pool", WriteSet { pool: None, ..leader.batch() }),
    ];
    for (what, writes) in wrong {
        let answer = leader.writer.commit(&writes).await;
        assert!(matches!(answer, Err(StoreError::Refused(_))), "{what}: {answer:?}");
    }
    leader.commit(|writes| writes.contacts = vec![contact(1)]).await;
}

async fn a_refusal_leaves_nothing_behind(place: Place) {
    let mut leader = Leader::of(&place).await;
    leader.commit(|writes| writes.inputs = vec![input(1, Some(InputId(1)), None)]).await;
    let mut writes = leader.batch();
    writes.contacts = vec![contact(1)];
    writes.inputs = vec![input(2, Some(InputId(1)), None)];
    writes.last_seq = 2;
    assert!(matches!(leader.writer.commit(&writes).await, Err(StoreError::Refused(_))));
    let snapshot = leader.writer.load(&pool()).await.expect("loads");
    assert!(snapshot.contacts.is_empty());
    assert_eq!(snapshot.last_seq, 1);
    // The batch's number was not used up: without the culprit it goes.
    writes.inputs[0].source = Some(InputId(2).to_string());
    leader.writer.commit(&writes).await.expect("commits");
}

async fn a_lost_connection_is_unavailable_and_made_again(place: Place) {
    let mut leader = Leader::of(&place).await;
    leader.commit(|writes| writes.contacts = vec![contact(1)]).await;
    let mut writes = leader.batch();
    writes.contacts = vec![contact(2)];
    match &place.at {
        At::Postgres { .. } => {
            place
                .run(
                    "select pg_terminate_backend(pid) from pg_stat_activity \
                     where application_name = 'sportello' and datname = current_database()",
                )
                .await
                .expect("ends them");
        }
        // Nobody can cut a file off; a table that is gone stands for a failure that is not the data's.
        At::Sqlite { .. } => place.run("alter table contact rename to away").await.expect("renames"),
    }
    let answer = leader.writer.commit(&writes).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    if let At::Sqlite { .. } = &place.at {
        place.run("alter table away rename to contact").await.expect("renames back");
    }
    leader.writer.commit(&writes).await.expect("the same batch on a new connection");
    assert_eq!(leader.writer.load(&pool()).await.expect("loads").contacts.len(), 2);
}

async fn a_dropped_commit_leaves_no_transaction(place: Place) {
    let mut leader = Leader::of(&place).await;
    let mut writes = leader.batch();
    writes.contacts = (1..=200).map(contact).collect();
    // Polled a different number of times each time, then dropped: cut at whatever point it has got to.
    for polls in 0..12 {
        let commit = leader.writer.commit(&writes);
        tokio::pin!(commit);
        for _ in 0..polls {
            if futures_util::poll!(&mut commit).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // A server may be a while about the end of those cut off; what it has no place for is sent again, as the driver does.
    let last = async {
        loop {
            match leader.writer.commit(&writes).await {
                Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                ended => return ended,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), last).await.expect("in time").expect("whatever became of the others");
    assert_eq!(leader.writer.load(&pool()).await.expect("loads").contacts.len(), 200);
}

async fn rows_come_back_as_they_went(place: Place) {
    let mut leader = Leader::of(&place).await;
    let who = OperatorId(7);
    let contacts = vec![
        contact(1),
        in_state(2, ContactState::Offered { ordinal: 1, operator: who, made_at: seconds(0), deadline: seconds(20) }),
        in_state(3, active(7)),
        in_state(4, ContactState::Pending { operator: who, on: PendingOn::Citizen, since: NOON, back_after: None }),
        in_state(5, ContactState::WrapUp { operator: who, until: seconds(60) }),
        in_state(6, ContactState::Deferred { until: seconds(600) }),
        in_state(7, ContactState::Abandoned { at: NOON }),
        in_state(8, ContactState::Closed { at: NOON }),
        in_state(9, ContactState::Abandoned { at: seconds(-86_400) }),
    ];
    let open = QueueState { queue: queue("chiusa"), closed: true, notice: Some("Torniamo alle 14".into()) };
    leader
        .commit(|writes| {
            writes.contacts = contacts.clone();
            writes.operators = vec![operator(2), operator(1)];
            writes.queues = vec![open.clone(), QueueState { queue: queue("aperta"), closed: false, notice: None }];
            writes.messages = vec![message(1, 1), message(2, 1), message(3, 1)];
            writes.deliveries = vec![delivery(1, 1, DeliveryState::Queued, 0), delivery(2, 1, DeliveryState::Sent, 1)];
            writes.inputs = vec![input(1, None, None)];
            writes.events = vec![event(2, None)];
        })
        .await;
    let snapshot = leader.writer.load(&pool()).await.expect("loads");
    assert_eq!((snapshot.last_seq, snapshot.last_at), (2, seconds(1)));
    assert_eq!(snapshot.contacts, contacts[..7], "open ones and those just abandoned");
    assert_eq!(snapshot.operators, [operator(1), operator(2)]);
    assert_eq!(snapshot.queues, [open]);
    assert_eq!(snapshot.deliveries, [delivery(1, 1, DeliveryState::Queued, 0)]);
    assert!(snapshot.database_time.0 > 1_500_000_000_000_000, "{:?}", snapshot.database_time);

    // A changed row replaces the old one; the last of two in one batch counts.
    let closed = in_state(1, ContactState::Closed { at: seconds(5) });
    leader.commit(|writes| writes.contacts = vec![in_state(1, active(7)), closed.clone()]).await;
    let again = leader.writer.load(&pool()).await.expect("loads");
    assert_eq!(again.contacts, contacts[1..7]);
    let other = sportello::model::id::PoolId::new("altro").expect("name");
    assert!(leader.writer.load(&other).await.expect("loads").contacts.is_empty());
}

async fn an_offer_is_kept_when_it_has_ended(place: Place) {
    let mut leader = Leader::of(&place).await;
    leader.commit(|writes| writes.offers = vec![offer(1, 1, 7, OfferState::Live), offer(2, 1, 8, OfferState::Live)]).await;
    assert_eq!(place.count("offer").await, 0);
    // Made and ended in one batch, ended later, and told again: each is there once.
    leader.commit(|writes| writes.offers = vec![offer(1, 1, 7, OfferState::Expired), offer(1, 2, 8, OfferState::Live)]).await;
    leader.commit(|writes| writes.offers = vec![offer(1, 2, 8, OfferState::Live), offer(1, 2, 8, OfferState::Accepted)]).await;
    leader.commit(|writes| writes.offers = vec![offer(1, 2, 8, OfferState::Accepted)]).await;
    assert_eq!(place.count("offer").await, 2);
}

async fn deliveries_follow_their_messages(place: Place) {
    let mut leader = Leader::of(&place).await;
    leader
        .commit(|writes| {
            writes.messages = vec![message(1, 1)];
            writes.deliveries = vec![delivery(1, 1, DeliveryState::Queued, 0)];
        })
        .await;
    let read = async || place.store.message(&comune(), message(1, 1).id).await.expect("reads").expect("is there");
    assert_eq!(read().await.delivery, Some(DeliveryState::Queued));
    let mut failed = delivery(1, 1, DeliveryState::Failed, 3);
    failed.failure = Some("550".into());
    failed.settled = Some(Settled { operator: OperatorId(7), at: NOON });
    leader.commit(|writes| writes.deliveries = vec![failed.clone()]).await;
    assert_eq!((read().await.delivery, read().await.failure), (Some(DeliveryState::Failed), Some("550".into())));
    assert_eq!(read().await.settled, failed.settled);
    assert!(leader.writer.load(&pool()).await.expect("loads").deliveries.is_empty());
    // a report may come long after that
    assert_eq!(place.store.delivery(&comune(), message(1, 1).id).await, Ok(Some(failed)));
    assert_eq!(place.store.delivery(&asl(), message(1, 1).id).await, Ok(None));
}

async fn a_text_with_nul_is_kept(place: Place) {
    let mut leader = Leader::of(&place).await;
    let mut strange = message(1, 1);
    strange.text = "prima\0dopo".into();
    strange.subject = Some("\0".into());
    leader.commit(|writes| writes.messages = vec![strange]).await;
    let read = place.store.message(&comune(), message(1, 1).id).await.expect("reads").expect("is there");
    assert_eq!((read.text.as_str(), read.subject.as_deref()), ("prima\u{fffd}dopo", Some("\u{fffd}")));
}

async fn without_a_lead_nothing_is_committed(place: Place) {
    let mut writer = place.store.writer().await.expect("a writer");
    let writes = WriteSet { pool: Some(pool()), epoch: 1, batch: 1, contacts: vec![contact(1)], ..WriteSet::default() };
    assert_eq!(writer.commit(&writes).await, Err(StoreError::Fenced));
}
