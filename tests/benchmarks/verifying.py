"""Verifying complete bundles: how many a second on one core, and how large a bundle is.

Seconds are those of the processor (this process alone), so that neighbours on the machine do not count. "Facts cached":
the ledger's facts are at hand, as for a customs office that reads a batch once and then judges its records.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from backend.domain import bundle, bundle_verification, strict_json
from backend.domain.bundle import Bundle
from backend.domain.evidence import Evidence
from backend.domain.kinds import Kind
from backend.domain.record_checks import evaluate
from backend.domain.records import ProofState
from backend.domain.snapshot import read as read_snapshot
from backend.domain.verdict import Conclusion, LedgerFacts, Verdict
from tests.benchmarks.figure import Figure
from tests.helpers.builders import NOON, a_record, certificate_fields
from tests.verifier.samples import Sample, a_dossier, a_sample
from tests.verifier.verifiers import Question, by_program

BUNDLES = 400
ROUNDS = 5
BATCH = 10_000
SIZE_TARGET = 6 * 1024


def measure(_: Path) -> list[Figure]:
    """Bundles a second, by what is known already, and sizes."""
    samples = [_certificate(number) for number in range(BUNDLES)]
    files = [sample.content for sample in samples]
    facts = [_facts(sample) for sample in samples]
    questions = [sample.question() for sample in samples]
    cached = _rate(lambda: [_evaluated(content, known) for content, known in zip(files, facts, strict=True)])
    whole = _rate(lambda: [_from_snapshot(question) for question in questions])
    program = _rate(lambda: [_is(by_program(question)[0] == "VALID") for question in questions])
    large = a_sample(size=BATCH)
    return [
        Figure("bundles verified, the ledger's facts cached", cached, "/s core", ">= 3,000"),
        Figure(
            "bundles verified offline, signed snapshot and trust included",
            whole,
            "/s core",
            None,
            "verifier/verify.py",
            program,
        ),
        Figure(f"bundle of a certificate in a batch of {BATCH:,}", len(large.content), "bytes", f"<= {SIZE_TARGET:,}"),
        Figure("of which the signed snapshot", len(large.bundle.snapshot or ""), "bytes"),
        Figure("bundle of a declaration with two papers", len(a_dossier().content), "bytes"),
    ]


def _certificate(number: int) -> Sample:
    fields = certificate_fields(certificateNumber=f"C-{number}", quantity=str(number + 1))
    return a_sample([(a_record(fields=fields), Kind.CERTIFICATE_OF_ORIGIN)], size=64)


def _facts(sample: Sample) -> LedgerFacts:
    text = sample.bundle.snapshot
    assert text is not None
    (reading,) = read_snapshot(text).snapshot.readings
    return LedgerFacts(
        NOON,
        reading.batch,
        0,
        reading.accreditation,
        state=ProofState.FINAL,
        anchor_block=reading.block,
        accreditation_at_issue=reading.accreditation_at_issue,
        accreditation_at_anchoring=reading.accreditation_at_anchoring,
    )


def _evaluated(content: bytes, facts: LedgerFacts) -> None:
    read: Bundle = bundle.read(strict_json.loads(content))
    one: Evidence = read.records[0]
    _is(evaluate(one, facts, NOON).conclusion is Conclusion.VALID)


def _from_snapshot(question: Question) -> None:
    read = bundle_verification.read(question.content, question.moment)
    assert not isinstance(read, Verdict)
    source = bundle_verification.snapshot_facts(read, question.trust, question.moment, timedelta(days=1))
    _is(bundle_verification.verdict_on(read, source, question.moment).conclusion is Conclusion.VALID)


def _is(valid: bool) -> None:
    if not valid:
        raise RuntimeError("a bundle that is measured must be valid")


def _rate(work: Callable[[], object]) -> float:
    """Bundles a second in the best round: what disturbs a round can only slow it."""
    return max(map(partial(_timed, work), range(ROUNDS)))


def _timed(work: Callable[[], object], _: int) -> float:
    begun = time.process_time()
    work()
    return BUNDLES / (time.process_time() - begun)
