"""The commands of `clearance-sim`. Each module defines one or several as `NAME_command`.

Their help pages and usage errors come out in the reader's language.
"""

import copy
import inspect
import sys
from collections.abc import Sequence
from typing import Any

import click

from clearance_sim.messages import LANGUAGES, SOURCE_LANGUAGE, language, spoken, translated


def language_asked(arguments: Sequence[str]) -> str:
    """Return what `--language` says on a command line, else the reader's language by the environment.

    Read before click parses anything, so that its own complaints come out in that language too.
    """
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, joined = option.partition("=")
        if name == "--language" and (joined or value) in LANGUAGES:
            return joined or value
    return language()


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a help text, each on one line but for those that are kept as they are (backspace)."""
    parts = inspect.cleandoc(text).split("\n\n")
    return [part if is_kept(part) else " ".join(part.split()) for part in parts]


def is_kept(paragraph: str) -> bool:
    """Return whether a paragraph holds lines to type, which are neither wrapped nor translated."""
    return paragraph.startswith("\b")


def _localised(text: str | None) -> str | None:
    if text is None:
        return None
    return "\n\n".join(part if is_kept(part) else translated(part) for part in paragraphs(text))


class LocalisedCommand(click.Command):
    """A command that speaks the reader's language; its help texts are message ids, paragraph by paragraph."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **options: Any) -> Any:
        with spoken(language_asked(sys.argv[1:] if args is None else args)):
            return super().main(args, *others, **options)

    def _in_readers_language(self) -> click.Command:
        local = copy.copy(self)
        local.help, local.short_help = _localised(self.help), _localised(self.short_help)
        return local

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        found = super().get_params(ctx)
        if language() == SOURCE_LANGUAGE:
            return found
        local = [copy.copy(parameter) for parameter in found]
        for parameter in local:
            if isinstance(parameter, click.Option):
                parameter.help = _localised(parameter.help)
        return local

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        click.Command.format_help_text(self._in_readers_language(), ctx, formatter)

    def get_short_help_str(self, limit: int = 45) -> str:
        return click.Command.get_short_help_str(self._in_readers_language(), limit)


class LocalisedGroup(LocalisedCommand, click.Group):
    """A group of commands that speaks the reader's language."""
