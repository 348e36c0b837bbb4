//! What this machine itself says.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability};

use crate::audit;
use crate::config::{Config, Text, io_text};
use crate::facts::{Scan, Server};
use crate::uplink::{Enrolment, serve};

use super::Point;

/// The user that the packages make for the daemon.
const SERVICE_USER: &str = "beian-agent";

/// The files that were read, and what should be known of them.
pub(super) fn settings(cfg: &Config) -> Vec<Point> {
    let files: Vec<String> = cfg.files.iter().map(|f| f.display().to_string()).collect();
    let found = if files.is_empty() {
        Text::new("there is no settings file; the defaults hold", "没有设置文件，全用默认值")
    } else {
        Text::new(format!("read from {}", files.join(", ")), format!("读取了 {}", files.join("、")))
    };
    let mut points = vec![Point::ok("settings", found)];
    points.extend(cfg.warnings.iter().map(|w| {
        let todo = Text::new("see agent.toml(5)", "见 agent.toml(5)");
        Point::warning("settings", w.clone(), todo)
    }));
    points
}

/// Whether customers' files can be read whoever owns them.
pub(super) fn reading() -> Point {
    let may = caps::has_cap(None, CapSet::Effective, Capability::CAP_DAC_READ_SEARCH).unwrap_or(false);
    if may {
        Point::ok("reading", Text::new("every user's files can be read", "能读取所有用户的配置文件"))
    } else {
        Point::warning(
            "reading",
            Text::new(
                "this run has no CAP_DAC_READ_SEARCH: files of other users may stay unread",
                "本次运行没有 CAP_DAC_READ_SEARCH 权限，其他用户的文件可能读不到",
            ),
            Text::new(
                "run doctor as root; the service gets the right from its unit",
                "请以 root 运行 doctor；服务由 systemd 单元授予此权限",
            ),
        )
    }
}

/// Whether the daemon can keep its ledger, and nobody else reads it.
pub(super) fn state_dir(cfg: &Config) -> Point {
    const CHECK: &str = "state_dir";
    let dir = cfg.state_dir.display();
    let meta = match std::fs::metadata(&cfg.state_dir) {
        Ok(meta) => meta,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Point::warning(
                CHECK,
                Text::new(format!("{dir} does not exist yet"), format!("{dir} 尚不存在")),
                Text::new(
                    "the package or the service's start makes it; without a package: mkdir -m 0700 it",
                    "安装包或服务启动时会创建；未用安装包时请自行创建（权限 0700）",
                ),
            );
        }
        Err(e) => {
            let why = io_text(&e);
            return Point::warning(
                CHECK,
                Text::new(format!("{dir}: {}", why.en), format!("{dir}：{}", why.zh)),
                Text::new("run doctor as root", "请以 root 运行 doctor"),
            );
        }
    };
    if !meta.is_dir() {
        return Point::fault(
            CHECK,
            Text::new(format!("{dir} is no folder"), format!("{dir} 不是目录")),
            Text::new("set [agent] state_dir to a folder", "把 [agent] state_dir 设为一个目录"),
        );
    }
    // Without that user the daemon runs as root (old systemd).
    let owner = service_uid().unwrap_or(0);
    if meta.uid() != owner || meta.mode() & 0o700 != 0o700 {
        let user = if owner == 0 { "root" } else { SERVICE_USER };
        return Point::fault(
            CHECK,
            Text::new(
                format!("the service's user {user} cannot write to {dir}"),
                format!("服务用户 {user} 不能写入 {dir}"),
            ),
            Text::new(
                format!("chown -R {user} {dir} && chmod 0700 {dir}"),
                format!("执行 chown -R {user} {dir} && chmod 0700 {dir}"),
            ),
        );
    }
    if meta.mode() & 0o027 != 0 {
        return Point::warning(
            CHECK,
            Text::new(format!("{dir} is open to other users"), format!("{dir} 对其他用户开放")),
            Text::new(format!("chmod 0700 {dir}"), format!("执行 chmod 0700 {dir}")),
        );
    }
    Point::ok(
        CHECK,
        Text::new(format!("the service's user can write to {dir}"), format!("服务用户可以写入 {dir}")),
    )
}

fn service_uid() -> Option<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|l| {
        let mut fields = l.split(':');
        (fields.next() == Some(SERVICE_USER)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// The servers found, what stayed unread, and what watching them takes.
pub(super) fn servers(cfg: &Config) -> Vec<Point> {
    let scan = match audit::scan(cfg, &audit::Request::default()) {
        Ok(scan) => scan,
        Err(_) => {
            return vec![Point::fault(
                "servers",
                Text::new("the root of the scan cannot be opened", "扫描的根目录打不开"),
                Text::new("set [agent] root to a folder that exists", "把 [agent] root 设为存在的目录"),
            )];
        }
    };
    let mut points: Vec<Point> = Server::ALL
        .iter()
        .filter_map(|s| {
            let sites: Vec<_> = scan.sites.iter().filter(|site| site.server == *s).collect();
            let files: BTreeSet<&str> = sites.iter().map(|s| s.file.as_str()).collect();
            let (n, files) = (sites.len(), files.len());
            (n > 0).then(|| {
                let found = Text::new(
                    format!("{n} sites in {files} files"),
                    format!("{n} 个站点，在 {files} 个文件中"),
                );
                Point::ok("servers", found).of(s.as_str())
            })
        })
        .collect();
    if points.is_empty() {
        points.push(Point::warning(
            "servers",
            Text::new("no site of nginx or Apache was found", "没有找到 nginx 或 Apache 的站点"),
            Text::new(
                "where the configuration stands elsewhere, try beian-agent sites --entry nginx=PATH",
                "配置若在别处，请试 beian-agent sites --entry nginx=路径",
            ),
        ));
    }
    let unread = scan.problems.iter().filter(|p| p.kind.incomplete()).count();
    if unread > 0 {
        points.push(Point::warning(
            "servers",
            Text::new(
                format!("{unread} places of the configuration stayed unread"),
                format!("{unread} 处配置没有读全"),
            ),
            Text::new("see beian-agent sites", "见 beian-agent sites"),
        ));
    }
    points.push(watches(&scan));
    points
}

/// inotify's bounds. Watched are folders of files and both ends of links, so
/// that twice the folders seen, and some more, is what it takes.
fn watches(scan: &Scan) -> Point {
    let folders: BTreeSet<Option<&Path>> = scan.sites.iter().map(|s| Path::new(&s.file).parent()).collect();
    let needed = folders.len() as u64 * 2 + 64;
    judge_watches(needed, bound("max_user_watches"), bound("max_user_instances"))
}

fn judge_watches(needed: u64, most: Option<u64>, instances: Option<u64>) -> Point {
    match (most, instances) {
        (Some(most), Some(instances)) if most >= needed && instances > 0 => Point::ok(
            "watches",
            Text::new(
                format!(
                    "about {needed} are needed; the kernel allows {most} a user, in {instances} instances"
                ),
                format!("约需 {needed} 个；内核允许每个用户 {most} 个、{instances} 个实例"),
            ),
        ),
        (Some(most), Some(instances)) => Point::warning(
            "watches",
            Text::new(
                format!(
                    "about {needed} are needed; the kernel allows {most} a user, in {instances} instances: changes would be seen by the timer only"
                ),
                format!(
                    "约需 {needed} 个；内核只允许每个用户 {most} 个、{instances} 个实例，变更只能靠定时扫描发现"
                ),
            ),
            Text::new(
                format!("sysctl fs.inotify.max_user_watches={}", needed.saturating_mul(2).max(8192)),
                format!("执行 sysctl fs.inotify.max_user_watches={}", needed.saturating_mul(2).max(8192)),
            ),
        ),
        _ => Point::warning(
            "watches",
            Text::new("the kernel's bounds cannot be read", "读不到内核的上限"),
            Text::new(
                "see whether /proc/sys/fs/inotify is there; without it changes are seen by the timer only",
                "请检查 /proc/sys/fs/inotify 是否存在；没有 inotify 时只能靠定时扫描发现变更",
            ),
        ),
    }
}

fn bound(name: &str) -> Option<u64> {
    std::fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(name)).ok()?.trim().parse().ok()
}

/// Whether the hub knows this server, as enrolling left it.
pub(super) fn enrolled(cfg: &Config, enrolment: &std::io::Result<Option<Enrolment>>) -> Point {
    const CHECK: &str = "enrolment";
    match enrolment {
        Ok(Some(e)) if e.quarantined => Point::warning(
            CHECK,
            Text::new(
                format!("enrolled as {}, into quarantine: an operator has to confirm it", e.agent_id),
                format!("已登记，编号 {}，处于隔离状态，等待接入商人工确认", e.agent_id),
            ),
            Text::new("ask the provider to confirm this server", "请联系接入商确认本机"),
        ),
        Ok(Some(e)) => Point::ok(
            CHECK,
            Text::new(format!("enrolled as {}", e.agent_id), format!("已登记，编号 {}", e.agent_id)),
        ),
        Ok(None) if cfg.hub.url.is_none() => {
            Point::ok(CHECK, Text::new("none: no hub is configured", "未登记：没有配置中心"))
        }
        Ok(None) => Point::warning(
            CHECK,
            Text::new("this server is not enrolled with the hub", "本机还没有向中心登记"),
            Text::new("run beian-agent enrol", "执行 beian-agent enrol"),
        ),
        Err(e) => {
            let why = io_text(e);
            Point::warning(
                CHECK,
                Text::new(
                    format!("enrolment.json cannot be read: {}", why.en),
                    format!("enrolment.json 读不了：{}", why.zh),
                ),
                Text::new("run doctor as root, or enrol again", "请以 root 运行 doctor，或重新登记"),
            )
        }
    }
}

/// Whether the daemon runs.
pub(super) fn daemon(cfg: &Config) -> Point {
    daemon_at(&serve::places(&cfg.state_dir))
}

/// In one of these folders its socket is.
fn daemon_at(places: &[PathBuf]) -> Point {
    let mut denied = false;
    for place in places {
        match UnixStream::connect(place.join(serve::SOCKET)) {
            Ok(_) => return Point::ok("daemon", Text::new("it runs", "正在运行")),
            Err(e) => denied |= e.kind() == ErrorKind::PermissionDenied,
        }
    }
    match denied {
        true => Point::warning(
            "daemon",
            Text::new("its socket is not open to this user", "本用户不能访问它的套接字"),
            Text::new(
                "run doctor as root or as a member of the group beian-agent",
                "请以 root 或 beian-agent 组成员运行 doctor",
            ),
        ),
        false => Point::warning(
            "daemon",
            Text::new("it does not run", "没有运行"),
            Text::new("systemctl enable --now beian-agent", "执行 systemctl enable --now beian-agent"),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::State;
    use super::*;

    #[test]
    fn too_few_watches_are_a_warning() {
        assert_eq!(judge_watches(100, Some(8192), Some(128)).state, State::Ok);
        assert_eq!(judge_watches(9000, Some(8192), Some(128)).state, State::Warning);
        let p = judge_watches(9000, Some(8192), Some(128));
        assert!(p.todo.unwrap().en.ends_with("max_user_watches=18000"));
        assert_eq!(judge_watches(1, None, None).state, State::Warning);
    }

    #[test]
    fn a_socket_is_a_running_daemon_only_while_someone_listens() {
        let dir = tempfile::tempdir().unwrap();
        let places = [dir.path().join("none"), dir.path().to_path_buf()];
        assert_eq!(daemon_at(&places).state, State::Warning);
        let listener = std::os::unix::net::UnixListener::bind(dir.path().join(serve::SOCKET)).unwrap();
        assert_eq!(daemon_at(&places).state, State::Ok);
        drop(listener);
        assert_eq!(daemon_at(&places).state, State::Warning);
    }
}
