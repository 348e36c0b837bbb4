"""Several sources: agreement, contradiction, and one that fails beside another (Q9); .gov.cn (Q11); rates (Q8)."""
from . import ABSENT, FILED, NOT_FILED, OTHER_CUSTOMER, RESTRICTED, either, filing_row, json_api, ministry, provider, row, scenario, sites, yd2431

N = "duoyuan-shili.cn"
BROKEN = {"fault": "http_500"}


def several(id, title, registries, *rows, **kw):
    return scenario(f"sources-{id}", title, "sources", sites(N), [either(*rows) if len(rows) > 1 else rows[0]], registries=registries, questions=kw.pop("questions", "Q9"), **kw)


def scenarios():
    filed, no, maybe, unknown, restricted = (row(N, s) for s in ("filed", "not_filed", "suspected_not_filed", "unknown", "restricted"))
    yield several("authority-no-public-yes", "YD/T 2431 says no, a public source yes", [yd2431({N: NOT_FILED}), ministry({N: FILED})], no, unknown)
    yield several("authority-yes-public-no", "YD/T 2431 says yes, a public source no", [yd2431({N: FILED}), ministry({N: ABSENT})], filed)
    yield several("authority-yes-public-restricted", "restricted from any source beats filed", [yd2431({N: FILED}), ministry({N: RESTRICTED})], restricted)
    yield several("public-yes-beats-no", "among public sources an explicit yes beats a no", [ministry({N: FILED}), json_api("chinaz", {N: NOT_FILED})], filed)
    yield several("public-no-then-yes", "the same, in the other order", [ministry({N: ABSENT}), json_api("chinaz", {N: FILED})], filed)
    yield several("two-authorities-disagree", "the provider's file says connected, YD/T 2431 not filed", [provider([filing_row(N)]), yd2431({N: NOT_FILED})],
                  {**row(N, "unknown", "here"), "fields": {"filing.why": "sources_disagree"}})
    yield several("file-absent-ministry-filed", "filed, but not connected at this provider", [provider([OTHER_CUSTOMER]), ministry({N: FILED})], row(N, "filed", "elsewhere"), questions="Q4 Q9")
    yield several("file-connected-public-no", "the provider's connected row against a public no", [provider([filing_row(N)]), ministry({N: ABSENT})], row(N, "filed", "here"))
    yield several("equal-upstreams-count-once", "two resellers of one source agree: that is one source",
                  [ministry({N: ABSENT}, upstream="shili-upstream"), json_api("chinaz", {N: NOT_FILED}, upstream="shili-upstream")], maybe)
    yield several("different-upstreams", "two sources of their own agree", [ministry({N: ABSENT}, upstream="shili-one"), json_api("chinaz", {N: NOT_FILED}, upstream="shili-two")], no)
    yield several("two-agree-one-without-canary", "of two negatives one has no canary: one source is left", [ministry({N: ABSENT}), json_api("chinaz", {N: NOT_FILED}, canary=None)], maybe)
    yield several("two-without-canary", "two negatives without canaries are nothing", [ministry({N: ABSENT}, canary=None), json_api("chinaz", {N: NOT_FILED}, canary=None)], unknown)
    yield several("three-agree", "three agree", [ministry({N: ABSENT}), json_api("chinaz", {N: NOT_FILED}), json_api("tianapi", {N: NOT_FILED})], no)
    for id, other in (("ministry", ministry({N: BROKEN})), ("chinaz", json_api("chinaz", {N: BROKEN}))):
        yield several(f"broken-{id}-beside-filed", "one source fails, another says filed", [other, yd2431({N: FILED})], filed)
        yield several(f"broken-{id}-beside-not-filed", "one source fails, an authoritative one says no", [other, yd2431({N: NOT_FILED})], no)
        yield several(f"broken-{id}-beside-tianapi-no", "one source fails, one other says no", [other, json_api("tianapi", {N: NOT_FILED})], maybe)
    yield several("broken-authority-beside-public-no", "the authoritative source fails, one public source says no", [yd2431({N: BROKEN}), ministry({N: ABSENT})], maybe)
    yield several("broken-authority-beside-public-yes", "the authoritative source fails, one public source says yes", [yd2431({N: {"fault": "msg_code_902"}}), ministry({N: FILED})], filed)
    yield several("refused-password-beside-yes", "a refused password is told, and the other source decides", [yd2431({N: {"fault": "msg_code_5"}}), ministry({N: FILED})], filed,
                  problems_min=1, exit=0, questions="Q2 Q10")
    yield several("use-picks", "--registry picks one of two", [yd2431({N: NOT_FILED}), ministry({N: FILED})], filed, use=["ministry"], questions="Q20",
                  queries=[{"registry": "yd2431", "apex": N, "max": 0}])
    yield several("none", "no registry at all: nobody can say", [], unknown)

    # one question an apex, whatever the number of names
    hosts = [f"{h}{N}" for h in ("", "www.", "m.", "a.b.")]
    yield scenario("sources-one-question-an-apex", "names of one apex are asked once", "sources", sites(*hosts), [{**row(h, "filed"), "apex": N} for h in hosts],
                   registries=[yd2431({N: FILED})], queries=[{"registry": "yd2431", "apex": N, "min": 1, "max": 1}], never_queried=hosts[1:])
    slow = [f"man{i}-shili.cn" for i in range(6)]
    yield scenario("rate-yd2431", "two a second, never more than four within one", "rate", sites(*slow), [row(n, "filed") for n in slow], questions="Q8",
                   registries=[yd2431({n: FILED for n in slow}, rate="2/s")], max_per_second={"yd2431": 4},
                   queries=[{"registry": "yd2431", "apex": n, "min": 1, "max": 1} for n in slow])

    yield from gov_cn()


def gov_cn():
    host, apex = "wjw.shilishi.gov.cn", "shilishi.gov.cn"

    def gov(id, title, answers, want, source=yd2431, **kw):
        return scenario(f"gov-{id}", title, "gov", sites(host), [{**want, "apex": apex}], registries=[source(answers)], questions="Q11", **kw)
    asked = [{"registry": "yd2431", "apex": n, "min": 1} for n in (host, apex)]
    yield gov("parent-filed", "the parent is filed", {host: NOT_FILED, apex: FILED}, {**row(host, "filed"), "fields": {"filing.for": apex}}, queries=asked)
    yield gov("host-filed", "the host itself is filed", {host: FILED, apex: NOT_FILED}, {**row(host, "filed"), "fields": {"filing.for": host}}, queries=asked[:1])
    yield gov("none-filed", "every name was an explicit no", {host: NOT_FILED, apex: NOT_FILED}, row(host, "not_filed"), queries=asked)
    yield gov("parent-broken", "one question failed: not all were explicit negatives", {host: NOT_FILED, apex: {"fault": "msg_code_902"}}, row(host, "unknown"))
    yield gov("host-broken-parent-filed", "the first filed answer counts", {host: {"fault": "msg_code_902"}, apex: FILED}, {**row(host, "filed"), "fields": {"filing.for": apex}})
    yield gov("public-none", "a public source knows neither", {}, row(host, "suspected_not_filed"), source=ministry)
    deep = "a.b.shilishi.gov.cn"
    yield scenario("gov-middle-filed", "the name in the middle is filed", "gov", sites(deep), [{**row(deep, "filed"), "apex": apex, "fields": {"filing.for": "b." + apex}}],
                   registries=[yd2431({deep: NOT_FILED, "b." + apex: FILED, apex: NOT_FILED})], questions="Q11")
    yield scenario("gov-province", "sc.gov.cn is no suffix", "gov", sites("www.sc.gov.cn"), [{**row("www.sc.gov.cn", "filed"), "apex": "sc.gov.cn"}],
                   registries=[yd2431({"sc.gov.cn": FILED, "www.sc.gov.cn": NOT_FILED})], questions="Q11")
