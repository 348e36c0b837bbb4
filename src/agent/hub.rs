//! The daemon's side of the hub: enrolling where a token is at hand, the
//! courier, and what the status says of both.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::config::{Config, Exempt, Negative, Registry, RegistryKind, Text};
use crate::facts::Agent;
use crate::filing::AskHub;
use crate::ledger::Ledger;
use crate::resolve::OwnAddresses;
use crate::telemetry::Metrics;
use crate::uplink::enrol::{self, Request};
use crate::uplink::identity::{fingerprint, own_certificate};
use crate::uplink::push::{Courier, Pace};
use crate::uplink::serve::{self, HubState, Settings};
use crate::uplink::{Enrolment, Identity, Lookup};

use super::beat::Stage;
use super::desk::Board;
use super::watcher::Watcher;

/// How long a courier that ends may still be busy.
const DRAIN: Duration = Duration::from_secs(6);
/// Between two tries to enrol.
const ENROL_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(900));

/// Why the next turn is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// This server has enrolled.
    Enrolled,
    /// The hub has set something else.
    Settings,
}

/// What there is of a hub.
pub(super) struct Hub {
    parts: Option<Parts>,
    stop: watch::Sender<bool>,
    done: Mutex<Option<JoinHandle<()>>>,
}

struct Parts {
    cfg: Config,
    url: url::Url,
    enrolment: Option<Enrolment>,
    identity: Arc<Identity>,
    ledger: Arc<Ledger>,
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    stage: Stage,
}

impl Hub {
    /// Reads what enrolment left. Without `[hub] url` and without an
    /// enrolment there is no hub, and all works without one.
    pub(super) fn open(
        cfg: &Config,
        ledger: &Arc<Ledger>,
        board: &Arc<Board>,
        metrics: &Arc<Metrics>,
        stage: Stage,
    ) -> Result<Hub, Text> {
        let state = cfg.state_dir.display();
        let broken = |e: std::io::Error| Text::new(format!("{state}: {e}"), format!("{state}：{e}"));
        let enrolment = Enrolment::in_force(cfg).map_err(broken)?;
        let url = cfg.hub.url.clone().or_else(|| enrolment.as_ref().map(|e| e.hub.clone()));
        let parts = match url {
            None => None,
            Some(url) => Some(Parts {
                cfg: cfg.clone(),
                url,
                enrolment,
                identity: Arc::new(Identity::open(&cfg.state_dir).map_err(broken)?),
                ledger: ledger.clone(),
                board: board.clone(),
                metrics: metrics.clone(),
                stage,
            }),
        };
        let hub = Hub { parts, stop: watch::channel(false).0, done: Mutex::new(None) };
        let mut notes = board.notes();
        let before = notes.hub.take();
        notes.hub = hub.parts.as_ref().map(|p| {
            let url = p.url.to_string();
            let before = before.filter(|b| b.url == url).unwrap_or_default();
            HubState {
                url,
                enrolled: p.enrolment.is_some(),
                quarantined: p.enrolment.as_ref().is_some_and(|e| e.quarantined),
                last_delivery: before.last_delivery,
                skew_ms: before.skew_ms,
                ..HubState::default()
            }
        });
        drop(notes);
        hub.introduce();
        Ok(hub)
    }

    /// Whether the hub knows this agent.
    pub(super) fn enrolled(&self) -> bool {
        self.enrolment().is_some()
    }

    fn enrolment(&self) -> Option<&Enrolment> {
        self.parts.as_ref()?.enrolment.as_ref()
    }

    /// The ledger's reports and the status bear the agent's id.
    fn introduce(&self) {
        if let Some(parts) = &self.parts
            && let Some(e) = &parts.enrolment
        {
            introduce(parts, e);
        }
    }

    /// What kind `hub` is asked through, once enrolled.
    pub(super) fn asker(&self) -> Option<Arc<dyn AskHub>> {
        let parts = self.parts.as_ref()?;
        match Lookup::new(&parts.cfg.hub, parts.enrolment.as_ref()?, parts.identity.clone()) {
            Ok(lookup) => Some(Arc::new(lookup)),
            Err(why) => {
                tracing::error!(target: "beian", "the hub cannot be asked for filings: {}", why.en);
                None
            }
        }
    }

    /// Puts what the hub knows behind the local settings, which win. Where no
    /// registry is configured, the hub is the one.
    pub(super) fn add_to(&self, cfg: &mut Config) {
        let Some(settings) = self.enrolment().map(|e| &e.settings) else { return };
        cfg.ask_hub_by_default();
        cfg.public_addresses.extend(&settings.addresses);
        cfg.cdn_suffixes.extend(settings.cdn_suffixes.iter().cloned());
        cfg.exempt.extend(settings.exemptions.iter().map(|e| Exempt {
            name: e.name.clone(),
            by: e.by.clone(),
            why: e.why.clone(),
            until: e.until.as_deref().and_then(|u| u.parse().ok()),
        }));
        let lacks = |r: &&mut Registry| {
            r.canary.is_empty() && r.negative == Negative::Ambiguous && r.kind != RegistryKind::Hub
        };
        for registry in cfg.registries.iter_mut().filter(lacks) {
            registry.canary.clone_from(&settings.canaries);
        }
    }

    /// Starts to deliver; enrols first where it has to, and a token is there.
    /// `filings` is nudged when the hub has heard of names; `renew` is told when
    /// other settings hold with the next turn.
    pub(super) fn start(
        &mut self,
        nudge: &Arc<Notify>,
        filings: &Arc<Notify>,
        renew: &UnboundedSender<Renewal>,
    ) {
        let Some(parts) = self.parts.take() else { return };
        let stop = self.stop.subscribe();
        let task = tokio::spawn(deliver(parts, nudge.clone(), filings.clone(), renew.clone(), stop));
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Lets what is under way end.
    pub(super) async fn drain(self) {
        self.stop.send_replace(true);
        let task = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && tokio::time::timeout(DRAIN, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

fn introduce(parts: &Parts, e: &Enrolment) {
    parts.ledger.set_agent(Agent {
        id: Some(e.agent_id.clone()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
    });
    parts.board.notes().agent_id = Some(e.agent_id.clone());
}

async fn deliver(
    mut parts: Parts,
    nudge: Arc<Notify>,
    filings: Arc<Notify>,
    renew: UnboundedSender<Renewal>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(enrolment) = parts.enrolment.take() else {
        parts.stage.rest();
        let enrolled = tokio::select! {
            e = enrol_with_patience(&parts) => e,
            () = async { let _ = stop.wait_for(|s| *s).await; } => return,
        };
        if enrolled.is_some() {
            // The next turn reads what enrolling left, and reports under it.
            let _ = renew.send(Renewal::Enrolled);
        }
        return;
    };
    let watcher = Watcher {
        ledger: parts.ledger.clone(),
        board: parts.board.clone(),
        metrics: parts.metrics.clone(),
        before: Mutex::new(None),
        failing: AtomicBool::new(false),
        stage: parts.stage.clone(),
        enrolment: enrolment.clone(),
        state_dir: parts.cfg.state_dir.clone(),
        filings,
        renew,
    };
    let courier = Courier::new(
        &parts.cfg.hub,
        enrolment,
        parts.identity.clone(),
        parts.ledger.clone(),
        nudge,
        Arc::new(watcher),
        Pace::default(),
    );
    match courier {
        Ok(courier) => courier.run(stop).await,
        Err(why) => {
            tracing::error!(target: "beian", "reports cannot be delivered: {}", why.en);
            if let Some(state) = &mut parts.board.notes().hub {
                state.last_error = Some(why.en);
            }
        }
    }
    parts.stage.rest();
}

/// Unattended images have a token at hand; without one nothing is asked.
async fn enrol_with_patience(parts: &Parts) -> Option<Enrolment> {
    let token = match enrol::token_of_machine() {
        Ok(token) => token,
        Err(e) => {
            tracing::error!(target: "beian", "the enrolment token cannot be read: {e}");
            None
        }
    };
    let Some(token) = token else {
        tracing::warn!(target: "beian", "[hub] url is set, but this server is not enrolled: run beian-agent enrol --hub URL");
        return None;
    };
    let mut pause = ENROL_AGAIN.0;
    loop {
        let request = request(&parts.cfg, &parts.identity, &token);
        match enrol::enrol(&parts.cfg.hub, &parts.url, &parts.identity, &request, &parts.cfg.state_dir).await
        {
            Ok(e) => {
                tracing::info!(target: "beian", agent = e.agent_id, quarantined = e.quarantined, "enrolled");
                return Some(e);
            }
            Err((why, again)) => {
                tracing::error!(target: "beian", "enrolment: {}", why.en);
                if let Some(state) = &mut parts.board.notes().hub {
                    state.last_error = Some(why.en);
                }
                if !again {
                    return None;
                }
                tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
                pause = (pause * 2).min(ENROL_AGAIN.1);
            }
        }
    }
}

/// What is sent to enrol.
pub fn request(cfg: &Config, identity: &Identity, token: &SecretString) -> Request {
    let certificate = match (&cfg.serve.tls_cert, &cfg.serve.announce) {
        (Some(cert), _) => fingerprint(cert).ok(),
        (None, Some(_)) => own_certificate(&cfg.state_dir).and_then(|p| fingerprint(&p.cert)).ok(),
        (None, None) => None,
    };
    Request {
        token: token.expose_secret().to_owned(),
        public_key: identity.public_key(),
        certificate_fingerprint: certificate,
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        announce: cfg.serve.announce.clone(),
        addresses: OwnAddresses::find(&[], &cfg.public_addresses).list,
    }
}

/// Where and how polling is answered; tokens are made where there are none.
pub(super) fn polling(cfg: &Config, enrolled: bool) -> Result<Option<Settings>, Text> {
    let own = own_pair(cfg);
    let Some(mut settings) = Settings::of(&cfg.serve, &cfg.state_dir, own).map_err(|e| e.0)? else {
        return Ok(None);
    };
    for token in &settings.tokens {
        if let Err(e) = serve::make_token(token) {
            let path = token.display();
            // Without a token there is nothing that could be answered.
            return Err(Text::new(
                format!("[serve] token_file {path}: {e}"),
                format!("[serve] token_file {path}：{e}"),
            ));
        }
    }
    if enrolled {
        settings.tokens.push(Enrolment::token_path(&cfg.state_dir));
    }
    settings.names.push(rustix::system::uname().nodename().to_string_lossy().to_lowercase());
    Ok(Some(settings))
}

/// Only where it may be needed: beyond loopback, or for client certificates.
fn own_pair(cfg: &Config) -> Option<serve::Pair> {
    let beyond = cfg.serve.listen.is_some_and(|a| !a.ip().is_loopback()) || cfg.serve.client_ca.is_some();
    if !beyond || cfg.serve.tls_cert.is_some() {
        return None;
    }
    own_certificate(Path::new(&cfg.state_dir)).ok()
}
