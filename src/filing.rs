//! Whether a domain is filed and connected here: the registries.
//!
//! One rule above all: a failure is never a verdict, and an empty answer is
//! never "not filed". Everything that is not an explicit, complete answer
//! about the very name that was asked ends as unknown, with its reason.
//!
//! The way of a question: [`Registries::lookup`] runs one `pass` over each
//! source at the same time (questions coalesced, paced by `limit`, watched by
//! `canary`, kept by `cache`); an adapter (`provider_db`, `yd2431`,
//! `ministry_list`, `json_api`) turns one name into one reply over `http`;
//! `combine` makes one filing of all sources' voices. The provider's `hub`
//! answers with whole filings, which stand behind those of local registries.

mod cache;
mod canary;
mod combine;
mod http;
mod hub;
mod json_api;
mod limit;
mod ministry_list;
mod pass;
mod provider_db;
mod registry;
mod source;
mod spelling;
mod text;
mod yd2431;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::{Registry, RegistryKind};
use crate::facts::{Filing, Problem, Why};

pub use http::install_crypto;
pub use hub::{AskHub, HubAnswer, HubFault, QUESTIONS_MOST};

use combine::{Speaker, combine};
pub use source::Observer;
use source::Source;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Names in A-labels, asked in this order: the apex alone, or under
    /// .gov.cn the full host, then its parents (contract-details Q11).
    pub names: Vec<String>,
}

/// What a batch of questions came to.
#[derive(Debug)]
pub struct Answers {
    /// One filing a question, in their order.
    pub filings: Vec<Filing>,
    /// Operators' faults and unusable provider files.
    pub problems: Vec<Problem>,
}

/// All registries of one pass, with what they have said so far: kept by the
/// daemon, a second lookup asks only what has expired.
pub struct Registries {
    sources: Vec<Source>,
    hub: Option<hub::Hub>,
}

/// Questions that the daemon asks in one go where each is a call of its own:
/// few, so that a new site does not wait for a long list to be asked at two
/// questions a second.
const SLOWLY: usize = 16;

impl Registries {
    /// Loads provider files and presets. Fails only where no question could
    /// be asked at all (an unreadable mapping file); an unusable provider file
    /// is a failed source (contract-details Q4).
    pub fn new(registries: &[Registry]) -> anyhow::Result<Registries> {
        let client = http::client(registries)?;
        let (mut sources, mut hub) = (Vec::new(), None);
        for r in registries {
            match r.kind {
                RegistryKind::Hub => hub = Some(hub::Hub::new(&r.name, r.timeout)),
                _ => sources.push(Source::new(r, &client)?),
            }
        }
        Ok(Registries { sources, hub })
    }

    /// What kind `hub` is asked through; without it that has no answer.
    pub fn through(mut self, asker: Option<Arc<dyn AskHub>>) -> Registries {
        if let Some(hub) = &mut self.hub {
            hub.asker = asker;
        }
        self
    }

    /// For a caller that remembers answers itself and asks again when it wants
    /// a new one: nothing is kept from one lookup to the next but pace,
    /// canaries and the state of each source. `observer` is told of each call.
    pub fn forgetting(mut self, observer: Observer) -> Registries {
        for source in &mut self.sources {
            source.cache().switch_off();
            source.observer = Some(observer.clone());
        }
        if let Some(hub) = &mut self.hub {
            hub.observer = Some(observer);
        }
        self
    }

    /// How many questions are worth asking in one go.
    pub fn at_a_time(&self) -> usize {
        if self.sources.is_empty() { QUESTIONS_MOST } else { SLOWLY }
    }

    /// Whether a provider's file was replaced since it was read: what was
    /// answered from it may not hold any more.
    pub fn files_changed(&self) -> bool {
        self.sources.iter().any(|s| s.adapter.changed())
    }

    /// Asks every registry for every question; `done` is called after each
    /// question that has all its answers.
    pub async fn lookup(&self, asks: &[Ask], done: &(dyn Fn() + Sync)) -> Answers {
        let askers = self.sources.len() + usize::from(self.hub.is_some());
        let open: Vec<AtomicUsize> = asks.iter().map(|_| AtomicUsize::new(askers)).collect();
        if askers == 0 {
            asks.iter().for_each(|_| done());
        }
        let answered = |ask: usize| {
            if open.get(ask).is_some_and(|n| n.fetch_sub(1, Ordering::Relaxed) == 1) {
                done();
            }
        };
        let (voices, hubs) = futures::future::join(
            futures::future::join_all(self.sources.iter().map(|s| pass::run(s, asks, &answered))),
            async {
                match &self.hub {
                    Some(hub) => hub.run(asks, &answered).await,
                    None => Vec::new(),
                }
            },
        )
        .await;
        let mut hubs = hubs.into_iter();
        let filings = (0..asks.len())
            .map(|i| {
                let said: Vec<_> = self
                    .sources
                    .iter()
                    .zip(&voices)
                    .filter_map(|(s, v)| Some((Speaker { name: &s.name, upstream: &s.upstream }, v.get(i)?)))
                    .collect();
                let local = (!said.is_empty()).then(|| combine(&said));
                match (local, hubs.next()) {
                    (Some(local), Some(hub)) => hub::merge(local, hub),
                    (Some(one), None) | (None, Some(one)) => one,
                    (None, None) => Filing::unknown(Why::NoRegistry),
                }
            })
            .collect();
        let hub = self.hub.as_ref().and_then(hub::Hub::problem);
        Answers { filings, problems: self.sources.iter().flat_map(Source::problems).chain(hub).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The daemon spawns lookups.
    #[test]
    fn a_lookup_can_be_spawned() {
        fn spawned<T: Send>(value: T) -> T {
            value
        }
        let registries = spawned(Registries { sources: Vec::new(), hub: None });
        drop(spawned(registries.lookup(&[], &|| {})));
    }

    #[tokio::test]
    async fn without_a_registry_nothing_is_known() {
        let ask = Ask { names: vec!["example.cn".into()] };
        let answers = Registries { sources: Vec::new(), hub: None }.lookup(&[ask], &|| {}).await;
        assert_eq!(answers.filings, [Filing::unknown(Why::NoRegistry)]);
    }
}
