"""Asks all three about the published vectors and about 100,000 altered proofs, and wants the same answer from each.

PROVENPORT_AGREEMENT_SEED asks other questions. Ends with 1 where anybody differs from the others, or where a judge with
a planted fault goes unnoticed.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.agreement import judges
from tests.agreement.judges import Judge
from tests.agreement.questions import Question, altered, published

SEED = int(os.environ.get("PROVENPORT_AGREEMENT_SEED", "20261125"))
ALTERED = 100_000
FOR_FAULTY = 5_000
"""A planted fault shows within as many questions, or it does not show."""


def main() -> int:
    """Ask, compare, report."""
    questions = list(altered(SEED, ALTERED))
    with judges.solidity() as (solidity, faulty_solidity):
        honest = {"Python": judges.python, "Solidity": solidity, "JavaScript": judges.javascript}
        faulty = {
            "Python": judges.faulty_python,
            "Solidity": faulty_solidity,
            "JavaScript": judges.faulty_javascript,
        }
        wrong = _on_vectors(honest) + _on_altered(honest, questions) + _on_planted(faulty, questions[:FOR_FAULTY])
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _on_vectors(honest: dict[str, Judge]) -> list[str]:
    samples = os.environ.get("PROVENPORT_SAMPLES")
    if samples is None:
        print("published vectors: SKIPPED, PROVENPORT_SAMPLES does not name the directory of published samples")
        return []
    vectors = published(Path(samples))
    wrong = []
    for language, judge in honest.items():
        asked = [(q, wanted) for q, wanted in vectors if language != "Solidity" or q.fits_a_call()]
        # What cannot be put into a call is refused before the contract is reached.
        refused = sum(wanted for q, wanted in vectors if language == "Solidity" and not q.fits_a_call())
        answers = judge([q for q, _ in asked])
        differing = sum(answer != wanted for answer, (_, wanted) in zip(answers, asked, strict=True)) + refused
        print(f"published vectors, {language}: {len(vectors) - differing} of {len(vectors)} as published")
        if differing or not vectors:
            wrong.append(f"{language} differs from {differing} published vectors")
    return wrong


def _on_altered(honest: dict[str, Judge], questions: Sequence[Question]) -> list[str]:
    print(f"altered proofs: {len(questions):,}, seed {SEED}")
    answers = {language: _timed(language, judge, questions) for language, judge in honest.items()}
    python = answers["Python"]
    wrong = []
    for language, said in answers.items():
        different = [i for i, (one, other) in enumerate(zip(said, python, strict=True)) if one != other]
        wrong += [f"{language} says {said[i]}, Python {python[i]}: {questions[i]}" for i in different[:3]]
    accepted = sum(python)
    agreed = sum(len(set(three)) == 1 for three in zip(*answers.values(), strict=True))
    print(f"agreed on {agreed:,} of {len(questions):,}: {accepted:,} accepted, {len(questions) - accepted:,} rejected")
    if not 0 < accepted < len(questions):
        wrong.append("the questions are all of one kind")
    return wrong


def _on_planted(faulty: dict[str, Judge], questions: Sequence[Question]) -> list[str]:
    python = judges.python(questions)
    wrong = []
    for language, judge in faulty.items():
        caught = sum(one != other for one, other in zip(judge(questions), python, strict=True))
        print(f"planted fault in {language}: differs on {caught:,} of {len(questions):,}")
        if not caught:
            wrong.append(f"the planted fault in {language} was not noticed")
    return wrong


def _timed(language: str, judge: Judge, questions: Sequence[Question]) -> list[bool]:
    begun = time.perf_counter()
    said = judge(questions)
    print(f"  {language}: {time.perf_counter() - begun:.1f} s")
    return said


if __name__ == "__main__":
    sys.exit(main())
