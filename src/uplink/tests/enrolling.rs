use std::path::Path;

use ring::signature::KeyPair as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{Hub, Say};
use crate::config::{self, Text};
use crate::uplink::enrol::{Request, enrol};
use crate::uplink::{Enrolment, Identity};

const KEY: &str = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs";

fn request(identity: &Identity) -> Request {
    Request {
        token: "GEHEIM-TOKEN".to_owned(),
        public_key: identity.public_key(),
        certificate_fingerprint: None,
        hostname: "web-1".to_owned(),
        version: "0.1.0".to_owned(),
        announce: Some("203.0.113.10:9690".to_owned()),
        addresses: vec!["203.0.113.10".parse().unwrap()],
    }
}

async fn once(dir: &Path, say: Say) -> (Hub, Result<Enrolment, (Text, bool)>) {
    let identity = Identity::open(dir).unwrap();
    let hub = Hub::start(identity.key().public_key().as_ref(), [say]).await;
    let result = enrol(&config::Hub::default(), &hub.url(), &identity, &request(&identity), dir).await;
    (hub, result)
}

fn accepted(change: Value) -> Say {
    let mut body = json!({
        "agent_id": "a-1_Z",
        "receipt_key": KEY,
        "polling_token": "a-polling-token-0123456789",
        "quarantined": true,
        "settings": {"splay": 900, "heartbeat_interval": 5, "cdn_suffixes": ["cdn.example.com"], "run": "sh"},
        "future": {"x": 1},
    });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    Say::This(201, vec![("content-type", "application/json".to_owned())], body.to_string().into_bytes())
}

#[tokio::test]
async fn an_enrolment_sends_the_public_key_and_keeps_what_the_hub_gave() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, result) = once(dir.path(), accepted(json!({}))).await;
    let e = result.unwrap();
    assert_eq!((e.agent_id.as_str(), e.quarantined), ("a-1_Z", true));
    assert_eq!((e.settings.splay, e.settings.heartbeat_interval), (900, 60));
    assert_eq!(e.settings.cdn_suffixes, ["cdn.example.com"]);
    let kept = Enrolment::read(dir.path()).unwrap().unwrap();
    assert_eq!(kept.hub, hub.url());
    assert_eq!(kept.polling_token.expose_secret(), "a-polling-token-0123456789");
    let calls = hub.calls();
    assert_eq!(calls.len(), 1);
    let sent: Value = serde_json::from_slice(&calls[0].body).unwrap();
    assert_eq!(sent["public_key"], Identity::open(dir.path()).unwrap().public_key());
    assert_eq!(sent["token"], "GEHEIM-TOKEN");
    // The private key is nowhere in it.
    let pem = std::fs::read_to_string(dir.path().join("agent.key")).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    assert!(!String::from_utf8_lossy(&calls[0].body).contains(&secret[..20]));
}

#[tokio::test]
async fn refusals_say_what_to_do_and_answers_on_the_way_are_tried_again() {
    let own = |status, word| Say::own(status, word, json!({}));
    for (say, again, en, zh) in [
        (own(403, "token_unknown"), false, "copy it again", "重新复制"),
        (own(403, "token_expired"), false, "expired", "已过期"),
        (own(409, "token_used"), false, "used up", "已用完"),
        (own(403, "token_address"), false, "address", "地址"),
        (own(400, "schema"), false, "schema", "schema"),
        (own(429, "too_many_requests"), true, "too_many_requests", "too_many_requests"),
        (own(503, "unavailable"), true, "unavailable", "unavailable"),
        (Say::page(403), true, "403", "403"),
        (Say::page(502), true, "502", "502"),
        (Say::This(301, vec![("location", "/v1/other".to_owned())], vec![]), true, "301", "301"),
        (Say::page(200), true, "no hub", "不是中心"),
        (accepted(json!({"receipt_key": "short"})), true, "receipt key", "回执公钥"),
        (accepted(json!({"agent_id": ""})), true, "id", "编号"),
        (accepted(json!({"agent_id": "../../x"})), true, "id", "编号"),
        (accepted(json!({"agent_id": "a".repeat(129)})), true, "id", "编号"),
        (accepted(json!({"polling_token": ""})), true, "polling token", "轮询令牌"),
        (accepted(json!({"polling_token": "two\nlines of a token"})), true, "polling token", "轮询令牌"),
        (Say::This(200, vec![], vec![b' '; (64 << 10) + 1]), true, "longer", "longer"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let shown = format!("{say:?}").chars().take(120).collect::<String>();
        let (hub, result) = once(dir.path(), say).await;
        let Err((why, later)) = result else { panic!("{shown}: enrolled") };
        assert_eq!(later, again, "{shown}");
        assert!(why.en.contains(en) && why.zh.contains(zh), "{shown}: {why:?}");
        assert!(!why.en.contains("GEHEIM") && !why.zh.contains("GEHEIM"));
        assert!(Enrolment::read(dir.path()).unwrap().is_none(), "{shown}");
        assert_eq!(hub.calls().len(), 1, "{shown}");
    }
}

#[tokio::test]
async fn nobody_there_is_said_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::open(dir.path()).unwrap();
    let at = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
    };
    let result = enrol(&config::Hub::default(), &at, &identity, &request(&identity), dir.path()).await;
    let (why, later) = result.map(|_| ()).unwrap_err();
    assert!(later && why.en.contains("cannot be reached") && why.zh.contains("连不上"), "{why:?}");
}
