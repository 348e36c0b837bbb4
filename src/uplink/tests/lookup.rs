use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::KeyPair as _;
use serde_json::{Value, json};

use super::hub::filing;
use super::{Hub, Say};
use crate::config::{self, Registry};
use crate::facts::{AccessState, Filing, FilingState, SourceState, Why};
use crate::filing::{Ask, AskHub, HubAnswer, HubFault, Registries};
use crate::uplink::{Enrolment, HubSettings, Identity, Lookup};

fn enrolment(hub: url::Url) -> Enrolment {
    Enrolment {
        hub,
        agent_id: "a1".to_owned(),
        receipt_key: URL_SAFE_NO_PAD.encode(super::hub::key().public_key()),
        polling_token: "a-polling-token-0123456789".to_owned().into(),
        quarantined: false,
        settings: HubSettings::default(),
    }
}

async fn with(script: Vec<Say>) -> (Hub, Lookup) {
    let identity = Identity::open(tempfile::tempdir().unwrap().path()).unwrap();
    let hub = Hub::start(identity.key().public_key().as_ref(), script).await;
    let lookup = Lookup::new(&config::Hub::default(), &enrolment(hub.url()), Arc::new(identity)).unwrap();
    (hub, lookup)
}

fn ask(names: &[&str]) -> Ask {
    Ask { names: names.iter().map(|n| (*n).to_owned()).collect() }
}

fn json_of(status: u16, body: impl Into<Vec<u8>>) -> Say {
    Say::This(status, vec![("content-type", "application/json".to_owned())], body.into())
}

fn micros() -> u64 {
    u64::try_from(Timestamp::now().as_microsecond()).unwrap()
}

/// The hub of these tests verifies every signature.
#[tokio::test]
async fn questions_are_signed_and_answers_are_filings_with_their_sources() {
    let (hub, lookup) = with(vec![]).await;
    let before = micros();
    let asks = [ask(&["example.cn"]), ask(&["www.x.gov.cn", "x.gov.cn"])];
    let answers = lookup.ask(&asks).await.unwrap();
    lookup.ask(&asks[..1]).await.unwrap();
    let calls = hub.calls();
    assert_eq!(calls[0].path, "/v1/filings:lookup");
    let body: Value = serde_json::from_slice(&calls[0].body).unwrap();
    assert_eq!(body, json!({"questions": [["example.cn"], ["www.x.gov.cn", "x.gov.cn"]]}));
    // A sequence of its own, which begins at the time and rises.
    assert!(calls[0].sequence >= before && calls[1].sequence > calls[0].sequence);
    assert!(calls[1].sequence <= micros());
    let HubAnswer::Filing(filing) = &answers[1] else { panic!("{answers:?}") };
    assert_eq!(filing.unit.as_deref(), Some("www.x.gov.cn"));
    assert_eq!((filing.state, filing.access), (FilingState::Filed, AccessState::Here));
    assert_eq!(filing.sources[0].registry, "yd2431");
    assert_eq!(filing.sources[0].checked_at, "2026-11-25T08:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn sequences_rise_however_fast_and_go_on_above_what_the_hub_has() {
    let ahead = micros() + 3_600_000_000;
    let back = Say::own(409, "sequence_rollback", json!({ "highest": ahead }));
    let (hub, lookup) = with(vec![Say::Well, back.clone(), Say::Well, Say::Well, back.clone(), back]).await;
    let asks = [ask(&["example.cn"])];
    for _ in 0..3 {
        assert_eq!(lookup.ask(&asks).await.unwrap().len(), 1);
    }
    // Sent again once, not for ever.
    assert_eq!(lookup.ask(&asks).await.unwrap_err().why, Why::Malformed);
    let sequences: Vec<u64> = hub.calls().iter().map(|c| c.sequence).collect();
    assert_eq!(sequences.len(), 6);
    assert!(sequences.windows(2).all(|w| w[0] < w[1]), "{sequences:?}");
    assert!(sequences[1] < ahead);
    assert_eq!(sequences[2..], [ahead + 1, ahead + 2, ahead + 3, ahead + 4]);
}

#[tokio::test]
async fn every_answer_that_is_none_is_a_failure_with_its_reason() {
    let wait = |status| Say::This(status, vec![("retry-after", "7".to_owned())], Vec::new());
    let good = filing(&json!("x"));
    let many = |n: usize| json!({"answers": vec![good.clone(); n]}).to_string();
    let seven = Some(Duration::from_secs(7));
    for (say, why, retry_after) in [
        (wait(429), Why::Throttled, seven),
        (wait(503), Why::Throttled, seven),
        (Say::page(429), Why::Throttled, None),
        (Say::page(503), Why::Unavailable, None),
        (Say::own(503, "unavailable", json!({})), Why::Unavailable, None),
        (Say::page(500), Why::Unavailable, None),
        (Say::own(401, "unknown_agent", json!({})), Why::Unauthorised, None),
        (Say::own(403, "revoked", json!({})), Why::Unauthorised, None),
        (Say::page(401), Why::Blocked, None),
        (Say::page(403), Why::Blocked, None),
        (Say::page(404), Why::Malformed, None),
        (Say::own(400, "schema", json!({})), Why::Malformed, None),
        (Say::own(409, "sequence_rollback", json!({"highest": u64::MAX})), Why::Malformed, None),
        (Say::own(409, "sequence_rollback", json!({})), Why::Malformed, None),
        (Say::page(413), Why::TooLarge, None),
        (Say::This(307, vec![("location", "/elsewhere".to_owned())], vec![]), Why::Redirected, None),
        (Say::page(200), Why::Malformed, None),
        (Say::This(204, vec![], vec![]), Why::Malformed, None),
        (json_of(200, many(0)), Why::Malformed, None),
        (json_of(200, many(2)), Why::Malformed, None),
        (json_of(200, "{}"), Why::Malformed, None),
        (json_of(200, "{\"answers\":{}}"), Why::Malformed, None),
        (json_of(200, "[".repeat(100_000)), Why::Malformed, None),
        (json_of(200, vec![0xff; 50]), Why::Malformed, None),
        (json_of(200, vec![b' '; (1 << 20) + 1]), Why::TooLarge, None),
    ] {
        let (hub, lookup) = with(vec![say.clone()]).await;
        let fault = lookup.ask(&[ask(&["example.cn"])]).await.unwrap_err();
        assert_eq!((fault.why, fault.retry_after), (why, retry_after), "{say:?}");
        assert_eq!(fault.operator.is_some(), why == Why::Unauthorised, "{say:?}");
        assert_eq!(hub.calls().len(), 1, "{say:?}");
    }
    // Nobody listens.
    let (hub, lookup) = with(vec![]).await;
    let gone = Enrolment { hub: "http://127.0.0.1:9".parse().unwrap(), ..enrolment(hub.url()) };
    let identity = Arc::new(Identity::open(tempfile::tempdir().unwrap().path()).unwrap());
    let nobody = Lookup::new(&config::Hub::default(), &gone, identity).unwrap();
    let asks = [ask(&["example.cn"])];
    assert_eq!(nobody.ask(&asks).await, Err(HubFault::new(Why::Unavailable)));
    assert!(lookup.ask(&asks).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_not_understood_bars_no_other() {
    let mut odd = filing(&json!("x"));
    odd["filing"]["state"] = json!("frozen");
    let mut both = filing(&json!("x"));
    both["refused"] = json!("quota");
    let all = [
        filing(&json!("x")),
        json!({"refused": "not_served"}),
        json!({"refused": "quota"}),
        json!({"refused": "not_a_domain"}),
        json!({"refused": "some_new_word"}),
        odd,
        both,
        json!({}),
        json!(null),
        json!(7),
    ];
    let (_hub, lookup) = with(vec![json_of(200, json!({ "answers": all }).to_string())]).await;
    let answers = lookup.ask(&vec![ask(&["example.cn"]); all.len()]).await.unwrap();
    assert!(matches!(&answers[0], HubAnswer::Filing(f) if f.state == FilingState::Filed));
    use HubAnswer::{Malformed, NotADomain, NotServed, Quota};
    assert_eq!(answers[1..4], [NotServed, Quota, NotADomain]);
    assert!(answers[4..].iter().all(|a| *a == Malformed), "{answers:?}");
}

/// From the settings to the filing, as `audit` and the daemon wire it.
#[tokio::test]
async fn kind_hub_asks_the_hub_of_the_enrolment() {
    let state = tempfile::tempdir().unwrap();
    let identity = Identity::open(state.path()).unwrap();
    let hub = Hub::start(identity.key().public_key().as_ref(), vec![]).await;
    let settings = |text: &str| {
        let file = state.path().join("agent.toml");
        let agent = format!("[agent]\nstate_dir = {:?}\n{text}", state.path());
        std::fs::write(&file, agent).unwrap();
        config::Config::load_with(Some(&file), vec![])
    };
    let kind_hub = "[[registry]]\nname = 'central'\nkind = 'hub'\n";
    assert!(settings(kind_hub).unwrap_err().0.en.contains("enrol"), "which hub?");
    assert!(Lookup::open(&settings("").unwrap()).is_none());
    enrolment(hub.url()).write(state.path()).unwrap();

    let cfg = settings(kind_hub).unwrap();
    let lookup = Lookup::open(&cfg).unwrap().unwrap();
    let registries = Registries::new(&cfg.registries).unwrap().through(Some(Arc::new(lookup)));
    let filing = registries.lookup(&[ask(&["example.cn"])], &|| {}).await.filings.remove(0);
    assert_eq!((filing.state, filing.sources[0].state), (FilingState::Filed, SourceState::Filed));
    assert_eq!(hub.calls().len(), 1);
    // Another hub's enrolment is none with the one that is configured.
    let cfg = settings("[hub]\nurl = 'https://other.example.com'\n").unwrap();
    assert!(Lookup::open(&cfg).is_none());
    let unknown = Registries::new(&[Registry::hub()]).unwrap().lookup(&[ask(&["example.cn"])], &|| {}).await;
    let Filing { state, why, .. } = &unknown.filings[0];
    assert_eq!((*state, *why), (FilingState::Unknown, Some(Why::Configuration)));
}

/// A one-off command makes nothing in the state folder.
#[test]
fn asking_makes_no_key() {
    let state = tempfile::tempdir().unwrap();
    enrolment("https://hub.example.com".parse().unwrap()).write(state.path()).unwrap();
    let file = state.path().join("agent.toml");
    std::fs::write(&file, format!("[agent]\nstate_dir = {:?}\n", state.path())).unwrap();
    let list = |d: &Path| std::fs::read_dir(d).unwrap().count();
    let before = list(state.path());
    let cfg = config::Config::load_with(Some(&file), vec![]).unwrap();
    assert!(Lookup::open(&cfg).is_none());
    assert_eq!(list(state.path()), before);
}
