//! 10,000 names against knot on loopback: hickory alone, then exposures, then
//! a whole audit (10,000 vhost files read, resolved, looked up in a provider's
//! file, judged).
//!
//! `cargo bench --bench resolve [-- NAMES]`; needs `knotd`. hickory alone asks
//! the same questions (A and AAAA of each name) with the same number of names
//! at a time. The pass is to take at most 1.5 times as long, and no name may
//! fail on either side.

#![allow(missing_docs, clippy::print_stdout)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use beian::audit::{self, Request, Unwatched};
use beian::config::Config;
use beian::facts::{ExposureState, Server};
use beian::names::{NameClass, Target, classify};
use beian::resolve::{NAMES_AT_A_TIME, OwnAddresses, Resolver};
use futures::StreamExt;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

struct Knot {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Knot {
    /// A zone with half of its names here, every tenth behind a CNAME.
    fn start(names: usize) -> anyhow::Result<Knot> {
        // A port that is free for UDP may be taken for TCP: then another one.
        (0..20)
            .find_map(|_| Knot::try_start(names).transpose())
            .unwrap_or_else(|| bail!("knotd finds no port"))
    }

    fn try_start(names: usize) -> anyhow::Result<Option<Knot>> {
        let dir = tempfile::tempdir()?;
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut zone = String::from(
            "$ORIGIN example.com.\n$TTL 300\n@ SOA ns root 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n",
        );
        for i in 0..names {
            let host = if i % 2 == 0 { 10 } else { 11 };
            if i % 10 == 9 {
                zone += &format!("site{i:05} CNAME site{:05}\n", i - 1);
            } else {
                zone += &format!("site{i:05} A 203.0.113.{host}\nsite{i:05} AAAA 2001:db8::{host}\n");
            }
        }
        std::fs::write(dir.path().join("example.com.zone"), zone)?;
        let d = dir.path().display();
        let conf = format!(
            "server:\n  rundir: \"{d}\"\n  listen: 127.0.0.1@{port}\n  pidfile: \"{d}/pid\"\n\
             database:\n  storage: \"{d}\"\n  journal-db: journal\n  kasp-db: kasp\n  timer-db: timers\n\
             log:\n  - target: stderr\n    any: error\n\
             zone:\n  - domain: example.com\n    storage: \"{d}\"\n    file: example.com.zone\n    zonefile-load: whole\n    journal-content: none\n"
        );
        let path = dir.path().join("knot.conf");
        std::fs::write(&path, conf)?;
        let mut knot = Knot { child: knotd(&path)?, port, _dir: dir };
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let question = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x06\0\x01";
        for _ in 0..50 {
            if knot.child.try_wait()?.is_some() {
                return Ok(None);
            }
            socket.send_to(question, ("127.0.0.1", port))?;
            let mut answer = [0; 512];
            if socket.recv(&mut answer).is_ok() && answer[3] & 15 == 0 {
                return Ok(Some(knot));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("knotd does not answer");
    }
}

fn knotd(conf: &Path) -> anyhow::Result<Child> {
    for program in ["knotd", "/usr/sbin/knotd"] {
        if let Ok(child) =
            Command::new(program).arg("-c").arg(conf).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()
        {
            return Ok(child);
        }
    }
    bail!("knotd is not installed")
}

async fn hickory_alone(port: u16, names: &[Target], at_a_time: usize) -> anyhow::Result<(Duration, usize)> {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|c| c.port = port);
    let server = NameServerConfig::new(IpAddr::from([127, 0, 0, 1]), true, connections);
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().use_hosts_file = ResolveHosts::Never;
    builder.options_mut().timeout = Duration::from_secs(3);
    let resolver = builder.build()?;
    let begin = Instant::now();
    let found = futures::stream::iter(names)
        .map(|t| {
            let name = format!("{}.", t.name);
            let resolver = &resolver;
            async move {
                let (a, aaaa) =
                    futures::join!(resolver.ipv4_lookup(name.as_str()), resolver.ipv6_lookup(name.as_str()));
                a.is_ok() && aaaa.is_ok()
            }
        })
        .buffer_unordered(at_a_time)
        .filter(|ok| std::future::ready(*ok))
        .count()
        .await;
    Ok((begin.elapsed(), found))
}

async fn exposures(port: u16, names: &[Target]) -> anyhow::Result<(Duration, usize)> {
    let cfg = beian::config::Resolver {
        servers: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        timeout: Duration::from_secs(3),
        attempts: 2,
    };
    let own = OwnAddresses::find(&[IpAddr::from([203, 0, 113, 10])], &[]);
    let resolver = Resolver::new(&cfg, &[], own)?;
    let begin = Instant::now();
    let out = resolver.exposures(names, &|| {}).await;
    let time = begin.elapsed();
    let sure = |s: ExposureState| matches!(s, ExposureState::Here | ExposureState::Elsewhere);
    Ok((time, out.iter().filter(|e| sure(e.state) && e.why.is_none()).count()))
}

/// 10,000 nginx vhost files and a provider's filing database.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn of(names: &[Target]) -> anyhow::Result<Tree> {
        let dir = tempfile::tempdir()?;
        let conf = dir.path().join("etc/nginx/conf.d");
        std::fs::create_dir_all(&conf)?;
        std::fs::write(
            dir.path().join("etc/nginx/nginx.conf"),
            "events {}\nhttp {\n    include conf.d/*.conf;\n}\n",
        )?;
        for t in names {
            let n = &t.name;
            let text = format!("server {{\n    listen 80;\n    server_name {n};\n    root /www/{n};\n}}\n");
            std::fs::write(conf.join(format!("{n}.conf")), text)?;
        }
        let csv = "域名,主体备案号,接入状态\nexample.com,蜀ICP备00000001号,已接入\n";
        std::fs::write(dir.path().join("filings.csv"), csv)?;
        Ok(Tree { dir })
    }
}

async fn whole_audit(port: u16, tree: &Tree) -> anyhow::Result<(Duration, usize)> {
    let cfg = Config::load_with(Some(&empty_settings(tree)?), Vec::new())?;
    let registry = format!("file:{}", tree.dir.path().join("filings.csv").display());
    let request = Request {
        root: Some(tree.dir.path().to_path_buf()),
        addresses: vec![IpAddr::from([203, 0, 113, 10])],
        resolvers: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        registries: cfg.pick_registries(&[registry])?,
        ..Request::default()
    };
    let begin = Instant::now();
    let report = audit::run(&cfg, &request, &Unwatched).await?;
    Ok((begin.elapsed(), report.summary.compliant))
}

fn empty_settings(tree: &Tree) -> anyhow::Result<PathBuf> {
    let path = tree.dir.path().join("agent.toml");
    std::fs::write(&path, "")?;
    Ok(path)
}

fn main() -> anyhow::Result<()> {
    let count = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(10_000);
    let knot = Knot::start(count)?;
    let names: Vec<Target> = (0..count)
        .flat_map(|i| classify(&format!("site{i:05}.example.com"), Server::Nginx))
        .filter_map(|c| if let NameClass::Judged(t) = c { Some(t) } else { None })
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let tree = Tree::of(&names)?;
    for round in 1..=3 {
        let (alone, found) = runtime.block_on(hickory_alone(knot.port, &names, NAMES_AT_A_TIME))?;
        let (ours, sure) = runtime.block_on(exposures(knot.port, &names))?;
        let (audit, compliant) = runtime.block_on(whole_audit(knot.port, &tree))?;
        let ratio = |d: Duration| d.as_secs_f64() / alone.as_secs_f64();
        println!(
            "round {round}: {count} names, hickory alone {alone:.2?}, exposures {ours:.2?} (ratio {:.2}), whole audit {audit:.2?} (ratio {:.2})",
            ratio(ours),
            ratio(audit)
        );
        if found != count || sure != count || compliant != count {
            bail!("a name failed: {found} answered, {sure} sure, {compliant} compliant of {count}");
        }
    }
    Ok(())
}
