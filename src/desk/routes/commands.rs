//! The commands of operators and supervisors over HTTP. What they do and who may is in `desk::command`.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::desk::Shared;
use crate::desk::command::{Answer, Asked, Done, Wish, perform};
use crate::desk::extract::{Body, CommandHeaders, Ids, OptionalBody};
use crate::desk::problem::{Problem, ProblemDocument};
use crate::desk::session::SignedIn;
use crate::model::command::{RejectReason, TransferTarget};
use crate::model::contact::{CaseReference, PendingOn, Resolution};
use crate::model::id::{ContactId, MessageId, OperatorId, QueueId, TopicId};
use crate::model::time::Timestamp;

type Outcome = Result<Json<Done>, Problem>;

async fn run(desk: Shared, caller: SignedIn, headers: CommandHeaders, wish: Wish) -> Outcome {
    let asked = Asked { id: headers.id, expected_version: headers.expected_version, wish };
    perform(&desk, &caller.0, asked).await.map(Json)
}

/// A command on a contact that needs nothing but the contact.
macro_rules! on_contact {
    ($(#[$doc:meta])* $name:ident, $path:literal, $wish:ident) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "commands", params(("id" = String, Path, description = "the contact")), responses(
            (status = 200, body = Done), (status = 401, body = ProblemDocument), (status = 404, body = ProblemDocument),
            (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
        pub async fn $name(State(desk): State<Shared>, caller: SignedIn, headers: CommandHeaders, Ids(contact): Ids<ContactId>) -> Outcome {
            run(desk, caller, headers, Wish::$wish { contact }).await
        }
    };
}

on_contact!(
    /// The owner looks at a deferrable contact: it does not go back by itself any more.
    touch, "/contacts/{id}/touch", Touch);
on_contact!(
    /// Takes a waiting contact out of turn.
    pull, "/contacts/{id}/pull", Pull);
on_contact!(
    /// Takes a pending contact up again.
    resume, "/contacts/{id}/resume", Resume);
on_contact!(
    /// The talk is over, the work is not.
    wrap_up, "/contacts/{id}/wrap-up", WrapUp);
on_contact!(
    /// Back to its queue, in its place.
    give_back, "/contacts/{id}/return", Return);

/// What an operator says of themself.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SetPresence {
    /// Takes contacts.
    Ready,
    /// Takes nothing.
    Away {
        /// Code of the reason.
        reason: String,
    },
    /// Goes home.
    Offline,
}

/// Says whether one takes contacts.
#[utoipa::path(put, path = "/presence", tag = "commands", request_body = SetPresence, responses(
    (status = 200, body = Done), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument),
    (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn set_presence(State(desk): State<Shared>, caller: SignedIn, headers: CommandHeaders, Body(body): Body<SetPresence>) -> Outcome {
    let wish = match body {
        SetPresence::Ready => Wish::Ready,
        SetPresence::Away { reason } => Wish::Away { reason },
        SetPresence::Offline => Wish::Offline,
    };
    run(desk, caller, headers, wish).await
}

/// Takes a live contact that rings.
#[utoipa::path(post, path = "/offers/{contact}/{ordinal}/accept", tag = "commands",
    params(("contact" = String, Path), ("ordinal" = u32, Path)), responses(
    (status = 200, body = Done), (status = 401, body = ProblemDocument), (status = 404, body = ProblemDocument),
    (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn accept(
    State(desk): State<Shared>,
    caller: SignedIn,
    headers: CommandHeaders,
    Ids((contact, ordinal)): Ids<(ContactId, u32)>,
) -> Outcome {
    run(desk, caller, headers, Wish::Accept { contact, ordinal }).await
}

/// Why an offer is rejected.
#[derive(Deserialize, JsonSchema)]
pub struct RejectBody {
    /// `conflict` excludes the operator from the whole conversation.
    pub reason: RejectReason,
}

/// Refuses a live contact that rings.
#[utoipa::path(post, path = "/offers/{contact}/{ordinal}/reject", tag = "commands", request_body = RejectBody,
    params(("contact" = String, Path), ("ordinal" = u32, Path)), responses(
    (status = 200, body = Done), (status = 401, body = ProblemDocument), (status = 404, body = ProblemDocument),
    (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn reject(
    State(desk): State<Shared>,
    caller: SignedIn,
    headers: CommandHeaders,
    Ids((contact, ordinal)): Ids<(ContactId, u32)>,
    Body(body): Body<RejectBody>,
) -> Outcome {
    run(desk, caller, headers, Wish::Reject { contact, ordinal, reason: body.reason }).await
}

/// A command on a contact with a body.
macro_rules! on_contact_with {
    ($(#[$doc:meta])* $name:ident, $method:ident, $path:literal, $body:ty, |$contact:ident, $read:ident| $wish:expr) => {
        $(#[$doc])*
        #[utoipa::path($method, path = $path, tag = "commands", request_body = $body, params(("id" = String, Path, description = "the contact")),
            responses((status = 200, body = Done), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument),
            (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
        pub async fn $name(
            State(desk): State<Shared>,
            caller: SignedIn,
            headers: CommandHeaders,
            Ids($contact): Ids<ContactId>,
            Body($read): Body<$body>,
        ) -> Outcome {
            run(desk, caller, headers, $wish).await
        }
    };
}

/// Waiting for somebody.
#[derive(Deserialize, JsonSchema)]
pub struct PendBody {
    /// For whom.
    pub on: PendingOn,
    /// When it comes back by itself.
    #[serde(default)]
    pub back_after: Option<Timestamp>,
}
on_contact_with!(
    /// Waits for somebody; the contact keeps its owner.
    pend, post, "/contacts/{id}/pend", PendBody,
    |contact, body| Wish::Pend { contact, on: body.on, back_after: body.back_after });

/// Putting off.
#[derive(Deserialize, JsonSchema)]
pub struct DeferBody {
    /// When it is queued again.
    pub until: Timestamp,
}
on_contact_with!(
    /// Puts a contact off until a time.
    defer, post, "/contacts/{id}/defer", DeferBody, |contact, body| Wish::Defer { contact, until: body.until });

/// How a contact ended.
#[derive(Deserialize, JsonSchema)]
pub struct CloseBody {
    /// Why the citizen wrote, from the plan.
    #[serde(default)]
    pub topic: Option<TopicId>,
    /// How it ended.
    pub resolution: Resolution,
}
on_contact_with!(
    /// Done.
    close, post, "/contacts/{id}/close", CloseBody,
    |contact, body| Wish::Close { contact, topic: body.topic, resolution: body.resolution });

/// Where a contact goes.
#[derive(Deserialize, JsonSchema)]
pub struct TransferBody {
    /// `{queue}` or `{operator}`.
    pub to: TransferTarget,
    /// Code of the reason.
    pub reason: String,
}
on_contact_with!(
    /// To another queue or colleague.
    transfer, post, "/contacts/{id}/transfer", TransferBody,
    |contact, body| Wish::Transfer { contact, to: body.to, reason: body.reason });

/// Who gets a contact.
#[derive(Deserialize, JsonSchema)]
pub struct AssignBody {
    /// The operator.
    pub operator: OperatorId,
}
on_contact_with!(
    /// A supervisor gives a contact to an operator, ready or not.
    assign, post, "/contacts/{id}/assign", AssignBody, |contact, body| Wish::Assign { contact, operator: body.operator });

on_contact_with!(
    /// Answers the citizen.
    reply, post, "/contacts/{id}/reply", Answer, |contact, body| Wish::Reply { contact, answer: body });

/// A note.
#[derive(Deserialize, JsonSchema)]
pub struct NoteBody {
    /// What; at most 32 KiB.
    pub text: String,
}
on_contact_with!(
    /// Writes a note: it stays inside.
    note, post, "/contacts/{id}/notes", NoteBody, |contact, body| Wish::Note { contact, text: body.text });

on_contact_with!(
    /// Names the administration's file; `null` takes the reference away.
    set_case, put, "/contacts/{id}/case", Option<CaseReference>, |contact, body| Wish::SetCase { contact, case: body });

/// Tries a failed message again, as a new order. One of unknown outcome is settled first.
#[utoipa::path(post, path = "/contacts/{id}/messages/{message}/retry", tag = "commands",
    params(("id" = String, Path), ("message" = String, Path)), responses(
    (status = 200, body = Done), (status = 401, body = ProblemDocument), (status = 404, body = ProblemDocument),
    (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn retry_message(
    State(desk): State<Shared>,
    caller: SignedIn,
    headers: CommandHeaders,
    Ids((contact, message)): Ids<(ContactId, MessageId)>,
) -> Outcome {
    run(desk, caller, headers, Wish::RetryMessage { contact, message }).await
}

/// How an attempt of unknown outcome ended.
#[derive(Deserialize, JsonSchema)]
pub struct SettleBody {
    /// Whether the message arrived. If not, it can be tried again.
    pub arrived: bool,
}

/// Says how an attempt of unknown outcome ended. Nothing is sent by that.
#[utoipa::path(post, path = "/contacts/{id}/messages/{message}/settle", tag = "commands", request_body = SettleBody,
    params(("id" = String, Path, description = "the message's contact, or another of its conversation"), ("message" = String, Path)), responses(
    (status = 200, body = Done), (status = 400, body = ProblemDocument), (status = 401, body = ProblemDocument),
    (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn settle_message(
    State(desk): State<Shared>,
    caller: SignedIn,
    headers: CommandHeaders,
    Ids((contact, message)): Ids<(ContactId, MessageId)>,
    Body(body): Body<SettleBody>,
) -> Outcome {
    run(desk, caller, headers, Wish::SettleMessage { contact, message, arrived: body.arrived }).await
}

/// What citizens are told while a queue is closed.
#[derive(Default, Deserialize, JsonSchema)]
pub struct CloseQueueBody {
    /// The notice.
    #[serde(default)]
    pub notice: Option<String>,
}

/// Admits no more live contacts.
#[utoipa::path(post, path = "/queues/{id}/close", tag = "commands", request_body = CloseQueueBody, params(("id" = String, Path)), responses(
    (status = 200, body = Done), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument),
    (status = 404, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn close_queue(
    State(desk): State<Shared>,
    caller: SignedIn,
    headers: CommandHeaders,
    Ids(queue): Ids<QueueId>,
    OptionalBody(body): OptionalBody<CloseQueueBody>,
) -> Outcome {
    run(desk, caller, headers, Wish::CloseQueue { queue, notice: body.notice }).await
}

/// Admits live contacts again.
#[utoipa::path(post, path = "/queues/{id}/open", tag = "commands", params(("id" = String, Path)), responses(
    (status = 200, body = Done), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument),
    (status = 404, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn open_queue(State(desk): State<Shared>, caller: SignedIn, headers: CommandHeaders, Ids(queue): Ids<QueueId>) -> Outcome {
    run(desk, caller, headers, Wish::OpenQueue { queue }).await
}
