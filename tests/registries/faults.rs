//! A failure is never a verdict: every fault of the double at every shape.

use super::*;
use beian::facts::Why;

/// Faults that a shape's double answers with its weakest negative: between
/// good canaries that is a suspicion, which is all it may ever be.
fn weak(shape: &str, fault: &str) -> bool {
    match shape {
        // An empty list, and a list of strangers.
        "c" => {
            [
                "empty_when_blocked",
                "other_domain_answer",
                "ambiguous",
                "no_credit",
                "soap_fault",
                "inner_not_xml",
            ]
            .contains(&fault)
                || fault.starts_with("bazt_")
                || fault.starts_with("msg_code_")
        }
        "chinaz" | "uapis" => ["empty_when_blocked", "ambiguous"].contains(&fault),
        "tianapi" => ["empty_when_blocked", "ambiguous"].contains(&fault),
        // 201 is its code for every failure.
        "mir6" => true,
        _ => false,
    }
}

fn faults() -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
    let out = Command::new("python3")
        .args(["-c", "import sys; sys.path.insert(0, sys.argv[1]); import registry_double as d; print('\\n'.join(d.FAULTS))"])
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

const SHAPES: &[&str] = &["b", "c", "chinaz", "tianapi", "mir6", "apihz", "uapis"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_is_a_verdict() {
    let faults = faults();
    assert!(faults.len() > 50);
    let mut instances = serde_json::Map::new();
    for shape in SHAPES {
        for fault in &faults {
            let domains =
                json!({"guzhang-shili.cn": {"fault": fault}, "jinsique-shili.cn": {"state": "filed"}});
            instances.insert(format!("{shape}-{fault}"), json!({"shape": shape, "domains": domains}));
        }
    }
    let double = Double::start(&Value::Object(instances));
    let start = std::time::Instant::now();
    let mut all = Vec::new();
    for shape in SHAPES {
        for fault in &faults {
            let canary = if *shape == "b" { "" } else { CANARY };
            // Only the one that never ends needs a short time.
            let time = if fault == "drip" { "2s" } else { "20s" };
            let more = format!("{canary}\ntimeout = \"{time}\"");
            let config = at(double.port, &format!("{shape}-{fault}"), shape, &more);
            all.push(async move {
                let registries = open(&config);
                let (filings, problems) = look(&registries, &["guzhang-shili.cn"]).await;
                (*shape, fault.as_str(), filings[0].clone(), problems)
            });
        }
    }
    let results: Vec<_> =
        futures::StreamExt::collect(futures::StreamExt::buffer_unordered(futures::stream::iter(all), 24))
            .await;
    assert_eq!(results.len(), SHAPES.len() * faults.len());
    let mut wrong = Vec::new();
    for (shape, fault, filing, _) in &results {
        let fine = filing.state == FilingState::Unknown
            || (filing.state == FilingState::SuspectedNotFiled && weak(shape, fault));
        if !fine {
            wrong.push(format!("{shape} {fault}: {}", filing.state));
        }
        assert_eq!(filing.site_licence, None);
        assert_eq!(
            filing.sources[0].error.is_some(),
            filing.state == FilingState::Unknown,
            "{shape} {fault}"
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let why = |shape: &str, fault: &str| {
        let (.., f, problems) = results.iter().find(|r| (r.0, r.1) == (shape, fault)).unwrap();
        (f.sources[0].error, !problems.is_empty())
    };
    for shape in SHAPES {
        for (fault, want) in [
            ("html_block_200", Why::Blocked),
            ("html_block_403", Why::Blocked),
            ("http_521", Why::Blocked),
            ("http_429", Why::Throttled),
            ("http_429_retry_after", Why::Throttled),
            ("http_500", Why::Unavailable),
            ("redirect", Why::Redirected),
            ("huge_body", Why::TooLarge),
            ("gzip_bomb", Why::TooLarge),
            ("header_flood", Why::TooLarge),
            ("drip", Why::Timeout),
            ("reset", Why::Unavailable),
            ("cut_mid_body", Why::Unavailable),
            ("not_json", Why::Malformed),
            ("deep_json", Why::Malformed),
            ("nul_bytes", Why::Malformed),
            ("empty_body", Why::Malformed),
            ("wrong_content_type", Why::Malformed),
            ("json_as_html", Why::Malformed),
            ("empty_content_type", Why::Malformed),
        ] {
            assert_eq!(why(shape, fault), (Some(want), false), "{shape} {fault}");
        }
        assert_eq!(why(shape, "http_401"), (Some(Why::Unauthorised), true), "{shape}");
    }
    for code in ["4", "5", "7", "10", "12", "13", "16", "19"] {
        assert_eq!(why("b", &format!("msg_code_{code}")), (Some(Why::Configuration), true), "{code}");
    }
    for code in ["20", "901", "902", "999"] {
        assert_eq!(why("b", &format!("msg_code_{code}")), (Some(Why::Unavailable), false), "{code}");
    }
    for shape in ["chinaz", "tianapi", "apihz"] {
        assert_eq!(why(shape, "no_credit"), (Some(Why::Credit), true), "{shape}");
    }
    for shape in ["chinaz", "tianapi"] {
        assert_eq!(why(shape, "bad_key"), (Some(Why::Unauthorised), true), "{shape}");
    }
    for shape in ["c", "tianapi", "mir6", "apihz"] {
        assert_eq!(why(shape, "throttled"), (Some(Why::Throttled), false), "{shape}");
    }
    double.check_calls();
    // 429 and 401 are tried twice at most, and so is a broken connection.
    for shape in SHAPES {
        for fault in &faults {
            let n = double.asked(&format!("{shape}-{fault}"), "guzhang-shili.cn");
            assert!((1..=2).contains(&n), "{shape} {fault} was asked {n} times");
        }
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
