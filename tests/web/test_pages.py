"""What people do on the pages, over a whole running system."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfWriter
from werkzeug.test import TestResponse

from backend.store.repositories.batches import BatchRepository
from tests.helpers.builders import Api

TODAY = date.today()


@dataclass
class Browser:
    """A client that sends forms as a browser does: with the token that the page carries."""

    client: FlaskClient
    token: str = ""
    version: str = ""

    def get(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path, follow_redirects=True)
        assert answer.status_code == status, answer.text
        found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        found = re.search(r'name="version" value="(\d+)"', answer.text)
        self.version = found[1] if found else ""
        return unescape(answer.text)

    def post(self, path: str, fields: dict | None = None, status: int = 302) -> TestResponse:
        hidden = {"csrf_token": self.token, **({"version": self.version} if self.version else {})}
        answer = self.client.post(path, data={**hidden, **(fields or {})})
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture(scope="module")
def signed_in(app: Flask, people) -> Callable[[str], Browser]:
    """One session for each role: the server limits how often one may try to sign in."""

    @cache
    def sign_in(role: str) -> Browser:
        browser = Browser(app.test_client())
        browser.get("/sign-in")
        browser.post("/sign-in", {"email": people[role].email, "password": people[role].password})
        browser.get("/")
        return browser

    return sign_in


def a_pdf() -> bytes:
    writer, content = PdfWriter(), io.BytesIO()
    writer.add_blank_page(200, 200)
    writer.write(content)
    return content.getvalue()


def a_certificate(browser: Browser, page: str, **changes: object) -> dict[str, object]:
    """The form as the page offers it, with what a merchant adds."""
    offered = re.search(r'<option[^>]*value="([0-9a-f-]{36})"[^>]*>[^<]*(?:demo|演示)', page)
    return {
        "issuer": offered[1] if offered else "",
        "exporter-name": "Yiwu Morning Star Trading Co., Ltd. (demo)",
        "exporter-country_code": "CN",
        "description": "Ceramic cups",
        "hs_code": "6912.00",
        "quantity": "120",
        "unit_code": "H87",
        "origin_country": "中国 China (CN)",
        "import_country": "肯尼亚",
        "free_trade_agreement_name": "NONE",
        "origin_criteria": "NP",
        "issue_date": TODAY.isoformat(),
        "valid_until": (TODAY + timedelta(days=364)).isoformat(),
        **changes,
    }


def a_product(browser: Browser, name: str = "Ceramic cup", **more: str) -> str:
    browser.get("/products/new")
    fields = {"name": name, "hs_code": "6912.00", "unit_code": "H87", "origin_country": "CN", "description": "Cups"}
    return browser.post("/products/new", fields | more).location


def a_request(merchant: Browser, **changes: object) -> str:
    """States a certificate; the path of its sheet."""
    path = f"{a_product(merchant)}/certificate-of-origin/new"
    page = merchant.get(path)
    return merchant.post(path, a_certificate(merchant, page, **changes)).location


def newest_request(issuer: Browser) -> str:
    """The last one of those that wait: they stand in the order in which they came."""
    page = issuer.get("/requests")
    return re.findall(r'href="(/requests/[0-9a-f-]{36})"', page)[-1]


def test_people_sign_in_and_out(browser, people):
    browser.get("/sign-in")
    browser.post("/sign-in", {"email": people["merchant"].email, "password": people["merchant"].password})
    assert people["merchant"].organisation in browser.get("/?lang=en")
    browser.post("/sign-out")
    assert people["merchant"].organisation not in browser.get("/?lang=en")


def test_wrong_password_and_unknown_address_answer_alike(browser, people):
    answers = []
    for email in (people["merchant"].email, "nobody@example.org"):
        browser.get("/sign-in")
        text = browser.post("/sign-in", {"email": email, "password": "wrong"}, 401).text
        answers.append(re.sub(r'value="[^"]*"', "", text))
    assert answers[0] == answers[1]


def test_sign_in_never_redirects_to_another_site(browser, people):
    browser.get("/sign-in")
    fields = {"email": people["merchant"].email, "password": people["merchant"].password}
    assert browser.post("/sign-in?next=//evil.example/", fields).location == "/"


def test_a_form_without_its_token_is_refused(app, people):
    fields = {"email": people["merchant"].email, "password": people["merchant"].password}
    assert app.test_client().post("/sign-in", data=fields).status_code == 400


def test_strangers_are_asked_to_sign_in(browser):
    assert "/sign-in" in browser.client.get("/declarations").location


def test_the_language_can_be_switched(browser):
    browser.get("/?lang=en")
    answer = browser.post("/language", {"language": "zh", "back": "/sign-in"})
    assert answer.location == "/sign-in"
    assert 'lang="zh-CN"' in browser.get("/sign-in")
    assert browser.post("/language", {"language": "en", "back": "https://evil.example/"}).location == "/"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    ("role", "paths"),
    [
        ("merchant", ["/", "/products", "/products/new", "/records", "/declarations", "/declarations/new"]),
        ("chamber", ["/", "/requests", "/records"]),
        ("laboratory", ["/", "/requests?state=all"]),
        ("officer", ["/", "/desk", "/desk?status=all"]),
        (
            "authority",
            [
                "/",
                "/accreditations",
                "/accreditations/register",
                "/customs-offices",
                "/ledger-accounts",
                "/ledger-roles",
            ],
        ),
    ],
)
def test_every_role_has_its_pages(signed_in, role, paths, lang):
    browser = signed_in(role)
    for path in paths:
        assert "<h1>" in browser.get(f"{path}{'&' if '?' in path else '?'}lang={lang}")


@pytest.mark.parametrize(
    ("role", "path"),
    [("merchant", "/desk"), ("officer", "/products"), ("chamber", "/declarations"), ("authority", "/records")],
)
def test_pages_of_other_roles_do_not_exist(signed_in, role, path):
    signed_in(role).get(path, 404)


def test_statement_confirmed_by_the_chamber_becomes_a_certificate(signed_in):
    merchant, chamber = signed_in("merchant"), signed_in("chamber")
    sheet = a_request(merchant)
    assert "Kenya (KE)" in merchant.get(f"{sheet}?lang=en")
    request = newest_request(chamber)
    number = re.search(r'name="number" type="text" value="([^"]+)"', chamber.get(request))[1]
    signed = chamber.post(f"{request}/confirm", {"number": number}).location
    assert number in merchant.get(signed)
    assert merchant.client.get(f"{signed}/evidence.json").json["format"] == "provenport-evidence"


def test_request_sent_back_is_corrected_from_filled_fields(signed_in):
    merchant, chamber = signed_in("merchant"), signed_in("chamber")
    a_request(merchant, invoice_reference="INV-TYPO")
    request = newest_request(chamber)
    chamber.get(request)
    assert "reason" in chamber.post(f"{request}/send-back", {"reason": " "}, 422).text
    chamber.post(f"{request}/send-back", {"reason": "The invoice number is INV-42."})
    page = merchant.get(f"{request}/correct?lang=en")
    assert "The invoice number is INV-42." in page
    assert 'value="INV-TYPO"' in page
    assert "Ceramic cups" in page
    fields = a_certificate(merchant, page, invoice_reference="INV-42")
    assert "INV-42" in merchant.get(merchant.post(f"{request}/correct", fields).location)
    assert newest_request(chamber) != request


def a_report(page: str, **changes: object) -> dict[str, object]:
    """The form as the page offers it to a laboratory, with what it found."""
    number = re.search(r'name="report_number"[^>]*value="([^"]+)"', page)
    return {
        "report_number": number[1] if number else "",
        "customer-name": "Yiwu Morning Star Trading Co., Ltd. (demo)",
        "item_description": "Ceramic cups",
        "item_identification": "LOT-7",
        "hs_code": "6912.00",
        "relates_to": "lot",
        "performed_from": TODAY.isoformat(),
        "performed_to": TODAY.isoformat(),
        "method": "ISO 6486-1:2019",
        "results-0-characteristic": "Lead release",
        "results-0-value": "0.2",
        "results-0-unit": "mg/l",
        "results-0-meets_limit": "true",
        "results-1-characteristic": "Cadmium release",
        "results-1-value": "0.9",
        "results-1-meets_limit": "false",
        "results-2-meets_limit": "",
        "specification": "GB 4806.4-2016",
        "decision_rule": "Simple acceptance",
        "conforms": "false",
        "issue_date": TODAY.isoformat(),
        **changes,
    }


def an_order(merchant: Browser, **changes: object) -> str:
    """Order a report of the laboratory on the page; the request's path."""
    path = f"{a_product(merchant)}/inspection-report/new?lang=en"
    page = merchant.get(path)
    fields = {
        "issuer": re.search(r'<option[^>]*value="([0-9a-f-]{36})"', page)[1],
        "customer-name": "Yiwu Morning Star Trading Co., Ltd. (demo)",
        "item_description": "Ceramic cups",
        "item_identification": "LOT-7",
        "hs_code": "6912.00",
        "tests_wanted": "Lead release\nCadmium release",
        "specification": "GB 4806.4-2016",
        "fee_note": "Quotation Q-7",
        **changes,
    }
    return merchant.post(path, fields).location


def test_report_without_an_answer_is_asked_for_one(signed_in):
    request, laboratory = an_order(signed_in("merchant")), signed_in("laboratory")
    path = f"{request}/record?lang=en"
    page = laboratory.get(path)
    assert "Please choose one." in laboratory.post(path, a_report(page, conforms="perhaps"), 422).text
    answer = laboratory.post(path, a_report(page, **{"results-0-meets_limit": "perhaps"}), 422)
    assert "Please choose one." in answer.text


def test_merchants_order_has_no_place_for_results(signed_in):
    merchant = signed_in("merchant")
    page = merchant.get(f"{a_product(merchant)}/inspection-report/new?lang=en")
    assert 'name="tests_wanted"' in page
    for name in ("results-0-value", "conforms", "performed_from", "report_number"):
        assert f'name="{name}"' not in page


def test_laboratory_reads_order_and_its_files(signed_in):
    merchant, laboratory = signed_in("merchant"), signed_in("laboratory")
    scan = a_pdf()
    request = an_order(merchant, pdf=(io.BytesIO(scan), "packing-list.pdf"))
    page = laboratory.get(f"{request}?lang=en")
    for said in ("Cadmium release", "GB 4806.4-2016", "Quotation Q-7", "packing-list.pdf"):
        assert said in page
    link = re.search(rf'href="({request}/files/[0-9a-f]+)"', page)[1]
    for reader in (laboratory, merchant):
        answer = reader.client.get(link)
        assert answer.data == scan
        assert answer.headers["Content-Disposition"].startswith("attachment")
    for stranger in ("chamber", "officer"):
        assert signed_in(stranger).client.get(link).status_code == 404
        assert signed_in(stranger).client.get(request).status_code == 404


@pytest.mark.parametrize(
    "table",
    [
        "Characteristic,Result,Unit,Limit,Within limit\nLead release,0.2,mg/l,≤ 0.8,yes\nGlaze,sound,,,\n",
        "检验项目;检验结果;计量单位;标准要求;单项判定\nLead release;0.2;mg/l;≤ 0.8;合格\nGlaze;sound;;;\n",
    ],
)
def test_results_from_table_are_shown_before_signing(signed_in, table):
    request, laboratory = an_order(signed_in("merchant")), signed_in("laboratory")
    path = f"{request}/record?lang=en"
    fields = a_report(laboratory.get(path), table=(io.BytesIO(table.encode()), "results.csv"))
    shown = laboratory.post(path, fields, 200).text
    for line in ('value="Lead release"', 'value="≤ 0.8"', 'value="Glaze"'):
        assert line in shown
    assert 'value="Cadmium release"' not in shown, "the table takes the place of the lines typed before"
    assert f"{request}/record" in laboratory.get(f"{request}?lang=en"), "nothing is signed yet"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (b"Characteristic,Unit\nred,mg\nblue,mg\n", "缺少“检验项目”和“检验结果”两列"),
        (b"Colour,Price\nred,3\nblue,4\n", "无法读取"),
        (b"\x00\x01\x02", "无法读取"),
    ],
)
def test_table_without_result_column_is_refused(signed_in, table, told):
    request, laboratory = an_order(signed_in("merchant")), signed_in("laboratory")
    path = f"{request}/record?lang=zh"
    fields = a_report(laboratory.get(path), table=(io.BytesIO(table), "results.csv"))
    answer = laboratory.post(path, fields, 422).text
    assert told in answer
    assert 'value="LOT-7"' in answer


def test_marked_field_stands_out_on_form(signed_in):
    merchant, laboratory = signed_in("merchant"), signed_in("laboratory")
    request = an_order(merchant)
    laboratory.get(request)
    laboratory.post(f"{request}/send-back", {"reason": "Which lot?", "fields": ["item_identification"]}, 422)
    laboratory.post(f"{request}/send-back", {"reason": "Which lot?", "fields": ["itemIdentification"]})
    page = merchant.get(f"{request}/correct?lang=en")
    marked = re.findall(r'<div class="field[^"]*is-doubtful">\s*<label for="(\w+)"', page)
    assert marked == ["item_identification"]
    assert page.count("marked by the issuer") == 1


def test_thread_is_read_by_both_sides_only(signed_in):
    merchant, laboratory = signed_in("merchant"), signed_in("laboratory")
    request = an_order(merchant)
    merchant.get(request)
    assert merchant.post(f"{request}/messages", {"text": "  "}, 422)
    merchant.post(f"{request}/messages", {"text": "By <Friday>?"})
    assert "By <Friday>?" in laboratory.get(request)
    assert "&lt;Friday&gt;" in laboratory.client.get(request).text
    chamber = signed_in("chamber")
    chamber.get("/requests")
    assert chamber.post(f"{request}/messages", {"text": "me too"}, 404)


def test_issuer_reads_what_was_changed(signed_in):
    merchant, laboratory = signed_in("merchant"), signed_in("laboratory")
    request = an_order(merchant)
    laboratory.get(request)
    laboratory.post(f"{request}/send-back", {"reason": "Which lot?"})
    page = merchant.get(f"{request}/correct?lang=en")
    issuer = re.search(r'<option selected value="([0-9a-f-]{36})"', page)[1]
    typed = {"issuer": issuer, "customer-name": "Yiwu Morning Star Trading Co., Ltd. (demo)", "hs_code": "6912.00"}
    typed |= {"item_description": "Ceramic cups", "item_identification": "LOT-8", "specification": "GB 4806.4-2016"}
    typed |= {"tests_wanted": "Lead release\nCadmium release", "fee_note": "Quotation Q-7"}
    corrected = merchant.post(f"{request}/correct", typed).location
    shown = laboratory.get(f"{corrected}?lang=en")
    assert re.findall(r"<del>(.*?)</del> → <ins>(.*?)</ins>", shown) == [("LOT-7", "LOT-8")]


def test_what_was_typed_survives_a_fault(signed_in):
    merchant = signed_in("merchant")
    path = f"{a_product(merchant)}/certificate-of-origin/new"
    page = merchant.get(path)
    typed = a_certificate(merchant, page, quantity="many", invoice_reference="INV-KEPT", import_country="Atlantis")
    answer = unescape(merchant.post(f"{path}?lang=zh", typed, 422).text)
    for kept in ('value="many"', 'value="INV-KEPT"', 'value="Atlantis"'):
        assert kept in answer
    assert "请从列表中选择国家" in answer


@pytest.mark.parametrize(
    ("changes", "english", "chinese"),
    [
        (
            {"free_trade_agreement_name": "RCEP", "origin_criteria": "CTH"},
            "KE is no party to RCEP: choose another country or agreement, or claim no preference.",
            "KE 不是 RCEP 的成员：请改选国家或协定，或选择不申请优惠。",
        ),
        (
            {"free_trade_agreement_name": "ACFTA", "import_country": "VN"},
            "ACFTA does not know the criterion NP. Choose one of these: WO, PE, CTH, RVC, PSR.",
            "ACFTA 没有原产地标准 NP。请从中选择：WO, PE, CTH, RVC, PSR。",
        ),
        (
            {"issue_date": (TODAY + timedelta(days=400)).isoformat(), "valid_until": ""},
            "This lies in the future.",
            "时间不能晚于现在。",
        ),
    ],
)
def test_broken_agreement_is_told_at_the_field(signed_in, changes, english, chinese):
    merchant = signed_in("merchant")
    path = f"{a_product(merchant)}/certificate-of-origin/new"
    typed = a_certificate(merchant, merchant.get(path), **changes)
    for language, words in (("en", english), ("zh", chinese)):
        answer = unescape(merchant.post(f"{path}?lang={language}", typed, 422).text)
        assert words in answer
    assert "RCEP" in merchant.get(path)


def test_an_uploaded_file_survives_a_fault_elsewhere(signed_in):
    merchant = signed_in("merchant")
    path = f"{a_product(merchant)}/certificate-of-origin/new"
    page = merchant.get(path)
    typed = a_certificate(merchant, page, quantity="", pdf=(io.BytesIO(a_pdf()), "certificate.pdf"))
    answer = merchant.post(path, typed, 422).text
    kept = re.search(r'name="kept"[^>]*value="([^"]+)"', answer)[1]
    sheet = merchant.post(path, a_certificate(merchant, page, kept=kept)).location
    file = re.search(r'href="(/records/[^"]+/files/[^"]+)"', merchant.get(sheet))[1]
    answer = merchant.client.get(file)
    assert answer.data == a_pdf()
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_text_file_named_pdf_is_refused_keeping_fields(signed_in):
    merchant = signed_in("merchant")
    path = f"{a_product(merchant)}/certificate-of-origin/new"
    page = merchant.get(path)
    typed = a_certificate(merchant, page, invoice_reference="INV-KEPT", pdf=(io.BytesIO(b"hello"), "certificate.pdf"))
    answer = merchant.post(f"{path}?lang=en", typed, 422).text
    assert "This is not a PDF document" in answer
    assert 'value="INV-KEPT"' in answer


def test_markup_in_a_name_stays_text(signed_in):
    merchant = signed_in("merchant")
    page = merchant.client.get(a_product(merchant, "<script>alert(1)</script>")).text
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_papers_of_others_do_not_exist(signed_in, app, people):
    merchant, authority, laboratory = signed_in("merchant"), signed_in("authority"), signed_in("laboratory")
    product = a_product(merchant)
    sheet = a_request(merchant)
    authority.get("/accreditations/register")
    fields = {"role": "merchant", "name": "Other Co.", "email": f"{TODAY:%f}{id(app)}@example.org"}
    shown = authority.post("/accreditations/register", fields, 200)
    assert shown.headers["Cache-Control"] == "no-store"
    password = re.findall(r'data-copy="([^"]+)"', shown.text)[1]
    other = Browser(app.test_client())
    other.get("/sign-in")
    other.post("/sign-in", {"email": fields["email"], "password": password})
    for path in (product, sheet, f"{sheet}/evidence.json", f"{product}/certificate-of-origin/new"):
        other.get(path, 404)
    laboratory.get(sheet, 404)
    authority.get(sheet, 404)


def test_declaration_prefilled_from_its_certificate_is_decided(signed_in, settle):
    """The officer decides it at the desk."""
    merchant, chamber, officer = signed_in("merchant"), signed_in("chamber"), signed_in("officer")
    a_request(merchant)
    request = newest_request(chamber)
    number = re.search(r'name="number" type="text" value="([^"]+)"', chamber.get(request))[1]
    certificate = chamber.post(f"{request}/confirm", {"number": number}).location.rsplit("/", 1)[1]
    settle()
    page = merchant.get(f"/declarations/new?records={certificate}&lang=en")
    assert "Kenya 肯尼亚 (KE)" in page
    reference = re.search(r'name="declaration_reference" type="text" value="([^"]+)"', page)[1]
    fields = {
        "records": certificate,
        "declaration_reference": reference,
        "customs_office": "2925",
        "previous_procedure_type_code": "9610",
        "direction": "export",
        "destination_country": "KE",
        "order_reference": "O-1",
        "waybill_reference": "W-1",
        "package_quantity": "1",
        "gross_weight_measure": "12",
        "items-0-hs_code": "691200",
        "items-0-description": "Ceramic cups",
        "items-0-quantity": "100",
        "items-0-unit_code": "H87",
        "items-0-unit_price": "2.5",
        "items-0-currency": "USD",
        "items-0-origin_country": "CN",
        "items-1-hs_code": "",
        "items-1-unit_code": "H87",
    }
    told = merchant.post("/declarations/new?lang=en", fields, 200).text
    assert "Not lodged yet: look at the differences first." in told
    assert "The declaration names no inspection report." in told
    seen = re.search(r'name="seen" value="([^"]+)"', told)[1]
    lodged = merchant.post("/declarations/new", fields | {"seen": seen}).location
    settle()
    dossier = lodged.replace("/declarations/", "/desk/")
    assert "The declaration names no inspection report." in officer.get(f"{dossier}?lang=en")
    decision = {"decision": "release", "reason": "checked by hand"}
    assert "checked by hand" in officer.post(f"{dossier}/decide", decision, 409).text
    officer.post(f"{dossier}/decide", {**decision, "accept_indeterminate": "yes"})
    assert "Released" in merchant.get(f"{lodged}?lang=en")


@pytest.mark.parametrize(
    ("decision", "zh", "en"), [("return", "货物退运", "Goods returned"), ("seize", "货物没收", "Goods seized")]
)
def test_goods_go_for_good_only_once_confirmed(app, people, signed_in, decision, zh, en):
    path = f"/desk/{Api(app.test_client(), people).declaration([])['id']}"
    officer = signed_in("officer")
    officer.get(path)
    typed = {"decision": decision, "reason": "prohibited"}
    refused = officer.post(f"{path}/decide?lang=en", typed, 422)
    assert "Tick this first." in refused.text
    assert "prohibited" in refused.text
    officer.post(f"{path}/decide", {**typed, "confirm_final": "yes"})
    assert en in officer.get(f"{path}?lang=en")
    assert zh in signed_in("merchant").get(path.replace("/desk/", "/declarations/") + "?lang=zh")
    assert "prohibited" in officer.get(path)


def test_label_shows_issuer_but_neither_merchant_nor_invoice(signed_in, browser):
    chamber = signed_in("chamber")
    signed = re.search(r'href="(/records/[0-9a-f-]{36})"', chamber.get("/records"))[1]
    label = re.search(r'href="(/p/[a-z2-7]{26})"', chamber.get(signed))[1]
    public = browser.get(f"{label}?lang=en")
    assert "Chamber of Commerce" in public
    assert "Yiwu Morning Star" not in public
    assert "INV-" not in public
    assert browser.client.get(f"{label}/label.svg").mimetype == "image/svg+xml"
    browser.get("/p/nosuchlabel", 404)


@pytest.mark.parametrize("role", ["chamber", "officer", "authority", "analyst"])
def test_the_overview_tells_how_far_proofs_lag_behind(signed_in, settle, role):
    settle()
    assert "Every paper stored here has its proof." in signed_in(role).get("/?lang=en")
    assert "已存入的单证均已完成存证。" in signed_in(role).get("/?lang=zh")


def test_overview_tells_since_when_the_oldest_waits(signed_in, settle, monkeypatch):
    settle()
    since = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
    monkeypatch.setattr(BatchRepository, "oldest_unanchored", lambda self: since)
    page = signed_in("officer").get("/?lang=en")
    assert "still waits for its proof" in page
    assert "2026-11-01T08:30" in page


def test_record_page_links_the_schema_it_names(app, people, signed_in, system):
    api = Api(app.test_client(), people)
    for made in (api.certificate(), api.invoice()):
        page = signed_in("merchant").get(f"/records/{made['id']}")
        (slug, version) = re.search(r"/schemas/([a-z-]+)/v(\d+)\.json", page).groups()
        with system.ctx.work(reading=True) as work:
            named = work.records.get(made["id"]).sd_jwt.payload["credentialSchema"]["id"]
        assert named.endswith((f":{slug}:v{version}", f"/{slug}/v{version}.json"))
        assert signed_in("merchant").client.get(f"/schemas/{slug}/v{version}.json").status_code == 200


def a_stated_request(signed_in, **changes: object) -> str:
    """A certificate that the merchant stated for the chamber; the request's path."""
    merchant = signed_in("merchant")
    path = f"{a_product(merchant)}/certificate-of-origin/new"
    merchant.post(path, a_certificate(merchant, merchant.get(f"{path}?lang=en"), **changes))
    return newest_request(signed_in("chamber"))


def test_checks_before_signing_stand_on_page(signed_in):
    chamber, request = signed_in("chamber"), a_stated_request(signed_in)
    page = chamber.get(f"{request}?lang=en")
    assert page.count("state state-good") >= 6
    assert "disabled" not in page[page.index("signing-checks") :]


def test_taken_number_is_told_before_signing(signed_in):
    chamber, request = signed_in("chamber"), a_stated_request(signed_in)
    number = re.search(r'name="number"[^>]*value="([^"]+)"', chamber.get(f"{request}?lang=en"))[1]
    chamber.post(f"{request}/confirm", {"number": number})
    second = a_stated_request(signed_in)
    chamber.get(f"{second}?lang=en")
    refused = chamber.post(f"{second}/confirm", {"number": number}, 409).text
    shown = refused[refused.index("signing-checks") :]
    assert 'class="state state-bad">Number is free' in shown
    # Another number can be typed here, so that the button stays.
    assert "btn-wide" in shown
    assert "disabled" not in shown


def test_chosen_requests_are_signed_each_alone(signed_in):
    chamber, requests = signed_in("chamber"), [a_stated_request(signed_in) for _ in range(3)]
    listed = chamber.get("/requests?lang=en")
    ids = [request.rsplit("/", 1)[1] for request in requests]
    assert "Sign the chosen ones" in listed
    chamber.get(requests[0])
    chamber.post(f"{requests[0]}/send-back", {"reason": "Which lot?"})
    outcome = chamber.post("/requests/sign", {"request": [*ids, ids[1], "unknown"]}, 200).text
    assert outcome.count("state-good") == 2
    assert outcome.count("state-bad") == 2
    numbers = re.findall(r'href="/records/[0-9a-f-]+">([^<]+)</a>', outcome)
    assert len(set(numbers)) == 2
    assert all(one not in chamber.get("/requests") for one in ids[1:])


@pytest.mark.parametrize("who", ["laboratory", "merchant"])
def test_requests_of_others_are_not_signed(signed_in, who):
    request, stranger = a_stated_request(signed_in), signed_in(who)
    stranger.get("/requests")
    status = 404 if who == "merchant" else 200
    answer = stranger.post("/requests/sign", {"request": request.rsplit("/", 1)[1]}, status).text
    assert "state-good" not in answer
    assert "Confirm and sign" in signed_in("chamber").get(f"{request}?lang=en")


def test_amended_certificate_shows_what_changed(signed_in):
    chamber, request = signed_in("chamber"), a_stated_request(signed_in, invoice_reference="INV-1")
    number = re.search(r'name="number"[^>]*value="([^"]+)"', chamber.get(f"{request}?lang=en"))[1]
    record = chamber.post(f"{request}/confirm", {"number": number}).location
    page = chamber.get(f"{record}/amend?lang=en")
    proposed = re.search(r'name="certificate_number"[^>]*value="([^"]+)"', page)[1]
    assert proposed != number
    assert "state-good" in page[page.index("signing-checks") :]
    assert "state-bad" not in page[page.index("signing-checks") :]
    fields = a_certificate(chamber, page, invoice_reference="INV-2") | {"certificate_number": proposed}
    refused = chamber.post(f"{record}/amend", {**fields, "reason": " "}, 422).text
    assert 'value="INV-2"' in refused
    amended = chamber.post(f"{record}/amend", {**fields, "reason": "Typing error."}).location
    merchant = signed_in("merchant")
    assert "<del>INV-1</del> → <ins>INV-2</ins>" in merchant.get(f"{amended}?lang=en")
    before = merchant.get(f"{record}?lang=en")
    assert "Typing error." in before
    assert f"{record}/amend" not in chamber.get(record), "it is replaced already"
    assert chamber.get(f"{record}/amend", 409)
    merchant.get(f"{amended}/amend", 404)


def test_earlier_paper_fills_form_for_next(signed_in):
    chamber, merchant = signed_in("chamber"), signed_in("merchant")
    request = a_stated_request(signed_in, invoice_reference="INV-COPY")
    number = re.search(r'name="number"[^>]*value="([^"]+)"', chamber.get(f"{request}?lang=en"))[1]
    record = chamber.post(f"{request}/confirm", {"number": number}).location
    copy = re.search(r'href="(/products/[^"]+copy=[^"]+)"', merchant.get(record))[1]
    page = merchant.get(copy)
    assert 'value="INV-COPY"' in page
    assert number not in page
    rival = f"{copy.split('copy=')[0]}copy=00000000-0000-4000-8000-000000000000"
    merchant.get(rival, 404)
