"""The three who judge, and for each a twin with a planted fault, who must be caught."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.adapters.ledger.calls import Interface
from backend.domain.evidence import InclusionProof, node_hash
from contracts import Artifact
from contracts.tools import compile as build
from tests.agreement.questions import Question
from tests.helpers.nodes import Anvil, anvil

Judge = Callable[[Sequence[Question]], list[bool]]

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "verifier" / "verifier.html"
HARNESS = HERE.parent / "contracts" / "InclusionProofHarness.sol"
CONTRACT = "0x" + "c0de" * 10
QUESTIONS_A_CALL = 1_000
PROMOTED = {"InclusionProof.sol": "leafIndex & 1 == 1 || leafIndex == last", "verifier.html": "|| position === last"}
"""Where each source lets the last node of a level be promoted; the planted fault leaves that out."""


def python(questions: Sequence[Question]) -> list[bool]:
    """As the server judges."""
    return [InclusionProof(q.leaf_index, q.size, q.path).root_from(q.leaf) == q.root for q in questions]


def faulty_python(questions: Sequence[Question]) -> list[bool]:
    """A walk that knows of no promotion."""
    return [_plain_walk(question) == question.root for question in questions]


def _plain_walk(question: Question) -> bytes:
    leaf_index, node = question.leaf_index, question.leaf
    for sibling in question.path:
        node = node_hash(sibling, node) if leaf_index % 2 else node_hash(node, sibling)
        leaf_index //= 2
    return node


def javascript(questions: Sequence[Question]) -> list[bool]:
    """As the browser judges."""
    return _in_node(PAGE, questions)


def faulty_javascript(questions: Sequence[Question]) -> list[bool]:
    """The same script without promotion."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / PAGE.name
        page.write_text(_without_promotion(PAGE), encoding="utf-8")
        return _in_node(page, questions)


def _in_node(page: Path, questions: Sequence[Question]) -> list[bool]:
    node = shutil.which("node")
    assert node is not None, "node is not installed: make agreement installs it"
    lines = "\n".join(
        json.dumps([q.root.hex(), q.size, q.leaf_index, q.leaf.hex(), [sibling.hex() for sibling in q.path]])
        for q in questions
    )
    command = [node, str(HERE / "judge.mjs"), str(page)]
    said = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return [verdict == "1" for verdict in said.stdout]


@contextmanager
def solidity() -> Iterator[tuple[Judge, Judge]]:
    """As the contract judges, and a twin without promotion: the library itself, asked on a node."""
    with anvil("--gas-limit", "100000000000", "--no-request-size-limit") as node:
        library = build.SOURCES / "InclusionProof.sol"
        yield (
            _on_node(node, library.read_text("utf-8"), CONTRACT),
            _on_node(node, _without_promotion(library), CONTRACT[:-4] + "fa17"),
        )


def _on_node(node: Anvil, library: str, address: str) -> Judge:
    compiled = _compiled(library)
    node.ask("anvil_setCode", address, "0x" + compiled["evm"]["deployedBytecode"]["object"])
    selector = Interface(Artifact("InclusionProofHarness", compiled["abi"], b"")).selector("includesEach")

    def judge(questions: Sequence[Question]) -> list[bool]:
        verdicts: list[bool] = []
        for first in range(0, len(questions), QUESTIONS_A_CALL):
            some = questions[first : first + QUESTIONS_A_CALL]
            call = {"to": address, "data": "0x" + (selector + _call_data(some)).hex(), "gas": hex(50 * 10**9)}
            answer = bytes.fromhex(node.ask("eth_call", call, "latest")[2:])
            verdicts += [byte == 1 for byte in answer[64 : 64 + len(some)]]
        return verdicts

    return judge


def _call_data(questions: Sequence[Question]) -> bytes:
    """The arguments of ``includesEach``, put together by hand: an encoder would take longer than everything else."""
    words = [
        word
        for q in questions
        for word in (q.root, _word(q.size), _word(q.leaf_index), q.leaf, _word(len(q.path)), *q.path)
    ]
    return b"".join((_word(64), _word(len(questions)), _word(len(words)), *words))


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _compiled(library: str) -> Any:
    sources = {"harness.sol": HARNESS.read_text("utf-8"), "src/InclusionProof.sol": library}
    return build.compile_sources(sources)["contracts"]["harness.sol"]["InclusionProofHarness"]


def _without_promotion(source: Path) -> str:
    text, promoted = source.read_text("utf-8"), PROMOTED[source.name]
    assert text.count(promoted) == 1, f"the text of the planted fault does not stand once in {source.name}"
    return text.replace(promoted, re.sub(r"\|\|.*", "|| false", promoted))
