//! Giving up what reading does not need (contract-details Q26): run as root, a
//! pass over hostile files keeps the right to read them and nothing else.

use caps::{CapSet, Capability};
use landlock::{ABI, AccessFs, Ruleset, RulesetAttr, RulesetStatus};

/// What is in force after [`drop_all`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// All capabilities but CAP_DAC_READ_SEARCH are gone.
    pub capabilities: bool,
    /// The kernel denies opening anything for writing (Landlock).
    pub writing: bool,
}

/// Gives up every capability but CAP_DAC_READ_SEARCH and, where the kernel
/// has Landlock, opening anything for writing. It holds for the calling
/// thread and those it starts, so it is called before any is started; files
/// that are open stay open. Run as another user, it only gives up writing.
pub fn drop_all() -> Dropped {
    Dropped { capabilities: drop_capabilities().is_ok(), writing: deny_writing() }
}

fn drop_capabilities() -> Result<(), caps::errors::CapsError> {
    let keep = Capability::CAP_DAC_READ_SEARCH;
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: caps::CapsHashSet = permitted.into_iter().filter(|c| *c == keep).collect();
    // The bounding set first: shrinking it takes CAP_SETPCAP.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for cap in caps::read(None, CapSet::Bounding)? {
            if cap != keep {
                caps::drop(None, CapSet::Bounding, cap)?;
            }
        }
    }
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}

fn deny_writing() -> bool {
    let restrict =
        || Ruleset::default().handle_access(AccessFs::from_write(ABI::V5))?.create()?.restrict_self();
    match restrict() {
        Ok(status) => status.ruleset != RulesetStatus::NotEnforced,
        Err(e) => {
            tracing::debug!(error = %e, "Landlock is not available");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_given_up_is_gone_and_reading_stays() {
        // Both are per thread: a thread of its own keeps the others free.
        std::thread::spawn(|| {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("f");
            std::fs::write(&file, "x").unwrap();
            let dropped = drop_all();
            assert!(dropped.capabilities);
            let left = caps::read(None, CapSet::Effective).unwrap();
            assert!(left.iter().all(|c| *c == Capability::CAP_DAC_READ_SEARCH));
            assert!(caps::read(None, CapSet::Permitted).unwrap().len() <= 1);
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
            assert_eq!(std::fs::write(&file, "y").is_err(), dropped.writing);
            if dropped.writing {
                std::thread::spawn(move || dir.close().unwrap_err()).join().unwrap();
            }
        })
        .join()
        .unwrap();
    }
}
