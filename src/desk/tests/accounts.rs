//! Accounts as the administrator of one administration sees, makes and changes them: nothing of another one shows.

use serde_json::{Value, json};

use crate::desk::testing::{TestDesk, administration, grant, login, operator, pool_scope};
use crate::model::id::{OperatorId, QueueId};
use crate::model::operator::{Role, Scope};
use crate::port::testing::office;

/// Who administers asl and nothing else.
const GINO: u128 = 7;
/// Who works for comune and asl.
const NINA: &str = "/operators/op_00000000000000000000000000000008";
/// Who works for asl, at a queue that the plan has no more; all of the account is asl's.
const UGO: &str = "/operators/op_00000000000000000000000000000009";

async fn desk_of_two() -> TestDesk {
    let desk = TestDesk::new().await;
    let (comune, asl) = (Scope::Administration(administration("comune")), Scope::Administration(administration("asl")));
    let social = Scope::Office(administration("comune"), office("sociale"));
    let of_nina = [(Role::Operator, pool_scope()), (Role::Supervisor, comune), (Role::Supervisor, social), (Role::Operator, asl.clone())];
    let mut rows = desk.store.rows();
    for (id, name, grants) in [(GINO, "gino", vec![(Role::Admin, asl)]), (8, "nina", of_nina.to_vec()), (9, "ugo", vec![])] {
        let grants = grants.into_iter().map(|(role, scope)| grant(role, scope, false)).collect();
        rows.logins.insert(OperatorId(id), login(id, name, grants));
    }
    let nina = operator(8, &["comune", "asl"], &["sociale", "cup"]);
    for (mut person, queues) in [(nina, vec!["sociale", "cup"]), (operator(9, &["asl"], &[]), vec!["gone"])] {
        person.profile.queues = queues.into_iter().map(|queue| QueueId::new(queue).unwrap()).collect();
        rows.operators.insert(person.id, person);
    }
    drop(rows);
    desk
}

/// What an account says of where somebody works and what they may.
fn places(account: &Value) -> Value {
    let profile = &account["profile"];
    let scopes: Vec<_> = account["grants"].as_array().unwrap().iter().map(|grant| &grant["scope"]).collect();
    json!([profile["administrations"], profile["offices"], profile["queues"], scopes])
}

#[tokio::test]
async fn of_an_account_of_two_administrations_each_sees_its_part() {
    let desk = desk_of_two().await;
    let asl = json!([["asl"], ["cup"], ["cup"], [{"pool": "valle"}, {"administration": "asl"}]]);
    let scopes = json!([{"pool": "valle"}, {"administration": "comune"}, {"office": ["comune", "sociale"]}, {"administration": "asl"}]);
    let both = json!([["asl", "comune"], ["cup", "sociale"], ["cup", "sociale"], scopes]);
    for (who, expected) in [("gino", asl.clone()), ("fabio", asl), ("carla", both.clone()), ("dora", both)] {
        let id = desk.store.rows().logins.values().find(|login| login.name == who).unwrap().operator;
        let cookie = desk.cookie(id.0);
        let (_, one) = desk.json("GET", NINA, Some(&cookie), None).await;
        assert_eq!(places(&one), expected, "{who}");
        let (_, list) = desk.json("GET", "/operators", Some(&cookie), None).await;
        assert!(list["items"].as_array().unwrap().contains(&one), "{who}: {list}");
    }
}

#[tokio::test]
async fn what_is_seen_in_part_cannot_be_saved() {
    let desk = desk_of_two().await;
    let gino = desk.cookie(GINO);
    let (_, seen) = desk.json("GET", NINA, Some(&gino), None).await;
    let change = json!({"profile": seen["profile"], "grants": seen["grants"]}).to_string();
    assert_eq!(desk.json("PATCH", NINA, Some(&gino), Some(&change)).await.0, 403);
    assert!(desk.router.bodies().is_empty());
    assert_eq!(desk.store.rows().logins[&OperatorId(8)].grants.len(), 4);
}

#[tokio::test]
async fn no_answer_tells_what_another_administration_has() {
    let desk = desk_of_two().await;
    let gino = desk.cookie(GINO);
    let table = [("/operators", "asl", 400), ("/operators", "comune", 403), (UGO, "asl", 400), (UGO, "comune", 403), (NINA, "asl", 403)];
    for (path, body, status) in table {
        for (kind, names) in [("queues", ["urp", "gone"]), ("offices", ["urp", "gone"]), ("offices", ["sociale", "gone"])] {
            let mut answers = Vec::new();
            for name in names {
                let profile = json!({"administrations": [body], kind: [name]});
                let (method, wanted) = match path {
                    "/operators" => ("POST", json!({"login": "x", "name": "X", "password": "lunga abbastanza", "profile": profile})),
                    _ => ("PATCH", json!({"profile": profile})),
                };
                let (got, answer) = desk.json(method, path, Some(&gino), Some(&wanted.to_string())).await;
                assert_eq!(got, status, "{path} {wanted}: {answer}");
                answers.push(answer.to_string().replace(name, "…"));
            }
            assert_eq!(answers[0], answers[1], "{path} {body} {kind}");
        }
    }
}

#[tokio::test]
async fn an_account_whose_queue_is_gone_can_be_disabled() {
    let desk = desk_of_two().await;
    let gino = desk.cookie(GINO);
    let (status, account) = desk.json("PATCH", UGO, Some(&gino), Some(r#"{"enabled":false}"#)).await;
    assert_eq!((status, &account["enabled"]), (200, &false.into()), "{account}");
    assert_eq!(account["profile"]["queues"], json!(["gone"]), "what is absent stays");
}

#[tokio::test]
async fn nobody_disables_their_own_account() {
    let desk = desk_of_two().await;
    let dora = desk.store.rows().logins.values().find(|login| login.name == "dora").unwrap().operator;
    let (cookie, path) = (desk.cookie(dora.0), format!("/operators/{dora}"));
    let (status, problem) = desk.json("PATCH", &path, Some(&cookie), Some(r#"{"enabled":false}"#)).await;
    assert_eq!((status, &problem["code"]), (409, &"own_account".into()), "{problem}");
}
