"""Names: IDN, apexes, wildcards, regexes, catch-alls, names that are no domains, lists of names."""
from . import (ELSEWHERE, FILED, HERE, MAIN, NOT_FILED, left_out, ministry, nginx, row, scenario, server, sites, yd2431)

N = "mingzi-shili.cn"


def a_label(name):
    return name.encode("idna").decode()


def named(id, title, root, names, answers, **kw):
    return scenario(f"names-{id}", title, "names", root, names, registries=kw.pop("registries", None) or [yd2431(answers)], **kw)


def scenarios():
    yield from idn()
    yield from apexes()
    yield from patterns()
    yield from findings()
    yield from apache()
    yield from lists()


def idn():
    u = "示例丁.中国"
    a = a_label(u)
    for id, written in (("u", f"www.{u}"), ("a", f"www.{a}"), ("a-upper", f"WWW.{a.upper()}"), ("full-width-dot", f"www。{u}"), ("final-dot", f"www.{u}.")):
        want = {**row(f"www.{a}", "filed"), "unicode": f"www.{u}", "apex": a}
        for known in ("u", "a", "both"):
            yield named(f"idn-{id}-known-as-{known}", f"written {written}, the registry knows the {known} label", sites(written), [want], {},
                        registries=[ministry({u: {**FILED, "answers": known}})])
        yield named(f"idn-{id}-yd2431-known-as-a", f"written {written}, YD/T 2431 knows the A-label only", sites(written), [want], {u: {**FILED, "answers": "a"}})
    yield named("idn-neither", "an explicit no under both spellings", sites(u), [{**row(a, "not_filed"), "unicode": u}], {u: NOT_FILED})
    gbk = {**nginx(), "etc/nginx/conf.d/001.conf": {"text": server(f"www.{u}", more="# 示例站点\n    root /var/www/html;"), "encoding": "gbk"}}
    yield named("idn-gbk-config", "a configuration in GBK", gbk, [{**row(f"www.{a}", "filed"), "unicode": f"www.{u}"}], {u: FILED}, exit=0)
    for suffix in ("公司.cn", "网络.cn", "公司", "网络", "中国"):
        host = f"示例戊.{suffix}"
        yield named(f"idn-suffix-{a_label(suffix)}", f"{suffix} is a suffix", sites(f"www.{host}"), [{**row(a_label(f"www.{host}"), "filed"), "apex": a_label(host)}], {host: FILED})
        yield named(f"idn-bare-{a_label(suffix)}", f"{suffix} alone is no domain", sites(suffix), [left_out(a_label(suffix), ["public_suffix", "single_label"] if "." not in suffix else "public_suffix")],
                    {}, questions="Q12", never_queried=[suffix], dns_never=[suffix])


def apexes():
    for host, apex in (("www.jia-shili.com.cn", "jia-shili.com.cn"), ("www.yi-shili.bj.cn", "yi-shili.bj.cn"), ("www.bing-shili.sh.cn", "bing-shili.sh.cn"),
                       ("a.as.sh.cn", "as.sh.cn"), ("a.b.c.ding-shili.net.cn", "ding-shili.net.cn"), ("www.wu-shili.edu.cn", "wu-shili.edu.cn"), ("ji-shili.xyz", "ji-shili.xyz"),
                       ("shili.github.io", "github.io")):
        yield named(f"apex-{host}", f"the apex of {host} (ICANN section only)", sites(host), [{**row(host, "not_filed"), "apex": apex}], {apex: NOT_FILED},
                    queries=[{"registry": "yd2431", "apex": apex, "min": 1, "max": 1}], **({} if host == apex else {"never_queried": [host]}))
    for suffix in ("com.cn", "gov.cn", "bj.cn"):
        yield named(f"bare-{suffix}", f"{suffix} alone is no domain", sites(suffix), [left_out(suffix, "public_suffix")], {}, questions="Q12", never_queried=[suffix], dns_never=[suffix])
    yield named("case-and-dot", "case and a final dot", sites(f"WWW.{N.upper()}."), [row(f"www.{N}", "filed")], {N: FILED})
    yield named("same-name-twice", "one name in two files: one row, two places", sites(N, N), [{**row(N, "filed"), "served_by": 2}], {N: FILED})
    yield named("same-name-twice-in-case", "the same name in two spellings is one row", sites(f"{N} {N.upper()}"), [row(N, "filed")], {N: FILED})
    yield named("redirect-only", "a site that only redirects counts", nginx(server(N, more="return 301 https://www.example.com/;")), [row(N, "not_filed")], {N: NOT_FILED})
    yield named("odd-port", "any port counts", nginx(server(N, "8088")), [row(N, "not_filed")], {N: NOT_FILED})
    yield named("loopback-listen", "a site on a loopback listen gives its row", nginx(server(N, "127.0.0.1:8080")), [row(N, "not_filed")], {N: NOT_FILED}, questions="Q14")


def patterns():
    def pattern(id, title, name, want, answers, zone, **kw):
        return named(f"pattern-{id}", title, sites(name), want, answers, dns=zone, questions="Q13", only=False, **kw)
    any_row = lambda apex, filing, exposure="here": [{k: v for k, v in {**row("", filing, exposure=exposure), "apex_any": apex}.items() if k != "name"}]
    zone = {N: HERE, f"*.{N}": HERE}
    for id, name in (("wildcard", f"*.{N}"), ("dot", f".{N}"), ("regex", rf"~^(?<sub>[a-z]+)\.{N.replace('.', chr(92) + '.')}$"), ("regex-tail", rf"~\.{N.replace('.', chr(92) + '.')}$"),
                     ("regex-whole", rf"~^{N.replace('.', chr(92) + '.')}$"), ("regex-alternatives-below", rf"~^(www|m)\.{N.replace('.', chr(92) + '.')}$")):
        yield pattern(id, f"{name} is judged by its apex", name, any_row(N, "not_filed"), {N: NOT_FILED}, zone, no_findings=["unbounded_names"],
                      queries=[{"registry": "yd2431", "apex": N, "min": 1, "max": 1}])
        yield pattern(f"{id}-elsewhere", f"{name}, which leads elsewhere", name, any_row(N, "not_filed", "elsewhere"), {N: NOT_FILED}, {N: ELSEWHERE, f"*.{N}": ELSEWHERE})
    yield pattern("wildcard-www-only", "here if any probe is: only www leads here", f"*.{N}", any_row(N, "not_filed"), {N: NOT_FILED}, {N: ELSEWHERE, f"www.{N}": HERE})
    yield pattern("wildcard-labels-only", "here if any probe is: only unknown labels lead here", f"*.{N}", any_row(N, "not_filed"), {N: NOT_FILED}, {N: ELSEWHERE, f"*.{N}": HERE})
    # patterns that no apex bounds: a finding, and no row
    for id, name in (("unescaped-dot", rf"~^www\.{N}$"), ("no-anchor", rf"~\.{N.replace('.', chr(92) + '.')}"), ("half-apex", r"~shili\.cn$"), ("anything", "~^.*$"), ("suffix-only", r"~\.cn$")):
        yield pattern(f"unbounded-{id}", f"{name} may be any domain", name, [], {}, {}, findings=[{"kind": "unbounded_names", "file": "/etc/nginx/conf.d/001.conf"}], exit=0)
    yield pattern("alternative-apexes", "two apexes in one regex: all of them, or unbounded", r"~^www\.(jiahe|yihe)-shili\.cn$", [],
                  {"jiahe-shili.cn": FILED, "yihe-shili.cn": FILED}, {f"www.{n}-shili.cn": HERE for n in ("jiahe", "yihe")}, exit=[0, 3],
                  any_finding_or_rows={"finding": "unbounded_names", "apexes": ["jiahe-shili.cn", "yihe-shili.cn"]})


def findings():
    where = {"server": "nginx", "file": "/etc/nginx/conf.d/00.conf", "line": 1}

    def bare(*blocks):
        return {"etc/nginx/nginx.conf": MAIN, **{f"etc/nginx/conf.d/{i:02}.conf": b for i, b in enumerate(blocks)}}
    filed = [row(N, "filed")]
    for id, name in (("underscore", "_"), ("empty", '""'), ("dashes", "--"), ("star-like", "!@#")):
        yield named(f"catch-all-{id}", f"a default named {name} that answers with content", bare(server(name, "80 default_server"), server(N)), filed, {N: FILED},
                    findings=[{"kind": "unbounded_names", **where}], questions="Q1")
    yield named("catch-all-refuses", "a default that refuses is no finding", bare(server("_", "80 default_server", "return 444;"), server(N)), filed, {N: FILED},
                no_findings=["unbounded_names", "implicit_default"])
    yield named("implicit-default", "a named site that is first on its listen answers unknown names", bare(server(N), server(f"www.{N}")), filed + [row(f"www.{N}", "filed")], {N: FILED},
                findings=[{"kind": ["implicit_default", "unbounded_names"], **where}], questions="Q14")
    yield named("explicit-default-elsewhere", "an explicit default takes that from the first", bare(server(N), server("_", "80 default_server", "return 444;")), filed, {N: FILED},
                no_findings=["implicit_default", "unbounded_names"], questions="Q14")
    yield named("ip-only", "a site whose names are IP addresses", nginx(server("203.0.113.10"), server(N)), filed + [left_out("203.0.113.10", "ip_literal")], {N: FILED},
                findings=[{"kind": "ip_only", "file": "/etc/nginx/conf.d/001.conf"}], questions="Q12", dns_never=["203.0.113.10"], never_queried=["203.0.113.10"])
    yield named("ip-beside-name", "an IP address beside a name is no finding", nginx(server(f"203.0.113.10 {N}")), filed + [left_out("203.0.113.10", "ip_literal")], {N: FILED},
                no_findings=["ip_only"], questions="Q12")


def apache():
    def httpd(*vhosts):
        return {"etc/apache2/apache2.conf": 'ServerRoot "/etc/apache2"\nInclude ports.conf\nIncludeOptional sites-enabled/*.conf\n', "etc/apache2/ports.conf": "Listen 80\n",
                **{f"etc/apache2/sites-enabled/{i:02}.conf": v for i, v in enumerate(vhosts)}}

    def vhost(name, alias="", more="DocumentRoot /var/www/html"):
        return f"<VirtualHost *:80>\n    ServerName {name}\n{f'    ServerAlias {alias}{chr(10)}' if alias else ''}    {more}\n</VirtualHost>\n"
    yield named("apache-alias-wildcard", "ServerAlias with a wildcard", httpd(vhost(N, f"*.{N}")), [row(N, "not_filed"), {**row(f"*.{N}", "not_filed"), "apex": N}], {N: NOT_FILED},
                dns={N: HERE, f"*.{N}": HERE}, questions="Q13")
    yield named("apache-implicit-default", "the first virtual host answers unknown names", httpd(vhost(N), vhost(f"www.{N}")), [row(N, "filed"), row(f"www.{N}", "filed")], {N: FILED},
                findings=[{"kind": ["implicit_default", "unbounded_names"], "server": "apache", "file": "/etc/apache2/sites-enabled/00.conf", "line": 1}], questions="Q14")
    both = {**sites(N), **httpd(vhost(N))}
    yield named("nginx-before-apache", "one name in nginx and in Apache: one row, two places", both, [{**row(N, "not_filed"), "served_by": 2}], {N: NOT_FILED})


def lists():
    def listed(id, title, text, names, **kw):
        return named(f"list-{id}", title, sites("bu-zai-shili.cn"), names, {N: FILED, "er-shili.cn": NOT_FILED}, names_file=text, questions="Q15",
                     dns_never=["bu-zai-shili.cn"], never_queried=["bu-zai-shili.cn"], **kw)
    both = [{**row(N, "filed"), "served_by": 0}, {**row("er-shili.cn", "not_filed"), "served_by": 0}]
    for id, text in (("lf", f"{N}\ner-shili.cn\n"), ("crlf", f"{N}\r\ner-shili.cn\r\n"), ("bom", f"\ufeff{N}\ner-shili.cn"), ("comments", f"# 示例\n\n{N}\n  # more\n  er-shili.cn  \n\n"),
                     ("duplicates", f"{N}\n{N.upper()}\ner-shili.cn.\n{N}\ner-shili.cn\n")):
        yield listed(id, f"a list of names: {id}", text, both)
    yield listed("hosts", "hosts below one apex", f"www.{N}\nm.{N}\n", [row(f"www.{N}", "filed"), row(f"m.{N}", "filed")])
    yield listed("not-applicable", "names that need no filing", f"{N}\n203.0.113.10\nlocalhost\nnas.lan\ncom.cn\n",
                 [row(N, "filed"), left_out("203.0.113.10", "ip_literal"), left_out("localhost", ["reserved", "single_label"]), left_out("nas.lan", "reserved"), left_out("com.cn", "public_suffix")])
    yield listed("idn", "a U-label", "示例己.cn\n", [row(a_label("示例己.cn"), "not_filed", "unknown")], registries=[yd2431({"示例己.cn": NOT_FILED})])
    yield listed("empty", "an empty list", "# nothing\n", [])
