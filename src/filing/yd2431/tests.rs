#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const NAME: &str = "shili-yi.cn";
const GOOD: &str = "<Cxtjlx>0</Cxtjlx><Cxtj>shili-yi.cn</Cxtj><Wzmc>示例网站</Wzmc>\
    <Ztbah>蜀ICP备00000001号</Ztbah><Wzbah>蜀ICP备00000001号-2</Wzbah><Bazt>0</Bazt>";
const NOT_FILED: &str = "<Cxtjlx>0</Cxtjlx><Cxtj>SHILI-YI.CN</Cxtj><Bazt>1</Bazt>";

fn page(text: String) -> Page {
    Page { status: 200, media: Media::Xml, text }
}

fn inner(status: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"GBK\"?><return><msg_code>0</msg_code><msg>操作成功</msg>{status}</return>"
    )
}

fn envelope(content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soap:Body><ns2:isp_querybeianstatusResponse xmlns:ns2=\"http://example.com/\"><return>{content}</return>\
         </ns2:isp_querybeianstatusResponse></soap:Body></soap:Envelope>"
    )
}

fn ask(status: &str) -> Result<Reply, Fault> {
    read(&page(envelope(&quick_xml::escape::escape(inner(status)))), NAME)
}

fn info(fields: &str) -> String {
    format!("<StatusInfo>{fields}</StatusInfo>")
}

#[test]
fn the_hash_in_both_orders() {
    let hash = |order| password_hash("PASS-示例-77b1", "ABCDEFGHIJKLMNOPQRST", order);
    assert_eq!(hash(HashOrder::PasswordRand), "4aupMz2Am54y4qk6Ds4hjw==");
    assert_eq!(hash(HashOrder::RandPassword), "WjBbViWC6HqF4IGy6oLz0Q==");
    let (a, b) = (random_text(), random_text());
    assert_eq!((a.len(), b.len()), (20, 20));
    assert_ne!(a, b);
}

#[test]
fn the_question_is_escaped() {
    let yd = Yd2431 {
        url: "http://127.0.0.1/".parse().unwrap(),
        isp_id: "10<01".into(),
        user: "a&b".into(),
        password: Secret::new("geheim-示例"),
        hash_order: HashOrder::PasswordRand,
    };
    let text = yd.envelope(NAME);
    assert!(text.contains("<ispID>10&lt;01</ispID><userName>a&amp;b</userName>"));
    assert!(text.contains("<hashAlgorithm>0</hashAlgorithm><queryConditionType>0</queryConditionType>"));
    assert!(!text.contains("geheim"));
    assert!(leaves(&text).is_some());
}

#[test]
fn filed_and_not_filed() {
    let reply = ask(&info(GOOD)).unwrap();
    assert_eq!(reply.word, Word::Filed);
    assert_eq!(reply.facts.subject_licence.as_deref(), Some("蜀ICP备00000001号"));
    assert_eq!(reply.facts.site_licence.as_deref(), Some("蜀ICP备00000001号-2"));
    assert_eq!(ask(&info(NOT_FILED)).unwrap().word, Word::Negative);
    let empty = NOT_FILED.replace("<Bazt>", "<Wzmc/><Ztbah></Ztbah><Bazt>");
    assert_eq!(ask(&info(&empty)).unwrap().word, Word::Negative);
    assert_eq!(ask(&(info(GOOD) + &info(GOOD))).unwrap().word, Word::Filed, "several sites of one domain");
}

#[test]
fn the_answer_in_other_wrappings() {
    let cdata = envelope(&format!("<![CDATA[{}]]>", inner(&info(GOOD))));
    assert_eq!(read(&page(cdata), NAME).unwrap().word, Word::Filed);
    let elements = envelope(&format!("<msg_code>0</msg_code>{}", info(NOT_FILED)));
    assert_eq!(read(&page(elements), NAME).unwrap().word, Word::Negative);
    let charrefs =
        envelope(&quick_xml::escape::escape(inner(&info(&GOOD.replace("shili-yi", "shili&#45;yi")))));
    assert_eq!(read(&page(charrefs), NAME).unwrap().word, Word::Filed);
}

#[test]
fn contradictions_are_no_answer() {
    for status in [
        String::new(),
        info(""),
        info(&GOOD.replace("shili-yi", "bie-ren")),
        info(&NOT_FILED.replace("SHILI-YI", "bie-ren")),
        info(&GOOD.replace("<Bazt>0</Bazt>", "")),
        info(&GOOD.replace("<Bazt>0", "<Bazt>2")),
        info(&GOOD.replace("<Bazt>0", "<Bazt>1")),
        info(&GOOD.replace("蜀ICP备00000001号", "查询失败").replace("-2", "")),
        info("<Cxtj>shili-yi.cn</Cxtj><Bazt>0</Bazt>"),
        info("<Cxtjlx>1</Cxtjlx><Cxtj>shili-yi.cn</Cxtj><Bazt>1</Bazt>"),
        info(NOT_FILED).replace("<Cxtj>SHILI-YI.CN</Cxtj>", ""),
        info(GOOD) + &info(NOT_FILED),
    ] {
        assert_eq!(ask(&status).unwrap_err().why, Why::Malformed, "{status}");
    }
}

#[test]
fn hostile_xml() {
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let many = format!("<a>{}</a>", "<b/>".repeat(50_000));
    let dtd = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><return>&b;</return>";
    for text in [&deep, &many, dtd, "<a>", "", "x", "<a></b>", "<a>&unknown;</a>", "<a>&#0;</a", "text<a/>"] {
        assert_eq!(leaves(text), None, "{}", text.chars().take(40).collect::<String>());
        assert!(read(&page(text.to_owned()), NAME).is_err());
        assert!(read(&page(envelope(&quick_xml::escape::escape(text))), NAME).is_err());
    }
}

#[test]
fn codes() {
    for code in (1..30).chain([901, 902, 999, 1000]) {
        let text = format!("<return><msg_code>{code}</msg_code><msg>失败</msg></return>");
        let fault = read(&page(envelope(&quick_xml::escape::escape(&text))), NAME).unwrap_err();
        assert_eq!(fault.operator.is_some(), (4..=19).contains(&code), "{code}");
        let want = match code {
            4..=19 => Why::Configuration,
            20 | 901 | 902 | 999 => Why::Unavailable,
            _ => Why::Malformed,
        };
        assert_eq!(fault.why, want, "{code}");
    }
}
