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
    connect_within: Duration,
    pub(super) deadline: Duration,
}

impl Dialer {
    pub(super) fn new(uri: AMQPUri, options: &AmqpOptions) -> Self {
        let AmqpOptions { name, ca_pem, connect_within, deadline, .. } = options;
        Self { uri, name: name.clone(), ca_pem: ca_pem.clone(), connect_within: *connect_within, deadline: *deadline }
    }

    /// A new connection named `<name>/<role>`; the reason in words if there is none.
    pub(super) async fn connect(&self, role: &str) -> Result<Connection, String> {
        let runtime = lapin::runtime::default_runtime().map_err(|error| error.to_string())?;
        // Never `enable_auto_recover`: with its attempts used up it hangs in silence.
        let properties = ConnectionProperties::default().with_connection_name(format!("{}/{role}", self.name).into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.ca_pem.clone() };
        let connecting = Connection::connect_uri_with_config(self.uri.clone(), properties, tls, runtime);
        within(self.connect_within, "connecting", connecting).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up_in_time() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("amqp://{}", silent.local_addr().expect("bound"));
        let options = AmqpOptions { connect_within: Duration::from_millis(50), ..AmqpOptions::new(&url) };
        let refused = Dialer::new(url.parse().expect("a URL"), &options).connect("test").await.expect_err("nobody answers");
        assert_eq!(refused, "connecting: no answer within 50 ms");
    }
}
