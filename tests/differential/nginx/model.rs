//! Random trees, and how they look as files.

use std::fmt::Write as _;

/// Ports of one tree.
pub const PORTS: usize = 2;

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// A regex name: as written, whether it matches a (lower-case) host, and
/// hosts to ask.
pub struct Regex {
    pub text: &'static str,
    pub matches: fn(&str) -> bool,
    pub hosts: &'static [&'static str],
}

pub const REGEXES: &[Regex] = &[
    Regex {
        text: r"~^[a-c]\.example\.com$",
        matches: |h| matches!(h, "a.example.com" | "b.example.com" | "c.example.com"),
        hosts: &["a.example.com", "c.example.com", "ac.example.com"],
    },
    Regex {
        text: r"~^u\d{1,2}\.example\.com$",
        matches: |h| {
            h.strip_prefix('u')
                .and_then(|h| h.strip_suffix(".example.com"))
                .is_some_and(|d| (1..=2).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_digit()))
        },
        hosts: &["u7.example.com", "u77.example.com", "u777.example.com"],
    },
    Regex {
        text: r"~^(?<tenant>.+)\.r\.example\.net$",
        matches: |h| h.strip_suffix(".r.example.net").is_some_and(|t| !t.is_empty()),
        hosts: &["x.r.example.net", "x.y.r.example.net", "r.example.net"],
    },
    Regex {
        text: "~^W{3}",
        matches: |h| h.starts_with("www"),
        hosts: &["www.other.example", "ww.other.example"],
    },
    Regex {
        text: "~shop|店",
        matches: |h| h.contains("shop") || h.contains('店'),
        hosts: &["myshop.example.org"],
    },
    Regex { text: r"~^$", matches: str::is_empty, hosts: &[] },
];

const BASES: &[&str] = &["example.com", "example.net", "b.example.com", "x.b.example.com", "example.org"];
const LABELS: &[&str] = &["a", "b", "www", "m", "a_b", "商店", "xn--0-5x"];

/// Where a `listen` is bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    Any,
    V4(u8),
    Any6,
    Loopback6,
}

#[derive(Clone, Debug)]
pub struct Listen {
    pub bound: Bound,
    pub port: usize,
    pub default: bool,
}

#[derive(Clone, Debug)]
pub struct Server {
    /// Its answer is `S` and this number.
    pub id: usize,
    /// Which file of the tree holds it.
    pub slot: usize,
    pub names: Vec<String>,
    pub listens: Vec<Listen>,
    /// How it is spelled; 0 is the plainest way.
    pub style: u64,
}

#[derive(Clone, Debug)]
pub struct Tree {
    pub servers: Vec<Server>,
    pub style: u64,
}

/// Files in the order in which nginx loads them, `http.conf` in two halves
/// around the others.
const SLOTS: &[&str] = &[
    "http.conf",
    "sites/10-a.conf",
    "more/nested.inc",
    "sites/20 b.conf",
    "avail/c",
    "sites/~.conf",
    "http.conf",
];

impl Tree {
    pub fn random(seed: u64, ipv6: bool) -> Tree {
        let r = &mut Rng::new(seed);
        let mut bounds = vec![Bound::Any, Bound::Any, Bound::V4(1), Bound::V4(2)];
        if ipv6 {
            bounds.extend([Bound::Any6, Bound::Loopback6]);
        }
        let count = 1 + r.below(9);
        let mut slots: Vec<usize> = (0..count).map(|_| r.below(SLOTS.len())).collect();
        slots.sort_unstable();
        let mut servers: Vec<Server> = Vec::new();
        for (id, slot) in slots.into_iter().enumerate() {
            let mut listens: Vec<Listen> = Vec::new();
            for _ in 0..1 + r.below(3) {
                let (bound, port) = (*r.pick(&bounds), r.below(PORTS));
                if !listens.iter().any(|l| l.bound == bound && l.port == port) {
                    let taken = servers
                        .iter()
                        .flat_map(|s| &s.listens)
                        .any(|l| l.bound == bound && l.port == port && l.default);
                    listens.push(Listen { bound, port, default: !taken && r.chance(15) });
                }
            }
            let mut names: Vec<String> = Vec::new();
            if !r.chance(8) {
                for _ in 0..1 + r.below(5) {
                    let name = random_name(r);
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
            let style = if r.chance(20) { 0 } else { r.next() | 1 };
            servers.push(Server { id, slot, names, listens, style });
        }
        Tree { servers, style: r.next() | 1 }
    }
}

fn random_name(r: &mut Rng) -> String {
    let base = *r.pick(BASES);
    let name = match r.below(20) {
        0..=7 => format!("{}.{base}", r.pick(LABELS)),
        8 => base.to_owned(),
        9..=11 => format!("*.{base}"),
        12..=13 => format!(".{base}"),
        14 => format!("{}.example.*", r.pick(LABELS)),
        15 => "example.*".to_owned(),
        16..=17 => return r.pick(REGEXES).text.to_owned(),
        18 => return (*r.pick(&["_", "", "localhost", "*.com", "127.0.0.1"])).to_owned(),
        _ => format!("{}.{}.{base}", r.pick(LABELS), r.pick(LABELS)),
    };
    if r.chance(15) { name.to_ascii_uppercase() } else { name }
}

/// The same trees with one thing less, in the order in which to try them.
pub fn smaller(trees: &[Tree]) -> Vec<Vec<Tree>> {
    let mut out = Vec::new();
    for t in 0..trees.len() {
        let mut change = |f: &dyn Fn(&mut Tree)| {
            let mut next = trees.to_vec();
            f(&mut next[t]);
            out.push(next);
        };
        for s in 0..trees[t].servers.len() {
            change(&|tree| {
                tree.servers.remove(s);
            });
        }
        if trees[t].style != 0 {
            change(&|tree| tree.style = 0);
        }
        for (s, server) in trees[t].servers.iter().enumerate() {
            if server.style != 0 {
                change(&|tree| tree.servers[s].style = 0);
            }
            for n in 0..server.names.len() {
                change(&|tree| {
                    tree.servers[s].names.remove(n);
                });
            }
            if server.listens.len() > 1 {
                for l in 0..server.listens.len() {
                    change(&|tree| {
                        tree.servers[s].listens.remove(l);
                    });
                }
            }
        }
    }
    out.retain(|trees| trees.iter().any(|t| !t.servers.is_empty()));
    out
}

fn quoted(r: &mut Rng, word: &str) -> String {
    // Quotes are needed where a brace or nothing stands.
    let must = word.is_empty() || word.contains(['{', ';']);
    match r.below(if must { 2 } else { 5 }) {
        0 => format!("\"{word}\""),
        1 => format!("'{word}'"),
        _ => word.to_owned(),
    }
}

fn noise(r: &mut Rng, out: &mut String) {
    if r.chance(30) {
        out.push_str(r.pick::<&str>(&[
            "# server { server_name no.example.com; }\n",
            "\n\t\n",
            "#}\n",
            "# it's \"open\n",
            "   # {{{\n",
        ]));
    }
}

fn listen(r: &mut Rng, l: &Listen, ports: &[u16]) -> String {
    let port = ports[l.port];
    let target = match l.bound {
        Bound::Any => match r.below(3) {
            0 => format!("{port}"),
            1 => format!("*:{port}"),
            _ => format!("0.0.0.0:{port}"),
        },
        Bound::V4(n) => format!("127.0.0.{n}:{port}"),
        Bound::Any6 if r.chance(30) => format!("[0:0::0]:{port}"),
        Bound::Any6 => format!("[::]:{port}"),
        Bound::Loopback6 => format!("[::1]:{port}"),
    };
    let mark = if !l.default {
        ""
    } else if r.chance(30) {
        " default"
    } else {
        " \"default_server\""
    };
    format!("listen {}{mark};\n", quoted(r, &target))
}

/// A server's text; names may go to an include of its own.
fn server(s: &Server, dir: &str, ports: &[u16], extra: &mut Vec<(String, String)>) -> String {
    let mut plain = Rng::new(0);
    let styled = &mut Rng::new(s.style);
    let r: &mut Rng = if s.style == 0 { &mut plain } else { styled };
    let mut parts: Vec<String> = Vec::new();
    for l in &s.listens {
        parts.push(listen(r, l, ports));
    }
    let mut i = 0;
    while i < s.names.len() {
        let n = 1 + r.below(s.names.len() - i);
        let names: Vec<String> = s.names[i..i + n].iter().map(|n| quoted(r, n)).collect();
        let line = format!("server_name {};\n", names.join(*r.pick(&[" ", "\n    ", " # x;\n", "\t"])));
        if s.style != 0 && r.chance(20) {
            let file = format!("{dir}/names/{}-{i}.inc", s.id);
            parts.push(format!("include {};\n", quoted(r, &file)));
            extra.push((file, line));
        } else {
            parts.push(line);
        }
        i += n;
    }
    parts.push(format!("root /srv/S{};\n", s.id));
    let answer = format!("return 200 S{};", s.id);
    parts.push(match if s.style == 0 { 0 } else { r.below(5) } {
        1 => format!("location / {{ {answer} }}\n"),
        2 => {
            format!("location ~ \"^/x{{9}}\" {{ return 204; }}\nlocation / {{ if ($host) {{ }} {answer} }}\n")
        }
        3 => format!("location ~ /\\{{ {{ return 204; }}\nset $a \"${{host}}\"; set $b ${{a}}x;\n{answer}\n"),
        4 => format!("if ($host = \"}}{{\") {{ return 403; }}\n{answer}\n"),
        _ => format!("{answer}\n"),
    });
    let mut out = String::new();
    if s.style != 0 {
        // Names keep their order, everything else is shuffled around them.
        for k in (1..parts.len()).rev() {
            let j = r.below(k + 1);
            let name = |p: &String| p.starts_with("server_name") || p.starts_with("include");
            if !name(&parts[k])
                && !name(&parts[j])
                && !parts[k].contains("return")
                && !parts[j].contains("return")
            {
                parts.swap(k, j);
            }
        }
        noise(r, &mut out);
    }
    out.push_str(if s.style == 0 {
        "server {\n"
    } else {
        r.pick::<&str>(&["server {\n", "server{", "server\n# {\n{\n", "'server' {"])
    });
    for p in parts {
        if s.style != 0 {
            noise(r, &mut out);
        }
        out.push_str(&p);
    }
    out.push_str("}\n");
    out
}

const HTTP_NOISE: &[&str] = &[
    "map $host $m_N { hostnames; server 1; *.example.com 2; default 3; }\n",
    "upstream server_N { server 127.0.0.1:9; }\n",
    "geo $g_N { default 0; 127.0.0.1/32 1; }\n",
    "split_clients $remote_addr $v_N { 50% server; * b; }\n",
    "map $uri $n_N {\n    ~^/x\\{ a; # }\n    \"}\" b;\n}\n",
];

/// The files of a tree below `dir` (which includes are relative to), as path
/// and bytes, and its links as path and target.
#[allow(clippy::type_complexity)]
pub fn render(tree: &Tree, dir: &str, ports: &[u16]) -> (Vec<(String, String)>, Vec<(String, String)>) {
    let r = &mut Rng::new(tree.style);
    let mut texts = vec![String::new(); SLOTS.len()];
    let mut files = Vec::new();
    for s in &tree.servers {
        if tree.style != 0 && r.chance(20) {
            let at = r.below(HTTP_NOISE.len());
            let number = format!("{}_{}", dir.trim_matches(|c: char| !c.is_ascii_digit()), s.id);
            texts[s.slot].push_str(&HTTP_NOISE[at].replace("_N", &format!("_{number}")));
        }
        texts[s.slot].push_str(&server(s, dir, ports, &mut files));
    }
    let last = SLOTS.len() - 1;
    let mut main = std::mem::take(&mut texts[0]);
    let _ = write!(main, "include {};\n{}", quoted(r, &format!("{dir}/sites/*.conf")), texts[last]);
    files.push((format!("{dir}/http.conf"), main));
    // The nested file is loaded by the one before it.
    let nested = std::mem::take(&mut texts[2]);
    let _ = writeln!(texts[1], "include {dir}/more/*.inc;");
    files.push((format!("{dir}/{}", SLOTS[2]), nested));
    for slot in [1, 3, 4, 5] {
        files.push((format!("{dir}/{}", SLOTS[slot]), std::mem::take(&mut texts[slot])));
    }
    for trap in ["sites/.hidden.conf", "sites/10-a.conf.bak", "sites/10-a.conf~", "more/old.inc.rpmsave"] {
        files.push((format!("{dir}/{trap}"), "server {{{ \"".to_owned()));
    }
    if tree.style != 0 {
        for (path, text) in &mut files {
            if path.ends_with("f") && r.chance(20) {
                *text = text.replace('\n', "\r\n");
            }
        }
    }
    (files, vec![(format!("{dir}/sites/30-link.conf"), "../avail/c".to_owned())])
}
