//! The listener for citizens and providers, apart from the operators' desk: it serves what the channels bring.

use axum::Router;
use tokio::net::TcpListener;
use url::Url;

use super::DaemonError;
use super::edges::bind;
use crate::channel::problem::Problem;
use crate::settings::public::PublicSettings;

/// The bound listener with what it will serve.
pub(super) struct Public {
    /// How the world reaches it, with a slash at the end.
    pub url: Url,
    listener: TcpListener,
    router: Router,
}

impl Public {
    /// Binds the address of the settings.
    pub async fn bind(settings: &PublicSettings) -> Result<Self, DaemonError> {
        let listener = bind("the public address", settings.listen).await?;
        let address = listener.local_addr().map_err(|source| DaemonError::Io { what: "the public address".into(), source })?;
        Ok(Self { url: settings.url(address), listener, router: Router::new() })
    }

    /// Serves a channel's routes too.
    pub fn merge(&mut self, routes: Router) {
        self.router = std::mem::take(&mut self.router).merge(routes);
    }

    /// The listener, and every route with an answer for whatever else is asked.
    pub fn into_parts(self) -> (TcpListener, Router) {
        (self.listener, self.router.fallback(async || Problem::not_found()))
    }
}
