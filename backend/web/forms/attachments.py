"""Files uploaded with a form. They are stored at once, so that a fault elsewhere in the form does not lose them."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from flask import request

from backend.domain.errors import Invalid
from backend.services.files import store_pdf
from backend.services.ports import AppContext
from backend.web.context import person

LONGEST_NAME = 200


def receive(ctx: AppContext) -> tuple[list[dict[str, Any]], list[str]]:
    """Store the uploaded files of the current request.

    Returns the attachments, those kept from an earlier attempt and new ones, and the faults as ``name|message``.
    """
    attachments, faults = _kept(ctx, request.form.getlist("kept")), []
    for upload in request.files.getlist("pdf"):
        if not upload.filename:
            continue
        # Some browsers send the whole path on the user's disk, of which only the file's name belongs into the record.
        name = PurePath(upload.filename.replace("\\", "/")).name[-LONGEST_NAME:]
        try:
            stored = store_pdf(ctx, person(), upload.read())
        except Invalid as error:
            faults += [f"{name}|{message}" for _where, message in error.problems]
            continue
        if all(attachment["sha256"] != stored.sha256 for attachment in attachments):
            attachments.append({"fileName": name, "size": stored.size, "sha256": stored.sha256})
    return attachments, faults


def _kept(ctx: AppContext, values: Sequence[str]) -> list[dict[str, Any]]:
    """Return files of an earlier attempt at this form, given as ``sha256|name``."""
    attachments = []
    with ctx.work(reading=True) as work:
        for value in dict.fromkeys(values):
            sha256, _bar, name = value.partition("|")
            # Only the organisation's own uploads: a digest alone must not give access to somebody else's file.
            stored = work.files.find(sha256, person().organisation)
            if stored is not None and name:
                attachments.append({"fileName": name[:LONGEST_NAME], "size": stored.size, "sha256": sha256})
    return attachments
