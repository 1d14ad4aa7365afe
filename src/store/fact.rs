//! What intake asks for: one query for a batch of inbound events, one more when some of them answer messages of ours, one for
//! each adapter's report.

use std::collections::HashMap;

use crate::model::delivery::Delivery;
use crate::model::id::{AdministrationId, ConversationId, MessageId, OfficeId, OperatorId, PoolId};
use crate::port::store::{FactQuery, FactRow, StoreError};

use super::engine::{Engine, Scope, read};
use super::row::{delivery_columns, read_delivery};
use super::value::{Row, Value, arguments};

// Every look-up here is a scalar subquery: the database finds its row by an index whatever it believes about the tables' sizes.
// A join or an EXISTS may be planned on a fresh table to read it whole, and that plan is kept while the table grows.

/// `$1`: `[[query, rank, administration, message], …]`. Without a conversation: no such message of ours.
const REFERENCES: &str = "select cast(r.value ->> 0 as bigint), cast(r.value ->> 1 as bigint), \
     (select m.conversation from message m where m.administration = r.value ->> 2 and m.id = r.value ->> 3) from json_each($1) r";

/// `$2`: `[[query, administration, input, address, channel, conversation, thread], …]`. The channels named are those whose
/// contacts go on by address (`Channel::joins_by_address`); the index holds no others.
const FACTS: &str = "\
with asked as materialized (
    select cast(value ->> 0 as bigint) as n, value ->> 1 as administration, value ->> 2 as input, value ->> 3 as address,
           value ->> 4 as channel, value ->> 5 as conversation, value ->> 6 as thread
    from json_each($2)
), found as materialized (
    select asked.n, asked.administration, asked.conversation, asked.address,
        coalesce((select i.seq from input i where i.source = asked.input and i.pool = $1),
            (select t.erased_at from tombstone t where t.administration = asked.administration and t.source = asked.input))
            is not null as duplicate,
        (select c.id from contact c where c.administration = asked.administration and c.conversation = asked.conversation
            order by c.opened_at desc, c.id desc limit 1) as newest,
        (select c.id from contact c where c.administration = asked.administration and c.address = asked.address
            and c.channel = asked.channel and c.channel in ('sms', 'webchat') order by c.opened_at desc limit 1) as recent,
        (select case count(distinct a.citizen) when 0 then null when 1 then min(a.citizen) else '' end from citizen_address a
            where a.administration = asked.administration and a.key = asked.address) as citizen,
        (select i.contact from input i where i.source = asked.thread and i.pool = $1) as thread_contact
    from asked
)
select found.n, found.duplicate, newest.record, recent.record, found.citizen,
    (select c.helper || ' ' || c.office from contact c where c.administration = found.administration and c.citizen = found.citizen
        and c.state = 'closed' order by c.finished_at desc limit 1),
    found.thread_contact,
    (select a.level from citizen_address a where a.administration = found.administration and a.key = found.address
        and a.citizen = found.citizen)
from found
left join contact newest on newest.administration = found.administration and newest.id = found.newest
left join contact recent on recent.administration = found.administration and recent.id = found.recent";

const DELIVERY: &str =
    concat!("select ", delivery_columns!(), " from message where administration = $1 and id = $2 and origin is not null");

pub async fn facts<E: Engine>(engine: &E, pool: &PoolId, queries: &[FactQuery]) -> Result<Vec<FactRow>, StoreError> {
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let scope = Scope::of(queries.iter().map(|query| &query.administration));
    let conversations = references(engine, scope.clone(), queries).await?;
    let asked: Vec<serde_json::Value> = queries
        .iter()
        .enumerate()
        .map(|(n, query)| {
            serde_json::json!([
                n,
                query.administration.as_str(),
                query.input,
                query.address,
                query.channel.as_str(),
                conversations.get(&n).map(|(_, conversation)| conversation),
                query.thread,
            ])
        })
        .collect();
    let asked = serde_json::Value::Array(asked).to_string();
    let mut facts = vec![FactRow::default(); queries.len()];
    for row in read(engine, scope, FACTS, arguments![pool, asked]).await? {
        if let Some(fact) = facts.get_mut(row.small(0)? as usize) {
            *fact = read_fact(&row)?;
        }
    }
    Ok(facts)
}

/// A delivery as it is stored.
pub async fn delivery<E: Engine>(
    engine: &E,
    administration: &AdministrationId,
    message: MessageId,
) -> Result<Option<Delivery>, StoreError> {
    let rows = read(engine, Scope::of([administration]), DELIVERY, arguments![administration, &message]).await?;
    rows.first().map(read_delivery).transpose()
}

/// The conversation of the newest message of ours that each query names, with its rank.
async fn references<E: Engine>(
    engine: &E,
    scope: Scope,
    queries: &[FactQuery],
) -> Result<HashMap<usize, (i64, ConversationId)>, StoreError> {
    let mut newest: HashMap<usize, (i64, ConversationId)> = HashMap::new();
    let asked: Vec<serde_json::Value> = queries
        .iter()
        .enumerate()
        .flat_map(|(n, query)| {
            let named = query.references.iter().enumerate();
            named.map(move |(rank, message)| serde_json::json!([n, rank, query.administration.as_str(), message]))
        })
        .collect();
    if asked.is_empty() {
        return Ok(newest);
    }
    let asked = Value::from(serde_json::Value::Array(asked).to_string());
    for row in read(engine, scope, REFERENCES, vec![asked]).await? {
        let Some(conversation) = row.parse_option(2)? else { continue };
        let (n, rank) = (row.small(0)? as usize, row.int(1)?);
        let entry = newest.entry(n).or_insert((rank, conversation));
        if entry.0 < rank {
            *entry = (rank, conversation);
        }
    }
    Ok(newest)
}

fn read_fact(row: &Row) -> Result<FactRow, StoreError> {
    // several citizens are an empty name: one look at the index says all there is to say
    let shared = row.text_option(4)?.is_some_and(|citizen| citizen.is_empty());
    Ok(FactRow {
        duplicate: row.flag(1)?,
        reference: row.json_option(2)?,
        recent: row.json_option(3)?,
        citizen: if shared { None } else { row.parse_option(4)? },
        citizen_level: row.word_option(7)?.unwrap_or_default(),
        shared,
        last_helper: row.text_option(5)?.as_deref().map(read_helper).transpose()?,
        thread_contact: row.parse_option(6)?,
    })
}

/// `op_… office`.
fn read_helper(text: &str) -> Result<(OperatorId, OfficeId), StoreError> {
    let unreadable = || StoreError::Unreadable("a closed contact's helper and office were expected".into());
    let (operator, office) = text.split_once(' ').ok_or_else(unreadable)?;
    Ok((operator.parse().map_err(|_| unreadable())?, office.parse().map_err(|_| unreadable())?))
}
