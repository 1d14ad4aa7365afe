//! Pictures that a message names: fetched once, from the public Internet only, whatever the address, a name or a redirect says.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, StatusCode, Url, header};
use secrecy::{ExposeSecret, SecretString};
use url::Origin;

use super::public_address::is_public;

/// How long one file may take.
const WITHIN: Duration = Duration::from_secs(20);
/// How often a provider may send us on: its own address first, then where the file lies.
const REDIRECTS_MAX: usize = 3;

/// Why a file was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The address is not one that is asked.
    #[error("the address is not asked: {0}")]
    Forbidden(&'static str),
    /// More bytes than are kept.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// It will never come.
    #[error("the provider answers {0}")]
    Gone(u16),
    /// It may come later.
    #[error("not now: {0}")]
    NotNow(String),
}

/// Who signs in for files, and where: the password goes to this address and no further.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The provider's own address: scheme, host and port.
    pub origin: Origin,
    /// The user.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// Fetches files.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    within: Duration,
    bytes_max: usize,
    own: Arc<[String]>,
}

impl Fetcher {
    /// A fetcher of files of at most `bytes_max` bytes. `own` are hosts of the installation's own, a gateway in the cellar, that
    /// may be asked wherever they are, and without TLS.
    ///
    /// # Errors
    /// In words, when TLS cannot be set up.
    pub fn new(bytes_max: usize, own: Vec<String>) -> Result<Self, String> {
        let own: Arc<[String]> = own.into();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(PublicOnly { own: Arc::clone(&own) }))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, within: WITHIN, bytes_max, own })
    }

    /// The file and what its server says it is.
    pub async fn fetch(&self, url: &str, credentials: Option<&Credentials>) -> Result<(Bytes, Option<String>), MediaError> {
        let mut url = Url::parse(url).map_err(|_| MediaError::Forbidden("it cannot be read"))?;
        for _ in 0..=REDIRECTS_MAX {
            self.check(&url)?;
            let mut request = self.client.get(url.clone()).timeout(self.within);
            if let Some(credentials) = credentials.filter(|credentials| url.origin() == credentials.origin) {
                request = request.basic_auth(&credentials.user, Some(credentials.password.expose_secret()));
            }
            let answer = request.send().await.map_err(|error| MediaError::NotNow(error.without_url().to_string()))?;
            match answer.status() {
                status if status.is_success() => return self.read(answer).await,
                status if status.is_redirection() => {
                    let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
                    let next = location.and_then(|location| url.join(location).ok());
                    url = next.ok_or(MediaError::Forbidden("the redirect cannot be read"))?;
                }
                status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => {
                    return Err(MediaError::NotNow(status.to_string()));
                }
                status if status.is_server_error() => return Err(MediaError::NotNow(status.to_string())),
                status => return Err(MediaError::Gone(status.as_u16())),
            }
        }
        Err(MediaError::Forbidden("too many redirects"))
    }

    /// What can be said of an address before a name is looked up: an address in figures is never looked up.
    fn check(&self, url: &Url) -> Result<(), MediaError> {
        let host = url.host().ok_or(MediaError::Forbidden("it has no host"))?;
        if self.own.iter().any(|own| url.host_str() == Some(own)) && matches!(url.scheme(), "http" | "https") {
            return Ok(());
        }
        if url.scheme() != "https" {
            return Err(MediaError::Forbidden("it is not https"));
        }
        let address = match host {
            url::Host::Domain(_) => return Ok(()),
            url::Host::Ipv4(address) => IpAddr::V4(address),
            url::Host::Ipv6(address) => IpAddr::V6(address),
        };
        if is_public(address) { Ok(()) } else { Err(MediaError::Forbidden("it is not on the public Internet")) }
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<(Bytes, Option<String>), MediaError> {
        let media_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| MediaError::NotNow(error.without_url().to_string()))? {
            if bytes.len() + chunk.len() > self.bytes_max {
                return Err(MediaError::TooLarge(self.bytes_max));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes.freeze(), media_type))
    }
}

/// Looks names up and forgets every address that is not public: what is connected to is what was checked.
struct PublicOnly {
    own: Arc<[String]>,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let is_own = self.own.iter().any(|own| own == name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let kept: Vec<SocketAddr> = found.filter(|address| is_own || is_public(address.ip())).collect();
            if kept.is_empty() {
                return Err("the name leads nowhere on the public Internet".into());
            }
            let addresses: Addrs = Box::new(kept.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
pub mod tests;
