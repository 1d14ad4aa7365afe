//! Where a chat is, as the pool's events tell it: fed with rows once and with events from then on, it says what a browser must be
//! told. Pure.

use super::codec::{Marks, Reason, Status};
use crate::model::contact::{Contact, ContactState, Direction, Mode, Resolution};
use crate::model::conversation::Message;
use crate::model::event::{Event, EventBody};
use crate::model::id::{ContactId, MessageId, OperatorId, QueueId};
use crate::model::time::Timestamp;

/// Where a chat is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chat {
    /// The number of the last event or message it follows from.
    pub seq: i64,
    /// Its newest contact.
    pub contact: Option<ContactId>,
    /// Where that waits or waited.
    pub queue: Option<QueueId>,
    /// Who has it.
    pub operator: Option<OperatorId>,
    /// How far the office has got what the citizen wrote.
    pub marks: Marks,
    /// Whether the citizen ended it for good.
    pub ended_by_citizen: bool,
    /// Whether an operator has written.
    pub was_answered: bool,
    /// Whether the citizen can be answered elsewhere.
    pub answerable: bool,
    /// Whether the citizen was without a connection for too long, and has not been served since.
    pub was_gone: bool,
    stage: Stage,
    deferrable: bool,
    resolution: Option<Resolution>,
    last_from_citizen: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Waiting,
    Served,
    WrapUp,
    Abandoned,
    Closed,
}

/// What follows from an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// The state is another.
    State,
    /// There is a message; its text is in its row.
    Message(MessageId),
    /// The marks moved on.
    Marks,
    /// The citizen is asked whether they are still there.
    Warning(Timestamp),
}

impl Chat {
    /// As rows have it: the conversation's contacts, oldest first, and its messages.
    pub fn of_rows(contacts: &[Contact], messages: &[Message]) -> Self {
        let mut chat = Self::default();
        if let Some(contact) = contacts.iter().max_by_key(|contact| (contact.opened_at, contact.id)) {
            chat.contact = Some(contact.id);
            chat.queue = Some(contact.queue.clone());
            chat.deferrable = contact.mode == Mode::Deferrable;
            chat.operator = contact.state.owner();
            chat.resolution = contact.outcome.as_ref().map(|outcome| outcome.resolution);
            chat.stage = match contact.state {
                ContactState::Queued | ContactState::Offered { .. } | ContactState::Deferred { .. } => Stage::Waiting,
                ContactState::Active { .. } | ContactState::Pending { .. } => Stage::Served,
                ContactState::WrapUp { .. } => Stage::WrapUp,
                ContactState::Abandoned { .. } => Stage::Abandoned,
                ContactState::Closed { .. } => Stage::Closed,
            };
        }
        for message in messages {
            chat.seq = chat.seq.max(message.seq);
            match message.direction {
                Direction::Inbound => chat.last_from_citizen = chat.last_from_citizen.max(message.seq),
                Direction::Outbound if message.author.is_some() => {
                    chat.marks.read = chat.last_from_citizen;
                    chat.was_answered = true;
                }
                Direction::Outbound => {}
            }
        }
        chat.marks.delivered = chat.marks.read;
        if !matches!(chat.stage, Stage::Idle | Stage::Waiting | Stage::Abandoned) {
            chat.marks.delivered = chat.last_from_citizen;
        }
        chat
    }

    /// Where it is, for the citizen.
    pub fn status(&self) -> Status {
        match self.stage {
            Stage::Idle if self.ended_by_citizen => Status::Ended,
            Stage::Idle => Status::Idle,
            Stage::Waiting | Stage::Served if self.deferrable && self.answerable => Status::Left,
            Stage::Waiting | Stage::Served if self.ended_by_citizen => Status::Ended,
            Stage::Waiting => Status::Waiting,
            Stage::Served => Status::Served,
            Stage::WrapUp | Stage::Abandoned | Stage::Closed => Status::Ended,
        }
    }

    /// Why it ended, if it did.
    pub fn reason(&self) -> Option<Reason> {
        if self.status() != Status::Ended {
            return None;
        }
        Some(match (self.stage, self.resolution) {
            _ if self.ended_by_citizen => Reason::Citizen,
            (_, Some(Resolution::CitizenSilent)) => Reason::Silent,
            (Stage::Abandoned, _) => Reason::Abandoned,
            _ if self.was_gone => Reason::Abandoned,
            _ => Reason::Operator,
        })
    }

    /// Whether the citizen may still write: a closed chat is over, an abandoned one can be taken up.
    pub fn takes_messages(&self) -> bool {
        !self.ended_by_citizen && self.stage != Stage::Closed
    }

    /// Whether the citizen waits while nobody may be there.
    pub fn waits(&self) -> bool {
        self.stage == Stage::Waiting && self.status() == Status::Waiting
    }

    /// Whether the queue stood closed: the contact can wait.
    pub fn is_deferrable(&self) -> bool {
        self.deferrable
    }

    /// The operator has seen everything up to `seq`. False if that was known.
    pub fn seen_by_operator(&mut self, seq: i64) -> bool {
        let before = self.marks;
        self.marks.read = self.marks.read.max(seq.min(self.last_from_citizen));
        self.marks.delivered = self.marks.delivered.max(self.marks.read);
        self.marks != before
    }

    /// Takes an event of the conversation; one that it has seen changes nothing.
    pub fn take(&mut self, event: &Event) -> Vec<Follows> {
        if event.seq <= self.seq {
            return Vec::new();
        }
        let Some(about) = &event.about else { return Vec::new() };
        if matches!(event.body, EventBody::ContactReceived { .. }) {
            self.contact = Some(about.contact);
            (self.stage, self.operator, self.resolution) = (Stage::Waiting, None, None);
        }
        self.seq = event.seq;
        let (status, operator, marks) = (self.status(), self.operator, self.marks);
        let mut follows = Vec::new();
        if self.contact == Some(about.contact) {
            self.queue = Some(about.queue.clone());
            self.deferrable = about.mode == Mode::Deferrable;
            self.follow(&event.body, &mut follows);
        }
        match event.body {
            EventBody::MessageReceived { message, operator, .. } => {
                self.last_from_citizen = event.seq;
                if operator.is_some() && self.stage == Stage::Served {
                    self.marks.delivered = event.seq;
                }
                follows.push(Follows::Message(message));
            }
            EventBody::MessageQueued { message, operator } => {
                if operator.is_some() {
                    self.was_answered = true;
                    self.marks = Marks { delivered: self.last_from_citizen, read: self.last_from_citizen };
                }
                follows.push(Follows::Message(message));
            }
            _ => {}
        }
        let is_new = matches!(event.body, EventBody::ContactReceived { .. });
        if is_new || (self.status(), self.operator) != (status, operator) {
            follows.push(Follows::State);
        }
        if self.marks != marks {
            follows.push(Follows::Marks);
        }
        follows
    }

    fn follow(&mut self, body: &EventBody, follows: &mut Vec<Follows>) {
        match body {
            EventBody::ContactQueued { .. } | EventBody::ContactDeferred { .. } => (self.stage, self.operator) = (Stage::Waiting, None),
            EventBody::OfferAccepted { operator, .. } | EventBody::ContactAssigned { operator, .. } => {
                (self.stage, self.operator) = (Stage::Served, Some(*operator));
                self.was_gone = false;
                self.marks.delivered = self.last_from_citizen;
            }
            EventBody::ContactWrapUp { .. } => self.stage = Stage::WrapUp,
            EventBody::ContactAbandoned { .. } => self.stage = Stage::Abandoned,
            EventBody::ContactClosed { outcome, .. } => {
                (self.stage, self.resolution) = (Stage::Closed, Some(outcome.resolution));
            }
            EventBody::ContactSilent { closes_at, .. } => follows.push(Follows::Warning(*closes_at)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::channel::Channel;
    use crate::model::contact::Outcome;
    use crate::model::event::{About, AssignedReason, QueuedReason};
    use crate::model::id::{AccountId, AdministrationId, ConversationId, OfficeId};

    fn event(seq: i64, contact: u128, mode: Mode, body: EventBody) -> Event {
        let about = About {
            contact: ContactId(contact),
            conversation: ConversationId(1),
            administration: AdministrationId::new("comune").expect("a name"),
            office: OfficeId::new("urp").expect("a name"),
            queue: QueueId::new("chat").expect("a name"),
            channel: Channel::webchat(),
            mode,
            version: 1,
        };
        Event { seq, at: Timestamp(seq), about: Some(about), body }
    }

    fn received() -> EventBody {
        let account = AccountId::new("sito").expect("a name");
        EventBody::ContactReceived { direction: Direction::Inbound, account, continues: None, rule: None, filed_at: Timestamp(1) }
    }

    fn wrote(message: u128, operator: Option<u128>) -> EventBody {
        EventBody::MessageReceived { message: MessageId(message), operator: operator.map(OperatorId), automatic: None }
    }

    fn assigned(operator: u128) -> EventBody {
        EventBody::ContactAssigned { operator: OperatorId(operator), reason: AssignedReason::Routed, untouched_until: None }
    }

    fn queued() -> EventBody {
        EventBody::ContactQueued { due: Timestamp(9), reason: QueuedReason::New }
    }

    fn closed(resolution: Resolution) -> EventBody {
        EventBody::ContactClosed { operator: None, outcome: Outcome { topic: None, resolution } }
    }

    fn after(events: Vec<EventBody>) -> Chat {
        let mut chat = Chat::default();
        for (seq, body) in events.into_iter().enumerate() {
            chat.take(&event(i64::try_from(seq).expect("few") + 1, 7, Mode::Live, body));
        }
        chat
    }

    #[test]
    fn the_status_follows_the_contact() {
        let wrap_up = EventBody::ContactWrapUp { operator: OperatorId(1), until: Timestamp(9) };
        for (events, expected) in [
            (vec![], (Status::Idle, None)),
            (vec![received(), queued()], (Status::Waiting, None)),
            (vec![received(), queued(), assigned(1)], (Status::Served, None)),
            (vec![received(), queued(), assigned(1), queued()], (Status::Waiting, None)),
            (vec![received(), assigned(1), wrap_up.clone()], (Status::Ended, Some(Reason::Operator))),
            (vec![received(), assigned(1), wrap_up.clone(), closed(Resolution::Resolved)], (Status::Ended, Some(Reason::Operator))),
            (vec![received(), assigned(1), closed(Resolution::CitizenSilent)], (Status::Ended, Some(Reason::Silent))),
            (vec![received(), EventBody::ContactAbandoned { short: false }], (Status::Ended, Some(Reason::Abandoned))),
            (vec![received(), assigned(1), wrap_up, assigned(1)], (Status::Served, None)),
        ] {
            let chat = after(events.clone());
            assert_eq!((chat.status(), chat.reason()), expected, "{events:?}");
        }
    }

    #[test]
    fn what_can_wait_was_left_only_if_it_can_be_answered() {
        let mut chat = Chat::default();
        chat.take(&event(1, 7, Mode::Deferrable, received()));
        chat.take(&event(2, 7, Mode::Deferrable, queued()));
        assert_eq!(chat.status(), Status::Waiting, "the citizen may still leave an address");
        chat.answerable = true;
        assert_eq!(chat.status(), Status::Left);
    }

    #[test]
    fn who_left_for_good_has_left_whatever_becomes_of_the_contact() {
        let mut chat = Chat::default();
        chat.take(&event(1, 7, Mode::Deferrable, received()));
        chat.take(&event(2, 7, Mode::Deferrable, queued()));
        chat.ended_by_citizen = true;
        assert_eq!((chat.status(), chat.reason()), (Status::Ended, Some(Reason::Citizen)));
        assert!(!chat.waits() && !chat.takes_messages());
    }

    #[test]
    fn who_was_gone_too_long_is_told_so() {
        let mut chat = after(vec![received(), assigned(1)]);
        chat.was_gone = true;
        chat.take(&event(3, 7, Mode::Live, EventBody::ContactWrapUp { operator: OperatorId(1), until: Timestamp(9) }));
        assert_eq!(chat.reason(), Some(Reason::Abandoned));
        assert!(chat.takes_messages(), "and may take it up again");
        chat.take(&event(4, 7, Mode::Live, assigned(1)));
        chat.take(&event(5, 7, Mode::Live, closed(Resolution::Resolved)));
        assert_eq!(chat.reason(), Some(Reason::Operator));
    }

    #[test]
    fn an_event_counts_once() {
        let mut chat = Chat::default();
        assert_eq!(chat.take(&event(1, 7, Mode::Live, received())), [Follows::State]);
        assert_eq!(chat.take(&event(2, 7, Mode::Live, wrote(5, None))), [Follows::Message(MessageId(5))]);
        assert_eq!(chat.take(&event(2, 7, Mode::Live, wrote(5, None))), []);
        assert_eq!(chat.take(&event(1, 7, Mode::Live, received())), []);
    }

    #[test]
    fn marks_move_on_with_the_operator() {
        let mut chat = Chat::default();
        chat.take(&event(1, 7, Mode::Live, received()));
        chat.take(&event(2, 7, Mode::Live, wrote(5, None)));
        assert_eq!(chat.marks, Marks::default());
        assert_eq!(chat.take(&event(3, 7, Mode::Live, assigned(1))), [Follows::State, Follows::Marks]);
        assert_eq!(chat.marks, Marks { delivered: 2, read: 0 });
        assert!(chat.seen_by_operator(99) && !chat.seen_by_operator(1));
        assert_eq!(chat.marks, Marks { delivered: 2, read: 2 });
        chat.take(&event(4, 7, Mode::Live, wrote(6, Some(1))));
        assert_eq!(chat.marks, Marks { delivered: 4, read: 2 });
        let reply = EventBody::MessageQueued { message: MessageId(8), operator: Some(OperatorId(1)) };
        assert!(!chat.was_answered);
        chat.take(&event(5, 7, Mode::Live, reply));
        assert_eq!(chat.marks, Marks { delivered: 4, read: 4 });
        assert!(chat.was_answered);
    }

    #[test]
    fn a_contact_that_follows_on_takes_the_old_ones_place() {
        let mut chat = after(vec![received(), assigned(1), closed(Resolution::Resolved)]);
        assert!(!chat.takes_messages());
        assert_eq!(chat.take(&event(4, 8, Mode::Live, received())), [Follows::State]);
        assert_eq!(chat.take(&event(5, 7, Mode::Live, closed(Resolution::Resolved))), [], "the old one says nothing more");
        assert_eq!(chat.status(), Status::Waiting);
    }
}
