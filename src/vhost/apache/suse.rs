//! SUSE's `/etc/sysconfig/apache2`, from which its start script makes the
//! command line and the files below `/etc/apache2/sysconfig.d`.
//!
//! The files are normally there (they are written with every start); where
//! they are not, what the script would write counts.

use super::env::{self, Options, Vars};
use super::line::words;
use crate::source::Source;

const SYSCONFIG: &[u8] = b"/etc/sysconfig/apache2";
/// The main file that the script starts the server with.
const MAIN: &[u8] = b"/etc/apache2/httpd.conf";
const LOAD_MODULE: &[u8] = b"/etc/apache2/sysconfig.d/loadmodule.conf";
const GLOBAL: &[u8] = b"/etc/apache2/sysconfig.d/global.conf";
/// The generated file that the main file or the command line includes.
pub(super) const INCLUDE: &[u8] = b"/etc/apache2/sysconfig.d/include.conf";

/// SUSE's settings.
#[derive(Debug)]
pub(super) struct Suse {
    vars: Vars,
}

impl Suse {
    /// The settings of a tree with this main file; `None` where it is not
    /// SUSE's.
    pub fn read(src: &Source, main: &[u8]) -> Option<Suse> {
        if main != MAIN {
            return None;
        }
        let file = src.read(SYSCONFIG).ok()?;
        Some(Suse { vars: env::envvars(&file.bytes) })
    }

    fn value(&self, name: &str) -> &[u8] {
        self.vars.get(name.as_bytes()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The start options: each word of APACHE_SERVER_FLAGS is a define, with
    /// or without `-D`.
    pub fn options(&self, src: &Source) -> Options {
        let mut out = Options::default();
        for word in words(self.value("APACHE_SERVER_FLAGS")) {
            let name = word.strip_prefix(b"-D").unwrap_or(&word);
            if !name.is_empty() && !name.starts_with(b"-") {
                out.defines.push(name.to_vec());
            }
        }
        out.defines.push(b"SYSCONFIG".to_vec());
        if src.is_file(LOAD_MODULE) {
            line(&mut out.before, b"Include", LOAD_MODULE);
        } else {
            for word in words(self.value("APACHE_MODULES")) {
                // Both `rewrite` and `mod_rewrite` are written.
                let name = word.strip_prefix(b"mod_").unwrap_or(&word);
                if !name.is_empty() && name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_') {
                    let file = [b"mod_", name, b".so"].concat();
                    line(&mut out.before, &[b"LoadModule ", name, b"_module"].concat(), &file);
                }
            }
        }
        if src.is_file(GLOBAL) {
            line(&mut out.before, b"Include", GLOBAL);
        }
        out
    }

    /// What is included behind the main file, unless that included the
    /// generated file itself.
    pub fn after(&self, src: &Source) -> Vec<u8> {
        let mut out = Vec::new();
        if src.is_file(INCLUDE) {
            line(&mut out, b"Include", INCLUDE);
            return out;
        }
        for name in ["APACHE_CONF_INCLUDE_FILES", "APACHE_CONF_INCLUDE_DIRS"] {
            for word in words(self.value(name)) {
                let safe =
                    !word.is_empty() && !word.iter().any(|&b| b < b' ' || matches!(b, b'"' | b'\\' | b'$'));
                match word.first() {
                    Some(b'/') if safe => line(&mut out, b"Include", &word),
                    Some(_) if safe => line(&mut out, b"Include", &[b"/etc/apache2/", &*word].concat()),
                    _ => {}
                }
            }
        }
        out
    }
}

fn line(to: &mut Vec<u8>, directive: &[u8], arg: &[u8]) {
    to.extend_from_slice(directive);
    to.extend_from_slice(b" \"");
    to.extend_from_slice(arg);
    to.extend_from_slice(b"\"\n");
}
