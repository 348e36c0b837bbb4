//! The hub's numbers, in OpenMetrics.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::facts::Verdict;

type Word = [(&'static str, &'static str); 1];
type Named = Vec<(&'static str, String)>;

/// From a commit of a few reports to a disk that hardly answers, in seconds.
const COMMITS: [f64; 8] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];

/// The metrics; every method may be called from any thread.
pub struct HubMetrics {
    registry: Registry,
    /// Agents' calls by their outcome: `stored`, `known`, `rollback`, ….
    pub reports: Family<Word, Counter>,
    /// Heartbeats by their outcome.
    pub heartbeats: Family<Word, Counter>,
    /// Enrolments by their outcome.
    pub enrolments: Family<Word, Counter>,
    /// Time of one commit.
    pub commit: Histogram,
    /// Reports that wait for their commit.
    pub queue: Gauge,
    /// Names by verdict.
    pub names: Family<Word, Gauge>,
    /// Agents by how they stand: `active`, `quarantined`, `revoked`, `lost`, `outdated`.
    pub agents: Family<Word, Gauge>,
    /// Findings of the hub by kind.
    pub findings: Family<Named, Gauge>,
    /// Polls by outcome.
    pub polls: Family<Word, Counter>,
    /// Questions asked of each registry by outcome.
    pub questions: Family<Named, Counter>,
    /// 1 where a registry is in use, 0 where it is out.
    pub sources: Family<Named, Gauge>,
    /// Questions that wait for an answer.
    pub lookups_due: Gauge,
    /// Agents' lookups by outcome: `answered`, `not_served`, `quota`, ….
    pub lookups: Family<Word, Counter>,
    /// Seconds since the provider's database was imported.
    pub provider_age: Gauge<f64, AtomicU64>,
}

impl Default for HubMetrics {
    fn default() -> Self {
        HubMetrics::new()
    }
}

impl HubMetrics {
    /// All at their beginning.
    pub fn new() -> HubMetrics {
        let mut m = HubMetrics {
            registry: Registry::with_prefix("beian_hub"),
            reports: Family::default(),
            heartbeats: Family::default(),
            enrolments: Family::default(),
            commit: Histogram::new(COMMITS),
            queue: Gauge::default(),
            names: Family::default(),
            agents: Family::default(),
            findings: Family::default(),
            polls: Family::default(),
            questions: Family::default(),
            sources: Family::default(),
            lookups_due: Gauge::default(),
            lookups: Family::default(),
            provider_age: Gauge::default(),
        };
        for v in Verdict::ALL {
            drop(m.names.get_or_create(&[("verdict", v.as_str())]));
        }
        for s in ["active", "quarantined", "revoked", "lost", "outdated"] {
            drop(m.agents.get_or_create(&[("state", s)]));
        }
        for o in ["stored", "known", "rollback", "refused", "busy"] {
            drop(m.reports.get_or_create(&[("outcome", o)]));
        }
        let build: Family<Word, Gauge> = Family::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let r = &mut m.registry;
        r.register("build_info", "Build of the hub", build);
        r.register("reports", "Reports by outcome", m.reports.clone());
        r.register("heartbeats", "Heartbeats by outcome", m.heartbeats.clone());
        r.register("enrolments", "Enrolments by outcome", m.enrolments.clone());
        r.register_with_unit("commit", "Time of one commit of reports", Unit::Seconds, m.commit.clone());
        r.register("queue", "Reports and heartbeats that wait for their commit", m.queue.clone());
        r.register("names", "Names by verdict", m.names.clone());
        r.register("agents", "Agents by how they stand", m.agents.clone());
        r.register("findings", "Findings of the hub by kind", m.findings.clone());
        r.register("polls", "Polls of agents by outcome", m.polls.clone());
        r.register("registry_questions", "Questions asked of each registry by outcome", m.questions.clone());
        r.register("registry_up", "1 where a registry is in use, 0 where it is out", m.sources.clone());
        r.register("lookups_due", "Questions that wait for a registry", m.lookups_due.clone());
        r.register("lookups", "Agents' questions by outcome", m.lookups.clone());
        r.register_with_unit(
            "provider_db_age",
            "Age of the provider's database",
            Unit::Seconds,
            m.provider_age.clone(),
        );
        m
    }

    /// OpenMetrics text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing into memory does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}
