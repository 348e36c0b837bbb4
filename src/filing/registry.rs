//! What every kind of registry has in common: one question, one reply.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::facts::{AccessState, Why};

use super::http::Line;

/// Facts of a filing, as a source gave them: cleaned and bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub subject_licence: Option<String>,
    pub site_licence: Option<String>,
    pub unit: Option<String>,
    pub nature: Option<String>,
    /// `YYYY-MM-DD`.
    pub approved_on: Option<String>,
}

/// What a reply says of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It is filed.
    Filed,
    /// It is filed and must not be connected.
    Restricted,
    /// The source has no filing of it. What that is worth is not the
    /// adapter's business.
    Negative,
    /// The provider's file has a row, which says nothing of the filing.
    Row,
    /// The provider's file has no row.
    Absent,
}

impl Word {
    /// Whether the search through the names of a question ends here
    /// (contract-details Q11).
    pub(super) fn ends(self) -> bool {
        matches!(self, Word::Filed | Word::Restricted | Word::Row)
    }
}

/// One usable reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub word: Word,
    /// Only a provider's file knows.
    pub access: Option<AccessState>,
    pub facts: Facts,
}

impl Reply {
    /// A reply without facts.
    pub(super) fn bare(word: Word) -> Reply {
        Reply { word, access: None, facts: Facts::default() }
    }
}

/// Why there is no usable reply, and what may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub why: Why,
    /// A second try is worth it after this time; `None`: it is not.
    pub retry: Option<Duration>,
    /// The source asks for silence of this length.
    pub silence: Option<Duration>,
    /// Only the operator can mend it: the source is not asked again in this
    /// pass, and this sentence goes into the report (contract-details Q10).
    pub operator: Option<&'static str>,
}

impl Fault {
    /// A fault that trying again does not mend.
    pub(super) fn new(why: Why) -> Fault {
        Fault { why, retry: None, silence: None, operator: None }
    }

    /// A fault that only the operator can mend.
    pub(super) fn operator(why: Why, message: &'static str) -> Fault {
        Fault { operator: Some(message), ..Fault::new(why) }
    }

    /// Too many questions; `wait` is what the source asked for, if it did.
    pub(super) fn throttled(wait: Option<Duration>) -> Fault {
        let wait = wait.unwrap_or(THROTTLE_PAUSE);
        match wait <= RETRY_AFTER_MOST {
            true => Fault { retry: Some(wait), silence: Some(wait), ..Fault::new(Why::Throttled) },
            false => Fault { silence: Some(wait), ..Fault::new(Why::Throttled) },
        }
    }

    /// A refused key or token. `again`: the source's own token may just have
    /// been renewed, so one second try is due (HTTP 401, code 401).
    pub(super) fn unauthorised(again: bool) -> Fault {
        Fault {
            retry: again.then_some(Duration::from_millis(200)),
            ..Fault::operator(Why::Unauthorised, "the registry does not accept our key or token")
        }
    }

    /// The connection failed before the answer was complete.
    pub(super) fn transport() -> Fault {
        Fault { retry: Some(Duration::from_millis(300)), ..Fault::new(Why::Unavailable) }
    }

    /// An empty account.
    pub(super) fn credit() -> Fault {
        Fault::operator(Why::Credit, "the account at the registry has no credit left")
    }

    /// Whether it speaks against the source rather than against one answer.
    pub(super) fn is_hard(&self) -> bool {
        !matches!(self.why, Why::Malformed | Why::TooLarge)
    }
}

/// Pause after "too many questions" without a time.
const THROTTLE_PAUSE: Duration = Duration::from_secs(1);
/// A longer Retry-After is not waited for (contract-details Q8).
pub(super) const RETRY_AFTER_MOST: Duration = Duration::from_secs(30);

/// A kind of registry.
pub(super) trait Registry: Send + Sync {
    /// Asks for one name once. `name` is the A-label form, by which answers
    /// are compared; `spelling` the form that is sent. Every failure is a
    /// [`Fault`]; a reply is never made up from one.
    fn ask<'a>(
        &'a self,
        name: &'a str,
        spelling: &'a str,
        line: &'a Line,
    ) -> BoxFuture<'a, Result<Reply, Fault>>;

    /// Whether it is asked over a network: then names are asked in U-labels
    /// first, canaries are needed, and answers are kept.
    fn remote(&self) -> bool {
        true
    }

    /// Whether what it was loaded from has changed since; [`Self::refresh`]
    /// loads it.
    fn changed(&self) -> bool {
        false
    }

    /// Before a pass: takes in what has changed outside (a file that was
    /// replaced). True when something has.
    fn refresh(&self) -> bool {
        false
    }

    /// What the operator should know of it, beside faults.
    fn note(&self) -> Option<String> {
        None
    }
}
