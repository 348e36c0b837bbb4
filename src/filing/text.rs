//! Texts of registries: hostile input that ends up in reports, so cleaned
//! and bounded before it goes on.

use jiff::civil::Date;

/// Characters of one text in a report.
const TEXT_MOST: usize = 512;

/// Words with which services fill the fields of a failed query.
const FAILURES: &[&str] =
    &["查询失败", "获取失败", "请求失败", "查询异常", "查询超时", "系统繁忙", "limited("];

/// Words that stand for nothing.
const NOTHING: &[&str] =
    &["-", "--", "无", "暂无", "未知", "空", "未备案", "未查询到", "null", "none", "n/a", "undefined"];

/// Trims, drops control characters, cuts to 512 characters; `None` for
/// nothing, or a word that stands for it.
pub(super) fn clean(text: &str) -> Option<String> {
    let out: String = text.chars().filter(|c| !c.is_control() && !is_bidi(*c)).take(TEXT_MOST).collect();
    let out = out.trim();
    let lower = out.to_ascii_lowercase();
    (!out.is_empty() && !NOTHING.contains(&lower.as_str())).then(|| out.to_owned())
}

/// Marks that turn the direction of what follows in a terminal.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether a field holds the word of a failed query.
pub(super) fn is_failure(text: &str) -> bool {
    FAILURES.iter().any(|w| text.contains(w)) || text.to_ascii_lowercase().contains("error")
}

/// A licence number, loosely: `蜀ICP备00000001号-2`, `京ICP证000001号`,
/// `粤B2-00000001-5` (registries.md "Licence strings"). Anything else in the
/// field (查询失败, 暂无, -) is none.
pub(super) fn licence(text: &str) -> Option<String> {
    let out = clean(text)?;
    if out.chars().count() > 64 || is_failure(&out) || out.contains('未') {
        return None;
    }
    let digits = out.chars().filter(char::is_ascii_digit).count();
    let upper = out.to_ascii_uppercase();
    (digits >= 5 && (upper.contains("ICP") || is_telecom(&upper))).then_some(out)
}

/// `粤B2-00000001`, `B1.B2-20000001`.
fn is_telecom(upper: &str) -> bool {
    let b = upper.as_bytes();
    b.windows(3).any(|w| matches!(w, [b'A' | b'B', b'1'..=b'9', b'-' | b'.']))
}

/// The date in a text: `2024-03-01`, `2023-10-18 10:27:25`, `2024/3/1`,
/// `2024年3月1日`, `20240301`, an RFC 3339 time, or the serial number by which
/// spreadsheets count days.
pub(super) fn date(text: &str) -> Option<Date> {
    let text = text.trim();
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if digits(text) && text.len() == 8 {
        let n: u32 = text.parse().ok()?;
        return make((n / 10_000).into(), n / 100 % 100, n % 100);
    }
    let (day, time) = text.split_once('.').unwrap_or((text, "0"));
    if digits(day) && digits(time) {
        return day.parse().ok().filter(|n| (20_000..80_000).contains(n)).and_then(serial);
    }
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).filter(|p| !p.is_empty());
    let year = parts.next().filter(|y| y.len() == 4)?;
    make(year.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)
}

/// Day `n` of the spreadsheets' calendar, whose day 60 never was.
fn serial(n: i32) -> Option<Date> {
    Date::constant(1899, 12, 30).checked_add(jiff::Span::new().try_days(n).ok()?).ok()
}

fn make(year: i64, month: u32, day: u32) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Text in UTF-8 (with or without mark), else GB18030, the superset of GBK
/// and GB 2312. What valid UTF-8 is decides, not what a header declares:
/// services declare one and send the other. `None`: neither.
pub(super) fn decode(bytes: &[u8]) -> Option<String> {
    if let Some((encoding, mark)) = encoding_rs::Encoding::for_bom(bytes) {
        let (text, broken) = encoding.decode_without_bom_handling(bytes.get(mark..)?);
        return (!broken).then(|| text.into_owned());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(text.to_owned());
    }
    let (text, broken) = encoding_rs::GB18030.decode_without_bom_handling(bytes);
    (!broken).then(|| text.into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn licences_are_told_from_words() {
        for yes in [
            "蜀ICP备00000001号-2",
            "蜀ICP备12345678号",
            "京ICP证000001号-3",
            "粤B2-00000001",
            "粤B2-00000001-5",
            "川B2-20000001",
            "蜀icp备 00000001-1626X",
            "蜀ICP備00000001號",
        ] {
            assert_eq!(licence(yes).as_deref(), Some(yes));
        }
        for no in [
            "",
            " ",
            "-",
            "查询失败",
            "暂无",
            "null",
            "未备案",
            "企业",
            "limited(5/min)",
            "未备案ICP00000001",
            "示例12345",
        ] {
            assert_eq!(licence(no), None, "{no}");
        }
    }

    #[test]
    fn texts_are_cleaned_and_bounded() {
        assert_eq!(clean(" 示例\u{0}公司\u{202e}\n ").as_deref(), Some("示例公司"));
        assert_eq!(clean("示例公司（成都）").as_deref(), Some("示例公司（成都）"));
        assert_eq!(clean(&"长".repeat(5000)).unwrap().chars().count(), 512);
        assert_eq!(clean(" - "), None);
    }

    #[test]
    fn dates_in_every_spelling() {
        for s in [
            "2024-03-01",
            "2024-03-01 10:27:25",
            "2024/3/1",
            "2024年3月1日",
            "20240301",
            "2024-03-01T10:00:00Z",
            "2024.03.01",
            "45352",
            "45352.5",
        ] {
            assert_eq!(date(s).map(|d| d.to_string()).as_deref(), Some("2024-03-01"), "{s}");
        }
        for s in ["", "2024", "2024-13-01", "2024-02-30", "12", "99999999", "x"] {
            assert_eq!(date(s), None, "{s}");
        }
    }

    #[test]
    fn both_encodings_are_found() {
        assert_eq!(decode("查询".as_bytes()).as_deref(), Some("查询"));
        assert_eq!(decode("\u{feff}查询".as_bytes()).as_deref(), Some("查询"));
        let (gbk, _, _) = encoding_rs::GBK.encode("查询成功");
        assert_eq!(decode(&gbk).as_deref(), Some("查询成功"));
        assert_eq!(decode(b"\xff\xfe\x41\x00").as_deref(), Some("A"));
        assert_eq!(decode(b"\x89PNG\r\n\x1a\n\xff\xff"), None);
    }
}
