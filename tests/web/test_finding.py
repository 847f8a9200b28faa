"""Merchants find their papers and declarations by words, turn pages both ways, and take lists along as files."""

import csv
import io
import re
from zipfile import ZipFile

import pytest
from openpyxl import load_workbook

from backend.domain import finding
from backend.services import records
from backend.services.erasure import erase
from backend.web.public.downloads import harmless, table_file
from tests.helpers.builders import Api
from tests.web.test_pages import Browser


@pytest.fixture(scope="module")
def api(app, people):
    return Api(app.test_client(), people)


@pytest.fixture(scope="module")
def merchant(app, people):
    browser = Browser(app.test_client())
    browser.get("/sign-in")
    browser.post("/sign-in", {"email": people["merchant"].email, "password": people["merchant"].password})
    browser.client.set_cookie("language", "en")
    return browser


def found(browser, path):
    """The ids of the rows of a list, in their order."""
    page = browser.get(path)
    return re.findall(r'<th scope="row"><a href="/(?:records|declarations)/([0-9a-f-]{36})"', page)


@pytest.mark.parametrize(
    "asked", ["{number}", "{spaced}", "{last}", "zanzibar {last}", "9405 {last}", "ZANZIBAR lamp {last}"]
)
def test_paper_is_found_by_its_words(api, merchant, asked):
    made = api.certificate(consignee={"name": "Zanzibar Traders", "countryCode": "KE"}, description="Brass lamp")
    number = api.get(f"/records/{made['id']}", "merchant").get_json()["document"]["certificateNumber"]
    shapes = {"number": number, "spaced": number.replace("-", " ").lower(), "last": number.rpartition("-")[2]}
    assert made["id"] in found(merchant, f"/records?q={asked.format(**shapes)}")


def test_words_that_one_paper_lacks_find_nothing(api, merchant):
    api.certificate(description="Copper kettle")
    assert found(merchant, "/records?q=copper") != []
    assert found(merchant, "/records?q=copper+giraffe") == []
    assert found(merchant, "/records?q=%25") == []


def test_declaration_is_found_by_order_and_status(api, merchant):
    made = api.declaration([], orderReference="ORD-77-1234")["id"]
    assert found(merchant, "/declarations?q=ord771234") == [made]
    assert found(merchant, "/declarations?q=1234&status=lodged") == [made]
    assert found(merchant, "/declarations?q=1234&status=released") == []


def test_others_find_nothing_of_it(app, people, api):
    made = api.certificate(description="Quagga blanket")
    api.admit_rival("Quagga Rival Trading Co., Ltd.")  # a name of its own: two of one name are not found by it
    with app.app_context():
        from backend.web.context import current_context

        with current_context().work(reading=True) as work:
            rival = work.organisations.find_by_name("Quagga Rival Trading Co., Ltd.")
            own = work.records.get(made["id"]).holder
            assert work.search.find(own, False, ["quagga"], 5) == [made["id"]]
            assert work.search.find(rival, False, ["quagga"], 5) == []


def test_erased_paper_is_found_no_more(system, people, api, settle):
    made = api.invoice(invoiceNumber=api.fresh("QUETZAL"))["id"]
    settle()
    with system.ctx.work(reading=True) as work:
        merchant = work.persons.find_by_email("merchant@example.org")
        assert work.search.find(merchant.organisation, False, ["quetzal"], 5) == [made]
    erase(system.ctx, merchant, made)
    with system.ctx.work(reading=True) as work:
        assert work.search.find(merchant.organisation, False, ["quetzal"], 5) == []


def test_papers_of_before_are_entered(system, api):
    made = api.certificate(description="Narwhal brooch")["id"]
    with system.ctx.work() as work:
        holder = work.records.get(made).holder
        work.search.forget(made)
        work.commit()
    assert sum(records.enter_missing(system.ctx)) >= 1
    with system.ctx.work(reading=True) as work:
        assert work.search.find(holder, False, ["narwhal"], 5) == [made]
    assert sum(records.enter_missing(system.ctx)) == 0


def test_no_word_stands_in_the_database(system, api):
    made = api.certificate(description="Okapi saddle")["id"]
    with system.ctx.work(reading=True) as work:
        on_file = work.records.get(made)
        assert "okapi" in finding.words_of_record(on_file)
        assert set(work.search.marks_of(on_file)) & finding.words_of_record(on_file) == set()


@pytest.mark.parametrize("path", ["/records?kind=invoice", "/declarations?status=lodged", "/records?q=wombat"])
@pytest.mark.parametrize("order", ["", "&order=oldest"])
def test_pages_turn_both_ways(api, merchant, monkeypatch, path, order):
    for module in ("records", "declarations"):
        monkeypatch.setattr(f"backend.web.pages.{module}.PAGE", 2)
    for _ in range(5):
        api.invoice()
        api.declaration([])
        api.certificate(description="Wombat")
    path += order
    first = found(merchant, path)
    second = found(merchant, f"{path}&after={first[-1]}")
    third = found(merchant, f"{path}&after={second[-1]}")
    assert len({*first, *second, *third}) >= 5
    assert found(merchant, f"{path}&before={third[0]}") == second
    assert found(merchant, f"{path}&before={second[0]}") == first
    assert 'rel="prev"' not in merchant.get(path)
    assert 'rel="prev"' in merchant.get(f"{path}&after={first[-1]}")


@pytest.mark.parametrize("name", ["records", "declarations", "products", "requests"])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_list_is_downloaded_as_shown(merchant, name, form):
    answer = merchant.client.get(f"/{name}.{form}")
    assert answer.status_code == 200
    if form == "csv":
        rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    else:
        rows = [list(row) for row in load_workbook(io.BytesIO(answer.data)).active.iter_rows(values_only=True)]
    assert len(rows) > 1
    assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_cell_that_begins_a_formula_is_text(app, cell):
    assert harmless(cell).startswith("'")
    with app.test_request_context():
        plain = table_file("csv", "list", ["name"], [[cell]]).data.decode("utf-8-sig")
        book = table_file("xlsx", "list", ["name"], [[cell]]).data
    assert next(csv.reader(io.StringIO(plain.partition("\r\n")[2], newline="")))[0].startswith("'")
    sheet = ZipFile(io.BytesIO(book)).read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert load_workbook(io.BytesIO(book)).active["A2"].data_type == "s"


def test_plain_cell_stays_as_it_is():
    assert harmless("MS-L8 (台灯) \x07") == "MS-L8 (台灯) "


def test_officers_have_no_lists_of_merchants(app, people):
    browser = Browser(app.test_client())
    browser.get("/sign-in")
    browser.post("/sign-in", {"email": people["officer"].email, "password": people["officer"].password})
    for name in ("records", "declarations", "products", "requests"):
        browser.get(f"/{name}.csv", 404)
