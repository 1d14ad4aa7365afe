//! Old rows of the logs, and what was settled long ago: a bounded piece with each call, the oldest first.

use crate::model::id::PoolId;
use crate::model::time::Timestamp;
use crate::port::keeping::Trimmed;
use crate::port::store::StoreError;

use super::engine::{Engine, Scope, read};
use super::value::arguments;

const CURSORS: &str = "select name, seq from relay_cursor where pool = $1";
const OLDEST: &str = "select seq, input_seq, at from event where pool = $1 order by seq limit $2";
const EVENTS: &str = "delete from event where pool = $1 and seq >= $2 and seq < $3 returning seq";
/// A citizen's input stays for as long as there is a provider that may send it again: for ever. A command's id is good for seconds,
/// and a report on a message that ended long ago says nothing when it comes again.
const INPUTS: &str =
    "delete from input where pool = $1 and seq >= $2 and seq < $3 and (source is null or kind in ('command', 'delivery')) returning seq";

/// Whoever asks for it again has a discarded item before them.
const QUARANTINED: &str = "update quarantine set state = 'discarded', body = substr(body, 1, 0) where id in \
     (select q.id from quarantine q where q.state = 'retried' and q.at < $1 order by q.id limit $2) returning id";
const ORDERS: &str = "delete from left_command where (pool, id) in \
     (select l.pool, l.id from left_command l where l.answer is not null and l.left_at < $1 order by l.left_at limit $2) returning id";

/// Each piece begins where the one before ended: at the input of the oldest event there is, so that inputs are found by their
/// numbers, however many stay.
pub async fn journal<E: Engine>(engine: &E, pool: &PoolId, relays: &[&str], before: Timestamp, limit: u32) -> Result<Trimmed, StoreError> {
    let cursors = read(engine, Scope::Installation, CURSORS, arguments![pool]).await?;
    let cursors = cursors.iter().map(|row| Ok((row.text(0)?, row.int(1)?))).collect::<Result<Vec<_>, StoreError>>()?;
    let cursor = |relay: &&str| cursors.iter().find(|(name, _)| name == relay).map_or(0, |(_, seq)| *seq);
    let passed = relays.iter().map(cursor).min().unwrap_or(0);

    let oldest = read(engine, Scope::Installation, OLDEST, arguments![pool, limit.saturating_add(1)]).await?;
    let mut events = Vec::with_capacity(oldest.len());
    for row in &oldest {
        events.push((row.int(0)?, row.int(1)?, row.time(2)?));
    }
    let going = events.iter().take_while(|(seq, _, at)| *seq <= passed && *at < before).count();
    // the event behind them stays: the next piece begins at it, and the log is never empty
    let Some((first, kept)) = events.first().zip(events.get(going.min(events.len().saturating_sub(1)))).filter(|_| going > 0) else {
        return Ok(Trimmed::default());
    };
    let steps = vec![(EVENTS, arguments![pool, first.0, kept.0]), (INPUTS, arguments![pool, first.1, kept.1])];
    let gone = engine.write(Scope::Installation, steps).await?;
    let count = |step: usize| gone.get(step).map_or(0, |rows| rows.len() as u64);
    Ok(Trimmed { events: count(0), inputs: count(1) })
}

pub async fn settled<E: Engine>(engine: &E, before: Timestamp, limit: u32) -> Result<[u64; 2], StoreError> {
    let steps = [QUARANTINED, ORDERS].map(|sql| (sql, arguments![before, limit])).to_vec();
    let gone = engine.write(Scope::Installation, steps).await?;
    let count = |step: usize| gone.get(step).map_or(0, |rows| rows.len() as u64);
    Ok([count(0), count(1)])
}
