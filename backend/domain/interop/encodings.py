"""Detects a table's character encoding: from a byte order mark, the merchant's statement, or the bytes themselves.

Text in other encodings than UTF-8 decodes in several ways, most of them nonsense. An ambiguous file is shown in each
possible reading, and the merchant says which one is right.
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
"""UTF-32 comes first, because its mark begins with that of UTF-16."""
_COMMON = ("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1252", "cp1250", "cp1251", "koi8_r")
_OTHER_SCRIPTS = {"euc_kr": "HANGUL", "cp1251": "CYRILLIC", "koi8_r": "CYRILLIC"}
"""Encodings whose bytes may also decode as common Chinese, and their scripts."""
_SAMPLE = 64 * 1024
_SHOWN_WORDS = 3


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

    It tries the given encoding, a byte order mark, UTF-16 without a mark, UTF-8, and common Chinese (GB18030), in this
    order.

    Raises:
        UnknownFormat: if the bytes are not text in the encoding, or may be read in several ways.
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
    """Return the codec, where every second byte is zero, as in UTF-16 of mostly ASCII text."""
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
    """Tell whether GB18030 yields common characters, and no other script is as likely.

    Common are those of GB 2312, level 1, and its signs. Western, Japanese and Cyrillic bytes also decode as GB18030,
    but into rare characters. Korean bytes decode into common ones, and are Hangul throughout in their own encoding,
    which Chinese is only by chance.
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
    """Return an error with the first words in each encoding that the bytes may have."""
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
    """Return a few words that are not ASCII, for the merchant to look at."""
    sample = text[:_SAMPLE]
    for mark in ',;\t|"\r':
        sample = sample.replace(mark, "\n")
    cells = dict.fromkeys(cell.strip() for cell in sample.split("\n") if not cell.isascii())
    return ", ".join(cell[:30] for cell in list(cells)[:_SHOWN_WORDS])
