//! The hub's own problem types (RFC 9457): only an answer that has one of them
//! is the hub's word; a proxy's 403 or 404 is not.

use serde::{Deserialize, Serialize};

/// What every type begins with.
pub const PREFIX: &str = "urn:beian:problem:";

/// The types that a hub gives on the agent's calls, without [`PREFIX`].
pub const TYPES: &[&str] = &[
    "bad_request",
    "bad_signature",
    "schema",
    "sequence_rollback",
    "too_large",
    "too_many_requests",
    "unavailable",
    "unknown_agent",
    "revoked",
    "token_unknown",
    "token_expired",
    "token_used",
    "token_address",
    "name_not_served",
];

/// A problem as it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// [`PREFIX`] and one of [`TYPES`].
    #[serde(rename = "type", default)]
    pub kind: String,
    /// One sentence.
    #[serde(default)]
    pub title: String,
    /// `sequence_rollback`: the highest sequence that the hub has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest: Option<u64>,
}

impl Problem {
    /// A body that is a hub's problem; its type without the prefix.
    pub fn read(content_type: Option<&str>, body: &[u8]) -> Option<(Problem, &'static str)> {
        let media = content_type?.split(';').next()?.trim();
        if !media.eq_ignore_ascii_case("application/problem+json") {
            return None;
        }
        let problem: Problem = serde_json::from_slice(body).ok()?;
        let word = problem.kind.strip_prefix(PREFIX)?;
        let known = TYPES.iter().find(|t| **t == word)?;
        Some((problem, known))
    }
}
