//! What a configured name means (rules.md "The apex", contract-details Q11 to Q13).

use crate::facts::{Reason, Server};

/// A name that is judged: one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The row's name: lower-case A-labels without final dot, a wildcard as
    /// `*.a.cn`, a regex exactly as written.
    pub name: String,
    /// The same in U-labels.
    pub unicode: String,
    /// Registrable domain in A-labels (ICANN section only).
    pub apex: String,
    /// The DNS names to ask (A-labels, no final dot); here if any of them is.
    pub ask: Vec<String>,
    /// The names to ask registries for, in A-labels: the apex alone, or under
    /// .gov.cn the full host first, then each parent down to the apex.
    pub filing_names: Vec<String>,
}

/// What one configured name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameClass {
    /// A row with a verdict.
    Judged(Target),
    /// A row without one.
    NotApplicable {
        /// Lower-case, A-labels where that is possible.
        name: String,
        /// The same in U-labels.
        unicode: String,
        /// Registrable domain, where there is one.
        apex: Option<String>,
        /// Why no filing is needed.
        reason: Reason,
    },
    /// `_`, `""`, `*`, `--` and the like: no domain at all.
    CatchAll,
    /// A pattern without a fixed registrable domain.
    Unbounded,
    /// Text that can be no name on this server.
    NotAName,
}

/// Classifies one name as a vhost reader gave it. `.a.cn` gives two rows.
pub fn classify(_raw: &str, _server: Server) -> Vec<NameClass> {
    Vec::new()
}
