//! What became of what a program said, and what the office answered.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::Shared;
use super::request::{Input, Problem, ProblemDocument, Program};
use crate::model::contact::{Contact, Direction, Mode, NotAdmitted, StateName};
use crate::model::id::{ContactId, InputId, MessageId, QueueId};
use crate::model::time::Timestamp;
use crate::port::store::InputStatus;

/// What became of an input.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status {
    /// The input.
    input: InputId,
    /// `accepted`: durable, not looked at yet; `processed`: see `outcome`.
    state: &'static str,
    /// `applied`, or a code that says why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// When it was processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    /// The contact it landed in, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<ContactStatus>,
    /// What the office answered, oldest first.
    messages: Vec<OfficeMessage>,
}

/// A contact as its program may see it. Never who answers: that is the office's.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ContactStatus {
    /// Its id.
    id: ContactId,
    /// Where it is.
    state: StateName,
    /// `live`: it rings, and its citizen can leave. `deferrable`: it is given to somebody as a letter is, and signals of it are refused.
    mode: Mode,
    /// False: it came as a live contact and was not admitted as one, so it is `deferrable` and does not ring.
    admitted: bool,
    /// Why it was not admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_admitted: Option<NotAdmitted>,
    /// Where it waits, or waited.
    queue: QueueId,
    /// Whether that queue admits no live contacts now.
    queue_closed: bool,
    /// What to tell the citizen meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

/// An answer of the office.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OfficeMessage {
    /// Its id.
    id: MessageId,
    /// When it was written.
    at: Timestamp,
    /// What.
    text: String,
}

/// What became of an input of this account.
#[utoipa::path(get, path = "/inputs/{input}", params(("input" = String, Path)), responses(
    (status = 200, body = Status), (status = 401, body = ProblemDocument), (status = 404, body = ProblemDocument),
    (status = 429, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn status(State(api): State<Shared>, program: Program, Input(input): Input) -> Result<Json<Status>, Problem> {
    let Some(InputStatus { at, outcome, contact }) = known(&api, &program, input).await? else {
        return Ok(Json(Status { input, state: "accepted", outcome: None, at: None, contact: None, messages: Vec::new() }));
    };
    let (contact, messages) = match contact {
        Some(contact) => (Some(contact_status(&api, &program, &contact).await?), messages(&api, &program, contact.id).await?),
        None => (None, Vec::new()),
    };
    Ok(Json(Status { input, state: "processed", outcome: Some(outcome), at: Some(at), contact, messages }))
}

/// What the store knows of an input of this account; none while it is on its way. 404 if it is another's or nobody's. What was refused
/// is in no contact that says whose it is: who knows its id, which nobody can guess, may know that it was refused.
pub async fn known(api: &Shared, program: &Program, input: InputId) -> Result<Option<InputStatus>, Problem> {
    let administrations = std::slice::from_ref(&program.administration);
    match api.store.input_status(administrations, input).await? {
        Some(status) => {
            let is_mine = status.contact.as_ref().is_none_or(|contact| contact.account == program.account);
            if is_mine { Ok(Some(status)) } else { Err(Problem::not_found()) }
        }
        None if api.was_accepted(input, &program.account) => Ok(None),
        None => Err(Problem::not_found()),
    }
}

async fn contact_status(api: &Shared, program: &Program, contact: &Contact) -> Result<ContactStatus, Problem> {
    let states = api.store.queue_states(&program.pool).await?;
    let closed = states.into_iter().find(|state| state.queue == contact.queue && state.closed);
    Ok(ContactStatus {
        id: contact.id,
        state: contact.state.name(),
        mode: contact.mode,
        admitted: contact.not_admitted.is_none(),
        not_admitted: contact.not_admitted,
        queue: contact.queue.clone(),
        queue_closed: closed.is_some(),
        notice: closed.and_then(|state| state.notice),
    })
}

async fn messages(api: &Shared, program: &Program, contact: ContactId) -> Result<Vec<OfficeMessage>, Problem> {
    let messages = api.store.messages_of_contact(&program.administration, contact).await?;
    let ours = messages.into_iter().filter(|message| message.direction == Direction::Outbound);
    Ok(ours.map(|message| OfficeMessage { id: message.id, at: message.at, text: message.text }).collect())
}
