//! Signing in and out: flags, limits, expiry, what ends a session.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use axum::response::IntoResponse;

use crate::desk::accounts::AccountError;
use crate::desk::routes::session::account_problem;
use crate::desk::testing::{PASSWORD, TestDesk, operator};
use crate::model::command::CommandBody;
use crate::model::id::OperatorId;
use crate::port::clock::now;

fn credentials(login: &str, password: &str) -> String {
    serde_json::json!({"login": login, "password": password}).to_string()
}

async fn sign_in(desk: &TestDesk, login: &str, password: &str) -> (u16, Option<String>, serde_json::Value) {
    let (status, headers, body) = desk.whole("POST", "/session", None, Some(&credentials(login, password))).await;
    let cookie = headers.get(header::SET_COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned());
    (status, cookie, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn in_and_out() {
    let desk = TestDesk::new().await;
    let (status, cookie, me) = sign_in(&desk, "anna", PASSWORD).await;
    assert_eq!(status, 200, "{me}");
    assert_eq!((&me["login"], &me["pool"]), (&"anna".into(), &"valle".into()));
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("sportello=sps_") && cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    let token = cookie.split(';').next().unwrap();
    let stored: Vec<_> = desk.store.rows().sessions.keys().cloned().collect();
    assert!(!stored.iter().any(|hash| token.contains(hash)), "the store has no token");
    assert_eq!(desk.json("GET", "/session", Some(token), None).await.0, 200);
    assert_eq!(desk.json("DELETE", "/session", Some(token), None).await.0, 204);
    assert_eq!(desk.json("GET", "/session", Some(token), None).await.0, 401, "at once, whatever was remembered");
}

#[tokio::test]
async fn an_unknown_login_is_answered_like_a_wrong_password() {
    let desk = TestDesk::new().await;
    let wrong = sign_in(&desk, "anna", "not the password").await;
    let unknown = sign_in(&desk, "zoe", "not the password").await;
    assert_eq!(wrong, unknown);
    assert_eq!((wrong.0, &wrong.2["code"]), (401, &"bad_credentials".into()));
    desk.store.rows().logins.get_mut(&OperatorId(1)).unwrap().enabled = false;
    assert_eq!(sign_in(&desk, "anna", PASSWORD).await, wrong, "a disabled account too");
}

#[tokio::test]
async fn too_many_attempts() {
    // one, which is a minute in coming back: checking a password takes its time
    let desk = TestDesk::with(|options| options.login_attempts = 1).await;
    assert_eq!(sign_in(&desk, "anna", "not the password").await.0, 401);
    let (status, _, body) = sign_in(&desk, "ANNA", PASSWORD).await;
    assert_eq!((status, &body["code"]), (429, &"too_many_attempts".into()));
    assert_eq!(sign_in(&desk, "bruno", PASSWORD).await.0, 200, "others may");
}

/// The status of a sign-in that a proxy brings from this address.
async fn sign_in_from(desk: &TestDesk, address: &str, password: &str) -> u16 {
    let request = Request::post("/api/v1/session").header("x-forwarded-for", address).header(header::CONTENT_TYPE, "application/json");
    desk.call(request.body(Body::from(credentials("anna", password))).unwrap()).await.status().as_u16()
}

#[tokio::test]
async fn a_strangers_attempts_keep_nobody_out() {
    let desk = TestDesk::with(|options| {
        options.login_attempts = 1;
        options.trusted_proxies = vec![std::net::Ipv4Addr::LOCALHOST.into()];
    })
    .await;
    for expected in [401, 429] {
        assert_eq!(sign_in_from(&desk, "2001:db8::1", "not the password").await, expected);
    }
    assert_eq!(sign_in_from(&desk, "2001:db8::2", PASSWORD).await, 429, "the same network");
    assert_eq!(sign_in_from(&desk, "2001:db8:0:1::1", PASSWORD).await, 200, "anna, from hers");
}

#[test]
fn who_finds_the_line_before_the_hasher_full_is_told_to_come_again() {
    let response = account_problem(&AccountError::Busy).into_response();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn secure_cookies_behind_tls() {
    let desk = TestDesk::with(|options| options.public_url = "https://desk.example.it".parse().unwrap()).await;
    let (_, cookie, _) = sign_in(&desk, "anna", PASSWORD).await;
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("__Host-sportello=") && cookie.contains("; Secure") && cookie.contains("Path=/;"), "{cookie}");
    let (_, headers, _) = desk.whole("GET", "/session", None, None).await;
    assert!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
}

#[tokio::test]
async fn sessions_expire_unused_and_used() {
    let desk = TestDesk::new().await;
    let (idle, old) = (desk.cookie(1), desk.cookie(2));
    let hash = |cookie: &str| crate::desk::accounts::token_hash(cookie.strip_prefix("sportello=").unwrap());
    {
        let mut rows = desk.store.rows();
        rows.sessions.get_mut(&hash(&idle)).unwrap().seen_at = now().minus(Duration::from_secs(2 * 60 * 60));
        rows.sessions.get_mut(&hash(&old)).unwrap().expires_at = now().minus(Duration::from_secs(1));
    }
    assert_eq!(desk.json("GET", "/session", Some(&idle), None).await.0, 401);
    assert_eq!(desk.json("GET", "/session", Some(&old), None).await.0, 401);
    assert!(!desk.store.rows().sessions.contains_key(&hash(&idle)), "it is gone for good");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let desk = TestDesk::new().await;
    let (mine, other) = (desk.cookie(1), desk.cookie(1));
    let change = |new: &str| serde_json::json!({"current": PASSWORD, "new": new}).to_string();
    let (status, body) = desk.json("PUT", "/session/password", Some(&mine), Some(&change("corta"))).await;
    assert_eq!((status, &body["code"]), (400, &"bad_password".into()));
    assert_eq!(desk.json("PUT", "/session/password", Some(&mine), Some(&change("una nuova password"))).await.0, 204);
    assert_eq!(desk.json("GET", "/session", Some(&mine), None).await.0, 200);
    assert_eq!(desk.json("GET", "/session", Some(&other), None).await.0, 401);
    assert_eq!(sign_in(&desk, "anna", "una nuova password").await.0, 200);
}

#[tokio::test]
async fn without_the_store_nobody_gets_in() {
    let desk = TestDesk::new().await;
    let cookie = desk.cookie(1);
    desk.store.away.store(true, std::sync::atomic::Ordering::Relaxed);
    let (status, body) = desk.json("GET", "/session", Some(&cookie), None).await;
    assert_eq!((status, &body["code"]), (503, &"store_unavailable".into()));
    assert_eq!(sign_in(&desk, "anna", PASSWORD).await.0, 503);
}

#[tokio::test]
async fn tokens_act_for_a_person_and_end() {
    let desk = TestDesk::new().await;
    let admin = desk.cookie(4);
    let new = r#"{"name":"bot","operator":"op_00000000000000000000000000000002"}"#;
    let (status, body) = desk.json("POST", "/tokens", Some(&admin), Some(new)).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(desk.json("POST", "/tokens", Some(&admin), Some(new)).await.1["code"], "name_taken");
    let token = body["token"].as_str().unwrap().to_owned();
    let by_token = || {
        let request = Request::builder().uri("/api/v1/session").header(header::AUTHORIZATION, format!("Bearer {token}"));
        desk.call(request.body(Body::empty()).unwrap())
    };
    assert_eq!(by_token().await.status(), 200);
    let (_, list) = desk.json("GET", "/tokens", Some(&admin), None).await;
    assert!(!list.to_string().contains(&token), "shown once");
    assert_eq!(desk.json("DELETE", "/tokens/bot", Some(&admin), None).await.0, 204);
    assert_eq!(by_token().await.status(), 401);
    let channel = desk.token("pbx", Some("centralino"), None);
    let request = Request::builder().uri("/api/v1/session").header(header::AUTHORIZATION, format!("Bearer {channel}"));
    assert_eq!(desk.call(request.body(Body::empty()).unwrap()).await.status(), 401, "a channel's token opens no desk");
}

#[tokio::test]
async fn an_admin_makes_changes_and_disables_people() {
    let desk = TestDesk::new().await;
    let admin = desk.cookie(4);
    let new = r#"{"login":"gina","name":"Gina","password":"lunga abbastanza","profile":{"administrations":["comune"],"skills":{"tributi":4}},
                  "grants":[{"role":"operator","scope":{"pool":"valle"},"content":true}]}"#;
    desk.router.away.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(desk.json("POST", "/operators", Some(&admin), Some(&new.replace("lunga", "altra"))).await.0, 503, "half made");
    desk.router.away.store(false, std::sync::atomic::Ordering::Relaxed);
    let other = new.replace("\"Gina\"", "\"Un'altra\"").replace("gina", "GINA");
    assert_eq!(desk.json("POST", "/operators", Some(&admin), Some(&other)).await.1["code"], "login_taken");
    let (status, account) = desk.json("POST", "/operators", Some(&admin), Some(new)).await;
    assert_eq!(status, 201, "the same again ends it: {account}");
    assert!(matches!(desk.router.bodies().last(), Some(CommandBody::PutOperator { enabled: true, .. })));
    let gina: OperatorId = serde_json::from_value(account["operator"].clone()).unwrap();
    desk.store.rows().operators.insert(gina, operator(gina.0, &["comune"], &[]));
    assert_eq!(desk.json("POST", "/operators", Some(&admin), Some(new)).await.1["code"], "login_taken");
    assert_eq!(sign_in(&desk, "gina", "altra abbastanza").await.0, 401);
    assert_eq!(sign_in(&desk, " Gina", "lunga abbastanza").await.0, 200);
    let (status, _, _) = sign_in(&desk, "gina", "lunga abbastanza").await;
    assert_eq!(status, 200);
    let session = desk.cookie(1);
    assert_eq!(desk.json("GET", "/session", Some(&session), None).await.0, 200);
    let anna = "/operators/op_00000000000000000000000000000001";
    assert_eq!(desk.json("PATCH", anna, Some(&admin), Some(r#"{"enabled":false}"#)).await.0, 200);
    assert_eq!(desk.json("GET", "/session", Some(&session), None).await.0, 401);
    let elsa = "/operators/op_00000000000000000000000000000005";
    assert_eq!(desk.json("PATCH", elsa, Some(&admin), Some(r#"{"name":"E"}"#)).await.0, 403, "member of a restricted office");
    let odd = r#"{"login":"h","name":"H","password":"lunga abbastanza","profile":{"administrations":["comune"],"skills":{"magia":4}}}"#;
    assert_eq!(desk.json("POST", "/operators", Some(&admin), Some(odd)).await.0, 400);
}
