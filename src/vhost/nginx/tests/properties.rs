//! Any bytes at all, and soups of nginx's own words.

use proptest::prelude::*;

use super::super::lexer::{Cursor, End, Statement, Token, next};
use super::*;

/// Quotes a word as a person would.
fn quote(word: &str, style: u8) -> String {
    let escape = |q: char| {
        word.chars()
            .flat_map(|c| if c == q || c == '\\' { vec!['\\', c] } else { vec![c] })
            .collect::<String>()
    };
    match style {
        0 => format!("\"{}\"", escape('"')),
        1 => format!("'{}'", escape('\'')),
        _ => escape('\\'),
    }
}

const SOUP: &[&str] = &[
    "server",
    "server_name",
    "listen",
    "location",
    "http",
    "include",
    "{",
    "}",
    ";",
    "\n",
    " ",
    "\"",
    "'",
    "\\",
    "#",
    "$",
    "${",
    "80",
    "*:443 ssl",
    "a.example.com",
    "*.b",
    ".c",
    "~^x",
    "return",
    "444",
    "301",
    "http://x",
    "content_by_lua_block",
    "[[",
    "]]",
    "--",
    "if",
    "/",
    "*.inc",
    "nginx.conf",
    "a.inc",
    "\r\n",
    "\0",
    "map",
    "default_server",
    "root",
    "upstream",
    "stream",
    "\u{feff}",
    "商",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn quoted_words_come_back_unquoted(
        words in prop::collection::vec(("[^\\x00]{1,40}", 0_u8..2), 1..6),
        bare in "[a-z0-9_.*~^/-]{1,30}",
    ) {
        let mut text = bare.clone();
        for (word, style) in &words {
            text.push(' ');
            text.push_str(&quote(word, *style));
        }
        text.push(';');
        let mut cursor = Cursor { pos: 0, line: 1 };
        let mut st = Statement::default();
        prop_assert_eq!(next(text.as_bytes(), &mut cursor, &mut st), Token::Statement(End::Semicolon));
        prop_assert!(st.faults.is_empty());
        let got: Vec<String> =
            st.words.iter().map(|w| String::from_utf8(w.text(text.as_bytes()).into_owned()).unwrap()).collect();
        let want: Vec<String> = std::iter::once(bare).chain(words.into_iter().map(|w| w.0)).collect();
        prop_assert_eq!(got, want);
        prop_assert_eq!(cursor.line as usize, 1 + text.matches('\n').count());
    }

    #[test]
    fn any_bytes_end_in_sites_and_problems(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let scan = scan(&bytes);
        prop_assert!(scan.sites.len() <= bytes.len() && scan.problems.len() <= bytes.len() + 1);
    }

    #[test]
    fn any_soup_of_words_ends_and_lines_stay_inside_the_file(
        parts in prop::collection::vec(prop::sample::select(SOUP), 0..120),
        other in prop::collection::vec(prop::sample::select(SOUP), 0..40),
    ) {
        let (main, other) = (parts.concat(), other.join(" "));
        let main = format!("http {{ include *.inc; {main}");
        let files: [(&str, &[u8]); 2] =
            [("/etc/nginx/nginx.conf", main.as_bytes()), ("/etc/nginx/a.inc", other.as_bytes())];
        let scan = scan_with(&files, Limits { files: 2_000, ..Limits::default() });
        let lines = |file: &str| 1 + (if file.ends_with(".inc") { &other } else { &main }).matches('\n').count();
        for s in &scan.sites {
            prop_assert!(s.line as usize <= lines(&s.file) && s.line > 0);
            prop_assert!(s.default.iter().all(|d| s.listen.contains(d)));
            prop_assert!(s.refuses.iter().chain(&s.implicit_default).all(|d| s.default.contains(d)));
            prop_assert!(s.shadowed.iter().all(|n| s.names.contains(n)));
            prop_assert!(!s.listen.is_empty());
        }
        for p in &scan.problems {
            prop_assert!(p.line.is_none_or(|l| l as usize <= lines(p.file.as_deref().unwrap()) && l > 0));
        }
    }

    /// A cut anywhere loses nothing that stands before the cut server.
    #[test]
    fn a_cut_keeps_the_sites_before_it(cut in 0_usize..2_000) {
        let text: String =
            (0..40).map(|i| format!("server {{\n  server_name \"n{i}.example.com\";\n  listen 80;\n}}\n")).collect();
        let text = format!("http {{\n{text}}}\n");
        let cut = cut.min(text.len());
        let scan = scan(&text.as_bytes()[..cut]);
        let whole = text[..cut].matches("listen 80;\n}").count();
        prop_assert!(scan.sites.len() >= whole);
        for (i, s) in scan.sites.iter().take(whole).enumerate() {
            prop_assert_eq!(&s.names, &[format!("n{i}.example.com")]);
        }
    }
}
