//! Makes one connection to RabbitMQ, within a deadline.

use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use crate::broker::amqp::AmqpOptions;

/// Where to and how.
pub(super) struct Dialer {
    uri: AMQPUri,
    name: String,
    ca_pem: Option<String>,
    pub(super) deadline: Duration,
}

impl Dialer {
    pub(super) fn new(uri: AMQPUri, options: &AmqpOptions) -> Self {
        Self { uri, name: options.name.clone(), ca_pem: options.ca_pem.clone(), deadline: options.deadline }
    }

    /// A new connection named `<name>/<role>`; the reason in words if there is none.
    pub(super) async fn connect(&self, role: &str) -> Result<Connection, String> {
        let runtime = lapin::runtime::default_runtime().map_err(|error| error.to_string())?;
        // Never `enable_auto_recover`: with its attempts used up it hangs in silence.
        let properties = ConnectionProperties::default().with_connection_name(format!("{}/{role}", self.name).into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.ca_pem.clone() };
        let connecting = Connection::connect_uri_with_config(self.uri.clone(), properties, tls, runtime);
        within(self.deadline, "connecting", connecting).await
    }
}

/// Waits for an answer of the broker, but not for ever; the reason in words if there is none.
pub(super) async fn within<T, E: std::fmt::Display>(
    deadline: Duration,
    what: &str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: no answer within {} ms", deadline.as_millis())),
    }
}
