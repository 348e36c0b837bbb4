//! A real Prometheus scrapes the daemon, as the comment at the head of the
//! packaged rules says, and evaluates those rules on what it got.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::machine::{Machine, soon};
use crate::harness::package;

/// Ended when dropped.
struct Prometheus {
    child: Child,
    at: SocketAddr,
}

impl Prometheus {
    /// Scrapes `agent` twice: with its token, and with another.
    fn start(m: &Machine, agent: SocketAddr) -> Prometheus {
        std::fs::write(m.path("wrong-token"), "not-the-token-of-this-agent").unwrap();
        let job = |name: &str, token: &str| {
            format!(
                "  - job_name: {name}\n    authorization: {{ type: Bearer, credentials_file: {:?} }}\n    \
                 static_configs: [ {{ targets: [\"{agent}\"] }} ]\n",
                m.path(token)
            )
        };
        let text = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
             rule_files: [ {:?} ]\nscrape_configs:\n{}{}",
            package("packaging/prometheus/beian-agent.rules.yml"),
            job("beian-agent", "state/poll-token"),
            job("stranger", "wrong-token"),
        );
        std::fs::write(m.path("prometheus.yml"), text).unwrap();
        // It cannot say which port it took, so it is given one that is free
        // now; where another took it meanwhile, the test says so and fails.
        let at = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap();
        let log = std::fs::File::create(m.path("prometheus.log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", m.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", m.path("tsdb").display()))
            .arg(format!("--web.listen-address={at}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("prometheus (scripts/bootstrap.sh test installs it): {e}"));
        Prometheus { child, at }
    }

    /// The `data` of an answer; `None` while there is none.
    fn get(&self, path: &str) -> Option<Value> {
        let mut s = TcpStream::connect(self.at).ok()?;
        s.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        // 1.0: the answer is not in chunks and ends with the connection.
        write!(s, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.at).ok()?;
        let mut all = String::new();
        s.read_to_string(&mut all).ok()?;
        let (head, body) = all.split_once("\r\n\r\n")?;
        let answer: Value = serde_json::from_str(body).ok()?;
        assert!(answer["status"] == "success" || !head.contains(" 200 "), "{path}: {all}");
        answer.get("data").cloned()
    }

    /// The target of a job.
    fn target(&self, job: &str) -> Option<Value> {
        let data = self.get("/api/v1/targets?state=active")?;
        data["activeTargets"].as_array()?.iter().find(|t| t["labels"]["job"] == job).cloned()
    }

    /// The value of the only series that a query finds.
    fn value(&self, query: &str) -> Option<f64> {
        let coded: String = query.bytes().map(|b| format!("%{b:02x}")).collect();
        let data = self.get(&format!("/api/v1/query?query={coded}"))?;
        match data["result"].as_array()?.as_slice() {
            [] => None,
            [one] => one["value"][1].as_str()?.parse().ok(),
            more => panic!("{query}: {more:?}"),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_with_the_token_of_the_agent() {
    let mut m = Machine::new();
    m.more = "[serve]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    m.site("filed", "www.example.cn");
    m.site("new", "www.example-new.cn");
    let _daemon = m.ready();
    let agent: SocketAddr = soon("the address", Duration::from_secs(10), || {
        let log = m.log();
        let line = log.lines().find(|l| l.contains("answers polling"))?;
        line.split([' ', '=', '"']).find_map(|word| word.parse().ok())
    });
    let prometheus = Prometheus::start(&m, agent);
    let within = Duration::from_secs(40);
    let log = || std::fs::read_to_string(m.path("prometheus.log")).unwrap_or_default();
    let health = |job: &str, word: &str| {
        soon(&format!("{job}: {word}"), within, || {
            let target = prometheus.target(job)?;
            (target["health"] == word).then_some(target)
        })
    };
    let up = health("beian-agent", "up");
    assert_eq!(up["lastError"], "", "{}", log());
    assert_eq!(up["scrapeUrl"], format!("http://{agent}/metrics"));
    let down = health("stranger", "down");
    assert!(down["lastError"].as_str().unwrap().contains("401"), "{down}");

    let is = |query: &str, wanted: f64| {
        soon(&format!("{query} = {wanted}"), within, || {
            (prometheus.value(query) == Some(wanted)).then_some(())
        });
    };
    is("beian_agent_names{verdict=\"violation\"}", 1.0);
    is("beian_agent_names{verdict=\"compliant\"}", 1.0);
    is("sum by (job) (beian_agent_names)", 2.0);
    is("beian_agent_build_info", 1.0);
    is("up{job=\"stranger\"}", 0.0);
    is("count(beian_agent_scan_duration_seconds_bucket{le=\"+Inf\"})", 1.0);
    let at_least =
        |query: &str, least: f64| soon(query, within, || prometheus.value(query).filter(|v| *v >= least));
    at_least("sum(beian_agent_scans_total)", 1.0);
    at_least("beian_agent_ledger_size_bytes", 1.0);
    at_least("beian_agent_last_scan_timestamp_seconds", 1_600_000_000.0);
    at_least("sum(beian_agent_registry_duration_seconds_count{registry=\"provider\"})", 1.0);
    // The packaged rule has seen it too, and waits for its five minutes.
    is("ALERTS{alertname=\"BeianViolation\",alertstate=\"pending\"}", 1.0);
    // Types came along: Prometheus took the OpenMetrics form.
    let meta = prometheus.get("/api/v1/metadata?metric=beian_agent_names").unwrap();
    assert_eq!(meta["beian_agent_names"][0]["type"], "gauge", "{meta}");
}
