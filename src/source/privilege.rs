//! Giving up what reading does not need (contract-details Q26).
