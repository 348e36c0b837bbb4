"""The verdict table, cell by cell: every filing and access that sources can bring about, under all five exposures."""
from . import ABSENT, ELSEWHERE, FILED, HERE, NOT_FILED, OTHER_CUSTOMER, RESTRICTED, filing_row, ministry, provider, row, scenario, sites, yd2431

NAMES = {"here": "bentai-shili.cn", "fronted": "qianzhi-shili.cn", "unknown": "weizhi-shili.cn", "elsewhere": "tajia-shili.cn", "unresolved": "wujie-shili.cn"}
ZONE = {NAMES["here"]: HERE, NAMES["fronted"]: {"CNAME": "qianzhi-shili.cn.w.kunlunaq.com"}, "qianzhi-shili.cn.w.kunlunaq.com": ELSEWHERE,
        NAMES["unknown"]: {"rcode": "SERVFAIL"}, NAMES["elsewhere"]: ELSEWHERE}


def all_of(state):
    return {n: state for n in NAMES.values()}


def connected(state="已接入", licence="蜀ICP备00000002号"):
    return provider([OTHER_CUSTOMER] + [filing_row(n, state, licence) for n in NAMES.values()])


def nowhere():
    return provider([OTHER_CUSTOMER])


# (filing, access): the sources that say so. "not filed" and "suspected" together with "access here" do not occur: a connected row is itself an
# authoritative "filed" (Q9).
CELLS = {
    ("restricted", "here"): lambda: [connected(), ministry(all_of(RESTRICTED))],
    ("restricted", "pending"): lambda: [connected("初审通过"), ministry(all_of(RESTRICTED))],
    ("restricted", "elsewhere"): lambda: [nowhere(), ministry(all_of(RESTRICTED))],
    ("restricted", "unknown"): lambda: [ministry(all_of(RESTRICTED))],
    ("not_filed", "pending"): lambda: [connected("初审通过", ""), yd2431(all_of(NOT_FILED))],
    ("not_filed", "elsewhere"): lambda: [nowhere(), yd2431(all_of(NOT_FILED))],
    ("not_filed", "unknown"): lambda: [yd2431(all_of(NOT_FILED))],
    ("filed", "here"): lambda: [connected()],
    ("filed", "pending"): lambda: [connected("初审通过")],
    ("filed", "elsewhere"): lambda: [nowhere(), yd2431(all_of(FILED))],
    ("filed", "unknown"): lambda: [yd2431(all_of(FILED))],
    ("suspected_not_filed", "pending"): lambda: [connected("初审通过", ""), ministry(all_of(ABSENT))],
    ("suspected_not_filed", "elsewhere"): lambda: [nowhere(), ministry(all_of(ABSENT))],
    ("suspected_not_filed", "unknown"): lambda: [ministry(all_of(ABSENT))],
    ("unknown", "here"): lambda: [connected(), yd2431(all_of(NOT_FILED))],
    ("unknown", "pending"): lambda: [connected("初审通过", "")],
    ("unknown", "elsewhere"): lambda: [nowhere()],
    ("unknown", "unknown"): lambda: [ministry(all_of({"fault": "http_500"}))],
}


def scenarios():
    for (filing, access), sources in CELLS.items():
        names = [row(n, filing, access, exposure) for exposure, n in NAMES.items()]
        yield scenario(f"cell-{filing}-access-{access}".replace("_", "-"), f"{filing}, access {access}: all five exposures", "table", sites(*NAMES.values()), names,
                       registries=sources(), dns=ZONE, questions="Q3 Q4 Q9")
