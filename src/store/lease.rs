//! Who leads a pool. The lease's time runs by the database's clock; a holder also shows a sign of life that ends with its
//! session, so that a killed one is followed at once and a paused one when its time is past.
//!
//! Calls run in tasks of their own: a caller that gives up waiting does not drop the session whose lock says it is alive.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::model::id::PoolId;
use crate::port::store::{Leadership, StoreError};

use super::engine::{Dialect, Engine, LeadSession, Scope};
use super::value::arguments;

const ENSURE: &str = "insert into lease (pool, epoch, holder, expires_at) values ($1, 0, '', 0) on conflict (pool) do nothing";
/// One candidate at a time; `begin immediate` does the same on SQLite.
const LOOK_POSTGRES: &str = "select l.epoch, l.expires_at <= c.us from lease l cross join clock c where l.pool = $1 for update of l";
const LOOK_SQLITE: &str = "select l.epoch, l.expires_at <= c.us from lease l cross join clock c where l.pool = $1";
const TAKE: &str = "update lease set epoch = $2, holder = $3, expires_at = (select us from clock) + $4 where pool = $1";
/// Waits for a commit under way, which share-locks the row.
const RAISE: &str = "insert into epoch (pool, epoch) values ($1, $2) on conflict (pool) do update set epoch = excluded.epoch";
const PROGRESS: &str = "insert into progress (pool, epoch, batch, last_seq, last_at) values ($1, 0, 0, 0, 0) on conflict (pool) do nothing";
const RENEW: &str =
    "update lease set expires_at = (select us from clock) + $4 where pool = $1 and epoch = $2 and holder = $3 returning epoch";
const RESIGN: &str = "update lease set expires_at = 0 where pool = $1 and epoch = $2 and holder = $3";

type Slot = Arc<Mutex<Option<Box<dyn LeadSession>>>>;

/// The sessions of the leads that this process holds or stands for.
#[derive(Default, Clone)]
pub struct Leads(Arc<Mutex<HashMap<(PoolId, String), Slot>>>);

impl Leads {
    async fn slot(&self, pool: &PoolId, holder: &str) -> Slot {
        Arc::clone(self.0.lock().await.entry((pool.clone(), holder.to_owned())).or_default())
    }

    async fn forget(&self, pool: &PoolId, holder: &str) {
        self.0.lock().await.remove(&(pool.clone(), holder.to_owned()));
    }
}

async fn detached<T: Send + 'static>(work: impl Future<Output = Result<T, StoreError>> + Send + 'static) -> Result<T, StoreError> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("the lease's task ended: {error}"))))
}

pub async fn lead<E: Engine>(
    engine: &Arc<E>,
    leads: &Leads,
    pool: &PoolId,
    holder: &str,
    ttl: Duration,
) -> Result<Option<Leadership>, StoreError> {
    let (engine, leads, pool, holder) = (Arc::clone(engine), leads.clone(), pool.clone(), holder.to_owned());
    detached(async move {
        let slot = leads.slot(&pool, &holder).await;
        let mut slot = slot.lock().await;
        let mut session = match slot.take() {
            Some(session) => session,
            None => engine.lead_session().await?,
        };
        let epoch = take_over(E::DIALECT, session.as_mut(), &pool, &holder, ttl).await?;
        *slot = Some(session);
        Ok(epoch.map(|epoch| Leadership { pool, epoch, holder }))
    })
    .await
}

async fn take_over(
    dialect: Dialect,
    session: &mut dyn LeadSession,
    pool: &PoolId,
    holder: &str,
    ttl: Duration,
) -> Result<Option<i64>, StoreError> {
    session.begin(&Scope::Installation, true).await?;
    session.run(ENSURE, arguments![pool]).await?;
    let look = if dialect == Dialect::Postgres { LOOK_POSTGRES } else { LOOK_SQLITE };
    let found = session.run(look, arguments![pool]).await?;
    let found = found.first().ok_or_else(|| StoreError::Unavailable("the lease's row went away".into()))?;
    let (before, is_past) = (found.int(0)?, found.flag(1)?);
    let is_orphan = session.take_up(pool, before).await?;
    if !is_orphan && !is_past {
        session.commit().await?;
        return Ok(None);
    }
    let epoch = before + 1;
    if !session.take_up(pool, epoch).await? {
        return Err(StoreError::Unavailable(format!("another session has the lock of epoch {epoch}")));
    }
    session.run(TAKE, arguments![pool, epoch, holder, ttl]).await?;
    session.run(RAISE, arguments![pool, epoch]).await?;
    session.run(PROGRESS, arguments![pool]).await?;
    session.commit().await?;
    if is_orphan {
        session.put_down(pool, before).await?;
    }
    Ok(Some(epoch))
}

pub async fn renew<E: Engine>(engine: &Arc<E>, leads: &Leads, leadership: &Leadership, ttl: Duration) -> Result<bool, StoreError> {
    let (engine, leads, leadership) = (Arc::clone(engine), leads.clone(), leadership.clone());
    detached(async move {
        let Leadership { pool, epoch, holder } = &leadership;
        let slot = leads.slot(pool, holder).await;
        let mut slot = slot.lock().await;
        let mut session = match slot.take() {
            Some(session) => session,
            None => engine.lead_session().await?,
        };
        if session.run(RENEW, arguments![pool, *epoch, holder.as_str(), ttl]).await?.is_empty() {
            leads.forget(pool, holder).await;
            return Ok(false);
        }
        // After a broken connection the server may keep the old session's lock for a while; the next renewal tries again.
        session.take_up(pool, *epoch).await?;
        *slot = Some(session);
        Ok(true)
    })
    .await
}

pub async fn resign<E: Engine>(engine: &Arc<E>, leads: &Leads, leadership: &Leadership) -> Result<(), StoreError> {
    let (engine, leads, leadership) = (Arc::clone(engine), leads.clone(), leadership.clone());
    detached(async move {
        let Leadership { pool, epoch, holder } = &leadership;
        let slot = leads.slot(pool, holder).await;
        let mut session = match slot.lock().await.take() {
            Some(session) => session,
            None => engine.lead_session().await?,
        };
        leads.forget(pool, holder).await;
        session.run(RESIGN, arguments![pool, *epoch, holder.as_str()]).await?;
        session.put_down(pool, *epoch).await
    })
    .await
}
