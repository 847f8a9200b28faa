"""Labels that are printed and scanned, and badges on shops' pages: proven, copied, over, and never wrongly proven."""

import html
import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from itertools import count

import pytest
import zxingcpp
from PIL import Image
from pypdf import PdfReader

from tests.helpers.builders import Api
from tests.helpers.forms import a_gtin
from tests.web.test_evidence_pages import filled
from tests.web.test_pages import a_certificate, a_product, browser, newest_request, signed_in  # noqa: F401

GOODS = {"name": "Ceramic cup <&>"}
SHOP = "https://shop.example/goods/cup?id=7"
NUMBERS = count(1)


def certify(signed_in, settle, product: str) -> str:  # noqa: F811
    """A certificate of the product, asked for and signed on the pages; the path of its sheet."""
    merchant, chamber = signed_in("merchant"), signed_in("chamber")
    path = f"{product}/certificate-of-origin/new"
    merchant.post(path, a_certificate(merchant, merchant.get(path)))
    request = newest_request(chamber)
    chamber.get(request)
    signed = chamber.post(f"{request}/confirm", {"number": f"BADGE-{next(NUMBERS)}"}).location
    settle()
    return signed


def list_it(signed_in, settle, product: str, **changes: str) -> str:  # noqa: F811
    """Sign a listing of the product, as its page offers it; the path of its sheet."""
    merchant = signed_in("merchant")
    link = re.search(r'href="(/papers/new/listing[^"]*)"', merchant.get(product))[1]
    typed = {
        "listing_reference": f"SHOP-{next(NUMBERS)}",
        "listing_url": SHOP,
        "listed_from": date.today().isoformat(),
        "listed_until": (date.today() + timedelta(days=300)).isoformat(),
    }
    sheet = merchant.post(link, {**filled(merchant.get(link)), **typed, **changes}).location
    settle()
    return sheet


def public(signed_in, sheet: str) -> str:  # noqa: F811
    """The path of its public page."""
    return re.search(r'href="(/p/[a-z2-7]{26})"', signed_in("merchant").get(sheet))[1]


@pytest.fixture(scope="module")
def coded(signed_in, settle):  # noqa: F811
    """A product with a bar code and its certificate: the bar code, and both paths."""
    code = a_gtin()
    product = a_product(signed_in("merchant"), **GOODS, gtin=code)
    return code, product, certify(signed_in, settle, product)


@pytest.fixture(scope="module")
def badge(signed_in, settle, coded):  # noqa: F811
    return public(signed_in, list_it(signed_in, settle, coded[1]))


def scanned(picture: bytes) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))]


# ---- labels


def test_printed_label_is_scanned_and_read(app, signed_in, coded):  # noqa: F811
    code, _, sheet = coded
    path, client = public(signed_in, sheet), app.test_client()
    image = client.get(f"{path}/label.png")
    (address,) = scanned(image.data)
    assert re.fullmatch(rf"https?://[^/]+/01/{code.zfill(14)}\?label={path.rpartition('/')[2]}", address)
    followed = client.get(address.partition("//")[2].partition("/")[2].join(["/", ""]))
    assert followed.location == path
    letters = re.findall(r"<text[^>]*>([^<]+)</text>", client.get(f"{path}/label.svg").text)
    assert "".join("".join(letters[1:]).split()) == path.rpartition("/")[2]
    assert letters[0].endswith("/p")


def test_sheet_of_labels_is_scanned_whole(app, signed_in, coded):  # noqa: F811
    path = public(signed_in, coded[2])
    answer = app.test_client().get(f"{path}/label.pdf")
    assert "attachment" in answer.headers["Content-Disposition"]
    (page,) = PdfReader(io.BytesIO(answer.data)).pages
    assert (round(page.mediabox.width), round(page.mediabox.height)) == (595, 842)
    assert page.get_contents().get_data().count(b" Do") == 24
    (image,) = page.images
    assert len(scanned(image.data)) == 1


def test_label_without_bar_code_names_its_page(app, signed_in, settle):  # noqa: F811
    path = public(signed_in, certify(signed_in, settle, a_product(signed_in("merchant"), **GOODS)))
    assert scanned(app.test_client().get(f"{path}/label.png").data)[0].endswith(path)


def test_digital_link_of_other_goods_is_unknown(app, signed_in, coded):  # noqa: F811
    code = public(signed_in, coded[2]).rpartition("/")[2]
    for asked in (f"/01/{a_gtin()}?label={code}", f"/01/{coded[0]}?label=abc", f"/01/{coded[0]}", "/01/x?label="):
        assert app.test_client().get(asked).status_code == 404


# ---- badges


def test_badge_of_certified_goods_is_proven(app, signed_in, badge, coded):  # noqa: F811
    client = app.test_client()
    assert "Origin proven" in client.get(f"{badge}/badge.svg?lang=en").text
    page = html.unescape(client.get(f"{badge}?lang=en").text)
    for words in ("Proven", SHOP, "Origin certified by", "Made in: China", "Ceramic cup <&>"):
        assert words in page
    assert public(signed_in, coded[2]) in page


def test_badge_tells_where_it_was_copied_to(app, badge):
    client, address = app.test_client(), f"{badge}/badge.svg?lang=en"
    for page, is_right in {
        "https://shop.example/": True,
        SHOP: True,
        f"{SHOP}&utm_source=mail": True,
        "https://shop.example/goods/cup/?utm_source=mail&id=7": True,
        "https://shop.example/goods/cup?id=8": False,
        "https://shop.example/goods/other?id=7": False,
        "https://shop.example.net/": False,
        "https://other.example/": False,
        f"{app.extensions['address']}/products": True,
        "not an address": False,
        "http://[not.an.address/": False,
    }.items():
        said = client.get(address, headers={"Referer": page})
        assert ("Origin proven" in said.text, "Badge of another page" in said.text) == (is_right, not is_right), page
        assert "Referer" in said.headers["Vary"]
    page = client.get(f"{badge}?lang=en", headers={"Referer": "https://other.example/x"}).text
    assert "You come from a page that this badge was not made for" in page


def test_badge_without_papers_proves_nothing(app, signed_in, settle):  # noqa: F811
    path = public(signed_in, list_it(signed_in, settle, a_product(signed_in("merchant"), **GOODS)))
    assert "Not proven at the moment" in app.test_client().get(f"{path}/badge.svg?lang=en").text
    assert "No issuer has certified anything" in app.test_client().get(f"{path}?lang=en").text


@pytest.mark.parametrize("first", [-400, 30])
def test_badge_outside_its_days_is_over(app, signed_in, settle, coded, first):  # noqa: F811
    days = {"listed_from": first, "listed_until": first + 100}
    typed = {name: (date.today() + timedelta(days=ahead)).isoformat() for name, ahead in days.items()}
    path = public(signed_in, list_it(signed_in, settle, coded[1], **typed))
    assert "No longer offered here" in app.test_client().get(f"{path}/badge.svg?lang=en").text


def test_badge_falls_with_its_certificate(app, signed_in, settle):  # noqa: F811
    product = a_product(signed_in("merchant"), **GOODS)
    certificate = certify(signed_in, settle, product)
    path = public(signed_in, list_it(signed_in, settle, product))
    assert "Origin proven" in app.test_client().get(f"{path}/badge.svg?lang=en").text
    chamber = signed_in("chamber")
    chamber.get(certificate)
    chamber.post(f"{certificate}/revoke", {"reason": "Wrong origin"})
    settle()
    for address in (f"{path}/badge.svg?lang=en", f"{path}?lang=en"):
        assert "Do not rely on it" in app.test_client().get(address).text
    (certification,) = app.test_client().get(f"{path}/product.json").get_json()["hasCertification"]
    assert certification["certificationStatus"].endswith("CertificationInactive")


def test_badge_whose_listing_was_altered_proves_nothing(app, signed_in, settle, coded, system):  # noqa: F811
    """Its fields were taken out of the database, so that nobody can tell for which page it was made."""
    sheet = list_it(signed_in, settle, coded[1])
    path = public(signed_in, sheet)
    with system.ctx.work() as work:
        work.records.get(sheet.rpartition("/")[2]).disclosures = []
        work.commit()
    for address in (f"{path}/badge.svg?lang=en", f"{path}?lang=en"):
        answer = app.test_client().get(address)
        assert (answer.status_code, "Not proven at the moment" in answer.text) == (200, True)
    assert app.test_client().get(f"{path}/product.json").status_code == 200


def test_search_engines_are_told_what_is_certified(app, badge, coded):
    page = app.test_client().get(f"{badge}?lang=en").text
    (embedded,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.S)
    told = app.test_client().get(f"{badge}/product.json")
    assert told.mimetype == "application/ld+json"
    assert json.loads(embedded) == told.get_json()
    assert "<&>" not in embedded
    assert (told.get_json()["@type"], told.get_json()["gtin"]) == ("Product", coded[0])
    (certification,) = told.get_json()["hasCertification"]
    assert certification["certificationStatus"] == "https://schema.org/CertificationActive"
    assert certification["url"].startswith("http")


def test_snippet_holds_an_image_and_no_script(app, signed_in, settle, coded):  # noqa: F811
    sheet = list_it(signed_in, settle, coded[1])
    (snippet,) = re.findall(r'<textarea[^>]*id="snippet"[^>]*>(.*?)</textarea>', signed_in("merchant").get(sheet), re.S)
    assert "<script" not in snippet
    address = re.search(r'src="https?://[^/]+([^"]+)"', snippet)[1]
    answer = app.test_client().get(address)
    assert answer.mimetype == "image/svg+xml"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize(
    "address",
    [
        "http://shop.example/cup",
        "javascript:alert(1)//shop.example",
        "https://user:word@shop.example/cup",
        "https://shop.example:8443/cup",
        "https://127.0.0.1/cup",
        "https://localhost/cup",
        "https://shop.example/cup#part",
        'https://shop.example/"onload="x',
        "https://shop.example/杯",
        "https://[::1/cup",
        "https://.example/cup?" + "x" * 500,
    ],
)
def test_address_that_is_no_shops_is_refused(app, people, address):
    api = Api(app.test_client(), people)
    merchant = api.get("/me", "merchant").get_json()["organisation"]
    body = {
        "listingReference": api.fresh("L"),
        "listingUrl": address,
        "seller": {"name": merchant},
        "description": "Cup",
        "listedFrom": "2026-03-01",
        "listedUntil": "2026-04-01",
    }
    refused = api.post("/listings", "merchant", body)
    assert refused.status_code == 422
    assert "listingUrl" in refused.get_data(as_text=True)
    assert api.post("/listings", "merchant", {**body, "listingUrl": "https://shop.example/cup"}).status_code == 201


def test_period_has_an_end_and_an_order(app, people):
    api = Api(app.test_client(), people)
    merchant = api.get("/me", "merchant").get_json()["organisation"]
    body = {"listingUrl": SHOP, "seller": {"name": merchant}, "description": "Cup", "listedFrom": "2026-03-01"}
    for last, status in {"2026-02-28": 422, "2028-03-02": 422, "2028-03-01": 201, "2026-03-01": 201}.items():
        sent = {**body, "listingReference": api.fresh("L"), "listedUntil": last}
        assert api.post("/listings", "merchant", sent).status_code == status, last


def test_program_lists_by_bar_code(app, people, coded):
    api = Api(app.test_client(), people)
    merchant = api.get("/me", "merchant").get_json()["organisation"]
    body = {
        "listingReference": api.fresh("L"),
        "listingUrl": SHOP,
        "seller": {"name": merchant},
        "description": "Cup",
        "gtin": coded[0],
        "listedFrom": datetime.now(UTC).date().isoformat(),
        "listedUntil": (date.today() + timedelta(days=30)).isoformat(),
    }
    path = "/p/" + api.post("/listings", "merchant", body).get_json()["labelUrl"].rpartition("/")[2]
    assert "Origin certified by" in app.test_client().get(f"{path}?lang=en").text


def test_anothers_product_is_not_listed(app, signed_in, people, coded):  # noqa: F811
    rival = Api(app.test_client(), people)
    rival.admit_rival("Badge Rival Co., Ltd.")
    body = {
        "listingReference": "L-1",
        "listingUrl": SHOP,
        "seller": {"name": "Badge Rival Co., Ltd."},
        "description": "Cup",
        "gtin": coded[0],
        "listedFrom": date.today().isoformat(),
        "listedUntil": (date.today() + timedelta(days=30)).isoformat(),
    }
    made = rival.post("/listings", "rival", body).get_json()
    page = app.test_client().get("/p/" + made["labelUrl"].rpartition("/")[2] + "?lang=en").text
    assert "Origin certified by" not in page
    signed_in("merchant").get("/papers/new/listing?product=00000000-0000-4000-8000-000000000000", status=404)
