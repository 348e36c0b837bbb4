//! Canaries: a negative counts between two good ones only.

use super::*;
use beian::facts::Why;

const CANARY_NAME: &str = "jinsique-shili.cn";

/// A source that starts to answer empty lists after N calls, for every N:
/// names that are filed never come out as anything else, names that are not
/// filed only while canaries on both sides were good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocked_in_the_middle_of_a_batch() {
    let filed: Vec<String> = (0..6).map(|i| format!("you{i}-shili.cn")).collect();
    let absent: Vec<String> = (0..3).map(|i| format!("wu{i}-shili.cn")).collect();
    let mut domains = serde_json::Map::from_iter([(CANARY_NAME.to_owned(), json!({"state": "filed"}))]);
    domains.extend(filed.iter().map(|n| (n.clone(), json!({"state": "filed"}))));
    let mut instances = serde_json::Map::new();
    for n in 0..=12 {
        for fault in ["empty_when_blocked", "html_block_200"] {
            instances.insert(
                format!("{fault}-{n}"),
                json!({"shape": "c", "domains": domains, "block_after": n, "block_fault": fault}),
            );
        }
    }
    let double = Double::start(&Value::Object(instances.clone()));
    let names: Vec<&str> =
        filed.iter().take(3).chain(&absent).chain(filed.iter().skip(3)).map(String::as_str).collect();
    for instance in instances.keys() {
        let (filings, _) = look(&open(&at(double.port, instance, "c", CANARY)), &names).await;
        let calls = double.log().iter().filter(|e| e["instance"] == instance.as_str()).count();
        let blocked = instance.rsplit('-').next().unwrap().parse::<usize>().unwrap() < calls;
        for (name, f) in names.iter().zip(&filings) {
            if name.starts_with("you") {
                assert!(
                    [FilingState::Filed, FilingState::Unknown].contains(&f.state),
                    "{instance} {name} {}",
                    f.state
                );
                assert!(blocked || f.state == FilingState::Filed, "{instance} {name}");
            } else {
                // The last canary comes after every negative: blocked at any
                // time, it fails, and with it all that waited for it.
                let want = if blocked { FilingState::Unknown } else { FilingState::SuspectedNotFiled };
                assert_eq!(f.state, want, "{instance} {name}");
            }
        }
    }
    double.check_calls();
}

#[tokio::test]
async fn a_bad_canary_before_or_after() {
    let negative = json!({"state": "absent"});
    let good = json!({"state": "filed"});
    for (sequence, want) in [
        (vec![&good, &good], FilingState::SuspectedNotFiled),
        (vec![&negative, &good], FilingState::Unknown),
        (vec![&good, &negative], FilingState::Unknown),
        (vec![&negative, &negative], FilingState::Unknown),
    ] {
        let domains = json!({CANARY_NAME: {"sequence": sequence}, "you-shili.cn": {"state": "filed"}});
        let double = Double::start(&json!({"c": {"shape": "c", "domains": domains}}));
        let (filings, _) =
            look(&open(&at(double.port, "c", "c", CANARY)), &["wu-shili.cn", "you-shili.cn"]).await;
        assert_eq!(states(&filings), [want, FilingState::Filed], "{sequence:?}");
        if want == FilingState::Unknown {
            assert_eq!(filings[0].why, Some(Why::CanaryFailed));
        }
        let log = double.log();
        assert_eq!(log[0]["apex"], CANARY_NAME, "before the first question");
        if sequence[0] == &good {
            assert_eq!(log.last().unwrap()["apex"], CANARY_NAME, "after the last negative");
        }
    }
}

/// A source that denies everything, its canary first, is left alone.
#[tokio::test]
async fn a_blocked_source_is_not_asked_on_and_on() {
    let double = Double::start(&json!({"c": {"shape": "c", "block_after": 0}, "bare": {"shape": "c"}}));
    let many: Vec<String> = (0..60).map(|i| format!("wu{i}-shili.cn")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    let (filings, _) = look(&open(&at(double.port, "c", "c", CANARY)), &names).await;
    assert!(filings.iter().all(|f| f.why == Some(Why::CanaryFailed)));
    let calls = double.log().len();
    assert!((10..=20).contains(&calls), "{calls}");
    // Without a canary nobody can tell; positives may still come.
    let (filings, _) = look(&open(&at(double.port, "bare", "c", "")), &names).await;
    assert!(filings.iter().all(|f| f.why == Some(Why::CanaryFailed)));
    assert_eq!(double.log().len() - calls, names.len());
}

/// No negative, no second canary.
#[tokio::test]
async fn positives_need_no_closing_canary() {
    let double = Double::start(&json!({"c": {"shape": "c", "default": {"state": "filed"}}}));
    let (filings, _) = look(&open(&at(double.port, "c", "c", CANARY)), &["you-shili.cn"]).await;
    assert_eq!(states(&filings), [FilingState::Filed]);
    assert_eq!(double.asked("c", CANARY_NAME), 1);
}

#[tokio::test]
async fn canaries_take_turns() {
    let domains = json!({CANARY_NAME: {"state": "filed"}, "jinsique-er.cn": {"state": "filed"}});
    let double = Double::start(&json!({"c": {"shape": "c", "domains": domains}}));
    let config = at(double.port, "c", "c", "canary = [\"jinsique-shili.cn\", \"jinsique-er.cn\"]");
    let (filings, _) = look(&open(&config), &["wu-shili.cn"]).await;
    assert_eq!(states(&filings), [FilingState::SuspectedNotFiled]);
    assert_eq!([double.asked("c", CANARY_NAME), double.asked("c", "jinsique-er.cn")], [1, 1]);
}

/// The closing canary of one batch opens the next, for some minutes; a bad
/// one opens nothing.
#[tokio::test]
async fn a_recent_canary_opens_the_next_batch() {
    let good = json!({"state": "filed"});
    let bad = json!({"state": "absent"});
    let domains = json!({CANARY_NAME: {"sequence": [good, good, good, bad, good, good]}});
    let double = Double::start(&json!({"c": {"shape": "c", "domains": domains}}));
    let registries = open(&at(double.port, "c", "c", CANARY));
    for (name, want, canaries) in [
        ("yi-shili.cn", FilingState::SuspectedNotFiled, 2),
        ("er-shili.cn", FilingState::SuspectedNotFiled, 3),
        ("san-shili.cn", FilingState::Unknown, 4),
        ("si-shili.cn", FilingState::SuspectedNotFiled, 6),
    ] {
        let (filings, _) = look(&registries, &[name]).await;
        assert_eq!(states(&filings), [want], "{name}");
        assert_eq!(double.asked("c", CANARY_NAME), canaries, "{name}");
    }
}

/// A canary that is itself in question proves nothing against itself.
#[tokio::test]
async fn a_source_that_denies_its_own_canary() {
    let good = json!({"state": "filed"});
    for (sequence, want) in [
        (vec![&good, &json!({"state": "absent"}), &good], FilingState::Unknown),
        (vec![&good, &good], FilingState::Filed),
    ] {
        let domains = json!({CANARY_NAME: {"sequence": sequence}});
        let double = Double::start(&json!({"c": {"shape": "c", "domains": domains}}));
        let (filings, _) = look(&open(&at(double.port, "c", "c", CANARY)), &[CANARY_NAME]).await;
        assert_eq!(states(&filings), [want]);
    }
}

/// `negative = "ambiguous"` makes the authority need canaries as well.
#[tokio::test]
async fn an_ambiguous_authority_needs_canaries() {
    let domains = json!({CANARY_NAME: {"state": "filed"}, "wu-shili.cn": {"state": "not_filed"}});
    let double = Double::start(&json!({"b": {"shape": "b", "domains": domains}}));
    let ambiguous = "negative = \"ambiguous\"";
    let (with, _) =
        look(&open(&at(double.port, "b", "b", &format!("{ambiguous}\n{CANARY}"))), &["wu-shili.cn"]).await;
    let (without, _) = look(&open(&at(double.port, "b", "b", ambiguous)), &["wu-shili.cn"]).await;
    assert_eq!(states(&with), [FilingState::SuspectedNotFiled]);
    assert_eq!(states(&without), [FilingState::Unknown]);
}
