"""The public pages behind a label's QR code and behind a shop's badge, and the images of both.

A label's page shows whether the record is genuine, its issuer and a few facts; a badge's page which papers there are
about the product that a shop offers. Both show the fields of the label's audience only, and no free text that may name
people.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import segno
from flask import Blueprint, Response, json, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from fpdf import FPDF
from markupsafe import escape
from PIL import Image, ImageDraw, ImageFont

from backend.domain.kinds import KINDS, Audience, Certification
from backend.domain.records import RecordOnFile
from backend.domain.selective_disclosure import fields_for
from backend.domain.verdict import Conclusion, Verdict
from backend.services.bundles import bundle_of
from backend.services.verification import verdict_on
from backend.web.context import current_context, external_url, instance
from backend.web.presentation.languages import TRADE_ZONE
from backend.web.public.downloads import bundle_file

blueprint = Blueprint("public", __name__)

SHOWN = {kind: fields_for(Audience.PUBLIC_LABEL, kind) for kind, stated in KINDS.items() if stated.has_label}
"""The fields on the public page of a record, by kind. Other kinds have no public page."""
PROVEN = {kind: (*names, *(["hsCode"] if KINDS[kind].is_bound_to_chapters else [])) for kind, names in SHOWN.items()}
"""The fields disclosed in the bundle of a label: also the HS code, by which an issuer's accreditation is checked."""
LONGEST_CODE = 64


@blueprint.get("/p")
def enter_code() -> ResponseReturnValue:
    """Ask for the code on a label, and go to its page."""
    typed = "".join(request.args.get("code", "").split()).lower()[:LONGEST_CODE]
    if typed:
        return redirect(url_for("public.label", label_code=typed))
    return render_template("public/enter.html")


@blueprint.get("/01/<gtin>")
def digital_link(gtin: str) -> ResponseReturnValue:
    """Lead from a product's GS1 Digital Link to the paper whose label it is."""
    code = request.args.get("label", "").strip().lower()
    found = _labelled(code)
    if found is None or found.product is None or (found.product.gtin or "").zfill(14) != gtin.zfill(14):
        return _unknown(code or gtin)
    return redirect(url_for("public.label", label_code=found.label_code))


@blueprint.get("/p/<label_code>")
def label(label_code: str) -> ResponseReturnValue:
    """Show whether the record behind a label is genuine, or what is proven of the product behind a badge."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.records.find_by_label(label_code.strip().lower())
        # Labels stay on goods when their record is replaced, so an old code leads to the latest version.
        newest = work.records.latest_of(found) if found is not None else None
    # The same answer for an unknown code, a kind without labels and an erased record.
    if newest is None or newest.kind not in SHOWN or newest.erased_at is not None:
        return _unknown(label_code)
    if found is not None and newest.id != found.id:
        return redirect(url_for("public.label", label_code=newest.label_code))
    if KINDS[newest.kind].is_badge:
        badge = badge_of(newest)
        page = render_template("public/listing.html", badge=badge, linked=json.dumps(badge.linked_data()))
    else:
        verdict, others = _evaluated(newest)
        page = render_template(
            "public/label.html",
            record=newest,
            facts=_facts(newest),
            certification=KINDS[newest.kind].certification,
            verdict=verdict,
            others=others,
        )
    answer = make_response(page)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@dataclass(frozen=True)
class Paper:
    """What an issuer stands for about a product, its verdict for everybody, and the fields that everybody sees."""

    record: RecordOnFile
    conclusion: Conclusion
    facts: dict[str, Any]

    @property
    def certification(self) -> Certification:
        """The words of its kind."""
        stated = KINDS[self.record.kind].certification
        assert stated is not None, self.record.kind
        return stated


def _evaluated(record: RecordOnFile) -> tuple[Verdict, list[Paper]]:
    """Return the verdict for everybody on a record, and what else issuers stand for about its product."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        about = work.records.certified_about(record.product) if record.product is not None else ()
    with ctx.ledger.at_one_block():
        papers = [
            Paper(one, verdict_on(ctx, one, for_everybody=True).conclusion, _facts(one))
            for one in about
            if one.id != record.id
        ]
        return verdict_on(ctx, record, for_everybody=True), papers


def _facts(record: RecordOnFile) -> dict[str, Any]:
    fields = record.readable_fields
    return {name: fields[name] for name in SHOWN[record.kind] if name in fields}


def _labelled(label_code: str) -> RecordOnFile | None:
    """Return the record that has this label, if its kind has labels and it was not erased."""
    with current_context().work(reading=True) as work:
        found = work.records.find_by_label(label_code.strip().lower())
    return found if found is not None and found.kind in SHOWN and found.erased_at is None else None


def _unknown(label_code: str) -> ResponseReturnValue:
    return render_template("public/unknown.html", code=label_code), 404


@blueprint.get("/p/<label_code>/bundle.json")
def label_bundle(label_code: str) -> ResponseReturnValue:
    """Download the evidence behind a label. It discloses what the page shows, and the HS code."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.records.find_by_label(label_code.strip().lower())
    if found is None or found.kind not in SHOWN:
        return _unknown(label_code)
    return bundle_file(bundle_of(ctx, found, PROVEN[found.kind]), found.label_code)


# ---- labels: a QR code with the same in letters, for who cannot scan it

_QUIET_ZONE = 4
"""Modules around a QR code (ISO/IEC 18004)."""
_LETTERS_HEIGHT = 7
"""Modules below it, for three lines of letters."""


@blueprint.get("/p/<label_code>/label.<any('svg', 'png', 'pdf'):form>")
def label_image(label_code: str, form: str) -> ResponseReturnValue:
    """Draw a label: as SVG or PNG, or as a sheet of 24 for A4 (PDF)."""
    found = _labelled(label_code)
    if found is None:
        return _unknown(label_code)
    drawn = {"svg": _as_svg, "png": _as_png, "pdf": _as_sheet}[form](_QrLabel.of(found))
    media_type = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}[form]
    answer = Response(drawn, mimetype=media_type, headers={"Cache-Control": "max-age=3600"})
    if form == "pdf":
        answer.headers.set("Content-Disposition", "attachment", filename=f"labels-{found.label_code[:8]}.pdf")
    return answer


@dataclass(frozen=True)
class _QrLabel:
    code: segno.QRCode
    letters: tuple[str, ...]

    @classmethod
    def of(cls, record: RecordOnFile) -> "_QrLabel":
        """Where the product has a bar code, the address is its GS1 Digital Link, which tills and other readers know."""
        address = external_url("public.label", label_code=record.label_code)
        if record.product is not None and record.product.gtin:
            gtin = record.product.gtin.zfill(14)
            address = external_url("public.digital_link", gtin=gtin, label=record.label_code)
        pieces = [record.label_code[place : place + 4] for place in range(0, len(record.label_code), 4)]
        half = (len(pieces) + 1) // 2
        where = external_url("public.enter_code").partition("://")[2]
        return cls(
            segno.make(address, error="m", micro=False), (where, " ".join(pieces[:half]), " ".join(pieces[half:]))
        )

    @property
    def modules(self) -> int:
        """Its width."""
        return int(self.code.symbol_size(border=_QUIET_ZONE)[0])


def _as_svg(label: _QrLabel) -> bytes:
    width, height = label.modules, label.modules + _LETTERS_HEIGHT
    drawn = label.code.svg_inline(border=_QUIET_ZONE, light="#fff", omitsize=True)
    lines = "".join(
        f'<text x="{width / 2}" y="{width + 2.2 * number}">{escape(line)}</text>'
        for number, line in enumerate(label.letters)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width * 8}" height="{height * 8}">'
        f'<rect width="{width}" height="{height}" fill="#fff"/><svg width="{width}" height="{width}">{drawn}</svg>'
        f'<g font-family="monospace" font-size="2" text-anchor="middle" fill="#000">{lines}</g></svg>'
    ).encode()


def _as_png(label: _QrLabel, scale: int = 12) -> bytes:
    coded, drawn = io.BytesIO(), io.BytesIO()
    label.code.save(coded, kind="png", scale=scale, border=_QUIET_ZONE)
    size = label.modules * scale
    image = Image.new("L", (size, size + _LETTERS_HEIGHT * scale), 255)
    image.paste(Image.open(coded), (0, 0))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(2 * scale)
    for number, line in enumerate(label.letters):
        pen.text((size / 2, size + (2.2 * number - 1.8) * scale), line, 0, font, anchor="ma")
    image.save(drawn, "PNG", dpi=(300, 300))
    return drawn.getvalue()


_COLUMNS, _ROWS = 3, 8
_LABEL_WIDTH, _LABEL_HEIGHT = 70.0, 37.125
"""Millimetres: sheets of 24 labels fill A4."""


def _as_sheet(label: _QrLabel) -> bytes:
    sheet, image = FPDF(unit="mm", format="A4"), io.BytesIO(_as_png(label))
    sheet.set_auto_page_break(False)
    sheet.add_page()
    height = 33.0
    width = height * label.modules / (label.modules + _LETTERS_HEIGHT)
    for place in range(_COLUMNS * _ROWS):
        row, column = divmod(place, _COLUMNS)
        left = column * _LABEL_WIDTH + (_LABEL_WIDTH - width) / 2
        sheet.image(image, left, row * _LABEL_HEIGHT + (_LABEL_HEIGHT - height) / 2, width, height)
    return bytes(sheet.output())


# ---- badges: what is proven of a product, on a page of a shop


class BadgeState(StrEnum):
    """What a badge says."""

    PROVEN = "proven"
    """Papers about the product are valid, and the listing is."""
    OPEN = "open"
    """There is none yet, or something cannot be told at the moment."""
    OVER = "over"
    """It is not, or no longer, offered on this page."""
    COPIED = "copied"
    """It stands on another page than it was made for."""
    REFUSED = "refused"
    """A paper or the listing is not valid."""


@dataclass(frozen=True)
class Badge:
    """A listing with the papers about its product."""

    record: RecordOnFile
    """The listing."""
    verdict: Verdict
    papers: Sequence[Paper]
    facts: dict[str, Any]

    @property
    def shop(self) -> str:
        """The shop's name on the internet."""
        return urlsplit(str(self.facts.get("listingUrl", ""))).hostname or ""

    def state(self, shown_at: str | None = None) -> BadgeState:
        """Return what it says on a page of this address, as far as the reader's browser tells it."""
        found = [self.verdict.conclusion, *(one.conclusion for one in self.papers)]
        if shown_at and not _is_same_page(str(self.facts.get("listingUrl", "")), shown_at):
            return BadgeState.COPIED
        if Conclusion.INVALID in found:
            return BadgeState.REFUSED
        today = current_context().now().astimezone(TRADE_ZONE).date().isoformat()
        if "listedFrom" in self.facts and not self.facts["listedFrom"] <= today <= self.facts["listedUntil"]:
            return BadgeState.OVER
        return BadgeState.PROVEN if self.papers and set(found) == {Conclusion.VALID} else BadgeState.OPEN

    def linked_data(self) -> dict[str, Any]:
        """Describe the product for search engines (schema.org Product and Certification, JSON-LD 1.1)."""
        product = self.record.product
        certificates = [
            {
                "@type": "Certification",
                "name": KINDS[one.record.kind].names,
                "issuedBy": {"@type": "Organization", "name": one.record.issuer.name},
                "certificationStatus": "https://schema.org/Certification"
                + ("Active" if one.conclusion is Conclusion.VALID else "Inactive"),
                "url": external_url("public.label", label_code=one.record.label_code),
                **({"datePublished": one.facts["issueDate"]} if "issueDate" in one.facts else {}),
                **({"expires": one.facts["validUntil"]} if "validUntil" in one.facts else {}),
            }
            for one in self.papers
        ]
        origins = [one.facts["originCountry"] for one in self.papers if "originCountry" in one.facts]
        return {
            "@context": "https://schema.org",
            "@type": "Product",
            "name": self.facts.get("description"),
            "url": self.facts.get("listingUrl"),
            **({"gtin": product.gtin} if product is not None and product.gtin else {}),
            **({"countryOfOrigin": {"@type": "Country", "name": origins[0]}} if origins else {}),
            "hasCertification": certificates,
        }


def _is_same_page(listed: str, shown_at: str) -> bool:
    """Tell whether a badge may stand where a browser says that it stands.

    Browsers tell other sites the shop alone, unless the snippet's ``referrerpolicy`` is heard; then the path counts,
    and what the listing's address has after the question mark. What a shop adds there to follow visitors does not.
    """
    try:
        wanted, found = urlsplit(listed), urlsplit(shown_at)
    except ValueError:
        return False  # no address at all, such as brackets that do not close
    if found.netloc.lower() == urlsplit(instance().address).netloc.lower():
        return True  # our own pages show it too
    if found.hostname != wanted.hostname:
        return False
    if found.path in ("", "/") and not found.query:
        return True
    is_path = found.path.rstrip("/") == wanted.path.rstrip("/")
    return is_path and set(parse_qsl(wanted.query)) <= set(parse_qsl(found.query))


def badge_of(record: RecordOnFile) -> Badge:
    """Return the badge of a listing."""
    return Badge(record, *_evaluated(record), _facts(record))


def badge_snippet(record: RecordOnFile) -> str:
    """Return what a shop puts into its page: a link with an image, no script."""
    page = external_url("public.label", label_code=record.label_code)
    # Otherwise browsers would tell us the shop alone, and not on which of its pages the badge stands.
    tell = 'referrerpolicy="no-referrer-when-downgrade"'
    text = escape(_("Where these goods were made, and who tested them"))
    return f'<a href="{page}" {tell}><img src="{page}/badge.svg" width="240" height="56" alt="{text}" {tell}></a>'


@blueprint.get("/p/<label_code>/badge.svg")
def badge(label_code: str) -> ResponseReturnValue:
    """Draw a listing's badge: what is proven of the product, and for which shop."""
    found = _labelled(label_code)
    if found is None or not KINDS[found.kind].is_badge:
        return _unknown(label_code)
    made = badge_of(found)
    state = made.state(request.referrer)
    texts = {
        BadgeState.PROVEN: _("Origin and inspection proven") if _is_inspected(made) else _("Origin proven"),
        BadgeState.OPEN: _("Not proven at the moment"),
        BadgeState.OVER: _("No longer offered here"),
        BadgeState.COPIED: _("Badge of another page"),
        BadgeState.REFUSED: _("Do not rely on it"),
    }
    drawn = render_template("public/badge.svg", state=state, text=texts[state], shop=made.shop)
    answer = Response(drawn, mimetype="image/svg+xml")
    answer.headers["Cache-Control"] = "max-age=60"
    answer.headers["Vary"] = "Referer, Accept-Language"
    # Shops are other sites: they may show this image.
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


def _is_inspected(badge: Badge) -> bool:
    return any("performedFrom" in one.facts or "conforms" in one.facts for one in badge.papers)


@blueprint.get("/p/<label_code>/product.json")
def linked_product(label_code: str) -> ResponseReturnValue:
    """Describe a listing's product for search engines, as JSON-LD."""
    found = _labelled(label_code)
    if found is None or not KINDS[found.kind].is_badge:
        return _unknown(label_code)
    answer = Response(json.dumps(badge_of(found).linked_data()), mimetype="application/ld+json")
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cache-Control"] = "max-age=300"
    return answer
