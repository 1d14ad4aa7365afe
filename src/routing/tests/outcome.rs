//! What is done about messages that failed, or of which nobody knows the end.

use super::world::World;
use crate::model::command::{CommandBody, Refusal};
use crate::model::contact::{Outcome, Resolution};
use crate::model::delivery::{AttemptResult, DeliveryReport, DeliveryState, Settled};
use crate::model::event::EventBody;
use crate::model::id::{ContactId, MessageId, OperatorId};

const ANNA: OperatorId = OperatorId(1);
const MESSAGE: MessageId = MessageId(500);

/// A text message of anna's of which nobody knows the end.
fn of_unknown_outcome() -> (World, ContactId) {
    let mut world = World::new();
    world.hire(1, |_| {});
    let contact = world.arrive(10, "numero");
    world.by(ANNA, CommandBody::Reply { contact, message: MESSAGE, account: None }).expect("answered");
    report(&mut world, AttemptResult::Unknown);
    assert_eq!(world.deliveries[&MESSAGE].state, DeliveryState::Unknown);
    (world, contact)
}

fn report(world: &mut World, result: AttemptResult) {
    let attempt = world.deliveries[&MESSAGE].attempts;
    world.report(DeliveryReport { message: MESSAGE, attempt, result });
}

fn settle(contact: ContactId, arrived: bool) -> CommandBody {
    CommandBody::SettleMessage { contact, message: MESSAGE, arrived }
}

fn retry(contact: ContactId) -> CommandBody {
    CommandBody::RetryMessage { contact, message: MESSAGE }
}

fn attempts(world: &World) -> usize {
    world.events.iter().filter(|body| body.name() == "message.attempting").count()
}

#[test]
fn it_arrived() {
    let (mut world, contact) = of_unknown_outcome();
    world.by(ANNA, settle(contact, true)).expect("settled");
    let delivery = &world.deliveries[&MESSAGE];
    assert_eq!((delivery.state, delivery.settled), (DeliveryState::Delivered, Some(Settled { operator: ANNA, at: world.now })));
    assert_eq!(world.events.last(), Some(&EventBody::MessageSettled { message: MESSAGE, operator: ANNA, arrived: true }));
    for body in [settle(contact, false), retry(contact)] {
        assert_eq!(world.by(ANNA, body.clone()), Err(Refusal::WrongState), "{body:?}: what arrived is not sent again");
    }
    assert_eq!(attempts(&world), 1);
}

#[test]
fn it_did_not_arrive_and_is_sent_again_when_somebody_asks_for_it() {
    let (mut world, contact) = of_unknown_outcome();
    assert_eq!(world.by(ANNA, retry(contact)), Err(Refusal::WrongState), "nobody has said yet that it did not arrive");
    world.by(ANNA, settle(contact, false)).expect("settled");
    world.pass(24 * 3600);
    assert_eq!((attempts(&world), world.deliveries[&MESSAGE].state), (1, DeliveryState::Failed), "nothing is sent by that");
    world.rebuild();
    world.by(ANNA, retry(contact)).expect("ordered");
    assert_eq!((attempts(&world), world.deliveries[&MESSAGE].settled), (2, None));
    assert_eq!(world.by(ANNA, retry(contact)), Err(Refusal::WrongState), "it is on its way");
    assert_eq!(world.by(ANNA, settle(contact, true)), Err(Refusal::WrongState), "it is on its way");
    report(&mut world, AttemptResult::Sent { provider_id: None });
    assert_eq!(world.by(ANNA, retry(contact)), Err(Refusal::WrongState), "it was sent");
}

/// Sent is not arrived: what a person asked for goes on, whatever is told of the attempt before.
#[test]
fn a_late_word_on_the_attempt_before_stops_no_retry() {
    let (mut world, contact) = of_unknown_outcome();
    world.by(ANNA, settle(contact, false)).expect("settled");
    world.report(DeliveryReport { message: MESSAGE, attempt: 1, result: AttemptResult::Sent { provider_id: None } });
    assert_eq!(world.deliveries[&MESSAGE].state, DeliveryState::Failed, "her word stands");
    world.by(ANNA, retry(contact)).expect("ordered");
    world.report(DeliveryReport { message: MESSAGE, attempt: 1, result: AttemptResult::Sent { provider_id: None } });
    assert_eq!(world.deliveries[&MESSAGE].state, DeliveryState::Attempting);
}

#[test]
fn the_provider_knows_better_than_who_said_that_it_did_not_arrive() {
    let (mut world, contact) = of_unknown_outcome();
    world.by(ANNA, settle(contact, false)).expect("settled");
    report(&mut world, AttemptResult::Delivered);
    let delivery = &world.deliveries[&MESSAGE];
    assert_eq!((delivery.state, delivery.settled), (DeliveryState::Delivered, None));
    assert_eq!(world.by(ANNA, retry(contact)), Err(Refusal::WrongState));
}

/// Its contact was closed meanwhile: the one that follows it is where somebody answers for it.
#[test]
fn the_follow_on_contact_is_as_good() {
    let mut world = World::new();
    world.hire(1, |_| {});
    let contact = world.arrive(10, "numero");
    world.by(ANNA, CommandBody::Reply { contact, message: MESSAGE, account: None }).expect("answered");
    let outcome = Outcome { topic: None, resolution: Resolution::Resolved };
    world.by(ANNA, CommandBody::Close { contact, outcome }).expect("closed");
    report(&mut world, AttemptResult::Unknown);
    let follow_on = world.rows.values().find(|row| row.continues == Some(contact)).expect("a follow-on").id;
    assert_eq!(world.by(ANNA, settle(contact, true)), Err(Refusal::NotFound), "it is closed");
    let stranger = world.arrive(11, "numero");
    assert_eq!(world.by(ANNA, settle(stranger, true)), Err(Refusal::NotFound), "another conversation's");
    assert_eq!(world.by(ANNA, settle(follow_on, true)), Ok(()));
}
