//! Giving memory back. A scan of 10,000 sites takes some 60 MiB for a moment,
//! and the C library keeps what lies between blocks that are still in use; the
//! program's own text stays mapped from whatever ran once.

use rustix::mm::{Advice, madvise};

/// Gives every free page back to the system: a few milliseconds, after work.
pub(super) fn give_back() {
    free_pages();
    text_pages();
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "a function of the C library that no crate wraps")]
fn free_pages() {
    // SAFETY: malloc_trim(3) takes no pointer and may be called at any time,
    // from any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries give back by themselves, or cannot.
#[cfg(not(target_env = "gnu"))]
fn free_pages() {}

/// Unmaps what is resident of the program's text. Whatever runs next is mapped
/// again from the page cache, without reading the disk.
#[allow(unsafe_code, reason = "madvise takes a pointer")]
fn text_pages() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for (start, end) in maps.lines().filter_map(text_mapping) {
        // SAFETY: the range is a mapping of this process that was never
        // writable, so its pages are those of the file and come back as they
        // were. Nothing unmaps the program's text while it runs.
        let _ = unsafe { madvise(start as *mut _, end - start, Advice::LinuxDontNeed) };
    }
}

/// The bounds of a private, executable, never writable mapping of a file.
fn text_mapping(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    (fields.next()? == "r-xp" && fields.nth(3)?.starts_with('/')).then_some(())?;
    let bounds = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    (bounds.0 < bounds.1).then_some(bounds)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn only_text_of_files_is_given_back() {
        let of = text_mapping;
        assert_eq!(of("5555-6666 r-xp 0001 08:01 17  /usr/bin/beian-agent"), Some((0x5555, 0x6666)));
        for other in [
            "5555-6666 rw-p 0001 08:01 17  /usr/bin/beian-agent",
            "5555-6666 r--p 0001 08:01 17  /usr/bin/beian-agent",
            "7000-8000 r-xp 0000 00:00 0   [vdso]",
            "7000-8000 r-xp 0000 00:00 0",
            "8000-7000 r-xp 0000 08:01 17  /usr/bin/beian-agent",
            "",
            "- r-xp",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        let before = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(before.lines().filter_map(of).count() >= 1);
        give_back();
        // What runs now was given back a moment ago.
        assert_eq!(of("1-2 r-xp 0 0 0 /x"), Some((1, 2)));
    }
}
