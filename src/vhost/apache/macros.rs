//! mod_macro: a macro is text with arguments, `Use` puts it in its own place.

use std::collections::HashMap;

use super::line::{Line, words};

/// One `<Macro>`.
#[derive(Debug, Clone)]
pub(super) struct Macro {
    args: Vec<Vec<u8>>,
    /// Logical lines, each with its end.
    body: Vec<u8>,
}

/// A `<Macro>` whose end has not come yet.
#[derive(Debug)]
pub(super) struct Recording {
    name: Vec<u8>,
    text: Macro,
    nested: u32,
    /// Where it opens.
    pub line: u32,
}

/// Why a `Use` does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No such macro, or another number of arguments.
    Refused,
    /// The text grows beyond what may be spent.
    TooLong,
}

/// All macros that are defined.
#[derive(Debug, Default)]
pub(super) struct Macros(HashMap<Vec<u8>, Macro>);

impl Recording {
    /// Starts with what stands between `<Macro` and `>`.
    pub fn start(args: &[u8], line: u32) -> Option<Recording> {
        let mut words = words(args).map(std::borrow::Cow::into_owned);
        let name = words.next()?.to_ascii_lowercase();
        // Flags of newer mod_macro stand before the arguments.
        let args: Vec<Vec<u8>> = words.filter(|w| !w.starts_with(b"/")).collect();
        if args.iter().any(Vec::is_empty) {
            return None;
        }
        Some(Recording { name, text: Macro { args, body: Vec::new() }, nested: 0, line })
    }

    /// All that it is.
    pub fn text(&self) -> (&[u8], &[Vec<u8>], &[u8]) {
        (&self.name, &self.text.args, &self.text.body)
    }

    /// Takes a line; true at the end of the macro.
    pub fn take(&mut self, line: &Line<'_>) -> bool {
        let mut rest = &*line.text;
        if let Some(first) = super::line::word(&mut rest) {
            if first.eq_ignore_ascii_case(b"</Macro>") {
                if self.nested == 0 {
                    return true;
                }
                self.nested -= 1;
            } else if first.eq_ignore_ascii_case(b"<Macro") {
                self.nested += 1;
            }
        }
        self.text.body.extend_from_slice(&line.text);
        self.text.body.push(b'\n');
        false
    }
}

impl Macros {
    /// Defines, or defines anew.
    pub fn define(&mut self, r: Recording) {
        self.0.insert(r.name, r.text);
    }

    /// `UndefMacro NAME`.
    pub fn undefine(&mut self, name: &[u8]) {
        self.0.remove(&name.to_ascii_lowercase());
    }

    /// `Use NAME VALUES…`: the name in lower case and the text, not longer
    /// than `budget`.
    pub fn expand(&self, args: &[u8], budget: usize) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        let mut words = words(args).map(std::borrow::Cow::into_owned);
        let name = words.next().ok_or(Fault::Refused)?.to_ascii_lowercase();
        let values: Vec<Vec<u8>> = words.collect();
        let m = self.0.get(&name).filter(|m| m.args.len() == values.len()).ok_or(Fault::Refused)?;
        Ok((name, m.fill(&values, budget)?))
    }
}

impl Macro {
    fn fill(&self, values: &[Vec<u8>], budget: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::with_capacity(self.body.len().min(budget));
        let mut pos = 0;
        // Arguments by their first byte, so that most of the text is skipped.
        let mut firsts = [false; 256];
        for a in &self.args {
            if let Some(slot) = a.first().and_then(|&b| firsts.get_mut(usize::from(b))) {
                *slot = true;
            }
        }
        while let Some(rest) = self.body.get(pos..).filter(|r| !r.is_empty()) {
            let skip = rest
                .iter()
                .position(|&b| firsts.get(usize::from(b)).copied().unwrap_or(false))
                .unwrap_or(rest.len());
            let (plain, rest) = rest.split_at(skip);
            out.extend_from_slice(plain);
            pos += skip;
            // The longest argument that stands here.
            let hit = self
                .args
                .iter()
                .zip(values)
                .filter(|(a, _)| rest.starts_with(a))
                .max_by_key(|(a, _)| a.len());
            match (hit, rest.first()) {
                (Some((a, v)), _) => {
                    // `@` arguments are quoted where they are put in.
                    if a.first() == Some(&b'@') {
                        out.push(b'"');
                        for &b in v {
                            if matches!(b, b'"' | b'\\') {
                                out.push(b'\\');
                            }
                            out.push(b);
                        }
                        out.push(b'"');
                    } else {
                        out.extend_from_slice(v);
                    }
                    pos += a.len();
                }
                (None, Some(&b)) => {
                    out.push(b);
                    pos += 1;
                }
                (None, None) => {}
            }
            if out.len() > budget {
                return Err(Fault::TooLong);
            }
        }
        Ok(out)
    }
}
