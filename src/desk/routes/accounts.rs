//! Accounts of people: an administrator makes and changes them within their own reach, a supervisor may look.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desk::Shared;
use crate::desk::accounts::{AccountError, NewOperator, announce_operator, check_name, create_operator, set_password};
use crate::desk::authorisation::Rights;
use crate::desk::directory::People;
use crate::desk::extract::{Body, Ids};
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::routes::session::account_problem;
use crate::desk::session::SignedIn;
use crate::model::id::{OperatorId, PoolId, QueueId};
use crate::model::operator::{Grant, OperatorProfile, Role};
use crate::plan::Plan;
use crate::port::store::Login;

/// The most skills, queues or grants of one person.
const LIST_MAX: usize = 200;

/// An account. Who may not change it sees of its profile and grants what lies within the administrations they supervise.
#[derive(Serialize, JsonSchema)]
pub struct OperatorAccount {
    /// Who.
    operator: OperatorId,
    /// What they type to sign in.
    login: String,
    /// Their name.
    name: String,
    /// Their language on the pages.
    language: String,
    /// A disabled account signs in nowhere and takes nothing.
    enabled: bool,
    /// What they can do.
    profile: OperatorProfile,
    /// What they may do.
    grants: Vec<Grant>,
}

/// A list of accounts.
#[derive(Serialize, JsonSchema)]
pub struct OperatorList {
    /// In the order of their names.
    items: Vec<OperatorAccount>,
}

/// A new account.
#[derive(Deserialize, JsonSchema)]
pub struct NewAccount {
    /// What they type to sign in: 1 to 64 letters, digits and `. _ @ -`; kept in small letters.
    login: String,
    /// Their name.
    name: String,
    /// Their first password, at least 12 characters.
    password: String,
    /// `it` or `en`.
    #[serde(default)]
    language: Option<String>,
    /// What they can do.
    #[serde(default)]
    profile: OperatorProfile,
    /// What they may do.
    #[serde(default)]
    grants: Vec<Grant>,
}

/// What changes; what is absent stays.
#[derive(Deserialize, JsonSchema)]
pub struct AccountChange {
    /// Their name.
    #[serde(default)]
    name: Option<String>,
    /// What they can do.
    #[serde(default)]
    profile: Option<OperatorProfile>,
    /// What they may do.
    #[serde(default)]
    grants: Option<Vec<Grant>>,
    /// Whether they may sign in and work.
    #[serde(default)]
    enabled: Option<bool>,
}

/// A new password for somebody else.
#[derive(Deserialize, JsonSchema)]
pub struct NewPassword {
    /// At least 12 characters.
    new: String,
}

/// As much of an account as the caller may know: all of what they may change, else the part in the administrations they supervise.
fn view(rights: &Rights, people: &People, mut login: Login) -> OperatorAccount {
    let mut profile = people.profile(login.operator);
    if !rights.may_administer(&login.pool, &profile, &login.grants) {
        (profile, login.grants) = rights.supervised_part(profile, login.grants);
    }
    whole(login, profile)
}

fn whole(login: Login, profile: OperatorProfile) -> OperatorAccount {
    OperatorAccount {
        operator: login.operator,
        profile,
        login: login.login,
        name: login.name,
        language: login.language,
        enabled: login.enabled,
        grants: login.grants,
    }
}

/// Accounts in the caller's scope.
#[utoipa::path(get, path = "/operators", tag = "administration", responses(
    (status = 200, body = OperatorList), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument)))]
pub async fn list(State(desk): State<Shared>, SignedIn(caller): SignedIn) -> Result<Json<OperatorList>, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    rights.require(Role::Supervisor)?;
    let logins = desk.store.logins(&caller.login.pool).await?;
    let mut items: Vec<_> =
        logins.into_iter().filter(|login| is_visible(&rights, &people, login)).map(|login| view(&rights, &people, login)).collect();
    items.sort_by(|a, b| (&a.name, a.operator).cmp(&(&b.name, b.operator)));
    Ok(Json(OperatorList { items }))
}

fn is_visible(rights: &Rights, people: &People, login: &Login) -> bool {
    match people.operators.get(&login.operator) {
        Some(operator) => rights.supervises_operator(operator),
        // An account that the router has not heard of yet.
        None => rights.administers_pool(&login.pool),
    }
}

/// An account in the caller's scope; 404 otherwise.
async fn found(desk: &Shared, rights: &Rights, people: &People, operator: OperatorId) -> Result<Login, Problem> {
    let login = desk.store.login_of(operator).await?.ok_or_else(Problem::not_found)?;
    let mine = login.pool == rights.caller().login.pool && is_visible(rights, people, &login);
    if mine { Ok(login) } else { Err(Problem::not_found()) }
}

/// One account.
#[utoipa::path(get, path = "/operators/{id}", tag = "administration", params(("id" = String, Path)), responses(
    (status = 200, body = OperatorAccount), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument),
    (status = 404, body = ProblemDocument)))]
pub async fn get(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Ids(operator): Ids<OperatorId>,
) -> Result<Json<OperatorAccount>, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    rights.require(Role::Supervisor)?;
    found(&desk, &rights, &people, operator).await.map(|login| Json(view(&rights, &people, login)))
}

/// Makes an account in the caller's own pool. Nobody hands out more than they have.
#[utoipa::path(post, path = "/operators", tag = "administration", request_body = NewAccount, responses(
    (status = 201, body = OperatorAccount), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument),
    (status = 403, body = ProblemDocument), (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn create(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Body(new): Body<NewAccount>,
) -> Result<(StatusCode, Json<OperatorAccount>), Problem> {
    let rights = desk.rights(&caller).await?;
    rights.require(Role::Admin)?;
    check_sizes(&new.profile, &new.grants)?;
    check_reach(&rights, &caller.login.pool, &new.profile, &new.grants)?;
    check_names(rights.plan(), &new.profile)?;
    let language = language(new.language.as_deref())?;
    let operator = NewOperator {
        pool: caller.login.pool.clone(),
        login: new.login,
        name: new.name,
        password: new.password,
        language,
        profile: new.profile,
        grants: new.grants,
    };
    let profile = operator.profile.clone();
    let created = create_operator(&*desk.store, &*desk.commands, &desk.passwords, operator).await;
    let operator = created.map_err(|error| account_problem(&error))?;
    desk.directory.forget(&caller.login.pool);
    tracing::info!(%operator, by = %caller.operator(), "account {operator} was made by {}", caller.operator());
    let login = desk.store.login_of(operator).await?.ok_or_else(Problem::internal)?;
    Ok((StatusCode::CREATED, Json(whole(login, profile))))
}

/// Changes an account. Disabling it ends its sessions and closes its consoles at once; nobody disables their own.
#[utoipa::path(patch, path = "/operators/{id}", tag = "administration", request_body = AccountChange, params(("id" = String, Path)), responses(
    (status = 200, body = OperatorAccount), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument),
    (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument),
    (status = 503, body = ProblemDocument)))]
pub async fn change(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Ids(operator): Ids<OperatorId>,
    Body(change): Body<AccountChange>,
) -> Result<Json<OperatorAccount>, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    rights.require(Role::Admin)?;
    let before = found(&desk, &rights, &people, operator).await?;
    // Both what it was and what it becomes: nobody takes over an account that reaches further than theirs.
    let (pool, profile_before) = (&before.pool, people.profile(operator));
    check_reach(&rights, pool, &profile_before, &before.grants)?;
    let is_new_profile = change.profile.is_some();
    let profile = change.profile.unwrap_or(profile_before);
    let mut login = before.clone();
    login.name = change.name.unwrap_or(login.name);
    login.grants = change.grants.unwrap_or(login.grants);
    login.enabled = change.enabled.unwrap_or(login.enabled);
    if !login.enabled && operator == caller.operator() {
        return Err(Problem::conflict("own_account", "nobody disables their own account; another administrator can"));
    }
    check_sizes(&profile, &login.grants)?;
    check_reach(&rights, pool, &profile, &login.grants)?;
    check_name("name", &login.name).map_err(|error| account_problem(&error))?;
    // A profile that stays may name what the plan has no more: its account can be disabled all the same.
    if is_new_profile {
        check_names(rights.plan(), &profile)?;
    }
    desk.store.put_login(&login).await?;
    after_change(&desk, &login).await;
    announce_operator(&*desk.commands, &login, profile.clone(), Some(caller.operator())).await.map_err(|error| account_problem(&error))?;
    desk.directory.forget(pool);
    tracing::info!(%operator, by = %caller.operator(), "account {operator} was changed by {}", caller.operator());
    Ok(Json(whole(login, profile)))
}

/// Sets somebody's password. Their sessions end.
#[utoipa::path(put, path = "/operators/{id}/password", tag = "administration", request_body = NewPassword, params(("id" = String, Path)),
    responses((status = 204), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument),
    (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn password(
    State(desk): State<Shared>,
    SignedIn(caller): SignedIn,
    Ids(operator): Ids<OperatorId>,
    Body(body): Body<NewPassword>,
) -> Result<StatusCode, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    rights.require(Role::Admin)?;
    let login = found(&desk, &rights, &people, operator).await?;
    check_reach(&rights, &login.pool, &people.profile(operator), &login.grants)?;
    set_password(&*desk.store, &desk.passwords, operator, &body.new).await.map_err(|error: AccountError| account_problem(&error))?;
    after_change(&desk, &login).await;
    tracing::info!(%operator, by = %caller.operator(), "the password of {operator} was set by {}", caller.operator());
    Ok(StatusCode::NO_CONTENT)
}

/// This node looks again at once at who they are; the others do within about a second.
async fn after_change(desk: &Shared, login: &Login) {
    desk.sessions.forget_operator(login.operator);
    desk.hub.recheck(login.operator);
}

fn language(wanted: Option<&str>) -> Result<String, Problem> {
    match wanted.unwrap_or("it") {
        language @ ("it" | "en") => Ok(language.to_owned()),
        _ => Err(Problem::invalid("`language` is `it` or `en`")),
    }
}

/// Refuses what reaches further than the caller. It comes before any look at names, so that nobody learns by them what another
/// administration has.
fn check_reach(rights: &Rights, pool: &PoolId, profile: &OperatorProfile, grants: &[Grant]) -> Result<(), Problem> {
    if rights.may_administer(pool, profile, grants) { Ok(()) } else { Err(Problem::forbidden()) }
}

/// Refuses too many of anything, before anything is done with it.
fn check_sizes(profile: &OperatorProfile, grants: &[Grant]) -> Result<(), Problem> {
    let few = profile.skills.len().max(profile.queues.len()).max(profile.offices.len()).max(profile.administrations.len()) <= LIST_MAX
        && profile.languages.len().max(profile.channels.len()).max(profile.capacity.channels.len()).max(grants.len()) <= LIST_MAX;
    if few { Ok(()) } else { Err(Problem::invalid(format!("a profile has at most {LIST_MAX} of each"))) }
}

/// Refuses levels out of range, and names that the plan does not know in the administrations of the profile.
fn check_names(plan: &Plan, profile: &OperatorProfile) -> Result<(), Problem> {
    if let Some((skill, _)) = profile.skills.iter().find(|(skill, level)| !plan.skills.contains_key(*skill) || !(1..=10).contains(*level)) {
        return Err(Problem::invalid(format!("skill `{skill}` is not in the plan, or its level is not 1 to 10")));
    }
    let is_theirs = |queue: &QueueId| plan.queues.get(queue).is_some_and(|queue| profile.administrations.contains(&queue.administration));
    if let Some(queue) = profile.queues.iter().find(|queue| !is_theirs(queue)) {
        return Err(Problem::invalid(format!("queue `{queue}` is not one of the administrations named")));
    }
    let known = |office| profile.administrations.iter().any(|administration| plan.office(administration, office).is_some());
    if let Some(office) = profile.offices.iter().find(|office| !known(office)) {
        return Err(Problem::invalid(format!("office `{office}` is not one of the administrations named")));
    }
    Ok(())
}
