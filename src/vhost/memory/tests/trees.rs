//! Random trees of configuration, and what people do to them.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::facts::Server;

/// Numbers that depend on a seed alone (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.below(list.len())]
    }
}

/// Files that may be there. Those below `live` and `opt` are two versions of
/// one folder, of which a link chooses one.
const FILES: &[&str] = &[
    "conf.d/a.conf",
    "conf.d/b.conf",
    "conf.d/c.conf",
    "conf.d/d.conf",
    "conf.d/e.conf",
    "conf.d/.hidden.conf",
    "sites/one",
    "sites/two",
    "sites/three",
    "avail/one",
    "avail/two",
    "avail/three",
    "all.conf",
    "more/x.conf",
    "more/y.conf",
    "ext/p/1.conf",
    "ext/p/2.conf",
    "ext/q/1.conf",
    "snip/x.conf",
    "snip/y.conf",
    "snip/z.conf",
    "opt/v1/k.conf",
    "opt/v1/l.conf",
    "opt/v2/k.conf",
    "mods/m.conf",
];
const FOLDERS: &[&str] = &["conf.d", "ext/p", "ext/q", "snip", "more", "opt/v1", "opt/v2"];

pub struct Root {
    dir: tempfile::TempDir,
    server: Server,
    base: &'static str,
    main: &'static str,
    last: String,
}

impl Root {
    pub fn new(random: &mut Random, server: Server) -> Root {
        let (base, main) = match server {
            Server::Nginx => ("etc/nginx", "nginx.conf"),
            Server::Apache => ("etc/apache2", "apache2.conf"),
        };
        let dir = tempfile::tempdir().unwrap();
        let root = Root { dir, server, base, main, last: String::new() };
        fs::create_dir_all(root.at("")).unwrap();
        root.write(main, &root.main_text(random));
        for file in FILES {
            if !random.one_in(4) {
                root.write(file, &root.text(random, file));
            }
        }
        let _ = fs::create_dir_all(root.at("opt/v1"));
        let _ = symlink("opt/v1", root.at("live"));
        for name in ["one", "two", "three"] {
            if random.one_in(2) {
                let _ = fs::create_dir_all(root.at("sites"));
                let _ = fs::remove_file(root.at(&format!("sites/{name}")));
                let _ = symlink(format!("../avail/{name}"), root.at(&format!("sites/{name}")));
            }
        }
        root
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What was done since.
    pub fn last(&self) -> &str {
        &self.last
    }

    pub fn forget(&mut self) {
        self.last.clear();
    }

    /// Every name that occurs.
    pub fn names(&self) -> impl Iterator<Item = &'static [u8]> {
        FILES
            .iter()
            .flat_map(|f| f.split('/'))
            .chain(["etc", "nginx", "apache2", "live", "gone", "nginx.conf", "apache2.conf", "new.conf"])
            .map(str::as_bytes)
    }

    fn at(&self, file: &str) -> PathBuf {
        self.path().join(self.base).join(file)
    }

    /// A path as the watch would tell it.
    fn told(&self, file: &str) -> Vec<Box<[u8]>> {
        let path = self.at(file);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
        let Ok(real) = fs::canonicalize(parent) else { return Vec::new() };
        let root = fs::canonicalize(self.path()).unwrap();
        let inside = real.strip_prefix(root).unwrap().join(name);
        vec![format!("/{}", inside.display()).into_bytes().into()]
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.at(file);
        if fs::create_dir_all(path.parent().unwrap()).is_ok() {
            let _ = fs::write(path, text);
        }
    }

    /// For a person who looks at a failing tree.
    pub fn show(&self) -> String {
        let mut out = String::new();
        let mut todo = vec![self.path().to_path_buf()];
        while let Some(path) = todo.pop() {
            if let Ok(target) = fs::read_link(&path) {
                let _ = writeln!(out, "== {} -> {}", path.display(), target.display());
            } else if path.is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            } else {
                let _ = writeln!(out, "== {}\n{}", path.display(), fs::read_to_string(&path).unwrap());
            }
        }
        out
    }

    /// Does something; the paths that the watch would tell.
    pub fn edit(&mut self, random: &mut Random) -> Vec<Box<[u8]>> {
        let file = random.of(FILES);
        let mut told = Vec::new();
        // Folders that are made on the way are told of too.
        let mut parts = PathBuf::new();
        for part in Path::new(file).parent().unwrap_or(Path::new("")) {
            parts.push(part);
            if !self.at(&parts.display().to_string()).exists() {
                told.extend(self.told(&parts.display().to_string()));
            }
        }
        match random.below(14) {
            0..=5 => {
                let text = self.text(random, file);
                let _ = write!(self.last, "wrote {file}; ");
                // Through a link the target changes.
                let real = fs::canonicalize(self.at(file)).ok();
                self.write(file, &text);
                told.extend(self.told(file));
                if let Some(real) = real {
                    let root = fs::canonicalize(self.path()).unwrap();
                    told.push(format!("/{}", real.strip_prefix(root).unwrap().display()).into_bytes().into());
                }
            }
            6 => {
                let _ = write!(self.last, "replaced {file}; ");
                self.write("gone", &self.text(random, file));
                let _ = fs::create_dir_all(self.at(file).parent().unwrap());
                told.extend(self.told("gone"));
                let _ = fs::rename(self.at("gone"), self.at(file));
                told.extend(self.told(file));
            }
            7 | 8 => {
                let _ = write!(self.last, "removed {file}; ");
                told.extend(self.told(file));
                let _ = fs::remove_file(self.at(file));
            }
            9 => {
                let other = random.of(FILES);
                let _ = write!(self.last, "renamed {file} to {other}; ");
                told.extend(self.told(file));
                let _ = fs::rename(self.at(file), self.at(other));
                told.extend(self.told(other));
            }
            10 => {
                let text = self.main_text(random);
                self.last.push_str("wrote the main file; ");
                self.write(self.main, &text);
                told.extend(self.told(self.main));
            }
            11 => {
                let to = random.of(&["opt/v1", "opt/v2", "opt/v3", "more"]);
                let _ = write!(self.last, "live leads to {to}; ");
                let _ = fs::remove_file(self.at("live"));
                let _ = symlink(to, self.at("live"));
                told.extend(self.told("live"));
            }
            12 => {
                let folder = random.of(FOLDERS);
                let _ = write!(self.last, "moved {folder} away; ");
                told.extend(self.told(folder));
                let _ = fs::remove_dir_all(self.at("moved"));
                let _ = fs::rename(self.at(folder), self.at("moved"));
                told.extend(self.told("moved"));
            }
            _ => {
                let folder = random.of(FOLDERS);
                let _ = write!(self.last, "moved {folder} back; ");
                let _ = fs::create_dir_all(self.at(folder).parent().unwrap());
                told.extend(self.told(Path::new(folder).parent().unwrap().to_str().unwrap()));
                told.extend(self.told(folder));
                let _ = fs::rename(self.at("moved"), self.at(folder));
                told.extend(self.told("moved"));
            }
        }
        told
    }

    fn main_text(&self, random: &mut Random) -> String {
        match self.server {
            Server::Nginx => nginx_main(random),
            Server::Apache => apache_main(random),
        }
    }

    fn text(&self, random: &mut Random, file: &str) -> String {
        let snippet = file.starts_with("snip/") || file.starts_with("ext/");
        match (self.server, snippet) {
            (Server::Nginx, true) => nginx_snippet(random),
            (Server::Nginx, false) => nginx_file(random, file),
            (Server::Apache, true) => apache_snippet(random),
            (Server::Apache, false) => apache_file(random, file),
        }
    }
}

const NAMES: &[&str] = &[
    "a.example.com",
    "b.example.com",
    "c.example.com",
    "*.example.com",
    "www.example.com",
    "EXAMPLE.net",
    "中文.example.com",
    ".example.org",
    "_",
];

fn nginx_main(random: &mut Random) -> String {
    let mut t = String::from("events {}\nhttp {\n");
    for line in [
        "root /srv/http;",
        "ssl_certificate /etc/c.pem;",
        "error_page 404 /404.html;",
        "ssl on;",
        "ssl_reject_handshake on;",
        "content_by_lua_file x.lua;",
        "server { listen 80 default_server; return 444; }",
        "include all.conf;",
        "include sites/*;",
        "include live/*.conf;",
        "include conf.d/../conf.d/a.conf;",
        "include gone.conf;",
    ] {
        if random.one_in(4) {
            let _ = writeln!(t, " {line}");
        }
    }
    t.push_str(" include conf.d/*.conf;\n include sites/*;\n");
    if random.one_in(3) {
        t.push_str(" include live/*.conf;\n");
    }
    if !random.one_in(12) {
        t.push_str("}\n");
    }
    t
}

fn nginx_file(random: &mut Random, file: &str) -> String {
    let mut t = String::new();
    if random.one_in(20) {
        t.push('\u{feff}');
    }
    if file == "all.conf" {
        t.push_str("include more/*.conf;\n");
    }
    for _ in 0..random.below(4) {
        match random.below(12) {
            0 => t.push_str("map $a $b { default 1; include snip/x.conf; }\n"),
            1 => t.push_str("upstream u { server 127.0.0.1:81; include snip/y.conf; }\n"),
            2 => {
                t.push_str(random.of(&[
                    "root /srv/file;\n",
                    "ssl_certificate /etc/file.pem;\n",
                    "include snip/nothing.conf;\n",
                    "include snip/*.nothing;\n",
                    "include more/x.conf;\n",
                    "include nginx.conf;\n",
                    "error_page 403 /x;\n",
                    "}\n",
                    "http { server { listen 82; } }\n",
                    "listen 80\n",
                ]));
            }
            _ => nginx_server(random, &mut t),
        }
    }
    t
}

fn nginx_server(random: &mut Random, t: &mut String) {
    t.push_str("server {\n");
    for _ in 0..random.below(3) {
        let listen =
            random.of(&["80", "81", "[::]:80", "127.0.0.1:80", "443 ssl", "80-82", "unix:/run/x", "$x"]);
        let default = if random.one_in(5) { " default_server" } else { "" };
        let _ = writeln!(t, " listen {listen}{default};");
    }
    for _ in 0..random.below(3) {
        let _ = writeln!(t, " server_name {} {};", random.of(NAMES), random.of(NAMES));
    }
    for _ in 0..random.below(4) {
        let line = random.of(&[
            "include snip/x.conf;",
            "include snip/y.conf;",
            "include snip/*.conf;",
            "include ext/p/*.conf;",
            "include ext/*/1.conf;",
            "include snip/../ext/q/1.conf;",
            "include conf.d/a.conf;",
            "root /srv/own;",
            "return 301 https://example.com$request_uri;",
            "return 444;",
            "location / { return 403; }",
            "location / { proxy_pass http://127.0.0.1:8080; include snip/z.conf; }",
            "if ($x) { return 301 https://b.example.com; }",
            "ssl off;",
            "access_by_lua_block { x = '}' }",
            "server_name a/b;",
            "deny all;",
            "listen 80",
        ]);
        let _ = writeln!(t, " {line}");
    }
    if !random.one_in(15) {
        t.push_str("}\n");
    }
}

fn nginx_snippet(random: &mut Random) -> String {
    let mut t = String::new();
    for _ in 0..random.below(4) {
        let line = random.of(&[
            "server_name snip.example.com;",
            "listen 83;",
            "ssl_certificate /etc/snip.pem;",
            "location /x { deny all; }",
            "include snip/z.conf;",
            "include ext/p/2.conf;",
            "return 444;",
            "proxy_pass http://127.0.0.1:9;",
            "content_by_lua_block { ngx.say(1) }",
            "}",
            "broken \"quote;",
            "server_name $host;",
        ]);
        let _ = writeln!(t, "{line}");
    }
    t
}

fn apache_main(random: &mut Random) -> String {
    let mut t = String::from("Listen 80\nListen 443 https\n");
    for line in [
        "ServerName main.example.com",
        "ServerName main.example.com:80",
        "DocumentRoot /srv/main",
        "LoadModule ssl_module mod_ssl.so",
        "LoadModule authz_host_module mod_authz_host.so",
        "LoadModule mem_cache_module mod_mem_cache.so",
        "NameVirtualHost *:80",
        "Define SIDE left",
        "Define FLAG",
        "<Macro Site $name>\n<VirtualHost *:80>\nServerName $name\nInclude snip/x.conf\n</VirtualHost>\n</Macro>",
        "Include all.conf",
        "IncludeOptional live/*.conf",
        "Include mods/m.conf",
        "Include mods",
        "ServerRoot /etc/apache2",
        "Redirect / https://www.example.com/",
        "SSLEngine on",
    ] {
        if random.one_in(3) {
            let _ = writeln!(t, "{line}");
        }
    }
    if random.one_in(4) {
        t.push_str("<IfModule mod_ssl.c>\nIncludeOptional live/*.conf\n</IfModule>\n");
    }
    t.push_str("IncludeOptional conf.d/*.conf\n");
    t.push_str(random.of(&["IncludeOptional sites/*\n", "Include sites\n", "Include sites/*\n"]));
    t
}

fn apache_file(random: &mut Random, file: &str) -> String {
    let mut t = String::new();
    if random.one_in(20) {
        t.push('\u{feff}');
    }
    if file == "all.conf" {
        t.push_str("IncludeOptional more/*.conf\n");
    }
    for _ in 0..random.below(4) {
        match random.below(10) {
            0 => {
                let line = random.of(&[
                    "Define SIDE right",
                    "UnDefine SIDE",
                    "Define FLAG",
                    "UnDefine FLAG",
                    "Listen 81",
                    "LoadModule rewrite_module mod_rewrite.so",
                    "ServerName other.example.com:8080",
                    "Use Site used.example.com",
                    "<Macro Site $name>\n<VirtualHost *:81>\nServerAlias $name\n</VirtualHost>\n</Macro>",
                    "UndefMacro Site",
                    "ServerRoot /etc",
                    "Include snip/nothing.conf",
                    "IncludeOptional snip/*.nothing",
                    "Include more/x.conf",
                    "Include apache2.conf",
                    "</VirtualHost>",
                    "<IfModule",
                    "NameVirtualHost *:81",
                    "SetHandler proxy:http://127.0.0.1:1",
                ]);
                let _ = writeln!(t, "{line}");
            }
            1 => t.push_str("<Directory /srv>\nRequire all granted\nOrder allow,deny\n</Directory>\n"),
            _ => {
                let wrap = random.of(&[
                    "",
                    "",
                    "",
                    "IfModule mod_ssl.c",
                    "IfModule mod_so.c",
                    "IfDefine FLAG",
                    "IfDefine !FLAG",
                    "IfVersion >= 2.4",
                    "IfFile /etc/apache2/snip/x.conf",
                ]);
                if !wrap.is_empty() {
                    let _ = writeln!(t, "<{wrap}>");
                }
                apache_vhost(random, &mut t);
                if let Some(name) = wrap.split(' ').next().filter(|n| !n.is_empty()) {
                    let _ = writeln!(t, "</{name}>");
                }
            }
        }
    }
    t
}

fn apache_vhost(random: &mut Random, t: &mut String) {
    let addr = random.of(&[
        "*:80",
        "*:80 [::]:80",
        "*:443",
        "127.0.0.1:80",
        "*",
        "_default_:80",
        "x.example.com",
        "*:99",
    ]);
    let _ = writeln!(t, "<VirtualHost {addr}>");
    if !random.one_in(4) {
        let _ = writeln!(t, "ServerName {}", random.of(NAMES));
    }
    for _ in 0..random.below(5) {
        let line = random.of(&[
            "ServerAlias a.example.com b.example.com *.example.net",
            "ServerAlias ${SIDE}.example.com",
            "DocumentRoot /srv/${SIDE}",
            "Include snip/x.conf",
            "Include snip/y.conf",
            "IncludeOptional snip/*.conf",
            "IncludeOptional ext/*/1.conf",
            "Include ext",
            "Include conf.d/a.conf",
            "SSLEngine on",
            "SSLCertificateFile /etc/c.pem",
            "Redirect / https://a.example.com/",
            "RewriteEngine on\nRewriteCond %{HTTPS} off\nRewriteRule ^ https://b.example.com [R=301]",
            "<Location />\nRequire all denied\n</Location>",
            "ProxyPass / http://127.0.0.1:8080/",
            "Define INSIDE yes",
            "<If \"true\">\nRequire all granted\n</If>",
            "ServerName a/b c",
            "VirtualDocumentRoot /srv/%0",
        ]);
        let _ = writeln!(t, "{line}");
    }
    if !random.one_in(15) {
        t.push_str("</VirtualHost>\n");
    }
}

fn apache_snippet(random: &mut Random) -> String {
    let mut t = String::new();
    for _ in 0..random.below(4) {
        let line = random.of(&[
            "ServerAlias snip.example.com",
            "SSLCertificateFile /etc/snip.pem",
            "Include snip/z.conf",
            "IncludeOptional ext/p/2.conf",
            "<Location />\nDeny from all\n</Location>",
            "ProxyPass /x http://127.0.0.1:9/",
            "Use Nothing",
            "Define SIDE snipped",
            "</IfModule>",
            "ServerAlias ${UNSET}",
            "<IfModule mod_headers.c>\nServerAlias headers.example.com\n</IfModule>",
        ]);
        let _ = writeln!(t, "{line}");
    }
    t
}
