//! The chat's HTTP: what a widget must know, new chats, files, the widget itself and a page to try it on.

use std::convert::Infallible;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde::{Deserialize, Serialize};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use super::access::{Visitor, guard};
use super::body::whole_body;
use super::counters::ChatCounters;
use super::limits::{BODY_BYTES_MAX, FILES_MAX, MESSAGE_CHARACTERS_MAX, NAME_CHARACTERS_MAX, REQUEST_WITHIN};
use super::room::Attendance;
use super::session::NewSession;
use super::{Shared, files, pages, session, socket};
use crate::channel::problem::Problem;
use crate::model::channel::Language;
use crate::model::id::TopicId;

/// The routes under `/chat`.
pub fn router(chat: Shared) -> Router {
    let header = |name: HeaderName, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let account = Router::new()
        .route("/config", get(config).options(preflight))
        .route("/sessions", post(open).options(preflight))
        .route("/files", post(files::upload).options(preflight))
        .route("/files/{id}", get(files::fetch).options(preflight))
        // each handler counts for itself
        .layer(DefaultBodyLimit::disable())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_WITHIN))
        .route("/socket", any(socket::socket))
        .route_layer(from_fn_with_state(chat.clone(), guard));
    Router::new()
        .nest("/chat/v1/{account}", account)
        .route("/chat", get(demo))
        .route("/chat/{*file}", get(file))
        .layer(header(header::CACHE_CONTROL, "no-store"))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .layer(header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .with_state(chat)
}

/// Answered before it gets here.
async fn preflight() -> Result<StatusCode, Infallible> {
    Ok(StatusCode::NO_CONTENT)
}

async fn demo(State(chat): State<Shared>) -> Response {
    pages::demo(chat.first_account().as_ref())
}

async fn file(request: Request) -> Response {
    pages::file(request.uri().path().trim_start_matches("/chat/"), request.headers())
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    language: Option<String>,
}

#[derive(Serialize)]
struct Topic {
    id: TopicId,
    label: String,
}

#[derive(Serialize)]
struct Limits {
    message_chars: usize,
    name_chars: usize,
    attachment_bytes: usize,
    attachments: usize,
    attachment_types: Vec<String>,
}

/// What a widget must know before it shows anything.
#[derive(Serialize)]
struct Config {
    account: String,
    title: String,
    topics: Vec<Topic>,
    privacy_url: String,
    privacy_text: String,
    languages: Vec<Language>,
    open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    transcript: bool,
    limits: Limits,
}

async fn config(
    State(chat): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let language = asked.ok().and_then(|Query(asked)| asked.language).and_then(|code| Language::new(&code).ok());
    let plan = chat.current_plan();
    let account = plan.accounts.get(&visitor.account).ok_or_else(Problem::not_found)?;
    let body = plan.administrations.get(&visitor.administration).ok_or_else(Problem::not_found)?;
    let settings = chat.options.accounts.get(&visitor.account).cloned().unwrap_or_default();
    let wanted = chat.wanted_by(&plan, &visitor, None, language);
    let Attendance { is_open: open, notice } = match wanted {
        // a slow database is no reason to show nothing: whoever writes is told then
        Some(wanted) => chat.room.attendance(&plan, &visitor.pool, &wanted).await.unwrap_or(Attendance { is_open: true, notice: None }),
        None => Attendance::default(),
    };
    let config = Config {
        account: visitor.account.to_string(),
        title: account.display_name.clone().unwrap_or_else(|| body.name.clone()),
        topics: chat.topics(&visitor).into_iter().map(|(id, label)| Topic { id, label }).collect(),
        privacy_url: settings.privacy_url,
        privacy_text: settings.privacy_text,
        languages: if settings.languages.is_empty() { body.languages.clone() } else { settings.languages },
        open,
        notice,
        transcript: plan.mail_account(&visitor.administration, None).is_some(),
        limits: Limits {
            message_chars: MESSAGE_CHARACTERS_MAX,
            name_chars: NAME_CHARACTERS_MAX,
            attachment_bytes: chat.options.attachment_bytes_max,
            attachments: FILES_MAX,
            attachment_types: chat.options.attachment_types.clone(),
        },
    };
    Ok(Json(config).into_response())
}

#[derive(Serialize)]
struct Opened {
    session: String,
}

async fn open(
    State(chat): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    body: Body,
) -> Result<(StatusCode, Json<Opened>), Problem> {
    let refuse = |reason: &'static str, problem: Problem| {
        chat.counters.refuse(reason);
        problem
    };
    if !chat.measures.session(visitor.peer) {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "too many chats from this address; wait a minute");
        return Err(refuse("sessions", problem));
    }
    let body = whole_body(body, BODY_BYTES_MAX, None).await.map_err(|error| error.refuse(&chat.counters, BODY_BYTES_MAX))?;
    let new: NewSession = serde_json::from_slice(&body)
        .map_err(|_| refuse("unreadable", Problem::invalid("send JSON: name, email, topic, language, privacy_accepted")))?;
    let session = session::open(&chat, &visitor, new).await?;
    ChatCounters::count(&chat.counters.sessions);
    Ok((StatusCode::CREATED, Json(Opened { session })))
}
