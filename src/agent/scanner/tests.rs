#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::agent::beat::Stages;
use crate::discover::watch::Options;
use crate::facts::{Row, Summary};
use crate::ledger::Meta;

/// One server's root, and the daemon's reading of it.
struct Host {
    dir: tempfile::TempDir,
    tools: Tools,
    trees: Trees,
    /// The turn that the scans are of goes on.
    _turn: UnboundedReceiver<Scanned>,
}

fn ledger(dir: &Path, cfg: &Config) -> Arc<Ledger> {
    std::fs::create_dir_all(dir).unwrap();
    Arc::new(Ledger::open(dir, cfg.freshness).unwrap())
}

impl Host {
    fn new() -> Host {
        let dir = tempfile::tempdir().unwrap();
        let at = |p: &str| dir.path().join(p);
        for d in ["root/etc/nginx/conf.d", "root/etc/apache2/sites", "state"] {
            std::fs::create_dir_all(at(d)).unwrap();
        }
        let text = format!(
            "[agent]\nroot = {:?}\nstate_dir = {:?}\n[server]\npublic_addresses = [\"203.0.113.10\"]\n\
             [[exempt]]\nname = \"n1.example.cn\"\nby = \"甲\"\nwhy = \"理由\"\n",
            at("root"),
            at("state"),
        );
        std::fs::write(at("agent.toml"), text).unwrap();
        let cfg = Arc::new(Config::load_with(Some(&at("agent.toml")), vec![]).unwrap());
        let (told, _) = tokio::sync::mpsc::channel(1);
        let (scanned, turn) = unbounded_channel();
        let tools = Tools {
            ledger: ledger(&cfg.state_dir, &cfg),
            // What changed is told by hand here.
            watch: Arc::new(Watch::start(&cfg.root, told, Options::default()).unwrap()),
            scanned,
            stage: Stages::default().stage("scanner"),
            cfg,
        };
        let host = Host { dir, tools, trees: Trees::default(), _turn: turn };
        host.put("etc/nginx/nginx.conf", "http { include conf.d/*.conf; }\n");
        host.put("etc/apache2/apache2.conf", "Listen 80\nIncludeOptional sites/*.conf\n");
        host
    }

    fn put(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join("root").join(file), text).unwrap();
    }

    fn scan(&mut self, edited: Option<BTreeSet<Box<[u8]>>>) -> Scanned {
        let change = edited.map(|paths| Change {
            trees: self.trees.order.iter().cloned().collect(),
            dirty: Dirty::Paths(paths),
        });
        scan(&self.tools, &mut self.trees, "change", change).unwrap().unwrap()
    }

    /// What the ledger says, and what it would say after one whole scan of
    /// what is there now.
    fn both(&self, round: usize) -> [(Vec<Row>, Meta, Summary); 2] {
        let cfg = &self.tools.cfg;
        let fresh = Tools {
            ledger: ledger(&self.dir.path().join(format!("fresh{round}")), cfg),
            cfg: cfg.clone(),
            watch: self.tools.watch.clone(),
            scanned: self.tools.scanned.clone(),
            stage: Stages::default().stage("scanner"),
        };
        scan(&fresh, &mut Trees::default(), "start", None).unwrap().unwrap();
        [&self.tools.ledger, &fresh.ledger].map(|ledger| {
            let (mut rows, mut meta) = (Vec::new(), ledger.meta());
            ledger.rows(|mut row| {
                row.first_seen = Timestamp::UNIX_EPOCH;
                if let Some(e) = &mut row.exposure {
                    e.checked_at = Timestamp::UNIX_EPOCH;
                }
                rows.push(row);
            });
            meta.scanned_at = Timestamp::UNIX_EPOCH;
            (rows, meta, ledger.summary())
        })
    }
}

/// A file with one or two sites, whose names others have too.
fn text(rng: &mut StdRng, nginx: bool) -> String {
    let mut out = String::new();
    for _ in 0..rng.random_range(1..3) {
        let name = match rng.random_range(0..10) {
            0 => "_".to_owned(),
            1 if nginx => ".example.cn".to_owned(),
            2 => "a@b".to_owned(),
            n => format!("n{}.example.cn n{n}.example.com", rng.random_range(0..40)),
        };
        let port = rng.random_range(80..82);
        let first = name.split(' ').next().unwrap_or_default();
        out += &match nginx {
            true => format!("server {{\n listen {port};\n server_name {name};\n root /srv;\n}}\n"),
            false => format!(
                "<VirtualHost *:{port}>\n ServerName {first}\n ServerAlias {name}\n DocumentRoot /srv\n</VirtualHost>\n"
            ),
        };
    }
    out
}

/// Edits, each told as the one path that it is; the ledger comes to what a
/// fresh one says after a whole scan.
#[tokio::test]
async fn changed_files_alone_come_to_what_a_whole_scan_says() {
    for seed in 0..3 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut host = Host::new();
        for i in 0..24 {
            host.put(&format!("etc/nginx/conf.d/s{i:02}.conf"), &text(&mut rng, true));
            host.put(&format!("etc/apache2/sites/s{i:02}.conf"), &text(&mut rng, false));
        }
        assert!(host.scan(None).applied.new > 5);
        let mut broken: BTreeSet<String> = BTreeSet::new();
        let mut compared = 0;
        for round in 0..60 {
            let mut edited = BTreeSet::new();
            // What cannot be read stays so for a few rounds.
            if rng.random_ratio(1, 3) {
                for file in std::mem::take(&mut broken) {
                    host.put(&file, &text(&mut rng, true));
                    edited.insert(file);
                }
            }
            for _ in 0..rng.random_range(1..4) {
                let nginx = rng.random_bool(0.6);
                let folder = if nginx { "etc/nginx/conf.d" } else { "etc/apache2/sites" };
                let file = format!("{folder}/s{:02}.conf", rng.random_range(0..30));
                match rng.random_range(0..12) {
                    0..=2 => {
                        let _ = std::fs::remove_file(host.dir.path().join("root").join(&file));
                        broken.remove(&file);
                    }
                    3 if nginx => {
                        host.put(&file, "include /etc/nginx/not-there.conf;\n");
                        broken.insert(file.clone());
                    }
                    _ => {
                        host.put(&file, &text(&mut rng, nginx));
                        broken.remove(&file);
                    }
                }
                edited.insert(file);
            }
            let edited = edited.into_iter().map(|f| format!("/{f}").into_bytes().into()).collect();
            let done = host.scan(Some(edited));
            assert_eq!(done.complete, broken.is_empty());
            if done.complete {
                let [now, whole] = host.both(round);
                assert_eq!(now, whole, "seed {seed} round {round}");
                compared += 1;
            }
        }
        assert!((10..60).contains(&compared), "{compared}");
    }
}
