//! Addresses: which are this server's, which are public, which can never be
//! `here` (contract-details Q18).

use std::net::{IpAddr, Ipv4Addr};

/// The addresses that are `here`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAddresses {
    /// Without duplicates, IPv4-mapped IPv6 folded.
    pub list: Vec<IpAddr>,
    /// None of them is public (contract-details Q18), so that a name that
    /// leads to a public address may lead here through NAT.
    pub only_private: bool,
}

impl OwnAddresses {
    /// `--address` alone where given; else interfaces and configured ones.
    pub fn find(given: &[IpAddr], configured: &[IpAddr]) -> OwnAddresses {
        if given.is_empty() {
            OwnAddresses::of(interfaces().into_iter().chain(configured.iter().copied()))
        } else {
            OwnAddresses::of(given.iter().copied())
        }
    }

    fn of(addresses: impl IntoIterator<Item = IpAddr>) -> OwnAddresses {
        let mut list: Vec<IpAddr> = Vec::new();
        for ip in addresses {
            let ip = ip.to_canonical();
            if !list.contains(&ip) {
                list.push(ip);
            }
        }
        let only_private = !list.iter().any(|ip| is_public(*ip));
        OwnAddresses { list, only_private }
    }

    /// Whether a name that leads to this address leads here. Loopback,
    /// link-local and unspecified addresses lead to whoever asks.
    pub(super) fn holds(&self, ip: IpAddr) -> bool {
        !of_the_asker(ip) && self.list.contains(&ip)
    }
}

/// The addresses of the interfaces that other hosts may reach.
fn interfaces() -> Vec<IpAddr> {
    let all = match nix::ifaddrs::getifaddrs() {
        Ok(all) => all,
        Err(error) => {
            tracing::warn!(%error, "the interfaces' addresses could not be read");
            return Vec::new();
        }
    };
    all.filter_map(|i| {
        let address = i.address?;
        match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
            (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
            _ => None,
        }
    })
    .map(|ip| ip.to_canonical())
    .filter(|ip| !of_the_asker(*ip))
    .collect()
}

/// Loopback, link-local, unspecified (and 0.0.0.0/8, "this network").
fn of_the_asker(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(a) => a.is_loopback() || a.is_link_local() || a.octets()[0] == 0,
        IpAddr::V6(a) => a.is_loopback() || a.is_unspecified() || a.is_unicast_link_local(),
    }
}

/// Documentation ranges count as public, as the contract has it.
pub(super) fn is_public(ip: IpAddr) -> bool {
    !of_the_asker(ip)
        && match ip {
            IpAddr::V4(a) => !a.is_private() && !shared(a),
            IpAddr::V6(a) => !a.is_unique_local(),
        }
}

/// 100.64.0.0/10, between providers and their NAT (RFC 6598).
fn shared(a: Ipv4Addr) -> bool {
    let [first, second, ..] = a.octets();
    first == 100 && (64..128).contains(&second)
}
