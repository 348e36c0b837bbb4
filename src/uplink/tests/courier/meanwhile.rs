//! Heartbeats while a report cannot be delivered, and settings that come with
//! answers.

use super::*;

/// So that the hub does not call the agent lost while only its report is
/// refused.
#[tokio::test]
async fn while_a_report_cannot_be_delivered_heartbeats_go_between_its_tries() {
    let memory = Arc::new(Memory::with("x"));
    let often = HubSettings { heartbeat_interval: 1, ..settings() };
    let identity = identity();
    let hub = Hub::start(identity.key().public_key().as_ref(), vec![]).await;
    hub.reports_get(Some(Say::page(500)));
    // The pause after a failed report is far longer than this test.
    let pace =
        Pace { back_off_min: Duration::from_secs(600), back_off_max: Duration::from_secs(600), ..PACE };
    let begun = Instant::now();
    let mut work = begin_at(pace, hub.url(), identity, &memory, often);
    let report = work.next().await;
    assert_eq!((report.report, report.sequence, report.outcome), (true, 1, HubOutcome::Unreachable));
    for sequence in [2, 3] {
        let beat = work.delivered().await;
        assert_eq!((beat.report, beat.sequence), (false, sequence));
    }
    assert!(begun.elapsed() >= Duration::from_millis(1500), "not sooner than the interval says");
    work.stop.send_replace(true);
    work.task.await.unwrap();

    // Tried often, the report still goes first where nothing is due; it keeps
    // its sequence and its bytes below those of heartbeats.
    let identity = self::identity();
    let hub = Hub::start(identity.key().public_key().as_ref(), vec![]).await;
    hub.reports_get(Some(Say::page(500)));
    let mut work = begin(hub.url(), identity, &memory, HubSettings { heartbeat_interval: 1, ..settings() });
    let beat = loop {
        let called = work.next().await;
        if !called.report {
            break called;
        }
        assert_eq!((called.sequence, called.outcome), (1, HubOutcome::Unreachable));
    };
    assert_eq!((beat.sequence, beat.outcome), (4, HubOutcome::Delivered));
    hub.reports_get(None);
    let report = loop {
        let called = work.next().await;
        if called.report && called.outcome == HubOutcome::Delivered {
            break called;
        }
    };
    assert_eq!(report.sequence, 1);
    let calls = hub.calls();
    assert!(calls.iter().filter(|c| c.path.ends_with("/reports")).all(|c| c.body.as_ref() == b"1:x"));
    let s = memory.0.lock().unwrap();
    assert_eq!((s.receipts.len(), s.rolled_back.len(), s.dead.len()), (1, 0, 0));
}

/// Where the hub asks for silence, there is no heartbeat either; after it the
/// heartbeat goes first, or a hub that always asks for more would never hear.
#[tokio::test]
async fn silence_is_kept_by_heartbeats_too() {
    let memory = Arc::new(Memory::with("x"));
    let identity = identity();
    let hub = Hub::start(identity.key().public_key().as_ref(), vec![]).await;
    hub.reports_get(Some(Say::This(503, vec![("retry-after", "2".to_owned())], Vec::new())));
    let pace = Pace { wait_max: Duration::from_secs(5), ..PACE };
    let often = HubSettings { heartbeat_interval: 1, ..settings() };
    let mut work = begin_at(pace, hub.url(), identity, &memory, often);
    let begun = Instant::now();
    assert_eq!(work.next().await.outcome, HubOutcome::Throttled);
    let beat = work.delivered().await;
    assert!(!beat.report && begun.elapsed() >= Duration::from_millis(1900), "{:?}", begun.elapsed());
    let report = work.next().await;
    assert_eq!((report.report, report.outcome), (true, HubOutcome::Throttled));
}

#[tokio::test]
async fn settings_that_come_with_an_answer_are_heeded_where_they_differ() {
    let memory = Arc::new(Memory::with("x"));
    let often = HubSettings { heartbeat_interval: 60, splay: 0, ..HubSettings::default() };
    let (hub, mut work) = at_work_with(vec![], &memory, often.clone()).await;
    let with = |s: &HubSettings| Some(json!({"settings": s}));
    let nudge = work.nudge.clone();
    let tell = |n: &str| {
        memory.tell(n);
        nudge.notify_one();
    };
    // The same as in force: nothing.
    hub.answers_have(with(&often));
    work.heard.recv().await;
    assert!(work.set.lock().unwrap().is_empty());
    let new = HubSettings { cdn_suffixes: vec!["cdn.example.net".to_owned()], ..often.clone() };
    hub.answers_have(with(&new));
    tell("y");
    work.heard.recv().await;
    assert_eq!(*work.set.lock().unwrap(), std::slice::from_ref(&new));
    // Out of bounds is bounded, as at enrolment.
    let wild = HubSettings { report_interval: 1, cdn_suffixes: vec!["cn".to_owned()], ..often.clone() };
    hub.answers_have(with(&wild));
    tell("z");
    work.heard.recv().await;
    assert_eq!(work.set.lock().unwrap().last(), Some(&wild.bounded()));
    assert_eq!(work.set.lock().unwrap()[1].report_interval, 60);
    // What is no settings is none, and the receipt counts all the same.
    for odd in [json!({"settings": null}), json!({"settings": [1]}), json!({"settings": {"splay": "x"}})] {
        hub.answers_have(Some(odd));
        tell("w");
        work.delivered().await;
    }
    assert_eq!(work.set.lock().unwrap().len(), 2);
    // The receipt is kept without them.
    assert!(memory.0.lock().unwrap().receipts.iter().all(|r| !r.1.contains("settings")));
}

#[tokio::test]
async fn settings_come_with_heartbeats_too() {
    let memory = Arc::new(Memory::default());
    let often = HubSettings { heartbeat_interval: 1, ..settings() };
    let (hub, mut work) = at_work_with(vec![], &memory, often).await;
    work.delivered().await;
    let new = HubSettings { canaries: vec!["example.cn".to_owned()], ..HubSettings::default() };
    hub.answers_have(Some(json!({"settings": &new})));
    assert!(!work.delivered().await.report);
    assert_eq!(*work.set.lock().unwrap(), [new]);
}
