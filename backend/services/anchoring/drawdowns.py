"""Activations, drawdowns and refunds of certificates on the ledger.

A certificate is activated before its first drawdown, and drawdowns are final before the release that needs them is sent
(decision 0013). One call carries the drawdowns of many declarations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from backend.domain import sd_jwt
from backend.domain.drawdowns import Activation, Drawdown
from backend.domain.errors import Invalid, LedgerRefused
from backend.domain.evidence import ANCHORER_CLAIM, anchorer_named
from backend.domain.ledger import ActivateCertificate, LedgerDrawdown, LedgerRecord, MakeDrawdowns, RefundDrawdown
from backend.domain.records import ProofState, RecordOnFile
from backend.domain.sd_jwt import issued_at
from backend.domain.strict_json import parse_timestamp
from backend.services.anchoring.status_changes import revert_release
from backend.services.anchoring.transactions import IndependentSteps, accepted, keep, keep_and_send, send, signed
from backend.services.drawdowns import issued_versions, last_activated, ledger_record
from backend.services.ports import AnchoringContext, rerunnable
from backend.store.unit_of_work import UnitOfWork

log = structlog.get_logger()


def send_activations(ctx: AnchoringContext) -> None:
    """Sign, store and send every activation whose certificate is on the ledger.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The activations stay queued.
        ForeignLedger: Another ledger than ours answers.
    """
    with ctx.work(reading=True) as work:
        waiting = list(work.drawdowns.activations_pending())
    each = IndependentSteps()
    for activation in waiting:
        each.attempt(_activate, ctx, activation)
    each.finish()


def _anchored(ctx: AnchoringContext, record: RecordOnFile) -> LedgerRecord | None:
    """Return the place of a record on the ledger, or None while it is not anchored."""
    if record.batch is None or record.batch.state not in (ProofState.ANCHORED, ProofState.FINAL):
        return None
    return ledger_record(ctx.ledger, record)


@rerunnable
def _activate(ctx: AnchoringContext, activation: Activation) -> None:
    with ctx.work(reading=True) as work:
        certificate = work.records.get(activation.certificate_id)
        versions = issued_versions(work, certificate)
    located = _anchored(ctx, certificate)
    if located is None:
        return
    # Another server, or this one before its database was restored, has activated it already.
    if ctx.ledger.certificate_balance(located) is not None:
        _note_active(ctx, activation)
        return
    try:
        call = _accepted_as(
            ctx, certificate, activation_call(certificate, located, _superseded(ctx, certificate, versions))
        )
    except (LedgerRefused, Invalid) as refusal:
        if not _is_accreditation_pending(ctx, certificate):
            _refuse_activation(ctx, activation, str(refusal)[:200])
        return
    transaction = signed(ctx, call, "anchorer")
    keep_and_send(
        ctx, transaction, lambda work: work.drawdowns.find_activation(activation.certificate_id), "activation"
    )


def _accepted_as(ctx: AnchoringContext, certificate: RecordOnFile, call: ActivateCertificate) -> ActivateCertificate:
    """Return the call as the ledger accepts it: also where another anchorer has activated a copy of the certificate.

    Raises:
        LedgerRefused: The ledger does not accept it.
    """
    try:
        ctx.ledger.simulate(call)
        return call
    except LedgerRefused as refusal:
        named = anchorer_named(certificate.sd_jwt.payload.get(ANCHORER_CLAIM))
        is_own = named is not None and named.agent == ctx.ledger.anchorer()
        if not is_own or not str(refusal).startswith("CertificateBalanceAlreadyOpened"):
            raise
    call = replace(call, is_named=True)
    ctx.ledger.simulate(call)
    log.warning("somebody else has activated a copy of a certificate", certificate=certificate.id)
    return call


def _is_accreditation_pending(ctx: AnchoringContext, certificate: RecordOnFile) -> bool:
    """Tell whether a change on the issuer's key is still to be mined, as on a new chain: it may be what is missing."""
    key = sd_jwt.unb64(str(certificate.sd_jwt.header.get("kid", ""))).hex()
    with ctx.work(reading=True) as work:
        changes = [change for change in work.accreditation_changes.of_key(key) if change.ended is None]
    return any(change.transaction is None or change.transaction.is_open for change in changes)


def _superseded(
    ctx: AnchoringContext, certificate: RecordOnFile, versions: Sequence[RecordOnFile]
) -> LedgerRecord | None:
    """Return the last activated version before this one, or None: its account goes on with the certificate."""
    place = next(number for number, version in enumerate(versions) if version.id == certificate.id)
    found = last_activated(ctx.ledger, versions[place + 1 :])
    return None if found is None else found[0]


def activation_call(
    certificate: RecordOnFile, located: LedgerRecord, superseded: LedgerRecord | None = None
) -> ActivateCertificate:
    """Return the call that activates a certificate, with what the certificate itself says.

    Raises:
        Invalid: It does not say when it was issued.
    """
    record, proof = certificate.sd_jwt, certificate.proof
    issued = issued_at(record)
    assert proof is not None, "only anchored certificates are opened"
    if issued is None:
        raise Invalid("the certificate does not say when it was issued")
    return ActivateCertificate(
        certificate=located,
        entry=certificate.entry.encode(),
        path=proof.path,
        issuer_key=sd_jwt.unb64(str(record.header.get("kid", ""))),
        chapter=int(str(record.subject["hsCode"])[:2]),
        issued_at=issued,
        valid_until=parse_timestamp(record.payload.get("validUntil")),
        superseded=superseded,
    )


@rerunnable
def _note_active(ctx: AnchoringContext, activation: Activation) -> None:
    with ctx.work() as work:
        kept = work.drawdowns.find_activation(activation.certificate_id)
        if kept is not None and kept.transaction is None:
            kept.is_known = True
            work.commit()


@rerunnable
def _refuse_activation(ctx: AnchoringContext, activation: Activation, why: str) -> None:
    """Note that the ledger refuses an activation, and revert the releases that need it.

    A pause of the ledger only makes them wait, as does a superseded certificate of which the ledger does not know it.
    """
    # Errors of the ledger contract itself, such as a pause, pass. Those of the balance contract are about the
    # certificate.
    if why.startswith(_WAIT_TO_ACTIVATE):
        log.warning("a certificate waits to be activated", certificate=activation.certificate_id, why=why)
        return
    log.error("the ledger does not open a certificate", certificate=activation.certificate_id, why=why)
    ctx.reached("before-undo-commit")
    with ctx.work() as work:
        kept = work.drawdowns.find_activation(activation.certificate_id)
        if kept is None or kept.transaction is not None:
            return
        kept.refusal = why
        for declaration_id in _waiting_for(work, activation.certificate_id):
            revert_release(ctx, work, declaration_id, why)
        work.commit()


def _waiting_for(work: UnitOfWork, certificate_id: str) -> list[str]:
    waiting = [drawdown for drawdown in work.drawdowns.of_certificate(certificate_id) if drawdown.set_root is None]
    return list(dict.fromkeys(drawdown.declaration_id for drawdown in waiting))


# CertificateBalance.sol keeps a set in one word: 8 bits for its number, and one for each that was refunded.
MAX_DRAWDOWNS = 248
"""The largest number of drawdowns in one call."""
LOOKED_AT = 2_000
"""The largest number of drawdowns read in one round."""
_WAIT_TO_ACTIVATE = ("TraceLedger", "CertificateBalanceNotSuperseded", "CertificateBalanceNotCounting")
"""Prefixes of refusals of an activation that may pass: its superseded certificate's status is on its way."""
_WAIT = ("TraceLedger", "CertificateBalanceNotOpened", "CertificateBalanceNotCounting")
"""Prefixes of refusals that may pass: a pause, a missing role, an activation on its way."""


@dataclass(frozen=True)
class Wanted:
    """A drawdown that waits, with the places of its certificate and declaration on the ledger."""

    row: Drawdown
    drawdown: LedgerDrawdown


Wants = list[list[Wanted]]
"""Drawdowns grouped by declaration, since those of one are made all or none."""


def send_drawdowns(ctx: AnchoringContext) -> None:
    """Sign, store and send the drawdowns that wait, as many in one call as the contract takes.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The drawdowns stay queued.
        ForeignLedger: Another ledger than ours answers.
    """
    with ctx.work(reading=True) as work:
        wants = _ready(ctx, work)
    wants = _without_known(ctx, wants)
    while wants:
        chosen, wants = _first_call(wants)
        willing = accepted(ctx, chosen, _call)
        for refused in [want for want in chosen if want not in willing]:
            _settle_refused(ctx, refused)
        if willing:
            _send_call(ctx, willing)


def _ready(ctx: AnchoringContext, work: UnitOfWork) -> Wants:
    """List the waiting drawdowns whose records are on the ledger, by declaration, in the order of asking."""
    found: dict[str, list[Wanted]] = {}
    # A declaration's drawdowns are made all or none, so one that is not ready holds up the others of its declaration.
    held_up: set[str] = set()
    for row in work.drawdowns.pending(LOOKED_AT):
        drawdown = _draw(ctx, work, row)
        if drawdown is None:
            held_up.add(row.declaration_id)
        else:
            found.setdefault(row.declaration_id, []).append(Wanted(row, drawdown))
    return [wanted for declaration_id, wanted in found.items() if declaration_id not in held_up]


def _first_call(wants: Wants) -> tuple[Wants, Wants]:
    """Split off as many whole declarations as fit into one call."""
    count = 0
    for number, wanted in enumerate(wants):
        count += len(wanted)
        if count > MAX_DRAWDOWNS and number > 0:
            return wants[:number], wants[number:]
    return wants, []


def _call(wants: Wants) -> MakeDrawdowns:
    return _drawdown_call(wants)[0]


def _drawdown_call(wants: Wants) -> tuple[MakeDrawdowns, list[Wanted]]:
    """Build one call for all of them. Sorted, so that the contract reads neighbouring declarations once."""
    ordered = sorted((one for wanted in wants for one in wanted), key=lambda one: one.drawdown.leaf)
    return MakeDrawdowns(tuple(one.drawdown for one in ordered)), ordered


@rerunnable
def _settle_refused(ctx: AnchoringContext, wanted: list[Wanted]) -> None:
    """Decide what becomes of the drawdowns of one declaration that the ledger refuses.

    They are on the ledger already, need an activation, have to wait, or can never be made, which reverts the release.
    """
    call = _drawdown_call([wanted])[0]
    try:
        ctx.ledger.simulate(call)
        return  # it is only together with others that they are too much: asked again at the next round
    except LedgerRefused as refusal:
        why = _told(refusal)
    if why.startswith("CertificateBalanceAlreadyDrawn"):
        _note_known(ctx, _drawdown_call([wanted])[1], call.set_root)
    elif why.startswith("CertificateBalanceNotOpened"):
        _request_activation(ctx, wanted)
    elif not why.startswith(_WAIT) and why.startswith("CertificateBalance"):
        ctx.reached("before-undo-commit")
        with ctx.work() as work:
            revert_release(ctx, work, wanted[0].row.declaration_id, why)
            work.commit()
    else:
        log.error(
            "drawdowns wait: the ledger does not make them now", declaration=wanted[0].row.declaration_id, why=why
        )


def _told(refusal: LedgerRefused) -> str:
    arguments = refusal.values.get("arguments")
    if not isinstance(arguments, dict):
        return str(refusal)[:200]
    about = [f"{name}={arguments[name]}" for name in ("remaining", "quantity", "status") if name in arguments]
    return " ".join([str(refusal), *about])[:200]


@rerunnable
def _request_activation(ctx: AnchoringContext, wanted: list[Wanted]) -> None:
    """Ask for an activation that is missing here or on the ledger, after a restored database or on a new chain."""
    with ctx.work() as work:
        for one in wanted:
            activation = work.drawdowns.find_activation(one.row.certificate_id)
            if activation is None:
                work.add(Activation(one.row.certificate_id, ctx.now()))
            elif activation.is_known:
                activation.is_known = False
        work.commit()


@rerunnable
def _send_call(ctx: AnchoringContext, wants: Wants) -> None:
    call, ordered = _drawdown_call(wants)
    transaction = signed(ctx, call, "anchorer")
    ctx.reached("drawdown-signed")
    ids = {one.row.id for one in ordered}
    with ctx.work() as work:
        waiting = {row.id: row for row in work.drawdowns.pending(LOOKED_AT) if row.id in ids}
        # Stored all or none: a row that another worker has taken meanwhile makes this signed call invalid as a whole.
        if len(waiting) != len(ids):
            return  # another worker was quicker
        transaction = keep(work, transaction)
        for position, one in enumerate(ordered):
            row = waiting[one.row.id]
            row.transaction, row.set_root, row.position = transaction, call.set_root, position
        work.commit()
    ctx.reached("drawdown-kept")
    send(ctx, transaction)
    ctx.reached("drawdown-sent")


# ---- what the ledger has already


def _without_known(ctx: AnchoringContext, wants: Wants) -> Wants:
    """Recognise drawdowns that are on the ledger although no transaction of ours says so, and return the others.

    This happens after the database was restored from an older copy. The events are read only for certificates whose
    balance on the ledger is lower than our drawdowns explain, since reading them is slow.
    """
    suspects = {one.drawdown.certificate for wanted in wants for one in wanted if _counts_differ(ctx, one)}
    if not suspects:
        return wants
    known = {}
    for drawdown_set in ctx.ledger.drawdown_sets():
        for position, drawdown in enumerate(drawdown_set.made.drawdowns):
            if drawdown.certificate in suspects and position not in drawdown_set.refunded:
                known[drawdown] = (drawdown_set.made.set_root, position)
    rest = []
    for wanted in wants:
        if all(one.drawdown in known for one in wanted):
            for one in wanted:
                _note_known(ctx, [one], *known[one.drawdown])
        else:
            rest.append(wanted)
    return rest


def _counts_differ(ctx: AnchoringContext, one: Wanted) -> bool:
    certificate = one.drawdown.certificate
    opened = ctx.ledger.certificate_balance(certificate)
    if opened is None:
        return False
    with ctx.work(reading=True) as work:
        sent = work.drawdowns.sent_of_line(one.row.original_id)
    return opened.quantity - opened.remaining > sent


@rerunnable
def _note_known(ctx: AnchoringContext, ordered: Sequence[Wanted], drawdown_set: bytes, position: int = 0) -> None:
    log.warning("drawdowns were found on the ledger", drawdown_set=drawdown_set.hex())
    with ctx.work() as work:
        waiting = {row.id: row for row in work.drawdowns.pending(LOOKED_AT)}
        for number, one in enumerate(ordered, position):
            row = waiting.get(one.row.id)
            if row is not None:
                row.set_root, row.position, row.made_at = drawdown_set, number, ctx.now()
        work.commit()


# ---- giving back


def send_refunds(ctx: AnchoringContext) -> None:
    """Sign, store and send the refunds whose drawdowns are mined.

    Raises:
        LedgerUnavailable: The ledger cannot be asked. The refunds stay queued.
        ForeignLedger: Another ledger than ours answers.
    """
    with ctx.work(reading=True) as work:
        waiting = list(work.drawdowns.to_refund())
    each = IndependentSteps()
    for row in waiting:
        each.attempt(_refund_one, ctx, row)
    each.finish()


@rerunnable
def _refund_one(ctx: AnchoringContext, row: Drawdown) -> None:
    assert row.set_root is not None, "only what was sent is given back"
    assert row.position is not None, "a drawdown has its position with its transaction"
    given = ctx.ledger.is_refunded(row.set_root, row.position)
    if given is None:
        return  # the drawdown itself is not mined yet
    if given:
        _note_refunded(ctx, row)
        return
    drawn = _set_of(ctx, row.set_root)
    if drawn is None:
        log.error("a drawdown cannot be refunded: its set is not known", drawdown=row.id)
        return
    call = RefundDrawdown(drawn, row.position)
    try:
        ctx.ledger.simulate(call)
    except LedgerRefused as refusal:
        log.warning("a drawdown waits to be refunded", drawdown=row.id, why=str(refusal)[:200])
        return
    keep_and_send(
        ctx,
        signed(ctx, call, "anchorer"),
        lambda work: next((one for one in work.drawdowns.to_refund() if one.id == row.id), None),
        "refund",
        carried="refund_transaction",
    )


def _set_of(ctx: AnchoringContext, drawdown_set: bytes) -> MakeDrawdowns | None:
    """Return the drawdowns of a set, from our rows if these give its root, else from the events."""
    with ctx.work(reading=True) as work:
        rows = work.drawdowns.in_set(drawdown_set)
        drawdowns = [drawdown for row in rows if (drawdown := _draw(ctx, work, row)) is not None]
    if drawdowns and MakeDrawdowns(tuple(drawdowns)).set_root == drawdown_set:
        return MakeDrawdowns(tuple(drawdowns))
    return next((found.made for found in ctx.ledger.drawdown_sets() if found.made.set_root == drawdown_set), None)


def _draw(ctx: AnchoringContext, work: UnitOfWork, row: Drawdown) -> LedgerDrawdown | None:
    certificate = _anchored(ctx, work.records.get(row.certificate_id))
    declaration = _anchored(ctx, work.records.get(row.declaration_id))
    return (
        None if certificate is None or declaration is None else LedgerDrawdown(certificate, declaration, row.quantity)
    )


@rerunnable
def _note_refunded(ctx: AnchoringContext, row: Drawdown) -> None:
    with ctx.work() as work:
        kept = next((one for one in work.drawdowns.to_refund() if one.id == row.id), None)
        if kept is not None:
            kept.refunded_at = ctx.now()
            work.commit()
