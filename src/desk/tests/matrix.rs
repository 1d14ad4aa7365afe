//! Who may what: every operation of the OpenAPI document against everybody. A new route without a row here fails the test.

use std::collections::BTreeSet;

use crate::desk::openapi_document;
use crate::desk::testing::TestDesk;
use crate::model::command::{Authority, CommandBody};
use crate::model::id::{CitizenId, ContactId, OperatorId, QueueId};

/// What stands in a row for one person: the status.
struct Row {
    method: &'static str,
    path: &'static str,
    /// The path with ids of a contact that anna (operator of comune) has.
    concrete: &'static str,
    body: Option<&'static str>,
    /// anna, whose it is.
    owner: u16,
    /// bruno, operator of another administration.
    other: u16,
    /// elsa, operator of the same administration.
    colleague: u16,
    /// carla, supervisor of the pool, without the right to content.
    supervisor: u16,
    /// fabio, supervisor of another administration.
    other_supervisor: u16,
}

const C11: &str = "ct_0000000000000000000000000000000b";
const M11: &str = "ms_0000000000000000000000000000000b";
const OP2: &str = "op_00000000000000000000000000000002";

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let row = |method, path, concrete, body, [owner, other, colleague, supervisor, other_supervisor]: [u16; 5]|
        Row { method, path, concrete, body, owner, other, colleague, supervisor, other_supervisor };
    vec![
        row("get", "/session", "/session", None, [200; 5]),
        row("put", "/session/password", "/session/password", Some(r#"{"current":"falsa falsa falsa","new":"nuova nuova nuova"}"#), [403; 5]),
        row("get", "/state", "/state", None, [200; 5]),
        row("get", "/live", "/live", None, [400; 5]),
        row("put", "/presence", "/presence", Some(r#"{"state":"ready"}"#), [200, 200, 200, 403, 403]),
        row("post", "/offers/{contact}/{ordinal}/accept", "/offers/C/1/accept", None, [200, 404, 200, 200, 404]),
        row("post", "/offers/{contact}/{ordinal}/reject", "/offers/C/1/reject", Some(r#"{"reason":"busy"}"#), [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/touch", "/contacts/C/touch", None, [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/pull", "/contacts/C/pull", None, [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/resume", "/contacts/C/resume", None, [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/wrap-up", "/contacts/C/wrap-up", None, [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/return", "/contacts/C/return", None, [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/pend", "/contacts/C/pend", Some(r#"{"on":"citizen"}"#), [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/defer", "/contacts/C/defer", Some(r#"{"until":"2030-01-01T00:00:00Z"}"#), [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/close", "/contacts/C/close", Some(r#"{"resolution":"resolved"}"#), [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/transfer", "/contacts/C/transfer", Some(r#"{"to":{"queue":"sociale"},"reason":"competence"}"#), [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/assign", "/contacts/C/assign", Some(r#"{"operator":"op_00000000000000000000000000000005"}"#), [403, 403, 403, 200, 404]),
        row("post", "/contacts/{id}/attachments", "/contacts/C/attachments", None, [400, 404, 403, 400, 404]),
        row("post", "/contacts/{id}/reply", "/contacts/C/reply", Some(r#"{"text":"Buongiorno"}"#), [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/notes", "/contacts/C/notes", Some(r#"{"text":"nota"}"#), [200, 404, 200, 200, 404]),
        row("post", "/contacts/{id}/messages/{message}/retry", "/contacts/C/messages/M/retry", None, [200, 404, 200, 200, 404]),
        row("put", "/contacts/{id}/case", "/contacts/C/case", Some(r#"{"number":"2026/1"}"#), [200, 404, 200, 200, 404]),
        row("post", "/queues/{id}/close", "/queues/urp/close", Some("{}"), [403, 403, 403, 200, 404]),
        row("post", "/queues/{id}/open", "/queues/urp/open", None, [403, 403, 403, 200, 404]),
        row("get", "/contacts", "/contacts", None, [200; 5]),
        row("get", "/contacts/{id}", "/contacts/C", None, [200, 404, 200, 200, 404]),
        row("get", "/conversations/{id}", "/conversations/cv_0000000000000000000000000000000b", None, [200, 404, 403, 403, 404]),
        row("get", "/messages/{id}/html", "/messages/M/html", None, [404, 404, 403, 403, 404]),
        row("get", "/messages/{id}/attachments/{index}", "/messages/M/attachments/0", None, [404, 404, 403, 403, 404]),
        row("get", "/messages/{id}/raw", "/messages/M/raw", None, [404, 404, 403, 403, 404]),
        row("get", "/room", "/room", None, [403, 403, 403, 200, 200]),
        row("get", "/operators", "/operators", None, [403, 403, 403, 200, 200]),
        row("post", "/operators", "/operators", Some(r#"{"login":"x","name":"X","password":"lunga abbastanza","profile":{"administrations":["comune"]},"grants":[]}"#), [403; 5]),
        row("get", "/operators/{id}", "/operators/O", None, [403, 403, 403, 200, 200]),
        row("patch", "/operators/{id}", "/operators/O", Some(r#"{"enabled":false}"#), [403; 5]),
        row("put", "/operators/{id}/password", "/operators/O/password", Some(r#"{"new":"lunga abbastanza"}"#), [403; 5]),
        row("get", "/tokens", "/tokens", None, [403; 5]),
        row("post", "/tokens", "/tokens", Some(r#"{"name":"pbx","account":"centralino"}"#), [403; 5]),
        row("delete", "/tokens/{name}", "/tokens/pbx", None, [403; 5]),
        row("get", "/quarantine", "/quarantine", None, [403, 403, 403, 200, 200]),
        row("post", "/quarantine/{id}/retry", "/quarantine/1/retry", None, [403; 5]),
        row("post", "/quarantine/{id}/discard", "/quarantine/1/discard", None, [403; 5]),
        row("post", "/session", "/session", Some(r#"{"login":"anna","password":"falsa falsa falsa"}"#), [401; 5]),
        row("delete", "/session", "/session", None, [204; 5]),
    ]
}

fn concrete(row: &Row) -> String {
    row.concrete.replace("/C", &format!("/{C11}")).replace("/M", &format!("/{M11}")).replace("/O", &format!("/{OP2}"))
}

fn documented() -> BTreeSet<(String, String)> {
    let paths = openapi_document()["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())))
        .filter(|(method, _)| ["get", "post", "put", "patch", "delete"].contains(&method.as_str()))
        .collect()
}

#[tokio::test]
async fn every_route_has_a_row() {
    let rows: BTreeSet<_> = rows().iter().map(|row| (row.method.to_owned(), row.path.to_owned())).collect();
    assert_eq!(rows, documented());
}

#[tokio::test]
async fn without_a_session_there_is_nothing() {
    let desk = TestDesk::new().await;
    for row in rows().iter().filter(|row| row.path != "/session" || row.method != "post") {
        for cookie in [None, Some("sportello=sps_0000000000000000000000000000000000")] {
            let (status, body) = desk.json(row.method, &concrete(row), cookie, row.body).await;
            assert_eq!((status, &body["code"]), (401, &"session_ended".into()), "{} {}", row.method, row.path);
        }
    }
    assert!(desk.router.bodies().is_empty());
}

#[tokio::test]
async fn everybody_against_every_route() {
    let desk = TestDesk::with(|options| options.login_attempts = 1000).await;
    for row in rows() {
        let people = [(1, row.owner), (2, row.other), (5, row.colleague), (3, row.supervisor), (6, row.other_supervisor)];
        for (person, expected) in people {
            let cookie = desk.cookie(person);
            let (status, body) = desk.json(row.method, &concrete(&row), Some(&cookie), row.body).await;
            assert_eq!(status, expected, "operator {person}: {} {} → {body}", row.method, row.path);
            let whole = body.to_string();
            let reads = person == 1 && row.owner == 200;
            let own_lists = ["/contacts", "/state"].contains(&row.path) && [2, 5].contains(&person);
            let fabio = person == 6 && ["/contacts", "/state", "/room"].contains(&row.path);
            assert!(reads || own_lists || fabio || !whole.contains("segretissimo"), "operator {person} reads: {} {}", row.method, row.path);
        }
    }
}

#[tokio::test]
async fn a_foreign_thing_looks_like_one_that_is_not_there() {
    let desk = TestDesk::new().await;
    let bruno = desk.cookie(2);
    let nobody = concrete(&rows().into_iter().find(|row| row.path == "/contacts/{id}").unwrap()).replace("0b", "ff");
    for (foreign, unknown) in [
        (format!("/contacts/{C11}"), nobody),
        ("/conversations/cv_0000000000000000000000000000000b".into(), "/conversations/cv_000000000000000000000000000000ff".into()),
        (format!("/messages/{M11}/raw"), "/messages/ms_000000000000000000000000000000ff/raw".into()),
        (format!("/contacts/{C11}"), "/contacts/nonsense".into()),
    ] {
        let foreign = desk.json("GET", &foreign, Some(&bruno), None).await;
        let unknown = desk.json("GET", &unknown, Some(&bruno), None).await;
        assert_eq!(foreign, unknown);
        assert_eq!(foreign.0, 404);
    }
    let close = Some(r#"{"resolution":"resolved"}"#);
    let foreign = desk.json("POST", &format!("/contacts/{C11}/close"), Some(&bruno), close).await;
    let unknown = desk.json("POST", "/contacts/ct_000000000000000000000000000000ff/close", Some(&bruno), close).await;
    assert_eq!(foreign, unknown);
    assert!(desk.router.bodies().is_empty(), "the router hears nothing of it");
}

#[tokio::test]
async fn a_restricted_office_is_invisible_even_to_the_pools_supervisor() {
    let desk = TestDesk::new().await;
    let social = "/contacts/ct_0000000000000000000000000000000d";
    for (person, expected) in [(5, 200), (1, 404), (2, 404), (3, 404), (4, 404), (6, 404)] {
        let (status, _) = desk.json("GET", social, Some(&desk.cookie(person)), None).await;
        assert_eq!(status, expected, "operator {person}");
    }
    let (_, room) = desk.json("GET", "/room", Some(&desk.cookie(3)), None).await;
    assert!(!room["held"].to_string().contains("0000000d"));
    assert!(room["held"].to_string().contains("0000000b"));
    let (status, _) = desk.json("POST", "/queues/sociale/close", Some(&desk.cookie(3)), Some("{}")).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_citizens_other_contacts_are_shown_as_far_as_the_caller_sees_them() {
    let desk = TestDesk::new().await;
    for id in [11, 13, 14] {
        desk.store.rows().contacts.get_mut(&ContactId(id)).unwrap().citizen = Some(CitizenId(1));
    }
    let (status, conversation) = desk.json("GET", "/conversations/cv_0000000000000000000000000000000b", Some(&desk.cookie(1)), None).await;
    assert_eq!(status, 200);
    let others: Vec<_> = conversation["citizen"]["open_contacts"].as_array().unwrap().iter().map(|contact| contact["id"].clone()).collect();
    assert_eq!(others, ["ct_0000000000000000000000000000000e"], "not the restricted office's");
}

#[tokio::test]
async fn authority_follows_scope() {
    let desk = TestDesk::new().await;
    let close = |person: u128| {
        let cookie = desk.cookie(person);
        let desk = &desk;
        async move {
            let path = format!("/contacts/{C11}/close");
            desk.json("POST", &path, Some(&cookie), Some(r#"{"resolution":"resolved"}"#)).await;
            let asked = desk.router.asked.lock().unwrap();
            asked.last().unwrap().command.actor
        }
    };
    assert_eq!(close(1).await.authority, Authority::Own);
    assert_eq!(close(5).await.authority, Authority::Own);
    let actor = close(3).await;
    assert_eq!((actor.authority, actor.operator), (Authority::Any, Some(OperatorId(3))));
    let asked = desk.router.bodies();
    assert!(matches!(asked[0], CommandBody::Close { contact: ContactId(11), .. }));
    desk.json("POST", "/queues/urp/close", Some(&desk.cookie(3)), Some(r#"{"notice":"Torniamo alle 14"}"#)).await;
    assert_eq!(desk.router.bodies().last(), Some(&CommandBody::CloseQueue { queue: QueueId::new("urp").unwrap() }));
}
