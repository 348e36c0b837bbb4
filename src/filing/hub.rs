//! Kind `hub`: the provider's hub asks the registries for the whole fleet, and
//! tells its agents what it knows. How it is called is not known here: who
//! wires the rooms gives an [`AskHub`].
//!
//! Its word is a whole filing with the sources behind it, so it is not one
//! more voice for `combine`; [`merge`] puts it behind what local registries
//! say.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::facts::{AccessState, Filing, FilingState, Problem, ProblemKind, SourceAnswer, SourceState, Why};

use super::limit::{OPERATOR_REST, REST};
use super::registry::RETRY_AFTER_MOST;
use super::source::Observer;
use super::text::{clean, date};
use super::{Ask, combine};

/// Questions of one call.
pub const QUESTIONS_MOST: usize = 500;
/// All calls of one batch; a hub may be slow with each part of it.
const RUN_MOST: Duration = Duration::from_secs(300);
/// Sources behind one filing; more is no answer of a hub.
const SOURCES_MOST: usize = 32;
/// Characters of a source's name.
const NAME_MOST: usize = 128;

/// The way to the hub.
pub trait AskHub: Debug + Send + Sync {
    /// One call: at most [`QUESTIONS_MOST`] questions, one answer for each in
    /// their order. The caller bounds the time.
    fn ask<'a>(&'a self, questions: &'a [Ask]) -> BoxFuture<'a, Result<Vec<HubAnswer>, HubFault>>;
}

/// What the hub says to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubAnswer {
    /// What it knows.
    Filing(Box<Filing>),
    /// No report of this agent has the name yet.
    NotServed,
    /// This agent has asked too much.
    Quota,
    /// What was asked is no domain to the hub.
    NotADomain,
    /// Nothing that can be understood.
    Malformed,
}

/// Why a call gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubFault {
    /// Why.
    pub why: Why,
    /// The hub asks for silence of this length.
    pub retry_after: Option<Duration>,
    /// What the operator has to do, where nobody else can.
    pub operator: Option<&'static str>,
}

impl HubFault {
    /// A fault that says no more than why.
    pub fn new(why: Why) -> HubFault {
        HubFault { why, retry_after: None, operator: None }
    }
}

/// The hub as one of the registries.
pub(super) struct Hub {
    name: String,
    timeout: Duration,
    pub asker: Option<Arc<dyn AskHub>>,
    pub observer: Option<Observer>,
    /// It is not asked before this time, and this is why.
    quiet: Mutex<Option<(Instant, HubFault)>>,
}

impl Hub {
    pub(super) fn new(name: &str, timeout: Duration) -> Hub {
        Hub { name: name.to_owned(), timeout, asker: None, observer: None, quiet: Mutex::default() }
    }

    /// One filing a question; `done` is told each that has its answer.
    pub(super) async fn run(&self, asks: &[Ask], done: &(dyn Fn(usize) + Sync)) -> Vec<Filing> {
        let end = Instant::now() + RUN_MOST;
        let mut out: Vec<Filing> = Vec::with_capacity(asks.len());
        let mut todo: VecDeque<Range<usize>> = (0..asks.len())
            .step_by(QUESTIONS_MOST)
            .map(|from| from..asks.len().min(from + QUESTIONS_MOST))
            .collect();
        while let Some(range) = todo.pop_front() {
            let questions = asks.get(range.clone()).unwrap_or_default();
            let said = match Instant::now() < end {
                true => self.patiently(questions).await,
                false => Err(HubFault::new(Why::Timeout)),
            };
            match said {
                Ok(answers) => {
                    let now = Timestamp::now();
                    out.extend(questions.iter().zip(answers).map(|(q, a)| self.filing(q, a, now)));
                }
                // Answers of fewer questions may be short enough.
                Err(fault) if fault.why == Why::TooLarge && range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    todo.push_front(middle..range.end);
                    todo.push_front(range.start..middle);
                    continue;
                }
                Err(fault) => out.extend(questions.iter().map(|_| self.unknown(fault.why, Timestamp::now()))),
            }
            range.for_each(done);
        }
        out
    }

    /// What only the operator can mend.
    pub(super) fn problem(&self) -> Option<Problem> {
        let message = self.quiet()?.operator?;
        Some(Problem {
            file: None,
            line: None,
            kind: ProblemKind::RegistryConfiguration,
            registry: Some(self.name.clone()),
            message: message.to_owned(),
        })
    }

    fn quiet(&self) -> Option<HubFault> {
        let quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        quiet.filter(|(until, _)| *until > Instant::now()).map(|(_, fault)| fault)
    }

    /// One call; where the hub asks for a short silence, a second one after it
    /// (contract-details Q8). A longer silence holds for the calls to come.
    async fn patiently(&self, questions: &[Ask]) -> Result<Vec<HubAnswer>, HubFault> {
        if let Some(fault) = self.quiet() {
            return Err(fault);
        }
        let mut fault = match self.call(questions).await {
            Err(fault) => fault,
            answered => return answered,
        };
        if let Some(wait) = fault.retry_after.filter(|w| *w <= RETRY_AFTER_MOST) {
            tokio::time::sleep(wait).await;
            fault = match self.call(questions).await {
                Err(fault) => fault,
                answered => return answered,
            };
        }
        // About this answer, rather than about the hub.
        if fault.why != Why::TooLarge {
            let rest = if fault.operator.is_some() { OPERATOR_REST } else { REST };
            // No hub means years; and the sum of times must not overflow.
            let rest = fault.retry_after.unwrap_or(rest).min(OPERATOR_REST);
            *self.quiet.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now() + rest, fault));
        }
        Err(fault)
    }

    async fn call(&self, questions: &[Ask]) -> Result<Vec<HubAnswer>, HubFault> {
        let Some(asker) = &self.asker else {
            return Err(HubFault {
                operator: Some(
                    "this server is not enrolled, so the hub cannot be asked: beian-agent enrol --hub URL",
                ),
                ..HubFault::new(Why::Configuration)
            });
        };
        let begun = Instant::now();
        let said = match tokio::time::timeout(self.timeout, asker.ask(questions)).await {
            Ok(Ok(answers)) if answers.len() != questions.len() => Err(HubFault::new(Why::Malformed)),
            Ok(said) => said,
            Err(_) => Err(HubFault::new(Why::Timeout)),
        };
        let outcome = said.as_ref().map_or_else(|f| f.why.as_str(), |_| "ok");
        tracing::debug!(registry = self.name, questions = questions.len(), outcome, "asked the hub");
        if let Some(observer) = &self.observer {
            observer(&self.name, outcome, begun.elapsed());
        }
        said
    }

    fn filing(&self, ask: &Ask, answer: HubAnswer, now: Timestamp) -> Filing {
        let why = match answer {
            HubAnswer::Filing(filing) => match self.tidy(*filing, ask, now) {
                Some(filing) => return filing,
                None => Why::Malformed,
            },
            HubAnswer::NotServed => Why::NotAsked,
            HubAnswer::Quota => Why::Throttled,
            HubAnswer::NotADomain | HubAnswer::Malformed => Why::Malformed,
        };
        self.unknown(why, now)
    }

    fn unknown(&self, why: Why, at: Timestamp) -> Filing {
        let mut filing = Filing::unknown(why);
        filing.sources.push(self.source(SourceState::Unknown, Some(why), at));
        filing
    }

    /// The hub itself as a source.
    fn source(&self, state: SourceState, error: Option<Why>, checked_at: Timestamp) -> SourceAnswer {
        SourceAnswer { registry: self.name.clone(), state, checked_at, error }
    }

    /// Cleaned and bounded; `None` for what contradicts itself.
    fn tidy(&self, f: Filing, ask: &Ask, now: Timestamp) -> Option<Filing> {
        if f.sources.len() > SOURCES_MOST || f.filed_for.as_ref().is_some_and(|n| !ask.names.contains(n)) {
            return None;
        }
        let mut sources = Vec::with_capacity(f.sources.len().max(1));
        for s in f.sources {
            let registry = clean(&s.registry).filter(|n| n.chars().count() <= NAME_MOST)?;
            sources.push(SourceAnswer { registry, ..s });
        }
        let known = f.state != FilingState::Unknown;
        let why = (!known).then(|| f.why.unwrap_or(Why::Unavailable));
        if sources.is_empty() {
            // No row without evidence: then it is the hub's own word.
            sources.push(self.source(spoken(f.state), why, now));
        }
        let text = |t: Option<String>| t.as_deref().and_then(clean);
        Some(Filing {
            state: f.state,
            access: f.access,
            subject_licence: text(f.subject_licence),
            site_licence: text(f.site_licence),
            unit: text(f.unit),
            nature: text(f.nature),
            approved_on: f.approved_on.as_deref().and_then(date).map(|d| d.to_string()),
            sources,
            expires_at: f.expires_at,
            why,
            filed_for: f.filed_for,
        })
    }
}

fn spoken(state: FilingState) -> SourceState {
    match state {
        FilingState::Filed => SourceState::Filed,
        FilingState::Restricted => SourceState::Restricted,
        FilingState::NotFiled => SourceState::NotFiled,
        FilingState::SuspectedNotFiled => SourceState::SuspectedNotFiled,
        FilingState::Unknown => SourceState::Unknown,
    }
}

/// What local registries say, and behind it the hub: the local word wins where
/// there is one, the hub fills what is unknown, and restricted beats filed,
/// whoever says it.
pub(super) fn merge(local: Filing, hub: Filing) -> Filing {
    let hub_leads = local.state == FilingState::Unknown
        || (local.state == FilingState::Filed && hub.state == FilingState::Restricted);
    let access = if local.access == AccessState::Unknown { hub.access } else { local.access };
    let expires_at = local.expires_at.into_iter().chain(hub.expires_at).min();
    let local_why = local.why.filter(|w| *w != Why::NoRegistry);
    let sources = local.sources.iter().chain(&hub.sources).cloned().collect();
    let (mut lead, other) = if hub_leads { (hub, local) } else { (local, hub) };
    if lead.state == FilingState::Unknown {
        lead.why = local_why.or(lead.why);
    }
    if matches!(lead.state, FilingState::Filed | FilingState::Restricted) {
        combine::fill(&mut lead, &other);
    }
    Filing { access, sources, expires_at, ..lead }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
