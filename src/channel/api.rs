//! The channel API: a telephone system, a counter, a home-visit desk as a real channel. A program with a token opens contacts
//! on its account, adds to them, says when the citizen left, and reads what became of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::routing::get;
use tokio::sync::watch;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::model::id::{AccountId, IdMaker, InputId};
use crate::plan::Plan;
use crate::port::broker::Publisher;
use crate::port::store::Store;

mod document;
mod limits;
mod publish;
mod request;
mod routes;
mod status;

pub use self::document::openapi_document;
use self::limits::ProgramLimits;

/// The longest body of a request, in bytes: as much as goes into one message at the broker, for there is nothing beside it.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a request may take.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
/// How long a token is believed without asking the store.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(1);
/// Tokens and inputs remembered at once.
const REMEMBERED_MAX: usize = 20_000;

/// What the channel API stands on.
pub struct ChannelApiDeps {
    /// Tokens, what became of inputs.
    pub store: Arc<dyn Store>,
    /// The way in: confirmed, or it did not happen.
    pub publisher: Arc<dyn Publisher>,
    /// The plan in force: accounts and their channels.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// The installation's ids.
    pub ids: IdMaker,
    /// The name that the installation owns, before `.inbound.message.v1`: `it.example.sportello`.
    pub type_prefix: String,
    /// Settings.
    pub options: ChannelApiOptions,
}

/// What can be set about the channel API.
#[derive(Debug, Clone, Copy)]
pub struct ChannelApiOptions {
    /// Requests per second of one token.
    pub requests_per_second: u32,
    /// Requests at once of one token.
    pub burst: u32,
}

struct ChannelApi {
    store: Arc<dyn Store>,
    publisher: Arc<dyn Publisher>,
    plan: watch::Receiver<Arc<Plan>>,
    ids: IdMaker,
    type_prefix: String,
    limits: ProgramLimits,
    tokens: Mutex<HashMap<String, (Instant, AccountId)>>,
    accepted: Mutex<HashMap<InputId, AccountId>>,
}

type Shared = Arc<ChannelApi>;

impl ChannelApi {
    /// Remembers that the broker has an input which the engine may not have seen yet.
    fn remember(&self, input: InputId, account: &AccountId) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted.len() >= REMEMBERED_MAX {
            accepted.clear();
        }
        accepted.insert(input, account.clone());
    }

    fn was_accepted(&self, input: InputId, account: &AccountId) -> bool {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).get(&input) == Some(account)
    }
}

/// The channel API as a router under `/channel/v1`.
pub fn router(deps: ChannelApiDeps) -> Router {
    let ChannelApiDeps { store, publisher, plan, ids, type_prefix, options } = deps;
    let (tokens, accepted) = (Mutex::default(), Mutex::default());
    let limits = ProgramLimits::new(options);
    let api = Arc::new(ChannelApi { store, publisher, plan, ids, type_prefix, limits, tokens, accepted });
    let (routes, _) = api_routes().split_for_parts();
    let header = |name: HeaderName, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let routes = routes
        .route("/openapi.json", get(|| async { axum::Json(openapi_document()) }))
        .fallback(|| async { request::Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            request::Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "no such method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_WITHIN))
        .layer(header(header::CACHE_CONTROL, "no-store"))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .layer(header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .with_state(api);
    Router::new().nest("/channel/v1", routes)
}

fn api_routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(routes::open))
        .routes(routes!(routes::add))
        .routes(routes!(routes::abandon))
        .routes(routes!(routes::end))
        .routes(routes!(status::status))
}

#[cfg(test)]
mod tests;
