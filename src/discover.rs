//! Which servers and configuration trees exist under a root.
//!
//! Found by what exists: only a server whose main file is there counts, and
//! panels' site files count only when that main file includes them.

pub mod layouts;

use crate::facts::{Scan, Server};
use crate::source::Source;
use crate::vhost::{self, Entry};

/// Reads every configuration tree under the root, each once.
pub fn scan(src: &Source, args: &[(Server, String)]) -> Scan {
    let mut scan = Scan::default();
    for (server, path) in layouts::find(src) {
        src.next_tree();
        scan.extend(vhost::read(src, server, &Entry { path, args: args_of(args, server) }));
    }
    scan
}

/// The start options that were given for a server.
pub fn args_of(args: &[(Server, String)], server: Server) -> Option<String> {
    let given: Vec<&str> = args.iter().filter(|(s, _)| *s == server).map(|(_, a)| a.as_str()).collect();
    (!given.is_empty()).then(|| given.join(" "))
}
