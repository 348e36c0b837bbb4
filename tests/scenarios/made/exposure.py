"""Where a name leads, and every way in which a resolver fails (Q16, Q17, Q18)."""
from . import ELSEWHERE, HERE, NOT_FILED, OURS, OURS6, THEIRS, either, row, scenario, sites, yd2431

N = "puguang-shili.cn"


def leads(id, title, zone, *exposures, questions="Q16", more=None, **kw):
    rows = [row(N, "not_filed", exposure=e) for e in exposures]
    want = {**(either(*rows) if len(rows) > 1 else rows[0]), **(more or {})}
    return scenario(f"dns-{id}", title, "exposure", sites(N), [want], registries=[yd2431({N: NOT_FILED})], dns=zone, questions=questions, max_wall_s=20, **kw)


def at(**entry):
    return {N: entry}


def scenarios():
    # answers
    yield leads("nxdomain", "no such name", {}, "unresolved")
    yield leads("nodata", "a name without addresses", at(TXT=["v=shili"]), "unresolved")
    yield leads("aaaa-here", "only an IPv6 address, ours", at(AAAA=[OURS6]), "here", addresses=[OURS, OURS6])
    yield leads("aaaa-here-a-elsewhere", "the IPv6 address is ours, the IPv4 is not", at(A=[THEIRS], AAAA=[OURS6]), "here", addresses=[OURS, OURS6])
    yield leads("one-of-many", "one of many addresses is ours", at(A=[f"198.51.100.{i}" for i in range(1, 40)] + [OURS]), "here")
    yield leads("second-own-address", "an address that is our second", at(A=["203.0.113.11"]), "here", addresses=[OURS, "203.0.113.11"])
    yield leads("wildcard-zone", "a wildcard of the zone answers", {"*.cn": HERE}, "here")
    for id, address in (("loopback", "127.0.0.1"), ("unspecified", "0.0.0.0"), ("link-local", "169.254.1.1")):
        yield leads(f"answer-{id}", f"a {id} address is never here", at(A=[address]), "elsewhere", questions="Q18")
        yield leads(f"answer-{id}-own", f"a {id} address is never here, even when it is given", at(A=[address]), "elsewhere", questions="Q18", addresses=[OURS, address])
    # failures
    for rcode in ("SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"):
        yield leads(f"rcode-{rcode.lower()}", f"{rcode} is unknown, never unresolved", at(rcode=rcode), "unknown")
    for id, entry, exposures in (
        ("silence", {"drop": True}, ["unknown"]), ("garbage", {"garbage": True}, ["unknown"]), ("wrong-id", {"A": [OURS], "wrong_id": True}, ["unknown"]),
        ("wrong-question", {"wrong_question": True}, ["unknown", "unresolved"]), ("slow", {"A": [OURS], "delay_ms": 2500}, ["unknown"]),
        ("slow-but-in-time", {"A": [OURS], "delay_ms": 150}, ["here"]), ("truncated", {"A": [OURS], "truncate": True}, ["here"]),
        ("fails-once", {"A": [OURS], "fail_first": 1}, ["here", "unknown"]), ("udp-silent", {"A": [OURS], "drop_udp": True}, ["here", "unknown"]),
    ):
        yield leads(id, f"resolver: {id}", {N: entry}, *exposures)
    # one type fails
    for id, broken in (("servfail", {"rcode": "SERVFAIL"}), ("silence", {"drop": True})):
        yield leads(f"a-here-aaaa-{id}", "an address here proves it, whatever the other type did", at(A=[OURS], types={"AAAA": broken}), "here")
        yield leads(f"a-elsewhere-aaaa-{id}", "nothing here and one type failed", at(A=[THEIRS], types={"AAAA": broken}), "unknown")
        yield leads(f"aaaa-elsewhere-a-{id}", "nothing here and one type failed", at(AAAA=["2001:db8::99"], types={"A": broken}), "unknown")
    # chains
    yield leads("cname-here", "a chain that ends here", {N: {"CNAME": "a.shili-lian.cn"}, "a.shili-lian.cn": {"CNAME": "b.shili-lian.cn"}, "b.shili-lian.cn": HERE}, "here",
                more={"cname_contains": ["a.shili-lian.cn", "b.shili-lian.cn"]}, questions="Q17")
    yield leads("cname-elsewhere", "a chain that ends elsewhere", {N: {"CNAME": "a.shili-lian.cn"}, "a.shili-lian.cn": ELSEWHERE}, "elsewhere", more={"cname_contains": ["a.shili-lian.cn"]})
    yield leads("cname-loop", "a chain in a ring", {N: {"CNAME": "a.shili-lian.cn"}, "a.shili-lian.cn": {"CNAME": N}}, "unknown", "unresolved")
    yield leads("cname-to-nothing", "a chain that leads to nothing", {N: {"CNAME": "meiyou.shili-lian.cn"}}, "unresolved", more={"cname_contains": ["meiyou.shili-lian.cn"]})
    yield leads("cname-to-servfail", "a chain whose end fails", {N: {"CNAME": "a.shili-lian.cn"}, "a.shili-lian.cn": {"rcode": "SERVFAIL"}}, "unknown")
    # CDNs
    cdn = {N: {"CNAME": f"{N}.w.kunlunaq.com"}}
    yield leads("cdn-own-address", "an address of ours beats the CDN", {**cdn, f"{N}.w.kunlunaq.com": HERE}, "here", questions="Q17")
    yield leads("cdn-any-link", "any link of the chain", {N: {"CNAME": f"{N}.w.kunlunaq.com"}, f"{N}.w.kunlunaq.com": {"CNAME": "x.shili-lian.cn"}, "x.shili-lian.cn": ELSEWHERE}, "fronted", questions="Q17")
    yield leads("cdn-not-a-label", "a suffix counts label by label", {N: {"CNAME": "x.notkunlunaq.com"}, "x.notkunlunaq.com": ELSEWHERE}, "elsewhere", questions="Q17")
    own = {N: {"CNAME": "x.cdn-shili.net"}, "x.cdn-shili.net": ELSEWHERE}
    yield leads("cdn-unknown-suffix", "a CNAME that no list knows", own, "elsewhere", questions="Q17")
    yield leads("cdn-own-suffix", "[exposure] cdn_suffixes", own, "fronted", questions="Q17", config={"exposure": {"cdn_suffixes": ["cdn-shili.net"]}})
    # behind NAT
    private = {"addresses": ["10.0.0.5"], "questions": "Q18"}
    yield leads("nat-public-answer", "only private addresses of ours, a public answer: nobody can say", at(A=[THEIRS]), "unknown", problems_min=1, **private)
    yield leads("nat-private-answer", "a private address of ours", at(A=["10.0.0.5"]), "here", **private)
    yield leads("nat-no-answer", "only private addresses of ours, and no such name", {}, "unresolved", **private)
    yield leads("nat-and-public", "one of our addresses is public: elsewhere is certain", at(A=[THEIRS]), "elsewhere", questions="Q18", addresses=["10.0.0.5", OURS])
    yield leads("nat-100-64", "100.64/10 is private", at(A=[THEIRS]), "unknown", questions="Q18", addresses=["100.64.3.4"], problems_min=1)
    yield leads("given-addresses-alone", "--address given: these alone, not the configured ones", at(A=[THEIRS]), "elsewhere", questions="Q18",
                config={"server": {"public_addresses": [THEIRS]}})
