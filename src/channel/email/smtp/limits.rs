//! Limits by address: connections at once, mails per minute. An IPv6 customer has a whole /64 and counts as one.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::port::peer::network;
use crate::port::places::{self, Places};

/// After so many connections the addresses that sent nothing of late are forgotten.
const FORGET_EVERY: usize = 1_024;

/// Counts connections and mails.
pub struct Limits {
    all: Arc<Semaphore>,
    connections_max: usize,
    addresses: Places<IpAddr>,
    mails: DefaultKeyedRateLimiter<IpAddr>,
    connects: AtomicUsize,
}

/// A connection's place; dropping it makes room.
pub struct Place(#[expect(dead_code, reason = "held, not read")] (OwnedSemaphorePermit, places::Place<IpAddr>));

impl Limits {
    /// At most so many connections in all, from one address, and mails per minute from one.
    pub fn new(connections_max: usize, per_address_max: usize, mails_per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(mails_per_minute).unwrap_or(NonZeroU32::MIN));
        let all = Arc::new(Semaphore::new(connections_max));
        Self {
            all,
            connections_max,
            addresses: Places::new(per_address_max),
            mails: RateLimiter::keyed(quota),
            connects: AtomicUsize::new(0),
        }
    }

    /// A place for a connection, if there is one.
    pub fn connect(&self, address: IpAddr) -> Option<Place> {
        let connects = self.connects.fetch_add(1, Ordering::Relaxed);
        if self.all.available_permits() == self.connections_max || connects.is_multiple_of(FORGET_EVERY) {
            self.mails.retain_recent();
        }
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Place((of_all, self.addresses.take(network(address))?)))
    }

    /// Whether the address may hand in one more mail now.
    pub fn mail(&self, address: IpAddr) -> bool {
        self.mails.check_key(&network(address)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let limits = Limits::new(3, 2, 1);
        let [a, b]: [IpAddr; 2] = ["192.0.2.1".parse().expect("an address"), "192.0.2.2".parse().expect("an address")];
        let first = limits.connect(a);
        let second = limits.connect(a);
        assert!(first.is_some() && second.is_some() && limits.connect(a).is_none());
        let third = limits.connect(b);
        assert!(third.is_some() && limits.connect(b).is_none());
        drop(first);
        assert!(limits.connect(a).is_some());
        assert!(limits.mail(a) && !limits.mail(a) && limits.mail(b));
    }

    /// Somebody is connected all the time, as at any mail server of some size.
    #[test]
    fn addresses_are_forgotten_while_somebody_is_connected() {
        let limits = Limits::new(10, 1, u32::MAX);
        let _stays = limits.connect("2001:db8::1".parse().expect("an address"));
        for number in 0..5 * u32::try_from(FORGET_EVERY).expect("small") {
            let address = IpAddr::from(number.to_be_bytes());
            let _place = limits.connect(address);
            assert!(limits.mail(address));
        }
        assert!(limits.mails.len() <= FORGET_EVERY, "{}", limits.mails.len());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let limits = Limits::new(10, 1, 1);
        let _first = limits.connect("2001:db8::1".parse().expect("an address"));
        assert!(limits.connect("2001:db8::2".parse().expect("an address")).is_none());
        assert!(limits.connect("2001:db8:0:1::1".parse().expect("an address")).is_some());
    }
}
