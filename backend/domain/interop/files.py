"""What a file is, told by its first bytes: names lie."""

from collections.abc import Mapping

from backend.domain.interop.consignments import Table, read_consignments
from backend.domain.interop.formats import BOM, read_compact, read_document
from backend.domain.interop.reading import Reading, UnknownFormat
from backend.domain.interop.secured import is_compact

LARGEST = 20_000_000
"""Bytes in one file."""

_NOT_TEXT = {b"PK\x03\x04": "spreadsheet", b"\xd0\xcf\x11\xe0": "spreadsheet", b"%PDF": "pdf", b"<": "xml"}


def is_json(content: bytes) -> bool:
    """Whether a file means to be JSON."""
    return content.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")


def is_document(content: bytes) -> bool:
    """Whether a file means to be a document, not a table."""
    return is_json(content) or is_compact(content.removeprefix(BOM))


def read_file(content: bytes, given: Mapping[str, str]) -> Reading | Table:
    """Read a document or a table; raises UnknownFormat, HostileJson, MalformedRecord.

    ``given`` are fields that complete a document, by their dotted paths.
    """
    start = content.removeprefix(BOM).lstrip()[:4]
    if len(content) > LARGEST:
        raise UnknownFormat("too-large", most=LARGEST)
    if not start:
        raise UnknownFormat("empty")
    for beginning, what in _NOT_TEXT.items():
        if start.startswith(beginning):
            raise UnknownFormat(what)
    if is_json(content):
        return read_document(content, given)
    return read_compact(content, given) if is_document(content) else read_consignments(content)
