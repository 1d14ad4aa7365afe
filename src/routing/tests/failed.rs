//! A message that fails again, or fails while its conversation goes on.

use super::world::World;
use crate::model::command::CommandBody;
use crate::model::contact::{Outcome, PendingOn, Resolution, StateName};
use crate::model::delivery::{AttemptResult, DeliveryReport};
use crate::model::id::{ContactId, MessageId, OperatorId};
use crate::model::time::Timestamp;

fn closed() -> Outcome {
    Outcome { topic: None, resolution: Resolution::Resolved }
}

fn report(world: &mut World, attempt: u32, result: AttemptResult) {
    world.report(DeliveryReport { message: MessageId(500), attempt, result });
}

/// A closed letter of anna's whose answer came back: the contact that follows it is hers.
fn answer_came_back() -> (World, ContactId, ContactId) {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Reply { contact: letter, message: MessageId(500), account: None }).expect("answered");
    world.by(anna, CommandBody::Close { contact: letter, outcome: closed() }).expect("closed");
    report(&mut world, 1, AttemptResult::Permanent { code: "550".into() });
    let follow_on = world.rows.values().find(|contact| contact.continues == Some(letter)).expect("a follow-on").id;
    assert_eq!(world.owner(follow_on), Some(anna));
    (world, letter, follow_on)
}

fn retried_and_failed(world: &mut World) {
    let attempt = world.deliveries[&MessageId(500)].attempts;
    report(world, attempt, AttemptResult::Permanent { code: "550".into() });
}

/// The follow-on put off in the belief that the retry arrives comes back when it does not.
#[test]
fn a_retry_that_fails_brings_the_follow_on_back() {
    let later = Timestamp(0).plus(std::time::Duration::from_hours(720));
    for (body, after) in [
        (CommandBody::Pend { contact: ContactId(0), on: PendingOn::Citizen, back_after: None }, StateName::Active),
        (CommandBody::Defer { contact: ContactId(0), until: later }, StateName::Active),
    ] {
        let (mut world, _, follow_on) = answer_came_back();
        let anna = OperatorId(1);
        world.by(anna, CommandBody::RetryMessage { contact: follow_on, message: MessageId(500) }).expect("ordered");
        let body = match body {
            CommandBody::Pend { on, back_after, .. } => CommandBody::Pend { contact: follow_on, on, back_after },
            _ => CommandBody::Defer { contact: follow_on, until: later },
        };
        world.by(anna, body.clone()).expect("put off");
        retried_and_failed(&mut world);
        assert_eq!(world.state(follow_on).name(), after, "{body:?}");
        assert_eq!(world.engine.contact_count(), 1, "{body:?}: and nothing new");
    }
}

/// The second failure of one message opens a contact of its own: what was closed stays closed.
#[test]
fn a_second_failure_reopens_nothing() {
    let (mut world, letter, follow_on) = answer_came_back();
    let anna = OperatorId(1);
    world.by(anna, CommandBody::RetryMessage { contact: follow_on, message: MessageId(500) }).expect("ordered");
    world.by(anna, CommandBody::Close { contact: follow_on, outcome: closed() }).expect("closed");
    retried_and_failed(&mut world);
    assert_eq!(world.state(follow_on).name(), StateName::Closed);
    let open: Vec<_> = world.rows.values().filter(|contact| !contact.state.is_final()).collect();
    assert_eq!(open.len(), 1, "the citizen is not lost");
    assert_eq!((open[0].continues, open[0].conversation), (Some(letter), world.rows[&letter].conversation));
}

/// What somebody works on already is not opened twice.
#[test]
fn a_failure_in_a_conversation_that_goes_on_opens_nothing() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Reply { contact: letter, message: MessageId(500), account: None }).expect("answered");
    world.by(anna, CommandBody::Close { contact: letter, outcome: closed() }).expect("closed");
    let next = world.answer(11, letter);
    report(&mut world, 1, AttemptResult::Permanent { code: "550".into() });
    assert!(world.has("message.failed"));
    assert_eq!(world.engine.contacts.keys().copied().collect::<Vec<_>>(), [next]);
}
