//! The numbers of `/metrics`, in OpenMetrics.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::event::NOT_SERVED;
use crate::facts::{Finding, FindingKind, LossKind, Problem, ProblemKind, Summary, Verdict};

/// One label with a value of ours.
type Word = [(&'static str, &'static str); 1];
/// A registry's name and the outcome.
type RegistryOutcome = Vec<(&'static str, String)>;
type FloatGauge = Gauge<f64, AtomicU64>;

/// From a cached answer to a timeout, in seconds.
const LATENCIES: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0];
/// From one changed file to a disk that hardly answers, in seconds.
const SCANS: [f64; 9] = [0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

fn latency() -> Histogram {
    Histogram::new(LATENCIES)
}

/// The daemon's metrics. Rooms share it in an `Arc`; every method may be
/// called from any thread and waits for nothing but a short lock.
pub struct Metrics {
    registry: Registry,
    names: Family<Word, Gauge>,
    problems: Family<Word, Gauge>,
    findings: Family<Word, Gauge>,
    transitions: Family<Word, Counter>,
    problem_events: Family<Word, Counter>,
    losses: Family<Word, Counter>,
    scans: Family<Word, Counter>,
    scan_seconds: Histogram,
    files_read: Counter,
    last_scan: Gauge,
    watched: Gauge,
    watch_degraded: Gauge,
    watch_overflows: Counter,
    dns: Family<Word, Histogram, fn() -> Histogram>,
    registries: Family<RegistryOutcome, Histogram, fn() -> Histogram>,
    outbox: Gauge,
    outbox_oldest_age: FloatGauge,
    /// Milliseconds since the epoch; 0: the outbox is empty.
    outbox_oldest: AtomicI64,
    ledger: Gauge,
    last_delivery: Gauge,
    hub: Family<Word, Counter>,
    skew: FloatGauge,
    log_lines_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// All metrics at their beginning; label values that are known beforehand
    /// are there from the start, so that a rate has something to start from.
    pub fn new() -> Metrics {
        let mut m = Metrics {
            registry: Registry::with_prefix("beian_agent"),
            names: Family::default(),
            problems: Family::default(),
            findings: Family::default(),
            transitions: Family::default(),
            problem_events: Family::default(),
            losses: Family::default(),
            scans: Family::default(),
            scan_seconds: Histogram::new(SCANS),
            files_read: Counter::default(),
            last_scan: Gauge::default(),
            watched: Gauge::default(),
            watch_degraded: Gauge::default(),
            watch_overflows: Counter::default(),
            dns: Family::new_with_constructor(latency),
            registries: Family::new_with_constructor(latency),
            outbox: Gauge::default(),
            outbox_oldest_age: FloatGauge::default(),
            outbox_oldest: AtomicI64::new(0),
            ledger: Gauge::default(),
            last_delivery: Gauge::default(),
            hub: Family::default(),
            skew: FloatGauge::default(),
            log_lines_dropped: Counter::default(),
        };
        m.register();
        for v in Verdict::ALL {
            drop(m.names.get_or_create(&[("verdict", v.as_str())]));
            drop(m.transitions.get_or_create(&[("verdict", v.as_str())]));
        }
        drop(m.transitions.get_or_create(&[("verdict", NOT_SERVED)]));
        drop(m.dns.get_or_create(&[("outcome", "ok")]));
        drop(m.hub.get_or_create(&[("outcome", "delivered")]));
        for k in LossKind::ALL {
            drop(m.losses.get_or_create(&[("kind", k.as_str())]));
        }
        for k in FindingKind::ALL {
            drop(m.findings.get_or_create(&[("kind", k.as_str())]));
        }
        for k in ProblemKind::ALL {
            drop(m.problems.get_or_create(&[("kind", k.as_str())]));
        }
        for complete in ["true", "false"] {
            drop(m.scans.get_or_create(&[("complete", complete)]));
        }
        m
    }

    fn register(&mut self) {
        let build: Family<Word, Gauge> = Family::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let r = &mut self.registry;
        // A gauge, as of old: promtool's checker knows no type `info`.
        r.register("build_info", "Build of the agent", build);
        r.register("names", "Served names by verdict", self.names.clone());
        r.register(
            "problems",
            "What was not read or should be known, by kind, at the last scan",
            self.problems.clone(),
        );
        r.register("findings", "What is wrong with sites, by kind, at the last scan", self.findings.clone());
        r.register("transitions", "Changes of verdicts, by the new one", self.transitions.clone());
        r.register("problem_events", "Problems that were logged, by kind", self.problem_events.clone());
        r.register("losses", "What the agent lost of what it should remember or tell", self.losses.clone());
        r.register("scans", "Finished scans, by whether everything was read", self.scans.clone());
        r.register_with_unit("scan_duration", "Time of one scan", Unit::Seconds, self.scan_seconds.clone());
        r.register("files_read", "Configuration files read", self.files_read.clone());
        r.register_with_unit(
            "last_scan_timestamp",
            "When the last complete scan ended; 0: never",
            Unit::Seconds,
            self.last_scan.clone(),
        );
        r.register("watched_folders", "Folders and files under watch", self.watched.clone());
        r.register(
            "watch_degraded",
            "1 where changes are found by the timer only",
            self.watch_degraded.clone(),
        );
        r.register(
            "watch_overflows",
            "Times when the kernel dropped changes, and everything was scanned",
            self.watch_overflows.clone(),
        );
        r.register_with_unit(
            "dns_duration",
            "Time of one question to DNS, by outcome",
            Unit::Seconds,
            self.dns.clone(),
        );
        r.register_with_unit(
            "registry_duration",
            "Time of one question to a registry, by outcome",
            Unit::Seconds,
            self.registries.clone(),
        );
        r.register(
            "outbox_reports",
            "Transitions and reports that the hub has not taken yet",
            self.outbox.clone(),
        );
        r.register_with_unit(
            "outbox_oldest_age",
            "Age of the oldest of them; 0: there is none",
            Unit::Seconds,
            self.outbox_oldest_age.clone(),
        );
        r.register_with_unit("ledger_size", "Size of the ledger on disk", Unit::Bytes, self.ledger.clone());
        r.register_with_unit(
            "last_delivery_timestamp",
            "When the hub last took a report; 0: never",
            Unit::Seconds,
            self.last_delivery.clone(),
        );
        r.register("hub_attempts", "Calls to the hub, by outcome", self.hub.clone());
        r.register_with_unit("clock_skew", "The hub's clock minus ours", Unit::Seconds, self.skew.clone());
        r.register(
            "log_lines_dropped",
            "Lines that could not be written to the log file",
            self.log_lines_dropped.clone(),
        );
    }

    /// The text of `/metrics`, `application/openmetrics-text; version=1.0.0`.
    pub fn encode(&self) -> String {
        let oldest = self.outbox_oldest.load(Ordering::Relaxed);
        let age = match oldest {
            0 => 0.0,
            // A clock that was set back makes no negative age.
            at => (Timestamp::now().as_millisecond().saturating_sub(at)).max(0) as f64 / 1000.0,
        };
        self.outbox_oldest_age.set(age);
        let mut out = String::with_capacity(8 << 10);
        if text::encode(&mut out, &self.registry).is_err() {
            // Writing to a String does not fail; a metric that cannot be
            // written must still leave a whole document.
            out.clear();
            let _ = writeln!(out, "# EOF");
        }
        out
    }

    /// What stands now, after a scan or a new verdict.
    pub fn set_names(&self, summary: &Summary) {
        for v in Verdict::ALL {
            let n = match v {
                Verdict::Compliant => summary.compliant,
                Verdict::Violation => summary.violation,
                Verdict::Suspected => summary.suspected,
                Verdict::Dormant => summary.dormant,
                Verdict::Unconfirmed => summary.unconfirmed,
                Verdict::NotApplicable => summary.not_applicable,
            };
            self.names.get_or_create(&[("verdict", v.as_str())]).set(whole(n));
        }
    }

    /// Problems and findings of the last scan, by kind.
    pub fn set_wrongs(&self, problems: &[Problem], findings: &[Finding]) {
        for k in ProblemKind::ALL {
            let n = problems.iter().filter(|p| p.kind == *k).count();
            self.problems.get_or_create(&[("kind", k.as_str())]).set(whole(n));
        }
        for k in FindingKind::ALL {
            let n = findings.iter().filter(|f| f.kind == *k).count();
            self.findings.get_or_create(&[("kind", k.as_str())]).set(whole(n));
        }
    }

    /// Folders and files under watch, and whether that is not all of them.
    pub fn set_watch(&self, watched: usize, degraded: bool) {
        self.watched.set(whole(watched));
        self.watch_degraded.set(i64::from(degraded));
    }

    /// The kernel dropped changes.
    pub fn watch_overflow(&self) {
        self.watch_overflows.inc();
    }

    /// One question to DNS; the outcome is a word of ours (`ok`, `timeout`, …).
    pub fn dns(&self, outcome: &'static str, took: Duration) {
        self.dns.get_or_create(&[("outcome", outcome)]).observe(took.as_secs_f64());
    }

    /// One question to a registry, by its name in the settings.
    pub fn registry(&self, name: &str, outcome: &'static str, took: Duration) {
        let labels = vec![("registry", name.to_owned()), ("outcome", outcome.to_owned())];
        self.registries.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A registry of the settings: it is there from the start, asked or not.
    pub fn know_registry(&self, name: &str) {
        let labels = vec![("registry", name.to_owned()), ("outcome", "ok".to_owned())];
        drop(self.registries.get_or_create(&labels));
    }

    /// What waits for the hub, and since when.
    pub fn set_outbox(&self, depth: u64, oldest: Option<Timestamp>) {
        self.outbox.set(i64::try_from(depth).unwrap_or(i64::MAX));
        self.outbox_oldest.store(oldest.map_or(0, |t| t.as_millisecond()), Ordering::Relaxed);
    }

    /// Bytes of the ledger on disk.
    pub fn set_ledger(&self, bytes: u64) {
        self.ledger.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The hub's clock minus ours, in seconds.
    pub fn set_clock_skew(&self, seconds: f64) {
        self.skew.set(seconds);
    }

    pub(super) fn count_transition(&self, verdict: &'static str) {
        self.transitions.get_or_create(&[("verdict", verdict)]).inc();
    }

    pub(super) fn count_problem(&self, kind: ProblemKind) {
        self.problem_events.get_or_create(&[("kind", kind.as_str())]).inc();
    }

    pub(super) fn count_loss(&self, kind: LossKind, n: u64) {
        self.losses.get_or_create(&[("kind", kind.as_str())]).inc_by(n);
    }

    pub(super) fn count_scan(&self, complete: bool, took: Duration, files: u64, ended: Timestamp) {
        self.scans.get_or_create(&[("complete", if complete { "true" } else { "false" })]).inc();
        self.scan_seconds.observe(took.as_secs_f64());
        self.files_read.inc_by(files);
        if complete {
            self.last_scan.set(ended.as_second());
        }
    }

    pub(super) fn count_hub(&self, outcome: &'static str, delivered: Option<Timestamp>) {
        self.hub.get_or_create(&[("outcome", outcome)]).inc();
        if let Some(at) = delivered {
            self.last_delivery.set(at.as_second());
        }
    }

    pub(super) fn dropped_lines(&self) -> Counter {
        self.log_lines_dropped.clone()
    }
}

fn whole(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
