#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::facts::{Problem, ProblemKind, Row, Server};

/// What the ledger would hold, by the rules of [`Frames::gone`].
#[derive(Default)]
struct Held {
    rows: BTreeMap<String, Row>,
    made: usize,
}

impl Held {
    fn take(&mut self, frames: &Frames) {
        self.made += frames.rows.len();
        let gone = match &frames.gone {
            None => self.rows.keys().cloned().collect(),
            Some(gone) => gone.clone(),
        };
        if frames.complete {
            for name in &gone {
                assert!(self.rows.remove(name).is_some() || frames.gone.is_some());
            }
        }
        self.rows.extend(frames.rows.iter().map(|(row, _)| (row.name.clone(), row.clone())));
    }
}

fn settings(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    Config::load_with(Some(&file), vec![]).unwrap()
}

fn one(rng: &mut StdRng, i: usize) -> Site {
    let server = if rng.random_ratio(1, 5) { Server::Apache } else { Server::Nginx };
    let mut s = Site::new(server, format!("/etc/s{i}.conf"), rng.random_range(1..4));
    let names = [
        "shared.example.cn",
        "www.shared.example.cn",
        ".wide.example.cn",
        "*.wide.example.cn",
        "~^.+$",
        "~^a\\d+\\.shared\\.example\\.cn$",
        "a b",
        "_",
        "203.0.113.7",
        "localhost",
        "spared.example.net",
    ];
    for _ in 0..rng.random_range(0..3) {
        s.names.push(names[rng.random_range(0..names.len())].to_owned());
    }
    if rng.random_bool(0.8) {
        s.names.push(format!("n{}.example.com", rng.random_range(0..60)));
    }
    if rng.random_ratio(1, 8) {
        s.synthetic = s.names.clone();
    }
    s.listen = vec![format!("*:{}", rng.random_range(80..83))];
    if rng.random_ratio(1, 6) {
        s.default = s.listen.clone();
        s.implicit_default = if rng.random() { s.listen.clone() } else { Vec::new() };
    }
    s
}

/// The sites change as files do; what is left out of the rows is what a whole
/// scan says as well.
#[test]
fn edits_at_random_come_to_what_a_whole_scan_says() {
    let settings = [
        settings(""),
        settings("[[exempt]]\nname='example.net'\nby='甲'\nwhy='理由'\n"),
        settings("[server]\nmainland = false\n"),
    ];
    let unread = Problem::at("/etc/x.conf".to_owned(), None, ProblemKind::MissingInclude, "not there");
    for seed in 0..8 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sites: Vec<Site> = (0..50).map(|i| one(&mut rng, i)).collect();
        let (mut known, mut held, mut cfg) = (Known::default(), Held::default(), &settings[0]);
        let mut parts = 0;
        for step in 0..300 {
            for _ in 0..rng.random_range(0..3) {
                let at = rng.random_range(0..sites.len());
                match rng.random_range(0..6) {
                    0 => drop(sites.remove(at)),
                    1 => sites.insert(at, one(&mut rng, 100 + step)),
                    2 => {
                        let to = rng.random_range(0..sites.len());
                        sites.swap(at, to);
                    }
                    _ => sites[at] = one(&mut rng, 100 + step),
                }
            }
            if rng.random_ratio(1, 40) {
                cfg = &settings[rng.random_range(0..settings.len())];
            }
            let problems = if step % 50 > 40 { vec![unread.clone()] } else { Vec::new() };
            let scan = Scan { sites: sites.clone(), problems };
            let now = Timestamp::from_second(1_800_000_000).unwrap();
            let whole = frames(cfg, scan.clone(), now, &mut Known::default(), false);
            assert!(whole.gone.is_none(), "nothing is known at first");
            let again = rng.random_ratio(1, 30);
            let part = frames(cfg, scan, now, &mut known, again);
            assert!(part.gone.is_none() || !again);
            parts += usize::from(part.gone.is_some());
            assert_eq!(part.findings, whole.findings, "seed {seed} step {step}");
            assert_eq!(part.problems, whole.problems, "seed {seed} step {step}");
            assert_eq!((part.complete, part.sites), (whole.complete, whole.sites));
            held.take(&part);
            let mut expected: BTreeMap<String, Row> =
                whole.rows.iter().map(|(r, _)| (r.name.clone(), r.clone())).collect();
            if !whole.complete {
                // What is missing stays as it was.
                for (name, row) in &held.rows {
                    expected.entry(name.clone()).or_insert_with(|| row.clone());
                }
            }
            assert_eq!(held.rows, expected, "seed {seed} step {step}");
        }
        assert!(parts > 150, "{parts}");
    }
}

#[test]
fn one_changed_site_is_few_rows_and_little_is_kept() {
    let cfg = settings("");
    let site = |i: usize, name: String| {
        let mut s = Site::new(Server::Nginx, format!("/etc/nginx/conf.d/{i}.conf"), 1);
        s.names = vec![name.clone(), format!("www.{name}")];
        s.listen = vec!["*:80".to_owned()];
        s
    };
    let mut sites: Vec<Site> = (0..10_000).map(|i| site(i, format!("example-{i}.com.cn"))).collect();
    let mut known = Known::default();
    let now = Timestamp::now();
    let scan = |sites: &[Site]| Scan { sites: sites.to_vec(), problems: Vec::new() };
    let first = frames(&cfg, scan(&sites), now, &mut known, true);
    assert_eq!((first.rows.len(), first.gone.is_none()), (20_000, true));
    assert!(known.bytes() < 700_000, "{}", known.bytes());

    sites[17] = site(17, "new.example.cn".to_owned());
    // Another serves a name of the site that is gone, too.
    sites[9_000].names.push("example-17.com.cn".to_owned());
    sites.swap(8_000, 8_001);
    let part = frames(&cfg, scan(&sites), now, &mut known, false);
    assert!(part.gone.is_none(), "nearly all of it lies between two that changed");
    sites[8_000] = site(8_000, "example-8000.com.cn".to_owned());
    sites[9_000].names.push("shared.example-1.com.cn".to_owned());
    sites[20].names.push("shared.example-1.com.cn".to_owned());
    let again = frames(&cfg, scan(&sites), now, &mut known, false);
    assert!(again.gone.is_none());
    sites[9_000].names.pop();
    let part = frames(&cfg, scan(&sites), now, &mut known, false);
    let names: Vec<&str> = part.rows.iter().map(|(r, _)| r.name.as_str()).collect();
    assert_eq!(
        names,
        ["shared.example-1.com.cn", "example-9000.com.cn", "www.example-9000.com.cn", "example-17.com.cn"]
    );
    assert_eq!(part.rows[0].0.served_by.len(), 1);
    sites[20].names.pop();
    let part = frames(&cfg, scan(&sites), now, &mut known, false);
    assert_eq!(part.gone, Some(vec!["shared.example-1.com.cn".to_owned()]));
    assert_eq!(part.rows.len(), 2);
    let same = frames(&cfg, scan(&sites), now, &mut known, false);
    assert!(same.rows.is_empty() && same.gone == Some(Vec::new()));
}
