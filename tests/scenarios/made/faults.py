"""Every fault of every source: a failure is never an answer."""
from . import CANARY, FILED, json_api, ministry, either, row, scenario, sites, yd2431

N = "guzhang-shili.cn"
# fault -> the word in sources[].error, where the rules name it
TRANSPORT = {"html_block_200": "blocked", "html_block_403": "blocked", "http_429": "throttled", "http_429_retry_after": "throttled", "http_401": "unauthorised",
             "http_500": None, "http_521": None, "empty_body": None, "redirect": "redirected", "not_json": "malformed", "wrong_content_type": None,
             "deep_json": "malformed", "nul_bytes": "malformed", "reset": None, "drip": "timeout", "gzip_bomb": ["too_large", "timeout"], "header_flood": None,
             "cut_mid_body": None, "huge_body": ["too_large", "timeout"]}
OWN = {
    "ministry": {"code_101": None, "code_122": None, "code_201": None, "code_401": "unauthorised", "code_415": None, "code_429": "throttled", "code_500": None,
                 "limited_200": "throttled", "null_list": "malformed", "fake_success": None},
    "yd2431": {"empty_when_blocked": None, "soap_fault": None, "inner_not_xml": "malformed", "bazt_missing": "malformed", "bazt_other": "malformed",
               "other_domain_answer": "malformed", **{f"msg_code_{n}": None for n in (4, 5, 7, 10, 12, 13, 16, 19, 20, 901, 902, 999)}},
    "chinaz": {"no_credit": "credit", "bad_key": None, "throttled": None, "fake_success": None, "limited_200": None, "other_domain_answer": "malformed"},
    "tianapi": {"no_credit": "credit", "bad_key": None, "throttled": None, "bad_argument": None, "fake_success": None, "limited_200": "throttled", "other_domain_answer": "malformed"},
    "mir6": {"throttled": "throttled", "bad_argument": None, "fake_success": None, "limited_200": "throttled", "other_domain_answer": "malformed"},
    "apihz": {"no_credit": None, "throttled": None, "ambiguous": None, "fake_success": None, "limited_200": "throttled", "other_domain_answer": "malformed"},
    "uapis": {"throttled": None, "bad_argument": None, "fake_success": None, "limited_200": "throttled", "other_domain_answer": "malformed"},
}
# Faults that only the operator can mend, by the codes that registries.md lists (Q10): told once, not asked again.
OPERATORS = {("yd2431", f"msg_code_{n}") for n in (4, 5, 7, 10, 12, 13, 16, 19)} | {("chinaz", "no_credit")} | {
    ("tianapi", f) for f in ("no_credit", "bad_key", "bad_argument")}


def source(shape, behaviour, **kw):
    kw.setdefault("timeout", "2s")
    if shape == "yd2431":
        return yd2431({N: behaviour}, **kw)
    return ministry({N: behaviour}, **kw) if shape == "ministry" else json_api(shape, {N: behaviour}, **kw)


def scenarios():
    unknown = row(N, "unknown")
    for shape, own in OWN.items():
        for fault, word in {**TRANSPORT, **own}.items():
            expect = {"max_wall_s": 25, "max_rss_mb": 200}
            if (shape, fault) in OPERATORS:
                expect["problems_min"] = 1
                expect["queries"] = [{"registry": shape, "apex": N, "min": 1, "max": 1}]
            want = {**unknown, "registry_states": {shape: "unknown"}, **({"fields": {"filing.sources.0.error": word}} if word else {})}
            yield scenario(f"fault-{shape}-{fault}".replace("_", "-"), f"{shape}: {fault}", "fault", sites(N), [want], registries=[source(shape, {"fault": fault})],
                           questions="Q5 Q7 Q8 Q10", **expect)
        # the right document under a wrong or no content type: an answer or a failure, never a negative
        for fault in ("json_as_html", "empty_content_type"):
            yield scenario(f"fault-{shape}-{fault}".replace("_", "-"), f"{shape}: {fault}", "fault", sites(N), [either(row(N, "filed"), unknown)],
                           registries=[source(shape, {"fault": fault, "state": "filed"})])
        # failures that pass: a second try may end in filed or in unconfirmed (Q8)
        for fault, expect in (("http_401", {"queries": [{"registry": shape, "apex": N, "min": 1, "max": 2}]}),
                              ("http_429_retry_after", {"queries": [{"registry": shape, "apex": N, "min": 1, "max": 2, "min_gap_s": 0.95}]}),
                              ("http_500", {"queries": [{"registry": shape, "apex": N, "min": 1, "max": 2}]})):
            yield scenario(f"passing-{shape}-{fault}".replace("_", "-"), f"{shape}: {fault}, then filed", "fault", sites(N), [either(row(N, "filed"), unknown)],
                           registries=[source(shape, {"sequence": [{"fault": fault}, FILED]})], questions="Q8", **expect)
        yield scenario(f"slow-{shape}", f"{shape}: an answer after the timeout", "fault", sites(N), [{**unknown, "fields": {"filing.sources.0.error": "timeout"}}],
                       registries=[source(shape, {**FILED, "delay_ms": 4000})], max_wall_s=15)
        yield scenario(f"dead-{shape}", f"{shape}: nobody listens", "fault", sites(N), [unknown], registries=[{**source(shape, FILED), "dead_port": True}], max_wall_s=15)
    # Blocked in the middle of a batch: what came after the last good canary is nothing, even where the domains are in truth filed
    many = [f"pi{i}-shili.cn" for i in range(6)]
    for state in ("filed", "absent"):
        yield scenario(f"blocked-at-once-{state}", "the source blocks after its first answer and goes on answering empty lists", "fault", sites(*many),
                       [either(row(n, "filed"), row(n, "unknown")) if state == "filed" else row(n, "unknown") for n in many], exit=3, questions="Q6",
                       registries=[ministry({n: {"state": state} for n in many}, double={"block_after": 1})], no_verdicts=["violation", "suspected", "dormant"])
    yield scenario("canary-once-good-then-gone", "the canary is found before the batch and not after it", "fault", sites(*many), [row(n, "unknown") for n in many], questions="Q6",
                   registries=[ministry({**{n: {"state": "absent"} for n in many}, CANARY: {"sequence": [FILED, {"state": "absent"}]}})],
                   queries=[{"registry": "ministry", "apex": CANARY, "min": 2}])
