"""Bundles by the million: no forged one may be taken, and the verifiers must agree on whatever they are given.

python -m tests.stress.forged_bundles [COUNT] [SEED]

- every size of batch from 1 to 1,025 is proven, to the product and the program;
- a complete certificate's bundle out of 10,000, and a dossier's with a line of papers, are altered at every byte:
  each of its eight bits for the product, one of them for the program and the page as well;
  below 50,000 forgeries only such a share of the bytes, another one for each seed;
- COUNT forgeries (a million): all are given to the product, every second also to verifier/verify.py, one in five also
  to the HTML file under Node.js;
- one twentieth as many malformed documents, properly signed and sealed: all are given to all three, who may
  call them anything.

Exit code 1 where a forged bundle was taken or two verifiers differ; it is then written to build/forged/. Verifiers that
have lost their check of inclusion are altered as well: each must be found out, by the same number of bytes.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from tests.verifier.forging import Forger, flipped
from tests.verifier.injected_faults import (
    LOST_IN_THE_PAGE,
    LOST_IN_THE_PROGRAM,
    a_product_without_inclusion,
    pairs,
)
from tests.verifier.malformed_documents import odd_bundles
from tests.verifier.samples import (
    Sample,
    a_dossier,
    a_sample,
    the_samples,
)
from tests.verifier.verifiers import (
    ROOT,
    Found,
    Question,
    by_page,
    by_product,
    by_program,
    changed_page,
    node,
    program,
)

FORGED, ODD, FLIPPED = 5_000, 500, 500
"""In one shard, which is one process's work for some seconds."""
EVERY_BYTE = 50_000
"""From so many forgeries on every byte is altered."""
TO_THE_PROGRAM, TO_THE_PAGE, FORGED_FOR_EACH_ODD = 2, 5, 20
KEPT = ROOT / "build" / "forged"


@dataclass
class Tally:
    """What was given to whom how often, and what went wrong."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Both together."""
        self.done += other.done
        self.wrong += other.wrong

    def fault(self, what: str, question: Question) -> None:
        """Count a fault and keep its bundle."""
        self.wrong[what] += 1
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"{sha256(question.content).hexdigest()[:16]}.json").write_bytes(question.content)

    def evaluated(self, what: str, question: Question) -> Found:
        """The product's answer on a bundle that must not be VALID."""
        self.done[f"{what}, to the product"] += 1
        found = by_product(question)
        if found[0] == "VALID":
            self.fault(f"{what}, taken by the product", question)
        return found

    def compare(self, what: str, question: Question, found: Found) -> None:
        """Hold the program to the product's answer."""
        self.done[f"{what}, to the program"] += 1
        if by_program(question) != found:
            self.fault(f"{what}, different in the program", question)

    def compare_page(self, what: str, given: list[tuple[Question, Found]]) -> None:
        """Hold the page to the product's answers."""
        if node() is None:
            return
        for (question, found), told in zip(given, by_page(question for question, _ in given), strict=True):
            self.done[f"{what}, to the page"] += 1
            if told != found:
                self.fault(f"{what}, different in the page", question)


def forgeries(seed: int) -> Tally:
    """One shard of forgeries."""
    tally, for_the_page = Tally(), list[tuple[Question, Found]]()
    forger = Forger(list(the_samples().values()), random.Random(seed))
    for number in range(FORGED):
        way, question = forger.forged()
        tally.done[f"forged by {way}"] += 1
        found = tally.evaluated("forged", question)
        if number % TO_THE_PROGRAM == 0:
            tally.compare("forged", question, found)
        if number % TO_THE_PAGE == 0:
            for_the_page.append((question, found))
    tally.compare_page("forged", for_the_page)
    return tally


def odd_papers(seed: int) -> Tally:
    """One shard of malformed documents."""
    tally = Tally()
    given = [(question, by_product(question)) for _, question in odd_bundles(ODD, seed)]
    for question, found in given:
        tally.done[f"odd and {found[0]}"] += 1
        tally.compare("odd", question, found)
    tally.compare_page("odd", given)
    return tally


def flips(name: str, question: Question, first: int) -> Tally:
    """One shard of altered bytes."""
    tally, what, given = Tally(), f"{name}, a byte altered", list[tuple[Question, Found]]()
    content = question.content
    for ctx in range(first, min(first + FLIPPED, len(content))):
        for bit in range(8):
            tally.evaluated(what, replace(question, content=flipped(content, ctx, 1 << bit)))
        altered = replace(question, content=flipped(content, ctx))
        given.append((altered, by_product(altered)))
        tally.compare(what, *given[-1])
    tally.compare_page(what, given)
    return tally


def found_out(question: Question) -> dict[str, int]:
    """How many altered bytes are taken by verifiers that have lost their check of inclusion."""
    altered = [replace(question, content=flipped(question.content, ctx)) for ctx in range(len(question.content))]
    with a_product_without_inclusion():
        taken = {"product": _taken(by_product(one) for one in altered)}
    weak = program(changes=[LOST_IN_THE_PROGRAM["inclusion"]])
    taken["program"] = _taken(by_program(one, weak) for one in altered)
    if node() is not None:
        with tempfile.TemporaryDirectory() as folder:
            page = changed_page(Path(folder), pairs(LOST_IN_THE_PAGE["inclusion"]))
            taken["page"] = _taken(by_page(altered, page))
    return taken


def _taken(answers: Iterable[Found]) -> int:
    return sum(conclusion == "VALID" for conclusion, *_ in answers)


def sizes(upto: int = 1_025) -> int:
    """How many sizes of batch are proven to the product and the program."""
    return sum(_is_valid(a_sample(size=size)) for size in range(1, upto + 1))


def _is_valid(sample: Sample) -> bool:
    question = sample.question()
    return by_product(question)[0] == by_program(question)[0] == "VALID"


Task = tuple[Callable[..., Tally], tuple[object, ...]]


def tasks(count: int, seed: int) -> list[Task]:
    """The work in shards."""
    altered = {"certificate": a_sample(size=10_000).question(), "dossier": a_dossier(3).question()}
    found: list[Task] = [
        (flips, (name, question, first))
        for name, question in altered.items()
        for first in range(0, len(question.content), FLIPPED)
    ]
    if count < EVERY_BYTE:
        found = random.Random(seed).sample(found, max(1, len(found) * count // EVERY_BYTE))
    seeds = seed * 1_000_000
    found += [(odd_papers, (seeds + number,)) for number in range(-(-count // FORGED_FOR_EACH_ODD // ODD))]
    return found + [(forgeries, (seeds + number,)) for number in range(-(-count // FORGED))]


def _run(task: Task) -> Tally:
    work, given = task
    return work(*given)


def main(count: int, seed: int) -> int:
    """Run it all and tell the figures."""
    began = time.monotonic()
    proven = sizes()
    print(f"sizes of batch proven: {proven:,} of 1,025", flush=True)
    taken = found_out(a_sample(size=10_000).question())
    print(f"altered bytes that a verifier without its check of inclusion takes: {taken}", flush=True)
    is_found_out = len(set(taken.values())) == 1 and min(taken.values()) > 0
    work, tally = tasks(count, seed), Tally()
    with ProcessPoolExecutor(2) as pool:
        for done, some in enumerate(pool.map(_run, work), 1):
            tally.add(some)
            if done % 20 == 0 or done == len(work):
                share, wrong = done / len(work), sum(tally.wrong.values())
                print(f"{share:>6.0%} done, {wrong} wrong, {time.monotonic() - began:,.0f} s", flush=True)
    for what, times in sorted(tally.done.items()):
        print(f"  {what:<44}{times:>10,}")
    for what, times in tally.wrong.items():
        print(f"  WRONG: {what}: {times:,}, kept in {KEPT}")
    if node() is None:
        print("There is no Node.js here: the page was given nothing.")
    print(f"seed {seed}: {sum(tally.wrong.values())} wrong")
    return 1 if tally.wrong or proven != 1_025 or not is_found_out else 0


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(given[0] if given else 1_000_000, given[1] if len(given) > 1 else 20260302))
