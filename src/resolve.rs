//! Where a name leads: hickory-resolver, and this server's own addresses
//! (contract-details Q16 to Q18).
//!
//! hickory's name-server pool is asked directly, below its cache: there an
//! answer keeps its CNAME chain also where the chain leads to nothing, no
//! hosts file and no search domain can come in between, and each question is
//! one question on the wire.

mod address;
mod ask;
mod cdn;
mod chain;
mod judge;
mod probe;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use hickory_resolver::proto::rr::{Name, RecordType};
use jiff::Timestamp;

use crate::config;
use crate::facts::Exposure;
use crate::names::Target;

pub use address::OwnAddresses;
use ask::{Asker, Failure};
use chain::Reading;
use judge::Lead;
pub use probe::{Probe, probe};

/// Names that are asked at a time, two questions each: enough for resolvers
/// far away. Against knot on loopback 16 to 256 take the same time
/// (`benches/resolve.rs`), and every question needs a socket of its own.
pub const NAMES_AT_A_TIME: usize = 64;

/// The CDN and WAF suffixes that are built in (contract-details Q17).
pub fn built_in_cdn_suffixes() -> impl Iterator<Item = &'static str> {
    cdn::built_in()
}

/// Asks DNS.
pub struct Resolver {
    asker: Asker,
    cdn: cdn::Suffixes,
    own: OwnAddresses,
    observer: Option<Observer>,
}

/// Told of every name that was asked: the outcome in one word (`ok`, or what
/// failed) and how long it took.
pub type Observer = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

impl Resolver {
    /// Tells `observer` of every name from now on.
    pub fn observed(mut self, observer: Observer) -> Resolver {
        self.observer = Some(observer);
        self
    }

    /// Servers of the settings, else those of the system. `cdn` adds to the
    /// built-in suffixes.
    pub fn new(cfg: &config::Resolver, cdn: &[String], own: OwnAddresses) -> anyhow::Result<Resolver> {
        let servers = if cfg.servers.is_empty() { system_servers() } else { cfg.servers.clone() };
        Ok(Resolver {
            asker: Asker::new(&servers, cfg.timeout, cfg.attempts)?,
            cdn: cdn::Suffixes::with(cdn),
            own,
            observer: None,
        })
    }

    /// One exposure a target, in their order; `done` is called after each.
    /// A name that several targets need is asked once.
    pub async fn exposures<T: Borrow<Target>>(
        &self,
        targets: &[T],
        done: &(dyn Fn() + Sync),
    ) -> Vec<Exposure> {
        let targets: Vec<&Target> = targets.iter().map(Borrow::borrow).collect();
        let mut names: Vec<&str> = Vec::new();
        // By name: its number. By number: the targets that wait for it.
        let mut number: HashMap<&str, usize> = HashMap::new();
        let mut waiting: Vec<Vec<usize>> = Vec::new();
        let mut missing: Vec<usize> = vec![0; targets.len()];
        for (t, target) in targets.iter().enumerate() {
            for name in &target.ask {
                let n = *number.entry(name).or_insert_with(|| {
                    names.push(name);
                    waiting.push(Vec::new());
                    names.len() - 1
                });
                if let Some(w) = waiting.get_mut(n)
                    && w.last() != Some(&t)
                {
                    w.push(t);
                    if let Some(m) = missing.get_mut(t) {
                        *m += 1;
                    }
                }
            }
        }
        let mut leads: Vec<Option<Lead>> = names.iter().map(|_| None).collect();
        let mut out: Vec<Option<Exposure>> = targets.iter().map(|_| None).collect();
        // By number: a closure over borrowed names could not be spawned.
        let list = &names;
        let asked = (0..names.len()).map(|n| async move {
            let start = Instant::now();
            let lead = self.lead(list.get(n).copied().unwrap_or_default()).await;
            if let Some(observer) = &self.observer {
                observer(lead.outcome(), start.elapsed());
            }
            (n, lead)
        });
        let mut answers = futures::stream::iter(asked).buffer_unordered(NAMES_AT_A_TIME);
        while let Some((n, lead)) = answers.next().await {
            if let Some(slot) = leads.get_mut(n) {
                *slot = Some(lead);
            }
            for t in waiting.get(n).into_iter().flatten() {
                let (Some(m), Some(target)) = (missing.get_mut(*t), targets.get(*t)) else { continue };
                *m -= 1;
                if *m == 0 {
                    let found: Vec<&Lead> = target
                        .ask
                        .iter()
                        .filter_map(|a| leads.get(*number.get(a.as_str())?)?.as_ref())
                        .collect();
                    if let Some(slot) = out.get_mut(*t) {
                        *slot = Some(judge::exposure(target, &found));
                        done();
                    }
                }
            }
        }
        drop(answers);
        out.into_iter().zip(targets).map(|(e, t)| e.unwrap_or_else(|| judge::exposure(t, &[]))).collect()
    }

    /// Where one DNS name leads.
    async fn lead(&self, name: &str) -> Lead {
        // Labels as they are: the parser for text refuses some that DNS serves.
        let Ok(mut fqdn) = Name::from_labels(name.split('.').map(str::as_bytes)) else {
            return judge::lead(&self.own, &self.cdn, Err(Failure::Malformed), Timestamp::now());
        };
        fqdn.set_fqdn(true);
        let ((a, a_failed), (aaaa, aaaa_failed)) = futures::join!(
            self.asker.addresses(&fqdn, RecordType::A),
            self.asker.addresses(&fqdn, RecordType::AAAA)
        );
        let mut both = judge::Both {
            a,
            aaaa,
            failed: a_failed.or(aaaa_failed),
            both_failed: a_failed.and(aaaa_failed).is_some(),
        };
        // A resolver that gives up on a chain (a loop above all) says SERVFAIL
        // and nothing else. The chain is evidence all the same.
        if both.both_failed && both.failed == Some(Failure::ServFail) && both.a.chain.is_empty() {
            self.chain_alone(&fqdn, &mut both).await;
        }
        judge::lead(&self.own, &self.cdn, Ok(both), Timestamp::now())
    }

    /// Asks for CNAMEs, hop by hop.
    async fn chain_alone(&self, name: &Name, both: &mut judge::Both) {
        let mut at = name.clone();
        for _ in 0..ask::MAX_HOPS {
            let Ok(Reading { chain, .. }) = self.asker.question(&at, RecordType::CNAME).await else {
                return;
            };
            let Some(target) = chain.into_iter().next() else { return };
            let looped = target == *name || both.a.chain.contains(&target);
            both.a.chain.push(target.clone());
            if looped {
                both.failed = Some(Failure::Loop);
                return;
            }
            at = target;
        }
        both.failed = Some(Failure::TooLong);
    }
}

/// The servers of /etc/resolv.conf; its search domains and options are not
/// ours to use. Without any: the machine itself, as resolv.conf(5) has it.
fn system_servers() -> Vec<SocketAddr> {
    match hickory_resolver::system_conf::read_system_conf() {
        Ok((config, _)) => config.name_servers().iter().map(|s| SocketAddr::new(s.ip, 53)).collect(),
        Err(error) => {
            tracing::warn!(%error, "/etc/resolv.conf names no resolver; 127.0.0.1 is asked");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
