"""Scenarios that are made, not written: each rule against each of its inputs. The expected answers follow from the rules (the verdict
table in ../table.py is the oracle), never from what the program said. `everything()` gives them all."""
import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from table import judge

OURS, OURS6, THEIRS = "203.0.113.10", "2001:db8::10", "198.51.100.7"
HERE, ELSEWHERE = {"A": [OURS]}, {"A": [THEIRS]}
CANARY = "jinsique-shili.cn"
PASSWORD = "PASS-示例-77b1"
FILED, NOT_FILED, ABSENT, RESTRICTED = ({"state": s} for s in ("filed", "not_filed", "absent", "restricted"))
MAIN = "user www-data;\nevents { worker_connections 64; }\nhttp {\n    include conf.d/*.conf;\n}\n"


# -- what stands on the server ---------------------------------------------------------------------------------------
def server(names, listen="80", more="root /var/www/html;"):
    return f"server {{\n    listen {listen};\n    server_name {names};\n    {more}\n}}\n"


def nginx(*blocks):
    """A root with one file a block; a refusing default stands first, so that no finding is in the way."""
    return {"etc/nginx/nginx.conf": MAIN, "etc/nginx/conf.d/000.conf": "server {\n    listen 80 default_server;\n    server_name _;\n    return 444;\n}\n",
            **{f"etc/nginx/conf.d/{i + 1:03}.conf": b for i, b in enumerate(blocks)}}


def sites(*names):
    return nginx(*(server(n) for n in names))


# -- whom it asks ----------------------------------------------------------------------------------------------------
def yd2431(domains, **kw):
    double = {"domains": domains, "user": "shiliuser", "password": PASSWORD, "isp_id": "1001", **kw.pop("double", {})}
    return {"name": "yd2431", "kind": "yd2431", "negative": "authoritative", "rate": "50/s", "timeout": "2s", "isp_id": "1001", "user": "shiliuser",
            "password": PASSWORD, "hash_order": "password_rand", "double": double, **kw}


def _public(name, kind, domains, canary, kw):
    known = {CANARY: FILED, **domains}
    r = {"name": name, "kind": kind, "negative": "ambiguous", "rate": "50/s", "timeout": "2s", "double": {"domains": known, **kw.pop("double", {})}, **kw}
    return {**r, "canary": canary} if canary else r


def ministry(domains, canary=CANARY, name="ministry", **kw):
    return _public(name, "ministry_list", domains, canary, kw)


def json_api(preset, domains, canary=CANARY, name=None, **kw):
    if preset in ("chinaz", "tianapi", "apihz"):
        kw = {"key": f"KEY-{preset}-0f3a9c", **kw}
        kw["double"] = {"key": kw["key"], **kw.get("double", {})}
    if preset == "apihz":
        kw = {"user": "88001", **kw}
    return {**_public(name or preset, "json_api", domains, canary, kw), "preset": preset}


COLUMNS = "域名 主体备案号 网站备案号 主办单位 单位性质 网站名称 接入状态 备案IP 审核通过日期 接入日期".split()


def filing_row(domain, state="已接入", licence="蜀ICP备00000002号", approved="2024-03-01", unit="成都示例网络科技有限公司"):
    return dict(zip(COLUMNS, (domain, licence, licence and licence + "-1", unit, "企业", "示例站", state, OURS, approved, approved)))


def csv_text(rows, columns=COLUMNS, newline="\n"):
    quote = lambda v: '"' + v.replace('"', '""') + '"' if any(c in v for c in ',"\n') else v
    return newline.join([",".join(columns)] + [",".join(quote(r.get(c, "")) for c in columns) for r in rows]) + newline


def provider(rows, negative="authoritative", text=None, b64=None, via=None, encoding="utf-8", bom=False):
    f = {"path": "filings.csv", "b64": b64} if b64 else {"path": "filings.csv", "text": csv_text(rows) if text is None else text, "encoding": encoding, "bom": bom}
    return {"name": "provider", "kind": "provider_db", "negative": negative, "file": f, **({"via": via} if via else {})}


# A row that keeps a file usable, whatever the row under test is worth.
OTHER_CUSTOMER = filing_row("linju-shili.cn", licence="蜀ICP备00000009号")


# -- what comes out --------------------------------------------------------------------------------------------------
def row(name, filing, access="unknown", exposure="here", **more):
    """The row that the table gives for these facts."""
    verdict, reason = judge(filing, access, exposure)
    return {"name": name, "verdict": verdict, "reason": reason, "exposure": exposure, "filing": filing, "access": access, **more}


def either(*rows):
    """Any of these rows: where the rules leave room."""
    out = {}
    for k in itertools.chain.from_iterable(rows):
        vals = []
        for r in rows:
            for v in r[k] if isinstance(r.get(k), list) else [r.get(k)]:
                if v not in vals:
                    vals.append(v)
        out[k] = vals[0] if len(vals) == 1 else vals
    return out


def left_out(name, reason):
    return {"name": name, "verdict": "not_applicable", "reason": reason}


def exit_for(names):
    """The exit code that the rows alone ask for; a list where a row leaves room."""
    codes = set()
    for combination in itertools.product(*(n["verdict"] if isinstance(n["verdict"], list) else [n["verdict"]] for n in names)):
        codes.add(1 if {"violation", "suspected"} & set(combination) else 3 if "unconfirmed" in combination else 0)
    return codes.pop() if len(codes) == 1 else sorted(codes)


def scenario(id, title, kind, root, names, *, registries, dns=None, questions="", addresses=(OURS,), config=None, args=(), names_file=None, exit=None,
             use=None, **expect):
    """One scenario; names without a zone entry of their own lead here."""
    if dns is None:
        dns = {n["name"]: HERE for n in names if n.get("name") and n["verdict"] != "not_applicable"}
    sc = {"schema": "beian.scenario/1", "id": id, "title": title, "kind": kind, "questions": questions.split(), "root": root, "addresses": list(addresses),
          "dns": dns, "registries": registries, "config": config or {}, "args": list(args), "timeout_s": 60,
          "expect": {"exit": exit_for(names) if exit is None else exit, "names": names, "only": True, **expect}}
    if names_file is not None:
        sc["names_file"] = names_file
    if use is not None:
        sc["use"] = use
    return sc


def everything():
    from . import answers, exposure, faults, names, outcome, provider_file, sources, verdicts
    made = [s for part in (verdicts, answers, faults, sources, provider_file, names, exposure, outcome) for s in part.scenarios()]
    ids = [s["id"] for s in made]
    twice = {i for i in ids if ids.count(i) > 1}
    if twice:
        raise ValueError(f"two scenarios of one name: {twice}")
    return made
