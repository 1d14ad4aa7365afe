//! How often somebody may try to sign in, by login and by address, and which address that is behind a proxy.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Shared;
use crate::port::peer::peer_address;

/// Two limits on sign-in attempts.
pub struct SignInLimits {
    by_login: DefaultKeyedRateLimiter<String>,
    by_peer: DefaultKeyedRateLimiter<IpAddr>,
}

impl SignInLimits {
    /// So many at once, and as many again per minute.
    pub fn new(by_login: u32, by_peer: u32) -> Self {
        let quota = |count: u32| Quota::per_minute(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        Self { by_login: RateLimiter::keyed(quota(by_login)), by_peer: RateLimiter::keyed(quota(by_peer)) }
    }

    /// Counts an attempt; false if there were too many. The peer is counted first, so that it cannot fill the table of logins.
    pub fn allow(&self, peer: IpAddr, login: &str) -> bool {
        self.by_peer.check_key(&peer).is_ok() && self.by_login.check_key(&login.to_owned()).is_ok()
    }

    /// Drops what is as good as never seen.
    pub fn prune(&self) {
        self.by_login.retain_recent();
        self.by_peer.retain_recent();
    }
}

/// The address at the other end of a request.
pub struct Peer(pub IpAddr);

impl FromRequestParts<Shared> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, desk: &Shared) -> Result<Self, Self::Rejection> {
        let direct = parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip());
        Ok(Self(peer_address(direct, &parts.headers, &desk.options.trusted_proxies)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_attempts_are_limited() {
        let limits = SignInLimits::new(10, 200);
        let passed = (0..1000).filter(|_| limits.allow(IpAddr::from([1, 2, 3, 4]), "anna")).count();
        assert!((10..20).contains(&passed), "{passed}");
        assert!(!limits.allow(IpAddr::from([1, 2, 3, 4]), "bruno"), "the address is used up");
        assert!(limits.allow(IpAddr::from([1, 2, 3, 5]), "bruno"));
    }
}
