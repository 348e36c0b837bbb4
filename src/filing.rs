//! Whether a domain is filed and connected here: the registries.

use crate::config::Registry;
use crate::facts::{Filing, Problem, Why};

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

/// All registries of one pass.
pub struct Registries {}

impl Registries {
    /// Loads provider files and presets. Fails only where no question could
    /// be asked at all (an unreadable mapping file); an unusable provider file
    /// is a failed source (contract-details Q4).
    pub fn new(_registries: &[Registry]) -> anyhow::Result<Registries> {
        Ok(Registries {})
    }

    /// Asks every registry for every question; `done` is called after each
    /// question that has all its answers.
    pub async fn lookup(&self, asks: &[Ask], _done: &(dyn Fn() + Sync)) -> Answers {
        Answers { filings: asks.iter().map(|_| Filing::unknown(Why::NoRegistry)).collect(), problems: vec![] }
    }
}
