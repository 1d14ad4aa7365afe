//! Reading IMAP mailboxes: one task for each, under a lease, so that of several processes one reads.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use self::mailbox::Mailbox;
use super::inbound::Inbound;
use super::options::ImapSecurity;
use super::{EmailDeps, EmailError, MailboxOptions, tls};
use crate::port::store::{Leases, Store};

pub mod command;
pub mod connect;
pub mod frames;
pub mod mailbox;
pub mod trouble;

/// How long a lease lasts unless it is renewed.
const LEASE: Duration = Duration::from_secs(30);
/// How often it is renewed, or asked for.
const RENEWAL: Duration = Duration::from_secs(10);

/// Why a connection to a mailbox ended. Never with a server's own words: they may quote a letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImapError {
    /// The server did not answer in time.
    #[error("the server did not answer {0} in time")]
    TimedOut(&'static str),
    /// No connection, or it broke.
    #[error("the connection failed at {0}: {1}")]
    Connection(&'static str, String),
    /// The server refuses a command.
    #[error("the server refuses {0}; look at its log and at login, folder and rights")]
    Refused(&'static str),
    /// The server sent what IMAP does not have, or more than it had announced.
    #[error("the server's answer to {0} makes no sense")]
    Nonsense(&'static str),
    /// Sportello's own side is not available.
    #[error("{0}")]
    NotNow(String),
}

/// Reads one mailbox.
pub struct Reader {
    options: MailboxOptions,
    connector: Option<TlsConnector>,
    store: Arc<dyn Store>,
    leases: Arc<dyn Leases>,
    holder: String,
    inbound: Arc<Inbound>,
}

impl Reader {
    /// A reader for one mailbox. Fails if its trust store cannot be read.
    pub fn new(options: MailboxOptions, deps: &EmailDeps, inbound: Arc<Inbound>) -> Result<Self, EmailError> {
        let connector = match options.security {
            ImapSecurity::None => None,
            ImapSecurity::Tls | ImapSecurity::StartTls => Some(tls::connector(options.trust.as_deref())?),
        };
        let (store, leases) = (Arc::clone(&deps.store), Arc::clone(&deps.leases));
        Ok(Self { options, connector, store, leases, holder: deps.holder.clone(), inbound })
    }

    /// Reads until `shutdown`, whatever happens in between.
    pub async fn run(self, shutdown: CancellationToken) {
        let lease = format!("mailbox/{}", self.options.account);
        let mut mailbox = Mailbox::new(self.options.clone(), self.connector.clone(), Arc::clone(&self.store), Arc::clone(&self.inbound));
        let mut failures = 0;
        let counters = self.inbound.counters().account(&self.options.account);
        counters.imap_up.set(false);
        while !shutdown.is_cancelled() {
            if !matches!(self.leases.hold(&lease, &self.holder, LEASE).await, Ok(true)) {
                pause(RENEWAL, &shutdown).await;
                continue;
            }
            let stop = shutdown.child_token();
            let keeper = tokio::spawn(keep(Arc::clone(&self.leases), lease.clone(), self.holder.clone(), stop.clone()));
            let (ended, progressed) = mailbox.read(&stop).await;
            counters.imap_up.set(false);
            stop.cancel();
            // The keeper only waits and renews: it ends at once.
            let _ = keeper.await;
            failures = if progressed { 0 } else { failures };
            if let Err(error) = ended {
                failures += 1;
                counters.imap_failures.add();
                tracing::warn!(account = %self.options.account, failures, %error, "reading the mailbox stopped");
                pause(self.options.retries.pause(failures), &shutdown).await;
            }
            if self.leases.let_go(&lease, &self.holder).await.is_err() {
                tracing::debug!(account = %self.options.account, "the mailbox's lease ends by its time");
            }
        }
    }
}

/// Renews the lease until `stop`; stops everybody when it is lost, or in doubt for two thirds of its time.
async fn keep(leases: Arc<dyn Leases>, name: String, holder: String, stop: CancellationToken) {
    let mut doubts = 0;
    loop {
        pause(RENEWAL, &stop).await;
        if stop.is_cancelled() {
            return;
        }
        doubts = match leases.hold(&name, &holder, LEASE).await {
            Ok(true) => 0,
            Ok(false) => 2,
            Err(_) => doubts + 1,
        };
        if doubts >= 2 {
            tracing::warn!(lease = name, "the mailbox's lease is lost");
            return stop.cancel();
        }
    }
}

/// Waits for `time`, or for `stop`.
async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
