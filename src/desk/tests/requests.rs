//! Requests of every shape: headers on each answer, other sites' pages, bodies of any kind, files and handles, quarantine.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};

use crate::desk::openapi_document;
use crate::desk::testing::{TestDesk, administration, contact, message, pool};
use crate::model::channel::Channel;
use crate::model::command::{CommandBody, Refusal, Reply};
use crate::model::contact::{ContactState, PendingOn};
use crate::model::conversation::{Attachment, Automatic, BlobRef, Message, Party};
use crate::model::id::{CommandId, ContactId, IdMaker, InputId, OperatorId};
use crate::model::time::Timestamp;
use crate::port::blobs::Blobs;
use crate::port::clock::now;
use crate::port::commands::CommandText;
use crate::port::store::{OptOut, Quarantined, Store};

fn operations() -> Vec<(String, String)> {
    let paths = openapi_document()["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())));
    each.filter(|(method, _)| ["get", "post", "put", "patch", "delete"].contains(&method.as_str())).collect()
}

/// A path with ids in it.
fn filled(path: &str) -> String {
    path.replace("/messages/{id}", "/messages/ms_0000000000000000000000000000000b")
        .replace("{message}", "ms_0000000000000000000000000000000b")
        .replace("/conversations/{id}", "/conversations/cv_0000000000000000000000000000000b")
        .replace("/operators/{id}", "/operators/op_00000000000000000000000000000001")
        .replace("/queues/{id}", "/queues/urp")
        .replace("/quarantine/{id}", "/quarantine/1")
        .replace("{id}", "ct_0000000000000000000000000000000b")
        .replace("{contact}", "ct_0000000000000000000000000000000b")
        .replace("{ordinal}", "1")
        .replace("{index}", "0")
        .replace("{name}", "x")
}

fn check_headers(headers: &HeaderMap, what: &str) {
    let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    assert_eq!(value("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(value("referrer-policy"), "no-referrer", "{what}");
    assert_eq!(value("cache-control"), "no-store", "{what}");
    for part in ["object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(value("content-security-policy").contains(part), "{what}: {part}");
    }
}

#[tokio::test]
async fn headers_on_every_route() {
    let desk = TestDesk::new().await;
    for (method, path) in operations() {
        for cookie in [None, Some(desk.cookie(1))] {
            let (_, headers, _) = desk.whole(&method, &filled(&path), cookie.as_deref(), None).await;
            check_headers(&headers, &format!("{method} {path}"));
        }
    }
    for (path, status) in [("/api/v1/openapi.json", 200), ("/api/v1/nothing", 404), ("/docs/", 200), ("/docs/swagger-ui-bundle.js", 200)] {
        let response = desk.call(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), status, "{path}");
        check_headers(response.headers(), path);
    }
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let desk = TestDesk::new().await;
    let cookie = desk.cookie(1);
    let changing = operations().into_iter().filter(|(method, path)| method != "get" && !path.ends_with("/attachments"));
    for (method, path) in changing {
        for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")] {
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(format!("/api/v1{}", filled(&path)));
            let request = request.header("cookie", &cookie).header("host", "localhost:8080").header(name, value);
            let response = desk.call(request.header("content-type", "application/json").body(Body::from("{}")).unwrap()).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{method} {path} with {name}: {value}");
        }
    }
    assert!(desk.router.bodies().is_empty());
    assert!(!desk.store.rows().sessions.is_empty(), "nobody was signed out");
}

#[tokio::test]
async fn bodies_of_any_shape_are_refused_not_feared() {
    let desk = TestDesk::with(|options| options.login_attempts = 100_000).await;
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let wide = format!(r#"{{"text":"{}"}}"#, "x".repeat(200_000));
    let nul = "{\"login\":\"a\\u0000b\",\"password\":\"\\ud800\"}";
    let bodies = [
        "",
        "null",
        "[]",
        "{}",
        "\"x\"",
        "1e999",
        "{\"a\":",
        "\u{feff}{}",
        r#"{"text":1,"reason":[],"to":{},"on":"x"}"#,
        nul,
        &deep,
        &wide,
    ];
    for (method, path) in operations() {
        let cookie = desk.cookie(4);
        for body in bodies {
            let (status, _, answer) = desk.whole(&method, &filled(&path), Some(&cookie), Some(body)).await;
            assert!(status < 500, "{method} {path} {} → {status} {}", &body[..body.len().min(40)], String::from_utf8_lossy(&answer));
            if status >= 400 {
                let problem: serde_json::Value = serde_json::from_slice(&answer).unwrap();
                assert!(problem["code"].is_string(), "{method} {path}");
            }
        }
    }
    assert_eq!(desk.counters.panics.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn ids_and_versions_in_headers() {
    let desk = TestDesk::new().await;
    let cookie = desk.cookie(1);
    let send = |key: &'static str, version: &'static str| {
        let request = Request::post(format!("/api/v1{}", filled("/contacts/{id}/notes"))).header("cookie", &cookie);
        let request = request.header("idempotency-key", key).header("if-match", version).header("content-type", "application/json");
        desk.call(request.body(Body::from(r#"{"text":"nota"}"#)).unwrap())
    };
    let key = "cm_000000000000000000000000000000aa";
    for version in ["7", "\"7\""] {
        assert_eq!(send(key, version).await.status(), 200);
    }
    assert_eq!(send("nonsense", "7").await.status(), 400);
    assert_eq!(send(key, "seven").await.status(), 400);
    let asked = desk.router.asked.lock().unwrap();
    assert_eq!((asked[0].command.id, asked[0].command.expected_version), (CommandId(0xaa), Some(7)));
    assert_eq!(asked[0].command.body, asked[1].command.body, "the same note when it is sent twice");
}

#[tokio::test]
async fn refusals_and_silence() {
    let desk = TestDesk::new().await;
    let cookie = desk.cookie(1);
    let close =
        || desk.json("POST", "/contacts/ct_0000000000000000000000000000000b/close", Some(&cookie), Some(r#"{"resolution":"resolved"}"#));
    assert_eq!(close().await, (200, serde_json::json!({"outcome": "applied", "seq": 9})));
    *desk.router.answer.lock().unwrap() = Some(Reply::Duplicate);
    assert_eq!(close().await, (200, serde_json::json!({"outcome": "duplicate"})));
    for (refusal, status, code) in [
        (Refusal::WrongState, 409, "wrong_state"),
        (Refusal::NotFound, 404, "not_found"),
        (Refusal::VersionChanged, 409, "version_changed"),
    ] {
        *desk.router.answer.lock().unwrap() = Some(Reply::Refused { code: refusal });
        let (got, body) = close().await;
        assert_eq!((got, &body["code"]), (status, &code.into()));
    }
    desk.router.away.store(true, std::sync::atomic::Ordering::Relaxed);
    let (status, body) = close().await;
    assert_eq!((status, &body["code"]), (503, &"router_unavailable".into()));
}

fn form(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut body =
        format!("--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/pdf\r\n\r\n")
            .into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--xx--\r\n");
    body
}

async fn upload(desk: &TestDesk, cookie: &str, contact: u128, bytes: &[u8]) -> (u16, serde_json::Value) {
    let request = Request::post(format!("/api/v1/contacts/{}/attachments", ContactId(contact))).header("cookie", cookie);
    let request = request.header("content-type", "multipart/form-data; boundary=xx").body(Body::from(form("../a.pdf", bytes)));
    let response = desk.call(request.unwrap()).await;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn files_are_bound_to_their_contact() {
    let desk = TestDesk::with(|options| options.attachment_bytes_max = 1000).await;
    let anna = desk.cookie(1);
    let (status, file) = upload(&desk, &anna, 11, b"%PDF").await;
    assert_eq!((status, &file["name"], &file["size"]), (201, &"a.pdf".into(), &4.into()), "{file}");
    assert_eq!(upload(&desk, &anna, 11, &[0; 1001]).await.0, 413);
    assert_eq!(upload(&desk, &anna, 11, &[0; 200_000]).await.0, 413);
    assert_eq!(upload(&desk, &desk.cookie(2), 11, b"%PDF").await.0, 404);
    let reply = serde_json::json!({"text": "ecco", "attachments": [file["handle"]]}).to_string();
    let (status, done) = desk.json("POST", "/contacts/ct_0000000000000000000000000000000b/reply", Some(&anna), Some(&reply)).await;
    assert_eq!(status, 200, "{done}");
    assert!(done["message"].as_str().unwrap().starts_with("ms_"));
    match desk.router.asked.lock().unwrap().last().unwrap().text.as_ref().unwrap() {
        CommandText::Reply { attachments, .. } => assert_eq!(attachments[0].name, "a.pdf"),
        CommandText::Text(_) => panic!("a reply carries a reply"),
    }
    let (status, body) = desk.json("POST", "/contacts/ct_0000000000000000000000000000000e/reply", Some(&anna), Some(&reply)).await;
    assert_eq!((status, &body["code"]), (409, &"bad_attachment".into()), "another contact's file");
}

#[tokio::test]
async fn an_answer_goes_to_who_wrote_last() {
    let desk = TestDesk::new().await;
    let party = |address: &str| Party { address: address.into(), name: None };
    let (anna, path) = (desk.cookie(1), "/contacts/ct_0000000000000000000000000000000b/reply");
    {
        let mut rows = desk.store.rows();
        let contact = rows.contacts.get_mut(&ContactId(11)).unwrap();
        contact.channel = Channel::email();
        let contact = contact.clone();
        rows.messages.clear();
        for (at, from, automatic) in [(1, "first@x.it", None), (2, "last@x.it", None), (3, "robot@x.it", Some(Automatic::AutoReply))] {
            let at = contact.filed_at.plus(std::time::Duration::from_secs(at));
            rows.messages.push(Message { at, from: Some(party(from)), automatic, ..message(at.0 as u128, &contact) });
        }
    }
    assert_eq!(desk.json("POST", path, Some(&anna), Some(r#"{"text":"ecco"}"#)).await.0, 200);
    match desk.router.asked.lock().unwrap().last().unwrap().text.clone().unwrap() {
        CommandText::Reply { to, subject, .. } => {
            assert_eq!((to, subject.as_deref()), (Some(party("last@x.it")), Some("Re: segretissimo")));
        }
        CommandText::Text(_) => panic!("a reply carries a reply"),
    }
    desk.store.rows().messages.clear();
    let (status, body) = desk.json("POST", path, Some(&anna), Some(r#"{"text":"ecco"}"#)).await;
    assert_eq!((status, &body["code"]), (409, &"no_reply_channel".into()), "nobody to answer to");
}

/// What cannot be sent is refused with a word that says why, before it becomes a message.
#[tokio::test]
async fn a_text_message_goes_to_a_number_that_wants_it() {
    let desk = TestDesk::new().await;
    let (anna, path) = (desk.cookie(1), "/contacts/ct_0000000000000000000000000000000b/reply");
    let comune = administration("comune");
    let from = |address: &str| {
        let mut rows = desk.store.rows();
        let contact = rows.contacts.get_mut(&ContactId(11)).unwrap();
        contact.channel = Channel::sms();
        let contact = contact.clone();
        rows.messages = vec![Message { from: Some(Party { address: address.into(), name: None }), ..message(1, &contact) }];
    };
    let reply = async |text: &str| {
        let (status, body) = desk.json("POST", path, Some(&anna), Some(&serde_json::json!({ "text": text }).to_string())).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |code: &str| (409, code.to_owned());
    from("Comune");
    assert_eq!(reply("ecco").await, refused("unanswerable"));
    from("4040");
    assert_eq!(reply("ecco").await.0, 200, "a short code can be answered");
    from("+393331234567");
    assert_eq!(reply("ecco").await.0, 200);
    assert_eq!(reply(&"à".repeat(1600)).await.0, 200);
    assert_eq!(reply(&"a".repeat(1601)).await, refused("too_long"));
    let wrote = |automatic| desk.store.rows().messages[0].automatic = Some(automatic);
    wrote(Automatic::AutoReply);
    assert_eq!(reply("ecco").await, refused("no_reply_channel"));
    wrote(Automatic::List);
    assert_eq!(reply("ecco").await.0, 200, "by a list, but somebody wrote it");
    let address = IdMaker::new([7; 32]).address(&comune, "+393331234567");
    let word = |input, stopped, at| {
        let at = Timestamp::from_secs(at);
        OptOut { input: InputId(input), administration: comune.clone(), channel: Channel::sms(), address, stopped, at }
    };
    desk.store.put_opt_out(&word(1, true, 1)).await.unwrap();
    assert_eq!(reply("ecco").await, refused("opted_out"));
    desk.store.put_opt_out(&word(2, false, 2)).await.unwrap();
    assert_eq!(reply("ecco").await.0, 200);
}

#[tokio::test]
async fn html_is_caged_and_files_are_saved() {
    let desk = TestDesk::new().await;
    let comune = administration("comune");
    let put = |bytes: &'static [u8]| desk.blobs.put(&comune, bytes.into());
    let html = put(b"<p>ciao</p><img src=\"cid:logo@x\"><img src=\"cid:evil@x\">").await.unwrap();
    let (logo, evil) = (put(b"PNG").await.unwrap(), put(b"<svg onload=alert(1)>").await.unwrap());
    let file = |name: &str, kind: &str, id: &str, blob: BlobRef| Attachment {
        name: name.into(),
        media_type: kind.into(),
        content_id: Some(id.into()),
        blob,
    };
    {
        let mut rows = desk.store.rows();
        let message = rows.messages.iter_mut().find(|message| message.contact == ContactId(11)).unwrap();
        message.html = Some(html);
        message.attachments = vec![file("logo.png", "image/png", "logo@x", logo), file("x\".svg", "image/svg+xml", "evil@x", evil)];
    }
    let anna = desk.cookie(1);
    let (status, headers, body) = desk.whole("GET", "/messages/ms_0000000000000000000000000000000b/html", Some(&anna), None).await;
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(status, 200);
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("sandbox; default-src 'none'"));
    assert!(body.contains("src=\"data:image/png;base64,UE5H\"") && body.contains("cid:evil@x"), "{body}");
    let get = |index: u8, query: &'static str| {
        let path = format!("/messages/ms_0000000000000000000000000000000b/attachments/{index}{query}");
        let (desk, anna) = (&desk, &anna);
        async move { desk.whole("GET", &path, Some(anna), None).await.1 }
    };
    assert!(get(0, "").await["content-disposition"].to_str().unwrap().starts_with("attachment;"));
    assert!(get(0, "?inline=true").await["content-disposition"].to_str().unwrap().starts_with("inline;"));
    let svg = get(1, "?inline=true").await;
    assert!(svg["content-disposition"].to_str().unwrap().starts_with("attachment;"), "an SVG is a program");
    assert_eq!(svg["content-type"], "application/octet-stream");
}

#[tokio::test]
async fn what_is_held_is_tried_again_or_discarded() {
    let desk = TestDesk::new().await;
    let item = |id: i64, source: &str, key: &str| Quarantined {
        id,
        pool: Some(pool()),
        administration: Some(administration("comune")),
        source: source.into(),
        key: key.into(),
        message_id: format!("in_{id}"),
        reason: "not JSON".into(),
        body: b"{raw".to_vec(),
        at: now(),
        state: "held".into(),
    };
    desk.store.rows().quarantine = vec![
        item(1, "inbound", "valle.comune.phone"),
        item(2, "mailbox", "posta"),
        item(3, "dead", "nonsense key"),
        item(4, "sms", "urp-sms"),
    ];
    let admin = desk.cookie(4);
    let (_, list) = desk.json("GET", "/quarantine", Some(&admin), None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
    assert!(!list.to_string().contains("{raw"));
    assert_eq!(desk.json("POST", "/quarantine/1/retry", Some(&admin), None).await.0, 204);
    for (id, code, detail) in [(2, "cannot_retry", "lies there still"), (4, "held_again", "no such account")] {
        let (status, said) = desk.json("POST", &format!("/quarantine/{id}/retry"), Some(&admin), None).await;
        assert_eq!((status, &said["code"]), (409, &code.into()), "{said}");
        assert!(said["detail"].as_str().unwrap().contains(detail), "{said}");
    }
    assert_eq!(desk.json("POST", "/quarantine/3/discard", Some(&admin), None).await.0, 204);
    assert_eq!(desk.json("POST", "/quarantine/3/retry", Some(&admin), None).await.1["code"], "not_held");
    assert_eq!(*desk.retries.0.lock().unwrap(), [1, 2, 4]);
}

#[tokio::test]
async fn presence_reaches_the_router() {
    let desk = TestDesk::new().await;
    let anna = desk.cookie(1);
    for (body, status) in [
        (r#"{"state":"ready"}"#, 200),
        (r#"{"state":"away","reason":"lunch"}"#, 200),
        (r#"{"state":"away","reason":"La La"}"#, 400),
        (r#"{"state":"gone"}"#, 422),
        (r#"{"state":"offline"}"#, 200),
    ] {
        assert_eq!(desk.json("PUT", "/presence", Some(&anna), Some(body)).await.0, status, "{body}");
    }
    let asked = desk.router.bodies();
    assert!(matches!(asked[0], CommandBody::Ready { .. }));
    assert!(matches!(&asked[1], CommandBody::Away { reason, .. } if reason == "lunch"));
    assert!(matches!(asked[2], CommandBody::Disconnect { signed_out: true, .. }));
}

#[test]
fn the_document_is_whole() {
    let document = openapi_document();
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let name = reference.split('"').next().unwrap().trim_start_matches("#/components/schemas/");
        assert!(schemas.contains_key(name), "{name} is referred to and not there");
    }
}

/// More contacts than a list holds, most of them of an office that the supervisor may not know of: what they may know of is there,
/// what somebody works on before what waits for a citizen, and the load is whole.
#[tokio::test]
async fn the_room_is_narrowed_before_it_is_cut() {
    let desk = TestDesk::new().await;
    let pending = ContactState::Pending { operator: OperatorId(1), on: PendingOn::Citizen, since: now(), back_after: None };
    {
        let mut rows = desk.store.rows();
        let hidden = (100..700).map(|id| contact(id, "comune", "sociale", pending));
        let seen = (1000..1600).map(|id| contact(id, "comune", "urp", pending));
        let off = (2000..2002)
            .map(|id| contact(id, "comune", "urp", ContactState::Deferred { until: Timestamp(i64::try_from(5000 - id).unwrap()) }));
        let mut called = contact(3000, "comune", "urp", ContactState::Queued);
        called.returns = 4;
        let all = hidden.chain(seen).chain(off).chain([called]);
        rows.contacts.extend(all.map(|contact| (contact.id, contact)));
    }
    let (_, room) = desk.json("GET", "/room", Some(&desk.cookie(3)), None).await;
    let ids =
        |list: &str| room[list].as_array().unwrap().iter().map(|contact| contact["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids("held").len(), 500);
    assert!(ids("held").iter().all(|id| desk.store.rows().contacts[&id.parse().unwrap()].office.as_str() != "sociale"));
    assert_eq!(ids("deferred"), [ContactId(2001), ContactId(2000)].map(|id| id.to_string()), "the soonest first");
    assert_eq!(room["counts"], serde_json::json!({"waiting": 2, "held": 603, "deferred": 2}));
    let anna = room["operators"].as_array().unwrap().iter().find(|who| who["name"] == "anna").unwrap();
    assert_eq!((&anna["holds"], &anna["live_used"]), (&1202.into(), &200.into()), "a call, one that rings, and all that pends");
    let escalated: Vec<_> = room["waiting"].as_array().unwrap().iter().map(|contact| contact["escalated"].clone()).collect();
    assert_eq!(escalated, [false, true]);
    let (_, list) = desk.json("GET", "/contacts?limit=500&state=pending", Some(&desk.cookie(3)), None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 500, "what is hidden takes no place here either");
}

#[tokio::test]
async fn quarantine_is_narrowed_before_it_is_cut() {
    let desk = TestDesk::new().await;
    let item = |id: i64, whose: &str| Quarantined {
        id,
        pool: Some(pool()),
        administration: Some(administration(whose)),
        source: "inbound".into(),
        key: "key".into(),
        message_id: format!("in_{id}"),
        reason: "not JSON".into(),
        body: Vec::new(),
        at: now(),
        state: "held".into(),
    };
    desk.store.rows().quarantine = (1..200).map(|id| item(id, if id < 150 { "comune" } else { "asl" })).collect();
    for (person, expected) in [(6, 50), (3, 100), (4, 100)] {
        let (_, list) = desk.json("GET", "/quarantine", Some(&desk.cookie(person)), None).await;
        assert_eq!(list["items"].as_array().unwrap().len(), expected, "operator {person}");
    }
}
