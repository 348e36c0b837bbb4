//! The command line from outside: streams, exit codes, languages.

use std::path::Path;
use std::process::{Command, Output, Stdio};

const AGENT: &str = env!("CARGO_BIN_EXE_beian-agent");

/// The agent with settings of its own, so that the machine's do not matter.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(settings: &str) -> Bench {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("agent.toml"), settings).expect("written");
        Bench { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut c = Command::new(AGENT);
        c.env_clear().env("LANG", "C.UTF-8").current_dir(self.path()).stdin(Stdio::null());
        c.arg("--config").arg("agent.toml").args(args);
        c
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it starts")
    }

    /// Exit code 2, nothing on stdout, one line on stderr.
    fn refused(&self, args: &[&str]) -> String {
        let out = self.run(args);
        let err = text(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {err}");
        assert!(out.stdout.is_empty(), "{args:?}");
        assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
        assert!(err.starts_with("beian-agent: "), "{err}");
        err
    }

    fn tree(&self) {
        self.write("root/etc/nginx/nginx.conf", "events {}\nhttp { include conf.d/*.conf; }\n");
        self.write(
            "root/etc/nginx/conf.d/a.conf",
            "server {\n  listen 80 default_server;\n  server_name _;\n  return 444;\n}\nserver {\n  listen 80;\n  server_name www.example.cn 例子.中国;\n}\n",
        );
    }
}

/// Nobody listens at the resolver of these tests; so it need not be waited for.
const QUICK: &str = "[resolver]\ntimeout = \"200ms\"\nattempts = 1\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn usage_errors_are_one_line_and_leave_stdout_empty() {
    let b = Bench::new("");
    for args in [
        &["nothing"][..],
        &[],
        &["sites", "--format", "html"],
        &["audit", "--format", "xlsx"],
        &["sites", "--entry", "iis=/x"],
        &["audit", "--registry", "nobody"],
        &["audit", "--registry", "file:/no/such/file"],
        &["audit", "--names", "no-such-file"],
        &["audit", "--output", "no/such/folder/x"],
        &["sites", "--root", "no-such-root"],
        &["audit", "--root", "no-such-root"],
        &["explain"],
        &["explain", "_"],
        &["--lang", "zh", "audit", "--foo"],
    ] {
        b.refused(args);
    }
    assert!(b.refused(&["--lang", "zh", "audit", "--foo"]).contains("不认识"));
}

#[test]
fn broken_settings_are_named_in_one_line() {
    let b = Bench::new("[agent]\nnonsense = 1\n");
    for args in [&["audit"][..], &["sites"], &["config", "check"], &["config", "show"], &["explain", "a.cn"]]
    {
        assert!(b.refused(args).contains("agent.toml"));
    }
    assert_eq!(b.run(&["completions", "bash"]).status.code(), Some(0));
    assert_eq!(b.run(&["--help"]).status.code(), Some(0));
}

#[test]
fn help_speaks_both_languages_and_gives_examples() {
    let b = Bench::new("");
    for (lang, usage, examples) in [("zh", "用法：", "示例："), ("en", "Usage:", "Example")] {
        for command in
            ["sites", "audit", "explain", "doctor", "config check", "config show", "completions", "help"]
        {
            let mut args = vec!["--lang", lang];
            args.extend(command.split(' '));
            args.push("--help");
            let out = b.run(&args);
            let shown = text(&out.stdout);
            assert_eq!(out.status.code(), Some(0), "{args:?}");
            assert!(shown.contains(usage) && shown.contains(examples), "{args:?}: {shown}");
            let mut by_word = vec!["--lang", lang, "help"];
            by_word.extend(command.split(' '));
            assert_eq!(text(&b.run(&by_word).stdout), shown);
        }
    }
    let zh = Bench::new("[agent]\nlang = \"zh\"\n");
    assert!(text(&zh.run(&["--help"]).stdout).contains("用法："));
    assert!(
        text(&b.command(&["--help"]).env("LANG", "zh_CN.UTF-8").output().expect("it starts").stdout)
            .contains("用法：")
    );
    assert_eq!(text(&b.run(&["--version"]).stdout), format!("beian-agent {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_know_the_commands() {
    let b = Bench::new("");
    for shell in ["bash", "zsh", "fish"] {
        let out = b.run(&["completions", shell]);
        let script = text(&out.stdout);
        assert_eq!(out.status.code(), Some(0));
        for word in ["sites", "audit", "explain", "completions", "server-args"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn settings_are_shown_without_their_secrets() {
    let b = Bench::new(
        "[[registry]]\nname = \"c\"\nkind = \"json_api\"\npreset = \"chinaz\"\nurl = \"https://api.example.com\"\nkey = \"hunter2hunter2\"\n\
         [[registry]]\nname = \"y\"\nkind = \"yd2431\"\nurl = \"https://y.example.com\"\nisp_id = \"1\"\nuser = \"u\"\npassword = \"swordfish99\"\n",
    );
    let out = b
        .command(&["-vv", "config", "show"])
        .env("BEIAN_AGENT__REGISTRY__C__KEY", "from-the-environment")
        .output()
        .expect("it starts");
    let shown = text(&out.stdout) + &text(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{shown}");
    for secret in ["hunter2hunter2", "swordfish99", "from-the-environment"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert!(
        shown.contains("***")
            && shown.contains("agent.toml")
            && shown.contains("BEIAN_AGENT__REGISTRY__C__KEY")
    );
    // The built-in lists decide verdicts, so they are policy too.
    assert!(shown.contains("kunlunaq.com") && shown.contains("uapis"));
    // What is shown can be read again.
    b.write("again.toml", &text(&out.stdout));
    let again = b.run(&["--config", "again.toml", "config", "check"]);
    assert_eq!(again.status.code(), Some(2), "--config stands twice");
    let mut c = Command::new(AGENT);
    let again = c
        .args(["--config", "again.toml", "config", "check"])
        .current_dir(b.path())
        .output()
        .expect("it starts");
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
}

#[test]
fn config_check_says_what_was_read_and_what_to_know() {
    let b =
        Bench::new("[[registry]]\nname = \"m\"\nkind = \"ministry_list\"\nurl = \"https://m.example.com\"\n");
    let out = b.run(&["config", "check"]);
    let shown = text(&out.stdout);
    assert_eq!(out.status.code(), Some(0));
    assert!(shown.contains("OK: agent.toml") && shown.contains("canary"), "{shown}");
}

/// A reader that goes away ends the program without a word.
#[test]
fn a_closed_pipe_is_no_error() {
    let b = Bench::new("");
    for args in [
        &["--help"][..],
        &["completions", "zsh"],
        &["config", "show"],
        &["sites", "--root", "root"],
        &["config", "check"],
    ] {
        b.tree();
        let mut child =
            b.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let out = child.wait_with_output().expect("it ends");
        assert!(out.status.code().is_some_and(|c| c == 0), "{args:?}: {:?}", out.status);
        assert!(out.stderr.is_empty(), "{args:?}: {}", text(&out.stderr));
    }
}

/// A full disk is an error: nobody takes half a result for a whole one.
#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let b = Bench::new("");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
    let out = b.command(&["config", "show"]).stdout(full).output().expect("it starts");
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(text(&out.stderr).lines().count(), 1);
}

#[test]
fn output_follows_no_link_and_keeps_the_old_result_until_there_is_a_new_one() {
    let b = Bench::new("");
    b.tree();
    b.write("precious", "old");
    std::os::unix::fs::symlink("precious", b.path().join("link")).expect("a link");
    b.refused(&["sites", "--root", "root", "--output", "link"]);
    b.refused(&["sites", "--root", "no-such-root", "--output", "precious"]);
    assert_eq!(std::fs::read_to_string(b.path().join("precious")).expect("read"), "old");
    let out = b.run(&["sites", "--root", "root", "--format", "json", "--output", "precious"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(out.stdout.is_empty());
    let written = std::fs::read_to_string(b.path().join("precious")).expect("read");
    let json: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(json["schema"], "beian.sites/1");
}

#[test]
fn sites_are_listed_in_every_form() {
    let b = Bench::new("");
    b.tree();
    let json = b.run(&["sites", "--root", "root", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["sites"][1]["names"], serde_json::json!(["www.example.cn", "例子.中国"]));
    let table = text(&b.run(&["--lang", "zh", "sites", "--root", "root"]).stdout);
    assert!(table.contains("www.example.cn") && table.contains("/etc/nginx/conf.d/a.conf:6"), "{table}");
    let csv = text(&b.run(&["sites", "--root", "root", "--format", "csv"]).stdout);
    assert!(csv.starts_with("\u{feff}server,names,listen,"), "{csv}");
}

#[test]
fn an_audit_without_registries_confirms_nothing_and_says_what_would() {
    let b = Bench::new(QUICK);
    b.tree();
    // Nobody listens at this resolver.
    let args = ["audit", "--root", "root", "--resolver", "127.0.0.1:9", "--address", "203.0.113.10"];
    let out = b.run(&args);
    let shown = text(&out.stdout);
    assert_eq!(out.status.code(), Some(3), "{shown}{}", text(&out.stderr));
    assert!(shown.contains("www.example.cn") && shown.contains("[[registry]]"), "{shown}");
    let mut json = args.to_vec();
    json.extend(["--format", "json", "-v"]);
    let report: serde_json::Value = serde_json::from_slice(&b.run(&json).stdout).expect("JSON");
    assert_eq!(report["schema"], "beian.report/1");
    assert!(report["names"].as_array().expect("rows").iter().all(|r| r["verdict"] == "unconfirmed"));
}

#[test]
fn explain_takes_any_spelling_and_judges_what_is_configured_nowhere() {
    let b = Bench::new(QUICK);
    b.tree();
    let rest = ["--root", "root", "--resolver", "127.0.0.1:9", "--address", "203.0.113.10"];
    for name in ["WWW.Example.CN.", "www.example.cn"] {
        let mut args = vec!["explain", name];
        args.extend(rest);
        let out = b.run(&args);
        let shown = text(&out.stdout);
        assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
        assert!(shown.contains("/etc/nginx/conf.d/a.conf:6"), "{shown}");
    }
    let mut args = vec!["explain", "nowhere.example.cn", "--format", "json"];
    args.extend(rest);
    let row: serde_json::Value = serde_json::from_slice(&b.run(&args).stdout).expect("JSON");
    assert_eq!(row["served_by"], serde_json::json!([]));
    assert_eq!(row["name"], "nowhere.example.cn");
}

#[test]
fn a_list_of_names_may_come_from_standard_input() {
    use std::io::Write;
    let b = Bench::new(QUICK);
    let mut child = b
        .command(&[
            "audit",
            "--names",
            "-",
            "--resolver",
            "127.0.0.1:9",
            "--address",
            "203.0.113.10",
            "--format",
            "json",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all("\u{feff}a.example.cn\r\n# b\r\na.example.cn\r\n".as_bytes())
        .expect("written");
    let out = child.wait_with_output().expect("it ends");
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(report["names"].as_array().expect("rows").len(), 1);
    assert_eq!(report["names"][0]["served_by"], serde_json::json!([]));
}

/// Who takes the advice about a default site is rid of the finding.
#[test]
fn the_snippet_of_the_advice_mends_the_finding() {
    let b = Bench::new(QUICK);
    let site = "server {\n listen 80;\n listen 8443 ssl;\n server_name a.example.cn;\n}\n";
    b.write("n/etc/nginx/nginx.conf", "events {}\nhttp { include conf.d/*.conf; }\n");
    b.write("n/etc/nginx/conf.d/10-a.conf", site);
    let vhost = "<VirtualHost *:80>\n ServerName b.example.cn\n</VirtualHost>\n";
    b.write("a/etc/apache2/apache2.conf", "Listen 80\nIncludeOptional sites-enabled/*.conf\n");
    b.write("a/etc/apache2/sites-enabled/100-b.conf", vhost);
    for (root, entry, mended) in [
        ("n", "nginx=/etc/nginx/nginx.conf", "n/etc/nginx/conf.d/00-refuse.conf"),
        ("a", "apache=/etc/apache2/apache2.conf", "a/etc/apache2/sites-enabled/000-0-refuse.conf"),
    ] {
        for lang in ["zh", "en"] {
            let args = [
                "--lang",
                lang,
                "audit",
                "--root",
                root,
                "--entry",
                entry,
                "--resolver",
                "127.0.0.1:9",
                "--address",
                "203.0.113.10",
            ];
            let shown = text(&b.run(&args).stdout);
            assert!(shown.contains("implicit_default"), "{shown}");
            let snippet: String = shown
                .lines()
                .skip_while(|l| !l.starts_with("    server {") && !l.starts_with("    <VirtualHost"))
                .take_while(|l| l.starts_with("    "))
                .map(|l| format!("{l}\n"))
                .collect();
            b.write(mended, &snippet);
            let shown = text(&b.run(&args).stdout);
            assert!(
                !shown.contains("implicit_default") && !shown.contains("unbounded_names"),
                "{snippet}{shown}"
            );
            std::fs::remove_file(b.path().join(mended)).expect("removed");
        }
    }
}
