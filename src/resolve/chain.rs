//! What one DNS message says about one question: the CNAME chain from the
//! name that was asked, and the addresses at its end. Records of other owners
//! count for nothing, whoever put them there.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Addresses, perhaps through a chain.
    Addresses,
    /// The name, or the end of its chain, does not exist.
    NxDomain,
    /// It exists without such an address.
    NoData,
    /// The chain leads on to a name of which the message says nothing.
    Chain,
    /// The chain leads back into itself.
    Loop,
    /// A referral to other servers: not an answer of a resolver.
    Referral,
    /// Records, but none that belong to the question.
    Foreign,
}

/// The same with its evidence.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) found: Found,
    /// Targets in order.
    pub(super) chain: Vec<Name>,
    pub(super) addresses: Vec<IpAddr>,
    /// Seconds for which all of it holds.
    pub(super) ttl: Option<u32>,
}

/// Reads a message that answers `(name, kind)`.
pub(super) fn read(message: &Message, name: &Name, kind: RecordType) -> Reading {
    let mut targets: HashMap<&Name, (&Name, u32)> = HashMap::new();
    for r in &message.answers {
        if let RData::CNAME(CNAME(target)) = &r.data {
            targets.entry(&r.name).or_insert((target, r.ttl));
        }
    }
    let mut chain: Vec<Name> = Vec::new();
    let mut ttl: Option<u32> = None;
    let mut lower = |t: u32| ttl = Some(ttl.map_or(t, |have| have.min(t)));
    let mut end = name;
    let mut seen: HashSet<&Name> = HashSet::from([name]);
    let mut looped = false;
    while kind != RecordType::CNAME
        && let Some((target, t)) = targets.get(end)
    {
        lower(*t);
        chain.push((*target).clone());
        end = target;
        if !seen.insert(end) {
            looped = true;
            break;
        }
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut own_records = false;
    for r in message.answers.iter().filter(|r| r.name == *end) {
        own_records = true;
        let ip = match (&r.data, kind) {
            (RData::A(A(ip)), RecordType::A) => IpAddr::V4(*ip),
            (RData::AAAA(AAAA(ip)), RecordType::AAAA) => IpAddr::V6(*ip),
            (RData::CNAME(CNAME(target)), RecordType::CNAME) => {
                lower(r.ttl);
                chain.push(target.clone());
                continue;
            }
            _ => continue,
        };
        lower(r.ttl);
        let ip = ip.to_canonical();
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    let soa = message.authorities.iter().any(|r| matches!(r.data, RData::SOA(_)));
    let referral = !soa && message.authorities.iter().any(|r| matches!(r.data, RData::NS(_)));
    let found = if looped {
        Found::Loop
    } else if !addresses.is_empty() {
        Found::Addresses
    } else if message.response_code == ResponseCode::NXDomain {
        Found::NxDomain
    } else if !chain.is_empty() {
        // A resolver that has looked at the end of the chain shows its SOA.
        if soa { Found::NoData } else { Found::Chain }
    } else if !message.answers.is_empty() && !own_records {
        Found::Foreign
    } else if referral {
        Found::Referral
    } else {
        Found::NoData
    };
    if matches!(found, Found::NxDomain | Found::NoData)
        && let Some(t) = negative_ttl(message)
    {
        lower(t);
    }
    Reading { found, chain, addresses, ttl }
}

/// For how long an absence holds (RFC 2308).
fn negative_ttl(message: &Message) -> Option<u32> {
    message.authorities.iter().find_map(|r| match &r.data {
        RData::SOA(soa) => Some(r.ttl.min(soa.minimum)),
        _ => None,
    })
}
