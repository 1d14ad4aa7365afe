//! A small Twilio: takes messages as its REST API does, lists them, gives out the pictures of messages, and can fail in the ways that
//! matter. Twilio's own client talks to it in the tests, so it is no picture of what we think Twilio is.

use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

/// The account.
pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
/// Its token.
pub const TOKEN: &str = "fedcba9876543210fedcba9876543210";

/// What was ordered.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Order {
    pub to: String,
    pub from: Option<String>,
    pub body: String,
    pub status_callback: Option<String>,
    #[serde(skip)]
    pub sid: String,
}

/// How it answers an order whose text has this word.
pub const TAKES_AND_FAILS: &str = "[takes and fails]";
/// The same, and it takes nothing.
pub const FAILS: &str = "[fails]";

/// A running one.
#[derive(Clone)]
pub struct Twilio {
    pub url: String,
    orders: Arc<Mutex<Vec<Order>>>,
    fetched: Arc<Mutex<Vec<String>>>,
}

/// A picture that is there; any other name is of one that is gone.
pub const PICTURE: &str = "ME1";
/// What it is.
pub const PICTURE_BYTES: &[u8] = b"\x89PNG\r\n\x1a\n";

#[derive(Deserialize)]
struct Filter {
    #[serde(rename = "To")]
    to: Option<String>,
}

impl Twilio {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let twilio = Self { url, orders: Arc::default(), fetched: Arc::default() };
        let routes = Router::new()
            .route("/2010-04-01/Accounts/{account}/{list}", post(order).get(list))
            .route("/2010-04-01/Accounts/{account}/Messages/{message}/Media/{picture}", get(picture))
            .route("/storage/{picture}", get(stored))
            .with_state(twilio.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        twilio
    }

    /// The settings of an account with it.
    pub fn settings(&self, account: &str) -> String {
        format!("[sms.account.{account}]\nprovider = \"twilio\"\nuser = \"{ACCOUNT}\"\npassword = \"{TOKEN}\"\nurl = \"{}\"\n", self.url)
    }

    /// Where a message's picture is said to be.
    pub fn picture_url(&self, picture: &str) -> String {
        format!("{}/2010-04-01/Accounts/{ACCOUNT}/Messages/MM1/Media/{picture}", self.url)
    }

    /// The pictures that were asked for, in order.
    pub fn fetched(&self) -> Vec<String> {
        self.fetched.lock().unwrap().clone()
    }

    /// What it has taken with this text.
    pub fn taken(&self, text: &str) -> Vec<Order> {
        self.orders.lock().unwrap().iter().filter(|order| order.body.contains(text)).cloned().collect()
    }
}

/// For who signs in: the way to the storage, which has another name.
async fn picture(
    State(twilio): State<Twilio>,
    Path((account, _, picture)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    twilio.fetched.lock().unwrap().push(picture.clone());
    match is_allowed(&account, "Messages.json", &headers) {
        false => refused(),
        true if picture != PICTURE => StatusCode::NOT_FOUND.into_response(),
        true => Redirect::temporary(&format!("{}/storage/{picture}", twilio.url.replace("127.0.0.1", "localhost"))).into_response(),
    }
}

/// The storage knows no account, and takes a password for an attack.
async fn stored(State(twilio): State<Twilio>, Path(picture): Path<String>, headers: HeaderMap) -> Response {
    twilio.fetched.lock().unwrap().push(format!("stored {picture}"));
    match headers.contains_key("authorization") {
        true => StatusCode::BAD_REQUEST.into_response(),
        false => ([("content-type", "image/png")], PICTURE_BYTES).into_response(),
    }
}

fn is_allowed(account: &str, list: &str, headers: &HeaderMap) -> bool {
    let expected = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{TOKEN}")));
    account == ACCOUNT
        && list == "Messages.json"
        && headers.get("authorization").is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

fn refused() -> Response {
    (StatusCode::UNAUTHORIZED, Json(json!({ "code": 20003, "message": "Authenticate", "status": 401 }))).into_response()
}

async fn order(
    State(twilio): State<Twilio>,
    Path((account, list)): Path<(String, String)>,
    headers: HeaderMap,
    Form(order): Form<Order>,
) -> Response {
    if !is_allowed(&account, &list, &headers) {
        return refused();
    }
    if !order.to.starts_with('+') {
        return (StatusCode::BAD_REQUEST, Json(json!({ "code": 21211, "message": "Invalid 'To'", "status": 400 }))).into_response();
    }
    if order.body.contains(FAILS) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut orders = twilio.orders.lock().unwrap();
    let order = Order { sid: format!("SM{:032x}", orders.len() + 1), ..order };
    orders.push(order.clone());
    match order.body.contains(TAKES_AND_FAILS) {
        true => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        false => (StatusCode::CREATED, Json(shown(&order))).into_response(),
    }
}

async fn list(
    State(twilio): State<Twilio>,
    Path((account, list)): Path<(String, String)>,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Response {
    if !is_allowed(&account, &list, &headers) {
        return refused();
    }
    let orders = twilio.orders.lock().unwrap();
    let fits = |order: &&Order| filter.to.as_ref().is_none_or(|to| *to == order.to);
    let messages: Vec<Value> = orders.iter().rev().filter(fits).map(shown).collect();
    let uri = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
    let page = json!({
        "messages": messages, "page": 0, "page_size": 100, "start": 0, "end": 0, "uri": uri, "first_page_uri": uri,
        "next_page_uri": null, "previous_page_uri": null,
    });
    Json(page).into_response()
}

fn shown(order: &Order) -> Value {
    let now = mail_parser::DateTime::from_timestamp(sportello::port::clock::now().0 / 1_000_000).to_rfc822();
    json!({
        "sid": order.sid, "account_sid": ACCOUNT, "to": order.to, "from": order.from, "body": order.body, "status": "queued",
        "direction": "outbound-api", "num_segments": "1", "num_media": "0", "price": null, "price_unit": "USD", "error_code": null,
        "error_message": null, "messaging_service_sid": null, "api_version": "2010-04-01", "subresource_uris": {},
        "uri": format!("/2010-04-01/Accounts/{ACCOUNT}/Messages/{}.json", order.sid), "date_created": now, "date_updated": now, "date_sent": null,
    })
}
