//! What the citizen says at a socket: each frame is heard, or refused with a reason; what is said goes to the broker first.

use super::Talk;
use crate::channel::outbound::publish_report;
use crate::channel::webchat::codec::{self, Refused, Said, Told};
use crate::channel::webchat::counters::ChatCounters;
use crate::channel::webchat::files;
use crate::channel::webchat::limits::{ANSWERABLE_FOR, CLIENT_ID_CHARACTERS_MAX, REFUSED_MAX, TRANSCRIPT_ADDRESSES_MAX};
use crate::channel::webchat::outbox::Published;
use crate::channel::webchat::publish::{self, Words};
use crate::channel::webchat::socket::{End, Wire};
use crate::model::channel::Channel;
use crate::model::delivery::{AttemptResult, DeliveryReport};
use crate::model::id::ContactId;
use crate::port::aside::{Aside, AsideBody};
use crate::port::chat::ChatChange;
use crate::port::clock::now;

impl Talk {
    /// A frame that could be read.
    pub async fn said(&mut self, said: Said, wire: &mut Wire) -> Result<(), End> {
        let id = match &said {
            Said::Message { id, .. } | Said::LeaveMessage { id, .. } => Some(id.clone()),
            Said::Transcript { .. } => Some("transcript".to_owned()),
            _ => None,
        };
        let refused = match codec::check(&said) {
            Ok(()) if self.frames.check().is_err() => Some(Refused::TooMany),
            Ok(()) => self.hear(said, wire).await?,
            Err(refused) => Some(refused),
        };
        let Some(code) = refused else {
            self.refused = 0;
            return Ok(());
        };
        self.chat.counters.refuse(code.name());
        self.refused += 1;
        if self.refused > REFUSED_MAX {
            return Err(End::TooMuch);
        }
        // an id that is itself too long is not sent back
        let id = id.filter(|id| id.len() <= CLIENT_ID_CHARACTERS_MAX);
        wire.tell(&Told::Refused { id, code, detail: code.detail() }).await
    }

    async fn hear(&mut self, said: Said, wire: &mut Wire) -> Result<Option<Refused>, End> {
        match said {
            Said::Hello { .. } => Err(End::BAD_FRAME),
            Said::Message { id, text, files } => Ok(self.write(&id, text, &files)),
            Said::LeaveMessage { id, email, text } => self.leave(&id, email, text).await,
            Said::Typing { on } => {
                if let (true, Some(contact)) = (on, self.state.contact) {
                    self.say(contact, AsideBody::CitizenTypes);
                }
                Ok(None)
            }
            Said::Read { seq } => {
                self.read(seq).await;
                Ok(None)
            }
            Said::End => self.leave_for_good(wire).await,
            Said::Transcript { email } => self.want_transcript(email, wire).await,
        }
    }

    fn write(&mut self, id: &str, text: String, handles: &[String]) -> Option<Refused> {
        if !self.state.takes_messages() {
            return Some(Refused::Ended);
        }
        let files: Option<Vec<_>> = handles.iter().map(|handle| files::verify(&self.chat.ids, self.session.id, handle)).collect();
        let Some(files) = files else { return Some(Refused::BadFile) };
        self.send(Words { id, text, files, for_later: false })
    }

    fn send(&mut self, words: Words<'_>) -> Option<Refused> {
        let id = words.id.to_owned();
        if self.outbox.must_wait(&id) || !self.chat.measures.message(self.session.id) {
            self.outbox.put_off(&id);
            return Some(Refused::Later);
        }
        let plan = self.chat.current_plan();
        let made = publish::message(&self.chat.ids, &self.chat.options.event_prefix, &plan, &self.visitor, &self.session, words);
        let Ok((message, outgoing)) = made else { return Some(Refused::TooLong) };
        if self.outbox.push(Some(id.clone()), Some(message), outgoing) {
            return None;
        }
        self.outbox.put_off(&id);
        Some(Refused::Later)
    }

    /// A message of this socket is out, or not.
    pub async fn published(&mut self, published: Published, wire: &mut Wire) -> Result<(), End> {
        let Published { client_id, message, outcome } = published;
        let Some(id) = client_id else {
            match outcome {
                Ok(()) => self.keep(ChatChange::EndTold).await,
                // whoever looks after the chats says it again
                Err(error) => tracing::warn!(%error, "the end of a chat was not published"),
            }
            return Ok(());
        };
        match outcome {
            Ok(()) => {
                ChatCounters::count(&self.chat.counters.received);
                wire.tell(&Told::Accepted { id, message }).await
            }
            Err(error) => {
                tracing::warn!(%error, "a chat's message was not published");
                self.chat.counters.refuse(Refused::Later.name());
                wire.tell(&Told::Refused { id: Some(id), code: Refused::Later, detail: Refused::Later.detail() }).await
            }
        }
    }

    /// Words for later: whoever answers finds the address in the chat, and nobody's history by it.
    async fn leave(&mut self, id: &str, email: String, text: String) -> Result<Option<Refused>, End> {
        let change = ChatChange::Email(email.clone(), now().plus(ANSWERABLE_FOR));
        if self.chat.chats.change_chat(&self.session.administration, self.session.id, change).await.is_err() {
            return Ok(Some(Refused::Later));
        }
        self.session.email = Some(email);
        self.state.answerable = true;
        Ok(self.send(Words { id, text, files: Vec::new(), for_later: true }))
    }

    async fn leave_for_good(&mut self, wire: &mut Wire) -> Result<Option<Refused>, End> {
        if self.state.ended_by_citizen {
            return Ok(None);
        }
        let change = ChatChange::Ended;
        if self.chat.chats.change_chat(&self.session.administration, self.session.id, change).await.is_err() {
            return Ok(Some(Refused::Later));
        }
        (self.session.ended, self.state.ended_by_citizen) = (true, true);
        // if it does not get through, whoever looks after the chats says it again
        if let Ok(ended) = publish::ended(&self.chat.ids, &self.chat.options.event_prefix, &self.visitor, &self.session) {
            let _is_full = self.outbox.push(None, None, ended);
        }
        self.tell_state(wire, false).await?;
        Ok(None)
    }

    /// A letter to whatever address: so only of a talk that an operator was part of, and not to many.
    async fn want_transcript(&mut self, email: String, wire: &mut Wire) -> Result<Option<Refused>, End> {
        let plan = self.chat.current_plan();
        if plan.mail_account(&self.session.administration, self.state.queue.as_ref()).is_none() {
            return Ok(Some(Refused::NoTranscript));
        }
        if !self.state.was_answered {
            return Ok(Some(Refused::NotServed));
        }
        if !self.chat.measures.transcript(self.visitor.peer) {
            return Ok(Some(Refused::TooMany));
        }
        let (administration, id) = (&self.session.administration, self.session.id);
        match self.chat.chats.want_transcript(administration, id, &email, TRANSCRIPT_ADDRESSES_MAX).await {
            Ok(true) => {}
            Ok(false) => return Ok(Some(Refused::TooManyAddresses)),
            Err(_) => return Ok(Some(Refused::Later)),
        }
        wire.tell(&Told::Accepted { id: "transcript".to_owned(), message: None }).await?;
        Ok(None)
    }

    fn say(&self, contact: ContactId, body: AsideBody) {
        self.chat.asides.say(Aside { pool: self.visitor.pool.clone(), contact, conversation: self.conversation, body });
    }

    /// Everything up to `seq` was on a screen: so it has arrived, too.
    async fn read(&mut self, seq: i64) {
        let seq = seq.min(self.last_message);
        if seq <= self.session.citizen_read {
            return;
        }
        self.session.citizen_read = seq;
        self.keep(ChatChange::CitizenRead(seq)).await;
        if let Some((_, message, contact, _)) = self.from_office.iter().rev().find(|(number, ..)| *number <= seq) {
            self.say(*contact, AsideBody::CitizenRead { message: *message });
        }
        self.arrived(seq);
    }

    /// The browser has everything up to `mark`: the office's messages among it are delivered.
    pub fn arrived(&mut self, mark: i64) {
        for (seq, message, _, has_arrived) in &mut self.from_office {
            if *seq > mark || *has_arrived {
                continue;
            }
            *has_arrived = true;
            let report = DeliveryReport { message: *message, attempt: 0, result: AttemptResult::Delivered };
            let (deps, account) = (self.chat.outbound.clone(), self.session.account.clone());
            // a report that is lost is made again when the browser connects again
            self.chat.tracker.spawn(async move {
                if let Err(reason) = publish_report(&deps, &Channel::webchat(), &account, &report, None).await {
                    tracing::warn!(message = %report.message, reason, "a message's arrival is not reported");
                }
            });
        }
    }
}
