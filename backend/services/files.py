"""Attachments come in: only real PDF files, kept under their digest."""

from backend.domain.errors import Invalid
from backend.domain.message import Message
from backend.domain.parties import Person
from backend.domain.records import StoredFile
from backend.services.ports import Surroundings

LARGEST = 20 * 1024 * 1024
"""Bytes."""


def store_pdf(at: Surroundings, actor: Person, content: bytes) -> StoredFile:
    """Keep a PDF file; the same bytes twice are one file. Raises Invalid for anything that is not a PDF."""
    if len(content) > LARGEST:
        raise Invalid(
            "the file is too large", [("file", Message("is larger than {size} MB", size=LARGEST // 1024 // 1024))]
        )
    if not at.pdf.is_pdf(content):
        raise Invalid("the file is not a PDF", [("file", "is not a PDF document, or is damaged or locked")])
    digest = at.files.put(content)
    with at.work() as work:
        owner = work.store.get_organisation(actor.organisation.id)
        at.files.put(content)  # again, now that nobody else writes: an erasure may just have deleted the same
        stored = work.store.find_file(digest, owner)
        if stored is None:
            stored = StoredFile(digest, owner, len(content), "application/pdf", at.now())
            work.store.add(stored)
            work.commit()
    return stored
