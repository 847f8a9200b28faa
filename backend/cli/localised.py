"""Click commands whose help pages and usage errors appear in the reader's language."""

import copy
import inspect
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click

from backend.cli.terminal import LANGUAGE_OPTIONS, _, is_text, language, language_asked, require_output, speak
from backend.messages import catalogue
from backend.messages.catalogue import Language


class LanguageType(click.ParamType[Language]):
    """A language of the catalogue, given by its code."""

    name = "language"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Language:
        """Return the code of the language."""
        if value not in catalogue.languages():
            self.fail(
                _("{value} is none of {known}", value=repr(value), known=", ".join(catalogue.languages())), param, ctx
            )
        return str(value)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the codes, as help shows them."""
        return f"[{'|'.join(sorted(catalogue.languages()))}]"


def _speak(ctx: click.Context, param: click.Parameter, value: Language | None) -> None:
    if value is not None:
        speak(value)


def _language_option() -> click.Option:
    return click.Option(
        LANGUAGE_OPTIONS,
        type=LanguageType(),
        is_eager=True,
        expose_value=False,
        callback=_speak,
        help="Language of the sentences; without it, the environment's.",
    )


_KEPT = "\b\n"
"""Begins a paragraph whose lines are shown as they stand, as click has it."""
ARGUMENT_NAME = re.compile("[A-Z][A-Z_]+")


def paragraphs(text: str) -> list[str]:
    """Split a help text into paragraphs, each of which is one text of the catalogue. Marked lines stay as they are."""
    # A raw docstring, which lint asks for where lines end with a backslash, has the letters of the escape.
    parts = inspect.cleandoc(text).replace("\\b\n", _KEPT).split("\n\n")
    return [part if part.startswith(_KEPT) else " ".join(part.split()) for part in parts]


def _localised(text: str) -> str:
    return "\n\n".join(_KEPT + _(part[2:]) if part.startswith(_KEPT) else _(part) for part in paragraphs(text))


def argument_names(text: str) -> str:
    """Translate the names of arguments, such as FILE or [OPTIONS]."""
    return ARGUMENT_NAME.sub(lambda name: catalogue.pgettext("argument", name[0], language()), text)


class NamedChoice(click.Choice[str]):
    """A choice of words that are typed as they are, while the help explains each in the reader's language."""

    def __init__(self, names: dict[str, str]) -> None:
        super().__init__(list(names))
        self.names = names

    def explained(self) -> str:
        """Return each word with its name in the reader's language."""
        return _("; ").join(_("{word}: {name}", word=word, name=_(name)) for word, name in self.names.items())


class HelpPage(click.HelpFormatter):
    """Help pages measured in terminal cells, since Chinese characters take two, and wrapped between such characters."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        forced = click.formatting.FORCED_WIDTH if width is None else width
        # Click itself takes no terminal to be narrower than 50.
        found = max(min(shutil.get_terminal_size().columns, max_width or 80) - 2, 18) if forced is None else forced
        super().__init__(indent_increment, found)

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        start = f"{_('Usage:') if prefix is None else prefix.rstrip()} {prog} "
        is_narrow = self.width - cell_length(start) < 20
        indent = "\n" + " " * (4 if is_narrow else cell_length(start))
        lines = wrapped(args, self.width - len(indent) + 1)
        self.write(((start.rstrip() + indent if is_narrow else start) + indent.join(lines)).rstrip() + "\n")

    def write_heading(self, heading: str) -> None:
        self.write(" " * self.current_indent + _("{heading}:", heading=heading) + "\n")

    def write_text(self, text: str) -> None:
        indent, width = " " * self.current_indent, self.width - self.current_indent
        for number, part in enumerate(text.split("\n\n")):
            lines = part[2:].split("\n") if part.startswith(_KEPT) else wrapped(" ".join(part.split()), width)
            self.write(("\n" if number else "") + "".join(f"{indent}{line}\n" for line in lines))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows = list(rows)
        first = min(max(cell_length(term) for term, _text in rows), col_max, max(self.width // 3, 4)) + col_spacing
        indent = " " * (self.current_indent + first)
        for term, text in rows:
            lines = wrapped(text, max(self.width - len(indent), 10))
            beside = " " * (first - cell_length(term)) if cell_length(term) <= first - col_spacing else "\n" + indent
            shown = beside + f"\n{indent}".join(lines) if text else ""
            self.write(f"{' ' * self.current_indent}{term}{shown}\n")


def cell_length(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: str, width: int) -> list[str]:
    """Wrap a text to lines of at most ``width`` cells, at spaces and between wide characters.

    A word that is longer than a line is not broken.
    """
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
    """Tell whether a line may end here: not before closing nor after opening punctuation (Unicode categories)."""
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
    """A command whose help texts come from the catalogue, paragraph by paragraph, in the reader's language."""

    context_class = _Context

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.append(_language_option())
        self._in_language: dict[tuple[int, Language], click.Parameter] = {}

    def main(self, args: Sequence[str] | None = None, *others: Any, **options: Any) -> Any:
        """Run the command by itself, in the language that the command line asks for."""
        speak(language_asked(sys.argv[1:] if args is None else args))
        return super().main(args, *others, **options)

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **extra: Any) -> click.Context:
        """Parse the arguments. A dumb terminal and NO_COLOR (https://no-color.org) switch colours off."""
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            extra.setdefault("color", False)
        return super().make_context(info_name, args, *others, **extra)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "Show this message and exit."  # click keeps it in the language of its first use
        return option

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, explained in the reader's language."""
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
        """Return the first sentence in full. It is wrapped where it is shown."""
        first = _(paragraphs(self.short_help or self.help or "")[0])
        return re.split(r"(?<=\.) |(?<=\u3002)", first, maxsplit=1)[0].rstrip(".\u3002")

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command after checking that output can be written and that arguments are text."""
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
                if isinstance(text, str) and not is_text(text):
                    raise click.BadParameter(
                        _("{value} is no text in this terminal's encoding", value=ascii(text)), ctx, parameter
                    )


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
    """A group of commands in the reader's language."""

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
