"""Every text of the simulator is in every catalogue, with the same placeholders, and no catalogue holds any other."""

import ast
import string
from functools import cache
from pathlib import Path

import click
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import clearance_sim
from clearance_sim.cli import cli
from clearance_sim.commands import is_kept, paragraphs
from clearance_sim.messages import LANGUAGES, SOURCE_LANGUAGE

PACKAGE = Path(clearance_sim.__file__).parent
TRANSLATED = [code for code in LANGUAGES if code != SOURCE_LANGUAGE]
Key = tuple[str, str]
"""Context and text."""


def of_calls(source: str) -> set[Key]:
    """The messages of one module: `_("text")` and `pgettext("context", "text")`, in f-strings as well."""
    found = set()
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("_", "pgettext"):
            texts = [part.value for part in call.args if isinstance(part, ast.Constant)]
            found.add(("", texts[0]) if call.func.id == "_" else (texts[0], texts[1]))
    return found


def of_commands(command: click.Command) -> set[Key]:
    """The help texts of a command and of all below it."""
    with click.Context(command) as context:
        # The options --help and --version are click's own, made in the language of their first use.
        options = [p for p in command.get_params(context) if not {"--help", "--version"} & set(p.opts)]
        texts = [command.help, command.short_help, *(getattr(option, "help", None) for option in options)]
        found = {("", part) for text in texts if text for part in paragraphs(text) if not is_kept(part)}
        for name in command.list_commands(context) if isinstance(command, click.Group) else ():
            found |= of_commands(command.get_command(context, name))
    return found


@cache
def used() -> set[Key]:
    sources = [path for path in PACKAGE.glob("**/*.py") if path.parent.name != "messages" or path.name != "__init__.py"]
    own = set().union(*(of_calls(path.read_text("utf-8")) for path in sources))
    return own | of_commands(cli) | of_calls((PACKAGE / "messages" / "__init__.py").read_text("utf-8"))


@cache
def of_click() -> set[Key]:
    keywords = {"_": None, "ngettext": (1, 2)}
    texts = (text for _file, _line, text, *_ in extract_from_dir(Path(click.__file__).parent, keywords=keywords))
    return {("", text if isinstance(text, str) else text[0]) for text in texts}


@cache
def catalogue(code: str) -> dict[Key, str]:
    with (PACKAGE / "messages" / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return {key_of(message): plain(message.string) for message in read_po(file) if message.id}


def key_of(message) -> Key:
    return (message.context or "", plain(message.id))


def plain(text) -> str:
    return text if isinstance(text, str) else text[0]


def missing(texts: set[Key], code: str) -> list[Key]:
    return sorted(key for key in texts if not catalogue(code).get(key))


def placeholders(text: str) -> set[str]:
    return {name.split(".")[0] for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("code", TRANSLATED)
def test_catalogue_has_every_text(code):
    assert len(used()) > 500
    assert missing(used(), code) == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_text_without_translation_is_found(code):
    assert missing({*used(), ("", "A text that nobody translated")}, code) == [("", "A text that nobody translated")]


@pytest.mark.parametrize("code", TRANSLATED)
def test_catalogue_has_no_unused_text(code):
    assert sorted(set(catalogue(code)) - used() - of_click()) == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_translation_has_the_same_placeholders(code):
    own = {key: text for key, text in catalogue(code).items() if key in used()}
    assert [key for key, text in own.items() if placeholders(key[1]) != placeholders(text)] == []


def test_lost_placeholder_is_noticed():
    assert placeholders("{count} of {total:,}") != placeholders("{count}")


def test_message_inside_an_f_string_is_found():
    assert of_calls("""f"{_('inside'):>9}" + str(pgettext("kind", "key"))""") == {("", "inside"), ("kind", "key")}
