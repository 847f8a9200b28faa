"""Reads tables as spreadsheets and customs' systems save them: which characters, which delimiter, which row is which.

Every cell is text; what a column holds is known later. Nothing is guessed in silence: what was presumed or taken off is
told as a finding.
"""

import codecs
import csv
import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from charset_normalizer import from_bytes

from clearance_sim.messages import _
from clearance_sim.trs import LogError, Problem, numbered, problem

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = (",", ";", "\t", "|")
_HEADING_WITHIN = 20
"""Lines among which the heading is looked for: reports have titles above it."""
_SAMPLE = 64 * 1024
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_LEAST_ASCII = 6
"""Number of ASCII characters that a heading has at least."""
_INVISIBLE = "\0\u200b\u200c\u200d\u2060\ufeff"
_SPACES = "".join(map(chr, filter(lambda code: chr(code).isspace(), range(0x3001)))) + _INVISIBLE
_JSON = re.compile(r'\s*(?:\{\s*["}]|\[\s*[\[{"])')
"""The beginning of a JSON object, of a list of objects, or of lines of them. A heading may begin with [ and a name."""
_ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def decoded(content: bytes, encoding: str | None = None) -> tuple[str, Problem | None]:
    """Return a file's text, and a finding where its encoding was only presumed.

    By the encoding that is given, else the byte order mark, else UTF-8, UTF-16 or UTF-32 without a mark, GB18030, Big5,
    or what charset-normalizer finds likely.

    Raises:
        LogError: it is no text in any of them.
    """
    if encoding is not None:
        return _strictly(content, encoding), None
    for mark, codec in _BOMS:
        if content.startswith(mark):
            return _strictly(content, codec), None
    if (unmarked := _wide_without_mark(content)) is not None:
        return _presumed(content, unmarked, unmarked[:6].upper())
    try:
        return content.decode("utf-8"), None
    except UnicodeDecodeError as error:
        position = error.start
    if _is_common_chinese(content):
        return _presumed(content, "gb18030", "GB18030")
    if _is_common_traditional(content):
        return _presumed(content, "big5", "Big5")
    best = from_bytes(content[:_SAMPLE]).best()
    if best is None:
        raise LogError(
            [
                Problem(
                    _("the characters of the log cannot be read (byte {position:,})", position=position),
                    _("save it as UTF-8, or name its encoding with --encoding"),
                )
            ]
        )
    return _presumed(content, best.encoding, best.encoding)


def _strictly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except LookupError as error:
        raise LogError(
            [Problem(_("{name} is no encoding", name=encoding), _("write it like gb18030, cp1252 or shift_jis"))]
        ) from error
    except UnicodeError as error:
        what = _("the log is not in {name} (byte {position:,})", name=encoding, position=getattr(error, "start", 0))
        raise LogError([Problem(what, _("name its encoding with --encoding"))]) from error


def _presumed(content: bytes, codec: str, name: str) -> tuple[str, Problem]:
    text = _strictly(content, codec)
    words = dict.fromkeys(word for word in _words_of(text[:_SAMPLE]) if not word.isascii())
    shown = ", ".join(list(words)[:3]) or text[:20].strip()
    what = _("the log is no UTF-8; read as {name}: {words}", name=name, words=shown)
    return text, Problem(what, _("if these words are wrong, name its encoding with --encoding"))


def _words_of(text: str) -> Iterable[str]:
    for delimiter in (*_DELIMITERS, '"', "\r"):
        text = text.replace(delimiter, "\n")
    return (word.strip() for word in text.split("\n"))


def _wide_without_mark(content: bytes) -> str | None:
    """Return the codec of two or four bytes a character that yields text with most ASCII, which headings have.

    In the other order of bytes ASCII becomes rare Chinese, and in the other width it holds zeros or is no text.
    """
    if b"\0" not in content:
        return None
    found = {codec: _ascii_in(content, codec) for codec in _WIDE}
    codec = max(found, key=lambda one: found[one])
    return codec if found[codec] >= _LEAST_ASCII else None


def _ascii_in(content: bytes, codec: str) -> int:
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        return 0
    return 0 if "\0" in text else sum(map(str.isascii, text[:_SAMPLE]))


def _is_common_chinese(content: bytes) -> bool:
    """Return whether it is GB18030 and most characters are the everyday ones (GB 2312, level 1, and its signs).

    Western and Japanese encodings decode as GB18030, too, but into characters that hardly anybody writes.
    """
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return False
    foreign = [char for char in text[:_SAMPLE] if not char.isascii()]
    return sum(map(_is_common, foreign)) >= 0.8 * len(foreign)


def _is_common(char: str) -> bool:
    encoded = char.encode("gb18030")
    return len(encoded) == 2 and b"\xa1\xa1" <= encoded <= b"\xd7\xf9" and encoded[1] >= 0xA1


def _is_common_traditional(content: bytes) -> bool:
    """Return whether it is Big5, all of it everyday characters (its level 1, and its signs)."""
    try:
        text = content.decode("big5")
    except UnicodeDecodeError:
        return False
    foreign = [char.encode("big5") for char in text[:_SAMPLE] if not char.isascii()]
    return all(b"\xa1\x40" <= encoded <= b"\xc6\x7e" for encoded in foreign)


def read_table(
    content: bytes, wanted: Collection[Collection[str]], encoding: str | None = None
) -> tuple[pa.Table, list[Problem]]:
    """Read a table of text.

    Args:
        content: The bytes of the file.
        wanted: The names that a heading holds, one collection for each map that may fit.
        encoding: What the file is written in, where that is known.

    Raises:
        LogError: it is no text, or rows have more or fewer cells than the heading.
    """
    if content.startswith(_ARCHIVES):
        raise LogError([Problem(_("the log is a workbook or an archive"), _("save the sheet with events as CSV"))])
    text, presumed = decoded(content, encoding)
    if not text.strip(_SPACES):
        raise LogError([Problem(_("the log is empty"), _("export a period in which goods were cleared"))])
    if _JSON.match(text):
        raise LogError([Problem(_("the log is JSON"), _("save it as CSV, XES or Parquet"))])
    text, delimiter = _without_sep_line(text)
    lines = text[:_SAMPLE].splitlines(keepends=True)[:_HEADING_WITHIN]
    delimiter, above = _heading(lines, wanted, delimiter)
    names = _named(_cells(lines[above], delimiter), wanted) if lines else []
    body = text[sum(map(len, lines[: above + 1])) :].encode("utf-8", "surrogatepass")
    findings = [presumed, _titles(lines[:above])]
    if not names:
        return pa.table({}), [found for found in findings if found]
    return _rows(body, names, delimiter), [found for found in findings if found]


def _without_sep_line(text: str) -> tuple[str, str | None]:
    """Take off the line with which spreadsheets are told the delimiter."""
    first, end, rest = text.partition("\n")
    told = first.strip("\r\"' \ufeff")
    if end and len(told) == 5 and told.lower().startswith("sep="):
        return rest, told[4]
    if end and first.rstrip("\r").lower() == "sep=\t":
        return rest, "\t"
    return text, None


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [trimmed(cell) for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def _heading(lines: list[str], wanted: Collection[Collection[str]], told: str | None) -> tuple[str, int]:
    """Return the delimiter, and how many lines stand above the heading."""
    delimiters = _DELIMITERS if told is None else (told,)
    for number, line in enumerate(lines):
        for delimiter in delimiters:
            cells = {cell.casefold() for cell in _cells(line, delimiter)}
            if any(names and {name.casefold() for name in names} <= cells for names in wanted):
                return delimiter, number
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    return max(delimiters, key=lambda mark: len(_cells(lines[first], mark)) if lines else 0), first


def _named(cells: list[str], wanted: Collection[Collection[str]]) -> list[str]:
    """Return the heading with the names as a map spells them, where only capitals differ; each name once."""
    spelt = {name.casefold(): name for names in wanted for name in names}
    found: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = cell if cell in spelt.values() else spelt.get(cell.casefold(), cell) or f"column {number}"
        if name in found and name in spelt.values():
            what = _("two columns are named {name}", name=name)
            raise LogError([Problem(what, _("give each column a name of its own"))])
        found.append(f"{name} ({number})" if name in found else name)
    return found


def _titles(above: list[str]) -> Problem | None:
    filled = [line.strip() for line in above if line.strip()]
    if not filled:
        return None
    return Problem(_("lines above the heading ({line})", line=filled[0][:40]), _("left out"))


def _rows(body: bytes, names: list[str], delimiter: str) -> pa.Table:
    wrong: list[Any] = []
    text = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
    )

    def read(threads: bool, handler: Any) -> pa.Table:
        return pyarrow.csv.read_csv(
            pa.BufferReader(body),
            pyarrow.csv.ReadOptions(column_names=names, use_threads=threads),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=handler),
            text,
        )

    def note(row: Any) -> str:
        wrong.append(row)
        return "skip"

    if not body.strip():
        return pa.table({name: pa.array([], pa.string()) for name in names})
    table = read(True, note)
    if not wrong:
        return table
    wrong.clear()
    read(False, note)  # one thread knows the numbers of the rows
    raise LogError(
        [
            numbered(
                _("rows with more or fewer cells than the heading ({count})", count=len(names)),
                _("put cells that hold the delimiter between quotation marks"),
                [row.number for row in wrong],
            )
        ]
    )


def trimmed(text: str) -> str:
    """Return a text without the spaces around it, those of other scripts and invisible ones among them."""
    return text.strip(_SPACES)


def likeness(text: str) -> str:
    """Return what two texts share that differ only in capitals, width and spaces."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char not in _SPACES)


def tidied(table: pa.Table, names: Collection[str]) -> tuple[pa.Table, list[Problem]]:
    """Take spaces and spreadsheets' guards off the cells of the columns that are read, and tell where.

    A guard keeps a spreadsheet from reading a cell as a number: `="0012"`, or an apostrophe before it.
    """
    spaced, guarded = np.zeros((2, table.num_rows), dtype=bool)
    for name in dict.fromkeys(names):
        place = table.column_names.index(name)
        column = table.column(place)
        if pa.types.is_dictionary(column.type) and pa.types.is_string(column.type.value_type):
            column = column.cast(pa.string())
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        bare = pc.utf8_trim(column, characters=_SPACES)
        spaced |= _differ(column, bare)
        free = bare
        if any(pc.any(pc.starts_with(bare, mark)).as_py() for mark in ("=", "'")):
            free = pc.replace_substring_regex(free, pattern=r'^="(.*)"$', replacement=r"\1")
            free = pc.replace_substring_regex(free, pattern=r"^'([^']+)$", replacement=r"\1")
            guarded |= _differ(bare, free)
            free = pc.utf8_trim(free, characters=_SPACES)
        table = table.set_column(place, name, pc.if_else(pc.equal(free, ""), pa.scalar(None, free.type), free))
    findings = [
        problem(_("cells with spaces around them"), _("read without them"), spaced),
        problem(_('cells that a spreadsheet guards (="0012" or \'0012)'), _("read without the guard"), guarded),
    ]
    return table, [found for found in findings if found]


def _differ(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Any:
    return np.asarray(pc.fill_null(pc.not_equal(one, other), False))


def without_blank_rows(table: pa.Table) -> pa.Table:
    """Drop rows that hold nothing, as spreadsheets leave below a table."""
    if table.num_columns == 0:
        return table
    filled = np.zeros(table.num_rows, dtype=bool)
    for column in table.columns:
        filled |= np.asarray(column.is_valid())
    return table if filled.all() else table.filter(pa.array(filled))
