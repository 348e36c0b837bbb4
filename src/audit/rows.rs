//! Sites to rows: every served name once, with the places that serve it.

use std::collections::HashMap;

use jiff::{Timestamp, tz};

use crate::config::{Config, Exempt};
use crate::facts::{ExemptedBy, Problem, ProblemKind, Reason, Row, ServedBy, Server, Site, Verdict};
use crate::names::{self, NameClass, Target};

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Judged(Target),
    NotApplicable { name: String, unicode: String, apex: Option<String>, reason: Reason },
}

impl Subject {
    fn name(&self) -> &str {
        match self {
            Subject::Judged(t) => &t.name,
            Subject::NotApplicable { name, .. } => name,
        }
    }
}

/// A row before its facts are known.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) subject: Subject,
    served_by: Vec<ServedBy>,
    exempt: Option<ExemptedBy>,
}

impl Draft {
    /// The name to resolve and to look up, where one is.
    pub(super) fn target(&self) -> Option<&Target> {
        match &self.subject {
            Subject::Judged(t) => Some(t),
            Subject::NotApplicable { .. } => None,
        }
    }

    /// The name of its row.
    pub(super) fn name(&self) -> &str {
        self.subject.name()
    }

    /// The row of a name that needs no filing; of another, its frame.
    pub(super) fn into_row(self, now: Timestamp) -> Row {
        let (name, unicode, apex, reason) = match self.subject {
            Subject::Judged(t) => (t.name, t.unicode, Some(t.apex), Reason::FilingUnknown),
            Subject::NotApplicable { name, unicode, apex, reason } => (name, unicode, apex, reason),
        };
        Row {
            name,
            unicode,
            apex,
            verdict: Verdict::NotApplicable,
            reason,
            stale: false,
            exposure: None,
            filing: None,
            first_seen: now,
            exposed_since: None,
            filed_since: None,
            connected_before_filing: false,
            served_by: self.served_by,
            exempt: self.exempt,
        }
    }
}

/// What exempts names: the provider's whitelist, and where the server stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    exempt: Vec<(String, ExemptedBy)>,
    mainland: bool,
}

impl Policy {
    /// Exemptions that have run out by the mainland's calendar do not count.
    pub(super) fn new(cfg: &Config, now: Timestamp) -> Policy {
        let today = tz::offset(8).to_datetime(now).date();
        let exempt = cfg
            .exempt
            .iter()
            .filter(|e| e.until.is_none_or(|until| until >= today))
            .flat_map(|e| bases(&e.name).into_iter().map(|base| (base, exempted_by(e))))
            .collect();
        Policy { exempt, mainland: cfg.mainland }
    }

    /// Why a name that would be judged needs no filing after all.
    fn spares(&self, t: &Target) -> Option<(Reason, Option<ExemptedBy>)> {
        // A wildcard or regex is exempt where all that it serves is.
        let base = match t.name.strip_prefix("*.") {
            Some(base) => base,
            None if t.name.starts_with('~') => t.apex.as_str(),
            None => t.name.as_str(),
        };
        if let Some((_, by)) = self.exempt.iter().find(|(e, _)| is_below(base, e)) {
            return Some((Reason::Exempt, Some(by.clone())));
        }
        (!self.mainland).then_some((Reason::OutsideMainland, None))
    }
}

fn exempted_by(e: &Exempt) -> ExemptedBy {
    ExemptedBy {
        name: e.name.clone(),
        by: e.by.clone(),
        why: e.why.clone(),
        until: e.until.map(|d| d.to_string()),
    }
}

/// An exempted name in A-labels, a wildcard's star taken off.
fn bases(name: &str) -> Vec<String> {
    names::classify(name, Server::Nginx)
        .into_iter()
        .filter_map(|c| match c {
            NameClass::Judged(t) => Some(t.name.trim_start_matches("*.").to_owned()),
            NameClass::NotApplicable { name, .. } => Some(name),
            _ => None,
        })
        .collect()
}

/// `name` is `base` or a name below it.
fn is_below(name: &str, base: &str) -> bool {
    name == base || name.strip_suffix(base).is_some_and(|head| head.ends_with('.'))
}

/// Rows in the making, in load order.
pub(super) struct Drafts<'p> {
    policy: &'p Policy,
    drafts: Vec<Draft>,
    by_name: HashMap<String, usize>,
    not_names: Vec<Problem>,
}

impl<'p> Drafts<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        Drafts { policy, drafts: Vec::new(), by_name: HashMap::new(), not_names: Vec::new() }
    }

    /// A plain list (`--names`): nobody serves these names here.
    pub(super) fn add_list(&mut self, list: &[String]) {
        for (i, raw) in list.iter().enumerate() {
            // A list is written by a person: a name that is none is said so,
            // by its place, since its text may be anything.
            let mut usable = false;
            for class in names::classify(raw, Server::Nginx) {
                usable |= !matches!(class, NameClass::NotAName);
                self.add(class, None, |_| {});
            }
            if !usable {
                self.not_names.push(Problem {
                    file: None,
                    line: None,
                    kind: ProblemKind::NotAName,
                    registry: None,
                    message: format!("entry {} of the list of names is no host name", i + 1),
                });
            }
        }
    }

    /// What the sites of a scan serve.
    pub(super) fn add_sites(&mut self, sites: &[Site]) {
        for site in sites {
            self.add_site(site, |_| {});
        }
    }

    /// What a site serves. A name that an earlier site takes is listed with
    /// the later place too: taking it off the server means changing both, or
    /// the second would serve it from then on. `row` is told the name of every
    /// row that the site has a part in. Whether all of its names can be names.
    pub(super) fn add_site(&mut self, site: &Site, mut row: impl FnMut(&str)) -> bool {
        let mut all = true;
        for raw in site.names.iter().filter(|n| !site.synthetic.contains(n)) {
            for class in names::classify(raw, site.server) {
                match class {
                    NameClass::NotAName => {
                        all = false;
                        self.not_names.push(Problem::at(
                            site.file.clone(),
                            Some(site.line),
                            ProblemKind::NotAName,
                            "a server name of this site can be no host name",
                        ));
                    }
                    class => self.add(class, Some(site), &mut row),
                }
            }
        }
        all
    }

    fn add(&mut self, class: NameClass, place: Option<&Site>, row: impl FnOnce(&str)) {
        let (subject, exempt) = match class {
            NameClass::Judged(t) => match self.policy.spares(&t) {
                Some((reason, by)) => (
                    Subject::NotApplicable { name: t.name, unicode: t.unicode, apex: Some(t.apex), reason },
                    by,
                ),
                None => (Subject::Judged(t), None),
            },
            NameClass::NotApplicable { name, unicode, apex, reason } => {
                (Subject::NotApplicable { name, unicode, apex, reason }, None)
            }
            NameClass::CatchAll | NameClass::Unbounded | NameClass::NotAName => return,
        };
        row(subject.name());
        let served = place.map(served_by);
        match self.by_name.get(subject.name()) {
            Some(&i) => {
                if let (Some(d), Some(s)) = (self.drafts.get_mut(i), served)
                    && !d.served_by.contains(&s)
                {
                    d.served_by.push(s);
                }
            }
            None => {
                self.by_name.insert(subject.name().to_owned(), self.drafts.len());
                self.drafts.push(Draft { subject, served_by: served.into_iter().collect(), exempt });
            }
        }
    }

    /// Keeps one name (`explain`), in whatever spelling. A name that stands
    /// in no file, but that a wildcard covers, is served where that stands.
    pub(super) fn keep_only(&mut self, only: &str, sites: &[Site]) {
        let mut wanted = Drafts::new(self.policy);
        for class in names::classify(only, Server::Nginx) {
            wanted.add(class, None, |_| {});
        }
        for want in &mut wanted.drafts {
            let name = want.subject.name().to_owned();
            if let Some(&i) = self.by_name.get(&name)
                && let Some(have) = self.drafts.get(i)
            {
                want.served_by.clone_from(&have.served_by);
                continue;
            }
            for site in sites {
                let covers =
                    site.names.iter().flat_map(|n| names::classify(n, site.server)).any(|c| match c {
                        NameClass::Judged(t) => t
                            .name
                            .strip_prefix("*.")
                            .is_some_and(|base| is_below(&name, base) && name != base),
                        _ => false,
                    });
                if covers {
                    want.served_by.push(served_by(site));
                }
            }
        }
        self.drafts = wanted.drafts;
        self.by_name.clear();
    }

    pub(super) fn finish(self) -> (Vec<Draft>, Vec<Problem>) {
        let mut not_names = self.not_names;
        not_names.dedup();
        (self.drafts, not_names)
    }
}

fn served_by(site: &Site) -> ServedBy {
    ServedBy { server: site.server, file: site.file.clone(), line: site.line, listen: site.listen.clone() }
}
