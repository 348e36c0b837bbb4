//! Many voices, one filing: pure (contract-details Q4, Q9).

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use crate::facts::{AccessState, Filing, FilingState, SourceAnswer, SourceState, Why};

use super::cache::{FILED, OPEN, UNKNOWN};
use super::registry::Facts;

/// What one source says of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// Filed.
    Filed,
    /// Filed and restricted.
    Restricted,
    /// Not filed, and it stands alone.
    NotFiled,
    /// Not filed between good canaries; it does not stand alone.
    Suspected,
    /// No connection at this provider; nothing of the filing.
    NotConnected,
    /// Nothing of the filing, and why.
    Silent(Option<Why>),
}

/// One source's voice.
#[derive(Debug, Clone)]
pub(super) struct Voice {
    pub say: Say,
    /// Whether a positive of it is beyond doubt.
    pub authority: bool,
    /// Only from a provider's file; `Unknown` when that file is unusable.
    pub access: Option<AccessState>,
    pub facts: Facts,
    /// The name that is filed, where more than one was asked.
    pub filed_for: Option<String>,
    pub at: Timestamp,
}

/// Who speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speaker<'a> {
    pub name: &'a str,
    /// Equal upstreams are one source.
    pub upstream: &'a str,
}

/// What all sources together come to.
pub(super) fn combine(voices: &[(Speaker<'_>, &Voice)]) -> Filing {
    let (state, why) = state(voices);
    let access = access(voices);
    let mut filing = Filing::unknown(Why::NoRegistry);
    filing.state = state;
    filing.access = access;
    filing.why = why;
    filing.sources = voices.iter().map(|(s, v)| answer(s, v)).collect();
    if matches!(state, FilingState::Filed | FilingState::Restricted) {
        let (facts, filed_for) = evidence(voices, state);
        filing.subject_licence = facts.subject_licence;
        filing.site_licence = facts.site_licence;
        filing.unit = facts.unit;
        filing.nature = facts.nature;
        filing.approved_on = facts.approved_on;
        filing.filed_for = filed_for;
    }
    let oldest = voices.iter().filter(|(_, v)| !matches!(v.say, Say::Silent(_))).map(|(_, v)| v.at).min();
    let holds = match (state, access) {
        (FilingState::Filed, AccessState::Here | AccessState::Unknown) => FILED,
        (FilingState::Unknown, _) => UNKNOWN,
        _ => OPEN,
    };
    filing.expires_at =
        oldest.unwrap_or_else(Timestamp::now).checked_add(SignedDuration::from_secs(holds)).ok();
    filing
}

fn state(voices: &[(Speaker<'_>, &Voice)]) -> (FilingState, Option<Why>) {
    let positive = |v: &Voice| matches!(v.say, Say::Filed | Say::Restricted);
    let sure_yes = voices.iter().any(|(_, v)| v.authority && positive(v));
    let sure_no = voices.iter().any(|(_, v)| v.say == Say::NotFiled);
    if sure_yes && sure_no {
        return (FilingState::Unknown, Some(Why::SourcesDisagree));
    }
    if sure_no {
        return (FilingState::NotFiled, None);
    }
    if voices.iter().any(|(_, v)| positive(v)) {
        let restricted = voices.iter().any(|(_, v)| v.say == Say::Restricted);
        return (if restricted { FilingState::Restricted } else { FilingState::Filed }, None);
    }
    let upstreams: HashSet<&str> =
        voices.iter().filter(|(_, v)| v.say == Say::Suspected).map(|(s, _)| s.upstream).collect();
    match upstreams.len() {
        0 => {
            let why = voices.iter().find_map(|(_, v)| match v.say {
                Say::Silent(why) => why,
                _ => None,
            });
            (FilingState::Unknown, Some(why.unwrap_or(Why::NoRegistry)))
        }
        1 => (FilingState::SuspectedNotFiled, None),
        _ => (FilingState::NotFiled, None),
    }
}

/// The connection: a row that says it beats files that lack it; a file that
/// could not be read may hold such a row, so then absence is not certain.
fn access(voices: &[(Speaker<'_>, &Voice)]) -> AccessState {
    let said: Vec<(AccessState, bool)> = voices
        .iter()
        .filter_map(|(_, v)| v.access.map(|a| (a, matches!(v.say, Say::Silent(Some(_))))))
        .collect();
    let any = |state| said.iter().any(|(a, _)| *a == state);
    if any(AccessState::Here) {
        AccessState::Here
    } else if any(AccessState::Pending) {
        AccessState::Pending
    } else if any(AccessState::Elsewhere) && !said.iter().any(|(_, failed)| *failed) {
        AccessState::Elsewhere
    } else {
        AccessState::Unknown
    }
}

fn answer(speaker: &Speaker<'_>, voice: &Voice) -> SourceAnswer {
    let (state, error) = match voice.say {
        Say::Filed => (SourceState::Filed, None),
        Say::Restricted => (SourceState::Restricted, None),
        Say::NotFiled => (SourceState::NotFiled, None),
        Say::Suspected => (SourceState::SuspectedNotFiled, None),
        Say::NotConnected => (SourceState::NotConnected, None),
        Say::Silent(why) => (SourceState::Unknown, why),
    };
    SourceAnswer { registry: speaker.name.to_owned(), state, checked_at: voice.at, error }
}

/// The facts of the first voice that decides; what it lacks is taken from
/// others that hold the same licence.
fn evidence(voices: &[(Speaker<'_>, &Voice)], state: FilingState) -> (Facts, Option<String>) {
    let want = if state == FilingState::Restricted { Say::Restricted } else { Say::Filed };
    let mut deciding: Vec<&Voice> =
        voices.iter().map(|(_, v)| *v).filter(|v| matches!(v.say, Say::Filed | Say::Restricted)).collect();
    // Stable: the order of the configuration within one rank.
    deciding.sort_by_key(|v| (v.say != want, !v.authority));
    let Some((first, others)) = deciding.split_first() else { return (Facts::default(), None) };
    let mut facts = first.facts.clone();
    for other in others {
        fill_facts(&mut facts, &other.facts);
    }
    (facts, first.filed_for.clone())
}

/// What a filing lacks, from another one of the same domain.
pub(super) fn fill(filing: &mut Filing, other: &Filing) {
    if !matches!(other.state, FilingState::Filed | FilingState::Restricted) {
        return;
    }
    let facts_of = |f: &Filing| Facts {
        subject_licence: f.subject_licence.clone(),
        site_licence: f.site_licence.clone(),
        unit: f.unit.clone(),
        nature: f.nature.clone(),
        approved_on: f.approved_on.clone(),
    };
    let mut facts = facts_of(filing);
    fill_facts(&mut facts, &facts_of(other));
    filing.subject_licence = facts.subject_licence;
    filing.site_licence = facts.site_licence;
    filing.unit = facts.unit;
    filing.nature = facts.nature;
    filing.approved_on = facts.approved_on;
}

/// Not from another licence.
fn fill_facts(facts: &mut Facts, o: &Facts) {
    let (ours, theirs) = (number(facts), number(o));
    if ours.is_some() && theirs.is_some() && ours != theirs {
        return;
    }
    for (into, from) in [
        (&mut facts.subject_licence, &o.subject_licence),
        (&mut facts.site_licence, &o.site_licence),
        (&mut facts.unit, &o.unit),
        (&mut facts.nature, &o.nature),
        (&mut facts.approved_on, &o.approved_on),
    ] {
        if into.is_none() {
            into.clone_from(from);
        }
    }
}

/// The digits of the subject's number, which subject and site licence share.
fn number(facts: &Facts) -> Option<String> {
    let text = facts.subject_licence.as_ref().or(facts.site_licence.as_ref())?;
    text.split(|c: char| !c.is_ascii_digit()).find(|d| d.len() >= 5).map(str::to_owned)
}

#[cfg(test)]
mod tests;
