//! How the daemon does: the answer of `GET /v1/status` and of
//! `beian-agent status`.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::facts::{Loss, Reason, Summary, Verdict};

/// Schema name of [`Status`].
pub const STATUS_SCHEMA: &str = "beian.status/1";

/// How the daemon does. Readers ignore what they do not know; what is absent
/// is not known, or not set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`STATUS_SCHEMA`].
    pub schema: String,
    /// Version of the agent.
    pub version: String,
    /// Given by the hub; null before enrolment.
    pub agent_id: Option<String>,
    /// Host name.
    pub hostname: String,
    /// When the process began.
    pub started_at: Timestamp,
    /// Seconds since then, by a clock that is never set.
    pub uptime: u64,
    /// The first scan is done, and the daemon is not stopping.
    pub ready: bool,
    /// What it is doing, one English sentence, as in systemd's `STATUS=`.
    #[serde(default)]
    pub doing: String,
    /// The last full pass; null before the first.
    pub last_scan: Option<LastScan>,
    /// When the timer scans again.
    pub next_scan: Option<Timestamp>,
    /// The rows counted.
    pub summary: Summary,
    /// Violations and suspicions in reading order, the first 20.
    pub wrong: Vec<WrongName>,
    /// How many findings there are.
    pub findings: usize,
    /// How many problems there are.
    pub problems: usize,
    /// This server's own addresses, as the verdicts took them.
    pub addresses: Vec<IpAddr>,
    /// What is watched for changes.
    pub watch: WatchState,
    /// What is to be asked again.
    pub freshness: Freshness,
    /// Filing registries, in the order of the configuration.
    pub registries: Vec<RegistryState>,
    /// DNS.
    pub resolver: ResolverState,
    /// The hub; null where none is configured.
    pub hub: Option<HubState>,
    /// What was lost, the latest first.
    pub losses: Vec<Loss>,
    /// The ledger.
    pub ledger: LedgerState,
}

/// One full pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastScan {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// Files read or taken from memory.
    pub files: u64,
    /// Sites found.
    pub sites: u64,
    /// Whether all of the configuration was read.
    pub complete: bool,
}

/// A name with a wrong verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongName {
    /// The row's name.
    pub name: String,
    /// The same in U-labels.
    pub unicode: String,
    /// Violation or suspected.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Since when it leads here.
    pub exposed_since: Option<Timestamp>,
}

/// What is watched for changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchState {
    /// Watched folders.
    pub folders: u64,
    /// Why changes may be seen only by the timer (watches exhausted, …), one
    /// English sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
}

/// What is to be asked again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// Questions that are due now.
    pub due: u64,
    /// When the next one is due.
    pub next: Option<Timestamp>,
    /// Rows whose verdict rests on a fact that could not be refreshed.
    pub stale: u64,
}

/// One filing registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryState {
    /// Its name in the configuration.
    pub name: String,
    /// Its last answer was usable; null before the first question.
    pub ok: Option<bool>,
    /// Why not, a word of `Why`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// DNS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverState {
    /// Its last answers were usable; null before the first question.
    pub ok: Option<bool>,
    /// Why not, one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// The hub.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubState {
    /// Its base URL, without user and password.
    pub url: String,
    /// This server is enrolled.
    pub enrolled: bool,
    /// An operator has yet to confirm it.
    #[serde(default)]
    pub quarantined: bool,
    /// The last report that the hub has.
    pub last_delivery: Option<Delivery>,
    /// Why the last try failed, one English sentence; null after a success.
    pub last_error: Option<String>,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
    /// What waits to be told.
    pub outbox: u64,
    /// Since when the oldest of it waits.
    pub oldest: Option<Timestamp>,
    /// How far this server's clock is ahead of the hub's, in milliseconds.
    pub skew_ms: Option<i64>,
}

/// A report that the hub has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// When the receipt came.
    pub at: Timestamp,
    /// The report's sequence.
    pub sequence: u64,
}

/// The ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerState {
    /// Its file.
    pub path: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes on disk that it never exceeds.
    pub ceiling: u64,
    /// It could not be opened: what is new is in memory alone.
    #[serde(default)]
    pub in_memory: bool,
    /// Why it cannot be written, one English sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
