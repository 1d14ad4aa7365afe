//! The desk: operators' HTTP and WebSocket API, accounts and sessions, and the console's pages.
//!
//! [`router`] is all that the runtime needs; it starts the tasks that feed the consoles and keep the node's heartbeat.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::authorisation::Rights;
use self::counters::Counters;
use self::directory::{Directory, People};
use self::hub::Hub;
use self::limits::SignInLimits;
use self::presence::Presence;
use self::problem::Problem;
use self::session::{Caller, Sessions};
use crate::model::id::IdMaker;
use crate::plan::Plan;
use crate::port::aside::Asides;
use crate::port::blobs::Blobs;
use crate::port::chat::Chats;
use crate::port::commands::Commands;
use crate::port::feed::FeedBatch;
use crate::port::retry::Retries;
use crate::port::store::Store;

pub mod accounts;
mod authorisation;
mod command;
pub mod counters;
mod directory;
mod document;
mod entry;
mod extract;
mod handle;
mod headers;
mod hub;
mod limits;
mod live;
pub mod options;
mod origin;
mod own;
mod pages;
mod presence;
mod problem;
mod routes;
mod session;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod view;

pub use self::document::openapi_document;
pub use self::options::DeskOptions;

/// The longest JSON body, in bytes: a reply's text is at most half of it, and JSON may double it.
const BODY_BYTES_MAX: usize = 128 * 1024;
/// What a multipart form adds to the file in it, in bytes.
const FORM_BYTES: usize = 64 * 1024;
/// How long a request may take; an upload has as long.
const REQUEST_WITHIN: Duration = Duration::from_secs(60);
/// How often the node tells the store that it is there.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
/// How often caches are swept.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What the desk stands on.
pub struct DeskDeps {
    /// Accounts, contacts, conversations, journal.
    pub store: Arc<dyn Store>,
    /// Attachments and raw mail.
    pub blobs: Arc<dyn Blobs>,
    /// The way to the engine.
    pub commands: Arc<dyn Commands>,
    /// Citizens' chats: where who has left one can be answered.
    pub chats: Arc<dyn Chats>,
    /// What is said beside chats.
    pub asides: Arc<dyn Asides>,
    /// The way back from quarantine.
    pub retries: Arc<dyn Retries>,
    /// The plan in force.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// The installation's ids.
    pub ids: IdMaker,
    /// What happens, of every pool that this desk serves.
    pub feed: broadcast::Receiver<Arc<FeedBatch>>,
    /// Figures, shared with whoever shows them.
    pub counters: Arc<Counters>,
    /// Settings.
    pub options: DeskOptions,
}

/// The desk's state.
struct Desk {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    commands: Arc<dyn Commands>,
    chats: Arc<dyn Chats>,
    asides: Arc<dyn Asides>,
    retries: Arc<dyn Retries>,
    plan: watch::Receiver<Arc<Plan>>,
    ids: IdMaker,
    options: DeskOptions,
    counters: Arc<Counters>,
    sessions: Sessions,
    passwords: accounts::Passwords,
    limits: SignInLimits,
    directory: Directory,
    hub: Hub,
    presence: Presence,
    uploads: Semaphore,
    /// A place for each console.
    sockets: Arc<Semaphore>,
    shutdown: CancellationToken,
    tracker: TaskTracker,
}

type Shared = Arc<Desk>;

impl Desk {
    fn current_plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.borrow())
    }

    async fn rights_and_people(&self, caller: &Arc<Caller>) -> Result<(Rights, Arc<People>), Problem> {
        let people = self.directory.people(&caller.login.pool).await?;
        Ok((Rights::new(caller, &people, self.current_plan()), people))
    }

    async fn rights(&self, caller: &Arc<Caller>) -> Result<Rights, Problem> {
        self.rights_and_people(caller).await.map(|(rights, _)| rights)
    }
}

/// The desk as a router, with its tasks started on `tracker`. Cancelling `shutdown` closes every console with 1001; when the
/// tracker is empty they are gone. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, or every caller counts
/// as one peer.
///
/// Fails only if no password can be hashed.
pub fn router(deps: DeskDeps, shutdown: CancellationToken, tracker: TaskTracker) -> Result<Router, accounts::AccountError> {
    let DeskDeps { store, blobs, commands, chats, asides, retries, plan, ids, feed, counters, options } = deps;
    let desk = Arc::new(Desk {
        sessions: Sessions::new(Arc::clone(&store), options.session_idle),
        passwords: accounts::Passwords::new()?,
        limits: SignInLimits::new(options.login_attempts, options.peer_attempts),
        directory: Directory::new(Arc::clone(&store)),
        hub: Hub::new(Arc::clone(&store), plan.clone(), Arc::clone(&counters)),
        presence: Presence::default(),
        uploads: Semaphore::new(options.uploads_max),
        sockets: Arc::new(Semaphore::new(options.sockets_max)),
        store,
        blobs,
        commands,
        chats,
        asides,
        retries,
        plan,
        ids,
        options,
        counters,
        shutdown,
        tracker,
    });
    desk.tracker.spawn(hub::run(Arc::clone(&desk), feed));
    desk.tracker.spawn(heartbeat(Arc::clone(&desk)));
    Ok(assemble(desk))
}

fn assemble(desk: Shared) -> Router {
    let uploads = DefaultBodyLimit::max(desk.options.attachment_bytes_max + FORM_BYTES);
    let upload = OpenApiRouter::new().routes(routes!(routes::files::upload)).layer(uploads).split_for_parts().0;
    let api =
        without_uploads().split_for_parts().0.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).merge(upload).with_state(Arc::clone(&desk));
    let panics = Arc::clone(&desk);
    let document = utoipa_swagger_ui::SwaggerUi::new("/docs").external_url_unchecked("/api/v1/openapi.json", openapi_document().clone());
    Router::new()
        .nest("/api/v1", api)
        .merge(document)
        .fallback(get(pages::page).fallback(pages::page))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&desk), origin::same_origin))
        .layer(CatchPanicLayer::custom(move |_: Box<dyn std::any::Any + Send>| -> Response {
            Counters::count(&panics.counters.panics);
            tracing::error!("a handler of the desk panicked");
            Problem::internal().into_response()
        }))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_WITHIN))
        .layer(from_fn_with_state(desk, headers::protect))
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address has no such method")
}

/// Every route of the API. The OpenAPI document is made of the same list.
fn api_routes() -> OpenApiRouter<Shared> {
    without_uploads().routes(routes!(routes::files::upload))
}

fn without_uploads() -> OpenApiRouter<Shared> {
    use routes::{accounts, commands, documents, quarantine, reading, room, session, state, tokens};
    OpenApiRouter::default()
        .routes(routes!(session::sign_in, session::who, session::sign_out))
        .routes(routes!(session::change_password))
        .routes(routes!(state::state))
        .routes(routes!(live::live))
        .routes(routes!(commands::set_presence))
        .routes(routes!(commands::accept))
        .routes(routes!(commands::reject))
        .routes(routes!(commands::touch))
        .routes(routes!(commands::pull))
        .routes(routes!(commands::resume))
        .routes(routes!(commands::wrap_up))
        .routes(routes!(commands::give_back))
        .routes(routes!(commands::pend))
        .routes(routes!(commands::defer))
        .routes(routes!(commands::close))
        .routes(routes!(commands::transfer))
        .routes(routes!(commands::assign))
        .routes(routes!(commands::reply))
        .routes(routes!(commands::note))
        .routes(routes!(commands::retry_message))
        .routes(routes!(commands::settle_message))
        .routes(routes!(commands::set_case))
        .routes(routes!(commands::close_queue))
        .routes(routes!(commands::open_queue))
        .routes(routes!(reading::contacts))
        .routes(routes!(reading::contact))
        .routes(routes!(reading::conversation))
        .routes(routes!(reading::mark_read))
        .routes(routes!(documents::html))
        .routes(routes!(documents::attachment))
        .routes(routes!(documents::raw))
        .routes(routes!(room::room))
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::get, accounts::change))
        .routes(routes!(accounts::password))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::end))
        .routes(routes!(quarantine::list))
        .routes(routes!(quarantine::retry))
        .routes(routes!(quarantine::discard))
}

/// Tells the store that the node is there, and sweeps what is old.
async fn heartbeat(desk: Shared) {
    let mut beat = tokio::time::interval(HEARTBEAT_EVERY);
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    // a little before what a console knows is too old for it
    let mut sessions = tokio::time::interval(desk.options.session_recheck * 4 / 5);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    sessions.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = desk.shutdown.cancelled() => return,
            _ = beat.tick() => {
                if let Err(error) = desk.store.node_seen(&desk.options.node).await {
                    tracing::warn!(node = %desk.options.node, %error, "node {} could not say that it is there", desk.options.node);
                }
            }
            _ = sessions.tick() => desk.sessions.refresh().await,
            _ = sweep.tick() => {
                desk.sessions.prune();
                desk.limits.prune();
            }
        }
    }
}
