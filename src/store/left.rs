//! Commands left for a pool's leader by whoever has the database and no way to the engine: the command line.

use crate::model::id::PoolId;
use crate::port::store::StoreError;

use super::engine::{Engine, Scope, read, write};
use super::value::arguments;

const LEAVE: &str = "insert into left_command (pool, id, left_at, body) select $1, $2, us, $3 from clock where true \
     on conflict (pool, id) do nothing";
const LEFT: &str = "select id, body from left_command where pool = $1 and answer is null order by left_at, id limit 100";
const ANSWER: &str = "update left_command set answer = $3 where pool = $1 and id = $2";
const ANSWERED: &str = "select answer from left_command where pool = $1 and id = $2 and answer is not null";

pub async fn leave<E: Engine>(engine: &E, pool: &PoolId, id: &str, body: &str) -> Result<(), StoreError> {
    write(engine, LEAVE, arguments![pool.as_str(), id, body]).await.map(drop)
}

pub async fn left<E: Engine>(engine: &E, pool: &PoolId) -> Result<Vec<(String, String)>, StoreError> {
    let rows = read(engine, Scope::Installation, LEFT, arguments![pool.as_str()]).await?;
    rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
}

pub async fn answer<E: Engine>(engine: &E, pool: &PoolId, id: &str, answer: &str) -> Result<(), StoreError> {
    write(engine, ANSWER, arguments![pool.as_str(), id, answer]).await.map(drop)
}

pub async fn answered<E: Engine>(engine: &E, pool: &PoolId, id: &str) -> Result<Option<String>, StoreError> {
    let rows = read(engine, Scope::Installation, ANSWERED, arguments![pool.as_str(), id]).await?;
    rows.first().map(|row| row.text(0)).transpose()
}
