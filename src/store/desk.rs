//! What the desk reads: contacts, conversations, messages, operators, figures. Each statement names its administrations, and
//! the scope of its transaction names them once more.

use crate::model::contact::StateName;
use crate::model::conversation::Message;
use crate::model::id::{AdministrationId, ContactId, ConversationId, InputId, MessageId, OfficeId, PoolId};
use crate::model::operator::Operator;
use crate::port::store::{
    ContactCount, ContactFilter, ContactSummary, Conversation, ConversationView, InputStatus, OperatorLoad, Page, QueueState, StoreError,
};

use super::engine::{Dialect, Engine, Scope, read};
use super::row::{message_columns, read_citizen, read_message, read_note};
use super::snapshot::read_queue;
use super::value::{Row, Value, arguments, list};

/// One statement for each database, told apart by how it looks a column up in the list `$1`: as an array PostgreSQL can look
/// it up in an index, which it doesn't with a subquery; SQLite has no arrays and does it with the subquery.
struct Texts {
    postgres: &'static str,
    sqlite: &'static str,
}

impl Texts {
    fn of(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Sqlite => self.sqlite,
        }
    }
}

macro_rules! texts {
    ($text:ident, $rest:literal) => {
        Texts {
            postgres: $text!("= any(array(select value ->> 0 from json_each($1)))", $rest),
            sqlite: $text!("in (select value ->> 0 from json_each($1))", $rest),
        }
    };
}

/// A contact with what lists show of it. `$1`: the administrations.
macro_rules! summary {
    ($among:literal, $rest:expr) => {
        concat!(
            "select c.record, v.subject, coalesce(\
             (select coalesce(a.name, a.address) from citizen_address a where a.administration = c.administration \
                 and a.key = c.address and (c.citizen is null or a.citizen = c.citizen) order by a.seen_at desc limit 1), \
             (select coalesce(a.name, a.address) from citizen_address a where a.administration = c.administration \
                 and a.citizen = c.citizen order by a.seen_at desc limit 1)) \
             from contact c left join conversation v on v.administration = c.administration and v.id = c.conversation \
             where c.administration ",
            $among,
            " ",
            $rest
        )
    };
}

/// A page of contacts: waiting ones in their order, then the others by how near they are to somebody's hands, oldest first. `$8`:
/// offices, `$9`: an operator, to either of whom it must belong.
macro_rules! contact_page {
    ($among:literal, $condition:literal) => {
        concat!(
            summary!(
                $among,
                "and c.state in (select value ->> 0 from json_each($2)) and ($3 is null or c.queue = $3) \
                 and ($4 is null or c.operator = $4) and ($5 is null or c.conversation = $5) \
                 and ($8 is null or c.administration || '/' || c.office in (select value ->> 0 from json_each($8)) or c.operator = $9) "
            ),
            $condition,
            " order by case c.state when 'queued' then 0 when 'pending' then 2 when 'deferred' then 3 when 'abandoned' then 4 \
             when 'closed' then 4 else 1 end, case when c.state = 'queued' then c.tier end, \
             case when c.state = 'queued' then c.due end, case when c.state = 'queued' then c.key_seq end, c.opened_at, c.id \
             limit $6 offset $7"
        )
    };
}

const CONTACT: Texts = texts!(summary, "and c.id = $2");
/// Repeats what the partial index of open contacts covers.
const OPEN_CONTACTS: Texts = texts!(contact_page, "and c.finished_at is null");
/// What is over, the newest first, of one administration: `$1`. An operator's (`$4`) are those they had last. Repeats what the partial
/// index covers, in its order.
macro_rules! finished_page {
    ($condition:literal) => {
        summary!(
            "= $1",
            concat!(
                "and c.finished_at is not null and c.state in (select value ->> 0 from json_each($2)) and ($3 is null or c.queue = $3) and ",
                $condition,
                " and ($5 is null or c.administration || '/' || c.office in (select value ->> 0 from json_each($5)) or c.helper = $6) \
                 order by c.finished_at desc, c.id desc limit $7"
            )
        )
    };
}
const FINISHED_CONTACTS: &str = finished_page!("$4 is null");
/// Says it without a null case, so that a prepared plan uses the index of helpers.
const FINISHED_CONTACTS_OF_OPERATOR: &str = finished_page!("c.helper = $4");
/// Says it without a null case, so that a prepared plan uses the index of conversations.
const CONTACTS_OF_CONVERSATION: Texts = texts!(contact_page, "and c.conversation = $5");

const CONVERSATION: &str = "select id, administration, citizen, subject, opened_at from conversation where administration = $1 and id = $2";
const ITS_CONTACTS: &str =
    "select record from contact where administration = $1 and conversation = $2 order by opened_at desc, id desc limit 500";
const ITS_MESSAGES: &str = concat!(
    "select ",
    message_columns!(),
    " from message m where m.administration = $1 and m.conversation = $2 order by m.at desc, m.place desc, m.id desc limit 500"
);
const ITS_NOTES: &str = "select id, administration, conversation, contact, author, at, text from note \
     where administration = $1 and conversation = $2 order by at desc, id desc limit 500";
const ITS_ADDRESSES: &str = "select administration, key, citizen, channel, address, name, level, seen_at from citizen_address \
     where administration = $1 and citizen in (select v.citizen from conversation v where v.administration = $1 and v.id = $2 \
     union select c.citizen from contact c where c.administration = $1 and c.conversation = $2) order by seen_at desc, key limit 500";
/// Open contacts of the conversation's citizen elsewhere. `$2`: the conversation, `$3`: its administration.
const ITS_CITIZENS_OTHERS: Texts = texts!(
    summary,
    "and c.finished_at is null and c.conversation <> $2 and c.citizen in \
     (select v.citizen from conversation v where v.administration = $3 and v.id = $2 \
     union select k.citizen from contact k where k.administration = $3 and k.conversation = $2) order by c.opened_at, c.id limit 20"
);
const MESSAGE: &str = concat!("select ", message_columns!(), " from message m where m.administration = $1 and m.id = $2");
/// By way of the conversation, which has the index.
const MESSAGES_OF_CONTACT: &str = concat!(
    "select ",
    message_columns!(),
    " from message m where m.administration = $1 and m.contact = $2 and m.conversation = \
     (select c.conversation from contact c where c.administration = $1 and c.id = $2) \
     order by m.at desc, m.place desc, m.id desc limit 500"
);
const OPERATORS: &str = "select record from operator where pool = $1 order by id";
const QUEUES: &str = "select queue, closed, notice from queue_state where pool = $1 order by queue";
const INPUT_STATUS: &str = "select i.at, i.outcome, c.record from input i \
     left join contact c on c.administration = i.administration and c.id = i.contact \
     where i.source = $2 and i.administration in (select value ->> 0 from json_each($1)) limit 1";
const COUNTS: &str = "select administration, office, queue, channel, state, count(*), min(queued_at) from contact \
     where pool = $1 and finished_at is null group by administration, office, queue, channel, state \
     order by administration, office, queue, channel, state";

const LOADS: &str = "select operator, channel, mode, state <> 'pending', count(*) from contact \
     where pool = $1 and finished_at is null and operator is not null group by 1, 2, 3, 4 order by 1, 2, 3, 4";

fn read_summary(row: &Row) -> Result<ContactSummary, StoreError> {
    Ok(ContactSummary { contact: row.json(0)?, subject: row.text_option(1)?, citizen: row.text_option(2)? })
}

pub async fn contact<E: Engine>(
    engine: &E,
    administrations: &[AdministrationId],
    contact: ContactId,
) -> Result<Option<ContactSummary>, StoreError> {
    let arguments = vec![list(administrations), Value::from(&contact)];
    read(engine, Scope::of(administrations), CONTACT.of(E::DIALECT), arguments).await?.first().map(read_summary).transpose()
}

pub async fn contacts<E: Engine>(
    engine: &E,
    administrations: &[AdministrationId],
    filter: &ContactFilter,
    page: Page,
) -> Result<Vec<ContactSummary>, StoreError> {
    let is_open = |state: &StateName| !matches!(state, StateName::Closed | StateName::Abandoned);
    let states: Vec<StateName> =
        if filter.states.is_empty() { StateName::ALL.into_iter().filter(is_open).collect() } else { filter.states.clone() };
    if filter.conversation.is_some() {
        return page_of(engine, administrations, filter, CONTACTS_OF_CONVERSATION, states, page).await;
    }
    let (open, over): (Vec<_>, Vec<_>) = states.into_iter().partition(is_open);
    if over.is_empty() {
        return page_of(engine, administrations, filter, OPEN_CONTACTS, open, page).await;
    }
    let first = Page { limit: page.offset + page.limit, offset: 0 };
    let mut found = if open.is_empty() { Vec::new() } else { page_of(engine, administrations, filter, OPEN_CONTACTS, open, first).await? };
    found.extend(finished(engine, administrations, filter, over, first.limit).await?);
    Ok(found.into_iter().skip(page.offset as usize).take(page.limit as usize).collect())
}

async fn page_of<E: Engine>(
    engine: &E,
    administrations: &[AdministrationId],
    filter: &ContactFilter,
    texts: Texts,
    states: Vec<StateName>,
    page: Page,
) -> Result<Vec<ContactSummary>, StoreError> {
    let (offices, holder) = reach_of(filter);
    let arguments = vec![
        list(administrations),
        list(states),
        filter.queue.as_ref().into(),
        filter.operator.as_ref().into(),
        filter.conversation.as_ref().into(),
        page.limit.into(),
        page.offset.into(),
        offices,
        holder,
    ];
    read(engine, Scope::of(administrations), texts.of(E::DIALECT), arguments).await?.iter().map(read_summary).collect()
}

/// The newest of what is over: of each administration as many as are wanted, for the index knows their order only there. One
/// administration after the other, so that never more than twice as many are held.
async fn finished<E: Engine>(
    engine: &E,
    administrations: &[AdministrationId],
    filter: &ContactFilter,
    states: Vec<StateName>,
    limit: u32,
) -> Result<Vec<ContactSummary>, StoreError> {
    let sql = if filter.operator.is_some() { FINISHED_CONTACTS_OF_OPERATOR } else { FINISHED_CONTACTS };
    let states = list(states);
    let mut found = Vec::new();
    for administration in administrations {
        let (offices, holder) = reach_of(filter);
        let (queue, operator) = (filter.queue.as_ref().into(), filter.operator.as_ref().into());
        let arguments = vec![Value::from(administration), states.clone(), queue, operator, offices, holder, limit.into()];
        for row in read(engine, Scope::of([administration]), sql, arguments).await? {
            found.push(read_summary(&row)?);
        }
        found.sort_by_key(|summary| std::cmp::Reverse((summary.contact.state.ended_at(), summary.contact.id)));
        found.truncate(limit as usize);
    }
    Ok(found)
}

fn reach_of(filter: &ContactFilter) -> (Value, Value) {
    let office = |(id, office): &(AdministrationId, OfficeId)| format!("{id}/{office}");
    let reach = filter.reach.as_ref();
    (reach.map_or(Value::Text(None), |reach| list(reach.offices.iter().map(office))), reach.and_then(|reach| reach.holder.as_ref()).into())
}

pub async fn conversation<E: Engine>(
    engine: &E,
    administration: &AdministrationId,
    conversation: ConversationId,
) -> Result<Option<ConversationView>, StoreError> {
    let steps = [CONVERSATION, ITS_CONTACTS, ITS_MESSAGES, ITS_NOTES, ITS_ADDRESSES];
    let mut steps = steps.map(|sql| (sql, arguments![administration, &conversation])).to_vec();
    let others = vec![list(std::slice::from_ref(administration)), Value::from(&conversation), Value::from(administration)];
    steps.push((ITS_CITIZENS_OTHERS.of(E::DIALECT), others));
    let answers = engine.read(Scope::of([administration]), steps).await?;
    let [itself, contacts, messages, notes, addresses, elsewhere] = answers.as_slice() else {
        return Err(StoreError::Unreadable("an answer for each statement was expected".into()));
    };
    let Some(itself) = itself.first() else { return Ok(None) };
    Ok(Some(ConversationView {
        conversation: read_conversation(itself)?,
        contacts: contacts.iter().rev().map(|row| row.json(0)).collect::<Result<_, _>>()?,
        messages: messages.iter().rev().map(read_message).collect::<Result<_, _>>()?,
        notes: notes.iter().rev().map(read_note).collect::<Result<_, _>>()?,
        addresses: addresses.iter().map(read_citizen).collect::<Result<_, _>>()?,
        elsewhere: elsewhere.iter().map(read_summary).collect::<Result<_, _>>()?,
    }))
}

fn read_conversation(row: &Row) -> Result<Conversation, StoreError> {
    Ok(Conversation {
        id: row.parse(0)?,
        administration: row.parse(1)?,
        citizen: row.parse_option(2)?,
        subject: row.text_option(3)?,
        opened_at: row.time(4)?,
    })
}

pub async fn message<E: Engine>(engine: &E, administration: &AdministrationId, message: MessageId) -> Result<Option<Message>, StoreError> {
    let rows = read(engine, Scope::of([administration]), MESSAGE, arguments![administration, &message]).await?;
    rows.first().map(read_message).transpose()
}

pub async fn messages_of_contact<E: Engine>(
    engine: &E,
    administration: &AdministrationId,
    contact: ContactId,
) -> Result<Vec<Message>, StoreError> {
    let rows = read(engine, Scope::of([administration]), MESSAGES_OF_CONTACT, arguments![administration, &contact]).await?;
    rows.iter().rev().map(read_message).collect()
}

pub async fn operators<E: Engine>(engine: &E, pool: &PoolId) -> Result<Vec<Operator>, StoreError> {
    let rows = read(engine, Scope::Installation, OPERATORS, arguments![pool]).await?;
    rows.iter().map(|row| row.json(0)).collect()
}

pub async fn queue_states<E: Engine>(engine: &E, pool: &PoolId) -> Result<Vec<QueueState>, StoreError> {
    read(engine, Scope::Installation, QUEUES, arguments![pool]).await?.iter().map(read_queue).collect()
}

pub async fn input_status<E: Engine>(
    engine: &E,
    administrations: &[AdministrationId],
    input: InputId,
) -> Result<Option<InputStatus>, StoreError> {
    let arguments = vec![list(administrations), Value::from(&input)];
    let rows = read(engine, Scope::of(administrations), INPUT_STATUS, arguments).await?;
    let status = |row: &Row| Ok(InputStatus { at: row.time(0)?, outcome: row.text(1)?, contact: row.json_option(2)? });
    rows.first().map(status).transpose()
}

pub async fn contact_counts<E: Engine>(engine: &E, pool: &PoolId) -> Result<Vec<ContactCount>, StoreError> {
    let rows = read(engine, Scope::Pool(pool.clone()), COUNTS, arguments![pool]).await?;
    let count = |row: &Row| {
        Ok(ContactCount {
            administration: row.parse(0)?,
            office: row.parse(1)?,
            queue: row.parse(2)?,
            channel: row.parse(3)?,
            state: row.word(4)?,
            count: row.int(5)?,
            oldest: row.time(6)?,
        })
    };
    rows.iter().map(count).collect()
}

pub async fn operator_loads<E: Engine>(engine: &E, pool: &PoolId) -> Result<Vec<OperatorLoad>, StoreError> {
    let rows = read(engine, Scope::Pool(pool.clone()), LOADS, arguments![pool]).await?;
    let load = |row: &Row| {
        Ok(OperatorLoad { operator: row.parse(0)?, channel: row.parse(1)?, mode: row.word(2)?, holds: row.flag(3)?, count: row.int(4)? })
    };
    rows.iter().map(load).collect()
}
