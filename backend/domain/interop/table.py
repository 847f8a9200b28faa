"""Reads tables as spreadsheets save them: finds delimiter and header, and strips what spreadsheets add to cells.

A cell is text and nothing else: what begins with = + - or @, a formula to a spreadsheet, is never evaluated.
"""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from charset_normalizer import from_bytes

from backend.domain.errors import Message
from backend.domain.interop.reading import UnknownFormat

MOST_ROWS = 4_000
"""A table is stored in one unit of work, which blocks other writers: about 12 seconds at 3 ms per declaration."""
_DELIMITERS = {",": Message("comma"), ";": Message("semicolon"), "\t": Message("tab"), "|": Message("bar")}
_HEADER_WITHIN = 20
"""Number of rows in which the header is searched, because reports have titles above it."""
# strip() alone leaves zero-width letters and the byte order mark, of which nobody sees anything in a cell.
_SPACES = "".join(map(chr, filter(lambda code: chr(code).isspace(), range(0x3001)))) + "\u200b\u200c\u200d\u2060\ufeff"
_QUOTED = re.compile(r'="((?:[^"]|"")*)"')
_APOSTROPHE = re.compile(r"['’‘](?=[^'’‘]+$)", re.S)
_SEP_LINE = re.compile(r'["\']?sep=(?P<mark>\t|[^\w\s"\'])["\']?[^\S\n]*\r?\n', re.I)


@dataclass(frozen=True)
class RawTable:
    """A table's cells, trimmed: the header, and the rows that are not blank, each with its number in a spreadsheet.

    ``presumed`` holds sample words where the encoding was only presumed, ``titles`` the rows above the header,
    ``repeated`` the numbers of the rows that repeat the header, as printed pages do.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    encoding: str
    delimiter: str
    presumed: str = ""
    titles: tuple[str, ...] = ()
    repeated: tuple[int, ...] = ()


def plain_name(heading: str) -> str:
    """Return a column's name without what does not count: case, width, spaces, hyphens and invisible characters."""
    letters = unicodedata.normalize("NFKC", without_guard(heading, is_free_text=False)).casefold()
    return "".join(filter(str.isalnum, letters))


_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def in_half_width(cell: str) -> str:
    """Return a cell with its full-width letters, digits and signs as ASCII; other characters stay."""
    return cell.translate(_FULL_WIDTH)


def without_guard(cell: str, is_free_text: bool) -> str:
    """Return a cell without a spreadsheet's text marker: ``="0012"``, or an apostrophe in front.

    In free text an apostrophe may be part of a name ('s-Hertogenbosch), so there it is removed only before a number or
    a formula.
    """
    if quoted := _QUOTED.fullmatch(cell):
        return quoted.group(1).replace('""', '"').strip(_SPACES)
    if (mark := _APOSTROPHE.match(cell)) and (not is_free_text or cell[mark.end()] in "0123456789=+-@"):
        return cell[mark.end() :].strip(_SPACES)
    return cell


def _fault(error: csv.Error) -> Message:
    """Translate an error of the standard library's reader, which is in English only."""
    if "limit" in str(error):
        return Message("a cell is longer than {most} characters", most=csv.field_size_limit())
    if "expected after" in str(error):
        return Message("a quotation mark stands within a cell: inside a quoted cell it is written twice")
    if "unexpected end" in str(error):
        return Message("a quotation mark is opened and never closed")
    return Message("it is not written as CSV: {fault}", fault=str(error))


def read_table(content: bytes, known_names: Collection[str], encoding: str | None = None) -> RawTable:
    """Read the table with the delimiter and header that yield the most known column names, as ``plain_name`` gives.

    Raises:
        UnknownFormat: if it is not text, holds no known columns, is broken, or has too many rows.
    """
    decoded = decode(content, encoding)
    text, told = _without_sep_line(decoded.text.rstrip("\x1a\0"))  # old systems end a file with a sign of their own
    delimiter, above, count = _header(text, known_names, told)
    if count < 2:
        _refuse(text)
    rows = []
    try:
        for number, row in enumerate(_reader(text, delimiter), 1):
            cells = tuple(cell.strip(_SPACES) for cell in row)
            if any(cells):
                rows.append((number, cells))
            if len(rows) > MOST_ROWS + above + 1:
                raise UnknownFormat("too-many-rows", most=MOST_ROWS)
    except csv.Error as error:
        raise UnknownFormat("broken-table", row=_row_after(rows), why=_fault(error)) from error
    titles = tuple(" ".join(filter(None, cells)) for _, cells in rows[:above])
    header = tuple(without_guard(cell, is_free_text=False) for cell in rows[above][1])
    name = _DELIMITERS.get(delimiter, delimiter)
    repeated = tuple(number for number, cells in rows[above + 1 :] if cells == rows[above][1])
    body = tuple(row for row in rows[above + 1 :] if row[0] not in repeated)
    return RawTable(header, body, decoded.encoding, name, decoded.presumed, titles, repeated)


def _refuse(text: str) -> None:
    if text.lstrip(_SPACES)[:1] in ("{", "["):
        raise UnknownFormat("json-not-utf-8")
    raise UnknownFormat("no-columns", seen=text.split("\n", 1)[0][:80].strip())


def _without_sep_line(text: str) -> tuple[str, str | None]:
    """Remove the line that tells a spreadsheet the delimiter; spreadsheets neither show nor count it as a row."""
    told = _SEP_LINE.match(text)
    return (text[told.end() :], told["mark"]) if told else (text, None)


def _header(text: str, known_names: Collection[str], told: str | None) -> tuple[str, int, int]:
    """Return the delimiter, how many filled rows are above the header, and how many names in it are known."""
    best = (told or ",", 0, 0)
    # The line may have stayed when another program saved the table with another delimiter.
    for delimiter in dict.fromkeys([*([told] if told else []), *_DELIMITERS]):
        if told and best[2] > 1:
            break
        for above, row in enumerate(_first_rows(text, delimiter)):
            count = sum(plain_name(cell) in known_names for cell in row)
            if count > best[2]:
                best = (delimiter, above, count)
    return best


def _row_after(rows: list[tuple[int, tuple[str, ...]]]) -> int:
    return rows[-1][0] + 1 if rows else 1


def _reader(text: str, delimiter: str) -> Iterator[list[str]]:
    # Strict: otherwise a quotation mark that is never closed takes all rows after it into one cell, without an error.
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _first_rows(text: str, delimiter: str) -> Iterator[list[str]]:
    # By a delimiter that is not the table's anything may be broken; what is broken by its own, ``read_table`` tells.
    trimmed = ([cell.strip(_SPACES) for cell in row] for row in _reader(text, delimiter))
    try:
        yield from islice(filter(any, trimmed), _HEADER_WITHIN)
    except csv.Error:
        return


_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
"""The mark of UTF-32 begins with that of UTF-16, and so comes first."""
_COMMON = (
    "gb18030",
    "big5",
    "shift_jis",
    "euc_jp",
    "euc_kr",
    "cp1252",
    "cp1250",
    "cp1254",
    "cp1258",
    "cp1251",
    "koi8_r",
)
_ONE_SCRIPT = {"cp874": "THAI", "cp1253": "GREEK", "cp1255": "HEBREW", "cp1256": "ARABIC"}
"""Encodings that are likely only where all foreign letters are of their script."""
_TWO_SCRIPTS = re.compile("[A-Za-z][^\x00-\x7f]|[^\x00-\x7f][A-Za-z]")
_OTHER_SCRIPTS = {"euc_kr": "HANGUL", "cp1251": "CYRILLIC", "koi8_r": "CYRILLIC"}
"""Encodings whose bytes yield everyday Chinese, by the script that they hold."""
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_LEAST_ASCII = 20
"""Number of ASCII characters that a header of ours has at least."""
_SAMPLE = 64 * 1024
_SHOWN_WORDS = 3
_LAYOUT = dict.fromkeys(map(ord, "\t\r\n\x0c\x1a\u00a0\u3000"))
"""Characters without a picture that tables hold."""


@dataclass(frozen=True)
class Decoded:
    """A table's text, the name of its encoding, and some sample words where the encoding was only presumed."""

    text: str
    encoding: str
    presumed: str = ""


def is_encoding(name: str) -> bool:
    """Tell whether this names a text encoding."""
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def decode(content: bytes, encoding: str | None = None) -> Decoded:
    """Decode a table's bytes.

    It tries the given encoding, a byte order mark, UTF-16 and UTF-32 without a mark, UTF-8, and common Chinese
    (GB18030), in this order.

    Raises:
        UnknownFormat: if the bytes are not text in the encoding, or may be read in several ways.
    """
    if encoding is not None:
        return _strictly(content, encoding, encoding)
    for mark, codec, name in _BOMS:
        if content.startswith(mark):
            return _strictly(content, codec, name)
    if (unmarked := _wide_without_mark(content)) is not None:
        decoded = _strictly(content, unmarked, unmarked.upper())
        return Decoded(decoded.text, decoded.encoding, _words(decoded.text))
    try:
        return Decoded(content.decode("utf-8"), "UTF-8")
    except UnicodeDecodeError as error:
        position = error.start
    if others := _lines_of_another_encoding(content):
        raise UnknownFormat("mixed-encodings", lines=", ".join(map(str, others)))
    # After UTF-8, which bytes of another encoding hardly ever are: nearly any bytes are GB18030.
    if (chinese := _decoded(content, "gb18030")) is not None and _is_everyday_chinese(content, chinese):
        return Decoded(chinese, "GB18030", _words(chinese))
    raise _several(content, position)


def _strictly(content: bytes, codec: str, name: str) -> Decoded:
    try:
        return Decoded(content.decode(codec).removeprefix("\ufeff"), name)
    except UnicodeError as error:
        raise UnknownFormat("not-text", encoding=name, position=getattr(error, "start", 0)) from error


def _decoded(content: bytes, codec: str) -> str | None:
    try:
        return content.decode(codec)
    except UnicodeError:
        return None


def _wide_without_mark(content: bytes) -> str | None:
    """Return the codec of two or four bytes a character that yields text with most ASCII, which headers have.

    In the other order of bytes ASCII becomes rare Chinese, and in the other width it holds zeros or is no text.
    """
    if b"\0" not in content:
        return None
    texts = {codec: text for codec in _WIDE if (text := _decoded(content, codec)) and "\0" not in text}
    ascii_in = {codec: sum(map(str.isascii, text[:_SAMPLE])) for codec, text in texts.items()}
    codec = max(ascii_in, key=lambda one: ascii_in[one], default=None)
    return codec if codec is not None and ascii_in[codec] >= _LEAST_ASCII else None


def _lines_of_another_encoding(content: bytes) -> list[int]:
    """Return the first lines that are not UTF-8, in a file of which other lines are, beyond ASCII."""
    others, is_partly_utf_8 = [], False
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.isascii():
            continue
        text = _decoded(line, "utf-8")
        if text is None:
            others.append(number)
        # Of other encodings two bytes may form a character of UTF-8 by chance, three hardly ever do.
        is_partly_utf_8 |= text is not None and any(character >= "\u0800" for character in text)
    return others[:_SHOWN_WORDS] if is_partly_utf_8 else []


def _foreign(text: str) -> list[str]:
    return [character for character in text[:_SAMPLE] if not character.isascii()]


def _is_everyday_chinese(content: bytes, text: str) -> bool:
    """Tell whether GB18030 yields common characters, and no other script is as likely.

    Common are those of GB 2312, level 1, and its signs. Western, Japanese and Cyrillic bytes also decode as GB18030,
    but into rare characters. Korean bytes decode into common ones, and are Hangul throughout in their own encoding,
    which Chinese is only by chance. So are those of a few traditional characters, which are common in Big5.
    """
    foreign = _foreign(text)
    if sum(map(_is_common, foreign)) < 0.8 * len(foreign) or any("\u3040" <= char <= "\u30ff" for char in foreign):
        return False
    if any(_is_all(content, codec, script) for codec, script in _OTHER_SCRIPTS.items()):
        return False
    traditional = _foreign(_decoded(content, "big5") or "")
    return not traditional or not all(b"\xa1\x40" <= char.encode("big5") <= b"\xc6\x7e" for char in traditional)


def _is_common(character: str) -> bool:
    encoded = character.encode("gb18030")
    return len(encoded) == 2 and b"\xa1\xa1" <= encoded <= b"\xd7\xf9" and encoded[1] >= 0xA1


def _is_all(content: bytes, codec: str, script: str) -> bool:
    text = _decoded(content, codec)
    foreign = _foreign(text or "")
    return bool(foreign) and all(unicodedata.name(character, "").startswith(script) for character in foreign)


def _several(content: bytes, position: int) -> UnknownFormat:
    """Return an error with the first words in each encoding that the bytes may have."""
    best = from_bytes(content[:_SAMPLE]).best()
    fitting = [codec for codec, script in _ONE_SCRIPT.items() if _is_in_words_of(content, codec, script)]
    likely = [*fitting, *_COMMON, *([best.encoding] if best is not None else [])]
    read: dict[str, str] = {}
    for codec in dict.fromkeys(likely):
        text = _decoded(content, codec)
        if text is not None and _words(text) not in read.values() and _is_plain(text):
            read[codec] = _words(text)
    if not read:
        return UnknownFormat("not-text", encoding="UTF-8", position=position)
    return UnknownFormat("which-encoding", readings="; ".join(f"{codec}: {words}" for codec, words in read.items()))


def _is_in_words_of(content: bytes, codec: str, script: str) -> bool:
    """Tell whether all that is foreign is of one script, and stands in words without Latin letters."""
    return _is_all(content, codec, script) and not _TWO_SCRIPTS.search((_decoded(content, codec) or "")[:_SAMPLE])


def _is_plain(text: str) -> bool:
    """Tell whether nothing in a text is invisible, but for the ends of lines and cells."""
    return text[:_SAMPLE].translate(_LAYOUT).isprintable()


def _words(text: str) -> str:
    """Return a few words that are not ASCII, for the merchant to look at."""
    sample = text[:_SAMPLE]
    for mark in ',;\t|"\r':
        sample = sample.replace(mark, "\n")
    cells = dict.fromkeys(cell.strip() for cell in sample.split("\n") if not cell.isascii())
    return ", ".join(cell[:30] for cell in list(cells)[:_SHOWN_WORDS])
