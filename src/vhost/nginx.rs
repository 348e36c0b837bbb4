//! nginx.

use crate::facts::Scan;
use crate::source::Source;
use crate::vhost::Entry;

/// Reads it.
pub fn read(_src: &Source, _entry: &Entry) -> Scan {
    Scan::default()
}
