//! Files as a provider's cloud gives them out, a good one or a bad one: whom the password goes to, what is kept, and what is not.

use std::convert::Infallible;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

use super::*;

/// What the small file is.
pub const SMALL: &[u8] = b"PNG";

/// A provider's cloud on this machine. Each of its files has a manner of its own, and it remembers who asked for which.
#[derive(Clone)]
pub struct Cloud {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A path that was asked for, and the `Authorization` it was asked with.
type Asked = (String, Option<String>);

#[derive(Deserialize)]
struct Away {
    to: Option<String>,
}

impl Cloud {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let cloud = Self { port: listener.local_addr().expect("bound").port(), asked: Arc::default() };
        let router = Router::new().fallback(give).with_state(cloud.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        cloud
    }

    /// Its address by one of this machine's names.
    pub fn at(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    /// What it was asked for so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    /// The paths alone.
    pub fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|(path, _)| path).collect()
    }
}

async fn give(State(cloud): State<Cloud>, uri: Uri, Query(away): Query<Away>, headers: HeaderMap) -> Response {
    let text = |value: &header::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let asked = (uri.path().to_owned(), headers.get(header::AUTHORIZATION).map(text));
    cloud.asked.lock().expect("nobody panicked").push(asked);
    let times = cloud.paths().iter().filter(|path| *path == uri.path()).count();
    let png = |body: Body| ([(header::CONTENT_TYPE, "image/png")], body).into_response();
    let bytes = || Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 100]));
    match uri.path() {
        "/small" => png(Body::from(SMALL)),
        "/endless" => png(Body::from_stream(stream::repeat_with(bytes))),
        "/gone" => StatusCode::NOT_FOUND.into_response(),
        "/busy-once" if times == 1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/busy-once" => png(Body::from(SMALL)),
        "/busy" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/begun" => png(Body::from_stream(stream::once(async move { bytes() }).chain(stream::pending()))),
        "/away" => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, away.to.expect("where to"))]).into_response(),
        "/round" => (StatusCode::FOUND, [(header::LOCATION, "/round")]).into_response(),
        // and what else there is never gets an answer
        _ => std::future::pending().await,
    }
}

/// A fetcher for which this machine, by two of its names, is one's own.
pub fn fetcher() -> Fetcher {
    Fetcher::new(1024, vec!["127.0.0.1".into(), "localhost".into()]).expect("a client")
}

/// An account's credentials at this cloud.
pub fn credentials(cloud: &Cloud) -> Credentials {
    let origin = Url::parse(&cloud.at("127.0.0.1", "/")).expect("a URL").origin();
    Credentials { origin, user: "AC1".into(), password: "segreto".to_owned().into() }
}

/// `AC1:segreto`, as it goes over the wire.
pub const SIGNED_IN: &str = "Basic QUMxOnNlZ3JldG8=";

#[tokio::test]
async fn nobody_on_this_machine_is_asked() {
    let cloud = Cloud::start().await;
    let (fetcher, port) = (Fetcher::new(1024, Vec::new()).expect("a client"), cloud.port);
    for url in [
        format!("http://127.0.0.1:{port}/small"),
        format!("https://127.0.0.1:{port}/small"),
        format!("https://localhost:{port}/small"),
        format!("https://2130706433:{port}/small"),
        format!("https://0x7f.1:{port}/small"),
        format!("https://[::1]:{port}/small"),
        format!("https://[::ffff:127.0.0.1]:{port}/small"),
        format!("https://[64:ff9b::7f00:1]:{port}/small"),
        format!("https://[2002:7f00:1::]:{port}/small"),
        format!("ftp://127.0.0.1:{port}/small"),
        "file:///etc/passwd".to_owned(),
        "nonsense".to_owned(),
        String::new(),
    ] {
        assert!(fetcher.fetch(&url, None).await.is_err(), "{url}");
    }
    assert_eq!(cloud.paths(), [""; 0], "somebody was connected to");
}

/// Its redirects lead nowhere that it may not lead itself.
#[tokio::test]
async fn a_gateway_of_ones_own_is_asked_and_not_believed() {
    let (gateway, hidden) = (Cloud::start().await, Cloud::start().await);
    let own = Fetcher::new(1024, vec!["127.0.0.1".into()]).expect("a client");
    let fetch = async |path: &str| own.fetch(&gateway.at("127.0.0.1", path), None).await;
    assert_eq!(fetch("/small").await, Ok((Bytes::from_static(SMALL), Some("image/png".into()))));
    assert_eq!(fetch("/endless").await, Err(MediaError::TooLarge(1024)));
    assert_eq!(fetch("/gone").await, Err(MediaError::Gone(404)));
    assert_eq!(fetch("/busy").await, Err(MediaError::NotNow("503 Service Unavailable".into())));
    assert_eq!(fetch("/round").await, Err(MediaError::Forbidden("too many redirects")));
    for scheme in ["http", "https"] {
        let to = format!("/away?to={scheme}://localhost:{}/small", hidden.port);
        assert!(fetch(&to).await.is_err());
    }
    assert_eq!(hidden.paths(), [""; 0], "a redirect led to somebody on this machine");
}

/// Twilio sends us on to where the file lies; who has that, a shop for storage, is told no password. Another port is another house.
#[tokio::test]
async fn the_password_goes_to_the_provider_and_no_further() {
    let (provider, storage) = (Cloud::start().await, Cloud::start().await);
    let credentials = credentials(&provider);
    for host in ["localhost", "127.0.0.1"] {
        let url = provider.at("127.0.0.1", &format!("/away?to={}", storage.at(host, "/small")));
        let fetched = fetcher().fetch(&url, Some(&credentials)).await;
        assert_eq!(fetched, Ok((Bytes::from_static(SMALL), Some("image/png".into()))), "{host}");
    }
    // nor is whoever a message names in the provider's place
    fetcher().fetch(&storage.at("127.0.0.1", "/small"), Some(&credentials)).await.expect("it is there");
    fetcher().fetch(&provider.at("localhost", "/small"), Some(&credentials)).await.expect("it is there");
    assert!(storage.asked().iter().all(|asked| *asked == ("/small".to_owned(), None)), "{:?}", storage.asked());
    let signed_in = || Some(SIGNED_IN.to_owned());
    assert_eq!(provider.asked(), [("/away".into(), signed_in()), ("/away".into(), signed_in()), ("/small".into(), None)]);
    assert_eq!(storage.asked().len(), 3, "each was fetched once");
}

#[tokio::test]
async fn a_file_that_takes_too_long_is_not_waited_for() {
    let (cloud, fetcher) = (Cloud::start().await, Fetcher { within: Duration::from_millis(100), ..fetcher() });
    for path in ["/never", "/begun"] {
        let fetched = fetcher.fetch(&cloud.at("127.0.0.1", path), None).await;
        assert!(matches!(fetched, Err(MediaError::NotNow(_))), "{path}: {fetched:?}");
    }
}
