//! Who may what: every operation of the OpenAPI document against everybody, on a contact of an open office and on one of a restricted
//! office. A new route without a row here fails the test.

use std::collections::BTreeSet;

use super::live::{serve, upgrade};
use crate::desk::openapi_document;
use crate::desk::testing::{TestDesk, administration};
use crate::model::command::{Authority, CommandBody};
use crate::model::conversation::Attachment;
use crate::model::id::{CitizenId, ContactId, OperatorId, QueueId};
use crate::port::blobs::Blobs;

/// The columns: anna, operator of comune, who has the contact of the open office · bruno, operator of another administration ·
/// elsa, operator of comune and member of the restricted office, who has its contact · carla, supervisor of the pool without the
/// right to content · fabio, supervisor of another administration · dora, administrator of the pool with the right to content.
const PEOPLE: [u128; 6] = [1, 2, 5, 3, 6, 4];
/// Who owns the contact of the open office.
const ANNA: u128 = 1;
/// Who owns the contact of the restricted office.
const ELSA: u128 = 5;
/// Whose word goes for any contact of the open office.
const SUPERVISORS: [u128; 2] = [3, 4];

/// An operation and the statuses with which each of [`PEOPLE`] is answered.
struct Row {
    method: &'static str,
    path: &'static str,
    /// The path with places for the ids: `{C}` contact, `{V}` conversation, `{M}` message, `{O}` operator.
    concrete: &'static str,
    body: Option<&'static str>,
    /// On anna's contact, of the open office; of what is not about a contact.
    open: [u16; 6],
    /// On elsa's contact, of the restricted office; none: it is not about a contact.
    restricted: Option<[u16; 6]>,
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let row = |method, path, concrete, body, open| Row { method, path, concrete, body, open, restricted: None };
    // who has no right to content and no contact sees that it is there, and not what is in it; a restricted one is not there at all
    let about = |method, path, concrete, body, open, own| Row { method, path, concrete, body, open, restricted: Some([404, 404, own, 404, 404, 404]) };
    let command = |path, concrete, body| about("post", path, concrete, body, [200, 404, 200, 200, 404, 200], 200);
    let letter = |path, concrete| about("get", path, concrete, None, [200, 404, 403, 403, 404, 200], 200);
    vec![
        row("get", "/session", "/session", None, [200; 6]),
        row("put", "/session/password", "/session/password", Some(r#"{"current":"falsa falsa falsa","new":"nuova nuova nuova"}"#), [403; 6]),
        row("get", "/state", "/state", None, [200; 6]),
        row("get", "/live", "/live", None, [101; 6]),
        row("put", "/presence", "/presence", Some(r#"{"state":"ready"}"#), [200, 200, 200, 403, 403, 403]),
        command("/offers/{contact}/{ordinal}/accept", "/offers/{C}/1/accept", None),
        command("/offers/{contact}/{ordinal}/reject", "/offers/{C}/1/reject", Some(r#"{"reason":"busy"}"#)),
        command("/contacts/{id}/touch", "/contacts/{C}/touch", None),
        command("/contacts/{id}/pull", "/contacts/{C}/pull", None),
        command("/contacts/{id}/resume", "/contacts/{C}/resume", None),
        command("/contacts/{id}/wrap-up", "/contacts/{C}/wrap-up", None),
        command("/contacts/{id}/return", "/contacts/{C}/return", None),
        command("/contacts/{id}/pend", "/contacts/{C}/pend", Some(r#"{"on":"citizen"}"#)),
        command("/contacts/{id}/defer", "/contacts/{C}/defer", Some(r#"{"until":"2030-01-01T00:00:00Z"}"#)),
        command("/contacts/{id}/close", "/contacts/{C}/close", Some(r#"{"resolution":"resolved"}"#)),
        command("/contacts/{id}/transfer", "/contacts/{C}/transfer", Some(r#"{"to":{"queue":"sociale"},"reason":"competence"}"#)),
        Row {
            restricted: Some([403, 403, 403, 404, 404, 404]),
            ..row("post", "/contacts/{id}/assign", "/contacts/{C}/assign", Some(r#"{"operator":"op_00000000000000000000000000000005"}"#), [403, 403, 403, 200, 404, 200])
        },
        about("post", "/contacts/{id}/attachments", "/contacts/{C}/attachments", None, [400, 404, 403, 403, 404, 400], 400),
        about("post", "/contacts/{id}/reply", "/contacts/{C}/reply", Some(r#"{"text":"Buongiorno"}"#), [200, 404, 403, 403, 404, 200], 200),
        command("/contacts/{id}/notes", "/contacts/{C}/notes", Some(r#"{"text":"nota"}"#)),
        command("/contacts/{id}/messages/{message}/retry", "/contacts/{C}/messages/{M}/retry", None),
        command("/contacts/{id}/messages/{message}/settle", "/contacts/{C}/messages/{M}/settle", Some(r#"{"arrived":true}"#)),
        Row { method: "put", ..command("/contacts/{id}/case", "/contacts/{C}/case", Some(r#"{"number":"2026/1"}"#)) },
        row("post", "/queues/{id}/close", "/queues/urp/close", Some("{}"), [403, 403, 403, 200, 404, 200]),
        row("post", "/queues/{id}/open", "/queues/urp/open", None, [403, 403, 403, 200, 404, 200]),
        row("get", "/contacts", "/contacts", None, [200; 6]),
        about("get", "/contacts/{id}", "/contacts/{C}", None, [200, 404, 200, 200, 404, 200], 200),
        about("put", "/contacts/{id}/read", "/contacts/{C}/read", Some(r#"{"until":"2030-01-01T00:00:00Z"}"#), [204, 404, 403, 403, 404, 204], 204),
        letter("/conversations/{id}", "/conversations/{V}"),
        letter("/messages/{id}/html", "/messages/{M}/html"),
        letter("/messages/{id}/attachments/{index}", "/messages/{M}/attachments/0"),
        letter("/messages/{id}/raw", "/messages/{M}/raw"),
        row("get", "/room", "/room", None, [403, 403, 403, 200, 200, 200]),
        row("get", "/operators", "/operators", None, [403, 403, 403, 200, 200, 200]),
        row("post", "/operators", "/operators", Some(r#"{"login":"x","name":"X","password":"lunga abbastanza","profile":{"administrations":["comune"]},"grants":[]}"#), [403, 403, 403, 403, 403, 201]),
        row("get", "/operators/{id}", "/operators/{O}", None, [403, 403, 403, 200, 200, 200]),
        row("patch", "/operators/{id}", "/operators/{O}", Some(r#"{"enabled":false}"#), [403, 403, 403, 403, 403, 200]),
        row("put", "/operators/{id}/password", "/operators/{O}/password", Some(r#"{"new":"lunga abbastanza"}"#), [403, 403, 403, 403, 403, 204]),
        row("get", "/tokens", "/tokens", None, [403, 403, 403, 403, 403, 200]),
        row("post", "/tokens", "/tokens", Some(r#"{"name":"pbx","account":"centralino"}"#), [403, 403, 403, 403, 403, 201]),
        row("delete", "/tokens/{name}", "/tokens/pbx", None, [403, 403, 403, 403, 403, 404]),
        row("get", "/quarantine", "/quarantine", None, [403, 403, 403, 200, 200, 200]),
        row("post", "/quarantine/{id}/retry", "/quarantine/1/retry", None, [403, 403, 403, 403, 403, 404]),
        row("post", "/quarantine/{id}/discard", "/quarantine/1/discard", None, [403, 403, 403, 403, 403, 404]),
        row("post", "/session", "/session", Some(r#"{"login":"anna","password":"falsa falsa falsa"}"#), [401; 6]),
        row("delete", "/session", "/session", None, [204; 6]),
    ]
}

impl Row {
    /// The path on a contact; its conversation and message have its number.
    fn on(&self, contact: u8) -> String {
        let id = |prefix: &str| format!("{prefix}_{contact:032x}");
        let concrete = self.concrete.replace("{C}", &id("ct")).replace("{V}", &id("cv")).replace("{M}", &id("ms"));
        concrete.replace("{O}", "op_00000000000000000000000000000002")
    }

    /// Whether it is a command to the router: what is refused must not reach it.
    fn is_command(&self) -> bool {
        self.method != "get"
            && ["/contacts/", "/offers/", "/queues/"].iter().any(|start| self.path.starts_with(start))
            && !["/attachments", "/read"].iter().any(|end| self.path.ends_with(end))
    }

    /// With which authority a command of theirs goes to the router.
    fn authority(&self, person: u128, contact: u8) -> Authority {
        let for_themself = ["touch", "pull", "accept", "reject"].iter().any(|end| self.path.ends_with(end));
        if !for_themself && contact == OPEN && SUPERVISORS.contains(&person) { Authority::Any } else { Authority::Own }
    }
}

/// The contact of the open office, which anna has.
const OPEN: u8 = 11;
/// The contact of the restricted office, which elsa has.
const RESTRICTED: u8 = 13;

/// A desk whose messages have all that can be asked for.
async fn desk_with_letters() -> TestDesk {
    let desk = TestDesk::with(|options| options.login_attempts = 1000).await;
    let blob = desk.blobs.put(&administration("comune"), "segretissimo".into()).await.unwrap();
    for message in &mut desk.store.rows().messages {
        let file = Attachment { name: "a.pdf".into(), media_type: "application/pdf".into(), content_id: None, blob: blob.clone() };
        (message.html, message.raw, message.attachments) = (Some(blob.clone()), Some(blob.clone()), vec![file]);
    }
    desk
}

/// The open office's contact, by its id.
const C11: &str = "ct_0000000000000000000000000000000b";
const M11: &str = "ms_0000000000000000000000000000000b";

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
async fn every_row_about_a_contact_is_tried_on_both() {
    for row in rows() {
        let about = ["{C}", "{V}", "{M}"].iter().any(|place| row.concrete.contains(place));
        assert_eq!(row.restricted.is_some(), about, "{} {}", row.method, row.path);
    }
}

#[tokio::test]
async fn without_a_session_there_is_nothing() {
    let desk = desk_with_letters().await;
    let address = serve(&desk).await;
    for row in rows().iter().filter(|row| row.path != "/session" || row.method != "post") {
        for cookie in [None, Some("sportello=sps_0000000000000000000000000000000000")] {
            let (status, body) = match row.path {
                "/live" => upgrade(address, cookie).await,
                _ => desk.json(row.method, &row.on(OPEN), cookie, row.body).await,
            };
            assert_eq!((status, &body["code"]), (401, &"session_ended".into()), "{} {}", row.method, row.path);
        }
    }
    assert!(desk.router.bodies().is_empty());
}

#[tokio::test]
async fn everybody_against_every_route() {
    for row in rows() {
        for (contact, expected) in [(OPEN, Some(row.open)), (RESTRICTED, row.restricted)] {
            let Some(expected) = expected else { continue };
            // one of its own: what an administrator changes is not there for the next row
            let desk = desk_with_letters().await;
            for (person, expected) in PEOPLE.into_iter().zip(expected) {
                try_it(&desk, &row, contact, person, expected).await;
            }
        }
    }
}

async fn try_it(desk: &TestDesk, row: &Row, contact: u8, person: u128, expected: u16) {
    let what = format!("operator {person}: {} {}", row.method, row.on(contact));
    let cookie = desk.cookie(person);
    if row.path == "/live" {
        let address = serve(desk).await;
        assert_eq!(upgrade(address, Some(&cookie)).await.0, expected, "{what}");
        return;
    }
    let before = desk.router.bodies().len();
    let (status, _, bytes) = desk.whole(row.method, &row.on(contact), Some(&cookie), row.body).await;
    let whole = String::from_utf8_lossy(&bytes);
    assert_eq!(status, expected, "{what} → {whole}");
    if row.is_command() {
        let asked = desk.router.asked.lock().unwrap();
        let actors: Vec<_> = asked[before..].iter().map(|envelope| envelope.command.actor).collect();
        let wanted: Vec<_> = (status == 200).then(|| (Some(OperatorId(person)), row.authority(person, contact))).into_iter().collect();
        assert_eq!(
            actors.iter().map(|actor| (actor.operator, actor.authority)).collect::<Vec<_>>(),
            wanted,
            "{what}: what the router hears"
        );
    }
    let reads_it = [(ANNA, OPEN), (4, OPEN), (ELSA, RESTRICTED)].contains(&(person, contact));
    let in_their_lists = ["/contacts", "/state", "/room"].contains(&row.path) && person != 3;
    let is_letter = row.method == "get" && row.restricted.is_some();
    assert!(reads_it || in_their_lists || !whole.contains("segretissimo"), "{what} reads it: {whole}");
    assert!(!is_letter || !reads_it || whole.contains("segretissimo"), "{what} has nothing to read: {whole}");
    assert!(person == ELSA || !whole.contains(&format!("{RESTRICTED:08x}")), "{what} learns of the restricted one: {whole}");
}

#[tokio::test]
async fn a_foreign_thing_looks_like_one_that_is_not_there() {
    let desk = TestDesk::new().await;
    let bruno = desk.cookie(2);
    let nobody = "/contacts/ct_000000000000000000000000000000ff".to_owned();
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
