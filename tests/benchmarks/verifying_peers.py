"""Verifying beside TradeTrust's own verifier: its documents and our bundles, each asked of the same anvil in one run.

Both verifiers ask the node anew for each document, one after another, and believe nothing that came with it. Theirs
checks integrity and status; who issued a document it would ask the DNS, which is left out. Ours checks the signature,
the issuer's accreditation and the finality of the anchoring as well. What either takes is counted only if it refuses
what was planted: an altered document and one that was never issued.
"""

import json
import os
import shutil
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

from backend.adapters.chains.json_rpc import JsonRpcChain
from backend.adapters.ledger import ACCOUNT_NAMES, EvmLedger, accounts_from_keys, deploy
from backend.adapters.ledger.chain import ChainReceipt
from backend.adapters.node_client import Node, facts_by_node
from backend.domain import bundle as bundles
from backend.domain import bundle_verification, strict_json
from backend.domain.bundle import Bundle
from backend.domain.evidence import Anchor, Evidence, LedgerName, seal
from backend.domain.kinds import Kind
from backend.domain.ledger import Accredit, AnchorBatch, LedgerCall
from backend.domain.trust import Trust, Trusted
from backend.domain.verdict import Conclusion
from tests.benchmarks.figure import Figure
from tests.helpers.builders import (
    CHAMBER,
    a_record,
    an_accreditation,
    certificate_fields,
)
from tests.helpers.nodes import anvil
from tests.verifier.samples import entry_of

DOCUMENTS = 100
ROUNDS = 3
SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "verify_documents.cjs"
DAY = timedelta(days=1)


def measure(_: Path) -> list[Figure]:
    """Documents a second that each verifier finds valid; raises RuntimeError where one is not found as it is."""
    with anvil() as node:
        theirs = _theirs(node.url)
        accounts = accounts_from_keys({name: os.urandom(32) for name in ACCOUNT_NAMES})
        node.fund(*(account.address for account in accounts.values()))
        chain = JsonRpcChain(node.url)
        ours = _ours(node.url, chain, EvmLedger(chain, deploy(chain, accounts), accounts))
    return [Figure("bundles verified by asking the node", ours, "/s", None, "TradeTrust tt-verify, same anvil", theirs)]


def _theirs(url: str) -> float:
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("node is not installed: make bench installs it")
    told = subprocess.run([node, SCRIPT, url, str(DOCUMENTS)], capture_output=True, text=True, check=True).stdout
    found = json.loads(told)
    if found["valid"] != DOCUMENTS or found["taken"]:
        raise RuntimeError(f"the peer found {found['valid']} of {DOCUMENTS} valid, and took {found['taken']}")
    return float(found["perSecond"])


def _ours(url: str, chain: JsonRpcChain, ledger: EvmLedger) -> float:
    head = ledger.head()
    name = LedgerName(head.chain_id, head.instance_id, head.ledger_address.lower())
    trust = Trust((Trusted("Operator", name, head.accreditation_address.lower()),))
    files, moment = _anchored(chain, ledger, name)
    altered = files[0].replace(b'"quantity":"', b'"quantity":"1', 1)
    unissued = files[0].replace(_root(files[0]), os.urandom(32).hex().encode())
    for planted in (altered, unissued):
        if planted == files[0] or _is_valid(planted, url, trust, moment):
            raise RuntimeError("a planted bundle was taken")
    return max(_rate(files, url, trust, moment) for _ in range(ROUNDS))


def _anchored(chain: JsonRpcChain, ledger: EvmLedger, name: LedgerName) -> tuple[list[bytes], datetime]:
    """Bundles of one batch of certificates that stands on the ledger, and the time of its block."""
    numbers = range(DOCUMENTS)
    fields = [certificate_fields(certificateNumber=f"C-{n}", quantity=str(n + 1)) for n in numbers]
    # Signed once the key is accredited: terms do not cover what was signed before the ledger had them.
    accredited = _do(chain, ledger, Accredit(CHAMBER.thumbprint, an_accreditation()), "authority").block.time
    records = [a_record(fields=one, issued_at=accredited) for one in fields]
    entries = [entry_of(record, Kind.CERTIFICATE_OF_ORIGIN) for record in records]
    batch = seal(entries)
    receipt = _do(chain, ledger, AnchorBatch(batch.root, batch.segments), "anchorer")
    block = receipt.block
    where = name.chain_id, name.address, name.instance_id, batch.root, receipt.transaction_hash
    anchor = Anchor(*where, block.number, block.time)
    evidence = [
        Evidence(record, Kind.CERTIFICATE_OF_ORIGIN, entry.quantity, batch.proof(leaf_index), anchor)
        for leaf_index, (record, entry) in enumerate(zip(records, entries, strict=True))
    ]
    return [bundles.text(Bundle((one,))).encode() for one in evidence], block.time


def _do(chain: JsonRpcChain, ledger: EvmLedger, call: LedgerCall, signer: str) -> ChainReceipt:
    signed = ledger.sign(call, ledger.next_nonce(signer))
    ledger.send(signed.raw)
    while (receipt := chain.receipt(signed.transaction_hash)) is None:
        time.sleep(0.01)
    if not receipt.succeeded:
        raise RuntimeError(f"{call} was refused")
    return receipt


def _root(content: bytes) -> bytes:
    root: str = json.loads(content)["records"][0]["anchor"]["root"]
    return root.encode()


def _rate(files: list[bytes], url: str, trust: Trust, moment: datetime) -> float:
    begun = time.perf_counter()
    if not all(_is_valid(content, url, trust, moment) for content in files):
        raise RuntimeError("a bundle that is measured must be valid")
    return len(files) / (time.perf_counter() - begun)


def _is_valid(content: bytes, url: str, trust: Trust, moment: datetime) -> bool:
    read = bundles.read(strict_json.loads(content))
    source = facts_by_node(read, Node(url), trust, moment, DAY)
    return bundle_verification.verdict_on(read, source, moment).conclusion is Conclusion.VALID
