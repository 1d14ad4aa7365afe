//! `/metrics`, `/livez` and `/readyz`, for a listener of their own: no sign-in, nothing about citizens, never for the world.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;

use super::metrics::Metrics;
use super::readiness::{Readiness, Watchdog};

/// What they tell.
#[derive(Debug, Clone)]
pub struct HealthOptions {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// For `/livez`.
    pub watchdog: Watchdog,
}

/// The routes.
pub fn routes(options: HealthOptions) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(options)
}

async fn metrics(State(options): State<HealthOptions>) -> Response {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], options.metrics.encode()).into_response()
}

async fn livez(State(options): State<HealthOptions>) -> Response {
    let body = serde_json::json!({ "alive": options.watchdog.is_alive(), "age_ms": options.watchdog.age().as_millis() as u64 });
    (status(options.watchdog.is_alive()), Json(body)).into_response()
}

async fn readyz(State(options): State<HealthOptions>) -> Response {
    let report = options.readiness.report();
    (status(report.ready), Json(report)).into_response()
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn answers_what_is_known() {
        let readiness = Readiness::default();
        let latch = readiness.latch("store");
        let options = HealthOptions { metrics: Arc::new(Metrics::new()), readiness, watchdog: Watchdog::new(Duration::from_secs(30)) };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let serving = tokio::spawn(async move { axum::serve(listener, routes(options)).await });
        let client = reqwest::Client::new();
        let get = async |path: &str| {
            let answer = client.get(format!("{base}{path}")).send().await.expect("an answer");
            let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("ASCII").to_owned()).unwrap_or_default();
            (answer.status().as_u16(), kind, answer.text().await.expect("text"))
        };
        let (status, _, body) = get("/readyz").await;
        assert_eq!((status, body.as_str()), (503, r#"{"ready":false,"parts":{"store":"starting"}}"#));
        latch.ready();
        assert_eq!(get("/readyz").await.0, 200);
        assert_eq!(get("/livez").await.0, 200);
        let (status, kind, body) = get("/metrics").await;
        assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4"));
        assert!(body.contains("sportello_build_info{version="));
        assert_eq!(get("/").await.0, 404);
        serving.abort();
    }
}
