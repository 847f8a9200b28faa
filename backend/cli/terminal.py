"""The terminal: the reader's language, and output that may be full, closed, or unable to show some characters."""

import gettext as standard
import io
import json
import os
import sqlite3
import sys
from atexit import register
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING, Any, TextIO

import click

from backend.domain.errors import TraceabilityError
from backend.messages import catalogue
from backend.messages.catalogue import SOURCE, Language, known, say

if TYPE_CHECKING:
    from backend.domain.kinds import Kind
    from backend.services.ports import AppContext

JSON_HELP = "For machines."

# ---- the language

_ENVIRONMENT = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order of POSIX: the first one that is set decides."""
_chosen: ContextVar[Language | None] = ContextVar("language", default=None)
LANGUAGE_OPTIONS = ("--language", "--lang")


def language() -> Language:
    """Return the language chosen by option, else the environment's, or English if the terminal cannot show it."""
    said = next((os.environ[name] for name in _ENVIRONMENT if os.environ.get(name)), "")
    wanted = _chosen.get() or known(said) or SOURCE
    return wanted if _can_be_shown(wanted, getattr(sys.stdout, "encoding", None) or "utf-8") else SOURCE


def _can_be_shown(code: Language, encoding: str) -> bool:
    """Tell whether a terminal with this encoding can show a language."""
    try:
        catalogue.gettext("Show this message and exit.", code).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _(text: str, /, **values: Any) -> str:
    """Return a text in the reader's language, with values filled in."""
    return catalogue.gettext(text, language(), **values)


def said(error: object) -> str:
    """Return the message of one of our errors in the reader's language."""
    return say(error, language())


def speak(code: Language | None) -> None:
    """Set the language, or with None use the environment's. Click's own messages follow."""
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


def language_asked(arguments: Sequence[str]) -> Language | None:
    """Return the language that a command line asks for.

    It is read before click parses the command line, so that usage errors appear in that language too.
    """
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _sign, joined = option.partition("=")
        if name == "--":
            break
        if name in LANGUAGE_OPTIONS and (joined or value) in catalogue.languages():
            return joined or value
    return None


# ---- the installation


@contextmanager
def installation() -> "Iterator[AppContext]":
    """Open the data folder that DATA_DIR names. A server may be using it at the same time."""
    from backend.runtime.context import opened
    from backend.settings import Settings

    with opened(Settings.from_environment(os.environ), note) as ctx:
        yield ctx


def note(message: object) -> None:
    """Write a message to standard error, apart from the command's answer."""
    click.echo(said(message), err=True)


def as_argument(file: Path) -> str:
    """Return a file's name as it can be typed. One that starts with a dash must not read as an option."""
    return f"./{file}" if str(file).startswith("-") else str(file)


def kind_name(kind: "Kind") -> str:
    """Return the name of a kind of record in the reader's language."""
    from backend.domain.kinds import KINDS

    return _(KINDS[kind].names)


# ---- output

_IN_ASCII = {
    "→": "->", "–": "-", "—": "-", "…": "...", "“": '"', "”": '"', "‘": "'", "’": "'", "·": "-", "×": "x",
    "✓": "v", "✗": "x", "●": "+", "■": "x", "◐": "?", "○": "o", "\u00a0": " ",
}  # fmt: skip
"""ASCII forms of characters that a terminal's encoding may lack."""
DONE_BUT_NOT_TOLD = 3
"""The exit code of a command that did its work but could not report it."""


class OutputUnwritable(OSError):
    """Standard output is full or closed, or its reader is gone."""


class DoneButNotTold(click.ClickException):
    """The work was done, but its result could not be written to standard output."""

    exit_code = DONE_BUT_NOT_TOLD


class Output(io.TextIOBase):
    """A standard stream that may be closed or full, and whose encoding may lack characters.

    A write that fails raises OutputUnwritable if the stream is ``vital``. Otherwise the text is dropped, since nobody
    can be told.
    """

    def __init__(self, stream: TextIO | None, *, vital: bool) -> None:
        self._stream, self._vital = stream, vital
        self.is_lost = False

    @property
    def is_closed(self) -> bool:
        """Whether there is no stream at all, as after ``>&-`` in a shell."""
        return self._stream is None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """The stream's way with characters that its encoding lacks."""
        return getattr(self._stream, "errors", None) or "strict"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError("closed")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError("a text stream")
        if text:
            self._guarded(lambda stream: stream.write(self._writable_form(text)))
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            self._guarded(lambda stream: stream.flush())

    def can_write(self, text: str) -> bool:
        """Tell whether the encoding has every character of a text."""
        try:
            text.encode(self.encoding, self.errors)
        except UnicodeEncodeError:
            return False
        return True

    def _writable_form(self, text: str) -> str:
        if self.can_write(text):
            return text
        return "".join(sign if self.can_write(sign) else _IN_ASCII.get(sign, "?") for sign in text)

    def _guarded(self, act: Callable[[TextIO], object]) -> None:
        try:
            if self._stream is None:
                raise OSError(None, _("it is closed"))
            act(self._stream)
        except OSError as error:
            self.is_lost = True
            if self._vital:
                raise OutputUnwritable(error.errno, error.strerror or str(error)) from error


def fault_line(error: Exception) -> str | None:
    """Return one line on an error of ours or of the machine. None for a fault of the program."""
    if isinstance(error, TraceabilityError):
        return said(error)
    if isinstance(error, OutputUnwritable):
        return _("standard output cannot be written: {why}", why=error.strerror)
    if isinstance(error, OSError):
        return _("the system refuses, in its own words: “{words}”", words=error)
    if isinstance(error, UnicodeEncodeError):
        return _("something given is no text in this terminal's encoding: {why}", why=ascii(str(error)))
    fault = getattr(error, "orig", error)  # SQLAlchemy's bring the database's own
    # By name: the driver for PostgreSQL is not installed everywhere, and most commands need no database.
    if isinstance(fault, sqlite3.Error) or type(fault).__module__.partition(".")[0] == "psycopg":
        return _("the database cannot be used, in its own words: “{fault}”", fault=fault)
    return None


def require_output() -> None:
    """Refuse to start where standard output is closed, since what is shown once only would be lost.

    Raises:
        OutputUnwritable: Standard output is closed.
    """
    if sys.stdout is None or (isinstance(sys.stdout, Output) and sys.stdout.is_closed):
        raise OutputUnwritable(
            None, _("it is closed. Nothing was done; where you do not need what is said, send it to /dev/null")
        )


def require_folder(out: Path | None, option: str) -> None:
    """Refuse an output file, before any work, if its folder does not exist or is not writable.

    Raises:
        BadParameter: The file cannot be written.
    """
    try:
        if out is not None and not (out.is_file() and os.access(out, os.W_OK)):
            with TemporaryFile(dir=out.parent):
                pass
    except OSError as error:
        raise click.BadParameter(
            _("{out} cannot be written: {why}", out=out, why=error.strerror), param_hint=option
        ) from error


def is_text(text: str) -> bool:
    """Tell whether a text is free of surrogates, by which Python represents bytes that it could not decode."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


@contextmanager
def telling(done: str) -> Iterator[None]:
    """Report work that is ``done``. If the report cannot be written, standard error and the exit code tell so.

    Raises:
        DoneButNotTold: Standard output could not be written.
    """
    try:
        yield
    except OutputUnwritable as error:
        raise DoneButNotTold(
            _("{done}; but standard output cannot be written: {why}", done=done, why=error.strerror)
        ) from error


def print_json(value: object) -> None:
    """Print JSON. Control characters, and characters that the encoding lacks, are escaped.

    Control sequences in a record could otherwise change what the terminal shows.
    """
    from backend.messages.verdict import COMMANDING

    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not is_text(text) or (isinstance(sys.stdout, Output) and not sys.stdout.can_write(text)):
        text = json.dumps(value, indent=2)
    lines = (COMMANDING.sub(lambda sign: f"\\u{ord(sign[0]):04x}", line) for line in text.split("\n"))
    click.echo("\n".join(lines))
