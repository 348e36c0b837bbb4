use std::ffi::OsString;

use super::names_file::names;
use super::*;
use crate::config::Lang;
use crate::document::fixture::report;
use crate::facts::{Server, Summary, Verdict};

fn call(args: &str) -> Result<Call, Stop> {
    let argv: Vec<OsString> = std::iter::once("beian-agent").chain(args.split('|')).map(Into::into).collect();
    parse(&argv, Lang::En)
}

#[test]
fn the_definition_is_sound_in_both_languages() {
    definition(Lang::Zh).debug_assert();
    definition(Lang::En).debug_assert();
}

#[test]
fn global_options_stand_before_and_after_the_command() {
    for args in ["-v|--lang|zh|audit", "audit|-v|--lang|zh", "--config|/a.toml|audit|--names|-|-v"] {
        let c = call(args).expect("a call");
        assert_eq!(c.verbose, 1, "{args}");
        assert!(matches!(c.command, Command::Audit(_)));
    }
    assert_eq!(call("audit|-vv").expect("a call").verbose, 2);
}

#[test]
fn server_arguments_may_hold_anything() {
    let c = call("sites|--server-args|nginx=-p /opt/web/ -c conf/nginx.conf|--server-args|apache=-DSSL -D A=b|--entry|nginx=/etc/nginx/nginx.conf")
        .expect("a call");
    let Command::Sites(pass) = c.command else { unreachable!() };
    assert_eq!(
        pass.server_args,
        [
            (Server::Nginx, "-p /opt/web/ -c conf/nginx.conf".to_owned()),
            (Server::Apache, "-DSSL -D A=b".to_owned()),
        ]
    );
    assert_eq!(pass.entries, [(Server::Nginx, "/etc/nginx/nginx.conf".to_owned())]);
}

#[test]
fn refusals_are_one_line() {
    for args in [
        "",
        "nothing",
        "sites|--format|html",
        "sites|--entry|iis=/x",
        "sites|--entry|nginx=rel",
        "audit|--resolver|x",
        "audit|--address|1.2.3",
        "explain",
        "sites|--registry|x",
        "audit|--bad\nline\u{1b}[2J",
        "-q|-v|sites",
        "completions|tcsh",
        "audit|--output",
        "sites|--root|a|--root|b",
        "config",
        "config|edit",
    ] {
        match call(args) {
            Err(Stop::Refuse(line)) => {
                assert!(!line.is_empty() && !line.contains(['\n', '\u{1b}']), "{args}: {line}");
            }
            other => unreachable!("{args}: {other:?}"),
        }
    }
    let Err(Stop::Refuse(line)) = call("sites|--server-args|iis=x") else { unreachable!() };
    assert!(line.contains("nginx, apache"), "{line}");
}

/// What is wrong, and what is expected, each in the reader's language.
#[test]
fn refused_values_say_what_is_expected_in_both_languages() {
    for (args, names, zh, en) in [
        ("audit|--resolver|x", "--resolver", "127.0.0.1:53", "no DNS server"),
        ("audit|--address|1.2.3", "--address", "不是 IP 地址", "no IP address"),
        ("sites|--entry|nginx", "--entry", "缺少“=”", "no '='"),
        (
            "sites|--entry|iis=/x",
            "--entry",
            "不是已知的服务器，可以是 nginx、apache",
            "known are nginx, apache",
        ),
        ("sites|--entry|nginx=rel", "--entry", "应为绝对路径", "absolute path"),
        ("sites|--server-args|x", "--server-args", "应写作 服务器=值", "SERVER=VALUE"),
        ("sites|--lang|fr", "--lang", "只能是 zh、en 之一", "one of zh, en"),
        ("sites|--format|html", "--format", "只能是 table、json、csv 之一", "one of table, json, csv"),
        ("sites|--color|red", "--color", "只能是 auto、always、never 之一", "one of auto, always, never"),
        ("completions|tcsh", "SHELL", "只能是 bash、zsh、fish 之一", "one of bash, zsh, fish"),
        ("audit|--output", "--output", "需要一个值", "needs a value"),
    ] {
        let argv: Vec<OsString> =
            std::iter::once("beian-agent").chain(args.split('|')).map(Into::into).collect();
        for (lang, expected) in [(Lang::Zh, zh), (Lang::En, en)] {
            let Err(Stop::Refuse(line)) = parse(&argv, lang) else { unreachable!("{args}") };
            assert!(line.contains(names) && line.contains(expected), "{args}: {line}");
            if lang == Lang::Zh {
                for english in [" is ", "cannot", "expected", "invalid", "SERVER=VALUE;"] {
                    assert!(!line.contains(english), "{args}: {line}");
                }
            }
        }
    }
}

#[test]
fn exit_codes_follow_the_contract() {
    let mut r = report();
    assert_eq!(exit_code(&r, false), WRONG);
    let keep = |r: &mut crate::facts::Report, v: &[Verdict]| {
        r.names = report().names.into_iter().filter(|n| v.contains(&n.verdict)).collect();
        r.summary = Summary::of(&r.names);
    };
    keep(&mut r, &[Verdict::Suspected]);
    assert_eq!(exit_code(&r, false), WRONG);
    keep(&mut r, &[Verdict::Compliant, Verdict::Dormant, Verdict::NotApplicable]);
    assert_eq!(exit_code(&r, false), INCOMPLETE);
    r.complete = true;
    assert_eq!(exit_code(&r, false), OK);
    assert_eq!(exit_code(&r, true), WRONG);
    r.findings.clear();
    assert_eq!(exit_code(&r, true), OK);
    keep(&mut r, &[Verdict::Unconfirmed, Verdict::Compliant]);
    assert_eq!(exit_code(&r, true), INCOMPLETE);
}

#[test]
fn lists_of_names_are_read_as_people_write_them() {
    assert_eq!(
        names(
            "\u{feff}a.example.cn\r\n# all of it\r\n  b.example.cn   # why\n\na.example.cn\n例子.中国\nx#y.example.cn\n"
        ),
        ["a.example.cn", "b.example.cn", "例子.中国", "x#y.example.cn"]
    );
}

#[test]
fn the_settings_choose_the_language_unless_the_line_does() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, "[agent]\nlang = \"zh\"\n").expect("written");
    let argv = |extra: &[&str]| -> Vec<OsString> {
        let mut v: Vec<OsString> = vec!["--config".into(), file.clone().into()];
        v.extend(extra.iter().map(Into::into));
        v
    };
    assert_eq!(Early::look(&argv(&[])).lang, Lang::Zh);
    assert_eq!(Early::look(&argv(&["--lang=en"])).lang, Lang::En);
    assert_eq!(Early::look(&argv(&["audit", "--lang", "en"])).lang, Lang::En);
}

/// The manual has every command and option, so that it cannot fall behind.
#[test]
fn the_manual_has_every_command_and_option() {
    for text in [
        include_str!("../../packaging/man/beian-agent.1"),
        include_str!("../../packaging/man/zh_CN/beian-agent.1"),
    ] {
        let plain = text.replace("\\-", "-");
        let mut stack = vec![definition(Lang::En)];
        while let Some(cmd) = stack.pop() {
            assert!(plain.contains(cmd.get_name()), "{}", cmd.get_name());
            for long in cmd.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(plain.contains(&format!("--{long}")), "--{long}");
            }
            stack.extend(cmd.get_subcommands().cloned());
        }
    }
}

/// agent.toml(5) holds the settings file that the packages install.
#[test]
fn the_manual_has_every_setting() {
    let page = include_str!("../../packaging/man/agent.toml.5").replace("\\-", "-").replace("\\&", "");
    for line in include_str!("../../config/agent.toml").lines() {
        assert!(page.contains(line), "{line}");
    }
}
