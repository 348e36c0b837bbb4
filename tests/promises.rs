//! One test a promise, named after it, through the built program. Promises 1
//! and 5 are the daemon's, which is not here yet.

use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::AGENT;

struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().unwrap();
        for d in ["root", "home"] {
            std::fs::create_dir(dir.path().join(d)).unwrap();
        }
        Machine { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn file(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Machine {
        let p = self.root().join(path);
        std::fs::create_dir_all(p.parent().unwrap()).unwrap();
        std::fs::write(p, bytes).unwrap();
        self
    }

    /// Exit code and the JSON on standard output; at most 1.5 GB of address
    /// space, so that a hostile tree cannot take the machine with it.
    fn agent(&self, settings: &str, args: &[&str]) -> (i32, String) {
        let cfg = self.dir.path().join("agent.toml");
        std::fs::write(&cfg, settings).unwrap();
        let out = Command::new("sh")
            .args(["-c", "ulimit -v 1500000; exec \"$@\"", "sh", AGENT, "--config"])
            .arg(&cfg)
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.path().join("home"))
            .env("TMPDIR", self.dir.path().join("home"))
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let code = out.status.code().unwrap_or(-1);
        assert!(!String::from_utf8_lossy(&out.stderr).contains("panicked"), "{out:?}");
        (code, String::from_utf8(out.stdout).unwrap())
    }

    fn json(&self, settings: &str, args: &[&str]) -> (i32, Value) {
        let (code, out) = self.agent(settings, args);
        (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("exit {code}, {e}: {out:?}")))
    }

    fn root_arg(&self) -> String {
        self.root().to_str().unwrap().to_owned()
    }
}

fn nginx(m: &Machine, sites: &[(&str, &str)]) {
    m.file("etc/nginx/nginx.conf", "events {}\nhttp {\n    include conf.d/*.conf;\n}\n");
    for (file, names) in sites {
        m.file(
            &format!("etc/nginx/conf.d/{file}.conf"),
            format!("# {file}\nserver {{\n    listen 80;\n    server_name {names};\n}}\n"),
        );
    }
}

/// Every path below a folder with its kind, size, times and content.
fn picture(dir: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(d) = todo.pop() {
        for e in std::fs::read_dir(d).unwrap() {
            let p = e.unwrap().path();
            let m = std::fs::symlink_metadata(&p).unwrap();
            let bytes = if m.is_file() { std::fs::read(&p).unwrap() } else { Vec::new() };
            out.push(format!("{p:?} {:?} {} {:?} {bytes:?}", m.file_type(), m.len(), m.modified().unwrap()));
            if m.is_dir() {
                todo.push(p);
            }
        }
    }
    out.sort();
    out
}

#[test]
fn promise_2_a_failure_never_makes_a_row_compliant_or_a_violation() {
    let m = Machine::new();
    nginx(&m, &[("a", "a-shili.cn www.a-shili.cn"), ("b", "*.b-shili.cn")]);
    // One registry that takes calls and never answers, one that is not there,
    // a provider's file that is none, and a resolver that is not there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::write(m.dir.path().join("broken.csv"), "域名,接入状态\n,已接入\n").unwrap();
    let settings = format!(
        "[resolver]\ntimeout = \"200ms\"\nattempts = 1\n\
         [[registry]]\nname = \"silent\"\nkind = \"ministry_list\"\nurl = \"http://{}\"\ncanary = \"jinsique-shili.cn\"\ntimeout = \"300ms\"\n\
         [[registry]]\nname = \"gone\"\nkind = \"yd2431\"\nurl = \"http://{gone}\"\nisp_id = \"1\"\nuser = \"u\"\npassword = \"p\"\ntimeout = \"300ms\"\n\
         [[registry]]\nname = \"file\"\nkind = \"provider_db\"\npath = \"{}\"\n",
        silent.local_addr().unwrap(),
        m.dir.path().join("broken.csv").display()
    );
    let dead = format!("{gone}");
    let (code, report) = m.json(
        &settings,
        &[
            "audit",
            "--root",
            &m.root_arg(),
            "--address",
            "203.0.113.10",
            "--resolver",
            &dead,
            "--format",
            "json",
        ],
    );
    assert_eq!(code, 3, "{report:#}");
    let rows = report["names"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for r in rows {
        assert_eq!(r["verdict"], "unconfirmed", "{r:#}");
        assert_eq!(r["filing"]["state"], "unknown");
        assert_eq!(r["filing"]["access"], "unknown");
        assert_eq!(r["exposure"]["state"], "unknown");
        let sources = r["filing"]["sources"].as_array().unwrap();
        assert_eq!(sources.len(), 3);
        assert!(sources.iter().all(|s| s["state"] == "unknown" && s["error"].is_string()), "{sources:?}");
    }
}

#[test]
fn promise_3_every_row_traces_to_evidence_and_explain_prints_the_chain() {
    let m = Machine::new();
    nginx(&m, &[("a", "a-shili.cn"), ("b", "b-shili.cn"), ("c", "c-shili.cn nas.local")]);
    std::fs::write(
        m.dir.path().join("filings.csv"),
        "域名,主体备案号,网站备案号,主办单位,接入状态,审核通过日期\n\
         a-shili.cn,蜀ICP备00000001号,蜀ICP备00000001号-1,示例公司,已接入,2024-03-01\n",
    )
    .unwrap();
    let registry = format!("file:{}", m.dir.path().join("filings.csv").display());
    let root = m.root_arg();
    let common =
        ["--root", &root, "--address", "203.0.113.10", "--registry", &registry, "--resolver", "127.0.0.1:9"];
    let settings = "[resolver]\ntimeout = \"200ms\"\nattempts = 1\n";
    let mut args = vec!["audit", "--format", "json"];
    args.extend(common);
    let (_, report) = m.json(settings, &args);
    let rows = report["names"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for r in rows {
        let name = r["name"].as_str().unwrap();
        let place = &r["served_by"][0];
        let file = m.root().join(place["file"].as_str().unwrap().trim_start_matches('/'));
        let text = std::fs::read_to_string(&file).unwrap();
        let from = usize::try_from(place["line"].as_u64().unwrap()).unwrap() - 1;
        let block: String = text.lines().skip(from).collect::<Vec<_>>().join("\n");
        assert!(block.starts_with("server") && block.contains(name), "{name} {file:?} {from}");
        if r["verdict"] == "not_applicable" {
            continue;
        }
        assert!(r["exposure"]["checked_at"].is_string());
        let source = &r["filing"]["sources"][0];
        assert_eq!(source["registry"], *registry);
        assert!(source["checked_at"].is_string() && source["state"].is_string());

        let mut args = vec!["--lang", "en", "explain", name];
        args.extend(common);
        let (_, chain) = m.agent(settings, &args);
        let shown: String = chain.split_whitespace().collect();
        for part in [
            &format!("{}:{}", place["file"].as_str().unwrap(), place["line"]),
            registry.as_str(),
            r["verdict"].as_str().unwrap(),
            "203.0.113.10",
        ] {
            assert!(shown.contains(&part.replace(' ', "")), "{name}: {part} is not in\n{chain}");
        }
    }
}

#[test]
fn promise_4_the_agent_writes_nothing_runs_nothing_and_changes_nothing() {
    let m = Machine::new();
    let ran = m.dir.path().join("ran");
    nginx(&m, &[("a", "a-shili.cn")]);
    m.file("etc/apache2/apache2.conf", "ServerRoot \"/etc/apache2\"\nListen 80\nDefine X ${Y}\n<VirtualHost *:80>\nServerName b-shili.cn\nCustomLog \"|/bin/touch RAN\" common\n</VirtualHost>\n".replace("RAN", ran.to_str().unwrap()));
    m.file("etc/apache2/envvars", format!("export Y=$(touch {0})\nexport Z=`touch {0}`\n", ran.display()));
    let before = picture(m.dir.path());
    let root = m.root_arg();
    let resolver = ["--resolver", "127.0.0.1:9"];
    for args in [
        vec!["sites", "--root", &root],
        [vec!["audit", "--root", &root], resolver.to_vec()].concat(),
        [vec!["explain", "a-shili.cn", "--root", &root], resolver.to_vec()].concat(),
        vec!["config", "show"],
    ] {
        let settings = "[resolver]\ntimeout = \"200ms\"\nattempts = 1\n";
        let (code, out) = m.agent(settings, &args);
        assert!(!out.is_empty() && (0..4).contains(&code) && code != 2, "{args:?} {code}");
    }
    assert!(!ran.exists());
    std::fs::remove_file(m.dir.path().join("agent.toml")).unwrap();
    let of_root = |p: Vec<String>| {
        p.into_iter().filter(|l| l.contains("/root/") || l.contains("/home/")).collect::<Vec<_>>()
    };
    assert_eq!(of_root(picture(m.dir.path())), of_root(before));
    assert_eq!(std::fs::read_dir(m.dir.path().join("home")).unwrap().count(), 0);
}

#[test]
fn promise_6_hostile_trees_end_in_a_problem_in_bounded_memory_and_time() {
    let m = Machine::new();
    nginx(&m, &[("00-first", "first-shili.cn"), ("99-last", "last-shili.cn")]);
    m.file(
        "etc/apache2/apache2.conf",
        "ServerRoot \"/etc/apache2\"\nListen 80\nIncludeOptional conf.d/*.conf\n",
    );
    for (file, name) in [("00-first", "erste-shili.cn"), ("99-last", "letzte-shili.cn")] {
        m.file(
            &format!("etc/apache2/conf.d/{file}.conf"),
            format!("<VirtualHost *:80>\nServerName {name}\n</VirtualHost>\n"),
        );
    }
    for (server, dir) in [("nginx", "etc/nginx/"), ("apache", "etc/apache2/")] {
        let conf = m.root().join(dir).join("conf.d");
        let file = |name: &str, bytes: &[u8]| std::fs::write(conf.join(name), bytes).unwrap();
        std::os::unix::fs::symlink("20-ring.conf", conf.join("20-ring.conf")).unwrap();
        assert!(Command::new("mkfifo").arg(conf.join("21-fifo.conf")).status().unwrap().success());
        std::fs::File::create(conf.join("22-large.conf")).unwrap().set_len(1 << 30).unwrap();
        let end = if server == "nginx" { ";" } else { "" };
        let verb = if server == "nginx" { "include" } else { "Include" };
        for i in 0..1000 {
            m.file(&format!("{dir}deep/{i}.inc"), format!("{verb} /{dir}deep/{}.inc{end}\n", i + 1));
            // Each file includes the next one twice: 2^30 without a limit.
            if i < 30 {
                m.file(
                    &format!("{dir}bomb/{i}.inc"),
                    format!("{verb} /{dir}bomb/{}.inc{end}\n", i + 1).repeat(2),
                );
            }
        }
        m.file(&format!("{dir}deep/1000.inc"), "").file(&format!("{dir}bomb/30.inc"), "");
        file("23-deep.conf", format!("{verb} /{dir}deep/0.inc{end}\n").as_bytes());
        file("24-bomb.conf", format!("{verb} /{dir}bomb/0.inc{end}\n").as_bytes());
        file("25-nul.conf", b"\0\0\0{\0;\0}\n\0");
        file(
            "26-utf16.conf",
            &"server { server_name x; }\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
        );
        file("27-blocks.conf", &b"a {".repeat(200_000));
        file("28-quotes.conf", &b"\"'\\".repeat(200_000));
        file(
            "29-noise.conf",
            &(0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
        );
        let odd = std::ffi::OsStr::from_bytes(b"30-\xff\xfe\n.conf");
        std::fs::write(conf.join(odd), "garbage {{{").unwrap();
    }
    let begin = Instant::now();
    let (code, scan) =
        m.json("[limits]\nfiles = 20000\n", &["sites", "--root", &m.root_arg(), "--format", "json"]);
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert_eq!(code, 3);
    let names: Vec<&str> = scan["sites"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|s| s["names"].as_array().unwrap())
        .filter_map(Value::as_str)
        .collect();
    for name in ["first-shili.cn", "erste-shili.cn"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let kinds: Vec<&str> =
        scan["problems"].as_array().unwrap().iter().filter_map(|p| p["kind"].as_str()).collect();
    for kind in ["symlink_loop", "not_regular_file", "too_large", "include_depth", "include_limit"] {
        assert!(kinds.contains(&kind), "no {kind} in {kinds:?}");
    }
    // Without the bomb, which uses up the number of files, what stands behind
    // all the rest is listed too.
    for dir in ["etc/nginx", "etc/apache2"] {
        std::fs::remove_file(m.root().join(dir).join("conf.d/24-bomb.conf")).unwrap();
    }
    let (code, scan) = m.json("", &["sites", "--root", &m.root_arg(), "--format", "json"]);
    let names = scan["sites"].to_string();
    assert!(
        code == 3 && names.contains("last-shili.cn") && names.contains("letzte-shili.cn"),
        "{code} {scan:#}"
    );
}
