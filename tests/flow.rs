//! Data flows one way: `src/lib.rs` lists the rooms from top to bottom, and a
//! room names only itself and rooms above it. What is read is Rust's tokens,
//! not lines, so that groups, several lines, comments and `super::` count as
//! what they are.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::package;

/// Rooms that touch neither files, nor the network, nor other programs: their
/// answers follow from their arguments.
const PURE: &[&str] = &["facts", "names", "verdict"];
/// Rooms that see customers' files through `source` alone.
const BEHIND_SOURCE: &[&str] = &["vhost"];

#[test]
fn no_arrow_runs_back_up() {
    let faults = faults(&package("src"));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_tree_that_breaks_the_rule_is_noticed() {
    let t = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let p = t.path().join(path);
        std::fs::create_dir_all(p.parent().unwrap()).unwrap();
        std::fs::write(p, text).unwrap();
    };
    write(
        "lib.rs",
        "//! map\npub mod facts;\npub mod source;\npub mod vhost;\npub mod names;\npub mod audit;\n",
    );
    write("facts.rs", "pub struct Site; // use crate::audit;\n");
    write("source.rs", "/* crate::audit::run */ use crate::facts::Site;\n");
    write(
        "vhost.rs",
        "mod nginx;\nuse crate::{facts::Site, source};\nconst S: &str = \"crate::audit::run\";\n",
    );
    write(
        "vhost/nginx.rs",
        "use super::x;\nuse crate::source;\n#[cfg(test)]\nmod tests { use super::super::*; use super::names; }\n",
    );
    write("names.rs", "fn f<'a>(x: &'a str) -> char { '\\'' }\n");
    write("audit.rs", "use crate::{vhost, names};\n");
    write("bin/agent.rs", "use beian::{audit, names};\n");
    assert_eq!(faults(t.path()), Vec::<String>::new());

    for (file, text, arrow) in [
        ("facts.rs", "use crate::audit;\n", "facts -> audit"),
        (
            "source.rs",
            "use crate::{\n    facts::Site,\n    vhost::{\n        Reader,\n    },\n};\n",
            "source -> vhost",
        ),
        ("source.rs", "fn f() { crate::names::apex(\"\") }\n", "source -> names"),
        ("source.rs", "pub use super::vhost as v;\n", "source -> vhost"),
        ("vhost/nginx.rs", "use super::super::audit::run;\n", "vhost -> audit"),
        ("vhost/nginx.rs", "mod tests { use super::super::super::audit; }\n", "vhost -> audit"),
        ("names.rs", "macro_rules! m { () => { $crate::audit::run() } }\n", "names -> audit"),
        ("names.rs", "use crate :: r#audit;\n", "names -> audit"),
        ("names.rs", "use beian::audit;\n", "names -> audit"),
        ("names.rs", "fn f() { std::fs::read(\"x\").ok(); }\n", "names does not touch std::fs"),
        ("vhost/nginx.rs", "use std::{fmt, fs};\n", "vhost does not touch std::fs"),
        ("names.rs", "use crate::*;\n", "names -> *"),
        ("cellar.rs", "", "cellar.rs is no room of lib.rs"),
    ] {
        let before = std::fs::read_to_string(t.path().join(file)).ok();
        write(file, text);
        let found = faults(t.path());
        assert!(found.iter().any(|f| f.contains(arrow)), "{file}: {text:?} gives {found:?}, not {arrow:?}");
        match before {
            Some(b) => write(file, &b),
            None => std::fs::remove_file(t.path().join(file)).unwrap(),
        }
    }
}

/// Everything in `src` that runs against the flow.
fn faults(src: &Path) -> Vec<String> {
    let rooms = rooms(&std::fs::read_to_string(src.join("lib.rs")).unwrap());
    assert!(rooms.len() > 1, "lib.rs lists no rooms");
    let mut faults = Vec::new();
    let mut todo = vec![src.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let inside: Vec<String> = path
                .strip_prefix(src)
                .unwrap()
                .with_extension("")
                .iter()
                .map(|p| p.to_string_lossy().into_owned())
                .collect();
            if path.extension().is_none_or(|e| e != "rs") || inside[0] == "lib" || inside[0] == "bin" {
                continue;
            }
            let shown = path.strip_prefix(src).unwrap().display();
            let room = inside[0].as_str();
            let Some(level) = rooms.iter().position(|r| r == room) else {
                faults.push(format!("{shown} is no room of lib.rs"));
                continue;
            };
            let tokens = tokens(&std::fs::read_to_string(&path).unwrap());
            for target in arrows(&tokens, inside.len()) {
                match rooms.iter().position(|r| *r == target) {
                    Some(at) if at <= level => {}
                    Some(_) => faults.push(format!("{shown}: {room} -> {target} runs back up")),
                    None if target == "*" => faults.push(format!("{shown}: {room} -> * names every room")),
                    None => {}
                }
            }
            let is_test = inside.iter().any(|p| p == "tests");
            let mut barred: Vec<&str> = Vec::new();
            if PURE.contains(&room) {
                barred.extend(["fs", "process", "thread"]);
            }
            if BEHIND_SOURCE.contains(&room) {
                barred.extend(["fs", "process"]);
            }
            if !is_test {
                // Tests inside the file come last in it, and may lay out files.
                let end = tokens.windows(3).position(|w| w == ["mod", "tests", "{"]).unwrap_or(tokens.len());
                let used = paths(&tokens[..end], "std");
                faults.extend(
                    barred
                        .iter()
                        .filter(|b| used.contains(**b))
                        .map(|b| format!("{shown}: {room} does not touch std::{b}")),
                );
            }
        }
    }
    faults.sort();
    faults
}

/// `pub mod NAME;` of lib.rs, in order.
fn rooms(lib: &str) -> Vec<String> {
    let t = tokens(lib);
    t.windows(3).filter(|w| w[0] == "mod" && w[2] == ";").map(|w| w[1].clone()).collect()
}

/// The names right below the crate's root that a file at `depth` (1 for
/// `foo.rs`) uses, whether by `crate::`, the crate's name or `super::`.
fn arrows(tokens: &[String], depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inline = Vec::new(); // at which brace level each inline module opened
    let mut braces = 0usize;
    for (i, t) in tokens.iter().enumerate() {
        match t.as_str() {
            "{" => {
                braces += 1;
                if i >= 2 && tokens[i - 2] == "mod" {
                    inline.push(braces);
                }
            }
            "}" => {
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
                braces = braces.saturating_sub(1);
            }
            "crate" | "beian" if tokens.get(i + 1).is_some_and(|n| n == "::") => {
                heads(&tokens[i + 2..], &mut found)
            }
            "super" if i < 2 || tokens[i - 2] != "super" => {
                let mut steps = 0;
                let mut at = i;
                while tokens.get(at).is_some_and(|t| t == "super")
                    && tokens.get(at + 1).is_some_and(|t| t == "::")
                {
                    steps += 1;
                    at += 2;
                }
                // From below, so many steps up are the crate's root.
                if steps == depth + inline.len() {
                    heads(&tokens[at..], &mut found);
                }
            }
            _ => {}
        }
    }
    found
}

/// The names right below `root` that are used.
fn paths(tokens: &[String], root: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (i, t) in tokens.iter().enumerate() {
        if t == root && tokens.get(i + 1).is_some_and(|n| n == "::") {
            heads(&tokens[i + 2..], &mut found);
        }
    }
    found
}

/// The first name of a path, or of each path of a group.
fn heads(tokens: &[String], found: &mut BTreeSet<String>) {
    if tokens.first().is_none_or(|t| t != "{") {
        found.extend(tokens.first().cloned());
        return;
    }
    let mut level = 0;
    let mut first = false;
    for t in tokens {
        match t.as_str() {
            "{" => {
                level += 1;
                first = level == 1;
            }
            "}" => level -= 1,
            "," if level == 1 => first = true,
            _ if first => {
                found.insert(t.clone());
                first = false;
            }
            _ => {}
        }
        if level == 0 {
            return;
        }
    }
}

/// Rust's text as words and marks, `::` as one, without comments and without
/// what stands in strings and characters.
fn tokens(text: &str) -> Vec<String> {
    let c: Vec<char> = text.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let word = |ch: char| ch.is_alphanumeric() || ch == '_';
    let mut out = Vec::new();
    let mut i = 0;
    while i < c.len() {
        match c[i] {
            '/' if at(i + 1) == '/' => {
                while i < c.len() && c[i] != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut level = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (level, i) = (level + 1, i + 2),
                        ('*', '/') => (level, i) = (level - 1, i + 2),
                        _ => i += 1,
                    }
                    if level == 0 || i >= c.len() {
                        break;
                    }
                }
            }
            '"' => i = string_end(&c, i + 1, 0, false),
            // r"…", r#"…"#, br…; r#name is a word
            'r' | 'b' | 'c' if raw_string(&c, i).is_some() => {
                let (start, hashes, raw) = raw_string(&c, i).unwrap();
                i = string_end(&c, start, hashes, raw);
            }
            'r' if at(i + 1) == '#' && word(at(i + 2)) => i += 2,
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < c.len() && c[i] != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            ':' if at(i + 1) == ':' => {
                out.push("::".to_owned());
                i += 2;
            }
            ch if word(ch) => {
                let start = i;
                while word(at(i)) {
                    i += 1;
                }
                out.push(c[start..i].iter().collect());
            }
            ch => {
                if !ch.is_whitespace() {
                    out.push(ch.to_string());
                }
                i += 1;
            }
        }
    }
    out
}

/// Whether a prefixed string starts here: where its text starts, its number of
/// hashes, and whether it is raw.
fn raw_string(c: &[char], i: usize) -> Option<(usize, usize, bool)> {
    if i > 0 && (c[i - 1].is_alphanumeric() || c[i - 1] == '_') {
        return None;
    }
    let mut at = i;
    if matches!(c.get(at), Some('b' | 'c')) {
        at += 1;
    }
    let raw = c.get(at) == Some(&'r');
    if raw {
        at += 1;
    }
    let hashes = c[at..].iter().take_while(|c| **c == '#').count();
    (c.get(at + hashes) == Some(&'"') && (raw || hashes == 0) && at > i).then_some((
        at + hashes + 1,
        hashes,
        raw,
    ))
}

fn string_end(c: &[char], mut i: usize, hashes: usize, raw: bool) -> usize {
    while i < c.len() {
        match c[i] {
            '\\' if !raw => i += 2,
            '"' if c[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes => {
                return i + 1 + hashes;
            }
            _ => i += 1,
        }
    }
    i
}
