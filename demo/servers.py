#!/usr/bin/env python3
"""servers.py FOLDER: writes the demo's machine and prints its ports as shell variables.

FOLDER/root   the machine: nginx as 宝塔 (aaPanel) lays it out, Apache as Debian does. The real servers run on exactly these files, so every
              path in them is relative: it means the same below FOLDER/root as it would below /
FOLDER/zones  zone files and knot.conf for a real DNS server
FOLDER        the provider's filing file, what the registry double answers, and agent.toml

All names are made up, and only the local DNS server is ever asked for them."""
import json, pathlib, shlex, socket, sys

T = pathlib.Path(sys.argv[1]).resolve()
OURS, THEIRS = "203.0.113.10", "198.51.100.7"
SHOP = "示例商店.中国"
SHOP_A = SHOP.encode("idna").decode()

# name as configured: (server, what the page says)
SITES = [
    ("nginx", "www.beian-shili.cn beian-shili.cn", "filed, and connected at this provider"),
    ("nginx", "shop.weibeian-shili.cn", "not filed"),
    ("nginx", f"www.{SHOP_A}", "a Chinese domain, filed and connected"),
    ("nginx", "*.tongpei-shili.cn", "a wildcard, first review passed"),
    ("nginx", "jiuzhan-shili.cn", "dormant: it leads elsewhere"),
    ("nginx", "nas.lan", "a name that needs no filing"),
    ("apache", "biechu-shili.cn", "filed at another provider"),
    ("apache", "xianzhi-shili.cn", "restricted"),
    ("apache", "cdn-shili.cn", "not filed, behind a CDN"),
    ("apache", "jiexi-shili.com", "its DNS server refuses to answer"),
]
ZONES = {
    "cn": [("beian-shili", "A", OURS), ("www.beian-shili", "A", OURS), ("shop.weibeian-shili", "A", OURS), ("tongpei-shili", "A", OURS), ("*.tongpei-shili", "A", OURS),
           ("jiuzhan-shili", "A", THEIRS), ("biechu-shili", "A", OURS), ("xianzhi-shili", "A", OURS), ("cdn-shili", "CNAME", "cdn-shili.cn.w.kunlunaq.com.")],
    "xn--fiqs8s": [("www." + SHOP_A.split(".")[0], "A", OURS)],
    "kunlunaq.com": [("cdn-shili.cn.w", "A", THEIRS)],
}
PROVIDER = """域名,主体备案号,网站备案号,主办单位,单位性质,接入状态,审核通过日期,接入日期
beian-shili.cn,蜀ICP备00000001号,蜀ICP备00000001号-1,成都示例科技有限公司,企业,已接入,2023-10-18,2023-10-19
示例商店.中国,蜀ICP备00000002号,蜀ICP备00000002号-1,成都示例商贸有限公司,企业,已接入,2024-03-01,2024-03-02
tongpei-shili.cn,京ICP备00000003号,京ICP备00000003号-1,北京示例网络有限公司,企业,初审通过,2022-05-06,
xianzhi-shili.cn,蜀ICP备00000004号,蜀ICP备00000004号-1,成都示例文化有限公司,企业,已接入,2021-07-08,2021-07-09
"""
FILED = {"beian-shili.cn": 1, SHOP: 2, "tongpei-shili.cn": 3, "xianzhi-shili.cn": 4, "biechu-shili.cn": 5, "jiexi-shili.com": 6}


def port():
    """A free high port, for TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


def write(path, text):
    p = T / path
    p.parent.mkdir(parents=True, exist_ok=True)
    p.write_text(text, encoding="utf-8")


def nginx(port):
    conf = "root/www/server/nginx/conf"
    temp = "".join(f"    {k}_temp_path {k};\n" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    write(f"{conf}/nginx.conf", f"""worker_processes 1;
events {{
    worker_connections 256;
}}
http {{
    default_type text/plain;
    access_log off;
{temp}    include ../../panel/vhost/nginx/*.conf;
}}
""")
    vhost = "root/www/server/panel/vhost/nginx"
    # A default that answers with content: whoever points a domain here is served.
    write(f"{vhost}/0.default.conf", f"server\n{{\n    listen 127.0.0.1:{port} default_server;\n    server_name _;\n    return 200 \"nginx: any name at all\\n\";\n}}\n")
    for kind, names, text in SITES:
        if kind == "nginx":
            file = names.split()[0].replace("*", "_")
            write(f"{vhost}/{file}.conf", f"server\n{{\n    listen 127.0.0.1:{port};\n    server_name {names};\n    # 示例站点\n    return 200 \"nginx: {text}\\n\";\n}}\n")


def apache(port):
    conf = "root/etc/apache2"
    write(f"{conf}/apache2.conf", "Include ports.conf\nIncludeOptional sites-enabled/*.conf\n")
    write(f"{conf}/ports.conf", f"Listen 127.0.0.1:{port}\n")
    # The first virtual host answers unknown names: this one refuses them.
    write(f"{conf}/sites-enabled/000-refuse.conf", f"<VirtualHost *:{port}>\n    ServerName refuse.invalid\n    <Location />\n        Require all denied\n    </Location>\n</VirtualHost>\n")
    for kind, name, text in SITES:
        if kind == "apache":
            write(f"root/srv/www/{name}/index.html", f"Apache: {text}\n")
            write(f"{conf}/sites-enabled/{name}.conf", f"<VirtualHost *:{port}>\n    ServerName {name}\n    DocumentRoot ../../srv/www/{name}\n</VirtualHost>\n")


def knot(port):
    zones = ""
    for zone, records in ZONES.items():
        write(f"zones/{zone}.zone", f"$ORIGIN {zone}.\n$TTL 300\n@ SOA ns.demo.invalid. root.demo.invalid. 1 3600 600 86400 300\n@ NS ns.demo.invalid.\n"
              + "".join(f"{n} {t} {v}\n" for n, t, v in records))
        zones += f"  - domain: {zone}.\n    file: {zone}.zone\n"
    write("zones/knot.conf", f"""server:
    rundir: "{T}/run"
    listen: 127.0.0.1@{port}
control:
    listen: "{T}/run/knot.sock"
log:
  - target: stderr
    any: error
database:
    storage: "{T}/run"
template:
  - id: default
    storage: "{T}/zones"
    zonefile-sync: -1
    journal-content: none
zone:
{zones}""")


def registries(port):
    def licences(n):
        return {"subject_licence": f"蜀ICP备0000000{n}号", "site_licence": f"蜀ICP备0000000{n}号-1"}
    filed = {d: {"state": "filed", **licences(n)} for d, n in FILED.items()}
    no = {d: {"state": "not_filed"} for d in ("weibeian-shili.cn", "jiuzhan-shili.cn", "cdn-shili.cn")}
    write("registries.json", json.dumps({"instances": {
        "yd2431": {"shape": "b", "user": "demo", "password": "demo-password", "isp_id": "1001", "domains": {**filed, **no}},
        "ministry": {"shape": "c", "domains": {**filed, "xianzhi-shili.cn": {"state": "restricted", **licences(4)}}},
    }}, ensure_ascii=False))
    write("filings.csv", PROVIDER)
    write("agent.toml", f"""[agent]
state_dir = "{T}/state"

[[registry]]
name = "provider"
kind = "provider_db"
path = "{T}/filings.csv"

[[registry]]
name = "yd2431"
kind = "yd2431"
url = "http://127.0.0.1:{port}/yd2431"
isp_id = "1001"
user = "demo"
password = "demo-password"

[[registry]]
name = "ministry"
kind = "ministry_list"
url = "http://127.0.0.1:{port}/ministry"
canary = "beian-shili.cn"
""")
    (T / "agent.toml").chmod(0o600)


def main():
    for d in ("run", "state"):
        (T / d).mkdir()
    ports = {}
    for name in ("nginx", "apache", "dns", "registry"):
        while (p := port()) in ports.values():
            pass
        ports[name] = p
    nginx(ports["nginx"])
    apache(ports["apache"])
    knot(ports["dns"])
    registries(ports["registry"])
    for name, p in ports.items():
        print(f"{name}={p}")
    hosts = [(kind, n.replace("*", "www"), ports[kind]) for kind, names, _ in SITES for n in names.split()]
    hosts += [("nginx", "renyi-shili.cn", ports["nginx"]), ("apache", "renyi-shili.cn", ports["apache"])]
    print("hosts=" + shlex.quote("\n".join(f"{kind} {n} {p}" for kind, n, p in hosts)))


main()
