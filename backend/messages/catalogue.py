"""Looks up texts in the translators' own files (.po), so that there is no compiled copy that could be outdated."""

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.domain.errors import Message, NameInLanguages, TraceabilityError, filled

if TYPE_CHECKING:
    from babel.support import NullTranslations

Language = str
"""The code of a language that the catalogue has, such as zh."""
SOURCE: Language = "en"
"""The language of the texts in the code, which are their own keys."""
FOLDER = Path(__file__).parent


def languages() -> tuple[Language, ...]:
    """Return the available languages: those of the folder, then the one of the code."""
    return _languages(FOLDER)


@cache
def _languages(folder: Path) -> tuple[Language, ...]:
    return (*sorted(file.parts[-3] for file in folder.glob("*/LC_MESSAGES/messages.po")), SOURCE)


def known(code: str) -> Language | None:
    """Return the catalogue's language for a tag such as zh-CN or zh_CN.UTF-8, or None."""
    wanted = code.replace("_", "-").partition("-")[0].partition(".")[0].lower()
    return wanted if wanted in languages() else None


def translations(language: Language) -> "NullTranslations":
    """Return the catalogue of a language. Texts that it lacks stay in English."""
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
    """Return a text in a language with its ``{values}``, which are translated too where they are messages."""
    # The code's own language needs no catalogue: verifying in English loads no babel.
    found = text if language == SOURCE or not text else str(translations(language).gettext(text))
    return filled(found, {name: _said(value, language) for name, value in values.items()})


def pgettext(context: str, text: str, language: Language) -> str:
    """Return the translation of a word with several meanings, in the given context."""
    return text if language == SOURCE else str(translations(language).pgettext(context, text))


def name_in(names: Mapping[Language, str], context: str, language: Language) -> str:
    """Return the name in a language of something that brings its names along, else the catalogue's translation."""
    return names.get(language) or pgettext(context, names[SOURCE], language)


def ngettext(one: str, several: str, count: int, language: Language, /, **values: Any) -> str:
    """Return a text that depends on a number, which fills ``{count}``."""
    if language == SOURCE:
        found = one if count == 1 else several
    else:
        found = str(translations(language).ngettext(one, several, count))
    return filled(found, {"count": count, **values})


def say(text: object, language: Language) -> str:
    """Return an error, a message or a plain text in a language; texts that the catalogue lacks stay unchanged."""
    if isinstance(text, TraceabilityError):
        return say(text.message, language)
    if isinstance(text, Message):
        return gettext(text.template, language, **text.values)
    return gettext(str(text), language)


def _said(value: Any, language: Language) -> Any:
    if isinstance(value, NameInLanguages):
        return value.in_language(language)
    return say(value, language) if isinstance(value, Message | TraceabilityError) else value
