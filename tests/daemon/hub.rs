//! The daemon and its hub: who is asked for filings, and what the hub sets.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::machine::{HERE, Machine, soon};
use super::promises::{last, verdict, with_hub};
use crate::harness::dns::Lead;
use crate::harness::hub::Hub;

fn filing(state: &str, access: &str) -> Value {
    let filed = state == "filed";
    json!({
        "state": state, "access": access,
        "subject_licence": filed.then_some("粤ICP备00000001号"),
        "site_licence": filed.then_some("粤ICP备00000001号-1"),
        "unit": filed.then_some("示例公司"), "nature": null,
        "approved_on": filed.then_some("2024-05-01"),
        "sources": [
            {"registry": "central-db", "state": "unknown", "checked_at": "2026-11-25T08:00:00Z"},
            {"registry": "central-yd2431", "state": state, "checked_at": "2026-11-25T08:00:01Z"},
        ],
        "expires_at": null,
    })
}

fn knows(hub: &Hub, domain: &str, filing: Value) {
    hub.shared.filings.lock().unwrap().insert(domain.to_owned(), filing);
}

fn row(m: &Machine, name: &str) -> Option<Value> {
    let out = m.command(&["explain", "--from-ledger", "--format", "json", name]).output().unwrap();
    let named: Value = serde_json::from_slice(&out.stdout).ok()?;
    named["rows"].get(0).cloned()
}

/// Without a registry of its own: the first report tells the hub which names
/// are served here, and then it answers for them.
#[test]
fn an_enrolled_daemon_without_registries_gets_verdicts_through_the_hub() {
    let (mut m, hub) = with_hub();
    m.provider = false;
    knows(&hub, "example.cn", filing("filed", "here"));
    knows(&hub, "example-bad.cn", filing("not_filed", "unknown"));
    m.site("good", "www.example.cn");
    m.site("bad", "www.example-bad.cn");
    let begun = Instant::now();
    let _daemon = m.ready();
    soon("verdicts", Duration::from_secs(30), || {
        let done = last(&hub, "www.example.cn") == verdict("compliant")
            && last(&hub, "www.example-bad.cn") == verdict("violation");
        done.then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // A batch of questions is one call.
    let lookups = hub.shared.lookups.lock().unwrap().clone();
    assert!(lookups.iter().any(|l| l.len() == 2), "{lookups:?}");
    // Whatever the registries behind the hub said is the row's evidence.
    let row = row(&m, "www.example.cn").unwrap();
    let sources: Vec<&str> = row["filing"]["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["registry"].as_str().unwrap())
        .collect();
    assert_eq!(sources, ["central-db", "central-yd2431"]);
    assert_eq!(row["filing"]["unit"], "示例公司");
    assert_eq!(row["filing"]["sources"][1]["checked_at"], "2026-11-25T08:00:01Z");

    // A site that comes later: the hub hears of it, and is asked again at once.
    knows(&hub, "example-new.cn", filing("not_filed", "unknown"));
    let begun = Instant::now();
    m.site("new", "www.example-new.cn");
    soon("the new verdict", Duration::from_secs(20), || {
        (last(&hub, "www.example-new.cn") == verdict("violation")).then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    // Nothing was told before the hub was asked, and nothing was refused.
    let told = hub.told();
    let unknown = told.iter().filter(|(n, v)| n.contains("-new") && v.as_deref() == Some("unconfirmed"));
    assert_eq!(unknown.count(), 0, "{told:?}");
    assert!(hub.shared.refused.lock().unwrap().is_empty());

    // A one-off audit asks the hub too.
    let out = m.command(&["audit", "--format", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        (report["summary"]["compliant"].clone(), report["summary"]["violation"].clone()),
        (1.into(), 2.into())
    );
    assert_eq!(out.status.code(), Some(1));
    let out = m.command(&["doctor", "--format", "json"]).output().unwrap();
    let doctor: Value = serde_json::from_slice(&out.stdout).unwrap();
    let check = |word: &str| {
        let all = doctor["checks"].as_array().unwrap();
        all.iter().find(|c| c["check"] == word).cloned().unwrap_or_else(|| panic!("no {word} in {doctor}"))
    };
    assert_eq!(check("registry")["state"], "ok", "{doctor}");
    assert_eq!(check("enrolment")["state"], "ok");
    assert!(check("enrolment")["found"].as_str().unwrap().contains("agent-1"));
    assert_eq!(check("daemon")["state"], "ok");
}

/// What the provider's inventory assigns decides what is here; what it exempts
/// needs no filing: with the enrolment, and when it changes.
#[test]
fn what_the_hub_sets_holds_at_once() {
    let (m, hub) = with_hub();
    let settings = |exempt: Value| {
        json!({
            "splay": 0, "heartbeat_interval": 60, "report_interval": 3600,
            "addresses": ["203.0.113.77"], "cdn_suffixes": [], "canaries": [], "exemptions": exempt,
        })
    };
    let exempt = |name: &str| json!([{"name": name, "by": "示例合规员", "why": "test", "until": null}]);
    *hub.shared.settings.lock().unwrap() = settings(exempt("example-a.cn"));
    m.dns.now(|name| match name {
        "www.example-b.cn" => Lead::To([203, 0, 113, 77].into()),
        _ => Lead::To(HERE),
    });
    m.site("a", "www.example-a.cn");
    m.site("b", "www.example-b.cn");
    let _daemon = m.ready();
    soon("the settings of the enrolment", Duration::from_secs(20), || {
        let done = last(&hub, "www.example-a.cn") == verdict("not_applicable")
            && last(&hub, "www.example-b.cn") == verdict("violation");
        done.then_some(())
    });
    assert!(m.log().contains("what the hub sets holds from now on"));
    // Others come with the next answer, here with that to a report.
    *hub.shared.settings.lock().unwrap() = settings(exempt("example-b.cn"));
    m.site("c", "www.example-c.cn");
    soon("the new settings", Duration::from_secs(20), || {
        let done = last(&hub, "www.example-a.cn") == verdict("violation")
            && last(&hub, "www.example-b.cn") == verdict("not_applicable");
        done.then_some(())
    });
    let kept = std::fs::read_to_string(m.path("state/enrolment.json")).unwrap();
    assert!(kept.contains("example-b.cn") && !kept.contains("example-a.cn"), "{kept}");
    // And they are heeded once, not with every answer.
    let turns = m.log().matches("what the hub sets holds from now on").count();
    assert_eq!(turns, 2, "{}", m.log());
}
