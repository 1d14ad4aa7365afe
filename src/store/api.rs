//! The port's traits on both stores: each method hands over to the module that knows its statements.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::channel::Channel;
use crate::model::conversation::Message;
use crate::model::delivery::Delivery;
use crate::model::id::{AccountId, AddressKey, AdministrationId, ContactId, ConversationId, InputId, MessageId, OperatorId, PoolId};
use crate::model::operator::Operator;
use crate::model::time::Timestamp;
use crate::port::store::{
    ApiToken, AttemptStart, ContactCount, ContactFilter, ContactSummary, ConversationView, EventRecord, FactQuery, FactRow, InputRecord,
    InputStatus, Leadership, Leases, Login, OperatorLoad, OptOut, Page, QuarantineReach, Quarantined, QueueState, ReadMark, SentPart,
    Session, Store, StoreError, Watermark, Writer,
};

use super::commit::SqlWriter;
use super::engine::{Engine, Scope, read};
use super::{SqlStore, account, desk, fact, installation, journal, lease, left, opt_out, quarantine, read_mark};

#[async_trait]
impl<E: Engine> Leases for SqlStore<E> {
    async fn lead(&self, pool: &PoolId, holder: &str, ttl: Duration) -> Result<Option<Leadership>, StoreError> {
        lease::lead(&self.engine, &self.leads, pool, holder, ttl).await
    }

    async fn renew(&self, leadership: &Leadership, ttl: Duration) -> Result<bool, StoreError> {
        lease::renew(&self.engine, &self.leads, leadership, ttl).await
    }

    async fn resign(&self, leadership: &Leadership) -> Result<(), StoreError> {
        lease::resign(&self.engine, &self.leads, leadership).await
    }

    async fn hold(&self, name: &str, holder: &str, ttl: Duration) -> Result<bool, StoreError> {
        installation::hold(&*self.engine, name, holder, ttl).await
    }

    async fn let_go(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        installation::let_go(&*self.engine, name, holder).await
    }
}

#[async_trait]
impl<E: Engine> Store for SqlStore<E> {
    fn kind(&self) -> &'static str {
        E::KIND
    }

    async fn ping(&self) -> Result<(), StoreError> {
        read(&*self.engine, Scope::Installation, "select us from clock", Vec::new()).await.map(drop)
    }

    async fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        Ok(Box::new(SqlWriter::open(Arc::clone(&self.engine)).await?))
    }

    async fn installation_secret(&self) -> Result<[u8; 32], StoreError> {
        installation::secret(&*self.engine).await
    }

    async fn facts(&self, pool: &PoolId, queries: &[FactQuery]) -> Result<Vec<FactRow>, StoreError> {
        fact::facts(&*self.engine, pool, queries).await
    }

    async fn known_sources(&self, pool: &PoolId, sources: &[String]) -> Result<Vec<bool>, StoreError> {
        journal::known_sources(&*self.engine, pool, sources).await
    }

    async fn outcomes(&self, pool: &PoolId, sources: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        journal::outcomes(&*self.engine, pool, sources).await
    }

    async fn events_after(&self, pool: &PoolId, after: i64, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        journal::events_after(&*self.engine, pool, after, limit).await
    }

    async fn last_seq(&self, pool: &PoolId) -> Result<i64, StoreError> {
        journal::last_seq(&*self.engine, pool).await
    }

    async fn inputs_after(&self, pool: &PoolId, after: i64, limit: u32) -> Result<Vec<InputRecord>, StoreError> {
        journal::inputs_after(&*self.engine, pool, after, limit).await
    }

    async fn cursor(&self, pool: &PoolId, name: &str) -> Result<i64, StoreError> {
        journal::cursor(&*self.engine, pool, name).await
    }

    async fn advance_cursor(&self, pool: &PoolId, name: &str, epoch: i64, seq: i64) -> Result<bool, StoreError> {
        journal::advance_cursor(&*self.engine, pool, name, epoch, seq).await
    }

    async fn contact(&self, administrations: &[AdministrationId], contact: ContactId) -> Result<Option<ContactSummary>, StoreError> {
        desk::contact(&*self.engine, administrations, contact).await
    }

    async fn contacts(
        &self,
        administrations: &[AdministrationId],
        filter: &ContactFilter,
        page: Page,
    ) -> Result<Vec<ContactSummary>, StoreError> {
        desk::contacts(&*self.engine, administrations, filter, page).await
    }

    async fn conversation(
        &self,
        administration: &AdministrationId,
        conversation: ConversationId,
    ) -> Result<Option<ConversationView>, StoreError> {
        desk::conversation(&*self.engine, administration, conversation).await
    }

    async fn message(&self, administration: &AdministrationId, message: MessageId) -> Result<Option<Message>, StoreError> {
        desk::message(&*self.engine, administration, message).await
    }

    async fn delivery(&self, administration: &AdministrationId, message: MessageId) -> Result<Option<Delivery>, StoreError> {
        fact::delivery(&*self.engine, administration, message).await
    }

    async fn operators(&self, pool: &PoolId) -> Result<Vec<Operator>, StoreError> {
        desk::operators(&*self.engine, pool).await
    }

    async fn queue_states(&self, pool: &PoolId) -> Result<Vec<QueueState>, StoreError> {
        desk::queue_states(&*self.engine, pool).await
    }

    async fn input_status(&self, administrations: &[AdministrationId], input: InputId) -> Result<Option<InputStatus>, StoreError> {
        desk::input_status(&*self.engine, administrations, input).await
    }

    async fn messages_of_contact(&self, administration: &AdministrationId, contact: ContactId) -> Result<Vec<Message>, StoreError> {
        desk::messages_of_contact(&*self.engine, administration, contact).await
    }

    async fn login(&self, login: &str) -> Result<Option<Login>, StoreError> {
        account::login(&*self.engine, login).await
    }

    async fn login_of(&self, operator: OperatorId) -> Result<Option<Login>, StoreError> {
        account::login_of(&*self.engine, operator).await
    }

    async fn logins(&self, pool: &PoolId) -> Result<Vec<Login>, StoreError> {
        account::logins(&*self.engine, pool).await
    }

    async fn put_login(&self, login: &Login) -> Result<(), StoreError> {
        account::put_login(&*self.engine, login).await
    }

    async fn set_password(&self, operator: OperatorId, hash: &str) -> Result<bool, StoreError> {
        account::set_password(&*self.engine, operator, hash).await
    }

    async fn put_session(&self, session: &Session) -> Result<(), StoreError> {
        account::put_session(&*self.engine, session).await
    }

    async fn session(&self, token_hash: &str, now: Timestamp) -> Result<Option<(Session, Login)>, StoreError> {
        account::session(&*self.engine, token_hash, now).await
    }

    async fn sessions(&self, token_hashes: &[String], now: Timestamp) -> Result<Vec<(Session, Login)>, StoreError> {
        account::sessions(&*self.engine, token_hashes, now).await
    }

    async fn touch_session(&self, session: &Session) -> Result<bool, StoreError> {
        account::touch_session(&*self.engine, session).await
    }

    async fn end_session(&self, token_hash: &str) -> Result<(), StoreError> {
        account::end_session(&*self.engine, token_hash).await
    }

    async fn put_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        account::put_token(&*self.engine, token).await
    }

    async fn token(&self, token_hash: &str, now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
        account::token(&*self.engine, token_hash, now).await
    }

    async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        account::tokens(&*self.engine).await
    }

    async fn end_token(&self, name: &str) -> Result<bool, StoreError> {
        account::end_token(&*self.engine, name).await
    }

    async fn plan(&self) -> Result<Option<(i64, String)>, StoreError> {
        installation::plan(&*self.engine).await
    }

    async fn plan_version(&self, version: i64) -> Result<Option<String>, StoreError> {
        installation::plan_version(&*self.engine, version).await
    }

    async fn put_plan(&self, toml: &str) -> Result<i64, StoreError> {
        installation::put_plan(&*self.engine, toml).await
    }

    async fn node_seen(&self, node: &str) -> Result<(), StoreError> {
        installation::node_seen(&*self.engine, node).await
    }

    async fn nodes_lost(&self, late: Duration) -> Result<Vec<String>, StoreError> {
        installation::nodes_lost(&*self.engine, late).await
    }

    async fn forget_node(&self, node: &str) -> Result<(), StoreError> {
        installation::forget_node(&*self.engine, node).await
    }

    async fn watermark(&self, account: &AccountId) -> Result<Option<Watermark>, StoreError> {
        installation::watermark(&*self.engine, account).await
    }

    async fn put_watermark(&self, account: &AccountId, watermark: Watermark) -> Result<(), StoreError> {
        installation::put_watermark(&*self.engine, account, watermark).await
    }

    async fn begin_attempt(&self, administration: &AdministrationId, message: MessageId, attempt: u32) -> Result<AttemptStart, StoreError> {
        installation::begin_attempt(&*self.engine, administration, message, attempt).await
    }

    async fn put_part_id(
        &self,
        administration: &AdministrationId,
        part: SentPart,
        total: u32,
        provider_id: &str,
    ) -> Result<(), StoreError> {
        installation::put_part_id(&*self.engine, administration, part, total, provider_id).await
    }

    async fn parts_named(&self, administration: &AdministrationId, provider_ids: &[String; 3]) -> Result<Vec<SentPart>, StoreError> {
        installation::parts_named(&*self.engine, administration, provider_ids).await
    }

    async fn part_arrived(&self, administration: &AdministrationId, part: SentPart) -> Result<bool, StoreError> {
        installation::part_arrived(&*self.engine, administration, part).await
    }

    async fn last_at(&self, pool: &PoolId) -> Result<Timestamp, StoreError> {
        journal::last_at(&*self.engine, pool).await
    }

    async fn put_read_mark(&self, mark: &ReadMark) -> Result<(), StoreError> {
        read_mark::put(&*self.engine, mark).await
    }

    async fn unread(
        &self,
        administrations: &[AdministrationId],
        operator: OperatorId,
        contacts: &[ContactId],
    ) -> Result<Vec<(ContactId, u32)>, StoreError> {
        read_mark::unread(&*self.engine, administrations, operator, contacts).await
    }

    async fn put_opt_out(&self, word: &OptOut) -> Result<(), StoreError> {
        opt_out::put(&*self.engine, word).await
    }

    async fn opted_out(
        &self,
        administration: &AdministrationId,
        channel: &Channel,
        address: AddressKey,
    ) -> Result<Option<Timestamp>, StoreError> {
        opt_out::stopped(&*self.engine, administration, channel, address).await
    }

    async fn leave_command(&self, pool: &PoolId, id: &str, body: &str) -> Result<(), StoreError> {
        left::leave(&*self.engine, pool, id, body).await
    }

    async fn left_commands(&self, pool: &PoolId) -> Result<Vec<(String, String)>, StoreError> {
        left::left(&*self.engine, pool).await
    }

    async fn answer_command(&self, pool: &PoolId, id: &str, answer: &str) -> Result<(), StoreError> {
        left::answer(&*self.engine, pool, id, answer).await
    }

    async fn command_answer(&self, pool: &PoolId, id: &str) -> Result<Option<String>, StoreError> {
        left::answered(&*self.engine, pool, id).await
    }

    async fn quarantine(&self, item: &Quarantined) -> Result<(), StoreError> {
        quarantine::put(&*self.engine, item).await
    }

    async fn quarantined(&self, reach: Option<&QuarantineReach>, retried: bool, page: Page) -> Result<Vec<Quarantined>, StoreError> {
        quarantine::page(&*self.engine, reach, retried, page).await
    }

    async fn quarantined_item(&self, id: i64) -> Result<Option<Quarantined>, StoreError> {
        quarantine::item(&*self.engine, id).await
    }

    async fn settle_quarantined(&self, id: i64, state: &str) -> Result<bool, StoreError> {
        quarantine::settle(&*self.engine, id, state).await
    }

    async fn quarantine_counts(&self) -> Result<Vec<(String, i64)>, StoreError> {
        quarantine::counts(&*self.engine).await
    }

    async fn contact_counts(&self, pool: &PoolId) -> Result<Vec<ContactCount>, StoreError> {
        desk::contact_counts(&*self.engine, pool).await
    }

    async fn operator_loads(&self, pool: &PoolId) -> Result<Vec<OperatorLoad>, StoreError> {
        desk::operator_loads(&*self.engine, pool).await
    }
}
