//! Agents' calls: from the request to its receipt.
//!
//! The signature is verified and the report read before anything waits; then
//! it queues for the writer, which stores what has gathered in one
//! transaction. A full queue is told at once (503), so that a storm of agents
//! backs off instead of timing out.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::uplink::signature::{self, Call, Headers};
use crate::uplink::{HubSettings, Receipt};

use super::Hub;
use super::cache::Keyed;
use super::problem::Problem;
use super::serve::{Peer, discard, short_body, too_long};
use super::settings;
use super::store::{AgentState, Arrival, Beat, Outcome, StoreError, now};
use super::wire::{self, BODY_MOST, Coding, Refused};

/// Reports that may wait; beyond it the answer is 503.
const WAITING_MOST: usize = 4_096;
/// Reports in one transaction.
const BATCH: usize = 256;
/// What is said to come back after.
const COME_BACK: u64 = 5;
/// A heartbeat is below 300 bytes.
const BEAT_MOST: usize = 2_048;
/// Bytes of reports that may be under way at the same time, from their first
/// byte to their commit; beyond it the answer is 503.
const UNDER_WAY_MOST: usize = 64 << 20;
/// The same of those longer than [`LARGE`].
const LARGE_UNDER_WAY_MOST: usize = 64 << 20;
/// Reports longer than this are unfolded one at a time, beside the others.
const LARGE: usize = 64 << 10;
/// Times a batch is tried when the database fails.
const TRIES: u32 = 3;

enum Job {
    Report(Box<Arrival>, oneshot::Sender<Result<Outcome, ()>>),
    Beat(Beat, oneshot::Sender<Result<Outcome, ()>>),
}

/// The way to the writer.
pub struct Queue {
    jobs: mpsc::Sender<Job>,
    /// KiB that may still come, of short and of long reports.
    room: Arc<Semaphore>,
    large_room: Arc<Semaphore>,
    large: Semaphore,
}

/// The writer, not yet started.
pub struct Writer(mpsc::Receiver<Job>);

impl Queue {
    /// Both ends.
    pub fn new() -> (Queue, Writer) {
        let (send, receive) = mpsc::channel(WAITING_MOST);
        let room = |bytes: usize| Arc::new(Semaphore::new(bytes >> 10));
        let queue = Queue {
            jobs: send,
            room: room(UNDER_WAY_MOST),
            large_room: room(LARGE_UNDER_WAY_MOST),
            large: Semaphore::new(1),
        };
        (queue, Writer(receive))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        WAITING_MOST - self.jobs.capacity()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a report's body, if there is room for it: a storm of them must not
    /// cost all memory. Long ones have room of their own, and take none from
    /// what everybody sends.
    async fn body(&self, request: Request) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
        let told = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        // Without a length it may be the longest.
        let length = told.unwrap_or(BODY_MOST);
        if length > BODY_MOST {
            discard(request).await;
            return Err(too_long());
        }
        let room = u32::try_from((length >> 10) + 1).unwrap_or(u32::MAX);
        let place = if length > LARGE { &self.large_room } else { &self.room };
        let Ok(room) = place.clone().try_acquire_many_owned(room) else {
            discard(request).await;
            return Err(Problem::unavailable(COME_BACK));
        };
        Ok((short_body(request, BODY_MOST).await?, room))
    }

    /// Stores a report.
    pub async fn report(&self, arrival: Arrival) -> Result<Outcome, Problem> {
        let (send, receive) = oneshot::channel();
        self.put(Job::Report(Box::new(arrival), send), receive).await
    }

    async fn beat(&self, beat: Beat) -> Result<Outcome, Problem> {
        let (send, receive) = oneshot::channel();
        self.put(Job::Beat(beat, send), receive).await
    }

    async fn put(
        &self,
        job: Job,
        receive: oneshot::Receiver<Result<Outcome, ()>>,
    ) -> Result<Outcome, Problem> {
        self.jobs.try_send(job).map_err(|_| Problem::unavailable(COME_BACK))?;
        receive.await.ok().and_then(Result::ok).ok_or_else(|| Problem::unavailable(COME_BACK))
    }
}

impl Writer {
    /// Works until the hub is gone.
    pub fn start(mut self, hub: &Arc<Hub>) {
        let hub: Weak<Hub> = Arc::downgrade(hub);
        tokio::spawn(async move {
            let mut jobs = Vec::with_capacity(BATCH);
            while self.0.recv_many(&mut jobs, BATCH).await > 0 {
                let Some(hub) = hub.upgrade() else { return };
                write(&hub, std::mem::take(&mut jobs)).await;
            }
        });
    }
}

async fn write(hub: &Hub, jobs: Vec<Job>) {
    let (mut reports, mut report_answers, mut beats, mut beat_answers) = (vec![], vec![], vec![], vec![]);
    for job in jobs {
        match job {
            Job::Report(arrival, answer) => {
                reports.push(*arrival);
                report_answers.push(answer);
            }
            Job::Beat(beat, answer) => {
                beats.push(beat);
                beat_answers.push(answer);
            }
        }
    }
    let start = Instant::now();
    if !reports.is_empty() {
        let outcomes = store_reports(hub, &reports).await;
        for (answer, outcome) in report_answers.into_iter().zip(outcomes) {
            // A caller that has gone comes again.
            let _ = answer.send(outcome);
        }
        hub.lookups.notify_one();
    }
    if !beats.is_empty() {
        let done = again(|| hub.store.store_beats(&beats)).await;
        for (i, answer) in beat_answers.into_iter().enumerate() {
            let _ = answer.send(done.as_ref().map_err(|_| ()).and_then(|o| o.get(i).copied().ok_or(())));
        }
    }
    hub.metrics.commit.observe(start.elapsed().as_secs_f64());
    hub.metrics.queue.set(i64::try_from(hub.queue.len()).unwrap_or(i64::MAX));
}

async fn store_reports(hub: &Hub, batch: &[Arrival]) -> Vec<Result<Outcome, ()>> {
    let exempt = |tenant: &str, name: &str| hub.exemptions.covers(tenant, name);
    if let Ok(outcomes) = again(|| hub.store.store_reports(batch, &exempt)).await {
        return outcomes.into_iter().map(Ok).collect();
    }
    // One of them may be the reason: it must not keep the others out.
    let mut out = Vec::with_capacity(batch.len());
    for one in batch {
        let done = if batch.len() > 1 {
            hub.store.store_reports(std::slice::from_ref(one), &exempt).await.ok()
        } else {
            None
        };
        out.push(done.and_then(|o| o.first().copied()).ok_or(()));
    }
    out
}

/// A database that is restarted, or chose us in a deadlock, is tried again.
async fn again<T, F: Future<Output = Result<T, StoreError>>>(
    mut work: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let mut pause = Duration::from_millis(50);
    for _ in 1..TRIES {
        match work().await {
            Ok(done) => return Ok(done),
            Err(error) => {
                tracing::warn!(target: "beian", %error, "a batch is tried again");
                tokio::time::sleep(pause).await;
                pause *= 4;
            }
        }
    }
    let last = work().await;
    if let Err(error) = &last {
        tracing::error!(target: "beian", %error, "a batch was not stored");
    }
    last
}

/// A call that is who it says it is.
pub struct Signed {
    /// The agent.
    pub keyed: Arc<Keyed>,
    /// The sequence.
    pub sequence: u64,
    /// `Content-Digest`.
    pub digest: String,
    /// How far the agent's clock is ahead, in milliseconds (to the second).
    pub skew_ms: i64,
}

/// Verifies an agent's call.
pub async fn verify(
    hub: &Hub,
    path: &str,
    agent: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Signed, Problem> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let refused = |why: &str| {
        Problem::new(StatusCode::UNAUTHORIZED, "bad_signature", "The call is not signed by this agent")
            .detail(why)
    };
    let (Some(id), Some(sequence)) = (text(signature::AGENT), text(signature::SEQUENCE)) else {
        return Err(refused("beian-agent and beian-sequence are needed"));
    };
    if agent.is_some_and(|a| a != id) {
        return Err(refused("the path names another agent"));
    }
    let sequence: u64 = sequence.parse().map_err(|_| refused("beian-sequence is no number"))?;
    // What every JSON reader knows as an integer.
    if sequence == 0 || sequence > 1 << 53 {
        return Err(refused("beian-sequence is out of range"));
    }
    let (Some(content_digest), Some(input), Some(sig)) =
        (text("content-digest"), text("signature-input"), text("signature"))
    else {
        return Err(refused("content-digest, signature-input and signature are needed"));
    };
    let keyed = keyed(hub, id).await?;
    let call = Call { method: "POST", path, agent: id, sequence, body };
    let signed = Headers {
        content_digest: content_digest.to_owned(),
        signature_input: input.to_owned(),
        signature: sig.to_owned(),
    };
    let created = signature::verify(&call, &signed, &keyed.key).map_err(|e| refused(&e.to_string()))?;
    let skew_ms = created.saturating_sub(Timestamp::now().as_second()).saturating_mul(1000);
    Ok(Signed { keyed, sequence, digest: signed.content_digest, skew_ms })
}

/// An agent whose calls are taken.
async fn keyed(hub: &Hub, id: &str) -> Result<Arc<Keyed>, Problem> {
    match hub.agents.get(&hub.store, id).await? {
        None => Err(unknown()),
        Some(keyed) if keyed.agent.state == AgentState::Revoked => Err(revoked()),
        Some(keyed) => Ok(keyed),
    }
}

fn unknown() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unknown_agent", "The hub does not know this agent")
}

fn revoked() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "revoked", "This agent's key was revoked")
}

fn rollback(highest: i64) -> Problem {
    let mut p = Problem::new(
        StatusCode::CONFLICT,
        "sequence_rollback",
        "This sequence was used for something else: go on above the highest",
    );
    p.highest = u64::try_from(highest).ok();
    p
}

fn refused(why: Refused) -> Problem {
    match why {
        Refused::TooLarge => too_long(),
        Refused::Coding => {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_request", "Content-Encoding: gzip or zstd")
        }
        Refused::Schema(what) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "schema", "This is no report").detail(what)
        }
    }
}

/// What every outcome of a stored call means.
fn taken(hub: &Hub, id: &str, outcome: Outcome) -> Result<i64, Problem> {
    match outcome {
        Outcome::Stored(at) | Outcome::Known(at) => Ok(at),
        Outcome::Rollback(highest) => Err(rollback(highest)),
        Outcome::Revoked => {
            hub.agents.forget(id);
            Err(revoked())
        }
        Outcome::Unknown => {
            hub.agents.forget(id);
            Err(unknown())
        }
    }
}

/// The word of an outcome, for the metrics.
fn word(outcome: &Result<Outcome, Problem>) -> &'static str {
    match outcome {
        Ok(Outcome::Stored(_)) => "stored",
        Ok(Outcome::Known(_)) => "known",
        Ok(Outcome::Rollback(_)) => "rollback",
        Ok(_) => "refused",
        Err(_) => "busy",
    }
}

/// A report of an agent.
#[utoipa::path(
    post, path = "/v1/agents/{id}/reports", tag = "agents",
    params(("id" = String, Path, description = "The agent's id")),
    request_body(content = String, content_type = "application/json", description = "beian.report/1, gzip or zstd, signed (RFC 9421)"),
    responses(
        (status = 200, description = "Stored, or stored before: the receipt", body = ReceiptAnswer),
        (status = 401, description = "Not signed by a known agent", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The sequence was used for something else", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "To be split", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "A coding that is not known here", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "No report", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Later", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn report(
    State(hub): State<Arc<Hub>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let path = format!("/v1/agents/{id}/reports");
    let headers = request.headers().clone();
    // Who takes room is known, at least by name, before the body is read.
    if let Err(stranger) = keyed(&hub, &id).await {
        discard(request).await;
        return Err(stranger);
    }
    let (body, _room) = hub.queue.body(request).await?;
    let signed = verify(&hub, &path, Some(&id), &headers, &body).await?;
    let at = now();
    let coding =
        Coding::of(headers.get("content-encoding").and_then(|v| v.to_str().ok())).map_err(refused)?;
    let (agent, sequence) = (id.clone(), signed.sequence);
    let large = body.len() > LARGE;
    let read = move || -> Result<(Vec<u8>, wire::Digested), Refused> {
        let json = wire::unfold(&body, coding)?;
        let report = wire::digest(&json, &agent, sequence)?;
        let body = match coding {
            Coding::Gzip => body.to_vec(),
            _ => wire::fold(&json),
        };
        Ok((body, report))
    };
    // A megabyte takes a few milliseconds: not where others wait for the thread.
    let read = if large {
        let _one = hub.queue.large.acquire().await;
        tokio::task::spawn_blocking(read).await.map_err(|_| Problem::unavailable(COME_BACK))?
    } else {
        read()
    };
    let (body, report) = read.map_err(refused)?;
    let arrival = Arrival {
        agent: id.clone(),
        // At most 2^53, checked with the signature.
        sequence: i64::try_from(signed.sequence).unwrap_or(i64::MAX),
        digest: signed.digest.clone(),
        body,
        report,
        at,
        from: Some(peer.to_string()),
        skew_ms: Some(signed.skew_ms),
        polled: false,
    };
    let outcome = hub.queue.report(arrival).await;
    hub.metrics.reports.get_or_create(&[("outcome", word(&outcome))]).inc();
    let at = taken(&hub, &id, outcome?)?;
    let receipt = receipt(&hub, &signed, at)?;
    let settings = settings::kept(&hub, &signed.keyed).await?.clone();
    Ok(Json(ReceiptAnswer { receipt, settings }).into_response())
}

fn receipt(hub: &Hub, signed: &Signed, at: i64) -> Result<Receipt, Problem> {
    let agent = &signed.keyed.agent;
    let key = hub.keys.get(&agent.hub_key).ok_or_else(|| {
        tracing::error!(target: "beian", agent = agent.id, "the key that this agent pinned is gone");
        Problem::unavailable(60)
    })?;
    let receipt = Receipt {
        agent: agent.id.clone(),
        sequence: signed.sequence,
        digest: signed.digest.clone(),
        received_at: Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH).to_string(),
        signature: String::new(),
    };
    Ok(receipt.signed(&key.pair))
}

/// The answer to a report.
#[derive(Serialize, utoipa::ToSchema)]
struct ReceiptAnswer {
    /// Signed by the hub's key that the agent has pinned.
    #[serde(flatten)]
    receipt: Receipt,
    /// What the hub sets.
    settings: HubSettings,
}

/// The answer to a heartbeat.
#[derive(Serialize, utoipa::ToSchema)]
struct BeatAnswer {
    /// What the hub sets.
    settings: HubSettings,
}

#[derive(Deserialize)]
struct Body {
    sequence: u64,
    version: String,
    #[serde(default)]
    outbox: Option<u64>,
    #[serde(default)]
    oldest_untold: Option<Timestamp>,
}

/// A heartbeat of an agent.
#[utoipa::path(
    post, path = "/v1/agents/{id}/heartbeat", tag = "agents",
    params(("id" = String, Path, description = "The agent's id")),
    request_body(content = String, content_type = "application/json", description = "sequence, at, version, outbox, oldest_untold; signed (RFC 9421)"),
    responses(
        (status = 200, description = "Heard; what the hub sets", body = BeatAnswer),
        (status = 401, description = "Not signed by a known agent", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The sequence is not above the highest", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Longer than a heartbeat", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "No heartbeat", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Later", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn heartbeat(
    State(hub): State<Arc<Hub>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let path = format!("/v1/agents/{id}/heartbeat");
    let headers = request.headers().clone();
    let body = short_body(request, BEAT_MOST).await?;
    let signed = verify(&hub, &path, Some(&id), &headers, &body).await?;
    let said: Body =
        serde_json::from_slice(&body).map_err(|_| refused(Refused::Schema("not a heartbeat")))?;
    if said.sequence != signed.sequence {
        return Err(refused(Refused::Schema("another sequence than the signed one")));
    }
    let beat = Beat {
        agent: id.clone(),
        sequence: i64::try_from(signed.sequence).unwrap_or(i64::MAX),
        version: super::store::clean(&said.version).chars().take(64).collect(),
        outbox: said.outbox.map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
        oldest_untold: said.oldest_untold.map(|t| t.as_millisecond()),
        at: now(),
        from: Some(peer.to_string()),
        skew_ms: Some(signed.skew_ms),
    };
    let outcome = hub.queue.beat(beat).await;
    hub.metrics.heartbeats.get_or_create(&[("outcome", word(&outcome))]).inc();
    taken(&hub, &id, outcome?)?;
    let settings = settings::kept(&hub, &signed.keyed).await?.clone();
    Ok(Json(BeatAnswer { settings }).into_response())
}
