#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::IpAddr;
use std::str::FromStr;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, NS, SOA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use jiff::Timestamp;

use super::address::{OwnAddresses, is_public};
use super::ask::Failure;
use super::cdn::Suffixes;
use super::chain::{Found, Reading, read};
use super::judge::{Both, Lead, exposure, lead};
use crate::facts::ExposureState::{self, Elsewhere, Fronted, Here, Unknown, Unresolved};
use crate::names::Target;

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn name(s: &str) -> Name {
    Name::from_str(s).unwrap()
}

fn own(list: &[&str]) -> OwnAddresses {
    let list: Vec<IpAddr> = list.iter().map(|s| ip(s)).collect();
    OwnAddresses::find(&list, &[])
}

#[test]
fn given_addresses_are_the_only_ones() {
    let a = OwnAddresses::find(&[ip("203.0.113.10"), ip("::ffff:203.0.113.10")], &[ip("198.51.100.1")]);
    assert_eq!((a.list, a.only_private), (vec![ip("203.0.113.10")], false));
}

#[test]
fn configured_addresses_add_to_the_interfaces() {
    let a = OwnAddresses::find(&[], &[ip("198.51.100.1")]);
    assert!(a.list.contains(&ip("198.51.100.1")) && !a.only_private);
    let interfaces = OwnAddresses::find(&[], &[]);
    assert!(interfaces.list.iter().all(|x| a.list.contains(x)));
    assert!(!interfaces.list.iter().any(|x| x.is_loopback()), "{:?}", interfaces.list);
}

#[test]
fn private_and_public_addresses() {
    for private in [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.0.1",
        "0.0.0.0",
        "fc00::1",
        "fd12::1",
        "::1",
        "::",
        "fe80::1",
    ] {
        assert!(!is_public(ip(private)) && own(&[private]).only_private, "{private}");
    }
    for public in
        ["203.0.113.1", "198.51.100.1", "192.0.2.1", "2001:db8::1", "100.128.0.1", "172.32.0.1", "8.8.8.8"]
    {
        assert!(is_public(ip(public)) && !own(&[public]).only_private, "{public}");
    }
    assert!(
        own(&["10.0.0.1", "203.0.113.1"]).list.len() == 2 && !own(&["10.0.0.1", "203.0.113.1"]).only_private
    );
    assert!(!own(&["127.0.0.1"]).holds(ip("127.0.0.1")), "loopback leads to whoever asks");
}

fn message(code: ResponseCode, answers: &[(&str, RData)], authority: Option<RData>) -> Message {
    let mut m = Message::query();
    m.metadata.response_code = code;
    for (owner, data) in answers {
        m.answers.push(Record::from_rdata(name(owner), 60, data.clone()));
    }
    m.authorities.extend(authority.map(|d| Record::from_rdata(name("cn."), 30, d)));
    m
}

fn cname(to: &str) -> RData {
    RData::CNAME(CNAME(name(to)))
}

fn a(s: &str) -> RData {
    RData::A(A(s.parse().unwrap()))
}

fn soa() -> RData {
    RData::SOA(SOA::new(name("ns.cn."), name("root.cn."), 1, 60, 60, 60, 5))
}

#[test]
fn only_records_of_the_chain_count() {
    use ResponseCode::{NXDomain, NoError};
    let cases = [
        (message(NoError, &[("a.cn.", a("203.0.113.1"))], None), Found::Addresses, 0, 1),
        (message(NoError, &[("A.CN.", a("203.0.113.1"))], None), Found::Addresses, 0, 1),
        (message(NoError, &[("b.cn.", a("203.0.113.1"))], None), Found::Foreign, 0, 0),
        // Out of order, with a record of nobody's and one of a link's owner.
        (
            message(
                NoError,
                &[
                    ("c.cn.", a("203.0.113.1")),
                    ("x.cn.", a("203.0.113.9")),
                    ("b.cn.", cname("c.cn.")),
                    ("a.cn.", cname("b.cn.")),
                ],
                None,
            ),
            Found::Addresses,
            2,
            1,
        ),
        (message(NoError, &[("a.cn.", cname("b.cn."))], None), Found::Chain, 1, 0),
        (message(NoError, &[("a.cn.", cname("b.cn."))], Some(soa())), Found::NoData, 1, 0),
        (message(NXDomain, &[("a.cn.", cname("b.cn."))], Some(soa())), Found::NxDomain, 1, 0),
        (message(NoError, &[("a.cn.", cname("b.cn.")), ("b.cn.", cname("a.cn."))], None), Found::Loop, 2, 0),
        (message(NoError, &[("a.cn.", cname("a.cn."))], None), Found::Loop, 1, 0),
        (
            message(NoError, &[("a.cn.", cname("b.cn.")), ("x.cn.", a("203.0.113.1"))], None),
            Found::Chain,
            1,
            0,
        ),
        (message(NoError, &[], Some(soa())), Found::NoData, 0, 0),
        (message(NoError, &[], Some(RData::NS(NS(name("ns.cn."))))), Found::Referral, 0, 0),
    ];
    for (m, found, links, addresses) in cases {
        let r = read(&m, &name("a.cn."), RecordType::A);
        assert_eq!((r.found, r.chain.len(), r.addresses.len()), (found, links, addresses), "{:?}", m.answers);
    }
    let negative =
        read(&message(NoError, &[("a.cn.", cname("b.cn."))], Some(soa())), &name("a.cn."), RecordType::A);
    assert_eq!(negative.ttl, Some(5), "the SOA's minimum bounds an absence");
    let mapped =
        message(NoError, &[("a.cn.", RData::AAAA(AAAA("::ffff:203.0.113.1".parse().unwrap())))], None);
    assert_eq!(read(&mapped, &name("a.cn."), RecordType::AAAA).addresses, [ip("203.0.113.1")]);
}

fn reading(found: Found, addresses: &[&str], chain: &[&str]) -> Reading {
    Reading {
        found,
        chain: chain.iter().map(|n| name(n)).collect(),
        addresses: addresses.iter().map(|s| ip(s)).collect(),
        ttl: Some(60),
    }
}

fn judged(own: &OwnAddresses, a: Reading, failed: Option<Failure>) -> Lead {
    let both = Both { a, aaaa: reading(Found::NoData, &[], &[]), failed, both_failed: false };
    lead(own, &Suffixes::with(&[]), Ok(both), Timestamp::UNIX_EPOCH)
}

fn target(ask: &[&str]) -> Target {
    Target {
        name: "*.a.cn".to_owned(),
        unicode: "*.a.cn".to_owned(),
        apex: "a.cn".to_owned(),
        ask: ask.iter().map(|s| (*s).to_owned()).collect(),
        filing_names: vec!["a.cn".to_owned()],
    }
}

fn state(l: &Lead) -> (ExposureState, Option<String>) {
    let e = exposure(&target(&["a.cn"]), &[l]);
    (e.state, e.why)
}

#[test]
fn addresses_of_ours_then_failures_then_cdn() {
    let (public, private) = (own(&["203.0.113.10"]), own(&["10.0.0.5"]));
    let cdn = ["Site.W.KunlunAQ.com."];
    let some = |s: &str| Some(s.to_owned());
    for (own, addresses, chain, failed, want) in [
        (&public, &["203.0.113.10"][..], &cdn[..], Some(Failure::Timeout), (Here, some("timeout"))),
        (&public, &["198.51.100.7"], &cdn, None, (Fronted, None)),
        (&public, &["198.51.100.7"], &cdn, Some(Failure::Refused), (Unknown, some("refused"))),
        (&public, &["198.51.100.7"], &[], None, (Elsewhere, None)),
        (&private, &["198.51.100.7"], &cdn, None, (Fronted, None)),
        (&private, &["198.51.100.7"], &[], None, (Unknown, some("public_address_unknown"))),
        (&private, &["10.1.1.1", "127.0.0.1"], &[], None, (Elsewhere, None)),
        (&private, &["10.0.0.5"], &[], None, (Here, None)),
    ] {
        assert_eq!(
            state(&judged(own, reading(Found::Addresses, addresses, chain), failed)),
            want,
            "{addresses:?} {chain:?}"
        );
    }
    assert_eq!(
        state(&judged(&public, reading(Found::NxDomain, &[], &cdn), None)),
        (Unresolved, some("nxdomain"))
    );
    assert_eq!(
        state(&judged(&public, reading(Found::NoData, &[], &[]), None)),
        (Unresolved, some("no_data"))
    );
    let l = judged(&public, reading(Found::Addresses, &["198.51.100.7"], &cdn), None);
    assert_eq!(exposure(&target(&["a.cn"]), &[&l]).cname, ["site.w.kunlunaq.com"]);
}

#[test]
fn a_pattern_is_here_if_any_of_its_names_is() {
    let own = own(&["203.0.113.10"]);
    let here = judged(&own, reading(Found::Addresses, &["203.0.113.10"], &[]), None);
    let away = judged(&own, reading(Found::Addresses, &["198.51.100.7"], &[]), None);
    let absent = judged(&own, reading(Found::NxDomain, &[], &[]), None);
    let failed = judged(&own, reading(Found::NoData, &[], &[]), Some(Failure::ServFail));
    let front = judged(&own, reading(Found::Addresses, &["198.51.100.8"], &["x.cloudfront.net."]), None);
    for (leads, want, addresses) in [
        (vec![&failed, &away, &here], Here, 1),
        (vec![&away, &failed, &absent], Unknown, 0),
        (vec![&away, &front, &absent], Fronted, 1),
        (vec![&absent, &away, &absent], Elsewhere, 1),
        (vec![&absent, &absent, &absent], Unresolved, 0),
    ] {
        let e = exposure(&target(&["a.cn", "www.a.cn", "x.a.cn"]), &leads);
        assert_eq!((e.state, e.addresses.len(), e.asked.len()), (want, addresses, 3));
    }
}
