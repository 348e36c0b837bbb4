//! The life of the daemon, from the ledger to the drain.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, channel, unbounded_channel};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::config::{Config, Lang, RegistryKind};
use crate::discover::watch::{Change, Options, Watch};
use crate::facts::Transition;
use crate::filing::{AskHub, Registries};
use crate::ledger::Ledger;
use crate::resolve::{OwnAddresses, Resolver};
use crate::telemetry::event::{FindingSeen, LossNoted, ProblemSeen, ScanDone, VerdictChanged};
use crate::telemetry::{Logs, Metrics, systemd};
use crate::uplink::serve::{self, Control, Desk as _, LastScan};

use super::beat::Stages;
use super::desk::Board;
use super::hub::{self, Hub, Renewal};
use super::judge::{Judge, Told};
use super::memory;
use super::scanner::{Scanned, Scanner, Tools};
use super::standing::Standing;

/// How often the gauges, the watchdog's word and the STATUS= line are renewed
/// where nobody asks for it more often.
const TICK: Duration = Duration::from_secs(30);
/// How often the ledger is looked after.
const MAINTAIN: Duration = Duration::from_secs(300);
/// Between two turns that other settings of the hub begin: one that never
/// ends setting others must not keep this server scanning.
const HUB_SETTINGS: Duration = Duration::from_secs(60);
/// Changes that wait for the scanner; more are gathered by the watch.
const CHANGES: usize = 16;

/// What the daemon is started with.
pub struct Life {
    /// The settings.
    pub cfg: Config,
    /// `--config`, to read them again (SIGHUP).
    pub settings: Option<PathBuf>,
    /// Language of the STATUS= line and of refusals.
    pub lang: Lang,
    /// What the log shows, in the syntax of `RUST_LOG`.
    pub log: &'static str,
}

/// Runs until SIGTERM or SIGINT. An error only where it cannot begin: the
/// ledger is in use, a socket cannot be had, the root does not exist.
pub fn run(life: Life) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new());
    let logs = Logs::start(life.log, life.cfg.log_json_file.as_deref(), &metrics);
    // One thread for all that waits; what blocks has few of its own, which end
    // when they are idle.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(5))
        .build()
        .context("tokio")?;
    let result = runtime.block_on(live(life, metrics, &logs));
    // A lookup that hangs must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

/// Everything that outlives a reload.
struct Daemon {
    lang: Lang,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    board: Arc<Board>,
    stages: Stages,
    signals: Signals,
    control: Control,
    /// What held in the turn before: the settings with the hub's, and whether
    /// this server was enrolled.
    before: Option<(Arc<Config>, bool)>,
    /// When other settings of the hub last began a turn.
    set_by_hub: Option<Instant>,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user: Signal,
}

async fn live(life: Life, metrics: Arc<Metrics>, logs: &Logs) -> anyhow::Result<()> {
    let Life { mut cfg, settings, lang, .. } = life;
    // Before anything else, so that no signal ends the process half way.
    let signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: signal(SignalKind::hangup())?,
        user: signal(SignalKind::user_defined1())?,
    };
    systemd::status(lang.pick("正在读取台账", "reading the ledger"));
    let ledger = Arc::new(Ledger::open(&cfg.state_dir, cfg.freshness)?);
    for loss in ledger.losses() {
        LossNoted(&loss).emit(&metrics);
    }
    let board = Arc::new(Board::new(ledger.clone(), metrics.clone(), cfg.state_dir.join("ledger.redb")));
    let control = serve::control(&serve::socket_path(&cfg.state_dir), board.clone())
        .await
        .map_err(|e| anyhow::anyhow!("{}", e.0.of(lang)))?;
    let mut daemon = Daemon {
        lang,
        ledger,
        metrics,
        board,
        stages: Stages::default(),
        signals,
        control,
        before: None,
        set_by_hub: None,
    };
    while let ControlFlow::Continue(new) = daemon.turn(cfg, settings.as_deref(), logs).await? {
        daemon.ledger.set_policy(new.freshness);
        cfg = *new;
    }
    daemon.control.drain().await;
    tracing::info!(target: "beian", "stopped");
    Ok(())
}

impl Daemon {
    /// One life between two reloads: new settings, or the end. What the hub
    /// sets holds from the beginning of a turn, so enrolling begins a new one
    /// with the same settings of the file.
    async fn turn(
        &mut self,
        cfg: Config,
        settings: Option<&std::path::Path>,
        logs: &Logs,
    ) -> anyhow::Result<ControlFlow<(), Box<Config>>> {
        let lang = self.lang;
        let of_file = cfg.clone();
        let mut cfg = cfg;
        if self.before.as_ref().is_none_or(|(old, _)| old.warnings != cfg.warnings) {
            for warning in &cfg.warnings {
                tracing::warn!(target: "beian", "{}", warning.en);
            }
        }
        let mut hub = Hub::open(&cfg, &self.ledger, &self.board, &self.metrics, self.stages.stage("courier"))
            .map_err(|e| anyhow::anyhow!("{}", e.of(lang)))?;
        hub.add_to(&mut cfg);
        let cfg = Arc::new(cfg);
        if let Some((old, enrolled)) = self.before.replace((cfg.clone(), hub.enrolled())) {
            self.refresh_after(&old, &cfg, enrolled != hub.enrolled());
        }
        let polling =
            match hub::polling(&cfg, hub.enrolled()).map_err(|e| anyhow::anyhow!("{}", e.of(lang)))? {
                Some(settings) => Some(
                    serve::start(settings, self.board.clone())
                        .await
                        .map_err(|e| anyhow::anyhow!("{}", e.0.of(lang)))?,
                ),
                None => None,
            };
        if let Some(server) = &polling {
            tracing::info!(target: "beian", address = %server.address(), tls = server.tls(), "answers polling");
        }

        let (send_change, mut changes) = channel::<Change>(CHANGES);
        let watch = Arc::new(
            Watch::start(&cfg.root, send_change, Options::default())
                .with_context(|| format!("[agent] root {}", cfg.root.display()))?,
        );
        let (send_scanned, mut scanned) = unbounded_channel::<Scanned>();
        let scanner = Scanner::start(Tools {
            cfg: cfg.clone(),
            ledger: self.ledger.clone(),
            watch: watch.clone(),
            scanned: send_scanned,
            stage: self.stages.stage("scanner"),
        })?;
        {
            let mut notes = self.board.notes();
            notes.watch = Some(watch.clone());
            notes.scanner = Some(scanner.clone());
            notes.registries.clear();
            cfg.registries.iter().for_each(|r| self.metrics.know_registry(&r.name));
            lang.pick("第一次扫描", "first scan").clone_into(&mut notes.doing);
        }
        systemd::status(lang.pick("正在做第一次扫描", "the first scan is running"));
        scanner.all("start");

        let nudge = Nudges::default();
        let (told_send, mut told) = unbounded_channel::<Told>();
        let mut work = Work { tasks: Vec::new() };
        let (resolver_send, resolver) =
            watch::channel(Arc::new(self.resolver(&cfg, OwnAddresses::find(&[], &cfg.public_addresses))?));
        self.start_judges(&cfg, hub.asker(), &nudge, told_send, resolver, &mut work)?;
        let (renew, mut renewals) = unbounded_channel::<Renewal>();
        let mut renewing: Option<(Instant, Renewal)> = None;

        let mut next_scan = after(cfg.scan_interval);
        let mut tick = interval(systemd::watchdog_interval().unwrap_or(TICK).min(TICK));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut maintain = interval(MAINTAIN);
        maintain.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut standing = Standing::default();
        let mut own: Option<OwnAddresses> = None;
        // Something was done since memory was last given back.
        let mut worked = false;
        let end = loop {
            tokio::select! {
                Some(change) = changes.recv() => scanner.changed(change),
                Some(done) = scanned.recv() => {
                    worked = true;
                    if own.as_ref() != Some(&done.own) {
                        resolver_send.send_replace(Arc::new(self.resolver(&cfg, done.own.clone())?));
                        // Not at the start: everything is due then as it was.
                        if own.is_some() {
                            self.ledger.all_names_due(Timestamp::now());
                        }
                        own = Some(done.own.clone());
                    }
                    next_scan = if done.trigger == "change" { next_scan } else { after(cfg.scan_interval) };
                    self.scanned(&done, next_scan, &nudge);
                    // A report before the first scan would say that there is
                    // nothing here; started again it does nothing.
                    hub.start(&nudge.courier, &nudge.filings, &renew);
                }
                Some(news) = told.recv() => match news {
                    Told::Transitions(list) => {
                        worked = true;
                        self.transitions(&list, &nudge);
                    }
                    Told::Registries(problems) => standing.registries(problems, &self.ledger, &self.metrics),
                    Told::BehindNat(is) => standing.behind_nat(is, &self.ledger, &self.metrics),
                    Told::Unserved => nudge.courier.notify_one(),
                },
                Some(why) = renewals.recv() => {
                    let earliest = self.set_by_hub.filter(|_| why == Renewal::Settings).map(|t| t + HUB_SETTINGS);
                    renewing.get_or_insert((earliest.unwrap_or_else(Instant::now), why));
                }
                () = sleep_until(renewing.map_or(next_scan, |(at, _)| at)), if renewing.is_some() => {
                    tracing::info!(target: "beian", "what the hub sets holds from now on");
                    if matches!(renewing, Some((_, Renewal::Settings))) {
                        self.set_by_hub = Some(Instant::now());
                    }
                    break ControlFlow::Continue(Box::new(of_file));
                }
                () = sleep_until(next_scan) => {
                    next_scan = after(cfg.scan_interval);
                    scanner.all("timer");
                }
                _ = maintain.tick() => self.maintain().await,
                _ = tick.tick() => {
                    self.tick();
                    if std::mem::take(&mut worked) {
                        memory::give_back();
                    }
                }
                _ = self.signals.user.recv() => scanner.all("signal"),
                _ = self.signals.hangup.recv() => {
                    logs.reopen();
                    if let Some(server) = &polling
                        && let Err(e) = server.reload()
                    {
                        tracing::warn!(target: "beian", "{e}");
                    }
                    systemd::reloading();
                    match Config::load(settings) {
                        Ok(new) if new.state_dir != cfg.state_dir => {
                            tracing::error!(target: "beian", "reload: [agent] state_dir changes only with a restart; the settings in force stay");
                            systemd::ready(&self.words());
                        }
                        Ok(new) => {
                            tracing::info!(target: "beian", "reload: new settings");
                            break ControlFlow::Continue(Box::new(new));
                        }
                        Err(e) => {
                            tracing::error!(target: "beian", "reload: {e}; the settings in force stay");
                            systemd::ready(&self.words());
                        }
                    }
                }
                _ = self.signals.terminate.recv() => break ControlFlow::Break(()),
                _ = self.signals.interrupt.recv() => break ControlFlow::Break(()),
            }
        };
        if end.is_break() {
            self.board.set_ready(false);
            systemd::stopping(lang.pick("正在停止", "stopping"));
        }
        work.stop();
        hub.drain().await;
        if let Some(server) = polling {
            server.drain().await;
        }
        let mut notes = self.board.notes();
        notes.watch = None;
        notes.scanner = None;
        drop(notes);
        Ok(end)
    }

    fn resolver(&self, cfg: &Config, own: OwnAddresses) -> anyhow::Result<Resolver> {
        let board = self.board.clone();
        let resolver = Resolver::new(&cfg.resolver, &cfg.cdn_suffixes, own)?;
        Ok(resolver.observed(Arc::new(move |outcome, took| board.dns_called(outcome, took))))
    }

    fn start_judges(
        &self,
        cfg: &Config,
        asker: Option<Arc<dyn AskHub>>,
        nudge: &Nudges,
        told: UnboundedSender<Told>,
        resolver: watch::Receiver<Arc<Resolver>>,
        work: &mut Work,
    ) -> anyhow::Result<()> {
        let board = self.board.clone();
        let registries = Registries::new(&cfg.registries)?
            .through(asker)
            .forgetting(Arc::new(move |name, outcome, took| board.registry_called(name, outcome, took)));
        let judge = |nudge: &Arc<Notify>| Judge {
            ledger: self.ledger.clone(),
            nudge: nudge.clone(),
            told: told.clone(),
        };
        work.tasks.push(tokio::spawn(judge(&nudge.names).exposures(resolver, self.stages.stage("dns"))));
        work.tasks.push(tokio::spawn(
            judge(&nudge.filings).filings(Arc::new(registries), self.stages.stage("registries")),
        ));
        Ok(())
    }

    fn scanned(&self, done: &Scanned, next_scan: Instant, nudge: &Nudges) {
        let meta = self.ledger.meta();
        ScanDone {
            trigger: done.trigger,
            complete: done.complete,
            took: done.took,
            files: done.files,
            sites: done.sites,
            problems: &meta.problems,
            findings: &meta.findings,
            ended: Timestamp::now(),
        }
        .emit(&self.metrics);
        for problem in &done.applied.problems {
            ProblemSeen(problem).emit(&self.metrics);
        }
        for finding in &done.applied.findings {
            FindingSeen(finding).emit();
        }
        let first = !self.board.ready();
        {
            let mut notes = self.board.notes();
            notes.last_scan = Some(LastScan {
                at: done.at,
                milliseconds: u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
                files: done.files,
                sites: done.sites as u64,
                complete: done.complete,
            });
            notes.next_scan = Some(Timestamp::now() + next_scan.saturating_duration_since(Instant::now()));
            self.lang.pick("监视变更", "watching").clone_into(&mut notes.doing);
        }
        self.transitions(&done.applied.transitions, nudge);
        if done.applied.new + done.applied.moved + done.applied.gone > 0 {
            nudge.courier.notify_one();
        }
        nudge.names.notify_one();
        nudge.filings.notify_one();
        self.board.set_ready(true);
        if first || done.trigger == "start" {
            systemd::ready(&self.words());
        }
    }

    /// The journal is told, and the hub.
    fn transitions(&self, list: &[Transition], nudge: &Nudges) {
        for transition in list {
            VerdictChanged { transition, row: None }.emit(&self.metrics);
        }
        if !list.is_empty() {
            nudge.courier.notify_one();
        }
    }

    async fn maintain(&self) {
        let ledger = self.ledger.clone();
        let before = self.ledger.losses();
        // Compaction may take half a second.
        let _ = tokio::task::spawn_blocking(move || ledger.maintain(Timestamp::now())).await;
        for loss in self.ledger.losses() {
            if !before.contains(&loss) {
                LossNoted(&loss).emit(&self.metrics);
            }
        }
    }

    fn tick(&self) {
        let late = self.stages.late();
        if late.is_empty() {
            systemd::alive();
        } else {
            tracing::error!(target: "beian", "no word from: {}; without it systemd starts the daemon anew", late.join(", "));
        }
        if self.board.ready() {
            systemd::status(&self.words());
        }
        self.board.measure();
    }

    /// The STATUS= line.
    fn words(&self) -> String {
        let s = self.ledger.summary();
        self.lang.pick(
            format!(
                "{} 个域名：违规 {}，疑似 {}，待核实 {}",
                s.names, s.violation, s.suspected, s.unconfirmed
            ),
            format!(
                "{} names: {} in violation, {} suspected, {} unconfirmed",
                s.names, s.violation, s.suspected, s.unconfirmed
            ),
        )
    }

    /// What new settings make worth asking again.
    fn refresh_after(&self, old: &Config, new: &Config, enrolled: bool) {
        let now = Timestamp::now();
        let asks_hub = new.registries.iter().any(|r| r.kind == RegistryKind::Hub);
        if old.registries != new.registries || (enrolled && asks_hub) {
            self.ledger.all_filings_due(now);
        }
        if old.resolver != new.resolver
            || old.cdn_suffixes != new.cdn_suffixes
            || old.public_addresses != new.public_addresses
        {
            self.ledger.all_names_due(now);
        }
    }
}

/// Whom to wake.
#[derive(Default)]
struct Nudges {
    names: Arc<Notify>,
    filings: Arc<Notify>,
    courier: Arc<Notify>,
}

/// Tasks that end with a turn.
struct Work {
    tasks: Vec<JoinHandle<()>>,
}

impl Work {
    /// All that they know is in the ledger: they may stop anywhere.
    fn stop(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The time until the next scan, give or take a tenth: many servers of one
/// image must not all read at once.
fn after(interval: Duration) -> Instant {
    Instant::now() + interval.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}
