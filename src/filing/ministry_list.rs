//! C: a self-hosted service that answers in the JSON of the ministry's public
//! list (registries.md C, contract-details Q7).

use futures::future::BoxFuture;
use jiff::civil::DateTime;
use reqwest::Url;
use serde_json::Value;

use crate::facts::Why;

use super::http::{Line, Page, endpoint, json, scalar, unreadable};
use super::registry::{Facts, Fault, Registry, Reply, Word};
use super::spelling::same;
use super::text::{clean, date, is_failure, licence};

/// Pages that are read until the exact domain is found.
const PAGES_MOST: u32 = 5;

pub(super) struct MinistryList {
    url: Url,
}

impl MinistryList {
    pub(super) fn new(base: &Url) -> MinistryList {
        MinistryList { url: endpoint(base, "/query/web") }
    }

    async fn search(&self, name: &str, spelling: &str, line: &Line) -> Result<Reply, Fault> {
        let mut size = 10;
        for page in 1..=PAGES_MOST {
            let mut request = line.client.get(self.url.clone()).query(&[("search", spelling)]);
            if page > 1 {
                request = request.query(&[("pageNum", page), ("pageSize", size)]);
            }
            match read(&line.fetch(request).await?, name, page)? {
                Found::Reply(reply) => return Ok(reply),
                Found::NextPage(n) => size = n,
            }
        }
        Err(Fault::new(Why::Malformed))
    }
}

impl Registry for MinistryList {
    fn ask<'a>(
        &'a self,
        name: &'a str,
        spelling: &'a str,
        line: &'a Line,
    ) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(self.search(name, spelling, line))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Reply(Reply),
    /// Not on this page; the next one is asked with this page size.
    NextPage(u32),
}

/// Reads one page of the list.
fn read(page: &Page, name: &str, number: u32) -> Result<Found, Fault> {
    let malformed = || Fault::new(Why::Malformed);
    let answer = json(page)?;
    let code = answer.get("code").and_then(scalar);
    let message = ["msg", "message", "error"]
        .iter()
        .find_map(|k| answer.get(k).and_then(Value::as_str))
        .unwrap_or_default();
    // A limit can arrive under a success code, with or without an empty list.
    if is_throttle(message) {
        return Err(Fault::throttled(None));
    }
    let params = answer.get("params");
    let list = params.and_then(|p| p.get("list")).and_then(Value::as_array);
    let success = answer.get("success");
    if code.as_deref() != Some("200") || success.is_some_and(|s| *s != Value::Bool(true)) {
        return Err(refusal(code.as_deref(), message, page));
    }
    let (Some(params), Some(list)) = (params, list) else {
        return Err(refusal(None, message, page));
    };
    if page.status != 200 || is_failure(message) {
        return Err(unreadable(page));
    }
    let number_of = |key: &str| params.get(key).and_then(scalar).and_then(|s| s.parse::<u64>().ok());
    if list.is_empty() {
        // A count without rows contradicts itself; no count at all proves
        // nothing either.
        return match number_of("total") {
            Some(0) if number == 1 => Ok(Found::Reply(Reply::bare(Word::Negative))),
            _ => Err(malformed()),
        };
    }
    let mut newest: Option<(Option<DateTime>, bool, &Value)> = None;
    for row in list {
        match row.get("domain") {
            Some(Value::String(domain)) if same(domain, name) => {}
            Some(Value::String(_) | Value::Null) => continue,
            _ => return Err(malformed()),
        }
        let restricted = match row.get("limitAccess").and_then(Value::as_str).map(str::trim) {
            Some("是") => true,
            Some("否") => false,
            _ => return Err(malformed()),
        };
        let time = row.get("updateRecordTime").and_then(Value::as_str).and_then(moment);
        // Of two rows of one time the restricted one counts.
        if newest.as_ref().is_none_or(|(t, r, _)| (time, restricted) >= (*t, *r)) {
            newest = Some((time, restricted, row));
        }
    }
    if let Some((_, restricted, row)) = newest {
        return facts(row).map(|facts| {
            let word = if restricted { Word::Restricted } else { Word::Filed };
            Found::Reply(Reply { word, access: None, facts })
        });
    }
    let more = match params.get("hasNextPage").and_then(Value::as_bool) {
        Some(more) => more,
        None => match number_of("pages") {
            Some(pages) => pages > u64::from(number),
            None => number_of("total").is_none_or(|t| t > u64::from(number) * list.len() as u64),
        },
    };
    if more {
        let size =
            number_of("pageSize").and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=100).contains(n));
        return Ok(Found::NextPage(size.unwrap_or(10)));
    }
    Ok(Found::Reply(Reply::bare(Word::Negative)))
}

/// The facts of a row; a row without a licence is no filing.
fn facts(row: &Value) -> Result<Facts, Fault> {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
    let fields = ["mainLicence", "serviceLicence", "unitName", "natureName"];
    let (subject_licence, site_licence) = (licence(text("mainLicence")), licence(text("serviceLicence")));
    if fields.iter().any(|f| is_failure(text(f))) || (subject_licence.is_none() && site_licence.is_none()) {
        return Err(Fault::new(Why::Malformed));
    }
    Ok(Facts {
        subject_licence,
        site_licence,
        unit: clean(text("unitName")),
        nature: clean(text("natureName")),
        approved_on: date(text("updateRecordTime")).map(|d| d.to_string()),
    })
}

fn moment(text: &str) -> Option<DateTime> {
    let text = text.trim();
    text.parse().ok().or_else(|| date(text).map(|d| d.to_datetime(jiff::civil::Time::midnight())))
}

fn is_throttle(message: &str) -> bool {
    ["频次", "频率", "过快", "limited", "too many", "Too Many"].iter().any(|w| message.contains(w))
}

/// What an answer other than a list means.
fn refusal(code: Option<&str>, message: &str, page: &Page) -> Fault {
    let says = |words: &[&str]| words.iter().any(|w| message.contains(w));
    if code == Some("429") || says(&["频次", "频率", "过快", "过高", "limited", "too many", "Too Many"])
    {
        return Fault::throttled(None);
    }
    if code == Some("401") || says(&["token过期", "未授权"]) {
        return Fault::unauthorised(true);
    }
    if code == Some("403") || says(&["黑客", "拦截", "被封", "封禁"]) {
        return Fault::new(Why::Blocked);
    }
    match code {
        Some("122" | "201" | "500" | "502" | "503" | "504") => Fault::new(Why::Unavailable),
        _ => unreadable(page),
    }
}

#[cfg(test)]
mod tests;
