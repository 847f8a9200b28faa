"""Looks texts up in the translators' own files (.po): there is no compiled copy that could be stale."""

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.domain.errors import Message, TraceabilityError, filled

if TYPE_CHECKING:
    from babel.support import NullTranslations

Language = str
"""The code of a language that the catalogue has, such as zh."""
SOURCE: Language = "en"
"""The language in which texts stand in the code: each is its own key."""
FOLDER = Path(__file__).parent


def languages() -> tuple[Language, ...]:
    """The languages that texts are there in: those of the folder, then the code's own."""
    return _languages(FOLDER)


@cache
def _languages(folder: Path) -> tuple[Language, ...]:
    return (*sorted(file.parts[-3] for file in folder.glob("*/LC_MESSAGES/messages.po")), SOURCE)


def known(code: str) -> Language | None:
    """The language of a tag such as zh-CN or zh_CN.UTF-8, where the catalogue has it."""
    wanted = code.replace("_", "-").partition("-")[0].partition(".")[0].lower()
    return wanted if wanted in languages() else None


def translations(language: Language) -> "NullTranslations":
    """The catalogue of a language; what it lacks, and the code's own language, comes out as it stands in the code."""
    return _read(FOLDER, language)


@cache
def _read(folder: Path, language: Language) -> "NullTranslations":
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po
    from babel.support import NullTranslations, Translations

    source = folder / language / "LC_MESSAGES" / "messages.po"
    if not source.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with source.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(compiled)


def gettext(text: str, language: Language, /, **values: Any) -> str:
    """A text in a language, with its ``{values}``; each is said in that language too, where it is a text of ours."""
    # The code's own language needs no catalogue: verifying in English loads no babel.
    found = text if language == SOURCE or not text else str(translations(language).gettext(text))
    return filled(found, {name: _said(value, language) for name, value in values.items()})


def pgettext(context: str, text: str, language: Language) -> str:
    """A word that means several things, in the sense of its context."""
    return text if language == SOURCE else str(translations(language).pgettext(context, text))


def name_in(names: Mapping[Language, str], context: str, language: Language) -> str:
    """The name in a language of something that brings names along; where it lacks that one, the catalogue's."""
    return names.get(language) or pgettext(context, names[SOURCE], language)


def ngettext(one: str, several: str, count: int, language: Language, /, **values: Any) -> str:
    """A text that depends on a number, which fills ``{count}``."""
    if language == SOURCE:
        found = one if count == 1 else several
    else:
        found = str(translations(language).ngettext(one, several, count))
    return filled(found, {"count": count, **values})


def say(text: object, language: Language) -> str:
    """An error, a message or a bare text of ours in a language; what the catalogue does not have stays as it is."""
    if isinstance(text, TraceabilityError):
        return say(text.message, language)
    if isinstance(text, Message):
        return gettext(text.template, language, **text.values)
    return gettext(str(text), language)


def _said(value: Any, language: Language) -> Any:
    return say(value, language) if isinstance(value, Message | TraceabilityError) else value
