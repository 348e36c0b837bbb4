//! What a name comes to in the hub: the agent's facts, the hub's own filing,
//! exemptions. Pure.
//!
//! The verdict is always made here, from facts: an agent's own one is not
//! taken for it, so that facts and verdict cannot contradict each other.
//! The customer is root on the server, so where the hub itself knows a filing,
//! its word stands; where it does not, the agent's does. Where a name leads
//! only the agent can say.

use crate::facts::{AccessState, ExposureState, FilingState, Reason, Verdict};
use crate::verdict;

/// What the hub's own lookups say of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The filing.
    pub state: FilingState,
    /// The connection here.
    pub access: AccessState,
    /// Approval date, `YYYY-MM-DD`.
    pub approved_on: Option<String>,
    /// The filing unit.
    pub unit: Option<String>,
}

/// What the agent says of a name.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Its verdict.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: &'a str,
    /// Where the name leads.
    pub exposure: Option<&'a str>,
    /// Its filing and access.
    pub filing: Option<(&'a str, &'a str)>,
    /// Since when the name leads here, in milliseconds.
    pub exposed_since: Option<i64>,
    /// What it remembers.
    pub connected_before_filing: bool,
}

/// What it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: String,
    /// The filing that decided.
    pub filing: Option<FilingState>,
    /// The access that decided.
    pub access: Option<AccessState>,
    /// It was exposed before its filing was approved.
    pub connected_before_filing: bool,
}

/// Joins both. `exempt`: an exemption of the hub covers the name.
pub fn judge(told: Told<'_>, known: Option<&Known>, exempt: bool) -> Judged {
    let cbf = told.connected_before_filing
        || known.is_some_and(|k| before(k.state, k.approved_on.as_deref(), told.exposed_since));
    let (own_state, own_access) = match told.filing {
        Some((state, access)) => {
            (state.parse().unwrap_or(FilingState::Unknown), access.parse().unwrap_or(AccessState::Unknown))
        }
        None => (FilingState::Unknown, AccessState::Unknown),
    };
    // Names that need no filing, by what they are.
    if told.verdict == Verdict::NotApplicable {
        return Judged {
            verdict: told.verdict,
            reason: told.reason.to_owned(),
            filing: None,
            access: None,
            connected_before_filing: told.connected_before_filing,
        };
    }
    if exempt {
        return Judged {
            verdict: Verdict::NotApplicable,
            reason: Reason::Exempt.as_str().to_owned(),
            filing: told.filing.map(|_| own_state),
            access: told.filing.map(|_| own_access),
            connected_before_filing: told.connected_before_filing,
        };
    }
    let (state, access) = match known {
        None => (own_state, own_access),
        Some(k) => {
            let state = match (k.state, own_state) {
                (FilingState::Filed, FilingState::Restricted) => FilingState::Restricted,
                (FilingState::Unknown, own) => own,
                (hub, _) => hub,
            };
            (state, if k.access == AccessState::Unknown { own_access } else { k.access })
        }
    };
    // An exposure that this hub does not know is as good as none.
    let exposure = told.exposure.and_then(|e| e.parse().ok()).unwrap_or(ExposureState::Unknown);
    let (verdict, reason) = verdict::judge(state, access, exposure);
    Judged {
        verdict,
        reason: reason.as_str().to_owned(),
        filing: Some(state),
        access: Some(access),
        connected_before_filing: cbf,
    }
}

/// Whether the name led here before its filing was approved.
fn before(state: FilingState, approved_on: Option<&str>, exposed_since: Option<i64>) -> bool {
    let Some(since) = exposed_since else { return false };
    match state {
        FilingState::NotFiled => true,
        FilingState::Filed | FilingState::Restricted => {
            approved_on.is_some_and(|on| on > day(since).as_str())
        }
        FilingState::SuspectedNotFiled | FilingState::Unknown => false,
    }
}

/// The day in the mainland, `YYYY-MM-DD`.
pub fn day(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    jiff::tz::Offset::constant(8).to_datetime(at).date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: Told<'static> = Told {
        verdict: Verdict::Unconfirmed,
        reason: "filing_unknown",
        exposure: Some("here"),
        filing: Some(("unknown", "unknown")),
        exposed_since: Some(1_780_000_000_000),
        connected_before_filing: false,
    };

    fn known(state: FilingState, access: AccessState) -> Known {
        Known { state, access, approved_on: None, unit: None }
    }

    #[test]
    fn the_hub_wins_where_it_knows() {
        let verdict = |told, k: Option<&Known>| {
            let j = judge(told, k, false);
            (j.verdict, j.reason)
        };
        let word = |v, r: &str| (v, r.to_owned());
        assert_eq!(verdict(TOLD, None), word(Verdict::Unconfirmed, "filing_unknown"));
        let not_filed = known(FilingState::NotFiled, AccessState::Unknown);
        assert_eq!(verdict(TOLD, Some(&not_filed)), word(Verdict::Violation, "not_filed"));
        // A customer's own registry file says what it likes.
        let lied =
            Told { verdict: Verdict::Compliant, reason: "filed", filing: Some(("filed", "here")), ..TOLD };
        assert_eq!(verdict(lied, Some(&not_filed)), word(Verdict::Violation, "not_filed"));
        let elsewhere = known(FilingState::Unknown, AccessState::Elsewhere);
        assert_eq!(verdict(lied, Some(&elsewhere)), word(Verdict::Violation, "access_not_filed"));
        // A failure of the hub's is no verdict: the agent's own word stays.
        let unknown = known(FilingState::Unknown, AccessState::Unknown);
        assert_eq!(verdict(lied, Some(&unknown)), word(Verdict::Compliant, "filed"));
        let restricted = Told { filing: Some(("restricted", "here")), ..TOLD };
        let filed = known(FilingState::Filed, AccessState::Here);
        assert_eq!(verdict(restricted, Some(&filed)), word(Verdict::Violation, "restricted"));
        // Facts that contradict the verdict that is told beside them.
        let hidden = Told { verdict: Verdict::Compliant, filing: Some(("not_filed", "unknown")), ..TOLD };
        assert_eq!(verdict(hidden, None), word(Verdict::Violation, "not_filed"));
        assert_eq!(verdict(hidden, Some(&not_filed)), word(Verdict::Violation, "not_filed"));
        let fronted = Told { exposure: Some("a word of the future"), ..TOLD };
        assert_eq!(verdict(fronted, Some(&not_filed)), word(Verdict::Unconfirmed, "exposure_unknown"));
    }

    #[test]
    fn exemptions_and_names_that_need_none() {
        let not_filed = known(FilingState::NotFiled, AccessState::Elsewhere);
        assert_eq!(judge(TOLD, Some(&not_filed), true).reason, "exempt");
        let ip = Told { verdict: Verdict::NotApplicable, reason: "ip_literal", filing: None, ..TOLD };
        assert_eq!(judge(ip, Some(&not_filed), true).reason, "ip_literal");
    }

    #[test]
    fn connected_before_filing_by_days_of_the_mainland() {
        let mut filed = known(FilingState::Filed, AccessState::Here);
        filed.approved_on = Some("2026-05-29".to_owned());
        // 2026-05-28 20:26:40 UTC is the 29th in the mainland.
        assert!(!judge(TOLD, Some(&filed), false).connected_before_filing);
        filed.approved_on = Some("2026-05-30".to_owned());
        assert!(judge(TOLD, Some(&filed), false).connected_before_filing);
        let never = Told { exposed_since: None, ..TOLD };
        assert!(!judge(never, Some(&filed), false).connected_before_filing);
    }
}
