//! The lexer and the end of Lua blocks, rule by rule as seen on nginx.

use super::super::lexer::{Cursor, End, Fault, Statement, Token, next};
use super::super::lua::{LuaEnd, skip_block};

/// Words, what ends them, and the line of the first.
type Lexed = (Vec<String>, char, u32);

fn lex(text: &[u8]) -> (Vec<Lexed>, Vec<(Fault, u32)>) {
    let mut cursor = Cursor { pos: 0, line: 1 };
    let mut st = Statement::default();
    let (mut out, mut faults) = (Vec::new(), Vec::new());
    loop {
        let token = next(text, &mut cursor, &mut st);
        faults.extend(st.faults.iter().copied());
        let words: Vec<_> =
            st.words.iter().map(|w| String::from_utf8_lossy(&w.text(text)).into_owned()).collect();
        let line = st.words.first().map_or(cursor.line, |w| w.line);
        match token {
            Token::Statement(End::Semicolon) => out.push((words, ';', line)),
            Token::Statement(End::Block) => out.push((words, '{', line)),
            Token::Close => out.push((words, '}', line)),
            Token::Eof => return (out, faults),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let (mut out, faults) = lex(text.as_bytes());
    assert_eq!(faults, [], "{text}");
    assert_eq!(out.len(), 1, "{text}: {out:?}");
    out.remove(0).0
}

#[test]
fn quotes_are_taken_off_and_six_escapes_rewritten() {
    assert_eq!(words(r#"a "b c" 'd;e' "";"#), ["a", "b c", "d;e", ""]);
    assert_eq!(
        words(r#"a "q\"q" 'q\'q' b\\s t\tt r\rr n\nn \;x;"#),
        ["a", "q\"q", "q'q", "b\\s", "t\tt", "r\rr", "n\nn", "\\;x"]
    );
    let (out, _) = lex(br"a \d{3;");
    assert_eq!(out[0], (vec!["a".into(), r"\d".into()], '{', 1));
}

#[test]
fn quotes_within_a_word_are_plain() {
    assert_eq!(words("a it's b\"c;"), ["a", "it's", "b\"c"]);
}

#[test]
fn a_hash_begins_a_comment_only_at_the_start_of_a_word() {
    assert_eq!(words("a#b c#d # e f;\n;"), ["a#b", "c#d"]);
}

#[test]
fn a_brace_after_a_dollar_opens_no_block() {
    assert_eq!(words("a ${b}c \"${d}\" x${{y;"), ["a", "${b}c", "${d}", "x${{y"]);
    let (out, _) = lex(b"a $b{");
    assert_eq!(out, [(vec!["a".into(), "$b".into()], '{', 1)]);
    let (out, _) = lex(b"a ~\\.x{");
    assert_eq!(out[0].1, '{');
}

#[test]
fn a_closing_brace_within_a_word_is_plain() {
    assert_eq!(words("a b}c;"), ["a", "b}c"]);
}

#[test]
fn after_a_quote_a_round_bracket_begins_a_word() {
    assert_eq!(words(r#"if ("$a" = "b");"#), ["if", "(\"$a\"", "=", "b", ")"]);
}

#[test]
fn carriage_returns_are_spaces_and_lines_are_counted() {
    let (out, faults) = lex(b"a\r\n{\r\n  b \"c\n\nd\" e;\r\n}\r\nf;");
    assert_eq!(faults, []);
    let lines: Vec<u32> = out.iter().map(|o| o.2).collect();
    assert_eq!(lines, [1, 3, 6, 7]);
}

#[test]
fn a_word_of_4096_bytes_is_refused_and_one_of_4095_is_not() {
    for (n, refused) in [(4095, false), (4096, true)] {
        for quote in ["", "\""] {
            let text = format!("a {quote}{}{quote} b;", "x".repeat(n));
            let (out, faults) = lex(text.as_bytes());
            assert_eq!(faults.iter().any(|f| f.0 == Fault::TooLong), refused, "{n}");
            assert_eq!(out[0].0.len(), if refused { 2 } else { 3 });
        }
        let (_, faults) = lex(format!("#{}\na;", "x".repeat(n - 1)).as_bytes());
        assert_eq!(!faults.is_empty(), refused, "a comment, {n}");
    }
}

#[test]
fn faults_leave_the_next_statements_whole() {
    for (text, fault, after) in [
        ("a \"b\"c;\nd e;", Fault::AfterQuote, "d"),
        ("a \"b c;\nd e;", Fault::OpenQuote, "d"),
        ("a 'b c;\nx y \"z\";\nd e;", Fault::OpenQuote, "d"),
        ("a \"b c;\nx \"z\";\nd e;", Fault::AfterQuote, "d"),
        ("; d e;", Fault::NoWord, "d"),
        ("a b } d e;", Fault::NoSemicolon, "d"),
        ("a \0; d e;", Fault::Nul, "d"),
    ] {
        let (out, faults) = lex(text.as_bytes());
        assert!(faults.iter().any(|f| f.0 == fault), "{text:?}: {faults:?}");
        assert_eq!(out.last().unwrap().0[0], after, "{text:?}: {out:?}");
        assert_eq!(out.last().unwrap().0.len(), 2);
    }
    let (out, faults) = lex(b"a b; c");
    assert_eq!((out.len(), faults.as_slice()), (1, &[(Fault::EndOfFile, 1)][..]));
    let (out, faults) = lex(b"a b c");
    assert_eq!((out[0].0.len(), faults.as_slice()), (2, &[(Fault::EndOfFile, 1)][..]), "c may be cut");
    let (out, _) = lex(b"a b c\n");
    assert_eq!(out[0].0.len(), 3);
}

/// Where a Lua block ends: the rest after it, and the line there.
fn after_lua(text: &str) -> Option<(&str, u32)> {
    let mut cursor = Cursor { pos: 0, line: 1 };
    (skip_block(text.as_bytes(), &mut cursor) != LuaEnd::EndOfFile)
        .then(|| (&text[cursor.pos..], cursor.line))
}

#[test]
fn a_lua_block_ends_where_lua_says() {
    for body in [
        " local t = { a = {} } ",
        " s = \"}\" .. '{' ",
        " s = '\\'}' .. \"\\\\\" ",
        " -- } it's\n ",
        " --[[ }\n ]] ",
        " --[==[ ]] } ]=] ]==] ",
        " s = [[ } ]] t = [=[ ]] } ]=] ",
        " don't say \"}\" \n ",
        " t[a[1]] = 1 ",
        " ---[[ } \n ",
        " x = ]] ]=] ",
        " --[= } \n ",
    ] {
        let text = format!("{body}}} rest");
        let lines = 1 + body.matches('\n').count() as u32;
        assert_eq!(after_lua(&text), Some((" rest", lines)), "{body}");
    }
}

#[test]
fn a_lua_string_ends_with_its_line() {
    assert_eq!(after_lua(" s = \"abc\n} rest"), Some((" rest", 2)));
    assert_eq!(after_lua(" s = \"abc\\\n} rest"), Some((" rest", 2)));
    assert_eq!(after_lua(" s = \"a\\\r\n} rest"), Some((" rest", 2)));
}

#[test]
fn a_lua_block_that_does_not_end_says_so() {
    for body in ["", " { } ", " -- } ", " \"}\" ", " [==[ { } ]=]"] {
        assert_eq!(after_lua(body), None, "{body}");
    }
    // A long bracket without end is read as if it were none.
    assert_eq!(after_lua(" [[ \n } rest"), Some((" rest", 2)));
}
