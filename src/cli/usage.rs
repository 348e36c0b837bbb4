//! Errors of the command line in one line, in the reader's language.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::config::Lang;

use super::Stop;

/// Turns the parser's answer into help on stdout or one line on stderr.
pub fn stop(e: &clap::Error, lang: Lang) -> Stop {
    if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Stop::Show(e.render().to_string());
    }
    let get = |kind| e.get(kind).map(show).unwrap_or_default();
    let arg = get(ContextKind::InvalidArg);
    let value = get(ContextKind::InvalidValue);
    let what = match e.kind() {
        ErrorKind::UnknownArgument => {
            lang.pick(format!("不认识的选项或参数 {arg}"), format!("unknown option or argument {arg}"))
        }
        ErrorKind::InvalidSubcommand => {
            let s = get(ContextKind::InvalidSubcommand);
            lang.pick(format!("没有命令 {s}"), format!("no such command: {s}"))
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            lang.pick(format!("{arg} 需要一个值"), format!("{arg} needs a value"))
        }
        ErrorKind::InvalidValue => {
            let known = get(ContextKind::ValidValue);
            lang.pick(
                format!("{arg}：“{value}”不能用，只能是 {} 之一", known.replace(", ", "、")),
                format!("{arg}: '{value}' cannot be used; one of {known} is expected"),
            )
        }
        ErrorKind::ValueValidation => {
            let because = std::error::Error::source(e).map(ToString::to_string).unwrap_or_default();
            lang.pick(
                format!("{arg}：“{value}”不能用：{because}"),
                format!("{arg}: '{value}' cannot be used: {because}"),
            )
        }
        ErrorKind::ArgumentConflict => {
            let other = get(ContextKind::PriorArg);
            if other.is_empty() || other == arg {
                lang.pick(format!("{arg} 只能写一次"), format!("{arg} is there twice"))
            } else {
                lang.pick(
                    format!("{arg} 与 {other} 不能同时使用"),
                    format!("{arg} cannot be used together with {other}"),
                )
            }
        }
        ErrorKind::MissingRequiredArgument => lang.pick(format!("缺少 {arg}"), format!("{arg} is missing")),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return no_command(lang);
        }
        ErrorKind::InvalidUtf8 => {
            lang.pick("参数不是 UTF-8".to_owned(), "an argument is no UTF-8".to_owned())
        }
        _ => lang.pick(format!("用法有误 {arg}"), format!("wrong usage {arg}")),
    };
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue]
        .into_iter()
        .map(get)
        .find(|s| !s.is_empty());
    let hint = match near {
        Some(s) => lang.pick(format!("；是不是 {s}？"), format!("; did you mean {s}?")),
        None => lang.pick("；见 beian-agent help".to_owned(), "; see beian-agent help".to_owned()),
    };
    Stop::refuse(what + &hint)
}

/// A call without a command.
pub fn no_command(lang: Lang) -> Stop {
    Stop::refuse(lang.pick("没有给出命令；见 beian-agent help", "no command given; see beian-agent help"))
}

fn show(v: &ContextValue) -> String {
    match v {
        ContextValue::String(s) => s.clone(),
        ContextValue::Strings(list) => list.join(", "),
        ContextValue::StyledStr(s) => s.to_string(),
        ContextValue::StyledStrs(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        ContextValue::Number(n) => n.to_string(),
        ContextValue::Bool(b) => b.to_string(),
        _ => String::new(),
    }
}
