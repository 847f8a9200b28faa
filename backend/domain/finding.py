"""The words by which records and HS codes are found, and what is looked for in a search box."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from backend.domain.errors import Invalid

if TYPE_CHECKING:
    from backend.domain.records import RecordOnFile

_HAN = re.compile(r"[\u3400-\u9fff]+")
_WORD = re.compile(r"[a-z0-9]+")
_NOT_IN_CODES = re.compile("[^0-9a-z]+")
_EMPTY_WORDS = frozenset(
    {"a", "an", "and", "the", "of", "or", "for", "in", "to", "with", "by", "on", "as", "n", "e", "c"}
)
_LONGEST_WORD = 40
_ALSO_CALLED = {
    "luminaire": "lamp",
    "telephone": "phone",
    "footwear": "shoe",
    "garment": "clothes",
    "spectacle": "glasses",
    "trunk": "luggage",
}
"""What traders call what the nomenclature has a word of its own for."""
MOST_WORDS = 60
"""By which one record is found; what a long description says beyond that finds nothing."""
_NUMBERS = ("Reference", "Number", "hsCode")
_OTHERS = ("consignee", "buyer", "payer", "carrier")
"""Parties other than the holder, whom a merchant looks for."""
_TEXTS = ("description", "itemDescription", "itemIdentification", "platformName", "carrierName", "botanicalName")


def words_of(text: str) -> set[str]:
    """Return the words by which a text is found: English ones in their singular, and each two Chinese characters."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    found = {_singular(word)[:_LONGEST_WORD] for word in _WORD.findall(plain) if word not in _EMPTY_WORDS}
    found |= {_ALSO_CALLED[word] for word in found & _ALSO_CALLED.keys()}
    for run in _HAN.findall(plain):
        found.update(run[n : n + 2] for n in range(max(1, len(run) - 1)))
    return found


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def plain_code(text: str) -> str:
    """Return a number or code without differences of copying: case, width, spaces, hyphens and slashes."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    if plain.isascii():  # nearly always, and ten times as fast
        return _NOT_IN_CODES.sub("", plain)[:_LONGEST_WORD]
    return "".join(c for c in plain if c.isalnum())[:_LONGEST_WORD]


def words_of_record(record: "RecordOnFile") -> set[str]:
    """Return the words by which a record is found: its numbers, HS codes, other parties, goods and product."""
    try:
        fields = record.fields
    except Invalid:
        return set()  # an altered text is found by nobody
    found = [word for text in _texts_of(fields) for word in sorted(text)]
    if record.product is not None:
        product = record.product
        found += sorted(words_of(f"{product.name} {product.local_name or ''}"))
        found += [plain_code(code) for code in (product.model, product.gtin) if code]
    return set(list(dict.fromkeys(word for word in found if word))[:MOST_WORDS])


def _texts_of(fields: Mapping[str, Any]) -> Iterator[set[str]]:
    for name, value in fields.items():
        if isinstance(value, str) and name.endswith(_NUMBERS):
            # The parts too, so that the last digits of a number are enough; of an HS code its first four and six.
            parts = (value[:4], value[:6]) if name == "hsCode" else re.split(r"[^0-9A-Za-z]+", value)
            yield {plain_code(value), *map(plain_code, parts)}
        elif name in _OTHERS and isinstance(value, dict):
            yield words_of(str(value.get("name", "")))
        elif name in _TEXTS and isinstance(value, str):
            yield words_of(value)
        elif name == "items" and isinstance(value, list):
            for line in value:
                yield from _texts_of(line)


def words_asked(text: str) -> list[str]:
    """Return the words that a record must all have, for what was typed: numbers with or without their hyphens."""
    found: dict[str, None] = {}
    for token in text.split():
        is_number = any(c.isdigit() for c in token) and not _HAN.search(token)
        found.update(dict.fromkeys([plain_code(token)] if is_number else sorted(words_of(token))))
    return [word for word in found if word][:12]
