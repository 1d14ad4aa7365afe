//! What a new leader reads: everything its pool's engine is made of, from one state of the database.

use std::time::Duration;

use crate::model::id::PoolId;
use crate::model::time::Timestamp;
use crate::port::store::{PoolSnapshot, QueueState, StoreError};

use super::engine::{Scope, Session};
use super::row::{delivery_columns, read_delivery};
use super::value::{Row, Value, arguments};

/// How long before the last logged time a contact may have been abandoned to be loaded. The engine's own grace is shorter and
/// decides; who came back later opens a new contact.
pub const ABANDONED_WITHIN: Duration = Duration::from_secs(3600);

const PROGRESS: &str = "select coalesce(p.last_seq, 0), coalesce(p.last_at, 0), c.us from clock c left join progress p on p.pool = $1";
const CONTACTS: &str = "select record from contact where pool = $1 and finished_at is null";
const ABANDONED: &str = "select record from contact where pool = $1 and abandoned_at > $2";
const OPERATORS: &str = "select record from operator where pool = $1 order by id";
const QUEUES: &str = "select queue, closed, notice from queue_state where pool = $1 and closed order by queue";
const DELIVERIES: &str = concat!("select ", delivery_columns!(), " from message where pool = $1 and delivery in ('queued', 'attempting')");

/// Loads a pool.
pub async fn load(session: &mut dyn Session, pool: &PoolId) -> Result<PoolSnapshot, StoreError> {
    session.begin(&Scope::Pool(pool.clone()), false).await?;
    let progress = session.run(PROGRESS, arguments![pool]).await?;
    let progress = progress.first().ok_or_else(|| StoreError::Unreadable("the clock has no row".into()))?;
    let mut snapshot = PoolSnapshot {
        last_seq: progress.int(0)?,
        last_at: progress.time(1)?,
        database_time: progress.time(2)?,
        ..PoolSnapshot::default()
    };
    let since: Timestamp = snapshot.last_at.minus(ABANDONED_WITHIN);
    let mut all = async |sql, arguments: Vec<Value>| session.run(sql, arguments).await;
    let (open, abandoned) = (all(CONTACTS, arguments![pool]).await?, all(ABANDONED, arguments![pool, since]).await?);
    let (operators, queues) = (all(OPERATORS, arguments![pool]).await?, all(QUEUES, arguments![pool]).await?);
    let deliveries = all(DELIVERIES, arguments![pool]).await?;
    // Reading what may be hundreds of thousands of records takes longer than the server lets a transaction stand.
    session.commit().await?;
    snapshot.contacts = records(&open)?;
    snapshot.contacts.extend(records(&abandoned)?);
    snapshot.contacts.sort_by_key(|contact| contact.id);
    snapshot.operators = records(&operators)?;
    snapshot.queues = queues.iter().map(read_queue).collect::<Result<_, _>>()?;
    snapshot.deliveries = deliveries.iter().map(read_delivery).collect::<Result<_, _>>()?;
    snapshot.deliveries.sort_by_key(|delivery| delivery.message);
    Ok(snapshot)
}

fn records<T: serde::de::DeserializeOwned>(rows: &[Row]) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| row.json(0)).collect()
}

/// A queue from `queue, closed, notice`.
pub fn read_queue(row: &Row) -> Result<QueueState, StoreError> {
    Ok(QueueState { queue: row.parse(0)?, closed: row.flag(1)?, notice: row.text_option(2)? })
}
