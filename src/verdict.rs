//! Facts to verdict: one pure function, the table of the rules, no I/O.
//!
//! A row never turns compliant or violation because something failed: an
//! unknown filing is `unconfirmed` whatever the exposure, an unknown exposure
//! is `unconfirmed` for every cause.

use crate::facts::{AccessState, ExposureState, Filing, FilingState, Reason, Verdict};

/// The row of the table that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cell {
    /// Restricted, whatever the access.
    Restricted,
    /// Not filed, whatever the access.
    NotFiled,
    /// Any other filing, access elsewhere.
    AccessElsewhere,
    /// Filed, access here or unknown.
    Filed,
    /// Filed, access pending.
    FiledPending,
    /// One source says not filed.
    SuspectedNotFiled,
    /// Nobody knows.
    Unknown,
}

impl Cell {
    /// The first row of the table that fits the filing's side.
    pub const fn of(filing: FilingState, access: AccessState) -> Cell {
        match (filing, access) {
            (FilingState::Restricted, _) => Cell::Restricted,
            (FilingState::NotFiled, _) => Cell::NotFiled,
            (_, AccessState::Elsewhere) => Cell::AccessElsewhere,
            (FilingState::Filed, AccessState::Pending) => Cell::FiledPending,
            (FilingState::Filed, _) => Cell::Filed,
            (FilingState::SuspectedNotFiled, _) => Cell::SuspectedNotFiled,
            (FilingState::Unknown, _) => Cell::Unknown,
        }
    }
}

/// The table of rules.md: what the three facts come to. Restricted names are
/// violations even behind a CDN, since they must not be served at all; the
/// other causes are certain only when the name leads here.
///
/// ```
/// use beian::facts::{AccessState, ExposureState, FilingState, Reason, Verdict};
/// use beian::verdict::judge;
/// // A failure is never a verdict.
/// let failed = judge(FilingState::Unknown, AccessState::Unknown, ExposureState::Here);
/// assert_eq!(failed, (Verdict::Unconfirmed, Reason::FilingUnknown));
/// ```
pub const fn judge(filing: FilingState, access: AccessState, exposure: ExposureState) -> (Verdict, Reason) {
    use ExposureState::{Elsewhere, Fronted, Here, Unresolved};
    let cell = Cell::of(filing, access);
    let cause = match cell {
        Cell::Filed => return (Verdict::Compliant, Reason::Filed),
        Cell::FiledPending => return (Verdict::Compliant, Reason::AccessPending),
        Cell::Unknown => return (Verdict::Unconfirmed, Reason::FilingUnknown),
        Cell::Restricted => Reason::Restricted,
        Cell::NotFiled => Reason::NotFiled,
        Cell::AccessElsewhere => Reason::AccessNotFiled,
        Cell::SuspectedNotFiled => Reason::SuspectedNotFiled,
    };
    let verdict = match (cell, exposure) {
        (_, ExposureState::Unknown) => return (Verdict::Unconfirmed, Reason::ExposureUnknown),
        (_, Elsewhere | Unresolved) => Verdict::Dormant,
        (Cell::SuspectedNotFiled, Here | Fronted) => Verdict::Suspected,
        (Cell::Restricted, Fronted) | (_, Here) => Verdict::Violation,
        (_, Fronted) => Verdict::Suspected,
    };
    (verdict, cause)
}

/// Whether a name was exposed before its filing was approved, as far as one
/// pass can know: it leads here, and it is certainly not filed, or its filing
/// was approved after `exposed_on` (both `YYYY-MM-DD`, compared as days in
/// the mainland).
pub fn connected_before_filing(filing: &Filing, exposed_on: Option<&str>) -> bool {
    let Some(exposed_on) = exposed_on else { return false };
    match filing.state {
        FilingState::NotFiled => true,
        FilingState::Filed | FilingState::Restricted => filing
            .approved_on
            .as_deref()
            .is_some_and(|approved| approved.len() == 10 && approved > exposed_on),
        FilingState::SuspectedNotFiled | FilingState::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{AccessState as A, ExposureState as E, FilingState as F, Why};

    /// The table of the rules as it is printed there: a line a row, the
    /// columns here, fronted, unknown, elsewhere, unresolved.
    const TABLE: &[(F, &[A], [&str; 5])] = &[
        (
            F::Restricted,
            A::ALL,
            [
                "violation restricted",
                "violation restricted",
                "unconfirmed exposure_unknown",
                "dormant restricted",
                "dormant restricted",
            ],
        ),
        (
            F::NotFiled,
            A::ALL,
            [
                "violation not_filed",
                "suspected not_filed",
                "unconfirmed exposure_unknown",
                "dormant not_filed",
                "dormant not_filed",
            ],
        ),
        (
            F::Filed,
            &[A::Elsewhere],
            [
                "violation access_not_filed",
                "suspected access_not_filed",
                "unconfirmed exposure_unknown",
                "dormant access_not_filed",
                "dormant access_not_filed",
            ],
        ),
        (
            F::SuspectedNotFiled,
            &[A::Elsewhere],
            [
                "violation access_not_filed",
                "suspected access_not_filed",
                "unconfirmed exposure_unknown",
                "dormant access_not_filed",
                "dormant access_not_filed",
            ],
        ),
        (
            F::Unknown,
            &[A::Elsewhere],
            [
                "violation access_not_filed",
                "suspected access_not_filed",
                "unconfirmed exposure_unknown",
                "dormant access_not_filed",
                "dormant access_not_filed",
            ],
        ),
        (F::Filed, &[A::Here, A::Unknown], ["compliant filed"; 5]),
        (F::Filed, &[A::Pending], ["compliant access_pending"; 5]),
        (
            F::SuspectedNotFiled,
            &[A::Here, A::Pending, A::Unknown],
            [
                "suspected suspected_not_filed",
                "suspected suspected_not_filed",
                "unconfirmed exposure_unknown",
                "dormant suspected_not_filed",
                "dormant suspected_not_filed",
            ],
        ),
        (F::Unknown, &[A::Here, A::Pending, A::Unknown], ["unconfirmed filing_unknown"; 5]),
    ];

    #[test]
    fn every_cell_of_the_table() {
        let columns = [E::Here, E::Fronted, E::Unknown, E::Elsewhere, E::Unresolved];
        let mut cells = 0;
        for (filing, accesses, wants) in TABLE {
            for access in *accesses {
                for (exposure, want) in columns.iter().zip(wants) {
                    let (v, r) = judge(*filing, *access, *exposure);
                    assert_eq!(format!("{v} {r}"), *want, "{filing} {access} {exposure}");
                    cells += 1;
                }
            }
        }
        assert_eq!(cells, F::ALL.len() * A::ALL.len() * E::ALL.len());
    }

    #[test]
    fn a_failure_is_never_a_verdict() {
        for access in A::ALL {
            for exposure in E::ALL {
                let (v, _) = judge(F::Unknown, *access, *exposure);
                if *access != A::Elsewhere {
                    assert_eq!(v, Verdict::Unconfirmed);
                }
                assert_ne!(v, Verdict::Compliant);
            }
            for filing in F::ALL {
                let (v, _) = judge(*filing, *access, E::Unknown);
                assert!(!matches!(v, Verdict::Violation | Verdict::Suspected | Verdict::Dormant));
            }
        }
    }

    #[test]
    fn order_of_filing_and_connecting() {
        let mut f = Filing::unknown(Why::Timeout);
        assert!(!connected_before_filing(&f, Some("2026-01-01")));
        f.state = F::NotFiled;
        assert!(connected_before_filing(&f, Some("2026-01-01")));
        assert!(!connected_before_filing(&f, None));
        f.state = F::Filed;
        f.approved_on = Some("2026-01-02".into());
        assert!(connected_before_filing(&f, Some("2026-01-01")));
        assert!(!connected_before_filing(&f, Some("2026-01-02")));
        f.approved_on = None;
        assert!(!connected_before_filing(&f, Some("2026-01-01")));
    }
}
