//! The room as its supervisor sees it: what waits, who has what, who is there. Live only; nothing here is history.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::desk::Shared;
use crate::desk::authorisation::Rights;
use crate::desk::directory::People;
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::routes::state::PresenceView;
use crate::desk::session::SignedIn;
use crate::desk::view::{ContactView, contact_views};
use crate::model::channel::Channel;
use crate::model::contact::{Mode, StateName};
use crate::model::id::{AdministrationId, OfficeId, OperatorId, QueueId};
use crate::model::operator::{Operator, Role};
use crate::model::time::Timestamp;
use crate::port::store::{ContactCount, ContactFilter, ContactSummary, OperatorLoad, Page, QueueState, Reach};

/// The most contacts in each list; the counts are complete.
const LIST_MAX: u32 = 500;
/// Units of a chat: three fit into a hundred.
const CHAT_UNITS: u16 = 33;
/// Units of everything else that is live: a call, a counter.
const CALL_UNITS: u16 = 100;

/// The room.
#[derive(Serialize, JsonSchema)]
pub struct Room {
    /// What waits, in its order; at most 500.
    waiting: Vec<ContactView>,
    /// What somebody has or what rings, pending ones last; at most 500.
    held: Vec<ContactView>,
    /// What was put off, the soonest to come back first; at most 500.
    deferred: Vec<ContactView>,
    /// How many there are of each, whether listed or not.
    counts: RoomCounts,
    /// Who is there.
    operators: Vec<RoomOperator>,
    /// The queues.
    queues: Vec<RoomQueue>,
}

/// How many contacts there are within the supervisor's scope.
#[derive(Default, Serialize, JsonSchema)]
pub struct RoomCounts {
    /// Waiting.
    waiting: i64,
    /// Ringing, worked on, wrapped up or pending.
    held: i64,
    /// Put off.
    deferred: i64,
}

/// An operator in the room. What they have is counted whole, whatever of it the supervisor may see: it is what the router goes by.
#[derive(Serialize, JsonSchema)]
pub struct RoomOperator {
    /// Who.
    operator: OperatorId,
    /// Their name.
    name: Arc<str>,
    /// Whether they are there.
    #[serde(flatten)]
    presence: PresenceView,
    /// Units in use for live contacts.
    live_used: u16,
    /// Units for live contacts.
    live_units: u16,
    /// Deferrable contacts on the desk.
    desk_used: u16,
    /// How many may be.
    desk_slots: u8,
    /// How many contacts they have, pending ones too, or ring at them.
    holds: i64,
}

/// A queue in the room.
#[derive(Serialize, JsonSchema)]
pub struct RoomQueue {
    /// Its id.
    id: QueueId,
    /// Its name.
    name: String,
    /// Whose.
    administration: AdministrationId,
    /// Its office.
    office: OfficeId,
    /// Whether it admits no live contacts now.
    closed: bool,
    /// What citizens are told meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    /// How many wait.
    waiting: i64,
    /// Since when the oldest waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Timestamp>,
}

/// What waits, who has what, who is there: within the supervisor's scope.
#[utoipa::path(get, path = "/room", tag = "supervision", responses(
    (status = 200, body = Room), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument)))]
pub async fn room(State(desk): State<Shared>, SignedIn(caller): SignedIn) -> Result<Json<Room>, Problem> {
    let (rights, people) = desk.rights_and_people(&caller).await?;
    rights.require(Role::Supervisor)?;
    let list = |states: Vec<StateName>| {
        let (desk, rights) = (&desk, &rights);
        async move {
            let reach = Some(Reach { offices: rights.supervised_offices(), holder: None });
            let filter = ContactFilter { states, reach, ..ContactFilter::default() };
            let page = Page { limit: LIST_MAX, offset: 0 };
            let found = desk.store.contacts(rights.administrations(), &filter, page).await?;
            Ok::<Vec<ContactSummary>, Problem>(found)
        }
    };
    let waiting = list(vec![StateName::Queued]).await?;
    let held = list(vec![StateName::Offered, StateName::Active, StateName::Pending, StateName::WrapUp]).await?;
    let mut deferred = contact_views(&rights, &people, list(vec![StateName::Deferred]).await?);
    deferred.sort_by_key(|contact| contact.deferred_until);
    let loads = desk.store.operator_loads(&caller.login.pool).await?;
    let counts = desk.store.contact_counts(&caller.login.pool).await?;
    let states = desk.store.queue_states(&caller.login.pool).await?;
    Ok(Json(Room {
        operators: operators(&rights, &people, &loads),
        counts: room_counts(&rights, &counts),
        queues: queues(&rights, &counts, &states),
        waiting: contact_views(&rights, &people, waiting),
        held: contact_views(&rights, &people, held),
        deferred,
    }))
}

fn room_counts(rights: &Rights, counts: &[ContactCount]) -> RoomCounts {
    let mut sum = RoomCounts::default();
    for count in counts.iter().filter(|count| rights.supervises(&count.administration, &count.office)) {
        match count.state {
            StateName::Queued => sum.waiting += count.count,
            StateName::Offered | StateName::Active | StateName::Pending | StateName::WrapUp => sum.held += count.count,
            StateName::Deferred => sum.deferred += count.count,
            StateName::Abandoned | StateName::Closed => {}
        }
    }
    sum
}

#[derive(Default)]
struct Load {
    live: u16,
    desk: u16,
    holds: i64,
}

fn operators(rights: &Rights, people: &People, counted: &[OperatorLoad]) -> Vec<RoomOperator> {
    let mut loads: BTreeMap<OperatorId, Load> = BTreeMap::new();
    for each in counted {
        let load = loads.entry(each.operator).or_default();
        let count = u16::try_from(each.count).unwrap_or(u16::MAX);
        load.holds += each.count;
        match each.mode {
            _ if !each.holds => {}
            Mode::Live => load.live = load.live.saturating_add(live_units(&each.channel).saturating_mul(count)),
            Mode::Deferrable => load.desk = load.desk.saturating_add(count),
        }
    }
    let mut list: Vec<RoomOperator> = people
        .operators
        .values()
        .filter(|operator| operator.enabled && rights.supervises_operator(operator))
        .map(|operator| room_operator(operator, people, loads.remove(&operator.id).unwrap_or_default()))
        .collect();
    list.sort_by(|a, b| (&a.name, a.operator).cmp(&(&b.name, b.operator)));
    list
}

fn room_operator(operator: &Operator, people: &People, load: Load) -> RoomOperator {
    RoomOperator {
        operator: operator.id,
        name: people.name(operator.id),
        presence: PresenceView::new(Some(operator)),
        live_used: load.live,
        live_units: operator.profile.capacity.live_units,
        desk_used: load.desk,
        desk_slots: operator.profile.capacity.desk_slots,
        holds: load.holds,
    }
}

fn live_units(channel: &Channel) -> u16 {
    if channel.as_str() == Channel::WEBCHAT { CHAT_UNITS } else { CALL_UNITS }
}

fn queues(rights: &Rights, counts: &[ContactCount], states: &[QueueState]) -> Vec<RoomQueue> {
    let plan = rights.plan();
    let mine = plan.queues.iter().filter(|(_, queue)| rights.supervises(&queue.administration, &queue.office));
    mine.map(|(id, queue)| {
        let waiting = counts.iter().filter(|count| count.queue == *id && count.state == StateName::Queued);
        let state = states.iter().find(|state| state.queue == *id && state.closed);
        RoomQueue {
            id: id.clone(),
            name: queue.name.clone(),
            administration: queue.administration.clone(),
            office: queue.office.clone(),
            closed: state.is_some(),
            notice: state.and_then(|state| state.notice.clone()),
            waiting: waiting.clone().map(|count| count.count).sum(),
            oldest: waiting.map(|count| count.oldest).min(),
        }
    })
    .collect()
}
