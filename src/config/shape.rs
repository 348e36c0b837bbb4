//! What may stand in the settings: tables, keys, and the form of each value.
//! Checked before serde sees them, because its sentences are English, name
//! types of this program, and quote what was found, which may be a secret.

use std::path::PathBuf;

use super::raw::{OneOrMany, Raw};
use super::registry::{HashOrder, Negative, Secret};
use super::{ConfigError, Text};

/// One key of a table.
#[derive(Debug)]
pub(super) struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
}

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `"text"`.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number from 0 to this.
    Number(u64),
    /// `["a", "b"]`.
    Texts,
    /// `"a"` or `["a", "b"]`.
    TextOrTexts,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// Types of settings by their form.
pub(super) trait Shaped {
    const SHAPE: Shape;
}

macro_rules! shaped {
    ($($ty:ty => $shape:expr),+ $(,)?) => { $(impl Shaped for $ty { const SHAPE: Shape = $shape; })+ };
}

shaped! {
    String => Shape::Text,
    PathBuf => Shape::Text,
    Secret => Shape::Text,
    bool => Shape::Flag,
    u32 => Shape::Number(u32::MAX as u64),
    // TOML's integers are signed.
    u64 => Shape::Number(i64::MAX as u64),
    usize => Shape::Number(i64::MAX as u64),
    Vec<String> => Shape::Texts,
    OneOrMany => Shape::TextOrTexts,
    Negative => Shape::Word(&["authoritative", "ambiguous"]),
    HashOrder => Shape::Word(&["password_rand", "rand_password"]),
}

impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: Shape = T::SHAPE;
}

impl Shape {
    fn takes(self, value: &toml::Value) -> bool {
        let texts = || value.as_array().is_some_and(|a| a.iter().all(toml::Value::is_str));
        match self {
            Shape::Text => value.is_str(),
            Shape::Flag => value.is_bool(),
            Shape::Number(max) => {
                value.as_integer().and_then(|n| u64::try_from(n).ok()).is_some_and(|n| n <= max)
            }
            Shape::Texts => texts(),
            Shape::TextOrTexts => value.is_str() || texts(),
            Shape::Word(words) => value.as_str().is_some_and(|w| words.contains(&w)),
        }
    }

    /// A value that the environment gives as text.
    pub(super) fn of_text(self, text: &str) -> Option<toml::Value> {
        let text = text.trim();
        let value = match self {
            Shape::Text | Shape::TextOrTexts | Shape::Word(_) => toml::Value::String(text.to_owned()),
            Shape::Flag => toml::Value::Boolean(text.parse().ok()?),
            Shape::Number(_) => toml::Value::Integer(text.parse().ok()?),
            Shape::Texts => toml::Value::Array(
                text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(toml::Value::from).collect(),
            ),
        };
        self.takes(&value).then_some(value)
    }

    fn wanted(self) -> Text {
        match self {
            Shape::Text => Text::new("a text in quotes is expected", "应为加引号的文字"),
            Shape::Flag => Text::new("true or false is expected", "应为 true 或 false"),
            Shape::Number(max) if max == i64::MAX as u64 => {
                Text::new("a whole number is expected", "应为非负整数，不加引号")
            }
            Shape::Number(max) => Text::new(
                format!("a whole number up to {max} is expected"),
                format!("应为不大于 {max} 的非负整数，不加引号"),
            ),
            Shape::Texts => Text::new(
                "a list of texts is expected, like [\"a\", \"b\"]",
                "应为文字的列表，如 [\"a\", \"b\"]",
            ),
            Shape::TextOrTexts => Text::new(
                "a text or a list of texts is expected, like \"a\" or [\"a\", \"b\"]",
                "应为文字或文字的列表，如 \"a\" 或 [\"a\", \"b\"]",
            ),
            Shape::Word(words) => {
                let quoted: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
                Text::new(
                    format!("one of {} is expected", quoted.join(", ")),
                    format!("应为 {} 之一", quoted.join("、")),
                )
            }
        }
    }
}

/// What is expected of a key that is not merely any text.
pub(super) fn wanted(key: &Key) -> Text {
    match key.name {
        "timeout" | "interval" => time(),
        "rate" => rate(),
        "listen" => listen(),
        "lang" => lang(),
        "until" => date(),
        _ => key.shape.wanted(),
    }
}

pub(super) fn time() -> Text {
    Text::new(
        "a time is expected, like \"700ms\", \"30s\", \"5m\", \"1h\" or \"7d\", and more than zero",
        "应为大于零的时长，如 \"700ms\"、\"30s\"、\"5m\"、\"1h\"、\"7d\"",
    )
}

pub(super) fn rate() -> Text {
    Text::new(
        "a rate is expected, like \"5/s\" or \"100/m\"",
        "应为查询频率，如 \"5/s\"（每秒）或 \"100/m\"（每分钟）",
    )
}

pub(super) fn listen() -> Text {
    Text::new(
        "an address with port is expected, like \"127.0.0.1:9690\", or \"\" for off",
        "应为带端口的地址，如 \"127.0.0.1:9690\"；写 \"\" 表示关闭",
    )
}

pub(super) fn lang() -> Text {
    Text::new("\"zh\" or \"en\" is expected", "应为 \"zh\" 或 \"en\"")
}

pub(super) fn date() -> Text {
    Text::new("a date is expected, like \"2027-01-31\"", "应为日期，如 \"2027-01-31\"")
}

/// Checks one file's tables, keys and values.
pub(super) fn check_file(table: &toml::Table) -> Result<(), ConfigError> {
    for (name, value) in table {
        if let Some((_, keys)) = find(Raw::TABLES, name) {
            let Some(inner) = value.as_table() else {
                return Err(ConfigError::at(
                    name,
                    Text::new(
                        format!("this is a table: write [{name}], and its keys below it"),
                        format!("这是一张表：先写一行 [{name}]，再在下面写它的键"),
                    ),
                ));
            };
            check_keys(&format!("[{name}]"), keys, inner)?;
        } else if let Some((_, keys)) = find(Raw::LISTS, name) {
            let items = value.as_array().filter(|a| a.iter().all(toml::Value::is_table));
            let Some(items) = items else {
                return Err(ConfigError::at(
                    name,
                    Text::new(
                        format!("each one is a table of its own: write [[{name}]], and its keys below it"),
                        format!("每一项是一张表：先写一行 [[{name}]]，再在下面写它的键"),
                    ),
                ));
            };
            for (i, item) in items.iter().filter_map(toml::Value::as_table).enumerate() {
                check_keys(&place_of(name, i, item.get("name").and_then(toml::Value::as_str)), keys, item)?;
            }
        } else {
            let known: Vec<&str> = Raw::TABLES.iter().chain(Raw::LISTS).map(|(known, _)| *known).collect();
            // A key of some table that stands before the first table.
            let home = Raw::TABLES.iter().find(|(_, keys)| keys.iter().any(|k| k.name == name));
            return Err(ConfigError(unknown(name, &known, home.map(|(table, _)| *table))));
        }
    }
    Ok(())
}

fn check_keys(place: &str, keys: &[Key], table: &toml::Table) -> Result<(), ConfigError> {
    for (name, value) in table {
        let Some(key) = keys.iter().find(|k| k.name == name) else {
            let known: Vec<&str> = keys.iter().map(|k| k.name).collect();
            return Err(ConfigError::at(place, unknown(name, &known, None)));
        };
        if !key.shape.takes(value) {
            return Err(ConfigError::at(format_args!("{place} {name}"), wanted(key)));
        }
    }
    Ok(())
}

/// `[[registry]] name`, or its number where it has no plain name.
pub(super) fn place_of(list: &str, index: usize, name: Option<&str>) -> String {
    match name.map(str::trim) {
        Some(n) if !n.is_empty() && n.chars().count() <= 64 && !n.contains(char::is_control) => {
            format!("[[{list}]] {n}")
        }
        _ => format!("[[{list}]] #{}", index + 1),
    }
}

pub(super) fn find(
    of: &'static [(&'static str, &'static [Key])],
    name: &str,
) -> Option<&'static (&'static str, &'static [Key])> {
    of.iter().find(|(known, _)| *known == name)
}

/// An unknown key or table, with the one that was probably meant, or all.
pub(super) fn unknown(name: &str, known: &[&str], home: Option<&str>) -> Text {
    // A key may hold anything, and any length of it.
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    if let Some(table) = home {
        return Text::new(
            format!("{shown} stands outside its table: write [{table}] before it"),
            format!("{shown} 写在了表外：它前面要有一行 [{table}]"),
        );
    }
    match nearest(&shown, known) {
        Some(near) => Text::new(
            format!("unknown key {shown}; did you mean {near}?"),
            format!("不认识的键 {shown}；是不是 {near}？"),
        ),
        None => Text::new(
            format!("unknown key {shown}; known here are {}", known.join(", ")),
            format!("不认识的键 {shown}；这里可用的有 {}", known.join("、")),
        ),
    }
}

/// The known word that at most a third of its letters, changed, would turn
/// into this one.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|k| (distance(word, k), *k))
        .filter(|(d, k)| *d <= (k.len() / 3).max(1))
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, above), diagonal) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(x != *y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
