"""Help pages in the reader's language: each text of each command, on any width, in any encoding."""

import io
import re

import click
import pytest
from click.testing import CliRunner

from backend.cli import localised
from backend.cli.main import cli
from tests.helpers import texts
from tests.helpers.click_tree import commands_of
from tests.messages.test_catalogue import entries, missing_from

PAGES = ["", "chain", "keys", "snapshot", *commands_of(cli)]
ENGLISH = re.compile(r"\b[A-Za-z]?[a-z]+ (?:[a-z]{2,} )+[a-z]{2,}\b")
"""Three words or more in a row, none of which is a name."""


def help_of(command, *arguments, charset="utf-8", root=cli, width=78, **environment):
    given = {"LC_ALL": "", "LANG": "C.UTF-8", **environment}
    asked = [*command.split(), "--help", *arguments]
    done = CliRunner(charset=charset, env=given).invoke(root, asked, prog_name="provenport", terminal_width=width)
    assert done.exit_code == 0, (command, done.exception)
    return done.stdout


def english_in(page):
    """English sentences; the lines to type, which begin with the program's name, have none."""
    return [line for line in page.splitlines() if "provenport " not in line and ENGLISH.search(line)]


def planted(help_text):
    ctx = click.Context(cli)
    commands = {name: cli.get_command(ctx, name) for name in cli.list_commands(ctx)}
    odd = localised.Command("odd", help=help_text, callback=lambda: None)
    odd.params.append(click.Option(["--odd"], is_flag=True, help="An option that nobody has translated yet."))
    return localised.Group("planted", {**commands, "odd": odd})


def test_every_help_text_has_a_translation():
    found = texts.of_commands()
    assert len(found) > 100
    assert missing_from(entries("zh"), found) == []


def test_planted_help_text_without_translation_is_found():
    missing = missing_from(entries("zh"), texts.of_commands(planted("Count the stars above the port.")))
    assert missing == ["None: An option that nobody has translated yet.", "None: Count the stars above the port."]


def test_planted_argument_without_translation_is_found():
    root = planted("All of it.")
    root.commands["odd"].params.append(click.Argument(["odd_thing"]))
    assert "argument: ODD_THING" in missing_from(entries("zh"), texts.of_commands(root))


@pytest.mark.parametrize("command", PAGES)
def test_page_has_no_english_left(command):
    page = help_of(command, "--lang", "zh")
    assert page.startswith("用法")
    assert english_in(page) == []


def test_planted_english_on_a_page_is_found():
    assert len(english_in(help_of("odd", "--lang", "zh", root=planted("Count the stars above the port.")))) == 2


@pytest.mark.parametrize("command", PAGES)
def test_language_may_stand_before_or_after(command):
    assert help_of(command, "--lang", "zh") == help_of(command, LANG="zh_CN.UTF-8")
    assert help_of(f"--lang=zh {command}") == help_of(command, "--lang", "zh")


def test_language_before_a_command_counts_for_its_errors():
    assert "缺少" in CliRunner(env={"LANG": "C.UTF-8"}).invoke(cli, ["--language", "zh", "verify"]).output


def test_page_speaks_english_after_chinese():
    assert "显示此帮助" in help_of("verify", "--lang", "zh")
    assert "Show this message and exit." in help_of("verify")


@pytest.mark.parametrize("command", PAGES)
@pytest.mark.parametrize("width", [18, 78, 198])
def test_no_line_of_a_page_is_too_wide(command, width):
    """Names of options, lines to type and long words stay whole."""
    for language in ("en", "zh"):
        page = help_of(command, "--lang", language, width=width)
        assert "\b" not in page
        assert "\\b" not in page
        lines = [line for line in page.splitlines() if not line.endswith((":", "："))]
        long = [line for line in lines if localised.cell_length(line) > width + 2]
        assert [line for line in long if " " in line.strip() and not re.search("provenport|  --?[a-z]", line)] == []


@pytest.mark.parametrize("command", PAGES)
@pytest.mark.parametrize("charset", ["ascii", "gbk", "latin-1"])
def test_page_suits_the_terminals_encoding(command, charset):
    page = help_of(command, charset=charset, LANG="zh_CN")
    assert ("用法" in page) == (charset == "gbk")
    assert "?" not in page.replace("?", "", page.count("？"))


def test_roles_are_explained_by_their_names():
    assert "plant-protection：植物检疫机构" in help_of("register", "--lang", "zh").replace("\n", "").replace(" ", "")
    assert "laboratory: Laboratory" in " ".join(help_of("register").split())


def test_wrapped_text_keeps_signs_together():
    assert localised.wrapped("一二三，四五（六）七", 6) == ["一二", "三，四", "五", "（六）", "七"]
    assert localised.wrapped("the quick brown", 9) == ["the quick", "brown"]
    assert localised.wrapped("a" * 30, 10) == ["a" * 30]


def test_kept_lines_are_shown_as_they_stand():
    page = help_of("snapshot")
    assert "  Readers:     provenport verify signed.json --trust customs.json\n" in page


def test_output_replaces_what_its_encoding_lacks():
    from backend.cli.terminal import Output

    written = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    Output(written, vital=True).write("✓ a → b – ● 海 \udcff\n")
    assert written.buffer.getvalue() == b"v a -> b - + ? ?\n"
