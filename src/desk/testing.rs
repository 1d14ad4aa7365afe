//! A desk on the fakes of the ports, with people and contacts: good enough for every route.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use bytes::Bytes;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::accounts::{Passwords, random_token, token_hash};
use super::counters::Counters;
use super::{DeskDeps, DeskOptions, router};
use crate::model::contact::ContactState;
use crate::model::event::{About, Event, EventBody};
use crate::model::id::{AccountId, ContactId, IdMaker, OperatorId};
use crate::model::operator::{Grant, Role, Scope};
use crate::model::time::Timestamp;
use crate::plan::Plan;
use crate::port::clock::now;
use crate::port::feed::{FeedBatch, FeedEvent};
use crate::port::store::{ApiToken, EventRecord, Login};
pub use crate::port::testing::{
    FakeAsides, FakeBlobs, FakeChats, FakeRetries, FakeRouter, FakeStore, administration, contact, grant, login, message, operator, plan,
    pool, pool_scope,
};

/// A desk with what stands behind it. People: 1 `anna` operator of comune, 2 `bruno` operator of asl, 3 `carla` supervisor of
/// the pool without content, 4 `dora` admin of the pool, 5 `elsa` operator of comune's sociale, 6 `fabio` supervisor of asl.
/// Contacts: 10 waits at urp, 11 anna has, 12 bruno has, 13 elsa has (restricted), 14 rings at anna.
pub struct TestDesk {
    pub app: axum::Router,
    pub store: Arc<FakeStore>,
    pub router: Arc<FakeRouter>,
    pub blobs: Arc<FakeBlobs>,
    pub retries: Arc<FakeRetries>,
    pub chats: Arc<FakeChats>,
    pub feed: broadcast::Sender<Arc<FeedBatch>>,
    pub counters: Arc<Counters>,
    pub shutdown: CancellationToken,
    pub tracker: TaskTracker,
    /// Kept, so that the plan stays in force.
    _plan: watch::Sender<Arc<Plan>>,
}

pub const PASSWORD: &str = "una password lunga";

impl TestDesk {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut DeskOptions)) -> Self {
        let store = Arc::new(FakeStore::default());
        people(&store).await;
        let (router_fake, blobs, retries) =
            (Arc::new(FakeRouter::default()), Arc::new(FakeBlobs::default()), Arc::new(FakeRetries::default()));
        let chats = Arc::new(FakeChats::default());
        let (plan_sender, plan_receiver) = watch::channel(Arc::new(plan()));
        let (feed, receiver) = broadcast::channel(64);
        let counters = Arc::new(Counters::default());
        let mut options = DeskOptions::new("http://localhost:8080".parse().unwrap(), "node-1");
        options.session_recheck = Duration::from_millis(20);
        change(&mut options);
        let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
        let deps = DeskDeps {
            store: store.clone(),
            blobs: blobs.clone(),
            commands: router_fake.clone(),
            chats: chats.clone(),
            asides: Arc::new(FakeAsides::default()),
            retries: retries.clone(),
            plan: plan_receiver,
            ids: IdMaker::new([7; 32]),
            feed: receiver,
            counters: counters.clone(),
            options,
        };
        let app = router(deps, shutdown.clone(), tracker.clone()).unwrap();
        Self { app, store, router: router_fake, blobs, retries, chats, feed, counters, shutdown, tracker, _plan: plan_sender }
    }

    pub async fn call(&self, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4321))));
        self.app.clone().oneshot(request).await.unwrap()
    }

    /// A session for an operator without going through the hasher; returns the cookie.
    pub fn cookie(&self, operator: u128) -> String {
        let (session, token) = super::session::new_session(OperatorId(operator), now(), Duration::from_secs(3600));
        self.store.rows().sessions.insert(session.token_hash.clone(), session);
        format!("sportello={token}")
    }

    pub fn token(&self, name: &str, account: Option<&str>, operator: Option<u128>) -> String {
        let token = random_token("spt");
        let row = ApiToken {
            token_hash: token_hash(&token),
            name: name.into(),
            account: account.map(|account| AccountId::new(account).unwrap()),
            operator: operator.map(OperatorId),
            created_at: now(),
            expires_at: None,
        };
        self.store.rows().tokens.insert(row.token_hash.clone(), row);
        token
    }

    pub async fn json(&self, method: &str, path: &str, cookie: Option<&str>, body: Option<&str>) -> (u16, serde_json::Value) {
        let (status, _, body) = self.whole(method, path, cookie, body).await;
        (status, serde_json::from_slice(&body).unwrap_or(serde_json::Value::Null))
    }

    pub async fn whole(&self, method: &str, path: &str, cookie: Option<&str>, body: Option<&str>) -> (u16, axum::http::HeaderMap, Bytes) {
        let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(format!("/api/v1{path}"));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_owned()));
        let response = self.call(request.body(body).unwrap()).await;
        let (parts, body) = response.into_parts();
        (parts.status.as_u16(), parts.headers, axum::body::to_bytes(body, 64 * 1024 * 1024).await.unwrap())
    }

    /// Commits events to the journal, and to the feed unless it is to lose them.
    pub fn happen(&self, bodies: Vec<(u128, EventBody)>, lose: bool) -> i64 {
        let mut rows = self.store.rows();
        let first_seq = rows.last_seq + 1;
        // The input takes a number too.
        let mut seq = first_seq;
        let mut events = Vec::new();
        for (id, body) in bodies {
            seq += 1;
            let about = rows.contacts.get(&ContactId(id)).map(|contact| About {
                contact: contact.id,
                conversation: contact.conversation,
                administration: contact.administration.clone(),
                office: contact.office.clone(),
                queue: contact.queue.clone(),
                channel: contact.channel.clone(),
                mode: contact.mode,
                version: contact.version,
            });
            let event = Event { seq, at: now(), about, body };
            let json: Arc<str> = serde_json::to_string(&event).unwrap().into();
            rows.events.push(EventRecord {
                seq,
                input_seq: first_seq,
                at: event.at,
                name: event.body.name().into(),
                administration: None,
                contact: Some(ContactId(id)),
                operator: event.body.operator(),
                body: json.to_string(),
            });
            events.push(FeedEvent { event: Arc::new(event), json, traceparent: None });
        }
        rows.last_seq = seq;
        drop(rows);
        if !lose {
            let _nobody = self.feed.send(Arc::new(FeedBatch { pool: pool(), first_seq, last_seq: seq, events }));
        }
        seq
    }
}

async fn people(store: &FakeStore) {
    let asl = || Scope::Administration(administration("asl"));
    static HASH: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let hash = HASH.get_or_init(|| async { Passwords::new().unwrap().hash(PASSWORD).await.unwrap() }).await;
    let mut rows = store.rows();
    let mut add = |id: u128, name: &str, grants: Vec<Grant>, bodies: &[&str], offices: &[&str]| {
        rows.logins.insert(OperatorId(id), Login { password_hash: hash.clone(), ..login(id, name, grants) });
        rows.operators.insert(OperatorId(id), operator(id, bodies, offices));
    };
    add(1, "anna", vec![grant(Role::Operator, pool_scope(), false)], &["comune"], &[]);
    add(2, "bruno", vec![grant(Role::Operator, pool_scope(), false)], &["asl"], &[]);
    add(3, "carla", vec![grant(Role::Supervisor, pool_scope(), false)], &[], &[]);
    add(4, "dora", vec![grant(Role::Admin, pool_scope(), true)], &[], &[]);
    add(5, "elsa", vec![grant(Role::Operator, pool_scope(), false)], &["comune"], &["sociale"]);
    add(6, "fabio", vec![grant(Role::Supervisor, asl(), true)], &[], &[]);
    let active = |who: u128| ContactState::Active { operator: OperatorId(who), untouched_until: None };
    let rings = ContactState::Offered { ordinal: 1, operator: OperatorId(1), made_at: Timestamp(0), deadline: Timestamp::MAX };
    for contact in [
        contact(10, "comune", "urp", ContactState::Queued),
        contact(11, "comune", "urp", active(1)),
        contact(12, "asl", "cup", active(2)),
        contact(13, "comune", "sociale", active(5)),
        contact(14, "comune", "urp", rings),
    ] {
        let text = message(contact.id.0, &contact);
        rows.messages.push(text);
        rows.contacts.insert(contact.id, contact);
    }
    rows.last_seq = 100;
}
