//! A citizen who owes an answer: asked once, then the contact closes by itself; an answer, a transfer or the office's own silence
//! stops the clock.

use std::time::Duration;

use super::world::World;
use crate::model::command::CommandBody;
use crate::model::contact::{Mode, Resolution, StateName};
use crate::model::event::EventBody;
use crate::model::id::{AddressKey, ConversationId, MessageId};
use crate::model::inbound::Signal;
use crate::plan::SilenceLimits;

fn world() -> World {
    World::with(|plan| {
        let queue = plan.queues.values_mut().find(|queue| queue.name == "urp").expect("a queue");
        queue.silence = Some(SilenceLimits { warn: Duration::from_secs(120), close: Duration::from_secs(240) });
    })
}

#[test]
fn who_owes_an_answer_is_asked_once_and_then_closed() {
    let mut world = world();
    let anna = world.hire(1, |_| {});
    let chat = world.arrive(10, "chat");
    world.accept(chat);
    world.pass(1_000);
    assert_eq!(world.state(chat).name(), StateName::Active, "the office owes the answer");
    world.by(anna, CommandBody::Reply { contact: chat, message: MessageId(500), account: None }).expect("answered");
    world.pass(119);
    assert!(world.rows[&chat].silence.is_some_and(|silence| !silence.warned));
    world.pass(1);
    assert!(world.rows[&chat].silence.is_some_and(|silence| silence.warned), "asked");
    world.pass(119);
    assert_eq!(world.state(chat).name(), StateName::Active);
    world.pass(1);
    assert_eq!(world.state(chat).name(), StateName::Closed);
    assert_eq!(world.rows[&chat].outcome.as_ref().map(|outcome| outcome.resolution), Some(Resolution::CitizenSilent));
}

#[test]
fn an_answer_stops_the_clock() {
    let mut world = world();
    let anna = world.hire(1, |_| {});
    let chat = world.arrive(10, "chat");
    world.accept(chat);
    world.by(anna, CommandBody::Reply { contact: chat, message: MessageId(500), account: None }).expect("answered");
    world.pass(200);
    let mut facts = world.facts(11, "chat");
    facts.address = world.rows[&chat].address;
    assert_eq!(world.receive(facts), chat, "one session, one conversation");
    assert_eq!(world.rows[&chat].silence, None);
    world.pass(10_000);
    assert_eq!(world.state(chat).name(), StateName::Active);
}

#[test]
fn the_messages_of_a_chat_are_one_contact_whichever_comes_first() {
    let mut world = world();
    let mut first = world.facts(10, "chat");
    let mut second = world.facts(11, "chat");
    for facts in [&mut first, &mut second] {
        (facts.new_conversation, facts.address, facts.thread) = (ConversationId(77), Some(AddressKey(77)), Vec::new());
    }
    let chat = world.receive(first);
    assert_eq!(world.receive(second), chat);
}

#[test]
fn words_left_for_later_free_the_room() {
    let mut world = world();
    let chat = world.arrive(10, "chat");
    let mut facts = world.facts(11, "chat");
    (facts.address, facts.mode, facts.answerable) = (world.rows[&chat].address, Mode::Deferrable, true);
    assert_eq!(world.receive(facts), chat);
    assert_eq!((world.state(chat).name(), world.rows[&chat].mode), (StateName::Queued, Mode::Deferrable));
    assert!(world.signal(12, chat, Signal::Abandoned).is_err(), "who left words has not abandoned anything");
}

#[test]
fn a_new_leader_gives_the_citizen_their_time_again() {
    let mut world = world();
    let anna = world.hire(1, |_| {});
    let chat = world.arrive(10, "chat");
    world.accept(chat);
    world.by(anna, CommandBody::Reply { contact: chat, message: MessageId(500), account: None }).expect("answered");
    world.pass(115);
    world.take_over();
    world.pass(119);
    assert!(world.rows[&chat].silence.is_some_and(|silence| !silence.warned));
    let asked = |event: &EventBody| matches!(event, EventBody::ContactSilent { .. });
    assert!(!world.events.iter().any(asked));
}
