//! The SMTP listener: connections, their limits, and their end at shutdown. What is said on one is `session`'s.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::limits::Limits;
use self::session::{End, Session};
use super::inbound::Inbound;
use super::{EmailError, SmtpOptions, tls};

pub mod data;
pub mod limits;
pub mod session;

/// What every session of a listener shares.
pub struct Shared {
    /// The listener's options.
    pub options: SmtpOptions,
    /// Where mails go.
    pub inbound: Arc<Inbound>,
    /// Connections and mails by address.
    pub limits: Limits,
    /// Megabytes of mail that may still be in memory.
    pub memory_mb: Arc<Semaphore>,
    /// For STARTTLS, if there is a certificate.
    pub acceptor: Option<TlsAcceptor>,
    /// The daemon stops.
    pub shutdown: CancellationToken,
    /// Tasks that are waited for.
    pub tracker: TaskTracker,
}

/// Listens until `shutdown`; returns the address once it does.
pub async fn listen(
    options: SmtpOptions,
    inbound: Arc<Inbound>,
    shutdown: CancellationToken,
    tracker: &TaskTracker,
) -> Result<SocketAddr, EmailError> {
    let acceptor = options.certificate.as_ref().map(tls::acceptor).transpose()?;
    let failed = |source| EmailError::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let shared = Arc::new(Shared {
        limits: Limits::new(options.connections_max, options.connections_per_address_max, options.mails_per_minute),
        memory_mb: Arc::new(Semaphore::new(options.memory_max_mb)),
        inbound,
        acceptor,
        shutdown,
        tracker: tracker.clone(),
        options,
    });
    tracing::info!(%address, "SMTP listener is up");
    tracker.spawn(accept(listener, shared));
    Ok(address)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            () = shared.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                shared.inbound.counters().smtp_connections.add();
                let shared = Arc::clone(&shared);
                shared.tracker.clone().spawn(async move {
                    serve(stream, peer, Arc::clone(&shared)).await;
                    shared.inbound.counters().smtp_ended.add();
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to be closed.
                tracing::warn!(%error, "an SMTP connection cannot be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
    }
}

/// One connection, from its greeting to its end.
async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let Some(_place) = shared.limits.connect(peer.ip()) else {
        shared.inbound.counters().smtp_refused.add();
        return session::refuse(stream, &shared.options.hostname).await;
    };
    // Answers are short and written whole: waiting for more only slows a dialogue down.
    let _ = stream.set_nodelay(true);
    let limit = shared.options.session_timeout;
    let talk = async {
        let End::StartTls(stream) = Session::new(stream, peer, &shared, false).run(true).await else { return };
        let Some(acceptor) = &shared.acceptor else { return };
        let handshake = tokio::time::timeout(shared.options.idle_timeout, acceptor.accept(stream)).await;
        if let Ok(Ok(stream)) = handshake {
            Session::new(stream, peer, &shared, true).run(false).await;
        }
    };
    if tokio::time::timeout(limit, talk).await.is_err() {
        tracing::info!("an SMTP session was cut at its time limit");
    }
}
