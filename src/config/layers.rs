//! The layers of the settings, and who said what.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::foreign::{io_text, toml_text};
use super::raw::Raw;
use super::registry::Secret;
use super::{ConfigError, DEFAULT_PATH, Text, shape};

const PREFIX: &str = "BEIAN_AGENT__";
const REGISTRY_PREFIX: &str = "BEIAN_AGENT__REGISTRY__";

/// `BEIAN_AGENT__REGISTRY__NAME__KEY` and `…__PASSWORD`: the name in capitals,
/// anything that is no letter or digit as `_`.
#[derive(Default)]
pub(super) struct SecretsFromEnvironment(HashMap<String, Secret>);

impl SecretsFromEnvironment {
    pub(super) fn get(&self, registry: &str, what: &str) -> Option<Secret> {
        self.0.get(&format!("{}__{}", in_capitals(registry), what.to_ascii_uppercase())).cloned()
    }

    /// A secret for a registry that nobody has configured is a misspelling.
    pub(super) fn of_nobody<'a>(&self, registries: impl Iterator<Item = &'a str>) -> Vec<Text> {
        let known: Vec<String> = registries.map(in_capitals).collect();
        let mut stray: Vec<&String> = self
            .0
            .keys()
            .filter(|k| k.rsplit_once("__").is_none_or(|(name, _)| !known.iter().any(|n| n == name)))
            .collect();
        stray.sort();
        stray
            .into_iter()
            .map(|k| {
                Text::new("there is no [[registry]] of that name", "没有这个名字的 [[registry]]")
                    .at(format_args!("{REGISTRY_PREFIX}{k}"))
            })
            .collect()
    }
}

fn in_capitals(registry: &str) -> String {
    registry.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Which file or variable had the last word on a setting, so that an error
/// leads to the place that has to be changed.
#[derive(Debug, Default)]
pub(super) struct Origins {
    keys: HashMap<(String, String), String>,
    items: HashMap<&'static str, Vec<String>>,
}

impl Origins {
    /// An error of `[table] key`.
    pub(super) fn blame(&self, table: &str, key: &str, what: Text) -> ConfigError {
        let what = what.at(format_args!("[{table}] {key}"));
        match self.keys.get(&(table.to_owned(), key.to_owned())) {
            Some(origin) => ConfigError::at(origin, what),
            None => ConfigError(what),
        }
    }

    /// An error of the `index`th table of a list; it names the table itself.
    pub(super) fn blame_item(&self, list: &str, index: usize, e: ConfigError) -> ConfigError {
        match self.items.get(list).and_then(|o| o.get(index)) {
            Some(origin) => ConfigError::at(origin, e.0),
            None => e,
        }
    }
}

/// All layers in one, and what they were.
pub(super) struct Layers {
    pub raw: Raw,
    pub files: Vec<PathBuf>,
    pub secrets: SecretsFromEnvironment,
    pub origins: Origins,
}

pub(super) fn read(path: Option<&Path>, env: Vec<(String, String)>) -> Result<Layers, ConfigError> {
    let mut merged = toml::Table::new();
    let mut origins = Origins::default();
    let mut files = Vec::new();
    for (file, text) in texts(path)? {
        let table =
            text.parse::<toml::Table>().map_err(|e| ConfigError::at(file.display(), toml_text(&e, &text)))?;
        shape::check_file(&table).map_err(|e| ConfigError::at(file.display(), e.0))?;
        add(&mut merged, &mut origins, &file.display().to_string(), table);
        files.push(file);
    }
    let mut secrets = SecretsFromEnvironment::default();
    for (variable, value) in env {
        if let Some(rest) = variable.strip_prefix(REGISTRY_PREFIX) {
            if !(rest.ends_with("__KEY") || rest.ends_with("__PASSWORD")) {
                return Err(ConfigError::at(
                    &variable,
                    Text::new(
                        "of a registry the environment gives only __KEY and __PASSWORD",
                        "对查询来源，环境变量只能给出 __KEY 和 __PASSWORD",
                    ),
                ));
            }
            secrets.0.insert(rest.to_owned(), Secret::new(value));
        } else if let Some(rest) = variable.strip_prefix(PREFIX) {
            let one = of_variable(rest, &value).map_err(|e| ConfigError::at(&variable, e.0))?;
            add(&mut merged, &mut origins, &variable, one);
        }
    }
    // Each layer is checked; what is left would be a gap of that check.
    let raw = toml::Value::Table(merged).try_into().map_err(|_| {
        ConfigError::new("a setting has a form that is not taken", "有一项设置的写法不能接受")
    })?;
    Ok(Layers { raw, files, secrets, origins })
}

/// Lists of tables add up over the files, so that one file a registry in
/// conf.d works; everything else is taken from the last layer that says it.
fn add(merged: &mut toml::Table, origins: &mut Origins, origin: &str, layer: toml::Table) {
    for (name, value) in layer {
        match value {
            toml::Value::Table(keys) => {
                for key in keys.keys() {
                    origins.keys.insert((name.clone(), key.clone()), origin.to_owned());
                }
                let into = merged.entry(name).or_insert_with(|| toml::Table::new().into());
                if let Some(into) = into.as_table_mut() {
                    into.extend(keys);
                }
            }
            toml::Value::Array(items) => {
                if let Some((list, _)) = shape::find(Raw::LISTS, &name) {
                    let from = origins.items.entry(list).or_default();
                    from.extend(items.iter().map(|_| origin.to_owned()));
                }
                let into = merged.entry(name).or_insert_with(|| toml::Value::Array(Vec::new()));
                if let Some(into) = into.as_array_mut() {
                    into.extend(items);
                }
            }
            _ => {}
        }
    }
}

/// `RESOLVER__TIMEOUT` and its value as a layer.
fn of_variable(rest: &str, value: &str) -> Result<toml::Table, ConfigError> {
    let rest = rest.to_ascii_lowercase();
    let Some((table, key)) = rest.split_once("__") else {
        return Err(ConfigError::new(
            "a variable gives one key of one table, like BEIAN_AGENT__RESOLVER__TIMEOUT",
            "环境变量一次给出某张表的某个键，如 BEIAN_AGENT__RESOLVER__TIMEOUT",
        ));
    };
    let Some((table, keys)) = shape::find(Raw::TABLES, table) else {
        let known: Vec<&str> = Raw::TABLES.iter().map(|(name, _)| *name).collect();
        return Err(ConfigError(shape::unknown(table, &known, None)));
    };
    let Some(key) = keys.iter().find(|k| k.name == key) else {
        let known: Vec<&str> = keys.iter().map(|k| k.name).collect();
        return Err(ConfigError::at(format_args!("[{table}]"), shape::unknown(key, &known, None)));
    };
    let value = key
        .shape
        .of_text(value)
        .ok_or_else(|| ConfigError::at(format_args!("[{table}] {}", key.name), shape::wanted(key)))?;
    let keys = toml::Table::from_iter([(key.name.to_owned(), value)]);
    Ok(toml::Table::from_iter([((*table).to_owned(), keys.into())]))
}

/// The main file and those of conf.d beside it.
fn texts(path: Option<&Path>) -> Result<Vec<(PathBuf, String)>, ConfigError> {
    let main = path.unwrap_or(Path::new(DEFAULT_PATH));
    let mut texts = Vec::new();
    match std::fs::read_to_string(main) {
        Ok(text) => texts.push((main.to_path_buf(), text)),
        Err(e) if e.kind() == ErrorKind::NotFound && path.is_none() => {}
        Err(e) => return Err(ConfigError::at(main.display(), io_text(&e))),
    }
    for file in conf_d(main)? {
        let text =
            std::fs::read_to_string(&file).map_err(|e| ConfigError::at(file.display(), io_text(&e)))?;
        texts.push((file, text));
    }
    Ok(texts)
}

fn conf_d(main: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let dir = main.parent().unwrap_or(Path::new(".")).join("conf.d");
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(ConfigError::at(dir.display(), io_text(&e))),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|p| {
            p.extension().is_some_and(|x| x == "toml")
                && p.file_name().is_some_and(|n| !n.to_string_lossy().starts_with('.'))
        })
        .collect();
    files.sort();
    Ok(files)
}
