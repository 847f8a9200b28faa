"""Names of statuses, steps, decisions and roles in the trade's words, and how each is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

from flask import Flask
from flask_babel import gettext as _

from backend.domain.consignment import Consignment, Decision, DecisionState, Step
from backend.domain.drawdowns import decimal_text
from backend.domain.errors import LaterChange
from backend.domain.kinds import ISSUERS, KINDS, Audience, Kind
from backend.domain.ledger import DeclarationStatus, DocumentStatus
from backend.domain.parties import AT_REGISTRATION, LOCAL_LANGUAGE, ApiToken
from backend.domain.records import ConfirmationRequest, ProofState, RecordOnFile, RequestState
from backend.domain.signature_terms import KeyEvent
from backend.domain.simulation import SimulationState
from backend.domain.verdict import ActionBy, Check, Conclusion, Outcome, Verdict
from backend.messages import verdict as verdicts
from backend.messages.catalogue import Language, gettext, languages, say
from backend.services.products import Heading
from backend.web.context import current_context, language, name_in_language, person, with_issuer_named
from backend.web.forms import choices
from backend.web.presentation.field_names import field_name, field_value, in_words, place_name, role_name
from backend.web.presentation.languages import colon, duration, listed, moment

Arguments = ParamSpec("Arguments")
Name = TypeVar("Name")


# Names are looked up in functions and not at import: gettext translates into the language of the request at hand.
class Shown(NamedTuple):
    """A state in words, with its tone (good, bad, wait or plain), which gives both colour and shape."""

    word: str
    tone: str


def _once_a_language(name: Callable[Arguments, Name]) -> Callable[Arguments, Name]:
    """Keep what a function of few arguments answers in each language: a list asks for it row by row."""
    named: Callable[..., Name] = name

    @cache
    def kept(_: Language, *arguments: Any) -> Name:
        return named(*arguments)

    @wraps(name)
    def asked(*arguments: Arguments.args, **_: Arguments.kwargs) -> Name:
        return kept(language(), *arguments)

    return asked


def install_words(app: Flask) -> None:
    """Give templates the functions that name things."""
    app.jinja_env.globals.update(
        kind_name=kind_name,
        key_event=key_event,
        role_name=role_name,
        standing_detail=standing_detail,
        request_state=request_state,
        signing_check=signing_check,
        token_name=token_name,
        declaration_state=declaration_state,
        decision_name=decision_name,
        simulation_state=simulation_state,
        step_name=step_name,
        proof_stages=proof_stages,
        conclusion=conclusion,
        why=why,
        check_title=check_title,
        open_check=open_check,
        check_sentence=check_sentence,
        check_rule=check_rule,
        outcome=outcome,
        action_by=action_by,
        undone=undone,
        why_held=why_held,
        decision_state=decision_state,
        options=choices.options,
        name_of=name_of,
        hours=hours,
        number_of=number_of,
        goods_of=goods_of,
        goods_asked_about=goods_asked_about,
        heading_text=heading_text,
        field_name=field_name,
        field_value=field_value,
        place_name=place_name,
        audience_name=audience_name,
        kind_help=kind_help,
        record_kinds=KINDS,
        sheet_titles=sheet_titles,
        said=said,
        shared_name=shared_name,
        issuer_roles=ISSUERS,
        refusal_words=refusal_words,
    )
    app.jinja_env.filters.update(
        country=choices.country,
        unit=choices.unit,
        criterion=choices.criterion,
        agreement=choices.agreement,
        hs=choices.hs,
        size=size,
        steps=steps,
        quantity=choices.quantity,
        in_words=in_words,
    )


def shared_name(link: str) -> str:
    """Say what a paper has in common with those chosen for a declaration; ``link`` is a name of ``Links``."""
    words = {
        "order": _("same order"),
        "waybill": _("same waybill"),
        "invoice": _("same invoice"),
        "product": _("same product"),
        "goods": _("same HS code"),
    }
    return str(words[link])


def steps(count: int, unit: str) -> str:
    """Write a quantity in thousandths of a unit, such as 2,000 pieces."""
    return choices.quantity(decimal_text(count), unit)


def name_of(organisation: Any) -> str:
    """Return an organisation's name in the reader's language, if it has one."""
    return _own_name(organisation)


def number_of(record: RecordOnFile) -> str:
    """Return the number on the paper as it was written, or an empty text."""
    return str(record.readable_fields.get(KINDS[record.kind].number_field, ""))


def goods_of(record: RecordOnFile) -> str:
    """Describe in one line what the paper is about."""
    fields = record.readable_fields
    if record.product is not None:
        return _own_name(record.product)
    return str(fields.get("description") or fields.get("itemDescription") or "")


def goods_asked_about(asked: ConfirmationRequest) -> str:
    """Describe in one line what a request is about."""
    if asked.statement is not None:
        return goods_of(asked.statement)
    if asked.product is not None:
        return _own_name(asked.product)
    return str(asked.readable_fields.get("itemDescription", ""))


def heading_text(heading: Heading) -> str:
    """Return what an HS code covers in the reader's language, if the nomenclature has it."""
    if language() == LOCAL_LANGUAGE:
        return heading.local_text or heading.text
    return heading.text or heading.local_text


def _own_name(named: Any) -> str:
    """Return the local name if it is in the reader's language, else the English one."""
    return str({LOCAL_LANGUAGE: named.local_name}.get(language()) or named.name)


def kind_name(kind: Kind, inside: bool = False) -> str:
    """Return the name of a kind. ``inside`` a message it begins with a small letter in English."""
    name = gettext(KINDS[kind].names, language())
    return name[0].lower() + name[1:] if inside else name


@_once_a_language
def key_event(event: KeyEvent) -> Shown:
    """Return what was done with a version of a key's accreditation."""
    return {
        KeyEvent.ACCREDITED: Shown(_("Accredited"), "good"),
        KeyEvent.SUSPENDED: Shown(_("Suspended"), "bad"),
        KeyEvent.REINSTATED: Shown(_("Reinstated"), "good"),
        KeyEvent.ROTATED: Shown(_("Gave way to another key"), "plain"),
        KeyEvent.SUCCEEDED: Shown(_("Took the place of another key"), "good"),
    }[event]


def said(text: str) -> str:
    """Return a text of the domain in the reader's language."""
    return gettext(text, language())


def sheet_titles(kind: Kind) -> list[tuple[Language, str]]:
    """List the title of a paper in every language, as (language, title)."""
    return [(code, gettext(KINDS[Kind(kind)].names, code)) for code in languages()]


def kind_help(kind: Kind) -> str:
    """Return one line on what a paper of this kind is."""
    return gettext(KINDS[kind].help, language())


@_once_a_language
def audience_name(audience: Audience) -> str:
    """Return the name of an audience for disclosed fields."""
    names: dict[Audience, str] = {
        Audience.PUBLIC_LABEL: _("Everybody (label)"),
        Audience.BUYER: _("Buyer"),
        Audience.BANK: _("Bank"),
        Audience.CUSTOMS: _("Customs"),
    }
    return names[audience]


def refusal_words(refusal: Exception) -> str:
    """Tell why a paper cannot be erased."""
    known = {
        "erased already": _("This paper was erased already."),
        "on its way to the ledger": _("It is on its way to the ledger: try again in a few seconds."),
        "released on it": _("Goods released on it are on their way to the ledger: try again in a few seconds."),
        "have not decided": _(
            "A declaration that customs have not decided on relies on it. It is kept until they have, and after that "
            "for as long as the law demands."
        ),
        "before its issuer": _("It lies before its issuer: wait for the answer first."),
    }
    return next((words for part, words in known.items() if part in str(refusal)), say(refusal, language()))


def standing_detail(verdict: Verdict, asked: ConfirmationRequest | None = None) -> str:
    """Tell in a word or two what keeps a record from being VALID, or return an empty text.

    ``asked`` is the request in which a merchant's statement was submitted to its issuer.
    """
    check = verdict.deciding
    if check is None:
        return ""
    if check.reason == "self-attested":
        return request_state(asked.state).word if asked is not None else str(_("Not confirmed yet"))
    names = {
        "erased": _("Erased"),
        "suspended": _("Suspended"),
        "revoked": _("Revoked"),
        "superseded": _("Replaced"),
        "accreditation-revoked": _("Issuer suspended"),
    }
    return str(names.get(check.reason) or open_check(check))


def open_check(check: Check) -> str:
    """Name a check that did not pass. Titles say what is looked at, and alone would read as if it were so."""
    if check.action_by is ActionBy.WAIT:
        return str(_("on its way to the ledger"))
    if check.outcome is Outcome.FAIL:
        return str(_("not passed: %(check)s", check=check_title(check)))
    return str(_("not certain: %(check)s", check=check_title(check)))


@_once_a_language
def request_state(state: RequestState, to_reader: bool = False) -> Shown:
    """Return the state of a request, worded for the issuer itself if ``to_reader``."""
    names = {
        RequestState.WAITING: Shown(_("Waiting for you") if to_reader else _("Waiting for the issuer"), "wait"),
        RequestState.CONFIRMED: Shown(_("Confirmed and signed"), "good"),
        RequestState.SENT_BACK: Shown(_("Sent back"), "bad"),
        RequestState.CLOSED: Shown(_("Sent back and replaced"), "plain"),
        RequestState.WITHDRAWN: Shown(_("Withdrawn"), "plain"),
    }
    return names[state]


def signing_check(subject: str) -> str:
    """Return what a check before signing is about."""
    names = {
        "document": _("Fields, trade agreement, validity"),
        "dates": _("Dates are not in the future"),
        "files": _("Attached files are here"),
        "number": _("Number is free"),
        "key": _("Signing key is in use"),
        "accreditation": _("Accreditation covers kind and HS chapter"),
        "balance": _("Quantity fits what was released"),
    }
    return str(names[subject])


def token_name(token: ApiToken) -> str:
    """Return a token's name as its person gave it, or in words that of the one given at registration."""
    return _("registration") if token.name == AT_REGISTRATION else token.name


def document_state(status: int) -> str:
    """Return the status of a certificate, report or other paper in a word."""
    return _done(DocumentStatus(status).name)


@_once_a_language
def declaration_state(status: DeclarationStatus) -> Shown:
    """Return the status of a declaration in words."""
    names = {
        DeclarationStatus.LODGED: Shown(_("Lodged"), "wait"),
        DeclarationStatus.DOCUMENTS_REQUIRED: Shown(_("Documents required"), "bad"),
        DeclarationStatus.EXAMINATION: Shown(_("Examination"), "wait"),
        DeclarationStatus.DETAINED: Shown(_("Detained"), "bad"),
        DeclarationStatus.RELEASED: Shown(_("Released"), "good"),
        DeclarationStatus.REJECTED: Shown(_("Rejected"), "bad"),
        DeclarationStatus.RETURNED: Shown(_("Returned"), "bad"),
        DeclarationStatus.SEIZED: Shown(_("Seized"), "bad"),
        DeclarationStatus.WITHDRAWN: Shown(_("Withdrawn"), "plain"),
    }
    return names[status]


@_once_a_language
def simulation_state(state: SimulationState) -> Shown:
    """Return the state of a simulation in words."""
    names = {
        SimulationState.WAITING: Shown(_("Waiting"), "plain"),
        SimulationState.RUNNING: Shown(_("Running"), "wait"),
        SimulationState.DONE: Shown(_("Done"), "good"),
        SimulationState.FAILED: Shown(_("Failed"), "bad"),
        SimulationState.CANCELLED: Shown(_("Cancelled"), "plain"),
        SimulationState.LOST: Shown(_("Interrupted"), "bad"),
    }
    return names[state]


@_once_a_language
def decision_name(decision: Decision) -> str:
    """Return the name of a decision, as an officer orders it."""
    names: dict[Decision, str] = {
        Decision.RELEASE: _("Release"),
        Decision.DOCUMENTS_REQUIRED: _("Require documents"),
        Decision.EXAMINE: _("Examine"),
        Decision.DETAIN: _("Detain"),
        Decision.REJECT: _("Reject"),
        Decision.RETURN: _("Return the goods"),
        Decision.SEIZE: _("Seize the goods"),
    }
    return names[decision]


@_once_a_language
def decision_state(state: DecisionState) -> Shown:
    """How far a decision has come."""
    names = {
        DecisionState.ACCEPTED: Shown(_("Accepted, not on the ledger yet"), "wait"),
        DecisionState.ON_LEDGER: Shown(_("On the ledger, not final yet"), "wait"),
        DecisionState.FINAL: Shown(_("Final on the ledger"), "good"),
        DecisionState.UNDONE: Shown(_("Decision undone"), "bad"),
    }
    return names[state]


@_once_a_language
def step_name(step: Step) -> str:
    """Return the name of a step of a consignment."""
    names: dict[Step, str] = {
        Step.ARRIVED: _("Goods arrived"),
        Step.LODGED: _("Declaration lodged"),
        Step.ANCHORED: _("Recorded on the ledger"),
        Step.DOCUMENTS_REQUIRED: _("Documents required"),
        Step.EXAMINATION: _("Examination ordered"),
        Step.DETAINED: _("Goods detained"),
        Step.RELEASED: _("Goods released"),
        Step.REJECTED: _("Declaration rejected"),
        Step.RETURNED: _("Goods returned"),
        Step.SEIZED: _("Goods seized"),
        Step.WITHDRAWN: _("Declaration withdrawn"),
        Step.DECISION_UNDONE: _("Decision undone: the ledger did not take it"),
        Step.PAPER_REVOKED: _("Paper revoked"),
        Step.PAPER_SUSPENDED: _("Paper suspended, with its issuer's accreditation"),
        Step.PAPER_REINSTATED: _("Paper in force again"),
        Step.ERASURE_REQUESTED: _("Erasure of a paper requested"),
        Step.ERASURE_AGREED: _("Customs agreed to the erasure of a paper"),
    }
    return names[step]


def later_changes(changes: Sequence[LaterChange]) -> list[str]:
    """List what others changed after the reader had read, with one message each, in order."""
    return [later_change(change) for change in changes]


def later_change(change: LaterChange) -> str:
    """Tell who changed what, when and why, in one message."""
    who = name_in_language(change.organisation) if change.organisation else _("The ledger")
    if (person := colleague(change)) is not None:
        who = f"{who} ({person})"
    message = _("%(who)s, %(when)s: %(what)s.", who=who, when=moment(change.at), what=_done(change.what))
    return f"{message} {_('Reason:')} {why_of(change)}" if change.why else message


def why_of(change: LaterChange) -> str | None:
    """Return the reason of a change: as the person stated it, or in our words for what the ledger brought about."""
    return undone(change.why) if change.why and change.organisation is None else change.why


def colleague(change: LaterChange) -> str | None:
    """Return the e-mail address of the person who made a change, for people of the same organisation only.

    Others learn the organisation's name only.
    """
    if change.person_id is None:
        return None
    with current_context().work(reading=True) as work:
        somebody = work.persons.find(change.person_id)
    is_own = somebody is not None and somebody.organisation.id == person().organisation.id
    return somebody.email if somebody is not None and is_own else None


def _done(what: str) -> str:
    """Return the word for the step, status or act that a change consists of."""
    if what in set(Step):
        return step_name(Step(what))
    words: dict[str, str] = {
        DocumentStatus.ACTIVE.name: _("In force"),
        DocumentStatus.SUSPENDED.name: _("Suspended"),
        DocumentStatus.REVOKED.name: _("Revoked"),
        DocumentStatus.SUPERSEDED.name: _("Replaced"),
        "ERASED": _("Erased"),
        "accredit": _("Accredited"),
        "suspend": _("Suspended"),
        "reinstate": _("Reinstated"),
        "rotate": _("New signing key"),
    }
    return words[what]


def proof_stages(record: RecordOnFile) -> list[Mapping[str, Any]]:
    """List the four stages of a proof: word, explanation, time if known, and whether the record has reached it."""
    batch = record.batch
    reached = [ProofState.STORED, ProofState.SEALED, ProofState.ANCHORED, ProofState.FINAL]
    # To readers, being sent is no stage of its own.
    state = ProofState.SEALED if record.proof_state is ProofState.SUBMITTED else record.proof_state
    texts = [
        (_("Stored"), _("Signed and saved with us."), record.recorded_at),
        (_("Sealed"), _("Closed together with other records, in a place of its own."), batch and batch.sealed_at),
        (_("Anchored"), _("Written to the ledger, where nobody can change it."), batch and batch.anchored_at),
        (_("Final"), _("Settled for good: anybody can check it, also without us."), batch and batch.anchored_at),
    ]
    return [
        {"word": word, "says": says, "at": reached_at, "done": place <= reached.index(state)}
        for place, (word, says, reached_at) in enumerate(texts)
    ]


@_once_a_language
def conclusion(value: Conclusion | str) -> Shown:
    """Return the word of a verdict with its tone."""
    tones = {Conclusion.VALID: "good", Conclusion.INVALID: "bad", Conclusion.INDETERMINATE: "wait"}
    value = Conclusion(value)
    return Shown(verdicts.conclusion_name(value, language()), tones[value])


def why(verdict: Verdict) -> str:
    """Return the message that explains a verdict."""
    if verdict.deciding is not None:
        return check_sentence(verdict.deciding)
    return verdicts.headline(verdict, language(), moment)


def check_title(check: Check) -> str:
    """Return the title of a check."""
    return verdicts.check_title(check.code, language())


def check_sentence(check: Check) -> str:
    """Return the message on a check's result."""
    return verdicts.reason_text(_named(check), language(), moment)


def check_rule(check: Check) -> tuple[str, str] | None:
    """Return the rule and tolerance of a comparison, unless the check passed."""
    return None if check.outcome is Outcome.PASS else verdicts.rule_of(check.code, language())


def _named(check: Check) -> Check:
    """Return the check with names in place of codes for countries and units, the issuer's in the reader's language."""
    check = with_issuer_named(check)
    named = {"MATCH_ORIGIN": choices.country, "MATCH_DESTINATION": choices.country, "MATCH_QUANTITY": _quantity}
    named |= {"QUANTITY_AVAILABLE": _quantity, "MATCH_GOODS_QUANTITY": _quantity}
    shown = named.get(check.code)
    if shown is None:
        return check
    values = {name: shown(value) if isinstance(value, str) else value for name, value in check.values.items()}
    return replace(check, values=values)


def _quantity(text: str) -> str:
    parts = (part.partition(" ") for part in text.split(", "))
    return listed(choices.quantity(number, code) for number, _blank, code in parts)


@_once_a_language
def outcome(value: Outcome) -> Shown:
    """Return the outcome of a check in words."""
    names = {
        Outcome.PASS: Shown(_("passed"), "good"),
        Outcome.FAIL: Shown(_("failed"), "bad"),
        Outcome.INDETERMINATE: Shown(_("cannot tell"), "wait"),
        Outcome.NOTE: Shown(_("note"), "plain"),
    }
    return names[value]


def action_by(who: ActionBy) -> str:
    """Return the name of the party that can fix a fault."""
    return verdicts.actor_name(who, language())


def size(count: int) -> str:
    """Write a file's size in KB or MB."""
    return f"{count / 1024 / 1024:.1f} MB" if count >= 1024 * 1024 else f"{max(1, round(count / 1024))} KB"


def hours(count: float | None) -> str:
    """Write a number of hours as a duration."""
    return duration(timedelta(hours=count)) if count is not None else "–"


def why_held(consignment: Consignment) -> str:
    """Tell why customs hold or refused goods, or return an empty text.

    The reason of a decision that was undone speaks for what did not happen: instead it is told why it was undone.
    """
    if not consignment.decisions:
        return ""
    last = consignment.decisions[-1]
    return f"{decision_state(last.state).word}{colon()}{undone(last.undone)}" if last.undone else last.reason


def undone(why: str) -> str:
    """Tell why a decision was reverted."""
    return verdicts.undone_reason(why, language())
