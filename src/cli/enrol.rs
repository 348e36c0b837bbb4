//! `enrol`: this server and the provider's hub get to know each other.

use std::io::Read as _;
use std::path::Path;

use secrecy::SecretString;

use crate::agent;
use crate::config::{Config, Lang};
use crate::document::visible;
use crate::uplink::{Enrolment, Identity, enrol};

use super::args::Enrol;
use super::{OK, Stop, output};

/// Longest token that is read.
const TOKEN_MOST: u64 = 4096;

/// Enrols, and says as what.
pub fn enrol(asked: &Enrol, cfg: &Config, lang: Lang) -> Result<u8, Stop> {
    let Some(url) = asked.hub.clone().or_else(|| cfg.hub.url.clone()) else {
        return Err(Stop::refuse(lang.pick(
            "enrol：不知道中心的地址；请写 --hub https://…，或在设置里写 [hub] url",
            "enrol: the hub's address is not known; give --hub https://…, or set [hub] url",
        )));
    };
    let state = cfg.state_dir.display();
    let broken = |e: std::io::Error| Stop::refuse(format!("{state}: {e}"));
    let old = Enrolment::read(&cfg.state_dir).map_err(broken)?;
    if let Some(old) = old.filter(|o| o.hub == url && !asked.again) {
        return said(&lang.pick(
            format!("已登记：编号 {}，中心 {url}。要重新登记请加 --again。", old.agent_id),
            format!("Enrolled already: agent {} at {url}. To enrol anew add --again.", old.agent_id),
        ));
    }
    let token = match &asked.token_file {
        Some(path) => Some(read_token(path, lang)?),
        None => enrol::token_of_machine().map_err(Stop::refuse)?,
    };
    let Some(token) = token else {
        return Err(Stop::refuse(lang.pick(
            "enrol：没有令牌；请用 --token-file FILE（- 为标准输入）或环境变量 BEIAN_ENROL_TOKEN 给出",
            "enrol: no token; give it by --token-file FILE (- is standard input) or in BEIAN_ENROL_TOKEN",
        )));
    };
    std::fs::create_dir_all(&cfg.state_dir).map_err(broken)?;
    let identity = Identity::open(&cfg.state_dir).map_err(broken)?;
    let request = agent::request(cfg, &identity, &token);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Stop::refuse)?;
    let enrolled = runtime
        .block_on(enrol::enrol(&cfg.hub, &url, &identity, &request, &cfg.state_dir))
        .map_err(|(why, _)| Stop::refuse(why.of(lang)))?;
    give_to_owner(&cfg.state_dir);
    let id = visible(&enrolled.agent_id).into_owned();
    let wait = if enrolled.quarantined {
        lang.pick("接入商确认之前处于隔离状态。", " It stays in quarantine until the provider confirms it.")
    } else {
        ""
    };
    said(&lang.pick(
        format!("登记成功：编号 {id}，中心 {url}。{wait}守护进程若在运行，请 systemctl reload beian-agent。"),
        format!("Enrolled as {id} at {url}.{wait} If the daemon runs: systemctl reload beian-agent."),
    ))
}

fn said(line: &str) -> Result<u8, Stop> {
    output::to_stdout(|w| writeln!(w, "{line}"))?;
    Ok(OK)
}

fn read_token(path: &Path, lang: Lang) -> Result<SecretString, Stop> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(TOKEN_MOST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(TOKEN_MOST).read_to_string(&mut text))
    };
    read.map_err(|e| Stop::refuse(format!("--token-file {}: {e}", path.display())))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Stop::refuse(
            lang.pick("--token-file：里面没有令牌", "--token-file: there is no token in it"),
        ));
    }
    Ok(token.to_owned().into())
}

/// Run as root, what was written belongs to whoever owns the state folder: the
/// daemon's user must read it.
fn give_to_owner(dir: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(owner) = std::fs::metadata(dir) else { return };
    for file in ["agent.key", "enrolment.json", "hub-token", "poll-cert.pem", "poll-key.pem"] {
        // Not root: it belongs to the same user already.
        let _ = std::os::unix::fs::lchown(dir.join(file), Some(owner.uid()), Some(owner.gid()));
    }
}
