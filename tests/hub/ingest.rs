//! Enrolment, reports and heartbeats, over real HTTP.

use serde_json::{Value, json};

use crate::harness::provider::{Fake, On, Provider, gzip, report, transition};

crate::on_both_stores!(
    a_report_is_stored_once_and_its_receipt_holds,
    a_sequence_that_goes_back_is_told_the_highest,
    parts_of_a_report_are_one_state,
    an_unknown_server_waits_for_an_operator,
    a_rebuilt_server_takes_over_with_a_token_only,
    calls_that_are_not_signed_by_the_agent_are_refused,
    an_answer_that_was_lost_does_not_use_a_token_up,
    facts_decide_whatever_verdict_stands_beside_them,
    bodies_are_bounded_before_they_are_read,
    long_bodies_that_never_end_keep_nobody_out,
);

const BAD: (&str, &str, &str, &str, &str, &str) =
    ("www.example.cn", "violation", "not_filed", "here", "not_filed", "unknown");
const GOOD: (&str, &str, &str, &str, &str, &str) =
    ("www.example.org", "compliant", "filed", "here", "filed", "here");

fn word(answer: &Value) -> &str {
    answer["type"].as_str().unwrap_or_default().trim_start_matches("urn:beian:problem:")
}

async fn a_report_is_stored_once_and_its_receipt_holds(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    let mut first = report(&[BAD, GOOD]);
    first["transitions"] = json!([
        transition("www.example.cn", None, Some(("violation", "not_filed"))),
        transition("www.example.org", None, Some(("compliant", "filed")))
    ]);
    first["findings"] = json!([{"kind": "ip_only", "server": "nginx", "file": "/etc/nginx/nginx.conf", "line": 3, "detail": "by IP only"}]);
    let (status, receipt) = agent.report(&mut first).await;
    assert_eq!(status, 200, "{receipt}");
    let held: beian::uplink::Receipt = serde_json::from_value(receipt.clone()).unwrap();
    let key = base64_url(&agent.receipt_key);
    assert!(held.holds(&agent.id, 1, &held.digest, &key));
    // The answer was lost: the same again gives the same receipt.
    let (status, again) = agent.report_as(&mut first.clone(), 1).await;
    assert_eq!((status, &again["signature"]), (200, &receipt["signature"]));
    assert_eq!(p.number("SELECT COUNT(*) FROM receipts").await, 1);
    assert_eq!(p.number("SELECT COUNT(*) FROM transitions").await, 2);
    assert_eq!(p.number("SELECT COUNT(*) FROM site_findings").await, 1);
    assert_eq!(p.number("SELECT violation FROM agents").await, 1);
    // The next one tells a transition again (delivered at least once) and one more.
    let mut second = report(&[GOOD]);
    let told = first["transitions"][0].clone();
    second["transitions"] =
        json!([told, transition("www.example.cn", Some(("violation", "not_filed")), None)]);
    assert_eq!(agent.report(&mut second).await.0, 200);
    assert_eq!(p.number("SELECT COUNT(*) FROM transitions").await, 3);
    assert_eq!(p.number("SELECT COUNT(*) FROM names").await, 1);
    assert_eq!(p.number("SELECT COUNT(*) FROM site_findings").await, 0);
    assert_eq!(p.number("SELECT names * 100 + violation * 10 + compliant FROM agents").await, 101);
    assert_eq!(p.number("SELECT COUNT(*) FROM snapshots").await, 1);
    assert_eq!(agent.beat().await.0, 200);
    assert_eq!(p.number("SELECT highest FROM agents").await, 3);
}

fn base64_url(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

async fn a_sequence_that_goes_back_is_told_the_highest(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    for _ in 0..3 {
        assert_eq!(agent.report(&mut report(&[GOOD])).await.0, 200);
    }
    let (status, answer) = agent.report_as(&mut report(&[BAD]), 2).await;
    assert_eq!((status, word(&answer), &answer["highest"]), (409, "sequence_rollback", &json!(3)));
    assert_eq!(p.number("SELECT COUNT(*) FROM agent_flags WHERE kind = 'rollback'").await, 1);
    // A heartbeat overtook a report that was refused for long: never seen, so taken.
    agent.sequence = 4;
    assert_eq!(agent.beat().await.0, 200);
    let mut late = report(&[BAD]);
    late["transitions"] = json!([transition("www.example.cn", None, Some(("violation", "not_filed")))]);
    assert_eq!(agent.report_as(&mut late, 4).await.0, 200);
    assert_eq!(p.number("SELECT violation FROM agents").await, 1);
    // Too far back to know: refused like any that was used.
    assert_eq!(agent.report_as(&mut report(&[GOOD]), 200).await.0, 200);
    assert_eq!(agent.report_as(&mut report(&[BAD]), 10).await.0, 409);
    assert_eq!(p.number("SELECT violation FROM agents").await, 0);
    // Between them it is new, and too old to be the state.
    let mut between = report(&[BAD]);
    between["transitions"] = json!([transition("www.example.cn", None, Some(("suspected", "not_filed")))]);
    assert_eq!(agent.report_as(&mut between, 150).await.0, 200);
    assert_eq!(p.number("SELECT violation FROM agents").await, 0);
    assert_eq!(p.number("SELECT COUNT(*) FROM transitions WHERE to_verdict = 'suspected'").await, 1);
}

async fn parts_of_a_report_are_one_state(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    assert_eq!(
        agent
            .report(&mut report(&[(
                "old.example.net",
                "dormant",
                "not_filed",
                "elsewhere",
                "not_filed",
                "unknown"
            )]))
            .await
            .0,
        200
    );
    let (mut one, mut two) = (report(&[BAD]), report(&[GOOD]));
    two["report_id"] = one["report_id"].clone();
    one["part"] = json!({"index": 1, "count": 2});
    two["findings"] = json!([{"kind": "ip_only", "server": "nginx", "file": "/a", "line": 1, "detail": "d"}]);
    two["part"] = json!({"index": 2, "count": 2});
    assert_eq!(agent.report(&mut one).await.0, 200);
    // Half of a report takes nothing away.
    assert_eq!(p.number("SELECT COUNT(*) FROM names").await, 3 - 1);
    assert_eq!(agent.report(&mut two).await.0, 200);
    assert_eq!(p.number("SELECT COUNT(*) FROM names").await, 2);
    assert_eq!(p.number("SELECT COUNT(*) FROM snapshots").await, 2);
    assert_eq!(p.number("SELECT names * 100 + violation * 10 + compliant FROM agents").await, 211);
    // Back to one part: the evidence of what was in the second is in the first.
    assert_eq!(p.number("SELECT part FROM names WHERE name = 'www.example.org'").await, 2);
    assert_eq!(agent.report(&mut report(&[GOOD])).await.0, 200);
    assert_eq!(p.number("SELECT COUNT(*) FROM names").await, 1);
    assert_eq!(p.number("SELECT COUNT(*) FROM site_findings").await, 0);
    assert_eq!(p.number("SELECT COUNT(*) FROM snapshots").await, 1);
}

async fn an_unknown_server_waits_for_an_operator(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "203.0.113.10").await;
    let token = p.token(Some("c1"), 5).await;
    let mut agent = Fake::new(&p.url, p.http.clone());
    let (status, answer) = agent.enrol(&token, &["198.51.100.1"]).await;
    assert_eq!((status, &answer["quarantined"]), (200, &json!(true)), "{answer}");
    assert_eq!(answer["settings"]["addresses"], json!([]));
    assert_eq!(agent.report(&mut report(&[BAD])).await.0, 200);
    let mut tx = p.hub.store.begin().await.unwrap();
    assert!(p.hub.store.confirm_agent(&mut tx, &agent.id, "c1", Some("srv-203.0.113.10")).await.unwrap());
    tx.commit().await.unwrap();
    p.hub.agents.forget(&agent.id);
    let (_, answer) = agent.beat().await;
    assert_eq!(answer["settings"]["addresses"], json!(["203.0.113.10"]));
    assert_eq!(p.number("SELECT COUNT(*) FROM names WHERE tenant = 'c1'").await, 1);
    // Tokens end.
    let mut other = Fake::new(&p.url, p.http.clone());
    let (status, answer) = other.enrol("be_nonsense", &[]).await;
    assert_eq!((status, word(&answer)), (403, "token_unknown"));
    let once = p.token(Some("c1"), 1).await;
    assert_eq!(other.enrol(&once, &["203.0.113.10"]).await.0, 200);
    let (status, answer) = Fake::new(&p.url, p.http.clone()).enrol(&once, &[]).await;
    assert_eq!((status, word(&answer)), (403, "token_used"));
    let over = p.token_like(|t| t.expires_at = 1).await;
    let (status, answer) = Fake::new(&p.url, p.http.clone()).enrol(&over, &[]).await;
    assert_eq!((status, word(&answer)), (403, "token_expired"));
    let elsewhere = p.token_like(|t| t.ranges = vec!["203.0.113.0/24".to_owned()]).await;
    let (status, answer) = Fake::new(&p.url, p.http.clone()).enrol(&elsewhere, &["203.0.113.10"]).await;
    assert_eq!((status, word(&answer)), (403, "token_address"));
}

async fn a_rebuilt_server_takes_over_with_a_token_only(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    assert_eq!(agent.report(&mut report(&[BAD])).await.0, 200);
    // The same server, built anew: without the right token another agent.
    let mut rebuilt = p.agent("c1", "127.0.0.1").await;
    assert_ne!(rebuilt.id, agent.id);
    let id = agent.id.clone();
    let token = p.token_like(|t| t.takes_over = Some(id)).await;
    let mut taken = Fake::new(&p.url, p.http.clone());
    assert_eq!(taken.enrol(&token, &["127.0.0.1"]).await.0, 200);
    assert_eq!(taken.id, agent.id);
    // The old key is nobody's now, and the history went on.
    let (status, answer) = agent.report(&mut report(&[GOOD])).await;
    assert_eq!((status, word(&answer)), (401, "bad_signature"));
    let (status, answer) = taken.report(&mut report(&[GOOD])).await;
    assert_eq!((status, &answer["highest"]), (409, &json!(1)));
    taken.sequence = 1;
    assert_eq!(taken.report(&mut report(&[GOOD])).await.0, 200);
    assert_eq!(rebuilt.report(&mut report(&[GOOD])).await.0, 200);
}

async fn calls_that_are_not_signed_by_the_agent_are_refused(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    let other = p.agent("c1", "127.0.0.1").await;
    let (mut thief, id) = (Fake::new(&p.url, p.http.clone()), agent.id.clone());
    thief.id.clone_from(&id);
    let (status, answer) = thief.report(&mut report(&[GOOD])).await;
    assert_eq!((status, word(&answer)), (401, "bad_signature"));
    // One agent's key does not speak for another.
    let path = format!("/v1/agents/{id}/reports");
    let (status, answer) = other.call(&path, 1, b"{}".to_vec(), "").await;
    assert_eq!((status, word(&answer)), (401, "bad_signature"));
    // A report of another sequence, or another agent, under one's own signature.
    let mut report_ = report(&[GOOD]);
    report_["sequence"] = json!(7);
    let (status, answer) = agent.call(&path, 1, serde_json::to_vec(&report_).unwrap(), "").await;
    assert_eq!((status, word(&answer)), (422, "schema"), "{answer}");
    report_["sequence"] = json!(1);
    report_["agent"]["id"] = json!(other.id);
    assert_eq!(agent.call(&path, 1, serde_json::to_vec(&report_).unwrap(), "").await.0, 422);
    assert_eq!(agent.call(&path, 1, b"\x28\xb5\x2f\xfd nonsense".to_vec(), "zstd").await.0, 422);
    assert_eq!(agent.call(&path, 1, b"{}".to_vec(), "br").await.0, 415);
    let mut strange =
        report(&[("a\u{0}b.example.cn", "violation", "not_filed", "here", "not_filed", "unknown"), GOOD]);
    strange["findings"] = json!([{"kind": "ip_only", "detail": "a\u{0}b"}]);
    assert_eq!(agent.report(&mut strange).await.0, 200, "what cannot be kept is left out, the rest is");
    assert_eq!(p.number("SELECT COUNT(*) FROM names").await, 1);
    let mut tx = p.hub.store.begin().await.unwrap();
    assert!(p.hub.store.revoke_agent(&mut tx, &agent.id, "stolen").await.unwrap());
    tx.commit().await.unwrap();
    p.hub.agents.forget(&agent.id);
    let (status, answer) = agent.beat().await;
    assert_eq!((status, word(&answer)), (401, "revoked"));
}

async fn an_answer_that_was_lost_does_not_use_a_token_up(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let token = p.token(Some("c1"), 1).await;
    let mut agent = Fake::new(&p.url, p.http.clone());
    assert_eq!(agent.enrol(&token, &["127.0.0.1"]).await.0, 200);
    let id = agent.id.clone();
    assert_eq!(agent.enrol(&token, &["127.0.0.1"]).await.0, 200);
    assert_eq!(agent.id, id);
    assert_eq!(p.number("SELECT used FROM enrol_tokens").await, 1);
    let (status, answer) = Fake::new(&p.url, p.http.clone()).enrol(&token, &["127.0.0.1"]).await;
    assert_eq!((status, word(&answer)), (403, "token_used"));
}

async fn facts_decide_whatever_verdict_stands_beside_them(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    // Whoever is root on the server may change a word of the report.
    let hidden = ("www.example.cn", "compliant", "filed", "here", "not_filed", "unknown");
    assert_eq!(agent.report(&mut report(&[hidden])).await.0, 200);
    assert_eq!(p.number("SELECT violation FROM agents").await, 1);
    assert_eq!(p.number("SELECT COUNT(*) FROM names WHERE agent_verdict = 'compliant'").await, 1);
    assert_eq!(
        p.number("SELECT COUNT(*) FROM transitions WHERE by = 'hub' AND to_verdict = 'violation'").await,
        1
    );
}

async fn bodies_are_bounded_before_they_are_read(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    for (path, length) in [
        (format!("/v1/agents/{}/reports", agent.id), 9 << 20),
        (format!("/v1/agents/{}/heartbeat", agent.id), 3000),
    ] {
        let (status, answer) = agent.call(&path, 1, vec![b' '; length], "").await;
        assert_eq!((status, word(&answer)), (413, "too_large"), "{path}");
    }
    let long = p.http.post(format!("{}/v1/enrol", p.url)).body(vec![b' '; 20_000]).send().await.unwrap();
    assert_eq!(long.status(), 413);
    // A bomb of a few kilobytes, signed by the agent itself.
    let mut bomb = gzip(&vec![b' '; 100 << 20]);
    bomb.extend(gzip(b"{}"));
    let (status, answer) = agent.call(&format!("/v1/agents/{}/reports", agent.id), 1, bomb, "gzip").await;
    assert_eq!((status, word(&answer)), (413, "too_large"));
    assert_eq!(agent.report(&mut report(&[GOOD])).await.0, 200, "and the hub goes on");
}

/// Begins a report whose body never comes, and holds it.
async fn half_a_report(p: &Provider, id: &str) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt as _;
    let mut stream = tokio::net::TcpStream::connect(p.server.address()).await.unwrap();
    let head = format!(
        "POST /v1/agents/{id}/reports HTTP/1.1\r\nhost: hub\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn long_bodies_that_never_end_keep_nobody_out(on: On) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(half_a_report(&p, "a-stranger").await);
    }
    // Eight that may be the longest fill the room of long ones.
    for _ in 0..8 {
        held.push(half_a_report(&p, &agent.id).await);
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let mut late = half_a_report(&p, &agent.id).await;
    late.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let read = late.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).to_lowercase();
    assert!(answer.starts_with("http/1.1 503") && answer.contains("retry-after: 5"), "{answer}");
    assert_eq!(agent.report(&mut report(&[GOOD])).await.0, 200);
    drop(held);
}
