//! Offers, capacity, order and choice.

use std::time::Duration;

use super::super::parameters::LIVE_OWNER_GONE;
use super::world::{World, name, operator};
use crate::model::command::{CommandBody, Refusal, RejectReason, TransferTarget};
use crate::model::contact::{ContactState, Outcome, PendingOn, Resolution, StateName};
use crate::model::event::{EventBody, QueuedReason};
use crate::model::id::{ContactId, OfferId, OperatorId};
use crate::model::operator::OperatorProfile;

fn done() -> Outcome {
    Outcome { topic: Some(name("tari")), resolution: Resolution::Resolved }
}

#[test]
fn a_call_rings_is_taken_and_closed() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let call = world.arrive(10, "telefono");
    assert_eq!(world.offered_to(call), Some(anna));
    world.accept(call);
    assert_eq!(world.owner(call), Some(anna));
    world.by(anna, CommandBody::Close { contact: call, outcome: done() }).expect("closed");
    assert_eq!(world.state(call).name(), StateName::Closed);
    assert_eq!(world.by(anna, CommandBody::Close { contact: call, outcome: done() }), Err(Refusal::NotFound));
}

#[test]
fn skills_decide_who_gets_it() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let bruno = world.hire(2, |profile| {
        profile.skills.insert(name("tributi"), 3);
    });
    let letter = world.arrive(10, "f24");
    assert_eq!(world.owner(letter), Some(bruno));
    let general = world.arrive(11, "posta");
    assert_eq!(world.owner(general), Some(anna), "the less flexible one gets what both could take");
}

#[test]
fn a_restricted_office_is_for_its_members() {
    let mut world = World::new();
    world.hire(1, |_| {});
    let call = world.arrive(10, "assistenti");
    assert_eq!(world.offered_to(call), None);
    let member = world.hire(2, |profile| {
        profile.offices.insert(name("sociali"));
    });
    assert_eq!(world.offered_to(call), Some(member));
}

#[test]
fn letters_never_block_a_chat() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    for number in 10..16 {
        world.arrive(number, "posta");
    }
    assert_eq!((10..16).filter(|number| world.owner(ContactId(*number)) == Some(anna)).count(), 2, "two desk slots");
    let chat = world.arrive(20, "chat");
    assert_eq!(world.offered_to(chat), Some(anna));
    for number in 21..24 {
        world.arrive(number, "chat");
    }
    assert_eq!((20..24).filter(|number| world.offered_to(ContactId(*number)) == Some(anna)).count(), 3, "three chats at once");
}

#[test]
fn first_come_first_served_and_the_place_is_kept() {
    let mut world = World::new();
    let first = world.arrive(10, "telefono");
    world.pass(1);
    let second = world.arrive(11, "telefono");
    let anna = world.hire(1, |_| {});
    let bruno = world.hire(2, |_| {});
    assert_eq!((world.offered_to(first), world.offered_to(second)), (Some(anna), Some(bruno)));
    world.pass(1);
    world.by(anna, CommandBody::Away { operator: anna, reason: "lunch".into() }).expect("away");
    assert_eq!(world.offered_to(first), None);
    world.accept(second);
    world.by(bruno, CommandBody::Close { contact: second, outcome: done() }).expect("closed");
    assert_eq!(world.offered_to(first), Some(bruno), "revoked, and first in its place again");
}

#[test]
fn late_answers_get_a_typed_refusal() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let call = world.arrive(10, "telefono");
    let offer = OfferId { contact: call, ordinal: 1 };
    world.pass(21);
    assert_eq!(world.by(anna, CommandBody::Accept { offer }), Err(Refusal::OfferExpired));
    assert_eq!(world.by(operator(7), CommandBody::Accept { offer: OfferId { contact: call, ordinal: 9 } }), Err(Refusal::NotFound));
    world.pass(10);
    assert_eq!(world.offered_to(call), Some(anna), "alone in the office: asked again after a short while");
    world.accept(call);
    let again = OfferId { contact: call, ordinal: 2 };
    assert_eq!(world.by(anna, CommandBody::Accept { offer: again }), Err(Refusal::OfferEnded));
}

#[test]
fn two_misses_in_a_row_and_the_operator_is_away() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let call = world.arrive(10, "telefono");
    world.pass(20 + 10 + 20);
    assert_eq!(world.state(call).name(), StateName::Queued);
    assert!(!world.engine.operators[&anna].operator.is_ready());
    world.by(anna, CommandBody::Ready { operator: anna }).expect("ready");
    world.pass(10);
    assert_eq!(world.offered_to(call), Some(anna));
}

#[test]
fn a_rejected_contact_goes_to_a_colleague_and_a_conflict_lasts() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let call = world.arrive(10, "telefono");
    let bruno = world.hire(2, |_| {});
    world.by(anna, CommandBody::Reject { offer: OfferId { contact: call, ordinal: 1 }, reason: RejectReason::Conflict }).expect("rejected");
    assert_eq!(world.offered_to(call), Some(bruno));
    world.by(bruno, CommandBody::Reject { offer: OfferId { contact: call, ordinal: 2 }, reason: RejectReason::Busy }).expect("rejected");
    world.pass(10);
    assert_eq!(world.offered_to(call), Some(bruno), "nobody else may: his cool-off is void after a while");
    world.by(bruno, CommandBody::Away { operator: bruno, reason: "lunch".into() }).expect("away");
    world.pass(100_000);
    assert_eq!(world.offered_to(call), None, "never to her who must abstain");
    assert_eq!(world.by(anna, CommandBody::Pull { contact: call }), Err(Refusal::OperatorNotAllowed));
}

#[test]
fn an_untouched_letter_goes_back_and_a_touched_one_stays() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let (one, two) = (world.arrive(10, "posta"), world.arrive(11, "posta"));
    world.by(anna, CommandBody::Touch { contact: one }).expect("touched");
    let bruno = world.hire(2, |_| {});
    world.by(anna, CommandBody::Away { operator: anna, reason: "lunch".into() }).expect("away");
    world.pass(1801);
    assert_eq!((world.owner(one), world.owner(two)), (Some(anna), Some(bruno)));
    assert!(!world.has("offer.expired"), "no miss for a letter");
}

#[test]
fn too_many_returns_call_the_supervisor_once() {
    let mut world = World::new();
    world.hire(1, |_| {});
    world.arrive(10, "posta");
    world.pass(10 * 1801);
    assert_eq!(world.events.iter().filter(|body| body.name() == "contact.escalated").count(), 1);
}

#[test]
fn a_call_reserves_an_operator_with_chats() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    for number in 10..12 {
        let chat = world.arrive(number, "chat");
        world.accept(chat);
    }
    world.pass(1);
    let call = world.arrive(20, "telefono");
    world.pass(1);
    let chat = world.arrive(21, "chat");
    assert_eq!(world.offered_to(chat), None, "the call came first and she is kept free for it");
    for number in 10..12 {
        world.by(anna, CommandBody::Close { contact: ContactId(number), outcome: done() }).expect("closed");
    }
    assert_eq!((world.offered_to(call), world.offered_to(chat)), (Some(anna), None));
}

#[test]
fn transfers_keep_the_wait_and_reach_the_colleague() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let call = world.arrive(10, "telefono");
    world.accept(call);
    assert_eq!(
        world.by(anna, CommandBody::Transfer { contact: call, to: TransferTarget::Operator(operator(2)), reason: "competence".into() }),
        Err(Refusal::NotFound)
    );
    let bruno = world.hire(2, |profile| {
        profile.skills.insert(name("tributi"), 5);
    });
    world
        .by(anna, CommandBody::Transfer { contact: call, to: TransferTarget::Operator(bruno), reason: "competence".into() })
        .expect("transferred");
    assert_eq!(world.offered_to(call), Some(bruno));
    world.accept(call);
    world
        .by(bruno, CommandBody::Transfer { contact: call, to: TransferTarget::Queue(name("tributi")), reason: "competence".into() })
        .expect("transferred");
    assert_eq!(world.state(call).name(), StateName::Queued, "the sender is not asked again at once");
    world.pass(10);
    assert_eq!(world.offered_to(call), Some(bruno), "but he is the only one who could");
}

/// A world in which a contact of anna's was transferred to bruno, who has no room, and carla and dario are free.
fn transferred_to_busy_bruno(account: &str, offer_timeout: u64) -> (World, ContactId) {
    let mut world =
        World::with(|plan| plan.queues.get_mut(&name("urp")).expect("in the plan").offer_timeout = Duration::from_secs(offer_timeout));
    let anna = world.hire(1, |_| {});
    let contact = world.arrive(10, account);
    let own = |world: &mut World, contact: ContactId, who: OperatorId| {
        if matches!(world.state(contact), ContactState::Offered { .. }) {
            world.accept(contact);
        }
        assert_eq!(world.owner(contact), Some(who));
        world.by(who, CommandBody::Touch { contact }).expect("touched");
    };
    own(&mut world, contact, anna);
    world.by(anna, CommandBody::Away { operator: anna, reason: "lunch".into() }).expect("away");
    let bruno = world.hire(2, |profile| profile.capacity.desk_slots = 1);
    let busy = world.arrive(11, account);
    own(&mut world, busy, bruno);
    world.by(anna, CommandBody::Ready { operator: anna }).expect("ready");
    let to_bruno = CommandBody::Transfer { contact, to: TransferTarget::Operator(bruno), reason: "competence".into() };
    world.by(anna, to_bruno).expect("transferred");
    world.hire(3, |_| {});
    world.hire(4, |_| {});
    assert_eq!((world.state(contact).name(), world.rows[&contact].wanted), (StateName::Queued, Some(bruno)), "it waits for him");
    (world, contact)
}

/// Who transfers to a colleague's name trusts that they come; if they do not, somebody else does: in the contact's place, and not
/// who gave it away.
#[test]
fn a_transfer_to_a_colleague_who_does_not_come_waits_for_anybody() {
    let gone = |signed_out| CommandBody::Disconnect { operator: operator(2), node: "desk-1".into(), signed_out };
    let away = CommandBody::Away { operator: operator(2), reason: "pausa".into() };
    let (offer, untouched, lost) = (300, 1800, LIVE_OWNER_GONE.as_secs());
    // account, what bruno does, after how many seconds it goes to anybody
    let table = [
        ("telefono", Some(away.clone()), 0),
        ("telefono", Some(gone(true)), 0),
        ("telefono", Some(gone(false)), lost),
        ("telefono", None, offer),
        ("posta", Some(away), untouched),
        ("posta", Some(gone(true)), untouched),
        ("posta", Some(gone(false)), untouched),
        ("posta", None, untouched),
    ];
    for (account, leaves, after) in table {
        for rebuilt in [false, true] {
            let what = format!("{account} {leaves:?} rebuilt={rebuilt}");
            let (mut world, contact) = transferred_to_busy_bruno(account, offer);
            let key = world.rows[&contact].key;
            if let Some(body) = leaves.clone() {
                world.by(operator(2), body).expect("he leaves");
            }
            if rebuilt {
                world.rebuild();
            }
            if after > 0 {
                world.pass(after - 1);
                assert_eq!(world.rows[&contact].wanted, Some(operator(2)), "{what}: not yet");
                world.pass(1);
            }
            let who = world.offered_to(contact).or(world.owner(contact));
            assert!(who.is_some_and(|who| who > operator(2)), "{what}: somebody else, not {who:?}");
            assert_eq!((world.rows[&contact].wanted, world.rows[&contact].key), (None, key), "{what}: in its place");
            let told = world.events.iter().filter(|body| matches!(body, EventBody::ContactQueued { reason: QueuedReason::NotTaken, .. }));
            assert_eq!(told.count(), 1, "{what}");
        }
    }
}

/// Nobody led while the time went by: the next leader finds it over.
#[test]
fn a_transfer_that_fell_due_while_nobody_led_is_not_forgotten() {
    let (mut world, contact) = transferred_to_busy_bruno("telefono", 20);
    world.now = world.now.plus(Duration::from_secs(3600));
    world.rebuild();
    world.take_over();
    world.pass(0);
    assert!(world.offered_to(contact).is_some_and(|who| who > operator(2)));
}

/// In time he gets it, whoever else is free.
#[test]
fn a_transfer_reaches_the_colleague_who_gets_room() {
    for account in ["telefono", "posta"] {
        let (mut world, contact) = transferred_to_busy_bruno(account, 20);
        world.pass(19);
        world.by(operator(2), CommandBody::Close { contact: ContactId(11), outcome: done() }).expect("closed");
        assert_eq!(world.offered_to(contact).or(world.owner(contact)), Some(operator(2)));
    }
}

/// What a colleague may not have any more does not come to them, though it was transferred when they might.
#[test]
fn a_transfer_does_not_outlive_the_right_to_it() {
    let mut world = World::new();
    let member = |profile: &mut OperatorProfile| profile.offices = [name("sociali")].into();
    let anna = world.hire(1, member);
    let call = world.arrive(10, "assistenti");
    world.accept(call);
    let bruno = world.hire(2, member);
    let busy = world.arrive(11, "assistenti");
    world.accept(busy);
    world.by(anna, CommandBody::Transfer { contact: call, to: TransferTarget::Operator(bruno), reason: "other".into() }).expect("done");
    let profile = OperatorProfile { administrations: [name("comune")].into(), ..OperatorProfile::default() };
    world.supervisor(CommandBody::PutOperator { operator: bruno, profile, enabled: true }).expect("left the office");
    assert_eq!((world.offered_to(call), world.offered_to(busy)), (None, Some(anna)), "nor does what he has stay his");
    world.accept(busy);
    world.by(anna, CommandBody::Close { contact: busy, outcome: done() }).expect("closed");
    world.pass(15);
    assert_eq!(world.offered_to(call), Some(anna), "nobody else is there");
}

#[test]
fn a_supervisor_takes_a_letter_from_an_absent_operator() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Disconnect { operator: anna, node: "desk-1".into(), signed_out: false }).expect("gone");
    let bruno = world.hire(2, |_| {});
    assert_eq!(world.by(bruno, CommandBody::Assign { contact: letter, operator: bruno }), Err(Refusal::NotOwner));
    world.supervisor(CommandBody::Assign { contact: letter, operator: bruno }).expect("assigned");
    assert_eq!(world.owner(letter), Some(bruno));
}

#[test]
fn only_the_owner_acts_and_an_old_version_is_refused() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.hire(2, |_| {});
    assert_eq!(world.by(operator(2), CommandBody::Close { contact: letter, outcome: done() }), Err(Refusal::NotOwner));
    let command = crate::model::command::Command {
        id: crate::model::id::CommandId(77),
        actor: crate::model::command::Actor { operator: Some(anna), authority: crate::model::command::Authority::Own },
        expected_version: Some(1),
        body: CommandBody::Touch { contact: letter },
    };
    let refused = world.input(crate::model::input::Input::Command(Box::new(command))).result;
    assert_eq!(refused, Err(Refusal::VersionChanged));
}

#[test]
fn a_wrap_up_has_a_ceiling() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let call = world.arrive(10, "telefono");
    world.accept(call);
    world.by(anna, CommandBody::WrapUp { contact: call }).expect("wraps up");
    let next = world.arrive(11, "telefono");
    assert_eq!(world.offered_to(next), None);
    world.pass(121);
    assert_eq!(world.state(call).name(), StateName::Closed);
    assert_eq!(world.rows[&call].outcome.as_ref().map(|outcome| outcome.resolution), Some(Resolution::NotGiven));
    assert!(matches!(world.state(next), ContactState::Offered { .. }));
}

/// Whoever let a letter lie is not who gets it next while a colleague is free: not as the one who helped last, nor as the one who is
/// good for less else.
#[test]
fn an_untouched_letter_goes_to_a_colleague_who_is_free() {
    for is_preferred in [true, false] {
        let mut world = World::new();
        let anna = world.hire(1, |_| {});
        let mut facts = world.facts(10, "posta");
        facts.last_helper = is_preferred.then_some(anna);
        let letter = world.receive(facts);
        assert_eq!(world.owner(letter), Some(anna));
        let bruno = world.hire(2, |profile| {
            profile.skills.insert(name("tributi"), 3);
        });
        let other = world.arrive(11, "f24");
        world.by(bruno, CommandBody::Pend { contact: other, on: PendingOn::Office, back_after: None }).expect("pending");
        world.pass(1801);
        assert_eq!(world.owner(letter), Some(bruno), "preferred={is_preferred}");
        assert_eq!(world.rows[&letter].preferred, None, "preferred={is_preferred}");
    }
}
