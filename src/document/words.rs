//! The words of the facts, Chinese and English.

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::config::Lang;
use crate::facts::{
    AccessState, ExposureState, FilingState, FindingKind, ProblemKind, Reason, Server, SourceState, Verdict,
    Why,
};

use super::Tone;

/// A time as a person in the mainland reads it.
pub fn local_time(t: Timestamp) -> String {
    Offset::constant(8).to_datetime(t).strftime("%Y-%m-%d %H:%M:%S +08:00").to_string()
}

pub(super) fn verdict(v: Verdict, lang: Lang) -> &'static str {
    match v {
        Verdict::Violation => lang.pick("违规", "violation"),
        Verdict::Suspected => lang.pick("疑似", "suspected"),
        Verdict::Unconfirmed => lang.pick("待核实", "unconfirmed"),
        Verdict::Dormant => lang.pick("未指向", "dormant"),
        Verdict::Compliant => lang.pick("合规", "compliant"),
        Verdict::NotApplicable => lang.pick("无需备案", "n/a"),
    }
}

/// A sign beside the word, so that colour is never the only one. All are one
/// column wide on every terminal.
pub(super) fn sign(v: Verdict) -> (&'static str, Tone) {
    match v {
        Verdict::Violation => ("✗", Tone::Bad),
        Verdict::Suspected => ("!", Tone::Doubt),
        Verdict::Unconfirmed => ("?", Tone::Doubt),
        Verdict::Dormant => ("-", Tone::Dim),
        Verdict::Compliant => ("✓", Tone::Good),
        Verdict::NotApplicable => (".", Tone::Dim),
    }
}

/// The order in which verdicts are read.
pub(super) fn rank(v: Verdict) -> u8 {
    match v {
        Verdict::Violation => 0,
        Verdict::Suspected => 1,
        Verdict::Unconfirmed => 2,
        Verdict::Dormant => 3,
        Verdict::Compliant => 4,
        Verdict::NotApplicable => 5,
    }
}

pub(super) fn reason(r: Reason, lang: Lang) -> &'static str {
    match r {
        Reason::Filed => lang.pick("已备案", "filed"),
        Reason::AccessPending => lang.pick("接入初审已过", "access: first review passed"),
        Reason::NotFiled => lang.pick("未备案", "not filed"),
        Reason::AccessNotFiled => lang.pick("未在本接入商接入", "not connected at this provider"),
        Reason::Restricted => lang.pick("限制接入", "restricted"),
        Reason::SuspectedNotFiled => lang.pick("单一来源查无备案", "one source finds no filing"),
        Reason::FilingUnknown => lang.pick("备案查询没有结论", "filing not known"),
        Reason::ExposureUnknown => lang.pick("指向哪里没有结论", "where it leads is not known"),
        Reason::IpLiteral => lang.pick("是 IP 地址", "an IP address"),
        Reason::SingleLabel => lang.pick("不带点的主机名", "a name without a dot"),
        Reason::Reserved => lang.pick("保留或内网域名", "reserved or private name"),
        Reason::PublicSuffix => lang.pick("是公共后缀", "a public suffix itself"),
        Reason::Exempt => lang.pick("接入商豁免", "exempted by the provider"),
        Reason::OutsideMainland => lang.pick("服务器不在中国大陆", "server outside the mainland"),
    }
}

pub(super) fn exposure(e: ExposureState, lang: Lang) -> &'static str {
    match e {
        ExposureState::Here => lang.pick("本机", "here"),
        ExposureState::Fronted => lang.pick("CDN/WAF", "CDN/WAF"),
        ExposureState::Elsewhere => lang.pick("别处", "elsewhere"),
        ExposureState::Unresolved => lang.pick("无解析", "no address"),
        ExposureState::Unknown => lang.pick("未知", "unknown"),
    }
}

/// Why DNS gave no address, or only a part.
pub fn dns_why(why: &str, lang: Lang) -> &'static str {
    match why {
        "nxdomain" => lang.pick("域名不存在", "the name does not exist"),
        "no_data" => lang.pick("没有地址记录", "no address record"),
        "servfail" => lang.pick("解析服务器报错 (SERVFAIL)", "the resolver failed (SERVFAIL)"),
        "refused" => lang.pick("解析服务器拒绝", "the resolver refused"),
        "timeout" => lang.pick("解析超时", "no answer in time"),
        "cname_loop" => lang.pick("CNAME 成环", "CNAMEs lead in a ring"),
        "malformed" => lang.pick("应答无法识别", "the answer cannot be read"),
        "unreachable" => lang.pick("解析服务器连不上", "the resolver cannot be reached"),
        "public_address_unknown" => {
            lang.pick("不知道本机的公网地址", "this server's public address is not known")
        }
        _ => lang.pick("解析失败", "DNS failed"),
    }
}

pub(super) fn filing(f: FilingState, lang: Lang) -> &'static str {
    match f {
        FilingState::Filed => lang.pick("已备案", "filed"),
        FilingState::Restricted => lang.pick("限制接入", "restricted"),
        FilingState::NotFiled => lang.pick("未备案", "not filed"),
        FilingState::SuspectedNotFiled => lang.pick("疑似未备案", "perhaps not filed"),
        FilingState::Unknown => lang.pick("待核实", "not known"),
    }
}

pub(super) fn access(a: AccessState, lang: Lang) -> &'static str {
    match a {
        AccessState::Here => lang.pick("本接入商", "this provider"),
        AccessState::Pending => lang.pick("初审已过", "first review passed"),
        AccessState::Elsewhere => lang.pick("不在本接入商", "not this provider"),
        AccessState::Unknown => lang.pick("未知", "unknown"),
    }
}

pub(super) fn source(s: SourceState, lang: Lang) -> &'static str {
    match s {
        SourceState::Filed => lang.pick("已备案", "filed"),
        SourceState::Restricted => lang.pick("限制接入", "restricted"),
        SourceState::NotFiled => lang.pick("未备案", "not filed"),
        SourceState::SuspectedNotFiled => {
            lang.pick("查无备案（不能单独作准）", "no filing found (not proof alone)")
        }
        SourceState::NotConnected => lang.pick("库中没有接入记录", "not connected in this database"),
        SourceState::Unknown => lang.pick("没有结论", "no conclusion"),
    }
}

/// Why a source gave no answer.
pub fn why(w: Why, lang: Lang) -> &'static str {
    match w {
        Why::Timeout => lang.pick("超时", "no answer in time"),
        Why::Blocked => lang.pick("来源拦截了本机", "the source blocks this server"),
        Why::Throttled => lang.pick("查询过于频繁被限流", "too many questions"),
        Why::Unauthorised => lang.pick("来源不认可密钥", "the source refuses the key"),
        Why::Credit => lang.pick("账户没有余额或次数", "no credit left"),
        Why::Configuration => {
            lang.pick("设置有误，须由管理员改正", "a setting that only the operator can mend")
        }
        Why::Malformed => lang.pick("答复无法识别", "the answer cannot be trusted"),
        Why::CanaryFailed => {
            lang.pick("金丝雀域名没有通过，查无不作数", "no good canary stands behind the negative")
        }
        Why::NotAsked => lang.pick("还没有查询", "not asked yet"),
        Why::TooLarge => lang.pick("答复过长", "the answer is too long"),
        Why::Redirected => lang.pick("来源跳转到别处，没有跟随", "the source redirects; not followed"),
        Why::Unavailable => lang.pick("来源连不上或停用", "the source is out of order"),
        Why::SourcesDisagree => lang.pick("各来源说法不一", "the sources contradict each other"),
        Why::NoRegistry => lang.pick("没有配置能答复的来源", "no registry is configured that could answer"),
    }
}

pub(super) fn server(s: Server) -> &'static str {
    match s {
        Server::Nginx => "nginx",
        Server::Apache => "Apache",
    }
}

pub(super) fn finding(f: FindingKind, lang: Lang) -> &'static str {
    match f {
        FindingKind::UnboundedNames => lang.pick(
            "任何域名指过来都会得到网站内容",
            "answers with content for any name that someone points here",
        ),
        FindingKind::ImplicitDefault => lang.pick(
            "没有指定默认站点，未知域名落到这个站点",
            "answers for unknown names, being the first on its listen",
        ),
        FindingKind::IpOnly => lang.pick("仅以 IP 访问的站点", "a site that is reached by IP address only"),
    }
}

pub(super) fn problem(k: ProblemKind, lang: Lang) -> &'static str {
    match k {
        ProblemKind::IncludeLoop => lang.pick("包含成环，已停止跟随", "includes lead in a ring"),
        ProblemKind::IncludeDepth => {
            lang.pick("包含层数超过 limits.include_depth", "includes deeper than limits.include_depth")
        }
        ProblemKind::IncludeLimit => lang.pick(
            "文件数或时间超过上限，其余没有读",
            "more files or time than the limits; the rest is not read",
        ),
        ProblemKind::MissingInclude => lang.pick("被包含的文件不存在", "an included file is not there"),
        ProblemKind::NotRegularFile => lang.pick("不是普通文件，没有打开", "not a regular file; not opened"),
        ProblemKind::SymlinkLoop => lang.pick("符号链接成环", "symbolic links lead in a ring"),
        ProblemKind::TooLarge => lang.pick("文件超过 limits.file_bytes", "larger than limits.file_bytes"),
        ProblemKind::Unreadable => lang.pick("没有读到", "not read"),
        ProblemKind::UnclosedBlock => lang.pick("有块没有闭合", "a block is not closed"),
        ProblemKind::NestingDepth => lang.pick("块嵌套过深", "blocks nested too deep"),
        ProblemKind::Syntax => {
            lang.pick("语法有误，服务器自己也会拒绝", "text that the server itself refuses")
        }
        ProblemKind::NulByte => lang.pick("含有 NUL 字节", "holds a NUL byte"),
        ProblemKind::Encoding => lang.pick("编码不被服务器接受", "an encoding that the server does not take"),
        ProblemKind::UnresolvedVariable => {
            lang.pick("变量没有定义，按原样保留", "a variable that nothing sets")
        }
        ProblemKind::IncludeShell => lang.pick("include_shell 不会被执行", "include_shell is never run"),
        ProblemKind::ExternalEntity => {
            lang.pick("外部 XML 实体不会被打开", "external XML entities are never opened")
        }
        ProblemKind::EntityLimit => lang.pick("XML 实体展开超过上限", "XML entities expand too far"),
        ProblemKind::SiteDisabled => lang.pick("站点已停用", "a site that is switched off"),
        ProblemKind::UnrenderedTemplate => {
            lang.pick("模板由服务器自己填写，没有展开", "a template that its server fills in")
        }
        ProblemKind::UnreadProvider => lang.pick("站点来源没有读", "a source of sites that is not read"),
        ProblemKind::NotAName => {
            lang.pick("该是域名的地方不是域名", "text in the place of a name that can be no name")
        }
        ProblemKind::PublicAddressUnknown => {
            lang.pick("只知道本机的内网地址", "only private addresses of this server are known")
        }
        ProblemKind::RegistryConfiguration => {
            lang.pick("备案查询来源拒绝了本机的设置", "a registry refuses our settings")
        }
    }
}

/// What to do about a problem, where one setting or permission helps.
pub(super) fn problem_remedy(k: ProblemKind, lang: Lang) -> Option<&'static str> {
    Some(match k {
        ProblemKind::Unreadable => lang.pick(
            "用 root 运行，或给本程序 `CAP_DAC_READ_SEARCH`；私钥和密码类文件任何时候都不打开。",
            "Run as root or give the program `CAP_DAC_READ_SEARCH`; keys and password files are never opened.",
        ),
        ProblemKind::TooLarge => lang.pick(
            "确认文件无误后调大 `[limits] file_bytes`。",
            "If the file is meant to be so large, raise `[limits] file_bytes`.",
        ),
        ProblemKind::IncludeDepth => lang.pick(
            "确认不是误配后调大 `[limits] include_depth`。",
            "If it is meant, raise `[limits] include_depth`.",
        ),
        ProblemKind::IncludeLimit => lang.pick(
            "调大 `[limits] files` 或 `[limits] seconds`。",
            "Raise `[limits] files` or `[limits] seconds`.",
        ),
        ProblemKind::MissingInclude
        | ProblemKind::Syntax
        | ProblemKind::UnclosedBlock
        | ProblemKind::NulByte
        | ProblemKind::Encoding
        | ProblemKind::IncludeLoop
        | ProblemKind::SymlinkLoop => lang.pick(
            "改好上述文件（先用 `nginx -t` 或 `apachectl configtest` 检查）后重新运行。",
            "Mend the file (check with `nginx -t` or `apachectl configtest`) and run again.",
        ),
        ProblemKind::PublicAddressUnknown => lang.pick(
            "在 `[server] public_addresses` 写上本机的公网地址，或用 `--address` 给出。",
            "Set `[server] public_addresses` to this server's public address, or give `--address`.",
        ),
        ProblemKind::RegistryConfiguration => lang.pick(
            "检查该来源的账号、密钥、余额和登记的出口地址；本次不再询问它。",
            "Check that registry's account, key, credit and registered address; it is not asked again in this run.",
        ),
        _ => return None,
    })
}
