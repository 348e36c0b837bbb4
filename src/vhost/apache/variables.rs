//! `${NAME}` in the arguments of directives and sections.

use std::borrow::Cow;

use super::walk::Walk;
use crate::facts::ProblemKind;

/// A line grows no longer, whatever its variables hold.
const LONG_LINE: usize = 256 << 10;

impl Walk<'_> {
    /// Fills variables in: `Define`s, then the environment. What nothing sets
    /// stays as written; a value is not looked into again.
    pub fn resolve<'a>(&mut self, args: &'a [u8], line: u32, file: &str) -> Option<Cow<'a, [u8]>> {
        if !args.contains(&b'$') || !args.windows(2).any(|w| w == b"${") {
            return Some(Cow::Borrowed(args));
        }
        let mut out = Vec::with_capacity(args.len());
        let mut rest = args;
        while let Some(at) = rest.windows(2).position(|w| w == b"${") {
            let (plain, var) = rest.split_at(at);
            out.extend_from_slice(plain);
            let Some(end) = var.iter().position(|&b| b == b'}') else {
                rest = var;
                break;
            };
            let name = var.get(2..end).unwrap_or_default();
            let value = self.values.get(&name.to_ascii_lowercase()).or_else(|| self.env.get(name));
            out.extend_from_slice(value.map_or(var.get(..=end).unwrap_or_default(), Vec::as_slice));
            rest = var.get(end + 1..).unwrap_or_default();
            if out.len() > LONG_LINE {
                self.write();
                self.note(
                    file,
                    line,
                    ProblemKind::IncludeLimit,
                    "variables make the line too long; it is not read",
                );
                return None;
            }
        }
        out.extend_from_slice(rest);
        if out.len() > LONG_LINE || out.len() > self.expansion {
            self.write();
            self.note(
                file,
                line,
                ProblemKind::IncludeLimit,
                "variables make the line too long; it is not read",
            );
            return None;
        }
        self.expansion -= out.len();
        Some(Cow::Owned(out))
    }

    /// Notes a variable that nothing sets, in a directive that matters.
    pub fn unresolved(&mut self, args: &[u8], at: u32, file: &str) {
        let mut rest = args;
        while let Some(i) = rest.windows(2).position(|w| w == b"${") {
            rest = rest.get(i + 2..).unwrap_or_default();
            let Some(end) = rest.iter().position(|&b| b == b'}') else { return };
            // `${map:key}` belongs to other directives.
            if !rest.get(..end).unwrap_or_default().contains(&b':') {
                let message =
                    "a variable that neither Define nor the environment file sets; it stays as written";
                return self.note(file, at, ProblemKind::UnresolvedVariable, message);
            }
        }
    }
}
