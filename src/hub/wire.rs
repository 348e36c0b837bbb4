//! A report as it arrives: read leniently, since agents may be newer than the
//! hub (a word that is not known here stays a word), and bounded, since they
//! may be anybody.

use std::borrow::Cow;
use std::io::Read;
use std::net::IpAddr;

use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use serde::Deserialize;

use crate::facts::{REPORT_SCHEMA, Reason, Verdict};

use super::store::clean;

/// Bytes of a report as it is sent, compressed.
pub const BODY_MOST: usize = 8 << 20;
/// The same, unfolded.
pub const UNFOLDED_MOST: u64 = 96 << 20;
/// Rows of one report.
const ROWS_MOST: usize = 50_000;
/// Transitions of one report.
const TRANSITIONS_MOST: usize = 200_000;
/// Findings, problems and losses that are kept of one report.
const LIST_MOST: usize = 2_000;
/// Characters of a name; a regex may be long.
const NAME_MOST: usize = 2_048;
/// Bytes of evidence that are kept with one transition.
const EVIDENCE_MOST: usize = 64 << 10;

/// Why a report is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too many bytes or rows: to be split.
    TooLarge,
    /// A coding that is not known here.
    Coding,
    /// Not a report, or not of this agent and sequence.
    Schema(&'static str),
}

/// How the body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Coding {
    /// By `Content-Encoding`.
    pub fn of(header: Option<&str>) -> Result<Coding, Refused> {
        match header.map(str::trim).unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Coding::Plain),
            "gzip" | "x-gzip" => Ok(Coding::Gzip),
            "zstd" => Ok(Coding::Zstd),
            _ => Err(Refused::Coding),
        }
    }
}

/// Unfolds a body, and no more than [`UNFOLDED_MOST`] bytes of it.
pub fn unfold(body: &[u8], coding: Coding) -> Result<Vec<u8>, Refused> {
    fn all(reader: impl Read) -> Result<Vec<u8>, Refused> {
        let mut out = Vec::new();
        let broken = |_| Refused::Schema("the body's coding is broken");
        reader.take(UNFOLDED_MOST + 1).read_to_end(&mut out).map_err(broken)?;
        if out.len() as u64 > UNFOLDED_MOST { Err(Refused::TooLarge) } else { Ok(out) }
    }
    match coding {
        Coding::Plain => all(body),
        Coding::Gzip => all(flate2::read::MultiGzDecoder::new(body)),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(body)
                .map_err(|_| Refused::Schema("the body's coding is broken"))?;
            // A frame may ask for gigabytes of window.
            decoder.window_log_max(24).map_err(|_| Refused::Coding)?;
            all(decoder)
        }
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    report_id: Cow<'a, str>,
    sequence: u64,
    complete: bool,
    scanned_at: Timestamp,
    #[serde(borrow)]
    agent: WireAgent<'a>,
    #[serde(default)]
    addresses: Vec<IpAddr>,
    #[serde(borrow)]
    names: Vec<WireRow<'a>>,
    #[serde(default)]
    findings: Vec<serde_json::Value>,
    #[serde(default)]
    problems: Vec<serde_json::Value>,
    #[serde(default, borrow)]
    transitions: Vec<WireTransition<'a>>,
    #[serde(default)]
    losses: Vec<WireLoss>,
    #[serde(default)]
    part: Option<WirePart>,
}

#[derive(Deserialize)]
struct WireAgent<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    hostname: Cow<'a, str>,
}

#[derive(Deserialize)]
struct WirePart {
    index: u32,
    count: u32,
}

#[derive(Deserialize)]
struct WireLoss {
    kind: String,
    at: Timestamp,
    count: u64,
    detail: String,
}

#[derive(Deserialize)]
struct WireRow<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    unicode: Cow<'a, str>,
    #[serde(borrow)]
    apex: Option<Cow<'a, str>>,
    verdict: Verdict,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(default)]
    stale: bool,
    #[serde(borrow)]
    exposure: Option<WireExposure<'a>>,
    #[serde(borrow)]
    filing: Option<WireFiling<'a>>,
    first_seen: Timestamp,
    exposed_since: Option<Timestamp>,
    #[serde(borrow)]
    filed_since: Option<Cow<'a, str>>,
    #[serde(default)]
    connected_before_filing: bool,
    #[serde(borrow, default)]
    served_by: Vec<WireServed<'a>>,
}

#[derive(Deserialize)]
struct WireExposure<'a> {
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow, default)]
    addresses: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    cname: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WireFiling<'a> {
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow)]
    access: Cow<'a, str>,
    #[serde(borrow)]
    unit: Option<Cow<'a, str>>,
    #[serde(borrow)]
    approved_on: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WireServed<'a> {
    #[serde(borrow)]
    file: Cow<'a, str>,
    line: u32,
}

#[derive(Deserialize)]
struct WireStanding<'a> {
    verdict: Verdict,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(default)]
    stale: bool,
}

#[derive(Deserialize)]
struct WireTransition<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    at: Timestamp,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    from: Option<WireStanding<'a>>,
    #[serde(borrow)]
    to: Option<WireStanding<'a>>,
    #[serde(default)]
    row: Option<serde_json::Value>,
}

/// What the hub keeps of one row, beside the report itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// As the report has it.
    pub name: String,
    /// In U-labels.
    pub unicode: String,
    /// Registrable domain.
    pub apex: Option<String>,
    /// The agent's verdict.
    pub verdict: Verdict,
    /// Its reason; a word that is not known here stays one.
    pub reason: String,
    /// It rests on something that could not be refreshed.
    pub stale: bool,
    /// Where the name leads.
    pub exposure: Option<String>,
    /// What the agent knows of its filing, and of its connection here.
    pub filing: Option<(String, String)>,
    /// The filing unit, as the agent's sources have it.
    pub unit: Option<String>,
    /// Approval date.
    pub approved_on: Option<String>,
    /// Milliseconds.
    pub first_seen: i64,
    /// Milliseconds.
    pub exposed_since: Option<i64>,
    /// `YYYY-MM-DD`.
    pub filed_since: Option<String>,
    /// By the agent's memory.
    pub connected_before_filing: bool,
    /// Of everything here, and of the evidence: equal means unchanged.
    pub hash: i64,
}

/// One transition, as told by the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionRow {
    /// UUID.
    pub id: String,
    /// Milliseconds.
    pub at: i64,
    /// The name.
    pub name: String,
    /// Verdict and reason before.
    pub from: Option<(Verdict, String)>,
    /// Verdict and reason after.
    pub to: Option<(Verdict, String)>,
    /// See [`NameRow::stale`].
    pub stale: bool,
    /// See [`NameRow::connected_before_filing`].
    pub connected_before_filing: bool,
    /// Milliseconds.
    pub exposed_since: Option<i64>,
    /// `YYYY-MM-DD`.
    pub filed_since: Option<String>,
    /// The row at that moment, as JSON.
    pub row: Option<String>,
}

/// Something that an agent lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossRow {
    /// What, in a word.
    pub kind: String,
    /// Milliseconds.
    pub at: i64,
    /// How many.
    pub number: i64,
    /// One sentence.
    pub detail: String,
}

/// A report, as far as the hub's tables need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// UUID; the same for all parts.
    pub report_id: String,
    /// This part, from 1.
    pub part: i64,
    /// How many there are.
    pub parts: i64,
    /// Whether everything could be read.
    pub complete: bool,
    /// Milliseconds.
    pub scanned_at: i64,
    /// The agent's version.
    pub version: String,
    /// Its host name.
    pub hostname: String,
    /// Its addresses, as it sees them.
    pub addresses: Vec<String>,
    /// One a name.
    pub names: Vec<NameRow>,
    /// Findings and problems of sites, as JSON, by kind.
    pub findings: Vec<(String, String)>,
    /// What changed since the last report.
    pub transitions: Vec<TransitionRow>,
    /// What was lost.
    pub losses: Vec<LossRow>,
    /// Of all rows and findings: equal means that nothing changed.
    pub hash: i64,
}

/// Reads an unfolded report, which must be of this agent and sequence.
pub fn digest(json: &[u8], agent: &str, sequence: u64) -> Result<Digested, Refused> {
    let wire: Wire<'_> = serde_json::from_slice(json).map_err(|_| Refused::Schema("not a report"))?;
    if wire.schema != REPORT_SCHEMA {
        return Err(Refused::Schema("a schema that is not known here"));
    }
    if wire.sequence != sequence {
        return Err(Refused::Schema("another sequence than the signed one"));
    }
    if wire.agent.id.as_deref().is_some_and(|id| id != agent) {
        return Err(Refused::Schema("another agent's report"));
    }
    if wire.names.len() > ROWS_MOST || wire.transitions.len() > TRANSITIONS_MOST {
        return Err(Refused::TooLarge);
    }
    let part = wire.part.unwrap_or(WirePart { index: 1, count: 1 });
    if part.index == 0 || part.index > part.count || part.count > 10_000 {
        return Err(Refused::Schema("a part that does not exist"));
    }
    let mut total = Context::new(&SHA256);
    let mut names: Vec<NameRow> = wire.names.iter().filter_map(row).collect();
    // One row a name: the first, should there be more.
    names.sort_by(|a, b| a.name.cmp(&b.name));
    names.dedup_by(|b, a| a.name == b.name);
    for n in &names {
        total.update(&n.hash.to_be_bytes());
    }
    let mut findings = Vec::new();
    for value in wire.findings.iter().chain(&wire.problems).take(LIST_MOST) {
        let kind = value.get("kind").and_then(|k| k.as_str()).unwrap_or("unknown");
        let text = without_nul(value.to_string());
        if text.len() <= EVIDENCE_MOST && kind.len() <= 64 {
            total.update(text.as_bytes());
            findings.push((clean(kind), text));
        }
    }
    let losses = wire.losses.iter().take(LIST_MOST).filter(|l| l.kind.len() <= 64).map(|l| LossRow {
        kind: clean(&l.kind),
        at: l.at.as_millisecond(),
        number: i64::try_from(l.count).unwrap_or(i64::MAX),
        detail: bounded(&l.detail, 500),
    });
    let losses = losses.collect();
    let rows: std::collections::HashMap<&str, &WireRow<'_>> =
        wire.names.iter().map(|r| (&*r.name, r)).collect();
    let transitions = wire.transitions.iter().filter_map(|t| transition(t, &rows)).collect();
    Ok(Digested {
        report_id: bounded(&wire.report_id, 64),
        part: part.index.into(),
        parts: part.count.into(),
        complete: wire.complete,
        scanned_at: wire.scanned_at.as_millisecond(),
        version: bounded(&wire.agent.version, 64),
        hostname: bounded(&wire.agent.hostname, 255),
        addresses: wire.addresses.iter().take(256).map(ToString::to_string).collect(),
        names,
        findings,
        transitions,
        losses,
        hash: number(total),
    })
}

/// A name that can be kept: of sane length, without control characters.
fn named(name: &str) -> Option<String> {
    (!name.is_empty() && name.chars().count() <= NAME_MOST && !name.contains(char::is_control))
        .then(|| name.to_owned())
}

fn bounded(text: &str, most: usize) -> String {
    clean(text).chars().take(most).collect()
}

/// PostgreSQL takes no NUL, escaped or not.
fn without_nul(json: String) -> String {
    if json.contains("\\u0000") { json.replace("\\u0000", "") } else { json }
}

fn date(text: &str) -> Option<String> {
    text.parse::<jiff::civil::Date>().ok().map(|d| d.to_string())
}

fn row(r: &WireRow<'_>) -> Option<NameRow> {
    let name = named(&r.name)?;
    let mut sum = Context::new(&SHA256);
    let mut add = |text: &str| {
        sum.update(text.as_bytes());
        sum.update(&[0]);
    };
    add(&name);
    add(r.apex.as_deref().unwrap_or_default());
    add(r.verdict.as_str());
    add(&r.reason);
    if let Some(e) = &r.exposure {
        add(&e.state);
        e.addresses.iter().chain(&e.cname).for_each(|a| add(a));
    }
    if let Some(f) = &r.filing {
        add(&f.state);
        add(&f.access);
        add(f.unit.as_deref().unwrap_or_default());
        add(f.approved_on.as_deref().unwrap_or_default());
    }
    for s in &r.served_by {
        add(&s.file);
        add(&s.line.to_string());
    }
    let exposed_since = r.exposed_since.map(|t| t.as_millisecond());
    add(&format!(
        "{} {} {:?} {:?} {}",
        r.stale,
        r.first_seen.as_millisecond(),
        exposed_since,
        r.filed_since,
        r.connected_before_filing
    ));
    Some(NameRow {
        unicode: bounded(if r.unicode.is_empty() { &name } else { &r.unicode }, NAME_MOST),
        apex: r.apex.as_deref().and_then(named).filter(|a| a.len() <= 253),
        verdict: r.verdict,
        reason: reason(&r.reason),
        stale: r.stale,
        exposure: r.exposure.as_ref().map(|e| bounded(&e.state, 32)),
        filing: r.filing.as_ref().map(|f| (bounded(&f.state, 32), bounded(&f.access, 32))),
        unit: r.filing.as_ref().and_then(|f| f.unit.as_deref()).map(|u| bounded(u, 200)),
        approved_on: r.filing.as_ref().and_then(|f| f.approved_on.as_deref()).and_then(date),
        first_seen: r.first_seen.as_millisecond(),
        exposed_since,
        filed_since: r.filed_since.as_deref().and_then(date),
        connected_before_filing: r.connected_before_filing,
        hash: number(sum),
        name,
    })
}

/// A reason as it is kept.
fn reason(word: &str) -> String {
    word.parse::<Reason>().map_or_else(|()| bounded(word, 32), |r| r.as_str().to_owned())
}

fn transition(
    t: &WireTransition<'_>,
    rows: &std::collections::HashMap<&str, &WireRow<'_>>,
) -> Option<TransitionRow> {
    let id = uuid::Uuid::try_parse(&t.id).ok()?.to_string();
    let standing = |s: &WireStanding<'_>| (s.verdict, reason(&s.reason));
    let of_row = |key: &str| t.row.as_ref().and_then(|r| r.get(key));
    // Without a row of its own, the very row stands in the report.
    let same = if t.row.is_none() { rows.get(&*t.name) } else { None };
    let time = |v: &serde_json::Value| v.as_str()?.parse::<Timestamp>().ok().map(|t| t.as_millisecond());
    Some(TransitionRow {
        id,
        at: t.at.as_millisecond(),
        name: named(&t.name)?,
        from: t.from.as_ref().map(standing),
        to: t.to.as_ref().map(standing),
        stale: t.to.as_ref().is_some_and(|s| s.stale),
        connected_before_filing: same.map_or_else(
            || of_row("connected_before_filing").and_then(serde_json::Value::as_bool).unwrap_or_default(),
            |r| r.connected_before_filing,
        ),
        exposed_since: same.map_or_else(
            || of_row("exposed_since").and_then(time),
            |r| r.exposed_since.map(|t| t.as_millisecond()),
        ),
        filed_since: same.map_or_else(
            || of_row("filed_since").and_then(|v| v.as_str()).and_then(date),
            |r| r.filed_since.as_deref().and_then(date),
        ),
        row: t.row.as_ref().map(|r| without_nul(r.to_string())).filter(|r| r.len() <= EVIDENCE_MOST),
    })
}

/// The first eight bytes of a hash.
fn number(sum: Context) -> i64 {
    sum.finish().as_ref().first_chunk::<8>().map_or(0, |b| i64::from_be_bytes(*b))
}
