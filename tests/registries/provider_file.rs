//! The provider's file beside other sources.

use super::*;
use beian::facts::{AccessState, Why};

fn file_config(path: &std::path::Path, negative: &str) -> String {
    format!(
        "[[registry]]\nname = \"provider\"\nkind = \"provider_db\"\npath = \"{}\"\nnegative = \"{negative}\"\n",
        path.display()
    )
}

const HEADER: &str = "域名,主体备案号,网站备案号,主办单位,接入状态,审核通过日期\n";

#[tokio::test]
async fn the_file_beside_the_authority() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("filings.csv");
    let row =
        |name: &str, licence: &str, state: &str| format!("{name},,{licence},示例公司,{state},2024-03-01\n");
    let licence = "蜀ICP备00000002号-1";
    std::fs::write(
        &path,
        HEADER.to_owned()
            + &row("jieru-shili.cn", licence, "已接入")
            + &row("chushen-shili.cn", licence, "初审通过")
            + &row("chushen-wu.cn", "", "初审通过")
            + &row("quxiao-shili.cn", licence, "取消接入")
            + &row("quxiao-wu.cn", "", "待初审")
            + &row("zhuxiao-shili.cn", licence, "已接入"),
    )
    .unwrap();
    let names = [
        "jieru-shili.cn",
        "chushen-shili.cn",
        "chushen-wu.cn",
        "quxiao-shili.cn",
        "quxiao-wu.cn",
        "zhuxiao-shili.cn",
        "meiyou-shili.cn",
    ];
    let alone = look(&open(&file_config(&path, "authoritative")), &names).await.0;
    let facts: Vec<_> = alone.iter().map(|f| (f.state, f.access, source(f, "provider"))).collect();
    use AccessState as A;
    use FilingState as F;
    use SourceState as S;
    assert_eq!(
        facts,
        [
            (F::Filed, A::Here, S::Filed),
            (F::Filed, A::Pending, S::Filed),
            (F::Unknown, A::Pending, S::Unknown),
            (F::Filed, A::Elsewhere, S::Filed),
            (F::Unknown, A::Elsewhere, S::NotConnected),
            (F::Filed, A::Here, S::Filed),
            (F::Unknown, A::Elsewhere, S::NotConnected),
        ]
    );
    assert_eq!(alone[0].approved_on.as_deref(), Some("2024-03-01"));
    let partial = look(&open(&file_config(&path, "ambiguous")), &names).await.0;
    assert_eq!((partial[6].state, partial[6].access), (F::Unknown, A::Unknown));
    assert_eq!((partial[0].state, partial[0].access), (F::Filed, A::Here));

    let domains = json!({"zhuxiao-shili.cn": {"state": "not_filed"}, "meiyou-shili.cn": {"state": "filed"},
                         "jieru-shili.cn": {"state": "filed"}});
    let double =
        Double::start(&json!({"b": {"shape": "b", "default": {"state": "not_filed"}, "domains": domains}}));
    let config = file_config(&path, "authoritative") + &at(double.port, "b", "b", "");
    let both = look(&open(&config), &names).await.0;
    assert_eq!((both[0].state, both[0].access), (F::Filed, A::Here));
    assert_eq!((both[2].state, both[2].access), (F::NotFiled, A::Pending));
    assert_eq!((both[5].state, both[5].why), (F::Unknown, Some(Why::SourcesDisagree)));
    assert_eq!((both[6].state, both[6].access), (F::Filed, A::Elsewhere));
    assert_eq!(both[6].sources.len(), 2);
}

/// A file that cannot be used is a failed source: nothing is known, nothing
/// is absent, and the operator is told.
#[tokio::test]
async fn a_file_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("filings.csv");
    for (what, bytes) in [
        ("empty", b"".to_vec()),
        ("header only", HEADER.as_bytes().to_vec()),
        ("no header", "jieru-shili.cn,已接入\n".as_bytes().to_vec()),
        ("only bad rows", format!("{HEADER}jieru-shili.cn,,,,什么,\n,,,,已接入,\n").into_bytes()),
        ("open quote", format!("{HEADER}jieru-shili.cn,,,\"示例,已接入,\nx.cn,,,,已接入,\n").into_bytes()),
        ("bytes", vec![0x89, b'P', b'N', b'G', 0xff, 0xff, 0x80]),
        ("broken zip", b"PK\x03\x04rubbish".to_vec()),
        ("broken json", b"[{\"domain\":".to_vec()),
        ("json of another kind", b"{\"x\": 1}".to_vec()),
        ("deep json", [b"[".repeat(100_000), b"]".repeat(100_000)].concat()),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let (filings, problems) =
            look(&open(&file_config(&path, "authoritative")), &["jieru-shili.cn"]).await;
        let f = &filings[0];
        assert_eq!((f.state, f.access), (FilingState::Unknown, AccessState::Unknown), "{what}");
        assert_eq!(f.why, Some(Why::Malformed), "{what}");
        assert!(problems.iter().any(|p| p.registry.as_deref() == Some("provider")), "{what}");
        assert!(problems.iter().all(|p| !p.message.contains("shili")), "{what}: quotes the file");
    }
    std::fs::remove_file(&path).unwrap();
    let (filings, problems) = look(&open(&file_config(&path, "authoritative")), &["jieru-shili.cn"]).await;
    assert_eq!(filings[0].why, Some(Why::Configuration));
    assert_eq!((filings[0].access, problems.len()), (AccessState::Unknown, 1));
}

/// A failed file beside a healthy authority: the authority decides the
/// filing, the connection stays unknown.
#[tokio::test]
async fn a_failed_file_beside_the_authority() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("filings.csv");
    std::fs::write(&path, "nothing").unwrap();
    let double = Double::start(&json!({"b": {"shape": "b", "domains": {"a-shili.cn": {"state": "filed"}}}}));
    let config = file_config(&path, "authoritative") + &at(double.port, "b", "b", "");
    let (filings, problems) = look(&open(&config), &["a-shili.cn"]).await;
    assert_eq!((filings[0].state, filings[0].access), (FilingState::Filed, AccessState::Unknown));
    assert_eq!(problems.len(), 1);
}

/// Rows that cannot be used are skipped, counted, and told.
#[tokio::test]
async fn skipped_rows_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("filings.csv");
    std::fs::write(
        &path,
        format!("{HEADER}a-shili.cn,,,,已接入,\n,,,,已接入,\n　,,,,已接入,\nb-shili.cn,,,,怎么,\n"),
    )
    .unwrap();
    let (filings, problems) = look(&open(&file_config(&path, "authoritative")), &["a-shili.cn"]).await;
    assert_eq!(filings[0].access, AccessState::Here);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("2 without a domain, 1 with"), "{}", problems[0].message);
}
