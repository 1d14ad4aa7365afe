//! The port of keeping on both stores, and what is found for it: conversations whose time is over.

use async_trait::async_trait;

use crate::model::id::{AdministrationId, CitizenId, ConversationId, PoolId};
use crate::model::time::Timestamp;
use crate::port::blobs::names_in;
use crate::port::keeping::{Erasure, Keeping, Part, Trimmed};
use crate::port::store::StoreError;

use super::engine::{Dialect, Engine, Scope, read};
use super::value::{Row, arguments};
use super::{SqlStore, erase, trim};

/// In the order of their ids, which needs no index of its own: it is not asked for often. Erased is what holds nothing any more.
const ENDED: &str = "select v.id, v.opened_at < $2 \
     and (select count(*) from contact c where c.administration = v.administration and c.conversation = v.id \
      and (c.finished_at is null or c.finished_at >= $2)) = 0 \
     and (v.subject is not null or v.citizen is not null \
      or (select min(m.at) from message m where m.administration = v.administration and m.conversation = v.id) is not null \
      or (select min(n.at) from note n where n.administration = v.administration and n.conversation = v.id) is not null) \
     from conversation v where v.administration = $1 and v.id > $3 order by v.id limit $4";

/// Nothing comes in before there is a plan.
const BEGAN: &str = "select min(stored_at) from plan";
/// The columns that name blobs, as one text.
const MESSAGES: &str = "select id, coalesce(raw, '') || ' ' || coalesce(html, '') || ' ' || attachments from message \
     where administration = $1 and id > $2 order by id limit $3";
/// Raw mails and text messages name no blob.
const QUARANTINE: &str = "select cast(id as text), body from quarantine where id > $1 \
     and source not in ('smtp', 'imap', 'mailbox', 'sms') order by id limit $2";

/// What SQLite has written is in the log until it is copied into the file, and stays there until it is overwritten.
const EMPTY_LOG: &str = "pragma wal_checkpoint(truncate)";

/// Where the next part begins: after the last row, if there may be more.
fn next_after(rows: &[Row], limit: u32) -> Result<Option<String>, StoreError> {
    let last = rows.last().filter(|_| rows.len() >= limit as usize);
    last.map(|row| row.text(0)).transpose()
}

#[async_trait]
impl<E: Engine> Keeping for SqlStore<E> {
    async fn erase(&self, administration: &AdministrationId, conversation: ConversationId) -> Result<Erasure, StoreError> {
        erase::erase(&*self.engine, administration, conversation).await
    }

    async fn conversations_of(&self, administration: &AdministrationId, citizen: CitizenId) -> Result<Vec<ConversationId>, StoreError> {
        erase::conversations_of(&*self.engine, administration, citizen).await
    }

    async fn ended_conversations(
        &self,
        administration: &AdministrationId,
        before: Timestamp,
        after: &str,
        limit: u32,
    ) -> Result<Part<ConversationId>, StoreError> {
        let arguments = arguments![administration, before, after, limit];
        let rows = read(&*self.engine, Scope::of([administration]), ENDED, arguments).await?;
        let mut found = Vec::new();
        for row in &rows {
            if row.flag(1)? {
                found.push(row.parse(0)?);
            }
        }
        Ok(Part { found, next: next_after(&rows, limit)? })
    }

    async fn trim_journal(&self, pool: &PoolId, relays: &[&str], before: Timestamp, limit: u32) -> Result<Trimmed, StoreError> {
        trim::journal(&*self.engine, pool, relays, before, limit).await
    }

    async fn drop_settled(&self, before: Timestamp, limit: u32) -> Result<[u64; 2], StoreError> {
        trim::settled(&*self.engine, before, limit).await
    }

    async fn began_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = read(&*self.engine, Scope::Installation, BEGAN, Vec::new()).await?;
        Ok(rows.first().map(|row| row.int_option(0)).transpose()?.flatten().map(Timestamp))
    }

    async fn named_by_messages(&self, administration: &AdministrationId, after: &str, limit: u32) -> Result<Part<String>, StoreError> {
        let rows = read(&*self.engine, Scope::of([administration]), MESSAGES, arguments![administration, after, limit]).await?;
        let mut found = Vec::new();
        for row in &rows {
            found.extend(names_in(&row.text(1)?).map(str::to_owned));
        }
        Ok(Part { found, next: next_after(&rows, limit)? })
    }

    async fn named_in_quarantine(&self, after: &str, limit: u32) -> Result<Part<String>, StoreError> {
        let after: i64 = after.parse().unwrap_or(0);
        let rows = read(&*self.engine, Scope::Installation, QUARANTINE, arguments![after, limit]).await?;
        let mut found = Vec::new();
        for row in &rows {
            found.extend(names_in(&String::from_utf8_lossy(&row.bytes(1)?)).map(str::to_owned));
        }
        Ok(Part { found, next: next_after(&rows, limit)? })
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        if E::DIALECT == Dialect::Sqlite {
            self.engine.session().await?.run(EMPTY_LOG, Vec::new()).await?;
        }
        Ok(())
    }
}
