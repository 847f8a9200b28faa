"""The report on a claim study: one document, written as a page that needs no network, or as PDF."""

from collections.abc import Sequence
from typing import Any

from clearance_sim.report.compose import ReportError, compose
from clearance_sim.report.html import to_html
from clearance_sim.report.pdf import to_pdf

__all__ = ["ReportError", "compose", "to_html", "to_pdf", "write_html", "write_pdf"]


def write_html(claim: Any, language: str, probe: Any = None, trs: Any = None, commands: Sequence[str] = ()) -> str:
    """The report on a claim study as one page."""
    return to_html(compose(claim, language, probe, trs, commands))


def write_pdf(claim: Any, language: str, probe: Any = None, trs: Any = None, commands: Sequence[str] = ()) -> bytes:
    """The report on a claim study as PDF."""
    return to_pdf(compose(claim, language, probe, trs, commands))
