//! The mapping of a JSON service: data, in TOML, built in or of the
//! operator's own. `config/registries/*.toml` are the examples.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// Bytes of a mapping file.
const FILE_MOST: u64 = 64 << 10;

const BUILT_IN: &[(&str, &str)] = &[
    ("chinaz", include_str!("../../../config/registries/chinaz.toml")),
    ("tianapi", include_str!("../../../config/registries/tianapi.toml")),
    ("mir6", include_str!("../../../config/registries/mir6.toml")),
    ("apihz", include_str!("../../../config/registries/apihz.toml")),
    ("uapis", include_str!("../../../config/registries/uapis.toml")),
];

/// How a service is asked and how its answers are read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    /// Appended to the base URL.
    pub path: String,
    pub method: Method,
    /// Query parameters. `{domain}`, `{key}`, `{user}` are filled in; one
    /// whose credential is not configured is left out.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Form fields of a POST.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub at: At,
    pub codes: Codes,
    #[serde(default)]
    pub words: Words,
    #[serde(default)]
    pub states: States,
    /// HTTP statuses beside 200 with which a negative may arrive.
    #[serde(default)]
    pub negative_status: Vec<u16>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum Method {
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
}

/// Where things sit, as JSON Pointers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct At {
    pub code: String,
    /// The first that is there.
    #[serde(default)]
    pub message: Vec<String>,
    /// Where it is mapped, a positive without it is no answer.
    pub domain: Option<String>,
    /// A word that says filed or not under the success code.
    pub state: Option<String>,
    pub site_licence: Option<String>,
    pub subject_licence: Option<String>,
    pub unit: Option<String>,
    pub nature: Option<String>,
    pub approved_on: Option<String>,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Filed,
    Restricted,
    NotFiled,
    Throttled,
    Credit,
    Unauthorised,
    Configuration,
    Blocked,
    Unavailable,
    Malformed,
}

/// Codes, written as strings here, numbers or strings in answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Codes {
    filed: Vec<String>,
    /// Explicit and ambiguous ones alike: no negative of these services
    /// counts without canaries (contract-details Q7).
    not_filed: Vec<String>,
    throttled: Vec<String>,
    credit: Vec<String>,
    unauthorised: Vec<String>,
    configuration: Vec<String>,
    blocked: Vec<String>,
    unavailable: Vec<String>,
    malformed: Vec<String>,
}

impl Codes {
    /// The meaning of a code, if it has one.
    pub(super) fn of(&self, code: &str) -> Option<Outcome> {
        [
            (&self.filed, Outcome::Filed),
            (&self.not_filed, Outcome::NotFiled),
            (&self.throttled, Outcome::Throttled),
            (&self.credit, Outcome::Credit),
            (&self.unauthorised, Outcome::Unauthorised),
            (&self.configuration, Outcome::Configuration),
            (&self.blocked, Outcome::Blocked),
            (&self.unavailable, Outcome::Unavailable),
            (&self.malformed, Outcome::Malformed),
        ]
        .into_iter()
        .find_map(|(codes, outcome)| codes.iter().any(|c| c == code).then_some(outcome))
    }
}

/// Words inside the message.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Words {
    throttled: Vec<String>,
    credit: Vec<String>,
    unauthorised: Vec<String>,
    blocked: Vec<String>,
    unavailable: Vec<String>,
    not_filed: Vec<String>,
}

impl Words {
    /// A fault that the message speaks of.
    pub(super) fn fault_in(&self, message: &str) -> Option<Outcome> {
        [
            (&self.throttled, Outcome::Throttled),
            (&self.credit, Outcome::Credit),
            (&self.unauthorised, Outcome::Unauthorised),
            (&self.blocked, Outcome::Blocked),
            (&self.unavailable, Outcome::Unavailable),
        ]
        .into_iter()
        .find_map(|(words, outcome)| words.iter().any(|w| message.contains(w.as_str())).then_some(outcome))
    }

    /// A negative that the message speaks of.
    pub(super) fn negative_in(&self, message: &str) -> Option<Outcome> {
        self.not_filed.iter().any(|w| message.contains(w.as_str())).then_some(Outcome::NotFiled)
    }
}

/// Words at [`At::state`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct States {
    filed: Vec<String>,
    restricted: Vec<String>,
    not_filed: Vec<String>,
}

impl States {
    /// The meaning of a state word, if it has one.
    pub(super) fn of(&self, word: &str) -> Option<Outcome> {
        [
            (&self.filed, Outcome::Filed),
            (&self.restricted, Outcome::Restricted),
            (&self.not_filed, Outcome::NotFiled),
        ]
        .into_iter()
        .find_map(|(words, outcome)| words.iter().any(|w| w == word).then_some(outcome))
    }
}

impl Mapping {
    /// A built-in one by name, or a file by absolute path.
    pub(super) fn load(preset: &str) -> anyhow::Result<Mapping> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == preset) {
            return Mapping::parse(text);
        }
        if !std::fs::metadata(preset)?.is_file() {
            bail!("not a regular file");
        }
        let mut text = String::new();
        std::fs::File::open(preset)?.take(FILE_MOST + 1).read_to_string(&mut text)?;
        if text.len() as u64 > FILE_MOST {
            bail!("larger than {FILE_MOST} bytes");
        }
        Mapping::parse(&text)
    }

    fn parse(text: &str) -> anyhow::Result<Mapping> {
        // The message alone: the whole error quotes the line.
        let mapping: Mapping =
            toml::from_str(text).map_err(|e| anyhow::anyhow!("{}", e.message().replace('\n', " ")))?;
        mapping.check().context("the mapping cannot work")?;
        Ok(mapping)
    }

    fn check(&self) -> anyhow::Result<()> {
        let at = &self.at;
        if !self.path.starts_with('/') {
            bail!("path must begin with /");
        }
        let optional = [
            &at.domain,
            &at.state,
            &at.site_licence,
            &at.subject_licence,
            &at.unit,
            &at.nature,
            &at.approved_on,
        ];
        let pointers = optional.into_iter().flatten().chain([&at.code]).chain(&at.message);
        for pointer in pointers {
            if !pointer.starts_with('/') {
                bail!("{pointer:?} is no JSON Pointer: it must begin with /");
            }
        }
        if at.site_licence.is_none() && at.subject_licence.is_none() {
            bail!(
                "at.site_licence or at.subject_licence is needed: a filing without a licence number is none"
            );
        }
        if self.codes.filed.is_empty() {
            bail!("codes.filed is empty");
        }
        if at.state.is_some() && self.states.filed.is_empty() {
            bail!("at.state needs states.filed");
        }
        let asks = || self.query.values().chain(self.form.values()).chain(self.headers.values());
        for value in asks() {
            let rest = ["{domain}", "{key}", "{user}"].iter().fold(value.clone(), |v, p| v.replace(p, ""));
            if rest.contains(['{', '}']) {
                bail!("a parameter holds braces other than {{domain}}, {{key}} and {{user}}");
            }
        }
        if !asks().any(|v| v.contains("{domain}")) {
            bail!("no parameter holds {{domain}}");
        }
        let words = [
            &self.words.throttled,
            &self.words.credit,
            &self.words.unauthorised,
            &self.words.blocked,
            &self.words.unavailable,
            &self.words.not_filed,
        ];
        if words.into_iter().flatten().any(String::is_empty) {
            bail!("an empty word would fit every message");
        }
        for name in self.headers.keys() {
            reqwest::header::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| anyhow::anyhow!("{name:?} is no header name"))?;
            if ["cookie", "referer", "host", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
                bail!("header {name:?} cannot be set");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_preset_is_valid() {
        for preset in ["chinaz", "tianapi", "mir6", "apihz", "uapis"] {
            Mapping::load(preset).unwrap();
        }
    }

    #[test]
    fn a_mapping_that_cannot_work_is_refused() {
        let good = BUILT_IN[0].1;
        for (from, to) in [
            ("path = \"/", "path = \""),
            ("code = \"/StateCode\"", "code = \"StateCode\""),
            ("domain = \"{domain}\"", "domain = \"x\""),
            ("domain = \"{domain}\"", "domain = \"{domain}\"\nx = \"{token}\""),
            ("filed = [\"1\"]", "filed = []"),
            ("method = \"GET\"", "method = \"PUT\""),
            ("method = \"GET\"", "method = \"GET\"\nunknown = 1"),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(Mapping::parse(&good.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn a_file_of_the_operators_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.toml");
        std::fs::write(&path, BUILT_IN[4].1).unwrap();
        assert_eq!(Mapping::load(path.to_str().unwrap()).unwrap().path, "/api/v1/network/icp");
        std::fs::write(&path, "#".repeat(100 << 10)).unwrap();
        assert!(Mapping::load(path.to_str().unwrap()).is_err());
        assert!(Mapping::load("/nonexistent/x.toml").is_err());
    }
}
