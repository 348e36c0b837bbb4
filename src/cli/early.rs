//! What has to be known before the command line is parsed: the language of its
//! help and error texts, which the settings may decide.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::{Config, ConfigError, Lang};

/// `--config` and `--lang` as a first look over the arguments finds them.
pub struct Early {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// The settings of that file, or why they cannot be used.
    pub settings: Result<Config, ConfigError>,
    /// The language for everything that a person reads.
    pub lang: Lang,
}

impl Early {
    /// Looks over the arguments (without the program's name) and reads the
    /// settings.
    pub fn look(args: &[OsString]) -> Early {
        let config = value(args, "--config").map(PathBuf::from);
        let settings = Config::load(config.as_deref());
        let option = value(args, "--lang").and_then(|v| v.to_str().and_then(Lang::parse));
        let lang = Lang::choose(option, settings.as_ref().ok().and_then(|c| c.lang));
        Early { config, settings, lang }
    }
}

/// The value of the first `--key VALUE` or `--key=VALUE`.
fn value(args: &[OsString], key: &str) -> Option<OsString> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut args = args.iter().take_while(|a| *a != "--");
    while let Some(a) = args.next() {
        if a == key {
            return args.next().cloned();
        }
        if let Some(rest) = a.as_bytes().strip_prefix(key.as_bytes())
            && let Some(v) = rest.strip_prefix(b"=")
        {
            return Some(OsString::from_vec(v.to_vec()));
        }
    }
    None
}
