//! What to do next, one piece of advice for each kind of answer that a report
//! holds.

use crate::config::Lang;
use crate::facts::{Finding, FindingKind, Reason, Server, Verdict};

/// Advice for one verdict and reason: what it means, then what to do.
pub struct Advice {
    /// One sentence.
    pub meaning: &'static str,
    /// Steps, in their order.
    pub steps: Vec<&'static str>,
}

/// The advice for a verdict with its reason; none where there is nothing to
/// say.
pub fn for_verdict(verdict: Verdict, reason: Reason, lang: Lang) -> Option<Advice> {
    let p = |zh: &'static str, en: &'static str| lang.pick(zh, en);
    let (meaning, steps) = match (verdict, reason) {
        (Verdict::Violation, Reason::Restricted) => (
            p(
                "这些域名被限制接入，任何接入商都不得开通。",
                "These names are restricted: no provider may connect them.",
            ),
            vec![
                p(
                    "立即停用站点，并去掉指向本机的解析。",
                    "Disable the sites at once and stop resolving the names here.",
                ),
                p(
                    "向接入商问明限制的原因，解除之前不要再开通。",
                    "Ask the provider for the cause; do not connect them before it is lifted.",
                ),
            ],
        ),
        (Verdict::Violation, Reason::AccessNotFiled) => (
            p(
                "这些域名已指向本机，但没有在本接入商接入（备案可能在别的接入商，也可能根本没有备案）。",
                "These names lead here, but are not connected at this provider (they may be filed elsewhere, or nowhere).",
            ),
            vec![
                p(
                    "别处已有备案：在本接入商办理“新增接入”；初审通过之前先下线。原接入商那边的接入不用动。",
                    "Filed elsewhere: file an added access (新增接入) with this provider, and take the names off until its first review has passed. The other provider's connection stays as it is.",
                ),
                p(
                    "没有备案：办理“首次备案”；终审通过之前先下线。",
                    "Filed nowhere: make a first filing (首次备案), and take the names off until its final approval.",
                ),
                p(
                    "下线的办法：去掉指向本机的解析，或在上面列出的配置位置停用站点。",
                    "To take a name off: stop resolving it here, or disable the site in the place listed above.",
                ),
            ],
        ),
        (Verdict::Violation, _) => (
            p("未备案的域名已经指向本机。", "These names are not filed, and lead to this server."),
            vec![
                p(
                    "备案通过之前先下线：去掉指向本机的解析，或在上面列出的配置位置停用站点。",
                    "Take them off until the filing is approved: stop resolving them here, or disable the site in the place listed above.",
                ),
                p(
                    "通过接入商提交“首次备案”，通过后再开通。",
                    "Make a first filing (首次备案) through the provider; connect after its approval.",
                ),
                p(
                    "改好后再运行一次 `beian-agent audit`，这些域名应当变为“未指向本机”或不再出现。",
                    "Then run `beian-agent audit` again: the names should be dormant or gone.",
                ),
            ],
        ),
        (Verdict::Suspected, Reason::SuspectedNotFiled) => (
            p("只有一个来源查无备案，还不能作准。", "One source alone finds no filing: not a finding yet."),
            vec![
                p(
                    "再配置一个独立的来源（另一个 `[[registry]]`，最好是 `kind = \"yd2431\"`），两个来源一致才作准。",
                    "Configure a second, independent source (one more `[[registry]]`, best of `kind = \"yd2431\"`): two that agree count.",
                ),
                p(
                    "或者到备案管理系统 `https://beian.miit.gov.cn` 人工查询。确实没有备案的，先下线再办理备案。",
                    "Or look the names up at `https://beian.miit.gov.cn`. Take off what is really not filed, and file it.",
                ),
            ],
        ),
        (Verdict::Suspected, _) => (
            p(
                "这些域名经 CDN 或 WAF 访问，源站疑似在本机；源站同样要先备案、再接入。",
                "These names are served through a CDN or WAF whose origin may be this server; an origin must be filed and connected too.",
            ),
            vec![
                p(
                    "源站在本机：办理首次备案或在本接入商新增接入，完成之前把源站迁走或停用。",
                    "If the origin is here: file it (first filing or added access), and move or disable it until then.",
                ),
                p(
                    "源站不在本机：在 CDN 控制台确认回源地址，截图留存，并删除本机上的站点配置；再次运行时就不会出现。",
                    "If it is not: check the origin address in the CDN's console, keep a picture of it as proof, and delete the site here; then it is gone from the next run.",
                ),
            ],
        ),
        (Verdict::Unconfirmed, Reason::ExposureUnknown) => (
            p(
                "解析没有结论，不能说这些域名是否指向本机。",
                "DNS gave no conclusion: nobody can say whether these names lead here.",
            ),
            vec![
                p(
                    "稍后重试；解析服务器不稳时用 `--resolver 地址:53` 换一个，或设置 `[resolver] servers`。",
                    "Try again later; if the resolver is unreliable, give another with `--resolver ADDRESS:53` or `[resolver] servers`.",
                ),
                p(
                    "本机在 NAT 之后时，在 `[server] public_addresses` 写上公网地址。",
                    "Behind NAT, set `[server] public_addresses` to the public address.",
                ),
            ],
        ),
        (Verdict::Unconfirmed, _) => (
            p(
                "备案查询没有得到结论。这不是“未备案”，也不是“已备案”。",
                "The filing could not be confirmed: neither filed nor not filed.",
            ),
            vec![p(
                "按下面列出的失败原因处理来源，然后再运行一次；`beian-agent explain 域名` 列出每个来源的答复。",
                "Mend the sources by the causes listed below and run again; `beian-agent explain NAME` lists every source's answer.",
            )],
        ),
        (Verdict::Dormant, _) => (
            p(
                "这些域名配置了站点，但没有指向本机，今天没有问题；一旦指过来就会违规。",
                "These names are configured but do not lead here. Nothing is wrong today; they break the rule once they point here.",
            ),
            vec![p(
                "不用的站点请删除；要用的先备案（接入）再解析过来。",
                "Delete the sites that nobody uses; file (and connect) the others before pointing them here.",
            )],
        ),
        (Verdict::Compliant, Reason::AccessPending) => (
            p(
                "本接入商的初审已经通过，等待终审。",
                "The provider's first review has passed; the final approval is awaited.",
            ),
            vec![p(
                "不用做什么；过几小时再运行可看到新状态。",
                "Nothing to do; a run in some hours shows the new state.",
            )],
        ),
        (Verdict::Compliant, _) => return None,
        (Verdict::NotApplicable, Reason::PublicSuffix) => (
            p(
                "域名写的是一个公共后缀，不是可以注册的域名。",
                "A public suffix by itself is no domain that anyone can register.",
            ),
            vec![p(
                "多半是笔误，请检查配置里的域名。",
                "Probably a slip: check the name in the configuration.",
            )],
        ),
        (Verdict::NotApplicable, Reason::Exempt) => (
            p(
                "接入商已豁免这些域名（设置里的 `[[exempt]]`）。",
                "The provider exempts these names (`[[exempt]]` in the settings).",
            ),
            vec![],
        ),
        (Verdict::NotApplicable, Reason::OutsideMainland) => (
            p(
                "设置说明服务器不在中国大陆（`[server] mainland = false`），无需备案。",
                "By the settings the server stands outside the mainland (`[server] mainland = false`): no filing is needed.",
            ),
            vec![],
        ),
        (Verdict::NotApplicable, _) => (
            p(
                "IP 地址、单个主机名和保留域名不属于备案对象。",
                "IP addresses, single host names and reserved names are not filed.",
            ),
            vec![],
        ),
    };
    Some(Advice { meaning, steps })
}

/// Advice about findings of one kind on one server.
pub struct Fix {
    /// One sentence.
    pub meaning: &'static str,
    /// Steps, in their order.
    pub steps: Vec<String>,
    /// Configuration to copy.
    pub snippet: Vec<String>,
}

/// How to mend findings: all of one kind on one server.
pub fn for_findings(kind: FindingKind, server: Server, found: &[&Finding], lang: Lang) -> Fix {
    let p = |zh: &'static str, en: &'static str| lang.pick(zh, en).to_owned();
    if kind == FindingKind::IpOnly {
        return Fix {
            meaning: lang.pick(
                "仅以 IP 访问的站点同样在规定之内，云厂商一般不拦截。",
                "Sites reached by IP address only fall under the rule too, though clouds do not enforce it.",
            ),
            steps: vec![p(
                "与接入商商定：停用，或换成已备案的域名。",
                "Decide with the provider: disable them, or use a filed name.",
            )],
            snippet: Vec::new(),
        };
    }
    let bt = found.iter().any(|f| super::panel::is_bt(&f.file));
    let mut listens: Vec<&str> = found.iter().flat_map(|f| &f.listen).map(String::as_str).collect();
    listens.sort_unstable();
    listens.dedup();
    // A server with hundreds of listens is shown the pattern, not all of it.
    listens.truncate(8);
    if listens.is_empty() {
        listens.push("*:80");
    }
    let meaning = lang.pick(
        "别人把任何域名指到本机都会得到响应，等于为没有备案的域名提供接入。",
        "Whatever name someone points at this server is answered, filed or not.",
    );
    let ssl = listens.iter().any(|l| l.ends_with(" ssl"));
    let mut steps = Vec::new();
    let snippet = match server {
        Server::Nginx => {
            steps.push(p(
                "在 `http { }` 内（例如新文件 `conf.d/00-refuse.conf`）加一个拒绝的默认站点；别处在同一监听上已有 `default_server` 的，先去掉那个标记：",
                "Add a refusing default inside `http { }` (for instance as `conf.d/00-refuse.conf`); if another site has `default_server` on the same listen, take that mark away first:",
            ));
            nginx_snippet(&listens)
        }
        Server::Apache => {
            steps.push(p(
                "加一个最先加载、一律返回 403 的虚拟主机（例如 `sites-enabled/000-0-refuse.conf`）：",
                "Add a virtual host that is loaded first and answers 403 to everything (for instance as `sites-enabled/000-0-refuse.conf`):",
            ));
            apache_snippet(&listens)
        }
    };
    if ssl {
        steps.push(match server {
            Server::Nginx => p(
                "`ssl_reject_handshake` 要求 nginx 1.19.4 或更新；更旧的版本改用任意自签名证书（`ssl_certificate`、`ssl_certificate_key`）加 `return 444`。",
                "`ssl_reject_handshake` needs nginx 1.19.4 or newer; with an older one use any self-signed certificate (`ssl_certificate`, `ssl_certificate_key`) and `return 444`.",
            ),
            Server::Apache => p(
                "HTTPS 的默认站点需要一张证书，自签名的即可。",
                "The default for HTTPS needs a certificate; a self-signed one will do.",
            ),
        });
    }
    if bt {
        steps.push(p(
            "宝塔面板：新建一个不放内容的站点，写入上面的配置，并在“网站 - 默认站点”里选它。",
            "宝塔 panel: make a site without content, put the lines above into its configuration, and choose it under 网站 - 默认站点.",
        ));
    }
    steps.push(match server {
        Server::Nginx => p("用 `nginx -t` 检查后重新加载。", "Check with `nginx -t`, then reload."),
        Server::Apache => {
            p("用 `apachectl configtest` 检查后重新加载。", "Check with `apachectl configtest`, then reload.")
        }
    });
    Fix { meaning, steps, snippet }
}

fn nginx_snippet(listens: &[&str]) -> Vec<String> {
    let mut out = vec!["server {".to_owned()];
    for l in listens {
        let (address, ssl) = match l.strip_suffix(" ssl") {
            Some(a) => (a, " ssl"),
            None => (*l, ""),
        };
        let address = address.strip_prefix("*:").unwrap_or(address);
        out.push(format!("    listen {}{ssl} default_server;", super::visible(address)));
    }
    out.push("    server_name _;".to_owned());
    if listens.iter().any(|l| l.ends_with(" ssl")) {
        out.push("    ssl_reject_handshake on;   # nginx >= 1.19.4".to_owned());
    }
    out.push("    return 444;".to_owned());
    out.push("}".to_owned());
    out
}

fn apache_snippet(listens: &[&str]) -> Vec<String> {
    let mut out = Vec::new();
    for l in listens {
        let (address, ssl) = match l.strip_suffix(" ssl") {
            Some(a) => (a, true),
            None => (*l, false),
        };
        out.push(format!("<VirtualHost {}>", super::visible(address)));
        out.push("    ServerName refuse.invalid".to_owned());
        if ssl {
            out.push("    SSLEngine on".to_owned());
            out.push("    SSLCertificateFile /etc/ssl/certs/ssl-cert-snakeoil.pem".to_owned());
            out.push("    SSLCertificateKeyFile /etc/ssl/private/ssl-cert-snakeoil.key".to_owned());
        }
        out.push("    <Location \"/\">".to_owned());
        out.push("        Require all denied".to_owned());
        out.push("    </Location>".to_owned());
        out.push("</VirtualHost>".to_owned());
    }
    out
}
