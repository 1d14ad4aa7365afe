//! Everybody has their turn: those who are not due hide nobody, and what cannot be sent is done with.

use std::sync::Arc;

use super::*;
use crate::channel::webchat::testing::Setting;
use crate::model::channel::Channel;
use crate::model::contact::Direction;
use crate::model::conversation::Message;
use crate::model::id::{AccountId, OperatorId};
use crate::port::broker::{Outgoing, PublishError};
use crate::port::testing;

impl Setting {
    /// A chat with its contact, in which an operator has written.
    fn add(&self, n: u128, body: &str, queue: &str, state: ContactState, change: impl FnOnce(&mut ChatSession)) {
        let mut session = ChatSession {
            id: ChatSessionId(n),
            administration: testing::administration(body),
            account: AccountId::new(if body == "asl" { "asl-chat" } else { "sito" }).unwrap(),
            name: "Luisa".to_owned(),
            email: None,
            topic: None,
            language: None,
            created_at: now(),
            expires_at: now().plus(Duration::from_secs(86_400)),
            present_until: now().plus(Duration::from_secs(60)),
            gone: false,
            ended: false,
            operator_read: 0,
            citizen_read: 0,
            transcript_to: None,
        };
        change(&mut session);
        let mut contact = testing::contact(n, body, queue, state);
        contact.conversation = conversation_of(&self.chat.ids, &session.account, session.id);
        contact.channel = Channel::webchat();
        let answer = Message {
            direction: Direction::Outbound,
            author: Some(OperatorId(1)),
            text: "Buongiorno".into(),
            ..testing::message(n, &contact)
        };
        let mut rows = self.store.rows();
        rows.contacts.insert(contact.id, contact);
        rows.messages.push(answer);
        self.chats.0.lock().unwrap().push(session);
    }

    async fn look(&self, body: &str, round: &mut Round) {
        look_after(&self.chat, &testing::administration(body), round, true).await;
    }

    /// How many signals were published so far.
    fn signals(&self) -> usize {
        self.broker.batches.lock().unwrap().concat().len()
    }

    /// Where transcripts are still waited for.
    fn waiting(&self) -> Vec<u128> {
        self.chats.0.lock().unwrap().iter().filter(|chat| chat.transcript_to.is_some()).map(|chat| chat.id.0).collect()
    }
}

fn active() -> ContactState {
    ContactState::Active { operator: OperatorId(1), untouched_until: None }
}

fn closed() -> ContactState {
    ContactState::Closed { at: Timestamp(1) }
}

fn ago(seconds: u64) -> impl FnOnce(&mut ChatSession) {
    move |session| session.present_until = now().minus(Duration::from_secs(seconds))
}

fn wants(session: &mut ChatSession) {
    session.transcript_to = Some("luisa@example.it".to_owned());
}

#[tokio::test]
async fn a_transcript_that_no_account_can_send_is_done_with() {
    let setting = Setting::new();
    setting.add(1, "comune", "urp", closed(), wants);
    setting.add(2, "asl", "cup", closed(), wants);
    setting.add(3, "asl", "cup", active(), wants);
    setting.add(4, "asl", "cup", closed(), wants);
    setting.store.rows().contacts.retain(|id, _| id.0 != 4);
    for body in ["comune", "asl"] {
        setting.look(body, &mut Round::default()).await;
    }
    assert_eq!(setting.waiting(), [3], "it is not over; the fourth was erased, and the first would never be sent");
    let sent = setting.router.bodies();
    let [crate::model::command::CommandBody::Copy { administration, account, .. }] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((administration.as_str(), account.as_str()), ("asl", "asl-mail"));
    // an account that comes later does not send what was done with
    setting.look("comune", &mut Round::default()).await;
    assert_eq!(setting.router.bodies().len(), 1);
}

#[tokio::test]
async fn transcripts_of_chats_that_go_on_hide_none_that_is_due() {
    let setting = Setting::new();
    let opened = now();
    for n in 1..=250 {
        setting.add(n, "asl", "cup", active(), wants);
    }
    setting.add(251, "asl", "cup", closed(), |session| {
        wants(session);
        session.created_at = opened.plus(Duration::from_secs(60));
    });
    let mut round = Round::default();
    for expected in [0, 1, 1, 1] {
        setting.look("asl", &mut round).await;
        assert_eq!(setting.router.bodies().len(), expected);
    }
    assert_eq!(setting.waiting().len(), 250);
    // the first is over: the rounds begin anew
    setting.store.rows().contacts.values_mut().next().expect("the first").state = closed();
    for _ in 0..2 {
        setting.look("asl", &mut round).await;
    }
    assert_eq!((setting.router.bodies().len(), setting.waiting().len()), (2, 249));
}

#[tokio::test]
async fn who_has_more_time_hides_nobody_whose_time_is_over() {
    let setting = Setting::new();
    for n in 1..=250 {
        setting.add(n, "comune", "urp", active(), ago(600));
    }
    setting.add(251, "comune", "sociale", active(), ago(180));
    let mut round = Round::default();
    for expected in [0, 1, 1, 1] {
        setting.look("comune", &mut round).await;
        assert_eq!(setting.broker.batches.lock().unwrap().concat().len(), expected);
    }
    let gone: Vec<u128> = setting.chats.0.lock().unwrap().iter().filter(|chat| chat.gone).map(|chat| chat.id.0).collect();
    assert_eq!(gone, [251]);
}

/// What the rows say after an outage, or after nobody was there for long, is that everybody is gone.
#[tokio::test(start_paused = true)]
async fn nobody_is_taken_for_gone_before_they_could_come_back() {
    let setting = Setting::new();
    setting.add(1, "asl", "cup", active(), ago(3_600));
    tokio::spawn(run(Arc::clone(&setting.chat)));
    tokio::time::sleep(Duration::from_secs(44)).await;
    assert_eq!(setting.signals(), 0, "browsers may still come back");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(setting.signals(), 1);
    setting.lease.away.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(4)).await;
    setting.add(2, "asl", "cup", active(), ago(3_600));
    setting.lease.away.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(44)).await;
    assert_eq!(setting.signals(), 1, "nodes may not have said yet whom they have");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(setting.signals(), 2);
}

#[test]
fn a_database_that_hung_and_a_machine_that_slept_are_breaks() {
    let (steady, clock) = (Steady::default(), Instant::now());
    let answered = |seconds: u64, slept: u64| {
        let at = Timestamp(0).plus(Duration::from_secs(seconds + slept));
        steady.answered(clock + Duration::from_secs(seconds), at);
    };
    for second in (0..=46).step_by(2) {
        assert!(!steady.is_long());
        answered(second, 0);
    }
    assert!(steady.is_long());
    answered(58, 0);
    assert!(!steady.is_long(), "twelve seconds without an answer");
    for second in (60..=104).step_by(2) {
        answered(second, 0);
    }
    assert!(steady.is_long());
    answered(106, 3_600);
    assert!(!steady.is_long(), "an hour for everybody but this machine's clock");
}

#[tokio::test]
async fn who_is_connected_here_or_came_back_elsewhere_is_not_gone() {
    let setting = Setting::new();
    setting.add(1, "asl", "cup", active(), ago(3_600));
    let stale = setting.chats.0.lock().unwrap()[0].clone();
    let conversation = conversation_of(&setting.chat.ids, &stale.account, stale.id);
    let visitor = Visitor::of_account(&setting.chat.current_plan(), &stale.account).expect("an account");
    let line = setting.chat.hub.join(&visitor.pool, &stale, conversation).await.expect("joins");
    setting.look("asl", &mut Round::default()).await;
    assert_eq!(setting.signals(), 0, "there is a socket, whatever the row says");
    drop(line);
    setting.chats.0.lock().unwrap()[0].present_until = now().plus(Duration::from_secs(15));
    assert_eq!(abandon(&setting.chat, &stale).await, Ok(None));
    assert_eq!(setting.signals(), 0, "the row is newer than the list");
    setting.chats.0.lock().unwrap()[0].present_until = stale.present_until;
    setting.look("asl", &mut Round::default()).await;
    assert_eq!(setting.signals(), 1);
}

/// The row says that the citizen ended it, and the broker was away.
#[tokio::test]
async fn an_end_that_did_not_get_through_is_said_again() {
    let setting = Setting::new();
    setting.add(1, "asl", "cup", active(), |session| session.ended = true);
    setting.add(2, "asl", "cup", active(), |_| {});
    *setting.broker.refuses.lock().unwrap() = |_: &Outgoing| Some(PublishError::Unavailable("away".into()));
    let mut round = Round::default();
    let body = testing::administration("asl");
    look_after(&setting.chat, &body, &mut round, false).await;
    *setting.broker.refuses.lock().unwrap() = |_| None;
    for _ in 0..3 {
        look_after(&setting.chat, &body, &mut round, false).await;
    }
    let said = setting.broker.batches.lock().unwrap().concat();
    let session = setting.chats.0.lock().unwrap()[0].clone();
    let visitor = Visitor::of_account(&setting.chat.current_plan(), &session.account).expect("an account");
    let end = ended(&setting.chat.ids, "sportello", &visitor, &session).expect("encodes");
    assert_eq!(said.iter().map(|said| said.id.clone()).collect::<Vec<_>>(), [end.id], "once, connected or not");
}
