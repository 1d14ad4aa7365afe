//! Limits by address: connections at once, mails per minute. An IPv6 customer has a whole /64 and counts as one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Counts connections and mails.
pub struct Limits {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    connections_max: usize,
    per_address_max: usize,
    mails: DefaultKeyedRateLimiter<IpAddr>,
}

/// A connection's place; dropping it makes room.
pub struct Place {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Limits {
    /// At most so many connections in all, from one address, and mails per minute from one.
    pub fn new(connections_max: usize, per_address_max: usize, mails_per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(mails_per_minute).unwrap_or(NonZeroU32::MIN));
        Self { open: Arc::default(), connections_max, per_address_max, mails: RateLimiter::keyed(quota) }
    }

    /// A place for a connection, if there is one.
    pub fn connect(&self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let of_address = open.get(&address).copied().unwrap_or(0);
        if all >= self.connections_max || of_address >= self.per_address_max {
            return None;
        }
        if open.is_empty() {
            self.mails.retain_recent();
        }
        *open.entry(address).or_default() += 1;
        Some(Place { open: Arc::clone(&self.open), address })
    }

    /// Whether the address may hand in one more mail now.
    pub fn mail(&self, address: IpAddr) -> bool {
        self.mails.check_key(&network(address)).is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
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

    #[test]
    fn an_ipv6_network_is_one_address() {
        let limits = Limits::new(10, 1, 1);
        let _first = limits.connect("2001:db8::1".parse().expect("an address"));
        assert!(limits.connect("2001:db8::2".parse().expect("an address")).is_none());
        assert!(limits.connect("2001:db8:0:1::1".parse().expect("an address")).is_some());
    }
}
