//! A flat reading of small XML answers. No recursion, no DTD, no entities
//! beyond the five of XML and character references.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Elements of one answer, and how deep they may be nested.
const ELEMENTS_MOST: usize = 10_000;
const DEPTH_MOST: usize = 32;

/// One element that holds text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Name without prefix.
    pub name: String,
    /// Its own text, decoded.
    pub text: String,
    /// Number of the `<StatusInfo>` in which it stands; 0 outside.
    pub group: usize,
}

/// Every element with its own text, in the order in which they end. `None`:
/// not well-formed, or beyond the bounds.
pub(super) fn leaves(text: &str) -> Option<Vec<Leaf>> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Leaf> = Vec::new();
    let mut out = Vec::new();
    let mut groups = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(e) => {
                if open.len() >= DEPTH_MOST || out.len() + open.len() >= ELEMENTS_MOST {
                    return None;
                }
                let name = local(e.name().as_ref());
                let inherited = open.last().map_or(0, |l| l.group);
                let group = if name == "StatusInfo" {
                    groups += 1;
                    groups
                } else {
                    inherited
                };
                open.push(Leaf { name, text: String::new(), group });
            }
            Event::Empty(e) => {
                if out.len() >= ELEMENTS_MOST {
                    return None;
                }
                let group = open.last().map_or(0, |l| l.group);
                out.push(Leaf { name: local(e.name().as_ref()), text: String::new(), group });
            }
            Event::End(_) => out.push(open.pop()?),
            Event::Text(e) => push(&mut open, &e)?,
            Event::CData(e) => push(&mut open, &e)?,
            Event::GeneralRef(e) => {
                if let Some(c) = e.resolve_char_ref().ok()? {
                    push(&mut open, c.encode_utf8(&mut [0; 4]))?;
                } else {
                    push(&mut open, quick_xml::escape::resolve_predefined_entity(&e)?)?;
                }
            }
            Event::DocType(_) => return None,
            Event::Eof => return (open.is_empty() && !out.is_empty()).then_some(out),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
        }
    }
}

/// Text belongs to the innermost element; outside of all only blanks may
/// stand.
fn push(open: &mut [Leaf], text: &str) -> Option<()> {
    match open.last_mut() {
        Some(leaf) => leaf.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return None,
    }
    Some(())
}

fn local(name: &str) -> String {
    name.rsplit(':').next().unwrap_or(name).to_owned()
}
