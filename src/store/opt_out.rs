//! Which numbers want no messages: the citizen's last word counts, in whatever order the words arrive.

use crate::model::channel::Channel;
use crate::model::id::{AddressKey, AdministrationId};
use crate::model::time::Timestamp;
use crate::port::store::{OptOut, StoreError};

use super::engine::{Engine, Scope, read};
use super::value::arguments;

const PUT: &str = "insert into opt_out (administration, channel, address, said_at, stopped_at) values ($1, $2, $3, $4, $5) \
     on conflict (administration, channel, address) do update set said_at = excluded.said_at, stopped_at = excluded.stopped_at \
     where opt_out.said_at < excluded.said_at";
const STOPPED: &str = "select stopped_at from opt_out where administration = $1 and channel = $2 and address = $3";

pub async fn put<E: Engine>(engine: &E, word: &OptOut) -> Result<(), StoreError> {
    let OptOut { administration, channel, address, stopped, at } = word;
    let stopped_at = stopped.then_some(at.0);
    let put = arguments![administration, channel.as_str(), address, *at, stopped_at];
    engine.write(Scope::of([administration]), vec![(PUT, put)]).await.map(drop)
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
