"""Upload of attachments: PDF files only, stored under their digest."""

import io

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from backend.domain.errors import Invalid, Message
from backend.domain.parties import Person
from backend.domain.records import StoredFile
from backend.services.ports import AppContext, rerunnable

LARGEST = 20 * 1024 * 1024
"""Bytes."""


@rerunnable
def store_pdf(ctx: AppContext, actor: Person, content: bytes) -> StoredFile:
    """Store a PDF file under its SHA-256 digest. The same bytes uploaded twice are one file.

    Raises:
        Invalid: The file is larger than ``LARGEST``, or is not a readable PDF document.
    """
    if len(content) > LARGEST:
        raise Invalid(
            "the file is too large", [("file", Message("is larger than {size} MB", size=LARGEST // 1024 // 1024))]
        )
    if not is_pdf(content):
        raise Invalid("the file is not a PDF", [("file", "is not a PDF document, or is damaged or locked")])
    digest = ctx.files.put(content)
    with ctx.work() as work:
        work.files.hold(digest)
        owner = work.organisations.get(actor.organisation.id)
        ctx.files.put(content)  # again, now that no erasure can delete the same bytes any more
        number = ctx.files.key_number(digest)
        stored = work.files.find(digest, owner)
        if stored is None:
            stored = StoredFile(digest, owner, len(content), "application/pdf", ctx.now(), number)
            work.add(stored)
            work.files.note_key(digest, number)
            work.commit()
        elif stored.key_number != number:  # what lay there was damaged or missing: it is encrypted anew
            work.files.note_key(digest, number)
            work.commit()
    return stored


def is_pdf(content: bytes) -> bool:
    """Tell whether the bytes are a PDF document with at least one readable page, not locked by a password."""
    if not content.startswith(b"%PDF-"):
        return False
    try:
        reader = PdfReader(io.BytesIO(content), strict=False)
        return not reader.is_encrypted and len(reader.pages) > 0
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError):
        return False  # pypdf lets these through from damaged files
