//! D: commercial JSON services: one adapter, a mapping a service.

mod mapping;

use anyhow::Context as _;
use futures::future::BoxFuture;
use reqwest::Url;
use serde_json::Value;

use crate::config::Secret;
use crate::facts::Why;

use super::http::{Line, Page, endpoint, json, scalar, unreadable};
use super::registry::{Facts, Fault, Registry, Reply, Word};
use super::spelling::same;
use super::text::{clean, date, is_failure, licence};
use mapping::{Mapping, Method, Outcome};

pub(super) struct JsonApi {
    url: Url,
    mapping: Mapping,
    key: Option<Secret>,
    user: Option<String>,
}

impl JsonApi {
    /// Fails where the mapping cannot be used.
    pub(super) fn new(
        base: &Url,
        preset: &str,
        key: Option<Secret>,
        user: Option<String>,
    ) -> anyhow::Result<JsonApi> {
        let mapping = Mapping::load(preset).with_context(|| format!("preset {preset}"))?;
        Ok(JsonApi { url: endpoint(base, &mapping.path), mapping, key, user })
    }

    /// Fills a template in; `None` where it needs a credential that is not
    /// configured: the parameter is then left out.
    fn fill(&self, template: &str, domain: &str) -> Option<String> {
        let mut out = template.replace("{domain}", domain);
        if out.contains("{key}") {
            out = out.replace("{key}", self.key.as_ref()?.expose());
        }
        if out.contains("{user}") {
            out = out.replace("{user}", self.user.as_ref()?);
        }
        Some(out)
    }

    async fn query(&self, name: &str, spelling: &str, line: &Line) -> Result<Reply, Fault> {
        let m = &self.mapping;
        let filled = |pairs: &std::collections::BTreeMap<String, String>| -> Vec<(String, String)> {
            pairs.iter().filter_map(|(k, v)| Some((k.clone(), self.fill(v, spelling)?))).collect()
        };
        let mut request = match m.method {
            Method::Get => line.client.get(self.url.clone()),
            Method::Post => line.client.post(self.url.clone()).form(&filled(&m.form)),
        };
        request = request.query(&filled(&m.query));
        for (k, v) in filled(&m.headers) {
            request = request.header(k, v);
        }
        read(m, &line.fetch(request).await?, name)
    }
}

impl Registry for JsonApi {
    fn ask<'a>(
        &'a self,
        name: &'a str,
        spelling: &'a str,
        line: &'a Line,
    ) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(self.query(name, spelling, line))
    }
}

/// Reads one answer by its mapping.
fn read(m: &Mapping, page: &Page, name: &str) -> Result<Reply, Fault> {
    let malformed = || Fault::new(Why::Malformed);
    let answer = json(page)?;
    let text = |pointer: &Option<String>| {
        pointer.as_deref().and_then(|p| answer.pointer(p)).and_then(scalar).filter(|s| !s.is_empty())
    };
    let code = answer.pointer(&m.at.code).and_then(scalar).ok_or_else(malformed)?;
    let message =
        m.at.message.iter().find_map(|p| answer.pointer(p).and_then(Value::as_str)).unwrap_or_default();
    let (site, subject) = (text(&m.at.site_licence), text(&m.at.subject_licence));
    let licences = (site.as_deref().and_then(licence), subject.as_deref().and_then(licence));
    let licensed = licences.0.is_some() || licences.1.is_some();

    let by_code = m.codes.of(&code);
    let outcome = if licensed {
        by_code.unwrap_or(Outcome::Malformed)
    } else {
        // A limit can arrive under a success code, a fault under the code of
        // a negative: without a licence the message is heard first.
        m.words
            .fault_in(message)
            .or(by_code)
            .or_else(|| m.words.negative_in(message))
            .ok_or_else(|| unreadable(page))?
    };
    let domain = text(&m.at.domain);
    let another = domain.as_deref().is_some_and(|d| !same(d, name));
    let outcome = match outcome {
        Outcome::Filed => match (&m.at.state, text(&m.at.state)) {
            (None, _) => Outcome::Filed,
            (Some(_), Some(word)) => m.states.of(&word).ok_or_else(malformed)?,
            (Some(_), None) => return Err(malformed()),
        },
        other => other,
    };
    match outcome {
        Outcome::Filed | Outcome::Restricted => {
            let unit = text(&m.at.unit);
            let failed = [&site, &subject, &unit].into_iter().flatten().any(|t| is_failure(t));
            let unnamed = m.at.domain.is_some() && domain.is_none();
            if page.status != 200 || another || unnamed || failed || !licensed {
                return Err(malformed());
            }
            Ok(Reply {
                word: if outcome == Outcome::Filed { Word::Filed } else { Word::Restricted },
                access: None,
                facts: Facts {
                    subject_licence: licences.1,
                    site_licence: licences.0,
                    unit: unit.as_deref().and_then(clean),
                    nature: text(&m.at.nature).as_deref().and_then(clean),
                    approved_on: text(&m.at.approved_on).as_deref().and_then(date).map(|d| d.to_string()),
                },
            })
        }
        Outcome::NotFiled => {
            let status_fits = page.status == 200 || m.negative_status.contains(&page.status);
            if another || licensed || !status_fits {
                return Err(malformed());
            }
            Ok(Reply::bare(Word::Negative))
        }
        Outcome::Throttled => Err(Fault::throttled(None)),
        Outcome::Credit => Err(Fault::credit()),
        Outcome::Unauthorised => Err(Fault::unauthorised(false)),
        Outcome::Configuration => Err(Fault::operator(
            Why::Configuration,
            "the account at the registry has not been given this service",
        )),
        Outcome::Blocked => Err(Fault::new(Why::Blocked)),
        Outcome::Unavailable => Err(Fault::new(Why::Unavailable)),
        Outcome::Malformed => Err(malformed()),
    }
}

#[cfg(test)]
mod tests;
