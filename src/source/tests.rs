#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::fs::FileType;

use super::*;

struct Tmp {
    dir: tempfile::TempDir,
}

impl Tmp {
    fn new() -> Tmp {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        Tmp { dir }
    }
    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }
    fn file(&self, path: &str, text: &str) -> &Tmp {
        let p = self.root().join(path);
        std::fs::create_dir_all(p.parent().unwrap()).unwrap();
        std::fs::write(p, text).unwrap();
        self
    }
    fn link(&self, path: &str, target: &str) -> &Tmp {
        let p = self.root().join(path);
        std::fs::create_dir_all(p.parent().unwrap()).unwrap();
        symlink(target, p).unwrap();
        self
    }
    /// With openat2, and with the walk that stands in for it.
    fn both(&self) -> [Source; 2] {
        [
            Source::open(&self.root(), Limits::default()).unwrap(),
            Source::open_by_walking(&self.root(), Limits::default()).unwrap(),
        ]
    }
}

fn text(s: &Source, path: &str) -> Result<String, SourceError> {
    s.read(path.as_bytes()).map(|f| decode(&f.bytes))
}

#[test]
fn nothing_outside_the_root_is_read() {
    let t = Tmp::new();
    std::fs::write(t.dir.path().join("leak"), "outside").unwrap();
    std::fs::create_dir(t.dir.path().join("leakdir")).unwrap();
    std::fs::write(t.dir.path().join("leakdir/x"), "outside").unwrap();
    t.file("leak", "inside").file("etc/a", "a").file("leakdir/x", "inside");
    t.link("etc/up", "../../../../../../leak").link("etc/abs", "/leak").link("etc/dir", "/../leakdir");
    t.link("etc/host", t.dir.path().join("leak").to_str().unwrap());
    t.link("etc/proc", "/proc/self/root/etc/passwd");
    for s in t.both() {
        for p in [
            "/etc/up",
            "/etc/abs",
            "/../../leak",
            "/etc/../../leak",
            "/etc/dir/x",
            "/etc/dir/../leak",
            "etc/up",
        ] {
            assert_eq!(text(&s, p).unwrap(), "inside", "{p}");
        }
        for p in ["/etc/host", "/etc/proc", "/nope", "/etc/a/b"] {
            assert_eq!(text(&s, p).unwrap_err(), SourceError::NotFound, "{p}");
        }
    }
}

#[test]
fn rings_of_links_end() {
    let t = Tmp::new();
    t.link("a", "b").link("b", "a").link("d/self", "../d/self");
    for i in 0..60 {
        t.link(&format!("c{i}"), &format!("c{}", i + 1));
    }
    t.file("c60", "far");
    for s in t.both() {
        assert_eq!(text(&s, "/a").unwrap_err(), SourceError::SymlinkLoop);
        assert_eq!(text(&s, "/d/self/x").unwrap_err(), SourceError::SymlinkLoop);
        assert_eq!(text(&s, "/c0").unwrap_err(), SourceError::SymlinkLoop);
        assert_eq!(text(&s, "/c30").unwrap(), "far");
        assert_eq!(SourceError::SymlinkLoop.kind(), ProblemKind::SymlinkLoop);
    }
}

#[test]
fn only_regular_files_within_the_limits() {
    let t = Tmp::new();
    t.file("big", &"x".repeat(2000)).file("ok", &"y".repeat(1000)).file("d/f", "");
    rustix::fs::mknodat(rustix::fs::CWD, t.root().join("fifo"), FileType::Fifo, 0o666.into(), 0).unwrap();
    let _sock = std::os::unix::net::UnixListener::bind(t.root().join("sock")).unwrap();
    t.link("tofifo", "fifo").link("zero", "/dev/zero");
    let limits = Limits { file_bytes: 1000, ..Limits::default() };
    for s in [Source::open(&t.root(), limits).unwrap(), Source::open_by_walking(&t.root(), limits).unwrap()] {
        assert_eq!(text(&s, "/ok").unwrap().len(), 1000);
        assert_eq!(text(&s, "/big").unwrap_err(), SourceError::TooLarge);
        for p in ["/fifo", "/tofifo", "/sock", "/d", "/d/", "/", "/d/.."] {
            assert_eq!(text(&s, p).unwrap_err(), SourceError::NotRegularFile, "{p}");
        }
        assert_eq!(text(&s, "/zero").unwrap_err(), SourceError::NotFound);
        assert_eq!(text(&s, "/d/f").unwrap(), "");
    }
    let s = Source::open(&t.root(), Limits { files: 2, ..Limits::default() }).unwrap();
    assert!(text(&s, "/ok").is_ok() && text(&s, "/ok").is_ok());
    assert_eq!(text(&s, "/ok").unwrap_err(), SourceError::FileLimit);
    let s = Source::open(&t.root(), Limits { time: std::time::Duration::ZERO, ..Limits::default() }).unwrap();
    assert_eq!(text(&s, "/ok").unwrap_err(), SourceError::TimeLimit);
    assert!(SourceError::TimeLimit.is_final());
}

#[test]
fn secrets_are_never_opened() {
    let t = Tmp::new();
    for p in [
        "etc/shadow",
        "etc/shadow-",
        "etc/gshadow",
        "etc/ssh/sshd_config",
        "home/u/.ssh/config",
        "etc/ssl/private/a.pem",
        "www/server/panel/vhost/cert/a/privkey.pem",
        "x/server.key",
        "var/lib/mysql/db/t.ibd",
    ] {
        t.file(p, "secret");
    }
    t.file("etc/nginx/odd.conf", "-----BEGIN EC PRIVATE KEY-----\nabc\n");
    t.file("etc/nginx/cert.conf", "-----BEGIN CERTIFICATE-----\nabc\n");
    t.link("etc/nginx/l1", "../shadow")
        .link("etc/nginx/l2", "/etc/ssh")
        .link("etc/nginx/l3", "/home/u/.ssh/config");
    for s in t.both() {
        for p in [
            "/etc/shadow",
            "/etc/shadow-",
            "/etc/gshadow",
            "/etc/ssh/sshd_config",
            "/home/u/.ssh/config",
            "/etc/ssl/private/a.pem",
            "/www/server/panel/vhost/cert/a/privkey.pem",
            "/x/server.key",
            "/etc/nginx/../shadow",
            "/etc/nginx/l1",
            "/etc/nginx/l2/sshd_config",
            "/etc/nginx/l3",
            "/var/lib/mysql/db/t.ibd",
            "/etc/nginx/odd.conf",
        ] {
            assert_eq!(text(&s, p).unwrap_err(), SourceError::Secret, "{p}");
        }
        assert_eq!(text(&s, "/etc/shadow.none/../../nope.key").unwrap_err(), SourceError::NotFound);
        assert!(text(&s, "/etc/nginx/cert.conf").is_ok());
        assert_eq!(s.glob(b"/etc/ssh/*").unwrap_err(), SourceError::Secret);
    }
}

#[test]
fn problems_name_what_exists_and_quote_nothing() {
    let p = SourceError::NotFound.problem(b"/etc/GEHEIM", b"/etc/a.conf", 7);
    assert_eq!(
        (p.file.as_deref(), p.line, p.kind),
        (Some("/etc/a.conf"), Some(7), ProblemKind::MissingInclude)
    );
    assert!(!p.message.contains("GEHEIM"));
    let p = SourceError::NotRegularFile.problem(b"/etc/x/../one.fifo", b"/etc/a.conf", 7);
    assert_eq!((p.file.as_deref(), p.line), (Some("/etc/one.fifo"), None));
}

#[test]
fn globs_are_libc_s() {
    let t = Tmp::new();
    for f in [
        "c/b.conf",
        "c/a.conf",
        "c/.hidden.conf",
        "c/a.conf.bak",
        "c/[x].conf",
        "c/Z.conf",
        "d/1/n.conf",
        "d/2/n.conf",
        "d/2/m",
    ] {
        t.file(f, "");
    }
    t.link("c/gone.conf", "nowhere").link("l", "c");
    std::fs::create_dir_all(t.root().join("e")).unwrap();
    let s = Source::open(&t.root(), Limits::default()).unwrap();
    let g = |p: &str| s.glob(p.as_bytes()).unwrap().iter().map(|b| decode(b)).collect::<Vec<_>>();
    assert_eq!(g("/c/*.conf"), ["/c/Z.conf", "/c/[x].conf", "/c/a.conf", "/c/b.conf", "/c/gone.conf"]);
    assert_eq!(g("/c/.*.conf"), ["/c/.hidden.conf"]);
    assert_eq!(g("/c/[a-b].conf"), ["/c/a.conf", "/c/b.conf"]);
    assert_eq!(g("/c/[!a]?conf"), ["/c/Z.conf", "/c/b.conf"]);
    assert_eq!(g("/c/[^a].conf"), ["/c/Z.conf", "/c/b.conf"]);
    assert_eq!(g("/c/\\[x\\].*"), ["/c/[x].conf"]);
    assert_eq!(g("/d/*/n.conf"), ["/d/1/n.conf", "/d/2/n.conf"]);
    assert_eq!(g("/d/*/m"), ["/d/2/m"]);
    assert_eq!(g("/l/a*"), ["/l/a.conf", "/l/a.conf.bak"]);
    assert_eq!(g("/../../c/a.con?"), ["/../../c/a.conf"]);
    assert!(g("/e/*").is_empty() && g("/none/*").is_empty() && g("/c/a.conf/*").is_empty());
    let s = Source::open(&t.root(), Limits { files: 3, ..Limits::default() }).unwrap();
    assert_eq!(s.glob(b"/c/*").unwrap_err(), SourceError::FileLimit);
}

#[test]
fn fnmatch_agrees_with_libc_s_on_odd_patterns() {
    for (p, n, want) in [
        ("*", "", true),
        ("*", ".a", false),
        ("?", ".", false),
        ("[.]a", ".a", false),
        ("\\.a", ".a", true),
        ("[]a]x", "]x", true),
        ("[!]a]x", "]x", false),
        ("[a", "[a", true),
        ("a[", "a[", true),
        ("[[:digit:]]x", "5x", true),
        ("[[:digit:]-z]", "-", true),
        ("a*b*c", "axxbxxc", true),
        ("a*b*c", "axxbxx", false),
        ("a\\", "a\\", true),
        ("[a-]", "-", true),
        ("[\\]]", "]", true),
        ("**", "abc", true),
        ("*?", "a", true),
        ("*?", "", false),
    ] {
        assert_eq!(fnmatch(p.as_bytes(), n.as_bytes()), want, "{p} {n}");
    }
    // A run of stars must not cost exponential time.
    let long = "a".repeat(5000);
    assert!(!fnmatch(format!("{}b", "*a".repeat(200)).as_bytes(), long.as_bytes()));
}

#[test]
fn shared_snippets_are_read_once_and_stay_the_same_file() {
    let t = Tmp::new();
    t.file("a", "one").link("b", "a");
    let s = Source::open(&t.root(), Limits::default()).unwrap();
    let ids: Vec<FileId> =
        ["/a", "/a", "/a", "/b"].iter().map(|p| s.read(p.as_bytes()).unwrap().id).collect();
    assert!(ids.windows(2).all(|w| w[0] == w[1]));
    assert_eq!(s.files_read(), 4);
}

#[test]
fn text_is_utf8_else_gbk() {
    assert_eq!(decode("示例".as_bytes()), "示例");
    assert_eq!(decode(b"\xca\xbe\xc0\xfd"), "示例");
    assert_eq!(decode(b"\xff\xfe").chars().filter(|c| *c == '\u{fffd}').count(), 2);
}

#[test]
fn paths_fold_as_text() {
    for (p, want) in [("/a/../b//c/.", "/b/c"), ("/../..", "/"), ("a/b", "/a/b"), ("", "/")] {
        assert_eq!(decode(&fold(p.as_bytes())), want);
    }
}

#[test]
fn a_long_list_read_ahead_is_what_reading_in_turn_is() {
    let t = Tmp::new();
    let paths: Vec<Vec<u8>> = (0..300)
        .map(|i| {
            let name = format!("c/{i:03}");
            match i {
                7 => rustix::fs::mknodat(
                    rustix::fs::CWD,
                    t.root().join(&name),
                    FileType::Fifo,
                    0o666.into(),
                    0,
                )
                .unwrap(),
                8 => drop(t.link(&name, "/etc/shadow")),
                9 => {}
                10 => drop(t.file(&name, &"x".repeat(400 << 10))),
                11 => drop(t.file(&name, &"x".repeat(900 << 10))),
                _ => drop(t.file(&name, &name)),
            }
            format!("/{name}").into_bytes()
        })
        .collect();
    t.file("etc/shadow", "secret").file("other", "other");
    let limits = Limits { file_bytes: 800 << 10, ..Limits::default() };
    let ahead = Source::open(&t.root(), limits).unwrap();
    let turn = Source::open(&t.root(), limits).unwrap();
    ahead.read_ahead(paths.iter().map(Vec::as_slice));
    for (i, p) in paths.iter().enumerate() {
        let of = |s: &Source| s.read(p).map(|f| (f.bytes.clone(), f.id));
        assert_eq!(of(&ahead), of(&turn), "{i}");
        // Files that no list names come in between.
        assert_eq!(text(&ahead, "/other").unwrap(), "other");
        // Skipping one leaves the rest to be read in turn.
        if i == 200 {
            let skipped = Source::open(&t.root(), limits).unwrap();
            skipped.read_ahead(paths.iter().map(Vec::as_slice));
            assert!(skipped.read(&paths[20]).is_ok() && skipped.read(&paths[0]).is_ok());
        }
    }
    assert_eq!(ahead.files_read(), 600);
}
