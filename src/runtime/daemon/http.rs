//! Serves HTTP to so many connections at once and no more: the next waits unaccepted. An address that has its share is sent away, and
//! whoever is silent does not keep its place.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::port::peer::network;
use crate::port::places::{Place, Places};
use crate::settings::Settings;
use crate::telemetry::metrics::Metrics;

/// The most connections of one listener for requests; the sockets that its settings allow come on top.
const REQUEST_CONNECTIONS_MAX: usize = 1_024;
/// How long a connection may take for the head of a request, and be idle between two. Longer than proxies keep an idle one, so
/// that it is they who close it.
const HEAD_WITHIN: Duration = Duration::from_secs(150);
/// How long a connection may take nothing of what we send: an answer that nobody reads is held in memory.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// How many connections, and how patient with each.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    connections_max: usize,
    per_address_max: usize,
    trusted_proxies: Vec<IpAddr>,
    head_within: Duration,
    taken_within: Duration,
}

impl Limits {
    /// For requests, and so many sockets; operators and programs of one house may well come from one address.
    pub fn with_sockets(sockets_max: usize) -> Self {
        Self {
            connections_max: sockets_max + REQUEST_CONNECTIONS_MAX,
            per_address_max: usize::MAX,
            trusted_proxies: Vec::new(),
            head_within: HEAD_WITHIN,
            taken_within: TAKEN_WITHIN,
        }
    }

    /// For citizens and providers.
    pub fn of_public(settings: &Settings) -> Self {
        let (public, chat) = (&settings.public, &settings.webchat);
        Self {
            connections_max: public.connections_max + chat.sockets_max,
            per_address_max: public.connections_per_address_max + chat.sockets_per_address_max,
            trusted_proxies: public.trusted_proxies.clone(),
            head_within: HEAD_WITHIN,
            taken_within: TAKEN_WITHIN,
        }
    }
}

/// Serves `router` until `stop`; then each connection ends after the request it is at.
pub(super) async fn serve(mut listener: TcpListener, router: Router, limits: Limits, metrics: Arc<Metrics>, stop: CancellationToken) {
    let Limits { connections_max, per_address_max, trusted_proxies, head_within, taken_within } = limits;
    let places = Arc::new(Semaphore::new(connections_max));
    // a proxy brings everybody
    let (of_addresses, of_proxies) = (Places::new(per_address_max), Places::new(usize::MAX));
    let connections = TaskTracker::new();
    while !stop.is_cancelled() {
        if places.available_permits() == 0 {
            tracing::warn!(connections_max, "the HTTP listener is full: the next connections wait");
        }
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes the semaphore");
            (place, Listener::accept(&mut listener).await)
        };
        tokio::select! {
            () = stop.cancelled() => {}
            (place, (stream, peer)) = next => {
                let is_proxy = trusted_proxies.contains(&peer.ip().to_canonical());
                let shares = if is_proxy { &of_proxies } else { &of_addresses };
                let Some(share) = shares.take(network(peer.ip())) else {
                    metrics.http_connection_refused();
                    continue;
                };
                // a socket says small things at any moment: none waits for the acknowledgement of the one before
                let _broken = stream.set_nodelay(true);
                let held = Held { stream, taken_within, stalled: None, _place: place, _share: share };
                connections.spawn(connection(held, peer, router.clone(), head_within, stop.clone()));
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(stream: Held, peer: SocketAddr, router: Router, head_within: Duration, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_within);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "an HTTP connection broke off");
    }
}

/// A connection with its place, of all and of its address, which it keeps when it becomes a WebSocket. It breaks when the other side
/// takes nothing.
struct Held {
    stream: TcpStream,
    taken_within: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
    _share: Place<IpAddr>,
}

impl Held {
    /// What a write came to: it may be pending for so long and no longer.
    fn within<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let taken_within = self.taken_within;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(taken_within)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.within(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;

    use super::*;

    /// More than the system keeps for a reader.
    const MUCH: usize = 64 * 1024 * 1024;

    /// A listener that serves.
    struct Served {
        address: SocketAddr,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        serving: tokio::task::JoinHandle<()>,
    }

    impl Served {
        async fn start(limits: Limits) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let (address, stop, metrics) = (listener.local_addr().expect("bound"), CancellationToken::new(), Arc::new(Metrics::new()));
            let router = Router::new()
                .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }))
                .route("/much", get(async || vec![0_u8; MUCH]));
            let serving = tokio::spawn(serve(listener, router, limits, Arc::clone(&metrics), stop.clone()));
            Self { address, metrics, stop, serving }
        }

        async fn from(&self, host: &str) -> TcpStream {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind(SocketAddr::new(host.parse().expect("an address"), 0)).expect("an address of this machine");
            socket.connect(self.address).await.expect("the system takes it")
        }
    }

    fn limits() -> Limits {
        Limits { connections_max: 100, ..Limits::with_sockets(0) }
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        let mut answer = vec![0; 1_024];
        let read = stream.read(&mut answer).await.expect("answered");
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test]
    async fn one_too_many_waits_for_a_place() {
        let served = Served::start(Limits { connections_max: 1, ..limits() }).await;
        let mut first = served.from("127.0.0.1").await;
        let answer = ask(&mut first).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
        let mut second = served.from("127.0.0.1").await;
        second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        // the first is served again while the second is not
        assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
        let mut byte = [0];
        assert!(second.try_read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
        drop(first);
        second.readable().await.expect("answered now");
        assert_eq!(second.read(&mut byte).await.expect("answered"), 1);
        served.stop.cancel();
        served.serving.await.expect("ends in order");
    }

    #[tokio::test]
    async fn an_address_has_its_share() {
        let proxy = "127.0.0.9";
        let trusted_proxies = vec![proxy.parse().expect("an address")];
        let served = Served::start(Limits { per_address_max: 2, trusted_proxies, ..limits() }).await;
        let mut greedy = [served.from("127.0.0.1").await, served.from("127.0.0.1").await];
        for stream in &mut greedy {
            assert!(ask(stream).await.starts_with("HTTP/1.1 200"));
        }
        let mut rest = Vec::new();
        let closed = served.from("127.0.0.1").await.read_to_end(&mut rest).await;
        assert_eq!(closed.expect("closed in order"), 0, "it has two");
        assert!(served.metrics.encode().contains("sportello_http_connections_refused_total 1"));
        assert!(ask(&mut served.from("127.0.0.2").await).await.starts_with("HTTP/1.1 200"), "another's");
        let mut brought = Vec::new();
        for _ in 0..5 {
            brought.push(served.from(proxy).await);
            assert!(ask(brought.last_mut().expect("one")).await.starts_with("HTTP/1.1 200"), "a proxy brings everybody");
        }
        drop(greedy);
        let come_back = async {
            // the server sees a moment later that they are gone
            while !ask_or_closed(served.from("127.0.0.1").await).await {}
        };
        tokio::time::timeout(Duration::from_secs(30), come_back).await.expect("there is room again");
    }

    async fn ask_or_closed(mut stream: TcpStream) -> bool {
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        sent.is_ok() && stream.read(&mut [0]).await.is_ok_and(|read| read == 1)
    }

    #[tokio::test]
    async fn who_is_silent_loses_its_place() {
        let served = Served::start(Limits { head_within: Duration::from_millis(500), ..limits() }).await;
        for greeting in ["", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP"] {
            let mut silent = served.from("127.0.0.1").await;
            silent.write_all(greeting.as_bytes()).await.expect("sent");
            let mut rest = Vec::new();
            silent.read_to_end(&mut rest).await.expect("closed in order");
            assert_eq!(rest.starts_with(b"HTTP/1.1 200"), greeting.contains("Host"), "{greeting:?}");
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_loses_its_place() {
        let served = Served::start(Limits { connections_max: 1, taken_within: Duration::from_secs(1), ..limits() }).await;
        let mut deaf = served.from("127.0.0.1").await;
        deaf.write_all(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        // there is one place: the next is served when the deaf one is gone
        assert!(ask(&mut served.from("127.0.0.1").await).await.starts_with("HTTP/1.1 200"));
        let mut rest = Vec::new();
        let _reset = deaf.read_to_end(&mut rest).await;
        assert!(rest.len() < MUCH, "{}", rest.len());
        // who takes it gets it whole
        let mut ready = served.from("127.0.0.1").await;
        ready.write_all(b"GET /much HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
        rest.clear();
        ready.read_to_end(&mut rest).await.expect("read");
        assert!(rest.len() > MUCH);
    }
}
