//! What leaves this server, and to whom.

use crate::config::{Config, RegistryKind, Text};

use super::Point;

pub(super) fn say(cfg: &Config) -> Vec<Point> {
    let mut points = vec![to(
        "DNS",
        "the served names are asked of the resolvers above",
        "向上列解析服务器查询本机服务的域名",
    )];
    for r in &cfg.registries {
        let url = match &r.kind {
            RegistryKind::ProviderDb { .. } => {
                points.push(to(&r.name, "nothing: it is a file of this server", "不外发：是本机的文件"));
                continue;
            }
            // Below, with what else it gets.
            RegistryKind::Hub => continue,
            RegistryKind::Yd2431 { url, .. }
            | RegistryKind::MinistryList { url }
            | RegistryKind::JsonApi { url, .. } => url,
        };
        let host = url.host_str().unwrap_or_default();
        points.push(to(
            &r.name,
            &format!("the registrable domains of served names (full names under .gov.cn), to {host}"),
            &format!("把所服务域名的主域名（.gov.cn 下为完整域名）发给 {host}"),
        ));
    }
    let asked = cfg.registries.iter().any(|r| r.kind == RegistryKind::Hub);
    match cfg.hub.url.as_ref().and_then(|u| u.host_str()) {
        Some(host) => points.push(to(
            "hub",
            &format!(
                "to {host}, once enrolled: names, verdicts and their evidence, paths and lines of the configuration, this server's addresses, its host name{}; never the files' text",
                if asked { "; and the registrable domains (full names under .gov.cn) whose filing it is asked for" } else { "" }
            ),
            &format!(
                "登记后向 {host} 上报：域名、结论与依据、配置文件的路径和行号、本机地址、主机名{}；不含文件内容",
                if asked { "；并向它查询主域名（.gov.cn 下为完整域名）的备案" } else { "" }
            ),
        )),
        None => points.push(to("hub", "nothing: no hub is configured", "不外发：没有配置中心")),
    }
    points
}

fn to(whom: &str, en: &str, zh: &str) -> Point {
    Point::ok("sends", Text::new(en, zh)).of(whom)
}
