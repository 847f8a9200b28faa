"""Make the test vectors in verifier/vectors: bundles, a trust file, and the verdict that every verifier must reach.

    python -m tests.helpers.vectors    # with fresh keys: every file is written anew

What is committed is what counts: tests/verifier/test_vectors.py reads the files and makes none.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from backend.domain import trust
from backend.domain.strict_json import loads
from tests.verifier.cases import cases
from tests.verifier.samples import the_samples
from tests.verifier.verifiers import Question, by_product
from verifier import FOLDER

VECTORS = FOLDER / "vectors"
CHOSEN = (
    "no trust",
    "another's snapshot",
    "revoked",
    "revoked where it was anchored before",
    "revoked where it was anchored after",
    "superseded where it was anchored before",
    "released",
    "withdrawn",
    "not final",
    "never accredited",
    "another chapter",
    "chapter withheld",
    "quantity withheld",
    "another quantity sealed",
    "written with spaces",
    "lapsed between",
    "suspended key",
    "narrowed to another chapter since",
    "widened to its chapter since",
    "narrowed on its way",
    "ended the grace before",
    "signed while suspended, lifted since",
    "accredited after it signed",
    "a merchant's statement",
    "expired",
    "anchored as named",
    "anchored by another",
    "named for another deployment",
    "the other form of a signature",
    "the other form, of before",
    "a claim for a stranger's market",
    "a claim half shown",
    "a claim that ended",
    "dated in two days",
    "waiting",
    "a paper missing",
    "a paper of another kind",
    "another key's record",
    "a key twice",
    "a record that is none",
)
VALID = ("movement_event", "some fields", "dossier with a line of papers")


def questions() -> dict[str, Question]:
    """The questions that the vectors ask, by name."""
    sound = {name: sample.question() for name, sample in the_samples().items()}
    return {name: sound[name] for name in VALID} | {name: cases()[name][0] for name in CHOSEN}


def written(name: str, question: Question) -> dict[str, Any]:
    """One line of the index: what is asked, and what must come out."""
    found = by_product(question)
    return {
        "bundle": f"{name.replace(' ', '-').replace(chr(39), '').replace('_', '-')}.json",
        "trust": "trust.json" if question.trust.trusted else None,
        "at": question.moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "maxAgeHours": question.max_age // timedelta(hours=1),
        "verdict": found.verdict,
        "proofState": found.proof_state,
        "checks": [dict(zip(("code", "outcome", "reason", "record"), check, strict=True)) for check in found.checks],
    }


def main() -> None:
    """Write them all."""
    VECTORS.mkdir(exist_ok=True)
    for old in VECTORS.glob("*.json"):
        old.unlink()
    asked = questions()
    index = []
    for name, question in asked.items():
        line = written(name, question)
        (VECTORS / line["bundle"]).write_bytes(question.content)
        index.append(line)
    trusted = next(question.trust for question in asked.values() if question.trust.trusted)
    assert all(question.trust in (trusted, trust.Trust()) for question in asked.values()), "one trust file for all"
    (VECTORS / "trust.json").write_text(json.dumps(trusted.as_json(), indent=2) + "\n", encoding="utf-8")
    lines = ",\n".join("  " + json.dumps(line) for line in index)
    (VECTORS / "expected.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def committed() -> list[tuple[dict[str, Any], Question]]:
    """Each line of the committed index with its question."""
    trusted = trust.read(loads((VECTORS / "trust.json").read_bytes()))
    found = []
    for line in json.loads((VECTORS / "expected.json").read_text(encoding="utf-8")):
        content = (VECTORS / line["bundle"]).read_bytes()
        moment = datetime.strptime(line["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        whom = trusted if line["trust"] else trust.Trust()
        found.append((line, Question(content, whom, moment, timedelta(hours=line["maxAgeHours"]))))
    return found


if __name__ == "__main__":
    main()
