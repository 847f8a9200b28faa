"""Which characters the bytes of a table stand for: told by a mark, by the merchant, or by what the bytes can mean.

Text in other encodings than UTF-8 decodes in several ways, most of them nonsense. What is not plain is shown in each
way that it can be read, and the merchant says which one is right.
"""

import codecs
import unicodedata
from dataclasses import dataclass

from charset_normalizer import from_bytes

from backend.domain.interop.reading import UnknownFormat

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
"""The mark of UTF-32 begins with that of UTF-16, and so comes first."""
_COMMON = ("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1252", "cp1250", "cp1251", "koi8_r")
_OTHER_SCRIPTS = {"euc_kr": "HANGUL", "cp1251": "CYRILLIC", "koi8_r": "CYRILLIC"}
"""Encodings whose bytes yield everyday Chinese, by the script that they hold."""
_SAMPLE = 64 * 1024
_SHOWN_WORDS = 3


@dataclass(frozen=True)
class Decoded:
    """A table's text, the name of its encoding, and some words where that was presumed from the bytes alone."""

    text: str
    encoding: str
    presumed: str = ""


def is_encoding(name: str) -> bool:
    """Whether this names an encoding of text."""
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def decode(content: bytes, encoding: str | None = None) -> Decoded:
    """Decode by the given encoding, else a byte order mark, else as UTF-8, UTF-16 without a mark, or everyday Chinese.

    Raises:
        UnknownFormat: the bytes are no text in the encoding, or may be read in several ways.
    """
    if encoding is not None:
        return _strictly(content, encoding, encoding)
    for mark, codec, name in _BOMS:
        if content.startswith(mark):
            return _strictly(content, codec, name)
    if (unmarked := _utf_16_without_mark(content)) is not None:
        decoded = _strictly(content, unmarked, unmarked.upper())
        return Decoded(decoded.text, decoded.encoding, _words(decoded.text))
    try:
        return Decoded(content.decode("utf-8"), "UTF-8")
    except UnicodeDecodeError as error:
        position = error.start
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


def _utf_16_without_mark(content: bytes) -> str | None:
    """The codec, where every other byte of what is mostly ASCII is zero."""
    sample = content[: _SAMPLE // 2 * 2]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(sample) < 4:
        return None
    if not even and odd > 0.3 * len(sample) / 2:
        return "utf-16-le"
    return "utf-16-be" if not odd and even > 0.3 * len(sample) / 2 else None


def _foreign(text: str) -> list[str]:
    return [character for character in text[:_SAMPLE] if not character.isascii()]


def _is_everyday_chinese(content: bytes, text: str) -> bool:
    """Whether GB18030 yields everyday characters (GB 2312, level 1, and its signs), and no other script is as likely.

    Western, Japanese and Cyrillic bytes decode as GB18030, too, but into characters that hardly anybody writes. Korean
    bytes decode into everyday ones, and are Hangul throughout in their own encoding, which Chinese is only by chance.
    """
    foreign = _foreign(text)
    common = sum(b"\xa1\xa1" <= character.encode("gb18030")[:2] <= b"\xd7\xf9" for character in foreign)
    if common < 0.8 * len(foreign) or any("\u3040" <= character <= "\u30ff" for character in foreign):
        return False
    return not any(_is_all(content, codec, script) for codec, script in _OTHER_SCRIPTS.items())


def _is_all(content: bytes, codec: str, script: str) -> bool:
    text = _decoded(content, codec)
    foreign = _foreign(text or "")
    return bool(foreign) and all(unicodedata.name(character, "").startswith(script) for character in foreign)


def _several(content: bytes, position: int) -> UnknownFormat:
    """What the bytes say in each encoding that they may be in."""
    best = from_bytes(content[:_SAMPLE]).best()
    likely = [*_COMMON, *([best.encoding] if best is not None else [])]
    read: dict[str, str] = {}
    for codec in dict.fromkeys(likely):
        text = _decoded(content, codec)
        if text is not None and _words(text) not in read.values() and all(map(str.isprintable, _foreign(text))):
            read[codec] = _words(text)
    if not read:
        return UnknownFormat("not-text", encoding="UTF-8", position=position)
    return UnknownFormat("which-encoding", readings="; ".join(f"{codec}: {words}" for codec, words in read.items()))


def _words(text: str) -> str:
    """A few words that are no ASCII, to be looked at."""
    sample = text[:_SAMPLE]
    for mark in ',;\t|"\r':
        sample = sample.replace(mark, "\n")
    cells = dict.fromkeys(cell.strip() for cell in sample.split("\n") if not cell.isascii())
    return ", ".join(cell[:30] for cell in list(cells)[:_SHOWN_WORDS])
