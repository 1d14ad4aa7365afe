//! What could not be processed: kept once, listed, settled by command.

use crate::port::store::{Page, QuarantineReach, Quarantined, StoreError};

use super::engine::{Engine, Scope, Step, read, write};
use super::row::read_quarantined;
use super::value::{Value, arguments, clean, list};

/// Kept once. What was retried and failed again is held again, with its newest reason; what was discarded and comes anew is held anew,
/// with its bytes.
const PUT: &str = "insert into quarantine (pool, administration, source, key, message_id, reason, body, at, state) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, 'held') on conflict (source, message_id) do update set state = 'held', \
     reason = excluded.reason, body = excluded.body, at = excluded.at where quarantine.state <> 'held'";
const ITEM: &str = "select id, pool, administration, source, key, message_id, reason, body, at, state from quarantine where id = $1";
/// `$1`: administrations, none: everything; `$6`: what was retried too, as long as its bytes are there; `$2`: the pool whose strays are shown too, `$3`: the administrations they are not of.
const PAGE: &str = "select id, pool, administration, source, key, message_id, reason, substr(body, 1, 0), at, state from quarantine \
     where (state = 'held' or (state = 'retried' and $6)) and ($1 is null or administration in (select value ->> 0 from json_each($1)) \
     or ((pool is null or pool = $2) and $2 is not null \
         and (administration is null or administration not in (select value ->> 0 from json_each($3))))) \
     order by at desc, id desc limit $4 offset $5";
const SETTLE: &str = "update quarantine set state = $2, body = case when $2 = 'discarded' then substr(body, 1, 0) else body end \
     where id = $1 and (state = 'held' or (state = 'retried' and $2 = 'discarded')) returning id";
const COUNTS: &str = "select source, count(*) from quarantine where state = 'held' group by source order by source";

/// The statement that keeps an item.
pub fn step(item: &Quarantined) -> Step {
    let pool = item.pool.as_ref();
    let administration = item.administration.as_ref();
    let (key, message_id, reason) = (clean(&item.key), clean(&item.message_id), clean(&item.reason));
    (PUT, arguments![pool, administration, item.source.as_str(), key, message_id, reason, item.body.as_slice(), item.at])
}

pub async fn put<E: Engine>(engine: &E, item: &Quarantined) -> Result<(), StoreError> {
    let (sql, arguments) = step(item);
    write(engine, sql, arguments).await.map(drop)
}

pub async fn page<E: Engine>(
    engine: &E,
    reach: Option<&QuarantineReach>,
    retried: bool,
    page: Page,
) -> Result<Vec<Quarantined>, StoreError> {
    let strays = reach.and_then(|reach| reach.strays.as_ref());
    let arguments = vec![
        reach.map_or(Value::Text(None), |reach| list(&reach.administrations)),
        strays.map(|(pool, _)| pool).into(),
        list(strays.map_or(&[][..], |(_, known)| known)),
        page.limit.into(),
        page.offset.into(),
        retried.into(),
    ];
    let rows = read(engine, Scope::Installation, PAGE, arguments).await?;
    rows.iter().map(read_quarantined).collect()
}

pub async fn item<E: Engine>(engine: &E, id: i64) -> Result<Option<Quarantined>, StoreError> {
    read(engine, Scope::Installation, ITEM, arguments![id]).await?.first().map(read_quarantined).transpose()
}

pub async fn settle<E: Engine>(engine: &E, id: i64, state: &str) -> Result<bool, StoreError> {
    if !["retried", "discarded"].contains(&state) {
        return Err(StoreError::Refused(format!("an item is `retried` or `discarded`, not `{state}`")));
    }
    Ok(!write(engine, SETTLE, arguments![id, state]).await?.is_empty())
}

pub async fn counts<E: Engine>(engine: &E) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = read(engine, Scope::Installation, COUNTS, arguments![]).await?;
    rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?))).collect()
}
