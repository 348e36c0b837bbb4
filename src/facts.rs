//! The nouns every room speaks: plain data, no I/O, and the wire schema of
//! `beian.sites/1` and `beian.report/1`.
//!
//! Field names and spellings are a contract: tools outside this project read
//! them. Additions keep the `/1`; readers ignore what they do not know.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Schema name of `sites --format json`.
pub const SITES_SCHEMA: &str = "beian.sites/1";
/// Schema name of the report that `audit`, the push and the poll share.
pub const REPORT_SCHEMA: &str = "beian.report/1";

macro_rules! word_enum {
    ($(#[$m:meta])* $name:ident { $($(#[$vm:meta])* $var:ident = $word:literal),+ $(,)? }) => {
        $(#[$m])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vm])* #[serde(rename = $word)] $var),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$var),+];

            /// The word that stands for this value on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$var => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = ();
            fn from_str(s: &str) -> Result<Self, ()> {
                match s { $($word => Ok($name::$var),)+ _ => Err(()) }
            }
        }
    };
}

word_enum! {
    /// A kind of web server whose configuration is read.
    Server {
        /// nginx, Tengine, OpenResty.
        Nginx = "nginx",
        /// Apache HTTP Server 2.2 and 2.4.
        Apache = "apache",
    }
}

word_enum! {
    /// Why a site has names that stand in no file.
    Unbounded {
        /// Routing in Lua.
        Lua = "lua",
        /// Apache's mod_vhost_alias.
        VhostAlias = "vhost_alias",
    }
}

word_enum! {
    /// What kept a part of a configuration from being read, or what a reader
    /// should know about it.
    ProblemKind {
        /// A file includes itself, directly or through others.
        IncludeLoop = "include_loop",
        /// Includes are nested deeper than `limits.include_depth`.
        IncludeDepth = "include_depth",
        /// More files than `limits.files`, or longer than `limits.seconds`.
        IncludeLimit = "include_limit",
        /// A file that is named literally is not there.
        MissingInclude = "missing_include",
        /// A FIFO, socket, device or folder where a file belongs.
        NotRegularFile = "not_regular_file",
        /// Symbolic links that lead in a ring.
        SymlinkLoop = "symlink_loop",
        /// A file larger than `limits.file_bytes`.
        TooLarge = "too_large",
        /// A file that this user may not read, or that is never opened.
        Unreadable = "unreadable",
        /// A block that its file does not close.
        UnclosedBlock = "unclosed_block",
        /// Blocks nested deeper than the reader follows.
        NestingDepth = "nesting_depth",
        /// Text that the server itself would refuse.
        Syntax = "syntax",
        /// A NUL byte where the server refuses or cuts it.
        NulByte = "nul_byte",
        /// Bytes in no encoding that the server takes (a byte-order mark).
        Encoding = "encoding",
        /// A variable that nothing sets.
        UnresolvedVariable = "unresolved_variable",
        /// An `include_shell`: never run.
        IncludeShell = "include_shell",
        /// An external XML entity: never opened.
        ExternalEntity = "external_entity",
        /// XML entities that expand beyond the bound.
        EntityLimit = "entity_limit",
        /// A site that is configured, but switched off.
        SiteDisabled = "site_disabled",
        /// A template that its own server fills in.
        UnrenderedTemplate = "unrendered_template",
        /// A source of sites that is not read.
        UnreadProvider = "unread_provider",
        /// Text in the place of a name that can be no name.
        NotAName = "not_a_name",
        /// Only private addresses of this server are known.
        PublicAddressUnknown = "public_address_unknown",
        /// A registry refuses for a reason that only its operator can mend.
        RegistryConfiguration = "registry_configuration",
    }
}

impl ProblemKind {
    /// Whether something of the customers' configuration stayed unread, so
    /// that the report is not `complete` (contract-details Q2).
    pub const fn incomplete(self) -> bool {
        !matches!(
            self,
            ProblemKind::UnresolvedVariable
                | ProblemKind::SiteDisabled
                | ProblemKind::NotAName
                | ProblemKind::PublicAddressUnknown
                | ProblemKind::RegistryConfiguration
        )
    }
}

/// Something that was not read, or that a reader should know. Its message
/// never quotes a file beyond directive names of the reader's own list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Absolute path inside the root; absent where no file is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// 1-based line in `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What happened.
    pub kind: ProblemKind,
    /// The registry that is meant, by its name in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// One English sentence.
    pub message: String,
}

impl Problem {
    /// A problem of a file.
    pub fn at(
        file: impl Into<String>,
        line: Option<u32>,
        kind: ProblemKind,
        message: impl Into<String>,
    ) -> Self {
        Problem { file: Some(file.into()), line, kind, registry: None, message: message.into() }
    }
}

/// What a set of host names selects: one `server {}`, `<VirtualHost>` or site
/// block, in the order in which the server loads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The kind of server whose configuration holds it.
    pub server: Server,
    /// Names as written, unquoted, decoded, variables filled in, each once.
    pub names: Vec<String>,
    /// `ADDRESS:PORT[ ssl]`, `unix:PATH[ ssl]`.
    pub listen: Vec<String>,
    /// The listens on which this site answers unknown names.
    pub default: Vec<String>,
    /// Names that an earlier site on the same listens already takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<String>,
    /// Absolute path inside the root by which the server opened the file.
    pub file: String,
    /// Where the block opens, 1-based.
    pub line: u32,
    /// Document root, as written.
    pub root: Option<String>,
    /// Where requests are passed on, as URLs (`http://…`, `fastcgi://…`).
    pub upstream: Vec<String>,
    /// Certificate files.
    pub certificates: Vec<String>,
    /// Target of the redirect, when the site does nothing but redirect.
    pub redirect: Option<String>,
    /// Why the site has names that stand in no file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbounded: Vec<Unbounded>,
    /// Those of `names` that a panel made up; nobody is asked to file them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synthetic: Vec<String>,
    /// Those of `default` on which the site refuses instead of answering
    /// (`return 444`, `ssl_reject_handshake on`, a vhost that answers 403 to
    /// everything): a safe catch-all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refuses: Vec<String>,
    /// Those of `default` where this site is the default only by its place
    /// in the load order, not by an explicit mark (contract-details Q14).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub implicit_default: Vec<String>,
}

impl Site {
    /// A site with nothing in it yet.
    pub fn new(server: Server, file: impl Into<String>, line: u32) -> Self {
        Site {
            server,
            names: Vec::new(),
            listen: Vec::new(),
            default: Vec::new(),
            shadowed: Vec::new(),
            file: file.into(),
            line,
            root: None,
            upstream: Vec::new(),
            certificates: Vec::new(),
            redirect: None,
            unbounded: Vec::new(),
            synthetic: Vec::new(),
            refuses: Vec::new(),
            implicit_default: Vec::new(),
        }
    }
}

/// What the readers found under one root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// In load order, server by server.
    pub sites: Vec<Site>,
    /// What was not read, or should be known.
    pub problems: Vec<Problem>,
}

impl Scan {
    /// Whether all of the configuration was read (contract-details Q2).
    pub fn complete(&self) -> bool {
        !self.problems.iter().any(|p| p.kind.incomplete())
    }

    /// Appends what another reader found.
    pub fn extend(&mut self, other: Scan) {
        if self.sites.is_empty() {
            // Most machines have one reader: nothing is moved.
            self.sites = other.sites;
        } else {
            self.sites.extend(other.sites);
        }
        self.problems.extend(other.problems);
    }
}

word_enum! {
    /// Where a name leads (rules.md, "Facts, then verdict").
    ExposureState {
        /// An address of the name is one of this server's addresses.
        Here = "here",
        /// A CNAME of a known CDN or WAF.
        Fronted = "fronted",
        /// It leads somewhere else.
        Elsewhere = "elsewhere",
        /// The name does not exist, or has no address.
        Unresolved = "unresolved",
        /// Nobody can say: SERVFAIL, timeout, refusal, or behind NAT.
        Unknown = "unknown",
    }
}

/// Where a name leads, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// The fact.
    pub state: ExposureState,
    /// Every address that the resolver gave.
    pub addresses: Vec<IpAddr>,
    /// The CNAME chain in order, without final dots.
    pub cname: Vec<String>,
    /// When the resolver was asked.
    pub checked_at: Timestamp,
    /// The outcome in one word where there was no address, or where a part
    /// failed: `nxdomain`, `no_data`, `servfail`, `refused`, `timeout`,
    /// `cname_loop`, `malformed`, `unreachable`, `public_address_unknown`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The names that were really asked, where that is not the row's own
    /// name (wildcards, anchored regexes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<String>,
    /// Seconds for which the resolver's answer holds (the lowest TTL of the
    /// chain), where it gave one. Not on the wire.
    #[serde(skip)]
    pub ttl: Option<u32>,
}

word_enum! {
    /// Whether a domain is filed (rules.md).
    FilingState {
        /// Filed with the ministry.
        Filed = "filed",
        /// Filed, but must not be connected (限制接入).
        Restricted = "restricted",
        /// Authoritatively not filed, or two sources agree.
        NotFiled = "not_filed",
        /// One non-authoritative source says no, its canary was good.
        SuspectedNotFiled = "suspected_not_filed",
        /// Nobody can say.
        Unknown = "unknown",
    }
}

word_enum! {
    /// Whether a domain is connected at this provider (接入备案).
    AccessState {
        /// Connected here.
        Here = "here",
        /// First review passed.
        Pending = "pending",
        /// Not connected here: certain.
        Elsewhere = "elsewhere",
        /// Nobody can say.
        Unknown = "unknown",
    }
}

word_enum! {
    /// What one source said of one domain.
    SourceState {
        /// It is filed.
        Filed = "filed",
        /// It is filed and restricted.
        Restricted = "restricted",
        /// Explicitly not filed, from an authoritative source.
        NotFiled = "not_filed",
        /// A negative of a source that cannot stand alone.
        SuspectedNotFiled = "suspected_not_filed",
        /// The provider's database, declared complete, has no row.
        NotConnected = "not_connected",
        /// It gave no usable answer.
        Unknown = "unknown",
    }
}

word_enum! {
    /// Why a source, or all of them, gave no answer (contract-details Q5).
    Why {
        /// No complete answer in time.
        Timeout = "timeout",
        /// The source takes us for an attack, or blocks our address.
        Blocked = "blocked",
        /// Too many questions.
        Throttled = "throttled",
        /// It does not accept our key or token.
        Unauthorised = "unauthorised",
        /// Our account there is empty.
        Credit = "credit",
        /// Something that only the operator can mend.
        Configuration = "configuration",
        /// Not an answer to our question.
        Malformed = "malformed",
        /// A negative that no good canary stands behind.
        CanaryFailed = "canary_failed",
        /// A longer answer than we read.
        TooLarge = "too_large",
        /// It sent us elsewhere; we do not follow.
        Redirected = "redirected",
        /// It cannot be reached, or says that it is out of order.
        Unavailable = "unavailable",
        /// The sources contradict each other.
        SourcesDisagree = "sources_disagree",
        /// No registry is configured that could answer.
        NoRegistry = "no_registry",
        /// The daemon has not asked yet.
        NotAsked = "not_asked",
    }
}

/// What one source said, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceAnswer {
    /// The source's name in the configuration.
    pub registry: String,
    /// What it said.
    pub state: SourceState,
    /// When it was asked.
    pub checked_at: Timestamp,
    /// Why it said nothing usable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Why>,
}

/// Whether a domain is filed and connected here, with every source's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filing {
    /// The filing itself.
    pub state: FilingState,
    /// The connection at this provider.
    pub access: AccessState,
    /// Subject licence (主体备案号).
    pub subject_licence: Option<String>,
    /// Site licence (网站备案号).
    pub site_licence: Option<String>,
    /// The filing unit (主办单位).
    pub unit: Option<String>,
    /// Its nature (单位性质).
    pub nature: Option<String>,
    /// Approval date, `YYYY-MM-DD`, as the source gave it.
    pub approved_on: Option<String>,
    /// Every source that was asked, in the order of the configuration.
    pub sources: Vec<SourceAnswer>,
    /// Until when the fact may be used without asking again.
    pub expires_at: Option<Timestamp>,
    /// Why `state` is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// The name that is filed, where more than the apex was asked for (names
    /// under .gov.cn, contract-details Q11).
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub filed_for: Option<String>,
}

impl Filing {
    /// A filing about which nothing is known.
    pub fn unknown(why: Why) -> Self {
        Filing {
            state: FilingState::Unknown,
            access: AccessState::Unknown,
            subject_licence: None,
            site_licence: None,
            unit: None,
            nature: None,
            approved_on: None,
            sources: Vec::new(),
            expires_at: None,
            why: Some(why),
            filed_for: None,
        }
    }
}

word_enum! {
    /// What the rules say of a name.
    Verdict {
        /// Filed, and connected here as far as anyone can say.
        Compliant = "compliant",
        /// Breaks 先备案，再接入.
        Violation = "violation",
        /// Would break it, but one fact is not certain.
        Suspected = "suspected",
        /// Configured, but does not lead here.
        Dormant = "dormant",
        /// A question stayed without an answer: never a verdict.
        Unconfirmed = "unconfirmed",
        /// Needs no filing.
        NotApplicable = "not_applicable",
    }
}

word_enum! {
    /// Why a name has its verdict (contract-details Q5).
    Reason {
        /// Filed.
        Filed = "filed",
        /// The provider's first review has passed.
        AccessPending = "access_pending",
        /// Not filed.
        NotFiled = "not_filed",
        /// Not connected at this provider.
        AccessNotFiled = "access_not_filed",
        /// Access-restricted.
        Restricted = "restricted",
        /// One source says that it is not filed.
        SuspectedNotFiled = "suspected_not_filed",
        /// Nobody can say whether it is filed.
        FilingUnknown = "filing_unknown",
        /// Nobody can say whether it leads here.
        ExposureUnknown = "exposure_unknown",
        /// An IP address.
        IpLiteral = "ip_literal",
        /// A name without a dot.
        SingleLabel = "single_label",
        /// A reserved or private-use name.
        Reserved = "reserved",
        /// A public suffix itself.
        PublicSuffix = "public_suffix",
        /// Exempted by the provider.
        Exempt = "exempt",
        /// The server stands outside the mainland.
        OutsideMainland = "outside_mainland",
    }
}

/// A place where a name is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedBy {
    /// The server.
    pub server: Server,
    /// Absolute path inside the root.
    pub file: String,
    /// Where the site's block opens.
    pub line: u32,
    /// On which listens.
    pub listen: Vec<String>,
}

/// Who exempted a name, why and until when (`[[exempt]]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct ExemptedBy {
    /// The exempted name; all below it is exempt too.
    pub name: String,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// Until when, `YYYY-MM-DD`, last day included.
    pub until: Option<String>,
}

/// One served name with its verdict and the evidence for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Lower-case A-labels without final dot; a regex exactly as written.
    pub name: String,
    /// The same in U-labels.
    pub unicode: String,
    /// Registrable domain (A-labels); absent where there is none.
    pub apex: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: Reason,
    /// The verdict rests on a fact that could not be refreshed.
    pub stale: bool,
    /// Where the name leads; null when not applicable.
    pub exposure: Option<Exposure>,
    /// Whether it is filed; null when not applicable.
    pub filing: Option<Filing>,
    /// When the name was first seen on this server.
    pub first_seen: Timestamp,
    /// Since when it leads here.
    pub exposed_since: Option<Timestamp>,
    /// Since when it is filed: the approval date, `YYYY-MM-DD`.
    pub filed_since: Option<String>,
    /// It was exposed before its filing was approved.
    pub connected_before_filing: bool,
    /// Where it is configured.
    pub served_by: Vec<ServedBy>,
    /// Who exempted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exempt: Option<ExemptedBy>,
}

word_enum! {
    /// What is wrong with a site rather than with a name.
    FindingKind {
        /// The site answers for names that stand in no file.
        UnboundedNames = "unbounded_names",
        /// A named site answers for unknown names, being the first.
        ImplicitDefault = "implicit_default",
        /// A site that is reached by IP address only.
        IpOnly = "ip_only",
    }
}

/// Something wrong with a site rather than with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// On which server.
    pub server: Server,
    /// Absolute path inside the root.
    pub file: String,
    /// Where the site's block opens.
    pub line: u32,
    /// One English sentence.
    pub detail: String,
    /// The listens it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<String>,
}

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Given by the hub; null before enrolment and in one-off audits.
    pub id: Option<String>,
    /// Version of the agent.
    pub version: String,
    /// Host name.
    pub hostname: String,
}

/// Rows counted by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// All rows.
    pub names: usize,
    /// Rows of that verdict, and so on.
    pub compliant: usize,
    /// See [`Verdict::Violation`].
    pub violation: usize,
    /// See [`Verdict::Suspected`].
    pub suspected: usize,
    /// See [`Verdict::Dormant`].
    pub dormant: usize,
    /// See [`Verdict::Unconfirmed`].
    pub unconfirmed: usize,
    /// See [`Verdict::NotApplicable`].
    pub not_applicable: usize,
}

impl Summary {
    /// Counts rows.
    pub fn of(rows: &[Row]) -> Self {
        let mut s = Summary { names: rows.len(), ..Summary::default() };
        for r in rows {
            *match r.verdict {
                Verdict::Compliant => &mut s.compliant,
                Verdict::Violation => &mut s.violation,
                Verdict::Suspected => &mut s.suspected,
                Verdict::Dormant => &mut s.dormant,
                Verdict::Unconfirmed => &mut s.unconfirmed,
                Verdict::NotApplicable => &mut s.not_applicable,
            } += 1;
        }
        s
    }
}

/// What a name stood at, in a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The verdict.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: Reason,
    /// It rested on a fact that could not be refreshed.
    pub stale: bool,
}

/// A name's verdict changed: what the ledger keeps, and what a report tells
/// beside the state, so that nothing between two reports is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// UUID version 7; the same in every report that tells it.
    pub id: String,
    /// When the new verdict was reached.
    pub at: Timestamp,
    /// The row's name.
    pub name: String,
    /// Before; null when the name was not known.
    pub from: Option<Standing>,
    /// After; null when the name is not served any more.
    pub to: Option<Standing>,
    /// The row at that moment, with its evidence; absent where the report
    /// that tells the transition has the very same row among its `names`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Box<Row>>,
}

word_enum! {
    /// What an agent lost of what it should remember or tell.
    LossKind {
        /// The ledger could not be read and was set aside; a new one began.
        LedgerSetAside = "ledger_set_aside",
        /// Transitions were dropped to keep the ledger below its ceiling.
        TransitionsDropped = "transitions_dropped",
        /// The hub refused a report for good.
        DeadLetter = "dead_letter",
    }
}

/// Something an agent lost: told to the hub, never hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What.
    pub kind: LossKind,
    /// When it was noticed.
    pub at: Timestamp,
    /// How many.
    pub count: u64,
    /// One English sentence.
    pub detail: String,
}

/// Which part of a report that was too large for the hub this one is. All
/// parts have the same `report_id` and `summary`, each its own sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 1.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

/// One full pass over one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_SCHEMA`].
    pub schema: String,
    /// UUID version 7.
    pub report_id: String,
    /// Counts up per agent; 0 in one-off audits.
    pub sequence: u64,
    /// Whether all of the configuration was read.
    pub complete: bool,
    /// When the pass began.
    pub scanned_at: Timestamp,
    /// Who reports.
    pub agent: Agent,
    /// This server's own addresses, as the verdicts took them.
    pub addresses: Vec<IpAddr>,
    /// The rows counted.
    pub summary: Summary,
    /// One row a name.
    pub names: Vec<Row>,
    /// What is wrong with sites rather than names.
    pub findings: Vec<Finding>,
    /// What was not read, or should be known.
    pub problems: Vec<Problem>,
    /// The daemon's: what changed since the last report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<Transition>,
    /// The daemon's: what was lost since the last report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// Which part this is, where the hub took no whole report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}
