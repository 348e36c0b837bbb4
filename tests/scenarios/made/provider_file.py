"""The provider's filing file in every form that spreadsheets give it (Q3, Q4)."""
import base64

from . import COLUMNS, FILED, OTHER_CUSTOMER, csv_text, filing_row, provider, row, scenario, sites, yd2431

N = "jieru-shili.cn"
ENGLISH = dict(zip(COLUMNS, "domain subject_licence site_licence unit nature site_name access_state addresses approved_on connected_on".split()))


def english(r):
    return {ENGLISH[k]: v for k, v in r.items()}


def db(id, title, registry, want, *more, name=N, **kw):
    others = kw.pop("others", [])
    return scenario(f"db-{id}", title, "access", sites(name), [{**want, "name": name}], registries=[registry, *others], questions="Q3 Q4", **kw)


def scenarios():
    here, elsewhere, unknown = row(N, "filed", "here"), row(N, "unknown", "elsewhere"), row(N, "unknown")
    # states
    for id, word, licence, want in (
        ("connected", "已接入", True, here), ("connected-en", "connected", True, here),
        ("first-review", "初审通过", True, row(N, "filed", "pending")), ("first-review-en", "first_review_passed", True, row(N, "filed", "pending")),
        ("first-review-no-licence", "初审通过", False, row(N, "unknown", "pending")),
        ("pending", "待初审", True, row(N, "filed", "elsewhere")), ("pending-en", "pending", True, row(N, "filed", "elsewhere")), ("pending-no-licence", "待初审", False, elsewhere),
        ("cancelled", "取消接入", True, row(N, "filed", "elsewhere")), ("cancelled-en", "cancelled", True, row(N, "filed", "elsewhere")), ("cancelled-no-licence", "取消接入", False, elsewhere),
    ):
        yield db(f"state-{id}", f"access state {word}, {'with' if licence else 'without'} a licence",
                 provider([OTHER_CUSTOMER, filing_row(N, word, "蜀ICP备00000002号" if licence else "")]), want)
    yield db("state-other", "another word for a state is a bad row, and bad rows are skipped", provider([OTHER_CUSTOMER, filing_row(N, "注销中")]), elsewhere)
    # absence
    yield db("absent", "not in a complete file", provider([OTHER_CUSTOMER]), {**elsewhere, "registry_states": {"provider": "not_connected"}})
    yield db("absent-incomplete", "not in an incomplete file", provider([OTHER_CUSTOMER], negative="ambiguous"), {**unknown, "registry_states": {"provider": "unknown"}})
    yield db("absent-argument", "--registry file:PATH is a complete file", provider([OTHER_CUSTOMER], via="argument"), elsewhere)
    yield db("present-argument", "--registry file:PATH, connected", provider([filing_row(N)], via="argument"), here)
    # files that are none: a failed source, a problem, never absence
    for id, title, kw in (("header-only", "a header and no row", {"text": csv_text([])}), ("no-usable-row", "a header and only bad rows", {"text": csv_text([filing_row("", "已接入"), filing_row(N, "?")])}),
                          ("empty", "an empty file", {"text": ""}), ("no-header", "no header row", {"text": f"{N},蜀ICP备00000002号,已接入\n"}),
                          ("binary", "bytes that are no text", {"b64": base64.b64encode(b"\x00\xff\xfe\x81" * 200).decode()})):
        yield db(f"failed-{id}", title, provider([], **kw), unknown, problems_min=1)
        yield db(f"failed-{id}-beside-filed", f"{title}, beside YD/T 2431", provider([], **kw), row(N, "filed"), others=[yd2431({N: FILED})], problems_min=1, exit=[0, 3])
    # encodings and newlines
    rows = [OTHER_CUSTOMER, filing_row(N, unit="成都示例（集团）有限公司")]
    unit = {**here, "fields": {"filing.unit": "成都示例（集团）有限公司", "filing.site_licence": "蜀ICP备00000002号-1"}}
    for encoding, bom in (("utf-8", False), ("utf-8", True), ("gbk", False), ("gb18030", False)):
        for id, newline in (("lf", "\n"), ("crlf", "\r\n")):
            yield db(f"{encoding}{'-bom' if bom else ''}-{id}", "encoding and newline", provider(rows, text=csv_text(rows, newline=newline), encoding=encoding, bom=bom), unit)
    yield db("no-final-newline", "the last line ends without a newline", provider(rows, text=csv_text(rows).rstrip("\n")), unit)
    # columns
    back = COLUMNS[::-1]
    yield db("columns-reversed", "columns in another order", provider(rows, text=csv_text(rows, back)), unit)
    yield db("columns-unknown", "unknown columns beside the known", provider(rows, text=csv_text(rows, ["序号", *COLUMNS, "备注"])), unit)
    yield db("columns-english", "English names", provider(rows, text=csv_text([english(r) for r in rows], list(ENGLISH.values()))), unit)
    yield db("columns-mixed", "one header in both languages", provider(rows, text=csv_text([{**r, **english(r)} for r in rows], ["domain", *COLUMNS[1:6], "access_state", *COLUMNS[7:]])), unit)
    yield db("columns-few", "only the columns that a verdict needs", provider(rows, text=csv_text(rows, ["域名", "网站备案号", "接入状态"])), here)
    # cells
    for id, cell in (("upper-case", "JIERU-SHILI.CN"), ("spaces", "  jieru-shili.cn\t"), ("full-width-spaces", "　jieru-shili.cn　"), ("full-width-dot", "jieru-shili。cn"),
                     ("full-width-letters", "ｊｉｅｒｕ-shili.cn"), ("host", "www.jieru-shili.cn"), ("final-dot", "jieru-shili.cn.")):
        yield db(f"cell-{id}", "the domain cell", provider([OTHER_CUSTOMER, filing_row(cell)]), here)
    yield db("cell-licence-full-width", "a licence in full-width digits", provider([filing_row(N, licence="蜀ＩＣＰ备００００００２２号")]),
             {**here, "fields": {"filing.subject_licence": "蜀ICP备00000022号"}})
    yield db("cell-state-spaces", "spaces around the state", provider([filing_row(N, "　已接入 ")]), here)
    yield db("cell-quoted", "quotes, commas and newlines in cells", provider([{**OTHER_CUSTOMER, "网站名称": "示例,一\n\"二\""}, {**filing_row(N), "网站名称": "a,\"b\"\nc"}]), here)
    yield db("blank-domains", "blank domain cells are skipped", provider([filing_row(""), filing_row("　"), filing_row(N)]), here)
    idn, a = "示例丙.中国", "示例丙.中国".encode("idna").decode()
    for id, cell in (("u", idn), ("a", a), ("a-upper", a.upper())):
        yield db(f"idn-{id}-label", "a Chinese domain", provider([OTHER_CUSTOMER, filing_row(cell)]), row(a, "filed", "here"), name=a)
    # several rows of one domain: the newest approval counts
    for id, pair in (("old-first", [("取消接入", "2019-01-01"), ("已接入", "2024-03-01")]), ("new-first", [("已接入", "2024-03-01"), ("取消接入", "2019-01-01")])):
        yield db(f"two-rows-{id}", "of two rows the newest approval counts", provider([filing_row(N, s, approved=d) for s, d in pair]), here)
    for id, pair in (("old-first", [("已接入", "2019-01-01"), ("取消接入", "2024-03-01")]), ("new-first", [("取消接入", "2024-03-01"), ("已接入", "2019-01-01")])):
        yield db(f"two-rows-cancelled-{id}", "of two rows the newest approval counts, and it is a cancellation", provider([filing_row(N, s, approved=d) for s, d in pair]), row(N, "filed", "elsewhere"))
