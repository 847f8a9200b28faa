"""Gas beside others' contracts: ours and theirs on the same anvil, in the same run, from receipts (Prague rules).

The others' bytecode is what each project publishes in its own package, with its own compiler settings: EAS (Ethereum
Attestation Service) and TrustVC's DocumentStore, on which TradeTrust and OpenAttestation stand. Both take any 32 bytes,
so a batch's root too: a sealed batch is compared with one `timestamp` or one `issue`. Where every record is wanted on
the chain by itself, it is compared with EAS's own batch call.
"""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rlp
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from backend.adapters.chains.json_rpc import JsonRpcChain
from backend.adapters.ledger import ACCOUNT_NAMES, Accounts, EvmLedger, Fees, accounts_from_keys, deploy
from backend.adapters.ledger.calls import ContractCall, Interface, sign_call
from contracts import Artifact
from tests.benchmarks.figure import Figure
from tests.benchmarks.gas import figures_of
from tests.helpers.nodes import Anvil, anvil

PACKAGES = Path(__file__).resolve().parents[1] / "tools" / "node_modules"
EAS_ARTIFACTS = PACKAGES / "@ethereum-attestation-service" / "eas-contracts" / "artifacts" / "contracts"
ATTESTATIONS = 100
STEPS_OF_A_LIFE = 3
"""Lodged, reviewed, released: what our status changes say, said as attestations."""


def measure(_: Path) -> list[Figure]:
    """Our figures on anvil, with what the same would cost with the others."""
    accounts = accounts_from_keys({name: os.urandom(32) for name in ACCOUNT_NAMES})
    # Steps are kept so that the node can tell what a call costs by itself.
    with anvil("--steps-tracing") as node:
        node.fund(*(account.address for account in accounts.values()))
        chain = JsonRpcChain(node.url)
        theirs = _peers(chain, accounts)
        ledger = EvmLedger(chain, deploy(chain, accounts), accounts)
        ours = figures_of(chain, ledger, lambda to, data: _inner_gas(node, to, data))
    return _beside(ours, theirs)


@dataclass(frozen=True)
class Peers:
    """Gas of the others' calls."""

    timestamp: int
    issue: int
    attestation: float
    """One of 100 in a call, with 64 bytes of data, no resolver."""


def _beside(ours: list[Figure], theirs: Peers) -> list[Figure]:
    life = STEPS_OF_A_LIFE * theirs.attestation
    figures = []
    for figure in ours:
        if figure.figure.startswith("anchor a batch"):
            figures.append(replace(figure, peer="EAS timestamp of a root", peer_value=theirs.timestamp))
            figures.append(replace(figure, peer="DocumentStore issue of a root", peer_value=theirs.issue))
        elif figure.figure.startswith("a declaration's life"):
            figures.append(replace(figure, peer="EAS, three attestations by the 100", peer_value=life))
        elif figure.figure.startswith("anchor, per record"):
            size = int(figure.figure.rpartition("= ")[2].replace(",", ""))
            figures.append(replace(figure, peer="EAS timestamp of a root", peer_value=theirs.timestamp / size))
        else:
            figures.append(figure)
    return [*figures, Figure("EAS multiAttest, each of 100, 64 bytes", theirs.attestation, "gas")]


class Contract:
    """Somebody else's contract on the node."""

    def __init__(self, chain: JsonRpcChain, accounts: Accounts, artifact: Artifact, *arguments: object) -> None:
        self._chain, self._accounts, self._interface = chain, accounts, Interface(artifact)
        sender = accounts["authority"].address
        nonce = chain.transaction_count(sender)
        self._send(None, self._interface.deployment(*arguments))
        self.address = to_checksum_address(keccak(rlp.encode([bytes.fromhex(sender[2:]), nonce]))[12:])

    def gas(self, function: str, *arguments: object) -> int:
        """Call it in a transaction; answer the gas of its receipt."""
        return self._send(self.address, self._interface.call_data(function, *arguments))

    def _send(self, to: str | None, data: bytes) -> int:
        nonce = self._chain.transaction_count(self._accounts["authority"].address)
        call = ContractCall("authority", to, data, 25_000_000)
        signed = sign_call(call, self._accounts, self._chain.chain_id(), nonce, Fees())
        self._chain.send_raw(signed.raw)
        while (receipt := self._chain.receipt(signed.transaction_hash)) is None:
            time.sleep(0.01)
        assert receipt.succeeded
        return receipt.gas_used


def _peers(chain: JsonRpcChain, accounts: Accounts) -> Peers:
    authority = accounts["authority"].address
    registry = Contract(chain, accounts, _eas_artifact("SchemaRegistry"))
    eas = Contract(chain, accounts, _eas_artifact("EAS"), registry.address)
    store = Contract(chain, accounts, _document_store(), "Documents", authority)
    schema, nobody = "bytes32 root, uint256 place", "0x" + "00" * 20
    registry.gas("register", schema, nobody, True)
    uid = keccak(schema.encode() + bytes(20) + b"\1")

    def attestations() -> list[object]:
        each = [(nobody, 0, True, bytes(32), os.urandom(64), 0) for _ in range(ATTESTATIONS)]
        return [(uid, each)]

    eas.gas("timestamp", os.urandom(32))  # first uses of slots are not counted, as with ours
    store.gas("issue", os.urandom(32))
    eas.gas("multiAttest", attestations())
    return Peers(
        timestamp=eas.gas("timestamp", os.urandom(32)),
        issue=store.gas("issue", os.urandom(32)),
        attestation=eas.gas("multiAttest", attestations()) / ATTESTATIONS,
    )


def _eas_artifact(name: str) -> Artifact:
    content = json.loads((EAS_ARTIFACTS / f"{name}.sol" / f"{name}.json").read_text("utf-8"))
    return Artifact(name, content["abi"], bytes.fromhex(content["bytecode"][2:]))


def _document_store() -> Artifact:
    """The package holds its interface and bytecode in a script only, so the script is asked."""
    node = shutil.which("node")
    assert node is not None, "node is not installed: make bench installs it"
    asked = "const { abi, bytecode } = require('@trustvc/document-store').DocumentStore__factory;"
    asked += "console.log(JSON.stringify({ abi, bytecode }))"
    told = subprocess.run([node, "-e", asked], cwd=PACKAGES, capture_output=True, text=True, check=True).stdout
    content: dict[str, Any] = json.loads(told)
    return Artifact("DocumentStore", content["abi"], bytes.fromhex(content["bytecode"][2:]))


def _inner_gas(node: Anvil, to: str, data: bytes) -> int:
    """What the steps of a call cost: the transaction's own base and calldata left out."""
    call = {"to": to, "data": "0x" + data.hex(), "gas": hex(1_000_000)}
    options = {"disableStorage": True, "disableMemory": True, "disableStack": True}
    trace = node.ask("debug_traceCall", call, "latest", options)
    assert int(trace["returnValue"].removeprefix("0x"), 16) == 1, "the proof must hold"
    first, last = trace["structLogs"][0], trace["structLogs"][-1]
    return int(first["gas"]) - int(last["gas"]) + int(last["gasCost"])
