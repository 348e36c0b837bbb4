//! Reports and heartbeats into the tables: a batch is one transaction.
//!
//! # Exactly once
//!
//! Of each agent the highest sequence is kept, and of the 63 below it which
//! were used. A report whose sequence was never used is stored, and its
//! receipt with it; the same sequence with the same digest is the same report
//! again; anything else is a sequence that went back.
//!
//! # What is written
//!
//! The report itself as it came (the evidence), the rows of `names` that
//! changed, the transitions it tells, each once by its id. A report below the
//! newest one (it was on its way for long) adds its transitions and leaves the
//! state alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::facts::{AccessState, Filing, FilingState, Verdict};

use super::super::judge::{Judged, Known, Told, judge};
use super::super::questions::question_of;
use super::super::wire::{Digested, NameRow, TransitionRow};
use super::{Column, Store, StoreError, Tx, now, sql};

use Column::{Int, Text};

/// One report on its way into the store.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The agent.
    pub agent: String,
    /// Its sequence.
    pub sequence: i64,
    /// `Content-Digest` of the body as it was signed.
    pub digest: String,
    /// The report as gzip: what is kept.
    pub body: Vec<u8>,
    /// What the tables need of it.
    pub report: Digested,
    /// When it came, in milliseconds.
    pub at: i64,
    /// Where it came from.
    pub from: Option<String>,
    /// How far the agent's clock is ahead.
    pub skew_ms: Option<i64>,
    /// The hub fetched it: no sequence is used up, and no receipt is due.
    pub polled: bool,
}

/// A heartbeat.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The agent.
    pub agent: String,
    /// Its sequence.
    pub sequence: i64,
    /// Its version.
    pub version: String,
    /// What waits in its outbox.
    pub outbox: Option<i64>,
    /// Since when, in milliseconds.
    pub oldest_untold: Option<i64>,
    /// When it came.
    pub at: i64,
    /// Where it came from.
    pub from: Option<String>,
    /// How far the agent's clock is ahead.
    pub skew_ms: Option<i64>,
}

/// What became of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Stored; when it came.
    Stored(i64),
    /// It was stored before; when it came.
    Known(i64),
    /// The sequence went back; the highest one.
    Rollback(i64),
    /// There is no such agent any more.
    Unknown,
    /// Its key was taken away.
    Revoked,
}

/// What is known of an agent while a batch is worked in.
struct Now {
    tenant: String,
    state: String,
    highest: i64,
    seen: i64,
    snapshot_sequence: i64,
    snapshot_hash: i64,
    parts: i64,
    version: String,
    hostname: String,
    complete: i64,
    scanned_at: Option<i64>,
    addresses: String,
    last_report: Option<i64>,
    last_heartbeat: Option<i64>,
    last_seen: i64,
    last_address: Option<String>,
    earlier_address: Option<String>,
    address_at: Option<i64>,
    skew_ms: Option<i64>,
    outbox: Option<i64>,
    oldest_untold: Option<i64>,
    summary: [i64; 7],
    flags: Vec<(&'static str, String)>,
}

impl Now {
    fn of(r: &AnyRow) -> Result<(String, Now), sqlx::Error> {
        Ok((
            r.try_get("id")?,
            Now {
                tenant: r.try_get("tenant")?,
                state: r.try_get("state")?,
                highest: r.try_get("highest")?,
                seen: r.try_get("seen")?,
                snapshot_sequence: r.try_get("snapshot_sequence")?,
                snapshot_hash: r.try_get("snapshot_hash")?,
                parts: r.try_get("parts")?,
                version: r.try_get("version")?,
                hostname: r.try_get("hostname")?,
                complete: r.try_get("complete")?,
                scanned_at: r.try_get("scanned_at")?,
                addresses: r.try_get("addresses")?,
                last_report: r.try_get("last_report")?,
                last_heartbeat: r.try_get("last_heartbeat")?,
                last_seen: r.try_get("last_seen")?,
                last_address: r.try_get("last_address")?,
                earlier_address: r.try_get("earlier_address")?,
                address_at: r.try_get("address_at")?,
                skew_ms: r.try_get("skew_ms")?,
                outbox: r.try_get("outbox")?,
                oldest_untold: r.try_get("oldest_untold")?,
                summary: [
                    r.try_get("names")?,
                    r.try_get("compliant")?,
                    r.try_get("violation")?,
                    r.try_get("suspected")?,
                    r.try_get("dormant")?,
                    r.try_get("unconfirmed")?,
                    r.try_get("not_applicable")?,
                ],
                flags: Vec::new(),
            },
        ))
    }

    /// Whether this sequence was used; `None`: too far back to know.
    fn used(&self, sequence: i64) -> Option<bool> {
        match self.highest - sequence {
            ..0 => Some(false),
            back @ 0..64 => Some(self.highest > 0 && self.seen >> back & 1 == 1),
            _ => None,
        }
    }

    fn take(&mut self, sequence: i64) {
        let ahead = sequence - self.highest;
        if ahead > 0 {
            self.seen = if ahead < 64 { self.seen << ahead } else { 0 } | 1;
            self.highest = sequence;
        } else {
            self.seen |= 1_i64.wrapping_shl(u32::try_from(-ahead).unwrap_or(0));
        }
    }

    /// An address that comes back shortly after another took its place: two
    /// machines speak with one key.
    fn seen_from(&mut self, from: Option<&str>, at: i64) {
        let Some(from) = from.filter(|f| self.last_address.as_deref() != Some(*f)) else { return };
        if self.earlier_address.as_deref() == Some(from)
            && self.address_at.is_some_and(|t| at - t < CLONE_WITHIN)
        {
            let other = self.last_address.as_deref().unwrap_or_default();
            self.flags.push(("clone", format!("one key speaks from {from} and {other} in turn")));
        }
        self.earlier_address = self.last_address.replace(from.to_owned());
        self.address_at = Some(at);
    }

    /// This report is the state from now on.
    fn state<'a>(&mut self, a: &'a Arrival, newest: &mut BTreeMap<&'a str, Vec<&'a Arrival>>) {
        self.parts = a.report.parts;
        self.version.clone_from(&a.report.version);
        self.hostname.clone_from(&a.report.hostname);
        self.complete = a.report.complete.into();
        self.scanned_at = Some(a.report.scanned_at);
        self.addresses = json!(a.report.addresses).to_string();
        let parts = newest.entry(&a.agent).or_default();
        parts.retain(|p| p.report.report_id == a.report.report_id);
        parts.push(a);
    }

    /// A report that was fetched: the agent's word too, but without a
    /// signature, so it proves nothing about sequences. What was pushed after
    /// it was made is newer.
    fn polled<'a>(&mut self, a: &'a Arrival, newest: &mut BTreeMap<&'a str, Vec<&'a Arrival>>) -> Outcome {
        self.last_seen = self.last_seen.max(a.at);
        let older = a.sequence < self.snapshot_sequence
            || self.scanned_at.is_some_and(|t| a.report.scanned_at < t)
            || newest.contains_key(a.agent.as_str());
        if older || a.report.parts > 1 {
            return Outcome::Known(a.at);
        }
        self.state(a, newest);
        Outcome::Stored(a.at)
    }

    fn went_back(&mut self, sequence: i64) {
        let highest = self.highest;
        let text =
            format!("sequence {sequence} came again after {highest}: restored from a snapshot, or cloned");
        self.flags.push(("rollback", text));
    }
}

/// Within this time an address that comes back means a clone.
const CLONE_WITHIN: i64 = 3_600_000;
/// A list that loses this many names at once, and more than half, is told.
const SHRUNK_MOST: i64 = 5;

const AGENTS: &str = "SELECT id, tenant, state, highest, seen, snapshot_sequence, snapshot_hash, parts, names, version, \
    hostname, complete, scanned_at, addresses, last_report, last_heartbeat, last_seen, last_address, \
    earlier_address, address_at, skew_ms, outbox, oldest_untold, compliant, violation, suspected, dormant, \
    unconfirmed, not_applicable FROM agents WHERE id IN (SELECT id FROM ";

/// Everything of a batch that is written in the end.
#[derive(Default)]
struct Writes {
    receipts: Vec<Value>,
    transitions: Vec<Value>,
    losses: Vec<Value>,
    names: Vec<Value>,
    gone: Vec<Value>,
    questions: BTreeSet<String>,
    findings_of: Vec<Value>,
    findings: Vec<Value>,
    /// How many parts an agent's report has now.
    parts: Vec<Value>,
}

impl Store {
    /// Stores a batch of reports; what became of each, in their order.
    /// `exempt` says which names the hub exempts for a customer.
    pub async fn store_reports(
        &self,
        batch: &[Arrival],
        exempt: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut tx = self.begin().await?;
        let mut agents = self.agents_of(&mut tx, batch.iter().map(|a| a.agent.as_str())).await?;
        let known = self.receipts_of(&mut tx, batch).await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut taken: HashMap<(&str, i64), (&str, i64)> = HashMap::new();
        let mut writes = Writes::default();
        // The newest state of each agent in this batch, part by part.
        let mut newest: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
        for a in batch {
            let Some(now) = agents.get_mut(&a.agent) else {
                outcomes.push(Outcome::Unknown);
                continue;
            };
            if now.state == "revoked" {
                outcomes.push(Outcome::Revoked);
                continue;
            }
            if a.polled {
                outcomes.push(now.polled(a, &mut newest));
                continue;
            }
            let before = taken
                .get(&(a.agent.as_str(), a.sequence))
                .copied()
                .or_else(|| known.get(&(a.agent.clone(), a.sequence)).map(|(d, t)| (d.as_str(), *t)));
            if let Some((digest, at)) = before {
                if digest == a.digest {
                    outcomes.push(Outcome::Known(at));
                } else {
                    now.went_back(a.sequence);
                    outcomes.push(Outcome::Rollback(now.highest));
                }
                continue;
            }
            if now.used(a.sequence) != Some(false) {
                now.went_back(a.sequence);
                outcomes.push(Outcome::Rollback(now.highest));
                continue;
            }
            now.take(a.sequence);
            now.last_seen = now.last_seen.max(a.at);
            now.last_report = Some(a.at);
            now.skew_ms = a.skew_ms.or(now.skew_ms);
            now.seen_from(a.from.as_deref(), a.at);
            taken.insert((&a.agent, a.sequence), (&a.digest, a.at));
            writes.receipts.push(json!([now.tenant, a.agent, a.sequence, a.digest, a.at]));
            for t in &a.report.transitions {
                writes.transitions.push(transition(&now.tenant, &a.agent, t, "agent", a.at));
            }
            for l in &a.report.losses {
                writes.losses.push(json!([now.tenant, a.agent, l.kind, l.at, l.number, l.detail]));
            }
            if a.sequence > now.snapshot_sequence {
                now.snapshot_sequence = a.sequence;
                now.state(a, &mut newest);
            }
            outcomes.push(Outcome::Stored(a.at));
        }
        self.snapshots(&mut tx, &agents, &newest).await?;
        self.state(&mut tx, &mut agents, &newest, &mut writes, exempt).await?;
        self.write_out(&mut tx, writes).await?;
        self.update_agents(&mut tx, &agents).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    /// Takes in a batch of heartbeats.
    pub async fn store_beats(&self, batch: &[Beat]) -> Result<Vec<Outcome>, StoreError> {
        let mut tx = self.begin().await?;
        let mut agents = self.agents_of(&mut tx, batch.iter().map(|a| a.agent.as_str())).await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for b in batch {
            let Some(now) = agents.get_mut(&b.agent) else {
                outcomes.push(Outcome::Unknown);
                continue;
            };
            if now.state == "revoked" {
                outcomes.push(Outcome::Revoked);
                continue;
            }
            // A heartbeat says how things are now: an old one says nothing.
            if b.sequence <= now.highest {
                now.went_back(b.sequence);
                outcomes.push(Outcome::Rollback(now.highest));
                continue;
            }
            now.take(b.sequence);
            now.last_seen = now.last_seen.max(b.at);
            now.last_heartbeat = Some(b.at);
            now.version.clone_from(&b.version);
            now.outbox = b.outbox;
            now.oldest_untold = b.oldest_untold;
            now.skew_ms = b.skew_ms.or(now.skew_ms);
            now.seen_from(b.from.as_deref(), b.at);
            outcomes.push(Outcome::Stored(b.at));
        }
        self.update_agents(&mut tx, &agents).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    async fn agents_of(
        &self,
        tx: &mut Tx,
        ids: impl Iterator<Item = &str>,
    ) -> Result<HashMap<String, Now>, StoreError> {
        let ids: BTreeSet<&str> = ids.collect();
        let list: Vec<Value> = ids.into_iter().map(|id| json!([id])).collect();
        let text =
            format!("{AGENTS}{} AS wanted) ORDER BY id{}", self.table(1, &[("id", Text)]), self.for_update());
        let rows = sqlx::query(sql(text)).bind(Value::Array(list).to_string()).fetch_all(&mut **tx).await?;
        Ok(rows.iter().map(Now::of).collect::<Result<_, _>>()?)
    }

    async fn receipts_of(
        &self,
        tx: &mut Tx,
        batch: &[Arrival],
    ) -> Result<HashMap<(String, i64), (String, i64)>, StoreError> {
        let list: Vec<Value> = batch.iter().map(|a| json!([a.agent, a.sequence])).collect();
        // By (tenant, agent, sequence): the key of the table.
        let text = format!(
            "SELECT r.agent, r.sequence, r.digest, r.received_at FROM {} AS w \
             JOIN agents a ON a.id = w.agent \
             JOIN receipts r ON r.tenant = a.tenant AND r.agent = a.id AND r.sequence = w.sequence",
            self.table(1, &[("agent", Text), ("sequence", Int)])
        );
        let rows = sqlx::query(sql(text)).bind(Value::Array(list).to_string()).fetch_all(&mut **tx).await?;
        rows.iter()
            .map(|r| Ok(((r.try_get(0)?, r.try_get(1)?), (r.try_get(2)?, r.try_get(3)?))))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(StoreError::from)
    }

    /// The reports as they came.
    async fn snapshots(
        &self,
        tx: &mut Tx,
        agents: &HashMap<String, Now>,
        newest: &BTreeMap<&str, Vec<&Arrival>>,
    ) -> Result<(), StoreError> {
        let mut others = Vec::new();
        for (id, parts) in newest {
            let Some(now) = agents.get(*id) else { continue };
            for a in parts {
                sqlx::query(
                    "INSERT INTO snapshots (tenant, agent, part, report_id, sequence, received_at, body) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, agent, part) DO UPDATE SET \
                     report_id = excluded.report_id, sequence = excluded.sequence, \
                     received_at = excluded.received_at, body = excluded.body",
                )
                .bind(&now.tenant)
                .bind(&a.agent)
                .bind(a.report.part)
                .bind(&a.report.report_id)
                .bind(a.sequence)
                .bind(a.at)
                .bind(a.body.as_slice())
                .execute(&mut **tx)
                .await?;
            }
            // Fewer parts than before: the rest is of an older report.
            if let Some(a) = parts.last()
                && a.report.parts > 1
            {
                others.push((now.tenant.as_str(), *id, a.report.report_id.as_str()));
            }
        }
        for (tenant, id, report) in others {
            sqlx::query("DELETE FROM snapshots WHERE tenant = $1 AND agent = $2 AND report_id <> $3")
                .bind(tenant)
                .bind(id)
                .bind(report)
                .execute(&mut **tx)
                .await?;
        }
        let one: Vec<Value> = newest
            .iter()
            .filter(|(_, parts)| parts.last().is_some_and(|a| a.report.parts == 1))
            .filter_map(|(id, _)| Some(json!([agents.get(*id)?.tenant, id])))
            .collect();
        if !one.is_empty() {
            let text = format!(
                "DELETE FROM snapshots WHERE part > 1 AND (tenant, agent) IN (SELECT tenant, agent FROM {} AS w)",
                self.table(1, &[("tenant", Text), ("agent", Text)])
            );
            sqlx::query(sql(text)).bind(Value::Array(one).to_string()).execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// Which rows of `names` change.
    async fn state(
        &self,
        tx: &mut Tx,
        agents: &mut HashMap<String, Now>,
        newest: &BTreeMap<&str, Vec<&Arrival>>,
        writes: &mut Writes,
        exempt: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<(), StoreError> {
        let changed: Vec<&str> = newest
            .iter()
            .filter(|(id, parts)| {
                agents.get(**id).is_some_and(|n| {
                    parts.last().is_some_and(|a| a.report.parts > 1 || a.report.hash != n.snapshot_hash)
                })
            })
            .map(|(id, _)| *id)
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let standing = self.names_of(tx, agents, &changed).await?;
        // What is asked for the rows that are new or changed.
        let empty = HashMap::new();
        let mut fresh: Vec<(&Arrival, &NameRow, Option<String>)> = Vec::new();
        for id in &changed {
            let old = standing.get(*id).unwrap_or(&empty);
            for a in newest.get(id).into_iter().flatten() {
                for row in &a.report.names {
                    if old.get(&row.name).is_none_or(|o| (o.hash, o.part) != (row.hash, a.report.part)) {
                        fresh.push((a, row, question_of(&row.name, row.verdict)));
                    }
                }
            }
        }
        let asked: BTreeSet<&str> = fresh.iter().filter_map(|(_, _, q)| q.as_deref()).collect();
        let known = self.known(tx, asked.iter().copied()).await?;
        for (arrival, row, question) in &fresh {
            let (id, at) = (arrival.agent.as_str(), arrival.at);
            let Some(now) = agents.get_mut(id) else { continue };
            let old = standing.get(id).and_then(|o| o.get(&row.name));
            let filing = question.as_deref().and_then(|q| known.get(q));
            if let Some(q) = question.as_ref().filter(|q| !known.contains_key(q.as_str())) {
                writes.questions.insert(q.clone());
            }
            let told = Told {
                verdict: row.verdict,
                reason: &row.reason,
                exposure: row.exposure.as_deref(),
                filing: row.filing.as_ref().map(|(s, a)| (s.as_str(), a.as_str())),
                exposed_since: row.exposed_since,
                connected_before_filing: row.connected_before_filing
                    || old.is_some_and(|o| o.connected_before_filing),
            };
            let judged = judge(told, filing, exempt(&now.tenant, &row.name));
            let same = old
                .is_some_and(|o| (o.verdict, o.reason.as_str()) == (judged.verdict, judged.reason.as_str()));
            // What the agent reached by itself it tells itself.
            if !same && (judged.verdict, judged.reason.as_str()) != (row.verdict, row.reason.as_str()) {
                let from = old.map(|o| (o.verdict, o.reason.clone()));
                writes.transitions.push(own_transition(&now.tenant, id, row, from, &judged, at));
            }
            if let Some(o) = old {
                count(&mut now.summary, o.verdict, -1);
            }
            count(&mut now.summary, judged.verdict, 1);
            let since = old.filter(|_| same).map_or(at, |o| o.since);
            writes.names.push(name_row(
                &now.tenant,
                id,
                arrival.report.part,
                row,
                question.as_deref(),
                filing,
                &judged,
                since,
            ));
        }
        for id in &changed {
            let Some(now) = agents.get_mut(*id) else { continue };
            let Some(parts) = newest.get(id) else { continue };
            let old = standing.get(*id).unwrap_or(&empty);
            let whole = self.whole(tx, now, id, parts).await?;
            if let Some(served) = whole {
                writes.parts.push(json!([now.tenant, id, now.parts]));
                for (name, o) in old.iter().filter(|(n, _)| !served.contains(n.as_str())) {
                    count(&mut now.summary, o.verdict, -1);
                    writes.gone.push(json!([now.tenant, id, name]));
                }
                let lost = old.len() as i64 - served.len() as i64;
                if lost >= SHRUNK_MOST && lost * 2 > old.len() as i64 {
                    let text = format!("the list of names shrank from {} to {}", old.len(), served.len());
                    now.flags.push(("shrunk", text));
                }
                now.snapshot_hash = parts.last().filter(|a| a.report.parts == 1).map_or(0, |a| a.report.hash);
            }
            for a in parts {
                writes.findings_of.push(json!([now.tenant, id, a.report.part]));
                for (n, (kind, body)) in a.report.findings.iter().enumerate() {
                    writes.findings.push(json!([now.tenant, id, n, a.report.part, kind, body]));
                }
            }
        }
        Ok(())
    }

    /// The names of a whole report; `None` while parts of it are missing.
    async fn whole(
        &self,
        tx: &mut Tx,
        now: &Now,
        id: &str,
        parts: &[&Arrival],
    ) -> Result<Option<HashSet<String>>, StoreError> {
        let Some(last) = parts.last() else { return Ok(None) };
        let mut served: HashSet<String> =
            parts.iter().flat_map(|a| &a.report.names).map(|n| n.name.clone()).collect();
        if parts.len() as i64 >= last.report.parts {
            return Ok(Some(served));
        }
        let rows = sqlx::query(
            "SELECT part, body FROM snapshots WHERE tenant = $1 AND agent = $2 AND report_id = $3",
        )
        .bind(&now.tenant)
        .bind(id)
        .bind(&last.report.report_id)
        .fetch_all(&mut **tx)
        .await?;
        if (rows.len() as i64) < last.report.parts {
            return Ok(None);
        }
        for r in rows {
            let body: Vec<u8> = r.try_get(1)?;
            let Ok(json) = super::super::wire::unfold(&body, super::super::wire::Coding::Gzip) else {
                return Ok(None);
            };
            served.extend(super::super::evidence::names_in(&json));
        }
        Ok(Some(served))
    }

    async fn names_of(
        &self,
        tx: &mut Tx,
        agents: &HashMap<String, Now>,
        ids: &[&str],
    ) -> Result<HashMap<String, HashMap<String, Old>>, StoreError> {
        let list: Vec<Value> =
            ids.iter().filter_map(|id| Some(json!([agents.get(*id)?.tenant, id]))).collect();
        let text = format!(
            "SELECT n.agent, n.name, n.hash, n.verdict, n.reason, n.since, n.connected_before_filing, n.part \
             FROM {} AS w JOIN names n ON n.tenant = w.tenant AND n.agent = w.agent",
            self.table(1, &[("tenant", Text), ("agent", Text)])
        );
        let rows = sqlx::query(sql(text)).bind(Value::Array(list).to_string()).fetch_all(&mut **tx).await?;
        let mut out: HashMap<String, HashMap<String, Old>> = HashMap::new();
        for r in &rows {
            let verdict: String = r.try_get(3)?;
            out.entry(r.try_get(0)?).or_default().insert(
                r.try_get(1)?,
                Old {
                    hash: r.try_get(2)?,
                    verdict: verdict.parse().unwrap_or(Verdict::Unconfirmed),
                    reason: r.try_get(4)?,
                    since: r.try_get(5)?,
                    connected_before_filing: r.try_get::<i64, _>(6)? != 0,
                    part: r.try_get(7)?,
                },
            );
        }
        Ok(out)
    }

    /// What the hub's lookups say of these questions; those that were never
    /// asked are absent.
    pub async fn known(
        &self,
        tx: &mut Tx,
        questions: impl Iterator<Item = &str>,
    ) -> Result<HashMap<String, Known>, StoreError> {
        let list: Vec<Value> = questions.map(|q| json!([q])).collect();
        if list.is_empty() {
            return Ok(HashMap::new());
        }
        let text = format!(
            "SELECT f.question, f.state, f.access, f.unit, f.body FROM {} AS w JOIN filings f ON f.question = w.question",
            self.table(1, &[("question", Text)])
        );
        let rows = sqlx::query(sql(text)).bind(Value::Array(list).to_string()).fetch_all(&mut **tx).await?;
        let mut out = HashMap::new();
        for r in &rows {
            let (state, access, body): (String, String, String) =
                (r.try_get(1)?, r.try_get(2)?, r.try_get(4)?);
            let filing: Option<Filing> = serde_json::from_str(&body).ok();
            out.insert(
                r.try_get(0)?,
                Known {
                    state: state.parse().unwrap_or(FilingState::Unknown),
                    access: access.parse().unwrap_or(AccessState::Unknown),
                    approved_on: filing.and_then(|f| f.approved_on),
                    unit: r.try_get(3)?,
                },
            );
        }
        Ok(out)
    }

    async fn write_out(&self, tx: &mut Tx, w: Writes) -> Result<(), StoreError> {
        self.run(
            tx,
            w.receipts,
            &[("tenant", Text), ("agent", Text), ("sequence", Int), ("digest", Text), ("at", Int)],
            |t| {
                format!(
                    "INSERT INTO receipts (tenant, agent, sequence, digest, received_at) \
                     SELECT tenant, agent, sequence, digest, at FROM {t} AS w WHERE true"
                )
            },
        )
        .await?;
        self.run(tx, w.gone, &[("tenant", Text), ("agent", Text), ("name", Text)], |t| {
            format!(
                "DELETE FROM names WHERE (tenant, agent, name) IN (SELECT tenant, agent, name FROM {t} AS w)"
            )
        })
        .await?;
        self.write_names(tx, w.names).await?;
        self.write_transitions(tx, w.transitions).await?;
        self.run(
            tx,
            w.losses,
            &[
                ("tenant", Text),
                ("agent", Text),
                ("kind", Text),
                ("at", Int),
                ("number", Int),
                ("detail", Text),
            ],
            |t| {
                format!(
                    "INSERT INTO losses (tenant, agent, kind, at, number, detail) \
                     SELECT tenant, agent, kind, at, number, detail FROM {t} AS w WHERE true \
                     ON CONFLICT (tenant, agent, kind, at) DO NOTHING"
                )
            },
        )
        .await?;
        let (questions, at) = (w.questions.into_iter().map(|q| json!([q])).collect(), now());
        let unknown =
            serde_json::to_string(&Filing::unknown(crate::facts::Why::NotAsked)).unwrap_or_default();
        self.run(tx, questions, &[("question", Text)], |t| {
            // Our own words and a number, nothing from outside.
            format!(
                "INSERT INTO filings (question, state, access, body, due_at, failures, stale) \
                 SELECT question, 'unknown', 'unknown', '{unknown}', {at}, 0, 0 FROM {t} AS w WHERE true \
                 ON CONFLICT (question) DO NOTHING"
            )
        })
        .await?;
        self.run(tx, w.findings_of, &[("tenant", Text), ("agent", Text), ("part", Int)], |t| {
            format!(
                "DELETE FROM site_findings WHERE (tenant, agent, part) IN (SELECT tenant, agent, part FROM {t} AS w)"
            )
        })
        .await?;
        self.run(tx, w.parts, &[("tenant", Text), ("agent", Text), ("parts", Int)], |t| {
            format!(
                "DELETE FROM site_findings WHERE part > (SELECT parts FROM {t} AS w \
                 WHERE w.tenant = site_findings.tenant AND w.agent = site_findings.agent)"
            )
        })
        .await?;
        self.run(
            tx,
            w.findings,
            &[("tenant", Text), ("agent", Text), ("n", Int), ("part", Int), ("kind", Text), ("body", Text)],
            |t| {
                format!(
                    "INSERT INTO site_findings (tenant, agent, n, part, kind, body) \
                     SELECT tenant, agent, n, part, kind, body FROM {t} AS w WHERE true"
                )
            },
        )
        .await
    }

    /// Rows of `names`, new or changed.
    pub(in super::super) async fn write_names(
        &self,
        tx: &mut Tx,
        rows: Vec<Value>,
    ) -> Result<(), StoreError> {
        let columns: Vec<&str> = NAME_COLUMNS.iter().map(|(n, _)| *n).collect();
        let list = columns.join(", ");
        let set: Vec<String> = columns.iter().skip(3).map(|c| format!("{c} = excluded.{c}")).collect();
        self.run(tx, rows, NAME_COLUMNS, |t| {
            format!(
                "INSERT INTO names ({list}) SELECT {list} FROM {t} AS w WHERE true \
                 ON CONFLICT (tenant, agent, name) DO UPDATE SET {}",
                set.join(", ")
            )
        })
        .await
    }

    /// Transitions, each once by its id.
    pub(in super::super) async fn write_transitions(
        &self,
        tx: &mut Tx,
        rows: Vec<Value>,
    ) -> Result<(), StoreError> {
        let list: Vec<&str> = TRANSITION_COLUMNS.iter().map(|(n, _)| *n).collect();
        let list = list.join(", ");
        self.run(tx, rows, TRANSITION_COLUMNS, |t| {
            format!(
                "INSERT INTO transitions ({list}) SELECT {list} FROM {t} AS w WHERE true \
                 ON CONFLICT (tenant, agent, at, id) DO NOTHING"
            )
        })
        .await
    }

    /// Runs a statement over many rows, some thousand at a time.
    pub(in super::super) async fn run(
        &self,
        tx: &mut Tx,
        rows: Vec<Value>,
        columns: &[(&str, Column)],
        text: impl Fn(&str) -> String,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let text = text(&self.table(1, columns));
        for some in rows.chunks(4_000) {
            let json = serde_json::to_string(some).unwrap_or_else(|_| "[]".to_owned());
            sqlx::query(sql(text.clone())).bind(json).execute(&mut **tx).await?;
        }
        Ok(())
    }

    async fn update_agents(&self, tx: &mut Tx, agents: &HashMap<String, Now>) -> Result<(), StoreError> {
        let rows: Vec<Value> =
            agents.iter().filter(|(_, n)| n.state != "revoked").map(|(id, n)| n.row(id)).collect();
        let set: Vec<String> = AGENT_COLUMNS.iter().skip(2).map(|(c, _)| format!("{c} = w.{c}")).collect();
        self.run(tx, rows, AGENT_COLUMNS, |t| {
            format!(
                "UPDATE agents SET {} FROM {t} AS w WHERE agents.tenant = w.tenant AND agents.id = w.id",
                set.join(", ")
            )
        })
        .await?;
        for (id, n) in agents {
            for (kind, detail) in &n.flags {
                self.flag_agent(tx, &n.tenant, id, kind, detail).await?;
            }
        }
        Ok(())
    }
}

/// A row of `names` as it stands.
struct Old {
    hash: i64,
    verdict: Verdict,
    reason: String,
    since: i64,
    connected_before_filing: bool,
    part: i64,
}

pub(in super::super) const NAME_COLUMNS: &[(&str, Column)] = &[
    ("tenant", Text),
    ("agent", Text),
    ("name", Text),
    ("unicode", Text),
    ("apex", Text),
    ("question", Text),
    ("part", Int),
    ("verdict", Text),
    ("reason", Text),
    ("stale", Int),
    ("exposure", Text),
    ("filing", Text),
    ("access", Text),
    ("agent_filing", Text),
    ("agent_access", Text),
    ("agent_verdict", Text),
    ("agent_reason", Text),
    ("first_seen", Int),
    ("exposed_since", Int),
    ("filed_since", Text),
    ("unit", Text),
    ("connected_before_filing", Int),
    ("since", Int),
    ("hash", Int),
];

const TRANSITION_COLUMNS: &[(&str, Column)] = &[
    ("tenant", Text),
    ("agent", Text),
    ("at", Int),
    ("id", Text),
    ("name", Text),
    ("by", Text),
    ("from_verdict", Text),
    ("from_reason", Text),
    ("to_verdict", Text),
    ("to_reason", Text),
    ("stale", Int),
    ("connected_before_filing", Int),
    ("exposed_since", Int),
    ("filed_since", Text),
    ("row", Text),
    ("received_at", Int),
];

const AGENT_COLUMNS: &[(&str, Column)] = &[
    ("tenant", Text),
    ("id", Text),
    ("highest", Int),
    ("seen", Int),
    ("snapshot_sequence", Int),
    ("snapshot_hash", Int),
    ("parts", Int),
    ("version", Text),
    ("hostname", Text),
    ("complete", Int),
    ("scanned_at", Int),
    ("addresses", Text),
    ("last_seen", Int),
    ("last_report", Int),
    ("last_heartbeat", Int),
    ("last_address", Text),
    ("earlier_address", Text),
    ("address_at", Int),
    ("skew_ms", Int),
    ("outbox", Int),
    ("oldest_untold", Int),
    ("names", Int),
    ("compliant", Int),
    ("violation", Int),
    ("suspected", Int),
    ("dormant", Int),
    ("unconfirmed", Int),
    ("not_applicable", Int),
];

impl Now {
    fn row(&self, id: &str) -> Value {
        let [names, compliant, violation, suspected, dormant, unconfirmed, not_applicable] = self.summary;
        json!([
            self.tenant,
            id,
            self.highest,
            self.seen,
            self.snapshot_sequence,
            self.snapshot_hash,
            self.parts,
            self.version,
            self.hostname,
            self.complete,
            self.scanned_at,
            self.addresses,
            self.last_seen,
            self.last_report,
            self.last_heartbeat,
            self.last_address,
            self.earlier_address,
            self.address_at,
            self.skew_ms,
            self.outbox,
            self.oldest_untold,
            names,
            compliant,
            violation,
            suspected,
            dormant,
            unconfirmed,
            not_applicable,
        ])
    }
}

/// Counts one name more, or less, of a verdict.
pub(in super::super) fn count(summary: &mut [i64; 7], verdict: Verdict, by: i64) {
    summary[0] += by;
    summary[match verdict {
        Verdict::Compliant => 1,
        Verdict::Violation => 2,
        Verdict::Suspected => 3,
        Verdict::Dormant => 4,
        Verdict::Unconfirmed => 5,
        Verdict::NotApplicable => 6,
    }] += by;
}

fn transition(tenant: &str, agent: &str, t: &TransitionRow, by: &str, received: i64) -> Value {
    let (from_verdict, from_reason) = t.from.as_ref().map(|(v, r)| (v.as_str(), r)).unzip();
    let (to_verdict, to_reason) = t.to.as_ref().map(|(v, r)| (v.as_str(), r)).unzip();
    json!([
        tenant,
        agent,
        t.at,
        t.id,
        t.name,
        by,
        from_verdict,
        from_reason,
        to_verdict,
        to_reason,
        i64::from(t.stale),
        i64::from(t.connected_before_filing),
        t.exposed_since,
        t.filed_since,
        t.row,
        received,
    ])
}

/// A transition that the hub itself has reached.
fn own_transition(
    tenant: &str,
    agent: &str,
    row: &NameRow,
    from: Option<(Verdict, String)>,
    to: &Judged,
    at: i64,
) -> Value {
    let t = TransitionRow {
        id: uuid::Uuid::now_v7().to_string(),
        at,
        name: row.name.clone(),
        from,
        to: Some((to.verdict, to.reason.clone())),
        stale: row.stale,
        connected_before_filing: to.connected_before_filing,
        exposed_since: row.exposed_since,
        filed_since: row.filed_since.clone(),
        row: None,
    };
    transition(tenant, agent, &t, "hub", at)
}

#[allow(clippy::too_many_arguments, reason = "the columns of one row")]
fn name_row(
    tenant: &str,
    agent: &str,
    part: i64,
    row: &NameRow,
    question: Option<&str>,
    known: Option<&Known>,
    judged: &Judged,
    since: i64,
) -> Value {
    let (agent_filing, agent_access) = row.filing.as_ref().map(|(s, a)| (s, a)).unzip();
    json!([
        tenant,
        agent,
        row.name,
        row.unicode,
        row.apex,
        question,
        part,
        judged.verdict.as_str(),
        judged.reason,
        i64::from(row.stale),
        row.exposure,
        judged.filing.map(FilingState::as_str),
        judged.access.map(AccessState::as_str),
        agent_filing,
        agent_access,
        row.verdict.as_str(),
        row.reason,
        row.first_seen,
        row.exposed_since,
        known.and_then(|k| k.approved_on.as_ref()).or(row.filed_since.as_ref()),
        known.and_then(|k| k.unit.as_ref()).or(row.unit.as_ref()),
        i64::from(judged.connected_before_filing),
        since,
        row.hash,
    ])
}
