//! Errors of the system, of TOML and of URLs, said in both languages. Their
//! own sentences are English, and may quote what was found.

use std::io::{self, ErrorKind};

use super::Text;

/// Why a file or folder cannot be read or written.
pub fn io_text(e: &io::Error) -> Text {
    let (en, zh) = match e.kind() {
        ErrorKind::NotFound => ("no such file", "没有这个文件"),
        ErrorKind::PermissionDenied => ("no permission", "没有权限"),
        ErrorKind::IsADirectory => ("it is a folder", "这是目录，不是文件"),
        ErrorKind::NotADirectory => ("a part of the path is no folder", "路径中有一段不是目录"),
        ErrorKind::InvalidData => ("its text is not UTF-8", "内容不是 UTF-8 编码"),
        ErrorKind::StorageFull => ("the disk is full", "磁盘已满"),
        ErrorKind::ReadOnlyFilesystem => ("the file system is read-only", "文件系统是只读的"),
        _ => {
            return match e.raw_os_error() {
                // ELOOP has no stable kind.
                Some(40) => {
                    Text::new("a symbolic link is there, and is not followed", "这是符号链接，不跟随")
                }
                Some(code) => Text::new(e.to_string(), format!("系统报错，错误码 {code}")),
                None => Text::new(e.to_string(), "系统报错"),
            };
        }
    };
    Text::new(en, zh)
}

/// Why a text is no URL.
pub(super) fn url_text(e: url::ParseError) -> Text {
    use url::ParseError as E;
    let (en, zh) = match e {
        E::EmptyHost => ("it has no host", "没有主机名"),
        E::IdnaError | E::InvalidDomainCharacter => ("its host is no domain name", "主机名不是有效的域名"),
        E::InvalidPort => ("its port is no number from 0 to 65535", "端口不是 0 到 65535 的数字"),
        E::InvalidIpv4Address | E::InvalidIpv6Address => ("its address is no IP address", "IP 地址写错了"),
        E::RelativeUrlWithoutBase => {
            ("it must begin with https://", "要以 https:// 开头，如 https://hub.example.com")
        }
        _ => ("write it like https://hub.example.com", "应为网址，如 https://hub.example.com"),
    };
    Text::new(format!("this is no URL: {en}"), format!("不是有效的网址：{zh}"))
}

/// Why a text is no TOML: the place, and what the parser missed there.
pub(super) fn toml_text(e: &toml::de::Error, text: &str) -> Text {
    let at = e.span().map_or(0, |s| s.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let says = e.message();
    let (en, zh) = if says.contains("duplicate key") {
        ("a key or a table is there twice", "同一个键或表写了两次")
    } else if says.contains("string values must be quoted") {
        ("a text must stand in quotes", "文字要加引号")
    } else if says.contains("string") {
        (
            "a quote is missing, or a text holds something that TOML does not take",
            "引号没有配对，或文字中有 TOML 不允许的写法",
        )
    } else if says.contains("array") || says.contains("table") {
        ("a bracket is missing", "括号没有配对")
    } else if says.contains("key with no value") {
        ("a key has no value", "键后面没有值")
    } else {
        ("a line is neither KEY = VALUE nor [TABLE]", "这里既不是“键 = 值”，也不是“[表]”")
    };
    Text::new(
        format!("line {line}, column {column}: this is no valid TOML: {en}"),
        format!("第 {line} 行第 {column} 列：不是有效的 TOML：{zh}"),
    )
}
