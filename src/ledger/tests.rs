use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::facts::LossKind;
use crate::facts::{
    AccessState, ExposureState, FilingState, Reason, Report, ServedBy, Server, SourceAnswer, SourceState,
    Verdict, Why,
};

mod hub;

fn policy() -> Freshness {
    let h = |n: u64| Duration::from_secs(n * 3600);
    Freshness {
        filed: h(7 * 24),
        pending: h(6),
        not_filed: h(6),
        dns_min: Duration::from_secs(300),
        dns_max: h(6),
        retry_min: Duration::from_secs(300),
        retry_max: h(1),
    }
}

fn t0() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn at(hours: i64) -> Timestamp {
    t0() + SignedDuration::from_hours(hours)
}

fn frame(name: &str, line: u32, now: Timestamp) -> (Row, Vec<String>) {
    let row = Row {
        name: name.to_owned(),
        unicode: name.to_owned(),
        apex: Some(name.to_owned()),
        verdict: Verdict::NotApplicable,
        reason: Reason::FilingUnknown,
        stale: false,
        exposure: None,
        filing: None,
        first_seen: now,
        exposed_since: None,
        filed_since: None,
        connected_before_filing: false,
        served_by: vec![ServedBy {
            server: Server::Nginx,
            file: "/etc/nginx/a.conf".to_owned(),
            line,
            listen: vec!["*:80".to_owned()],
        }],
        exempt: None,
    };
    (row, vec![name.to_owned()])
}

fn scan(names: &[&str], now: Timestamp) -> ScanResult {
    ScanResult {
        rows: names.iter().map(|n| frame(n, 1, now)).collect(),
        gone: None,
        findings: Vec::new(),
        problems: Vec::new(),
        addresses: vec!["203.0.113.10".parse().unwrap()],
        complete: true,
        at: now,
    }
}

fn exposure(state: ExposureState, now: Timestamp) -> Exposure {
    let why = (state == ExposureState::Unknown).then(|| "timeout".to_owned());
    Exposure {
        state,
        addresses: Vec::new(),
        cname: Vec::new(),
        checked_at: now,
        why,
        asked: Vec::new(),
        ttl: Some(600),
    }
}

fn filing(state: FilingState, access: AccessState, now: Timestamp) -> Filing {
    let said = match state {
        FilingState::Filed => SourceState::Filed,
        FilingState::Restricted => SourceState::Restricted,
        FilingState::NotFiled => SourceState::NotFiled,
        FilingState::SuspectedNotFiled => SourceState::SuspectedNotFiled,
        FilingState::Unknown => SourceState::Unknown,
    };
    let error = (state == FilingState::Unknown).then_some(Why::Timeout);
    Filing {
        state,
        access,
        sources: vec![SourceAnswer { registry: "r".to_owned(), state: said, checked_at: now, error }],
        why: error,
        ..Filing::unknown(Why::Timeout)
    }
}

struct Case {
    dir: tempfile::TempDir,
    ledger: Ledger,
}

impl Case {
    fn new() -> Case {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path(), policy()).unwrap();
        Case { dir, ledger }
    }

    fn reopen(self) -> Case {
        let Case { dir, ledger } = self;
        drop(ledger);
        let ledger = Ledger::open(dir.path(), policy()).unwrap();
        Case { dir, ledger }
    }

    fn here(&self, name: &str, now: Timestamp) -> Vec<Transition> {
        self.ledger.record_exposures(vec![(name.to_owned(), exposure(ExposureState::Here, now))], now)
    }

    fn says(&self, name: &str, state: FilingState, access: AccessState, now: Timestamp) -> Vec<Transition> {
        self.ledger.record_filings(vec![(vec![name.to_owned()], filing(state, access, now))], now)
    }

    fn verdict(&self, name: &str) -> (Verdict, Reason, bool) {
        let row = self.ledger.row(name).unwrap();
        (row.verdict, row.reason, row.stale)
    }
}

#[test]
fn a_new_name_is_told_once_all_its_facts_are_known() {
    let c = Case::new();
    let applied = c.ledger.apply_scan(scan(&["a.cn"], t0()));
    assert_eq!((applied.new, applied.transitions.len()), (1, 0));
    assert_eq!(c.ledger.due_names(t0(), 10), ["a.cn"]);
    assert_eq!(c.ledger.due_filings(t0(), 10), [["a.cn"]]);
    assert!(c.here("a.cn", t0()).is_empty(), "nothing is known of its filing");
    let told = c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, t0());
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].from, None);
    assert_eq!(told[0].to.map(|s| s.verdict), Some(Verdict::Violation));
    let row = told[0].row.as_ref().unwrap();
    assert_eq!(row.served_by[0].file, "/etc/nginx/a.conf");
    assert!(row.connected_before_filing);
    assert_eq!(c.ledger.summary().violation, 1);
    // The same again is no news.
    assert!(c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, at(5)).is_empty());
    // It is gone: told, and remembered when it comes back.
    let gone = c.ledger.apply_scan(scan(&[], at(6)));
    assert_eq!((gone.gone, gone.transitions[0].to), (1, None));
    assert_eq!(c.ledger.summary(), Summary::default());
    assert!(c.ledger.due_names(at(100), 10).is_empty() && c.ledger.due_filings(at(100), 10).is_empty());
    c.ledger.apply_scan(scan(&["a.cn"], at(7)));
    let row = c.ledger.row("a.cn").unwrap();
    assert_eq!(row.first_seen, t0());
    assert!(row.connected_before_filing);
    assert_eq!(c.ledger.history("a.cn").len(), 2);
}

#[test]
fn a_name_that_could_not_be_read_is_not_gone() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn", "b.cn"], t0()));
    let broken = ScanResult { complete: false, ..scan(&["a.cn"], at(1)) };
    assert_eq!(c.ledger.apply_scan(broken).gone, 0);
    assert!(c.ledger.row("b.cn").is_some());
    assert_eq!(c.ledger.apply_scan(scan(&["a.cn"], at(2))).gone, 1);
}

#[test]
fn a_scan_may_tell_only_what_it_changed() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn", "b.cn", "c.cn"], t0()));
    let part = |rows: &[(&str, u32)], gone: &[&str], complete: bool, h: i64| {
        let mut s = scan(&[], at(h));
        s.rows = rows.iter().map(|(n, line)| frame(n, *line, at(h))).collect();
        s.gone = Some(gone.iter().map(|n| (*n).to_owned()).collect());
        let done = c.ledger.apply_scan(ScanResult { complete, ..s });
        (done.new, done.moved, done.gone)
    };
    // One new, one as it was, one that is served elsewhere, one gone.
    assert_eq!(part(&[("d.cn", 1), ("a.cn", 1), ("b.cn", 7)], &["c.cn"], true, 1), (1, 1, 1));
    let names = || {
        let mut all = Vec::new();
        c.ledger.rows(|r| all.push((r.name.clone(), r.served_by[0].line)));
        all
    };
    let of = |all: &[(&str, u32)]| all.iter().map(|(n, l)| ((*n).to_owned(), *l)).collect::<Vec<_>>();
    assert_eq!(names(), of(&[("a.cn", 1), ("b.cn", 7), ("d.cn", 1)]));
    // What is gone and comes back is new, what stays is not.
    assert_eq!(part(&[("c.cn", 1), ("d.cn", 1)], &[], true, 2), (1, 0, 0));
    // Something was not read: no name is gone, until all names are told.
    assert_eq!(part(&[("e.cn", 1)], &["a.cn"], false, 3), (1, 0, 0));
    assert_eq!(part(&[], &[], true, 4), (0, 0, 0));
    assert_eq!(c.ledger.apply_scan(scan(&["b.cn", "c.cn", "d.cn", "e.cn"], at(5))).gone, 1);
    assert_eq!(c.ledger.summary().names, 4);
    // A name that is not known cannot go.
    assert_eq!(part(&[], &["a.cn", "never.cn"], true, 6), (0, 0, 0));
}

#[test]
fn a_filing_that_cannot_be_asked_again_goes_stale_and_then_unknown() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    c.here("a.cn", t0());
    c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, t0());
    let fails = |h| c.says("a.cn", FilingState::Unknown, AccessState::Unknown, at(h));
    assert!(fails(6).is_empty());
    assert_eq!(c.verdict("a.cn"), (Verdict::Violation, Reason::NotFiled, true));
    assert!(fails(11).is_empty());
    assert_eq!(c.verdict("a.cn"), (Verdict::Violation, Reason::NotFiled, true));
    // Twice six hours: nobody knows any more.
    assert_eq!(fails(12).len(), 1);
    assert_eq!(c.verdict("a.cn"), (Verdict::Unconfirmed, Reason::FilingUnknown, false));
    // A filing holds for a week, so for two.
    c.says("a.cn", FilingState::Filed, AccessState::Here, at(13));
    assert_eq!(c.verdict("a.cn"), (Verdict::Compliant, Reason::Filed, false));
    fails(13 + 14 * 24 - 1);
    assert_eq!(c.verdict("a.cn"), (Verdict::Compliant, Reason::Filed, true));
    fails(13 + 14 * 24);
    assert_eq!(c.verdict("a.cn").0, Verdict::Unconfirmed);
}

#[test]
fn an_exposure_that_cannot_be_asked_again_holds_for_a_day() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, t0());
    c.here("a.cn", t0());
    let fails = |h| {
        c.ledger.record_exposures(vec![("a.cn".to_owned(), exposure(ExposureState::Unknown, at(h)))], at(h))
    };
    assert!(fails(23).is_empty());
    assert_eq!(c.verdict("a.cn"), (Verdict::Violation, Reason::NotFiled, true));
    assert_eq!(fails(24).len(), 1);
    assert_eq!(c.verdict("a.cn"), (Verdict::Unconfirmed, Reason::ExposureUnknown, false));
}

#[test]
fn a_source_that_fails_does_not_clear_what_it_said() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    c.here("a.cn", t0());
    let two = |public: SourceState, error, state, access, now| {
        let of = |registry: &str, state, error| SourceAnswer {
            registry: registry.to_owned(),
            state,
            checked_at: now,
            error,
        };
        let sources = vec![of("provider", SourceState::Filed, None), of("public", public, error)];
        Filing { sources, state, access, ..Filing::unknown(Why::Timeout) }
    };
    let record = |f, now| c.ledger.record_filings(vec![(vec!["a.cn".to_owned()], f)], now);
    record(two(SourceState::Restricted, None, FilingState::Restricted, AccessState::Here, t0()), t0());
    assert_eq!(c.verdict("a.cn").0, Verdict::Violation);
    // Without the public source the provider's word alone would clear it.
    let failed =
        |now| two(SourceState::Unknown, Some(Why::Timeout), FilingState::Filed, AccessState::Here, now);
    assert!(record(failed(at(6)), at(6)).is_empty());
    assert_eq!(c.verdict("a.cn"), (Verdict::Violation, Reason::Restricted, true));
    record(failed(at(12)), at(12));
    assert_eq!(c.verdict("a.cn").0, Verdict::Unconfirmed);
    // It answers again, and says that it is filed: that explains the change.
    record(two(SourceState::Filed, None, FilingState::Filed, AccessState::Here, at(13)), at(13));
    assert_eq!(c.verdict("a.cn"), (Verdict::Compliant, Reason::Filed, false));
}

#[test]
fn connected_before_filing_stays_on_record() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    c.here("a.cn", t0());
    c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, t0());
    let filed = Filing {
        approved_on: Some("2026-06-09".to_owned()),
        ..filing(FilingState::Filed, AccessState::Here, at(200))
    };
    c.ledger.record_filings(vec![(vec!["a.cn".to_owned()], filed)], at(200));
    let row = c.ledger.row("a.cn").unwrap();
    assert_eq!(row.verdict, Verdict::Compliant);
    assert!(row.connected_before_filing);
    assert_eq!((row.exposed_since, row.filed_since.as_deref()), (Some(t0()), Some("2026-06-09")));
}

#[test]
fn work_is_spread_and_never_late() {
    let c = Case::new();
    let names: Vec<String> = (0..500).map(|i| format!("n{i}.cn")).collect();
    c.ledger.apply_scan(scan(&names.iter().map(String::as_str).collect::<Vec<_>>(), t0()));
    let found =
        names.iter().map(|n| (vec![n.clone()], filing(FilingState::NotFiled, AccessState::Unknown, t0())));
    c.ledger.record_filings(found.collect(), t0());
    let due = |minutes: i64| c.ledger.due_len(t0() + SignedDuration::from_mins(minutes)).1;
    assert_eq!(due(5 * 60 + 23), 0, "not before nine tenths");
    assert_eq!(due(6 * 60), 500, "not later than its time");
    let half = due(5 * 60 + 42);
    assert!((150..350).contains(&half), "{half} of 500 by the middle");
}

/// A server's clock goes back a day, as after a bad NTP server.
#[test]
fn a_clock_that_jumps_back_a_day_freezes_nothing() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], at(24)));
    c.here("a.cn", at(24));
    c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, at(24));
    assert!(c.ledger.due_filings(at(0), 10).is_empty());
    assert!(c.ledger.next_filing_due().unwrap() <= at(6));
    assert!(c.ledger.next_name_due().unwrap() <= at(6));
    assert_eq!(c.ledger.due_filings(at(6), 10).len(), 1);
    // A failure then: the fact is from the future, and no older than now.
    c.says("a.cn", FilingState::Unknown, AccessState::Unknown, at(6));
    assert_eq!(c.verdict("a.cn"), (Verdict::Violation, Reason::NotFiled, true));
    // And forward again by three days: the failure then ends in unknown.
    c.says("a.cn", FilingState::Unknown, AccessState::Unknown, at(100));
    assert_eq!(c.verdict("a.cn").0, Verdict::Unconfirmed);
}

fn report(body: &[u8]) -> Report {
    use std::io::Read as _;
    let mut text = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
    let report: Report = serde_json::from_str(&text).unwrap();
    // The order of fields and all else is that of the type.
    assert_eq!(serde_json::to_string(&report).unwrap(), text);
    report
}

#[test]
fn a_report_is_sealed_until_its_receipt() {
    let c = Case::new();
    assert_eq!(c.ledger.next(false).unwrap(), None);
    c.ledger.apply_scan(scan(&["a.cn", "b.cn"], t0()));
    c.here("a.cn", t0());
    c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, t0());
    let first = c.ledger.next(false).unwrap().unwrap();
    let told = report(&first.body);
    assert_eq!((told.sequence, told.names.len(), told.transitions.len()), (1, 2, 1));
    assert_eq!(told.transitions[0].row, None, "the row stands among the names");
    // More comes about, the process dies: the sealed one stays as it was.
    c.says("a.cn", FilingState::Filed, AccessState::Here, at(1));
    let c = c.reopen();
    assert_eq!(c.ledger.next(true).unwrap().unwrap(), first);
    assert_eq!(c.ledger.take_sequence().unwrap(), 2);
    c.ledger.delivered(1, "receipt").unwrap();
    let second = c.ledger.next(false).unwrap().unwrap();
    let told = report(&second.body);
    assert_eq!((told.sequence, told.transitions.len()), (3, 1));
    assert_eq!(told.transitions[0].to.map(|s| s.verdict), Some(Verdict::Compliant));
    c.ledger.delivered(3, "receipt").unwrap();
    assert_eq!(c.ledger.next(false).unwrap(), None);
    assert_eq!(report(&c.ledger.next(true).unwrap().unwrap().body).transitions.len(), 0);
}

/// The hub has seen more than this server remembers: it was restored.
#[test]
fn a_server_restored_from_a_snapshot_goes_on_above() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    c.here("a.cn", t0());
    c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, t0());
    let old = report(&c.ledger.next(false).unwrap().unwrap().body);
    c.ledger.rolled_back(40).unwrap();
    let new = report(&c.ledger.next(false).unwrap().unwrap().body);
    assert_eq!((old.sequence, new.sequence), (1, 41));
    assert_eq!(old.transitions[0].id, new.transitions[0].id, "the hub knows it by its id");
}

#[test]
fn a_report_too_large_is_told_in_parts() {
    let c = Case::new();
    let names: Vec<String> = (0..7).map(|i| format!("n{i}.cn")).collect();
    c.ledger.apply_scan(scan(&names.iter().map(String::as_str).collect::<Vec<_>>(), t0()));
    for n in &names {
        c.here(n, t0());
        c.says(n, FilingState::NotFiled, AccessState::Unknown, t0());
    }
    let whole = c.ledger.next(false).unwrap().unwrap();
    c.ledger.split(whole.sequence).unwrap();
    let first = c.ledger.next(false).unwrap().unwrap();
    c.ledger.split(first.sequence).unwrap();
    let (mut seen, mut transitions) = (Vec::new(), 0);
    let mut ids = HashSet::new();
    for index in 1..=4 {
        let part = c.ledger.next(false).unwrap().unwrap();
        let r = report(&part.body);
        assert_eq!(r.part.map(|p| (p.index, p.count)), Some((index, 4)));
        assert_eq!(r.summary.names, 7);
        seen.extend(r.names.into_iter().map(|r| r.name));
        transitions += r.transitions.len();
        ids.insert(r.report_id);
        c.ledger.delivered(part.sequence, "r").unwrap();
    }
    assert_eq!((seen.len(), transitions, ids.len()), (7, 7, 1));
    assert_eq!(c.ledger.next(false).unwrap(), None);
    // One name cannot be split for ever.
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    let mut errors = 0;
    for _ in 0..20 {
        let s = c.ledger.next(true).unwrap().unwrap();
        errors += usize::from(c.ledger.split(s.sequence).is_err());
    }
    assert!(errors > 0);
}

#[test]
fn a_report_refused_for_good_is_a_loss_that_is_told() {
    let c = Case::new();
    c.ledger.apply_scan(scan(&["a.cn"], t0()));
    c.here("a.cn", t0());
    c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, t0());
    let s = c.ledger.next(false).unwrap().unwrap();
    c.ledger.dead_letter(s.sequence, "urn:beian:problem:schema").unwrap();
    assert_eq!(c.ledger.health().dead, 1);
    let next = report(&c.ledger.next(false).unwrap().unwrap().body);
    assert_eq!(next.losses[0].kind, LossKind::DeadLetter);
    assert!(next.transitions.is_empty());
}

#[test]
fn a_file_that_is_no_ledger_is_set_aside_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ledger.redb");
    for (i, bytes) in
        [b"not a ledger at all".repeat(1000), vec![0_u8; 100_000], vec![1]].into_iter().enumerate()
    {
        std::fs::write(&file, bytes).unwrap();
        let ledger = Ledger::open(dir.path(), policy()).unwrap();
        assert_eq!(ledger.health().in_memory, None, "{i}");
        assert_eq!(ledger.losses()[0].kind, LossKind::LedgerSetAside, "{i}");
        ledger.apply_scan(scan(&["a.cn"], t0()));
        assert!(ledger.row("a.cn").is_some());
    }
    let aside = std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains(".broken-"))
        .count();
    assert_eq!(aside, 2, "only the last two are kept");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A ledger of format 1 as it was written: every later version reads it.
/// `BEIAN_WRITE_FIXTURE=1` writes it anew, which only a new format may need.
#[test]
fn a_ledger_of_format_1_is_read() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledger/v1.redb");
    if std::env::var_os("BEIAN_WRITE_FIXTURE").is_some() {
        let c = Case::new();
        c.ledger.apply_scan(scan(&["a.cn", "b.cn", "gone.cn"], t0()));
        c.here("a.cn", t0());
        c.says("a.cn", FilingState::NotFiled, AccessState::Unknown, t0());
        c.ledger.next(false).unwrap();
        c.ledger.apply_scan(scan(&["a.cn", "b.cn"], at(1)));
        let Case { dir, ledger } = c;
        drop(ledger);
        std::fs::copy(dir.path().join("ledger.redb"), &fixture).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(&fixture, dir.path().join("ledger.redb")).unwrap();
    let ledger = Ledger::open(dir.path(), policy()).unwrap();
    assert!(ledger.losses().is_empty(), "{:?}", ledger.losses());
    assert_eq!((ledger.summary().violation, ledger.summary().unconfirmed), (1, 1));
    let row = ledger.row("a.cn").unwrap();
    assert_eq!((row.verdict, row.first_seen, row.exposed_since), (Verdict::Violation, t0(), Some(t0())));
    assert!(row.connected_before_filing);
    assert_eq!(ledger.history("a.cn").len(), 1);
    assert_eq!(ledger.due_filings(at(2), 10), [["b.cn"]]);
    let sealed = ledger.next(false).unwrap().unwrap();
    assert_eq!((sealed.sequence, report(&sealed.body).transitions.len()), (1, 1));
    assert_eq!(ledger.meta().scanned_at, at(1));
}

/// A newer version's file is not ours to change.
#[test]
fn a_ledger_of_a_newer_format_is_set_aside() {
    let c = Case::new();
    c.ledger.lock().store.write(|t| t.put_meta("version", &99_u32));
    let c = c.reopen();
    assert_eq!(c.ledger.losses()[0].kind, LossKind::LedgerSetAside);
}

#[test]
fn a_ledger_that_is_open_is_left_alone() {
    let c = Case::new();
    assert!(matches!(Ledger::open(c.dir.path(), policy()), Err(LedgerError::InUse(_))));
}

#[test]
fn without_a_disk_it_is_in_memory_and_moves_back() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the folder belongs: nobody, root included, can write there.
    let state = dir.path().join("state");
    std::fs::write(&state, "").unwrap();
    let ledger = Ledger::open(&state, policy()).unwrap();
    assert!(ledger.health().in_memory.is_some());
    ledger.apply_scan(scan(&["a.cn"], t0()));
    let past = |m: i64| Timestamp::now() + SignedDuration::from_mins(m);
    ledger.maintain(past(2));
    assert!(ledger.health().in_memory.is_some(), "the disk does not work yet");
    std::fs::remove_file(&state).unwrap();
    ledger.maintain(past(4));
    assert_eq!(ledger.health().in_memory, None);
    drop(ledger);
    assert!(Ledger::open(&state, policy()).unwrap().row("a.cn").is_some());
}

/// Promise 5, at its worst: the hub is down for a week, and 2,000 names
/// change all the time.
#[test]
fn promise_5_a_week_without_a_hub_stays_below_the_ceiling() {
    let c = Case::new();
    let names: Vec<String> = (0..2_000).map(|i| format!("name-{i}.example-{i}.cn")).collect();
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    c.ledger.apply_scan(scan(&list, t0()));
    let file = c.dir.path().join("ledger.redb");
    let mut largest = 0;
    for hour in 0..24 {
        let state = if hour % 2 == 0 { FilingState::NotFiled } else { FilingState::Filed };
        let now = at(hour * 7);
        for chunk in names.chunks(500) {
            let found =
                chunk.iter().map(|n| (n.clone(), exposure(ExposureState::Here, now))).collect::<Vec<_>>();
            c.ledger.record_exposures(found, now);
            let found = chunk
                .iter()
                .map(|n| (vec![n.clone()], filing(state, AccessState::Unknown, now)))
                .collect::<Vec<_>>();
            c.ledger.record_filings(found, now);
            c.ledger.maintain(now);
            largest = largest.max(std::fs::metadata(&file).unwrap().len());
        }
    }
    assert!(largest < CEILING, "{largest}");
    let dropped = c.ledger.losses();
    assert_eq!(dropped[0].kind, LossKind::TransitionsDropped);
    assert_eq!(c.ledger.health().untold + dropped[0].count, 24 * 2_000, "every one is counted");
    assert_eq!(c.ledger.summary().names, 2_000);
}

/// Promise 5 with as many names as one server may have: they are found in one
/// scan, judged, and change twice while the hub is down.
#[test]
fn promise_5_ten_thousand_names_stay_below_the_ceiling() {
    let c = Case::new();
    let names: Vec<String> =
        (0..10_000).map(|i| format!("www.a-longer-name-{i}.example-{i}.com.cn")).collect();
    c.ledger.apply_scan(scan(&names.iter().map(String::as_str).collect::<Vec<_>>(), t0()));
    let file = c.dir.path().join("ledger.redb");
    let mut largest = 0;
    let mut look = || largest = largest.max(std::fs::metadata(&file).unwrap().len());
    look();
    for (round, state) in [FilingState::NotFiled, FilingState::Filed].into_iter().enumerate() {
        let now = at(round as i64 * 12);
        for chunk in names.chunks(128) {
            let found = chunk.iter().map(|n| (n.clone(), exposure(ExposureState::Here, now))).collect();
            c.ledger.record_exposures(found, now);
            let found =
                chunk.iter().map(|n| (vec![n.clone()], filing(state, AccessState::Unknown, now))).collect();
            c.ledger.record_filings(found, now);
            look();
        }
        c.ledger.maintain(now);
        look();
    }
    // The sealed report counts too.
    assert!(c.ledger.next(true).unwrap().is_some());
    look();
    let dropped = c.ledger.losses().first().map_or(0, |l| l.count);
    assert_eq!(c.ledger.health().untold + dropped, 20_000, "every one is counted");
    assert_eq!((c.ledger.summary().names, c.ledger.summary().compliant), (10_000, 10_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the disk did to the file, the daemon starts.
    #[test]
    fn a_corrupt_file_never_stops_the_daemon(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), cut in prop::option::of(any::<prop::sample::Index>())) {
        let c = Case::new();
        let names: Vec<String> = (0..40).map(|i| format!("n{i}.cn")).collect();
        c.ledger.apply_scan(scan(&names.iter().map(String::as_str).collect::<Vec<_>>(), t0()));
        c.here("n1.cn", t0());
        c.says("n1.cn", FilingState::NotFiled, AccessState::Unknown, t0());
        let Case { dir, ledger } = c;
        drop(ledger);
        let file = dir.path().join("ledger.redb");
        let mut bytes = std::fs::read(&file).unwrap();
        for (i, b) in flips {
            let i = i.index(bytes.len());
            bytes[i] ^= b;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        std::fs::write(&file, bytes).unwrap();
        let ledger = Ledger::open(dir.path(), policy()).unwrap();
        prop_assert_eq!(ledger.health().in_memory, None);
        ledger.apply_scan(scan(&["a.cn"], at(1)));
        ledger.record_exposures(vec![("a.cn".to_owned(), exposure(ExposureState::Here, at(1)))], at(1));
        prop_assert!(ledger.row("a.cn").is_some());
    }

    /// Promise 2: no failure, in whatever order, makes a row compliant or a
    /// violation that was not confirmed as such.
    #[test]
    fn promise_2_failures_never_make_a_verdict(steps in prop::collection::vec((0_usize..4, 0_usize..3, 0_i64..30), 1..40)) {
        let c = Case::new();
        c.ledger.apply_scan(scan(&["a.cn"], t0()));
        let mut hour = 0;
        // What was last confirmed, and when.
        let (mut filing_was, mut exposure_was) = (None, None);
        for (what, which, hours) in steps {
            hour += hours;
            let now = at(hour);
            match what {
                0 => {
                    let state = [FilingState::Filed, FilingState::NotFiled, FilingState::Restricted][which];
                    c.says("a.cn", state, AccessState::Unknown, now);
                    filing_was = Some(state);
                }
                1 => {
                    let state = [ExposureState::Here, ExposureState::Elsewhere, ExposureState::Fronted][which];
                    c.ledger.record_exposures(vec![("a.cn".to_owned(), exposure(state, now))], now);
                    exposure_was = Some(state);
                }
                2 => drop(c.says("a.cn", FilingState::Unknown, AccessState::Unknown, now)),
                _ => drop(c.ledger.record_exposures(vec![("a.cn".to_owned(), exposure(ExposureState::Unknown, now))], now)),
            }
            let row = c.ledger.row("a.cn").unwrap();
            let could = match (filing_was, exposure_was) {
                (Some(f), Some(e)) => crate::verdict::judge(f, AccessState::Unknown, e).0,
                (Some(f), None) => crate::verdict::judge(f, AccessState::Unknown, ExposureState::Unknown).0,
                _ => Verdict::Unconfirmed,
            };
            prop_assert!(row.verdict == could || row.verdict == Verdict::Unconfirmed, "{:?} {:?}", row.verdict, could);
        }
    }
}
