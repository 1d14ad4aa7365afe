//! The logs and the relays' cursors.

use sportello::model::id::InputId;

use super::fixture::*;
use super::on_both;
use super::place::Place;

on_both!(logs_come_in_order, cursors_go_with_the_epoch, known_sources_are_known, what_came_of_a_command_is_known);

async fn logs_come_in_order(place: Place) {
    let store = &place.store;
    assert_eq!(store.last_seq(&pool()).await.expect("reads"), 0);
    let mut leader = Leader::of(&place).await;
    for seq in [1, 4, 7] {
        leader
            .commit(|writes| {
                writes.inputs = vec![input(seq, Some(InputId(seq.unsigned_abs().into())), Some(1))];
                writes.events = vec![event(seq + 1, None), event(seq + 2, Some(7))];
            })
            .await;
    }
    assert_eq!(store.last_seq(&pool()).await.expect("reads"), 9);
    let numbers = async |after, limit| {
        let events = store.events_after(&pool(), after, limit).await.expect("reads");
        events.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(numbers(0, 100).await, [2, 3, 5, 6, 8, 9]);
    assert_eq!(numbers(3, 2).await, [5, 6]);
    assert_eq!(numbers(9, 2).await, [0_i64; 0]);
    assert_eq!(store.events_after(&pool(), 8, 1).await.expect("reads"), [event(9, Some(7))]);
    assert_eq!(store.inputs_after(&pool(), 1, 1).await.expect("reads"), [input(4, Some(InputId(4)), Some(1))]);
}

async fn cursors_go_with_the_epoch(place: Place) {
    let store = &place.store;
    assert_eq!(store.cursor(&pool(), "feed").await.expect("reads"), 0);
    assert!(!store.advance_cursor(&pool(), "feed", 1, 5).await.expect("asks"), "nobody leads");
    let first = store.lead(&pool(), "a", TTL).await.expect("asks").expect("leads");
    let move_to = async |epoch, seq| store.advance_cursor(&pool(), "feed", epoch, seq).await.expect("asks");
    assert!(move_to(first.epoch, 5).await);
    assert!(move_to(first.epoch, 5).await, "the answer may have been lost");
    assert!(!move_to(first.epoch, 4).await, "never back");
    assert!(store.advance_cursor(&pool(), "events", first.epoch, 1).await.expect("asks"), "each relay has its own");
    store.resign(&first).await.expect("resigns");
    let second = store.lead(&pool(), "b", TTL).await.expect("asks").expect("leads");
    assert!(!move_to(first.epoch, 6).await, "a relay of the past");
    assert!(move_to(second.epoch, 6).await);
    assert_eq!(store.cursor(&pool(), "feed").await.expect("reads"), 6);
}

async fn known_sources_are_known(place: Place) {
    let mut leader = Leader::of(&place).await;
    let mut command = input(2, None, None);
    command.source = Some("cm_0000000000000000000000000000002a".into());
    leader.commit(|writes| writes.inputs = vec![input(1, Some(InputId(1)), None), command.clone()]).await;
    let asked = [InputId(2).to_string(), command.source.clone().expect("has one"), "' or 1=1".into(), InputId(1).to_string()];
    assert_eq!(place.store.known_sources(&pool(), &asked).await.expect("answers"), [false, true, false, true]);
    let elsewhere = sportello::model::id::PoolId::new("altro").expect("name");
    assert_eq!(place.store.known_sources(&elsewhere, &asked).await.expect("answers"), [false; 4]);
}

async fn what_came_of_a_command_is_known(place: Place) {
    let mut leader = Leader::of(&place).await;
    let commands = [("cm_0000000000000000000000000000002a", "applied"), ("cm_0000000000000000000000000000002b", "wrong_state")];
    let rows = [1, 2].into_iter().zip(commands).map(|(seq, (source, outcome))| {
        let mut row = input(seq, None, None);
        (row.source, row.outcome) = (Some(source.into()), outcome.into());
        row
    });
    let rows: Vec<_> = rows.collect();
    leader.commit(|writes| writes.inputs = rows).await;
    let asked = [commands[1].0.to_owned(), "cm_0000000000000000000000000000002c".into(), commands[0].0.to_owned(), "' or 1=1".into()];
    let outcomes = place.store.outcomes(&pool(), &asked).await.expect("answers");
    assert_eq!(outcomes, [Some("wrong_state".to_owned()), None, Some("applied".to_owned()), None]);
    assert!(place.store.outcomes(&pool(), &[]).await.expect("answers").is_empty());
    let elsewhere = sportello::model::id::PoolId::new("altro").expect("name");
    assert_eq!(place.store.outcomes(&elsewhere, &asked).await.expect("answers"), [None, None, None, None]);
}
