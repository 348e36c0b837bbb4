use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::Registry;
use crate::filing::Registries;

type Answering = Box<dyn Fn(&Ask) -> HubAnswer + Send + Sync>;

/// A hub that says this of each question, and how it was asked.
#[derive(Default)]
struct Says {
    calls: Mutex<Vec<usize>>,
    answer: Option<Answering>,
    /// Faults of the first calls.
    faults: Mutex<VecDeque<HubFault>>,
    /// Calls with more questions are answered at too great length.
    most: Option<usize>,
    silent: bool,
}

impl Debug for Says {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Says")
    }
}

impl AskHub for Says {
    fn ask<'a>(&'a self, questions: &'a [Ask]) -> BoxFuture<'a, Result<Vec<HubAnswer>, HubFault>> {
        Box::pin(async move {
            self.calls.lock().unwrap().push(questions.len());
            if self.silent {
                std::future::pending::<()>().await;
            }
            if let Some(fault) = self.faults.lock().unwrap().pop_front() {
                return Err(fault);
            }
            if self.most.is_some_and(|m| questions.len() > m) {
                return Err(HubFault::new(Why::TooLarge));
            }
            let filed = |_: &Ask| HubAnswer::Filing(Box::new(filed()));
            Ok(questions.iter().map(|q| self.answer.as_ref().map_or_else(|| filed(q), |a| a(q))).collect())
        })
    }
}

fn at() -> Timestamp {
    "2026-11-25T08:00:00Z".parse().unwrap()
}

fn said(registry: &str, state: SourceState) -> SourceAnswer {
    SourceAnswer { registry: registry.to_owned(), state, checked_at: at(), error: None }
}

fn filed() -> Filing {
    Filing {
        state: FilingState::Filed,
        access: AccessState::Here,
        subject_licence: Some("蜀ICP备00000001号".to_owned()),
        site_licence: Some("蜀ICP备00000001号-2".to_owned()),
        unit: Some("示例公司".to_owned()),
        nature: None,
        approved_on: Some("2024-05-01".to_owned()),
        sources: vec![said("provider", SourceState::Unknown), said("yd2431", SourceState::Filed)],
        expires_at: None,
        why: None,
        filed_for: None,
    }
}

fn ask(name: &str) -> Ask {
    Ask { names: vec![name.to_owned()] }
}

fn asks(count: usize) -> Vec<Ask> {
    (0..count).map(|n| ask(&format!("example{n}.cn"))).collect()
}

fn hub(says: Says) -> (Hub, Arc<Says>) {
    let says = Arc::new(says);
    let mut hub = Hub::new("hub", Duration::from_secs(30));
    hub.asker = Some(says.clone());
    (hub, says)
}

async fn one(says: Says, ask: Ask) -> Filing {
    hub(says).0.run(&[ask], &|_| {}).await.remove(0)
}

fn answering(answer: impl Fn(&Ask) -> HubAnswer + Send + Sync + 'static) -> Says {
    Says { answer: Some(Box::new(answer)), ..Says::default() }
}

#[tokio::test]
async fn a_batch_is_one_call_and_more_than_500_are_several() {
    let done = AtomicUsize::new(0);
    let (hub, says) = hub(answering(|q| {
        let licence = Some(q.names[0].clone());
        HubAnswer::Filing(Box::new(Filing { unit: licence, ..filed() }))
    }));
    let asks = asks(1201);
    let filings = hub
        .run(&asks, &|_| {
            done.fetch_add(1, Ordering::Relaxed);
        })
        .await;
    assert_eq!(*says.calls.lock().unwrap(), [500, 500, 201]);
    assert_eq!(done.into_inner(), 1201);
    // Each answer is about its own question.
    assert!(asks.iter().zip(&filings).all(|(q, f)| f.unit.as_ref() == q.names.first()));
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_asked_for_in_smaller_parts() {
    let (hub, says) = hub(Says { most: Some(130), ..Says::default() });
    let filings = hub.run(&asks(500), &|_| {}).await;
    assert_eq!(filings, vec![filed(); 500]);
    assert_eq!(*says.calls.lock().unwrap(), [500, 250, 125, 125, 250, 125, 125]);
    // One alone that is too long is unknown, and bars no other.
    let filings = self::hub(Says { most: Some(0), ..Says::default() }).0.run(&asks(3), &|_| {}).await;
    assert!(filings.iter().all(|f| f.why == Some(Why::TooLarge)), "{filings:?}");
}

#[tokio::test]
async fn what_is_refused_is_unknown_with_its_reason() {
    for (answer, why) in [
        (HubAnswer::NotServed, Why::NotAsked),
        (HubAnswer::Quota, Why::Throttled),
        (HubAnswer::NotADomain, Why::Malformed),
        (HubAnswer::Malformed, Why::Malformed),
    ] {
        let filing = one(answering(move |_| answer.clone()), ask("example.cn")).await;
        assert_eq!((filing.state, filing.access, filing.why), {
            (FilingState::Unknown, AccessState::Unknown, Some(why))
        });
        // No row without evidence.
        assert_eq!(filing.sources.len(), 1);
        assert_eq!((filing.sources[0].registry.as_str(), filing.sources[0].error), ("hub", Some(why)));
    }
}

#[tokio::test]
async fn a_filing_that_contradicts_itself_is_malformed_and_texts_are_cleaned() {
    let of = |f: Filing, q: Ask| one(answering(move |_| HubAnswer::Filing(Box::new(f.clone()))), q);
    let dirty = Filing {
        unit: Some("示例\u{1b}[31m公司\u{202e}".to_owned()),
        nature: Some(" - ".to_owned()),
        approved_on: Some("yesterday".to_owned()),
        why: Some(Why::Timeout),
        sources: vec![said("yd\u{7}2431", SourceState::Filed)],
        ..filed()
    };
    let clean = of(dirty, ask("example.cn")).await;
    assert_eq!(clean.unit.as_deref(), Some("示例[31m公司"));
    assert_eq!((clean.nature, clean.approved_on, clean.why), (None, None, None));
    assert_eq!(clean.sources[0].registry, "yd2431");
    for bad in [
        Filing { filed_for: Some("other.cn".to_owned()), ..filed() },
        Filing { sources: vec![said("x", SourceState::Filed); SOURCES_MOST + 1], ..filed() },
        Filing { sources: vec![said("\u{0}", SourceState::Filed)], ..filed() },
        Filing { sources: vec![said(&"x".repeat(NAME_MOST + 1), SourceState::Filed)], ..filed() },
    ] {
        assert_eq!(of(bad, ask("example.cn")).await.why, Some(Why::Malformed));
    }
    let gov = Ask { names: vec!["www.x.gov.cn".to_owned(), "x.gov.cn".to_owned()] };
    let parent = Filing { filed_for: Some("x.gov.cn".to_owned()), ..filed() };
    assert_eq!(of(parent.clone(), gov).await, parent);
    // A filing without sources is the hub's own word; an unknown one has a reason.
    let bare = of(Filing { sources: vec![], ..filed() }, ask("example.cn")).await;
    assert_eq!((bare.sources[0].registry.as_str(), bare.sources[0].state), ("hub", SourceState::Filed));
    let unknown = Filing { state: FilingState::Unknown, ..filed() };
    assert_eq!(of(unknown, ask("example.cn")).await.why, Some(Why::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_never_an_answer_and_the_hub_is_then_left_alone_for_a_while() {
    let fault = HubFault::new(Why::Unavailable);
    let (hub, says) = hub(Says { faults: Mutex::new([fault].into()), ..Says::default() });
    let filings = hub.run(&asks(1000), &|_| {}).await;
    assert!(filings.iter().all(|f| (f.state, f.why) == (FilingState::Unknown, Some(Why::Unavailable))));
    assert_eq!(*says.calls.lock().unwrap(), [500], "the second call is spared");
    tokio::time::advance(REST - Duration::from_secs(1)).await;
    assert_eq!(hub.run(&asks(1), &|_| {}).await[0].why, Some(Why::Unavailable));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(hub.run(&asks(1), &|_| {}).await, [filed()]);
    assert_eq!(*says.calls.lock().unwrap(), [500, 1]);
}

#[tokio::test(start_paused = true)]
async fn silence_that_the_hub_asks_for_is_kept() {
    let wait = |s| HubFault { retry_after: Some(Duration::from_secs(s)), ..HubFault::new(Why::Throttled) };
    // A short one is waited for, once.
    let (hub, says) = hub(Says { faults: Mutex::new([wait(20)].into()), ..Says::default() });
    let begun = Instant::now();
    assert_eq!(hub.run(&asks(1), &|_| {}).await, [filed()]);
    assert_eq!((begun.elapsed().as_secs(), says.calls.lock().unwrap().len()), (20, 2));
    // A long one holds for the calls to come.
    let (hub, says) = self::hub(Says { faults: Mutex::new([wait(600)].into()), ..Says::default() });
    assert_eq!(hub.run(&asks(1), &|_| {}).await[0].why, Some(Why::Throttled));
    tokio::time::advance(Duration::from_secs(599)).await;
    assert_eq!(hub.run(&asks(1), &|_| {}).await[0].why, Some(Why::Throttled));
    assert_eq!(says.calls.lock().unwrap().len(), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(hub.run(&asks(1), &|_| {}).await, [filed()]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_hub_and_a_wrong_number_of_answers_are_failures() {
    assert_eq!(
        one(Says { silent: true, ..Says::default() }, ask("example.cn")).await.why,
        Some(Why::Timeout)
    );
    #[derive(Debug)]
    struct Short;
    impl AskHub for Short {
        fn ask<'a>(&'a self, _: &'a [Ask]) -> BoxFuture<'a, Result<Vec<HubAnswer>, HubFault>> {
            Box::pin(async { Ok(vec![HubAnswer::Filing(Box::new(filed()))]) })
        }
    }
    let mut hub = Hub::new("hub", Duration::from_secs(30));
    hub.asker = Some(Arc::new(Short));
    let filings = hub.run(&asks(2), &|_| {}).await;
    assert!(filings.iter().all(|f| f.why == Some(Why::Malformed)), "{filings:?}");
}

#[tokio::test]
async fn without_an_enrolment_the_operator_is_told() {
    let registries = Registries::new(&[Registry::hub()]).unwrap();
    assert_eq!(registries.at_a_time(), QUESTIONS_MOST);
    let answers = registries.lookup(&asks(2), &|| {}).await;
    assert!(answers.filings.iter().all(|f| f.why == Some(Why::Configuration)));
    assert_eq!(answers.problems.len(), 1);
    assert_eq!(answers.problems[0].registry.as_deref(), Some("hub"));
    let says = Arc::new(Says::default());
    let registries = Registries::new(&[Registry::hub()]).unwrap().through(Some(says));
    let done = AtomicUsize::new(0);
    let count = || {
        done.fetch_add(1, Ordering::Relaxed);
    };
    let answers = registries.lookup(&asks(2), &count).await;
    assert_eq!((answers.filings, answers.problems), (vec![filed(); 2], vec![]));
    assert_eq!(done.into_inner(), 2);
}

/// Beside a provider's file, which knows of connections alone.
#[tokio::test]
async fn the_hub_fills_what_local_registries_do_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("filings.csv");
    std::fs::write(&csv, "domain,access_state\nother.cn,connected\n").unwrap();
    let file = Registry {
        kind: crate::config::RegistryKind::ProviderDb { path: csv },
        name: "local".to_owned(),
        negative: crate::config::Negative::Authoritative,
        trusted: true,
        ..Registry::hub()
    };
    let registries =
        Registries::new(&[file, Registry::hub()]).unwrap().through(Some(Arc::new(Says::default())));
    assert!(registries.at_a_time() < QUESTIONS_MOST);
    let done = AtomicUsize::new(0);
    let count = || {
        done.fetch_add(1, Ordering::Relaxed);
    };
    let filing = registries.lookup(&[ask("example.cn")], &count).await.filings.remove(0);
    // Filed says the hub; connected elsewhere says the local file, and wins.
    assert_eq!((filing.state, filing.access), (FilingState::Filed, AccessState::Elsewhere));
    assert_eq!(filing.unit.as_deref(), Some("示例公司"));
    let names: Vec<&str> = filing.sources.iter().map(|s| s.registry.as_str()).collect();
    assert_eq!(names, ["local", "provider", "yd2431"]);
    assert_eq!(done.into_inner(), 1);
}

#[test]
fn the_local_word_wins_and_restricted_beats_filed() {
    use FilingState::{Filed, NotFiled, Restricted, SuspectedNotFiled, Unknown};
    let of = |state, registry: &str| Filing {
        state,
        access: AccessState::Unknown,
        why: (state == Unknown).then_some(Why::Timeout),
        sources: vec![said(registry, spoken(state))],
        ..filed()
    };
    for local in [Filed, Restricted, NotFiled, SuspectedNotFiled, Unknown] {
        for hub in [Filed, Restricted, NotFiled, SuspectedNotFiled, Unknown] {
            let want = match (local, hub) {
                (Unknown, hub) => hub,
                (Filed, Restricted) => Restricted,
                (local, _) => local,
            };
            let merged = merge(of(local, "local"), of(hub, "remote"));
            assert_eq!(merged.state, want, "{local:?} {hub:?}");
            assert_eq!(merged.why.is_some(), want == Unknown, "{local:?} {hub:?}");
            assert_eq!(merged.sources.len(), 2);
        }
    }
    use AccessState::{Elsewhere, Here, Pending, Unknown as Nobody};
    for local in [Here, Pending, Elsewhere, Nobody] {
        for hub in [Here, Pending, Elsewhere, Nobody] {
            let with = |access| Filing { access, ..filed() };
            let want = if local == Nobody { hub } else { local };
            assert_eq!(merge(with(local), with(hub)).access, want);
        }
    }
    // Why the local ones do not know comes first, unless there is none to know.
    let unknown = Filing::unknown;
    assert_eq!(merge(unknown(Why::Timeout), unknown(Why::NotAsked)).why, Some(Why::Timeout));
    assert_eq!(merge(unknown(Why::NoRegistry), unknown(Why::NotAsked)).why, Some(Why::NotAsked));
}

#[test]
fn facts_of_another_licence_are_not_mixed_in() {
    let bare = Filing { unit: None, approved_on: None, ..filed() };
    let merged = merge(bare.clone(), filed());
    assert_eq!(
        (merged.unit.as_deref(), merged.approved_on.as_deref()),
        (Some("示例公司"), Some("2024-05-01"))
    );
    let other =
        Filing { subject_licence: Some("蜀ICP备00000009号".to_owned()), site_licence: None, ..filed() };
    assert_eq!(merge(bare.clone(), other).unit, None);
    // What is not filed has no facts to give.
    let gone = Filing { state: FilingState::NotFiled, ..filed() };
    assert_eq!(merge(bare, gone).unit, None);
}

/// A hub that is slow with every part of a batch holds nobody for ever.
#[tokio::test(start_paused = true)]
async fn a_batch_has_an_end() {
    #[derive(Debug)]
    struct Slow;
    impl AskHub for Slow {
        fn ask<'a>(&'a self, _: &'a [Ask]) -> BoxFuture<'a, Result<Vec<HubAnswer>, HubFault>> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(29)).await;
                Err(HubFault::new(Why::TooLarge))
            })
        }
    }
    let mut hub = Hub::new("hub", Duration::from_secs(30));
    hub.asker = Some(Arc::new(Slow));
    let begun = Instant::now();
    let filings = hub.run(&asks(500), &|_| {}).await;
    assert!(begun.elapsed() < RUN_MOST + Duration::from_secs(60), "{:?}", begun.elapsed());
    assert_eq!(filings.len(), 500);
    assert!(filings.iter().all(|f| f.state == FilingState::Unknown));
}
