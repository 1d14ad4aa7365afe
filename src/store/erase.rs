//! Erasing a conversation. What can be read of a citizen goes; ids, states and times stay, for the figures and so that the engine's
//! numbers have no hole. Commits of the pools it was in wait meanwhile: nothing is added to it between the look and the deed.

use std::collections::BTreeSet;

use crate::model::contact::{Contact, StateName};
use crate::model::conversation::{Attachment, BlobRef, Party};
use crate::model::id::{AdministrationId, CitizenId, ContactId, ConversationId, MessageId};
use crate::port::keeping::{Erased, Erasure};
use crate::port::store::StoreError;

use super::engine::{Dialect, Engine, Scope, Session, read};
use super::snapshot::ABANDONED_WITHIN;
use super::value::{Row, Value, arguments, json, list};

/// A commit locks its pool's progress first too. SQLite's `begin immediate` has excluded everybody already.
const HOLD_COMMITS: &str = "select p.pool from progress p where p.pool in \
     (select c.pool from contact c where c.administration = $1 and c.conversation = $2) order by p.pool for update of p";
const CONVERSATION: &str = "select citizen from conversation where administration = $1 and id = $2";
/// The engine holds an abandoned contact for a while: its citizen may come back.
const CONTACTS: &str = "select c.id, c.state, coalesce(c.abandoned_at > k.us - $3, false), c.finished_at is null, c.citizen, c.address, c.record \
     from contact c cross join clock k where c.administration = $1 and c.conversation = $2 order by c.id";
/// Pool and number of the input that brought a message: one numbering for inputs and events, so it is the last before the event.
const MESSAGES: &str = "select m.id, m.delivery, m.channel, m.sender, m.html, m.attachments, m.raw, m.pool, \
     (select i.seq from input i where i.pool = m.pool and i.seq <= m.place and m.direction = 'inbound' order by i.seq desc limit 1) \
     from message m where m.administration = $1 and m.conversation = $2 order by m.id";

/// The input's row stays and keeps its key; who wrote is gone from it. `$1`: `[[pool, number], …]`.
const BLANK_INPUTS: &str = "update input set body = '{\"input\":\"erased\"}' \
     from (select value ->> 0 as pool, cast(value ->> 1 as bigint) as seq from json_each($1)) as k \
     where input.pool = k.pool and input.seq = k.seq and input.kind = 'inbound' and input.source is not null returning source";
const BURY: &str = "insert into tombstone (administration, source, erased_at) \
     select $1, s.value ->> 0, k.us from json_each($2) s cross join clock k where true on conflict (administration, source) do nothing";

const ATTEMPTS: &str = "delete from attempt where administration = $1 \
     and message in (select m.id from message m where m.administration = $1 and m.conversation = $2)";
const DELETE_MESSAGES: &str = "delete from message where administration = $1 and conversation = $2";
const NOTES: &str = "delete from note where administration = $1 and conversation = $2 returning id";
const MARKS: &str = "delete from read_mark where administration = $1 and conversation = $2";
const CHAT: &str = "delete from chat where administration = $1 and id = $2";
/// Of a citizen who has other conversations the addresses of those stay. `$4`: the addresses of this one.
const ADDRESSES_OF: &str = "delete from citizen_address where administration = $1 and citizen = $2 and not exists \
     (select 1 from contact c where c.administration = $1 and c.citizen = $2 and c.conversation <> $3 \
      and (c.address = citizen_address.key or citizen_address.key not in (select value ->> 0 from json_each($4))))";
/// Who else was known by an address of this conversation, and has no conversation at all.
const OTHERS_AT: &str = "delete from citizen_address where administration = $1 and key = $2 and not exists \
     (select 1 from contact c where c.administration = $1 and c.citizen = citizen_address.citizen and c.conversation <> $3)";
const BLANK_CONTACT: &str = "update contact set citizen = null, address = null, record = $3 where administration = $1 and id = $2";
const BLANK_CONVERSATION: &str = "update conversation set citizen = null, subject = null where administration = $1 and id = $2";

const CONVERSATIONS_OF: &str = "select distinct conversation from contact where administration = $1 and citizen = $2 order by conversation";

pub async fn conversations_of<E: Engine>(
    engine: &E,
    administration: &AdministrationId,
    citizen: CitizenId,
) -> Result<Vec<ConversationId>, StoreError> {
    let rows = read(engine, Scope::of([administration]), CONVERSATIONS_OF, arguments![administration, &citizen]).await?;
    rows.iter().map(|row| row.parse(0)).collect()
}

/// Erases on a connection of its own: dropped at any error, and the database undoes what was begun.
pub async fn erase<E: Engine>(engine: &E, administration: &AdministrationId, conversation: ConversationId) -> Result<Erasure, StoreError> {
    let mut session = engine.session().await?;
    session.begin(&Scope::of([administration]), true).await?;
    let mut here = Here { session: session.as_mut(), administration, conversation };
    if E::DIALECT == Dialect::Postgres {
        here.run(HOLD_COMMITS, vec![]).await?;
    }
    let erasure = match here.look().await? {
        Look::No(erasure) => erasure,
        Look::Go(found) => Erasure::Done(here.clear(found).await?),
    };
    session.commit().await?;
    Ok(erasure)
}

enum Look {
    No(Erasure),
    Go(Found),
}

/// What there is of a conversation that may go.
struct Found {
    contacts: Vec<Contact>,
    citizens: BTreeSet<String>,
    addresses: BTreeSet<String>,
    /// Chat sessions: what its citizens are called on that channel.
    chats: BTreeSet<String>,
    /// Pool and number.
    inputs: BTreeSet<(String, i64)>,
    blobs: BTreeSet<String>,
    messages: u64,
}

struct Here<'a> {
    session: &'a mut dyn Session,
    administration: &'a AdministrationId,
    conversation: ConversationId,
}

impl Here<'_> {
    /// Runs a statement about this conversation: `$1` and `$2`.
    async fn run(&mut self, sql: &'static str, more: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let mut arguments = arguments![self.administration, &self.conversation];
        arguments.extend(more);
        self.session.run(sql, arguments).await
    }

    async fn look(&mut self) -> Result<Look, StoreError> {
        let rows = self.run(CONVERSATION, vec![]).await?;
        let Some(row) = rows.first() else { return Ok(Look::No(Erasure::Unknown)) };
        let mut found = Found {
            contacts: Vec::new(),
            citizens: row.text_option(0)?.into_iter().collect(),
            addresses: BTreeSet::new(),
            chats: BTreeSet::new(),
            inputs: BTreeSet::new(),
            blobs: BTreeSet::new(),
            messages: 0,
        };
        for row in self.run(CONTACTS, vec![ABANDONED_WITHIN.into()]).await? {
            if row.flag(2)? || row.flag(3)? {
                let (contact, state): (ContactId, StateName) = (row.parse(0)?, row.word(1)?);
                return Ok(Look::No(Erasure::Open(contact, state)));
            }
            found.citizens.extend(row.text_option(4)?);
            found.addresses.extend(row.text_option(5)?);
            found.contacts.push(row.json(6)?);
        }
        for row in self.run(MESSAGES, vec![]).await? {
            if row.text_option(1)?.is_some_and(|delivery| delivery == "queued" || delivery == "attempting") {
                return Ok(Look::No(Erasure::Sending(row.parse::<MessageId>(0)?)));
            }
            if row.text(2)? == "webchat" {
                found.chats.extend(row.json_option::<Party>(3)?.map(|party| party.address));
            }
            let files = row.json::<Vec<Attachment>>(5)?.into_iter().map(|file| file.blob);
            let blobs = row.json_option::<BlobRef>(4)?.into_iter().chain(row.json_option(6)?).chain(files);
            found.blobs.extend(blobs.map(|blob| blob.key));
            if let Some(number) = row.int_option(8)? {
                found.inputs.insert((row.text(7)?, number));
            }
            found.messages += 1;
        }
        Ok(Look::Go(found))
    }

    async fn clear(&mut self, found: Found) -> Result<Erased, StoreError> {
        let inputs = Value::from(json(&found.inputs)?);
        let sources = self.session.run(BLANK_INPUTS, vec![inputs]).await?;
        let sources = sources.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
        self.session.run(BURY, vec![self.administration.into(), list(sources)]).await?;
        for chat in found.chats {
            self.session.run(CHAT, arguments![self.administration, chat]).await?;
        }
        self.run(ATTEMPTS, vec![]).await?;
        self.run(DELETE_MESSAGES, vec![]).await?;
        let notes = self.run(NOTES, vec![]).await?;
        self.run(MARKS, vec![]).await?;
        for citizen in &found.citizens {
            let arguments = arguments![self.administration, citizen.as_str(), &self.conversation];
            self.session.run(ADDRESSES_OF, arguments.into_iter().chain([list(&found.addresses)]).collect()).await?;
        }
        for address in &found.addresses {
            self.session.run(OTHERS_AT, arguments![self.administration, address.as_str(), &self.conversation]).await?;
        }
        for contact in found.contacts {
            let id = contact.id;
            let blank = Contact { citizen: None, citizen_level: None, address: None, case: None, ..contact };
            self.session.run(BLANK_CONTACT, arguments![self.administration, &id, json(&blank)?]).await?;
        }
        self.run(BLANK_CONVERSATION, vec![]).await?;
        Ok(Erased { messages: found.messages, notes: notes.len() as u64, blobs: found.blobs.into_iter().collect() })
    }
}
