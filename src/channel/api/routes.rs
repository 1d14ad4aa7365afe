//! What a program may say: a contact, an addition to it, that the citizen left.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::request::{Body, Input, NewContact, NewMessage, NewSignal, OptionalBody, Problem, ProblemDocument, Program};
use super::{Shared, publish, status};
use crate::model::id::InputId;
use crate::model::inbound::Signal;

/// It is accepted: durable at the broker. What becomes of it is at `status`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Accepted {
    /// The input: the same again for the same `external_id`.
    input: InputId,
    /// Where to look.
    status: String,
}

type Answer = Result<(StatusCode, Json<Accepted>), Problem>;

fn accepted(input: InputId) -> (StatusCode, Json<Accepted>) {
    (StatusCode::ACCEPTED, Json(Accepted { status: format!("/channel/v1/inputs/{input}"), input }))
}

/// Opens a contact. Sent again with the same `external_id` it is the same contact. A closed queue does not refuse it: the
/// status tells, with the notice for the citizen.
#[utoipa::path(post, path = "/contacts", request_body = NewContact, responses(
    (status = 202, body = Accepted), (status = 401, body = ProblemDocument), (status = 413, body = ProblemDocument),
    (status = 422, body = ProblemDocument),
    (status = 429, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn open(State(api): State<Shared>, program: Program, Body(new): Body<NewContact>) -> Answer {
    publish::message(&api, &program, new, None).await.map(accepted)
}

/// Adds to a contact that the program opened.
#[utoipa::path(post, path = "/contacts/{input}/messages", request_body = NewMessage, params(("input" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 401, body = ProblemDocument), (status = 404, body = ProblemDocument),
    (status = 413, body = ProblemDocument), (status = 422, body = ProblemDocument),
    (status = 429, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn add(State(api): State<Shared>, program: Program, Input(input): Input, Body(new): Body<NewMessage>) -> Answer {
    status::known(&api, &program, input).await?;
    publish::message(&api, &program, new.into(), Some(input)).await.map(accepted)
}

/// The citizen left before being served.
#[utoipa::path(post, path = "/contacts/{input}/abandon", request_body = Option<NewSignal>, params(("input" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 401, body = ProblemDocument), (status = 404, body = ProblemDocument),
    (status = 400, body = ProblemDocument), (status = 422, body = ProblemDocument), (status = 429, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn abandon(
    State(api): State<Shared>,
    program: Program,
    Input(input): Input,
    OptionalBody(new): OptionalBody<NewSignal>,
) -> Answer {
    status::known(&api, &program, input).await?;
    publish::signal(&api, &program, input, Signal::Abandoned, new).await.map(accepted)
}

/// The citizen left after being served: the operator wraps up.
#[utoipa::path(post, path = "/contacts/{input}/end", request_body = Option<NewSignal>, params(("input" = String, Path)), responses(
    (status = 202, body = Accepted), (status = 401, body = ProblemDocument), (status = 404, body = ProblemDocument),
    (status = 400, body = ProblemDocument), (status = 422, body = ProblemDocument), (status = 429, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn end(State(api): State<Shared>, program: Program, Input(input): Input, OptionalBody(new): OptionalBody<NewSignal>) -> Answer {
    status::known(&api, &program, input).await?;
    publish::signal(&api, &program, input, Signal::Ended, new).await.map(accepted)
}
