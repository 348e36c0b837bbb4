//! Random trees of virtual hosts against a real Apache: for every address it
//! listens on and every Host (each exact name, instances of each wildcard, an
//! unknown one), the site that answers must be the one that the reader's
//! sites say.
//!
//! `BEIAN_DIFF_TREES` is how many trees, `BEIAN_DIFF_SEED` the first seed. A
//! tree that fails is made smaller while it still fails, and written below
//! the target's scratch folder.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod compare;
mod generate;
mod modules;
mod server;

use std::path::{Path, PathBuf};

use generate::Model;

const TREES: u64 = 300;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// What is wrong with a tree; nothing where both agree.
fn judge(model: &Model) -> Result<compare::Counts, String> {
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    // Another program may take a port between its choice and Apache's bind.
    for _ in 0..5 {
        let ports = server::free_ports(generate::PORTS);
        let tree = model.render(scratch.path(), &ports);
        tree.write();
        match server::Apache::start(&tree) {
            Ok(apache) => return compare::compare(&tree, &apache),
            Err(e) if e.contains("could not bind") || e.contains("Address already in use") => continue,
            Err(e) => return Err(format!("apache2 refuses the tree: {e}")),
        }
    }
    Err("no free ports".to_owned())
}

fn smaller(model: &Model) -> Model {
    let mut best = model.clone();
    let mut tries = 150;
    loop {
        let found = best.shrinks().into_iter().find(|m| {
            tries -= 1;
            tries >= 0 && judge(m).is_err()
        });
        match found {
            Some(m) => best = m,
            None => return best,
        }
    }
}

fn keep(model: &Model, seed: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("apache-differential-{seed}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    model.render(&folder, &server::free_ports(generate::PORTS)).write();
    folder
}

#[test]
fn apache_answers_with_the_sites_that_are_read() {
    server::require();
    let first = number("BEIAN_DIFF_SEED", 1);
    let mut total = compare::Counts::default();
    for seed in first..first + number("BEIAN_DIFF_TREES", TREES) {
        let model = Model::random(seed);
        match judge(&model) {
            Ok(counts) => total.add(&counts),
            Err(e) => {
                let small = smaller(&model);
                let folder = keep(&small, seed);
                let why = judge(&small).err().unwrap_or(e);
                panic!("seed {seed}: {why}\nthe smallest tree that fails so is in {}", folder.display());
            }
        }
    }
    // The trees must be worth the name.
    assert!(total.requests > 20 * total.trees, "{total:?}");
    assert!(total.sites > 2 * total.trees, "{total:?}");
    println!("{total:?}");
}
