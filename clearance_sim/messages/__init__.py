"""Every text in the reader's language.

English stands in the code and is the message id. Every other language is one catalogue beside this module,
`LANGUAGE/LC_MESSAGES/messages.po`, read as it is: there is no compiled copy that could be stale, and a further language
is one further file. Texts hold placeholders of `str.format`, such as `{hours:g}`.
"""

import functools
import gettext as standard
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
SOURCE_LANGUAGE = "en"
LANGUAGES = (SOURCE_LANGUAGE, *sorted(path.parents[1].name for path in _FOLDER.glob("*/LC_MESSAGES/messages.po")))
_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""Where gettext looks for the reader's language, in this order."""

Json = Mapping[str, str]
"""A text by language code, as results and scenario files hold it."""


@dataclass(frozen=True)
class Message:
    """A text that is put into a language when it is shown; values may be messages or texts by language themselves."""

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    context: str = ""
    """Tells apart texts that are alike in English only."""

    def in_language(self, code: str) -> str:
        """Return the text in one language; in English where its catalogue lacks it."""
        values = {name: _in_language(value, code) for name, value in self.values.items()}
        return _translated(self.text, self.context, code).format(**values)

    def in_all_languages(self) -> dict[str, str]:
        """Return the text by language code, as results hold it."""
        return {code: self.in_language(code) for code in LANGUAGES}

    def __str__(self) -> str:
        return self.in_language(language())

    def __format__(self, specification: str) -> str:
        return format(str(self), specification)


def _(text: str, /, **values: Any) -> Message:
    """Return a message to be translated."""
    return Message(text, values)


def pgettext(context: str, text: str, /, **values: Any) -> Message:
    """Return a message whose translation depends on the context."""
    return Message(text, values, context)


def sentences(parts: Iterable[Message]) -> Message:
    """Return sentences one after the other, with whatever a language puts between them."""
    return functools.reduce(lambda first, second: _("{first} {second}", first=first, second=second), parts)


def text_in(given: Any, code: str) -> str:
    """Return a text by language in one language, else in English, else in any; a plain string as it is."""
    if isinstance(given, Mapping):
        return str(given.get(code) or given.get(SOURCE_LANGUAGE) or next(iter(given.values()), ""))
    return "" if given is None else str(given)


def _in_language(value: Any, code: str) -> Any:
    if isinstance(value, Message):
        return value.in_language(code)
    return text_in(value, code) if isinstance(value, Mapping) else value


def language() -> str:
    """Return the reader's language by the environment; English where it names none that there is."""
    chosen = next((value for name in _VARIABLES if (value := os.environ.get(name))), "")
    code = chosen.split(":")[0].split(".")[0].split("_")[0].lower()
    return code if code in LANGUAGES else SOURCE_LANGUAGE


@contextmanager
def spoken(code: str) -> Iterator[None]:
    """Show everything in one language for a while: our texts, and click's, which come from the standard library."""
    before, domain = os.environ.get("LANGUAGE"), standard.textdomain()
    os.environ["LANGUAGE"] = code
    if code != SOURCE_LANGUAGE:
        standard.bindtextdomain("clearance-sim", _compiled_folder(code).name)
        standard.textdomain("clearance-sim")  # another program in this process may have named its own
    try:
        yield
    finally:
        standard.textdomain(domain)
        if before is None:
            del os.environ["LANGUAGE"]
        else:
            os.environ["LANGUAGE"] = before


def language_tag(code: str) -> str:
    """Return the tag that pages and PDF files carry, such as `zh-Hans`: the language that the catalogue names."""
    if code == SOURCE_LANGUAGE:
        return code
    return str(_source(code).locale or code).replace("_", "-")


def translated(text: str, code: str | None = None) -> str:
    """Return a text without placeholders in a language, by default the reader's."""
    return _translated(text, "", code or language())


def _translated(text: str, context: str, code: str) -> str:
    if code == SOURCE_LANGUAGE:
        return text
    catalogue = _catalogue(code)
    return catalogue.pgettext(context, text) if context else catalogue.gettext(text)


@cache
def _source(code: str) -> Any:
    # Only for readers of another language: babel takes a moment to load.
    from babel.messages.pofile import read_po

    with (_FOLDER / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file)


@cache
def _catalogue(code: str) -> standard.NullTranslations:
    return standard.GNUTranslations(io.BytesIO(_compiled(code)))


def _compiled(code: str) -> bytes:
    from babel.messages.mofile import write_mo

    out = io.BytesIO()
    write_mo(out, _source(code))
    return out.getvalue()


@cache
def _compiled_folder(code: str) -> tempfile.TemporaryDirectory[str]:
    """Write the catalogue where the standard library's gettext reads it; it is gone when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="clearance-sim-")
    place = Path(folder.name, code, "LC_MESSAGES")
    place.mkdir(parents=True)
    (place / "clearance-sim.mo").write_bytes(_compiled(code))
    return folder
