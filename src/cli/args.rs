//! The command line's definition, and its texts in both languages.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command as Clap};
use clap_complete::Shell;

use crate::config::{Lang, parse_resolver};
use crate::facts::Server;

use super::{Stop, usage};

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// The options of one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// `--root`.
    pub root: Option<PathBuf>,
    /// `--entry`.
    pub entries: Vec<(Server, String)>,
    /// `--server-args`.
    pub server_args: Vec<(Server, String)>,
    /// `--registry`.
    pub registries: Vec<String>,
    /// `--resolver`.
    pub resolvers: Vec<SocketAddr>,
    /// `--address`.
    pub addresses: Vec<IpAddr>,
    /// `--names`.
    pub names: Option<PathBuf>,
    /// `--strict`.
    pub strict: bool,
    /// `--from-ledger`.
    pub from_ledger: bool,
    /// `--format`.
    pub format: Format,
    /// `--output`.
    pub output: Option<PathBuf>,
}

/// The options of `enrol`. The token is never one: everybody may read the
/// arguments of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrol {
    /// `--hub`; else `[hub] url`.
    pub hub: Option<url::Url>,
    /// `--token-file`; `-` is standard input.
    pub token_file: Option<PathBuf>,
    /// `--again`.
    pub again: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// List sites.
    Sites(Pass),
    /// Judge names.
    Audit(Pass),
    /// Show the chain behind one name.
    Explain(String, Pass),
    /// The daemon.
    Run,
    /// Enrol with a hub.
    Enrol(Enrol),
    /// Show how the daemon does.
    Status(Format),
    /// Check what the agent needs.
    Doctor(Format),
    /// Check the settings.
    ConfigCheck,
    /// Show the settings.
    ConfigShow,
    /// Completions for a shell.
    Completions(Shell),
    /// Help about a command.
    Help(Vec<String>),
}

/// The whole command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--color`.
    pub color: Color,
    /// `-q`.
    pub quiet: bool,
    /// How many `-v`.
    pub verbose: u8,
    /// The command.
    pub command: Command,
}

/// Parses the arguments (the program's name first).
pub fn parse(args: &[OsString], lang: Lang) -> Result<Call, Stop> {
    let m = definition(lang).try_get_matches_from(args).map_err(|e| usage::stop(&e, lang))?;
    let color = match m.get_one::<String>("color").map(String::as_str) {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    };
    let command = match m.subcommand() {
        Some(("sites", s)) => Command::Sites(pass(s)),
        Some(("audit", s)) => Command::Audit(pass(s)),
        Some(("explain", s)) => {
            Command::Explain(s.get_one::<String>("NAME").cloned().unwrap_or_default(), pass(s))
        }
        Some(("run", _)) => Command::Run,
        Some(("enrol", s)) => Command::Enrol(Enrol {
            hub: s.get_one("hub").cloned(),
            token_file: s.get_one("token-file").cloned(),
            again: s.get_flag("again"),
        }),
        Some(("status", s)) => Command::Status(format(s)),
        Some(("doctor", s)) => Command::Doctor(format(s)),
        Some(("config", s)) => match s.subcommand_name() {
            Some("show") => Command::ConfigShow,
            _ => Command::ConfigCheck,
        },
        Some(("completions", s)) => {
            Command::Completions(match s.get_one::<String>("SHELL").map(String::as_str) {
                Some("zsh") => Shell::Zsh,
                Some("fish") => Shell::Fish,
                _ => Shell::Bash,
            })
        }
        Some(("help", s)) => Command::Help(s.get_many("COMMAND").into_iter().flatten().cloned().collect()),
        _ => return Err(usage::no_command(lang)),
    };
    Ok(Call {
        config: m.get_one("config").cloned(),
        color,
        quiet: m.get_flag("quiet"),
        verbose: m.get_count("verbose"),
        command,
    })
}

fn pass(m: &ArgMatches) -> Pass {
    // Not every command has every option.
    fn many<T: Clone + Send + Sync + 'static>(m: &ArgMatches, id: &str) -> Vec<T> {
        m.try_get_many::<T>(id).ok().flatten().into_iter().flatten().cloned().collect()
    }
    fn one<T: Clone + Send + Sync + 'static>(m: &ArgMatches, id: &str) -> Option<T> {
        m.try_get_one::<T>(id).ok().flatten().cloned()
    }
    Pass {
        root: one(m, "root"),
        entries: many(m, "entry"),
        server_args: many(m, "server-args"),
        registries: many(m, "registry"),
        resolvers: many(m, "resolver"),
        addresses: many(m, "address"),
        names: one(m, "names"),
        strict: one(m, "strict").unwrap_or(false),
        from_ledger: one(m, "from-ledger").unwrap_or(false),
        format: format(m),
        output: one(m, "output"),
    }
}

fn format(m: &ArgMatches) -> Format {
    match m.try_get_one::<String>("format").ok().flatten().map(String::as_str) {
        Some("json") => Format::Json,
        Some("csv") => Format::Csv,
        _ => Format::Table,
    }
}

/// `SERVER=VALUE`; the value may hold anything, `=` and spaces included.
fn of_server(s: &str, lang: Lang) -> Result<(Server, String), String> {
    let known: Vec<&str> = Server::ALL.iter().map(|s| s.as_str()).collect();
    let (word, value) = s.split_once('=').ok_or_else(|| {
        lang.pick(
            format!("缺少“=”，应写作 服务器=值，服务器可以是 {}", known.join("、")),
            format!("there is no '=' in it; write SERVER=VALUE, with SERVER one of {}", known.join(", ")),
        )
    })?;
    let server = word.parse().map_err(|()| {
        lang.pick(
            format!("“=”前面不是已知的服务器，可以是 {}", known.join("、")),
            format!("no known server stands before the '='; known are {}", known.join(", ")),
        )
    })?;
    Ok((server, value.to_owned()))
}

fn entry(s: &str, lang: Lang) -> Result<(Server, String), String> {
    let (server, path) = of_server(s, lang)?;
    if path.starts_with('/') {
        return Ok((server, path));
    }
    Err(lang
        .pick(
            "“=”后面应为绝对路径，如 nginx=/etc/nginx/nginx.conf",
            "an absolute path is expected after the '=', like nginx=/etc/nginx/nginx.conf",
        )
        .to_owned())
}

fn hub_url(s: &str, lang: Lang) -> Result<url::Url, String> {
    match url::Url::parse(s) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => Ok(url),
        _ => Err(lang
            .pick(
                "应为完整的网址，如 https://hub.example.com",
                "a whole address is expected, like https://hub.example.com",
            )
            .to_owned()),
    }
}

fn resolver(s: &str, lang: Lang) -> Result<SocketAddr, String> {
    parse_resolver(s).map_err(|t| t.of(lang).to_owned())
}

fn address(s: &str, lang: Lang) -> Result<IpAddr, String> {
    s.trim().parse().map_err(|_| {
        lang.pick(
            "不是 IP 地址，写法如 203.0.113.10 或 2001:db8::1",
            "this is no IP address; write it like 203.0.113.10 or 2001:db8::1",
        )
        .to_owned()
    })
}

/// The definition, for parsing, help, completions and the manual's test.
pub fn definition(lang: Lang) -> Clap {
    let p = |zh: &'static str, en: &'static str| lang.pick(zh, en);
    let global = p("全局选项", "Global options");
    let base = |name: &'static str| {
        Clap::new(name)
            .disable_help_flag(true)
            .disable_help_subcommand(true)
            .disable_version_flag(true)
            .help_template(p(
                "{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}\n",
                "{about-with-newline}\nUsage: {usage}\n\n{all-args}{after-help}\n",
            ))
            .subcommand_help_heading(p("命令", "Commands"))
            .next_help_heading(p("选项", "Options"))
    };
    base("beian-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about(p(
            "找出本机真正对外的网站，核对它们是否已备案：先备案，再接入。",
            "Finds the sites that this server really serves and judges them against the ICP filing\nregistry: file first, then connect.",
        ))
        .override_usage(p("beian-agent [全局选项] <命令> [选项]", "beian-agent [GLOBAL OPTIONS] <COMMAND> [OPTIONS]"))
        .after_help(p(
            "退出码：0 没有问题；1 有违规或疑似；2 用法或设置有误；3 有待核实的域名或没读全的配置。\n\n\
             示例：\n  beian-agent audit\n  beian-agent explain www.example.cn\n  beian-agent help audit",
            "Exit codes: 0 nothing wrong; 1 violation or suspicion; 2 usage or settings; 3 something\nunconfirmed or unread.\n\n\
             Examples:\n  beian-agent audit\n  beian-agent explain www.example.cn\n  beian-agent help audit",
        ))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .global(true)
                .help_heading(global)
                .help(p("设置文件，默认 /etc/beian/agent.toml", "Settings file; default /etc/beian/agent.toml")),
        )
        .arg(
            Arg::new("lang")
                .long("lang")
                .value_name("LANG")
                .value_parser(PossibleValuesParser::new(["zh", "en"]))
                .hide_possible_values(true)
                .global(true)
                .help_heading(global)
                .help(p("语言：zh 或 en；默认按设置，再按 LC_ALL、LANG", "Language: zh or en; default by settings, then LC_ALL, LANG")),
        )
        .arg(
            Arg::new("color")
                .long("color")
                .value_name("WHEN")
                .value_parser(PossibleValuesParser::new(["auto", "always", "never"]))
                .hide_possible_values(true)
                .global(true)
                .help_heading(global)
                .help(p("颜色：auto（默认）、always、never", "Colour: auto (default), always, never")),
        )
        .arg(
            Arg::new("quiet")
                .short('q')
                .long("quiet")
                .action(ArgAction::SetTrue)
                .conflicts_with("verbose")
                .global(true)
                .help_heading(global)
                .help(p("只记录错误，不显示进度", "Log errors only, show no progress")),
        )
        .arg(
            Arg::new("verbose")
                .short('v')
                .long("verbose")
                .action(ArgAction::Count)
                .global(true)
                .help_heading(global)
                .help(p("多记录一些，-vv 更多；日志在标准错误", "Log more, -vv even more; logs go to stderr")),
        )
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .action(ArgAction::Help)
                .global(true)
                .help_heading(global)
                .help(p("显示帮助", "Show help")),
        )
        .arg(
            Arg::new("version")
                .short('V')
                .long("version")
                .action(ArgAction::Version)
                .help_heading(global)
                .help(p("显示版本", "Show the version")),
        )
        .subcommand(
            reading(base("sites"), lang)
                .about(p("列出站点：只读配置文件，不联网", "List the sites: reads configuration files, stays offline"))
                .override_usage(p("beian-agent sites [选项]", "beian-agent sites [OPTIONS]"))
                .after_help(p(
                    "示例：\n  beian-agent sites\n  beian-agent sites --root /mnt/image --format json\n  beian-agent sites --entry nginx=/opt/web/conf/nginx.conf --server-args 'nginx=-p /opt/web/'",
                    "Examples:\n  beian-agent sites\n  beian-agent sites --root /mnt/image --format json\n  beian-agent sites --entry nginx=/opt/web/conf/nginx.conf --server-args 'nginx=-p /opt/web/'",
                )),
        )
        .subcommand(
            asking(reading(base("audit"), lang), lang)
                .about(p(
                    "完整检查一次：站点、DNS 指向、备案，并给出结论",
                    "One full pass: sites, where their names lead, filings, verdicts",
                ))
                .override_usage(p("beian-agent audit [选项]", "beian-agent audit [OPTIONS]"))
                .arg(
                    Arg::new("names")
                        .long("names")
                        .value_name("FILE")
                        .value_parser(clap::value_parser!(PathBuf))
                        .help(p("检查文件里的域名（每行一个，# 为注释，- 为标准输入），不看站点", "Audit the names of a file (one a line, # comments, - is stdin) instead of sites")),
                )
                .after_help(p(
                    "示例：\n  beian-agent audit --registry file:备案库.csv\n  beian-agent audit --format csv --output report.csv\n  beian-agent audit --names names.txt --strict",
                    "Examples:\n  beian-agent audit --registry file:filings.csv\n  beian-agent audit --format csv --output report.csv\n  beian-agent audit --names names.txt --strict",
                )),
        )
        .subcommand(
            asking(reading(base("explain"), lang), lang)
                .about(p("说明一个域名的结论：配置、DNS、每个来源的答复", "Show what a verdict rests on: configuration, DNS, every source's answer"))
                .override_usage(p("beian-agent explain [选项] <域名>", "beian-agent explain [OPTIONS] <NAME>"))
                .arg(
                    Arg::new("NAME")
                        .required(true)
                        .help_heading(p("参数", "Arguments"))
                        .help(p("域名；大小写、末尾的点、中文域名均可", "The name in any spelling")),
                )
                .arg(
                    Arg::new("from-ledger")
                        .long("from-ledger")
                        .action(ArgAction::SetTrue)
                        .conflicts_with_all(["root", "entry", "server-args", "registry", "resolver", "address"])
                        .help(p("不重新检查，显示守护进程记下的结论和变化", "Check nothing anew: show what the daemon remembers, with what changed")),
                )
                .after_help(p(
                    "示例：\n  beian-agent explain www.example.cn\n  beian-agent explain 示例.中国 --format json",
                    "Examples:\n  beian-agent explain www.example.cn\n  beian-agent explain 示例.中国 --format json",
                )),
        )
        .subcommand(
            base("run")
                .about(p(
                    "守护进程：监视配置变更，持续核对，上报中心，应答轮询（由 systemd 启动）",
                    "The daemon: watches, judges, reports, answers polling; systemd starts it",
                ))
                .override_usage("beian-agent run")
                .after_help(p(
                    "信号：SIGHUP 重读设置，SIGUSR1 立即扫描，SIGTERM 收尾后停止。没有中心也能运行：结论在日志和 beian-agent status 里。\n\n示例：\n  systemctl enable --now beian-agent\n  journalctl -u beian-agent BEIAN_VERDICT=violation",
                    "Signals: SIGHUP reads the settings again, SIGUSR1 scans now, SIGTERM drains and ends. It works\nwithout a hub: verdicts are in the journal and in beian-agent status.\n\nExamples:\n  systemctl enable --now beian-agent\n  journalctl -u beian-agent BEIAN_VERDICT=violation",
                )),
        )
        .subcommand(
            base("enrol")
                .about(p("向接入商的中心登记本机", "Enrol this server with the provider's hub"))
                .override_usage(p("beian-agent enrol [选项]", "beian-agent enrol [OPTIONS]"))
                .arg(
                    Arg::new("hub")
                        .long("hub")
                        .value_name("URL")
                        .value_parser(move |s: &str| hub_url(s, lang))
                        .help(p("中心的地址；默认用设置里的 [hub] url", "The hub's address; default [hub] url of the settings")),
                )
                .arg(
                    Arg::new("token-file")
                        .long("token-file")
                        .value_name("FILE")
                        .value_parser(clap::value_parser!(PathBuf))
                        .help(p(
                            "令牌所在的文件，- 为标准输入；默认依次看环境变量 BEIAN_ENROL_TOKEN、systemd 凭据、/etc/beian/enrol-token",
                            "File with the token, - is standard input; default the variable BEIAN_ENROL_TOKEN, then\nsystemd's credential, then /etc/beian/enrol-token",
                        )),
                )
                .arg(
                    Arg::new("again")
                        .long("again")
                        .action(ArgAction::SetTrue)
                        .help(p("已登记也重新登记", "Enrol anew, even where this is done already")),
                )
                .after_help(p(
                    "令牌不能写在命令行上，进程参数人人可见。私钥在本机生成，不会离开本机。\n\n示例：\n  beian-agent enrol --hub https://hub.example.com --token-file token.txt",
                    "The token is never an argument: everybody may read those. The private key is made here and\nnever leaves this server.\n\nExample:\n  beian-agent enrol --hub https://hub.example.com --token-file token.txt",
                )),
        )
        .subcommand(
            base("status")
                .about(p("守护进程的状态：上次扫描、结论、上报、丢失", "How the daemon does: last scan, verdicts, hub, losses"))
                .override_usage(p("beian-agent status [选项]", "beian-agent status [OPTIONS]"))
                .arg(
                    Arg::new("format")
                        .long("format")
                        .value_name("FORMAT")
                        .value_parser(PossibleValuesParser::new(["table", "json"]))
                        .hide_possible_values(true)
                        .help(p("输出：table（默认）、json", "Output: table (default), json")),
                )
                .after_help(p(
                    "root 和 beian-agent 组的用户可用。退出码：0 正在运行且没有违规或疑似；1 有违规或疑似；3 没有运行或没有就绪。\n\n示例：\n  beian-agent status\n  beian-agent status --format json",
                    "For root and the group beian-agent. Exit codes: 0 running, nothing wrong; 1 violation or\nsuspicion; 3 not running or not ready.\n\nExamples:\n  beian-agent status\n  beian-agent status --format json",
                )),
        )
        .subcommand(
            base("doctor")
                .about(p(
                    "检查运行条件：设置、权限、解析、来源、中心、监视、时钟；说明数据发往何处",
                    "Check what the agent needs: settings, rights, resolvers, registries, hub, watches,\nclock; and say what is sent where",
                ))
                .override_usage(p("beian-agent doctor [选项]", "beian-agent doctor [OPTIONS]"))
                .arg(
                    Arg::new("format")
                        .long("format")
                        .value_name("FORMAT")
                        .value_parser(PossibleValuesParser::new(["table", "json"]))
                        .hide_possible_values(true)
                        .help(p("输出：table（默认）、json", "Output: table (default), json")),
                )
                .after_help(p(
                    "退出码：0 没有故障；1 有故障。\n\n示例：\n  beian-agent doctor\n  beian-agent doctor --format json",
                    "Exit codes: 0 no fault; 1 a fault.\n\nExamples:\n  beian-agent doctor\n  beian-agent doctor --format json",
                )),
        )
        .subcommand(
            base("config")
                .subcommand_required(true)
                .about(p("检查或显示设置", "Check or show the settings"))
                .override_usage(p("beian-agent config <check|show>", "beian-agent config <check|show>"))
                .subcommand(
                    base("check")
                        .about(p("检查设置是否可用", "Check whether the settings can be used"))
                        .override_usage(p("beian-agent config check [选项]", "beian-agent config check [OPTIONS]"))
                        .after_help(p("示例：\n  beian-agent --config ./agent.toml config check", "Example:\n  beian-agent --config ./agent.toml config check")),
                )
                .subcommand(
                    base("show")
                        .about(p("显示生效的设置，密钥以 *** 代替", "Show the settings in force, secrets as ***"))
                        .override_usage(p("beian-agent config show [选项]", "beian-agent config show [OPTIONS]"))
                        .after_help(p("示例：\n  beian-agent config show", "Example:\n  beian-agent config show")),
                ),
        )
        .subcommand(
            base("completions")
                .about(p("输出命令行补全脚本", "Print completions for a shell"))
                .override_usage("beian-agent completions <bash|zsh|fish>")
                .arg(
                    Arg::new("SHELL")
                        .required(true)
                        .value_parser(PossibleValuesParser::new(["bash", "zsh", "fish"]))
                        .hide_possible_values(true)
                        .help_heading(p("参数", "Arguments"))
                        .help(p("bash、zsh 或 fish", "bash, zsh or fish")),
                )
                .after_help(p(
                    "示例：\n  beian-agent completions bash > /etc/bash_completion.d/beian-agent",
                    "Example:\n  beian-agent completions bash > /etc/bash_completion.d/beian-agent",
                )),
        )
        .subcommand(
            base("help")
                .about(p("显示某个命令的帮助", "Show help about a command"))
                .override_usage(p("beian-agent help [命令]", "beian-agent help [COMMAND]"))
                .arg(
                    Arg::new("COMMAND")
                        .action(ArgAction::Append)
                        .num_args(0..)
                        .help_heading(p("参数", "Arguments"))
                        .help(p("命令", "The command")),
                )
                .after_help(p("示例：\n  beian-agent help config show", "Example:\n  beian-agent help config show")),
        )
}

/// The options about reading configuration files, and about the output.
fn reading(cmd: Clap, lang: Lang) -> Clap {
    let p = |zh: &'static str, en: &'static str| lang.pick(zh, en);
    cmd.arg(Arg::new("root").long("root").value_name("DIR").value_parser(clap::value_parser!(PathBuf)).help(
        p("把这个目录当作根目录（容器、挂载的镜像）", "Take this folder as / (a container, a mounted image)"),
    ))
    .arg(
        Arg::new("entry")
            .long("entry")
            .value_name("SERVER=PATH")
            .action(ArgAction::Append)
            .value_parser(move |s: &str| entry(s, lang))
            .help(p(
                "只读这个主配置文件，不再查找；可重复。服务器：nginx、apache",
                "Read this main file only, no discovery; repeatable. Servers: nginx, apache",
            )),
    )
    .arg(
        Arg::new("server-args")
            .long("server-args")
            .value_name("SERVER=ARGS")
            .action(ArgAction::Append)
            .value_parser(move |s: &str| of_server(s, lang))
            .help(p(
                "服务器的启动参数，如 apache=-DSSL；可重复",
                "The server's start options, like apache=-DSSL; repeatable",
            )),
    )
    .arg(
        Arg::new("format")
            .long("format")
            .value_name("FORMAT")
            .value_parser(PossibleValuesParser::new(["table", "json", "csv"]))
            .hide_possible_values(true)
            .help(p("输出：table（默认）、json、csv", "Output: table (default), json, csv")),
    )
    .arg(
        Arg::new("output").long("output").value_name("FILE").value_parser(clap::value_parser!(PathBuf)).help(
            p(
                "写入文件而不是标准输出；不跟随符号链接",
                "Write to a file instead of stdout; no link is followed",
            ),
        ),
    )
}

/// The options about DNS and registries.
fn asking(cmd: Clap, lang: Lang) -> Clap {
    let p = |zh: &'static str, en: &'static str| lang.pick(zh, en);
    cmd.arg(
        Arg::new("registry").long("registry").value_name("NAME|file:PATH").action(ArgAction::Append).help(p(
            "只问这个来源，或接入商备案库文件；可重复，默认问全部已配置的",
            "Ask this registry only, or a provider's file; repeatable, default all configured",
        )),
    )
    .arg(
        Arg::new("resolver")
            .long("resolver")
            .value_name("IP:PORT")
            .action(ArgAction::Append)
            .value_parser(move |s: &str| resolver(s, lang))
            .help(p("用这个解析服务器；可重复", "Ask this DNS server; repeatable")),
    )
    .arg(
        Arg::new("address")
            .long("address")
            .value_name("IP")
            .action(ArgAction::Append)
            .value_parser(move |s: &str| address(s, lang))
            .help(p(
                "本机地址，给出后只认这些；可重复",
                "An address of this server, these alone then; repeatable",
            )),
    )
    .arg(
        Arg::new("strict")
            .long("strict")
            .action(ArgAction::SetTrue)
            .help(p("有站点发现时也以 1 退出", "Exit with 1 for findings too")),
    )
}
