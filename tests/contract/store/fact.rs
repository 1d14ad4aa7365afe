//! Facts for intake.

use std::time::Duration;

use sportello::model::channel::{Channel, IdentityLevel};
use sportello::model::contact::{Contact, ContactState};
use sportello::model::id::{AddressKey, CitizenId, ContactId, ConversationId, InputId, MessageId, OfficeId, OperatorId};
use sportello::port::store::{FactQuery, FactRow};

use super::fixture::*;
use super::on_both;
use super::place::Place;

on_both!(everything_that_is_known, nothing_is_known, erased_inputs_stay_dead, a_proved_address_stays_proved);

fn query(source: u128) -> FactQuery {
    FactQuery {
        input: InputId(source),
        administration: comune(),
        address: None,
        channel: Channel::email(),
        references: Vec::new(),
        thread: None,
    }
}

async fn facts(place: &Place, queries: &[FactQuery]) -> Vec<FactRow> {
    place.store.facts(&pool(), queries).await.expect("answers")
}

async fn everything_that_is_known(place: Place) {
    let mut leader = Leader::of(&place).await;
    let closed = |n: u128, at: i64, owner: u128| Contact {
        citizen: Some(CitizenId(1)),
        last_owner: Some(OperatorId(owner)),
        state: ContactState::Closed { at: seconds(at) },
        ..contact(n)
    };
    let mut second = contact(2);
    second.conversation = ConversationId(1);
    second.address = Some(AddressKey(10));
    let mut by_chat = contact(3);
    by_chat.address = Some(AddressKey(10));
    by_chat.channel = Channel::new(Channel::WEBCHAT).expect("name");
    let later_chat = Contact { id: ContactId(4), opened_at: by_chat.opened_at.plus(Duration::from_secs(1)), ..by_chat.clone() };
    let chat = by_chat.channel.clone();
    leader
        .commit(|writes| {
            writes.contacts =
                vec![contact(1), second.clone(), later_chat.clone(), by_chat, closed(20, 100, 7), closed(21, 200, 8), closed(22, 150, 9)];
            writes.messages = vec![message(1, 1), message(2, 20)];
            writes.citizens = vec![
                address(10, 1, IdentityLevel::Claimed),
                address(11, 1, IdentityLevel::Verified),
                address(12, 1, IdentityLevel::Claimed),
                address(12, 2, IdentityLevel::Claimed),
            ];
            writes.inputs = vec![input(1, Some(InputId(1)), Some(2))];
        })
        .await;

    let asked = vec![
        FactQuery { address: Some(AddressKey(10)), ..query(1) },
        FactQuery { references: vec![MessageId(2), MessageId(1), MessageId(99)], ..query(2) },
        FactQuery { address: Some(AddressKey(12)), ..query(3) },
        FactQuery { thread: Some(InputId(1)), ..query(4) },
        FactQuery { references: vec![MessageId(1), MessageId(2)], administration: asl(), ..query(5) },
        FactQuery { address: Some(AddressKey(10)), administration: asl(), ..query(6) },
        FactQuery { address: Some(AddressKey(10)), channel: chat, ..query(7) },
        FactQuery { address: Some(AddressKey(11)), ..query(8) },
    ];
    let rows = facts(&place, &asked).await;
    assert_eq!(rows.len(), asked.len());
    let urp = OfficeId::new("urp").expect("name");
    let known =
        FactRow { duplicate: true, citizen: Some(CitizenId(1)), last_helper: Some((OperatorId(8), urp.clone())), ..FactRow::default() };
    assert_eq!(rows[0], known, "by address: who it is, the newest closed one's owner; mail does not go on by address");
    assert_eq!(rows[1], FactRow { reference: Some(Box::new(second)), ..FactRow::default() }, "newest message, newest contact");
    assert_eq!(rows[2], FactRow { shared: true, ..FactRow::default() }, "a shared address identifies nobody");
    assert_eq!(rows[3], FactRow { thread_contact: Some(ContactId(2)), ..FactRow::default() });
    assert_eq!(rows[4], FactRow::default(), "another administration's messages");
    assert_eq!(rows[5], FactRow::default(), "another administration's address");
    assert_eq!(rows[6].recent, Some(Box::new(later_chat)), "on a channel that goes on by address: the newest with it there");
    let proved = FactRow { duplicate: false, citizen_level: IdentityLevel::Verified, ..known };
    assert_eq!(rows[7], proved, "by another address of theirs, and how sure that is");
}

async fn nothing_is_known(place: Place) {
    assert_eq!(facts(&place, &[]).await, []);
    let full = FactQuery { address: Some(AddressKey(1)), references: vec![MessageId(1)], thread: Some(InputId(9)), ..query(1) };
    assert_eq!(facts(&place, &[full, query(2)]).await, [FactRow::default(), FactRow::default()]);
    assert!(place.store.known_sources(&pool(), &[]).await.expect("answers").is_empty());
}

async fn erased_inputs_stay_dead(place: Place) {
    let erased = InputId(5);
    place.run(&format!("insert into tombstone values ('comune', '{erased}', 0)")).await.expect("buries");
    let rows = facts(&place, &[query(5), FactQuery { administration: asl(), ..query(5) }]).await;
    assert_eq!(rows.iter().map(|row| row.duplicate).collect::<Vec<_>>(), [true, false]);
}

async fn a_proved_address_stays_proved(place: Place) {
    let mut leader = Leader::of(&place).await;
    let levels = [IdentityLevel::Claimed, IdentityLevel::Verified, IdentityLevel::Claimed, IdentityLevel::Spid, IdentityLevel::Verified];
    let kept = [IdentityLevel::Claimed, IdentityLevel::Verified, IdentityLevel::Verified, IdentityLevel::Spid, IdentityLevel::Spid];
    leader
        .commit(|writes| {
            writes.conversations = vec![conversation(1)];
            writes.contacts = vec![Contact { citizen: Some(CitizenId(1)), ..contact(1) }];
        })
        .await;
    for (seen, known) in levels.into_iter().zip(kept) {
        let mut again = address(1, 1, seen);
        again.name = (seen == IdentityLevel::Spid).then(|| "Maria Bianchi".into());
        leader.commit(|writes| writes.citizens = vec![again]).await;
        let view = place.store.conversation(&comune(), ConversationId(1)).await.expect("reads").expect("is there");
        assert_eq!(view.addresses[0].level, known, "{seen:?}");
        assert_eq!(view.addresses[0].name.is_some(), known == IdentityLevel::Spid, "a name is kept when none is given");
    }
}
