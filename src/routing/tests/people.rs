//! Lost consoles, lost nodes, signed-out and disabled operators, deliveries that fail.

use super::world::{World, name};
use crate::model::command::{CommandBody, Refusal};
use crate::model::contact::{ContactState, Mode, Outcome, PendingOn, Resolution, StateName};
use crate::model::delivery::{AttemptResult, DeliveryReport, DeliveryState};
use crate::model::id::{AccountId, AdministrationId, MessageId, OperatorId, QueueId};
use crate::model::input::{DeliveryFacts, Input};
use crate::model::operator::OperatorProfile;
use crate::model::time::Timestamp;

fn closed() -> Outcome {
    Outcome { topic: None, resolution: Resolution::Resolved }
}

#[test]
fn a_lost_console_gives_live_contacts_back_after_a_minute_and_letters_after_hours() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let (call, letter) = (world.arrive(10, "telefono"), world.arrive(11, "posta"));
    world.by(anna, CommandBody::Touch { contact: letter }).ok();
    world.accept(call);
    world.pass(1);
    world.supervisor(CommandBody::LoseNode { node: "desk-1".into() }).expect("lost");
    world.pass(59);
    assert_eq!(world.owner(call), Some(anna));
    world.pass(1);
    assert_eq!(world.state(call).name(), StateName::Queued);
    assert_eq!(world.state(letter).name(), StateName::Queued, "busy with a call, she never got the letter");
    let bruno = world.hire(2, |_| {});
    assert_eq!(world.offered_to(call), Some(bruno));
}

#[test]
fn a_console_that_turns_up_again_keeps_everything() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let call = world.arrive(10, "telefono");
    world.accept(call);
    world.by(anna, CommandBody::Disconnect { operator: anna, node: "desk-1".into(), signed_out: false }).expect("gone");
    world.pass(30);
    world.by(anna, CommandBody::Connect { operator: anna, node: "desk-2".into(), country: None }).expect("back");
    world.by(anna, CommandBody::Disconnect { operator: anna, node: "desk-1".into(), signed_out: false }).expect("an old node's word");
    world.pass(600);
    assert_eq!(world.owner(call), Some(anna));
    assert!(world.engine.operators[&anna].operator.is_ready());
}

#[test]
fn pending_holds_no_capacity_and_comes_back() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    for number in 10..12 {
        let letter = world.arrive(number, "posta");
        let until = Timestamp(world.now.0 + 5_000_000_000);
        world.by(anna, CommandBody::Pend { contact: letter, on: PendingOn::Citizen, back_after: Some(until) }).expect("pending");
    }
    let third = world.arrive(12, "posta");
    assert_eq!(world.owner(third), Some(anna));
    world.by(anna, CommandBody::Touch { contact: third }).expect("touched");
    world.pass(5001);
    assert_eq!(world.state(crate::model::id::ContactId(10)), ContactState::Active { operator: anna, untouched_until: None });
}

#[test]
fn a_disabled_operator_keeps_nothing() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let (one, two) = (world.arrive(10, "posta"), world.arrive(11, "posta"));
    world.by(anna, CommandBody::Pend { contact: one, on: PendingOn::Citizen, back_after: None }).expect("pending");
    let profile = world.engine.operators[&anna].operator.profile.clone();
    world.supervisor(CommandBody::PutOperator { operator: anna, profile, enabled: false }).expect("disabled");
    assert_eq!((world.state(one).name(), world.state(two).name()), (StateName::Queued, StateName::Queued));
}

fn report(world: &mut World, attempt: u32, result: AttemptResult) {
    world.report(DeliveryReport { message: MessageId(500), attempt, result });
}

#[test]
fn a_failed_send_is_tried_again_and_then_shown() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Reply { contact: letter, message: MessageId(500), account: None }).expect("answered");
    assert!(world.has("message.attempting"));
    world.by(anna, CommandBody::Close { contact: letter, outcome: closed() }).expect("closed");
    world.by(anna, CommandBody::Away { operator: anna, reason: "lunch".into() }).expect("away");
    for attempt in 1..=8 {
        report(&mut world, attempt, AttemptResult::Temporary { code: "connect".into() });
        world.pass(24 * 3600);
    }
    assert!(world.has("message.failed"));
    let follow_on = world.rows.values().find(|contact| contact.continues == Some(letter)).expect("a follow-on");
    assert_eq!(
        (follow_on.preferred, follow_on.mode, follow_on.conversation),
        (Some(anna), Mode::Deferrable, world.rows[&letter].conversation)
    );
}

/// The contact is closed, its queue is in the plan no more: the next attempt says whose it is, and what fails at last is the work of
/// the account's own queue.
#[test]
fn a_message_outlives_the_queue_it_was_written_in() {
    let mut world = World::new();
    let anna = world.hire(1, |profile| {
        profile.skills.insert(name("tributi"), 5);
    });
    let letter = world.arrive(10, "f24");
    world.by(anna, CommandBody::Reply { contact: letter, message: MessageId(500), account: Some(name("posta")) }).expect("answered");
    world.by(anna, CommandBody::Close { contact: letter, outcome: closed() }).expect("closed");
    report(&mut world, 1, AttemptResult::Temporary { code: "connect".into() });
    world.replan(|plan| {
        plan.queues.remove(&name::<QueueId>("tributi"));
        plan.accounts.remove(&name::<AccountId>("f24"));
    });
    let before = world.events.len();
    world.pass(3600);
    let told = world.events.iter().zip(&world.abouts).skip(before).find(|(body, _)| body.name() == "message.attempting");
    let about = told.expect("tried again").1.clone().expect("it says whose it is");
    assert_eq!((about.contact, about.administration.as_str(), about.queue.as_str()), (letter, "comune", "urp"));
    report(&mut world, 0, AttemptResult::Bounced { code: "5.1.1".into() });
    let follow_on = world.rows.values().find(|contact| contact.continues == Some(letter)).expect("a follow-on");
    assert_eq!((follow_on.queue.as_str(), follow_on.office.as_str()), ("urp", "urp"));
}

#[test]
fn an_attempt_nobody_reports_on_is_repeated_by_email_only() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Reply { contact: letter, message: MessageId(500), account: None }).expect("answered");
    world.pass(300 + 30);
    let attempts = world.events.iter().filter(|body| body.name() == "message.attempting").count();
    assert_eq!(attempts, 2);
    report(&mut world, 1, AttemptResult::Permanent { code: "550".into() });
    assert!(!world.has("message.failed"), "a late report on another attempt");
    report(&mut world, 2, AttemptResult::Sent { provider_id: None });
    assert!(world.has("message.sent"));
}

/// An attempt that was given up may have gone well after all: then its letter is sent, and not once more.
#[test]
fn a_late_word_that_an_attempt_went_well_settles_the_letter() {
    // while the next waits, beside it, long after it, and when none is left
    for (seconds, ordered, late) in [(300, 1, 1), (330, 2, 1), (1_000, 3, 1), (300_000, 8, 8), (300_000, 8, 2)] {
        let mut world = World::new();
        let anna = world.hire(1, |_| {});
        let letter = world.arrive(10, "posta");
        world.by(anna, CommandBody::Reply { contact: letter, message: MessageId(500), account: None }).expect("answered");
        world.pass(seconds);
        let attempts = |world: &World| world.events.iter().filter(|body| body.name() == "message.attempting").count();
        assert_eq!(attempts(&world), ordered as usize, "{seconds} s");
        world.rebuild();
        report(&mut world, ordered + 1, AttemptResult::Sent { provider_id: None });
        assert!(!world.has("message.sent"), "no such attempt was ordered");
        report(&mut world, late, AttemptResult::Sent { provider_id: None });
        world.pass(24 * 3600);
        let after = [AttemptResult::Permanent { code: "550".into() }, AttemptResult::Unknown, AttemptResult::Sent { provider_id: None }];
        for result in after {
            report(&mut world, ordered, result);
        }
        let sent = world.events.iter().filter(|body| body.name() == "message.sent").count();
        assert_eq!((world.deliveries[&MessageId(500)].state, sent), (DeliveryState::Sent, 1), "{seconds} s, {late} of {ordered}");
        world.pass(24 * 3600);
        assert_eq!(attempts(&world), ordered as usize, "{seconds} s: it is not sent again");
    }
}

/// What the next hop refused for good is not settled by the same attempt's word that it went.
#[test]
fn a_refused_letter_was_not_sent() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Reply { contact: letter, message: MessageId(500), account: None }).expect("answered");
    report(&mut world, 1, AttemptResult::Permanent { code: "550".into() });
    report(&mut world, 1, AttemptResult::Sent { provider_id: None });
    assert_eq!(world.deliveries[&MessageId(500)].state, DeliveryState::Failed);
}

#[test]
fn what_becomes_of_a_sent_message_is_told_however_late() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Reply { contact: letter, message: MessageId(500), account: None }).expect("answered");
    world.by(anna, CommandBody::Close { contact: letter, outcome: closed() }).expect("closed");
    report(&mut world, 1, AttemptResult::Sent { provider_id: None });
    report(&mut world, 1, AttemptResult::Permanent { code: "550".into() });
    assert!(!world.has("message.failed"), "it was sent");
    world.pass(3600);
    report(&mut world, 0, AttemptResult::Delivered);
    report(&mut world, 0, AttemptResult::Delivered);
    let told = |world: &World, name| world.events.iter().filter(|body| body.name() == name).count();
    assert_eq!((told(&world, "message.sent"), told(&world, "message.delivered")), (1, 1));
    // a mail server may accept a message and send it back afterwards
    for _ in 0..2 {
        report(&mut world, 0, AttemptResult::Bounced { code: "5.1.1".into() });
    }
    assert_eq!(told(&world, "message.failed"), 1);
    assert_eq!(world.rows.values().filter(|contact| contact.continues == Some(letter)).count(), 1, "one follow-on");
}

#[test]
fn another_administrations_adapter_has_no_say() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Reply { contact: letter, message: MessageId(500), account: None }).expect("answered");
    let report = DeliveryReport { message: MessageId(500), attempt: 1, result: AttemptResult::Permanent { code: "550".into() } };
    let stored = world.deliveries.get(&MessageId(500)).cloned().map(Box::new);
    let administration = AdministrationId::new("altra").expect("a name");
    let applied = world.input(Input::Delivery(Box::new(DeliveryFacts { administration, report, stored })));
    assert_eq!(applied.result, Err(Refusal::NotFound));
    assert!(!world.has("message.failed"));
}

fn member(profile: &mut OperatorProfile) {
    profile.offices = [name("sociali")].into();
}

/// Whoever may not have an office's contacts any more has none of them, pending ones included; the rest stays.
#[test]
fn who_leaves_an_office_keeps_nothing_of_it() {
    let mut world = World::new();
    let anna = world.hire(1, |profile| {
        member(profile);
        profile.capacity.live_units = 300;
    });
    let [pending, active, wraps_up, rings] = [10, 11, 12, 13].map(|number| {
        let call = world.arrive(number, "assistenti");
        if number < 13 {
            world.accept(call);
        }
        if number == 10 {
            world.by(anna, CommandBody::Pend { contact: call, on: PendingOn::Citizen, back_after: None }).expect("pending");
        }
        call
    });
    world.by(anna, CommandBody::WrapUp { contact: wraps_up }).expect("wraps up");
    let letter = world.arrive(14, "posta");
    world.supervisor(CommandBody::Assign { contact: letter, operator: anna }).expect("assigned");
    let profile = OperatorProfile { administrations: [name("comune")].into(), ..OperatorProfile::default() };
    world.supervisor(CommandBody::PutOperator { operator: anna, profile, enabled: true }).expect("left the office");
    for call in [pending, active, wraps_up, rings] {
        assert_eq!(world.state(call).name(), StateName::Queued, "{call}");
    }
    assert_eq!(world.owner(letter), Some(anna));
    world.hire(2, |profile| {
        member(profile);
        profile.capacity.live_units = 400;
    });
    assert!([pending, active, wraps_up, rings].iter().all(|call| world.offered_to(*call) == Some(OperatorId(2))));
}

/// So it is when the office becomes a restricted one.
#[test]
fn an_office_that_is_restricted_from_now_on_is_so_at_once() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let (letter, pending) = (world.arrive(10, "posta"), world.arrive(11, "posta"));
    world.by(anna, CommandBody::Pend { contact: pending, on: PendingOn::Citizen, back_after: None }).expect("pending");
    let bruno = world.hire(2, |profile| profile.offices = [name("urp")].into());
    world.replan(|plan| {
        let office = plan.administrations.get_mut(&name("comune")).and_then(|body| body.offices.get_mut(&name("urp")));
        office.expect("in the plan").restricted = true;
    });
    assert_eq!((world.owner(letter), world.owner(pending)), (Some(bruno), Some(bruno)));
}

/// A supervisor takes up what lies with somebody who is not there: it is not theirs to lie with again.
#[test]
fn what_is_taken_up_again_goes_to_who_is_there() {
    for (leaves, hers) in [(Some(true), false), (Some(false), false), (None, true)] {
        let mut world = World::new();
        let anna = world.hire(1, |_| {});
        let letter = world.arrive(10, "posta");
        world.by(anna, CommandBody::Pend { contact: letter, on: PendingOn::Citizen, back_after: None }).expect("pending");
        let body = match leaves {
            Some(signed_out) => CommandBody::Disconnect { operator: anna, node: "desk-1".into(), signed_out },
            None => CommandBody::Away { operator: anna, reason: "back_office".into() },
        };
        world.by(anna, body).expect("left");
        let bruno = world.hire(2, |_| {});
        world.supervisor(CommandBody::Resume { contact: letter }).expect("taken up");
        assert_eq!(world.owner(letter), Some(if hers { anna } else { bruno }), "{leaves:?}");
    }
}

/// Who has signed out, and looks in again without saying that they work, takes their own contact up all the same.
#[test]
fn ones_own_contact_is_taken_up_by_whoever_has_the_console_open() {
    let mut world = World::new();
    let anna = world.hire(1, |_| {});
    let letter = world.arrive(10, "posta");
    world.by(anna, CommandBody::Pend { contact: letter, on: PendingOn::Citizen, back_after: None }).expect("pending");
    world.by(anna, CommandBody::Disconnect { operator: anna, node: "desk-1".into(), signed_out: true }).expect("out");
    assert_eq!(world.by(anna, CommandBody::Resume { contact: letter }), Err(Refusal::NotConnected));
    world.by(anna, CommandBody::Connect { operator: anna, node: "desk-1".into(), country: None }).expect("in");
    world.hire(2, |_| {});
    world.by(anna, CommandBody::Resume { contact: letter }).expect("taken up");
    assert_eq!(world.owner(letter), Some(anna));
}
