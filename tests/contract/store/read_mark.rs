//! What operators have read, and what is new to them.

use sportello::model::contact::Direction;
use sportello::model::conversation::{Message, Note};
use sportello::model::delivery::DeliveryState;
use sportello::model::id::{ContactId, ConversationId, NoteId, OperatorId};
use sportello::port::store::ReadMark;

use super::fixture::*;
use super::on_both;
use super::place::Place;

on_both!(what_is_new_is_counted_for_each_reader, the_furthest_mark_counts);

const ANNA: OperatorId = OperatorId(7);
const BRUNO: OperatorId = OperatorId(8);

/// A conversation with two messages, anna's note and bruno's, and an answer that failed: at 10, 20, 30, 40 and 50 seconds. Another
/// contact has what came before it was queued.
async fn fill(place: &Place) {
    let note = |n: u128, author, at| Note {
        id: NoteId(n),
        administration: comune(),
        conversation: ConversationId(1),
        contact: ContactId(1),
        author,
        at: seconds(at),
        text: "Nota".into(),
    };
    let mut failed = delivery(3, 1, DeliveryState::Failed, 1);
    failed.due = seconds(50);
    let answer = Message { direction: Direction::Outbound, at: seconds(25), ..message(3, 1) };
    let mut later = contact(2);
    later.queued_at = seconds(10);
    Leader::of(place)
        .await
        .commit(|writes| {
            writes.contacts = vec![contact(1), later];
            writes.conversations = vec![conversation(1), conversation(2)];
            writes.messages = vec![
                Message { at: seconds(10), ..message(1, 1) },
                Message { at: seconds(20), ..message(2, 1) },
                answer,
                Message { at: seconds(10), ..message(4, 2) },
            ];
            writes.deliveries = vec![failed];
            writes.notes = vec![note(1, ANNA, 30), note(2, BRUNO, 40)];
        })
        .await;
}

async fn unread(place: &Place, operator: OperatorId) -> u32 {
    let found = place.store.unread(&[comune()], operator, &[ContactId(1), ContactId(2)]).await.expect("counts");
    assert!(found.iter().all(|(contact, count)| *contact == ContactId(1) && *count > 0), "{found:?}");
    found.first().map_or(0, |(_, count)| *count)
}

async fn mark(place: &Place, operator: OperatorId, at: i64) {
    let mark = ReadMark { administration: comune(), conversation: ConversationId(1), operator, until: seconds(at) };
    place.store.put_read_mark(&mark).await.expect("keeps");
}

async fn what_is_new_is_counted_for_each_reader(place: Place) {
    fill(&place).await;
    assert_eq!((unread(&place, ANNA).await, unread(&place, BRUNO).await), (4, 4), "all but one's own note");
    for (at, expected) in [(9, 4), (10, 3), (20, 2), (39, 2), (40, 1), (50, 0)] {
        mark(&place, ANNA, at).await;
        assert_eq!(unread(&place, ANNA).await, expected, "read up to {at}");
    }
    assert_eq!(unread(&place, BRUNO).await, 4, "nobody reads for another");
    assert_eq!(place.store.unread(&[asl()], ANNA, &[ContactId(1)]).await, Ok(vec![]), "another administration");
    assert_eq!(place.store.unread(&[comune()], BRUNO, &[]).await, Ok(vec![]));
}

async fn the_furthest_mark_counts(place: Place) {
    assert_eq!(place.store.last_at(&pool()).await.expect("reads").0, 0, "nothing is committed");
    fill(&place).await;
    assert_eq!(place.store.last_at(&pool()).await, Ok(seconds(1)), "the first batch's");
    for at in [40, 10, 40] {
        mark(&place, ANNA, at).await;
        assert_eq!(unread(&place, ANNA).await, 1, "after {at}");
    }
}
