//! Contacts, the plan and people as the desk shows them. The schemas in the OpenAPI document come from these types.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::authorisation::{Rights, Sight};
use super::directory::People;
use crate::model::channel::{Channel, IdentityLevel, Language};
use crate::model::contact::{CaseReference, Contact, ContactState, Direction, Mode, Outcome, PendingOn, StateName};
use crate::model::id::{AccountId, AdministrationId, ContactId, ConversationId, OfficeId, OperatorId, PoolId, QueueId, TopicId};
use crate::model::operator::{Grant, PresenceState};
use crate::model::text_message::TextMessageTerms;
use crate::model::time::Timestamp;
use crate::plan::Plan;
use crate::port::store::{ContactSummary, Login, QueueState};

/// The caller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Me {
    /// The operator they are.
    pub operator: OperatorId,
    /// What they type to sign in.
    pub login: String,
    /// Their name.
    pub name: String,
    /// Their language on the pages.
    pub language: String,
    /// Where they are routed.
    pub pool: PoolId,
    /// What they may do.
    pub grants: Vec<Grant>,
}

impl From<&Login> for Me {
    fn from(login: &Login) -> Self {
        Self {
            operator: login.operator,
            login: login.login.clone(),
            name: login.name.clone(),
            language: login.language.clone(),
            pool: login.pool.clone(),
            grants: login.grants.clone(),
        }
    }
}

/// A contact as lists and headers show it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ContactView {
    /// Its id.
    pub id: ContactId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Whose citizen it is.
    pub administration: AdministrationId,
    /// Which office is competent.
    pub office: OfficeId,
    /// Where it waits, or waited.
    pub queue: QueueId,
    /// The channel it came by.
    pub channel: Channel,
    /// Live or deferrable.
    pub mode: Mode,
    /// Who opened it.
    pub direction: Direction,
    /// Where it is.
    pub state: StateName,
    /// Grows with each change: the value for `If-Match`.
    pub version: u32,
    /// Who has it, or whom it rings; of one that ended, who had it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<OperatorId>,
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<Arc<str>>,
    /// Offered: the offer's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// Offered: when it stops ringing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Active: when it goes back if untouched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untouched_until: Option<Timestamp>,
    /// Pending: for whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_on: Option<PendingOn>,
    /// Pending: when it comes back by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_after: Option<Timestamp>,
    /// Wrap-up: when it closes by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrap_up_until: Option<Timestamp>,
    /// Deferred: when it is queued again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferred_until: Option<Timestamp>,
    /// When it reached the administration.
    pub filed_at: Timestamp,
    /// When it was last queued.
    pub queued_at: Timestamp,
    /// When the first response is due.
    pub due: Timestamp,
    /// When it was first answered by a person: from then on nothing is late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_response_at: Option<Timestamp>,
    /// The language to answer in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// How sure it is who wrote.
    pub identity: IdentityLevel,
    /// Subject; absent without the right to content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Name or address of the citizen; absent without the right to content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citizen: Option<String>,
    /// The administration's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseReference>,
    /// How often it came back.
    pub returns: u32,
    /// Whether that is more often than its queue allows: a supervisor is called, and it stays marked until it ends.
    pub escalated: bool,
    /// How often it was transferred.
    pub transfers: u32,
    /// The closed contact that it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continues: Option<ContactId>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Told to who has it, of a text message's account: how an answer is counted and what a part of it costs, if there is anything to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms: Option<TextMessageTerms>,
    /// Told to who has it: how much came to it that they have not read.
    #[serde(skip_serializing_if = "is_zero")]
    pub unread: u32,
    /// The account that an answer goes by.
    #[serde(skip)]
    pub account: AccountId,
}

impl ContactView {
    /// A contact as somebody with this sight of it may see it.
    pub fn new(summary: ContactSummary, sight: Sight, people: &People, plan: &Plan) -> Self {
        let ContactSummary { contact, subject, citizen } = summary;
        let last_owner = contact.last_owner.filter(|_| contact.state.is_final());
        let owner = contact.state.owner().or(contact.state.holder()).or(last_owner);
        let mut view = Self {
            id: contact.id,
            conversation: contact.conversation,
            state: contact.state.name(),
            owner,
            owner_name: owner.map(|owner| people.name(owner)),
            ordinal: None,
            deadline: None,
            untouched_until: None,
            pending_on: None,
            back_after: None,
            wrap_up_until: None,
            deferred_until: None,
            subject: subject.filter(|_| sight.content),
            citizen: citizen.filter(|_| sight.content),
            due: due(&contact, plan),
            first_response_at: contact.first_response_at,
            escalated: is_escalated(&contact, plan),
            administration: contact.administration,
            office: contact.office,
            queue: contact.queue,
            channel: contact.channel,
            mode: contact.mode,
            direction: contact.direction,
            version: contact.version,
            filed_at: contact.filed_at,
            queued_at: contact.queued_at,
            language: contact.language,
            identity: contact.identity,
            case: contact.case,
            returns: contact.returns,
            transfers: contact.transfers,
            continues: contact.continues,
            outcome: contact.outcome,
            sms: None,
            unread: 0,
            account: contact.account,
        };
        view.fill(contact.state);
        view
    }

    fn fill(&mut self, state: ContactState) {
        match state {
            ContactState::Offered { ordinal, deadline, .. } => (self.ordinal, self.deadline) = (Some(ordinal), Some(deadline)),
            ContactState::Active { untouched_until, .. } => self.untouched_until = untouched_until,
            ContactState::Pending { on, back_after, .. } => (self.pending_on, self.back_after) = (Some(on), back_after),
            ContactState::WrapUp { until, .. } => self.wrap_up_until = Some(until),
            ContactState::Deferred { until } => self.deferred_until = Some(until),
            ContactState::Queued | ContactState::Abandoned { .. } | ContactState::Closed { .. } => {}
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A queue that the plan does not know any more calls nobody.
fn is_escalated(contact: &Contact, plan: &Plan) -> bool {
    !contact.state.is_final() && plan.queues.get(&contact.queue).is_some_and(|queue| contact.returns > queue.returns_max)
}

/// The place in the queue is the due time less the queue's head start.
fn due(contact: &Contact, plan: &Plan) -> Timestamp {
    let head_start = plan.queues.get(&contact.queue).map(|queue| queue.head_start).unwrap_or_default();
    contact.key.due.plus(head_start)
}

/// Contacts of a list that the caller may know of.
pub fn contact_views(rights: &Rights, people: &People, summaries: Vec<ContactSummary>) -> Vec<ContactView> {
    summaries
        .into_iter()
        .filter_map(|summary| rights.sight(&summary.contact).map(|sight| ContactView::new(summary, sight, people, rights.plan())))
        .collect()
}

/// What the plan has for a caller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanView {
    /// Administrations of which they see anything.
    pub administrations: Vec<AdministrationView>,
    /// Codes for being away.
    pub presence_reasons: Vec<String>,
    /// Codes for rejecting an offer.
    pub reject_reasons: Vec<String>,
    /// Codes for a transfer.
    pub transfer_reasons: Vec<String>,
}

/// An administration.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AdministrationView {
    /// Its id.
    pub id: AdministrationId,
    /// Its name.
    pub name: String,
    /// Languages it answers in.
    pub languages: Vec<Language>,
    /// Why citizens write.
    pub topics: Vec<TopicView>,
    /// Offices the caller may know of.
    pub offices: Vec<OfficeView>,
    /// Their queues, and those one may transfer to.
    pub queues: Vec<QueueView>,
}

/// Why citizens write.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TopicView {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: String,
}

/// An office.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OfficeView {
    /// Its id.
    pub id: OfficeId,
    /// Its name.
    pub name: String,
    /// Invisible outside itself.
    pub restricted: bool,
}

/// A queue.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QueueView {
    /// Its id.
    pub id: QueueId,
    /// Its name.
    pub name: String,
    /// Its office.
    pub office: OfficeId,
    /// Whether it admits no live contacts now.
    pub closed: bool,
    /// What citizens are told meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// Codes for being away, as long as the plan names none of its own.
pub const PRESENCE_REASONS: [&str; 5] = ["screen_break", "lunch", "training", "meeting", "back_office"];
/// Codes for rejecting an offer.
pub const REJECT_REASONS: [&str; 5] = ["busy", "not_competent", "conflict", "technical", "other"];
/// Codes for a transfer.
pub const TRANSFER_REASONS: [&str; 5] = ["competence", "workload", "language", "conflict", "other"];

/// The part of the plan that a caller may know. Names and doors of restricted offices are public (one transfers to them);
/// their contacts are not.
pub fn plan_view(rights: &Rights, states: &[QueueState]) -> PlanView {
    let plan = rights.plan();
    let words = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    PlanView {
        administrations: rights
            .administrations()
            .iter()
            .filter_map(|id| {
                let body = plan.administrations.get(id)?;
                let offices = body.offices.iter();
                Some(AdministrationView {
                    id: id.clone(),
                    name: body.name.clone(),
                    languages: body.languages.clone(),
                    topics: body.topics.iter().map(|(id, name)| TopicView { id: id.clone(), name: name.clone() }).collect(),
                    offices: offices
                        .map(|(id, office)| OfficeView { id: id.clone(), name: office.name.clone(), restricted: office.restricted })
                        .collect(),
                    queues: queue_views(plan, id, states),
                })
            })
            .collect(),
        presence_reasons: words(&PRESENCE_REASONS),
        reject_reasons: words(&REJECT_REASONS),
        transfer_reasons: words(&TRANSFER_REASONS),
    }
}

fn queue_views(plan: &Plan, administration: &AdministrationId, states: &[QueueState]) -> Vec<QueueView> {
    let mine = plan.queues.iter().filter(|(_, queue)| queue.administration == *administration);
    mine.map(|(id, queue)| {
        let state = states.iter().find(|state| state.queue == *id);
        QueueView {
            id: id.clone(),
            name: queue.name.clone(),
            office: queue.office.clone(),
            closed: state.is_some_and(|state| state.closed),
            notice: state.filter(|state| state.closed).and_then(|state| state.notice.clone()),
        }
    })
    .collect()
}

/// The reason of an absence.
pub fn away_reason(state: &PresenceState) -> Option<String> {
    match state {
        PresenceState::Away { reason } => Some(reason.clone()),
        PresenceState::Offline | PresenceState::Ready => None,
    }
}
