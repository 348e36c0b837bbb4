//! Asking the hub whether names are filed: `POST /v1/filings:lookup`, signed as
//! reports are, with a sequence of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::Client;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Hub, Text};
use crate::facts::{Filing, Why};
use crate::filing::{Ask, AskHub, HubAnswer, HubFault};

use super::client::{self, SEQUENCE_MOST, Said, Unread};
use super::identity::{Enrolment, Identity};
use super::problem::Problem;

/// Below the hub's address.
const PATH: &str = "/v1/filings:lookup";
/// Bytes of an answer that are read.
const ANSWER_MOST: usize = 1 << 20;
/// Whoever asks bounds the time of a call; this is for whoever does not.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The way of one enrolled agent to its hub's lookup.
#[derive(Debug)]
pub struct Lookup {
    url: url::Url,
    agent_id: String,
    identity: Arc<Identity>,
    client: Client,
    /// The last sequence. Apart from that of reports, since lookups are worth
    /// nothing later and are kept nowhere: it begins at the time.
    last: AtomicU64,
}

#[derive(Serialize)]
struct Questions<'a> {
    questions: Vec<&'a [String]>,
}

#[derive(Deserialize)]
struct Answers {
    answers: Vec<serde_json::Value>,
}

/// One of the two.
#[derive(Deserialize)]
struct One {
    #[serde(default)]
    filing: Option<Filing>,
    #[serde(default)]
    refused: Option<String>,
}

impl Lookup {
    /// An error where the hub's address or certificate cannot be used.
    pub fn new(hub: &Hub, enrolment: &Enrolment, identity: Arc<Identity>) -> Result<Lookup, Text> {
        Ok(Lookup {
            url: client::join(&enrolment.hub, PATH),
            agent_id: enrolment.agent_id.clone(),
            identity,
            client: client::client(hub, &enrolment.hub, TIMEOUT)?,
            last: AtomicU64::new(0),
        })
    }

    /// By what enrolling left in the state folder; `None` where this agent is
    /// not enrolled, or this user may not read it. Makes nothing there.
    pub fn open(cfg: &Config) -> Option<Result<Lookup, Text>> {
        let enrolment = Enrolment::in_force(cfg).ok().flatten()?;
        let identity = Identity::read(&cfg.state_dir).ok()?;
        Some(Lookup::new(&cfg.hub, &enrolment, Arc::new(identity)))
    }

    /// At least the time in microseconds, and always above the last one.
    fn next(&self) -> u64 {
        let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0).min(SEQUENCE_MOST);
        let above = |last: u64| now.max(last.saturating_add(1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(above(last)));
        above(last.unwrap_or_else(|last| last))
    }

    async fn call(&self, questions: &[Ask]) -> Result<Vec<HubAnswer>, HubFault> {
        let body = Questions { questions: questions.iter().map(|q| q.names.as_slice()).collect() };
        let body = serde_json::to_vec(&body).map_err(|_| HubFault::new(Why::Malformed))?;
        let mut said = self.post(body.clone()).await?;
        if let Some(highest) = rolled_back(&said) {
            // This server's clock went back, or another program asks too.
            self.last.fetch_max(highest, Ordering::Relaxed);
            said = self.post(body).await?;
        }
        match said.status {
            200 => answers(&said.body, questions.len()).ok_or_else(|| HubFault::new(Why::Malformed)),
            _ => Err(refused(&said)),
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<Said, HubFault> {
        let failed =
            |e: &reqwest::Error| HubFault::new(if e.is_timeout() { Why::Timeout } else { Why::Unavailable });
        let agent = (self.agent_id.as_str(), &*self.identity);
        let request = client::signed(&self.client, self.url.clone(), agent, self.next(), body);
        let response = request.send().await.map_err(|e| failed(&e))?;
        client::read_up_to(response, ANSWER_MOST).await.map_err(|e| match e {
            Unread::TooLong => HubFault::new(Why::TooLarge),
            Unread::Broken(e) => failed(&e),
        })
    }
}

impl AskHub for Lookup {
    fn ask<'a>(&'a self, questions: &'a [Ask]) -> BoxFuture<'a, Result<Vec<HubAnswer>, HubFault>> {
        Box::pin(self.call(questions))
    }
}

/// The highest sequence that the hub has, where it refuses ours for it.
fn rolled_back(said: &Said) -> Option<u64> {
    if said.status != 409 {
        return None;
    }
    let (problem, word) = Problem::read(said.content_type.as_deref(), &said.body)?;
    problem.highest.filter(|h| word == "sequence_rollback" && *h < SEQUENCE_MOST)
}

/// One answer a question, or none at all.
fn answers(body: &[u8], questions: usize) -> Option<Vec<HubAnswer>> {
    let all: Answers = serde_json::from_slice(body).ok()?;
    (all.answers.len() == questions).then(|| all.answers.into_iter().map(answer).collect())
}

/// What a newer hub may say, and this agent does not know, is about that
/// question alone.
fn answer(value: serde_json::Value) -> HubAnswer {
    match serde_json::from_value::<One>(value) {
        Ok(One { filing: Some(filing), refused: None }) => HubAnswer::Filing(Box::new(filing)),
        Ok(One { filing: None, refused: Some(word) }) => match word.as_str() {
            "not_served" => HubAnswer::NotServed,
            "quota" => HubAnswer::Quota,
            "not_a_domain" => HubAnswer::NotADomain,
            _ => HubAnswer::Malformed,
        },
        _ => HubAnswer::Malformed,
    }
}

/// What any other status means; only a problem type of the hub's own list is
/// the hub's word.
fn refused(said: &Said) -> HubFault {
    let own = Problem::read(said.content_type.as_deref(), &said.body).map(|(_, word)| word);
    match (said.status, own) {
        (429, _) => throttled(said.retry_after),
        (503, _) if said.retry_after.is_some() => throttled(said.retry_after),
        (401 | 403, Some(_)) => HubFault {
            operator: Some("the hub does not accept this agent: enrol again with a new token"),
            ..HubFault::new(Why::Unauthorised)
        },
        (413, _) => HubFault::new(Why::TooLarge),
        (401 | 403 | 407, None) => HubFault::new(Why::Blocked),
        (300..=399, _) => HubFault::new(Why::Redirected),
        (500.., _) => HubFault::new(Why::Unavailable),
        _ => HubFault::new(Why::Malformed),
    }
}

fn throttled(retry_after: Option<Duration>) -> HubFault {
    HubFault { retry_after, ..HubFault::new(Why::Throttled) }
}
