//! The snapshot a console starts from.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::desk::Shared;
use crate::desk::authorisation::Rights;
use crate::desk::directory::People;
use crate::desk::own;
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::session::SignedIn;
use crate::desk::view::{ContactView, PlanView, away_reason, contact_views, plan_view};
use crate::model::contact::{ContactState, StateName};
use crate::model::id::{AdministrationId, OperatorId};
use crate::model::operator::Operator;
use crate::model::time::Timestamp;
use crate::port::clock::now;
use crate::port::store::{ContactFilter, Page};

/// The most contacts of one person that are shown.
const MINE_MAX: u32 = 500;

/// Everything a console shows at first.
#[derive(Serialize, JsonSchema)]
pub struct Snapshot {
    /// It is at least as new as this: resume the live feed after it.
    seq: i64,
    /// One's own presence.
    presence: PresenceView,
    /// Contacts one owns.
    contacts: Vec<ContactView>,
    /// Contacts that ring.
    offers: Vec<OfferView>,
    /// Administrations, offices, queues, reasons.
    plan: PlanView,
    /// Who else works for the same administrations.
    colleagues: Vec<Colleague>,
    /// The server's clock.
    server_time: Timestamp,
}

/// An operator's presence.
#[derive(Serialize, JsonSchema)]
pub struct PresenceView {
    /// `offline`, `ready` or `away`.
    pub state: &'static str,
    /// Code of the absence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether a console is there.
    pub connected: bool,
    /// Since when.
    pub since: Timestamp,
}

impl PresenceView {
    /// The presence of an operator.
    pub fn new(operator: Option<&Operator>) -> Self {
        let presence = operator.map(|operator| operator.presence.clone()).unwrap_or_default();
        Self {
            state: presence.state.name(),
            reason: away_reason(&presence.state),
            connected: presence.node.is_some() && presence.lost_at.is_none(),
            since: presence.since,
        }
    }
}

/// A contact that rings.
#[derive(Serialize, JsonSchema)]
pub struct OfferView {
    /// Which.
    contact: ContactView,
    /// The offer's number.
    ordinal: u32,
    /// Until when.
    deadline: Timestamp,
}

/// Somebody else. Whether they are there now, never since when or why: figures on a person are theirs and the supervisor's.
#[derive(Serialize, JsonSchema)]
pub struct Colleague {
    /// Who.
    operator: OperatorId,
    /// Their name.
    name: Arc<str>,
    /// `offline`, `ready` or `away`.
    state: &'static str,
    /// Shared administrations.
    administrations: Vec<AdministrationId>,
}

/// The snapshot: one's presence, contacts and offers, the plan, the colleagues.
#[utoipa::path(get, path = "/state", tag = "reading", responses((status = 200, body = Snapshot), (status = 401, body = ProblemDocument)))]
pub async fn state(State(desk): State<Shared>, SignedIn(caller): SignedIn) -> Result<Json<Snapshot>, Problem> {
    let (me, pool) = (caller.operator(), &caller.login.pool);
    // The number first: whatever is read after it is at least that new.
    let seq = desk.store.last_seq(pool).await?;
    desk.directory.forget(pool);
    let people = desk.directory.people(pool).await?;
    let rights = Rights::new(&caller, &people, desk.current_plan());
    let filter = ContactFilter {
        states: vec![StateName::Offered, StateName::Active, StateName::Pending, StateName::WrapUp],
        operator: Some(me),
        ..ContactFilter::default()
    };
    let mine = desk.store.contacts(rights.administrations(), &filter, Page { limit: MINE_MAX, offset: 0 }).await?;
    let (ringing, owned): (Vec<_>, Vec<_>) =
        mine.into_iter().partition(|summary| matches!(summary.contact.state, ContactState::Offered { .. }));
    let offers = contact_views(&rights, &people, ringing).into_iter().filter_map(|contact| {
        let (ordinal, deadline) = contact.ordinal.zip(contact.deadline)?;
        Some(OfferView { contact, ordinal, deadline })
    });
    let states = desk.store.queue_states(pool).await?;
    let mut contacts = contact_views(&rights, &people, owned);
    own::complete(&desk, &rights, &mut contacts).await?;
    Ok(Json(Snapshot {
        seq,
        presence: PresenceView::new(people.operators.get(&me)),
        contacts,
        offers: offers.collect(),
        plan: plan_view(&rights, &states),
        colleagues: colleagues(&rights, &people, me),
        server_time: now(),
    }))
}

fn colleagues(rights: &Rights, people: &People, me: OperatorId) -> Vec<Colleague> {
    let mine = rights.administrations();
    let mut colleagues: Vec<Colleague> = people
        .operators
        .values()
        .filter(|operator| operator.id != me && operator.enabled)
        .filter_map(|operator| {
            let shared = operator.profile.administrations.iter().filter(|id| mine.contains(id)).cloned();
            let administrations: Vec<_> = shared.collect();
            let present = if operator.is_present() { operator.presence.state.name() } else { "offline" };
            (!administrations.is_empty()).then(|| Colleague {
                operator: operator.id,
                name: people.name(operator.id),
                state: present,
                administrations,
            })
        })
        .collect();
    colleagues.sort_by(|a, b| (&a.name, a.operator).cmp(&(&b.name, b.operator)));
    colleagues
}
