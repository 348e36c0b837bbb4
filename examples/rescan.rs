//! `rescan ROOT SERVER MAIN FILE`: what a daemon spends on one changed file.
//! ROOT is a folder, MAIN the main file and FILE a site's file, both as paths
//! inside it. Prints milliseconds of CPU of the whole process, all threads.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use beian::audit;
use beian::config::{Config, Limits};
use beian::discover::{self, Memory};
use beian::facts::Server;
use beian::source::{Dirty, Source};

const ROUNDS: u32 = 20;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, server, main, file] = args.as_slice() else {
        anyhow::bail!("rescan ROOT SERVER MAIN FILE");
    };
    let server: Server = server.parse().map_err(|_| anyhow::anyhow!("SERVER is nginx or apache"))?;
    let (root, main) = (Path::new(root), main.as_bytes());
    let mut memory = Memory::default();
    let scan = |memory: &mut Memory, dirty: &Dirty| {
        let src = Source::open(root, Limits::default())?.recording();
        let read = discover::read_tree_with(&src, server, main, &[], memory, dirty);
        anyhow::Ok((read.0, src.files_opened()))
    };
    let mut out = io::stdout().lock();

    let src = Source::open(root, Limits::default())?;
    let (_, plain) = spent(|| discover::read_tree(&src, server, main, &[]).0);
    drop(src);
    let (whole, first) = spent(|| scan(&mut memory, &Dirty::All));
    let (whole, opened) = whole?;
    writeln!(out, "{} sites, {opened} files opened", whole.sites.len())?;
    writeln!(out, "whole reading:            {}", ms(plain))?;
    writeln!(out, "the same, remembered:     {}", ms(first))?;
    writeln!(out, "kept:                     {} KiB, {} files", memory.bytes() / 1024, memory.files())?;

    let dirty = Dirty::Paths([file.as_bytes().into()].into());
    let (last, all) = spent(|| {
        let mut last = None;
        for _ in 0..ROUNDS {
            last = Some(scan(&mut memory, &dirty));
        }
        last
    });
    let (again, opened) = last.unwrap_or_else(|| scan(&mut memory, &dirty))?;
    anyhow::ensure!(again.sites == whole.sites, "another result");
    writeln!(out, "again, one file changed:  {} ({opened} files opened)", ms(all / ROUNDS))?;

    let cfg = Config::load_with(Some(Path::new("/dev/null")), Vec::new())?;
    let now = jiff::Timestamp::now();
    let mut known = audit::Known::default();
    let rows = audit::frames(&cfg, whole.clone(), now, &mut known, true).rows.len();
    // As it is, and where nothing is known of the scan before.
    let mut sums = [Duration::ZERO; 2];
    for (sum, forget) in sums.iter_mut().zip([false, true]) {
        for _ in 0..ROUNDS {
            let scan = scan(&mut memory, &dirty)?.0;
            *sum += spent(|| audit::frames(&cfg, scan, now, &mut known, forget)).1;
        }
    }
    let [changed, all] = sums.map(|sum| ms(sum / ROUNDS));
    writeln!(out, "rows that changed:        {changed} ({} KiB kept)", known.bytes() / 1024)?;
    writeln!(out, "all {rows} rows:           {all}")?;
    drop((whole, again));
    writeln!(out, "memory now:               {} KiB", resident()?)?;
    Ok(())
}

fn spent<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let before = cpu();
    let done = what();
    (done, cpu().saturating_sub(before))
}

fn cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

fn ms(d: Duration) -> String {
    format!("{:6.1} ms", d.as_secs_f64() * 1e3)
}

fn resident() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse().unwrap_or(0))
}
