"""Output to any terminal: narrow, without colour or cursor control, pipes, and any encoding.

No figure is ever cut, and a character that the encoding lacks does not end a command. Documents for programs are always
UTF-8.
"""

import codecs
import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from clearance_sim.messages import _

_SIGNS = {"±": "+/-", "→": "->", "≤": "<=", "≥": ">=", "–": "-", "—": "-", "…": "...", "·": "-", "“": '"', "”": '"'}
PIPE_COLUMNS = 160
"""How wide a table may be where no terminal tells."""
PROGRESS_COLUMNS = 72
"""How wide a terminal must be for a line of progress, of which nothing may be cut."""


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    """Return replacements for characters that an encoding lacks: the usual ASCII form, else question marks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_SIGNS.get(char, "?") for char in lacking), error.end


codecs.register_error("plain-signs", _in_plain_signs)


def _plain_ascii(name: str) -> codecs.CodecInfo | None:
    if name not in ("plain-ascii", "plain_ascii"):
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(*known[:4], known.incrementalencoder, known.incrementaldecoder, name="plain-ascii")


codecs.register(_plain_ascii)


def prepare_streams() -> None:
    """Make standard output and standard error replace characters that their encoding lacks.

    ASCII gets a name of its own, since click takes ASCII for a misconfiguration and writes UTF-8 instead.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            ascii_only = codecs.lookup(stream.encoding or "ascii").name == "ascii"
            stream.reconfigure(encoding="plain-ascii" if ascii_only else None, errors="plain-signs")


def can_show(text: str) -> bool:
    """Tell whether standard output's encoding has every character of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def echo_document(text: str, end: str = "\n") -> None:
    """Print a document for programs (JSON, TOML) as UTF-8, whatever the terminal's encoding."""
    click.echo((text + end).encode("utf-8"), nl=False)


def console(stderr: bool = False) -> Console:
    """Return a console, without escape sequences for colour where NO_COLOR is set."""
    plain = bool(os.environ.get("NO_COLOR"))
    made = Console(stderr=stderr, highlight=False, color_system=None if plain else "auto")
    if not made.is_terminal:
        made.width = max(made.width, PIPE_COLUMNS)
    return made


def is_interactive() -> bool:
    """Tell whether standard error is a terminal on which a progress line can be rewritten."""
    moves = os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
    return sys.stderr.isatty() and moves and console(stderr=True).width >= PROGRESS_COLUMNS


def print_table(table: Table, on: Console) -> None:
    """Print a table without cutting figures. Columns that do not fit side by side are printed in parts.

    Each part repeats the first column. If not even one more column fits, each figure gets a line of its own.
    """
    room = on.width - _width(_part(table, []), on)
    parts: list[list[Column]] = []
    left = 0
    for column in table.columns[1:]:
        width = _width(_part(table, [column]), on) - (on.width - room)
        if width > room:
            _print_line_by_line(table, on)
            return
        if not parts or width > left:
            parts.append([])
            left = room
        parts[-1].append(column)
        left -= width
    for number, columns in enumerate(parts):
        on.print(_part(table, columns, with_title=number == 0))


def _width(table: Table, on: Console) -> int:
    return Measurement.get(on, on.options.update(max_width=10_000), table).maximum


def _part(table: Table, columns: list[Column], with_title: bool = False) -> Table:
    """Return a table of the first column and some others, without wrapping and without markup in names."""
    part = Table(
        title=table.title if with_title else None, title_justify="left", box=table.box, padding=table.padding,
        pad_edge=table.pad_edge,
    )  # fmt: skip
    shown = [table.columns[0], *columns]
    for column in shown:
        part.add_column(Text(str(column.header)), justify=column.justify, no_wrap=True)
    for row, cells in zip(table.rows, zip(*(column.cells for column in shown), strict=True), strict=True):
        part.add_row(*(Text(str(cell)) for cell in cells), end_section=row.end_section)
    return part


def _print_line_by_line(table: Table, on: Console) -> None:
    first, *others = table.columns
    on.print(str(table.title or first.header), soft_wrap=True, markup=False)
    for name, *cells in zip(first.cells, *(column.cells for column in others), strict=True):
        on.print(str(name), soft_wrap=True, markup=False)
        for column, text in zip(others, cells, strict=True):
            if text:
                on.print(f"  {column.header}: {text}", soft_wrap=True, markup=False)


class Unwritable(click.ClickException):
    """A file cannot be written. This counts as wrong usage, since exit code 1 is a result of several commands."""

    exit_code = 2


def check_writable(*files: Path | str | None) -> None:
    """Check that files can be written, before any work is done for them. Existing content is not changed.

    Raises:
        Unwritable: One cannot be opened for writing.
    """
    for file in files:
        if file is None or str(file) == "-":
            continue
        path = Path(file)
        existed = path.exists()
        if existed and not path.is_file() and not path.is_dir():
            continue  # a pipe or a device, which opening may block or disturb
        try:
            with path.open("ab"):
                pass
            if not existed:
                path.unlink()
        except OSError as error:
            raise _unwritable(path, error) from error


def write_document(file: Path | str, content: str | bytes) -> None:
    """Write a file, and text as UTF-8.

    Raises:
        Unwritable: It cannot be written, or the disk is full.
    """
    path = Path(file)
    try:
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as error:
        raise _unwritable(path, error) from error


def make_folder(folder: Path) -> None:
    """Create a folder if it does not exist.

    Raises:
        Unwritable: It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> Unwritable:
    text = _("{path} cannot be written ({reason}): name another place", path=path, reason=error.strerror or error)
    return Unwritable(str(text))
