//! Text messages: signed webhooks and SMPP in by way of a spool on this disk, a provider's HTTP interface or SMPP out.
//!
//! The pure codec (`text`, `join`, `signature`, `provider`, `public_address`) stands beside the I/O (`webhook`, `spool`, `parts`,
//! `courier`, `media`, `sender`). A provider is told "I have it" only when what it said lies on this disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use phonenumber::country;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use self::courier::{Courier, FILES_WITHIN};
use self::media::{Credentials, Fetcher};
use self::parts::Parts;
use self::sender::{Carrier, SmsSender};
use self::smpp::SmppOptions;
use self::spool::{Entry, Spool};
use self::webhook::{Signer, Taken, Webhooks};
use crate::channel::outbound::{Outbound, OutboundDeps};
use crate::model::id::{AccountId, IdMaker};
use crate::plan::Plan;
use crate::port::blobs::Blobs;
use crate::port::broker::{Broker, Publisher};
use crate::port::clock::now;
use crate::port::store::Store;

pub mod counters;
pub mod courier;
pub mod join;
pub mod keyword;
pub mod media;
pub mod number;
pub mod parts;
pub mod provider;
pub mod public_address;
pub mod sender;
pub mod signature;
pub mod smpp;
pub mod spool;
pub mod text;
pub mod webhook;

pub use counters::SmsCounters;

/// How often it is looked for what dead processes have left in the spool.
const TAKE_OVER_EVERY: Duration = Duration::from_secs(5);

/// Why the channel could not start.
#[derive(Debug, thiserror::Error)]
pub enum SmsError {
    /// The spool cannot be opened.
    #[error("the spool {} cannot be opened: {source}; check the folder's owner and the disk", folder.display())]
    Spool {
        /// Where.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// Who carries an account's messages.
#[derive(Debug, Clone)]
pub enum CarrierOptions {
    /// A file, or somebody who is asked by HTTP.
    Ready(Carrier),
    /// An SMSC, with which a session must be kept.
    Smpp(SmppOptions),
}

/// One account at its provider.
#[derive(Debug, Clone)]
pub struct AccountOptions {
    /// Whose webhooks are believed.
    pub signer: Signer,
    /// Who carries its messages.
    pub carrier: CarrierOptions,
    /// Who signs in for its pictures, if somebody must.
    pub media: Option<Credentials>,
}

/// The channel's options.
#[derive(Debug, Clone)]
pub struct SmsOptions {
    /// Accounts by the plan's name.
    pub accounts: BTreeMap<AccountId, AccountOptions>,
    /// The address under which providers call.
    pub public_url: Url,
    /// Where the spool is.
    pub spool_folder: PathBuf,
    /// The most bytes that may wait in it.
    pub spool_bytes_max: u64,
    /// The largest picture.
    pub media_bytes_max: usize,
    /// Hosts of one's own that have pictures.
    pub media_hosts: Vec<String>,
    /// Numbers without country code are of this one.
    pub country: country::Id,
    /// Types of CloudEvents begin with it.
    pub event_prefix: String,
}

/// What the channel stands on.
#[derive(Clone)]
pub struct SmsDeps {
    /// Publishes what comes in, and reports on what goes out.
    pub publisher: Arc<dyn Publisher>,
    /// Makes the consumers of orders to send.
    pub broker: Arc<dyn Broker>,
    /// Attempts, quarantine, messages.
    pub store: Arc<dyn Store>,
    /// Pictures.
    pub blobs: Arc<dyn Blobs>,
    /// The plan in force.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// Ids under the installation's secret.
    pub ids: IdMaker,
}

/// The running channel.
pub struct SmsHandle {
    /// The webhooks, for the listener that providers reach.
    pub router: Router,
    /// Figures for telemetry.
    pub counters: Arc<SmsCounters>,
    /// What waits to be published, for telemetry.
    pub spool: Spool,
}

/// Starts the courier as a task of `tracker`, sessions and senders as tasks of `attempts`; they end with `shutdown`, a text on its way
/// to the provider last.
pub fn start(
    options: SmsOptions,
    deps: SmsDeps,
    shutdown: CancellationToken,
    tracker: &TaskTracker,
    attempts: &TaskTracker,
) -> Result<SmsHandle, SmsError> {
    let SmsOptions { accounts, public_url, spool_folder, spool_bytes_max, media_bytes_max, media_hosts, country, event_prefix } = options;
    let counters = Arc::new(SmsCounters::default());
    let opened = spool::open(&spool_folder, spool_bytes_max)
        .and_then(|opened| Ok((opened, Parts::open(&spool_folder.join("parts"), now(), Arc::clone(&counters))?)));
    let ((spool, mut entries), parts) = opened.map_err(|source| SmsError::Spool { folder: spool_folder, source })?;
    let left: Vec<Entry> = std::iter::from_fn(|| entries.try_recv().ok()).collect();
    let left_taken: Vec<Taken> = left.iter().filter_map(|entry| serde_json::from_slice(&entry.content).ok()).collect();
    let outbound = OutboundDeps {
        broker: deps.broker,
        publisher: deps.publisher,
        store: deps.store,
        plan: deps.plan,
        ids: deps.ids,
        prefix: event_prefix,
    };
    let courier = Courier {
        deps: outbound.clone(),
        blobs: deps.blobs,
        fetcher: Fetcher::new(media_bytes_max, media_hosts).map_err(SmsError::Tls)?,
        counters: Arc::clone(&counters),
        country,
        credentials: accounts.iter().filter_map(|(id, account)| Some((id.clone(), account.media.clone()?))).collect(),
        files_within: FILES_WITHIN,
    };
    tracker.spawn(courier.run(left, entries, parts, shutdown.clone()));
    tracker.spawn(take_over(spool.clone(), shutdown.clone()));
    let carrier_of = |(id, account): (&AccountId, &AccountOptions)| match &account.carrier {
        CarrierOptions::Ready(carrier) => (id.clone(), carrier.clone()),
        CarrierOptions::Smpp(options) => {
            let (smpp, session) = smpp::session(options.clone(), id.clone(), spool.clone(), &left_taken, Arc::clone(&counters));
            attempts.spawn(session.run(shutdown.clone()));
            (id.clone(), Carrier::Smpp(smpp))
        }
    };
    let carriers = accounts.iter().map(carrier_of).collect();
    let sender = SmsSender::new(carriers, &outbound, Arc::clone(&counters)).map_err(SmsError::Tls)?;
    attempts.spawn(Outbound::new(outbound, Arc::new(sender)).run(shutdown, attempts.clone()));
    let signers = accounts.into_iter().map(|(id, account)| (id, account.signer)).collect();
    let router = webhook::router(Arc::new(Webhooks { signers, public_url, spool: spool.clone(), counters: Arc::clone(&counters) }));
    Ok(SmsHandle { router, counters, spool })
}

/// Looks now and then whether a process that used the same folder is dead.
async fn take_over(spool: Spool, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(TAKE_OVER_EVERY) => {}
        }
        if let Err(error) = spool.take_over() {
            tracing::warn!(%error, "what another process may have left in the spool cannot be read");
        }
    }
}
