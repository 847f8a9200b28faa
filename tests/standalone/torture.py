"""A million forged bundles: none may be taken, and the verifiers that are given the same one must agree.

python -m tests.standalone.torture [COUNT] [SEED]: every forgery is given to the product, one in ten also to
docs/verify.py, one in fifty also to the HTML file under Node.js. Before that, every size of batch from 1 to 1,025 is
proven. Exit code 1 where a forged bundle was taken or two verifiers differ; it is then written to build/forged/.
"""

import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.standalone.forging import Forger
from tests.standalone.samples import Sample, a_sample, the_samples
from tests.standalone.verifiers import ROOT, Question, by_page, by_product, by_program, node

SHARD = 5_000
TO_THE_PROGRAM, TO_THE_PAGE = 10, 50
KEPT = ROOT / "build" / "forged"


def shard(task: tuple[int, int]) -> tuple[Counter[str], Counter[str]]:
    """Judge one shard of forgeries; what was done how often, and what went wrong."""
    seed, count = task
    forger = Forger(list(the_samples().values()), random.Random(seed))
    ways: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for_the_page: list[Question] = []
    for number in range(count):
        way, question = forger.forged()
        ways[way] += 1
        found = by_product(question)
        if found[0] == "VALID":
            wrong["taken by the product"] += _kept(question, seed, number)
        if number % TO_THE_PROGRAM == 0:
            ways["given to the program"] += 1
            if by_program(question) != found:
                wrong["differs in the program"] += _kept(question, seed, number)
        if number % TO_THE_PAGE == 0 and node() is not None:
            for_the_page.append(question)
    for question, told in zip(for_the_page, by_page(for_the_page), strict=True):
        ways["given to the page"] += 1
        if told != by_product(question):
            wrong["differs in the page"] += _kept(question, seed, -1)
    return ways, wrong


def _kept(question: Question, seed: int, number: int) -> int:
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{seed}-{number}.json").write_bytes(question.content)
    return 1


def sizes(upto: int = 1_025) -> int:
    """How many sizes of batch are proven to the product and the program."""
    return sum(_is_valid(a_sample(size=size)) for size in range(1, upto + 1))


def _is_valid(sample: Sample) -> bool:
    question = sample.question()
    return by_product(question)[0] == by_program(question)[0] == "VALID"


def main(count: int, seed: int) -> int:
    """Run it all and tell the figures."""
    began = time.monotonic()
    proven = sizes()
    print(f"sizes of batch proven: {proven:,} of 1,025", flush=True)
    tasks = [(seed * 1_000_000 + number, SHARD) for number in range(-(-count // SHARD))]
    ways: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    with ProcessPoolExecutor(2) as pool:
        for done, (some_ways, some_wrong) in enumerate(pool.map(shard, tasks), 1):
            ways += some_ways
            wrong += some_wrong
            if done % 20 == 0 or done == len(tasks):
                print(
                    f"{done * SHARD:>10,} forged, {sum(wrong.values())} wrong, {time.monotonic() - began:,.0f} s",
                    flush=True,
                )
    for way, times in sorted(ways.items()):
        print(f"  {way:<24}{times:>10,}")
    for what, times in wrong.items():
        print(f"  WRONG: {what}: {times:,}, kept in {KEPT}")
    print(f"seed {seed}: {sum(wrong.values())} wrong")
    return 1 if wrong or proven != 1_025 else 0


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(given[0] if given else 1_000_000, given[1] if len(given) > 1 else 20260302))
