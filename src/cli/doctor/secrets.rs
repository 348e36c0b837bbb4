//! The modes of files that hold secrets. What is in them is not read here.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::{Config, Text, io_text};

use super::{Point, State};

const CHECK: &str = "secrets";

/// Keys and tokens of the state folder are the daemon's alone; those that the
/// settings name may be its group's too.
pub(super) fn check(cfg: &Config) -> Vec<Point> {
    let mut own: BTreeSet<PathBuf> = cfg.serve.token_file.iter().cloned().collect();
    if let Ok(entries) = std::fs::read_dir(&cfg.state_dir) {
        own.extend(entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| is_secret(p)));
    }
    let named: BTreeSet<PathBuf> = cfg
        .raw
        .registry
        .iter()
        .flat_map(|r| [&r.key_file, &r.password_file])
        .chain([&cfg.serve.tls_key])
        .flatten()
        .cloned()
        .collect();
    let mut points: Vec<Point> = own.iter().filter_map(|p| judge(p, 0o077, 0o600)).collect();
    points.extend(named.difference(&own).filter_map(|p| judge(p, 0o027, 0o640)));
    // A key may stand in the settings themselves.
    if cfg.raw.registry.iter().any(|r| r.key.is_some() || r.password.is_some()) {
        points
            .extend(cfg.files.iter().filter_map(|p| judge(p, 0o007, 0o640)).filter(|p| p.state != State::Ok));
    }
    points
}

fn is_secret(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    !name.ends_with(".pub") && ["key", "token", "secret"].iter().any(|w| name.contains(w)) && path.is_file()
}

/// A file whose mode has any bit of `not` is open to those it should not be.
fn judge(path: &Path, not: u32, mode: u32) -> Option<Point> {
    let shown = path.display();
    let point = match std::fs::metadata(path) {
        Ok(m) if m.mode() & not != 0 => Point::fault(
            CHECK,
            Text::new(
                format!("others may read it, or write to it (mode {:04o})", m.mode() & 0o7777),
                format!("其他用户可以读写它（权限 {:04o}）", m.mode() & 0o7777),
            ),
            Text::new(
                format!(
                    "chmod {mode:04o} {shown}, and have the secret replaced if this server has other users"
                ),
                format!("执行 chmod {mode:04o} {shown}；本机若有其他用户，请更换其中的密钥"),
            ),
        ),
        Ok(_) => Point::ok(CHECK, Text::new("only those who should can read it", "权限正确")),
        // The daemon makes its own at its first start.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && mode == 0o600 => return None,
        Err(e) => {
            let why = io_text(&e);
            Point::warning(
                CHECK,
                Text::new(format!("it cannot be looked at: {}", why.en), format!("看不到：{}", why.zh)),
                Text::new("run doctor as root", "请以 root 运行 doctor"),
            )
        }
    };
    Some(point.of(shown.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_that_others_can_read_are_faults() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str, mode: u32| {
            let p = dir.path().join(name);
            std::fs::write(&p, "GEHEIM").unwrap();
            std::fs::set_permissions(&p, std::fs::Permissions::from_mode(mode)).unwrap();
            p
        };
        let (good, bad, named) = (path("poll.token", 0o600), path("agent.key", 0o640), path("k", 0o640));
        let settings = dir.path().join("agent.toml");
        let text = format!(
            "[agent]\nstate_dir = '{}'\n[[registry]]\nname='a'\nkind='json_api'\npreset='mir6'\nurl='https://x.example.com'\nkey_file='{}'\n",
            dir.path().display(),
            named.display()
        );
        std::fs::write(&settings, text).unwrap();
        let cfg = Config::load_with(Some(&settings), vec![]).unwrap();
        let points = check(&cfg);
        let state = |p: &Path| {
            points.iter().find(|q| q.which.as_deref() == Some(&p.display().to_string())).unwrap().state
        };
        assert_eq!(state(&good), State::Ok);
        assert_eq!(state(&bad), State::Fault);
        assert_eq!(state(&named), State::Ok);
        std::fs::set_permissions(&named, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            check(&cfg)
                .iter()
                .any(|p| p.state == State::Fault && p.which == Some(named.display().to_string()))
        );
        assert!(!format!("{points:?}").contains("GEHEIM"));
    }
}
