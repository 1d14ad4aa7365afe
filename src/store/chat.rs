//! Citizens' chats on web pages: opened, resumed, changed, forgotten.

use async_trait::async_trait;

use crate::model::id::{AdministrationId, ChatSessionId};
use crate::model::time::Timestamp;
use crate::port::chat::{ChatChange, ChatSession, Chats};
use crate::port::store::StoreError;

use super::SqlStore;
use super::engine::{Engine, Scope, read};
use super::value::{Row, arguments, clean, list};

macro_rules! chat_columns {
    () => {
        "select id, administration, account, name, email, topic, language, created_at, expires_at, present_until, gone, ended, \
         operator_read, citizen_read, transcript_to from chat "
    };
}

const OPEN: &str = "insert into chat (administration, id, account, name, email, topic, language, created_at, expires_at, present_until) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const CHAT: &str = concat!(chat_columns!(), "where administration = $1 and id = $2 and expires_at > $3");
/// What a node says later about its own connection must not hide what another said of a newer one. Of a chat that was ended the pool
/// was told for good, connected or not.
const PRESENT: &str = "update chat set gone = case when ended = 1 then gone else 0 end, \
     present_until = case when present_until < $3 then $3 else present_until end \
     where administration = $1 and id = $2";
const ALL_PRESENT: &str = "update chat set gone = case when ended = 1 then gone else 0 end, \
     present_until = case when present_until < $3 then $3 else present_until end \
     where administration = $1 and id in (select value ->> 0 from json_each($2))";
const ABSENT: &str = "update chat set present_until = $3 where administration = $1 and id = $2 and present_until <= $4";
const GONE: &str = "update chat set gone = 1 where administration = $1 and id = $2 and present_until = $3";
const ENDED: &str = "update chat set ended = 1 where administration = $1 and id = $2";
const END_TOLD: &str = "update chat set gone = 1 where administration = $1 and id = $2 and ended = 1";
const EMAIL: &str = "update chat set email = $3, expires_at = case when expires_at < $4 then $4 else expires_at end \
     where administration = $1 and id = $2";
const OPERATOR_READ: &str = "update chat set operator_read = $3 where administration = $1 and id = $2 and operator_read < $3";
const CITIZEN_READ: &str = "update chat set citizen_read = $3 where administration = $1 and id = $2 and citizen_read < $3";
const WANT_TRANSCRIPT: &str = "update chat set transcript_to = $3, transcript_sent = 0, \
     transcript_addresses = transcript_addresses + case when transcript_to = $3 then 0 else 1 end \
     where administration = $1 and id = $2 and (transcript_to = $3 or transcript_addresses < $4) returning id";
const TRANSCRIPT_SENT: &str = "update chat set transcript_sent = 1 where administration = $1 and id = $2 and transcript_to = $3";
const ABSENT_CHATS: &str = concat!(
    chat_columns!(),
    "where administration = $1 and gone = 0 and (present_until, id) > ($2, $3) and present_until < $4 order by present_until, id limit $5"
);
/// By the index of those who are not gone.
const ENDED_CHATS: &str = concat!(
    chat_columns!(),
    "where administration = $1 and gone = 0 and ended = 1 and (present_until, id) > ($2, $3) order by present_until, id limit $4"
);
const WANTED_TRANSCRIPTS: &str = concat!(
    chat_columns!(),
    "where administration = $1 and transcript_to is not null and transcript_sent = 0 and (created_at, id) > ($2, $3) \
     order by created_at, id limit $4"
);
const FORGET: &str = "delete from chat where administration = $1 and expires_at <= $2 returning id";

fn read_chat(row: &Row) -> Result<ChatSession, StoreError> {
    Ok(ChatSession {
        id: row.parse(0)?,
        administration: row.parse(1)?,
        account: row.parse(2)?,
        name: row.text(3)?,
        email: row.text_option(4)?,
        topic: row.parse_option(5)?,
        language: row.text_option(6)?.and_then(|code| crate::model::channel::Language::new(&code).ok()),
        created_at: row.time(7)?,
        expires_at: row.time(8)?,
        present_until: row.time(9)?,
        gone: row.int(10)? != 0,
        ended: row.int(11)? != 0,
        operator_read: row.int(12)?,
        citizen_read: row.int(13)?,
        transcript_to: row.text_option(14)?,
    })
}

/// Where a list by time goes on; at its beginning, before everything.
fn place(after: Option<&ChatSession>, time: impl Fn(&ChatSession) -> Timestamp) -> (Timestamp, String) {
    after.map_or((Timestamp(i64::MIN), String::new()), |chat| (time(chat), chat.id.to_string()))
}

async fn write_one<E: Engine>(
    engine: &E,
    administration: &AdministrationId,
    sql: &'static str,
    arguments: Vec<super::value::Value>,
) -> Result<u64, StoreError> {
    let answers = engine.write(Scope::of([administration]), vec![(sql, arguments)]).await?;
    Ok(answers.first().map_or(0, |rows| rows.len() as u64))
}

#[async_trait]
impl<E: Engine> Chats for SqlStore<E> {
    async fn open_chat(&self, chat: &ChatSession) -> Result<(), StoreError> {
        let arguments = arguments![
            &chat.administration,
            &chat.id,
            &chat.account,
            clean(&chat.name),
            chat.email.as_deref().map(clean),
            chat.topic.as_ref(),
            chat.language.map(|language| language.to_string()),
            chat.created_at,
            chat.expires_at,
            chat.present_until,
        ];
        write_one(&*self.engine, &chat.administration, OPEN, arguments).await.map(drop)
    }

    async fn chat(&self, administration: &AdministrationId, id: ChatSessionId, now: Timestamp) -> Result<Option<ChatSession>, StoreError> {
        let rows = read(&*self.engine, Scope::of([administration]), CHAT, arguments![administration, &id, now]).await?;
        rows.first().map(read_chat).transpose()
    }

    async fn change_chat(&self, administration: &AdministrationId, id: ChatSessionId, change: ChatChange) -> Result<(), StoreError> {
        let (sql, last): (_, Vec<super::value::Value>) = match change {
            ChatChange::Present(until) => (PRESENT, vec![until.into()]),
            ChatChange::Absent(at, known) => (ABSENT, vec![at.into(), known.into()]),
            ChatChange::Gone(as_of) => (GONE, vec![as_of.into()]),
            ChatChange::Ended => (ENDED, Vec::new()),
            ChatChange::EndTold => (END_TOLD, Vec::new()),
            ChatChange::Email(email, until) => (EMAIL, vec![clean(&email).into(), until.into()]),
            ChatChange::OperatorRead(seq) => (OPERATOR_READ, vec![seq.into()]),
            ChatChange::CitizenRead(seq) => (CITIZEN_READ, vec![seq.into()]),
            ChatChange::TranscriptSent(to) => (TRANSCRIPT_SENT, vec![clean(&to).into()]),
        };
        let mut arguments = arguments![administration, &id];
        arguments.extend(last);
        write_one(&*self.engine, administration, sql, arguments).await.map(drop)
    }

    async fn want_transcript(
        &self,
        administration: &AdministrationId,
        id: ChatSessionId,
        email: &str,
        addresses_max: u32,
    ) -> Result<bool, StoreError> {
        let arguments = arguments![administration, &id, clean(email), addresses_max];
        Ok(write_one(&*self.engine, administration, WANT_TRANSCRIPT, arguments).await? > 0)
    }

    async fn chats_present(&self, administration: &AdministrationId, ids: &[ChatSessionId], until: Timestamp) -> Result<(), StoreError> {
        let mut arguments = arguments![administration];
        arguments.push(list(ids));
        arguments.push(until.into());
        write_one(&*self.engine, administration, ALL_PRESENT, arguments).await.map(drop)
    }

    async fn absent_chats(
        &self,
        administration: &AdministrationId,
        since: Timestamp,
        after: Option<&ChatSession>,
        limit: u32,
    ) -> Result<Vec<ChatSession>, StoreError> {
        let (time, id) = place(after, |chat| chat.present_until);
        let arguments = arguments![administration, time, id, since, limit];
        let rows = read(&*self.engine, Scope::of([administration]), ABSENT_CHATS, arguments).await?;
        rows.iter().map(read_chat).collect()
    }

    async fn ended_chats(
        &self,
        administration: &AdministrationId,
        after: Option<&ChatSession>,
        limit: u32,
    ) -> Result<Vec<ChatSession>, StoreError> {
        let (time, id) = place(after, |chat| chat.present_until);
        let rows = read(&*self.engine, Scope::of([administration]), ENDED_CHATS, arguments![administration, time, id, limit]).await?;
        rows.iter().map(read_chat).collect()
    }

    async fn wanted_transcripts(
        &self,
        administration: &AdministrationId,
        after: Option<&ChatSession>,
        limit: u32,
    ) -> Result<Vec<ChatSession>, StoreError> {
        let (time, id) = place(after, |chat| chat.created_at);
        let rows =
            read(&*self.engine, Scope::of([administration]), WANTED_TRANSCRIPTS, arguments![administration, time, id, limit]).await?;
        rows.iter().map(read_chat).collect()
    }

    async fn forget_chats(&self, administration: &AdministrationId, now: Timestamp) -> Result<u64, StoreError> {
        write_one(&*self.engine, administration, FORGET, arguments![administration, now]).await
    }
}
