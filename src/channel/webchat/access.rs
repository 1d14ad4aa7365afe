//! Who may speak to a chat account: pages of the origins it allows, in the measure that their address is given.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Shared;
use super::limits::{
    MESSAGES_AT_ONCE, MESSAGES_PER_SECOND, RETRY_SECONDS, TOKENS_AT_ONCE, TOKENS_PER_SECOND, TRANSCRIPTS_PER_HOUR, UPLOADS_PER_ADDRESS_MAX,
    UPLOADS_PER_CHAT_MAX, UPLOADS_PER_HOUR,
};
use crate::channel::problem::Problem;
use crate::model::channel::Channel;
use crate::model::id::{AccountId, AdministrationId, ChatSessionId, PoolId};
use crate::plan::Plan;
use crate::port::peer::{network, peer_address};
use crate::port::places::{Place, Places};

/// A request to an account.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The account.
    pub account: AccountId,
    /// Whose it is.
    pub administration: AdministrationId,
    /// The pool that serves it.
    pub pool: PoolId,
    /// Where the request came from; an IPv6 customer has a whole /64.
    pub peer: IpAddr,
    /// The page is of an origin that the account does not allow.
    pub is_foreign: bool,
}

impl Visitor {
    /// The account's own work, without a request.
    pub fn of_account(plan: &Plan, account: &AccountId) -> Option<Self> {
        let known = plan.accounts.get(account).filter(|known| known.channel.as_str() == Channel::WEBCHAT)?;
        Some(Self {
            account: account.clone(),
            administration: known.administration.clone(),
            pool: plan.pool_of(account)?.clone(),
            peer: IpAddr::from([0, 0, 0, 0]),
            is_foreign: false,
        })
    }
}

/// Finds the account, checks the origin, and says in the answer which page may read it.
pub async fn guard(State(chat): State<Shared>, Path(path): Path<HashMap<String, String>>, mut request: Request, next: Next) -> Response {
    let named = path.get("account").and_then(|account| account.parse::<AccountId>().ok());
    let plan = chat.current_plan();
    let Some(mut visitor) = named.and_then(|account| Visitor::of_account(&plan, &account)) else {
        return Problem::not_found().into_response();
    };
    let direct = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(visitor.peer, |info| info.0.ip());
    visitor.peer = network(peer_address(direct, request.headers(), &chat.options.trusted_proxies));
    let origins = chat.options.accounts.get(&visitor.account).map(|account| account.origins.as_slice()).unwrap_or_default();
    visitor.is_foreign = !is_allowed(request.headers(), &chat.options.public_origin, origins);
    let is_socket = request.headers().contains_key(header::UPGRADE);
    if visitor.is_foreign && !is_socket {
        chat.counters.refuse("origin");
        return Problem::new(StatusCode::FORBIDDEN, "foreign_origin", "the page's origin is not allowed for this account").into_response();
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let is_preflight = request.method() == Method::OPTIONS;
    let mut response = if is_preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        request.extensions_mut().insert(visitor);
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    if is_preflight {
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, X-File-Name"),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    headers.entry(HeaderName::from_static("cross-origin-resource-policy")).or_insert(HeaderValue::from_static("cross-origin"));
    response
}

/// Whether the page's origin is ours or one of the account's. What has none is no page of another site: browsers send it with
/// every request that reaches over and with every WebSocket.
fn is_allowed(headers: &HeaderMap, ours: &str, origins: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let asked = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // behind TLS only the TLS origin counts: a page of the same host without TLS may be anybody's
    let is_own_host = asked.is_some() && asked == host && (!ours.starts_with("https://") || origin.starts_with("https://"));
    origin == ours || is_own_host || origins.iter().any(|allowed| allowed == origin)
}

/// What an address or a chat may do in a time, and how many sockets there may be.
pub struct Measures {
    sessions: DefaultKeyedRateLimiter<IpAddr>,
    messages: DefaultKeyedRateLimiter<ChatSessionId>,
    tokens: DefaultKeyedRateLimiter<IpAddr>,
    uploads: DefaultKeyedRateLimiter<ChatSessionId>,
    upload_bytes: Arc<DefaultKeyedRateLimiter<IpAddr>>,
    transcripts: DefaultKeyedRateLimiter<IpAddr>,
    sockets: Arc<Semaphore>,
    of_account: Places<AccountId>,
    of_address: Places<IpAddr>,
    uploads_of_chat: Places<ChatSessionId>,
    uploads_of_address: Places<IpAddr>,
}

/// The most sockets.
#[derive(Debug, Clone, Copy)]
pub struct Maxima {
    /// Of this process.
    pub node: usize,
    /// Of one account here.
    pub account: usize,
    /// From one address here.
    pub address: usize,
}

/// A socket's place; dropping it makes room.
pub struct SocketPlace(#[expect(dead_code, reason = "held, not read")] (OwnedSemaphorePermit, Place<AccountId>, Place<IpAddr>));

/// A file's place while it is on its way; dropping it makes room.
pub struct UploadPlace(#[expect(dead_code, reason = "held, not read")] (Place<ChatSessionId>, Place<IpAddr>));

/// The bytes of one file on its way, taken from what its network address may bring in an hour.
pub struct UploadBytes {
    of_address: Arc<DefaultKeyedRateLimiter<IpAddr>>,
    peer: IpAddr,
    came: usize,
    taken: usize,
}

impl UploadBytes {
    /// So many are said to come; if they are too many, in how many seconds they are not.
    pub fn declare(&mut self, bytes: usize) -> Result<(), u64> {
        let more = u32::try_from(bytes.saturating_sub(self.taken)).unwrap_or(u32::MAX);
        let Some(more) = NonZeroU32::new(more) else { return Ok(()) };
        // who asks for more than there ever is waits in vain: the settings see to it that every file fits
        self.of_address.check_key_n(&self.peer, more).map_or(Err(3_600), |there| there.map_err(seconds_until))?;
        self.taken = bytes;
        Ok(())
    }

    /// So many more came; those that were declared are taken already.
    pub fn add(&mut self, bytes: usize) -> Result<(), u64> {
        self.came += bytes;
        self.declare(self.came)
    }
}

fn seconds_until(until: NotUntil<<DefaultClock as Clock>::Instant>) -> u64 {
    until.wait_time_from(DefaultClock::default().now()).as_secs() + 1
}

impl Measures {
    /// So many new chats a minute and bytes of files an hour from one address, so many sockets.
    pub fn new(sessions_per_minute: u32, upload_bytes_per_hour: u32, maxima: Maxima) -> Self {
        let number = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let size = |count: usize| number(u32::try_from(count).unwrap_or(u32::MAX));
        // after a start all browsers of an address come back at once, and while the database is away again and again
        let tokens = Quota::per_second(size(TOKENS_PER_SECOND.max(maxima.address / RETRY_SECONDS as usize)))
            .allow_burst(size(TOKENS_AT_ONCE.max(maxima.address)));
        Self {
            sessions: RateLimiter::keyed(Quota::per_minute(number(sessions_per_minute))),
            messages: RateLimiter::keyed(Quota::per_second(number(MESSAGES_PER_SECOND)).allow_burst(number(MESSAGES_AT_ONCE))),
            tokens: RateLimiter::keyed(tokens),
            uploads: RateLimiter::keyed(Quota::per_hour(number(UPLOADS_PER_HOUR))),
            upload_bytes: Arc::new(RateLimiter::keyed(Quota::per_hour(number(upload_bytes_per_hour)))),
            transcripts: RateLimiter::keyed(Quota::per_hour(number(TRANSCRIPTS_PER_HOUR))),
            sockets: Arc::new(Semaphore::new(maxima.node)),
            of_account: Places::new(maxima.account),
            of_address: Places::new(maxima.address),
            uploads_of_chat: Places::new(UPLOADS_PER_CHAT_MAX),
            uploads_of_address: Places::new(UPLOADS_PER_ADDRESS_MAX),
        }
    }

    /// Whether another chat may be opened from this address.
    pub fn session(&self, peer: IpAddr) -> bool {
        self.sessions.check_key(&peer).is_ok()
    }

    /// Whether the chat may say one thing more.
    pub fn message(&self, session: ChatSessionId) -> bool {
        self.messages.check_key(&session).is_ok()
    }

    /// Whether another token may be shown from this address, good or not; if not, in how many seconds.
    pub fn token(&self, peer: IpAddr) -> Result<(), u64> {
        self.tokens.check_key(&peer).map_err(seconds_until)
    }

    /// A file of which nothing came yet.
    pub fn upload_bytes(&self, peer: IpAddr) -> UploadBytes {
        UploadBytes { of_address: Arc::clone(&self.upload_bytes), peer, came: 0, taken: 0 }
    }

    /// Whether the chat may bring another file.
    pub fn upload(&self, session: ChatSessionId) -> bool {
        self.uploads.check_key(&session).is_ok()
    }

    /// Whether another transcript may be asked for from this address.
    pub fn transcript(&self, peer: IpAddr) -> bool {
        self.transcripts.check_key(&peer).is_ok()
    }

    /// A place for a socket, if there is one.
    pub fn socket(&self, visitor: &Visitor) -> Option<SocketPlace> {
        let of_node = Arc::clone(&self.sockets).try_acquire_owned().ok()?;
        let of_account = self.of_account.take(visitor.account.clone())?;
        Some(SocketPlace((of_node, of_account, self.of_address.take(visitor.peer)?)))
    }

    /// A place for a file on its way, if the chat and the address have one.
    pub fn running_upload(&self, session: ChatSessionId, peer: IpAddr) -> Option<UploadPlace> {
        Some(UploadPlace((self.uploads_of_chat.take(session)?, self.uploads_of_address.take(peer)?)))
    }

    /// Drops what is as good as never seen.
    pub fn prune(&self) {
        self.sessions.retain_recent();
        self.messages.retain_recent();
        self.tokens.retain_recent();
        self.uploads.retain_recent();
        self.upload_bytes.retain_recent();
        self.transcripts.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_transcripts_from_a_network_address() {
        let measures = Measures::new(30, 1_000, Maxima { node: 1, account: 1, address: 1 });
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let given = (0..2 * TRANSCRIPTS_PER_HOUR).filter(|_| measures.transcript(one)).count();
        assert_eq!((u32::try_from(given), measures.transcript(other)), (Ok(TRANSCRIPTS_PER_HOUR), true));
    }

    #[test]
    fn so_many_tokens_from_a_network_address() {
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        for (sockets, expected) in [(1, TOKENS_AT_ONCE), (200, 200)] {
            let measures = Measures::new(30, 1_000, Maxima { node: 1, account: 1, address: sockets });
            // a few come back while they are asked for
            let answers: Vec<_> = (0..2 * expected).map(|_| measures.token(one)).collect();
            let given = answers.iter().filter(|answer| answer.is_ok()).count();
            assert!((expected..2 * expected).contains(&given) && answers.contains(&Err(1)), "{sockets} sockets: {given}");
            assert_eq!(measures.token(other), Ok(()));
        }
    }

    #[test]
    fn so_many_bytes_of_files_from_a_network_address() {
        let measures = Measures::new(30, 3_600, Maxima { node: 1, account: 1, address: 1 });
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let mut declared = measures.upload_bytes(one);
        assert_eq!((declared.declare(3_000), declared.add(1_000), declared.add(2_000)), (Ok(()), Ok(()), Ok(())), "once, not twice");
        let mut undeclared = measures.upload_bytes(one);
        assert_eq!(undeclared.add(500), Ok(()));
        assert!(
            matches!(undeclared.add(300), Err(100..=201)),
            "100 were left, and one more comes each second, the time of this test among them"
        );
        assert_eq!(measures.upload_bytes(one).declare(4_000), Err(3_600), "more than there ever is");
        assert_eq!(measures.upload_bytes(other).declare(3_600), Ok(()), "another's");
    }

    #[test]
    fn so_many_files_on_their_way() {
        let measures = Measures::new(30, 1_000, Maxima { node: 1, account: 1, address: 1 });
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let first: Vec<_> = (0..10).map_while(|_| measures.running_upload(ChatSessionId(1), one)).collect();
        assert_eq!(first.len(), UPLOADS_PER_CHAT_MAX);
        let more: Vec<_> = (2..10).filter_map(|chat| measures.running_upload(ChatSessionId(chat), one)).collect();
        assert_eq!(first.len() + more.len(), UPLOADS_PER_ADDRESS_MAX);
        assert!(measures.running_upload(ChatSessionId(20), other).is_some(), "another citizen's");
        drop(first);
        assert!(measures.running_upload(ChatSessionId(1), one).is_some());
    }

    #[test]
    fn origins() {
        let allowed = ["https://www.comune.example".to_owned()];
        for (origin, host, ours, expected) in [
            (None, "chat.example", "https://chat.example", true),
            (Some("https://www.comune.example"), "chat.example", "https://chat.example", true),
            (Some("https://chat.example"), "chat.example", "https://chat.example", true),
            (Some("http://chat.example"), "chat.example", "https://chat.example", false),
            (Some("http://127.0.0.1:8090"), "127.0.0.1:8090", "http://localhost:8090", true),
            (Some("https://evil.example"), "chat.example", "https://chat.example", false),
            (Some("https://www.comune.example.evil.example"), "chat.example", "https://chat.example", false),
            (Some("null"), "chat.example", "https://chat.example", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_allowed(&headers, ours, &allowed), expected, "{origin:?}");
        }
    }

    #[test]
    fn places_are_given_back() {
        let measures = Measures::new(2, 1_000, Maxima { node: 3, account: 2, address: 2 });
        let visitor = |account: &str, peer: u8| Visitor {
            account: account.parse().expect("a name"),
            administration: "comune".parse().expect("a name"),
            pool: "main".parse().expect("a name"),
            peer: IpAddr::from([10, 0, 0, peer]),
            is_foreign: false,
        };
        let first = measures.socket(&visitor("a", 1)).expect("room");
        let _second = measures.socket(&visitor("b", 1)).expect("room");
        assert!(measures.socket(&visitor("c", 1)).is_none(), "the address has two");
        let _third = measures.socket(&visitor("b", 2)).expect("room");
        assert!(measures.socket(&visitor("d", 3)).is_none(), "the node has three");
        drop(first);
        assert!(measures.socket(&visitor("b", 3)).is_none(), "the account has two");
        assert!(measures.socket(&visitor("d", 3)).is_some());
        let peer = IpAddr::from([10, 0, 0, 1]);
        assert!(measures.session(peer) && measures.session(peer) && !measures.session(peer));
    }
}
