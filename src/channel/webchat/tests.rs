//! What a stranger may cost: each limit by network address is met where it counts, said in the protocol's own words, and counted.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt as _;

use super::limits::TOKENS_AT_ONCE;
use super::testing::Setting;
use super::{codec, routes};

impl Setting {
    async fn ask(&self, last: u8, request: Request<Body>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::from(([192, 0, 2, last], 4_321))));
        routes::router(self.chat.clone()).oneshot(Request::from_parts(parts, body)).await.expect("an answer")
    }

    /// A new chat's token.
    async fn opened(&self, last: u8) -> String {
        let person = json!({ "name": "Luisa", "privacy_accepted": true });
        let request = Request::post("/chat/v1/sito/sessions").body(Body::from(person.to_string())).expect("a request");
        let opened = to_bytes(self.ask(last, request).await.into_body(), 1_000).await.expect("a body");
        serde_json::from_slice::<Value>(&opened).expect("JSON")["session"].as_str().expect("a token").to_owned()
    }

    /// A file for a chat of its own, in pieces of 100 bytes.
    async fn brought(&self, last: u8, bytes: usize, is_declared: bool) -> Response<Body> {
        let pieces = vec![Ok::<_, Infallible>(Bytes::from(vec![b'x'; 100])); bytes / 100];
        let mut request = Request::post("/chat/v1/sito/files").header(header::CONTENT_TYPE, "image/png");
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.opened(last).await));
        if is_declared {
            request = request.header(header::CONTENT_LENGTH, bytes);
        }
        self.ask(last, request.body(Body::from_stream(stream::iter(pieces))).expect("a request")).await
    }
}

/// A new chat costs one request: what a network address brings is counted whatever chat it is for.
#[tokio::test]
async fn new_chats_bring_no_more_bytes_than_their_address_may() {
    for is_declared in [true, false] {
        let setting = Setting::new();
        for (last, bytes, expected, kept) in
            [(1, 1_000, 201, 1), (1, 1_000, 201, 2), (1, 1_000, 201, 3), (1, 900, 201, 4), (1, 300, 429, 4), (2, 1_000, 201, 5)]
        {
            let answer = setting.brought(last, bytes, is_declared).await;
            let blobs = setting.blobs.0.lock().expect("blobs").len();
            assert_eq!((answer.status().as_u16(), blobs), (expected, kept), "{bytes} from {last}, declared: {is_declared}");
            if expected == 429 {
                assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
                let seconds: u64 = answer.headers()[header::RETRY_AFTER].to_str().expect("text").parse().expect("a number");
                assert!((1..3_600).contains(&seconds), "{seconds}");
            }
        }
        assert_eq!(setting.chat.counters.refused().get("upload_bytes"), Some(&1));
    }
}

/// The code with which a socket is closed whose token nobody knows.
async fn code_of_a_hello(address: SocketAddr) -> u16 {
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/chat/v1/sito/socket")).await.expect("a socket");
    let hello = json!({ "type": "hello", "session": "A".repeat(43) }).to_string();
    socket.send(Message::text(hello)).await.expect("sent");
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            end => panic!("no reason was given: {end:?}"),
        }
    }
}

#[tokio::test]
async fn who_says_hello_again_and_again_is_told_to_wait() {
    let setting = Setting::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = routes::router(setting.chat.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut hellos = 0;
    while hellos < 3 * TOKENS_AT_ONCE {
        match code_of_a_hello(address).await {
            codec::CLOSE_TOO_MUCH => break,
            code => assert_eq!(code, codec::CLOSE_NO_SESSION),
        }
        hellos += 1;
    }
    assert!((TOKENS_AT_ONCE..3 * TOKENS_AT_ONCE).contains(&hellos), "{hellos}");
    assert_eq!(setting.chat.counters.refused().get("hellos"), Some(&1));
    server.abort();
}

#[tokio::test]
async fn who_tries_one_token_after_the_other_is_told_to_wait() {
    let setting = Setting::new();
    let mut statuses = Vec::new();
    for number in 0..3 * TOKENS_AT_ONCE {
        let request = Request::get("/chat/v1/sito/files/x").header(header::AUTHORIZATION, format!("Bearer {number}"));
        let answer = setting.ask(1, request.body(Body::empty()).expect("a request")).await;
        statuses.push(answer.status());
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
            break;
        }
    }
    assert_eq!(statuses.pop(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert!(statuses.len() >= TOKENS_AT_ONCE && statuses.iter().all(|status| *status == StatusCode::UNAUTHORIZED), "{statuses:?}");
    assert_eq!(setting.chat.counters.refused().get("requests"), Some(&1));
}
