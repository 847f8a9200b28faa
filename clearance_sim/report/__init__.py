"""The report on a claim study or a run: one document, written as a self-contained HTML page or as PDF."""

from collections.abc import Sequence
from typing import Any

from clearance_sim.report.compose import RUN_FORMAT, ReportError, compose, compose_run
from clearance_sim.report.html import to_html
from clearance_sim.report.pdf import to_pdf

__all__ = [
    "RUN_FORMAT",
    "ReportError",
    "compose",
    "compose_run",
    "run_page",
    "to_html",
    "to_pdf",
    "write_html",
    "write_pdf",
]


def write_html(claim: Any, language: str, probe: Any = None, trs: Any = None, commands: Sequence[str] = ()) -> str:
    """Return the report on a claim study as an HTML page.

    Raises:
        ReportError: A file has another format than expected.
    """
    return to_html(compose(claim, language, probe, trs, commands))


def write_pdf(claim: Any, language: str, probe: Any = None, trs: Any = None, commands: Sequence[str] = ()) -> bytes:
    """Return the report on a claim study as PDF.

    Raises:
        ReportError: A file has another format than expected.
    """
    return to_pdf(compose(claim, language, probe, trs, commands))


def run_page(result: Any, language: str, commands: Sequence[str] = ()) -> str:
    """Return the report on one run as an HTML page."""
    return to_html(compose_run(result, language, commands))
