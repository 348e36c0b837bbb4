//! What healthy sources say, in every shape and with every quirk.

use super::*;
use beian::facts::Why;

const SHAPES: &[&str] = &["b", "c", "chinaz", "tianapi", "mir6", "apihz", "uapis"];
const NAME: &str = "xingtai-shili.cn";

/// Asks each instance of one double for one name; the double starts slowly.
async fn each(instances: &[(String, &str, Value)], name: &str) -> (Vec<Filing>, Double) {
    let all =
        instances.iter().map(|(n, shape, domains)| (n.clone(), json!({"shape": shape, "domains": domains})));
    let double = Double::start(&Value::Object(all.collect()));
    let asked = instances.iter().map(|(instance, shape, _)| {
        let canary = if *shape == "b" { "" } else { CANARY };
        let config = at(double.port, instance, shape, canary);
        async move {
            let (filings, problems) = look(&open(&config), &[name]).await;
            assert!(problems.is_empty(), "{problems:?}");
            filings.into_iter().next().unwrap()
        }
    });
    let filings =
        futures::StreamExt::collect(futures::StreamExt::buffered(futures::stream::iter(asked), 8)).await;
    double.check_calls();
    (filings, double)
}

/// Every shape, both encodings, declared or not, codes as numbers and as
/// strings: filed is filed, with its facts; asked once.
#[tokio::test]
async fn filed_in_every_shape() {
    let mut instances = serde_json::Map::new();
    let mut all = Vec::new();
    for shape in SHAPES {
        for charset in ["utf-8", "gbk"] {
            for declare in [true, false] {
                for code_type in ["number", "string"] {
                    let name = format!("{shape}-{charset}-{declare}-{code_type}");
                    instances.insert(
                        name.clone(),
                        json!({"shape": shape, "charset": charset, "declare": declare, "code_type": code_type,
                               "domains": {NAME: {"state": "filed"}, "jinsique-shili.cn": {"state": "filed"}}}),
                    );
                    all.push((name, *shape));
                }
            }
        }
    }
    let double = Double::start(&Value::Object(instances));
    for (name, shape) in &all {
        let canary = if *shape == "b" { "" } else { CANARY };
        let (filings, _) = look(&open(&at(double.port, name, shape, canary)), &[NAME]).await;
        let f = &filings[0];
        assert_eq!((f.state, f.why), (FilingState::Filed, None), "{name}");
        assert_eq!(f.site_licence.as_deref(), Some("蜀ICP备00000001号-2"), "{name}");
        assert_eq!(source(f, name), SourceState::Filed);
        if *shape != "b" {
            assert_eq!(f.unit.as_deref(), Some("成都示例科技有限公司"), "{name}");
            assert_eq!(f.nature.as_deref(), Some("企业"), "{name}");
        }
        if !["b", "uapis"].contains(shape) {
            assert_eq!(f.approved_on.as_deref(), Some("2023-10-18"), "{name}");
        }
        assert_eq!(double.asked(name, NAME), 1, "{name}");
    }
    double.check_calls();
}

/// One negative: alone only from the authority, else a suspicion, and
/// nothing at all without a canary.
#[tokio::test]
async fn negatives_in_every_shape() {
    for state in ["not_filed", "absent"] {
        let mut instances = serde_json::Map::new();
        for shape in SHAPES {
            let domains = json!({NAME: {"state": state}, "jinsique-shili.cn": {"state": "filed"}});
            instances.insert((*shape).to_owned(), json!({"shape": shape, "domains": domains}));
        }
        let double = Double::start(&Value::Object(instances));
        for shape in SHAPES {
            let (with, _) = look(&open(&at(double.port, shape, shape, CANARY)), &[NAME]).await;
            let (without, _) = look(&open(&at(double.port, shape, shape, "")), &[NAME]).await;
            if *shape == "b" {
                assert_eq!(states(&with), [FilingState::NotFiled]);
                assert_eq!(states(&without), [FilingState::NotFiled]);
                assert_eq!(double.asked(shape, "jinsique-shili.cn"), 0, "the authority needs no canary");
            } else {
                assert_eq!(states(&with), [FilingState::SuspectedNotFiled], "{shape}");
                assert_eq!(source(&with[0], shape), SourceState::SuspectedNotFiled, "{shape}");
                assert_eq!(states(&without), [FilingState::Unknown], "{shape}");
                assert_eq!(without[0].why, Some(Why::CanaryFailed), "{shape}");
                assert_eq!(
                    double.asked(shape, "jinsique-shili.cn"),
                    2,
                    "{shape}: one canary before, one after"
                );
            }
            assert_eq!(double.asked(shape, NAME), 2, "{shape}: once a pass");
        }
    }
}

#[tokio::test]
async fn rows_of_the_ministrys_list() {
    let cases = [
        (json!(["other_first"]), "filed", FilingState::Filed),
        (json!(["empty_domain"]), "filed", FilingState::Filed),
        (json!(["total_wrong"]), "filed", FilingState::Filed),
        (json!(["pages"]), "filed", FilingState::Filed),
        (json!(["old_duplicate"]), "filed", FilingState::Filed),
        (json!(["restricted_new"]), "filed", FilingState::Restricted),
        (json!([]), "restricted", FilingState::Restricted),
        (json!(["other_first", "empty_domain", "old_duplicate"]), "filed", FilingState::Filed),
        (json!(["suffix_only"]), "absent", FilingState::SuspectedNotFiled),
        (json!(["empty_domain"]), "absent", FilingState::SuspectedNotFiled),
        (json!(["pages"]), "absent", FilingState::SuspectedNotFiled),
        (json!(["total_wrong"]), "absent", FilingState::Unknown),
    ];
    let instances: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(i, (rows, state, _))| {
            let domains =
                json!({NAME: {"state": state, "rows": rows}, "jinsique-shili.cn": {"state": "filed"}});
            (format!("c{i}"), "c", domains)
        })
        .collect();
    let (filings, _double) = each(&instances, NAME).await;
    for ((rows, state, want), f) in cases.iter().zip(&filings) {
        assert_eq!(f.state, *want, "{rows} {state}");
    }
    assert_eq!(filings[4].unit.as_deref(), Some("成都示例科技有限公司"), "the newest row's unit");
}

/// U-label first, then A-label; a source may know either.
#[tokio::test]
async fn both_spellings_of_an_idn() {
    const IDN: &str = "xn--ojqx2aw82g.xn--fiqs8s";
    let mut instances = Vec::new();
    for shape in SHAPES {
        for knows in ["u", "a", "both", "none"] {
            let behaviour = match knows {
                "both" => json!({"state": "filed"}),
                "none" => json!({"state": "absent"}),
                _ => json!({"state": "filed", "answers": knows}),
            };
            let domains = json!({"示例乙.中国": behaviour, "jinsique-shili.cn": {"state": "filed"}});
            instances.push((format!("{shape}-{knows}"), *shape, domains));
        }
    }
    let (filings, double) = each(&instances, IDN).await;
    for ((instance, ..), f) in instances.iter().zip(&filings) {
        let calls = double.asked(instance, IDN);
        if instance.ends_with("none") {
            assert!([FilingState::NotFiled, FilingState::SuspectedNotFiled].contains(&f.state), "{instance}");
            assert_eq!(calls, 2, "{instance}: denied in both spellings");
        } else {
            assert_eq!(f.state, FilingState::Filed, "{instance}");
            assert_eq!(calls, if instance.ends_with("-a") { 2 } else { 1 }, "{instance}");
        }
    }
}

/// Under .gov.cn the host is asked, then its parents; the first filed counts.
#[tokio::test]
async fn names_under_gov_cn() {
    let domains = json!({
        "bumen.shi.gov.cn": {"state": "filed"}, "jia.gov.cn": {"state": "filed"},
        "guzhang.yi.gov.cn": {"fault": "msg_code_999"},
    });
    let double =
        Double::start(&json!({"b": {"shape": "b", "default": {"state": "not_filed"}, "domains": domains}}));
    let registries = open(&at(double.port, "b", "b", ""));
    let ask = |names: &[&str]| Ask { names: names.iter().map(|n| (*n).to_owned()).collect() };
    let answers = registries
        .lookup(
            &[
                ask(&["www.bumen.shi.gov.cn", "bumen.shi.gov.cn", "shi.gov.cn"]),
                ask(&["www.jia.gov.cn", "jia.gov.cn"]),
                ask(&["qita.shi.gov.cn", "shi.gov.cn"]),
                ask(&["guzhang.yi.gov.cn", "yi.gov.cn"]),
                ask(&["jia.gov.cn"]),
            ],
            &|| {},
        )
        .await;
    let got: Vec<_> = answers.filings.iter().map(|f| (f.state, f.filed_for.as_deref())).collect();
    assert_eq!(
        got,
        [
            (FilingState::Filed, Some("bumen.shi.gov.cn")),
            (FilingState::Filed, Some("jia.gov.cn")),
            (FilingState::NotFiled, None),
            (FilingState::Unknown, None),
            (FilingState::Filed, None),
        ]
    );
    for name in ["www.bumen.shi.gov.cn", "bumen.shi.gov.cn", "jia.gov.cn", "shi.gov.cn", "yi.gov.cn"] {
        assert_eq!(double.asked("b", name), 1, "{name}");
    }
}

/// Equal questions are one question, and a second lookup asks nothing.
#[tokio::test]
async fn coalesced_and_kept() {
    let domains = json!({NAME: {"state": "filed"}, "jinsique-shili.cn": {"state": "filed"}});
    let double = Double::start(&json!({"c": {"shape": "c", "domains": domains}}));
    let registries = open(&at(double.port, "c", "c", CANARY));
    let names = [NAME, "que-shili.cn", NAME, "que-shili.cn"];
    let (filings, _) = look(&registries, &names).await;
    let want = [
        FilingState::Filed,
        FilingState::SuspectedNotFiled,
        FilingState::Filed,
        FilingState::SuspectedNotFiled,
    ];
    assert_eq!(states(&filings), want);
    let calls = double.log().len();
    assert_eq!(calls, 4, "two names, two canaries");
    let (again, _) = look(&registries, &names).await;
    assert_eq!(states(&again), want);
    assert_eq!(again[0].sources[0].checked_at, filings[0].sources[0].checked_at, "the time of the answer");
    assert_eq!(double.log().len(), calls);
}

/// 429 with Retry-After is obeyed once, 401 is tried once more.
#[tokio::test]
async fn second_tries() {
    let cases = [
        (json!({"fault": "http_429_retry_after", "retry_after": 1}), 1.0),
        (json!({"fault": "http_429"}), 0.9),
        (json!({"fault": "code_429"}), 0.9),
        (json!({"fault": "http_401"}), 0.0),
        (json!({"fault": "code_401"}), 0.0),
        (json!({"fault": "reset"}), 0.0),
        (json!({"fault": "cut_mid_body"}), 0.0),
    ];
    let instances: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(i, (fault, _))| {
            let sequence = json!([fault, {"state": "filed"}]);
            (
                format!("c{i}"),
                "c",
                json!({NAME: {"sequence": sequence}, "jinsique-shili.cn": {"state": "filed"}}),
            )
        })
        .collect();
    let (filings, double) = each(&instances, NAME).await;
    let log = double.log();
    for (((fault, gap), (instance, ..)), f) in cases.iter().zip(&instances).zip(&filings) {
        assert_eq!(f.state, FilingState::Filed, "{fault}");
        let at: Vec<f64> = log
            .iter()
            .filter(|e| e["apex"] == NAME && e["instance"] == instance.as_str())
            .filter_map(|e| e["mono"].as_f64())
            .collect();
        assert_eq!(at.len(), 2, "{fault}");
        assert!(at[1] - at[0] >= *gap, "{fault}: {}", at[1] - at[0]);
    }
    // Longer than anyone waits: no second try, and the source is left alone.
    let domains = json!({"zz-shili.cn": {"fault": "http_429_retry_after", "retry_after": 600}});
    let double =
        Double::start(&json!({"b": {"shape": "b", "default": {"state": "filed"}, "domains": domains}}));
    let start = std::time::Instant::now();
    let (filings, _) = look(&open(&at(double.port, "b", "b", "")), &["zz-shili.cn", NAME]).await;
    assert_eq!(states(&filings), [FilingState::Unknown, FilingState::Unknown]);
    assert_eq!(filings[1].why, Some(Why::Throttled));
    assert_eq!(double.log().len(), 1);
    assert!(start.elapsed().as_secs() < 5);
}

/// What only the operator can mend stops the source at once, with one problem.
#[tokio::test]
async fn operators_faults_stop_the_source() {
    let many: Vec<String> = (0..20).map(|i| format!("n{i:02}-shili.cn")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases = [
        ("b", "msg_code_12"),
        ("b", "msg_code_5"),
        ("chinaz", "bad_key"),
        ("chinaz", "no_credit"),
        ("tianapi", "bad_key"),
        ("apihz", "no_credit"),
        ("c", "http_401"),
    ];
    let instance = |shape: &str, fault: &str| format!("{shape}-{fault}");
    let all = cases
        .iter()
        .map(|(shape, fault)| (instance(shape, fault), json!({"shape": shape, "default": {"fault": fault}})));
    let double = Double::start(&Value::Object(all.collect()));
    for (shape, fault) in cases {
        let x = instance(shape, fault);
        let (filings, problems) = look(&open(&at(double.port, &x, shape, "")), &names).await;
        assert!(filings.iter().all(|f| f.state == FilingState::Unknown), "{x}");
        assert_eq!(problems.len(), 1, "{x}: {problems:?}");
        assert_eq!(problems[0].registry.as_deref(), Some(x.as_str()));
        assert_eq!(problems[0].kind.as_str(), "registry_configuration");
        assert!(!problems[0].message.contains("KEY"), "{problems:?}");
        let calls = double.log().iter().filter(|e| e["instance"] == x.as_str()).count();
        assert_eq!(calls, if fault == "http_401" { 2 } else { 1 }, "{x}");
    }
}

/// A dead or blocked source is given up, whatever the number of names.
#[tokio::test]
async fn a_broken_source_is_given_up() {
    let many: Vec<String> = (0..10_000).map(|i| format!("n{i}-shili.cn")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    let double = Double::start(&json!({"x": {"shape": "b", "default": {"fault": "html_block_403"}},
                                       "slow": {"shape": "b", "default": {"state": "filed", "delay_ms": 20_000}}}));
    let start = std::time::Instant::now();
    let (filings, _) = look(&open(&at(double.port, "x", "b", "")), &names).await;
    assert!(filings.iter().all(|f| f.state == FilingState::Unknown && f.why == Some(Why::Blocked)));
    assert_eq!(double.log().len(), 5);
    let (filings, _) = look(&open(&at(double.port, "slow", "b", "timeout = \"300ms\"")), &names).await;
    assert!(filings.iter().all(|f| f.why == Some(Why::Timeout)));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (filings, _) = look(&open(&at(dead, "dead", "c", CANARY)), &names).await;
    assert!(filings.iter().all(|f| f.why == Some(Why::Unavailable)));
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// Names that fail one by one do not cost the others their answers.
#[tokio::test]
async fn single_faults_do_not_stop_a_source_whose_canary_is_good() {
    let mut domains =
        serde_json::Map::from_iter([("jinsique-shili.cn".to_owned(), json!({"state": "filed"}))]);
    let mut names = Vec::new();
    for i in 0..12 {
        domains.insert(format!("huai{i:02}-shili.cn"), json!({"fault": "http_500"}));
        names.push(format!("huai{i:02}-shili.cn"));
    }
    domains.insert(NAME.to_owned(), json!({"state": "filed"}));
    names.push(NAME.to_owned());
    let double = Double::start(&json!({"c": {"shape": "c", "domains": domains}}));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (filings, _) = look(&open(&at(double.port, "c", "c", CANARY)), &names).await;
    assert_eq!(filings.last().map(|f| f.state), Some(FilingState::Filed));
    assert!(filings.iter().rev().skip(1).all(|f| f.why == Some(Why::Unavailable)));
}

#[tokio::test]
async fn rate_is_kept() {
    let double = Double::start(&json!({"c": {"shape": "c", "default": {"state": "filed"}}}));
    let many: Vec<String> = (0..15).map(|i| format!("su{i:02}-shili.cn")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    let more = format!("{CANARY}\nrate = \"5/s\"");
    let (filings, _) = look(&open(&at(double.port, "c", "c", &more)), &names).await;
    assert!(filings.iter().all(|f| f.state == FilingState::Filed));
    let at: Vec<f64> = double.log().iter().filter_map(|e| e["mono"].as_f64()).collect();
    let most = at.iter().map(|a| at.iter().filter(|b| *a <= **b && **b < a + 1.0).count()).max();
    assert!(most.is_some_and(|n| n <= 10), "{most:?}");
    for name in names {
        assert_eq!(double.asked("c", name), 1);
    }
}

/// A key goes to its own registry only, and a password to none.
#[tokio::test]
async fn secrets_stay_home() {
    let domains = json!({NAME: {"state": "filed"}, "jinsique-shili.cn": {"state": "filed"}});
    let mut instances = serde_json::Map::new();
    for shape in ["chinaz", "tianapi", "apihz"] {
        instances
            .insert(shape.into(), json!({"shape": shape, "domains": domains, "key": format!("KEY-{shape}")}));
    }
    instances.insert("uapis".into(), json!({"shape": "uapis", "domains": domains}));
    for order in ["password_rand", "rand_password"] {
        let b = json!({"shape": "b", "domains": domains, "user": "shiliuser", "password": "PASS-示例-77b1",
                       "isp_id": "1001", "hash_order": order});
        instances.insert(order.into(), b);
    }
    let double = Double::start(&Value::Object(instances));
    let mut config = String::new();
    for shape in ["chinaz", "tianapi", "apihz", "uapis"] {
        config += &at(double.port, shape, shape, CANARY);
    }
    for order in ["password_rand", "rand_password"] {
        config += &at(double.port, order, "b", &format!("hash_order = \"{order}\""));
    }
    let (filings, problems) = look(&open(&config), &[NAME]).await;
    assert!(problems.is_empty(), "{problems:?}");
    assert!(filings[0].sources.iter().all(|s| s.state == SourceState::Filed), "{:?}", filings[0].sources);
    for e in double.log() {
        let text = e.to_string();
        assert!(!text.contains("PASS-"), "a password was sent");
        for shape in ["chinaz", "tianapi", "apihz"] {
            assert!(!text.contains(&format!("KEY-{shape}")) || e["instance"] == shape, "{text}");
        }
        assert!(!text.contains("KEY-uapis"), "a key that the service does not take");
    }
}

#[tokio::test]
async fn sources_that_agree_and_disagree() {
    let both = |a: &str, b: &str| {
        json!({"c": {"shape": "c", "domains": {NAME: {"state": a}, "jinsique-shili.cn": {"state": "filed"}}},
               "chinaz": {"shape": "chinaz", "domains": {NAME: {"state": b}, "jinsique-shili.cn": {"state": "filed"}}}})
    };
    for (a, b, upstream, want) in [
        ("absent", "not_filed", "", FilingState::NotFiled),
        ("absent", "not_filed", "upstream = \"same\"\n", FilingState::SuspectedNotFiled),
        ("filed", "not_filed", "", FilingState::Filed),
        ("restricted", "filed", "", FilingState::Restricted),
    ] {
        let double = Double::start(&both(a, b));
        let more = format!("{upstream}{CANARY}");
        let config = at(double.port, "c", "c", &more) + &at(double.port, "chinaz", "chinaz", &more);
        let (filings, _) = look(&open(&config), &[NAME]).await;
        assert_eq!(states(&filings), [want], "{a} {b} {upstream}");
        assert_eq!(
            filings[0].sources.iter().map(|s| s.registry.as_str()).collect::<Vec<_>>(),
            ["c", "chinaz"]
        );
    }
}
