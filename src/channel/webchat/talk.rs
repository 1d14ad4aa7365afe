//! One socket's talk, once its chat is known: what the citizen says, what the pool's events make of it, and what they are told.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::access::Visitor;
use super::codec::{self, Message, State, Status, Told};
use super::counters::ChatCounters;
use super::hub::Line;
use super::limits::*;
use super::outbox::Outbox;
use super::publish::{client_id, conversation_of};
use super::room::{Attendance, Wanted};
use super::socket::{End, Wire};
use super::state::{Chat, Follows};
use super::{Shared, files, session};
use crate::model::contact::Direction;
use crate::model::conversation::Message as Row;
use crate::model::delivery::DeliveryState;
use crate::model::event::Event;
use crate::model::id::{ContactId, ConversationId, MessageId};
use crate::model::time::Timestamp;
use crate::port::aside::{Aside, AsideBody};
use crate::port::chat::{ChatChange, ChatSession};
use crate::port::clock::now;
use crate::port::store::StoreError;

mod said;

/// Messages whose numbers a socket remembers, each way.
const REMEMBERED_MAX: usize = 200;

/// A socket that said hello.
pub struct Talk {
    chat: Shared,
    visitor: Visitor,
    session: ChatSession,
    conversation: ConversationId,
    /// Until when it said itself that there is a connection.
    said_until: Timestamp,
    /// What it hears.
    pub line: Line,
    /// What it said.
    pub outbox: Outbox,
    state: Chat,
    told: Option<State>,
    /// What the closed queue says to citizens.
    notice: Option<String>,
    /// What it was told last of nobody being there.
    unattended: Option<Told>,
    /// The number of the last message that it was told.
    last_message: i64,
    from_citizen: VecDeque<(i64, MessageId)>,
    from_office: VecDeque<(i64, MessageId, ContactId, bool)>,
    frames: DefaultDirectRateLimiter,
    refused: u32,
}

fn away(what: &'static str) -> impl Fn(StoreError) -> End {
    move |error| {
        tracing::warn!(%error, "{what}");
        End::COME_AGAIN
    }
}

impl Talk {
    /// Answers a hello: everything above `after`, and from then on what happens. None: there is no such chat.
    pub async fn begin(chat: &Shared, visitor: &Visitor, token: &str, after: Option<i64>, wire: &mut Wire) -> Result<Option<Self>, End> {
        let Ok(found) = session::find(chat, visitor, token).await else { return Err(End::COME_AGAIN) };
        let Some(session) = found else { return Ok(None) };
        let conversation = conversation_of(&chat.ids, &session.account, session.id);
        if chat.hub.sockets_of(&visitor.pool, conversation) >= SOCKETS_PER_CHAT_MAX {
            chat.counters.refuse("sockets");
            return Err(End::TooMuch);
        }
        let unread = away("a chat cannot be read now");
        let line = chat.hub.join(&visitor.pool, &session, conversation).await.map_err(&unread)?;
        let said_until = now().plus(PRESENT_FOR);
        let present = ChatChange::Present(said_until);
        chat.chats.change_chat(&session.administration, session.id, present).await.map_err(&unread)?;
        // the number first: rows read after it are at least that new
        let seq = chat.store.last_seq(&visitor.pool).await.map_err(&unread)?;
        let view = chat.store.conversation(&session.administration, conversation).await.map_err(&unread)?;
        let (contacts, messages) = view.map(|view| (view.contacts, view.messages)).unwrap_or_default();
        let messages: Vec<Row> = messages.into_iter().filter(is_said).collect();
        let mut state = Chat::of_rows(&contacts, &messages);
        state.seq = state.seq.max(seq);
        state.ended_by_citizen = session.ended;
        state.answerable = session.email.is_some();
        state.was_gone = session.gone;
        state.seen_by_operator(session.operator_read);
        let number = std::num::NonZeroU32::new;
        let quota = Quota::per_second(number(FRAMES_PER_SECOND).unwrap_or(std::num::NonZeroU32::MIN));
        let mut talk = Self {
            outbox: Outbox::new(std::sync::Arc::clone(&chat.publisher)),
            chat: chat.clone(),
            visitor: visitor.clone(),
            session,
            conversation,
            said_until,
            line,
            state,
            told: None,
            notice: None,
            unattended: None,
            last_message: after.unwrap_or(0),
            from_citizen: VecDeque::new(),
            from_office: VecDeque::new(),
            frames: RateLimiter::direct(quota.allow_burst(number(FRAMES_AT_ONCE).unwrap_or(std::num::NonZeroU32::MIN))),
            refused: 0,
        };
        talk.welcome(messages, wire).await?;
        Ok(Some(talk))
    }

    async fn welcome(&mut self, rows: Vec<Row>, wire: &mut Wire) -> Result<(), End> {
        let after = self.last_message;
        let mut missed = Vec::new();
        for row in rows {
            self.remember(&row);
            if row.seq > after {
                missed.push(self.shown(row).await);
            }
        }
        let rest = missed.split_off(missed.len().min(WELCOME_MESSAGES_MAX));
        let state = self.now_state().await;
        let welcome = Told::Welcome { after, state: state.clone(), marks: self.state.marks, messages: missed.clone() };
        self.told = Some(state);
        wire.tell(&welcome).await?;
        for message in missed.iter().chain(&rest) {
            self.last_message = self.last_message.max(message.seq);
        }
        for message in rest {
            wire.tell(&Told::Message(message)).await?;
        }
        wire.ping(self.last_message).await?;
        self.tell_unattended(wire).await
    }

    /// The socket is over. What it said goes out all the same; the citizen counts as gone from now on, or from when it last
    /// answered.
    pub async fn end(&mut self, lost: bool) {
        let _late = tokio::time::timeout(WRITE_WITHIN, self.outbox.flush()).await;
        if self.chat.shutdown.is_cancelled() || self.chat.hub.sockets_of(&self.visitor.pool, self.conversation) > 1 {
            return;
        }
        let at = if lost { now().minus(self.chat.options.ping_every * 2) } else { now() };
        // whoever has said more than this node has a newer connection
        let known = self.said_until.max(Timestamp(self.chat.said_until.load(Ordering::Relaxed)));
        let absent = ChatChange::Absent(at, known);
        if let Err(error) = self.chat.chats.change_chat(&self.session.administration, self.session.id, absent).await {
            tracing::warn!(%error, "a chat's end could not be noted; it is found by its time");
        }
    }

    // ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// An event of the conversation.
    pub async fn event(&mut self, event: &Event, wire: &mut Wire) -> Result<(), End> {
        let mut is_state_new = false;
        for follows in self.state.take(event) {
            match follows {
                Follows::Message(message) => self.tell_message(message, wire).await?,
                Follows::Marks => wire.tell(&Told::Mark { seq: event.seq, marks: self.state.marks }).await?,
                Follows::Warning(closes_at) => wire.tell(&Told::Warning { seconds: closes_at.since(now()).as_secs() }).await?,
                Follows::State => is_state_new = true,
            }
        }
        if is_state_new {
            self.learn_of_other_tabs().await;
            self.tell_state(wire, true).await?;
        }
        Ok(())
    }

    /// Another tab may have ended the chat or left an address.
    async fn learn_of_other_tabs(&mut self) {
        if let Ok(Some(session)) = self.chat.chats.chat(&self.session.administration, self.session.id, now()).await {
            self.state.ended_by_citizen = session.ended;
            self.state.answerable = session.email.is_some();
            self.session = session;
        }
    }

    async fn tell_message(&mut self, message: MessageId, wire: &mut Wire) -> Result<(), End> {
        let row = self.chat.store.message(&self.session.administration, message).await.map_err(away("a message cannot be read now"))?;
        let Some(row) = row.filter(is_said).filter(|row| row.seq > self.last_message) else { return Ok(()) };
        self.remember(&row);
        let seq = row.seq;
        let message = self.shown(row).await;
        self.last_message = seq;
        if message.from != codec::From::Citizen {
            ChatCounters::count(&self.chat.counters.shown);
        }
        wire.tell(&Told::Message(message)).await?;
        wire.ping(seq).await
    }

    fn remember(&mut self, row: &Row) {
        match row.direction {
            Direction::Inbound => self.from_citizen.push_back((row.seq, row.id)),
            Direction::Outbound => {
                let has_arrived = row.delivery != Some(DeliveryState::Sent);
                self.from_office.push_back((row.seq, row.id, row.contact, has_arrived));
            }
        }
        if self.from_citizen.len() > REMEMBERED_MAX {
            self.from_citizen.pop_front();
        }
        if self.from_office.len() > REMEMBERED_MAX {
            self.from_office.pop_front();
        }
    }

    async fn shown(&self, row: Row) -> Message {
        let from = match (row.direction, row.author) {
            (Direction::Inbound, _) => codec::From::Citizen,
            (Direction::Outbound, Some(_)) => codec::From::Operator,
            (Direction::Outbound, None) => codec::From::Office,
        };
        let name = match row.author {
            Some(author) => self.chat.room.name(author).await,
            None => None,
        };
        let client_id = (from == codec::From::Citizen).then(|| row.provider_id.as_deref().and_then(client_id)).flatten();
        Message {
            seq: row.seq,
            id: row.id,
            from,
            name,
            files: files::of_message(row.id, &row.attachments),
            at: row.at,
            client_id: client_id.map(str::to_owned),
            text: row.text,
        }
    }

    /// Something was said beside the conversation.
    pub async fn aside(&mut self, aside: &Aside, wire: &mut Wire) -> Result<(), End> {
        match &aside.body {
            AsideBody::OperatorTypes { operator } if self.state.operator == Some(*operator) => {
                let name = self.chat.room.name(*operator).await;
                wire.tell(&Told::Typing { name }).await
            }
            AsideBody::OperatorRead { message } => {
                let Some(seq) = self.from_citizen.iter().rev().find(|(_, id)| id == message).map(|(seq, _)| *seq) else { return Ok(()) };
                if !self.state.seen_by_operator(seq) {
                    return Ok(());
                }
                self.keep(ChatChange::OperatorRead(seq)).await;
                wire.tell(&Told::Mark { seq: self.state.seq, marks: self.state.marks }).await
            }
            _ => Ok(()),
        }
    }

    /// Keeps something that matters little if it is lost.
    async fn keep(&self, change: ChatChange) {
        if let Err(error) = self.chat.chats.change_chat(&self.session.administration, self.session.id, change).await {
            tracing::warn!(%error, "a chat's mark could not be kept");
        }
    }

    // ── where it is ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Whether the place in the queue matters.
    pub fn waits(&self) -> bool {
        self.state.waits()
    }

    /// The number up to which the browser has everything once it answers.
    pub fn mark(&self) -> i64 {
        self.last_message
    }

    fn wanted(&self) -> Option<Wanted> {
        let plan = self.chat.current_plan();
        let mut wanted = self.chat.wanted(&plan, &self.visitor, &self.session);
        if let (Some(wanted), Some(queue)) = (&mut wanted, &self.state.queue)
            && wanted.queue != *queue
        {
            (wanted.queue, wanted.requirement) = (queue.clone(), Default::default());
        }
        wanted
    }

    async fn attendance(&self) -> Attendance {
        let open = Attendance { is_open: true, notice: None };
        if self.state.status() == Status::Served {
            return open;
        }
        let plan = self.chat.current_plan();
        match self.wanted() {
            Some(wanted) => self.chat.room.attendance(&plan, &self.visitor.pool, &wanted).await.unwrap_or(open),
            None => Attendance::default(),
        }
    }

    async fn now_state(&mut self) -> State {
        let status = self.state.status();
        let Attendance { is_open: open, notice } = self.attendance().await;
        self.notice = notice;
        let place = match (status, &self.state.queue, self.state.contact) {
            (Status::Waiting, Some(queue), Some(contact)) => {
                self.chat.room.place(&self.session.administration, queue, contact).await.unwrap_or(None)
            }
            _ => None,
        };
        let name = match self.state.operator.filter(|_| status == Status::Served) {
            Some(operator) => self.chat.room.name(operator).await,
            None => None,
        };
        State { seq: self.state.seq, status, position: place, name, open, reason: self.state.reason() }
    }

    /// Tells where it is, if that is news or `always`.
    pub async fn tell_state(&mut self, wire: &mut Wire, always: bool) -> Result<(), End> {
        let state = self.now_state().await;
        let same = self.told.as_ref().is_some_and(|told| State { seq: state.seq, ..told.clone() } == state);
        if always || !same {
            self.told = Some(state.clone());
            wire.tell(&Told::State(state)).await?;
        }
        self.tell_unattended(wire).await
    }

    async fn tell_unattended(&mut self, wire: &mut Wire) -> Result<(), End> {
        let is_open = self.told.as_ref().is_some_and(|state| state.open);
        let is_unattended = matches!(self.state.status(), Status::Waiting) && (!is_open || self.state.is_deferrable());
        let unattended = is_unattended.then(|| Told::Unattended { notice: self.notice.clone() });
        if let Some(news) = unattended.as_ref().filter(|_| unattended != self.unattended) {
            wire.tell(news).await?;
        }
        self.unattended = unattended;
        Ok(())
    }
}

/// What is part of the chat: what went by it, and no machine wrote.
fn is_said(row: &Row) -> bool {
    row.channel.is_session() && row.automatic.is_none()
}
