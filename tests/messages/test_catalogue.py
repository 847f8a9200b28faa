"""Each language's file has every text of ours, and no other."""

import importlib
import pkgutil
import re
from functools import cache

import pytest
from babel.messages.pofile import read_po
from markupsafe import Markup
from pydantic import BaseModel, ValidationError

import backend
from backend.domain import errors
from backend.domain.errors import Message
from backend.domain.fields import what
from backend.domain.kinds import KINDS
from backend.messages.catalogue import FOLDER, SOURCE, gettext, languages, ngettext, say
from backend.web.presentation.languages import template_text
from tests.helpers import texts

TRANSLATIONS = [language for language in languages() if language != SOURCE]
NOT_NEEDED = {"expected_plural", "field_type"}
"""What pydantic's English has and other languages may leave out."""


def load_all():
    """Import every module, so that every error and every model of ours is known."""
    for module in pkgutil.walk_packages(backend.__path__, "backend."):
        if "migrations" not in module.name:
            importlib.import_module(module.name)


@cache
def used():
    load_all()
    return (
        texts.of_code()
        | texts.of_templates()
        | texts.of_tables()
        | texts.of_pydantic(models())
        | texts.of_werkzeug()
        | texts.of_click()
        | texts.of_commands()
    )


def models():
    def below(kind):
        return [found for sub in kind.__subclasses__() for found in (sub, *below(sub))]

    return [model for model in below(BaseModel) if model.__module__.startswith("backend.")]


def entries(language):
    """(context, text) and what stands for it, plural forms included."""
    with (FOLDER / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    found = {}
    for message in catalogue:
        if message.id:
            text = message.id if isinstance(message.id, str) else message.id[0]
            found[message.context, text] = message.string if isinstance(message.string, str) else message.string[0]
    return found


def placeholders(text):
    return set(re.findall(r"%\((\w+)\)|\{(\w+)(?:!r)?\}", text))


def missing_from(found, wanted):
    return sorted(f"{context}: {text}" for context, text in wanted if not found.get((context, text)))


def test_the_sources_are_read():
    assert len(used()) > 1500
    assert (None, "no such declaration") in used()
    assert (None, "is missing or longer than 2,000 characters") in used()
    assert ("check", "Signature") in used()


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_text_is_translated(language):
    assert missing_from(entries(language), used()) == []


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_no_translation_is_left_of_a_text_gone(language):
    assert sorted(f"{context}: {text}" for context, text in entries(language).keys() - used()) == []


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_translations_keep_their_placeholders(language):
    def names(text):
        return {name for pair in placeholders(text) for name in pair if name} - NOT_NEEDED

    assert [text for (_, text), said in entries(language).items() if names(text) != names(said)] == []


@pytest.mark.parametrize(
    "source",
    [
        'click.echo(_("A planted text"))',
        'gettext("A planted text", language)',
        'ngettext("A planted text", "Planted texts", 2, language)',
        'raise Conflict("A planted text", record=7)',
        'raise Invalid("is known", [("field", "A planted text")])',
        'raise fault("planted", "A planted text", code=code)',
        'why = Message("A planted text")',
    ],
)
def test_planted_text_without_translation_is_missed(source):
    load_all()
    found = texts.in_source(source, texts.error_classes())
    assert (None, "A planted text") in found
    assert "None: A planted text" in missing_from(entries("zh"), found)


def test_merchant_and_officer_texts_avoid_technical_words():
    machinery = re.compile(r"\b(hash|merkle|gas|wallet)\b|哈希|默克尔|钱包", re.IGNORECASE)
    shown = texts.of_templates() | texts.of_tables() | texts.of_code(texts.ROOT / "web")
    said = entries("zh")
    assert [key for key in shown for text in (key[1], said.get(key, "")) if machinery.search(text)] == []


def test_plural_follows_the_language():
    assert [ngettext("{count} value", "{count} values", count, "en") for count in (1, 2)] == ["1 value", "2 values"]
    assert ngettext("{count} value", "{count} values", 1, "zh") == "1 项"


def test_error_is_said_with_values_in_any_language():
    error = errors.Conflict("a declaration that is {status} cannot become {wanted}", status="LODGED", wanted="SEIZED")
    assert str(error) == say(error, "en") == "a declaration that is LODGED cannot become SEIZED"
    assert say(error, "zh") == "状态为 LODGED 的报关单不能变为 SEIZED"


def test_message_inside_a_message_is_said_too():
    inner = Message("nested deeper than {most} levels", most=64)
    assert gettext("nothing was stored: {error}", "zh", error=inner) == "未保存任何内容：嵌套超过 64 层"


def test_value_that_looks_like_a_placeholder_stays():
    assert str(Message("{name} is missing: {why}", name="{why}", why="x")) == "{why} is missing: x"


FAULTY = [
    {},
    {"issueDate": "x", "hsCode": "1", "quantity": "1.23456", "originCountry": "ZZ", "exporter": 5, "attachments": {}},
    {"issueDate": 5, "quantity": "-1", "conforms": "yes", "items": "x", "results": [], "totalAmount": "1" * 40},
    {"description": "x" * 10_000, "unexpected": 1, "exporter": {"name": ""}, "paidDateTime": "2026-01-01T00:00:00"},
]


@pytest.mark.parametrize("fields", FAULTY)
def test_message_of_a_fault_is_pydantics_own(fields):
    for model in (stated.model for stated in KINDS.values()):
        try:
            model.model_validate(fields)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False):
                if fault["type"] not in ("missing", "extra_forbidden"):
                    assert what(fault) == fault["msg"]
                assert (None, what(fault).template) in used()


def test_template_text_escapes_what_fills_it():
    assert template_text("%(what)s, 5 %%", what="<i>") == "&lt;i&gt;, 5 %"
    assert template_text("5 %% <b>") == "5 % <b>"
    assert isinstance(template_text("Desk"), Markup)
    with pytest.raises(KeyError):
        template_text("%(what)s")
