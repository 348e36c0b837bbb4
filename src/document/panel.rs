//! Where a customer changes a site: the hosting panel's own entry for a file.

/// The panel and its entry that stand behind a configuration file.
pub fn entry(file: &str) -> Option<(&'static str, &str)> {
    if let Some(rest) = file.strip_prefix("/www/server/panel/vhost/") {
        // 宝塔 (aaPanel abroad): vhost/SERVER/[KIND_]SITE.conf, and snippets
        // of a site in folders of its name.
        let (server, name) = rest.split_once('/')?;
        let site = match name.rsplit_once('/') {
            None => {
                let name = name.strip_suffix(".conf")?;
                ["html_", "node_", "java_", "go_", "python_", "other_"]
                    .iter()
                    .find_map(|p| name.strip_prefix(p))
                    .unwrap_or(name)
            }
            Some((folder, _)) => folder.strip_prefix("extension/")?,
        };
        let known = matches!(server, "nginx" | "apache" | "openlitespeed");
        return (known && !site.contains('/') && site.contains('.')).then_some(("宝塔", site));
    }
    for folder in ["/opt/1panel/www/conf.d/", "/opt/1panel/apps/openresty/openresty/conf/conf.d/"] {
        if let Some(name) = file.strip_prefix(folder) {
            return name.strip_suffix(".conf").filter(|n| !n.contains('/')).map(|n| ("1Panel", n));
        }
    }
    None
}

/// Whether the files of a 宝塔 panel are meant.
pub fn is_bt(file: &str) -> bool {
    file.starts_with("/www/server/")
}
