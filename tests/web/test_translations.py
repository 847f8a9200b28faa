"""The Chinese pages are complete."""

import re
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import backend.web

WEB = Path(backend.web.__file__).parent
SOURCES = [("**.py", "python"), ("templates/**.html", "jinja2")]


@cache
def texts() -> set[str]:
    return {message for _file, _line, message, _comments, _context in extract_from_dir(WEB, SOURCES) if message}


def chinese() -> Catalog:
    with (WEB / "translations/zh/LC_MESSAGES/messages.po").open("rb") as file:
        return read_po(file, locale="zh")


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"%\((\w+)\)", text))


def test_every_page_text_has_a_chinese_translation():
    catalogue = chinese()
    assert sorted(text for text in texts() if not (catalogue.get(text) and catalogue.get(text).string)) == []


def test_translations_of_removed_texts_are_gone():
    assert sorted(str(message.id) for message in chinese() if message.id and message.id not in texts()) == []


def test_translations_keep_their_placeholders():
    wrong = [m.id for m in chinese() if m.id and placeholders(str(m.id)) != placeholders(str(m.string))]
    assert wrong == []


def test_merchant_and_officer_texts_avoid_technical_words():
    machinery = re.compile(r"\b(hash|merkle|gas|wallet)\b|哈希|默克尔|钱包", re.IGNORECASE)
    assert [text for m in chinese() for text in (str(m.id), str(m.string)) if machinery.search(text)] == []
