//! Random trees: what Apache takes, written in as many ways as people do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::server::has_v6;

/// Ports of one tree.
pub const PORTS: usize = 4;
/// Its vhosts, at most.
const VHOSTS: usize = 9;

/// SplitMix64: the same tree from the same seed for ever.
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Which file a vhost stands in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Main,
    /// `IncludeOptional conf.d/*.conf`.
    Glob(u8),
    /// `Include folder`, at some depth, under any file name.
    Folder(u8, u8),
    /// A link in a globbed folder.
    Link(u8),
    /// A file of its own, named in full; sometimes included twice.
    Literal {
        twice: bool,
    },
    /// `Include per/*/site.conf`.
    Inner(u8),
    /// By a macro.
    Macro,
}

/// What stands around a vhost.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrap {
    None,
    Define(bool),
    Option(bool),
    Module(bool),
    Version(bool),
    File(bool),
}

#[derive(Debug, Clone)]
struct Vhost {
    id: usize,
    /// Address and port (an index; `None`: left out; `PORTS`: `:*`).
    addrs: Vec<(&'static str, Option<usize>)>,
    name: Option<String>,
    aliases: Vec<Vec<String>>,
    place: Place,
    wrap: Wrap,
    style: u64,
}

/// A tree before it has a folder and ports.
#[derive(Debug, Clone)]
pub struct Model {
    listens: Vec<(&'static str, usize)>,
    vhosts: Vec<Vhost>,
    main_name: bool,
}

/// A tree as files.
pub struct Tree {
    pub dir: PathBuf,
    pub main: PathBuf,
    /// Start options.
    pub options: Vec<String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    links: Vec<(PathBuf, PathBuf)>,
    listens: Vec<(&'static str, u16)>,
}

const HOSTS: &[&str] = &["a", "b", "c", "www.a", "m.a", "x.y"];
const ZONES: &[&str] = &["ex.test", "w.ex.test", "other.test"];
const WILD: &[&str] =
    &["*.ex.test", "*.w.ex.test", "?.ex.test", "a*", "*.test", "*a*.test", "www.?.*", "*", "*.other.test"];

fn name(r: &mut Rng) -> String {
    let n = format!("{}.{}", r.pick(HOSTS), r.pick(ZONES));
    if r.one_in(6) { n.to_ascii_uppercase() } else { n }
}

fn alias(r: &mut Rng) -> String {
    if r.one_in(3) { (*r.pick(WILD)).to_owned() } else { name(r) }
}

impl Vhost {
    fn random(r: &mut Rng, id: usize) -> Vhost {
        let v6 = has_v6();
        let hosts: &[&'static str] =
            &["*", "*", "*", "127.0.0.1", "127.0.0.2", "_default_", "0.0.0.0", "[::1]", "[::]"];
        let hosts = if v6 { hosts } else { &hosts[..7] };
        let addrs = (0..[1, 1, 1, 2, 3][r.below(5)])
            .map(|_| {
                let port = match r.below(10) {
                    0 => None,
                    1 => Some(PORTS),
                    n => Some(if n < 6 { 0 } else { r.below(PORTS) }),
                };
                (*r.pick(hosts), port)
            })
            .collect();
        let place = match r.below(12) {
            0 | 1 => Place::Glob(r.below(3) as u8),
            2 => Place::Folder(r.below(3) as u8, r.below(3) as u8),
            3 => Place::Link(r.below(3) as u8),
            4 => Place::Literal { twice: r.one_in(3) },
            5 => Place::Inner(r.below(3) as u8),
            6 | 7 => Place::Macro,
            _ => Place::Main,
        };
        let holds = !r.one_in(3);
        let wrap = match r.below(10) {
            0 => Wrap::Define(holds),
            1 => Wrap::Option(holds),
            2 => Wrap::Module(holds),
            3 => Wrap::Version(holds),
            4 => Wrap::File(holds),
            _ => Wrap::None,
        };
        Vhost {
            id,
            addrs,
            // Without ServerName Apache takes the machine's own name.
            name: (!r.one_in(6)).then(|| name(r)),
            aliases: (0..r.below(3)).map(|_| (0..1 + r.below(3)).map(|_| alias(r)).collect()).collect(),
            place,
            wrap,
            style: r.next(),
        }
    }

    fn text(&self, ports: &[u16]) -> String {
        let mut r = Rng(self.style);
        let mut lines: Vec<String> = Vec::new();
        let addrs: Vec<String> = self
            .addrs
            .iter()
            .map(|(host, port)| match port {
                None => (*host).to_owned(),
                Some(p) => match ports.get(*p) {
                    Some(port) => format!("{host}:{port}"),
                    None => format!("{host}:*"),
                },
            })
            .collect();
        let mut body: Vec<(String, Vec<String>)> = Vec::new();
        let mut defines = Vec::new();
        if let Some(n) = &self.name {
            let n = match r.below(6) {
                0 => format!("http://{n}"),
                1 => format!("{n}:{}", ports[0]),
                2 => {
                    defines.push(format!("{} NAME_{} {n}", cased(&mut r, "Define"), self.id));
                    format!("${{{}_{}}}", cased(&mut r, "NAME"), self.id)
                }
                3 => {
                    let (a, b) = n.split_at(n.len() / 2);
                    defines.push(format!("Define \"HALF_{}\" '{b}'", self.id));
                    format!("{a}${{HALF_{}}}", self.id)
                }
                _ => n.clone(),
            };
            body.push(("ServerName".into(), vec![n]));
        }
        for words in &self.aliases {
            body.push(("ServerAlias".into(), words.clone()));
        }
        body.push(("DocumentRoot".into(), vec![format!("srv/m{}", self.id)]));
        body.push(("ErrorDocument".into(), vec!["404".into(), format!("\"m{}\"", self.id)]));
        if r.one_in(3) {
            // The order of the lines does not matter.
            let n = body.len();
            body.swap(0, n - 1);
        }
        lines.extend(defines);
        lines.push(format!("<{} {}>", cased(&mut r, "VirtualHost"), addrs.join(" ")));
        for (directive, words) in body {
            let words: Vec<String> = words.iter().map(|w| quoted(&mut r, w)).collect();
            let sep = if r.one_in(6) { " \\\n  \t" } else { " " };
            let d = cased(&mut r, &directive);
            lines.push(format!("{}{d}{sep}{}", "\t".repeat(r.below(3)), words.join(sep)));
            match r.below(12) {
                0 => lines.push("# a comment \\\n ServerAlias commented.ex.test".into()),
                1 => lines.push("<Directory /srv>\n  # ServerName no\n  Options None\n</Directory>".into()),
                2 => lines.push(
                    "<IfModule !mod_alias.c>\nServerAlias never.ex.test\n<Files x>\n</Files>\n</IfModule>"
                        .into(),
                ),
                3 => lines.push("<If \"true\">\n  Options None\n</If>".into()),
                4 => lines.push("<Location /sub>\n RedirectMatch 404 ^/sub/\n</Location>".into()),
                5 => lines.push(String::new()),
                _ => {}
            }
        }
        lines.push(format!("</{}>", cased(&mut r, "VirtualHost")));
        if r.one_in(4) {
            lines.push(format!("UnDefine NAME_{}", self.id));
        }
        let inner = lines.join("\n");
        let (open, close) = match self.wrap {
            Wrap::None => return inner + "\n",
            Wrap::Define(true) => ("Define On\n<IfDefine On>", "</IfDefine>"),
            Wrap::Define(false) => ("<IfDefine !Off>\n<IfDefine Off>", "</IfDefine>\n</IfDefine>"),
            Wrap::Option(true) => ("<IfDefine START>", "</ifdefine>"),
            Wrap::Option(false) => ("<IfDefine !START>", "</IfDefine>"),
            Wrap::Module(true) => {
                ("<IfModule alias_module>\n<IfModule mod_so.c>", "</IfModule>\n</IfModule>")
            }
            Wrap::Module(false) => ("<IfModule mod_ssl.c>", "</IFMODULE>"),
            Wrap::Version(true) => ("<IfVersion >= 2.4>\n<IfVersion !< 2.2>", "</IfVersion>\n</IfVersion>"),
            Wrap::Version(false) => ("<IfVersion < 2.4>", "</IfVersion>"),
            Wrap::File(true) => ("<IfFile tree.conf>", "</IfFile>"),
            Wrap::File(false) => ("<IfFile none.conf>", "</IfFile>"),
        };
        format!("{open}\n{inner}\n{close}\n")
    }
}

fn cased(r: &mut Rng, word: &str) -> String {
    match r.below(6) {
        0 => word.to_ascii_lowercase(),
        1 => word.to_ascii_uppercase(),
        _ => word.to_owned(),
    }
}

fn quoted(r: &mut Rng, word: &str) -> String {
    match r.below(5) {
        0 if !word.contains('"') => format!("\"{word}\""),
        1 if !word.contains('"') => format!("'{word}'"),
        _ => word.to_owned(),
    }
}

impl Model {
    /// The tree of a seed.
    pub fn random(seed: u64) -> Model {
        let mut r = Rng(seed);
        let mut listens = Vec::new();
        for port in 0..PORTS {
            match (r.below(5), has_v6()) {
                (0, _) => listens.extend([("127.0.0.1", port), ("127.0.0.2", port)]),
                (1, true) => listens.extend([("127.0.0.1", port), ("[::1]", port)]),
                (2, _) => listens.push(("0.0.0.0", port)),
                _ => listens.push(("", port)),
            }
        }
        let n = 1 + r.below(VHOSTS);
        let vhosts = (0..n).map(|id| Vhost::random(&mut r, id)).collect();
        Model { listens, vhosts, main_name: !r.one_in(4) }
    }

    /// Smaller trees, the most promising first.
    pub fn shrinks(&self) -> Vec<Model> {
        let mut out = Vec::new();
        for i in 0..self.vhosts.len() {
            let mut m = self.clone();
            m.vhosts.remove(i);
            out.push(m);
        }
        let mut change = |i: usize, f: &dyn Fn(&mut Vhost)| {
            let mut m = self.clone();
            f(&mut m.vhosts[i]);
            out.push(m);
        };
        for (i, v) in self.vhosts.iter().enumerate() {
            if v.wrap != Wrap::None {
                change(i, &|v| v.wrap = Wrap::None);
            }
            if v.place != Place::Main {
                change(i, &|v| v.place = Place::Main);
            }
            for a in 0..v.addrs.len() {
                if v.addrs.len() > 1 {
                    change(i, &|v| {
                        v.addrs.remove(a);
                    });
                }
            }
            for a in 0..v.aliases.len() {
                change(i, &|v| {
                    v.aliases.remove(a);
                });
            }
        }
        out
    }

    /// Gives it a folder and ports.
    pub fn render(&self, dir: &Path, ports: &[u16]) -> Tree {
        let mut tree = Tree {
            dir: dir.to_owned(),
            main: dir.join("tree.conf"),
            options: vec!["-D".into(), "START".into()],
            files: BTreeMap::new(),
            links: Vec::new(),
            listens: self.listens.iter().map(|&(h, p)| (h, ports[p])).collect(),
        };
        let mut main =
            String::from("MaxKeepAliveRequests 0\nErrorDocument 404 main\nDocumentRoot srv/main\n");
        if self.main_name {
            main.push_str("ServerName main.ex.test\n");
        } else {
            main.push_str("serverName \"http://main.ex.test:80\"\n");
        }
        for (host, port) in &tree.listens {
            let sep = if host.is_empty() { "" } else { ":" };
            let _ = writeln!(main, "Listen {host}{sep}{port}");
        }
        main.push_str("<Macro Site $body>\n  $body\n</Macro>\n");
        let mut put = |path: String, text: &str| {
            let file = tree.files.entry(dir.join(path)).or_default();
            file.extend_from_slice(text.as_bytes());
        };
        for v in &self.vhosts {
            let text = v.text(ports);
            match v.place {
                Place::Main => main.push_str(&text),
                Place::Glob(n) => put(format!("conf.d/{n}-site.conf"), &text),
                Place::Folder(0, n) => put(format!("folder/.hidden-{n}"), &text),
                Place::Folder(d, n) => {
                    put(format!("folder/{d}{}/any {n}~", "/deep".repeat(d as usize)), &text)
                }
                Place::Link(n) => {
                    put(format!("home/user{n}/web.conf"), &text);
                    let link = (
                        dir.join(format!("links/{}.conf", 9 - n)),
                        format!("../home/user{n}/web.conf").into(),
                    );
                    if !tree.links.contains(&link) {
                        tree.links.push(link);
                    }
                }
                Place::Literal { twice } => {
                    put(format!("extra/{}.conf", v.id), &text);
                    for _ in 0..=usize::from(twice) {
                        let _ = writeln!(main, "Include ./extra/../extra/{}.conf", v.id);
                    }
                }
                Place::Inner(n) => put(format!("per/user{n}/site.conf"), &text),
                Place::Macro => {
                    let id = v.id;
                    let text = text.replace("ex.test", "%zone");
                    let _ = writeln!(
                        main,
                        "<Macro M{id} %zone>\n{text}</Macro>\nuse m{id} ex.test\nUndefMacro M{id}"
                    );
                }
            }
        }
        // What no pattern takes.
        let decoy = format!(
            "<VirtualHost *:{}>\nServerName a.ex.test\nErrorDocument 404 decoy\n</VirtualHost>\n",
            ports[0]
        );
        for path in [
            "conf.d/.hidden.conf",
            "conf.d/0.conf.bak",
            "links/x.disabled",
            "per/.user/site.conf",
            "per/user/other.conf",
        ] {
            put(path.into(), &decoy);
        }
        main.push_str("IncludeOptional conf.d/*.conf\nIncludeOptional folder\n");
        let _ = writeln!(main, "IncludeOptional \"{}/links/*.conf\"", dir.display());
        main.push_str("IncludeOptional per/*/site.conf\nIncludeOptional nothing/*/[a-z].conf\nIncludeOptional none.conf\n");
        if self.vhosts.first().is_some_and(|v| v.style % 4 == 0) {
            main = main.replace('\n', "\r\n");
        }
        tree.files.insert(tree.main.clone(), main.into_bytes());
        tree
    }
}

impl Tree {
    /// Writes it.
    pub fn write(&self) {
        for (path, text) in &self.files {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::create_dir_all(self.dir.join("folder")).unwrap();
        for root in std::iter::once("main".to_owned()).chain((0..VHOSTS).map(|id| format!("m{id}"))) {
            std::fs::create_dir_all(self.dir.join("srv").join(root)).unwrap();
        }
        for (link, target) in &self.links {
            let _ = std::fs::remove_file(link);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, link).unwrap();
        }
    }

    /// Every address that is listened on.
    pub fn targets(&self) -> Vec<SocketAddr> {
        let mut out = Vec::new();
        for &(host, port) in &self.listens {
            let v4 = |d| IpAddr::V4(Ipv4Addr::new(127, 0, 0, d));
            let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
            let mut ips = match host {
                "127.0.0.1" => vec![v4(1)],
                "127.0.0.2" => vec![v4(2)],
                "[::1]" => vec![v6],
                "0.0.0.0" => vec![v4(1), v4(2), v4(3)],
                _ => vec![v4(1), v4(2), v4(3), v6],
            };
            if !has_v6() {
                ips.retain(IpAddr::is_ipv4);
            }
            out.extend(ips.into_iter().map(|ip| SocketAddr::new(ip, port)));
        }
        out
    }

    /// Whether everything that comes to a listen was asked, so that a name on
    /// it can be called unreachable: its port is open on every address.
    pub fn is_asked(&self, listen: &str) -> bool {
        let Some((host, port)) = listen.rsplit_once(':') else { return false };
        let Ok(port) = port.parse::<u16>() else { return false };
        let targets = self.targets();
        match host {
            // A wildcard may be hidden by exact addresses on all that is open.
            "*" | "[::]" => {
                targets.iter().any(|t| t.port() == port && t.ip() == IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3)))
            }
            _ => targets
                .iter()
                .any(|t| t.port() == port && t.ip().to_string() == host.trim_matches(['[', ']'])),
        }
    }
}
