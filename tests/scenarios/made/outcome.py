"""Exit codes, what makes a report incomplete, policy, and usage errors (Q1, Q2, Q19, Q20, Q21)."""
from . import ELSEWHERE, FILED, HERE, MAIN, NOT_FILED, left_out, nginx, row, scenario, server, sites, yd2431

N, OTHER = "tuichu-shili.cn", "linwai-shili.cn"


def scenarios():
    yield from exits()
    yield from incomplete()
    yield from policy()
    yield from usage()


def exits():
    def ends(id, title, root, names, code, answers, **kw):
        return scenario(f"exit-{id}", title, "exit", root, names, registries=[yd2431(answers)], exit=code, questions="Q1 Q2", **kw)
    catch_all = {"etc/nginx/nginx.conf": MAIN, "etc/nginx/conf.d/0.conf": server("_", "80 default_server"), "etc/nginx/conf.d/1.conf": server(N)}
    yield ends("dormant", "dormant alone is 0", sites(N), [row(N, "not_filed", exposure="elsewhere")], 0, {N: NOT_FILED}, dns={N: ELSEWHERE})
    yield ends("finding", "a finding alone is 0", catch_all, [row(N, "filed")], 0, {N: FILED}, findings=[{"kind": "unbounded_names"}])
    yield ends("finding-strict", "--strict turns a finding into 1", catch_all, [row(N, "filed")], 1, {N: FILED}, args=["--strict"], findings=[{"kind": "unbounded_names"}])
    yield ends("strict-without-finding", "--strict without a finding is 0", sites(N), [row(N, "filed")], 0, {N: FILED}, args=["--strict"])
    yield ends("strict-unconfirmed", "--strict leaves unconfirmed at 3", sites(N), [row(N, "unknown")], 3, {N: {"fault": "msg_code_902"}}, args=["--strict"])
    yield ends("unconfirmed", "unconfirmed is 3", sites(N), [row(N, "unknown")], 3, {N: {"fault": "msg_code_902"}})
    yield ends("violation-and-unconfirmed", "a violation beside unconfirmed is 1", sites(N, OTHER), [row(N, "unknown"), row(OTHER, "not_filed")], 1,
               {N: {"fault": "msg_code_902"}, OTHER: NOT_FILED})
    yield ends("only-not-applicable", "names that need no filing are 0", sites("nas.lan"), [left_out("nas.lan", "reserved")], 0, {})
    yield ends("no-server", "a root without a server is 0, without rows", {"etc/hostname": "shili\n"}, [], 0, {})
    yield ends("no-site", "a server without a site is 0", {"etc/nginx/nginx.conf": MAIN}, [], 0, {})


def incomplete():
    broken = {
        "missing-include": {"etc/nginx/conf.d/zz.conf": "include /etc/nginx/meiyou-shili.conf;\n"},
        "unclosed-block": {"etc/nginx/conf.d/zz.conf": "server {\n    listen 8080;\n    location / {\n"},
        "include-loop": {"etc/nginx/conf.d/zz.conf": "include /etc/nginx/conf.d/zz.conf;\n"},
        "fifo": {"etc/nginx/conf.d/zz.conf": "include /etc/nginx/guan-shili;\n", "etc/nginx/guan-shili": {"fifo": True}},
        "link-loop": {"etc/nginx/conf.d/zz.conf": {"symlink": "zz.conf"}},
        "folder": {"etc/nginx/conf.d/zz.conf": "include /etc/nginx/mulu-shili;\n", "etc/nginx/mulu-shili/x": "server { listen 80; server_name x.example.com; }\n"},
        "bom": {"etc/nginx/conf.d/zz.conf": {"text": "# shili\n", "encoding": "utf-8", "bom": True}},
    }
    for id, more in broken.items():
        for filing, answer, code in (("filed", FILED, 3), ("not_filed", NOT_FILED, 1)):
            yield scenario(f"incomplete-{id}-{filing}".replace("_", "-"), f"{id}: what could be read is judged, and the report says that it is incomplete", "incomplete",
                           {**sites(N), **more}, [row(N, filing)], registries=[yd2431({N: answer})], exit=code, problems_min=1, questions="Q2", max_wall_s=20)
    # Nothing leads out of the root: what stands there is neither read nor shown
    for id, link in (("link-out-absolute", "/etc/hostname"), ("link-out-relative", "../../../../../../../../etc/hostname")):
        yield scenario(f"root-{id}", "a link that leads out of the root", "incomplete", {**sites(N), "etc/nginx/conf.d/zz.conf": {"symlink": link}}, [row(N, "filed")],
                       registries=[yd2431({N: FILED})], exit=[0, 3], questions="Q2")
    yield scenario("root-include-of-a-secret", "an include of a password file is not read, and not quoted", "incomplete",
                   {**sites(N), "etc/nginx/conf.d/zz.conf": "include /etc/shadow;\n", "etc/shadow": "root:$6$SHILI-HASH:19000:0:99999:7:::\n"}, [row(N, "filed")],
                   registries=[yd2431({N: FILED})], exit=3, problems_min=1, never_in_output=["SHILI-HASH"], questions="Q26")
    yield scenario("gbk-is-no-problem", "bytes in GBK are no problem at all", "incomplete",
                   {**nginx(), "etc/nginx/conf.d/001.conf": {"text": server(N, more="# 网站示例\n    root /var/www/示例;"), "encoding": "gbk"}}, [row(N, "filed")],
                   registries=[yd2431({N: FILED})], exit=0, questions="Q2")


def policy():
    def exempt(**kw):
        return {"exempt": [{"by": "示例合规员", "why": "示例理由", **kw}]}

    def ruled(id, title, names, config, on=None, **kw):
        return scenario(f"policy-{id}", title, "policy", sites(*(on or [n["name"] for n in names])), names, registries=[yd2431({N: NOT_FILED, f"not{N}": NOT_FILED})],
                        config=config, questions="Q19", **kw)
    yield ruled("exempt-below", "an exemption covers the name and all below it", [left_out(n, "exempt") for n in (N, f"www.{N}", f"a.b.{N}")], exempt(name=N, until="2099-01-01"), dns={N: HERE})
    yield ruled("exempt-not-beside", "and nothing beside it", [left_out(N, "exempt"), row(f"not{N}", "not_filed")], exempt(name=N, until="2099-01-01"))
    yield ruled("exempt-one-host", "an exemption of a host leaves the apex", [left_out(f"www.{N}", "exempt"), row(N, "not_filed")], exempt(name=f"www.{N}", until="2099-01-01"))
    yield ruled("exempt-for-ever", "an exemption without an end", [left_out(N, "exempt")], exempt(name=N))
    yield ruled("exempt-expired", "an expired exemption is none", [row(N, "not_filed")], exempt(name=N, until="2020-01-01"))
    yield ruled("exempt-case", "spelled in another case", [left_out(N, "exempt")], exempt(name=N.upper(), until="2099-01-01"))
    yield ruled("outside-mainland", "a server outside the mainland", [left_out(N, "outside_mainland")], {"server": {"mainland": False}}, never_queried=[N])
    yield ruled("mainland-true", "mainland = true is the default", [row(N, "not_filed")], {"server": {"mainland": True}})


def usage():
    def refused(id, title, config=None, args=(), registries=None, use=None):
        return scenario(f"usage-{id}", title, "usage", sites(N), [], registries=[yd2431({N: FILED})] if registries is None else registries, config=config, args=args, use=use, exit=2,
                        stdout_empty=True, questions="Q20 Q21")
    yield refused("unknown-option", "an unknown option", args=["--no-such-shili"])
    yield refused("bad-address", "an address that is none", args=["--address", "not-an-address"])
    yield refused("bad-entry", "a server that is none", args=["--entry", "shiliserver=/etc/x.conf"])
    yield refused("names-file-missing", "a list of names that is not there", args=["--names", "/nonexistent-shili/names.txt"])
    yield refused("registry-unknown", "--registry with a name that is not configured", use=["meiyou-shili"])
    yield refused("registry-file-missing", "--registry with a file that is not there", use=["file:/nonexistent-shili/filings.csv"])
    for id, config in (("resolver", {"resolver": {"timeout": "1 shili"}}), ("section", {"resolver": {"no_such_key": 1}}), ("type", {"server": {"mainland": "perhaps"}}),
                       ("lang", {"agent": {"lang": "shili"}}), ("address", {"server": {"public_addresses": ["shili"]}}), ("until", {"exempt": [{"name": N, "by": "a", "why": "b", "until": "shili"}]}),
                       ("exempt-key", {"exempt": [{"name": N, "by": "a", "why": "b", "no_such_key": 1}]})):
        yield refused(f"config-{id}", f"a configuration with a fault: {id}", config=config)
    base = {"name": "shili", "kind": "ministry_list", "url": "https://registry.example.com"}
    for id, entry in (("kind", {**base, "kind": "shili"}), ("no-url", {"name": "shili", "kind": "ministry_list"}), ("authoritative-list", {**base, "negative": "authoritative"}),
                      ("authoritative-api", {**base, "kind": "json_api", "preset": "chinaz", "negative": "authoritative"}), ("preset", {**base, "kind": "json_api", "preset": "shili"}),
                      ("plain-http", {**base, "url": "http://registry.example.com"}), ("other-scheme", {**base, "url": "ftp://registry.example.com"}), ("rate", {**base, "rate": "many"}),
                      ("timeout", {**base, "timeout": "long"}), ("negative", {**base, "negative": "perhaps"}), ("key", {**base, "no_such_key": 1}),
                      ("yd2431-password", {"name": "shili", "kind": "yd2431", "url": "https://registry.example.com", "isp_id": "1", "user": "u"}),
                      ("hash-order", {"name": "shili", "kind": "yd2431", "url": "https://registry.example.com", "isp_id": "1", "user": "u", "password": "p", "hash_order": "shili"}),
                      ("file-without-path", {"name": "shili", "kind": "provider_db"})):
        yield refused(f"registry-{id}", f"a registry entry with a fault: {id}", config={"registry": [entry]}, registries=[])
