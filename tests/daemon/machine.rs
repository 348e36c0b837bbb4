//! One server with a real tree of nginx files, a name server, a provider's
//! file, a hub, and the daemon on it.

use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::AGENT;
use crate::harness::dns::{Dns, Lead};

/// This server's address, as the settings have it.
pub const HERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

pub struct Machine {
    pub dir: tempfile::TempDir,
    pub dns: Dns,
    notify: UnixDatagram,
    /// The provider's file is configured as a registry.
    pub provider: bool,
    /// More settings.
    pub more: String,
    /// Environment of the daemon.
    pub env: Vec<(String, String)>,
}

/// A daemon that runs; killed when dropped.
pub struct Daemon {
    pub child: Child,
}

impl Machine {
    /// Every name leads here; `filed*.example.cn`… see [`Machine::filings`].
    pub fn new() -> Machine {
        let dir = tempfile::tempdir().unwrap();
        for d in ["root/etc/nginx/conf.d", "state", "run"] {
            std::fs::create_dir_all(dir.path().join(d)).unwrap();
        }
        let notify = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        notify.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let m = Machine {
            dns: Dns::start(|_| Lead::To(HERE)),
            dir,
            notify,
            provider: true,
            more: String::new(),
            env: Vec::new(),
        };
        m.file("etc/nginx/nginx.conf", "events {}\nhttp { include conf.d/*.conf; }\n");
        m.filings(&["example.cn"]);
        m
    }

    pub fn path(&self, p: &str) -> PathBuf {
        self.dir.path().join(p)
    }

    /// A file inside the scanned root, replaced as panels do it: by rename.
    pub fn file(&self, p: &str, text: &str) {
        let to = self.path("root").join(p);
        let tmp = self.path("root").join("etc/.new");
        std::fs::write(&tmp, text).unwrap();
        std::fs::rename(tmp, to).unwrap();
    }

    /// A site of that name.
    pub fn site(&self, file: &str, name: &str) {
        self.file(
            &format!("etc/nginx/conf.d/{file}.conf"),
            &format!("server {{ listen 80; server_name {name}; root /srv/{file}; }}\n"),
        );
    }

    pub fn no_site(&self, file: &str) {
        let _ = std::fs::remove_file(self.path("root/etc/nginx/conf.d").join(format!("{file}.conf")));
    }

    /// The provider's file: these are filed and connected here, nothing else.
    pub fn filings(&self, domains: &[&str]) {
        let mut csv = "域名,主体备案号,网站备案号,主办单位,接入状态,审核通过日期\n".to_owned();
        for (i, d) in domains.iter().enumerate() {
            csv.push_str(&format!(
                "{d},粤ICP备{:08}号,粤ICP备{:08}号-1,示例公司,已接入,2024-05-01\n",
                i + 1,
                i + 1
            ));
        }
        let tmp = self.path("filings.new");
        std::fs::write(&tmp, csv).unwrap();
        std::fs::rename(tmp, self.path("filings.csv")).unwrap();
    }

    /// Writes the settings and gives their path.
    pub fn settings(&self) -> PathBuf {
        let path = self.path("agent.toml");
        let provider = format!(
            "[[registry]]\nname = \"provider\"\nkind = \"provider_db\"\npath = {:?}\nnegative = \"authoritative\"",
            self.path("filings.csv")
        );
        let text = format!(
            "[agent]\nroot = {:?}\nstate_dir = {:?}\nlang = \"en\"\n[server]\npublic_addresses = [\"{HERE}\"]\n\
             [resolver]\nservers = [\"{}\"]\ntimeout = \"500ms\"\n\
             {}\n{}\n",
            self.path("root"),
            self.path("state"),
            self.dns.at,
            if self.provider { provider.as_str() } else { "" },
            self.more,
        );
        // Whole or not at all: a daemon may be reading it.
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            let new = self.path("agent.new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, &path).unwrap();
        }
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let settings = self.settings();
        let mut cmd = Command::new(AGENT);
        cmd.arg("--config").arg(settings).args(args).env_clear();
        cmd.env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("RUNTIME_DIRECTORY", self.path("run"))
            .env("NOTIFY_SOCKET", self.path("notify"));
        cmd.envs(self.env.iter().map(|(k, v)| (k, v)));
        cmd.stdin(Stdio::null());
        cmd
    }

    /// Starts the daemon; its log goes to `log` in the machine's folder.
    pub fn start(&self) -> Daemon {
        // What one that is dead has said does not count.
        self.notify.set_nonblocking(true).unwrap();
        while self.notify.recv(&mut [0; 4096]).is_ok() {}
        self.notify.set_nonblocking(false).unwrap();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let child = self.command(&["run"]).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Daemon { child }
    }

    /// The next message to systemd that holds `word`.
    pub fn notified(&self, word: &str, within: Duration) -> String {
        let end = Instant::now() + within;
        let mut buf = [0_u8; 4096];
        while Instant::now() < end {
            if let Ok(n) = self.notify.recv(&mut buf) {
                let text = String::from_utf8_lossy(&buf[..n]).into_owned();
                if text.contains(word) {
                    return text;
                }
            }
        }
        panic!("no {word} within {within:?}; log:\n{}", self.log())
    }

    pub fn log(&self) -> String {
        let mut text = String::new();
        if let Ok(mut f) = std::fs::File::open(self.path("log")) {
            let _ = f.read_to_string(&mut text);
        }
        text
    }

    /// Starts it and waits until systemd would call it started.
    pub fn ready(&self) -> Daemon {
        let daemon = self.start();
        self.notified("READY=1", Duration::from_secs(20));
        daemon
    }

    /// `status --format json`.
    pub fn status(&self) -> Option<Value> {
        let out = self.command(&["status", "--format", "json"]).output().unwrap();
        serde_json::from_slice(&out.stdout).ok()
    }
}

impl Daemon {
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `f` gives something.
pub fn soon<T>(what: &str, within: Duration, mut f: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(t) = f() {
            return t;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
