//! How often somebody may try to sign in, by network and by login, and which address that is behind a proxy.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Shared;
use crate::port::peer::{network, peer_address};

/// How many times as many attempts a login has from everywhere as from one network: who guesses from one place uses up their own
/// share and keeps nobody else out, and who guesses from many is slowed down.
const EVERYWHERE: u32 = 10;

/// Limits on sign-in attempts. An IPv6 network is one peer.
pub struct SignInLimits {
    by_peer: DefaultKeyedRateLimiter<IpAddr>,
    by_login_and_peer: DefaultKeyedRateLimiter<(String, IpAddr)>,
    by_login: DefaultKeyedRateLimiter<String>,
}

impl SignInLimits {
    /// So many for a login from one peer and from one peer at all, at once, and as many again per minute.
    pub fn new(by_login: u32, by_peer: u32) -> Self {
        let quota = |count: u32| Quota::per_minute(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        Self {
            by_peer: RateLimiter::keyed(quota(by_peer)),
            by_login_and_peer: RateLimiter::keyed(quota(by_login)),
            by_login: RateLimiter::keyed(quota(by_login.saturating_mul(EVERYWHERE))),
        }
    }

    /// Counts an attempt; false if there were too many. The peer is counted first, so that it cannot fill the other tables, and the
    /// login last, so that what one peer was refused takes nothing from the others.
    pub fn allow(&self, peer: IpAddr, login: &str) -> bool {
        let peer = network(peer);
        self.by_peer.check_key(&peer).is_ok()
            && self.by_login_and_peer.check_key(&(login.to_owned(), peer)).is_ok()
            && self.by_login.check_key(&login.to_owned()).is_ok()
    }

    /// Drops what is as good as never seen.
    pub fn prune(&self) {
        self.by_peer.retain_recent();
        self.by_login_and_peer.retain_recent();
        self.by_login.retain_recent();
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

    #[test]
    fn an_ipv6_network_is_one_peer() {
        let limits = SignInLimits::new(10, 200);
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, host]);
        let passed = (0..1000).filter(|host| limits.allow(address(*host), &format!("login{host}"))).count();
        assert!((200..220).contains(&passed), "{passed}");
        assert!(limits.allow(IpAddr::from([0x2001, 0xdb8, 1, 3, 0, 0, 0, 1]), "anna"), "the neighbour");
    }

    #[test]
    fn who_guesses_from_one_place_keeps_nobody_out() {
        let limits = SignInLimits::new(10, 200);
        let refused = (0..190).filter(|_| !limits.allow(IpAddr::from([1, 2, 3, 4]), "anna")).count();
        assert!(refused > 150, "{refused}");
        assert!(limits.allow(IpAddr::from([5, 6, 7, 8]), "anna"));
    }

    #[test]
    fn who_guesses_from_many_places_is_slowed_down() {
        let limits = SignInLimits::new(10, 200);
        let passed = (0..1000_u32).filter(|place| limits.allow(IpAddr::from(place.to_be_bytes()), "anna")).count();
        assert!((100..110).contains(&passed), "{passed}");
    }
}
