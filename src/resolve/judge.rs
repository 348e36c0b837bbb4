//! From DNS answers to an exposure: pure.

use std::net::IpAddr;

use hickory_resolver::proto::rr::Name;
use jiff::Timestamp;

use super::address::{OwnAddresses, is_public};
use super::ask::Failure;
use super::cdn::Suffixes;
use super::chain::{Found, Reading};
use crate::facts::{Exposure, ExposureState};
use crate::names::Target;

/// Shown as evidence at most: a hostile zone must not fill the report.
const MAX_ADDRESSES: usize = 64;
const MAX_CHAIN: usize = 64;

/// What both address types gave.
pub(super) struct Both {
    pub(super) a: Reading,
    pub(super) aaaa: Reading,
    /// What went wrong, with either.
    pub(super) failed: Option<Failure>,
    /// With both.
    pub(super) both_failed: bool,
}

/// Where one DNS name leads.
#[derive(Debug, Clone)]
pub(super) struct Lead {
    state: ExposureState,
    addresses: Vec<IpAddr>,
    cname: Vec<String>,
    why: Option<&'static str>,
    ttl: Option<u32>,
    at: Timestamp,
}

impl Lead {
    /// `ok` where the resolver answered, an existing name or none; else why
    /// it did not.
    pub(super) fn outcome(&self) -> &'static str {
        match (self.state, self.why) {
            (ExposureState::Unknown, Some(why)) if why != "public_address_unknown" => why,
            _ => "ok",
        }
    }
}

/// Judges the answers of one name: an own address proves `here`, whatever
/// else failed; with nothing here, a failure leaves `unknown` (Q16); a known
/// CDN comes before addresses (Q17).
pub(super) fn lead(own: &OwnAddresses, cdn: &Suffixes, got: Result<Both, Failure>, at: Timestamp) -> Lead {
    let both = match got {
        Ok(both) => both,
        Err(failure) => {
            return Lead {
                state: ExposureState::Unknown,
                addresses: Vec::new(),
                cname: Vec::new(),
                why: Some(failure.word()),
                ttl: None,
                at,
            };
        }
    };
    let failed = both.failed.map(Failure::word);
    let mut addresses = both.a.addresses;
    addresses.extend(both.aaaa.addresses);
    let shown = if both.a.chain.is_empty() { &both.aaaa.chain } else { &both.a.chain };
    let cname = shown.iter().take(MAX_CHAIN).map(text).collect();
    let fronted = || both.a.chain.iter().chain(&both.aaaa.chain).any(|n| cdn.hold(&text(n)));
    let (state, why) = if addresses.iter().any(|ip| own.holds(*ip)) {
        // Own addresses first, so that the bound below keeps the proof.
        addresses.sort_by_key(|ip| !own.holds(*ip));
        (ExposureState::Here, failed)
    } else if failed.is_some() {
        (ExposureState::Unknown, failed)
    } else if addresses.is_empty() {
        let absent = [both.a.found, both.aaaa.found].contains(&Found::NxDomain);
        (ExposureState::Unresolved, Some(if absent { "nxdomain" } else { "no_data" }))
    } else if fronted() {
        (ExposureState::Fronted, None)
    } else if own.only_private && addresses.iter().any(|ip| is_public(*ip)) {
        (ExposureState::Unknown, Some("public_address_unknown"))
    } else {
        (ExposureState::Elsewhere, None)
    };
    addresses.truncate(MAX_ADDRESSES);
    let ttl = match (both.a.ttl, both.aaaa.ttl) {
        _ if state == ExposureState::Unknown && failed.is_some() => None,
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    Lead { state, addresses, cname, why, ttl, at }
}

/// A name of DNS as the report spells it.
fn text(name: &Name) -> String {
    let ascii = name.to_ascii().to_ascii_lowercase();
    ascii.strip_suffix('.').map_or(ascii.clone(), str::to_owned)
}

/// Here if any name is; else the least certain of them.
pub(super) fn exposure(target: &Target, leads: &[&Lead]) -> Exposure {
    const ORDER: [ExposureState; 5] = [
        ExposureState::Here,
        ExposureState::Unknown,
        ExposureState::Fronted,
        ExposureState::Elsewhere,
        ExposureState::Unresolved,
    ];
    let state =
        ORDER.into_iter().find(|s| leads.iter().any(|l| l.state == *s)).unwrap_or(ExposureState::Unknown);
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut cname: Vec<String> = Vec::new();
    for l in leads.iter().filter(|l| l.state == state) {
        for ip in &l.addresses {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(ip) {
                addresses.push(*ip);
            }
        }
        if cname.is_empty() {
            cname.clone_from(&l.cname);
        }
    }
    let asked = if target.ask == [target.name.as_str()] { Vec::new() } else { target.ask.clone() };
    Exposure {
        state,
        addresses,
        cname,
        checked_at: leads.iter().map(|l| l.at).min().unwrap_or_else(Timestamp::now),
        why: leads.iter().find(|l| l.state == state).and_then(|l| l.why).map(str::to_owned),
        asked,
        ttl: leads.iter().filter_map(|l| l.ttl).min(),
    }
}
