//! The key, the certificate, the enrolment as files; receipts and problems as
//! they are read.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proptest::prelude::*;
use ring::signature::KeyPair as _;
use serde_json::json;

use crate::uplink::identity::{fingerprint, own_certificate};
use crate::uplink::problem::{PREFIX, Problem, TYPES};
use crate::uplink::signature::{self, Call, Headers};
use crate::uplink::{Enrolment, HubSettings, Identity, Receipt};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_key_is_made_once_for_its_owner_alone_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let first = Identity::open(dir.path()).unwrap();
    let file = dir.path().join("agent.key");
    assert_eq!(mode(&file), 0o600);
    let pem = std::fs::read_to_string(&file).unwrap();
    assert_eq!(Identity::open(dir.path()).unwrap().public_key(), first.public_key());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), pem);
    let shown = format!("{first:?}");
    let secret = pem.lines().nth(1).unwrap();
    assert!(shown.contains(&first.public_key()) && !shown.contains(secret), "{shown}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

/// `enrol` beside a daemon that starts: both have the same key, or the hub
/// would know one that is gone.
#[test]
fn whoever_makes_the_key_at_the_same_moment_has_the_same() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        let keys: Vec<String> = std::thread::scope(|s| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    s.spawn(|| {
                        start.wait();
                        Identity::open(dir.path()).unwrap().public_key()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|k| *k == keys[0]), "{keys:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

/// A key that cannot be read is never replaced: the hub knows the old one.
#[test]
fn a_key_that_cannot_be_read_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.key");
    for bad in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(&file, bad).unwrap();
        assert!(Identity::open(dir.path()).is_err(), "{bad}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), bad);
    }
}

#[test]
fn the_certificate_for_polling_is_made_once_and_its_fingerprint_is_that_of_its_der() {
    let dir = tempfile::tempdir().unwrap();
    let pair = own_certificate(dir.path()).unwrap();
    let print = fingerprint(&pair.cert).unwrap();
    assert_eq!((mode(&pair.key), mode(&pair.cert)), (0o600, 0o600));
    assert_eq!(fingerprint(&own_certificate(dir.path()).unwrap().cert).unwrap(), print);
    let out = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(&pair.cert)
        .output()
        .unwrap();
    let theirs = String::from_utf8(out.stdout).unwrap();
    let theirs = theirs.trim().split_once('=').unwrap().1.replace(':', "").to_lowercase();
    assert_eq!(print, theirs);
}

fn enrolment() -> Enrolment {
    Enrolment {
        hub: "https://hub.example.com".parse().unwrap(),
        agent_id: "a1".to_owned(),
        receipt_key: "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs".to_owned(),
        polling_token: "GEHEIM-GEHEIM-GEHEIM".to_owned().into(),
        quarantined: true,
        settings: HubSettings::default(),
    }
}

#[test]
fn an_enrolment_is_kept_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Enrolment::read(dir.path()).unwrap().is_none());
    let e = enrolment();
    assert!(!format!("{e:?}").contains("GEHEIM"));
    assert_eq!(e.receipt_public_key().unwrap().len(), 32);
    e.write(dir.path()).unwrap();
    assert_eq!(
        (mode(&Enrolment::path(dir.path())), mode(&Enrolment::token_path(dir.path()))),
        (0o600, 0o600)
    );
    assert_eq!(
        std::fs::read_to_string(Enrolment::token_path(dir.path())).unwrap().trim(),
        "GEHEIM-GEHEIM-GEHEIM"
    );
    let back = Enrolment::read(dir.path()).unwrap().unwrap();
    assert_eq!((back.agent_id.as_str(), back.quarantined, &back.settings), ("a1", true, &e.settings));
    // Half a file is an error, not an enrolment.
    std::fs::write(Enrolment::path(dir.path()), "{\"hub\":").unwrap();
    assert!(Enrolment::read(dir.path()).is_err());
}

#[test]
fn what_a_hub_sets_is_data_within_bounds() {
    let of = |v: serde_json::Value| serde_json::from_value::<HubSettings>(v).unwrap().bounded();
    let low = of(json!({"report_interval": 0, "heartbeat_interval": 0, "splay": 0}));
    assert_eq!((low.report_interval, low.heartbeat_interval, low.splay), (60, 60, 0));
    let most = u64::MAX;
    let high = of(json!({"report_interval": most, "heartbeat_interval": most, "splay": most}));
    assert_eq!((high.report_interval, high.heartbeat_interval, high.splay), (86_400, 86_400, 3600));
    // Nothing that could be a path, a command or an address is even read.
    let odd = json!({"state_dir": "/", "command": ["sh"], "url": "http://203.0.113.1/", "future": {"a": 1}});
    assert_eq!(of(odd), HubSettings::default());
    // No suffix or exemption may swallow a whole top-level domain.
    let broad = ["", ".", "cn", "com.cn", "a b.cn", "*", "-", "中国", "cdn.example.com", ".front.example.cn"];
    let by = |name: &str| json!({"name": name, "by": "示例公司", "why": "示例"});
    let names = of(json!({
        "cdn_suffixes": broad,
        "canaries": broad,
        "exemptions": broad.iter().map(|n| by(n)).collect::<Vec<_>>(),
    }));
    let kept = ["cdn.example.com", ".front.example.cn"];
    assert_eq!(names.cdn_suffixes, kept);
    assert_eq!(names.canaries, kept);
    assert_eq!(names.exemptions.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), kept);
    // Who and why are needed, and a day is a day.
    let unfit = json!({"exemptions": [
        {"name": "a.example.cn", "by": "", "why": "x"},
        {"name": "a.example.cn", "by": "x", "why": "y".repeat(501)},
        {"name": "a.example.cn", "by": "x", "why": "y", "until": "some day"},
        {"name": "b.example.cn", "by": "x", "why": "y", "until": "2027-01-31"},
    ]});
    assert_eq!(of(unfit).exemptions.len(), 1);
    let many: Vec<String> = (0..5000).map(|n| format!("n{n}.example.com")).collect();
    let many = of(json!({
        "cdn_suffixes": many,
        "canaries": many,
        "addresses": vec!["203.0.113.1"; 5000],
        "exemptions": many.iter().map(|n| by(n)).collect::<Vec<_>>(),
    }));
    assert_eq!(
        (many.cdn_suffixes.len(), many.canaries.len(), many.addresses.len(), many.exemptions.len()),
        (256, 16, 64, 1000)
    );
}

#[test]
fn a_receipt_holds_for_one_report_of_one_agent_by_one_key() {
    let key = super::hub::key();
    let public = key.public_key().as_ref();
    let good = Receipt {
        agent: "a1".to_owned(),
        sequence: 7,
        digest: signature::content_digest(b"x"),
        received_at: "2026-11-25T08:00:00Z".to_owned(),
        signature: String::new(),
    }
    .signed(&key);
    let digest = good.digest.clone();
    assert!(good.holds("a1", 7, &digest, public));
    assert_eq!(
        good.text(),
        format!("beian.receipt/1\na1\n7\n{digest}\n2026-11-25T08:00:00Z"),
        "the hub's side signs these very lines"
    );
    assert!(!good.holds("a2", 7, &digest, public));
    assert!(!good.holds("a1", 8, &digest, public));
    assert!(!good.holds("a1", 7, &signature::content_digest(b"y"), public));
    assert!(!good.holds("a1", 7, &digest, &[0; 32]));
    assert!(!good.holds("a1", 7, &digest, b"short"));
    for changed in [
        Receipt { received_at: "2026-11-25T09:00:00Z".to_owned(), ..good.clone() },
        Receipt { signature: String::new(), ..good.clone() },
        Receipt { signature: "?".to_owned(), ..good.clone() },
        Receipt { sequence: 8, ..good.clone() },
    ] {
        assert!(!changed.holds("a1", changed.sequence, &digest, public), "{changed:?}");
    }
}

#[test]
fn only_the_hubs_own_list_is_the_hubs_word() {
    let media = Some("application/problem+json");
    let body = |kind: &str| serde_json::to_vec(&json!({"type": kind, "more": [1]})).unwrap();
    for word in TYPES {
        let read = Problem::read(media, &body(&format!("{PREFIX}{word}")));
        assert_eq!(read.map(|(_, w)| w), Some(*word));
        for other in [None, Some("application/json"), Some("text/html"), Some("")] {
            assert!(Problem::read(other, &body(&format!("{PREFIX}{word}"))).is_none(), "{other:?}");
        }
        assert!(Problem::read(media, &body(word)).is_none());
    }
    for odd in [b"".as_slice(), b"{", b"[]", b"null", b"{\"type\":7}", &[0xff; 9]] {
        assert!(Problem::read(media, odd).is_none());
    }
    let upper = Some("Application/Problem+JSON ;charset=utf-8");
    assert!(Problem::read(upper, &body(&format!("{PREFIX}schema"))).is_some());
}

#[test]
fn components_twice_or_in_another_order_are_no_signature_of_ours() {
    let key = super::hub::key();
    let call = Call { method: "POST", path: "/v1/x", agent: "a1", sequence: 1, body: b"x" };
    let good = signature::sign(&call, 5, &key);
    for (from, to) in [
        ("\"@path\"", "\"@path\" \"@path\""),
        ("\"@method\" \"@path\"", "\"@path\" \"@method\""),
        ("\"@path\"", "\"@path\";req"),
        ("\"content-digest\"", "\"content-digest\" \"date\""),
        ("alg=", "nonce=\"x\";alg="),
        ("keyid=\"a1\"", "keyid=\"a2\""),
        ("beian=", "other="),
    ] {
        let headers = Headers { signature_input: good.signature_input.replace(from, to), ..good.clone() };
        assert_eq!(
            signature::verify(&call, &headers, key.public_key().as_ref()),
            Err(signature::Refusal::Components),
            "{from} -> {to}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_verified_and_nothing_else(
        path in "/[a-z0-9/_-]{0,40}", agent in "[A-Za-z0-9_-]{1,40}", sequence: u64,
        body in proptest::collection::vec(any::<u8>(), 0..300), created in 0_i64..99_999_999_999,
        at in 0_usize..300, bit in 0_u8..8,
    ) {
        let key = super::hub::key();
        let public = key.public_key().as_ref();
        let call = Call { method: "POST", path: &path, agent: &agent, sequence, body: &body };
        let headers = signature::sign(&call, created, &key);
        prop_assert_eq!(signature::verify(&call, &headers, public), Ok(created));
        if let Some(byte) = body.get(at) {
            let mut other = body.clone();
            other[at] = byte ^ (1 << bit);
            let changed = Call { body: &other, ..call };
            prop_assert_eq!(
                signature::verify(&changed, &headers, public),
                Err(signature::Refusal::Digest)
            );
        }
        let next = Call { sequence: sequence.wrapping_add(1), ..call };
        prop_assert!(signature::verify(&next, &headers, public).is_err());
    }

    #[test]
    fn no_problem_body_panics(media in ".{0,60}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Problem::read(Some(&media), &body).is_none());
    }
}
