//! Where distributions and panels keep a server's main file.
//!
//! Marks as in the project's notes on layouts: S read in the panel's source, L
//! seen on a live machine, D vendor's documentation, P third-party text only
//! (weaker). What a main file includes is followed by the readers, so that a
//! panel's own folders need no line here.

use std::collections::HashSet;

use crate::facts::Server;
use crate::source::{self, Source, SourceError};

/// Main files in the order in which they are looked for; patterns are glob(3).
const MAIN_FILES: &[(Server, &str)] = &[
    // Debian, RHEL, nginx.org (L); Hestia (S), cPanel's nginx (D) and
    // DirectAdmin (P) use it too.
    (Server::Nginx, "/etc/nginx/nginx.conf"),
    // 宝塔 / aaPanel, whichever of nginx, Tengine, OpenResty it built (S).
    (Server::Nginx, "/www/server/nginx/conf/nginx.conf"),
    // Own builds, LNMP one-click, OneinStack (S), AMH 4 (P).
    (Server::Nginx, "/usr/local/nginx/conf/nginx.conf"),
    // Tengine and OpenResty, OneinStack's too (S).
    (Server::Nginx, "/usr/local/tengine/conf/nginx.conf"),
    (Server::Nginx, "/usr/local/openresty/nginx/conf/nginx.conf"),
    // WDCP (P); its folders carry a version behind a link.
    (Server::Nginx, "/www/wdlinux/nginx/conf/nginx.conf"),
    (Server::Nginx, "/www/wdlinux/openresty/nginx/conf/nginx.conf"),
    // phpStudy 小皮 for Linux (P).
    (Server::Nginx, "/usr/local/phpstudy/soft/nginx/nginx-*/nginx/conf/nginx.conf"),
    // AMH 7 (P): every environment has its nginx below the panel's folder.
    (Server::Nginx, "/usr/local/amh-*/conf/nginx.conf"),
    (Server::Nginx, "/usr/local/amh-*/nginx*/conf/nginx.conf"),
    // Debian (L), and SUSE with the other name.
    (Server::Apache, "/etc/apache2/apache2.conf"),
    (Server::Apache, "/etc/apache2/httpd.conf"),
    // RHEL (S); Plesk (D) and DirectAdmin (P) use it too.
    (Server::Apache, "/etc/httpd/conf/httpd.conf"),
    // cPanel, all in one file (D).
    (Server::Apache, "/etc/apache2/conf/httpd.conf"),
    // 宝塔 / aaPanel (S).
    (Server::Apache, "/www/server/apache/conf/httpd.conf"),
    // LNMP one-click, OneinStack (S), own builds.
    (Server::Apache, "/usr/local/apache/conf/httpd.conf"),
    (Server::Apache, "/usr/local/apache2/conf/httpd.conf"),
    (Server::Apache, "/usr/local/httpd/conf/httpd.conf"),
    // WDCP (P).
    (Server::Apache, "/www/wdlinux/apache/conf/httpd.conf"),
];

/// The trees of AMH 7 whose main file stands at no known place: its site files
/// are read as fragments, but only where the panel itself is there (P).
const AMH7: &str = "/usr/local/amh-7.0";
const AMH7_SITES: &[&str] = &["/usr/local/amh-7.0/vhost/*.conf", "/home/wwwroot/*/vhost/*.conf"];

/// Main files that exist under the root, each file once however many paths
/// lead to it (a panel's folder is often a link to the versioned one).
pub fn find(src: &Source) -> Vec<(Server, Vec<u8>)> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut take = |server: Server, path: &[u8], found: &mut Vec<(Server, Vec<u8>)>| match src.read(path) {
        Ok(file) => {
            if seen.insert(file.id) {
                found.push((server, path.to_vec()));
            }
        }
        // No folder of that name: the server is not installed.
        Err(SourceError::NotFound) => {}
        // It is there, or nobody may look: the reader says which.
        Err(_) => found.push((server, path.to_vec())),
    };
    for (server, pattern) in MAIN_FILES {
        let pattern = pattern.as_bytes();
        if source::has_magic(pattern) {
            for path in src.glob(pattern).unwrap_or_default() {
                take(*server, &path, &mut found);
            }
        } else {
            take(*server, pattern, &mut found);
        }
    }
    let amh7_nginx =
        found.iter().any(|(_, p)| p.starts_with(AMH7.as_bytes()) || p.starts_with(b"/usr/local/nginx/"));
    if !amh7_nginx && src.kind(AMH7.as_bytes()) == Ok(source::Kind::Dir) {
        for pattern in AMH7_SITES {
            for path in src.glob(pattern.as_bytes()).unwrap_or_default() {
                take(Server::Nginx, &path, &mut found);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::config::Limits;

    fn found(files: &[&str], links: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let put = |f: &str| {
            let p = dir.path().join(f.trim_start_matches('/'));
            std::fs::create_dir_all(p.parent().unwrap()).unwrap();
            p
        };
        for f in files {
            std::fs::write(put(f), "").unwrap();
        }
        for (l, to) in links {
            std::os::unix::fs::symlink(to, put(l)).unwrap();
        }
        let src = Source::open(dir.path(), Limits::default()).unwrap();
        find(&src).into_iter().map(|(s, p)| format!("{s} {}", source::decode(&p))).collect()
    }

    #[test]
    fn nothing_installed_nothing_found() {
        assert!(found(&[], &[]).is_empty());
        assert!(
            found(&["/www/server/panel/vhost/nginx/a.conf", "/home/wwwroot/a/vhost/a.conf"], &[]).is_empty()
        );
    }

    #[test]
    fn every_row_is_found_by_its_main_file() {
        for (server, pattern) in MAIN_FILES {
            let path = pattern.replace('*', "1.2");
            assert_eq!(found(&[&path], &[]), [format!("{server} {path}")]);
        }
    }

    #[test]
    fn one_file_under_two_paths_is_one_tree() {
        let got = found(
            &["/www/wdlinux/nginx-1.8/conf/nginx.conf", "/usr/local/openresty/nginx/conf/nginx.conf"],
            &[("/www/wdlinux/nginx", "nginx-1.8"), ("/usr/local/nginx", "/usr/local/openresty/nginx")],
        );
        assert_eq!(
            got,
            ["nginx /usr/local/nginx/conf/nginx.conf", "nginx /www/wdlinux/nginx/conf/nginx.conf"]
        );
    }

    #[test]
    fn amh7_fragments_count_only_where_the_panel_is() {
        let sites = ["/usr/local/amh-7.0/vhost/a.conf", "/home/wwwroot/lnmp01/vhost/b.conf"];
        assert_eq!(found(&sites, &[]), sites.map(|s| format!("nginx {s}")));
        let with_main = [sites[0], sites[1], "/usr/local/amh-7.0/nginx-1.24/conf/nginx.conf"];
        assert_eq!(found(&with_main, &[]), ["nginx /usr/local/amh-7.0/nginx-1.24/conf/nginx.conf"]);
    }
}
