//! A real PostgreSQL of the test's own: in a temporary folder, on a free port
//! of loopback, ended with the test.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Postgres {
    child: Child,
    pub port: u16,
    _dir: tempfile::TempDir,
}

impl Postgres {
    /// A fresh cluster with one empty database.
    pub fn start() -> Postgres {
        let bin = bin();
        let dir = tempfile::tempdir().unwrap();
        // Root's tests run the server as the package's own user.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let data = dir.path().join("data");
        let made = user(bin.join("initdb"))
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=beian",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "-D",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = user(bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args([
                "-c",
                "unix_socket_directories=",
                "-c",
                "max_connections=200",
                "-c",
                "shared_buffers=64MB",
            ])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Postgres { child, port, _dir: dir };
        let start = Instant::now();
        loop {
            let made = Command::new(bin.join("createdb"))
                .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "beian", "beian"])
                .stderr(Stdio::null())
                .status()
                .unwrap();
            if made.success() {
                return server;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "postgres does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn url(&self) -> String {
        format!("postgres://beian@127.0.0.1:{}/beian", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Fast shutdown, as the init system does it; the folder goes afterwards.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if self.child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where Debian's package has the newest server.
fn bin() -> PathBuf {
    let mut all: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("postgresql is missing: run scripts/bootstrap.sh test")
        .map(|e| e.unwrap().path().join("bin"))
        .filter(|p| p.join("initdb").exists())
        .collect();
    all.sort();
    all.pop().expect("postgresql has no initdb")
}

/// PostgreSQL does not run as root.
fn user(program: impl AsRef<Path>) -> Command {
    let mut c = Command::new(program.as_ref());
    c.current_dir("/");
    if super::is_root() {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|l| l.starts_with("postgres:")).expect("the package's user postgres");
        let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|n| n.parse().unwrap()).collect();
        c.uid(ids[0]).gid(ids[1]);
    }
    c
}
