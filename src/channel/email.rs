//! Electronic mail: IMAP mailboxes and an SMTP listener in, SMTP submission or a maildir out.
//!
//! The pure codec (`gate`, `parse`, `automatic`, `delivery_status`, `reply`) stands beside the I/O (`imap`, `smtp`, `inbound`,
//! `outbound`). Whoever hands a mail in is told "I have it" only when its raw bytes are kept and its event is published.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::channel::outbound::{Outbound, OutboundDeps};
use crate::model::id::IdMaker;
use crate::plan::Plan;
use crate::port::blobs::Blobs;
use crate::port::broker::{Broker, Publisher};
use crate::port::store::{Leases, Store};

pub mod automatic;
pub mod counters;
pub mod delivery_status;
pub mod gate;
pub mod header;
pub mod html;
pub mod imap;
pub mod inbound;
pub mod name;
pub mod options;
pub mod outbound;
pub mod parse;
pub mod reply;
pub mod smtp;
mod tls;

pub use counters::EmailCounters;
pub use options::{EmailOptions, MailboxOptions, SmtpOptions, Transport};

/// Why the email channel could not start.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// The SMTP listener's address is taken or not ours.
    #[error("cannot listen for SMTP on {address}: {source}; choose another address or stop what listens there")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate, key or trust store cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// An option makes no sense.
    #[error("email option `{option}`: {reason}")]
    Option {
        /// Which.
        option: &'static str,
        /// Why.
        reason: String,
    },
}

/// What the channel stands on.
#[derive(Clone)]
pub struct EmailDeps {
    /// Publishes what comes in, and reports on what goes out.
    pub publisher: Arc<dyn Publisher>,
    /// Makes the consumers of orders to send.
    pub broker: Arc<dyn Broker>,
    /// Watermarks, attempts, quarantine, messages.
    pub store: Arc<dyn Store>,
    /// One reader per mailbox.
    pub leases: Arc<dyn Leases>,
    /// Raw mail, texts and files.
    pub blobs: Arc<dyn Blobs>,
    /// The current plan: which account has which address.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// Ids and signatures under the installation's secret.
    pub ids: IdMaker,
    /// Who holds the leases: unique per process start.
    pub holder: String,
}

/// The running channel.
#[derive(Debug, Clone)]
pub struct EmailHandle {
    /// Where the SMTP listener is, if there is one.
    pub smtp_address: Option<SocketAddr>,
    /// Figures for telemetry.
    pub counters: Arc<EmailCounters>,
}

/// Starts listener and mailboxes as tasks of `tracker`, senders as tasks of `attempts`. They end by themselves, in order, when `shutdown`
/// is cancelled; a letter on its way to the next hop takes longest.
pub async fn start(
    options: EmailOptions,
    deps: EmailDeps,
    shutdown: CancellationToken,
    tracker: TaskTracker,
    attempts: &TaskTracker,
) -> Result<EmailHandle, EmailError> {
    options.check()?;
    let counters = Arc::new(EmailCounters::default());
    let inbound = Arc::new(inbound::Inbound::new(&options, &deps, Arc::clone(&counters)));
    let smtp_address = match &options.smtp {
        Some(smtp) => Some(smtp::listen(smtp.clone(), Arc::clone(&inbound), shutdown.clone(), &tracker).await?),
        None => None,
    };
    for mailbox in &options.mailboxes {
        let reader = imap::Reader::new(mailbox.clone(), &deps, Arc::clone(&inbound))?;
        tracker.spawn(reader.run(shutdown.clone()));
    }
    let sender = Arc::new(outbound::MailSender::new(&options, &deps, Arc::clone(&counters))?);
    let deps = OutboundDeps {
        broker: deps.broker,
        publisher: deps.publisher,
        store: deps.store,
        plan: deps.plan,
        ids: deps.ids,
        prefix: options.event_prefix,
    };
    attempts.spawn(Outbound::new(deps, sender).run(shutdown, attempts.clone()));
    Ok(EmailHandle { smtp_address, counters })
}
