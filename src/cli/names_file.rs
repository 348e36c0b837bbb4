//! `--names FILE|-`: a plain list (contract-details Q15).

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::config::{Lang, io_text};

use super::Stop;

/// The longest list that is read.
const MOST: u64 = 64 << 20;

/// Reads the names: each once, in their order.
pub fn read(path: &Path, lang: Lang) -> Result<Vec<String>, Stop> {
    let shown = path.display();
    let bytes = if path == Path::new("-") {
        read_bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(read_bounded)
    }
    .map_err(|e| {
        let why = io_text(&e);
        Stop::refuse(lang.pick(
            format!("--names {shown}：读不了：{}", why.zh),
            format!("--names {shown}: it cannot be read: {}", why.en),
        ))
    })?;
    let Some(bytes) = bytes else {
        return Err(Stop::refuse(
            lang.pick(format!("--names {shown}：超过 64 MiB"), format!("--names {shown}: more than 64 MiB")),
        ));
    };
    let text = String::from_utf8(bytes).map_err(|_| {
        Stop::refuse(
            lang.pick(format!("--names {shown}：不是 UTF-8 文本"), format!("--names {shown}: no UTF-8 text")),
        )
    })?;
    Ok(names(&text))
}

fn read_bounded(from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(MOST + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MOST).then_some(bytes))
}

/// One name a line; `#` begins a comment at the start of a line or after
/// white space.
pub(super) fn names(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    text.strip_prefix('\u{feff}')
        .unwrap_or(text)
        .lines()
        .filter_map(|line| {
            let mut end = line.len();
            let mut blank = true;
            for (i, c) in line.char_indices() {
                if c == '#' && blank {
                    end = i;
                    break;
                }
                blank = c.is_whitespace();
            }
            let name = line.get(..end).unwrap_or_default().trim();
            (!name.is_empty() && seen.insert(name.to_owned())).then(|| name.to_owned())
        })
        .collect()
}
