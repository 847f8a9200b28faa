"""Four nodes of one chain, some of which lie, lag, hang, are cut off or follow a fork: what the server then believes.

One anvil stands behind four proxies (``tests/helpers/faulty_nodes.py``), and a fork is a second one that took over the
history of the first. A whole installation writes to them, and three of four must agree. In each round a fault, or two
or three at once, is set up while papers are issued; then the nodes are honest again. Counted are

* wrong states: what the installation believes anchored, or says of the ledger, and the first anvil does not;
* signatures for a minority: transactions that were signed while fewer than three nodes told of one chain as far back as
  the server looks for a common block, and those that the first anvil never mined;
* records that were not taken in, or never became final;
* rounds that stood still although three nodes could agree, and rounds of anchoring that took longer than they may.

``--planted`` puts the same installation on the faulty node alone, and must find wrong states and such signatures.

Needs anvil (make anvil-check). ``python -m tests.stress.disagreeing_nodes --faults 50``.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog

from backend.adapters.chains.agreement import MOST_BEHIND
from backend.adapters.chains.json_rpc import JsonRpcChain
from backend.adapters.keys.vault import opened_vault
from backend.adapters.ledger import Deployment, EvmLedger
from backend.domain.errors import ForeignLedger, LedgerUnavailable, TraceabilityError
from backend.domain.kinds import Kind
from backend.domain.parties import Role
from backend.domain.records import ProofState
from backend.runtime.app import System, ledger_accounts, running
from backend.runtime.data_folder import DataFolder
from backend.services import accreditation, issuance
from backend.services.anchoring import run_once
from backend.services.organisations import OrganisationProfile, register
from backend.settings import Settings
from tests.helpers.builders import certificate_fields
from tests.helpers.faulty_nodes import LIES, FaultyNode, faulty_nodes
from tests.helpers.nodes import Anvil, anvil

NODES, AGREE = 4, 3
CONFIRMATIONS = 1
ROUND_SECONDS = 12.0
"""The longest that a round of anchoring may take, whatever hangs."""
BELIEVED = (ProofState.ANCHORED, ProofState.FINAL)

Fault = tuple[str, dict[str, Any]]


@dataclass
class Found:
    """What was counted."""

    faults: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    minority: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    stood_still: list[str] = field(default_factory=list)
    stood_still_rightly: int = 0
    slowest: float = 0.0
    unavailable: int = 0


class Office:
    """An installation on nodes, and the first anvil, which is right."""

    def __init__(self, system: System, nodes: list[FaultyNode], right: Anvil, truth: EvmLedger) -> None:
        self.system, self.nodes, self.right, self.truth = system, nodes, right, truth
        self.found = Found()
        self.records: list[str] = []
        self.chamber, authority = (
            register(system.ctx, OrganisationProfile(role, role.value, f"{uuid4()}@x.org")).person
            for role in (Role.CHAMBER, Role.AUTHORITY)
        )
        accreditation.accredit(system.ctx, authority, self.chamber.organisation.id)

    def issue(self, fault: str) -> None:
        """Issue a certificate, which must be taken in whatever the nodes do."""
        fields = certificate_fields(certificateNumber=str(uuid4())[:20])
        try:
            record = issuance.issue(self.system.ctx, self.chamber, Kind.CERTIFICATE_OF_ORIGIN, fields)
        except TraceabilityError as refusal:
            self.found.wrong[f"{fault}: nothing taken in ({refusal.code})"] += 1
            return
        self.records.append(record.id)

    def round(self) -> bool:
        """Let the anchoring take one round; whether something is under way, or nothing is known."""
        began = time.monotonic()
        try:
            return run_once(self.system.ctx)
        except (LedgerUnavailable, ForeignLedger):
            self.found.unavailable += 1
            return True
        finally:
            self.found.slowest = max(self.found.slowest, time.monotonic() - began)

    def states(self) -> dict[str, ProofState]:
        with self.system.ctx.work(reading=True) as work:
            return {one: work.records.get(one).proof_state for one in self.records}

    def signed(self) -> set[bytes]:
        """The hashes of all that was ever signed."""
        with self.system.ctx.work(reading=True) as work:
            return {value for one in work.outbox.all() for value in one.hashes}

    def settle(self, rounds: int = 60) -> bool:
        for _ in range(rounds):
            if not self.round():
                return True
            self.right.mine(1)
        return False

    def look(self, fault: str) -> None:
        """Compare what the installation believes anchored with the first anvil."""
        newest = self.right.ask("eth_blockNumber")
        with self.system.ctx.work(reading=True) as work:
            records = [work.records.get(one) for one in self.records[-3:]]
        for record in records:
            if record.proof_state not in BELIEVED:
                continue
            batch = self.truth.batch(self.truth.batch_key(record.batch.root))
            if batch is None:
                self.found.wrong[f"{fault}: {record.proof_state.value}, and not on the chain"] += 1
            elif record.proof_state is ProofState.FINAL and int(newest, 16) < record.batch.block + CONFIRMATIONS:
                self.found.wrong[f"{fault}: final too early"] += 1

    def ask(self, fault: str) -> None:
        """Ask the ledger what no block changes any more, or what is right as of the block that it names."""
        ledger, ctx = self.system.ctx.ledger, self.system.ctx
        with ctx.work(reading=True) as work:
            finals = [one for one in map(work.records.get, self.records) if one.proof_state is ProofState.FINAL]
            key = bytes.fromhex(work.keys.active(self.chamber.organisation).thumbprint)
        questions: dict[str, Callable[[Any], Any]] = {"accreditation": lambda asked: asked.accreditation(key)}
        if finals:
            root = finals[0].batch.root
            questions["batch"] = lambda asked: asked.batch(self.truth.batch_key(root))
            questions["status"] = lambda asked: asked.status(self.truth.batch_key(root), 0)
            questions["anchorings"] = lambda asked: list(asked.anchorings(self.truth.batch_key(root)))
        for name, question in questions.items():
            try:
                said = question(ledger)
            except (LedgerUnavailable, ForeignLedger):
                continue
            if said != question(self.truth):
                self.found.wrong[f"{fault}: {name}"] += 1
        try:
            head = ledger.head()
            nonce = ledger.next_nonce("anchorer")
        except (LedgerUnavailable, ForeignLedger):
            return
        block = self.right.ask("eth_getBlockByNumber", hex(head.number), False)
        if block is None or bytes.fromhex(block["hash"][2:]) != head.block_hash:
            self.found.wrong[f"{fault}: head"] += 1
        if nonce > self.truth.next_nonce("anchorer"):
            self.found.wrong[f"{fault}: nonce"] += 1


def telling_of_the_chain(faults: list[Fault]) -> tuple[int, int]:
    """How many of the four nodes tell of the first anvil's chain, at most a few blocks behind; and without the liars.

    What a liar says of other things than the one it lies about is as right as what the others say.
    """
    elsewhere = sum(
        fault not in ("lies", "lags") or (fault == "lags" and details["behind"] > MOST_BEHIND)
        for fault, details in faults
    )
    return NODES - elsewhere, NODES - elsewhere - sum(fault == "lies" for fault, _ in faults)


def drawn(rng: random.Random, number: int) -> list[Fault]:
    """Draw the faults of a round: every single one in turn, then several at once."""
    singles: list[Fault] = [
        *(("lies", {"about": about}) for about in LIES),
        ("lags", {"behind": 3}),
        ("lags", {"behind": 40}),
        ("partitioned", {}),
        ("broken", {}),
        ("hangs", {}),
        ("fork", {"ahead": 0}),
        ("fork", {"ahead": 3}),
    ]
    if number < len(singles):
        return [singles[number]]
    lie: Fault = ("lies", {"about": rng.choice(LIES)})
    cut: Fault = (rng.choice(["partitioned", "hangs", "broken"]), {})
    late: Fault = ("lags", {"behind": rng.randint(1, 6)})
    fork: Fault = ("fork", {"ahead": rng.randint(0, 3)})
    return rng.choice(
        [[lie], [late], [fork], [lie, late], [late, cut], [lie, late, cut], [fork, fork], [fork, cut, late]]
    )


def endure(office: Office, faults: list[Fault], places: list[int]) -> None:
    """Set the faults up, issue papers, let the anchoring run, look; then heal and let everything become final."""
    name = " + ".join(" ".join([fault, *map(str, details.values())]) for fault, details in faults)
    telling, honest = telling_of_the_chain(faults)
    may_move, must_move = telling >= AGREE, honest >= AGREE
    with ExitStack() as stack:
        fork: Anvil | None = None
        for place, (fault, details) in zip(places, faults, strict=True):
            if fault == "fork":
                if fork is None:
                    fork = stack.enter_context(anvil())
                    fork.ask("anvil_loadState", office.right.ask("anvil_dumpState"))
                    fork.ask("evm_increaseTime", 7)
                    fork.mine(1 + details["ahead"])
                    if not may_move:  # beyond the block that both sides have in common, of which all tell the same
                        fork.mine(2 * MOST_BEHIND)
                        office.right.mine(2 * MOST_BEHIND + 2)
                office.nodes[place].be("honest", fork.url)
            else:
                office.nodes[place].be(fault, office.right.url, **details)
        office.right.mine(1)
        before = office.signed()
        office.issue(name)
        for _ in range(40 if must_move else 3):
            office.round()
            office.right.mine(1)
            if fork is not None:
                fork.mine(1)
            office.look(name)
            if must_move and office.states()[office.records[-1]] is ProofState.FINAL:
                break
        office.ask(name)
        if not may_move:
            office.found.stood_still_rightly += 1
            if office.signed() - before:
                office.found.minority[name] += len(office.signed() - before)
        elif must_move and office.states()[office.records[-1]] is not ProofState.FINAL:
            office.found.stood_still.append(name)
        for node in office.nodes:
            node.be("honest", office.right.url)
    office.found.faults += 1
    deadline = time.monotonic() + 20
    while not office.settle() and time.monotonic() < deadline:
        pass
    office.look("healed after " + name)
    office.ask("healed after " + name)
    mined = {value for value in office.signed() if office.right.ask("eth_getTransactionReceipt", "0x" + value.hex())}
    if strays := office.signed() - mined:
        office.found.minority[name + ": never mined"] += len(strays)


def main() -> int:
    """Endure the faults, print a table, and end with 0 where all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--planted", action="store_true", help="the faulty node alone; ends with 0 where harm is found")
    asked = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    began = time.monotonic()
    with ExitStack() as stack:
        folder = DataFolder.open(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodes-")), "data"), "1")
        right = stack.enter_context(anvil())
        accounts = ledger_accounts(folder, opened_vault(folder.master_key, None))
        right.fund(*(account.address for account in accounts.values()))
        nodes = stack.enter_context(faulty_nodes(1 if asked.planted else NODES, right.url))
        settings = Settings(
            folder.path,
            ledger_rpc_url=" ".join(node.url for node in nodes),
            ledger_rpc_agree=1 if asked.planted else AGREE,
            ledger_confirmations=CONFIRMATIONS,
        )
        system = stack.enter_context(running(settings, lambda text: None))
        deployment = Deployment.read(folder.deployment)
        assert deployment is not None
        office = Office(system, nodes, right, EvmLedger(JsonRpcChain(right.url), deployment, accounts))
        assert office.settle(), "the first records do not become final"
        rng = random.Random(asked.seed)
        for number in range(asked.faults):
            faults = drawn(rng, number)[: len(nodes)]
            endure(office, faults, rng.sample(range(len(nodes)), len(faults)))
            harm = sum(office.found.wrong.values()), sum(office.found.minority.values())
            print(f"{number + 1:3} {faults}: {harm[0]} wrong, {harm[1]} signed for a minority so far", flush=True)
        lost = [one for one, state in office.states().items() if state is not ProofState.FINAL]
        office.found.lost += len(lost)
    found = office.found
    print(
        json.dumps(
            {
                "nodes": len(nodes),
                "faults": found.faults,
                "records": len(office.records),
                "wrong": sum(found.wrong.values()),
                "signed for a minority": sum(found.minority.values()),
                "lost": found.lost,
                "stood still, and had to": found.stood_still_rightly,
                "stood still, and need not have": found.stood_still,
                "rounds without agreement": found.unavailable,
                "slowest round": round(found.slowest, 2),
                "seconds": round(time.monotonic() - began),
            }
        )
    )
    for text, count in sorted({**found.wrong, **found.minority}.items()):
        print(f"  {count:3}  {text}")
    if asked.planted:
        return 0 if found.wrong and found.minority else 1
    harm = sum(found.wrong.values()) + sum(found.minority.values()) + found.lost + len(found.stood_still)
    return 1 if harm or found.slowest > ROUND_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
