//! Edits at random: what the changes led to is what a fresh scan sees.

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

#[tokio::test]
async fn two_hundred_edits_at_random() {
    for seed in [1, 2, 3] {
        edits(seed).await;
    }
}

async fn edits(seed: u64) {
    let mut s = Host::new(FAST);
    let mut rng = StdRng::seed_from_u64(seed);
    for step in 0..200 {
        edit(&s, &mut rng, step);
        match rng.random_range(0..12) {
            0 => tokio::time::sleep(Duration::from_millis(rng.random_range(1..150))).await,
            1 => tokio::task::yield_now().await,
            _ => {}
        }
        // As the daemon: a change that is told is scanned at once.
        if s.changes.try_recv().is_ok() {
            s.rescan();
        }
    }
    s.calm().await;
    assert_eq!(s.names, names(&scan(&s.root()).0), "seed {seed}");
}

/// One edit; where it cannot be done (nothing there), it is none.
fn edit(s: &Host, rng: &mut StdRng, step: usize) {
    let folders =
        ["etc/nginx/conf.d", "etc/nginx/sites-enabled", "www/one", "www/two", "opt", "srv", "etc/nginx"];
    let files = ["a.conf", "b", "c.conf", "vhost.conf", "late.conf", "x"];
    let folder = s.at(folders[rng.random_range(0..folders.len())]);
    let other = s.at(folders[rng.random_range(0..folders.len())]);
    let file = folder.join(files[rng.random_range(0..files.len())]);
    let to = other.join(files[rng.random_range(0..files.len())]);
    let text = site(&format!("s{step}.example.com"));
    let tmp = s.at("tmp-file");
    let done = match rng.random_range(0..14) {
        0..=3 => std::fs::write(&file, &text),
        4 | 5 => std::fs::write(&tmp, &text).and_then(|()| std::fs::rename(&tmp, &file)),
        6 => std::fs::remove_file(&file),
        7 => std::fs::rename(&file, &to),
        8 => {
            let inside = PathBuf::from("/").join(to.strip_prefix(s.root()).unwrap());
            symlink(inside, &tmp).and_then(|()| std::fs::rename(&tmp, &file))
        }
        9 => std::fs::create_dir_all(&folder),
        10 => std::fs::rename(&folder, &other),
        11 => std::fs::rename(s.at("etc/nginx/conf.d"), s.at("away")),
        12 => std::fs::rename(s.at("away"), s.at("etc/nginx/conf.d")),
        _ => {
            // The whole server, away and back with another site.
            std::fs::rename(s.at("etc"), s.at("etc.away"))
                .and_then(|()| std::fs::write(s.at("etc.away/nginx/conf.d/moved.conf"), &text))
                .and(Ok(()))
                .or(Ok(()))
                .and_then(|()| std::fs::rename(s.at("etc.away"), s.at("etc")))
        }
    };
    let _ = done;
    let _ = std::fs::remove_file(&tmp);
}
