//! What is wrong with sites rather than with names: sites that answer for any
//! name that someone points here, and sites reached by address only.

use crate::facts::{Finding, FindingKind, Reason, Server, Site, Unbounded};
use crate::names::{self, NameClass};

/// The findings of a scan, in load order; of each kind at most one a site.
pub(super) fn of(sites: &[Site]) -> Vec<Finding> {
    let mut out = Vec::new();
    for site in sites {
        let names = Names::of(site);
        if let Some(f) = unbounded(site, &names) {
            out.push(f);
        } else if let Some(f) = implicit_default(site, &names) {
            out.push(f);
        }
        if names.addresses > 0 && names.addresses == names.written {
            out.push(finding(
                site,
                FindingKind::IpOnly,
                "this site is reached by IP address only; the law counts it, ask the provider".to_owned(),
                site.listen.clone(),
            ));
        }
    }
    out
}

#[derive(Default)]
struct Names {
    /// Names that stand in the file and mean something.
    written: usize,
    addresses: usize,
    catch_all: bool,
    unbounded: bool,
}

impl Names {
    fn of(site: &Site) -> Names {
        let mut n = Names::default();
        for class in site.names.iter().flat_map(|raw| names::classify(raw, site.server)) {
            match class {
                NameClass::Judged(_) => n.written += 1,
                NameClass::NotApplicable { reason, .. } => {
                    n.written += 1;
                    n.addresses += usize::from(reason == Reason::IpLiteral);
                }
                NameClass::CatchAll => n.catch_all = true,
                NameClass::Unbounded => n.unbounded = true,
                NameClass::NotAName => {}
            }
        }
        n
    }
}

/// A default that answers with content serves any domain that someone points
/// here (rules.md); so do patterns without a fixed domain, and names that no
/// file holds.
fn unbounded(site: &Site, names: &Names) -> Option<Finding> {
    let answering = answering_defaults(site);
    let explicit: Vec<String> = answering
        .iter()
        .filter(|l| !site.implicit_default.contains(l) || names.written == 0)
        .cloned()
        .collect();
    // A bare `*` alias takes every name in Apache, and so does a regex for
    // anything in nginx, default or not; `_` and its like are names that
    // nobody asks for.
    let takes_all = names.catch_all
        && site
            .names
            .iter()
            .any(|n| if site.server == Server::Apache { n == "*" } else { n.starts_with('~') });
    let mut reasons = Vec::new();
    if !explicit.is_empty() {
        reasons.push(format!("answers any name on {}", explicit.join(", ")));
    }
    if names.unbounded || takes_all {
        reasons.push("has a pattern for names of any domain".to_owned());
    }
    for u in &site.unbounded {
        reasons.push(
            match u {
                Unbounded::Lua => "routes in Lua, names may stand in no file",
                Unbounded::VhostAlias => "mass virtual hosting (mod_vhost_alias), names stand in no file",
            }
            .to_owned(),
        );
    }
    (!reasons.is_empty()).then(|| {
        finding(site, FindingKind::UnboundedNames, format!("this site {}", reasons.join("; ")), answering)
    })
}

/// The first site on a listen, and no other marked as the default there.
fn implicit_default(site: &Site, names: &Names) -> Option<Finding> {
    let listens: Vec<String> = answering_defaults(site)
        .into_iter()
        .filter(|l| site.implicit_default.contains(l) && !is_local(l))
        .collect();
    (names.written > 0 && !listens.is_empty()).then(|| {
        finding(
            site,
            FindingKind::ImplicitDefault,
            format!("this site, being the first, answers any name on {}", listens.join(", ")),
            listens,
        )
    })
}

fn answering_defaults(site: &Site) -> Vec<String> {
    site.default.iter().filter(|l| !site.refuses.contains(l)).cloned().collect()
}

/// A listen that nobody reaches from outside.
fn is_local(listen: &str) -> bool {
    listen.starts_with("127.")
        || listen.starts_with("[::1]")
        || listen.starts_with("unix:")
        || listen.starts_with("localhost:")
}

fn finding(site: &Site, kind: FindingKind, detail: String, listen: Vec<String>) -> Finding {
    Finding { kind, server: site.server, file: site.file.clone(), line: site.line, detail, listen }
}
