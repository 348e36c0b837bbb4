//! Exposure against a DNS double with every fault, and against knot.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use beian::facts::{Exposure, ExposureState, Server};
use beian::names::{NameClass, Target, classify};
use beian::resolve::{OwnAddresses, Resolver};
use serde_json::{Value, json};

const HERE: &str = "203.0.113.10";
const AWAY: &str = "198.51.100.7";

/// A program that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Double {
    _program: Running,
    port: u16,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

impl Double {
    fn start(zone: &Value) -> Double {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zone.json");
        let log = dir.path().join("log.jsonl");
        std::fs::write(&path, zone.to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/dns_double.py");
        let mut child = Command::new("python3")
            .args([script.as_os_str(), "0".as_ref(), path.as_os_str(), log.as_os_str()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Double { _program: Running(child), port: line.trim().parse().unwrap(), log, _dir: dir }
    }

    /// What was asked: protocol, name, type.
    fn asked(&self) -> Vec<(String, String, String)> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        text.lines()
            .map(|l| {
                let v: Value = serde_json::from_str(l).unwrap();
                let s = |k: &str| v[k].as_str().unwrap().to_owned();
                (s("proto"), s("name"), s("type"))
            })
            .collect()
    }

    fn resolver(&self) -> Resolver {
        self.resolver_with(&[HERE], &[], 2)
    }

    fn resolver_with(&self, own: &[&str], cdn: &[&str], attempts: usize) -> Resolver {
        resolver(&[self.port], own, cdn, Duration::from_millis(500), attempts)
    }
}

fn resolver(ports: &[u16], own: &[&str], cdn: &[&str], timeout: Duration, attempts: usize) -> Resolver {
    let own: Vec<IpAddr> = own.iter().map(|a| a.parse().unwrap()).collect();
    let cdn: Vec<String> = cdn.iter().map(|s| (*s).to_owned()).collect();
    let servers = ports.iter().map(|p| SocketAddr::from(([127, 0, 0, 1], *p))).collect();
    let cfg = beian::config::Resolver { servers, timeout, attempts };
    Resolver::new(&cfg, &cdn, OwnAddresses::find(&own, &[])).unwrap()
}

fn targets(names: &[&str]) -> Vec<Target> {
    names
        .iter()
        .flat_map(|n| classify(n, Server::Nginx))
        .map(|c| match c {
            NameClass::Judged(t) => t,
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn ask(resolver: &Resolver, names: &[&str]) -> Vec<Exposure> {
    let count = AtomicUsize::new(0);
    let targets = targets(names);
    let out = resolver
        .exposures(&targets, &|| {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .await;
    assert_eq!(count.into_inner(), targets.len(), "done is called once a target");
    assert_eq!(out.len(), targets.len());
    out
}

fn fact(e: &Exposure) -> (ExposureState, Option<&str>) {
    (e.state, e.why.as_deref())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_told_apart() {
    use ExposureState::{Elsewhere, Fronted, Here, Unknown, Unresolved};
    let cases: Vec<(&str, Value, ExposureState, Option<&str>)> = vec![
        ("here.cn", json!({"A": [HERE]}), Here, None),
        ("here6.cn", json!({"AAAA": ["2001:db8::10"]}), Here, None),
        ("mapped.cn", json!({"AAAA": ["::ffff:203.0.113.10"]}), Here, None),
        ("both.cn", json!({"A": [AWAY, HERE]}), Here, None),
        ("my_host-.-odd.cn", json!({"A": [HERE]}), Here, None),
        ("away.cn", json!({"A": [AWAY]}), Elsewhere, None),
        ("loopback.cn", json!({"A": ["127.0.0.1"], "AAAA": ["::1"]}), Elsewhere, None),
        ("zero.cn", json!({"A": ["0.0.0.0"]}), Elsewhere, None),
        ("linklocal.cn", json!({"A": ["169.254.1.1"], "AAAA": ["fe80::1"]}), Elsewhere, None),
        ("private.cn", json!({"A": ["192.168.1.1"]}), Elsewhere, None),
        ("nodata.cn", json!({"TXT": ["x"]}), Unresolved, Some("no_data")),
        ("absent.cn", json!({"rcode": "NXDOMAIN"}), Unresolved, Some("nxdomain")),
        ("servfail.cn", json!({"rcode": "SERVFAIL"}), Unknown, Some("servfail")),
        ("refused.cn", json!({"rcode": "REFUSED"}), Unknown, Some("refused")),
        ("notimp.cn", json!({"rcode": "NOTIMP"}), Unknown, Some("notimp")),
        ("formerr.cn", json!({"rcode": "FORMERR"}), Unknown, Some("formerr")),
        ("drop.cn", json!({"drop": true}), Unknown, Some("timeout")),
        ("wrongid.cn", json!({"wrong_id": true}), Unknown, Some("timeout")),
        ("spoof.cn", json!({"wrong_question": true}), Unknown, Some("malformed")),
        (
            "a-fails.cn",
            json!({"AAAA": ["2001:db8::99"], "types": {"A": {"rcode": "SERVFAIL"}}}),
            Unknown,
            Some("servfail"),
        ),
        (
            "aaaa-fails.cn",
            json!({"A": [AWAY], "types": {"AAAA": {"rcode": "SERVFAIL"}}}),
            Unknown,
            Some("servfail"),
        ),
        ("aaaa-drops.cn", json!({"A": [AWAY], "types": {"AAAA": {"drop": true}}}), Unknown, Some("timeout")),
        (
            "here-fails.cn",
            json!({"A": [HERE], "types": {"AAAA": {"rcode": "SERVFAIL"}}}),
            Here,
            Some("servfail"),
        ),
        ("failfirst.cn", json!({"A": [HERE], "fail_first": 1}), Here, None),
        ("delay.cn", json!({"A": [HERE], "delay_ms": 200}), Here, None),
        ("truncate.cn", json!({"A": [HERE], "truncate": true}), Here, None),
        ("dropudp.cn", json!({"A": [HERE], "drop_udp": true}), Here, None),
        ("cname.cn", json!({"CNAME": "here.cn"}), Here, None),
        ("nochase.cn", json!({"CNAME": "cname.cn", "chase": false}), Here, None),
        ("cname-away.cn", json!({"CNAME": "away.cn"}), Elsewhere, None),
        ("cname-nx.cn", json!({"CNAME": "gone.cn"}), Unresolved, Some("nxdomain")),
        ("cname-nodata.cn", json!({"CNAME": "nodata.cn"}), Unresolved, Some("no_data")),
        ("cname-servfail.cn", json!({"CNAME": "servfail.cn"}), Unknown, Some("servfail")),
        ("loop.cn", json!({"CNAME": "loop2.cn"}), Unknown, Some("cname_loop")),
        ("loop2.cn", json!({"CNAME": "loop.cn"}), Unknown, Some("cname_loop")),
        ("self.cn", json!({"CNAME": "self.cn"}), Unknown, Some("cname_loop")),
        ("slowloop.cn", json!({"CNAME": "slowloop2.cn", "chase": false}), Unknown, Some("cname_loop")),
        ("slowloop2.cn", json!({"CNAME": "slowloop.cn", "chase": false}), Unknown, Some("cname_loop")),
        // Resolvers that say SERVFAIL to a loop, and give its links one by one.
        (
            "servloop.cn",
            json!({"CNAME": "servloop2.cn", "rcode": "SERVFAIL", "types": {"CNAME": {"rcode": "NOERROR"}}}),
            Unknown,
            Some("cname_loop"),
        ),
        (
            "servloop2.cn",
            json!({"CNAME": "servloop.cn", "rcode": "SERVFAIL", "types": {"CNAME": {"rcode": "NOERROR"}}}),
            Unknown,
            Some("cname_loop"),
        ),
        ("cdn.cn", json!({"CNAME": "cdn.cn.w.kunlunaq.com"}), Fronted, None),
        ("cdn-here.cn", json!({"CNAME": "own.w.kunlunaq.com"}), Here, None),
        ("cdn-through.cn", json!({"CNAME": "cdn.cn"}), Fronted, None),
        ("cdn-gone.cn", json!({"CNAME": "gone.w.kunlunaq.com"}), Unresolved, Some("nxdomain")),
        ("cdn-set.cn", json!({"CNAME": "x.front.example.net"}), Fronted, None),
        ("cdn-not.cn", json!({"CNAME": "x.notkunlunaq.com"}), Elsewhere, None),
    ];
    let mut zone = serde_json::Map::new();
    for (name, entry, ..) in &cases {
        zone.insert((*name).to_owned(), entry.clone());
    }
    for target in ["cdn.cn.w.kunlunaq.com", "x.front.example.net", "x.notkunlunaq.com"] {
        zone.insert(target.to_owned(), json!({"A": [AWAY]}));
    }
    zone.insert("own.w.kunlunaq.com".to_owned(), json!({"A": [HERE]}));
    let double = Double::start(&Value::Object(zone));
    let r = double.resolver_with(&[HERE, "2001:db8::10"], &["front.example.net"], 2);
    let names: Vec<&str> = cases.iter().map(|c| c.0).collect();
    let got = ask(&r, &names).await;
    let wrong: Vec<String> = cases
        .iter()
        .zip(&got)
        .filter(|((_, _, state, why), e)| fact(e) != (*state, *why))
        .map(|(c, e)| format!("{}: {:?}, wanted {:?} {:?}", c.0, e, c.2, c.3))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let of = |name: &str| &got[names.iter().position(|n| *n == name).unwrap()];
    assert_eq!(of("nochase.cn").cname, ["cname.cn", "here.cn"]);
    assert_eq!(of("cdn-through.cn").cname, ["cdn.cn", "cdn.cn.w.kunlunaq.com"]);
    assert_eq!(of("cname-nx.cn").cname, ["gone.cn"]);
    assert_eq!(of("loop.cn").cname, ["loop2.cn", "loop.cn"]);
    assert_eq!(of("servloop.cn").cname, ["servloop2.cn", "servloop.cn"]);
    assert_eq!(of("both.cn").addresses[0].to_string(), HERE);
    assert_eq!(of("mapped.cn").addresses[0].to_string(), HERE);
    assert_eq!((of("here.cn").ttl, of("drop.cn").ttl), (Some(5), None), "the absence of AAAA holds 5 s");
    let garbage = Double::start(&json!({"garbage.cn": {"garbage": true}}));
    let e = &ask(&garbage.resolver(), &["garbage.cn"]).await[0];
    assert_eq!(e.state, Unknown);
    assert!(e.addresses.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_whole_names_and_each_is_asked_once() {
    let double = Double::start(&json!({
        "example.com": {"A": [HERE]}, "*.example.com": {"A": [AWAY]}, "示例乙.中国": {"A": [HERE]},
    }));
    let got = ask(
        &double.resolver(),
        &[
            "example.com",
            "*.example.com",
            "www.example.com",
            "WWW.example.com.",
            "示例乙.中国",
            "localhost.example.com",
            "nowhere.cn",
        ],
    )
    .await;
    assert_eq!(got[1].state, ExposureState::Here, "the apex is here");
    assert_eq!(got[1].asked, ["example.com", "www.example.com", "beian-probe.example.com"]);
    assert_eq!(got[1].addresses, [HERE.parse::<IpAddr>().unwrap()]);
    assert!(got[0].asked.is_empty());
    assert_eq!(got[4].state, ExposureState::Here);
    let mut asked: Vec<(String, String)> = double.asked().into_iter().map(|(_, n, t)| (n, t)).collect();
    asked.sort();
    let mut want: Vec<(String, String)> = Vec::new();
    for n in [
        "beian-probe.example.com",
        "example.com",
        "localhost.example.com",
        "nowhere.cn",
        "www.example.com",
        "xn--ojqx2aw82g.xn--fiqs8s",
    ] {
        want.extend([(n.to_owned(), "A".to_owned()), (n.to_owned(), "AAAA".to_owned())]);
    }
    assert_eq!(asked, want, "no search domain, nothing twice, nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_private_addresses_of_our_own_leave_public_ones_open() {
    let double = Double::start(&json!({
        "public.cn": {"A": [AWAY]}, "private.cn": {"A": ["10.9.9.9"]}, "own.cn": {"A": ["10.0.0.5"]},
        "mixed.cn": {"A": ["10.9.9.9"], "AAAA": ["2001:db8::1"]}, "loopback.cn": {"A": ["127.0.0.1"]},
    }));
    let r = double.resolver_with(&["10.0.0.5", "127.0.0.1"], &[], 2);
    let got = ask(&r, &["public.cn", "private.cn", "own.cn", "mixed.cn", "loopback.cn"]).await;
    use ExposureState::{Elsewhere, Here, Unknown};
    let facts: Vec<_> = got.iter().map(fact).collect();
    let nat = Some("public_address_unknown");
    assert_eq!(facts, [(Unknown, nat), (Elsewhere, None), (Here, None), (Unknown, nat), (Elsewhere, None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_and_hostile_chains_end() {
    let mut zone = serde_json::Map::new();
    for i in 0..60 {
        zone.insert(format!("l{i}.example.com"), json!({"CNAME": format!("l{}.example.com", i + 1)}));
        zone.insert(
            format!("s{i}.example.com"),
            json!({"CNAME": format!("s{}.example.com", i + 1), "chase": false}),
        );
    }
    zone.insert("l60.example.com".to_owned(), json!({"A": [AWAY]}));
    zone.insert("s60.example.com".to_owned(), json!({"A": [AWAY]}));
    let many: Vec<String> = (0..1500).map(|i| format!("10.1.{}.{}", i / 250, i % 250)).collect();
    zone.insert("many.example.com".to_owned(), json!({ "A": many }));
    let double = Double::start(&Value::Object(zone));
    let got = ask(&double.resolver(), &["l0.example.com", "s0.example.com", "many.example.com"]).await;
    assert_eq!(got[0].state, ExposureState::Elsewhere);
    assert_eq!((got[0].cname.len(), got[0].cname[59].as_str()), (60, "l60.example.com"));
    assert_eq!(fact(&got[1]), (ExposureState::Unknown, Some("cname_too_long")));
    assert_eq!((got[2].state, got[2].addresses.len()), (ExposureState::Elsewhere, 64));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_takes_over() {
    let refuses = Double::start(&json!({"example.com": {"rcode": "REFUSED"}}));
    let drops = Double::start(&json!({"example.com": {"drop": true}}));
    let good = Double::start(&json!({"example.com": {"A": [HERE]}}));
    for bad in [refuses.port, drops.port, 9] {
        let r = resolver(&[bad, good.port], &[HERE], &[], Duration::from_millis(300), 1);
        assert_eq!(ask(&r, &["example.com"]).await[0].state, ExposureState::Here);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_resolver_costs_seconds() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let names: Vec<String> = (0..10_000).map(|i| format!("site{i:05}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let begin = Instant::now();
    let r = resolver(&[port], &[HERE], &[], Duration::from_millis(500), 2);
    let got = ask(&r, &names).await;
    assert!(got.iter().all(|e| e.state == ExposureState::Unknown), "{:?}", got[0]);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_dead_names_do_not_hide_the_next() {
    let double = Double::start(&json!({"*.dead.cn": {"drop": true}, "*.alive.cn": {"A": [HERE]}}));
    let mut names: Vec<String> = (0..400).map(|i| format!("n{i}.dead.cn")).collect();
    names.extend((0..50).map(|i| format!("n{i}.alive.cn")));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let r = resolver(&[double.port], &[HERE], &[], Duration::from_millis(200), 1);
    let got = ask(&r, &names).await;
    assert!(got[..400].iter().all(|e| fact(e) == (ExposureState::Unknown, Some("timeout"))));
    assert!(got[400..].iter().all(|e| e.state == ExposureState::Here));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_behind_tcp_alone_is_used() {
    let double = Double::start(&json!({"*.example.com": {"A": [HERE], "drop_udp": true}}));
    let names: Vec<String> = (0..300).map(|i| format!("n{i}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let got = ask(&double.resolver(), &names).await;
    assert!(got.iter().all(|e| e.state == ExposureState::Here), "{:?}", got.iter().find(|e| e.why.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_answers_come_over_tcp() {
    let double = Double::start(&json!({"*.example.com": {"A": [HERE], "truncate": true}}));
    let names: Vec<String> = (0..500).map(|i| format!("n{i}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let got = ask(&double.resolver(), &names).await;
    assert!(got.iter().all(|e| e.state == ExposureState::Here), "{:?}", got.iter().find(|e| e.why.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_file_is_not_asked() {
    // Every machine's own hosts file says that this is loopback.
    let double = Double::start(&json!({"localhost": {"A": [HERE]}}));
    let target = Target {
        name: "localhost".to_owned(),
        unicode: "localhost".to_owned(),
        apex: "localhost".to_owned(),
        ask: vec!["localhost".to_owned()],
        filing_names: vec![],
    };
    let got = double.resolver().exposures(&[target], &|| {}).await;
    assert_eq!(got[0].addresses, [HERE.parse::<IpAddr>().unwrap()]);
}

/// knot with one zone; the port on which it answers.
struct Knot {
    _program: Running,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Knot {
    /// A port that is free for UDP may be taken for TCP, were it only by a
    /// connection of another test that ended a moment ago: then another one.
    fn start(zone: &str) -> Knot {
        (0..20).find_map(|_| Knot::try_start(zone)).expect("knotd finds no port, or is not installed")
    }

    fn try_start(zone: &str) -> Option<Knot> {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(dir.path().join("zone"), zone).unwrap();
        let d = dir.path().display();
        let conf = format!(
            "server:\n  rundir: \"{d}\"\n  listen: 127.0.0.1@{port}\n  pidfile: \"{d}/pid\"\n\
             database:\n  storage: \"{d}\"\n\
             log:\n  - target: stderr\n    any: error\n\
             zone:\n  - domain: example.com\n    storage: \"{d}\"\n    file: zone\n    zonefile-load: whole\n    journal-content: none\n"
        );
        std::fs::write(dir.path().join("knot.conf"), conf).unwrap();
        let mut child =
            Command::new("/usr/sbin/knotd").arg("-c").arg(dir.path().join("knot.conf")).spawn().unwrap();
        for _ in 0..100 {
            if let Ok(Some(_ended)) = child.try_wait() {
                return None;
            }
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Knot { _program: Running(child), port, _dir: dir })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_name_server() {
    let mut zone = String::from(
        "$ORIGIN example.com.\n$TTL 300\n@ SOA ns root 1 3600 600 86400 60\n@ NS ns\n@ A 203.0.113.10\nns A 127.0.0.1\n\
         *.wild A 203.0.113.10\nxn--fsq092h AAAA 2001:db8::10\nalias CNAME alias2\nalias2 CNAME wild.wild\n\
         gone CNAME nothing\nloop CNAME pool\npool CNAME loop\nempty TXT x\noutside CNAME www.example.net.\n\
         deep NS ns.deep\nns.deep A 127.0.0.1\n",
    );
    for i in 0..2000 {
        zone += &format!("site{i} A {}\n", if i % 2 == 0 { HERE } else { AWAY });
    }
    let knot = Knot::start(&zone);
    let r = resolver(&[knot.port], &[HERE, "2001:db8::10"], &[], Duration::from_secs(1), 2);
    for _ in 0..50 {
        if ask(&r, &["example.com"]).await[0].state == ExposureState::Here {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    use ExposureState::{Here, Unknown, Unresolved};
    let cases = [
        ("example.com", Here, None),
        ("*.wild.example.com", Here, None),
        ("示例.example.com", Here, None),
        ("alias.example.com", Here, None),
        ("gone.example.com", Unresolved, Some("nxdomain")),
        ("absent.example.com", Unresolved, Some("nxdomain")),
        ("empty.example.com", Unresolved, Some("no_data")),
        ("loop.example.com", Unknown, Some("cname_loop")),
        ("outside.example.com", Unknown, Some("refused")),
        ("a.deep.example.com", Unknown, Some("no_recursion")),
        ("www.example.net", Unknown, Some("refused")),
    ];
    let got = ask(&r, &cases.map(|c| c.0)).await;
    for (c, e) in cases.iter().zip(&got) {
        assert_eq!(fact(e), (c.1, c.2), "{}: {e:?}", c.0);
    }
    assert_eq!(got[3].cname, ["alias2.example.com", "wild.wild.example.com"]);
    assert_eq!(got[8].cname, ["www.example.net"]);
    let names: Vec<String> = (0..2000).map(|i| format!("site{i}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let got = ask(&r, &names).await;
    assert!(got.iter().all(|e| e.why.is_none()), "no name fails because of us");
    assert_eq!(got.iter().filter(|e| e.state == Here).count(), 1000);
}
