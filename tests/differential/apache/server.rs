//! A real Apache on loopback.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::generate::Tree;

const MODULES: &str = "/usr/lib/apache2/modules";
const LOADED: &[&str] = &["mpm_prefork", "authz_core", "alias", "dir", "macro"];

/// Fails the test where there is no Apache: without it nothing was compared.
pub fn require() {
    let found = Command::new("apache2").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(
        found.is_ok_and(|s| s.success()) && Path::new(MODULES).join("mod_macro.so").exists(),
        "apache2 is not installed: this test compares with the real server (Debian: apt-get install apache2)"
    );
}

/// Whether loopback has IPv6 here.
pub fn has_v6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

/// Ports that nobody uses on any address.
pub fn free_ports(n: usize) -> Vec<u16> {
    let mut held = Vec::new();
    let mut ports = HashSet::new();
    while ports.len() < n {
        let Ok(l) = TcpListener::bind("0.0.0.0:0") else { continue };
        let port = l.local_addr().unwrap().port();
        if !has_v6() || TcpListener::bind(("::", port)).is_ok() || TcpListener::bind(("::1", port)).is_ok() {
            ports.insert(port);
        }
        held.push(l);
    }
    ports.into_iter().collect()
}

/// The start options that load the modules, for Apache and for the reader.
pub fn module_options() -> Vec<String> {
    LOADED
        .iter()
        .flat_map(|m| ["-C".to_owned(), format!("LoadModule {m}_module {MODULES}/mod_{m}.so")])
        .collect()
}

/// A running server; it ends with this value.
pub struct Apache {
    child: Child,
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Apache {
    /// Starts one process that serves by itself, and waits for its ports.
    pub fn start(tree: &Tree) -> Result<Apache, String> {
        let dir = tree.dir.to_str().unwrap();
        let out = std::fs::File::create(tree.dir.join("out")).map_err(|e| e.to_string())?;
        let mut command = Command::new("apache2");
        command
            .args(["-X", "-d", dir, "-f", tree.main.to_str().unwrap()])
            .args(&tree.options)
            .args(module_options())
            .args(["-C", &format!("PidFile {dir}/pid"), "-C", &format!("ErrorLog {dir}/log")])
            .args(["-C", &format!("DefaultRuntimeDir {dir}")])
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(|e| e.to_string())?)
            .stderr(out)
            // It signals its whole group when it ends.
            .process_group(0);
        let mut apache = Apache { child: command.spawn().map_err(|e| e.to_string())? };
        let until = Instant::now() + Duration::from_secs(10);
        let said = || {
            let read = |f: &str| std::fs::read(tree.dir.join(f)).unwrap_or_default();
            String::from_utf8_lossy(&[read("out"), read("log")].concat()).into_owned()
        };
        for target in tree.targets() {
            loop {
                if TcpStream::connect(target).is_ok() {
                    break;
                }
                if apache.child.try_wait().map_err(|e| e.to_string())?.is_some() {
                    return Err(said());
                }
                if Instant::now() > until {
                    return Err(format!("no answer on {target}: {}", said()));
                }
                std::thread::sleep(Duration::from_millis(3));
            }
        }
        Ok(apache)
    }

    /// The bodies that one address answers for these hosts.
    pub fn ask(&self, ip: IpAddr, port: u16, hosts: &[String]) -> Result<Vec<String>, String> {
        let err = |e: std::io::Error| format!("{ip}:{port}: {e}");
        let mut out = Vec::with_capacity(hosts.len());
        for some in hosts.chunks(64) {
            let mut s = TcpStream::connect(SocketAddr::new(ip, port)).map_err(err)?;
            s.set_read_timeout(Some(Duration::from_secs(5))).map_err(err)?;
            let mut request = String::new();
            for (i, host) in some.iter().enumerate() {
                let last = if i + 1 == some.len() { "Connection: close\r\n" } else { "" };
                request.push_str(&format!("GET /nope HTTP/1.1\r\nHost: {host}\r\n{last}\r\n"));
            }
            s.write_all(request.as_bytes()).map_err(err)?;
            let mut answer = Vec::new();
            s.read_to_end(&mut answer).map_err(err)?;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let before = out.len();
            let mut rest = answer.as_str();
            while let Some((head, body)) = rest.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|l| l.strip_prefix("Content-Length: "))
                    .and_then(|l| l.trim().parse::<usize>().ok())
                    .ok_or_else(|| format!("an answer without length: {head}"))?;
                out.push(body[..length].to_owned());
                rest = &body[length..];
            }
            if out.len() - before != some.len() {
                return Err(format!("{} answers for {} requests: {answer}", out.len() - before, some.len()));
            }
        }
        Ok(out)
    }
}
