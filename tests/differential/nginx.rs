//! nginx: random trees of virtual hosts, started on loopback, every kind of
//! host asked on every address.
//!
//! `BEIAN_DIFF_TREES` sets how many trees, `BEIAN_DIFF_SEED` where they begin;
//! the same seed gives the same trees. A tree that is answered otherwise than
//! listed is made smaller as long as it still is, and kept under cargo's
//! folder for test files.

mod model;
mod oracle;
mod real;

use std::path::{Path, PathBuf};

use model::Tree;

/// Trees that one start of nginx serves, each on ports of its own.
const TREES_PER_START: usize = 10;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(v) => v.parse().unwrap_or_else(|_| panic!("{name} must be a number")),
        Err(_) => default,
    }
}

#[test]
fn every_host_is_answered_by_the_site_that_we_list() {
    let program = real::find_nginx();
    let (trees, seed) = (setting("BEIAN_DIFF_TREES", 300), setting("BEIAN_DIFF_SEED", 20_260_801));
    let ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    let (mut asked, mut done) = (0, 0);
    while done < trees {
        let count = (TREES_PER_START as u64).min(trees - done);
        let batch: Vec<Tree> = (0..count).map(|i| Tree::random(seed + done + i, ipv6)).collect();
        match real::check(&program, &batch) {
            Ok(n) => asked += n,
            Err(fault) => fail(&program, &batch, fault),
        }
        done += count;
    }
    assert!(asked as u64 >= trees * 20, "only {asked} hosts asked of {trees} trees");
}

/// Makes the failing tree small, keeps it and names it.
fn fail(program: &Path, batch: &[Tree], fault: real::Fault) -> ! {
    let mut small = match fault.tree.and_then(|i| batch.get(i)) {
        Some(tree) => vec![tree.clone()],
        None => batch.to_vec(),
    };
    let mut message = fault.message;
    match real::check(program, &small) {
        Err(again) => message = again.message,
        Ok(_) => small = batch.to_vec(),
    }
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let mut tried = true;
    while tried && std::time::Instant::now() < until {
        tried = false;
        for candidate in model::smaller(&small) {
            if std::time::Instant::now() >= until {
                break;
            }
            if let Err(still) = real::check(program, &candidate) {
                (small, message, tried) = (candidate, still.message, true);
                break;
            }
        }
    }
    let kept: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential-nginx");
    let _ = std::fs::remove_dir_all(&kept);
    std::fs::create_dir_all(&kept).expect("cargo's folder for test files is writable");
    let ports = real::free_ports(small.len() * model::PORTS).expect("free ports");
    real::write_trees(&kept, &small, &ports).expect("the failing tree is written");
    panic!("{message}\nthe tree is in {}", kept.display());
}
