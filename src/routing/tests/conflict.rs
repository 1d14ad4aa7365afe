//! Whoever must abstain: from the whole conversation, for as long as it lasts.

use std::time::Duration;

use super::world::{World, name};
use crate::model::command::{CommandBody, Refusal, TransferTarget};
use crate::model::contact::{PendingOn, StateName};
use crate::model::id::{ContactId, ConversationId};

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
