//! The directives inside a server record: names, root, proxies, redirects,
//! certificates, access.

use crate::facts::ProblemKind;
use crate::source::decode;

use super::directive::Directive;
use super::line::words;
use super::sections::Scope;
use super::server::{is_catch_all, is_name, server_name, server_port};
use super::walk::Walk;

/// Upstreams and certificates that one record keeps.
const KEPT: usize = 256;

/// Reads one directive of a record; `scope` is the innermost section that
/// counts.
pub(super) fn directive(
    walk: &mut Walk<'_>,
    d: Directive,
    args: &[u8],
    scope: Option<Scope>,
    at: u32,
    file: &str,
) {
    let top = matches!(scope, None | Some(Scope::VirtualHost));
    match d {
        Directive::ServerName if top => {
            walk.unresolved(args, at, file);
            if let Some(arg) = words(args).next() {
                let name = server_name(&arg);
                if walk.in_main() {
                    walk.main_port = server_port(&arg);
                    walk.change(("port", walk.main_port));
                }
                if !is_name(name) {
                    not_a_name(walk, at, file);
                } else if !name.is_empty() && walk.spend(name.len() + 32, at, file) {
                    let name = decode(name);
                    if let Some(s) = walk.server() {
                        s.set_name(name);
                    }
                }
            }
        }
        // In the main server Apache refuses it.
        Directive::ServerAlias if scope == Some(Scope::VirtualHost) => aliases(walk, args, at, file),
        Directive::DocumentRoot if top => {
            if let Some(root) = words(args).next()
                && walk.spend(root.len(), at, file)
                && let Some(s) = walk.server()
            {
                s.root = Some(decode(&root));
            }
        }
        Directive::VirtualDocumentRoot
        | Directive::VirtualDocumentRootIp
        | Directive::VirtualScriptAlias
        | Directive::VirtualScriptAliasIp
            if top =>
        {
            let on = words(args).next().is_some_and(|a| !a.eq_ignore_ascii_case(b"none"));
            if let Some(s) = walk.server() {
                s.vhost_alias = on;
            }
        }
        Directive::SslEngine if top => {
            if let Some(value) = words(args).next()
                && let Some(s) = walk.server()
            {
                s.ssl = Some(!value.eq_ignore_ascii_case(b"off"));
            }
        }
        Directive::SslCertificateFile if top => {
            if let Some(path) = words(args).next()
                && walk.spend(path.len() + 32, at, file)
                && let Some(s) = walk.server()
            {
                keep(&mut s.certificates, decode(&path));
            }
        }
        Directive::ProxyPass | Directive::ProxyPassMatch => {
            let target = words(args).find(|w| is_url(w));
            if target.is_some()
                && let Some(s) = walk.server()
            {
                s.proxied = true;
            }
            upstream(walk, target.as_deref(), at, file);
        }
        Directive::SetHandler => {
            let first = words(args).next().unwrap_or_default();
            upstream(walk, first.strip_prefix(b"proxy:"), at, file);
        }
        Directive::Redirect
        | Directive::RedirectMatch
        | Directive::RedirectPermanent
        | Directive::RedirectTemp => {
            redirect(walk, d, args, scope, at, file);
        }
        Directive::RewriteEngine if top => {
            let on = words(args).next().is_some_and(|a| a.eq_ignore_ascii_case(b"on"));
            if let Some(s) = walk.server() {
                s.rewrite.on = on;
            }
        }
        Directive::RewriteCond if top => rewrite_cond(walk, args),
        Directive::RewriteRule => rewrite_rule(walk, args, top, at, file),
        Directive::Require | Directive::Deny | Directive::Allow | Directive::Satisfy => {
            access(walk, d, args, scope);
        }
        Directive::ErrorDocument => {
            // A page of its own behind the refusal may be a whole site.
            let mut it = words(args);
            let page = it.next().is_some_and(|c| matches!(&*c, b"403" | b"404" | b"410"))
                && it.next().is_some_and(|t| matches!(t.first(), Some(b'/' | b'h')));
            if page && let Some(s) = walk.server() {
                s.access.doubtful = true;
            }
        }
        _ => {}
    }
}

fn not_a_name(walk: &mut Walk<'_>, at: u32, file: &str) {
    walk.note(file, at, ProblemKind::NotAName, "text in the place of a name that can be no host name");
}

fn aliases(walk: &mut Walk<'_>, args: &[u8], at: u32, file: &str) {
    walk.unresolved(args, at, file);
    // Thousands of aliases stand on one line: found again by hash, not by
    // going through them.
    let mut seen: Option<std::collections::HashSet<String>> = None;
    for w in words(args) {
        if w.is_empty() {
            continue;
        }
        if !is_name(&w) {
            not_a_name(walk, at, file);
            continue;
        }
        if !walk.spend(w.len() + 32, at, file) {
            return;
        }
        let name = decode(&w);
        let Some(s) = walk.server() else { return };
        if s.names.is_empty() {
            s.names.reserve_exact(2);
        }
        let known = if s.names.len() < 32 {
            s.names.contains(&name)
        } else {
            !seen.get_or_insert_with(|| s.names.iter().cloned().collect()).insert(name.clone())
        };
        if !known {
            s.names.push(name);
        }
    }
}

fn keep(list: &mut Vec<String>, text: String) {
    if list.len() < KEPT && !list.contains(&text) {
        if list.is_empty() {
            // Most have one, and there are many.
            list.reserve_exact(1);
        }
        list.push(text);
    }
}

fn is_url(word: &[u8]) -> bool {
    word.windows(3).any(|w| w == b"://") || word.starts_with(b"unix:")
}

fn upstream(walk: &mut Walk<'_>, target: Option<&[u8]>, at: u32, file: &str) {
    if let Some(target) = target
        && is_url(target)
        && walk.spend(target.len() + 32, at, file)
        && let Some(s) = walk.server()
    {
        keep(&mut s.upstream, decode(target));
    }
}

/// `Redirect [STATUS] PATH [URL]`, inside a Location without the path.
fn redirect(walk: &mut Walk<'_>, d: Directive, args: &[u8], scope: Option<Scope>, at: u32, file: &str) {
    let mut words: Vec<_> = words(args).take(3).collect();
    let mut status: u32 = if d == Directive::RedirectPermanent { 301 } else { 302 };
    if matches!(d, Directive::Redirect | Directive::RedirectMatch)
        && let Some(first) = words.first()
    {
        let named = match &*first.to_ascii_lowercase() {
            b"permanent" => Some(301),
            b"temp" => Some(302),
            b"seeother" => Some(303),
            b"gone" => Some(410),
            digits => std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()),
        };
        if let Some(n) = named {
            status = n;
            words.remove(0);
        }
    }
    let refuses = status >= 400;
    // It goes before what Require refuses: seen.
    if !refuses && let Some(s) = walk.server() {
        s.access.doubtful = true;
    }
    let (path, url) = match (words.as_slice(), refuses) {
        ([path, url, ..], false) => (Some(path), Some(url)),
        ([url], false) => (None, Some(url)),
        ([path, ..], true) => (Some(path), None),
        _ => (None, None),
    };
    let everything = match (scope, path) {
        (None | Some(Scope::VirtualHost), Some(p)) if d == Directive::RedirectMatch => is_catch_all(p),
        (None | Some(Scope::VirtualHost), Some(p)) => &**p == b"/",
        (Some(Scope::Everything), None) => true,
        (Some(Scope::Everything), Some(p)) => &**p == b"/" || is_catch_all(p),
        _ => false,
    };
    if everything {
        answer(walk, refuses, url.map(|u| &**u), at, file);
    }
}

/// Everything is refused, or sent elsewhere. The first such line counts.
fn answer(walk: &mut Walk<'_>, refuses: bool, url: Option<&[u8]>, at: u32, file: &str) {
    if !walk.spend(url.map_or(0, <[u8]>::len), at, file) {
        return;
    }
    let Some(s) = walk.server() else { return };
    match url {
        _ if refuses && s.redirect.is_none() => s.access.denied = true,
        Some(url) if !refuses && s.redirect.is_none() => s.redirect = Some(decode(url)),
        _ => {}
    }
}

/// Conditions that hold for every request of a plain-text vhost are none.
fn rewrite_cond(walk: &mut Walk<'_>, args: &[u8]) {
    let mut it = words(args);
    let what = it.next().unwrap_or_default().to_ascii_uppercase();
    let pattern = it.next().unwrap_or_default().to_ascii_lowercase();
    let Some(s) = walk.server() else { return };
    let always = match &*what {
        b"%{HTTPS}" => matches!(&*pattern, b"off" | b"^off$" | b"=off" | b"!=on" | b"!on" | b"!^on$"),
        b"%{SERVER_PORT}" => {
            matches!(&*pattern, b"80" | b"^80$" | b"=80" | b"!443" | b"!^443$" | b"!=443" | b"!^443")
        }
        // certbot: one condition for each of the names, `[OR]` between them.
        b"%{SERVER_NAME}" => {
            let name = pattern.strip_prefix(b"=").unwrap_or_default();
            !name.is_empty() && s.names.iter().any(|n| n.as_bytes().eq_ignore_ascii_case(name))
        }
        _ => false,
    };
    s.rewrite.conditional |= !always;
}

fn rewrite_rule(walk: &mut Walk<'_>, args: &[u8], top: bool, at: u32, file: &str) {
    let mut it = words(args);
    let pattern = it.next().unwrap_or_default();
    let target = it.next().unwrap_or_default();
    let flags = it.next().unwrap_or_default().to_ascii_uppercase();
    let flags: Vec<&[u8]> = flags
        .strip_prefix(b"[")
        .and_then(|f| f.strip_suffix(b"]"))
        .unwrap_or_default()
        .split(|&b| b == b',')
        .map(super::line::trim)
        .collect();
    let has = |a: &[u8], b: &[u8]| flags.iter().any(|f| *f == a || *f == b);
    if has(b"P", b"PROXY") {
        upstream(walk, Some(&target), at, file);
    }
    if !top {
        return;
    }
    let Some(s) = walk.server() else { return };
    let first = s.rewrite.on && !s.rewrite.ruled && !s.rewrite.conditional && is_catch_all(&pattern);
    s.rewrite.ruled = true;
    s.rewrite.conditional = false;
    if !first {
        s.access.doubtful = true;
        return;
    }
    let status = flags.iter().find_map(|f| f.strip_prefix(b"R=").or_else(|| f.strip_prefix(b"REDIRECT=")));
    let refused = status.is_some_and(|s| matches!(s.first(), Some(b'4' | b'5')));
    if has(b"F", b"FORBIDDEN") || has(b"G", b"GONE") || refused {
        answer(walk, true, None, at, file);
    } else if &*target != b"-" && (status.is_some() || has(b"R", b"REDIRECT")) {
        s.access.doubtful = true;
        answer(walk, false, Some(&target), at, file);
    } else {
        s.access.doubtful = true;
    }
}

/// Only `<Location />` is above all folders; whatever else is said of access
/// in a Location leaves doubt.
fn access(walk: &mut Walk<'_>, d: Directive, args: &[u8], scope: Option<Scope>) {
    let mut it = words(args);
    let first = it.next().unwrap_or_default().to_ascii_lowercase();
    let second = it.next().unwrap_or_default().to_ascii_lowercase();
    let Some(s) = walk.server() else { return };
    let all_denied = matches!(
        (d, &*first, &*second),
        (Directive::Require, b"all", b"denied") | (Directive::Deny, b"from", b"all")
    );
    match scope {
        Some(Scope::Everything) if all_denied => s.access.denied = true,
        Some(Scope::Everything | Scope::Location | Scope::Require) => s.access.doubtful |= !all_denied,
        _ => {}
    }
}
