//! What waits for the hub, and what the hub's failures leave.

use super::*;

/// The hub has heard of no such name yet.
fn not_served(now: Timestamp) -> Filing {
    let mut f = filing(FilingState::Unknown, AccessState::Unknown, now);
    f.why = Some(Why::NotAsked);
    f.sources[0].registry = "hub".to_owned();
    f.sources[0].error = Some(Why::NotAsked);
    f
}

fn minutes(n: i64) -> Timestamp {
    t0() + SignedDuration::from_mins(n)
}

#[test]
fn what_the_hub_does_not_serve_yet_is_asked_again_after_the_next_report() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    assert!(c.here("a.cn", t0()).is_empty());
    assert_eq!(c.ledger.next(false), Ok(None), "a report full of questions says nothing");
    let told = c.ledger.record_filings(vec![(vec!["a.cn".to_owned()], not_served(t0()))], t0());
    // Nobody was asked, so there is no news; but a report goes, with the name.
    assert_eq!(told, []);
    assert_eq!(c.verdict("a.cn"), (Verdict::Unconfirmed, Reason::FilingUnknown, false));
    assert!(c.ledger.due_filings(minutes(1), 10).is_empty());
    assert!(c.ledger.unserved());
    let c = c.reopen();
    let sealed = c.ledger.next(false).unwrap().unwrap();
    let r = report(&sealed.body);
    assert_eq!((r.names.len(), r.transitions.len()), (1, 0));
    let filing = r.names[0].filing.clone().unwrap();
    assert_eq!((filing.why, filing.sources[0].error), (Some(Why::NotAsked), Some(Why::NotAsked)));

    let before = c.ledger.deliveries();
    c.ledger.delivered(sealed.sequence, "{}").unwrap();
    assert_eq!(c.ledger.deliveries(), before + 1);
    assert!(c.ledger.unserved_due(minutes(1)));
    assert_eq!(c.ledger.due_filings(minutes(1), 10), [["a.cn"]]);
    assert!(!c.ledger.unserved_due(minutes(1)), "once for one receipt");
    let told = c.says("a.cn", FilingState::Filed, AccessState::Here, minutes(1));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].from, told[0].to.unwrap().verdict), (None, Verdict::Compliant));
    assert!(!c.ledger.unserved_due(minutes(2)));
}

#[test]
fn other_failures_keep_their_pause_whatever_is_delivered() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    c.here("a.cn", t0());
    assert_eq!(c.says("a.cn", FilingState::Unknown, AccessState::Unknown, t0()).len(), 1);
    assert!(!c.ledger.unserved_due(minutes(1)));
    assert!(c.ledger.due_filings(minutes(1), 10).is_empty());
}

#[test]
fn a_hub_that_says_when_it_will_know_is_asked_then() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    let ready = |at| Filing { expires_at: Some(at), ..not_served(t0()) };
    let record = |f, now| c.ledger.record_filings(vec![(vec!["a.cn".to_owned()], f)], now);
    record(ready(minutes(1)), t0());
    assert_eq!(c.ledger.next_filing_due(), Some(minutes(1)));
    // Not without a pause, and not later than otherwise.
    record(ready(t0()), minutes(1));
    assert_eq!(c.ledger.next_filing_due(), Some(minutes(1) + SignedDuration::from_secs(5)));
    record(ready(minutes(9_999)), minutes(2));
    assert!(c.ledger.next_filing_due() <= Some(minutes(2 + 60)));
}

/// A local file says that it is connected here, a registry behind the hub that
/// it is filed; then the hub fails, and stands in that registry's place.
#[test]
fn a_hub_that_fails_does_not_clear_what_its_sources_said() {
    let source = |registry: &str, state, error, now| SourceAnswer {
        registry: registry.to_owned(),
        state,
        checked_at: now,
        error,
    };
    let local = |now| source("local", SourceState::Unknown, None, now);
    let good = Filing {
        sources: vec![local(t0()), source("yd2431", SourceState::Filed, None, t0())],
        ..filing(FilingState::Filed, AccessState::Here, t0())
    };
    let failed = |now| Filing {
        access: AccessState::Here,
        sources: vec![local(now), source("hub", SourceState::Unknown, Some(Why::Timeout), now)],
        ..filing(FilingState::Unknown, AccessState::Here, now)
    };
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    c.here("a.cn", t0());
    let record = |f, now| c.ledger.record_filings(vec![(vec!["a.cn".to_owned()], f)], now);
    record(good.clone(), t0());
    for hours in [24, 7 * 24 + 1, 13 * 24] {
        assert_eq!(record(failed(at(hours)), at(hours)), [], "{hours}");
        assert_eq!(c.verdict("a.cn"), (Verdict::Compliant, Reason::Filed, true));
    }
    // Nobody knows after twice its time; and then the hub is back.
    record(failed(at(15 * 24)), at(15 * 24));
    assert_eq!(c.verdict("a.cn").0, Verdict::Unconfirmed);
    record(good.clone(), at(15 * 24 + 1));
    assert_eq!(c.verdict("a.cn"), (Verdict::Compliant, Reason::Filed, false));
    // A source that the hub does not have any more is no failure.
    let gone = Filing { sources: vec![local(t0())], ..failed(at(16 * 24)) };
    assert_eq!(record(gone, at(16 * 24)).len(), 1);
}

/// A heartbeat between two tries of a report takes a number above it.
#[test]
fn a_sealed_report_keeps_its_sequence_below_a_heartbeats() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    let sealed = c.ledger.next(true).unwrap().unwrap();
    assert_eq!(c.ledger.take_sequence(), Ok(sealed.sequence + 1));
    assert_eq!(c.ledger.next(false).unwrap().unwrap(), sealed);
    c.ledger.delivered(sealed.sequence, "{}").unwrap();
    assert_eq!(c.ledger.next(true).unwrap().unwrap().sequence, sealed.sequence + 2);
}
