//! Opens what a process stands on: database, blobs, broker, as the settings name them.

use std::sync::Arc;

use secrecy::SecretString;

use crate::broker::amqp::{AmqpBroker, AmqpOptions};
use crate::broker::embedded::{EmbeddedBroker, EmbeddedOptions};
use crate::port::blobs::Blobs;
use crate::port::broker::Broker;
use crate::port::chat::Chats;
use crate::port::keeping::Keeping;
use crate::port::store::{Leases, Store};
use crate::settings::Settings;
use crate::settings::broker::BrokerKind;
use crate::settings::store::StoreKind;
use crate::store::blobs::FolderBlobs;
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::sqlite::{SqliteOptions, SqliteStore};

use super::{DaemonError, part};

/// The backends, opened.
#[derive(Clone)]
pub struct Backends {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Its leases.
    pub leases: Arc<dyn Leases>,
    /// Its chats.
    pub chats: Arc<dyn Chats>,
    /// Erasing and trimming.
    pub keeping: Arc<dyn Keeping>,
    /// Blobs.
    pub blobs: Arc<dyn Blobs>,
}

/// Opens database and blobs, and makes the data folder if it is not there.
pub async fn open_backends(settings: &Settings) -> Result<Backends, DaemonError> {
    make_folder(&settings.data.folder)?;
    let (store, leases, chats, keeping) = match settings.store.kind {
        StoreKind::Sqlite => {
            let options = SqliteOptions { file: settings.data.store_file(), readers_max: settings.store.connections_max.min(8) };
            let store = SqliteStore::open(options).await.map_err(|error| part("store")(error.to_string()))?;
            every_port(store)
        }
        StoreKind::Postgres => {
            let url = SecretString::from(settings.store.url.expose().to_owned());
            let (connections_max, connect_within) = (settings.store.connections_max, settings.store.connect_timeout);
            let options = PostgresOptions { url, connections_max, connect_within };
            let store = PostgresStore::connect(options).await.map_err(|error| part("store")(error.to_string()))?;
            every_port(store)
        }
    };
    let folder = settings.data.blobs_folder();
    make_folder(&folder)?;
    let blobs = FolderBlobs::open(&folder).map_err(|error| part("blobs")(error.to_string()))?;
    Ok(Backends { store, leases, chats, keeping, blobs: Arc::new(blobs) })
}

type Ports = (Arc<dyn Store>, Arc<dyn Leases>, Arc<dyn Chats>, Arc<dyn Keeping>);

/// A store by each of its ports.
fn every_port<S: Store + Leases + Chats + Keeping + 'static>(store: Arc<S>) -> Ports {
    (Arc::clone(&store) as _, Arc::clone(&store) as _, Arc::clone(&store) as _, store)
}

fn make_folder(folder: &std::path::Path) -> Result<(), DaemonError> {
    make_private_folder(folder).map_err(|source| DaemonError::Io { what: folder.display().to_string(), source })
}

pub(super) fn make_private_folder(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The broker, and what must be closed at the very end.
pub(super) enum OpenBroker {
    Embedded(Arc<EmbeddedBroker>),
    Amqp(Arc<AmqpBroker>),
}

impl OpenBroker {
    pub(super) async fn open(settings: &Settings, node: &str) -> Result<Self, DaemonError> {
        match settings.broker.kind {
            BrokerKind::Embedded => {
                let options = EmbeddedOptions { queue_len_max: settings.broker.queue_len_max as usize, ..EmbeddedOptions::default() };
                let broker = EmbeddedBroker::open(settings.data.broker_file(), options).await;
                Ok(Self::Embedded(broker.map_err(|error| part("broker")(error.to_string()))?))
            }
            BrokerKind::Amqp => {
                let options = AmqpOptions {
                    name: format!("sportello@{node}"),
                    heartbeat: settings.broker.heartbeat,
                    connect_within: settings.broker.connect_timeout,
                    deadline: settings.broker.publish_timeout,
                    ..AmqpOptions::new(settings.broker.url.expose())
                };
                Ok(Self::Amqp(AmqpBroker::connect(options).await.map_err(|error| part("broker")(error.to_string()))?))
            }
        }
    }

    pub(super) fn port(&self) -> Arc<dyn Broker> {
        match self {
            Self::Embedded(broker) => Arc::clone(broker) as Arc<dyn Broker>,
            Self::Amqp(broker) => Arc::clone(broker) as Arc<dyn Broker>,
        }
    }
}
