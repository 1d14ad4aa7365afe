//! Who signs in, their sessions, programs' tokens.

use sportello::model::id::{AccountId, OperatorId};
use sportello::model::operator::{Grant, Role, Scope};
use sportello::port::store::{ApiToken, Login, Session, StoreError};

use super::fixture::*;
use super::on_both;
use super::place::Place;

on_both!(people, sessions_end, sessions_end_with_the_password, tokens);

fn login(n: u128, name: &str) -> Login {
    Login {
        operator: OperatorId(n),
        pool: pool(),
        login: name.into(),
        name: format!("Nome di {name}"),
        password_hash: "$argon2id$v=19$m=1$x".into(),
        grants: vec![Grant { role: Role::Supervisor, scope: Scope::Administration(comune()), content: true }],
        enabled: true,
        language: "it".into(),
    }
}

fn hash(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

fn session(n: u8, operator: u128) -> Session {
    Session { token_hash: hash(n), operator: OperatorId(operator), created_at: NOON, seen_at: NOON, expires_at: seconds(100) }
}

async fn people(place: Place) {
    let store = &place.store;
    let (anna, bruno) = (login(1, "anna"), login(2, "bruno"));
    for person in [&bruno, &anna] {
        store.put_login(person).await.expect("keeps");
    }
    assert_eq!(store.login("anna").await.expect("reads"), Some(anna.clone()));
    assert_eq!(store.login_of(OperatorId(2)).await.expect("reads"), Some(bruno.clone()));
    assert_eq!(store.logins(&pool()).await.expect("reads"), [anna, bruno]);
    assert_eq!(store.login("Anna").await.expect("reads"), None);
    assert_eq!(store.login("an\0na").await.expect("reads"), None);
    let taken = store.put_login(&login(3, "anna")).await;
    assert!(matches!(taken, Err(StoreError::Refused(_))), "{taken:?}");
    let renamed = Login { login: "anna.verdi".into(), ..login(1, "anna") };
    store.put_login(&renamed).await.expect("changes");
    assert_eq!(store.login("anna").await.expect("reads"), None);
}

async fn sessions_end(place: Place) {
    let store = &place.store;
    store.put_login(&login(1, "anna")).await.expect("keeps");
    store.put_session(&session(1, 1)).await.expect("keeps");
    let read = async |at| store.session(&hash(1), seconds(at)).await.expect("reads");
    assert_eq!(read(99).await, Some((session(1, 1), login(1, "anna"))));
    assert_eq!(read(100).await, None, "its time is over");
    let used = Session { seen_at: seconds(50), ..session(1, 1) };
    assert!(store.touch_session(&used).await.expect("moves on"));
    assert_eq!(read(60).await.map(|(session, _)| session.seen_at), Some(seconds(50)));
    let many = async |at| store.sessions(&[hash(1), hash(7)], seconds(at)).await.expect("reads");
    assert_eq!(many(60).await, [read(60).await.expect("is there")], "many at once are as one by one");
    assert_eq!(many(1_000_000).await, [], "none that has ended");
    store.end_session(&hash(1)).await.expect("ends");
    assert_eq!(read(60).await, None);
    assert!(!store.touch_session(&used).await.expect("asks"), "an ended session stays ended");
    assert_eq!(read(60).await, None);
    let stranger = store.put_session(&session(2, 99)).await;
    assert!(matches!(stranger, Err(StoreError::Refused(_))), "nobody's session: {stranger:?}");
}

async fn sessions_end_with_the_password(place: Place) {
    let store = &place.store;
    for (n, name) in [(1, "anna"), (2, "bruno")] {
        store.put_login(&login(n, name)).await.expect("keeps");
    }
    store.put_session(&session(2, 2)).await.expect("keeps");
    let changes = [
        ("renamed", true, Login { name: "Anna Verdi".into(), ..login(1, "anna") }),
        ("what was read before another password was set", true, Login { password_hash: "$argon2id$other".into(), ..login(1, "anna") }),
        ("disabled", false, Login { enabled: false, ..login(1, "anna") }),
    ];
    for (what, stays, change) in changes {
        store.put_login(&login(1, "anna")).await.expect("as before");
        store.put_session(&session(1, 1)).await.expect("signs in");
        store.put_login(&change).await.expect("changes");
        assert_eq!(store.session(&hash(1), NOON).await.expect("reads").is_some(), stays, "{what}");
        assert!(store.session(&hash(2), NOON).await.expect("reads").is_some(), "{what}: a colleague's stays");
        assert_eq!(store.login("anna").await.expect("reads").expect("is there").password_hash, login(1, "anna").password_hash, "{what}");
    }
    store.put_login(&login(1, "anna")).await.expect("as before");
    store.put_session(&session(1, 1)).await.expect("signs in");
    assert!(store.set_password(OperatorId(1), "$argon2id$other").await.expect("changes"));
    assert_eq!(store.session(&hash(1), NOON).await.expect("reads"), None, "another password");
    assert_eq!(store.login("anna").await.expect("reads"), Some(Login { password_hash: "$argon2id$other".into(), ..login(1, "anna") }));
    assert!(store.session(&hash(2), NOON).await.expect("reads").is_some(), "a colleague's stays");
    assert!(!store.set_password(OperatorId(9), "$argon2id$other").await.expect("asks"), "nobody");
    store.put_login(&Login { enabled: false, ..login(1, "anna") }).await.expect("disables");
    // Nor does one that was made while the account was being disabled.
    store.put_session(&session(3, 1)).await.expect("keeps");
    assert_eq!(store.session(&hash(3), NOON).await.expect("reads"), None);
}

async fn tokens(place: Place) {
    let store = &place.store;
    let token = |n: u8, name: &str, expires_at| ApiToken {
        token_hash: hash(n),
        name: name.into(),
        account: Some(AccountId::new("crm").expect("name")),
        operator: None,
        created_at: NOON,
        expires_at,
    };
    let (forever, short) = (token(1, "crm", None), token(2, "bi", Some(seconds(10))));
    for one in [&forever, &short] {
        store.put_token(one).await.expect("keeps");
    }
    assert_eq!(store.tokens().await.expect("reads"), [short.clone(), forever.clone()]);
    assert_eq!(store.token(&hash(1), seconds(1_000_000)).await.expect("reads"), Some(forever));
    assert_eq!(store.token(&hash(2), seconds(9)).await.expect("reads"), Some(short));
    assert_eq!(store.token(&hash(2), seconds(10)).await.expect("reads"), None);
    assert!(matches!(store.put_token(&token(3, "crm", None)).await, Err(StoreError::Refused(_))), "a name twice");
    assert!(store.end_token("crm").await.expect("ends"));
    assert!(!store.end_token("crm").await.expect("asks"));
    assert_eq!(store.token(&hash(1), NOON).await.expect("reads"), None);
}
