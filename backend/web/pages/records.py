"""Records on file: the list, the page of a record, its files, its evidence, and signing of trade papers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Response, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from backend.domain.errors import Conflict, Invalid, NotFound, StaleVersion
from backend.domain.finding import words_asked
from backend.domain.kinds import BY_SLUG, HELD, ISSUERS, KINDS, OWN, Audience, Kind
from backend.domain.ledger import DocumentStatus
from backend.domain.parties import Organisation, Role
from backend.domain.records import Assurance, FieldChange, Product, RecordOnFile, changes_between
from backend.domain.verdict import Verdict
from backend.services import bundles, erasure, issuance
from backend.services.bundles import bundle_of, bundle_of_consignment
from backend.services.records import visible_record
from backend.services.statements import sign_own
from backend.services.verification import RecordVerdict, evaluated, verdict_on
from backend.store.unit_of_work import UnitOfWork
from backend.web.context import current_context, only, person
from backend.web.forms.record_forms import form_for
from backend.web.pages import LONGEST_QUESTION, MOST_COUNTED, MOST_FOUND_COUNTED, blueprint, turned, version_read
from backend.web.pages.declarations import in_trade_zone, time_cell
from backend.web.pages.statements import offer_blank_rows, usual_start, with_zones
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import document_state, goods_of, kind_name, later_changes, name_of, number_of
from backend.web.public.downloads import MOST_ROWS, bundle_file, table_file
from backend.web.public.label import badge_snippet

READERS = (Role.MERCHANT, *ISSUERS, Role.OFFICER)
PAGE = 50
NAMED_BY = 20
"""The number of declarations, newest first, that the page of a paper names."""


@blueprint.get("/records")
@only(Role.MERCHANT, *ISSUERS)
def records() -> str:
    """List the papers that a merchant holds or an issuer signed. Replaced versions are shown on request only."""
    own, wanted, ctx = person().organisation, _wanted(), current_context()
    with ctx.work(reading=True) as work:
        page = turned(partial(_papers, work, own, wanted), PAGE, wanted.oldest_first)
        stated = [r.id for r in page.rows if r.assurance is Assurance.STATED]
        asked = work.requests.for_statements(stated)
        total = len(page.rows) if page.is_whole else _total(work, own, wanted)
        shown = evaluated(ctx, page.rows)
    return render_template(
        "pages/records.html",
        records=shown,
        turn=page,
        asked=asked,
        kinds=HELD,
        wanted=wanted,
        total=total,
        most=MOST_FOUND_COUNTED if wanted.words else MOST_COUNTED,
    )


def _total(work: UnitOfWork, own: Organisation, wanted: "_Wanted") -> int:
    if wanted.words:
        return len(_papers(work, own, wanted, None, False, MOST_FOUND_COUNTED, ids_only=True))
    return work.records.count(own, wanted.kinds, MOST_COUNTED, current=not wanted.replaced)


@dataclass(frozen=True)
class _Wanted:
    """What is asked of the list of papers."""

    q: str
    kind: Kind | None
    replaced: bool
    oldest_first: bool

    @property
    def words(self) -> list[str]:
        return words_asked(self.q)

    @property
    def kinds(self) -> Sequence[Kind]:
        return [self.kind] if self.kind is not None else tuple(HELD)

    @property
    def as_query(self) -> dict[str, str]:
        """The same as parameters of an address."""
        chosen = {"q": self.q, "kind": self.kind.slug if self.kind is not None else ""}
        chosen |= {"replaced": "yes" if self.replaced else "", "order": "oldest" if self.oldest_first else ""}
        return {name: value for name, value in chosen.items() if value}


def _wanted() -> _Wanted:
    given = request.args
    kind = BY_SLUG.get(given.get("kind", ""))
    # What issuers signed has no words here: only holders look for theirs.
    question = given.get("q", "").strip()[:LONGEST_QUESTION] if person().role is Role.MERCHANT else ""
    return _Wanted(question, kind if kind in HELD else None, "replaced" in given, given.get("order") == "oldest")


def _papers(
    work: UnitOfWork,
    own: Organisation,
    wanted: _Wanted,
    beyond: str | None,
    oldest_first: bool,
    limit: int,
    ids_only: bool = False,
) -> Sequence[Any]:
    if wanted.q and not wanted.words:
        return []
    if wanted.words:
        place = work.records.place_of(own, beyond) if beyond else None
        found = work.search.find(own, False, wanted.words, limit, place, oldest_first, wanted.kinds)
        return found if ids_only else work.records.in_order(found)
    return work.records.of(own, wanted.kinds, limit, beyond, current=not wanted.replaced, oldest_first=oldest_first)


@blueprint.get("/records.<any('csv', 'xlsx'):form>")
@only(Role.MERCHANT, *ISSUERS)
def records_file(form: str) -> Response:
    """Download the list of papers as a table."""
    own, wanted, ctx = person().organisation, _wanted(), current_context()
    with ctx.work(reading=True) as work:
        found = _papers(work, own, wanted, None, wanted.oldest_first, MOST_ROWS)
        rows = [
            (
                kind_name(r.kind),
                number_of(r),
                goods_of(r),
                name_of(r.issuer),
                document_state(r.status),
                time_cell(r.issued_at),
            )
            for r in found
        ]
    names = (_("Paper"), _("Number"), _("Goods"), _("Issuer"), _("Status"), _("Date"))
    return table_file(form, "papers", names, rows)


@blueprint.get("/records/<record_id>")
@only(*READERS)
def record(record_id: str) -> ResponseReturnValue:
    """Show a record. A declaration has a page of its own."""
    return _sheet(record_id)


def _sheet(record_id: str, wrong: str | None = None, stale: StaleVersion | None = None) -> ResponseReturnValue:
    ctx, actor = current_context(), person()
    with ctx.work(reading=True) as work:
        found = visible_record(ctx, work, actor, record_id)
        asked = work.requests.find_about(record_id)
        changes_made = _changes_made(work, found)
        named_by = work.consignments.naming(record_id, actor.organisation, NAMED_BY + 1)
        is_concerned = actor.role is Role.OFFICER or found.holder.id == actor.organisation.id
        kept = erasure.retention(ctx, work, actor, found) if is_concerned else None
    if found.kind is Kind.DECLARATION:
        return redirect(_declaration_page(found))
    verdict, past_fault = _verdict(found)
    page = render_template(
        "pages/record.html",
        snippet=badge_snippet(found) if KINDS[found.kind].is_badge else None,
        record=found,
        fields=_fields(found),
        slug=found.kind.slug,
        verdict=verdict,
        evaluated=RecordVerdict(found, verdict),
        past=request.args.get("at", ""),
        past_fault=past_fault,
        kept=kept,
        can_erase=found.erased_at is None and found.holder.id == actor.organisation.id,
        asked=asked if asked and actor.organisation.id in (asked.merchant.id, asked.issuer.id) else None,
        named_by=named_by[:NAMED_BY],
        named_by_more=len(named_by) > NAMED_BY,
        can_revoke=_can_revoke(found),
        can_replace=_can_revoke(found) and actor.role in ISSUERS and issuance.is_replaceable(found),
        changes_made=changes_made,
        wrong=wrong,
        reason=request.form.get("reason", ""),
        changes=stale and later_changes(stale.changes),
    )
    if stale is not None:
        return page, HTTPStatus.PRECONDITION_FAILED
    return page, HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK


def _verdict(found: RecordOnFile) -> tuple[Verdict, str | None]:
    """Return the verdict now or at the time asked about, and the fault of that time if it is wrong."""
    ctx = current_context()
    if not request.args.get("at"):
        return verdict_on(ctx, found), None
    try:
        return verdict_on(ctx, found, datetime.fromisoformat(in_trade_zone(request.args["at"]))), None
    except Invalid as error:
        return verdict_on(ctx, found), in_words(error.problems[0][1])
    except ValueError:
        return verdict_on(ctx, found), _("Give date and time as 2026-03-31 14:05.")


def _declaration_page(found: RecordOnFile) -> str:
    endpoint = "pages.dossier" if person().role is Role.OFFICER else "pages.declaration"
    return url_for(endpoint, declaration_id=found.id)


def _fields(found: RecordOnFile) -> dict[str, Any] | None:
    try:
        return found.fields
    except Invalid:
        return None


def _changes_made(work: UnitOfWork, found: RecordOnFile) -> Sequence[FieldChange]:
    """Return what an amended record says differently from the issued one that it replaced."""
    before = work.records.get(found.supersedes_id) if found.supersedes_id is not None else None
    if before is None or before.assurance is not Assurance.ISSUED:
        return ()
    old, new = before.readable_fields, found.readable_fields
    return changes_between(old, new) if old and new else ()


def _can_revoke(found: RecordOnFile) -> bool:
    own = found.issuer.id == person().organisation.id
    in_force = found.status in (DocumentStatus.ACTIVE, DocumentStatus.SUSPENDED)
    return own and in_force and found.assurance is Assurance.ISSUED and found.erased_at is None


@blueprint.post("/records/<record_id>/revoke")
@only(Role.MERCHANT, *ISSUERS)
def revoke(record_id: str) -> ResponseReturnValue:
    """Revoke a record for good, by its issuer."""
    try:
        issuance.revoke(current_context(), person(), record_id, request.form.get("reason", ""), version_read())
    except StaleVersion as error:
        return _sheet(record_id, stale=error)
    except Invalid as error:
        return _sheet(record_id, in_words(error.problems[0][1] if error.problems else error.message))
    flash(_("Revoked. Whoever checks this record from now on is told so."))
    return redirect(url_for("pages.record", record_id=record_id))


@blueprint.get("/records/<record_id>/files/<sha256>")
@only(*READERS)
def attached_file(record_id: str, sha256: str) -> Response:
    """Download a file attached to a record, for those who may read the record."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = visible_record(ctx, work, person(), record_id)
    return file_named(_fields(found) or {}, sha256)


def file_named(fields: Mapping[str, Any], sha256: str) -> Response:
    """Return a file that a document names, to be saved; raise NotFound where it names none, or it is gone."""
    named = next((a for a in fields.get("attachments", []) if a["sha256"] == sha256), None)
    # Only files that the document itself binds: a digest in the address gives no right to any other file.
    content = current_context().files.get(sha256) if named else None
    if named is None or content is None:
        raise NotFound("no such file", sha256=sha256)
    answer = make_response(content)
    answer.mimetype = "application/pdf"
    # Downloaded rather than shown, and never sniffed: an uploaded file must not run in our pages' origin.
    answer.headers.set("Content-Disposition", "attachment", filename=named["fileName"])
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


@blueprint.get("/records/<record_id>/evidence.json")
@only(*READERS)
def evidence(record_id: str) -> Response:
    """Download the bundle of a record, to be verified without this server."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = visible_record(ctx, work, person(), record_id)
    return bundle_file(bundle_of(ctx, found), record_id)


@blueprint.get("/declarations/<declaration_id>/evidence.json")
@only(Role.MERCHANT, Role.OFFICER)
def consignment_evidence(declaration_id: str) -> Response:
    """Download one bundle with the declaration and every paper that it relies on."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        consignment = work.consignments.visible_to(person(), declaration_id, ctx.now())
        return bundle_file(bundle_of_consignment(ctx, work, consignment), declaration_id)


_HOLDERS = (Role.MERCHANT, *ISSUERS)


@blueprint.get("/records/<record_id>/show")
@only(*_HOLDERS)
def show(record_id: str) -> str:
    """Let the holder choose which fields to show, and to whom."""
    wanted = request.args.get("audience", Audience.BUYER.value)
    audience = Audience(wanted) if wanted in set(Audience) else Audience.BUYER
    choice = bundles.choose(current_context(), person(), record_id, audience)
    return render_template(
        "pages/show.html",
        record=choice.record,
        fields=choice.record.fields,
        shown=choice.shown,
        audience=audience,
        audiences=list(Audience),
    )


@blueprint.get("/records/<record_id>/presentation.json")
@only(*_HOLDERS)
def presentation(record_id: str) -> Response:
    """Download the bundle with the ticked fields."""
    ctx = current_context()
    choice = bundles.choose(ctx, person(), record_id, None, request.args.getlist("field"))
    return bundle_file(bundles.present(ctx, choice), record_id)


@blueprint.route("/records/<record_id>/erase", methods=["GET", "POST"])
@only(*_HOLDERS)
def erase(record_id: str) -> ResponseReturnValue:
    """Explain erasure, and erase the record once it is confirmed."""
    refusal = _refusal(record_id)
    is_sure = request.form.get("sure") == "yes"
    if request.method == "POST" and refusal is None and is_sure:
        try:
            erasure.erase(current_context(), person(), record_id)
        except Conflict as error:  # somebody has lodged a declaration on it since
            return _erase_page(record_id, error)
        flash(_("Erased. What this paper said is gone for good."))
        return redirect(url_for("pages.record", record_id=record_id))
    return _erase_page(record_id, refusal, unsure=request.method == "POST" and not is_sure)


def _refusal(record_id: str) -> Conflict | None:
    """Return why the record cannot be erased now; raises what keeps the reader from erasing it at all."""
    ctx = current_context()
    with ctx.work(reading=True) as work:
        refusal = erasure.why_not(ctx, work, person(), work.records.get(record_id))
    if refusal is not None and not isinstance(refusal, Conflict):
        raise refusal
    return refusal


def _erase_page(
    record_id: str,
    refusal: Conflict | None,
    unsure: bool = False,
    wrong: str | None = None,
    stale: StaleVersion | None = None,
) -> ResponseReturnValue:
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.records.get(record_id)
        kept = erasure.retention(ctx, work, person(), found)
    is_kept = isinstance(refusal, erasure.Retained)
    page = render_template(
        "pages/erase.html",
        record=found,
        refusal=refusal,
        retained=refusal if is_kept else None,
        kept=kept,
        unsure=unsure,
        wrong=wrong,
        reason=request.form.get("reason", ""),
        changes=stale and later_changes(stale.changes),
    )
    if stale is not None:
        return page, HTTPStatus.PRECONDITION_FAILED
    # That a paper is kept is no fault of whoever looks: there is a next step on the page.
    is_refused = unsure or wrong or (refusal and not (is_kept and request.method == "GET"))
    return page, HTTPStatus.UNPROCESSABLE_ENTITY if is_refused else HTTPStatus.OK


@blueprint.post("/records/<record_id>/erasure-request")
@only(*_HOLDERS)
def request_erasure(record_id: str) -> ResponseReturnValue:
    """Ask customs to let a paper be erased before the time is over for which it must be kept."""
    reason = request.form.get("reason", "")
    try:
        erasure.request_consent(current_context(), person(), record_id, reason, version_read())
    except StaleVersion as error:
        return _erase_page(record_id, _refusal(record_id), stale=error)
    except Invalid as error:
        return _erase_page(record_id, _refusal(record_id), wrong=in_words(error.problems[0][1]))
    except Conflict as error:
        return _erase_page(record_id, error)
    flash(_("Asked. Customs see your reason; you may erase the paper once they agree."))
    return redirect(url_for("pages.erase", record_id=record_id))


@blueprint.post("/records/<record_id>/erasure-consent")
@only(Role.OFFICER)
def agree_to_erasure(record_id: str) -> ResponseReturnValue:
    """Agree, for the reader's customs office, that the holder of a paper erases it."""
    try:
        erasure.agree(current_context(), person(), record_id, request.form.get("reason", ""), version_read())
    except StaleVersion as error:
        return _sheet(record_id, stale=error)
    except Invalid as error:
        return _sheet(record_id, in_words(error.problems[0][1]))
    flash(_("Agreed. The holder may erase the paper now; your reason stays on record."))
    return redirect(url_for("pages.record", record_id=record_id))


@blueprint.get("/papers/new")
@only(Role.MERCHANT)
def choose_paper() -> str:
    """Let the merchant choose the kind of paper to sign."""
    return render_template("pages/record_choose.html", own=OWN)


@blueprint.route("/papers/new/<slug>", methods=["GET", "POST"])
@only(Role.MERCHANT)
def new_paper(slug: str) -> ResponseReturnValue:
    """Fill in and sign a paper of the merchant's own trade, about a product if that is named."""
    kind = BY_SLUG.get(slug)
    if kind not in OWN:
        abort(404)
    product = None
    if named := request.args.get("product"):
        with current_context().work(reading=True) as work:
            product = work.products.get(named, person().organisation)
    form = form_for(kind)(data=usual_start(kind) | (_about(product) if product else {}))
    if request.method == "POST":
        try:
            made = sign_own(
                current_context(), person(), kind, with_zones(form.document), product.id if product else None
            )
        except Invalid as error:
            form.show(error.problems)
        except Conflict:
            form.loose = [_("You have signed a paper of this number before: give another one.")]
        else:
            flash(_("Signed."))
            return redirect(url_for("pages.record", record_id=made.id))
    offer_blank_rows(form)
    page = render_template("pages/record_form.html", title=kind_name(kind), form=form, product=product)
    return page, 422 if form.has_faults else 200


def _about(product: Product) -> dict[str, str]:
    """Return what a form takes from the product that it is about."""
    return {"description": product.name, "gtin": product.gtin or ""}
