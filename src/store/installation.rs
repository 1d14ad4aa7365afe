//! What belongs to the installation as a whole: its secret, its plans, its nodes, how far its mailboxes were read, and which
//! delivery attempts were begun.

use std::time::Duration;

use crate::model::id::{AccountId, AdministrationId, MessageId};
use crate::port::store::{AttemptStart, SentPart, StoreError, Watermark};

use super::engine::{Engine, Scope, read, write};
use super::row::{message_columns, read_message};
use super::value::{arguments, clean};

const PUT_PART_ID: &str = "insert into attempt_part (administration, message, attempt, number, total, provider_id) \
     values ($1, $2, $3, $4, $5, $6) on conflict (administration, message, attempt, number) do update set provider_id = excluded.provider_id";
/// Earlier releases kept one name, with the attempt. Those named as the first spelling says come first. An SMSC's numbers begin anew
/// some day: older attempts are not meant.
const PARTS_NAMED: &str = "select distinct p.message, p.attempt, p.number, \
     cast(case when p.provider_id = $2 then 1 else 0 end as bigint) as exact from (\
     select message, attempt, number, provider_id from attempt_part where administration = $1 and provider_id in ($2, $3, $4) union all \
     select message, attempt, 1, provider_id from attempt where administration = $1 and provider_id in ($2, $3, $4)) p \
     join attempt a on a.administration = $1 and a.message = p.message and a.attempt = p.attempt \
     where a.begun_at >= (select us from clock) - $5 order by exact desc limit 2";
const PART_ARRIVED: &str =
    "update attempt_part set arrived = 1 where administration = $1 and message = $2 and attempt = $3 and number = $4";
const PARTS_ARRIVED: &str = "select count(*), coalesce(max(total), 0) from attempt_part \
     where administration = $1 and message = $2 and attempt = $3 and arrived = 1";
const PUT_SECRET: &str = "insert into installation (id, secret) values (1, $1) on conflict (id) do nothing";
const SECRET: &str = "select secret from installation where id = 1";
const PLAN: &str = "select version, toml from plan order by version desc limit 1";
const PLAN_VERSION: &str = "select toml from plan where version = $1";
const PUT_PLAN: &str = "insert into plan (version, toml, stored_at) \
     select coalesce((select max(version) from plan), 0) + 1, $1, us from clock where true on conflict (version) do nothing returning version";
const NODE_SEEN: &str = "insert into node (node, seen_at) select $1, us from clock where true \
     on conflict (node) do update set seen_at = excluded.seen_at";
const NODES_LOST: &str = "select node from node where seen_at <= (select us from clock) - $1 order by node";
const FORGET_NODE: &str = "delete from node where node = $1";
const WATERMARK: &str = "select uid_validity, uid, place from watermark where account = $1";
const PUT_WATERMARK: &str = "insert into watermark (account, uid_validity, uid, place) values ($1, $2, $3, $4) \
     on conflict (account) do update set uid_validity = excluded.uid_validity, uid = excluded.uid, place = excluded.place";
/// Only the attempt that the router ordered last, and only while it waits for that one's end.
const BEGIN_ATTEMPT: &str = "insert into attempt (administration, message, attempt, begun_at) \
     select m.administration, m.id, $3, c.us from message m cross join clock c where m.administration = $1 and m.id = $2 \
     and m.delivery = 'attempting' and m.attempts = $3 on conflict (administration, message, attempt) do nothing returning attempt";
const ORDERED: &str = concat!(
    "select ",
    message_columns!(),
    " from message m where m.administration = $1 and m.id = $2 and m.delivery = 'attempting' and m.attempts = $3"
);

/// How long after its attempt a part is found by the provider's name of it: an SMSC tries for some days at most.
const NAMED_WITHIN: Duration = Duration::from_secs(7 * 86_400);
/// How often the next version of a plan is tried when somebody else stores one at the same moment.
const PLAN_TRIES: u32 = 10;

pub async fn secret<E: Engine>(engine: &E) -> Result<[u8; 32], StoreError> {
    let fresh = hex::encode(rand::random::<[u8; 32]>());
    let steps = vec![(PUT_SECRET, arguments![fresh]), (SECRET, arguments![])];
    let answers = engine.write(Scope::Installation, steps).await?;
    let kept = answers.get(1).and_then(|rows| rows.first()).map(|row| row.text(0)).transpose()?;
    kept.as_deref()
        .and_then(from_hex)
        .ok_or_else(|| StoreError::Unreadable("the installation's secret is not 64 hexadecimal digits".into()))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().ok()
}

pub async fn plan<E: Engine>(engine: &E) -> Result<Option<(i64, String)>, StoreError> {
    let rows = read(engine, Scope::Installation, PLAN, arguments![]).await?;
    rows.first().map(|row| Ok((row.int(0)?, row.text(1)?))).transpose()
}

pub async fn plan_version<E: Engine>(engine: &E, version: i64) -> Result<Option<String>, StoreError> {
    let rows = read(engine, Scope::Installation, PLAN_VERSION, arguments![version]).await?;
    rows.first().map(|row| row.text(0)).transpose()
}

pub async fn put_plan<E: Engine>(engine: &E, toml: &str) -> Result<i64, StoreError> {
    for _ in 0..PLAN_TRIES {
        if let Some(row) = write(engine, PUT_PLAN, arguments![toml]).await?.first() {
            return row.int(0);
        }
    }
    Err(StoreError::Unavailable("others store plans all the time; try again".into()))
}

pub async fn node_seen<E: Engine>(engine: &E, node: &str) -> Result<(), StoreError> {
    write(engine, NODE_SEEN, arguments![node]).await.map(drop)
}

pub async fn nodes_lost<E: Engine>(engine: &E, late: Duration) -> Result<Vec<String>, StoreError> {
    let rows = read(engine, Scope::Installation, NODES_LOST, arguments![late]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

pub async fn forget_node<E: Engine>(engine: &E, node: &str) -> Result<(), StoreError> {
    write(engine, FORGET_NODE, arguments![node]).await.map(drop)
}

pub async fn watermark<E: Engine>(engine: &E, account: &AccountId) -> Result<Option<Watermark>, StoreError> {
    let rows = read(engine, Scope::Installation, WATERMARK, arguments![account]).await?;
    rows.first().map(|row| Ok(Watermark { uid_validity: row.small(0)?, uid: row.small(1)?, place: row.int_option(2)? })).transpose()
}

pub async fn put_watermark<E: Engine>(engine: &E, account: &AccountId, watermark: Watermark) -> Result<(), StoreError> {
    write(engine, PUT_WATERMARK, arguments![account, watermark.uid_validity, watermark.uid, watermark.place]).await.map(drop)
}

/// Keeps how the provider named a part that an attempt sent.
pub async fn put_part_id<E: Engine>(
    engine: &E,
    administration: &AdministrationId,
    part: SentPart,
    total: u32,
    provider_id: &str,
) -> Result<(), StoreError> {
    let arguments = arguments![administration, &part.message, part.attempt, part.number, total, clean(provider_id)];
    engine.write(Scope::of([administration]), vec![(PUT_PART_ID, arguments)]).await.map(drop)
}

/// The parts, of attempts of the last days, that the provider named in the first of these ways; if there is none, in any of them.
pub async fn parts_named<E: Engine>(
    engine: &E,
    administration: &AdministrationId,
    [first, second, third]: &[String; 3],
) -> Result<Vec<SentPart>, StoreError> {
    let arguments = arguments![administration, clean(first), clean(second), clean(third), NAMED_WITHIN];
    let rows = read(engine, Scope::of([administration]), PARTS_NAMED, arguments).await?;
    let exact = rows.first().map(|row| row.int(3)).transpose()?;
    let mut found = Vec::new();
    for row in rows {
        if Some(row.int(3)?) == exact {
            found.push(SentPart { message: row.parse(0)?, attempt: row.small(1)?, number: row.small(2)? });
        }
    }
    Ok(found)
}

/// A part arrived. Whether all of its attempt have now: of two that arrive at once each is written before the other is counted.
pub async fn part_arrived<E: Engine>(engine: &E, administration: &AdministrationId, part: SentPart) -> Result<bool, StoreError> {
    let SentPart { message, attempt, number } = part;
    let scope = || Scope::of([administration]);
    engine.write(scope(), vec![(PART_ARRIVED, arguments![administration, &message, attempt, number])]).await?;
    let rows = read(engine, scope(), PARTS_ARRIVED, arguments![administration, &message, attempt]).await?;
    rows.first().map_or(Ok(true), |row| Ok(row.int(0)? == row.int(1)?))
}

pub async fn begin_attempt<E: Engine>(
    engine: &E,
    administration: &AdministrationId,
    message: MessageId,
    attempt: u32,
) -> Result<AttemptStart, StoreError> {
    let steps = [BEGIN_ATTEMPT, ORDERED].map(|sql| (sql, arguments![administration, &message, attempt])).to_vec();
    let answers = engine.write(Scope::of([administration]), steps).await?;
    let begun = answers.first().is_some_and(|rows| !rows.is_empty());
    match answers.get(1).and_then(|rows| rows.first()) {
        Some(row) if begun => Ok(AttemptStart::Begun(Box::new(read_message(row)?))),
        Some(_) => Ok(AttemptStart::BegunBefore),
        None => Ok(AttemptStart::Void),
    }
}

/// A named lease is free when nobody has it, its time is past, or it is the holder's already.
const HOLD: &str = "insert into named_lease (name, holder, expires_at) select $1, $2, us + $3 from clock where true \
     on conflict (name) do update set holder = excluded.holder, expires_at = excluded.expires_at \
     where named_lease.holder = excluded.holder or named_lease.expires_at <= (select us from clock) returning name";
const LET_GO: &str = "delete from named_lease where name = $1 and holder = $2";

pub async fn hold<E: Engine>(engine: &E, name: &str, holder: &str, ttl: Duration) -> Result<bool, StoreError> {
    Ok(!write(engine, HOLD, arguments![clean(name), clean(holder), ttl]).await?.is_empty())
}

pub async fn let_go<E: Engine>(engine: &E, name: &str, holder: &str) -> Result<(), StoreError> {
    write(engine, LET_GO, arguments![clean(name), clean(holder)]).await.map(drop)
}
