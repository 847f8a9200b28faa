"""Products: who may keep them, twins, and what becomes of those that are retired; and the search for HS codes."""

from decimal import Decimal

import pytest

from backend.domain.errors import Invalid, NotAllowed, NotFound, StaleVersion
from backend.services import products
from backend.services.products import Heading, ProductTwin, words_of

LAMP = {"name": "Desk lamp", "hsCode": "940521", "description": "A lamp of steel", "model": "MS-L8"}


def add(installation, who=None, **changes):
    return products.add_product(installation.ctx, who or installation.merchant, LAMP | changes)


def faults(call):
    with pytest.raises(Invalid) as refused:
        call()
    return dict(refused.value.problems)


@pytest.mark.parametrize("gtin", ["96385074", "036000291452", "6901234567892", "16901234567899"])
def test_gtin_of_each_length_is_taken(installation, gtin):
    assert add(installation, gtin=gtin).gtin == gtin


@pytest.mark.parametrize("gtin", ["96385075", "036000291453", "6901234567893", "16901234567890"])
def test_gtin_with_wrong_digit_is_refused(installation, gtin):
    assert "check digit" in faults(lambda: add(installation, gtin=gtin))["gtin"]


@pytest.mark.parametrize("changes", [{"model": "ms l8"}, {"model": None, "gtin": "0036000291452"}])
def test_twin_is_refused_by_name(installation, changes):
    """However a model is written, and in whichever length a bar code."""
    first = add(installation, gtin="036000291452")
    with pytest.raises(ProductTwin) as refused:
        add(installation, **changes)
    assert refused.value.values["product_id"] == first.id
    assert add(installation, installation.rival, **changes).merchant.id == installation.rival.organisation.id


def test_retired_product_leaves_its_model_free(installation):
    first = add(installation)
    products.retire_product(installation.ctx, installation.merchant, first.id, 1)
    second = add(installation)
    with installation.ctx.work(reading=True) as work:
        offered = work.products.of(installation.merchant.organisation, in_use=True)
        all_of_them = work.products.of(installation.merchant.organisation)
    assert second.id in {one.id for one in offered}
    assert first.id not in {one.id for one in offered}
    assert first.id in {one.id for one in all_of_them}
    with pytest.raises(ProductTwin):
        products.restore_product(installation.ctx, installation.merchant, first.id, 2)
    products.retire_product(installation.ctx, installation.merchant, second.id, 1)
    assert products.restore_product(installation.ctx, installation.merchant, first.id, 2).retired_at is None


def test_product_is_changed_once_per_version(installation):
    made = add(installation, netWeight="0.8", grossWeight="1.2", consignee={"name": "Lim", "countryCode": "SG"})
    fields = LAMP | {"name": "Lamp of brass", "netWeight": "0.9"}
    changed = products.change_product(installation.ctx, installation.merchant, made.id, fields, 1)
    assert (changed.name, changed.version, Decimal(changed.net_weight)) == ("Lamp of brass", 2, Decimal("0.9"))
    assert (changed.gross_weight, changed.consignee) == (None, None)
    with pytest.raises(StaleVersion):
        products.change_product(installation.ctx, installation.merchant, made.id, fields, 1)


def test_net_weight_above_gross_is_refused(installation):
    assert "grossWeight" in faults(lambda: add(installation, netWeight="2", grossWeight="1"))


@pytest.mark.parametrize("act", [products.retire_product, products.restore_product])
def test_anothers_product_is_not_found(installation, act):
    made = add(installation)
    with pytest.raises(NotFound):
        act(installation.ctx, installation.rival, made.id, 1)
    with pytest.raises(NotFound):
        products.change_product(installation.ctx, installation.rival, made.id, LAMP, 1)


@pytest.mark.parametrize("who", ["chamber", "officer", "authority"])
def test_only_merchants_keep_products(installation, who):
    with pytest.raises(NotAllowed):
        add(installation, installation.people[who])


@pytest.fixture
def nomenclature(installation):
    products.fill_nomenclature(installation.ctx)
    products.import_nomenclature(installation.ctx, [Heading("940521", "", "台灯、床头灯或落地灯，LED 光源")])
    return lambda asked: [one.code for one in products.find_headings(installation.ctx, asked, 100)]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("台灯", "940521"),
        ("LED台灯", "940521"),
        ("lamps table", "940521"),
        ("vacuum flas", "961700"),
        ("T-shirts cotton", "610910"),
        ("9405.21", "940521"),
        ("9405", "940521"),
    ],
)
def test_code_is_found_by_words_or_digits(nomenclature, asked, code):
    assert code in nomenclature(asked)


@pytest.mark.parametrize("asked", ["", "  ", "。", "zzzz", "台灯 zzzz", "%", "0000"])
def test_words_that_nothing_holds_find_nothing(nomenclature, asked):
    assert nomenclature(asked) == []


def test_imported_texts_keep_the_others(installation, nomenclature):
    products.import_nomenclature(
        installation.ctx, products.read_nomenclature("编码,名称\n9405.2100.90,其他台灯\n".encode("gbk"))
    )
    assert nomenclature("其他台灯") == ["9405210090"]
    assert "940521" in nomenclature("table lamps")
    with installation.ctx.work(reading=True) as work:
        texts = {code: (text, local) for code, text, local in work.nomenclature.all()}
    assert all(texts["940521"])


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("code,en\n94x,Lamps\n940521,Lamps\n", "2"),
        ("code,en\n940521,Lamps\n940511,\n", "3"),
        ("a,b\n1,2\n", "1"),
        ("code,en\n", "1"),
        ("", "1"),
    ],
)
def test_wrong_table_names_its_line(table, line):
    assert line in faults(lambda: products.read_nomenclature(table.encode()))


def test_words_are_found_in_their_singular():
    assert words_of("Lamps, of glass; bodies & boxes 台灯架") == {"lamp", "glass", "body", "box", "台灯", "灯架"}
