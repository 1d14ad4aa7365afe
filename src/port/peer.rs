//! Which address a request came from, behind a proxy or not, and which of them are one caller.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;

/// `X-Forwarded-For` is believed from trusted proxies only, from the right up to the first address that is not one.
pub fn peer_address(direct: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let mut peer = direct.to_canonical();
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    while trusted.contains(&peer) {
        match hops.next().map(|hop| hop.trim().parse::<IpAddr>()) {
            Some(Ok(hop)) => peer = hop.to_canonical(),
            _ => break,
        }
    }
    peer
}

/// The network that counts as one caller: an IPv6 customer has a whole /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_caller() {
        for (address, expected) in
            [("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("::ffff:192.0.2.1", "192.0.2.1"), ("192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(network(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2".parse().unwrap());
        for (direct, trusted, expected) in [
            ("9.9.9.9", vec![], "9.9.9.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![ip("10.0.0.1")], "10.0.0.2"),
            ("10.0.0.1", vec![ip("10.0.0.1"), ip("10.0.0.2")], "1.2.3.4"),
            ("::ffff:9.9.9.9", vec![], "9.9.9.9"),
        ] {
            assert_eq!(peer_address(ip(direct), &headers, &trusted), ip(expected));
        }
    }
}
