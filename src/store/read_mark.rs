//! How far operators have read conversations, and what is new to them.

use crate::model::id::{AdministrationId, ContactId, OperatorId};
use crate::port::store::{ReadMark, StoreError};

use super::engine::{Dialect, Engine, Scope, read};
use super::value::{Row, Value, arguments, list};

const PUT: &str = "insert into read_mark (administration, conversation, operator, until) values ($1, $2, $3, $4) \
     on conflict (administration, conversation, operator) do update set until = excluded.until where read_mark.until < excluded.until";
/// By way of the contacts' keys and their conversations, which have indexes. `$1`: the administrations, `$2`: the contacts, `$3`: who
/// reads. Both lists are looked up as `store::desk` does it.
macro_rules! unread {
    ($administrations:literal, $contacts:literal) => {
        concat!(
            "with mine as (select c.administration, c.conversation, c.id, \
             case when r.until > c.queued_at then r.until else c.queued_at end as since from contact c \
             left join read_mark r on r.administration = c.administration and r.conversation = c.conversation and r.operator = $3 \
             where c.administration ",
            $administrations,
            " and c.id ",
            $contacts,
            ") select news.id, count(*) from (\
             select mine.id from mine join message m on m.administration = mine.administration \
             and m.conversation = mine.conversation and m.at > mine.since where m.contact = mine.id and m.direction = 'inbound' \
             union all \
             select mine.id from mine join message m on m.administration = mine.administration \
             and m.conversation = mine.conversation where m.contact = mine.id and m.delivery in ('failed', 'bounced', 'unknown') \
             and m.due > mine.since \
             union all \
             select mine.id from mine join note n on n.administration = mine.administration and n.conversation = mine.conversation \
             and n.at > mine.since where n.contact = mine.id and n.author <> $3) news group by news.id order by news.id"
        )
    };
}
const UNREAD_IN_POSTGRES: &str =
    unread!("= any(array(select value ->> 0 from json_each($1)))", "= any(array(select value ->> 0 from json_each($2)))");
const UNREAD_IN_SQLITE: &str = unread!("in (select value ->> 0 from json_each($1))", "in (select value ->> 0 from json_each($2))");

pub async fn put<E: Engine>(engine: &E, mark: &ReadMark) -> Result<(), StoreError> {
    let ReadMark { administration, conversation, operator, until } = mark;
    let put = arguments![administration, conversation, operator, *until];
    engine.write(Scope::of([administration]), vec![(PUT, put)]).await.map(drop)
}

pub async fn unread<E: Engine>(
    engine: &E,
    administrations: &[AdministrationId],
    operator: OperatorId,
    contacts: &[ContactId],
) -> Result<Vec<(ContactId, u32)>, StoreError> {
    if contacts.is_empty() {
        return Ok(Vec::new());
    }
    let arguments = vec![list(administrations), list(contacts), Value::from(&operator)];
    let text = match E::DIALECT {
        Dialect::Postgres => UNREAD_IN_POSTGRES,
        Dialect::Sqlite => UNREAD_IN_SQLITE,
    };
    let rows = read(engine, Scope::of(administrations), text, arguments).await?;
    rows.iter().map(|row: &Row| Ok((row.parse(0)?, row.small(1)?))).collect()
}
