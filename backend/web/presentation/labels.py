"""What statuses, steps, decisions and roles are called, in the trade's words; and how each looks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from flask import Flask
from flask_babel import gettext as _

from backend.domain.consignment import Decision, DecisionState, Step
from backend.domain.errors import Invalid, LaterChange
from backend.domain.kinds import ISSUERS, KINDS, Audience, Kind
from backend.domain.ledger import DeclarationStatus, DocumentStatus
from backend.domain.parties import LOCAL_LANGUAGE
from backend.domain.records import ConfirmationRequest, ProofState, RecordOnFile, RequestState
from backend.domain.simulation import SimulationState
from backend.domain.verdict import ActionBy, Check, Conclusion, Outcome, Verdict
from backend.messages import verdict as verdicts
from backend.messages.catalogue import Language, gettext, languages, say
from backend.web.context import current_context, language, person
from backend.web.forms import choices
from backend.web.presentation.field_names import field_name, field_value, in_words, role_name
from backend.web.presentation.languages import duration, moment


class Shown(NamedTuple):
    """A state in words, with its tone: good, bad, wait or plain. The tone gives colour and shape together."""

    word: str
    tone: str


def install_words(app: Flask) -> None:
    """Hand the words to the templates."""
    app.jinja_env.globals.update(
        kind_name=kind_name,
        role_name=role_name,
        standing_detail=standing_detail,
        request_state=request_state,
        declaration_state=declaration_state,
        decision_name=decision_name,
        simulation_state=simulation_state,
        step_name=step_name,
        proof_stages=proof_stages,
        conclusion=conclusion,
        why=why,
        check_title=check_title,
        check_sentence=check_sentence,
        check_rule=check_rule,
        outcome=outcome,
        action_by=action_by,
        undone=undone,
        decision_state=decision_state,
        options=choices.options,
        name_of=name_of,
        hours=hours,
        number_of=number_of,
        goods_of=goods_of,
        field_name=field_name,
        field_value=field_value,
        audience_name=audience_name,
        kind_help=kind_help,
        record_kinds=KINDS,
        sheet_titles=sheet_titles,
        said=said,
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
        in_words=in_words,
    )


def name_of(organisation: Any) -> str:
    """An organisation's name in the reader's language, where it has one there."""
    return _own_name(organisation)


def number_of(record: RecordOnFile) -> str:
    """The number on the paper, as it was written there; empty where it has none yet."""
    return str(_fields(record).get(KINDS[record.kind].number_field, ""))


def goods_of(record: RecordOnFile) -> str:
    """What the paper is about, in one line."""
    fields = _fields(record)
    if record.product is not None:
        return _own_name(record.product)
    return str(fields.get("description") or fields.get("itemDescription") or "")


def _own_name(named: Any) -> str:
    """The name in the reader's language: people and goods have one in English, and perhaps one in their own."""
    return str({LOCAL_LANGUAGE: named.local_name}.get(language()) or named.name)


def _fields(record: RecordOnFile) -> Mapping[str, Any]:
    try:
        return record.fields
    except Invalid:
        return {}


def kind_name(kind: Kind, inside: bool = False) -> str:
    """A kind of record; ``inside`` a sentence, where English begins it with a small letter."""
    name = gettext(KINDS[kind].names, language())
    return name[0].lower() + name[1:] if inside else name


def said(text: str) -> str:
    """A text of the domain, in the reader's language."""
    return gettext(text, language())


def sheet_titles(kind: Kind) -> list[tuple[Language, str]]:
    """What a paper is headed with: a sheet names itself in every language that there is."""
    return [(code, gettext(KINDS[Kind(kind)].names, code)) for code in languages()]


def kind_help(kind: Kind) -> str:
    """What a paper is, in one line."""
    return gettext(KINDS[kind].help, language())


def audience_name(audience: Audience) -> str:
    """For whom fields are chosen."""
    names: dict[Audience, str] = {
        Audience.PUBLIC_LABEL: _("Everybody (label)"),
        Audience.BUYER: _("Buyer"),
        Audience.BANK: _("Bank"),
        Audience.CUSTOMS: _("Customs"),
    }
    return names[audience]


def refusal_words(refusal: Exception) -> str:
    """Why a paper cannot be erased."""
    known = {
        "erased already": _("This paper was erased already."),
        "on its way to the ledger": _("It is on its way to the ledger: try again in a few seconds."),
        "released on it": _("Goods released on it are on their way to the ledger: try again in a few seconds."),
        "have not decided": _("A declaration that customs have not decided on relies on it. Withdraw that first."),
        "before its issuer": _("It lies before its issuer: wait for the answer first."),
    }
    return next((words for part, words in known.items() if part in str(refusal)), say(refusal, language()))


def standing_detail(verdict: Verdict, asked: ConfirmationRequest | None = None) -> str:
    """What keeps a record from being VALID, in a word or two, beside the verdict's own word; empty where nothing does.

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
    }
    return str(names.get(check.reason) or check_title(check))


def request_state(state: RequestState, to_reader: bool = False) -> Shown:
    """Where a request stands; ``to_reader`` where the reader is the one who was asked."""
    names = {
        RequestState.WAITING: Shown(_("Waiting for you") if to_reader else _("Waiting for the issuer"), "wait"),
        RequestState.CONFIRMED: Shown(_("Confirmed and signed"), "good"),
        RequestState.SENT_BACK: Shown(_("Sent back"), "bad"),
        RequestState.CLOSED: Shown(_("Sent back and replaced"), "plain"),
    }
    return names[state]


def declaration_state(status: DeclarationStatus) -> Shown:
    """Where a declaration stands."""
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


def simulation_state(state: SimulationState) -> Shown:
    """Where a simulation stands."""
    names = {
        SimulationState.WAITING: Shown(_("Waiting"), "plain"),
        SimulationState.RUNNING: Shown(_("Running"), "wait"),
        SimulationState.DONE: Shown(_("Done"), "good"),
        SimulationState.FAILED: Shown(_("Failed"), "bad"),
        SimulationState.CANCELLED: Shown(_("Cancelled"), "plain"),
        SimulationState.LOST: Shown(_("Interrupted"), "bad"),
    }
    return names[state]


def decision_name(decision: Decision) -> str:
    """A decision, as the officer orders it."""
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


def decision_state(state: DecisionState) -> Shown:
    """How far a decision has come."""
    names = {
        DecisionState.ACCEPTED: Shown(_("Accepted, not on the ledger yet"), "wait"),
        DecisionState.ON_LEDGER: Shown(_("On the ledger, not final yet"), "wait"),
        DecisionState.FINAL: Shown(_("Final on the ledger"), "good"),
        DecisionState.UNDONE: Shown(_("Undone"), "bad"),
    }
    return names[state]


def step_name(step: Step) -> str:
    """A step of a consignment."""
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
    }
    return names[step]


def later_changes(changes: Sequence[LaterChange]) -> list[str]:
    """What others did after the reader had read: a sentence each, in order."""
    return [later_change(change) for change in changes]


def later_change(change: LaterChange) -> str:
    """Who did what, when and why, as one sentence."""
    who = change.organisation or _("The ledger")
    if (person := colleague(change)) is not None:
        who = f"{who} ({person})"
    sentence = _("%(who)s, %(when)s: %(what)s.", who=who, when=moment(change.at), what=_done(change.what))
    return f"{sentence} {_('Reason:')} {why_of(change)}" if change.why else sentence


def why_of(change: LaterChange) -> str | None:
    """Why it was done: in the words of who did it; of what the ledger brought about, in ours."""
    return undone(change.why) if change.why and change.organisation is None else change.why


def colleague(change: LaterChange) -> str | None:
    """The address of who did it, for people of the same organisation; others learn the organisation's name only."""
    if change.person_id is None:
        return None
    with current_context().work(reading=True) as work:
        somebody = work.persons.find(change.person_id)
    is_own = somebody is not None and somebody.organisation.id == person().organisation.id
    return somebody.email if somebody is not None and is_own else None


def _done(what: str) -> str:
    """The word for a step, a status or an act that a change consists of."""
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
    """The four dots: word, explanation, time where it is known, and whether the record has come so far."""
    batch = record.batch
    reached = [ProofState.STORED, ProofState.SEALED, ProofState.ANCHORED, ProofState.FINAL]
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


def conclusion(value: Conclusion | str) -> Shown:
    """A verdict's one word."""
    tones = {Conclusion.VALID: "good", Conclusion.INVALID: "bad", Conclusion.INDETERMINATE: "wait"}
    value = Conclusion(value)
    return Shown(verdicts.conclusion_name(value, language()), tones[value])


def why(verdict: Verdict) -> str:
    """The one sentence under the verdict."""
    if verdict.deciding is not None:
        return check_sentence(verdict.deciding)
    return verdicts.headline(verdict, language(), moment)


def check_title(check: Check) -> str:
    """What was checked."""
    return verdicts.check_title(check.code, language())


def check_sentence(check: Check) -> str:
    """What came of it."""
    return verdicts.reason_text(_named(check), language(), moment)


def check_rule(check: Check) -> tuple[str, str] | None:
    """What was compared and how closely, where papers do not agree."""
    return None if check.outcome is Outcome.PASS else verdicts.rule_of(check.code, language())


def _named(check: Check) -> Check:
    """The same check with countries and units by name: people do not read codes."""
    named = {"MATCH_ORIGIN": choices.country, "MATCH_DESTINATION": choices.country, "MATCH_QUANTITY": _quantity}
    named |= {"QUANTITY_AVAILABLE": _quantity, "MATCH_GOODS_QUANTITY": _quantity}
    shown = named.get(check.code)
    if shown is None:
        return check
    values = {name: shown(value) if isinstance(value, str) else value for name, value in check.values.items()}
    return replace(check, values=values)


def _quantity(text: str) -> str:
    parts = (part.partition(" ") for part in text.split(", "))
    return ", ".join(f"{number} {choices.unit(code)}".strip() for number, _blank, code in parts)


def outcome(value: Outcome) -> Shown:
    """A check's outcome."""
    names = {
        Outcome.PASS: Shown(_("passed"), "good"),
        Outcome.FAIL: Shown(_("failed"), "bad"),
        Outcome.INDETERMINATE: Shown(_("cannot tell"), "wait"),
        Outcome.NOTE: Shown(_("note"), "plain"),
    }
    return names[value]


def action_by(who: ActionBy) -> str:
    """Who can put it right."""
    return verdicts.actor_name(who, language())


def size(count: int) -> str:
    """A file's size as people say it."""
    return f"{count / 1024 / 1024:.1f} MB" if count >= 1024 * 1024 else f"{max(1, round(count / 1024))} KB"


def hours(count: float | None) -> str:
    """A number of hours as people say it."""
    return duration(timedelta(hours=count)) if count is not None else "–"


def undone(why: str) -> str:
    """Why a decision was undone."""
    return verdicts.undone_reason(why, language())
