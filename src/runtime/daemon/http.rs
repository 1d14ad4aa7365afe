//! Serves HTTP to so many connections at once and no more: the next waits unaccepted. Whoever is silent does not keep its place.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
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
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// The most connections of one listener for requests; the sockets that its settings allow come on top.
const REQUEST_CONNECTIONS_MAX: usize = 1_024;
/// How long a connection may take for the head of a request, and be idle between two. Longer than proxies keep an idle one, so
/// that it is they who close it.
const HEAD_WITHIN: Duration = Duration::from_secs(150);

/// How many connections, and how patient with each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    connections_max: usize,
    head_within: Duration,
}

impl Limits {
    /// For requests, and so many sockets.
    pub fn with_sockets(sockets_max: usize) -> Self {
        Self { connections_max: sockets_max + REQUEST_CONNECTIONS_MAX, head_within: HEAD_WITHIN }
    }
}

/// Serves `router` until `stop`; then each connection ends after the request it is at.
pub(super) async fn serve(mut listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let Limits { connections_max, head_within } = limits;
    let places = Arc::new(Semaphore::new(connections_max));
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
                // a socket says small things at any moment: none waits for the acknowledgement of the one before
                let _broken = stream.set_nodelay(true);
                let held = Held { stream, _place: place };
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

/// A connection with its place, which it keeps when it becomes a WebSocket.
struct Held {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn served(head_within: Duration) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, stop) = (listener.local_addr().expect("bound"), CancellationToken::new());
        let router = Router::new().route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }));
        let serving = tokio::spawn(serve(listener, router, Limits { connections_max: 1, head_within }, stop.clone()));
        (address, stop, serving)
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        let mut answer = vec![0; 1_024];
        let read = stream.read(&mut answer).await.expect("answered");
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test]
    async fn one_too_many_waits_for_a_place() {
        let (address, stop, serving) = served(HEAD_WITHIN).await;
        let mut first = TcpStream::connect(address).await.expect("connected");
        let answer = ask(&mut first).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
        let mut second = TcpStream::connect(address).await.expect("the system takes it");
        second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        // the first is served again while the second is not
        assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
        let mut byte = [0];
        assert!(second.try_read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
        drop(first);
        second.readable().await.expect("answered now");
        assert_eq!(second.read(&mut byte).await.expect("answered"), 1);
        stop.cancel();
        serving.await.expect("ends in order");
    }

    #[tokio::test]
    async fn who_is_silent_loses_its_place() {
        let (address, _stop, _serving) = served(Duration::from_millis(50)).await;
        for greeting in ["", "GET / HTTP/1.1\r\n"] {
            let mut silent = TcpStream::connect(address).await.expect("connected");
            silent.write_all(greeting.as_bytes()).await.expect("sent");
            let mut rest = Vec::new();
            silent.read_to_end(&mut rest).await.expect("closed in order");
            assert!(!rest.starts_with(b"HTTP/1.1 200"), "{greeting:?}");
        }
    }
}
