//! The two logs, inputs and events, and how far the relays have read them.

use std::collections::HashMap;

use crate::model::id::PoolId;
use crate::model::time::Timestamp;
use crate::port::store::{EventRecord, InputRecord, StoreError};

use super::engine::{Engine, Scope, read, write};
use super::row::{read_event, read_input};
use super::value::{arguments, list};

const EVENTS: &str = "select seq, input_seq, at, name, administration, contact, operator, body from event \
     where pool = $1 and seq > $2 order by seq limit $3";
const INPUTS: &str = "select seq, at, kind, source, contact, administration, outcome, body from input \
     where pool = $1 and seq > $2 order by seq limit $3";
/// A scalar subquery, not a join: a join may be planned to read the whole log first.
const KNOWN: &str = "select s.value ->> 0 from json_each($2) s \
     where (select i.seq from input i where i.source = s.value ->> 0 and i.pool = $1) is not null";
const OUTCOMES: &str =
    "select s.value ->> 0, (select i.outcome from input i where i.source = s.value ->> 0 and i.pool = $1) from json_each($2) s";
const LAST_SEQ: &str = "select last_seq from progress where pool = $1";
const LAST_AT: &str = "select last_at from progress where pool = $1";
const CURSOR: &str = "select seq from relay_cursor where pool = $1 and name = $2";
/// The same position again is no error: the first answer may have been lost.
const ADVANCE: &str = "insert into relay_cursor (pool, name, seq) select e.pool, $2, $4 from epoch e where e.pool = $1 and e.epoch = $3 \
     on conflict (pool, name) do update set seq = excluded.seq where relay_cursor.seq <= excluded.seq returning seq";

pub async fn events_after<E: Engine>(engine: &E, pool: &PoolId, after: i64, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
    let rows = read(engine, Scope::Installation, EVENTS, arguments![pool, after, limit]).await?;
    rows.iter().map(read_event).collect()
}

pub async fn inputs_after<E: Engine>(engine: &E, pool: &PoolId, after: i64, limit: u32) -> Result<Vec<InputRecord>, StoreError> {
    let rows = read(engine, Scope::Installation, INPUTS, arguments![pool, after, limit]).await?;
    rows.iter().map(read_input).collect()
}

pub async fn known_sources<E: Engine>(engine: &E, pool: &PoolId, sources: &[String]) -> Result<Vec<bool>, StoreError> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let rows = read(engine, Scope::Installation, KNOWN, arguments![pool].into_iter().chain([list(sources)]).collect()).await?;
    let known = rows.iter().map(|row| row.text(0)).collect::<Result<std::collections::HashSet<_>, _>>()?;
    Ok(sources.iter().map(|source| known.contains(source)).collect())
}

pub async fn outcomes<E: Engine>(engine: &E, pool: &PoolId, sources: &[String]) -> Result<Vec<Option<String>>, StoreError> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let rows = read(engine, Scope::Installation, OUTCOMES, arguments![pool].into_iter().chain([list(sources)]).collect()).await?;
    let found = rows.iter().map(|row| Ok((row.text(0)?, row.text_option(1)?))).collect::<Result<HashMap<_, _>, StoreError>>()?;
    Ok(sources.iter().map(|source| found.get(source).cloned().flatten()).collect())
}

pub async fn last_seq<E: Engine>(engine: &E, pool: &PoolId) -> Result<i64, StoreError> {
    let rows = read(engine, Scope::Installation, LAST_SEQ, arguments![pool]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

pub async fn last_at<E: Engine>(engine: &E, pool: &PoolId) -> Result<Timestamp, StoreError> {
    let rows = read(engine, Scope::Installation, LAST_AT, arguments![pool]).await?;
    rows.first().map_or(Ok(Timestamp::default()), |row| row.time(0))
}

pub async fn cursor<E: Engine>(engine: &E, pool: &PoolId, name: &str) -> Result<i64, StoreError> {
    let rows = read(engine, Scope::Installation, CURSOR, arguments![pool, name]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

pub async fn advance_cursor<E: Engine>(engine: &E, pool: &PoolId, name: &str, epoch: i64, seq: i64) -> Result<bool, StoreError> {
    Ok(!write(engine, ADVANCE, arguments![pool, name, epoch, seq]).await?.is_empty())
}
