"""A merchant's pages: lodge declarations and follow them to release."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from backend.domain.consignment import Consignment
from backend.domain.drawdowns import Count
from backend.domain.errors import Conflict, Invalid, NotFound, StaleVersion, TraceabilityError
from backend.domain.finding import words_asked
from backend.domain.kinds import PAPERS
from backend.domain.ledger import WITHDRAWAL_EDGES, DeclarationStatus, DocumentStatus
from backend.domain.parties import FormDraft, Organisation, Role
from backend.domain.records import Product, RecordOnFile
from backend.services import declarations as use_cases
from backend.services.declarations import Links, PreCheck
from backend.services.drawdowns import balances
from backend.services.records import visible_record
from backend.services.verification import RecordVerdict, evaluated, verdict_on_consignment
from backend.store.unit_of_work import UnitOfWork
from backend.web.context import current_context, only, person
from backend.web.forms.base import add_blank_rows, filled_in
from backend.web.forms.documents import DeclarationForm, next_number
from backend.web.pages import LONGEST_QUESTION, MOST_COUNTED, MOST_FOUND_COUNTED, Page, blueprint, turned, version_read
from backend.web.presentation.field_names import in_words
from backend.web.presentation.labels import declaration_state, later_changes
from backend.web.presentation.languages import TRADE_ZONE
from backend.web.presentation.match_table import match_table, match_table_before
from backend.web.public.downloads import MOST_ROWS, table_file

PAGE = 50
"""Rows of a list, and papers to choose from at once."""
BLANK_ITEMS = 3
"""The zone of times that are typed without one, as the form tells."""
MOST_CHOSEN = 200
"""The largest number of papers for one declaration in the form."""
_NARROWING = ("q", "status", "order", "alerted", "paper")
"""What a list of declarations is narrowed to or sorted by, as its address has it."""
_REPEATED = ("customsOffice", "platformName", "carrierName", "previousProcedureTypeCode", "direction")
_NOT_TYPED = {"csrf_token", "records", "products", "step", "seen"}
"""What a form sends besides its fields."""


def status_asked() -> DeclarationStatus | None:
    """Return the status that the list is filtered by, or None."""
    name = request.args.get("status", "").upper().replace("-", "_")
    return DeclarationStatus[name] if name in DeclarationStatus.__members__ else None


@blueprint.get("/declarations")
@only(Role.MERCHANT)
def declarations() -> str:
    """List the merchant's declarations: all, those in one status, found by words, alerted, or naming one paper."""
    own, after = person().organisation, request.args.get("after")
    alerted, paper, total = "alerted" in request.args, None, None
    wanted, oldest_first = _wanted(), request.args.get("order") == "oldest"
    with current_context().work(reading=True) as work:
        if alerted:
            found = work.consignments.alerted(PAGE + 1, own, after=after)
            page = Page(found[:PAGE], False, len(found) > PAGE)
        elif named := request.args.get("paper"):
            paper = visible_record(current_context(), work, person(), named)
            found = work.consignments.naming(paper.id, own, PAGE + 1, after)
            page = Page(found[:PAGE], False, len(found) > PAGE)
        else:
            page = turned(partial(_declared, work, own, wanted), PAGE, oldest_first)
            total = len(page.rows) if page.is_whole else _total(work, own, wanted)
    return render_template(
        "pages/declarations.html",
        consignments=page.rows,
        turn=page,
        status=wanted.status,
        statuses=list(DeclarationStatus),
        alerted=alerted,
        paper=paper,
        q=wanted.question,
        oldest_first=oldest_first,
        by_reference=wanted.by_reference,
        total=total,
        most=MOST_FOUND_COUNTED if wanted.question else MOST_COUNTED,
        query={name: value for name in _NARROWING if (value := request.args.get(name))},
    )


@dataclass(frozen=True)
class _Wanted:
    """What is asked of the list of declarations."""

    question: str
    status: DeclarationStatus | None
    by_reference: bool = False
    """Only of the whole list: no index keeps what is found, or of one status, in this order."""

    @property
    def statuses(self) -> list[DeclarationStatus]:
        return [] if self.status is None else [self.status]


def _wanted() -> _Wanted:
    question, status = request.args.get("q", "").strip()[:LONGEST_QUESTION], status_asked()
    is_whole = not question and status is None
    return _Wanted(question, status, is_whole and request.args.get("order") == "reference")


def _total(work: UnitOfWork, own: Organisation, wanted: _Wanted) -> int:
    if wanted.question:
        return len(_found(work, own, wanted, None, False, MOST_FOUND_COUNTED))
    return work.consignments.count(own, wanted.statuses, MOST_COUNTED)


def _found(
    work: UnitOfWork, own: Organisation, wanted: _Wanted, beyond: str | None, oldest_first: bool, limit: int
) -> list[str]:
    words = words_asked(wanted.question)
    if not words:
        return []
    place = work.consignments.place_of(own, beyond) if beyond else None
    return work.search.find(own, True, words, limit, place, oldest_first, statuses=wanted.statuses)


def _declared(
    work: UnitOfWork, own: Organisation, wanted: _Wanted, beyond: str | None, oldest_first: bool, limit: int
) -> Sequence[Consignment]:
    if wanted.question:
        return work.consignments.lines_of(_found(work, own, wanted, beyond, oldest_first, limit))
    if wanted.by_reference:
        return work.consignments.by_reference(own, limit, beyond, descending=oldest_first)
    return work.consignments.lines(own, wanted.statuses, limit, beyond, oldest_first)


@blueprint.get("/declarations.<any('csv', 'xlsx'):form>")
@only(Role.MERCHANT)
def declarations_file(form: str) -> Response:
    """Download the list of declarations as a table."""
    own, oldest_first = person().organisation, request.args.get("order") == "oldest"
    with current_context().work(reading=True) as work:
        found = _declared(work, own, _wanted(), None, oldest_first, MOST_ROWS)
        rows = [
            (
                one.reference,
                declaration_state(one.status).word,
                one.customs_office,
                *map(time_cell, (one.lodged_at, one.arrived_at, one.released_at)),
            )
            for one in found
        ]
    names = (_("Your reference"), _("Status"), _("Customs office"), _("Lodged at"), _("Goods arrived"), _("Released"))
    return table_file(form, "declarations", names, rows)


@blueprint.get("/declarations/new")
@only(Role.MERCHANT)
def new_declaration() -> ResponseReturnValue:
    """Let the merchant choose papers and products, then fill in the declaration from them; or show what is kept of it.

    ``choose``, ``after`` and ``products_after`` ask for papers to choose from, ``take`` for a paper with all that
    belong to it. ``draft`` goes on with what was typed before, with the papers that the address names; ``check``
    tells of it what the domain refuses.
    """
    ctx, given = current_context(), request.args
    with ctx.work(reading=True) as work:
        draft = use_cases.draft_kept(ctx, work, person())
        if first := given.get("take"):
            taken = _chosen(work, [first])
            if taken:
                named = use_cases.belonging_together(ctx, work, person().organisation, taken[0])
                records = list(dict.fromkeys([*given.getlist("records"), *named]))
                more: dict[str, Any] = {name: given.getlist(name) for name in ("products", "draft") if name in given}
                return redirect(url_for("pages.new_declaration", records=records, **more))
        is_choosing = any(given.get(name) for name in ("choose", "after", "products_after"))
        if is_choosing or not (draft or given.get("records") or given.get("products")):
            return _choice(work)
        entry = _entry(work, draft)
    return _form_page(entry, shows_faults="check" in given)


@dataclass(frozen=True)
class _Entry:
    """The form for a declaration, the papers and products chosen for it, and the draft that it comes from."""

    form: DeclarationForm
    papers: list[RecordOnFile]
    products: list[Product]
    draft: FormDraft | None = None
    other: FormDraft | None = None
    """A draft for other papers, which is kept until something is typed here."""


def _entry(work: UnitOfWork, draft: FormDraft | None) -> _Entry:
    given, kept = request.args, draft.typed if draft is not None else {}
    # Whoever has chosen none wants none, not those of before.
    names_papers = any(name in given for name in ("records", "products", "chosen"))
    asked = {name: given.getlist(name) if names_papers else kept.get(name, []) for name in ("records", "products")}
    papers, products = _chosen(work, asked["records"]), _chosen_products(work, asked["products"])
    if draft is not None and all(set(asked[name]) == set(kept.get(name, [])) for name in asked):
        return _Entry(_form_of(kept), papers, products, draft)
    start = _start(work, papers, products)
    if draft is None or "draft" not in given:
        return _Entry(DeclarationForm(formdata=None, data=start), papers, products, other=draft)
    # What the papers of before filled in gives way to what those of now say; what was typed over it stays.
    before = _start(work, _chosen(work, kept.get("records", [])), _chosen_products(work, kept.get("products", [])))
    was, now = (DeclarationForm(formdata=None, data=one).document for one in (before, start))
    typed = {name: value for name, value in _form_of(kept).document.items() if value != was.get(name)}
    merged = DeclarationForm(formdata=None, data=filled_in(now | typed))
    return _Entry(merged, papers, products, draft)


def _form_of(kept: dict[str, Any]) -> DeclarationForm:
    return DeclarationForm(formdata=MultiDict(kept.get("fields", {})))


def _form_page(
    entry: _Entry,
    checked: PreCheck | None = None,
    *,
    shows_faults: bool = True,
    is_refused: bool = False,
) -> ResponseReturnValue:
    """Show the form, with what customs would find as far as it can be told already."""
    ctx, form = current_context(), entry.form
    if checked is None and not form.has_faults:
        checked = _checked(form, entry.papers, shows_faults=shows_faults)
    with ctx.work(reading=True) as work:
        offices = work.customs_offices.all()
    add_blank_rows(form.items, BLANK_ITEMS)
    page = render_template(
        "pages/declaration_new.html",
        form=form,
        papers=checked.found.papers if checked else evaluated(ctx, entry.papers),
        products=entry.products,
        offices=offices,
        draft=entry.draft,
        other=entry.other,
        checked=checked,
        seen=_mark(checked) if checked else "",
        table=match_table_before(checked) if checked else None,
        is_refused=is_refused,
        back_to=url_for("pages.new_declaration", check=1) if request.method == "POST" else None,
    )
    return page, 422 if form.has_faults and request.method == "POST" else 200


def _checked(form: DeclarationForm, chosen: list[RecordOnFile], *, shows_faults: bool = True) -> PreCheck | None:
    """Pre-check what the form says, or show in it why that cannot be lodged.

    Raises:
        TraceabilityError: What stands in the way is no matter of the form, for example the key's accreditation.
    """
    try:
        return use_cases.pre_check(current_context(), person(), _stated(form, chosen))
    except Invalid as error:
        if shows_faults:
            form.show(error.problems)
    except Conflict as error:
        if "reference" in error.values:
            form.declaration_reference.errors = [_("You used this reference before. Choose another.")]
        elif shows_faults:
            raise
    except TraceabilityError:
        if shows_faults:
            raise
    return None


def _mark(checked: PreCheck) -> str:
    """Return a mark of the differences that a page shows, by which it is known that they were seen."""
    told = [(one.code, one.reason, one.record, sorted(map(str, one.values.items()))) for one in checked.differences]
    return sha256(repr(told).encode()).hexdigest()[:32] if told else ""


@blueprint.post("/declarations/new")
@only(Role.MERCHANT)
def lodge_declaration() -> ResponseReturnValue:
    """Keep what was typed, and do what its button says: lodge, check, choose other papers, keep, or start anew.

    A declaration whose papers differ is lodged once its merchant has seen the differences.
    """
    ctx, step = current_context(), request.form.get("step", "")
    if step == "discard":
        use_cases.drop_draft(ctx, person())
        flash(_("The draft is deleted."))
        return redirect(url_for("pages.new_declaration"))
    with ctx.work(reading=True) as work:
        papers = _chosen(work, request.form.getlist("records"))
        products = _chosen_products(work, request.form.getlist("products"))
    draft = use_cases.keep_draft(ctx, person(), _typed())
    if step == "autosave":
        return "", 204
    if step == "keep":
        flash(_("Kept as a draft. You find it again under New declaration."))
        return redirect(url_for("pages.declarations"))
    if step in ("choose", "check"):
        onward: dict[str, Any] = {
            step: 1,
            "draft": 1,
            "records": [one.id for one in papers],
            "products": [one.id for one in products],
        }
        return redirect(url_for("pages.new_declaration", **onward))
    entry = _Entry(DeclarationForm(), papers, products, draft)
    checked = _checked(entry.form, papers)
    if checked is None:
        return _form_page(entry)
    if request.form.get("seen", "") != _mark(checked) and checked.differences:
        return _form_page(entry, checked, is_refused=True)
    try:
        lodged = use_cases.lodge(ctx, person(), _stated(entry.form, papers), is_drafted=True)
    except (Invalid, Conflict):
        # Somebody was quicker since the pre-check: it now finds what stands in the way, and says it beside its field.
        if _checked(entry.form, papers) is not None:
            raise
        return _form_page(entry)
    flash(_("Lodged. Customs see it now."))
    return redirect(url_for("pages.declaration", declaration_id=lodged.id))


def _typed() -> dict[str, Any]:
    """Return what the form holds, as a draft keeps it."""
    fields = {name: value for name, value in request.form.items() if name not in _NOT_TYPED}
    return {"records": request.form.getlist("records"), "products": request.form.getlist("products"), "fields": fields}


@dataclass(frozen=True)
class _Offered:
    """A paper to choose: its verdict, what it has in common with those chosen, and what is left of a certificate."""

    evaluated: RecordVerdict
    shared: tuple[str, ...] = ()
    left: Count | None = None

    @property
    def is_used_up(self) -> bool:
        return self.left is not None and self.left.remaining == 0

    @property
    def brings_others(self) -> bool:
        """Whether it states a number by which others belong to it."""
        links = Links.of([self.evaluated.record])
        return bool(links.order or links.waybill or links.invoice)


def _choice(work: UnitOfWork) -> str:
    """Show the papers to choose from: found by words, belonging to those chosen, or the newest."""
    ctx, own, given = current_context(), person().organisation, request.args
    question = given.get("q", "").strip()[:LONGEST_QUESTION]
    chosen = _chosen(work, given.getlist("records"))
    goods = _chosen_products(work, given.getlist("products"))
    named = {paper.id for paper in chosen} | {product.id for product in goods}
    after = given.get("after") or None
    suitable = {one.record.id: one for one in use_cases.suitable_papers(work, own, chosen, use_cases.MOST_SUITABLE)}
    if question:
        found = _found_papers(work, own, question, after)
    elif suitable and after is None:
        found = [one.record for one in suitable.values()]
    else:
        found = list(work.records.of(own, PAPERS, PAGE, after, in_force=True))
    has_more = len(found) == PAGE and (bool(question) or not suitable or after is not None)
    offered = [paper for paper in found if paper.id not in named]
    products = work.products.of(own, PAGE, given.get("products_after") or None, in_use=True)
    left = {count.certificate_id: count for count in balances(ctx, work, [*chosen, *offered])}
    shown = [
        _Offered(one, suitable[one.record.id].shared if one.record.id in suitable else (), left.get(one.record.id))
        for one in evaluated(ctx, [*chosen, *offered])
    ]
    return render_template(
        "pages/declaration_choose.html",
        chosen=shown[: len(chosen)],
        # What is used up helps nobody, but is not hidden: who looks for it would miss it.
        offered=sorted(shown[len(chosen) :], key=lambda one: one.is_used_up),
        q=question,
        is_suitable=bool(suitable) and not question and after is None,
        products=[*goods, *(product for product in products if product.id not in named)],
        named=named,
        is_draft="draft" in given,
        earlier=found[-1].id if has_more else None,
        earlier_products=products[-1].id if len(products) == PAGE else None,
        has_papers=work.records.has_any(own),
    )


def _found_papers(work: UnitOfWork, own: Organisation, question: str, after: str | None) -> list[RecordOnFile]:
    words = words_asked(question)
    if not words:
        return []
    place = work.records.place_of(own, after) if after else None
    in_force = [int(DocumentStatus.ACTIVE)]
    ids = work.search.find(own, False, words, PAGE, place, kinds=tuple(PAPERS), statuses=in_force)
    return list(work.records.in_order(ids))


def _stated(form: DeclarationForm, chosen: list[RecordOnFile]) -> dict[str, Any]:
    fields = {**form.document, "records": [paper.id for paper in chosen]}
    if typed := fields.get("arrivalDateTime"):
        fields["arrivalDateTime"] = in_trade_zone(typed)
    return fields


def time_cell(moment: datetime | None) -> str:
    """Write a time for a table that is downloaded, in the zone in which times are typed."""
    return "" if moment is None else f"{moment.astimezone(TRADE_ZONE):%Y-%m-%d %H:%M}"


def in_trade_zone(typed: str) -> str:
    """Add the zone to a time as browsers send it. Any other text stays as typed, for the domain to refuse."""
    try:
        moment = datetime.fromisoformat(typed)
    except ValueError:
        return typed
    return (moment if moment.tzinfo else moment.replace(tzinfo=TRADE_ZONE)).isoformat()


def _chosen(work: UnitOfWork, named: Sequence[str]) -> list[RecordOnFile]:
    """Return those of the ticked papers that the merchant holds and that are in force."""
    own, found = person().organisation, []
    # The ids come from the request: each costs a query, and may be anybody's.
    for record_id in list(dict.fromkeys(named))[:MOST_CHOSEN]:
        with suppress(NotFound):
            found.append(work.records.get(record_id))
    return [
        r
        for r in found
        if r.kind in PAPERS
        and r.holder.id == own.id
        and r.status == DocumentStatus.ACTIVE
        and r.superseded_by_id is None
    ]


def _chosen_products(work: UnitOfWork, named: Sequence[str]) -> list[Product]:
    """Return those of the ticked products that are the merchant's."""
    found = []
    for product_id in list(dict.fromkeys(named))[:MOST_CHOSEN]:
        with suppress(NotFound):
            found.append(work.products.get(product_id, person().organisation))
    return found


def _start(work: UnitOfWork, papers: list[RecordOnFile], products: list[Product]) -> dict[str, Any]:
    """Return the form's first values: what papers and products say, the rest from the last declaration."""
    own = person().organisation
    last = next(iter(work.consignments.search(own, limit=1)), None)
    before = last.record.readable_fields if last else {}
    first = f"D{current_context().now():%Y%m%d}-01"
    start = filled_in({name: before[name] for name in _REPEATED if name in before})
    start["declaration_reference"] = next_number(
        last.reference if last else None, first, lambda number: work.consignments.reference_is_taken(own, number)
    )
    start |= filled_in(use_cases.filled_from(papers, balances(current_context(), work, papers)))
    start["items"] = [*start.get("items", []), *map(_item_of, products)]
    return start


def _item_of(product: Product) -> dict[str, Any]:
    return {
        "hs_code": product.hs_code,
        "description": product.name,
        "unit_code": product.unit_code,
        "origin_country": product.origin_country,
    }


@blueprint.get("/declarations/<declaration_id>")
@only(Role.MERCHANT)
def declaration(declaration_id: str) -> str:
    """Show a declaration: its status, and what its papers prove."""
    return _page(declaration_id)


def _page(declaration_id: str, wrong: str | None = None, stale: StaleVersion | None = None) -> str:
    ctx = current_context()
    with ctx.work(reading=True) as work:
        found = work.consignments.visible_to(person(), declaration_id, ctx.now())
        dossier = verdict_on_consignment(ctx, work, found)
    return render_template(
        "pages/declaration.html",
        consignment=found,
        record=found.record,
        fields=found.record.readable_fields,
        dossier=dossier,
        verdict=dossier.verdict,
        table=match_table(dossier),
        can_withdraw=_can_withdraw(found),
        now=ctx.now(),
        arrival=request.form.get("arrived", ""),
        wrong=wrong,
        changes=stale and later_changes(stale.changes),
    )


def _can_withdraw(consignment: Consignment) -> bool:
    return (consignment.status, DeclarationStatus.WITHDRAWN) in WITHDRAWAL_EDGES


@blueprint.post("/declarations/<declaration_id>/withdraw")
@only(Role.MERCHANT)
def withdraw(declaration_id: str) -> ResponseReturnValue:
    """Withdraw a declaration."""
    try:
        use_cases.withdraw(current_context(), person(), declaration_id, version_read())
    except StaleVersion as error:
        return _page(declaration_id, stale=error), 412
    flash(_("Withdrawn. Customs will not act on it any more."))
    return redirect(url_for("pages.declaration", declaration_id=declaration_id))


@blueprint.post("/declarations/<declaration_id>/arrival")
@only(Role.MERCHANT)
def report_arrival(declaration_id: str) -> ResponseReturnValue:
    """Report when the goods came under customs' control."""
    try:
        arrived = datetime.fromisoformat(in_trade_zone(request.form.get("arrived", "")))
        use_cases.report_arrival(current_context(), person(), declaration_id, arrived)
    except ValueError:
        return _page(declaration_id, _("Give date and time as 2026-03-31 14:05.")), 422
    except Invalid as error:
        return _page(declaration_id, in_words(error.problems[0][1])), 422
    flash(_("Noted. The clock for arrival to release runs from then."))
    return redirect(url_for("pages.declaration", declaration_id=declaration_id))
