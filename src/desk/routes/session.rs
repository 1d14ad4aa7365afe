//! Signing in and out, and one's own password.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::desk::Shared;
use crate::desk::accounts::{AccountError, login_of};
use crate::desk::counters::Counters;
use crate::desk::extract::Body;
use crate::desk::limits::Peer;
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::session::{Credential, SignedIn, new_session, set_cookie};
use crate::desk::view::Me;
use crate::port::clock::now;

/// The longest login that is looked at, in bytes: nobody has a longer one.
const LOGIN_BYTES_MAX: usize = 512;

/// Who signs in.
#[derive(Deserialize, JsonSchema)]
pub struct SignIn {
    /// What they type.
    pub login: String,
    /// Their password.
    pub password: String,
}

/// A new password.
#[derive(Deserialize, JsonSchema)]
pub struct ChangePassword {
    /// The present one.
    pub current: String,
    /// The new one, at least 12 characters.
    pub new: String,
}

/// Signs in: a cookie that no script can read. The same answer, after the same time, for an unknown login.
#[utoipa::path(post, path = "/session", tag = "session", request_body = SignIn, responses(
    (status = 200, body = Me), (status = 401, body = ProblemDocument), (status = 429, body = ProblemDocument),
    (status = 503, body = ProblemDocument)))]
pub async fn sign_in(State(desk): State<Shared>, peer: Peer, Body(body): Body<SignIn>) -> Result<Response, Problem> {
    let typed = if body.login.len() <= LOGIN_BYTES_MAX { login_of(&body.login) } else { String::new() };
    if !desk.limits.allow(peer.0, &typed) {
        Counters::count(&desk.counters.logins_limited);
        return Err(too_many_attempts());
    }
    let login = desk.store.login(&typed).await?.filter(|login| login.enabled);
    let stored = login.as_ref().map(|login| login.password_hash.as_str());
    let matches = desk.passwords.verify(&body.password, stored).await.map_err(|error| account_problem(&error))?;
    let Some(login) = login.filter(|_| matches) else {
        Counters::count(&desk.counters.login_failures);
        tracing::info!("a sign-in was refused");
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "bad_credentials", "login or password is wrong"));
    };
    let (session, token) = new_session(login.operator, now(), desk.options.session_absolute);
    desk.store.put_session(&session).await?;
    Counters::count(&desk.counters.sessions_started);
    tracing::info!(operator = %login.operator, "operator {} signed in", login.operator);
    let cookie = cookie(&desk, Some(&token));
    Ok(([(header::SET_COOKIE, cookie)], Json(Me::from(&login))).into_response())
}

fn too_many_attempts() -> Problem {
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "too many attempts; wait a minute");
    Problem { retry_after: Some(60), ..problem }
}

fn cookie(desk: &Shared, token: Option<&str>) -> HeaderValue {
    let text = set_cookie(desk.options.cookie_name(), token, desk.options.is_https(), desk.options.session_absolute);
    HeaderValue::from_str(&text).expect("a cookie of hexadecimal digits is a header value")
}

/// Who is signed in.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, body = Me), (status = 401, body = ProblemDocument)))]
pub async fn who(SignedIn(caller): SignedIn) -> Json<Me> {
    Json(Me::from(&caller.login))
}

/// Signs out: the session ends, its consoles close, and the operator is offline unless another session's console is open.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204), (status = 401, body = ProblemDocument)))]
pub async fn sign_out(State(desk): State<Shared>, SignedIn(caller): SignedIn) -> Result<Response, Problem> {
    if let Credential::Cookie(hash) = &caller.credential {
        desk.store.end_session(hash).await?;
        desk.sessions.forget(&caller.credential);
        desk.hub.close_session(&caller.login.pool, &caller.credential);
        let others = desk.hub.consoles_of_others(&caller.login.pool, caller.operator(), &caller.credential);
        if caller.is_operator() && others == 0 {
            desk.presence.sign_out(&desk, caller.operator(), &caller.login.pool);
        }
        tracing::info!(operator = %caller.operator(), "operator {} signed out", caller.operator());
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(&desk, None))]).into_response())
}

/// Changes one's own password. Every other session of the person ends.
#[utoipa::path(put, path = "/session/password", tag = "session", request_body = ChangePassword, responses(
    (status = 204), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument), (status = 429, body = ProblemDocument),
    (status = 503, body = ProblemDocument)))]
pub async fn change_password(
    State(desk): State<Shared>,
    peer: Peer,
    SignedIn(caller): SignedIn,
    Body(body): Body<ChangePassword>,
) -> Result<StatusCode, Problem> {
    let Credential::Cookie(hash) = &caller.credential else { return Err(Problem::forbidden()) };
    if !desk.limits.allow(peer.0, &caller.login.login) {
        return Err(too_many_attempts());
    }
    let current = &caller.login.password_hash;
    if !desk.passwords.verify(&body.current, Some(current)).await.map_err(|error| account_problem(&error))? {
        return Err(Problem::new(StatusCode::FORBIDDEN, "bad_credentials", "the present password is wrong"));
    }
    let password_hash = desk.passwords.hash(&body.new).await.map_err(|error| account_problem(&error))?;
    let (session, login) = desk.store.session(hash, now()).await?.ok_or_else(Problem::unauthenticated)?;
    desk.store.set_password(login.operator, &password_hash).await?;
    // The change ended every session; this one goes on.
    desk.store.put_session(&session).await?;
    desk.sessions.forget_operator(caller.operator());
    desk.hub.recheck(caller.operator());
    Ok(StatusCode::NO_CONTENT)
}

/// What went wrong with an account, as a problem.
pub fn account_problem(error: &AccountError) -> Problem {
    match error {
        AccountError::Password => Problem::new(StatusCode::BAD_REQUEST, "bad_password", error.to_string()),
        AccountError::Login | AccountError::Name(_) => Problem::invalid(error.to_string()),
        AccountError::Taken("login") => Problem::conflict("login_taken", error.to_string()),
        AccountError::Taken(_) => Problem::conflict("name_taken", error.to_string()),
        AccountError::NotFound => Problem::not_found(),
        AccountError::Busy => Problem::unavailable("busy", error.to_string()),
        AccountError::Store(error) => error.clone().into(),
        AccountError::Router(error) => error.clone().into(),
        AccountError::Refused(refusal) => (*refusal).into(),
        AccountError::Hash(_) => {
            tracing::error!(%error, "a password could not be hashed");
            Problem::internal()
        }
    }
}
