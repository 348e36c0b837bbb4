//! `beian-agent enrol` as it is typed, against a hub that answers one call.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::harness::AGENT;

const TOKEN: &str = "GEHEIM-TOKEN-0123456789";
const YES: &str = r#"{"agent_id":"agent-7","receipt_key":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs","polling_token":"a-polling-token-0123456789","quarantined":true}"#;

/// Answers one call, and gives what was sent.
fn hub(status: u16, media: &'static str, body: &'static str) -> (String, JoinHandle<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        let mut buf = [0; 4096];
        loop {
            let n = stream.read(&mut buf).unwrap();
            got.extend_from_slice(&buf[..n]);
            let text = String::from_utf8_lossy(&got).into_owned();
            if let Some((_, json)) = text.split_once("\r\n\r\n")
                && let Ok(sent) = serde_json::from_str(json)
            {
                let n = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status} x\r\ncontent-type: {media}\r\ncontent-length: {n}\r\n\r\n{body}"
                )
                .unwrap();
                return sent;
            }
            assert!(n > 0, "cut: {text}");
        }
    });
    (url, thread)
}

/// Arguments, environment, standard input.
type Way<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

struct Call<'a> {
    dir: &'a Path,
    args: Vec<&'a str>,
    env: Vec<(&'a str, &'a str)>,
    stdin: &'a str,
}

fn enrol(call: &Call<'_>) -> Output {
    let settings = call.dir.join("agent.toml");
    let state = call.dir.join("state");
    std::fs::write(&settings, format!("[agent]\nstate_dir = \"{}\"\nlang = \"en\"\n", state.display()))
        .unwrap();
    let mut command = Command::new(AGENT);
    command.arg("--config").arg(&settings).arg("enrol").args(&call.args);
    command
        .env_remove("BEIAN_ENROL_TOKEN")
        .env_remove("CREDENTIALS_DIRECTORY")
        .envs(call.env.iter().copied());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A refusal may come before the token is read.
    let _ = child.stdin.take().unwrap().write_all(call.stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_token_comes_by_standard_input_file_environment_or_credential() {
    let t = tempfile::tempdir().unwrap();
    let file = t.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    std::fs::write(t.path().join("enrol-token"), TOKEN).unwrap();
    let (file, credentials) = (file.to_str().unwrap(), t.path().to_str().unwrap());
    let ways: [Way<'_>; 4] = [
        (&["--token-file", "-"], &[], "GEHEIM-TOKEN-0123456789\n"),
        (&["--token-file", file], &[], ""),
        (&[], &[("BEIAN_ENROL_TOKEN", TOKEN)], ""),
        (&[], &[("CREDENTIALS_DIRECTORY", credentials)], ""),
    ];
    for (args, env, stdin) in ways {
        let dir = tempfile::tempdir().unwrap();
        let (url, theirs) = hub(201, "application/json", YES);
        let mut all = vec!["--hub", url.as_str()];
        all.extend(args);
        let out = enrol(&Call { dir: dir.path(), args: all, env: env.to_vec(), stdin });
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        assert_eq!(out.status.code(), Some(0), "{args:?} {env:?}: {stderr}");
        assert!(stdout.contains("agent-7") && stdout.contains("quarantine"), "{stdout}");
        assert!(!stdout.contains("GEHEIM") && !stderr.contains("GEHEIM"));
        assert_eq!(theirs.join().unwrap()["token"], TOKEN);
    }
}

#[test]
fn enrolling_twice_asks_nobody_unless_again_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (url, theirs) = hub(201, "application/json", YES);
    let call = |more: &[&'static str]| {
        let mut args = vec!["--hub", url.as_str(), "--token-file", "-"];
        args.extend(more);
        enrol(&Call { dir: dir.path(), args, env: vec![], stdin: TOKEN })
    };
    assert_eq!(call(&[]).status.code(), Some(0));
    let key = theirs.join().unwrap()["public_key"].clone();
    // Nobody listens there any more.
    let out = call(&[]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains("already") && text(&out.stdout).contains("--again"));
    let out = call(&["--again"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("cannot be reached"), "{}", text(&out.stderr));
    // The old enrolment stays, and so does the key.
    let kept: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("state/enrolment.json")).unwrap()).unwrap();
    assert_eq!(kept["agent_id"], "agent-7");
    // Another hub: the same key.
    let (url, theirs) = hub(201, "application/json", YES);
    let args = vec!["--hub", url.as_str(), "--token-file", "-"];
    assert_eq!(enrol(&Call { dir: dir.path(), args, env: vec![], stdin: TOKEN }).status.code(), Some(0));
    assert_eq!(theirs.join().unwrap()["public_key"], key);
}

#[test]
fn refusals_are_one_line_that_says_what_to_do() {
    let expired = r#"{"type":"urn:beian:problem:token_expired","title":"expired"}"#;
    let dir = tempfile::tempdir().unwrap();
    let run = |args: Vec<&str>, stdin: &str| {
        let out = enrol(&Call { dir: dir.path(), args, env: vec![], stdin });
        let line = text(&out.stderr);
        assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(2), ""), "{line}");
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
        assert!(!line.contains("GEHEIM"), "{line}");
        line
    };
    let (url, _theirs) = hub(403, "application/problem+json", expired);
    assert!(run(vec!["--hub", &url, "--token-file", "-"], TOKEN).contains("ask the provider for a new one"));
    let (url, _theirs) = hub(403, "application/problem+json", expired);
    let zh = run(vec!["--lang", "zh", "--hub", &url, "--token-file", "-"], TOKEN);
    assert!(zh.contains("令牌已过期"), "{zh}");
    let (url, _theirs) = hub(403, "text/html", "<h1>blocked</h1>");
    let proxy = run(vec!["--hub", &url, "--token-file", "-"], TOKEN);
    assert!(proxy.contains("403") && !proxy.contains("blocked"), "{proxy}");
    let local = "http://127.0.0.1:9";
    assert!(run(vec!["--hub", local, "--token-file", "-"], " \n").contains("no token"));
    assert!(run(vec!["--hub", local, "--token-file", "/nonexistent"], "").contains("/nonexistent"));
    assert!(run(vec!["--token-file", "-"], TOKEN).contains("--hub"));
    let plain = run(vec!["--hub", "http://hub.example.com", "--token-file", "-"], TOKEN);
    assert!(plain.contains("https://"), "{plain}");
    run(vec!["--hub", "https://user:GEHEIM@hub.example.com", "--token-file", "-"], TOKEN);
    // A token on the command line is no option at all.
    run(vec!["--hub", local, "--token", "GEHEIM"], "");
    assert!(!dir.path().join("state/enrolment.json").exists());
}
