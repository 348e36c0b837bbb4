//! What the double cannot say, byte for byte.

use super::*;
use beian::config::{Negative, RegistryKind};
use wiremock::matchers::{body_string_contains, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const NAME: &str = "shili-yi.cn";

fn port(server: &MockServer) -> u16 {
    server.address().port()
}

/// A mapping of the operator's own: POST, a header with the key, pointers
/// into an array, a service that answers in GBK.
#[tokio::test]
async fn a_mapping_of_the_operators_own() {
    let server = MockServer::start().await;
    let (body, _, _) = encoding_rs::GBK.encode(
        r#"{"ret":"ok","rows":[{"host":"shili-yi.cn","no":"蜀ICP备00000001号-2","who":"示例公司"}],"note":"查询成功"}"#,
    );
    Mock::given(method("POST"))
        .and(path("/x/icp"))
        .and(header("x-key", "KEY-own"))
        .and(body_string_contains("host=shili-yi.cn"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body.into_owned(), "application/json"))
        .expect(1)
        .mount(&server)
        .await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("own.toml");
    std::fs::write(
        &file,
        r#"
path = "/icp"
method = "POST"
[form]
host = "{domain}"
[headers]
x-key = "{key}"
[at]
code = "/ret"
message = ["/note"]
domain = "/rows/0/host"
site_licence = "/rows/0/no"
unit = "/rows/0/who"
[codes]
filed = ["ok"]
"#,
    )
    .unwrap();
    let config = format!(
        "[[registry]]\nname = \"own\"\nkind = \"json_api\"\npreset = \"{}\"\nkey = \"KEY-own\"\nurl = \"http://127.0.0.1:{}/x/\"\n",
        file.display(),
        port(&server)
    );
    let (filings, _) = look(&open(&config), &[NAME]).await;
    assert_eq!(states(&filings), [FilingState::Filed], "{filings:?}");
    assert_eq!(filings[0].unit.as_deref(), Some("示例公司"));
}

/// A SOAP answer that is really in GBK from the first byte to the last.
#[tokio::test]
async fn soap_in_gbk() {
    let server = MockServer::start().await;
    let inner = "<return><msg_code>0</msg_code><msg>操作成功</msg><StatusInfo><Cxtj>shili-yi.cn</Cxtj><Wzmc>示例网站</Wzmc>\
                 <Ztbah>蜀ICP备00000001号</Ztbah><Wzbah>蜀ICP备00000001号-2</Wzbah><Bazt>0</Bazt></StatusInfo></return>";
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"GBK\"?><S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Body>\
         <r><return><![CDATA[{inner}]]></return></r></S:Body></S:Envelope>"
    );
    let (body, _, _) = encoding_rs::GBK.encode(&text);
    Mock::given(method("POST"))
        .and(path("/b"))
        .and(body_string_contains("<queryCondition>shili-yi.cn</queryCondition>"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body.into_owned(), "text/xml;charset=GBK"))
        .expect(1)
        .mount(&server)
        .await;
    let (filings, _) = look(&open(&at(port(&server), "b", "b", "")), &[NAME]).await;
    assert_eq!(states(&filings), [FilingState::Filed]);
    assert_eq!(filings[0].subject_licence.as_deref(), Some("蜀ICP备00000001号"));
}

/// The exact domain on page five is found, beyond it nobody knows; every
/// page is asked with the size that the first one had.
#[tokio::test]
async fn five_pages_at_most() {
    for (on, want) in [(5, FilingState::Filed), (6, FilingState::Unknown)] {
        let server = MockServer::start().await;
        for page in 1..=6 {
            let domain = if page == on { NAME.to_owned() } else { format!("mou-{page}.cn") };
            let row = json!({"domain": domain, "limitAccess": "否", "serviceLicence": "蜀ICP备00000001号-2"});
            let body = json!({"code": 200, "success": true, "params":
                {"total": 60, "pageNum": page, "pageSize": 20, "pages": 6, "hasNextPage": page < 6, "list": [row]}});
            let mock = Mock::given(path("/c/query/web")).and(query_param("search", NAME));
            let mock = match page {
                1 => mock.and(wiremock::matchers::query_param_is_missing("pageNum")),
                n => mock.and(query_param("pageNum", n.to_string())).and(query_param("pageSize", "20")),
            };
            mock.respond_with(ResponseTemplate::new(200).set_body_json(body))
                .expect(u64::from(page < 6))
                .mount(&server)
                .await;
        }
        let (filings, _) = look(&open(&at(port(&server), "c", "c", "")), &[NAME]).await;
        assert_eq!(states(&filings), [want], "on page {on}");
    }
}

/// Cookies are not kept, and no redirect is followed, not even to the same
/// host.
#[tokio::test]
async fn no_cookies_and_no_redirects() {
    let server = MockServer::start().await;
    Mock::given(path("/c/query/web"))
        .respond_with(
            ResponseTemplate::new(307)
                .insert_header("set-cookie", "a=b")
                .insert_header("location", "/c/query/web2?search=shili-yi.cn"),
        )
        .mount(&server)
        .await;
    let (filings, _) = look(&open(&at(port(&server), "c", "c", "")), &[NAME, "shili-er.cn"]).await;
    assert_eq!(states(&filings), [FilingState::Unknown, FilingState::Unknown]);
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2);
    for r in requests {
        assert_eq!(r.url.path(), "/c/query/web");
        assert!(!r.headers.contains_key("cookie") && !r.headers.contains_key("referer"));
    }
}

/// Over an untrusted line the authority is one public source among others.
#[tokio::test]
async fn an_untrusted_line_lowers_the_authority() {
    let domains = json!({NAME: {"state": "not_filed"}, "jinsique-shili.cn": {"state": "filed"}});
    let double = Double::start(&json!({"b": {"shape": "b", "domains": domains}}));
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("filings.csv");
    std::fs::write(&csv, format!("domain,access_state\n{NAME},connected\n")).unwrap();
    let file = dir.path().join("agent.toml");
    let provider =
        format!("[[registry]]\nname = \"p\"\nkind = \"provider_db\"\npath = \"{}\"\n", csv.display());
    std::fs::write(&file, provider + &at(double.port, "b", "b", CANARY)).unwrap();
    let mut settings = Config::load_with(Some(&file), vec![]).unwrap().registries;
    let (filings, _) = look(&Registries::new(&settings).unwrap(), &[NAME]).await;
    assert_eq!(states(&filings), [FilingState::Unknown], "two authorities disagree");
    let yd = settings.iter_mut().find(|r| matches!(r.kind, RegistryKind::Yd2431 { .. })).unwrap();
    (yd.trusted, yd.negative) = (false, Negative::Ambiguous);
    let (filings, _) = look(&Registries::new(&settings).unwrap(), &[NAME]).await;
    assert_eq!(states(&filings), [FilingState::Filed]);
    assert_eq!(source(&filings[0], "b"), SourceState::SuspectedNotFiled);
}

/// No error, problem or debug text of a failed call holds a key.
#[tokio::test]
async fn errors_hold_no_key() {
    let server = MockServer::start().await;
    Mock::given(path("/chinaz/single/icp"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"StateCode": 10001})))
        .mount(&server)
        .await;
    let config = at(port(&server), "chinaz", "chinaz", "") + &at(1, "tianapi", "tianapi", "");
    let (filings, problems) = look(&open(&config), &[NAME]).await;
    let text = format!("{filings:?} {problems:?}");
    assert!(!text.contains("KEY-"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, at(1, "x", "chinaz", "").replace("\"chinaz\"", "\"/nonexistent/own.toml\""))
        .unwrap();
    let registries = Config::load_with(Some(&file), vec![]).unwrap().registries;
    let error = Registries::new(&registries).err().map(|e| format!("{e:#} {e:?}")).unwrap();
    assert!(error.contains("nonexistent") && !error.contains("KEY-"), "{error}");
}
