"""Which language the reader of a terminal wants, and click's own words in it."""

import gettext as standard
import os
from atexit import register
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from backend.messages import catalogue
from backend.messages.catalogue import SOURCE, Language, known, say

_ENVIRONMENT = ("LC_ALL", "LC_MESSAGES", "LANG")
"""As POSIX orders them: the first that says anything decides."""
_chosen: ContextVar[Language | None] = ContextVar("language", default=None)


def language() -> Language:
    """The language chosen by option, else the one that the environment speaks, else English."""
    said = next((os.environ[name] for name in _ENVIRONMENT if os.environ.get(name)), "")
    return _chosen.get() or known(said) or SOURCE


def _(text: str, /, **values: Any) -> str:
    """A text in the reader's language."""
    return catalogue.gettext(text, language(), **values)


def said(error: object) -> str:
    """What an error of ours says, in the reader's language."""
    return say(error, language())


def speak(code: Language | None) -> None:
    """Speak this language from now on; None: the environment's. Click's own messages follow."""
    _chosen.set(code)
    # Click asks the standard library, which reads compiled catalogues only, by the environment's languages.
    os.environ["LANGUAGE"] = language()
    if language() != SOURCE:
        standard.bindtextdomain("provenport", _compiled(language()))
        standard.textdomain("provenport")


@cache
def _compiled(code: Language) -> str:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    folder = TemporaryDirectory(prefix="provenport-")
    register(folder.cleanup)
    target = Path(folder.name) / code / "LC_MESSAGES" / "provenport.mo"
    target.parent.mkdir(parents=True)
    source = catalogue.FOLDER / code / "LC_MESSAGES" / "messages.po"
    with source.open("rb") as texts, target.open("wb") as compiled:
        write_mo(compiled, read_po(texts, locale=code))
    return folder.name


class LanguageType(click.ParamType[Language]):
    """A language that the catalogue has."""

    name = "language"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Language:
        """Its code."""
        if value not in catalogue.languages():
            self.fail(
                _("{value} is none of {known}", value=repr(value), known=", ".join(catalogue.languages())), param, ctx
            )
        return str(value)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The codes, as help shows them."""
        return f"[{'|'.join(sorted(catalogue.languages()))}]"


def _speak(ctx: click.Context, param: click.Parameter, value: Language | None) -> Language:
    speak(value)
    return language()


language_option = click.option(
    "--language",
    "--lang",
    "language",
    type=LanguageType(),
    is_eager=True,
    callback=_speak,
    help="Language of the sentences; without it, the environment's.",
)
