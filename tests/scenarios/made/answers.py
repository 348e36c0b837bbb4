"""Good answers, in every spelling that a source has."""
from . import ABSENT, CANARY, FILED, NOT_FILED, RESTRICTED, either, json_api, ministry, row, scenario, sites, yd2431

N = "xingtai-shili.cn"
PRESETS = ("chinaz", "tianapi", "mir6", "apihz", "uapis")


def one(id, title, registries, names, **kw):
    return scenario(id, title, "shape", sites(N), names, registries=registries, **kw)


def scenarios():
    filed, suspected, unknown = row(N, "filed"), row(N, "suspected_not_filed"), row(N, "unknown")
    # C: which of several rows counts
    for kind, state, want, title in (
        ("old_duplicate", FILED, filed, "of two exact rows the newest counts, not the restricted old one"),
        ("restricted_new", FILED, row(N, "restricted"), "of two exact rows the newest counts, and it is restricted"),
        ("empty_domain", FILED, filed, "rows with an empty domain stand before the exact one"),
        ("pages", FILED, filed, "the exact row stands on the second page"),
        ("total_wrong", FILED, filed, "total differs from the list's length"),
        ("other_first", ABSENT, suspected, "only another domain's row: a negative"),
        ("suffix_only", ABSENT, suspected, "only names that end or begin alike: a negative"),
        ("empty_domain", ABSENT, suspected, "only rows with an empty domain: a negative"),
        ("total_wrong", ABSENT, unknown, "a total, but an empty list: malformed"),
    ):
        yield one(f"c-rows-{kind}-{state['state']}".replace("_", "-"), title, [ministry({N: {**state, "rows": [kind]}})], [want], questions="Q7")
    yield one("c-restricted", "limitAccess 是", [ministry({N: RESTRICTED})], [row(N, "restricted")])
    yield one("c-telecom-licence", "a telecom licence as subject", [ministry({N: {**FILED, "subject_licence": "粤B2-00000001", "site_licence": "粤B2-00000001-5"}})],
              [{**filed, "fields": {"filing.site_licence": "粤B2-00000001-5", "filing.subject_licence": "粤B2-00000001"}}])
    yield one("c-unit-brackets", "the unit keeps its brackets", [ministry({N: {**FILED, "unit": "成都示例（集团）有限公司"}})],
              [{**filed, "fields": {"filing.unit": "成都示例（集团）有限公司", "filing.nature": "企业"}}])
    # B
    yield one("b-not-filed", "Bazt 1 is an explicit, authoritative negative", [yd2431({N: NOT_FILED})],
              [{**row(N, "not_filed"), "fields": {"filing.site_licence": None, "filing.unit": None}, "registry_states": {"yd2431": "not_filed"}}])
    for order in ("password_rand", "rand_password"):
        yield one(f"b-hash-{order}".replace("_", "-"), f"the password hash, order {order}", [yd2431({N: FILED}, hash_order=order, double={"hash_order": order})], [filed])
    yield one("b-wrong-password", "a refused password is the operator's fault, not an answer", [yd2431({N: FILED}, double={"password": "another-示例"})], [unknown],
              problems_min=1, questions="Q10", queries=[{"registry": "yd2431", "apex": N, "min": 1, "max": 1}])
    # every public shape: numbers and strings, GBK, the word of "no"
    for shape in ("ministry",) + PRESETS:
        source = (lambda d, **kw: ministry(d, **kw)) if shape == "ministry" else (lambda d, _s=shape, **kw: json_api(_s, d, **kw))
        licence = {"fields": {"filing.site_licence": "蜀ICP备00000001号-2", "filing.unit": "成都示例科技有限公司"}, "registry_states": {shape: "filed"}}
        yield one(f"{shape}-filed", f"{shape}: filed", [source({N: FILED})], [{**filed, **licence}])
        for code in ("number", "string"):
            yield one(f"{shape}-code-{code}", f"{shape}: codes written as a {code}", [source({N: FILED}, double={"code_type": code})], [{**filed, **licence}])
            yield one(f"{shape}-negative-code-{code}", f"{shape}: a negative, codes written as a {code}", [source({N: NOT_FILED}, double={"code_type": code})],
                      [{**suspected, "registry_states": {shape: "suspected_not_filed"}}], questions="Q6 Q7 Q9")
        yield one(f"{shape}-gbk", f"{shape}: a GBK body that says so", [source({N: {**FILED, "charset": "gbk"}})], [{**filed, **licence}])
        yield one(f"{shape}-gbk-undeclared", f"{shape}: a GBK body that does not say so", [source({N: {**FILED, "charset": "gbk", "declare": False}})], [either(filed, unknown)])
        yield one(f"{shape}-no-canary", f"{shape}: a negative without a canary is nothing", [source({N: NOT_FILED}, canary=None)], [unknown], questions="Q6")
        yield one(f"{shape}-canary-gone", f"{shape}: a negative beside a canary that is not found either", [source({N: NOT_FILED, CANARY: NOT_FILED})],
                  [unknown], questions="Q6", queries=[{"registry": shape, "apex": CANARY, "min": 1}])
        yield one(f"{shape}-canary-broken", f"{shape}: a negative beside a canary that cannot be asked", [source({N: NOT_FILED, CANARY: {"fault": "http_500"}})],
                  [unknown], questions="Q6")
        yield one(f"{shape}-positive-needs-no-canary", f"{shape}: filed without a canary", [source({N: FILED}, canary=None)], [filed], questions="Q6")
        yield one(f"{shape}-canaries-in-turn", f"{shape}: a list of canaries", [source({N: NOT_FILED, "jin-er-shili.cn": FILED}, canary=[CANARY, "jin-er-shili.cn"])],
                  [suspected], questions="Q6")
