//! Known CDN and WAF suffixes of CNAME targets (contract-details Q17).

use std::collections::HashSet;

use crate::names;

/// One suffix a line, `#` begins a comment.
const BUILT_IN: &str = include_str!("../../config/cdn-suffixes.txt");

/// The built-in suffixes as written; `stem*.rest` stands for a family.
pub(super) fn built_in() -> impl Iterator<Item = &'static str> {
    BUILT_IN.lines().map(|l| l.split('#').next().unwrap_or_default().trim()).filter(|l| !l.is_empty())
}

/// A set of suffixes, in lower-case A-labels.
pub(super) struct Suffixes {
    whole: HashSet<String>,
    /// `stem*.rest`: providers that number their domains.
    stems: Vec<(String, String)>,
}

impl Suffixes {
    /// The built-in ones and those of the settings; what can be no name is
    /// left out.
    pub(super) fn with(more: &[String]) -> Suffixes {
        let mut set = Suffixes { whole: HashSet::new(), stems: Vec::new() };
        let built_in = built_in().map(|s: &str| s);
        for raw in built_in.chain(more.iter().map(String::as_str)) {
            match clean(raw) {
                Some(Entry::Whole(name)) => {
                    set.whole.insert(name);
                }
                Some(Entry::Stem(stem, rest)) => set.stems.push((stem, rest)),
                None => {}
            }
        }
        set
    }

    /// Whether the name is below a suffix, label by label: `notexample.com`
    /// is not below `example.com`.
    pub(super) fn hold(&self, name: &str) -> bool {
        let mut at = Some(name);
        while let Some(n) = at {
            let split = n.split_once('.');
            let stem = |(s, r): &(String, String)| {
                split.is_some_and(|(l, rest)| rest == r && l.starts_with(s.as_str()))
            };
            if self.whole.contains(n) || self.stems.iter().any(stem) {
                return true;
            }
            at = split.map(|(_, parent)| parent);
        }
        false
    }
}

enum Entry {
    Whole(String),
    Stem(String, String),
}

/// `a.cn`, `.a.cn`, `*.a.cn` are the same; `a*.cn` is a stem.
fn clean(raw: &str) -> Option<Entry> {
    let raw = raw.trim();
    let raw = raw.strip_prefix('*').unwrap_or(raw);
    let raw = raw.strip_prefix('.').unwrap_or(raw);
    match raw.split_once("*.") {
        Some((stem, rest)) if !stem.contains('.') => {
            Some(Entry::Stem(names::to_ascii(stem)?, names::to_ascii(rest)?))
        }
        _ => names::to_ascii(raw).map(Entry::Whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_line_is_a_name() {
        let lines: Vec<&str> = BUILT_IN
            .lines()
            .map(|l| l.split('#').next().unwrap_or_default().trim())
            .filter(|l| !l.is_empty())
            .collect();
        assert!(lines.len() > 100);
        for l in &lines {
            assert!(clean(l).is_some() && l.to_ascii_lowercase() == **l, "{l}");
        }
        let set = Suffixes::with(&[]);
        assert_eq!(set.whole.len() + set.stems.len(), lines.len(), "each stands once");
        assert!(set.stems.iter().all(|(stem, _)| stem.len() >= 5));
    }

    #[test]
    fn suffixes_match_label_by_label() {
        let s = Suffixes::with(&[
            ".CDN.Example.com".to_owned(),
            "*.公司.example".to_owned(),
            "not a name".to_owned(),
        ]);
        for yes in [
            "a.w.kunlunaq.com",
            "x.cdn.example.com",
            "cdn.example.com",
            "a.xn--55qx5d.example",
            "x.yundunwaf3.com",
            "x.aliyunddos1022.com",
            "a.c.cdnhwc1.com",
        ] {
            assert!(s.hold(yes), "{yes}");
        }
        for no in [
            "a.notkunlunaq.com",
            "xcdn.example.com",
            "example.com",
            "kunlunaq.com.example.net",
            "com",
            "",
            "yundunwaf3.com.example.org",
            "aliyunddos1.net",
        ] {
            assert!(!s.hold(no), "{no}");
        }
    }
}
