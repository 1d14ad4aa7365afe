//! Which numbers want no messages: the citizen's last word counts, in whatever order the words arrive, and each of them once.

use crate::model::channel::Channel;
use crate::model::id::{AddressKey, AdministrationId};
use crate::model::time::Timestamp;
use crate::port::store::{OptOut, StoreError};

use super::engine::{Engine, Scope, read};
use super::value::arguments;

const PUT: &str = "insert into opt_out (administration, channel, address, said_at, stopped_at) select $1, $2, $3, $4, $5 \
     where not exists (select 1 from opt_out_word where administration = $1 and source = $6) \
     on conflict (administration, channel, address) do update set said_at = excluded.said_at, stopped_at = excluded.stopped_at \
     where opt_out.said_at < excluded.said_at";
const REMEMBER: &str = "insert into opt_out_word (administration, source) values ($1, $2) on conflict do nothing";
const STOPPED: &str = "select stopped_at from opt_out where administration = $1 and channel = $2 and address = $3";

pub async fn put<E: Engine>(engine: &E, word: &OptOut) -> Result<(), StoreError> {
    let OptOut { input, administration, channel, address, stopped, at } = word;
    let stopped_at = stopped.then_some(at.0);
    let put = arguments![administration, channel.as_str(), address, *at, stopped_at, input];
    engine.write(Scope::of([administration]), vec![(PUT, put), (REMEMBER, arguments![administration, input])]).await.map(drop)
}

pub async fn stopped<E: Engine>(
    engine: &E,
    administration: &AdministrationId,
    channel: &Channel,
    address: AddressKey,
) -> Result<Option<Timestamp>, StoreError> {
    let rows = read(engine, Scope::of([administration]), STOPPED, arguments![administration, channel.as_str(), &address]).await?;
    Ok(rows.first().map(|row| row.int_option(0)).transpose()?.flatten().map(Timestamp))
}
