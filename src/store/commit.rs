//! The leader's writer: one transaction per batch, on a connection of its own.
//!
//! The connection is taken out of the writer for each call and put back only after a clean end. After an error, or when the
//! caller's future is dropped half-way, it is closed instead, and the database undoes what was not committed. So no future
//! around a transaction can leave one open for the next user (sqlx #4393), and the next call makes a new connection. An
//! unknown outcome is resolved by the batch number when the same write-set is sent again.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::fault;
use crate::model::contact::OfferState;
use crate::model::delivery::Delivery;
use crate::model::id::{AdministrationId, MessageId, PoolId};
use crate::port::store::{PoolSnapshot, StoreError, WriteSet, Writer};

use super::engine::{Dialect, Engine, Scope, Session, Step};
use super::value::arguments;
use super::{quarantine, row, snapshot, table};

/// Waits for whoever is still committing for the pool, then says which epoch leads and which batch was the last. The epoch is
/// share-locked, so that a take-over and a commit exclude each other; the progress row is the leader's alone. SQLite's
/// `begin immediate` has excluded everybody already.
const CHECK_POSTGRES: &str = "select e.epoch, p.epoch, p.batch from epoch e join progress p on p.pool = e.pool \
     where e.pool = $1 for share of e for update of p";
const CHECK_SQLITE: &str = "select e.epoch, p.epoch, p.batch from epoch e join progress p on p.pool = e.pool where e.pool = $1";
const PROGRESS: &str = "update progress set epoch = $2, batch = $3, last_seq = $4, last_at = $5 where pool = $1";

/// The writer of both stores.
pub struct SqlWriter<E: Engine> {
    engine: Arc<E>,
    session: Option<Box<dyn Session>>,
}

impl<E: Engine> SqlWriter<E> {
    /// Connects.
    pub async fn open(engine: Arc<E>) -> Result<Self, StoreError> {
        let session = engine.session().await?;
        Ok(Self { engine, session: Some(session) })
    }

    async fn take(&mut self) -> Result<Box<dyn Session>, StoreError> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => self.engine.session().await,
        }
    }
}

#[async_trait]
impl<E: Engine> Writer for SqlWriter<E> {
    async fn load(&mut self, pool: &PoolId) -> Result<PoolSnapshot, StoreError> {
        let mut session = self.take().await?;
        let snapshot = snapshot::load(session.as_mut(), pool).await?;
        self.session = Some(session);
        Ok(snapshot)
    }

    async fn commit(&mut self, writes: &WriteSet) -> Result<(), StoreError> {
        let pool = writes.pool.as_ref().ok_or_else(|| StoreError::Refused("a write-set names its pool".into()))?;
        let steps = steps(E::DIALECT, pool, writes)?;
        let mut session = self.take().await?;
        run(E::DIALECT, session.as_mut(), pool, writes, steps).await?;
        self.session = Some(session);
        Ok(())
    }
}

async fn run(dialect: Dialect, session: &mut dyn Session, pool: &PoolId, writes: &WriteSet, steps: Vec<Step>) -> Result<(), StoreError> {
    session.begin(&scope(writes), true).await?;
    let check = if dialect == Dialect::Postgres { CHECK_POSTGRES } else { CHECK_SQLITE };
    let found = session.run(check, arguments![pool]).await?;
    let found = found.first().ok_or(StoreError::Fenced)?;
    if found.int(0)? != writes.epoch && !fault::is_broken("no_epoch_check") {
        return Err(StoreError::Fenced);
    }
    let committed = if found.int(1)? == writes.epoch { found.int(2)? } else { 0 };
    if writes.batch > committed {
        let progress = arguments![pool, writes.epoch, writes.batch, writes.last_seq, writes.at];
        session.run_together(steps.into_iter().chain([(PROGRESS, progress)]).collect()).await?;
        for (sql, arguments) in writes.quarantine.iter().map(quarantine::step) {
            session.run(sql, arguments).await?;
        }
        if writes.messages.iter().any(|message| fault::is_marked("refuse", message.subject.as_deref().unwrap_or_default())) {
            return Err(StoreError::Refused("asked for by the fault run".into()));
        }
        fault::point("inside_commit");
    }
    session.commit().await?;
    fault::point("commit_sent");
    if fault::happens("commit_unknown") {
        return Err(StoreError::Unavailable("the answer to the commit is lost: asked for by the fault run".into()));
    }
    Ok(())
}

/// The administrations whose rows the batch touches.
fn scope(writes: &WriteSet) -> Scope {
    let contacts = writes.contacts.iter().map(|contact| &contact.administration);
    let conversations = writes.conversations.iter().map(|conversation| &conversation.administration);
    let messages = writes.messages.iter().map(|message| &message.administration);
    let notes = writes.notes.iter().map(|note| &note.administration);
    let deliveries = writes.deliveries.iter().map(|delivery| &delivery.administration);
    let citizens = writes.citizens.iter().map(|citizen| &citizen.administration);
    Scope::of(contacts.chain(conversations).chain(messages).chain(notes).chain(deliveries).chain(citizens))
}

/// The statements of a batch, without those that would have no row. Each table has one, but for the deliveries of messages that
/// are there already: no two write the same row.
fn steps(dialect: Dialect, pool: &PoolId, writes: &WriteSet) -> Result<Vec<Step>, StoreError> {
    let mut steps = Vec::with_capacity(12);
    let mut add = |table: &'static table::Table, rows: Vec<Vec<table::Cell>>| {
        steps.extend(table.steps(dialect, rows));
    };
    let contacts = latest(&writes.contacts, |contact| (&contact.administration, contact.id));
    add(&table::CONTACT, contacts.iter().map(|it| row::contact(pool, writes.at, it)).collect::<Result<_, _>>()?);

    // An offer that is live is its contact's row.
    let ended = latest(&writes.offers, |offer| offer.id).into_iter().filter(|offer| offer.state != OfferState::Live);
    add(&table::OFFER, ended.map(|offer| row::offer(pool, offer)).collect());

    let operators = latest(&writes.operators, |operator| operator.id);
    add(&table::OPERATOR, operators.iter().map(|operator| row::operator(operator)).collect::<Result<_, _>>()?);
    let queues = latest(&writes.queues, |queue| &queue.queue);
    add(&table::QUEUE, queues.iter().map(|queue| row::queue(pool, queue)).collect());
    add(&table::CONVERSATION, writes.conversations.iter().map(row::conversation).collect());

    let deliveries = latest(&writes.deliveries, |delivery| (&delivery.administration, delivery.message));
    let mut later: BTreeMap<(&AdministrationId, MessageId), &Delivery> =
        deliveries.iter().map(|delivery| ((&delivery.administration, delivery.message), *delivery)).collect();
    let messages = writes.messages.iter();
    let messages = messages.map(|it| row::message(pool, it, later.remove(&(&it.administration, it.id))));
    add(&table::MESSAGE, messages.collect::<Result<_, _>>()?);
    add(&table::NOTE, writes.notes.iter().map(row::note).collect());
    add(&table::DELIVERY, later.values().map(|delivery| row::delivery(delivery)).collect::<Result<_, _>>()?);

    let citizens = latest(&writes.citizens, |citizen| (&citizen.administration, citizen.key, citizen.citizen));
    add(&table::CITIZEN, citizens.iter().map(|citizen| row::citizen(citizen)).collect::<Result<_, _>>()?);
    add(&table::INPUT, writes.inputs.iter().map(|input| row::input(pool, input)).collect());
    add(&table::EVENT, writes.events.iter().map(|event| row::event(pool, event)).collect());
    Ok(steps)
}

/// The last row of each key, in the order of the keys: one statement cannot write a row twice.
fn latest<'a, T, K: Ord>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<&'a T> {
    rows.iter().map(|row| (key(row), row)).collect::<BTreeMap<K, &T>>().into_values().collect()
}
