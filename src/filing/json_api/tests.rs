#![allow(clippy::unwrap_used, reason = "tests")]

use super::super::http::Media;
use super::*;
use serde_json::json;

const NAME: &str = "shili-yi.cn";
const SITE: &str = "蜀ICP备00000001号-2";

fn said(preset: &str, status: u16, body: &Value) -> Result<Word, Why> {
    let page = Page { status, media: Media::Json, text: body.to_string() };
    read(&Mapping::load(preset).unwrap(), &page, NAME).map(|r| r.word).map_err(|f| f.why)
}

/// A positive of each service, and the pointers of its domain and licence.
fn positives() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    vec![
        (
            "chinaz",
            json!({"StateCode": 1, "Reason": "成功", "Result": {"Domain": NAME, "CompanyName": "示例公司",
                "CompanyType": "企业", "SiteLicense": SITE, "VerifyTime": "2023-01-10 09:43:35"}}),
            "/Result/Domain",
            "/Result/SiteLicense",
        ),
        (
            "tianapi",
            json!({"code": 200, "msg": "success", "result": {"domain": NAME, "icp_type": "企业", "icp_state": "存在",
                "main_name": "示例公司", "icp_number": SITE, "update_time": "2023-01-10"}}),
            "/result/domain",
            "/result/icp_number",
        ),
        (
            "mir6",
            json!({"code": 200, "msg": "查询成功", "data": {"url": NAME, "organizer_name": "示例公司",
                "nature": "企业", "license": SITE, "audit_time": "2023-01-10"}}),
            "/data/url",
            "/data/license",
        ),
        (
            "apihz",
            json!({"code": 200, "type": "企业", "icp": SITE, "unit": "示例公司", "domain": NAME, "time": "2023-01-10"}),
            "/domain",
            "/icp",
        ),
        (
            "uapis",
            json!({"code": "200", "domain": NAME, "natureName": "企业", "serviceLicence": SITE,
                "unitName": "示例公司", "msg": "query success"}),
            "/domain",
            "/serviceLicence",
        ),
    ]
}

fn with(body: &Value, pointer: &str, value: Value) -> Value {
    let mut body = body.clone();
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

#[test]
fn positives_and_what_spoils_them() {
    for (preset, body, domain, licence) in positives() {
        assert_eq!(said(preset, 200, &body), Ok(Word::Filed), "{preset}");
        assert_eq!(
            said(preset, 200, &with(&body, domain, json!("SHILI-YI.CN"))),
            Ok(Word::Filed),
            "{preset}"
        );
        for spoilt in [
            with(&body, domain, json!("bie-ren-shili.cn")),
            with(&body, domain, json!("")),
            with(&body, domain, json!(null)),
            with(&body, licence, json!("查询失败")),
            with(&body, licence, json!("")),
            with(&body, licence, json!(null)),
            with(&body, licence, json!(12)),
        ] {
            assert_eq!(said(preset, 200, &spoilt), Err(Why::Malformed), "{preset} {spoilt}");
        }
        assert_eq!(said(preset, 404, &body), Err(Why::Malformed), "{preset}: a positive comes with 200");
        assert!(said(preset, 500, &body).is_err());
        for hostile in [json!([]), json!(null), json!("x"), json!({}), json!({"code": {}, "StateCode": []})] {
            assert_eq!(said(preset, 200, &hostile), Err(Why::Malformed), "{preset} {hostile}");
        }
    }
}

#[test]
fn facts_of_a_positive() {
    for (preset, body, ..) in positives() {
        let page = Page { status: 200, media: Media::Json, text: body.to_string() };
        let facts = read(&Mapping::load(preset).unwrap(), &page, NAME).unwrap().facts;
        assert_eq!(facts.site_licence.as_deref(), Some(SITE));
        assert_eq!(
            (facts.unit.as_deref(), facts.nature.as_deref()),
            (Some("示例公司"), Some("企业")),
            "{preset}"
        );
        let date = (preset != "uapis").then_some("2023-01-10");
        assert_eq!(facts.approved_on.as_deref(), date, "{preset}");
    }
}

#[test]
fn negatives_and_refusals() {
    let negative = Ok(Word::Negative);
    for (preset, status, body, want) in [
        ("chinaz", 200, json!({"StateCode": 0, "Reason": "未备案", "Result": null}), negative),
        ("chinaz", 200, json!({"StateCode": "0", "Result": null}), negative),
        ("chinaz", 200, json!({"StateCode": 0, "Result": {"Domain": "bie-ren.cn"}}), Err(Why::Malformed)),
        (
            "chinaz",
            200,
            json!({"StateCode": 0, "Result": {"Domain": NAME, "SiteLicense": SITE}}),
            Err(Why::Malformed),
        ),
        ("chinaz", 200, json!({"StateCode": 10022, "Result": null}), Err(Why::Credit)),
        ("chinaz", 200, json!({"StateCode": 10001, "Reason": "错误的请求KEY"}), Err(Why::Unauthorised)),
        ("chinaz", 200, json!({"StateCode": 7}), Err(Why::Malformed)),
        ("chinaz", 200, json!({"StateCode": 1, "code": 200, "msg": "limited(5/min)"}), Err(Why::Throttled)),
        (
            "tianapi",
            200,
            json!({"code": 200, "result": {"domain": NAME, "icp_state": "暂无", "icp_number": ""}}),
            negative,
        ),
        (
            "tianapi",
            200,
            json!({"code": 200, "result": {"domain": NAME, "icp_state": "?", "icp_number": ""}}),
            Err(Why::Malformed),
        ),
        ("tianapi", 200, json!({"code": 250, "msg": "数据返回为空"}), negative),
        ("tianapi", 200, json!({"code": "130", "msg": "x"}), Err(Why::Throttled)),
        ("tianapi", 200, json!({"code": 150, "msg": "x"}), Err(Why::Credit)),
        ("tianapi", 200, json!({"code": 160, "msg": "x"}), Err(Why::Configuration)),
        ("tianapi", 200, json!({"code": 230, "msg": "x"}), Err(Why::Unauthorised)),
        ("tianapi", 200, json!({"code": 240, "msg": "x"}), Err(Why::Unauthorised)),
        ("mir6", 200, json!({"code": 201, "msg": "未查询到备案信息"}), negative),
        ("mir6", 200, json!({"code": 202, "msg": "x"}), Err(Why::Throttled)),
        ("mir6", 200, json!({"code": -1, "msg": "no url"}), Err(Why::Malformed)),
        ("apihz", 200, json!({"code": 400, "msg": "该域名未备案"}), negative),
        ("apihz", 200, json!({"code": 400, "msg": "查询失败，请重试"}), Err(Why::Unavailable)),
        ("apihz", 200, json!({"code": 400, "msg": "未备案或查询失败"}), Err(Why::Unavailable)),
        ("apihz", 200, json!({"code": 400, "msg": "调用频次过快"}), Err(Why::Throttled)),
        ("apihz", 200, json!({"code": 400, "msg": "余额不足"}), Err(Why::Credit)),
        ("apihz", 200, json!({"code": 400, "msg": "x"}), Err(Why::Malformed)),
        ("uapis", 404, json!({"code": "NOT_FOUND", "message": "no record"}), negative),
        ("uapis", 200, json!({"code": "NOT_FOUND", "message": "no record"}), negative),
        ("uapis", 500, json!({"code": "NOT_FOUND", "message": "no record"}), Err(Why::Malformed)),
        ("uapis", 404, json!({"detail": "no such page"}), Err(Why::Malformed)),
        ("uapis", 400, json!({"code": "INVALID_PARAMETER"}), Err(Why::Malformed)),
        ("uapis", 503, json!({"code": "SERVICE_UNAVAILABLE"}), Err(Why::Unavailable)),
        ("uapis", 503, json!({"code": "OTHER"}), Err(Why::Unavailable)),
        ("uapis", 200, json!({"code": 200, "msg": "limited(1)"}), Err(Why::Throttled)),
    ] {
        assert_eq!(said(preset, status, &body), want, "{preset} {status} {body}");
    }
}

#[test]
fn a_parameter_without_its_credential_is_left_out() {
    let api = |key: Option<&str>| {
        JsonApi::new(&"http://127.0.0.1/".parse().unwrap(), "apihz", key.map(Secret::new), None).unwrap()
    };
    assert_eq!(api(None).fill("{key}", NAME), None);
    assert_eq!(api(Some("K")).fill("{key}-{domain}", NAME).as_deref(), Some("K-shili-yi.cn"));
    assert_eq!(api(Some("K")).fill("{user}", NAME), None);
}
