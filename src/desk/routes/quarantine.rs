//! What could not be processed: listed, sent again as it came, or discarded.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desk::Shared;
use crate::desk::authorisation::Rights;
use crate::desk::extract::{Asking, Ids};
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::routes::reading::page;
use crate::desk::session::SignedIn;
use crate::model::id::AdministrationId;
use crate::model::operator::Role;
use crate::model::time::Timestamp;
use crate::port::retry::Retried;
use crate::port::store::{QuarantineReach, Quarantined};

/// Something held, without its bytes.
#[derive(Serialize, JsonSchema)]
pub struct QuarantineItem {
    /// Its number.
    id: i64,
    /// Whose it is, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    administration: Option<AdministrationId>,
    /// Where it came from.
    source: String,
    /// The routing key or account it came by.
    key: String,
    /// What was wrong with it.
    reason: String,
    /// When.
    at: Timestamp,
    /// `held`, `retried`, `discarded`.
    state: String,
}

/// A list of what is held.
#[derive(Serialize, JsonSchema)]
pub struct QuarantineList {
    /// The newest first.
    items: Vec<QuarantineItem>,
}

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QuarantineQuery {
    /// 1 to 500, by default 100.
    limit: Option<u32>,
    /// Skips so many.
    offset: Option<u32>,
}

/// What the caller may know of as a supervisor, or settle as an administrator. What came by a key of nobody's is for whoever has
/// the pool.
fn reach(rights: &Rights, role: Role) -> QuarantineReach {
    let pool = &rights.caller().login.pool;
    let known = || rights.plan().administrations.keys();
    QuarantineReach {
        administrations: match role {
            Role::Admin => known().filter(|id| rights.administers(id)).cloned().collect(),
            Role::Supervisor | Role::Operator => rights.supervised_administrations(),
        },
        strays: rights.administers_pool(pool).then(|| (pool.clone(), known().cloned().collect())),
    }
}

/// What is held, newest first.
#[utoipa::path(get, path = "/quarantine", tag = "administration", params(QuarantineQuery), responses(
    (status = 200, body = QuarantineList), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument)))]
pub async fn list(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Asking(query): Asking<QuarantineQuery>,
) -> Result<Json<QuarantineList>, Problem> {
    let rights = desk.rights(&caller).await?;
    rights.require(Role::Supervisor)?;
    let held = desk.store.quarantined(Some(&reach(&rights, Role::Supervisor)), false, page(query.limit, query.offset)?).await?;
    let items = held.into_iter().map(|item| QuarantineItem {
        id: item.id,
        administration: item.administration,
        source: item.source,
        key: item.key,
        reason: item.reason,
        at: item.at,
        state: item.state,
    });
    Ok(Json(QuarantineList { items: items.collect() }))
}

async fn found(desk: &Shared, caller: &SignedIn, id: i64) -> Result<Quarantined, Problem> {
    let rights = desk.rights(&caller.0).await?;
    rights.require(Role::Admin)?;
    let item = desk.store.quarantined_item(id).await?.ok_or_else(Problem::not_found)?;
    if !reach(&rights, Role::Admin).has(&item) {
        return Err(Problem::not_found());
    }
    if item.state != "held" {
        return Err(Problem::conflict("not_held", format!("it was {} before", item.state)));
    }
    Ok(item)
}

/// Has something tried again by the way it came; the router does it. 409 says why it cannot, or why it is held again.
#[utoipa::path(post, path = "/quarantine/{id}/retry", tag = "administration", params(("id" = i64, Path)), responses(
    (status = 204), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument),
    (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn retry(State(desk): State<Shared>, caller: SignedIn, Ids(id): Ids<i64>) -> Result<StatusCode, Problem> {
    let item = found(&desk, &caller, id).await?;
    match desk.retries.retry(&item).await? {
        Retried::HandedIn => {}
        Retried::HeldAgain { reason } => return Err(Problem::conflict("held_again", format!("it was tried, and is held again: {reason}"))),
        Retried::Refused { reason } => return Err(Problem::conflict("cannot_retry", reason)),
    }
    tracing::info!(id, by = %caller.0.operator(), "quarantined item {id} was sent again");
    Ok(StatusCode::NO_CONTENT)
}

/// Discards something: its bytes are gone, its line stays.
#[utoipa::path(post, path = "/quarantine/{id}/discard", tag = "administration", params(("id" = i64, Path)), responses(
    (status = 204), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument),
    (status = 409, body = ProblemDocument)))]
pub async fn discard(State(desk): State<Shared>, caller: SignedIn, Ids(id): Ids<i64>) -> Result<StatusCode, Problem> {
    found(&desk, &caller, id).await?;
    if !desk.store.settle_quarantined(id, "discarded").await? {
        return Err(Problem::conflict("not_held", "somebody else settled it"));
    }
    tracing::info!(id, by = %caller.0.operator(), "quarantined item {id} was discarded");
    Ok(StatusCode::NO_CONTENT)
}
