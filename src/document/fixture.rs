//! A made-up report with every verdict and reason, for the tests of what
//! people and machines read.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::facts::*;

pub(crate) fn time(s: &str) -> Timestamp {
    s.parse().expect("a time")
}

fn row(name: &str, verdict: Verdict, reason: Reason) -> Row {
    Row {
        name: name.to_owned(),
        unicode: name.to_owned(),
        apex: name.split_once('.').map(|(_, a)| a.to_owned()),
        verdict,
        reason,
        stale: false,
        exposure: None,
        filing: None,
        first_seen: time("2026-11-02T01:00:00Z"),
        exposed_since: None,
        filed_since: None,
        connected_before_filing: false,
        served_by: vec![ServedBy {
            server: Server::Nginx,
            file: format!("/etc/nginx/conf.d/{}.conf", name.trim_start_matches("*.")),
            line: 7,
            listen: vec!["*:80".to_owned(), "*:443 ssl".to_owned()],
        }],
        exempt: None,
    }
}

fn leads(mut r: Row, state: ExposureState, addresses: &[&str], cname: &[&str], why: Option<&str>) -> Row {
    r.exposure = Some(Exposure {
        state,
        addresses: addresses.iter().map(|a| a.parse::<IpAddr>().expect("an address")).collect(),
        cname: cname.iter().map(|s| (*s).to_owned()).collect(),
        checked_at: time("2026-11-02T01:00:03Z"),
        why: why.map(str::to_owned),
        asked: if r.name.starts_with("*.") {
            vec!["example.org.cn".to_owned(), "www.example.org.cn".to_owned()]
        } else {
            Vec::new()
        },
        ttl: None,
    });
    r
}

fn here(r: Row) -> Row {
    leads(r, ExposureState::Here, &["203.0.113.10"], &[], None)
}

fn filing(
    mut r: Row,
    state: FilingState,
    access: AccessState,
    source: SourceState,
    error: Option<Why>,
) -> Row {
    let filed = matches!(state, FilingState::Filed | FilingState::Restricted);
    let opt = |s: &str| filed.then(|| s.to_owned());
    r.filing = Some(Filing {
        state,
        access,
        subject_licence: opt("蜀ICP备00000001号"),
        site_licence: opt("蜀ICP备00000001号-2"),
        unit: opt("成都示例科技有限公司"),
        nature: opt("企业"),
        approved_on: opt("2023-10-18"),
        sources: vec![
            SourceAnswer {
                registry: "provider".into(),
                state: SourceState::Unknown,
                checked_at: time("2026-11-02T01:00:04Z"),
                error: None,
            },
            SourceAnswer {
                registry: "yd2431".into(),
                state: source,
                checked_at: time("2026-11-02T01:00:05Z"),
                error,
            },
        ],
        expires_at: Some(time("2026-11-02T07:00:05Z")),
        why: error,
        filed_for: None,
    });
    r
}

/// Every verdict with every reason that it can have.
pub(crate) fn report() -> Report {
    use AccessState as A;
    use FilingState as F;
    use SourceState as S;
    let no = |r, e| filing(r, F::NotFiled, e, S::NotFiled, None);
    let mut names = vec![
        filing(
            here(row("www.example.com", Verdict::Compliant, Reason::Filed)),
            F::Filed,
            A::Here,
            S::Filed,
            None,
        ),
        filing(
            here(row("new.example.cn", Verdict::Compliant, Reason::AccessPending)),
            F::Filed,
            A::Pending,
            S::Filed,
            None,
        ),
        no(here(row("shop.example.net", Verdict::Violation, Reason::NotFiled)), A::Unknown),
        filing(
            here(row("moved.example.cn", Verdict::Violation, Reason::AccessNotFiled)),
            F::Filed,
            A::Elsewhere,
            S::Filed,
            None,
        ),
        filing(
            here(row("shut.example.cn", Verdict::Violation, Reason::Restricted)),
            F::Restricted,
            A::Unknown,
            S::Restricted,
            None,
        ),
        no(
            leads(
                row("cdn.example.cn", Verdict::Suspected, Reason::NotFiled),
                ExposureState::Fronted,
                &["198.51.100.7"],
                &["cdn.example.cn.w.example-cdn.com"],
                None,
            ),
            A::Unknown,
        ),
        filing(
            leads(
                row("waf.example.cn", Verdict::Suspected, Reason::AccessNotFiled),
                ExposureState::Fronted,
                &["198.51.100.8"],
                &["a.example-waf.com", "b.example-waf.com"],
                None,
            ),
            F::Filed,
            A::Elsewhere,
            S::Filed,
            None,
        ),
        filing(
            here(row("lone.example.cn", Verdict::Suspected, Reason::SuspectedNotFiled)),
            F::SuspectedNotFiled,
            A::Unknown,
            S::SuspectedNotFiled,
            None,
        ),
        no(
            leads(
                row("old.example.cn", Verdict::Dormant, Reason::NotFiled),
                ExposureState::Unresolved,
                &[],
                &[],
                Some("nxdomain"),
            ),
            A::Unknown,
        ),
        no(
            leads(
                row("away.example.cn", Verdict::Dormant, Reason::NotFiled),
                ExposureState::Elsewhere,
                &["192.0.2.1", "192.0.2.2", "2001:db8::1"],
                &[],
                None,
            ),
            A::Elsewhere,
        ),
        filing(
            here(row("slow.example.cn", Verdict::Unconfirmed, Reason::FilingUnknown)),
            F::Unknown,
            A::Unknown,
            S::Unknown,
            Some(Why::Timeout),
        ),
        no(
            leads(
                row("broken.example.cn", Verdict::Unconfirmed, Reason::ExposureUnknown),
                ExposureState::Unknown,
                &[],
                &[],
                Some("servfail"),
            ),
            A::Unknown,
        ),
        no(here(row("*.example.org.cn", Verdict::Violation, Reason::NotFiled)), A::Unknown),
        row("203.0.113.10", Verdict::NotApplicable, Reason::IpLiteral),
        row("intranet", Verdict::NotApplicable, Reason::SingleLabel),
        row("files.local", Verdict::NotApplicable, Reason::Reserved),
        row("com.cn", Verdict::NotApplicable, Reason::PublicSuffix),
        row("abroad.example.cn", Verdict::NotApplicable, Reason::OutsideMainland),
    ];
    let mut idn = no(here(row("xn--fsqu00a.xn--fiqs8s", Verdict::Violation, Reason::NotFiled)), A::Unknown);
    idn.unicode = "例子.中国".to_owned();
    idn.served_by = vec![ServedBy {
        server: Server::Nginx,
        file: "/www/server/panel/vhost/nginx/html_例子.中国.conf".to_owned(),
        line: 1,
        listen: vec!["*:80".to_owned()],
    }];
    names.push(idn);
    let mut hostile = no(here(row("evil.example.cn", Verdict::Violation, Reason::NotFiled)), A::Unknown);
    hostile.served_by = (1..=6)
        .map(|n| ServedBy {
            server: Server::Apache,
            file: "/etc/apache2/sites-enabled/\u{1b}[2J\u{202e}fnoc.evil\n".to_owned(),
            line: n,
            listen: vec!["*:80".to_owned()],
        })
        .collect();
    names.push(hostile);
    let mut exempt = row("let.example.cn", Verdict::NotApplicable, Reason::Exempt);
    exempt.exempt = Some(ExemptedBy {
        name: "example.cn".into(),
        by: "示例合规员".into(),
        why: "示例理由".into(),
        until: Some("2027-12-31".into()),
    });
    names.push(exempt);
    let mut long = no(
        here(row(&format!("{}.example.cn", ["a23456789"; 9].join("-")), Verdict::Dormant, Reason::NotFiled)),
        A::Unknown,
    );
    long.stale = true;
    names.push(long);
    let finding = |kind, server, file: &str, listen: &[&str]| Finding {
        kind,
        server,
        file: file.to_owned(),
        line: 3,
        detail: "answers for any name".to_owned(),
        listen: listen.iter().map(|s| (*s).to_owned()).collect(),
    };
    let problem = |kind, file: Option<&str>, registry: Option<&str>, message: &str| Problem {
        file: file.map(str::to_owned),
        line: file.map(|_| 12),
        kind,
        registry: registry.map(str::to_owned),
        message: message.to_owned(),
    };
    Report {
        transitions: Vec::new(),
        losses: Vec::new(),
        part: None,
        schema: REPORT_SCHEMA.to_owned(),
        report_id: "0193c000-0000-7000-8000-000000000001".to_owned(),
        sequence: 0,
        complete: false,
        scanned_at: time("2026-11-02T01:00:00Z"),
        agent: Agent { id: None, version: "0.1.0".to_owned(), hostname: "web-1".to_owned() },
        addresses: vec!["203.0.113.10".parse().expect("an address")],
        summary: Summary::of(&names),
        names,
        findings: vec![
            finding(
                FindingKind::UnboundedNames,
                Server::Nginx,
                "/www/server/panel/vhost/nginx/shop.example.net.conf",
                &["*:80", "*:443 ssl"],
            ),
            finding(
                FindingKind::ImplicitDefault,
                Server::Apache,
                "/etc/apache2/sites-enabled/000-default.conf",
                &["*:80", "*:443 ssl"],
            ),
            finding(FindingKind::IpOnly, Server::Nginx, "/etc/nginx/conf.d/ip.conf", &["*:8080"]),
        ],
        problems: vec![
            problem(
                ProblemKind::Unreadable,
                Some("/etc/nginx/conf.d/closed.conf"),
                None,
                "no permission to read it",
            ),
            problem(
                ProblemKind::MissingInclude,
                Some("/etc/nginx/nginx.conf"),
                None,
                "an included file is not there",
            ),
            problem(
                ProblemKind::RegistryConfiguration,
                None,
                Some("yd2431"),
                "the registry refuses the password (code 5)",
            ),
            problem(
                ProblemKind::PublicAddressUnknown,
                None,
                None,
                "only private addresses are known: set [server] public_addresses",
            ),
        ],
    }
}

/// Sites of every shape.
pub(crate) fn scan() -> Scan {
    let site = |server, names: &[&str], listen: &[&str], file: &str, line| {
        let mut s = Site::new(server, file, line);
        s.names = names.iter().map(|n| (*n).to_owned()).collect();
        s.listen = listen.iter().map(|n| (*n).to_owned()).collect();
        s
    };
    let mut plain = site(
        Server::Nginx,
        &["shop.example.com", "www.example.com"],
        &["*:80", "*:443 ssl"],
        "/etc/nginx/conf.d/shop.conf",
        7,
    );
    plain.root = Some("/var/www/shop".to_owned());
    plain.upstream = vec!["http://127.0.0.1:3000".to_owned()];
    plain.certificates = vec!["/etc/ssl/shop.pem".to_owned()];
    plain.shadowed = vec!["www.example.com".to_owned()];
    let mut first = site(
        Server::Nginx,
        &["=cmd|' /C calc'!A0.example.com", "~^u\\d+\\.example\\.com$", ""],
        &["*:80", "[::]:80"],
        "/etc/nginx/conf.d/00.conf",
        1,
    );
    first.default = first.listen.clone();
    first.implicit_default = first.listen.clone();
    let mut refuse = site(Server::Nginx, &["_"], &["*:8443 ssl"], "/etc/nginx/conf.d/refuse.conf", 2);
    refuse.default = refuse.listen.clone();
    refuse.refuses = refuse.listen.clone();
    let mut panel = site(
        Server::Apache,
        &["1a2b3c4d.shop.example.net", "示例.公司"],
        &["*:8080"],
        "/www/server/panel/vhost/apache/shop.example.net.conf",
        1,
    );
    panel.synthetic = vec!["1a2b3c4d.shop.example.net".to_owned()];
    let mut routed =
        site(Server::Apache, &[], &["unix:/run/a.sock"], "/etc/apache2/sites-enabled/mass.conf", 30);
    routed.unbounded = vec![Unbounded::VhostAlias];
    routed.redirect = Some("https://example.com/".to_owned());
    Scan {
        sites: vec![plain, first, refuse, panel, routed],
        problems: vec![Problem::at(
            "/etc/nginx/conf.d/b.conf",
            Some(3),
            ProblemKind::UnclosedBlock,
            "a block is not closed",
        )],
    }
}
