use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::KeyPair as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Hub, Memory, Say};
use crate::config;
use crate::telemetry::event::HubOutcome;
use crate::uplink::problem::TYPES;
use crate::uplink::push::{Called, Courier, Observer, Pace, Waiting};
use crate::uplink::{Enrolment, HubSettings, Identity};

mod meanwhile;

const MS: Duration = Duration::from_millis(1);
const PACE: Pace = Pace {
    debounce: MS,
    back_off_min: Duration::from_millis(20),
    back_off_max: Duration::from_millis(80),
    wait_max: Duration::from_millis(500),
    timeout: Duration::from_millis(600),
    outbox: Duration::from_millis(20),
    grace: Duration::from_millis(700),
};

/// What was heard, with the pause as it was at that moment: a busy machine
/// hears of it later.
#[derive(Debug)]
struct Heard {
    called: Called,
    pause: Duration,
}

impl std::ops::Deref for Heard {
    type Target = Called;
    fn deref(&self) -> &Called {
        &self.called
    }
}

/// The second: what the hub set.
struct Ears(mpsc::UnboundedSender<Heard>, Arc<Mutex<Vec<HubSettings>>>);

impl Observer for Ears {
    fn called(&self, called: Called) {
        let wait = called.next_try.map(|t| t.duration_since(Timestamp::now()));
        let pause = wait.map_or(Duration::ZERO, |w| Duration::try_from(w).unwrap_or_default());
        // Nobody listens at the end of a test.
        let _ = self.0.send(Heard { called, pause });
    }
    fn waiting(&self) -> Waiting {
        Waiting { untold: u64::MAX, oldest: Some(Timestamp::now()) }
    }
    fn alive(&self, _: Duration) {}
    fn settings(&self, new: HubSettings) {
        self.1.lock().unwrap().push(new);
    }
}

/// A courier at work.
struct Work {
    nudge: Arc<Notify>,
    stop: watch::Sender<bool>,
    heard: mpsc::UnboundedReceiver<Heard>,
    set: Arc<Mutex<Vec<HubSettings>>>,
    task: JoinHandle<()>,
}

impl Work {
    async fn next(&mut self) -> Heard {
        timeout(Duration::from_secs(5), self.heard.recv()).await.unwrap().unwrap()
    }

    async fn delivered(&mut self) -> Heard {
        let called = self.next().await;
        assert_eq!((called.outcome, &called.error), (HubOutcome::Delivered, &None));
        called
    }
}

fn settings() -> HubSettings {
    HubSettings { splay: 0, heartbeat_interval: 3600, ..HubSettings::default() }
}

fn enrolment(hub: url::Url, settings: HubSettings) -> Enrolment {
    Enrolment {
        hub,
        agent_id: "a1".to_owned(),
        receipt_key: URL_SAFE_NO_PAD.encode(super::hub::key().public_key()),
        polling_token: "a-polling-token-0123456789".to_owned().into(),
        quarantined: false,
        settings,
    }
}

fn begin(at: url::Url, identity: Identity, memory: &Arc<Memory>, settings: HubSettings) -> Work {
    begin_at(PACE, at, identity, memory, settings)
}

fn begin_at(
    pace: Pace,
    at: url::Url,
    identity: Identity,
    memory: &Arc<Memory>,
    settings: HubSettings,
) -> Work {
    let (send, heard) = mpsc::unbounded_channel();
    let set = Arc::default();
    let nudge = Arc::new(Notify::new());
    let courier = Courier::new(
        &config::Hub::default(),
        enrolment(at, settings),
        Arc::new(identity),
        memory.clone(),
        nudge.clone(),
        Arc::new(Ears(send, Arc::clone(&set))),
        pace,
    )
    .unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(courier.run(stopped));
    Work { nudge, stop, heard, set, task }
}

fn identity() -> Identity {
    Identity::open(tempfile::tempdir().unwrap().path()).unwrap()
}

async fn at_work_with(script: Vec<Say>, memory: &Arc<Memory>, settings: HubSettings) -> (Hub, Work) {
    let identity = identity();
    let hub = Hub::start(identity.key().public_key().as_ref(), script).await;
    let work = begin(hub.url(), identity, memory, settings);
    (hub, work)
}

async fn at_work(script: Vec<Say>, memory: &Arc<Memory>) -> (Hub, Work) {
    at_work_with(script, memory, settings()).await
}

#[tokio::test]
async fn a_report_is_delivered_once_and_its_receipt_kept() {
    let memory = Arc::new(Memory::with("x"));
    let (hub, mut work) = at_work(vec![], &memory).await;
    let called = work.delivered().await;
    assert_eq!((called.sequence, called.report, called.next_try), (1, true, None));
    assert!(called.skew_ms.unwrap().abs() < 2_000, "{called:?}");
    memory.tell("y");
    work.nudge.notify_one();
    assert_eq!(work.delivered().await.sequence, 2);
    // Nothing to tell: nothing is sent.
    work.nudge.notify_one();
    sleep(100 * MS).await;
    let calls = hub.calls();
    let bodies: Vec<&[u8]> = calls.iter().map(|c| c.body.as_ref()).collect();
    assert_eq!(bodies, [b"1:x".as_slice(), b"2:y"]);
    assert_eq!(calls[0].path, "/v1/agents/a1/reports");
    assert_eq!(calls[0].encoding.as_deref(), Some("gzip"));
    let s = memory.0.lock().unwrap();
    assert_eq!(s.receipts.iter().map(|r| r.0).collect::<Vec<_>>(), [1, 2]);
    assert!(s.receipts[0].1.contains("\"received_at\":\"2026-11-25T08:00:00Z\""));
}

/// The last row of the table: nothing is given up, split or renumbered; the
/// very same bytes go again.
#[tokio::test]
async fn anything_that_is_not_the_hubs_word_backs_off_and_sends_the_same_again() {
    use HubOutcome::{Malformed, Unreachable};
    let json = |status, body: &[u8]| {
        Say::This(status, vec![("content-type", "application/json".to_owned())], body.to_vec())
    };
    let moved = |to: &str| Say::This(307, vec![("location", to.to_owned())], Vec::new());
    let odd = [
        (Say::page(403), Malformed),
        (Say::page(404), Malformed),
        (Say::page(401), Malformed),
        (Say::page(400), Malformed),
        (Say::page(409), Malformed),
        (Say::page(500), Unreachable),
        (Say::page(502), Unreachable),
        (Say::own(500, "schema", json!({})), Unreachable),
        (Say::problem(403, "about:blank", json!({})), Malformed),
        (Say::problem(403, "urn:beian:problem:", json!({})), Malformed),
        (Say::problem(400, "urn:beian:problem:made_up", json!({})), Malformed),
        (Say::problem(401, "https://example.com/unknown_agent", json!({})), Malformed),
        // The type alone, not as a problem.
        (json(400, b"{\"type\":\"urn:beian:problem:schema\"}"), Malformed),
        (Say::page(200), Malformed),
        (json(200, b"{\"agent\":"), Malformed),
        (json(200, b"{}"), Malformed),
        (json(201, &[0xff; 100]), Malformed),
        (Say::This(204, vec![], vec![]), Malformed),
        (Say::Forged, Malformed),
        (Say::Other, Malformed),
        (json(200, &vec![b' '; (64 << 10) + 1]), Unreachable),
        (moved("/v1/agents/a1/elsewhere"), Malformed),
        (Say::Slowly(Duration::from_secs(20)), Unreachable),
        (Say::page(413), Malformed),
        (Say::own(409, "sequence_rollback", json!({})), Malformed),
        (Say::own(409, "sequence_rollback", json!({"highest": 0})), Malformed),
        (Say::own(409, "sequence_rollback", json!({"highest": u64::MAX})), Malformed),
    ];
    let memory = Arc::new(Memory::with("x"));
    let (hub, mut work) = at_work(odd.iter().map(|o| o.0.clone()).collect(), &memory).await;
    for (say, outcome) in &odd {
        let called = work.next().await;
        assert_eq!(called.outcome, *outcome, "{say:?}: {called:?}");
        assert!(called.error.as_ref().is_some_and(|e| !e.is_empty()), "{say:?}");
        assert!(called.pause <= PACE.back_off_max, "{say:?}");
    }
    assert_eq!(work.delivered().await.sequence, 1);
    let calls = hub.calls();
    assert_eq!(calls.len(), odd.len() + 1);
    assert!(calls.iter().all(|c| c.sequence == 1 && c.body.as_ref() == b"1:x"), "{calls:?}");
    assert!(calls.iter().all(|c| c.path == "/v1/agents/a1/reports"), "a redirect was followed");
    let s = memory.0.lock().unwrap();
    assert_eq!((s.dead.len(), s.split, s.rolled_back.len(), s.receipts.len()), (0, 0, 0, 1));
}

#[tokio::test]
async fn what_is_no_http_or_nobody_backs_off() {
    let memory = Arc::new(Memory::with("x"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in [b"SSH-2.0-x\r\n".as_slice(), b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let mut work = begin(format!("http://{at}").parse().unwrap(), identity(), &memory, settings());
    // Three answers, and then nobody listens any more.
    for _ in 0..6 {
        let called = work.next().await;
        assert_eq!(called.outcome, HubOutcome::Unreachable);
        let error = called.error.clone().unwrap();
        assert!(!error.contains("http://"), "no address in what is shown: {error}");
    }
    assert!(memory.0.lock().unwrap().sealed.is_some());
}

#[tokio::test]
async fn pauses_grow_with_full_jitter_between_their_bounds() {
    let mut all = Vec::new();
    for _ in 0..3 {
        let memory = Arc::new(Memory::with("x"));
        let (_hub, mut work) = at_work(vec![Say::page(500); 8], &memory).await;
        for n in 0..8 {
            let pause = work.next().await.pause;
            assert!(pause >= PACE.back_off_min - 5 * MS && pause <= PACE.back_off_max, "{n}: {pause:?}");
            all.push(pause);
        }
        work.delivered().await;
    }
    let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
    assert!(*most - *least > 10 * MS, "no jitter: {all:?}");
    assert!(most > &(PACE.back_off_min * 2), "they do not grow: {all:?}");
    assert!(Pace::default().back_off_min == Duration::from_secs(5));
    assert!(Pace::default().back_off_max == Duration::from_secs(900));
}

#[tokio::test]
async fn the_hubs_own_401_keeps_everything_and_asks_to_enrol_again() {
    let memory = Arc::new(Memory::with("x"));
    let says = vec![Say::own(401, "unknown_agent", json!({})), Say::own(401, "bad_signature", json!({}))];
    let (_hub, mut work) = at_work(says, &memory).await;
    for word in ["unknown_agent", "bad_signature"] {
        let called = work.next().await;
        assert_eq!(called.outcome, HubOutcome::Unauthorised);
        let error = called.error.clone().unwrap();
        assert!(error.contains(word) && error.contains("enrol again"), "{error}");
        assert!(called.pause > PACE.back_off_max - 10 * MS, "slowly");
    }
    assert_eq!(work.delivered().await.sequence, 1);
    assert!(memory.0.lock().unwrap().dead.is_empty());
}

#[tokio::test]
async fn retry_after_is_obeyed_as_seconds_and_as_a_date_and_has_a_bound() {
    let wait = |status, value: String| Say::This(status, vec![("retry-after", value)], Vec::new());
    let in_five = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(5));
    let past = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(500));
    let says = vec![
        wait(429, "1".to_owned()),
        wait(503, "99999999999".to_owned()),
        wait(503, in_five),
        wait(429, past),
        wait(429, "0".to_owned()),
        wait(503, "soon".to_owned()),
    ];
    let memory = Arc::new(Memory::with("x"));
    let (_hub, mut work) = at_work(says, &memory).await;
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let called = work.next().await;
        assert_eq!(called.outcome, HubOutcome::Throttled);
        pauses.push(called.pause);
    }
    // All three are beyond this pace's bound.
    for p in &pauses[..3] {
        assert!(*p >= PACE.wait_max - 20 * MS && *p <= PACE.wait_max.mul_f64(1.1), "{pauses:?}");
    }
    for p in &pauses[3..] {
        assert!(*p <= PACE.back_off_max, "{pauses:?}");
    }
    work.delivered().await;
    assert_eq!(Pace::default().wait_max, Duration::from_secs(3600));
}

#[tokio::test]
async fn too_large_is_split_whoever_says_so() {
    for say in [Say::page(413), Say::own(413, "too_large", json!({}))] {
        let memory = Arc::new(Memory::with("x"));
        memory.0.lock().unwrap().splittable = 2;
        let (_hub, mut work) = at_work(vec![say.clone(), say], &memory).await;
        for _ in 0..2 {
            let called = work.next().await;
            assert_eq!((called.outcome, called.next_try), (HubOutcome::Refused, None));
        }
        // Sealed anew, so with a new number.
        assert_eq!(work.delivered().await.sequence, 3);
        let s = memory.0.lock().unwrap();
        assert_eq!((s.split, s.dead.len()), (2, 0));
    }
}

#[tokio::test]
async fn what_cannot_be_split_is_a_dead_letter_by_the_hubs_word_alone() {
    let memory = Arc::new(Memory::with("x"));
    let (_hub, mut work) = at_work(vec![Say::own(413, "too_large", json!({}))], &memory).await;
    assert_eq!(work.next().await.outcome, HubOutcome::Refused);
    // The loss is told.
    assert_eq!(work.delivered().await.sequence, 2);
    assert_eq!(memory.0.lock().unwrap().dead.len(), 1);
}

#[tokio::test]
async fn the_hubs_refusals_are_dead_letters_and_the_next_report_goes() {
    let handled = ["sequence_rollback", "too_large", "too_many_requests", "unavailable"];
    for word in TYPES.iter().filter(|t| !handled.contains(t)) {
        for status in [400, 403, 404, 409, 422] {
            let memory = Arc::new(Memory::with("x"));
            let (_hub, mut work) = at_work(vec![Say::own(status, word, json!({}))], &memory).await;
            let called = work.next().await;
            assert_eq!((called.outcome, called.next_try), (HubOutcome::Refused, None), "{word}");
            assert!(called.error.clone().unwrap().contains(word));
            assert_eq!(work.delivered().await.sequence, 2);
            assert_eq!(memory.0.lock().unwrap().dead, [(1, (*word).to_owned())]);
        }
    }
}

#[tokio::test]
async fn a_restored_server_goes_on_above_what_the_hub_has() {
    let memory = Arc::new(Memory::with("x"));
    let says = vec![Say::own(409, "sequence_rollback", json!({"highest": 41}))];
    let (hub, mut work) = at_work(says, &memory).await;
    let called = work.next().await;
    assert_eq!((called.outcome, called.next_try), (HubOutcome::Refused, None));
    assert!(called.error.clone().unwrap().contains("41"));
    assert_eq!(work.delivered().await.sequence, 42);
    assert_eq!(hub.calls()[1].body.as_ref(), b"42:x");
    assert_eq!(memory.0.lock().unwrap().rolled_back, [41]);
}

/// A hub that never ends saying so is not called in a tight loop.
#[tokio::test]
async fn changes_without_end_are_slowed_down() {
    let memory = Arc::new(Memory::with("x"));
    let says = (1..=40).map(|n| Say::own(409, "sequence_rollback", json!({"highest": n * 10}))).collect();
    let (_hub, mut work) = at_work(says, &memory).await;
    let mut paused = 0;
    for _ in 0..40 {
        paused += usize::from(work.next().await.next_try.is_some());
    }
    assert!(paused >= 2, "{paused}");
    assert!(work.delivered().await.sequence > 400);
}

#[tokio::test]
async fn the_first_snapshot_waits_for_its_splay_and_a_change_does_not() {
    let memory = Arc::new(Memory::default());
    let slow = HubSettings { splay: 3_600_000, ..settings() };
    let (hub, mut work) = at_work_with(vec![], &memory, slow).await;
    sleep(150 * MS).await;
    assert!(hub.calls().is_empty());
    memory.tell("new");
    work.nudge.notify_one();
    let start = Instant::now();
    assert_eq!(work.delivered().await.sequence, 1);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(hub.calls()[0].body.as_ref(), b"1:new");
}

/// While a hub is in trouble, changes do not make it worse.
#[tokio::test]
async fn a_change_does_not_shorten_a_pause() {
    let memory = Arc::new(Memory::with("x"));
    let wait = Say::This(503, vec![("retry-after", "1".to_owned())], Vec::new());
    let (hub, mut work) = at_work(vec![wait], &memory).await;
    work.next().await;
    for _ in 0..20 {
        work.nudge.notify_one();
        sleep(10 * MS).await;
    }
    assert_eq!(hub.calls().len(), 1);
    work.delivered().await;
}

#[tokio::test]
async fn heartbeats_are_small_and_share_the_sequence() {
    let memory = Arc::new(Memory::default());
    memory.0.lock().unwrap().sequence = 1_u64 << 52;
    let often = HubSettings { heartbeat_interval: 1, ..settings() };
    let says = vec![
        Say::Well,
        Say::page(403),
        Say::own(409, "sequence_rollback", json!({"highest": (1_u64 << 52) + 50})),
        Say::own(400, "schema", json!({})),
    ];
    let (hub, mut work) = at_work_with(says, &memory, often).await;
    let report = work.delivered().await;
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        let called = work.next().await;
        assert!(!called.report && called.sequence > report.sequence);
        outcomes.push(called.outcome);
    }
    use HubOutcome::{Delivered, Malformed, Refused};
    assert_eq!(outcomes, [Malformed, Refused, Refused, Delivered]);
    let calls = hub.calls();
    for call in &calls[1..] {
        assert_eq!((call.path.as_str(), &call.encoding), ("/v1/agents/a1/heartbeat", &None));
        assert!(call.body.len() < 300, "{} bytes", call.body.len());
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(body["sequence"], call.sequence);
        assert!(body["at"].is_string() && body["oldest_untold"].is_string() && body["outbox"].is_u64());
    }
    assert!(calls.windows(2).all(|w| w[0].sequence < w[1].sequence));
    let s = memory.0.lock().unwrap();
    // A heartbeat that is refused is no dead letter.
    assert!(s.dead.is_empty() && s.rolled_back.len() == 1 && s.receipts.len() == 1);
}

#[tokio::test]
async fn the_end_lets_a_call_under_way_end_and_waits_no_longer_than_its_grace() {
    let memory = Arc::new(Memory::with("x"));
    let (hub, work) = at_work(vec![Say::Slowly(200 * MS)], &memory).await;
    while hub.calls().is_empty() {
        sleep(MS).await;
    }
    work.stop.send_replace(true);
    timeout(Duration::from_secs(2), work.task).await.unwrap().unwrap();
    assert_eq!(memory.0.lock().unwrap().receipts.len(), 1);

    let memory = Arc::new(Memory::with("x"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let work = begin(at, identity(), &memory, settings());
    let _stream = listener.accept().await.unwrap();
    let start = Instant::now();
    work.stop.send_replace(true);
    timeout(Duration::from_secs(2), work.task).await.unwrap().unwrap();
    assert!(start.elapsed() < PACE.grace + 500 * MS);
    assert!(memory.0.lock().unwrap().sealed.is_some(), "kept for the next start");
}

#[tokio::test]
async fn a_full_disk_is_asked_again() {
    let memory = Arc::new(Memory::with("x"));
    memory.0.lock().unwrap().full = 5;
    let (_hub, mut work) = at_work(vec![], &memory).await;
    assert_eq!(work.delivered().await.sequence, 1);
}

#[test]
fn a_hub_beyond_loopback_needs_tls_and_no_credentials() {
    let make = |at: &str| {
        let (send, _) = mpsc::unbounded_channel();
        Courier::new(
            &config::Hub::default(),
            enrolment(at.parse().unwrap(), settings()),
            Arc::new(identity()),
            Arc::new(Memory::default()),
            Arc::default(),
            Arc::new(Ears(send, Arc::default())),
            PACE,
        )
        .map(|_| ())
    };
    for good in ["http://127.0.0.1:8690", "http://[::1]/", "http://localhost:1", "https://hub.example.com/x"]
    {
        assert_eq!(make(good), Ok(()), "{good}");
    }
    for bad in [
        "http://hub.example.com",
        "http://203.0.113.7:8690",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "https://user:GEHEIM@hub.example.com",
        "https://hub.example.com/?token=GEHEIM",
    ] {
        let why = make(bad).unwrap_err();
        assert!(!why.en.contains("GEHEIM") && !why.zh.contains("GEHEIM"), "{why:?}");
    }
}

/// With `[hub] ca_file` that authority counts, and no other.
#[tokio::test]
async fn a_pinned_authority_is_the_only_one() {
    crate::filing::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = dir.path().join(name);
        std::fs::write(&file, pair.cert.pem()).unwrap();
        (file, pair)
    };
    let ((ours, pair), (other, _)) = (made("ours.pem"), made("other.pem"));
    let key = rustls::pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at: url::Url =
        format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut tls) = acceptor.accept(stream).await {
                // The call itself is read before it is answered.
                let _ = tokio::io::AsyncReadExt::read(&mut tls, &mut [0; 4096]).await;
                let _ = tls.write_all(b"HTTP/1.1 507 x\r\ncontent-length: 0\r\n\r\n").await;
                let _ = tls.shutdown().await;
            }
        }
    });
    for (ca_file, error) in [(Some(ours), "507"), (Some(other), "certificate"), (None, "certificate")] {
        let (send, mut heard) = mpsc::unbounded_channel();
        let hub = config::Hub { url: None, ca_file: ca_file.clone() };
        let memory = Arc::new(Memory::with("x"));
        let ears = Arc::new(Ears(send, Arc::default()));
        let enrolled = enrolment(at.clone(), settings());
        let courier =
            Courier::new(&hub, enrolled, Arc::new(identity()), memory, Arc::default(), ears, PACE).unwrap();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(courier.run(stopped));
        let called = timeout(Duration::from_secs(5), heard.recv()).await.unwrap().unwrap();
        assert!(called.error.as_ref().is_some_and(|e| e.contains(error)), "{ca_file:?}: {called:?}");
        stop.send_replace(true);
        task.await.unwrap();
    }
    // A file without a certificate is said at once, not at the first call.
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for ca_file in [empty, dir.path().join("missing.pem")] {
        let hub = config::Hub { url: None, ca_file: Some(ca_file) };
        let (send, _) = mpsc::unbounded_channel();
        let enrolled = enrolment(at.clone(), settings());
        let made = Courier::new(
            &hub,
            enrolled,
            Arc::new(identity()),
            Arc::new(Memory::default()),
            Arc::default(),
            Arc::new(Ears(send, Arc::default())),
            PACE,
        );
        assert!(made.map(|_| ()).unwrap_err().en.contains("ca_file"));
    }
}
