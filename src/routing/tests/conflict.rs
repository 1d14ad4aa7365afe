//! Whoever must abstain: from the whole conversation, for as long as it lasts.

use std::time::Duration;

use super::world::{World, name};
use crate::model::command::{CommandBody, Refusal, TransferTarget};
use crate::model::contact::{Outcome, PendingOn, Resolution, StateName};
use crate::model::delivery::{AttemptResult, DeliveryReport};
use crate::model::id::{ContactId, ConversationId, MessageId};

/// Whoever must abstain says so of a letter too: by the reason of the transfer, if only to the queue it is in.
#[test]
fn a_conflict_is_declared_by_a_transfer() {
    for reason in ["conflict", "workload"] {
        let mut world = World::new();
        let anna = world.hire(1, |_| {});
        let letter = world.arrive(10, "posta");
        let to = TransferTarget::Queue(name("urp"));
        world.by(anna, CommandBody::Transfer { contact: letter, to, reason: reason.into() }).expect("transferred");
        world.pass(100_000);
        let hers = (reason != "conflict").then_some(anna);
        assert_eq!(world.owner(letter), hers, "{reason}");
        if reason == "conflict" {
            assert_eq!(world.by(anna, CommandBody::Pull { contact: letter }), Err(Refusal::OperatorNotAllowed));
        }
    }
}

/// What is open of a conversation, whoever must abstain from it has none of: not what they work on, nor what waits for them by name.
#[test]
fn a_conflict_is_one_with_the_whole_conversation() {
    let mut world = World::new();
    let anna = world.hire(1, |profile| profile.capacity.desk_slots = 3);
    let contacts: Vec<ContactId> = (10..13)
        .map(|number| {
            let mut facts = world.facts(number, "posta");
            facts.new_conversation = ConversationId(7);
            world.receive(facts)
        })
        .collect();
    world.by(anna, CommandBody::Pend { contact: contacts[1], on: PendingOn::Citizen, back_after: None }).expect("pending");
    world.supervisor(CommandBody::Defer { contact: contacts[2], until: world.now.plus(Duration::from_secs(60)) }).expect("deferred");
    let to = TransferTarget::Queue(name("urp"));
    world.by(anna, CommandBody::Transfer { contact: contacts[0], to, reason: "conflict".into() }).expect("transferred");
    world.pass(100_000);
    for contact in &contacts {
        assert_eq!(world.state(*contact).name(), StateName::Queued, "not hers any more");
    }
    let mut facts = world.facts(13, "posta");
    facts.new_conversation = ConversationId(7);
    let later = world.receive(facts);
    assert_eq!(world.owner(later), None, "nor what is opened in it later");
    let bruno = world.hire(2, |profile| profile.capacity.desk_slots = 9);
    assert!(contacts.iter().all(|contact| world.owner(*contact) == Some(bruno)));
}

/// What follows a closed contact is the same conversation: whether the citizen writes again, or an answer of ours did not arrive.
#[test]
fn a_conflict_outlasts_the_contact() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    let to = TransferTarget::Queue(name("urp"));
    world.by(anna, CommandBody::Transfer { contact: letter, to, reason: "conflict".into() }).expect("transferred");
    let bruno = world.hire(2, |_| {});
    let close = |contact| CommandBody::Close { contact, outcome: Outcome { topic: None, resolution: Resolution::Resolved } };
    world.by(bruno, CommandBody::Reply { contact: letter, message: MessageId(500), account: None }).expect("answered");
    world.by(bruno, close(letter)).expect("closed");
    world.by(bruno, CommandBody::Away { operator: bruno, reason: "lunch".into() }).expect("away");
    world.rebuild();
    let next = world.answer(11, letter);
    assert_eq!(world.owner(next), None, "the citizen wrote again");
    world.supervisor(close(next)).expect("closed");
    world.report(DeliveryReport { message: MessageId(500), attempt: 1, result: AttemptResult::Permanent { code: "550".into() } });
    let follow_on = world.rows.values().find(|row| !row.state.is_final()).expect("a follow-on").id;
    assert_eq!(world.owner(follow_on), None, "the answer did not arrive");
    world.pass(100_000);
    assert_eq!(world.owner(follow_on), None);
}
