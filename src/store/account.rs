//! Who signs in, their sessions, and tokens for programs. Of tokens only the digest is kept.

use crate::model::id::{OperatorId, PoolId};
use crate::model::time::Timestamp;
use crate::port::store::{ApiToken, Login, Session, StoreError};

use super::engine::{Engine, Scope, read, write};
use super::value::{Row, Value, arguments, clean, json, list};

macro_rules! login_columns {
    () => {
        "l.operator, l.pool, l.login, l.name, l.password_hash, l.grants, l.enabled, l.language"
    };
}

const LOGIN: &str = concat!("select ", login_columns!(), " from login l where l.login = $1");
const LOGIN_OF: &str = concat!("select ", login_columns!(), " from login l where l.operator = $1");
const LOGINS: &str = concat!("select ", login_columns!(), " from login l where l.pool = $1 order by l.login");
/// Ends the sessions of who is disabled or has another password now.
const END_SESSIONS: &str = "delete from session where operator = $1";
const END_IF_DISABLED: &str = "delete from session where operator = $1 and not $2";
const PUT_LOGIN: &str = "insert into login (operator, pool, login, name, password_hash, grants, enabled, language) \
     values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (operator) do update set pool = excluded.pool, login = excluded.login, \
     name = excluded.name, grants = excluded.grants, enabled = excluded.enabled, language = excluded.language";
const SET_PASSWORD: &str = "update login set password_hash = $2 where operator = $1 returning operator";
const PUT_SESSION: &str = "insert into session (token_hash, operator, created_at, seen_at, expires_at) values ($1, $2, $3, $4, $5) \
     on conflict (token_hash) do update set seen_at = excluded.seen_at, expires_at = excluded.expires_at \
     where session.operator = excluded.operator";
const SESSION: &str = concat!(
    "select ",
    login_columns!(),
    ", s.token_hash, s.created_at, s.seen_at, s.expires_at from session s join login l on l.operator = s.operator \
     where s.token_hash = $1 and s.expires_at > $2 and l.enabled"
);
/// CROSS JOIN keeps SQLite from reading every session.
const SESSIONS: &str = concat!(
    "select ",
    login_columns!(),
    ", s.token_hash, s.created_at, s.seen_at, s.expires_at \
     from json_each($1) asked cross join session s cross join login l \
     where s.token_hash = asked.value ->> 0 and l.operator = s.operator and s.expires_at > $2 and l.enabled"
);
/// One conditional update: a use that crosses a sign-out cannot bring the session back.
const TOUCH_SESSION: &str = "update session set seen_at = $2 where token_hash = $1 and expires_at > $2 and operator = $3 \
     returning token_hash";
const END_SESSION: &str = "delete from session where token_hash = $1";
const END_EXPIRED: &str = "delete from session where operator = $1 and expires_at <= $2";
const PUT_TOKEN: &str = "insert into token (token_hash, name, account, operator, created_at, expires_at) \
     values ($1, $2, $3, $4, $5, $6) on conflict (token_hash) do update set name = excluded.name, account = excluded.account, \
     operator = excluded.operator, expires_at = excluded.expires_at";
const TOKEN: &str = "select token_hash, name, account, operator, created_at, expires_at from token \
     where token_hash = $1 and (expires_at is null or expires_at > $2)";
const TOKENS: &str = "select token_hash, name, account, operator, created_at, expires_at from token order by name";
const END_TOKEN: &str = "delete from token where name = $1 returning name";

fn read_login(row: &Row) -> Result<Login, StoreError> {
    Ok(Login {
        operator: row.parse(0)?,
        pool: row.parse(1)?,
        login: row.text(2)?,
        name: row.text(3)?,
        password_hash: row.text(4)?,
        grants: row.json(5)?,
        enabled: row.flag(6)?,
        language: row.text(7)?,
    })
}

fn read_session(row: &Row) -> Result<(Session, Login), StoreError> {
    let login = read_login(row)?;
    let session = Session {
        token_hash: row.text(8)?,
        operator: login.operator,
        created_at: row.time(9)?,
        seen_at: row.time(10)?,
        expires_at: row.time(11)?,
    };
    Ok((session, login))
}

fn read_token(row: &Row) -> Result<ApiToken, StoreError> {
    Ok(ApiToken {
        token_hash: row.text(0)?,
        name: row.text(1)?,
        account: row.parse_option(2)?,
        operator: row.parse_option(3)?,
        created_at: row.time(4)?,
        expires_at: row.int_option(5)?.map(Timestamp),
    })
}

pub async fn login<E: Engine>(engine: &E, login: &str) -> Result<Option<Login>, StoreError> {
    read(engine, Scope::Installation, LOGIN, arguments![clean(login)]).await?.first().map(read_login).transpose()
}

pub async fn login_of<E: Engine>(engine: &E, operator: OperatorId) -> Result<Option<Login>, StoreError> {
    read(engine, Scope::Installation, LOGIN_OF, arguments![&operator]).await?.first().map(read_login).transpose()
}

pub async fn logins<E: Engine>(engine: &E, pool: &PoolId) -> Result<Vec<Login>, StoreError> {
    read(engine, Scope::Installation, LOGINS, arguments![pool]).await?.iter().map(read_login).collect()
}

pub async fn put_login<E: Engine>(engine: &E, login: &Login) -> Result<(), StoreError> {
    let hash = login.password_hash.as_str();
    let put = arguments![
        &login.operator,
        &login.pool,
        clean(&login.login),
        clean(&login.name),
        hash,
        json(&login.grants)?,
        login.enabled,
        login.language.as_str(),
    ];
    let steps = vec![(END_IF_DISABLED, arguments![&login.operator, login.enabled]), (PUT_LOGIN, put)];
    engine.write(Scope::Installation, steps).await.map(drop)
}

pub async fn set_password<E: Engine>(engine: &E, operator: OperatorId, hash: &str) -> Result<bool, StoreError> {
    let steps = vec![(END_SESSIONS, arguments![&operator]), (SET_PASSWORD, arguments![&operator, hash])];
    Ok(engine.write(Scope::Installation, steps).await?.pop().is_some_and(|changed| !changed.is_empty()))
}

/// Also clears the person's sessions that have ended by themselves, so that the table stays small.
pub async fn put_session<E: Engine>(engine: &E, session: &Session) -> Result<(), StoreError> {
    let Session { token_hash, operator, created_at, seen_at, expires_at } = session;
    let put = arguments![token_hash.as_str(), operator, *created_at, *seen_at, *expires_at];
    let steps = vec![(END_EXPIRED, arguments![operator, *seen_at]), (PUT_SESSION, put)];
    engine.write(Scope::Installation, steps).await.map(drop)
}

pub async fn session<E: Engine>(engine: &E, token_hash: &str, now: Timestamp) -> Result<Option<(Session, Login)>, StoreError> {
    let rows = read(engine, Scope::Installation, SESSION, arguments![clean(token_hash), now]).await?;
    rows.first().map(read_session).transpose()
}

pub async fn sessions<E: Engine>(engine: &E, token_hashes: &[String], now: Timestamp) -> Result<Vec<(Session, Login)>, StoreError> {
    let asked = list(token_hashes);
    read(engine, Scope::Installation, SESSIONS, vec![asked, Value::from(now)]).await?.iter().map(read_session).collect()
}

pub async fn touch_session<E: Engine>(engine: &E, session: &Session) -> Result<bool, StoreError> {
    let arguments = arguments![clean(&session.token_hash), session.seen_at, &session.operator];
    Ok(!write(engine, TOUCH_SESSION, arguments).await?.is_empty())
}

pub async fn end_session<E: Engine>(engine: &E, token_hash: &str) -> Result<(), StoreError> {
    write(engine, END_SESSION, arguments![clean(token_hash)]).await.map(drop)
}

pub async fn put_token<E: Engine>(engine: &E, token: &ApiToken) -> Result<(), StoreError> {
    let arguments = arguments![
        token.token_hash.as_str(),
        clean(&token.name),
        token.account.as_ref(),
        token.operator.as_ref(),
        token.created_at,
        token.expires_at.map(|at| at.0),
    ];
    write(engine, PUT_TOKEN, arguments).await.map(drop)
}

pub async fn token<E: Engine>(engine: &E, token_hash: &str, now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
    let rows = read(engine, Scope::Installation, TOKEN, arguments![clean(token_hash), now]).await?;
    rows.first().map(read_token).transpose()
}

pub async fn tokens<E: Engine>(engine: &E) -> Result<Vec<ApiToken>, StoreError> {
    read(engine, Scope::Installation, TOKENS, arguments![]).await?.iter().map(read_token).collect()
}

pub async fn end_token<E: Engine>(engine: &E, name: &str) -> Result<bool, StoreError> {
    Ok(!write(engine, END_TOKEN, arguments![clean(name)]).await?.is_empty())
}
