//! One `server {}` while it is being read: what its directives say of names,
//! content, redirects and refusals.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::facts::Site;
use crate::source::decode;

use super::listen::Listen;

/// Upstreams and certificates kept of one site.
const LIST_LIMIT: usize = 64;
/// Up to here names are compared one by one; longer lists are hashed.
const SCAN_LIMIT: usize = 24;

/// What a `return` or `rewrite` makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Sent elsewhere.
    Redirect(String),
    /// Turned away, and nothing said. `true` for 444, which no `error_page`
    /// can turn into content.
    Refuse(bool),
    /// Anything else.
    Content,
}

/// Values that servers inherit from `http {}` (or from a fragment's top).
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) root: Option<String>,
    pub(super) certificates: Vec<String>,
    pub(super) lua: bool,
    pub(super) error_page: bool,
    pub(super) reject_handshake: bool,
    pub(super) ssl: bool,
}

/// A server, with what only the whole configuration can settle.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) site: Site,
    pub(super) listens: Vec<Listen>,
    /// Index of the [`Scope`] that it inherits from.
    pub(super) scope: usize,
    /// Not inside any `http {}`.
    pub(super) loose: bool,
    /// While it is being read.
    pub(super) flow: Flow,
    /// Once it is closed.
    pub(super) settled: Settled,
    pub(super) seen: Option<(RandomState, HashSet<u64>)>,
}

/// What is left of [`Flow`] once the server is closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) ssl: Option<bool>,
    pub(super) reject_handshake: Option<bool>,
    pub(super) lua: bool,
    /// Whether it turns every request away, by whether an error page of
    /// `http {}` could answer instead.
    pub(super) refuses: [bool; 2],
}

impl Settled {
    pub(super) fn refuses(self, scope: &Scope) -> bool {
        let [alone, paged] = self.refuses;
        !scope.lua && if scope.error_page { paged } else { alone }
    }
}

/// What decides whether the site redirects or refuses everything.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// `ssl on;`, the old spelling.
    pub(super) ssl: Option<bool>,
    pub(super) reject_handshake: Option<bool>,
    /// The server's first `return` or `rewrite` outside of blocks.
    pub(super) first: Option<Answer>,
    /// The one target of its `if` blocks.
    pub(super) if_redirect: Option<String>,
    /// An `if` that does something else than redirect, or a second target.
    pub(super) if_other: bool,
    /// Locations that turn everything away; `/` among them; those that do
    /// something else; those for `/.well-known/`.
    pub(super) refusing: u32,
    pub(super) root_refuses: Option<bool>,
    pub(super) answering: u32,
    pub(super) well_known: u32,
    /// `location /` sends everything elsewhere.
    pub(super) root_redirect: Option<String>,
    /// A block that this reader does not know.
    pub(super) unknown_block: bool,
    pub(super) error_page: bool,
    pub(super) deny_all: bool,
    pub(super) allow: bool,
    /// Lua that routes requests, or may answer before `return` does.
    pub(super) lua: bool,
    /// Lua in the access phase, where firewalls live, but also the routing of
    /// some gateways.
    pub(super) access_lua: bool,
}

impl Server {
    pub(super) fn new(site: Site, scope: usize, loose: bool) -> Server {
        Server {
            site,
            listens: Vec::new(),
            scope,
            loose,
            flow: Flow::default(),
            settled: Settled::default(),
            seen: None,
        }
    }

    /// Adds a name unless it is there; whether it was added.
    pub(super) fn add_name(&mut self, name: String) -> bool {
        if let Some((state, seen)) = &mut self.seen {
            if !seen.insert(state.hash_one(&name)) {
                return false;
            }
        } else {
            if self.site.names.contains(&name) {
                return false;
            }
            if self.site.names.len() == SCAN_LIMIT {
                let state = RandomState::new();
                let mut seen: HashSet<u64> = self.site.names.iter().map(|n| state.hash_one(n)).collect();
                seen.insert(state.hash_one(&name));
                self.seen = Some((state, seen));
            }
        }
        self.site.names.push(name);
        true
    }

    /// No more names come.
    pub(super) fn close(&mut self) {
        self.seen = None;
        if self.site.names.is_empty() {
            self.site.names.push(String::new());
        }
        if self.listens.is_empty() {
            self.listens.push(Listen::unwritten(self.site.line));
        }
        if self.flow.access_lua && self.site.upstream.iter().any(|u| u.contains('$')) {
            self.flow.lua = true;
        }
        let flow = std::mem::take(&mut self.flow);
        self.site.redirect = flow.redirect();
        self.settled = Settled {
            ssl: flow.ssl,
            reject_handshake: flow.reject_handshake,
            lua: flow.lua,
            refuses: [flow.refuses(false), flow.refuses(true)],
        };
    }
}

impl Flow {
    /// The target, where the site does nothing but redirect. An `if` that
    /// redirects before a final refusal is certbot's way of writing this.
    fn redirect(&self) -> Option<String> {
        if self.if_other || self.lua {
            return None;
        }
        match &self.first {
            Some(Answer::Redirect(target)) => Some(target.clone()),
            Some(Answer::Refuse(_)) => self.if_redirect.clone(),
            Some(Answer::Content) => None,
            None if self.if_redirect.is_none()
                && self.answering == 0
                && self.refusing == 0
                && !self.unknown_block =>
            {
                self.root_redirect.clone()
            }
            None => None,
        }
    }

    /// Whether the site turns every request away, whatever it asks for, where
    /// `http {}` has an error page or none. Says no in doubt: a wrong yes would
    /// hide a site that answers any name.
    fn refuses(&self, paged: bool) -> bool {
        if self.if_redirect.is_some() || self.if_other || self.lua {
            return false;
        }
        let silent = !self.error_page && !paged;
        match &self.first {
            Some(Answer::Refuse(close)) => *close || silent,
            Some(_) => false,
            None => {
                if self.unknown_block || self.answering > 0 || self.well_known > 0 {
                    return false;
                }
                match self.root_refuses {
                    Some(close) => self.root_redirect.is_none() && (close || silent),
                    None => {
                        self.deny_all
                            && !self.allow
                            && !self.access_lua
                            && silent
                            && self.refusing == 0
                            && self.root_redirect.is_none()
                    }
                }
            }
        }
    }

    /// An answer outside of blocks.
    pub(super) fn at_server(&mut self, answer: Answer) {
        if self.first.is_none() {
            self.first = Some(answer);
        }
    }

    /// An answer within an `if` of the server.
    pub(super) fn within_if(&mut self, answer: Answer) {
        // After an unconditional answer no `if` is reached.
        if self.first.is_some() {
            return;
        }
        match (answer, &self.if_redirect) {
            (Answer::Redirect(target), None) => self.if_redirect = Some(target),
            (Answer::Redirect(target), Some(known)) if target == *known => {}
            _ => self.if_other = true,
        }
    }
}

/// What `return` with these arguments does.
pub(super) fn return_answer(args: &[&[u8]]) -> Answer {
    match *args {
        [url] if is_absolute(url) => Answer::Redirect(decode(url)),
        [b"444", ..] => Answer::Refuse(true),
        [b"400" | b"403" | b"404" | b"410" | b"421"] => Answer::Refuse(false),
        [b"301" | b"302" | b"303" | b"307" | b"308", url] if !url.is_empty() => Answer::Redirect(decode(url)),
        _ => Answer::Content,
    }
}

/// What `rewrite` with these arguments does.
pub(super) fn rewrite_answer(args: &[&[u8]]) -> Answer {
    let (pattern, target, flag) = match *args {
        [pattern, target] => (pattern, target, None),
        [pattern, target, flag] => (pattern, target, Some(flag)),
        _ => return Answer::Content,
    };
    let everything = matches!(
        pattern,
        b"^" | b"/"
            | b"^/"
            | b".*"
            | b"(.*)"
            | b"^.*"
            | b"^(.*)"
            | b"^.*$"
            | b"^(.*)$"
            | b"^/.*"
            | b"^/(.*)"
            | b"^/.*$"
            | b"^/(.*)$"
    );
    let redirects = is_absolute(target) || matches!(flag, Some(b"permanent" | b"redirect"));
    if everything && redirects { Answer::Redirect(decode(target)) } else { Answer::Content }
}

fn is_absolute(url: &[u8]) -> bool {
    url.starts_with(b"http://") || url.starts_with(b"https://") || url.starts_with(b"$scheme")
}

/// Adds to a short list without doubles.
pub(super) fn add(list: &mut Vec<String>, value: String) {
    if list.len() < LIST_LIMIT && !list.contains(&value) {
        list.push(value);
    }
}

/// Whether nginx can take these bytes for a name that some request could
/// carry: else they are no name (`http://…`, a path after a lost semicolon).
pub(super) fn can_be_name(name: &[u8]) -> bool {
    match name {
        [b'~', rest @ ..] => !rest.is_empty() && !rest.contains(&0),
        _ => {
            let clean = name.iter().all(|&b| b > b' ' && b != 0x7f && b != b'/' && b != b'\\');
            let plain = match name {
                [b'*', b'.', rest @ ..] | [b'.', rest @ ..] => !rest.is_empty() && !rest.starts_with(b"."),
                [rest @ .., b'.', b'*'] => !rest.is_empty(),
                _ => true,
            };
            let stars = name.iter().filter(|&&b| b == b'*').count();
            let star_ok = stars == 0 || (stars == 1 && (name.starts_with(b"*.") || name.ends_with(b".*")));
            clean && plain && star_ok && !name.windows(2).any(|w| w == b"..")
        }
    }
}
