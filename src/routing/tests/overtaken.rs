//! What fell due and was overtaken by another input is not forgotten, nor what another input makes possible.

use std::time::Duration;

use super::world::{World, name};
use crate::model::command::{CommandBody, RejectReason};
use crate::model::contact::{CaseReference, StateName};
use crate::model::id::{OfferId, OperatorId};
use crate::model::operator::OperatorProfile;

/// A waiting contact's reminder.
#[test]
fn a_reminder_is_not_lost_when_something_else_comes_first() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let call = world.arrive(10, "telefono");
    world.pass(20);
    assert_eq!(world.offered_to(call), None);
    world.now = world.now.plus(Duration::from_secs(15));
    let case = Some(CaseReference { number: "2026/1".into(), deadline: None });
    world.supervisor(CommandBody::SetCase { contact: call, case }).expect("noted");
    world.pass(0);
    assert_eq!(world.offered_to(call), Some(anna), "alone in the office: asked again after ten seconds");
}

/// Whoever is not to be asked again for a while is asked as soon as nobody else is there any more.
#[test]
fn whoever_is_alone_from_now_on_is_asked_again_at_once() {
    let gone = CommandBody::Disconnect { operator: OperatorId(2), node: "desk-1".into(), signed_out: true };
    let profile = OperatorProfile { queues: [name("tributi")].into(), ..OperatorProfile::default() };
    for body in [gone, CommandBody::PutOperator { operator: OperatorId(2), profile, enabled: true }] {
        let mut world = World::new();
        let anna = world.hire(1, |_| {});
        let call = world.arrive(10, "telefono");
        let bruno = world.hire(2, |_| {});
        world.by(bruno, CommandBody::Away { operator: bruno, reason: "lunch".into() }).expect("away");
        let offer = OfferId { contact: call, ordinal: 1 };
        world.by(anna, CommandBody::Reject { offer, reason: RejectReason::Busy }).expect("rejected");
        world.pass(30);
        assert_eq!(world.offered_to(call), None, "bruno may come");
        world.supervisor(body.clone()).expect("done");
        assert_eq!(world.offered_to(call), Some(anna), "{body:?}");
    }
}

/// A lost console's minute is over, and another input comes before the clock: its calls go back all the same.
#[test]
fn a_lost_consoles_minute_is_not_forgotten_when_something_else_comes_first() {
    type Overtakes = fn(&mut World);
    let table: [(&str, Overtakes); 4] = [
        ("a profile", |world| {
            let profile = world.engine.operators[&OperatorId(1)].operator.profile.clone();
            world.supervisor(CommandBody::PutOperator { operator: OperatorId(1), profile, enabled: true }).expect("put");
        }),
        ("lost again", |world| world.supervisor(CommandBody::LoseNode { node: "desk-1".into() }).expect("lost")),
        ("away", |world| world.supervisor(CommandBody::Away { operator: OperatorId(1), reason: "lunch".into() }).expect("away")),
        ("a plan", |world| world.replan(|_| {})),
    ];
    for (what, overtakes) in table {
        let mut world = World::new();
        world.hire(1, |_| {});
        let call = world.arrive(10, "telefono");
        world.accept(call);
        world.supervisor(CommandBody::LoseNode { node: "desk-1".into() }).expect("lost");
        world.now = world.now.plus(Duration::from_secs(61));
        overtakes(&mut world);
        world.pass(0);
        assert_eq!(world.state(call).name(), StateName::Queued, "{what}");
    }
}
