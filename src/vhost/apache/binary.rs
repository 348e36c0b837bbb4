//! What the installed httpd says about itself, read from its bytes: its
//! version and the modules that are compiled into it. Nothing is ever run.
//!
//! A module that is linked in leaves two texts in the program: the name of its
//! source (`mod_NAME.c`, which `<IfModule>` is compared with) and, in the
//! server's table of linked modules, that of its structure (`NAME_module`).
//! Both must be there: other modules' code may speak of a source by name.

use std::collections::HashSet;

use super::condition::{Version, usually_compiled_in};
use super::walk::Walk;
use crate::source::Source;

/// Sources that are not called `mod_NAME.c`, with their structures.
const OTHERS: &[(&[u8], &[u8])] = &[
    (b"http_core.c", b"http_module"),
    (b"prefork.c", b"mpm_prefork_module"),
    (b"worker.c", b"mpm_worker_module"),
    (b"event.c", b"mpm_event_module"),
    (b"itk.c", b"mpm_itk_module"),
    (b"util_ldap.c", b"ldap_module"),
];

/// Where distributions install the server whose files stand below `/etc`. Of
/// several, one for each processing model, all have the same modules.
const DEBIAN_SUSE: &[&[u8]] = &[
    b"/usr/sbin/apache2",
    b"/usr/sbin/httpd",
    b"/usr/sbin/httpd-prefork",
    b"/usr/sbin/httpd-worker",
    b"/usr/sbin/httpd-event",
    b"/usr/sbin/httpd2-prefork",
    b"/usr/sbin/httpd2-worker",
];
const RHEL: &[&[u8]] = &[b"/usr/sbin/httpd", b"/usr/sbin/httpd.worker", b"/usr/sbin/httpd.event"];

/// The longest name of a source or a structure.
const LONGEST: usize = 64;
/// Names of one kind that are kept; a server has some hundred.
const MOST: usize = 4096;

/// An installed httpd.
#[derive(Debug)]
pub(super) struct Httpd {
    pub version: Option<Version>,
    /// Compiled-in modules, by both names.
    pub modules: HashSet<Vec<u8>>,
}

/// The server that a main file belongs to: the distribution's, else the one
/// below ServerRoot. `None` where there is none, or none that can be read.
fn find(src: &Source, main: &[u8], server_root: &[u8]) -> Option<Httpd> {
    let own = [[server_root, b"/bin/httpd"].concat(), [server_root, b"/sbin/httpd"].concat()];
    let own = [&*own[0], &*own[1]];
    let candidates: &[&[u8]] = if main.starts_with(b"/etc/apache2/") {
        DEBIAN_SUSE
    } else if main.starts_with(b"/etc/httpd/") {
        RHEL
    } else {
        &own
    };
    candidates.iter().find_map(|path| {
        // Only what is there counts against limits.files.
        let file = src.is_file(path).then(|| src.read(path))?;
        parse(&file.ok()?.bytes)
    })
}

impl Walk<'_> {
    /// The server that is installed below this ServerRoot, looked for once.
    pub fn httpd(&mut self) -> Option<&Httpd> {
        self.remembered.httpd_asked();
        if self.looked_for.is_none() {
            self.looked_for = Some(find(self.src, &self.main, &self.server_root));
        }
        self.looked_for.as_ref().and_then(Option::as_ref)
    }

    /// The version that the tree is for.
    pub fn version(&mut self) -> Version {
        let assumed = self.assumed;
        self.httpd().and_then(|h| h.version).unwrap_or(assumed)
    }

    /// Whether a module needs no LoadModule.
    pub fn compiled_in(&mut self, name: &[u8]) -> bool {
        let assumed = self.assumed;
        match self.httpd() {
            Some(h) => h.modules.contains(name),
            None => {
                self.version_asked |= usually_compiled_in(name, Version::DEFAULT);
                usually_compiled_in(name, assumed)
            }
        }
    }
}

/// Reads a program; `None` for anything that is no httpd.
fn parse(bytes: &[u8]) -> Option<Httpd> {
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    let mut sources: HashSet<&[u8]> = HashSet::new();
    let mut structures: HashSet<&[u8]> = HashSet::new();
    let mut version = None;
    for text in bytes.split(|&b| b == 0) {
        if text.ends_with(b".c") && sources.len() < MOST {
            // Compilers may put a path before it, which Apache cuts off too.
            let start = text.iter().rposition(|&b| b == b'/' || !b.is_ascii_graphic() && b != b' ');
            let name = text.get(start.map_or(0, |p| p + 1)..).unwrap_or_default();
            if name.len() <= LONGEST && (name.starts_with(b"mod_") || OTHERS.iter().any(|(f, _)| *f == name))
            {
                sources.insert(name);
            }
        } else if text.ends_with(b"_module") && structures.len() < MOST {
            structures.insert(text.get(text.len().saturating_sub(LONGEST)..).unwrap_or_default());
        } else if version.is_none()
            && let Some(v) = text.strip_prefix(b"Apache/")
        {
            let v = v.split(|&b| b == b' ').next().unwrap_or_default();
            version = Version::full(v);
        }
    }
    // Linkers let a text be the end of a longer one (`dir_module`).
    let linked = |name: &[u8]| structures.contains(name) || structures.iter().any(|s| s.ends_with(name));
    if !sources.contains(&b"http_core.c"[..]) || !linked(b"core_module") {
        return None;
    }
    let mut modules = HashSet::from([b"core.c".to_vec(), b"core_module".to_vec()]);
    for source in sources {
        let structure = match OTHERS.iter().find(|(f, _)| *f == source) {
            Some((_, structure)) => structure.to_vec(),
            None => {
                let stem = source.strip_prefix(b"mod_").and_then(|s| s.strip_suffix(b".c"));
                [stem.unwrap_or_default(), b"_module"].concat()
            }
        };
        if linked(&structure) {
            modules.insert(source.to_vec());
            modules.insert(structure);
        }
    }
    Some(Httpd { version, modules })
}
