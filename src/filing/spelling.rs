//! The two spellings of a name, and the comparison of names.

/// Lower-case A-labels without final dot; `None` for what is no name.
pub(super) fn ascii(name: &str) -> Option<String> {
    let name = name.trim().replace(['。', '．', '｡'], ".");
    let name = name.trim_end_matches('.');
    if name.is_empty() || name.len() > 1024 {
        return None;
    }
    let out = idna::domain_to_ascii(name).ok()?;
    let fits = out.len() <= 253
        && out.split('.').all(|l| !l.is_empty() && l.len() <= 63)
        && out.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    fits.then_some(out)
}

/// The forms in which a registry is asked: U-label first, then A-label
/// (rules.md "The apex"); one form where both are the same.
pub(super) fn forms(name: &str) -> Vec<String> {
    let (unicode, ok) = idna::domain_to_unicode(name);
    if ok.is_ok() && unicode != name { vec![unicode, name.to_owned()] } else { vec![name.to_owned()] }
}

/// Whether an answer speaks of the name that was asked. Services write a
/// host, sometimes a whole URL.
pub(super) fn same(answer: &str, name: &str) -> bool {
    ascii(host(answer)).is_some_and(|a| a == name)
}

/// The host of a URL, or the text itself.
pub(super) fn host(text: &str) -> &str {
    let text = text.trim();
    let text = ["https://", "http://"]
        .iter()
        .find_map(|p| text.get(..p.len()).filter(|h| h.eq_ignore_ascii_case(p)).and(text.get(p.len()..)))
        .unwrap_or(text);
    text.split(['/', '?', '#']).next().unwrap_or(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded() {
        assert_eq!(ascii("示例乙。中国").as_deref(), Some("xn--ojqx2aw82g.xn--fiqs8s"));
        assert_eq!(ascii("Example．CN.").as_deref(), Some("example.cn"));
        assert_eq!(ascii(""), None);
        assert_eq!(ascii("a b.cn"), None);
        assert!(same("http://示例乙.中国/x", "xn--ojqx2aw82g.xn--fiqs8s"));
        assert!(!same("www.example.cn", "example.cn"));
        assert_eq!(forms("xn--ojqx2aw82g.xn--fiqs8s"), ["示例乙.中国", "xn--ojqx2aw82g.xn--fiqs8s"]);
        assert_eq!(forms("example.cn"), ["example.cn"]);
    }
}
