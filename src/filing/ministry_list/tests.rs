#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::super::http::Media;
use super::*;
use serde_json::json;

const NAME: &str = "shili-yi.cn";

fn row(domain: &str) -> Value {
    json!({"domain": domain, "limitAccess": "否", "mainLicence": "蜀ICP备00000001号", "natureName": "企业",
           "serviceLicence": "蜀ICP备00000001号-2", "unitName": "成都示例科技有限公司",
           "updateRecordTime": "2023-10-18 10:27:25"})
}

fn list(rows: &[Value]) -> Value {
    json!({"code": 200, "msg": "操作成功", "success": true,
           "params": {"total": rows.len(), "pageNum": 1, "pageSize": 10, "pages": 1, "hasNextPage": false, "list": rows}})
}

fn page(body: &Value) -> Page {
    Page { status: 200, media: Media::Json, text: body.to_string() }
}

fn word(body: &Value) -> Word {
    match read(&page(body), NAME, 1).unwrap() {
        Found::Reply(reply) => reply.word,
        Found::NextPage(n) => panic!("next page of {n}"),
    }
}

fn why(body: &Value) -> Why {
    read(&page(body), NAME, 1).unwrap_err().why
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

#[test]
fn filed_restricted_and_neither() {
    assert_eq!(word(&list(&[row("SHILI-YI.cn ")])), Word::Filed);
    assert_eq!(word(&list(&[row("bie-ren.cn"), row(""), row(NAME)])), Word::Filed);
    assert_eq!(word(&with(list(&[row(NAME)]), "/params/list/0/limitAccess", json!("是"))), Word::Restricted);
    assert_eq!(word(&list(&[])), Word::Negative);
    assert_eq!(word(&list(&[row("x-shili-yi.cn"), row("shili-yi.cn.cn"), row("")])), Word::Negative);
    assert_eq!(word(&with(list(&[row("")]), "/params/list/0/domain", json!(null))), Word::Negative);
    assert_eq!(word(&with(list(&[]), "/code", json!("200"))), Word::Negative);
    let telecom = with(list(&[row(NAME)]), "/params/list/0/mainLicence", json!("粤B2-00000001"));
    assert_eq!(word(&telecom), Word::Filed);
    assert_eq!(word(&with(list(&[row(NAME)]), "/params/total", json!(37))), Word::Filed);
}

#[test]
fn the_newest_of_several_rows_counts() {
    let at = |time: &str, limit: &str| {
        let mut r = row(NAME);
        r["updateRecordTime"] = json!(time);
        r["limitAccess"] = json!(limit);
        r
    };
    let (old, new, same) = ("2015-01-01 08:00:00", "2025-06-01 08:00:00", "2025-06-01 08:00:00");
    assert_eq!(word(&list(&[at(old, "是"), at(new, "否")])), Word::Filed);
    assert_eq!(word(&list(&[at(new, "是"), at(old, "否")])), Word::Restricted);
    assert_eq!(
        word(&list(&[at(new, "是"), at(same, "否")])),
        Word::Restricted,
        "of one time the restricted one"
    );
    assert_eq!(word(&list(&[at("", "是"), at(old, "否")])), Word::Filed);
}

#[test]
fn contradictions_are_no_answer() {
    for body in [
        with(list(&[]), "/params/total", json!(1)),
        with(list(&[]), "/params/total", json!(null)),
        with(list(&[]), "/params/list", json!(null)),
        with(list(&[]), "/params", json!(null)),
        with(list(&[]), "/params/list", json!({})),
        with(list(&[]), "/success", json!("true")),
        with(list(&[]), "/code", json!(null)),
        with(list(&[]), "/code", json!(0)),
        with(list(&[row(NAME)]), "/params/list/0/limitAccess", json!("?")),
        with(list(&[row(NAME)]), "/params/list/0/unitName", json!("查询失败")),
        with(list(&[row(NAME)]), "/params/list/0", json!("x")),
        with(
            with(list(&[row(NAME)]), "/params/list/0/mainLicence", json!("")),
            "/params/list/0/serviceLicence",
            json!("-"),
        ),
        json!([]),
        json!("filed"),
        json!({}),
    ] {
        assert_eq!(why(&body), Why::Malformed, "{body}");
    }
}

#[test]
fn refusals() {
    for (body, want) in [
        (json!({"code": 101, "msg": "参数错误"}), Why::Malformed),
        (json!({"code": 122, "message": "query failed"}), Why::Unavailable),
        (json!({"code": "201", "error": "upstream"}), Why::Unavailable),
        (json!({"code": 500, "message": "出口地址被封"}), Why::Blocked),
        (json!({"code": 500, "message": "x"}), Why::Unavailable),
        (json!({"success": false, "code": 401, "msg": "token过期"}), Why::Unauthorised),
        (json!({"code": 429, "msg": "x"}), Why::Throttled),
        (json!({"code": 200, "msg": "limited(1/10)", "success": true}), Why::Throttled),
        (json!({"code": 200, "msg": "您目前访问频次过高", "params": null}), Why::Throttled),
        (with(list(&[]), "/msg", json!("limited(1/10)")), Why::Throttled),
        (with(list(&[]), "/msg", json!("查询失败")), Why::Malformed),
    ] {
        assert_eq!(why(&body), want, "{body}");
    }
    let mut html = page(&list(&[]));
    html.media = Media::Html;
    assert_eq!(read(&html, NAME, 1).unwrap_err().why, Why::Malformed);
    let mut broken = page(&list(&[]));
    broken.status = 502;
    assert_eq!(read(&broken, NAME, 1).unwrap_err().why, Why::Unavailable);
}

#[test]
fn pages() {
    let strangers: Vec<Value> = (0..10).map(|i| row(&format!("mou-{i}.cn"))).collect();
    let mut body = list(&strangers);
    body["params"]["hasNextPage"] = json!(true);
    body["params"]["pageSize"] = json!(20);
    assert_eq!(read(&page(&body), NAME, 1).unwrap(), Found::NextPage(20));
    body["params"]["hasNextPage"] = json!(null);
    body["params"]["pages"] = json!("3");
    assert_eq!(read(&page(&body), NAME, 2).unwrap(), Found::NextPage(20));
    assert_eq!(word(&with(body, "/params/pages", json!(1))), Word::Negative);
    assert_eq!(
        read(&page(&list(&[])), NAME, 2).unwrap_err().why,
        Why::Malformed,
        "a page that should not be empty"
    );
}
