//! A gateway of one's own that takes our JSON: it remembers what it was sent, with the headers that prove who sent it.

use axum::http::HeaderMap;
use axum::{Json, Router, routing};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::daemon::DEADLINE;

/// What a gateway was sent: headers and body.
pub type Orders = mpsc::UnboundedReceiver<(Value, String)>;

/// The next order, which must come.
pub async fn next(orders: &mut Orders) -> (Value, String) {
    tokio::time::timeout(DEADLINE, orders.recv()).await.expect("an order in time").expect("the gateway runs")
}

/// Starts one on a free port: where it takes orders, and what it takes.
pub async fn start() -> (String, Orders) {
    let at_once = CancellationToken::new();
    at_once.cancel();
    start_slow(at_once).await
}

/// One that answers nothing before `answers`.
pub async fn start_slow(answers: CancellationToken) -> (String, Orders) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/send", listener.local_addr().unwrap());
    let (orders, taken) = mpsc::unbounded_channel();
    let take = move |headers: HeaderMap, body: String| {
        let (orders, answers) = (orders.clone(), answers.clone());
        async move {
            let headers: Value = headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap()))).collect();
            orders.send((headers, body)).unwrap();
            answers.cancelled().await;
            Json(json!({ "id": "gw-1" }))
        }
    };
    let routes = Router::new().route("/send", routing::post(take));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, taken)
}
