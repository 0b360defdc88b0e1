//! How many streams each address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::handoff::Refusal;

/// Bits of an IPv6 address that say whose it is: one customer is given this many, and all that follow are its own.
const V6_PREFIX_BITS: u32 = 64;

/// Streams by address, IPv6 ones by network.
#[derive(Debug, Default)]
pub struct Addresses {
    streams: HashMap<IpAddr, usize>,
    limit: Option<usize>,
    automatic: usize,
}

impl Addresses {
    /// At most `limit` streams for each; without one, `automatic` and no limit for loopback addresses.
    pub fn new(limit: Option<usize>, automatic: usize) -> Self {
        Self { streams: HashMap::new(), limit, automatic }
    }

    /// From now on at most `limit`; those that are there stay.
    pub fn set_limit(&mut self, limit: Option<usize>) {
        self.limit = limit;
    }

    /// Whether `peer` may have one more.
    ///
    /// # Errors
    /// [`Refusal::Address`].
    pub fn admit(&self, peer: IpAddr) -> Result<(), Refusal> {
        let limit = match self.limit {
            Some(limit) => limit,
            None if peer.to_canonical().is_loopback() => return Ok(()),
            None => self.automatic,
        };
        let taken = self.streams.get(&owner(peer)).copied().unwrap_or(0);
        if taken < limit { Ok(()) } else { Err(Refusal::Address { limit }) }
    }

    /// `peer` has one more.
    pub fn enter(&mut self, peer: IpAddr) {
        *self.streams.entry(owner(peer)).or_default() += 1;
    }

    /// `peer` has one less.
    pub fn leave(&mut self, peer: IpAddr) {
        let owner = owner(peer);
        if let Some(streams) = self.streams.get_mut(&owner) {
            *streams -= 1;
            if *streams == 0 {
                self.streams.remove(&owner);
            }
        }
    }
}

/// Whose an address is.
fn owner(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = address.to_bits() & (u128::MAX << (u128::BITS - V6_PREFIX_BITS));
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_its_own_limit_and_gets_room_back() {
        let mut addresses = Addresses::new(Some(2), 1_000);
        for peer in ["10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1", "127.0.0.1"] {
            addresses.admit(ip(peer)).unwrap();
            addresses.enter(ip(peer));
        }
        for full in ["10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1"] {
            assert_eq!(addresses.admit(ip(full)).unwrap_err(), Refusal::Address { limit: 2 });
        }
        addresses.admit(ip("10.0.0.2")).unwrap();
        addresses.leave(ip("10.0.0.1"));
        addresses.admit(ip("10.0.0.1")).unwrap();
        addresses.leave(ip("10.0.0.1"));
        assert_eq!(addresses.streams.len(), 1, "nobody is remembered who has none");
    }

    #[test]
    fn a_network_of_ipv6_is_one_customer_and_loopback_is_free() {
        let mut addresses = Addresses::new(None, 1);
        addresses.enter(ip("2001:db8:1:2::1"));
        assert!(addresses.admit(ip("2001:db8:1:2:ffff::9")).is_err());
        addresses.admit(ip("2001:db8:1:3::1")).unwrap();
        for local in ["127.0.0.1", "::1", "127.8.0.1"] {
            addresses.enter(ip(local));
            addresses.admit(ip(local)).unwrap();
        }
    }
}
