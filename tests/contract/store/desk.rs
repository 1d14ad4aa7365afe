//! What the desk reads.

use sportello::model::channel::Channel;
use sportello::model::channel::IdentityLevel;
use sportello::model::contact::{Contact, ContactState, Mode, OrderKey, PendingOn, StateName};
use sportello::model::conversation::{Message, Note};
use sportello::model::id::{AddressKey, AdministrationId, CitizenId, ContactId, ConversationId, InputId, NoteId, OfficeId, OperatorId};
use sportello::port::store::{ContactFilter, OperatorLoad, Page, QueueState, Reach};

use super::fixture::*;
use super::on_both;
use super::place::Place;

on_both!(
    lists_are_in_order,
    what_is_over_comes_newest_first,
    filters_narrow,
    a_list_is_narrowed_before_it_is_cut,
    a_conversation_is_whole,
    an_input_has_a_status,
    operators_and_queues,
    counts_of_waiting,
    loads_are_counted_whole
);

const ALL: Page = Page { limit: 500, offset: 0 };

async fn listed(place: &Place, filter: ContactFilter, page: Page) -> Vec<u128> {
    let contacts = place.store.contacts(&[asl(), comune()], &filter, page).await.expect("lists");
    contacts.iter().map(|summary| summary.contact.id.0).collect()
}

fn pending(operator: u128) -> ContactState {
    ContactState::Pending { operator: OperatorId(operator), on: PendingOn::Citizen, since: NOON, back_after: None }
}

fn ringing(operator: u128) -> ContactState {
    ContactState::Offered { ordinal: 1, operator: OperatorId(operator), made_at: NOON, deadline: NOON }
}

async fn lists_are_in_order(place: Place) {
    let mut leader = Leader::of(&place).await;
    let place_of = |n: u128, tier: u8, due: i64, seq: i64| Contact { key: OrderKey { tier, due: seconds(due), seq }, ..contact(n) };
    let contacts = vec![
        place_of(1, 5, 100, 9),
        place_of(2, 5, 100, 8),
        place_of(3, 5, 50, 10),
        place_of(4, 0, 900, 11),
        in_state(6, active(7)),
        in_state(5, ContactState::Deferred { until: NOON }),
        in_state(7, ContactState::Closed { at: NOON }),
        in_state(8, pending(7)),
        in_state(9, ringing(7)),
    ];
    leader.commit(|writes| writes.contacts = contacts).await;
    assert_eq!(listed(&place, ContactFilter::default(), ALL).await, [4, 3, 2, 1, 6, 9, 8, 5]);
    assert_eq!(listed(&place, ContactFilter::default(), Page { limit: 2, offset: 1 }).await, [3, 2]);
    let states = StateName::ALL.to_vec();
    assert_eq!(listed(&place, ContactFilter { states, ..ContactFilter::default() }, ALL).await, [4, 3, 2, 1, 6, 9, 8, 5, 7]);
}

async fn what_is_over_comes_newest_first(place: Place) {
    let mut leader = Leader::of(&place).await;
    let over = |n: u128, administration: AdministrationId, at: i64, operator: u128| Contact {
        administration,
        last_owner: Some(OperatorId(operator)),
        ..in_state(n, ContactState::Closed { at: seconds(at) })
    };
    let mut gone = in_state(4, ContactState::Abandoned { at: seconds(30) });
    gone.queue = queue("tributi");
    leader
        .commit(|writes| {
            writes.contacts = vec![
                over(1, comune(), 10, 7),
                over(2, asl(), 20, 8),
                over(3, comune(), 40, 7),
                gone,
                over(5, asl(), 10, 7),
                in_state(6, active(7)),
            ];
        })
        .await;
    let states = vec![StateName::Closed, StateName::Abandoned];
    let over = ContactFilter { states, ..ContactFilter::default() };
    assert_eq!(listed(&place, over.clone(), ALL).await, [3, 4, 2, 5, 1]);
    assert_eq!(listed(&place, over.clone(), Page { limit: 2, offset: 1 }).await, [4, 2]);
    assert_eq!(listed(&place, ContactFilter { operator: Some(OperatorId(7)), ..over.clone() }, ALL).await, [3, 5, 1], "whose it was last");
    assert_eq!(listed(&place, ContactFilter { queue: Some(queue("tributi")), ..over.clone() }, ALL).await, [4]);
    let reach = Some(Reach { offices: vec![], holder: Some(OperatorId(8)) });
    assert_eq!(listed(&place, ContactFilter { reach, ..over.clone() }, ALL).await, [2]);
    let states = StateName::ALL.to_vec();
    assert_eq!(listed(&place, ContactFilter { states, ..over }, Page { limit: 3, offset: 0 }).await, [6, 3, 4]);
}

async fn filters_narrow(place: Place) {
    let mut leader = Leader::of(&place).await;
    let mut elsewhere = contact(4);
    elsewhere.queue = queue("tributi");
    let follow_on = Contact { conversation: ConversationId(5), ..contact(6) };
    let closed = in_state(5, ContactState::Closed { at: NOON });
    leader
        .commit(|writes| {
            writes.contacts = vec![contact(1), in_state(2, ringing(7)), in_state(3, active(7)), elsewhere, closed, follow_on];
        })
        .await;
    let of = |filter: ContactFilter| listed(&place, filter, ALL);
    assert_eq!(of(ContactFilter { operator: Some(OperatorId(7)), ..ContactFilter::default() }).await, [2, 3]);
    assert_eq!(of(ContactFilter { queue: Some(queue("tributi")), ..ContactFilter::default() }).await, [4]);
    assert_eq!(of(ContactFilter { states: vec![StateName::Closed], ..ContactFilter::default() }).await, [5]);
    let conversation = Some(ConversationId(5));
    assert_eq!(of(ContactFilter { conversation, ..ContactFilter::default() }).await, [6]);
    let states = StateName::ALL.to_vec();
    assert_eq!(of(ContactFilter { conversation, states, ..ContactFilter::default() }).await, [6, 5]);
}

/// What the reader may not know of takes no place on their page.
async fn a_list_is_narrowed_before_it_is_cut(place: Place) {
    let mut leader = Leader::of(&place).await;
    let of = |n: u128, administration: AdministrationId, office: &str, state: ContactState| Contact {
        administration,
        office: OfficeId::new(office).expect("name"),
        ..in_state(n, state)
    };
    leader
        .commit(|writes| {
            writes.contacts = vec![
                of(1, comune(), "sociale", active(7)),
                of(2, comune(), "sociale", active(8)),
                of(3, asl(), "urp", active(8)),
                of(4, comune(), "urp", active(8)),
                of(5, comune(), "sociale", ringing(8)),
                of(6, comune(), "sociale", ContactState::Queued),
            ];
        })
        .await;
    let urp = (comune(), OfficeId::new("urp").expect("name"));
    let sociale = (comune(), OfficeId::new("sociale").expect("name"));
    let table = [
        (vec![urp.clone()], None, vec![4]),
        (vec![urp.clone(), sociale], None, vec![6, 1]),
        (vec![urp.clone()], Some(8), vec![2, 3]),
        (vec![], Some(7), vec![1]),
        (vec![], None, vec![]),
    ];
    for (offices, holder, expected) in table {
        let reach = Some(Reach { offices: offices.clone(), holder: holder.map(OperatorId) });
        let found = listed(&place, ContactFilter { reach, ..ContactFilter::default() }, Page { limit: 2, offset: 0 }).await;
        assert_eq!(found, expected, "{offices:?} {holder:?}");
    }
    // narrowed by the administrations beside it too
    let reach = Some(Reach { offices: vec![(asl(), urp.1)], holder: Some(OperatorId(8)) });
    let filter = ContactFilter { reach, ..ContactFilter::default() };
    let found = place.store.contacts(&[asl()], &filter, ALL).await.expect("lists");
    assert_eq!(found.iter().map(|summary| summary.contact.id.0).collect::<Vec<_>>(), [3]);
}

async fn a_conversation_is_whole(place: Place) {
    let mut leader = Leader::of(&place).await;
    let mut first = contact(1);
    (first.citizen, first.address) = (Some(CitizenId(1)), Some(AddressKey(10)));
    let second = Contact { conversation: ConversationId(1), ..contact(2) };
    // the citizen's in another conversation, one that is over, one of another citizen, one of another administration
    let elsewhere = Contact { citizen: Some(CitizenId(1)), ..contact(3) };
    let over = Contact { citizen: Some(CitizenId(1)), ..in_state(4, ContactState::Closed { at: NOON }) };
    let strange = Contact { citizen: Some(CitizenId(2)), ..contact(5) };
    let foreign = Contact { citizen: Some(CitizenId(1)), administration: asl(), ..contact(6) };
    let note = |n: u128| Note {
        id: NoteId(n),
        administration: comune(),
        conversation: ConversationId(1),
        contact: ContactId(1),
        author: OperatorId(7),
        at: seconds(i64::try_from(n).expect("small")),
        text: format!("Nota {n}"),
    };
    // All at one instant, and their ids in another order than they came in.
    let messages: Vec<_> = (1..).zip([3, 1, 2]).map(|(seq, n)| Message { seq, ..message(n, 1) }).collect();
    let addresses = vec![address(10, 1, IdentityLevel::Spid), address(11, 2, IdentityLevel::Claimed)];
    leader
        .commit(|writes| {
            writes.contacts = vec![second.clone(), first.clone(), elsewhere.clone(), over, strange, foreign];
            writes.conversations = vec![conversation(1)];
            writes.messages = messages.clone();
            writes.notes = vec![note(2), note(1)];
            writes.citizens = addresses.clone();
        })
        .await;
    let view = place.store.conversation(&comune(), ConversationId(1)).await.expect("reads").expect("is there");
    assert_eq!(view.conversation, conversation(1));
    assert_eq!(view.contacts, [first.clone(), second]);
    assert_eq!(view.messages, messages);
    assert_eq!(view.notes, [note(1), note(2)]);
    assert_eq!(view.addresses, addresses[..1]);
    assert_eq!(view.elsewhere.into_iter().map(|summary| summary.contact).collect::<Vec<_>>(), [elsewhere]);
    assert_eq!(place.store.messages_of_contact(&comune(), ContactId(1)).await.expect("reads"), messages);
    assert_eq!(place.store.messages_of_contact(&comune(), ContactId(2)).await.expect("reads"), []);
    assert_eq!(place.store.conversation(&comune(), ConversationId(9)).await.expect("reads"), None);

    let summary = place.store.contact(&[comune()], ContactId(1)).await.expect("reads").expect("is there");
    assert_eq!(summary.contact, first);
    assert_eq!((summary.subject.as_deref(), summary.citizen.as_deref()), (Some("Oggetto 1"), Some("Cittadino 1")));
}

async fn an_input_has_a_status(place: Place) {
    let mut leader = Leader::of(&place).await;
    let mut refused = input(2, Some(InputId(2)), None);
    refused.outcome = "limit_reached".into();
    leader
        .commit(|writes| {
            writes.contacts = vec![contact(1)];
            writes.inputs = vec![input(1, Some(InputId(1)), Some(1)), refused];
        })
        .await;
    let status = async |n| place.store.input_status(&[comune()], InputId(n)).await.expect("reads");
    let first = status(1).await.expect("is there");
    assert_eq!((first.at, first.outcome.as_str(), first.contact), (seconds(1), "applied", Some(contact(1))));
    let second = status(2).await.expect("is there");
    assert_eq!((second.outcome.as_str(), second.contact), ("limit_reached", None));
    assert!(status(3).await.is_none());
}

async fn operators_and_queues(place: Place) {
    let mut leader = Leader::of(&place).await;
    let closed = QueueState { queue: queue("a"), closed: true, notice: Some("Chiuso".into()) };
    let reopened = QueueState { queue: queue("b"), closed: false, notice: None };
    leader
        .commit(|writes| {
            writes.operators = vec![operator(2), operator(1)];
            writes.queues = vec![reopened.clone(), closed.clone()];
        })
        .await;
    assert_eq!(place.store.operators(&pool()).await.expect("reads"), [operator(1), operator(2)]);
    assert_eq!(place.store.queue_states(&pool()).await.expect("reads"), [closed, reopened]);
}

async fn counts_of_waiting(place: Place) {
    let mut leader = Leader::of(&place).await;
    let done = in_state(4, ContactState::Closed { at: NOON });
    leader.commit(|writes| writes.contacts = vec![contact(2), contact(1), in_state(3, active(7)), done]).await;
    let counts = place.store.contact_counts(&pool()).await.expect("counts");
    let counts: Vec<_> = counts.iter().map(|row| (row.state, row.count, row.oldest)).collect();
    assert_eq!(counts, [(StateName::Active, 1, seconds(3)), (StateName::Queued, 2, seconds(1))]);
}

async fn loads_are_counted_whole(place: Place) {
    let mut leader = Leader::of(&place).await;
    let chat =
        |n: u128, state: ContactState| Contact { channel: Channel::new("webchat").expect("name"), mode: Mode::Live, ..in_state(n, state) };
    let wrapped = ContactState::WrapUp { operator: OperatorId(8), until: NOON };
    // more than any page holds
    let mut contacts: Vec<Contact> = (100..700).map(|n| in_state(n, pending(7))).collect();
    contacts.extend([chat(1, ringing(7)), chat(2, active(7)), in_state(3, active(7)), chat(4, wrapped), contact(5)]);
    contacts.extend([in_state(6, ContactState::Closed { at: NOON }), Contact { administration: asl(), ..in_state(7, active(7)) }]);
    leader.commit(|writes| writes.contacts = contacts).await;
    let load = |operator: u128, channel: &str, mode: Mode, holds: bool, count: i64| OperatorLoad {
        operator: OperatorId(operator),
        channel: Channel::new(channel).expect("name"),
        mode,
        holds,
        count,
    };
    let expected = [
        load(7, "email", Mode::Deferrable, false, 600),
        load(7, "email", Mode::Deferrable, true, 2),
        load(7, "webchat", Mode::Live, true, 2),
        load(8, "webchat", Mode::Live, true, 1),
    ];
    assert_eq!(place.store.operator_loads(&pool()).await.expect("counts"), expected);
}
