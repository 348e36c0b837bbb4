//! From a row to the question that a registry is asked.

use crate::facts::{Server, Verdict};
use crate::names::{self, NameClass};

/// The names to ask for, in their order, joined by a space (apex; under
/// .gov.cn the host and its parents): how a filing is kept. `None`: the name
/// needs no filing, or is none that can be asked for.
pub fn question_of(name: &str, verdict: Verdict) -> Option<String> {
    if verdict == Verdict::NotApplicable {
        return None;
    }
    // What the agent says of the apex is not taken for it.
    names::classify(name, Server::Nginx).into_iter().find_map(|class| match class {
        NameClass::Judged(t) if t.name == name => Some(key(&t.filing_names)),
        _ => None,
    })
}

/// The key of a question.
pub fn key(names: &[String]) -> String {
    names.join(" ")
}

/// The names of a key.
pub fn names_of(key: &str) -> Vec<String> {
    key.split(' ').map(str::to_owned).collect()
}
