//! The real nginx on loopback, and the comparison.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use beian::config::Limits;
use beian::facts::Site;
use beian::source::Source;
use beian::vhost::{Entry, nginx};

use super::model::{self, PORTS, Tree};
use super::oracle::Socket;

pub struct Fault {
    /// The tree that is to blame, where one is.
    pub tree: Option<usize>,
    pub message: String,
}

fn fault(tree: Option<usize>, message: impl Into<String>) -> Fault {
    Fault { tree, message: message.into() }
}

/// nginx's program; this test is worth nothing without.
pub fn find_nginx() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into(), "/usr/local/nginx/sbin".into()])
        .map(|d| d.join("nginx"))
        .find(|p| p.is_file())
        .unwrap_or_else(|| {
            panic!("nginx is not installed; this test compares with the real one (apt install nginx)")
        })
}

/// Ports that nobody uses on any address right now.
pub fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("0.0.0.0:0")).collect::<io::Result<_>>()?;
    held.iter().map(|l| Ok(l.local_addr()?.port())).collect()
}

pub fn write_trees(dir: &Path, trees: &[Tree], ports: &[u16]) -> io::Result<()> {
    let at = dir.display();
    let mut main = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/error.log;\n\
         events {{ worker_connections 256; }}\nhttp {{\naccess_log off; keepalive_requests 1000000;\n\
         server_names_hash_bucket_size 512; server_names_hash_max_size 8192;\n"
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        main += &format!("{kind}_temp_path {at}/tmp-{kind};\n");
    }
    let mut files = Vec::new();
    for (t, (tree, ports)) in trees.iter().zip(ports.chunks(PORTS)).enumerate() {
        main += &format!("include t{t}/http.conf;\n");
        let (texts, links) = model::render(tree, &format!("t{t}"), ports);
        files.extend(texts);
        for (path, target) in links {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
            std::os::unix::fs::symlink(target, path)?;
        }
    }
    files.push(("nginx.conf".to_owned(), main + "}\n"));
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// A running nginx, ended by its process id when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `Ok(None)`: a port was taken meanwhile.
fn start(program: &Path, dir: &Path, ports: &[u16]) -> Result<Option<Running>, Fault> {
    let child = Command::new(program)
        .arg("-p")
        .arg(dir)
        .arg("-c")
        .arg(dir.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| fault(None, format!("nginx cannot be started: {e}")))?;
    let mut running = Running(child);
    let until = Instant::now() + Duration::from_secs(20);
    let pid = dir.join("nginx.pid");
    loop {
        if running.0.try_wait().ok().flatten().is_some() {
            let log = std::fs::read_to_string(dir.join("error.log")).unwrap_or_default();
            if log.contains("bind() to") {
                return Ok(None);
            }
            let last: Vec<&str> = log.lines().rev().take(3).collect();
            return Err(fault(None, format!("nginx does not take the tree: {}", last.join("\n"))));
        }
        // The pid file is written once the sockets are open.
        if std::fs::metadata(&pid).is_ok_and(|m| m.len() > 0) {
            return Ok(Some(running));
        }
        if Instant::now() > until {
            return Err(fault(None, format!("nginx did not come up on {ports:?}")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Serves the trees and asks for every host; the number of questions.
pub fn check(program: &Path, trees: &[Tree]) -> Result<usize, Fault> {
    for _ in 0..8 {
        let dir = tempfile::tempdir().map_err(|e| fault(None, e.to_string()))?;
        let ports = free_ports(trees.len() * PORTS).map_err(|e| fault(None, e.to_string()))?;
        write_trees(dir.path(), trees, &ports).map_err(|e| fault(None, e.to_string()))?;
        let Some(_running) = start(program, dir.path(), &ports)? else { continue };
        let sites = listed(dir.path(), trees)?;
        let mut asked = 0;
        for (t, ports) in ports.chunks(PORTS).enumerate() {
            asked += compare(&trees[t], &sites, ports).map_err(|message| fault(Some(t), message))?;
        }
        shadowed(&sites).map_err(|message| fault(None, message))?;
        return Ok(asked);
    }
    Err(fault(None, "no free ports after eight tries"))
}

/// Our list; it must have every server, in load order, and no problem.
fn listed(dir: &Path, trees: &[Tree]) -> Result<Vec<Site>, Fault> {
    let src = Source::open(Path::new("/"), Limits::default()).map_err(|e| fault(None, e.to_string()))?;
    let path = dir.join("nginx.conf").into_os_string().into_encoded_bytes();
    let scan = nginx::read(&src, &Entry { path, args: None });
    if !scan.problems.is_empty() {
        return Err(fault(None, format!("problems in a tree that nginx takes: {:?}", scan.problems)));
    }
    let want: Vec<(usize, Vec<String>)> = trees
        .iter()
        .flat_map(|t| &t.servers)
        .map(|s| (s.id, if s.names.is_empty() { vec![String::new()] } else { s.names.clone() }))
        .collect();
    let got: Vec<(usize, Vec<String>)> =
        scan.sites.iter().map(|s| (number(s).unwrap_or(usize::MAX), s.names.clone())).collect();
    if want != got {
        return Err(fault(None, format!("servers written: {want:?}\nservers listed: {got:?}")));
    }
    Ok(scan.sites)
}

fn number(site: &Site) -> Option<usize> {
    site.root.as_deref()?.strip_prefix("/srv/S")?.parse().ok()
}

/// A name is listed as shadowed if, and only if, no listen leads it there.
fn shadowed(sites: &[Site]) -> Result<(), String> {
    let listens: BTreeSet<&String> = sites.iter().flat_map(|s| &s.listen).collect();
    let mut dead: HashMap<(usize, &str), usize> = HashMap::new();
    for listen in listens {
        for name in Socket::new(sites, listen).map(|s| s.dead).unwrap_or_default() {
            *dead.entry(name).or_default() += 1;
        }
    }
    for (i, site) in sites.iter().enumerate() {
        for name in &site.names {
            let want = dead.get(&(i, name)) == Some(&site.listen.len());
            if want != site.shadowed.contains(name) {
                return Err(format!("{name:?} of S{:?}: shadowed {want} expected", number(site)));
            }
        }
    }
    Ok(())
}

/// Hosts worth asking: every name, instances of patterns, near misses,
/// strangers. `None` sends no Host at all.
fn hosts(tree: &Tree) -> Vec<Option<String>> {
    let mut out: BTreeSet<String> =
        ["nobody.example.edu", "example.com", "q.example.com", "127.0.0.1", "www.example.cn"]
            .map(str::to_owned)
            .into();
    for name in tree.servers.iter().flat_map(|s| &s.names) {
        if let Some(regex) = model::REGEXES.iter().find(|r| r.text == name) {
            out.extend(regex.hosts.iter().map(|h| (*h).to_owned()));
        } else if let Some(base) = name.strip_prefix("*.").or(name.strip_prefix('.')) {
            out.extend([base.to_owned(), format!("q.{base}"), format!("Q.r.{base}"), format!("q{base}")]);
        } else if let Some(base) = name.strip_suffix(".*") {
            out.extend([
                format!("{base}.cn"),
                format!("{base}.com.cn"),
                base.to_owned(),
                format!("q.{base}.cn"),
            ]);
        } else if !name.is_empty() {
            out.extend([name.clone(), format!("{name}."), format!("{name}:8080"), format!("q.{name}")]);
        }
    }
    out.into_iter().map(Some).chain([None]).collect()
}

fn compare(tree: &Tree, sites: &[Site], ports: &[u16]) -> Result<usize, String> {
    let hosts = hosts(tree);
    let mut asked = 0;
    for &port in ports {
        for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "[::1]"] {
            let Some(socket) = Socket::reached(sites, address, port) else { continue };
            let answers = ask(&format!("{address}:{port}"), &hosts)
                .map_err(|e| format!("{address}:{port} does not answer: {e}"))?;
            for (host, answer) in hosts.iter().zip(answers) {
                asked += 1;
                let name = host.as_deref().unwrap_or_default().to_lowercase();
                let name = name.split(':').next().unwrap_or_default();
                let name = name.strip_suffix('.').unwrap_or(name);
                let want = socket.answers(name).and_then(|i| number(&sites[i])).map(|n| format!("S{n}"));
                if want.as_deref() != Some(answer.as_str()) {
                    return Err(format!(
                        "{host:?} at {address}:{port}: nginx answers {answer}, listed is {want:?}"
                    ));
                }
            }
        }
    }
    Ok(asked)
}

/// Asks for all hosts over one connection; the bodies.
fn ask(address: &str, hosts: &[Option<String>]) -> io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut requests = Vec::new();
    for host in hosts {
        match host {
            Some(h) => write!(requests, "GET / HTTP/1.1\r\nHost: {h}\r\n\r\n")?,
            None => write!(requests, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")?,
        }
    }
    stream.write_all(&requests)?;
    let mut reader = BufReader::new(stream);
    hosts.iter().map(|_| answer(&mut reader)).collect()
}

fn answer(reader: &mut impl BufRead) -> io::Result<String> {
    let (mut line, mut length, mut status) = (String::new(), 0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if status.is_empty() {
            status = text.to_owned();
        }
        if let Some(n) = text.to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if status.contains(" 200 ") { Ok(String::from_utf8_lossy(&body).into_owned()) } else { Ok(status) }
}
