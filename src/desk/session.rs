//! Who is calling: cookies and tokens, sessions read from the store and believed for about a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::Shared;
use super::accounts::token_hash;
use super::problem::Problem;
use crate::model::id::OperatorId;
use crate::model::operator::Role;
use crate::model::time::Timestamp;
use crate::port::clock::now;
use crate::port::store::{Login, Session, Store};

/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 128;
/// A session's last use is written at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// A session used so long ago is not read again before somebody asks.
const IN_USE: Duration = Duration::from_secs(5);
/// Sessions read by one question.
const READ_AT_ONCE: usize = 500;
/// Sessions remembered at once; beyond it everything is read again.
const CACHE_MAX: usize = 20_000;

/// How somebody showed who they are. The hash, never the token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A browser's cookie.
    Cookie(Arc<str>),
    /// A program's token.
    Bearer(Arc<str>),
}

/// A person who called, or a program in a person's name.
#[derive(Debug)]
pub struct Caller {
    /// The person, as the store knew them a moment ago.
    pub login: Login,
    /// What they showed.
    pub credential: Credential,
}

impl Caller {
    /// The operator they are.
    pub fn operator(&self) -> OperatorId {
        self.login.operator
    }

    /// Whether any grant gives at least this role, wherever.
    pub fn has_role(&self, role: Role) -> bool {
        self.login.grants.iter().any(|grant| grant.role >= role)
    }

    /// Whether they answer citizens.
    pub fn is_operator(&self) -> bool {
        self.login.grants.iter().any(|grant| grant.role == Role::Operator)
    }
}

struct Known {
    caller: Arc<Caller>,
    checked: Instant,
    used: Instant,
}

/// The sessions that this node knows of.
pub struct Sessions {
    store: Arc<dyn Store>,
    idle: Duration,
    known: Mutex<HashMap<Credential, Known>>,
}

impl Sessions {
    /// `idle`: how long a session may go unused.
    pub fn new(store: Arc<dyn Store>, idle: Duration) -> Self {
        Self { store, idle, known: Mutex::default() }
    }

    /// Who is behind a credential, as it was at most `max_age` ago. 401 if the session has ended, 503 if nobody can tell.
    pub async fn caller(&self, credential: &Credential, max_age: Duration) -> Result<Arc<Caller>, Problem> {
        if let Some(caller) = self.fresh(credential, max_age) {
            return Ok(caller);
        }
        let checked = Instant::now();
        let login = match credential {
            Credential::Cookie(hash) => self.by_cookie(hash).await?,
            Credential::Bearer(hash) => self.by_bearer(hash).await?,
        };
        let Some(login) = login.filter(|login| login.enabled) else {
            self.forget(credential);
            return Err(Problem::unauthenticated());
        };
        let caller = self.unchanged(credential, &login).unwrap_or_else(|| Arc::new(Caller { login, credential: credential.clone() }));
        let mut known = self.lock();
        if known.len() >= CACHE_MAX {
            known.clear();
        }
        known.insert(credential.clone(), Known { caller: Arc::clone(&caller), checked, used: checked });
        Ok(caller)
    }

    fn fresh(&self, credential: &Credential, max_age: Duration) -> Option<Arc<Caller>> {
        let mut known = self.lock();
        let known = known.get_mut(credential)?;
        known.used = Instant::now();
        (known.checked.elapsed() < max_age).then(|| Arc::clone(&known.caller))
    }

    fn unchanged(&self, credential: &Credential, login: &Login) -> Option<Arc<Caller>> {
        let known = self.lock();
        known.get(credential).filter(|known| known.caller.login == *login).map(|known| Arc::clone(&known.caller))
    }

    /// Reads every session in use again with few questions, so that hundreds of consoles do not ask one by one. What has ended,
    /// or must be moved on, is left to the next who asks for it.
    pub async fn refresh(&self) {
        let in_use: Vec<String> = {
            let known = self.lock();
            let in_use = known.iter().filter(|(_, known)| known.used.elapsed() < IN_USE);
            in_use
                .filter_map(|(credential, _)| if let Credential::Cookie(hash) = credential { Some(hash.to_string()) } else { None })
                .collect()
        };
        for asked in in_use.chunks(READ_AT_ONCE) {
            let checked = Instant::now();
            let now = now();
            // without an answer each asks for itself
            let Ok(found) = self.store.sessions(asked, now).await else { return };
            let mut known = self.lock();
            for (session, login) in found {
                let unused = now.since(session.seen_at);
                let credential = Credential::Cookie(session.token_hash.into());
                let Some(known) = known.get_mut(&credential).filter(|_| unused <= self.idle.min(TOUCH_EVERY)) else { continue };
                known.checked = known.checked.max(checked);
                if known.caller.login != login {
                    known.caller = Arc::new(Caller { login, credential });
                }
            }
        }
    }

    async fn by_cookie(&self, hash: &str) -> Result<Option<Login>, Problem> {
        let now = now();
        let Some((session, login)) = self.store.session(hash, now).await? else { return Ok(None) };
        let unused = now.since(session.seen_at);
        if unused > self.idle || now >= session.expires_at {
            self.store.end_session(hash).await?;
            return Ok(None);
        }
        if unused > TOUCH_EVERY && !self.store.touch_session(&Session { seen_at: now, ..session }).await? {
            return Ok(None);
        }
        Ok(Some(login))
    }

    async fn by_bearer(&self, hash: &str) -> Result<Option<Login>, Problem> {
        let Some(token) = self.store.token(hash, now()).await? else { return Ok(None) };
        let Some(operator) = token.operator else { return Ok(None) };
        Ok(self.store.login_of(operator).await?)
    }

    /// Asks the store again at the next use.
    pub fn forget(&self, credential: &Credential) {
        self.lock().remove(credential);
    }

    /// Asks the store again for everything of this person.
    pub fn forget_operator(&self, operator: OperatorId) {
        self.lock().retain(|_, known| known.caller.login.operator != operator);
    }

    /// Drops what was not asked for in a while.
    pub fn prune(&self) {
        self.lock().retain(|_, known| known.checked.elapsed() < TOUCH_EVERY);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Credential, Known>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A new session for a person: its row, and the token for the cookie.
pub fn new_session(operator: OperatorId, at: Timestamp, absolute: Duration) -> (Session, String) {
    let token = super::accounts::random_token("sps");
    let session = Session { token_hash: token_hash(&token), operator, created_at: at, seen_at: at, expires_at: at.plus(absolute) };
    (session, token)
}

/// The credential of a request: a bearer token wins over a cookie, so that a program never acts by a browser's session.
pub fn credential(headers: &HeaderMap, cookie_name: &str) -> Option<Credential> {
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        let token = authorization.to_str().ok()?.strip_prefix("Bearer ")?.trim();
        return is_plausible(token).then(|| Credential::Bearer(token_hash(token).into()));
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let token = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == cookie_name).then_some(value))?;
    is_plausible(token).then(|| Credential::Cookie(token_hash(token).into()))
}

fn is_plausible(token: &str) -> bool {
    (16..=TOKEN_BYTES_MAX).contains(&token.len())
}

/// The `Set-Cookie` value that begins a session, or ends it when `token` is none.
pub fn set_cookie(name: &str, token: Option<&str>, secure: bool, age: Duration) -> String {
    let secure = if secure { "; Secure" } else { "" };
    let (value, age) = token.map_or(("", 0), |token| (token, age.as_secs()));
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}")
}

/// The signed-in caller of a request; everything but the sign-in needs one.
pub struct SignedIn(pub Arc<Caller>);

impl FromRequestParts<Shared> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Shared) -> Result<Self, Problem> {
        let credential = credential(&parts.headers, desk.options.cookie_name()).ok_or_else(Problem::unauthenticated)?;
        desk.sessions.caller(&credential, desk.options.session_recheck).await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_and_bearers() {
        let mut headers = HeaderMap::new();
        assert_eq!(credential(&headers, "sportello"), None);
        headers.insert(header::COOKIE, "a=b; sportello=sps_0123456789abcdef; c=d".parse().unwrap());
        assert_eq!(credential(&headers, "sportello"), Some(Credential::Cookie(token_hash("sps_0123456789abcdef").into())));
        assert_eq!(credential(&headers, "__Host-sportello"), None);
        headers.insert(header::AUTHORIZATION, "Bearer spt_0123456789abcdef".parse().unwrap());
        assert_eq!(credential(&headers, "sportello"), Some(Credential::Bearer(token_hash("spt_0123456789abcdef").into())));
        headers.insert(header::AUTHORIZATION, "Basic eDp5".parse().unwrap());
        assert_eq!(credential(&headers, "sportello"), None, "a cookie does not help a bad authorization");
    }

    #[test]
    fn cookie_flags() {
        let cookie = set_cookie("__Host-sportello", Some("x"), true, Duration::from_secs(60));
        assert_eq!(cookie, "__Host-sportello=x; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure");
        assert!(set_cookie("sportello", None, false, Duration::from_secs(60)).contains("Max-Age=0"));
    }
}
