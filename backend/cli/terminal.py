"""What a reader at a terminal meets: the language, help pages in it, and output that may be narrow, full or closed."""

import copy
import errno
import gettext as standard
import inspect
import io
import json
import os
import re
import sys
import unicodedata
from atexit import register
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TextIO

import click

from backend.messages import catalogue
from backend.messages.catalogue import SOURCE, Language, known, say

if TYPE_CHECKING:
    from backend.domain.kinds import Kind
    from backend.services.ports import AppContext

JSON_HELP = "For machines."

# ---- the language

_ENVIRONMENT = ("LC_ALL", "LC_MESSAGES", "LANG")
"""As POSIX orders them: the first that says anything decides."""
_chosen: ContextVar[Language | None] = ContextVar("language", default=None)
_LANGUAGE_OPTIONS = ("--language", "--lang")


def language() -> Language:
    """The language chosen by option, else the one that the environment speaks; English where it cannot be shown."""
    said = next((os.environ[name] for name in _ENVIRONMENT if os.environ.get(name)), "")
    wanted = _chosen.get() or known(said) or SOURCE
    return wanted if _can_be_shown(wanted, getattr(sys.stdout, "encoding", None) or "utf-8") else SOURCE


def _can_be_shown(code: Language, encoding: str) -> bool:
    """Whether a terminal with this encoding has the letters of a language."""
    try:
        catalogue.gettext("Show this message and exit.", code).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


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


def language_asked(arguments: Sequence[str]) -> Language | None:
    """The language that a command line asks for, read before click parses it, so that its complaints speak it too."""
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _sign, joined = option.partition("=")
        if name == "--":
            break
        if name in _LANGUAGE_OPTIONS and (joined or value) in catalogue.languages():
            return joined or value
    return None


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


def _speak(ctx: click.Context, param: click.Parameter, value: Language | None) -> None:
    if value is not None:
        speak(value)


def _language_option() -> click.Option:
    return click.Option(
        _LANGUAGE_OPTIONS,
        type=LanguageType(),
        is_eager=True,
        expose_value=False,
        callback=_speak,
        help="Language of the sentences; without it, the environment's.",
    )


# ---- help pages in it

_KEPT = "\b\n"
"""Begins a paragraph whose lines are shown as they stand, as click has it."""
ARGUMENT_NAME = re.compile("[A-Z][A-Z_]+")


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a help text, each of which is one text of the catalogue; kept lines stay lines."""
    # A raw docstring, which lint asks for where lines end with a backslash, has the letters of the escape.
    parts = inspect.cleandoc(text).replace("\\b\n", _KEPT).split("\n\n")
    return [part if part.startswith(_KEPT) else " ".join(part.split()) for part in parts]


def _localised(text: str) -> str:
    return "\n\n".join(_KEPT + _(part[2:]) if part.startswith(_KEPT) else _(part) for part in paragraphs(text))


def argument_names(text: str) -> str:
    """The names that stand for what is typed, such as FILE or [OPTIONS], in the reader's language."""
    return ARGUMENT_NAME.sub(lambda name: catalogue.pgettext("argument", name[0], language()), text)


class NamedChoice(click.Choice[str]):
    """Words to choose from as they are typed; the help says what each is called."""

    def __init__(self, names: dict[str, str]) -> None:
        super().__init__(list(names))
        self.names = names

    def explained(self) -> str:
        """Each word with its name, in the reader's language."""
        return _("; ").join(_("{word}: {name}", word=word, name=_(name)) for word, name in self.names.items())


class HelpPage(click.HelpFormatter):
    """Measures in a terminal's cells, of which a Chinese sign takes two, and breaks lines between such signs."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        start = f"{_('Usage:') if prefix is None else prefix.rstrip()} {prog} "
        lines = wrapped(args, max(self.width - cell_length(start), 20))
        self.write(("\n" + " " * cell_length(start)).join([start + lines[0], *lines[1:]]).rstrip() + "\n")

    def write_heading(self, heading: str) -> None:
        self.write(" " * self.current_indent + _("{heading}:", heading=heading) + "\n")

    def write_text(self, text: str) -> None:
        indent, width = " " * self.current_indent, self.width - self.current_indent
        for number, part in enumerate(text.split("\n\n")):
            lines = part[2:].split("\n") if part.startswith(_KEPT) else wrapped(" ".join(part.split()), width)
            self.write(("\n" if number else "") + "".join(f"{indent}{line}\n" for line in lines))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows = list(rows)
        first = min(max(cell_length(term) for term, _text in rows), col_max) + col_spacing
        indent = " " * (self.current_indent + first)
        for term, text in rows:
            lines = wrapped(text, max(self.width - len(indent), 20))
            beside = " " * (first - cell_length(term)) if cell_length(term) <= first - col_spacing else "\n" + indent
            shown = beside + f"\n{indent}".join(lines) if text else ""
            self.write(f"{' ' * self.current_indent}{term}{shown}\n")


def cell_length(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most ``width`` cells, broken at spaces and between wide signs; a long word stays whole."""
    pieces: list[str] = []
    for sign in text:
        if pieces and not _may_break(pieces[-1][-1], sign):
            pieces[-1] += sign
        else:
            pieces.append(sign)
    lines = [""]
    for piece in pieces:
        if lines[-1] and cell_length((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _may_break(before: str, after: str) -> bool:
    """Whether a line may end between two signs: not before what closes, nor after what opens (Unicode categories)."""
    if before == " " or after == " ":
        return before == " " and after != " "
    is_wide = any(unicodedata.east_asian_width(sign) in "WF" for sign in (before, after))
    return (
        is_wide
        and unicodedata.category(after) not in ("Pe", "Pf", "Po")
        and unicodedata.category(before) not in ("Ps", "Pi")
    )


class _Context(click.Context):
    formatter_class = HelpPage


class Command(click.Command):
    """A command that speaks the reader's language: the catalogue has its help texts, paragraph by paragraph."""

    context_class = _Context

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.append(_language_option())
        self._in_language: dict[tuple[int, Language], click.Parameter] = {}

    def main(self, args: Sequence[str] | None = None, *others: Any, **options: Any) -> Any:
        """Run it by itself, in the language that the command line asks for."""
        speak(language_asked(sys.argv[1:] if args is None else args))
        return super().main(args, *others, **options)

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **extra: Any) -> click.Context:
        """Parse; no colours on a dumb terminal, nor for who wants none (https://no-color.org)."""
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            extra.setdefault("color", False)
        return super().make_context(info_name, args, *others, **extra)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "Show this message and exit."  # click keeps it in the language of its first use
        return option

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """What may be given, explained in the reader's language."""
        # The same object each time: click orders what was given by it.
        found, key = super().get_params(ctx), language()
        for parameter in found:
            if (id(parameter), key) not in self._in_language:
                self._in_language[id(parameter), key] = _explained(parameter, ctx)
        return [self._in_language[id(parameter), key] for parameter in found]

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [argument_names(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(_localised(self.help or ""))

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence, whole: it is wrapped where it is shown."""
        first = _(paragraphs(self.short_help or self.help or "")[0])
        return re.split(r"(?<=\.) |(?<=\u3002)", first, maxsplit=1)[0].rstrip(".\u3002")

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, once it is known that its answer can be written and that what was given is text."""
        if not isinstance(self, click.Group):
            if not ctx.params.get("out"):
                require_output()
            self._require_text(ctx)
        return super().invoke(ctx)

    def _require_text(self, ctx: click.Context) -> None:
        """Refuse bytes that are no text in the terminal's encoding, unless they name a file."""
        for parameter in self.get_params(ctx):
            given = ctx.params.get(parameter.name or "")
            texts = [given] if isinstance(given, str) else given if isinstance(given, tuple) else ()
            texts = [*given.keys(), *given.values()] if isinstance(given, dict) else texts
            for text in texts:
                if isinstance(text, str) and not _is_text(text):
                    raise click.BadParameter(
                        _("{value} is no text in this terminal's encoding", value=ascii(text)), ctx, parameter
                    )


def _is_text(text: str) -> bool:
    """Whether it has none of the surrogates by which Python stands for bytes that it could not read."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _explained(parameter: click.Parameter, ctx: click.Context) -> click.Parameter:
    local = copy.copy(parameter)
    if isinstance(local, click.Option):
        if local.help:
            local.help = _localised(local.help)
        if isinstance(local.type, NamedChoice):
            local.help = _("{help} {choices}.", help=local.help, choices=local.type.explained())
        local.metavar = argument_names(local.make_metavar(ctx)) if not (local.is_flag or local.count) else None
    elif isinstance(local, click.Argument):
        local.metavar = argument_names(local.make_metavar(ctx))
    return local


class Group(Command, click.Group):
    """A group of such commands."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.write_commands(ctx, formatter, _("Commands"), self.list_commands(ctx))

    def write_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter, heading: str, names: Iterable[str]
    ) -> None:
        """List some of the commands under a heading."""
        with formatter.section(heading):
            commands = [(name, self.get_command(ctx, name)) for name in names]
            formatter.write_dl([(name, command.get_short_help_str()) for name, command in commands if command])


# ---- the installation


@contextmanager
def installation() -> "Iterator[AppContext]":
    """Open the data folder that DATA_DIR names, beside a server that may be using it."""
    from backend.runtime.context import opened
    from backend.settings import Settings

    with opened(Settings.from_environment(os.environ), note) as ctx:
        yield ctx


def note(message: object) -> None:
    """Say something of ours on standard error, beside what the command answers."""
    click.echo(said(message), err=True)


def as_argument(file: Path) -> str:
    """A file's name as it may be typed: one that begins like an option does not read as one."""
    return f"./{file}" if str(file).startswith("-") else str(file)


def kind_name(kind: "Kind") -> str:
    """What a kind of record is called, in the reader's language."""
    from backend.domain.kinds import KINDS

    return _(KINDS[kind].names)


# ---- output

_IN_ASCII = {
    "→": "->", "–": "-", "—": "-", "…": "...", "“": '"', "”": '"', "‘": "'", "’": "'", "·": "-", "×": "x",
    "✓": "v", "✗": "x", "●": "+", "■": "x", "◐": "?", "○": "o", "\u00a0": " ",
}  # fmt: skip
"""How signs of ours are written where the terminal's encoding lacks them."""
DONE_BUT_NOT_TOLD = 3
"""The exit code of a command that did its work and could not say so."""


class OutputUnwritable(OSError):
    """Standard output is full, closed, or nobody reads it any more."""


class DoneButNotTold(click.ClickException):
    """The work is done; what was to be said of it could not be written."""

    exit_code = DONE_BUT_NOT_TOLD


class Output(io.TextIOBase):
    """A standard stream that may be closed or full, and whose encoding may lack signs.

    Raises OutputUnwritable where it is ``vital``; otherwise what cannot be written is dropped, as nobody can be told.
    """

    def __init__(self, stream: TextIO | None, *, vital: bool) -> None:
        self._stream, self._vital = stream, vital
        self.is_lost = False

    @property
    def is_closed(self) -> bool:
        """Whether there is no stream at all, as after ``>&-``."""
        return self._stream is None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What the stream does with what its encoding lacks."""
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
            with self._guarded() as stream:
                stream.write(self._writable_form(text))
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            with self._guarded() as stream:
                stream.flush()

    def can_write(self, text: str) -> bool:
        """Whether the encoding has every sign of it."""
        try:
            text.encode(self.encoding, self.errors)
        except UnicodeEncodeError:
            return False
        return True

    def _writable_form(self, text: str) -> str:
        if self.can_write(text):
            return text
        return "".join(sign if self.can_write(sign) else _IN_ASCII.get(sign, "?") for sign in text)

    @contextmanager
    def _guarded(self) -> Iterator[TextIO]:
        try:
            if self._stream is None:
                raise OSError(_("it is closed"))
            yield self._stream
        except OSError as error:
            self.is_lost = True
            if self._vital:
                raise OutputUnwritable(error.errno, error.strerror or str(error)) from error


def require_output() -> None:
    """Refuse to begin where standard output is closed: what is said once would be lost."""
    if sys.stdout is None or (isinstance(sys.stdout, Output) and sys.stdout.is_closed):
        raise OutputUnwritable(
            None, _("it is closed. Nothing was done; where you do not need what is said, send it to /dev/null")
        )


def require_folder(out: Path | None, option: str) -> None:
    """Refuse a file to write to, before any work, where its folder is not there or takes no files."""
    if out is None or (out.parent.is_dir() and os.access(out.parent, os.W_OK)):
        return
    why = os.strerror(errno.EACCES if out.parent.is_dir() else errno.ENOENT)
    raise click.BadParameter(_("{out} cannot be written: {why}", out=out, why=why), param_hint=option)


@contextmanager
def telling(done: str) -> Iterator[None]:
    """Tell of work that is ``done``: where that cannot be written, standard error and the exit code say so."""
    try:
        yield
    except OutputUnwritable as error:
        raise DoneButNotTold(
            _("{done}; but standard output cannot be written: {why}", done=done, why=error.strerror)
        ) from error


def print_json(value: object) -> None:
    """Print JSON for machines: what the output's encoding lacks, and what would command a terminal, stands escaped."""
    from backend.messages.verdict import COMMANDING

    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not _is_text(text) or (isinstance(sys.stdout, Output) and not sys.stdout.can_write(text)):
        text = json.dumps(value, indent=2)
    lines = (COMMANDING.sub(lambda sign: f"\\u{ord(sign[0]):04x}", line) for line in text.split("\n"))
    click.echo("\n".join(lines))
