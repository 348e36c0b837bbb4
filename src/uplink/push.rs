//! The courier: takes reports from the outbox to the hub, and says now and
//! then that this agent lives.
//!
//! What an answer means (design.md, "Retry"):
//!
//! | answer | |
//! |---|---|
//! | 2xx with the hub's receipt | done |
//! | 409 `sequence_rollback` | go on above what the hub has |
//! | 401 with a type of the hub's | keep everything, try slowly: enrol anew |
//! | 413 | split; what is small already: a dead letter if the hub said so, else back off |
//! | 429, 503 | as long as Retry-After says |
//! | any other 4xx with a type of the hub's | a dead letter, and a loss |
//! | anything else: a proxy's 403 or 404, pages, 5xx, silence | back off |

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::Client;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::{Hub, Text};
use crate::ledger::{Outbox, OutboxError, Sealed};
use crate::telemetry::event::HubOutcome;

use super::client::{self, SEQUENCE_MOST, Said};
use super::identity::{Enrolment, HubSettings, Identity};
use super::problem::Problem;
use super::receipt::Receipt;
use super::signature;

/// Times between tries.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// After a change, others are waited for.
    pub debounce: Duration,
    /// The first pause after a failure…
    pub back_off_min: Duration,
    /// …and the longest; full jitter up to it.
    pub back_off_max: Duration,
    /// Retry-After is obeyed up to this.
    pub wait_max: Duration,
    /// One call, connect to last byte.
    pub timeout: Duration,
    /// Where the outbox cannot be used (a full disk), it is asked again.
    pub outbox: Duration,
    /// What is under way when the daemon ends may take so long.
    pub grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            debounce: Duration::from_secs(1),
            back_off_min: Duration::from_secs(5),
            back_off_max: Duration::from_secs(15 * 60),
            wait_max: Duration::from_secs(3600),
            timeout: client::TIMEOUT,
            outbox: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// How one call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// In a word.
    pub outcome: HubOutcome,
    /// Its sequence.
    pub sequence: u64,
    /// A report, rather than a heartbeat.
    pub report: bool,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
    /// The hub's clock minus ours, in milliseconds.
    pub skew_ms: Option<i64>,
}

/// What the hub has not been told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Transitions, and reports.
    pub untold: u64,
    /// When the oldest of them came about.
    pub oldest: Option<Timestamp>,
}

/// Told of every call; and asked what a heartbeat says.
pub trait Observer: Send + Sync + 'static {
    /// One call ended.
    fn called(&self, called: Called);
    /// What waits; may block on the disk.
    fn waiting(&self) -> Waiting;
    /// The courier is alive, and will be heard of within this time.
    fn alive(&self, within: Duration);
    /// The hub has set something else than what the courier was started with.
    fn settings(&self, new: HubSettings);
}

/// The courier of one enrolment.
pub struct Courier {
    enrolment: Enrolment,
    receipt_key: Vec<u8>,
    identity: Arc<Identity>,
    client: Client,
    outbox: Arc<dyn Outbox>,
    nudge: Arc<Notify>,
    observer: Arc<dyn Observer>,
    pace: Pace,
}

/// What follows from an answer.
enum Next {
    Done,
    /// Something was changed about the report: seal it anew, at once.
    Again(HubOutcome, String),
    /// Failures in a row count, and the pause grows with them.
    BackOff(HubOutcome, String),
    /// The hub said how long.
    Wait(HubOutcome, String, Duration),
}

/// Changes of a report in a row (split, rolled back) that are made without a
/// pause.
const AGAIN_MOST: u32 = 16;

impl Courier {
    /// An error where the hub's address or certificate cannot be used.
    pub fn new(
        hub: &Hub,
        enrolment: Enrolment,
        identity: Arc<Identity>,
        outbox: Arc<dyn Outbox>,
        nudge: Arc<Notify>,
        observer: Arc<dyn Observer>,
        pace: Pace,
    ) -> Result<Courier, Text> {
        let client = client::client(hub, &enrolment.hub, pace.timeout)?;
        let receipt_key = enrolment.receipt_public_key().ok_or_else(|| {
            Text::new(
                "enrolment.json has no usable receipt key: enrol again",
                "enrolment.json 中没有可用的回执公钥：请重新登记",
            )
        })?;
        Ok(Courier { enrolment, receipt_key, identity, client, outbox, nudge, observer, pace })
    }

    /// Delivers until `stop` turns true. The first snapshot after a start
    /// waits for a random point of the splay; a change waits for nothing.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let settings = self.enrolment.settings.clone();
        let splay = Duration::from_secs(settings.splay).mul_f64(rand::random::<f64>());
        let start = Instant::now();
        let mut snapshot_at = start + splay;
        let mut heartbeat_at = start + splay + jitter(settings.heartbeat_every());
        let mut hold = start + splay;
        let mut splaying = true;
        let (mut failures, mut again) = (0_u32, 0_u32);
        // Since when a report could not be delivered; and until when the hub
        // wants to hear nothing at all.
        let mut stuck: Option<Instant> = None;
        let mut quiet = start;
        loop {
            self.observer.alive(self.pace.timeout + Duration::from_secs(90));
            let now = Instant::now();
            // While a report cannot be delivered, a heartbeat goes between its
            // tries: the agent lives. The sealed report keeps its sequence.
            let between = stuck.map(|since| since + settings.heartbeat_every());
            let overdue = between.is_some_and(|b| now >= b.max(heartbeat_at).max(quiet));
            if now >= hold && !overdue {
                let snapshot = now >= snapshot_at;
                let sent = self.until_stopped(&mut stop, self.deliver(snapshot)).await;
                let Some(sent) = sent else { return };
                match sent {
                    Ok(None) => stuck = None,
                    Ok(Some((sequence, next, skew))) => {
                        splaying = false;
                        let pause = self.after(&next, &mut failures, &mut again);
                        self.tell(sequence, true, &next, pause, skew);
                        hold = Instant::now() + pause.unwrap_or_default();
                        match next {
                            Next::Done => {
                                stuck = None;
                                snapshot_at = Instant::now() + jitter(settings.report_every());
                                continue;
                            }
                            Next::Wait(..) => quiet = hold,
                            Next::Again(..) | Next::BackOff(..) => {}
                        }
                        stuck.get_or_insert(now);
                        if pause.is_none() {
                            continue;
                        }
                    }
                    Err(e) => {
                        // The ledger says so itself; the disk may work later.
                        tracing::debug!(error = %e, "outbox");
                        splaying = false;
                        hold = Instant::now() + self.pace.outbox;
                    }
                }
            }
            let between = stuck.map(|since| since + settings.heartbeat_every());
            let beat_at = heartbeat_at.max(quiet).max(between.unwrap_or(hold));
            if Instant::now() >= beat_at {
                heartbeat_at = Instant::now() + jitter(settings.heartbeat_every());
                let Some(beat) = self.until_stopped(&mut stop, self.heartbeat()).await else { return };
                if let Ok((sequence, next, skew)) = beat {
                    // Its own luck is not the report's, which keeps its pause.
                    let mut apart = (0, 0);
                    let (failures, again) = match stuck {
                        Some(_) => (&mut apart.0, &mut apart.1),
                        None => (&mut failures, &mut again),
                    };
                    let pause = self.after(&next, failures, again);
                    self.tell(sequence, false, &next, pause, skew);
                    let until = Instant::now() + pause.unwrap_or_default();
                    match next {
                        Next::Wait(..) => (quiet, hold) = (until, hold.max(until)),
                        _ if stuck.is_none() => hold = until,
                        _ => {}
                    }
                }
                continue;
            }
            let wake = if hold > Instant::now() { hold } else { snapshot_at };
            let wake = wake.min(beat_at);
            // Heard of at least once a minute.
            let wake = wake.min(Instant::now() + Duration::from_secs(60));
            tokio::select! {
                () = sleep_until(wake) => {}
                () = self.nudge.notified() => {
                    sleep(self.pace.debounce).await;
                    if splaying {
                        hold = Instant::now();
                    }
                }
                () = stopped(&mut stop) => return,
            }
        }
    }

    /// `None`: the daemon ends, and the work did not end within the grace.
    async fn until_stopped<T>(
        &self,
        stop: &mut watch::Receiver<bool>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            t = &mut work => Some(t),
            () = stopped(stop) => {
                let _ = timeout(self.pace.grace, work).await;
                None
            }
        }
    }

    /// The pause that follows.
    fn after(&self, next: &Next, failures: &mut u32, again: &mut u32) -> Option<Duration> {
        match next {
            Next::Done => {
                (*failures, *again) = (0, 0);
                None
            }
            Next::Again(..) if *again < AGAIN_MOST => {
                *again += 1;
                None
            }
            Next::Again(..) | Next::BackOff(..) => {
                // Twice the least from the first time on: not everyone at once.
                let cap = self.pace.back_off_min.saturating_mul(2 << (*failures).min(20));
                *failures = failures.saturating_add(1);
                *again = 0;
                let cap = cap.min(self.pace.back_off_max);
                let range = cap.saturating_sub(self.pace.back_off_min);
                Some(self.pace.back_off_min + range.mul_f64(rand::random()))
            }
            Next::Wait(_, _, time) => {
                // A hub tells everyone the same; a little later is obeyed too.
                let time = (*time).clamp(self.pace.back_off_min, self.pace.wait_max);
                Some(time.mul_f64(1.0 + 0.1 * rand::random::<f64>()))
            }
        }
    }

    fn tell(&self, sequence: u64, report: bool, next: &Next, pause: Option<Duration>, skew: Option<i64>) {
        let (outcome, error) = match next {
            Next::Done => (HubOutcome::Delivered, None),
            Next::Again(o, why) | Next::BackOff(o, why) | Next::Wait(o, why, _) => (*o, Some(why.clone())),
        };
        let next_try = pause.map(|p| Timestamp::now() + p);
        self.observer.called(Called { outcome, sequence, report, error, next_try, skew_ms: skew });
    }

    /// One report, if there is one to deliver.
    async fn deliver(&self, snapshot: bool) -> Result<Option<(u64, Next, Option<i64>)>, OutboxError> {
        let Some(Sealed { sequence, body }) = self.blocking(move |o| o.next(snapshot)).await? else {
            return Ok(None);
        };
        let path = format!("/v1/agents/{}/reports", self.enrolment.agent_id);
        let digest = signature::content_digest(&body);
        let said = self.post(&path, sequence, body, "gzip").await;
        let skew = said.as_ref().ok().and_then(skew_of);
        let next = match said {
            Err(why) => Next::BackOff(HubOutcome::Unreachable, why),
            Ok(said) if (200..300).contains(&said.status) => {
                let receipt = serde_json::from_slice::<Receipt>(&said.body)
                    .ok()
                    .filter(|r| r.holds(&self.enrolment.agent_id, sequence, &digest, &self.receipt_key));
                match receipt {
                    Some(receipt) => {
                        let text = serde_json::to_string(&receipt).unwrap_or_default();
                        self.blocking(move |o| o.delivered(sequence, &text)).await?;
                        self.heed(&said);
                        Next::Done
                    }
                    None => {
                        Next::BackOff(HubOutcome::Malformed, "an answer without the hub's receipt".to_owned())
                    }
                }
            }
            Ok(said) if said.status == 413 => match self.blocking(move |o| o.split(sequence)).await {
                Ok(()) => Next::Again(HubOutcome::Refused, "too large; it is split".to_owned()),
                // A proxy's limit may be lifted tomorrow; nothing is given up for it.
                Err(_) if Problem::read(said.content_type.as_deref(), &said.body).is_none() => {
                    let why = "something before the hub finds even the smallest report too large";
                    Next::BackOff(HubOutcome::Malformed, why.to_owned())
                }
                Err(_) => {
                    let why = "too large, and it cannot be split further";
                    self.blocking(move |o| o.dead_letter(sequence, why)).await?;
                    Next::Again(HubOutcome::Refused, why.to_owned())
                }
            },
            Ok(said) => match self.not_taken(&said, sequence).await? {
                Refused::Other(next) => next,
                Refused::ForGood(word) => {
                    self.blocking(move |o| o.dead_letter(sequence, word)).await?;
                    Next::Again(HubOutcome::Refused, format!("refused for good: {word}"))
                }
            },
        };
        Ok(Some((sequence, next, skew)))
    }

    /// That this agent lives, and what waits.
    async fn heartbeat(&self) -> Result<(u64, Next, Option<i64>), OutboxError> {
        let sequence = self.blocking(|o| o.take_sequence()).await?;
        let observer = self.observer.clone();
        let waiting = tokio::task::spawn_blocking(move || observer.waiting()).await.unwrap_or_default();
        let body = serde_json::json!({
            "sequence": sequence,
            "at": Timestamp::now(),
            "version": env!("CARGO_PKG_VERSION"),
            "outbox": waiting.untold,
            "oldest_untold": waiting.oldest,
        });
        let path = format!("/v1/agents/{}/heartbeat", self.enrolment.agent_id);
        let said = self.post(&path, sequence, body.to_string().into_bytes(), "").await;
        let skew = said.as_ref().ok().and_then(skew_of);
        let next = match said {
            Err(why) => Next::BackOff(HubOutcome::Unreachable, why),
            Ok(said) if (200..300).contains(&said.status) => {
                self.heed(&said);
                Next::Done
            }
            Ok(said) => match self.not_taken(&said, sequence).await? {
                Refused::Other(next) => next,
                // A heartbeat is not kept: the next one says more.
                Refused::ForGood(word) => Next::BackOff(HubOutcome::Refused, format!("refused: {word}")),
            },
        };
        Ok((sequence, next, skew))
    }

    /// Settings that came along, where they are others than those in force.
    fn heed(&self, said: &Said) {
        /// An object: a list would be taken for its members in their order.
        #[derive(serde::Deserialize)]
        struct Along {
            settings: serde_json::Map<String, serde_json::Value>,
        }
        let Ok(Along { settings }) = serde_json::from_slice(&said.body) else { return };
        let Ok(settings) = serde_json::from_value::<HubSettings>(settings.into()) else { return };
        let settings = settings.bounded();
        if settings != self.enrolment.settings {
            self.observer.settings(settings);
        }
    }

    /// Answers that mean the same for reports and heartbeats.
    async fn not_taken(&self, said: &Said, sequence: u64) -> Result<Refused, OutboxError> {
        let problem = Problem::read(said.content_type.as_deref(), &said.body);
        let word = problem.as_ref().map(|(_, word)| *word);
        let status = said.status;
        Ok(Refused::Other(match (status, word) {
            (409, Some("sequence_rollback")) => {
                let highest = problem.and_then(|(p, _)| p.highest).unwrap_or(0);
                if highest < sequence || highest > SEQUENCE_MOST {
                    let why = format!("a sequence_rollback that makes no sense: {highest} for {sequence}");
                    return Ok(Refused::Other(Next::BackOff(HubOutcome::Malformed, why)));
                }
                self.blocking(move |o| o.rolled_back(highest)).await?;
                let why = format!(
                    "the hub has sequence {highest} already: this server was restored; going on above it"
                );
                Next::Again(HubOutcome::Refused, why)
            }
            (401, Some(word)) => Next::Wait(
                HubOutcome::Unauthorised,
                format!("the hub does not accept this agent ({word}): enrol again with a new token"),
                self.pace.back_off_max,
            ),
            (429 | 503, _) => match said.retry_after {
                Some(time) => Next::Wait(HubOutcome::Throttled, format!("it answered {status}"), time),
                None => Next::BackOff(HubOutcome::Throttled, format!("it answered {status}")),
            },
            (400..500, Some(word)) => return Ok(Refused::ForGood(word)),
            (500.., _) => Next::BackOff(HubOutcome::Unreachable, format!("it answered {status}")),
            _ => Next::BackOff(HubOutcome::Malformed, format!("{status}, and not by the hub itself")),
        }))
    }

    async fn post(&self, path: &str, sequence: u64, body: Vec<u8>, encoding: &str) -> Result<Said, String> {
        let url = client::join(&self.enrolment.hub, path);
        let agent = (self.enrolment.agent_id.as_str(), &*self.identity);
        let mut request = client::signed(&self.client, url, agent, sequence, body);
        if !encoding.is_empty() {
            request = request.header("content-encoding", encoding);
        }
        match request.send().await {
            Ok(response) => client::read(response).await,
            Err(e) => Err(client::words(&e)),
        }
    }

    /// The outbox blocks on the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce(&dyn Outbox) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let outbox = self.outbox.clone();
        tokio::task::spawn_blocking(move || f(&*outbox))
            .await
            .unwrap_or_else(|e| Err(OutboxError(e.to_string())))
    }
}

enum Refused {
    Other(Next),
    /// By the hub itself, with this type.
    ForGood(&'static str),
}

/// Ends when the daemon does.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|s| *s).await;
}

/// Give or take a tenth.
fn jitter(d: Duration) -> Duration {
    d.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}

/// The hub's clock minus ours; seconds are all that a Date header has.
fn skew_of(said: &Said) -> Option<i64> {
    let date = said.date?;
    let now = SystemTime::now();
    let ms = match date.duration_since(now) {
        Ok(ahead) => i64::try_from(ahead.as_millis()).ok()?,
        Err(behind) => -i64::try_from(behind.duration().as_millis()).ok()?,
    };
    Some(ms)
}
