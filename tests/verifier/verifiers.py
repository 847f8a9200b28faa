"""The three verifiers behind one face: each takes a file's bytes, the reader's trust, a moment and an age."""

import base64
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from backend.domain import bundle_verification
from backend.domain.trust import Trust
from backend.domain.verdict import Verdict

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "verifier" / "verifier.html"
PROGRAM = ROOT / "verifier" / "verify.py"
DAY = timedelta(days=1)


class Found(NamedTuple):
    """What a verifier found; a check is (code, outcome, reason, number of the record)."""

    verdict: str
    checks: tuple[tuple[Any, ...], ...]
    proof_state: str | None


@dataclass(frozen=True)
class Question:
    """A file, and what its reader believes."""

    content: bytes
    trust: Trust
    moment: datetime
    max_age: timedelta = DAY
    rpc: str | None = None


def by_product(question: Question) -> Found:
    """What ``provenport verify`` does."""
    read = bundle_verification.read(question.content, question.moment)
    if not isinstance(read, Verdict):
        source = bundle_verification.snapshot_facts(read, question.trust, question.moment, question.max_age)
        read = bundle_verification.verdict_on(read, source, question.moment)
    checks = tuple((c.code, c.outcome.value, c.reason, c.record) for c in read.checks)
    return Found(read.conclusion.value, checks, read.proof_state)


def _changed(text: str, changes: Sequence[tuple[str, str]]) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def program(path: Path = PROGRAM, changes: Sequence[tuple[str, str]] = ()) -> ModuleType:
    """verifier/verify.py as a module; ``changes`` plant faults in a copy."""
    spec = importlib.util.spec_from_loader("verify_program", loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(_changed(path.read_text(encoding="utf-8"), changes), str(path), "exec"), module.__dict__)
    return module


PROGRAM_AS_IT_IS = program()


def by_program(question: Question, module: ModuleType = PROGRAM_AS_IT_IS) -> Found:
    """What verifier/verify.py does."""
    trusted = question.trust.as_json()["trusted"]
    verdict, checks, state, _ = module.verify(question.content, trusted, question.moment, question.max_age)
    return Found(verdict, tuple(checks), state)


def node() -> str | None:
    """Node.js: the locked one beside this Python, else the machine's."""
    own = Path(sys.executable).with_name("node")
    return str(own) if own.exists() else shutil.which("node")


with_node = pytest.mark.skipif(node() is None, reason="there is no Node.js here: make verifiers-check brings one")


def by_page(questions: Iterable[Question], page: Path = PAGE) -> Iterator[Found]:
    """What the HTML file does, under Node.js; questions go in while answers come out."""
    command = node()
    assert command is not None
    runner = [command, str(ROOT / "tests" / "verifier" / "in_node.mjs"), str(page)]
    with subprocess.Popen(runner, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for few in _few_at_a_time(questions):
            process.stdin.write("".join(_line(question) for question in few))
            process.stdin.flush()
            for _ in few:
                told = json.loads(process.stdout.readline())
                assert "crash" not in told, told["crash"]
                yield Found(told["verdict"], tuple(tuple(check) for check in told["checks"]), told["proofState"])
        process.stdin.close()


def differences(questions: Sequence[Question]) -> list[str]:
    """Where the three answer differently, a line for each: "record 2, certificate-of-origin, ANCHOR: product …"."""
    told = []
    for question, page in zip(questions, by_page(questions), strict=True):
        told += told_apart(question, {"product": by_product(question), "program": by_program(question), "page": page})
    return told


def told_apart(question: Question, found: Mapping[str, Found]) -> list[str]:
    """What verifiers answer differently about one file, in words."""
    lines = []
    for what in ("verdict", "proof_state"):
        answers = {who: getattr(one, what) for who, one in found.items()}
        lines += [_line_of(f"whole file, {what}", answers)] if len(set(answers.values())) > 1 else []
    of = {who: _by_check(one) for who, one in found.items()}
    for record, code in dict.fromkeys(key for checks in of.values() for key in checks):
        answers = {who: checks.get((record, code), "not made") for who, checks in of.items()}
        if len(set(answers.values())) > 1:
            about = "whole file" if record is None else f"record {record}, {_kind_of(question, record)}"
            lines.append(_line_of(f"{about}, {code}", answers))
    if not lines and len(set(found.values())) > 1:
        lines.append(_line_of("whole file, order of checks", {who: str(one.checks) for who, one in found.items()}))
    return lines


def _by_check(found: Found) -> dict[tuple[str | None, str], str]:
    """What became of each check of each record; of several of one code, all."""
    told: dict[tuple[str | None, str], str] = {}
    for code, outcome, reason, record in found.checks:
        earlier = told.get((record, code))
        told[record, code] = f"{earlier} + {outcome} {reason}" if earlier else f"{outcome} {reason}"
    return told


def _kind_of(question: Question, record: str) -> str:
    read = bundle_verification.read(question.content, question.moment)
    return "unreadable" if isinstance(read, Verdict) else read.records[int(record) - 1].kind.slug


def _line_of(about: str, answers: Mapping[str, Any]) -> str:
    return f"{about}: " + ", ".join(f"{who} {answer}" for who, answer in answers.items())


def _few_at_a_time(questions: Iterable[Question]) -> Iterator[list[Question]]:
    few: list[Question] = []
    for question in questions:
        few.append(question)
        if len(few) == 20:  # what fits into the pipes
            yield few
            few = []
    if few:
        yield few


def _line(question: Question) -> str:
    asked = {
        "bundle": base64.b64encode(question.content).decode(),
        "trust": question.trust.as_json()["trusted"],
        "moment": str(int(question.moment.timestamp() * 1_000_000)),
        "maxAge": str(question.max_age // timedelta(microseconds=1)),
        "rpc": question.rpc,
    }
    return json.dumps(asked) + "\n"


def changed_page(folder: Path, changes: Sequence[tuple[str, str]]) -> Path:
    """A copy of the HTML file with faults planted in it."""
    copy = folder / "changed.html"
    copy.write_text(_changed(PAGE.read_text(encoding="utf-8"), changes), encoding="utf-8")
    return copy
