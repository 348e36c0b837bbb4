//! What others say: resolvers, registries, the hub, and by it the clock.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::DATE;

use crate::config::{Config, Registry, RegistryKind, Text, io_text};
use crate::document::{dns_why, why_words};
use crate::facts::{SourceState, Why};
use crate::filing::{self, Ask, AskHub, Registries};
use crate::resolve::{self, Probe};
use crate::uplink::Lookup;

use super::{Point, State};

/// For one whole call to the hub.
const HUB_TIMEOUT: Duration = Duration::from_secs(10);
/// A difference that a person should know of; times of transitions are evidence.
const SKEW: Duration = Duration::from_secs(60);

pub(super) async fn check(cfg: &Config) -> Vec<Point> {
    let (resolvers, registries, (hub, skew)) = tokio::join!(
        resolvers(cfg),
        futures::future::join_all(cfg.registries.iter().map(|r| registry(cfg, r))),
        hub(cfg)
    );
    let mut points = resolvers;
    if registries.is_empty() {
        points.push(Point::warning(
            "registry",
            Text::new("none is configured: no filing can be confirmed", "没有配置来源，无法确认任何备案"),
            Text::new("add a [[registry]], see agent.toml(5)", "请添加 [[registry]]，见 agent.toml(5)"),
        ));
    }
    points.extend(registries);
    points.push(hub);
    points.push(clock(skew, Path::new("/run/systemd/timesync/synchronized").exists()));
    points
}

async fn resolvers(cfg: &Config) -> Vec<Point> {
    let probes = match resolve::probe(&cfg.resolver).await {
        Ok(probes) => probes,
        Err(_) => {
            return vec![Point::fault(
                "resolver",
                Text::new("no question could be asked", "无法发出查询"),
                Text::new("mend [resolver] or /etc/resolv.conf", "请改正 [resolver] 或 /etc/resolv.conf"),
            )];
        }
    };
    let one_answers = probes.iter().any(|p| p.failure.is_none());
    probes.iter().map(|p| of_probe(p, one_answers)).collect()
}

/// While one resolver answers, another that does not only makes it slower.
fn of_probe(p: &Probe, one_answers: bool) -> Point {
    let ms = p.took.as_millis();
    match p.failure {
        None => {
            Point::ok("resolver", Text::new(format!("it answers in {ms} ms"), format!("{ms} 毫秒内应答")))
        }
        Some(why) => Point {
            check: "resolver",
            which: None,
            state: if one_answers { State::Warning } else { State::Fault },
            found: Text::new(dns_why(why, crate::config::Lang::En), dns_why(why, crate::config::Lang::Zh)),
            todo: Some(Text::new(
                "set [resolver] servers, or mend /etc/resolv.conf or the way there",
                "请设置 [resolver] servers，或检查 /etc/resolv.conf 和网络",
            )),
        },
    }
    .of(p.server.to_string())
}

async fn registry(cfg: &Config, r: &Registry) -> Point {
    let mut point = ask_registry(cfg, r).await;
    if point.state == State::Fault && r.kind == RegistryKind::Hub {
        point.todo = Some(Text::new(
            "see what is said of the hub and of the enrolment below",
            "见下面“中心”和“登记”两项",
        ));
    }
    if point.state == State::Fault && matches!(r.kind, RegistryKind::ProviderDb { .. }) {
        point.todo = Some(Text::new(
            "see whether the file at path is there, readable, and has the columns of its documentation",
            "请检查 path 的文件是否存在、可读，列名是否符合文档",
        ));
    }
    point.of(r.name.as_str())
}

async fn ask_registry(cfg: &Config, r: &Registry) -> Point {
    let is_file = matches!(r.kind, RegistryKind::ProviderDb { .. });
    let is_hub = r.kind == RegistryKind::Hub;
    let question = match r.canary.first() {
        Some(canary) => canary.clone(),
        // A file has to be readable, and the hub to answer, whatever they say
        // of a name.
        None if is_file || is_hub => "example.cn".to_owned(),
        None => {
            return Point::warning(
                "registry",
                Text::new(
                    "it has no canary, so it was not asked, and its negatives count for nothing",
                    "没有配置 canary：没有查询它，它的“查无”也不算数",
                ),
                Text::new(
                    "set canary to a domain that is certainly filed",
                    "把 canary 设为一个确定已备案的域名",
                ),
            );
        }
    };
    let registries = match Registries::new(std::slice::from_ref(r)) {
        Ok(registries) => registries.through(is_hub.then(|| lookup(cfg)).flatten()),
        Err(_) => {
            return Point::fault(
                "registry",
                Text::new("its mapping file cannot be used", "它的映射文件不能用"),
                Text::new("mend preset, see agent.toml(5)", "请改正 preset，见 agent.toml(5)"),
            );
        }
    };
    let begun = std::time::Instant::now();
    let ask = Ask { names: vec![question] };
    // Its own time is for one try; a lookup may wait and try again.
    let most = r.timeout.saturating_mul(3).saturating_add(Duration::from_secs(5));
    let nothing = || {};
    let lookup = registries.lookup(std::slice::from_ref(&ask), &nothing);
    let answers = match tokio::time::timeout(most, lookup).await {
        Ok(answers) => answers,
        Err(_) => return no_answer(Why::Timeout),
    };
    let ms = begun.elapsed().as_millis();
    let said = answers.filings.first().and_then(|f| f.sources.first());
    let state = said.map(|s| s.state);
    let why = said.and_then(|s| s.error);
    let answered =
        || Point::ok("registry", Text::new(format!("it answers in {ms} ms"), format!("{ms} 毫秒内应答")));
    match (state, why) {
        (Some(SourceState::Filed | SourceState::Restricted), None) => answered(),
        (_, None) if is_file && answers.problems.is_empty() => answered(),
        // It serves this agent, which has no such name.
        (_, None | Some(Why::NotAsked)) if is_hub => answered(),
        (Some(SourceState::NotFiled | SourceState::SuspectedNotFiled), _) | (_, Some(Why::CanaryFailed)) => {
            Point::fault(
                "registry",
                Text::new(
                    "it does not know its canary, so its answers cannot be used",
                    "它查不到自己的 canary，答复不能用",
                ),
                Text::new(
                    "see whether the canary is still filed, and the url and key are right",
                    "请确认 canary 仍有备案，url 和密钥正确",
                ),
            )
        }
        (_, why) => no_answer(why.unwrap_or(Why::Unavailable)),
    }
}

/// The way to the hub, where this server is enrolled.
fn lookup(cfg: &Config) -> Option<Arc<dyn AskHub>> {
    Some(Arc::new(Lookup::open(cfg)?.ok()?))
}

fn no_answer(why: Why) -> Point {
    use crate::config::Lang;
    let todo = match why {
        Why::Unauthorised => Text::new("mend its key, user or password", "请改正 key、user 或 password"),
        Why::Credit => Text::new("top up the account there", "请为账户充值"),
        Why::Throttled => Text::new("lower rate", "请调低 rate"),
        Why::Blocked => Text::new("ask the service to admit this server's address", "请让对方放行本机地址"),
        Why::Configuration => Text::new("mend its settings or its file", "请改正它的设置或文件"),
        Why::Redirected => Text::new("set url to the final address", "请把 url 改为最终地址"),
        _ => Text::new("see whether the url and the way there work", "请检查 url 和网络是否可用"),
    };
    Point::fault(
        "registry",
        Text::new(
            format!("it gives no answer: {}", why_words(why, Lang::En)),
            format!("没有可用的答复：{}", why_words(why, Lang::Zh)),
        ),
        todo,
    )
}

/// The hub, and its clock minus ours in seconds.
async fn hub(cfg: &Config) -> (Point, Option<f64>) {
    let Some(url) = &cfg.hub.url else {
        let found = Text::new(
            "none is configured; the journal and status are what there is",
            "没有配置；结果见日志和 status",
        );
        return (Point::ok("hub", found), None);
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    let loopback = match url.host() {
        Some(url::Host::Ipv4(a)) => a.is_loopback(),
        Some(url::Host::Ipv6(a)) => a.is_loopback(),
        Some(url::Host::Domain(d)) => d == "localhost",
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        let point = Point::fault(
            "hub",
            Text::new("plain HTTP is for loopback only", "明文 HTTP 只能用于本机"),
            Text::new("write [hub] url with https://", "[hub] url 请用 https://"),
        );
        return (point.of(host), None);
    }
    let (point, skew) = call(cfg, url).await;
    (point.of(host), skew)
}

async fn call(cfg: &Config, url: &url::Url) -> (Point, Option<f64>) {
    let client = match client(cfg.hub.ca_file.as_deref()) {
        Ok(client) => client,
        Err(point) => return (*point, None),
    };
    let mut at = url.clone();
    at.set_path(&format!("{}/healthz", url.path().trim_end_matches('/')));
    at.set_query(None);
    let begun = SystemTime::now();
    let response = match client.get(at).timeout(HUB_TIMEOUT).send().await {
        Ok(response) => response,
        Err(e) => return (failed(&e), None),
    };
    let took = begun.elapsed().unwrap_or_default();
    let skew = response
        .headers()
        .get(DATE)
        .and_then(|d| httpdate::parse_http_date(d.to_str().ok()?).ok())
        .map(|theirs| seconds_between(begun + took / 2, theirs));
    let status = response.status().as_u16();
    let point = if response.status().is_success() {
        let ms = took.as_millis();
        Point::ok("hub", Text::new(format!("it answers in {ms} ms"), format!("{ms} 毫秒内应答")))
    } else {
        Point::fault(
            "hub",
            Text::new(
                format!("/healthz answers HTTP {status}: this is no hub, or it is out of order"),
                format!("/healthz 返回 HTTP {status}：不是中心，或中心有故障"),
            ),
            Text::new(
                "see whether [hub] url is right and no proxy stands between",
                "请检查 [hub] url 是否正确、途中有没有代理",
            ),
        )
    };
    (point, skew)
}

/// `theirs` minus `ours`. HTTP dates are cut to whole seconds: half of one is
/// added.
fn seconds_between(ours: SystemTime, theirs: SystemTime) -> f64 {
    0.5 + match theirs.duration_since(ours) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    }
}

fn client(ca_file: Option<&Path>) -> Result<reqwest::Client, Box<Point>> {
    filing::install_crypto();
    let broken = |why: Text| {
        let found =
            Text::new(format!("ca_file cannot be used: {}", why.en), format!("ca_file 不能用：{}", why.zh));
        let todo = Text::new("set [hub] ca_file to a PEM file", "把 [hub] ca_file 设为 PEM 文件");
        Box::new(Point::fault("hub", found, todo))
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("beian-agent/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).map_err(|e| broken(io_text(&e)))?;
        let no_pem = |_| broken(Text::new("it holds no certificate", "里面没有证书"));
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(no_pem)?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|_| broken(Text::new("no TLS client can be made with it", "无法用它建立 TLS")))
}

/// The error's own text holds the URL; only its kind is said.
fn failed(e: &reqwest::Error) -> Point {
    let mut source: Option<&(dyn Error + 'static)> = Some(e);
    let mut tls = None;
    while let Some(s) = source {
        let inner = s.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let found = s.downcast_ref::<rustls::Error>().or_else(|| inner?.downcast_ref());
        tls = tls.or(found);
        source = s.source();
    }
    let (found, todo) = match tls {
        Some(rustls::Error::InvalidCertificate(_)) => (
            Text::new("its certificate is not trusted", "不信任它的证书"),
            Text::new(
                "set [hub] ca_file to its authority, or mend the certificate or the clock",
                "请把 [hub] ca_file 设为其颁发者的证书，或检查证书和本机时钟",
            ),
        ),
        Some(_) => (
            Text::new("there is no TLS with it", "无法与它建立 TLS"),
            Text::new("see whether the port of [hub] url speaks TLS", "请检查 [hub] url 的端口是不是 TLS"),
        ),
        None if e.is_timeout() => (
            Text::new("no answer in time", "超时没有应答"),
            Text::new("see whether a firewall stands between", "请检查防火墙"),
        ),
        None => (
            Text::new("it cannot be reached", "连不上"),
            Text::new(
                "see whether [hub] url, DNS and the way there are right",
                "请检查 [hub] url、DNS 和网络",
            ),
        ),
    };
    Point::fault("hub", found, todo)
}

fn clock(skew: Option<f64>, synchronized: bool) -> Point {
    let by_ntp =
        || Text::new("let NTP keep it: timedatectl set-ntp true", "请启用时间同步：timedatectl set-ntp true");
    match skew {
        Some(s) if s.abs() > SKEW.as_secs_f64() => Point::warning(
            "clock",
            Text::new(format!("it differs from the hub's by {s:.0} s"), format!("与中心相差 {s:.0} 秒")),
            by_ntp(),
        ),
        Some(s) => Point::ok(
            "clock",
            Text::new(
                format!("within {:.0} s of the hub's", s.abs().ceil()),
                format!("与中心相差不超过 {:.0} 秒", s.abs().ceil()),
            ),
        ),
        None if synchronized => {
            Point::ok("clock", Text::new("systemd-timesyncd keeps it", "由 systemd-timesyncd 同步"))
        }
        None => Point::warning(
            "clock",
            Text::new("nobody here can say whether it is right", "无从得知时钟是否准确"),
            Text::new(
                "see timedatectl or chronyc tracking; times of verdicts are evidence",
                "请查看 timedatectl 或 chronyc tracking；结论的时间是证据",
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_judged_by_the_hub_first() {
        assert_eq!(clock(Some(0.4), false).state, State::Ok);
        assert_eq!(clock(Some(-3600.0), true).state, State::Warning);
        assert_eq!(clock(None, true).state, State::Ok);
        assert_eq!(clock(None, false).state, State::Warning);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert!((seconds_between(now, now + Duration::from_secs(90)) - 90.5).abs() < 1e-6);
        assert!((seconds_between(now, now - Duration::from_secs(90)) + 89.5).abs() < 1e-6);
    }

    #[test]
    fn a_silent_resolver_is_a_fault_only_where_none_answers() {
        let silent =
            Probe { server: ([127, 0, 0, 1], 53).into(), took: Duration::ZERO, failure: Some("timeout") };
        assert_eq!(of_probe(&silent, true).state, State::Warning);
        assert_eq!(of_probe(&silent, false).state, State::Fault);
    }
}
