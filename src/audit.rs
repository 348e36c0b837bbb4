//! One full pass over one server: the only place (beside the daemon and the
//! hub) that wires the rooms together.

mod findings;
mod known;
mod rows;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::{Timestamp, tz};

use crate::config::{self, Config, Registry};
use crate::discover;
use crate::facts::{
    Agent, Exposure, ExposureState, Filing, FilingState, Finding, Problem, ProblemKind, REPORT_SCHEMA,
    Report, Row, Scan, Server, Summary, Why,
};
use crate::filing::{Ask, AskHub, Registries};
use crate::names::Target;
use crate::resolve::{OwnAddresses, Resolver};
use crate::source::Source;
use crate::verdict;
use crate::vhost::{self, Entry};

pub use known::{Known, frames};

use rows::Draft;

/// What to audit.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// File system root (`--root`), else `[agent] root`.
    pub root: Option<PathBuf>,
    /// `--entry SERVER=PATH`: these files only, discovery off.
    pub entries: Vec<(Server, String)>,
    /// `--server-args SERVER=ARGS`.
    pub server_args: Vec<(Server, String)>,
    /// `--names`: audit these names instead of vhosts.
    pub names: Option<Vec<String>>,
    /// Judge this name alone (`explain`).
    pub only: Option<String>,
    /// `--address`.
    pub addresses: Vec<IpAddr>,
    /// `--resolver`.
    pub resolvers: Vec<SocketAddr>,
    /// The registries to ask.
    pub registries: Vec<Registry>,
    /// What kind `hub` is asked through.
    pub hub: Option<Arc<dyn AskHub>>,
}

/// A part of the pass, for progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading configuration files.
    Reading,
    /// Asking DNS.
    Resolving,
    /// Asking the registries.
    Filings,
}

/// Told how far the pass is.
pub trait Progress: Sync {
    /// A stage begins with so many steps (0: unknown).
    fn begin(&self, _stage: Stage, _steps: usize) {}
    /// A step of the stage is done.
    fn step(&self, _stage: Stage) {}
}

/// Nobody watches.
pub struct Unwatched;
impl Progress for Unwatched {}

/// Reads the configuration of every server: static, offline.
///
/// An error only where the root itself cannot be opened.
pub fn scan(cfg: &Config, req: &Request) -> anyhow::Result<Scan> {
    let root = req.root.as_ref().unwrap_or(&cfg.root);
    let src = Source::open(root, cfg.limits)
        .with_context(|| format!("--root {}: cannot be opened", root.display()))?;
    if req.entries.is_empty() {
        return Ok(discover::scan(&src, &req.server_args));
    }
    let mut scan = Scan::default();
    for (server, path) in &req.entries {
        src.next_tree();
        let entry =
            Entry { path: path.as_bytes().to_vec(), args: discover::args_of(&req.server_args, *server) };
        scan.extend(vhost::read(&src, *server, &entry));
    }
    Ok(scan)
}

/// What a scan says before anything is asked: one row a name without its
/// facts (a name that needs no filing has its verdict already), the findings,
/// the problems.
#[derive(Debug)]
pub struct Frames {
    /// In load order. With a target where the name is to be judged.
    pub rows: Vec<(Row, Option<Target>)>,
    /// `None`: there are no other rows. Else rows that are not here are as they
    /// were in the scan before, but for these names, which have none any more.
    pub gone: Option<Vec<String>>,
    /// What is wrong with sites.
    pub findings: Vec<Finding>,
    /// What was not read, or should be known.
    pub problems: Vec<Problem>,
    /// Whether everything was read.
    pub complete: bool,
    /// How many sites there are.
    pub sites: usize,
}

/// The problem that only private addresses of this server are known
/// (contract-details Q18).
pub fn public_address_unknown() -> Problem {
    Problem {
        file: None,
        line: None,
        kind: ProblemKind::PublicAddressUnknown,
        registry: None,
        message: "only private addresses of this server are known, and names lead to public ones: set [server] public_addresses (or --address) to the addresses that lead here".to_owned(),
    }
}

/// Scans, resolves, looks up, judges. An error only where the request cannot
/// be carried out at all (no such root); everything else is in the report.
pub async fn run(cfg: &Config, req: &Request, progress: &dyn Progress) -> anyhow::Result<Report> {
    let now = Timestamp::now();
    progress.begin(Stage::Reading, 0);
    let scan = if req.names.is_some() { Scan::default() } else { scan(cfg, req)? };
    let complete = scan.complete();
    let policy = rows::Policy::new(cfg, now);
    let mut drafts = rows::Drafts::new(&policy);
    match &req.names {
        Some(names) => drafts.add_list(names),
        None => drafts.add_sites(&scan.sites),
    }
    if let Some(only) = &req.only {
        drafts.keep_only(only, &scan.sites);
    }
    let findings = if req.only.is_some() { Vec::new() } else { findings::of(&scan.sites) };
    let mut problems = scan.problems;
    let (drafts, not_names) = drafts.finish();
    problems.extend(not_names);

    let own = OwnAddresses::find(&req.addresses, &cfg.public_addresses);
    let addresses = own.list.clone();
    let mut resolver_cfg: config::Resolver = cfg.resolver.clone();
    if !req.resolvers.is_empty() {
        resolver_cfg.servers.clone_from(&req.resolvers);
    }
    let targets: Vec<&Target> = drafts.iter().filter_map(Draft::target).collect();
    let (exposures, answers) = tokio::join!(
        resolve(&resolver_cfg, &cfg.cdn_suffixes, own, &targets, progress),
        look_up(req, &targets, progress),
    );
    let (exposures, (filings, lookup_problems)) = (exposures?, answers?);
    problems.extend(lookup_problems);
    if exposures.iter().any(|e| e.why.as_deref() == Some(PUBLIC_ADDRESS_UNKNOWN)) {
        problems.push(public_address_unknown());
    }

    let mut facts: Vec<(Exposure, Option<Filing>)> = Vec::with_capacity(targets.len());
    for (t, exposure) in targets.iter().zip(exposures) {
        facts.push((exposure, filings.get(t.filing_names.as_slice()).cloned()));
    }
    let mut facts = facts.into_iter();
    let names: Vec<Row> = drafts
        .into_iter()
        .map(|d| match d.target().and_then(|_| facts.next()) {
            Some((exposure, filing)) => judged(d, exposure, filing, now),
            None => d.into_row(now),
        })
        .collect();
    Ok(Report {
        schema: REPORT_SCHEMA.to_owned(),
        report_id: uuid::Uuid::now_v7().to_string(),
        sequence: 0,
        complete,
        scanned_at: now,
        agent: Agent {
            id: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        },
        addresses,
        summary: Summary::of(&names),
        names,
        findings,
        problems,
        transitions: Vec::new(),
        losses: Vec::new(),
        part: None,
    })
}

/// The word that [`Exposure::why`] has where NAT may hide us (contract-details
/// Q18).
pub const PUBLIC_ADDRESS_UNKNOWN: &str = "public_address_unknown";

async fn resolve(
    cfg: &config::Resolver,
    cdn: &[String],
    own: OwnAddresses,
    targets: &[&Target],
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Exposure>> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    progress.begin(Stage::Resolving, targets.len());
    let resolver = Resolver::new(cfg, cdn, own)?;
    Ok(resolver.exposures(targets, &|| progress.step(Stage::Resolving)).await)
}

/// One question an apex, however many names it has here.
async fn look_up<'t>(
    req: &Request,
    targets: &[&'t Target],
    progress: &dyn Progress,
) -> anyhow::Result<(HashMap<&'t [String], Filing>, Vec<Problem>)> {
    let mut asks: Vec<Ask> = Vec::new();
    let mut of_ask: HashMap<&[String], usize> = HashMap::new();
    for t in targets {
        of_ask.entry(t.filing_names.as_slice()).or_insert_with(|| {
            asks.push(Ask { names: t.filing_names.clone() });
            asks.len() - 1
        });
    }
    if asks.is_empty() {
        return Ok((HashMap::new(), Vec::new()));
    }
    progress.begin(Stage::Filings, asks.len());
    let registries = Registries::new(&req.registries)?.through(req.hub.clone());
    let answers = registries.lookup(&asks, &|| progress.step(Stage::Filings)).await;
    let filings = of_ask
        .into_iter()
        .filter_map(|(names, i)| answers.filings.get(i).map(|f| (names, f.clone())))
        .collect();
    Ok((filings, answers.problems))
}

/// The day in the mainland, as filing dates are given.
fn day_of(t: Timestamp) -> String {
    tz::offset(8).to_datetime(t).date().to_string()
}

fn judged(d: Draft, exposure: Exposure, filing: Option<Filing>, now: Timestamp) -> Row {
    let filing = filing.unwrap_or_else(|| Filing::unknown(Why::NoRegistry));
    let (verdict, reason) = verdict::judge(filing.state, filing.access, exposure.state);
    let exposed_since = (exposure.state == ExposureState::Here).then_some(now);
    let filed = matches!(filing.state, FilingState::Filed | FilingState::Restricted);
    let mut row = d.into_row(now);
    row.verdict = verdict;
    row.reason = reason;
    row.connected_before_filing =
        verdict::connected_before_filing(&filing, exposed_since.map(day_of).as_deref());
    row.exposed_since = exposed_since;
    row.filed_since = if filed { filing.approved_on.clone() } else { None };
    row.exposure = Some(exposure);
    row.filing = Some(filing);
    row
}

#[cfg(test)]
mod tests;
