"""Every kind of record is complete: whatever is left out of one is named here, and nothing is left out in silence."""

import re
import runpy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from backend.domain import schemas
from backend.domain.errors import Invalid
from backend.domain.fields import Document
from backend.domain.interop.field_help import MEANINGS, meaning_of, needed_for
from backend.domain.kinds import (
    ISSUERS,
    KINDS,
    Audience,
    Kind,
    RecordKind,
    Signing,
    accreditation_bits,
    certified_by,
    signed_by,
)
from backend.domain.parties import Role
from backend.domain.records import document_of
from backend.messages.catalogue import SOURCE, gettext, languages
from backend.web.api.records import blueprint
from backend.web.forms.record_forms import form_for
from backend.web.presentation.field_names import has_name
from tests.helpers.builders import FIELDS
from verifier import FOLDER

ROOT = Path(__file__).parents[2]
BITS = 8
"""An accreditation on the ledger keeps its kinds in a uint8 (contracts/src/IAccreditation.sol)."""
NUMBERS = range(1, 256)
"""A kind is the first byte of an entry."""


@cache
def verify_py() -> dict[int, tuple[str, int, int, bool]]:
    return runpy.run_path(str(FOLDER / "verify.py"))["KINDS"]  # type: ignore[no-any-return]


@cache
def page() -> dict[int, tuple[str, int, int, bool]]:
    """The same table in the verifier of one HTML file."""
    text = (FOLDER / "verifier.html").read_text(encoding="utf-8")
    table = text.partition("const KINDS = {")[2].partition("};")[0]
    rows = re.findall(r'(\d+): \["(\w+)", (\d), (\d), (true|false)\]', table)
    return {int(number): (name, int(segment), int(bit), by == "true") for number, name, segment, bit, by in rows}


def documented(stated: RecordKind) -> Iterator[str]:
    row = f"| `{stated.kind.slug}` | {stated.kind.value} | {', '.join(sorted(stated.signed_by))} |"
    if row not in (ROOT / "docs" / "schemas.md").read_text(encoding="utf-8"):
        yield f"docs/schemas.md has no row {row}"
    terms = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    named = (stated.kind.slug.replace("-", " "), gettext(stated.names, "zh"))
    if any(f"| {name} |" not in terms for name in named):
        yield "docs/glossary.md does not name it, or not in Chinese"


def _is_said(text: str, language: str) -> bool:
    return bool(text) and (language == SOURCE or gettext(text, language) != text)


def worded(stated: RecordKind) -> Iterator[str]:
    words = {"names": stated.names, "help": stated.help}
    if stated.certification:
        words |= {"signer": stated.certification.signer, "sentence": stated.certification.label_text}
    for what, names in words.items():
        yield from (f"{what} has no words in {language}" for language in languages() if not _is_said(names, language))
    if stated.certification and any(
        "{issuer}" not in gettext(stated.certification.label_text, one) for one in languages()
    ):
        yield "the sentence of its label does not name the issuer"
    yield from (f"{name} has no name for people" for name in stated.every_field if not has_name(name))


def fields_exist(stated: RecordKind) -> Iterator[str]:
    known = set(stated.every_field)
    named = {stated.number_field, *stated.words} | ({stated.merchant_field} if stated.merchant_field else set())
    if stated.certification:
        named |= {*stated.certification.from_product.values(), *stated.certification.set_by_issuer}
    named |= {name for names in stated.shown_to.values() for name in names}
    named |= {"hsCode"} if stated.is_bound_to_chapters else set()
    yield from (f"{name} is no field of its model" for name in sorted(named - known))
    if not stated.shown_to:
        yield "nobody is shown any of its fields"
    if stated.signing is Signing.CERTIFIED and Audience.PUBLIC_LABEL not in stated.shown_to:
        yield "it is certified and says nothing on its label"


def signable(stated: RecordKind) -> Iterator[str]:
    if not stated.signed_by:
        yield "nobody may sign it"
    if (stated.signing is Signing.CERTIFIED) != (stated.certification is not None):
        yield "it is certified without its words for it, or has them without being certified"
    if (stated.signing is Signing.CERTIFIED) == (Role.MERCHANT in stated.signed_by):
        yield "a merchant may sign what is certified, or may not sign what is its own"
    if stated.accreditation_bit not in range(BITS):
        yield f"no accreditation has bit {stated.accreditation_bit}"
    if stated.kind.value not in NUMBERS:
        yield f"{stated.kind.value} does not fit into the first byte of an entry"
    others = [one for one in KINDS.values() if one.kind is not stated.kind]
    same = {one.kind for one in others if one.accreditation_bit == stated.accreditation_bit}
    owner = stated.shares_bit_with
    if owner is None and any(KINDS[kind].shares_bit_with is not stated.kind for kind in same):
        yield f"its accreditation bit is that of {', '.join(kind.slug for kind in same)}"
    if owner is not None and KINDS[owner].accreditation_bit != stated.accreditation_bit:
        yield f"it says that it shares the bit of {owner.slug}, and has another"


def offered(stated: RecordKind) -> Iterator[str]:
    if stated.signing is not Signing.LODGED and stated.collection not in posted():
        yield "no operation of the interface signs it"
    if not stated.operation:
        yield "its operation has no summary"
    if stated.without_form is None:
        try:
            form_for(stated.kind)
        except LookupError as error:
            yield f"no form can be made from its model: {error}"
    if stated.without_import is None:
        given = {stated.merchant_field} if stated.signing is Signing.LODGED else set()  # by who lodges it
        required = [info.alias or name for name, info in stated.model.model_fields.items() if info.is_required()]
        needed = [one for name in required if name not in given for one in needed_for(stated.kind, name)]
        unknown = [name for name in needed if meaning_of(name).text == name]
        yield from (f"an importer is not told what {name} means" for name in unknown)


@cache
def posted() -> frozenset[str]:
    from flask import Flask

    app = Flask("interface")
    app.register_blueprint(blueprint)
    return frozenset(rule.rule.rsplit("/", 1)[1] for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ()))


def readable(stated: RecordKind) -> Iterator[str]:
    if not issubclass(stated.model, Document):
        yield "its model is no Document"
    fields = FIELDS[stated.kind]() if stated.kind in FIELDS else {}
    for what, given in (("the tests' fields", fields), ("its example", dict(stated.example))):
        whole = {"merchant": {"name": "-"}, **given} if stated.signing is Signing.LODGED else given
        try:
            stated.model.model_validate(whole)
        except ValueError as error:
            yield f"{what} are no such document: {error}"
    file = schemas.FOLDER / f"{stated.kind.slug}-v{stated.schema_version}.json"
    if not file.exists():
        yield f"{file.name} was not published"


def verifiable(stated: RecordKind) -> Iterator[str]:
    row = (stated.credential_type, int(stated.segment), stated.accreditation_bit, stated.is_bound_to_chapters)
    for name, table in (("verify.py", verify_py()), ("verifier.html", page())):
        if table.get(stated.kind.value) != row:
            yield f"verifier/{name} says {table.get(stated.kind.value)} of it, not {row}"


ASPECTS = (readable, worded, fields_exist, signable, offered, verifiable, documented)


def omissions(stated: RecordKind) -> list[str]:
    """What is left out of a kind, in words."""
    return [f"{stated.kind.slug}: {one}" for aspect in ASPECTS for one in aspect(stated)]


@pytest.mark.parametrize("kind", Kind)
def test_kind_leaves_nothing_out(kind):
    assert kind in KINDS, f"no module states {kind.slug}: add it to backend/domain/kinds"
    assert omissions(KINDS[kind]) == []


PLANTED = {
    "nobody may sign it": {"signed_by": frozenset()},
    "its accreditation bit is that of": {"accreditation_bit": 4},
    "no accreditation has bit 8": {"accreditation_bit": 8},
    "no words in zh": {"names": "A certificate of nothing"},
    "number is no field of its model": {"number_field": "number"},
    "merchant may sign what is certified": {"signed_by": frozenset({Role.MERCHANT})},
    "certified without its words": {"certification": None},
    "secret is no field of its model": {"shown_to": {Audience.PUBLIC_LABEL: ("secret",)}},
    "says nothing on its label": {"shown_to": {Audience.BUYER: ("hsCode",)}},
    "-v9.json was not published": {"schema_version": 9},
    "its example are no such document": {"example": {}},
    "no operation of the interface signs it": {"collection": "elsewhere"},
    "verifier/verify.py says": {"is_bound_to_chapters": False},
    "verifier/verifier.html says": {"is_bound_to_chapters": False},
    "docs/schemas.md has no row": {"signed_by": frozenset({Role.OFFICER})},
    "docs/glossary.md does not name it": {"names": "Invoice of nothing"},
}


@pytest.mark.parametrize(("told", "changes"), PLANTED.items(), ids=PLANTED)
def test_kind_left_incomplete_is_named(told, changes):
    incomplete = replace(KINDS[Kind.CERTIFICATE_OF_ORIGIN], **changes)
    assert any(told in one for one in omissions(incomplete)), omissions(incomplete)


def test_field_without_words_is_named():
    class Unworded(KINDS[Kind.INVOICE].model):
        odd_field: str = ""

    assert "invoice: oddField has no name for people" in omissions(replace(KINDS[Kind.INVOICE], model=Unworded))


def test_numbers_and_addresses_are_each_given_once():
    for values in ([one.collection for one in KINDS.values()], [one.credential_type for one in KINDS.values()]):
        assert len(set(values)) == len(Kind)


@pytest.mark.parametrize("role", Role)
def test_role_has_names_in_every_language(role):
    assert all(_is_said(role.names, language) for language in languages())


@pytest.mark.parametrize("role", Role)
def test_role_may_sign_what_kinds_say(role):
    signs = {kind for kind, stated in KINDS.items() if role in stated.signed_by}
    assert signed_by(role) == signs
    assert certified_by(role) == {kind for kind in signs if KINDS[kind].signing is Signing.CERTIFIED}
    assert (role in ISSUERS) == bool(certified_by(role))
    bits = {KINDS[kind].accreditation_bit for kind in signs}
    assert accreditation_bits(role) == sum(1 << bit for bit in bits)


def test_no_template_decides_by_a_number():
    """A kind's number in a template is a rule that nobody finds."""
    numbered = re.compile(r"\bkind\b[^%}]*?(==|!=|\bin)\s*\(?\s*\d")
    templates = sorted((ROOT / "backend" / "web" / "templates").rglob("*.html"))
    assert [file.name for file in templates if numbered.search(file.read_text(encoding="utf-8"))] == []
    assert numbered.search("{% if record.kind == 3 %}")
    assert numbered.search("{% if record.kind in (1, 2) and x %}")


def test_no_module_lists_issuers_by_hand():
    """Only kinds say who issues: a list elsewhere leaves the next issuer out in silence."""
    listed = re.compile(r"Role\.(CHAMBER|LABORATORY|PLANT_PROTECTION)")
    own = {ROOT / "backend" / "domain" / "parties.py", ROOT / "backend" / "runtime" / "demo.py"}
    kinds = ROOT / "backend" / "domain" / "kinds"
    others = [file for file in (ROOT / "backend").rglob("*.py") if file not in own and kinds not in file.parents]
    assert len(others) > 100
    assert [str(file) for file in others if listed.search(file.read_text(encoding="utf-8"))] == []
    assert listed.search("_HOLDERS = (Role.MERCHANT, Role.CHAMBER)")


def test_what_an_importer_is_told_is_told_once():
    own = {name for stated in KINDS.values() for name in stated.words}
    assert own & set(MEANINGS) == set()


def test_document_of_no_kind_is_refused():
    with pytest.raises(Invalid):
        document_of(Kind.INVOICE, {"surplus": 1})
