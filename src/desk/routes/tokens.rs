//! Tokens for programs: for an account of the channel API, or in the name of an operator at the desk.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desk::Shared;
use crate::desk::accounts::{self, create_token};
use crate::desk::authorisation::Rights;
use crate::desk::directory::People;
use crate::desk::extract::{Body, Ids};
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::routes::session::account_problem;
use crate::desk::session::SignedIn;
use crate::model::id::{AccountId, OperatorId};
use crate::model::operator::Role;
use crate::model::time::Timestamp;
use crate::port::clock::now;
use crate::port::store::ApiToken;

/// A token without its secret.
#[derive(Serialize, JsonSchema)]
pub struct TokenView {
    /// What it is for.
    name: String,
    /// The account whose contacts it brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    /// The person in whose name it acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<OperatorId>,
    /// When it was made.
    created_at: Timestamp,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

/// A list of tokens.
#[derive(Serialize, JsonSchema)]
pub struct TokenList {
    /// In the order of their names.
    items: Vec<TokenView>,
}

/// A new token: for an account or an operator, not both.
#[derive(Deserialize, JsonSchema)]
pub struct NewToken {
    /// What it is for; unique.
    name: String,
    /// The account whose contacts it brings.
    #[serde(default)]
    account: Option<AccountId>,
    /// The person in whose name it acts.
    #[serde(default)]
    operator: Option<OperatorId>,
    /// When it ends.
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// The secret, shown once.
#[derive(Serialize, JsonSchema)]
pub struct TokenSecret {
    /// To be sent as `Authorization: Bearer …`.
    token: String,
}

/// Whether the caller administers what a token reaches.
async fn administers(desk: &Shared, rights: &Rights, people: &People, token: &ApiToken) -> Result<bool, Problem> {
    if let Some(account) = &token.account {
        let plan = rights.plan();
        return Ok(plan.accounts.get(account).is_some_and(|account| rights.administers(&account.administration)));
    }
    let Some(operator) = token.operator else { return Ok(false) };
    let Some(login) = desk.store.login_of(operator).await? else { return Ok(rights.administers_pool(&rights.caller().login.pool)) };
    Ok(login.pool == rights.caller().login.pool && rights.may_administer(&login.pool, &people.profile(operator), &login.grants))
}

/// Tokens in the caller's reach.
#[utoipa::path(get, path = "/tokens", tag = "administration", responses(
    (status = 200, body = TokenList), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument)))]
pub async fn list(State(desk): State<Shared>, SignedIn(caller): SignedIn) -> Result<Json<TokenList>, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    rights.require(Role::Admin)?;
    let mut items = Vec::new();
    for token in desk.store.tokens().await? {
        if administers(&desk, &rights, &people, &token).await? {
            let ApiToken { name, account, operator, created_at, expires_at, .. } = token;
            items.push(TokenView { name, account, operator, created_at, expires_at });
        }
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(TokenList { items }))
}

/// Makes a token.
#[utoipa::path(post, path = "/tokens", tag = "administration", request_body = NewToken, responses(
    (status = 201, body = TokenSecret), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument),
    (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn create(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<TokenSecret>), Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    rights.require(Role::Admin)?;
    if new.account.is_some() == new.operator.is_some() {
        return Err(Problem::invalid("a token is for an `account` or for an `operator`"));
    }
    let now = now();
    if new.expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::invalid("`expires_at` is in the past"));
    }
    let wanted = ApiToken {
        token_hash: String::new(),
        name: new.name.clone(),
        account: new.account.clone(),
        operator: new.operator,
        created_at: now,
        expires_at: new.expires_at,
    };
    let exists = match new.operator {
        Some(operator) => desk.store.login_of(operator).await?.is_some(),
        None => true,
    };
    if !exists || !administers(&desk, &rights, &people, &wanted).await? {
        return Err(Problem::not_found());
    }
    let new = accounts::NewToken { name: new.name, account: new.account, operator: new.operator, expires_at: new.expires_at };
    let name = new.name.clone();
    let token = create_token(&*desk.store, new, now).await.map_err(|error| account_problem(&error))?;
    tracing::info!(token = %name, by = %caller.operator(), "token {name} was made by {}", caller.operator());
    Ok((StatusCode::CREATED, Json(TokenSecret { token })))
}

/// Ends a token.
#[utoipa::path(delete, path = "/tokens/{name}", tag = "administration", params(("name" = String, Path)), responses(
    (status = 204), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn end(State(desk): State<Shared>, SignedIn(caller): SignedIn, Ids(name): Ids<String>) -> Result<StatusCode, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    rights.require(Role::Admin)?;
    let token = desk.store.tokens().await?.into_iter().find(|token| token.name == name).ok_or_else(Problem::not_found)?;
    if !administers(&desk, &rights, &people, &token).await? || !desk.store.end_token(&name).await? {
        return Err(Problem::not_found());
    }
    if let Some(operator) = token.operator {
        desk.sessions.forget_operator(operator);
        desk.hub.recheck(operator);
    }
    tracing::info!(token = %name, by = %caller.operator(), "token {name} was ended by {}", caller.operator());
    Ok(StatusCode::NO_CONTENT)
}
