//! Who is kept free for a contact that fits nobody, and until when.

use super::world::{World, name, operator};
use crate::model::channel::Channel;
use crate::model::command::CommandBody;
use crate::model::contact::CaseReference;
use crate::model::id::ContactId;
use crate::model::operator::OperatorProfile;
use crate::model::requirement::{Comparison, Requirement};

/// Anna and bruno with two chats each, and a call that waits for one of them.
fn reserved() -> (World, ContactId) {
    let mut world = World::new();
    world.hire(1, |_| {});
    world.hire(2, |_| {});
    for number in 10..14 {
        let chat = world.arrive(number, "chat");
        world.accept(chat);
    }
    let call = world.arrive(20, "telefono");
    assert_eq!(world.kept_for(call), Some(operator(1)));
    world.pass(1);
    (world, call)
}

/// Who is kept free for a call and cannot take it any more is not kept free; somebody else is.
#[test]
fn a_reservation_ends_with_what_it_was_made_for() {
    let put = |change: fn(&mut OperatorProfile), enabled| {
        let mut profile = OperatorProfile { administrations: [name("comune")].into(), ..OperatorProfile::default() };
        change(&mut profile);
        CommandBody::PutOperator { operator: operator(1), profile, enabled }
    };
    let table = [
        ("away", CommandBody::Away { operator: operator(1), reason: "lunch".into() }),
        ("lost", CommandBody::Disconnect { operator: operator(1), node: "desk-1".into(), signed_out: false }),
        ("signed out", CommandBody::Disconnect { operator: operator(1), node: "desk-1".into(), signed_out: true }),
        ("disabled", put(|_| {}, false)),
        ("less capacity", put(|profile| profile.capacity.live_units = 99, true)),
        ("no calls", put(|profile| profile.channels = [Channel::new("webchat").expect("a channel")].into(), true)),
        ("no calls at once", put(|profile| profile.capacity.channels = [(name("phone"), 0)].into(), true)),
        ("another queue's", put(|profile| profile.queues = [name("tributi")].into(), true)),
    ];
    for (what, body) in table {
        let (mut world, call) = reserved();
        world.supervisor(body).expect(what);
        assert_eq!(world.kept_for(call), Some(operator(2)), "{what}");
        assert_eq!(world.engine.operators[&operator(1)].operator.reserved_for, None, "{what}");
        let chat = world.arrive(30, "chat");
        let who = world.offered_to(chat);
        assert!(who.is_none_or(|who| who == operator(1)), "{what}: bruno takes nothing later");
        if what == "less capacity" || what == "no calls" {
            assert_eq!(who, Some(operator(1)), "{what}: chats are still hers");
        }
    }
}

/// A plan may end it too.
#[test]
fn a_reservation_ends_with_the_plan_it_was_made_under() {
    let (mut world, call) = reserved();
    let skilled =
        OperatorProfile { administrations: [name("comune")].into(), skills: [(name("tributi"), 5)].into(), ..OperatorProfile::default() };
    world.supervisor(CommandBody::PutOperator { operator: operator(2), profile: skilled, enabled: true }).expect("trained");
    assert_eq!(world.kept_for(call), Some(operator(1)));
    world.replan(|plan| {
        let queue = plan.queues.get_mut(&name("urp")).expect("in the plan");
        queue.requirement = Requirement::Skill(name("tributi"), Comparison::AtLeast, 2);
    });
    assert_eq!(world.kept_for(call), Some(operator(2)));
}

/// The next in the line gets one when the first is served.
#[test]
fn the_next_call_has_somebody_kept_free_too() {
    let (mut world, first) = reserved();
    let second = world.arrive(21, "telefono");
    let carla = world.hire(3, |_| {});
    assert_eq!(world.offered_to(first), Some(carla));
    assert!(world.kept_for(second).is_some());
    let chat = world.arrive(30, "chat");
    let kept = world.kept_for(second);
    assert!(world.offered_to(chat).is_none_or(|who| Some(who) != kept));
}

/// What is written down about a waiting call does not cost it who is kept free for it.
#[test]
fn a_reservation_outlasts_a_note_on_the_contact() {
    let (mut world, call) = reserved();
    let waits = world.arrive(30, "chat");
    world.accept(waits);
    let late = world.arrive(31, "chat");
    assert_eq!((world.owner(waits), world.offered_to(late)), (Some(operator(2)), None), "anna is kept free");
    let case = Some(CaseReference { number: "2026/1".into(), deadline: None });
    world.supervisor(CommandBody::SetCase { contact: call, case }).expect("noted");
    assert_eq!((world.kept_for(call), world.offered_to(late)), (Some(operator(1)), None));
}
