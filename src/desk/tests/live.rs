//! Real sockets on a free port: resuming, cutting, two tabs, sessions that end, commands.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::desk::testing::{TestDesk, administration};
use crate::model::command::{CommandBody, Refusal, Reply};
use crate::model::contact::{Outcome, PendingOn, Resolution};
use crate::model::event::EventBody;
use crate::model::id::{MessageId, OperatorId, QueueId};
use crate::model::operator::PresenceState;
use crate::model::time::Timestamp;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const WITHIN: Duration = Duration::from_secs(10);

/// The desk behind a real listener.
pub(super) async fn serve(desk: &TestDesk) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = desk.app.clone().into_make_service_with_connect_info::<SocketAddr>();
    let shutdown = desk.shutdown.clone();
    tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await });
    address
}

async fn try_open(address: SocketAddr, cookie: &str, after: Option<i64>, origin: Option<&str>) -> Result<Socket, Error> {
    let query = after.map(|after| format!("?after={after}")).unwrap_or_default();
    let mut request = format!("ws://{address}/api/v1/live{query}").into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    tokio_tungstenite::connect_async(request).await.map(|(socket, _)| socket)
}

/// The status with which a console's upgrade is answered: 101 if it becomes a socket.
pub(super) async fn upgrade(address: SocketAddr, cookie: Option<&str>) -> (u16, serde_json::Value) {
    let mut request = format!("ws://{address}/api/v1/live").into_client_request().unwrap();
    if let Some(cookie) = cookie {
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((_, response)) => (response.status().as_u16(), serde_json::Value::Null),
        Err(Error::Http(refused)) => {
            (refused.status().as_u16(), serde_json::from_slice(refused.body().as_deref().unwrap_or_default()).unwrap_or_default())
        }
        Err(error) => panic!("neither a socket nor a refusal: {error}"),
    }
}

pub(super) async fn open(address: SocketAddr, cookie: &str, after: Option<i64>) -> (Socket, serde_json::Value) {
    let mut socket = try_open(address, cookie, after, None).await.unwrap();
    let hello = next(&mut socket).await;
    assert_eq!(hello["type"], "hello");
    (socket, hello)
}

/// The next text frame, or `{"close": code}`.
pub(super) async fn next(socket: &mut Socket) -> serde_json::Value {
    loop {
        let frame = tokio::time::timeout(WITHIN, socket.next()).await.expect("a frame in time");
        match frame {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Close(frame))) => return serde_json::json!({"close": frame.map(|frame| u16::from(frame.code))}),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return serde_json::json!({"close": null}),
        }
    }
}

async fn seqs(socket: &mut Socket, until: i64) -> Vec<i64> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|seq| *seq < until) {
        let frame = next(socket).await;
        seen.push(frame["event"]["seq"].as_i64().unwrap_or_else(|| panic!("an event, not {frame}")));
    }
    seen
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < WITHIN, "{what}");
        tokio::task::yield_now().await;
    }
}

fn touched(who: u128) -> EventBody {
    EventBody::ContactTouched { operator: OperatorId(who) }
}

#[tokio::test]
async fn events_go_to_whom_they_concern() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (mut anna, hello) = open(address, &desk.cookie(1), Some(100)).await;
    assert_eq!((&hello["seq"], &hello["resumed"]), (&100.into(), &true.into()));
    let (mut bruno, _) = open(address, &desk.cookie(2), Some(100)).await;
    let (mut carla, _) = open(address, &desk.cookie(3), Some(100)).await;
    let (mut fabio, _) = open(address, &desk.cookie(6), Some(100)).await;
    let message = |message: u128| EventBody::MessageDelivered { message: MessageId(message), operator: None };
    desk.happen(vec![(11, message(1)), (12, message(2)), (13, message(3)), (10, EventBody::ContactCase)], false);
    desk.happen(vec![(11, EventBody::ContactDeferred { until: Timestamp::MAX }), (11, EventBody::ContactCase)], false);
    let outcome = Outcome { topic: None, resolution: Resolution::Resolved };
    desk.happen(vec![(12, EventBody::ContactClosed { operator: Some(OperatorId(2)), outcome }), (12, EventBody::ContactCase)], false);
    let queue = EventBody::QueueClosed { queue: QueueId::new("urp").unwrap(), administration: administration("comune") };
    let last = desk.happen(vec![(0, queue)], false);
    assert_eq!(seqs(&mut anna, last).await, [102, 107, last], "what she holds, until it is put off; and the queue");
    let others = EventBody::QueueOpened { queue: QueueId::new("cup").unwrap(), administration: administration("asl") };
    let opened = desk.happen(vec![(0, others)], false);
    assert_eq!(seqs(&mut bruno, opened).await, [103, 110, opened], "no queue of another administration");
    assert_eq!(
        seqs(&mut carla, opened).await,
        [102, 103, 105, 107, 108, 110, 111, last, opened],
        "the pool, but not the restricted office"
    );
    assert_eq!(seqs(&mut fabio, opened).await, [103, 110, 111, opened], "one administration");
    let (mut again, _) = open(address, &desk.cookie(2), Some(last - 1)).await;
    assert_eq!(seqs(&mut again, opened).await, [opened], "nor when he comes back");
}

#[tokio::test]
async fn resuming_has_no_gap_and_nothing_twice() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let cookie = desk.cookie(1);
    let (mut first, _) = open(address, &cookie, Some(100)).await;
    let seq = desk.happen(vec![(11, touched(1)), (11, touched(1))], false);
    assert_eq!(seqs(&mut first, seq).await, [102, 103]);
    drop(first);
    desk.happen(vec![(11, touched(1)), (12, touched(2))], false);
    let (mut second, hello) = open(address, &cookie, Some(103)).await;
    assert_eq!(hello["resumed"], true);
    let mut expected: Vec<i64> =
        desk.store.rows().events.iter().filter(|event| event.operator == Some(OperatorId(1))).map(|event| event.seq).collect();
    expected.retain(|seq| *seq > 103);
    let last = desk.happen(vec![(11, touched(1))], false);
    expected.push(last);
    assert_eq!(seqs(&mut second, last).await, expected);
    let (_, hello) = open(address, &cookie, Some(99)).await;
    assert_eq!(hello["resumed"], false, "before this node began");
    let (_, hello) = open(address, &cookie, Some(9_999)).await;
    assert_eq!(hello["resumed"], false, "nobody saw that");
    let (_, hello) = open(address, &cookie, None).await;
    assert_eq!(hello["resumed"], false);
}

#[tokio::test]
async fn a_console_that_comes_back_amid_a_storm_misses_nothing() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let cookie = desk.cookie(1);
    let (mut socket, hello) = open(address, &cookie, Some(100)).await;
    let mut after = hello["seq"].as_i64().unwrap();
    let mut seen = Vec::new();
    for round in 0..20 {
        let last = desk.happen(vec![(11, touched(1)), (12, touched(2)), (11, touched(1))], round % 5 == 4);
        if round % 3 == 2 {
            drop(socket);
            let (again, hello) = open(address, &cookie, Some(after)).await;
            assert_eq!(hello["resumed"], true, "round {round}");
            socket = again;
        }
        if round % 5 != 4 {
            for seq in seqs(&mut socket, last).await {
                seen.push(seq);
                after = seq;
            }
        }
    }
    let last = desk.happen(vec![(11, touched(1))], false);
    seen.extend(seqs(&mut socket, last).await);
    let expected: Vec<i64> =
        desk.store.rows().events.iter().filter(|event| event.operator == Some(OperatorId(1))).map(|event| event.seq).collect();
    assert_eq!(seen, expected, "what the feed lost was read from the journal");
    assert!(desk.counters.feed_gaps.load(std::sync::atomic::Ordering::Relaxed) >= 3);
}

#[tokio::test]
async fn what_the_journal_has_forgotten_is_a_snapshot() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (mut socket, _) = open(address, &desk.cookie(1), Some(100)).await;
    desk.happen(vec![(11, touched(1))], true);
    desk.happen(vec![(11, touched(1))], true);
    desk.store.rows().events.remove(0);
    let last = desk.happen(vec![(11, touched(1))], false);
    let hello = next(&mut socket).await;
    assert_eq!((&hello["type"], &hello["seq"], &hello["resumed"]), (&"hello".into(), &(last - 2).into(), &false.into()));
    assert_eq!(seqs(&mut socket, last).await, [last], "and goes on from there");
}

#[tokio::test]
async fn a_lost_last_batch_is_found_in_the_journal() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (mut anna, _) = open(address, &desk.cookie(1), Some(100)).await;
    let last = desk.happen(vec![(11, touched(1))], true);
    assert_eq!(seqs(&mut anna, last).await, [last]);
}

#[tokio::test]
async fn a_console_that_does_not_read_is_cut() {
    let desk = TestDesk::with(|options| options.queue_frames_max = 8).await;
    let address = serve(&desk).await;
    let (mut slow, _) = open(address, &desk.cookie(1), Some(100)).await;
    let (mut other, _) = open(address, &desk.cookie(2), Some(100)).await;
    // One batch larger than the queue: the socket's task has no chance to empty it in between.
    desk.happen((0..100).map(|_| (11, touched(1))).collect(), false);
    let last = desk.happen(vec![(12, touched(2))], false);
    assert_eq!(seqs(&mut other, last).await, [last], "others don't suffer");
    let mut frame = next(&mut slow).await;
    while frame["type"] == "event" {
        frame = next(&mut slow).await;
    }
    assert_eq!(frame["close"], 4008);
    until("the cut is counted", || desk.counters.sockets_cut.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
}

fn presences(desk: &TestDesk) -> Vec<&'static str> {
    let words = desk.router.bodies().into_iter().filter_map(|body| match body {
        CommandBody::Connect { node, country, .. } => {
            assert_eq!(node, "node-1");
            assert!(country.is_some());
            Some("connect")
        }
        CommandBody::Disconnect { signed_out: true, .. } => Some("signed out"),
        CommandBody::Disconnect { .. } => Some("lost"),
        _ => None,
    });
    words.collect()
}

#[tokio::test]
async fn two_tabs_are_one_presence() {
    let desk = TestDesk::with(|options| options.country = Some("AT".into())).await;
    let address = serve(&desk).await;
    let cookie = desk.cookie(1);
    let (one, _) = open(address, &cookie, None).await;
    let (two, _) = open(address, &cookie, None).await;
    until("connected", || presences(&desk) == ["connect"]).await;
    drop(one);
    until("one left", || desk.counters.sockets.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
    assert_eq!(presences(&desk), ["connect"]);
    drop(two);
    until("lost", || presences(&desk) == ["connect", "lost"]).await;
    let said = desk.router.bodies().into_iter().find_map(|body| match body {
        CommandBody::Connect { country, .. } => country,
        _ => None,
    });
    assert_eq!(said.as_deref(), Some("AT"), "the desk's country");
}

#[tokio::test]
async fn presence_is_told_until_the_router_answers() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    desk.router.away.store(true, std::sync::atomic::Ordering::Relaxed);
    let (_anna, _) = open(address, &desk.cookie(1), None).await;
    desk.router.away.store(false, std::sync::atomic::Ordering::Relaxed);
    until("connected", || presences(&desk) == ["connect"]).await;
    // The router took this node for lost: it is told again.
    let gone = EventBody::OperatorPresence { operator: OperatorId(1), presence: PresenceState::Ready, connected: false };
    desk.happen(vec![(0, gone)], false);
    until("connected again", || presences(&desk) == ["connect", "connect"]).await;
}

#[tokio::test]
async fn signing_out_closes_the_consoles_and_says_so() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let cookie = desk.cookie(1);
    let (mut socket, _) = open(address, &cookie, None).await;
    until("connected", || presences(&desk) == ["connect"]).await;
    assert_eq!(desk.json("DELETE", "/session", Some(&cookie), None).await.0, 204);
    assert_eq!(next(&mut socket).await["close"], 4001);
    until("signed out", || presences(&desk) == ["connect", "signed out"]).await;
}

#[tokio::test]
async fn disabling_and_a_new_password_close_consoles_within_two_seconds() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    for change in ["disable", "password", "elsewhere"] {
        let cookie = desk.cookie(2);
        let (mut socket, _) = open(address, &cookie, None).await;
        let admin = desk.cookie(4);
        let path = "/operators/op_00000000000000000000000000000002";
        match change {
            "password" => {
                let (status, body) =
                    desk.json("PUT", &format!("{path}/password"), Some(&admin), Some(r#"{"new":"nuova nuova nuova"}"#)).await;
                assert_eq!(status, 204, "{body}");
            }
            "disable" => {
                assert_eq!(desk.json("PATCH", path, Some(&admin), Some(r#"{"enabled":false}"#)).await.0, 200);
            }
            // Another node, or the command line: this one finds out by itself.
            _ => desk.store.rows().sessions.clear(),
        }
        let changed = Instant::now();
        assert_eq!(next(&mut socket).await["close"], 4001, "{change}");
        assert!(changed.elapsed() < Duration::from_secs(2), "{change}");
        desk.store.rows().logins.get_mut(&OperatorId(2)).unwrap().enabled = true;
    }
}

#[tokio::test]
async fn only_pages_of_this_desk_open_a_socket() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let cookie = desk.cookie(1);
    for (origin, expected) in [
        (Some("http://localhost:8080".to_owned()), 101),
        (Some(format!("http://{address}")), 101),
        (Some("https://evil.example".to_owned()), 403),
        (Some("null".to_owned()), 403),
        (None, 101),
    ] {
        let got = match try_open(address, &cookie, None, origin.as_deref()).await {
            Ok(_) => 101,
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(got, expected, "{origin:?}");
    }
    match try_open(address, "sportello=sps_00000000000000000000", None, None).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 401),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn commands_by_the_socket() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (mut anna, _) = open(address, &desk.cookie(1), None).await;
    let (mut bruno, _) = open(address, &desk.cookie(2), None).await;
    let id = "cm_000000000000000000000000000000aa";
    let accept = format!(r#"{{"id":"{id}","do":"accept","contact":"ct_0000000000000000000000000000000e","ordinal":1}}"#);
    anna.send(Message::text(accept.clone())).await.unwrap();
    assert_eq!(next(&mut anna).await, serde_json::json!({"type": "reply", "id": id, "reply": {"outcome": "applied", "seq": 9}}));
    bruno.send(Message::text(accept.clone())).await.unwrap();
    assert_eq!(next(&mut bruno).await["reply"], serde_json::json!({"outcome": "refused", "code": "not_found"}), "another administration");
    *desk.router.answer.lock().unwrap() = Some(Reply::Refused { code: Refusal::OfferExpired });
    anna.send(Message::text(accept.clone())).await.unwrap();
    assert_eq!(next(&mut anna).await["reply"], serde_json::json!({"outcome": "refused", "code": "offer_expired"}));
    desk.router.away.store(true, std::sync::atomic::Ordering::Relaxed);
    anna.send(Message::text(accept.clone())).await.unwrap();
    assert_eq!(next(&mut anna).await["reply"], serde_json::json!({"outcome": "error", "code": "router_unavailable"}));
    desk.router.away.store(false, std::sync::atomic::Ordering::Relaxed);
    for odd in ["", "x", "[]", "{}", r#"{"id":"cm_000000000000000000000000000000aa","do":"apply_plan","version":1}"#, "\u{0}"] {
        anna.send(Message::text(odd)).await.unwrap();
        assert_eq!(next(&mut anna).await["reply"]["code"], "invalid", "{odd:?}");
    }
    let assign = format!(
        r#"{{"id":"{id}","do":"assign","contact":"ct_0000000000000000000000000000000b","operator":"op_00000000000000000000000000000005"}}"#
    );
    anna.send(Message::text(assign)).await.unwrap();
    assert_eq!(next(&mut anna).await["reply"]["code"], "forbidden", "a lower role");
    // The rights are read anew: what was granted a moment ago counts no more.
    let before = desk.router.bodies().len();
    desk.store.rows().logins.get_mut(&OperatorId(1)).unwrap().grants.clear();
    until("the rights are gone", || desk.counters.sockets.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
    assert_eq!(desk.router.bodies()[before..].iter().filter(|body| matches!(body, CommandBody::Accept { .. })).count(), 0);
}

/// A command that holds the store's last connection must go on while its console asks whether the session stands: otherwise each waits
/// for the other.
#[tokio::test]
async fn a_command_goes_on_while_its_session_is_looked_at() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (mut anna, _) = open(address, &desk.cookie(1), None).await;
    let narrow = desk.store.narrow.get_or_init(Default::default);
    anna.send(Message::text(r#"{"id":"cm_000000000000000000000000000000aa","do":"pull","contact":"ct_0000000000000000000000000000000a"}"#))
        .await
        .unwrap();
    until("the console asks for its session", || narrow.sessions.load(std::sync::atomic::Ordering::Relaxed) > 0).await;
    narrow.go_on.add_permits(1);
    assert_eq!(next(&mut anna).await["reply"], serde_json::json!({"outcome": "applied", "seq": 9}));
}

/// A question to the store that takes its time holds up nothing that has come for the consoles.
#[tokio::test]
async fn offers_come_while_the_journals_end_is_looked_at() {
    let desk = TestDesk::with(|options| options.session_recheck = Duration::from_secs(60)).await;
    let address = serve(&desk).await;
    let (mut anna, _) = open(address, &desk.cookie(1), Some(100)).await;
    let narrow = desk.store.narrow.get_or_init(Default::default);
    anna.send(Message::text(r#"{"id":"cm_000000000000000000000000000000aa","do":"pull","contact":"ct_0000000000000000000000000000000a"}"#))
        .await
        .unwrap();
    until("the journal's end is asked for", || narrow.ends.load(std::sync::atomic::Ordering::Relaxed) > 0).await;
    let last = desk.happen(vec![(11, EventBody::ContactCase)], false);
    assert_eq!(seqs(&mut anna, last).await, [last]);
    narrow.go_on.add_permits(1);
    assert_eq!(next(&mut anna).await["reply"]["outcome"], "applied");
}

#[tokio::test]
async fn frames_that_are_too_large_end_the_socket() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (mut anna, _) = open(address, &desk.cookie(1), None).await;
    let _broken = anna.send(Message::text("x".repeat(70_000))).await;
    let _closed = next(&mut anna).await;
    until("closed", || desk.counters.sockets.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn a_console_that_answers_no_ping_is_lost() {
    let desk = TestDesk::with(|options| options.ping_every = Duration::from_millis(500)).await;
    let address = serve(&desk).await;
    let cookie = desk.cookie(1);
    let (mut alive, _) = open(address, &cookie, None).await;
    // Not polled: tungstenite answers pings only when it is read.
    let (_dead, _) = open(address, &desk.cookie(2), None).await;
    let alive = tokio::spawn(async move { while let Some(Ok(_)) = alive.next().await {} });
    until("one is lost", || desk.counters.sockets_lost.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
    assert_eq!(desk.counters.sockets.load(std::sync::atomic::Ordering::Relaxed), 1);
    alive.abort();
}

/// A page sees no pings: it is told with each that the line is alive, and what time it is here.
#[tokio::test]
async fn a_console_is_told_that_the_line_is_alive() {
    let desk = TestDesk::with(|options| options.ping_every = Duration::from_millis(500)).await;
    let address = serve(&desk).await;
    let (mut anna, _) = open(address, &desk.cookie(1), None).await;
    for _ in 0..2 {
        let beat = next(&mut anna).await;
        let at: Timestamp = serde_json::from_value(beat["at"].clone()).expect("a time");
        assert_eq!(beat["type"], "beat");
        assert!(crate::port::clock::now().since(at) < WITHIN);
    }
}

/// Who goes offline while the router is away, and closes the console on that answer, has gone all the same.
#[tokio::test]
async fn who_could_not_go_offline_goes_when_the_router_is_back() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (anna, _) = open(address, &desk.cookie(1), None).await;
    let connected = |body: &CommandBody| matches!(body, CommandBody::Connect { .. });
    until("the router knows of her", || desk.router.bodies().iter().any(connected)).await;
    desk.router.away.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(desk.json("PUT", "/presence", Some(&desk.cookie(1)), Some(r#"{"state":"offline"}"#)).await.0, 503);
    drop(anna);
    until("her console is gone", || desk.counters.sockets.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
    desk.router.away.store(false, std::sync::atomic::Ordering::Relaxed);
    let left = |body: &CommandBody| matches!(body, CommandBody::Disconnect { signed_out: true, .. });
    until("the router knows that she left", || desk.router.bodies().iter().any(left)).await;
}

#[tokio::test]
async fn stopping_closes_every_console() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (mut anna, _) = open(address, &desk.cookie(1), None).await;
    desk.shutdown.cancel();
    assert_eq!(next(&mut anna).await["close"], 1001);
    desk.tracker.close();
    tokio::time::timeout(WITHIN, desk.tracker.wait()).await.expect("every task ends");
}

#[tokio::test]
async fn pending_keeps_a_holder() {
    let desk = TestDesk::new().await;
    let address = serve(&desk).await;
    let (mut anna, _) = open(address, &desk.cookie(1), Some(100)).await;
    desk.happen(vec![(11, EventBody::ContactPending { operator: OperatorId(1), on: PendingOn::Citizen })], false);
    let last = desk.happen(vec![(11, EventBody::ContactCase)], false);
    assert_eq!(seqs(&mut anna, last).await, [102, last]);
}

#[tokio::test]
async fn one_console_too_many_is_told_to_come_again() {
    let desk = TestDesk::with(|options| options.sockets_max = 1).await;
    let address = serve(&desk).await;
    let (first, _) = open(address, &desk.cookie(1), None).await;
    let Err(Error::Http(refused)) = try_open(address, &desk.cookie(2), None, None).await else { panic!("there is one place") };
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "10"));
    let said: serde_json::Value = serde_json::from_slice(refused.body().as_deref().unwrap_or_default()).unwrap();
    assert_eq!(said["code"], "too_many_consoles");
    drop(first);
    let started = Instant::now();
    while try_open(address, &desk.cookie(2), None, None).await.is_err() {
        assert!(started.elapsed() < WITHIN, "the place of one who left is free");
    }
}
