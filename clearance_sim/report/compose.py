"""Puts a report together from the results of a claim study, in one language: the verdict first."""

from collections.abc import Sequence
from typing import Any

from clearance_sim.report import chapters_of_causes, chapters_of_evidence, chapters_of_time
from clearance_sim.report.document import Block, Document, Paragraph, Section, Subheading, Verdict, section
from clearance_sim.report.words import Json, Words

CLAIM_FORMAT = "clearance-sim claim 1"
TRS_FORMAT = "provenport-trs/1"
PROBE_FORMAT = "provenport-probe"
REASONS = 3
"""How many sentences the first page gives."""


class ReportError(ValueError):
    """Results that no report can be made of; says what to mend."""


def compose(claim: Any, language: str, probe: Any = None, trs: Any = None, commands: Sequence[str] = ()) -> Document:
    """The whole report; raises ReportError where a file is none of ours."""
    _check(claim, probe, trs)
    words = Words(language)
    context = claim["contexts"][0]
    sections = [
        _verdict_in_full(words, claim, context),
        *_of_context(words, claim, context),
        _others(words, claim, claim["contexts"][1:]),
        chapters_of_evidence.validation(words, claim),
        chapters_of_evidence.measured(words, probe, trs),
    ]
    sections.append(chapters_of_evidence.method(words, claim, commands, _missing(words, sections)))
    made = claim["made"]
    told = words.say("made", **{key: made[key] for key in ("version", "seed", "replications", "declarations")})
    return Document(
        language=language,
        title=words.say("title", start=claim["claim"]["from_h"], end=claim["claim"]["to_h"]),
        subtitle=words.text(context["title"]),
        made=f"{told} · {words.say('quick')}" if made.get("quick") else told,
        contents=words.say("contents"),
        verdict=_verdict(words, claim, context),
        sections=tuple(part for part in sections if part is not None),
    )


def _check(claim: Any, probe: Any, trs: Any) -> None:
    for name, told, expected in (
        ("claim", claim, CLAIM_FORMAT),
        ("probe", probe, PROBE_FORMAT),
        ("trs", trs, TRS_FORMAT),
    ):
        if told is None and name != "claim":
            continue
        found = told.get("format") if isinstance(told, dict) else None
        if found != expected:
            raise ReportError(
                f"the {name} file has the format {found!r}, not {expected!r}: make it with clearance-sim {name}"
            )
    if not claim.get("contexts"):
        raise ReportError("the claim file holds no context: run clearance-sim claim to its end")


def _verdict(words: Words, claim: Json, context: Json) -> Verdict:
    told = context.get("verdict") or claim["verdict"]
    parts = [words.text(part) for part in told.get("parts", ())] or [words.text(told)]
    outcome = str(told["outcome"])
    return Verdict(
        outcome=outcome,
        word=words.name("outcome", outcome),
        text=words.text(context["title"]),
        reasons=tuple(parts[:REASONS]),
        chart=chapters_of_time.first_chart(words, claim["claim"], context),
    )


def _verdict_in_full(words: Words, claim: Json, context: Json) -> Section | None:
    told = context.get("verdict") or claim["verdict"]
    parts = [words.text(part) for part in told.get("parts", ())][REASONS:]
    blocks: list[Block | None] = [Paragraph(part) for part in parts]
    blocks += [Paragraph(words.text(context["remark"]), is_note=True) if context.get("remark") else None]
    blocks += [_defensible(words, claim, context)]
    blocks += _by_other_clocks(words, context)
    return section("verdict", words.say("verdict.parts"), blocks)


def _by_other_clocks(words: Words, context: Json) -> list[Block | None]:
    """The verdict by every clock but the headline's."""
    blocks: list[Block | None] = []
    for clock, told in (context.get("verdicts") or {}).items():
        if clock != chapters_of_time.HEADLINE:
            blocks.append(Subheading(words.say("by_clock", clock=words.clock(clock))))
            text = words.say("between_sentences").join(words.text(part) for part in told.get("parts", ()))
            blocks.append(Paragraph(_outcome(words, told) + text))
    return blocks


def _outcome(words: Words, told: Json) -> str:
    return words.name("outcome", str(told["outcome"])) + words.say("stop")


def _defensible(words: Words, claim: Json, context: Json) -> Paragraph | None:
    if context.get("baseline_defensible", True):
        return None
    return Paragraph(words.say("not_defensible", start=claim["claim"]["from_h"]))


def _of_context(words: Words, claim: Json, context: Json) -> list[Section | None]:
    question = claim["claim"]
    return [
        _with_fraud(words, context, chapters_of_time.time(words, question, context)),
        chapters_of_time.stages(words, context),
        chapters_of_causes.causes(words, context),
        chapters_of_causes.conditions(words, question, context),
        chapters_of_time.load(words, context),
        chapters_of_causes.sensitivity(words, question, context),
    ]


def _with_fraud(words: Words, context: Json, time: Section | None) -> Section | None:
    caught = chapters_of_time.fraud(words, context)
    return section(time.name, time.title, [*time.blocks, *caught]) if time else None


def _others(words: Words, claim: Json, contexts: Sequence[Json]) -> Section | None:
    """Other settings: their verdict, curve and table; a setting decides whether 72 hours is a baseline at all."""
    blocks: list[Block | None] = []
    for number, context in enumerate(contexts, 1):
        told = context.get("verdict") or {}
        blocks += [Subheading(words.text(context["title"]))]
        if told:
            blocks += [Paragraph(_outcome(words, told) + words.text(told))]
        blocks += [Paragraph(words.text(context["remark"]), is_note=True) if context.get("remark") else None]
        blocks += [_defensible(words, claim, context)]
        blocks += [chapters_of_time.first_chart(words, claim["claim"], context, f"other-{number}-")]
        blocks += [chapters_of_time.times_table(words, claim["claim"], context)]
    return section("others", words.say("section.others"), blocks)


def _missing(words: Words, sections: Sequence[Section | None]) -> list[str]:
    present = {part.name for part in sections if part is not None}
    known = ("stages", "causes", "conditions", "load", "sensitivity", "others", "validation", "measured")
    return [words.say(f"section.{name}") for name in known if name not in present]
