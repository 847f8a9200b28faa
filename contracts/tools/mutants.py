"""Planted faults: each breaks one invariant, and the invariant's own test must fail.

A mutant is a change of one source, made in a copy. A text that is no longer in the source is an error, so that no
mutant is skipped silently.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.tools import compile as build

INVARIANTS = {
    1: "an anchored root stays as it is",
    2: "numbers rise by one, without gaps",
    3: "drawn down and remaining make the quantity",
    4: "statuses move along allowed edges only",
    5: "only accredited issuers, only those who may",
    6: "nothing is drawn down that does not stand",
    7: "no role, no slot changed",
    8: "each thing is done once",
    9: "a pause stops writes, no read, no revocation",
    10: "events replayed give the storage",
    11: "no cost grows with what is stored",
    12: "no power undoes a decision",
    13: "what the ledger said it still says",
    14: "a rotated key signs no more",
}


@dataclass(frozen=True)
class Mutant:
    """A fault: in this contract, the original text is replaced by the planted one."""

    invariant: int
    name: str
    contract: str
    original: str
    planted: str

    @property
    def slug(self) -> str:
        """The name of its directory."""
        return f"{self.invariant:02}-{self.name.replace(' ', '-')}"

    def source(self) -> str:
        """Return the contract's source with the fault.

        Raises:
            ValueError: if the original text is not in the source exactly once.
        """
        text = (build.SOURCES / f"{self.contract}.sol").read_text(encoding="utf-8")
        if text.count(self.original) != 1:
            raise ValueError(f"{self.name}: its text stands {text.count(self.original)} times in {self.contract}")
        return text.replace(self.original, self.planted)


def _ledger(invariant: int, name: str, original: str, planted: str = "") -> Mutant:
    return Mutant(invariant, name, "TraceLedger", original, planted)


def _balance(invariant: int, name: str, original: str, planted: str = "") -> Mutant:
    return Mutant(invariant, name, "CertificateBalance", original, planted)


def _accreditation(invariant: int, name: str, original: str, planted: str = "") -> Mutant:
    return Mutant(invariant, name, "Accreditation", original, planted)


MUTANTS = (
    _ledger(
        1,
        "anchored again",
        "if (_batches[root] != 0) revert TraceLedgerAlreadyAnchored(root, uint40(_batches[root]));",
    ),
    _ledger(2, "a number left out", "return agent + (1 << BATCH_COUNT);", "return agent + (2 << BATCH_COUNT);"),
    _ledger(2, "batches not counted", "        _agents[msg.sender] = agent;\n"),
    _balance(
        3,
        "overdrawn",
        "if (quantity == 0 || quantity > remaining) {",
        "if (quantity > remaining) quantity = remaining;\n        if (quantity == 0) {",
    ),
    _balance(3, "refunded too early", "if ((REFUNDING >> status) & 1 == 0) {", "if (status == 0) {"),
    _ledger(
        4,
        "released goods detained",
        "((REQUIRE | EXAMINE | OFFICE_ENDS) << (16 * uint256(DeclarationStatus.Detained)));",
        "((REQUIRE | EXAMINE | OFFICE_ENDS) << (16 * uint256(DeclarationStatus.Detained))) |\n"
        "        (DETAIN << (16 * uint256(DeclarationStatus.Released)));",
    ),
    _ledger(4, "neighbours overwritten", "return (word & ~(bits * 15)) | target;", "return target;"),
    _balance(
        5,
        "issuer not asked for",
        "if (!_accreditation.wasAccredited(key, CERTIFICATE_OF_ORIGIN, statement.chapter, statement.issuedAt)) {",
        "if (_accreditation.numberOf(key) == 0) {",
    ),
    _balance(
        5,
        "activated by any anchorer",
        "if (batch.anchorer != anchorer) revert CertificateBalanceNotOwnBatch(msg.sender, root);",
        "if (batch.anchorer == 0 || anchorer == 0) revert CertificateBalanceNotOwnBatch(msg.sender, root);",
    ),
    _ledger(
        5,
        "revoked by any anchorer",
        "if (agent & ANCHORER != 0 && _field(agent, ID) == _field(batch, BATCH_ANCHORER)) {",
        "if (agent & ANCHORER != 0) {",
    ),
    _balance(6, "revoked but drawn down", "        _requireActive(root, leafIndex, cache.certificateWord);\n"),
    _balance(6, "suspended issuer drawn down", "if (cache.issuer != issuer) {", "if (cache.issuer > issuer) {"),
    _balance(6, "expired but drawn down", "if (validUntil <= block.timestamp) revert", "if (validUntil == 0) revert"),
    _balance(
        6,
        "no declaration to draw for",
        "if (_statusIn(cache.declarations, leafIndex) == 0) revert",
        "if (false) revert",
    ),
    _balance(
        6,
        "drawn down for an ended one",
        "if ((REFUNDING >> status) & 1 == 1) revert CertificateBalanceDeclarationEnded(root, leafIndex, status);",
    ),
    _ledger(
        7,
        "drawn down for another's",
        "isOwn = _field(_anchorerAt(agent), ID) == _field(batch, BATCH_ANCHORER);",
        "isOwn = _anchorerAt(agent) != 0;",
    ),
    _ledger(7, "anchored by anybody", "if (agent & ANCHORER == 0) revert TraceLedgerRoleMissing(account, ANCHORER);"),
    _ledger(
        7,
        "agents registered by anybody",
        "function registerAgent(address agent, uint8 roles) external restricted {",
        "function registerAgent(address agent, uint8 roles) external {",
    ),
    _balance(
        8,
        "refunded twice",
        "_drawdownSets[drawdownsRoot] = word | (1 << position);",
        "_drawdownSets[drawdownsRoot] = word;",
    ),
    _balance(
        8,
        "a second position",
        "InclusionProof.includes(drawdownsRoot, word >> DRAWDOWN_COUNT, position, leaf, proof)",
        "InclusionProof.includes(drawdownsRoot, position + 1, position, leaf, proof)",
    ),
    _balance(
        8,
        "activated twice",
        "if (_balances[root][leafIndex].word != 0) revert CertificateBalanceAlreadyOpened(root, leafIndex);",
    ),
    _ledger(9, "anchored in a pause", "        if (_paused) revert TraceLedgerPaused();\n    }", "    }"),
    _ledger(9, "drawn down in a pause", "_field(_anchorerAt(agent), ID) ==", "_field(_agents[agent], ID) =="),
    _ledger(9, "revocations paused", "rights &= REVOCATION_EDGES << DOCUMENTS;", "rights = 0;"),
    _ledger(
        10,
        "another number told",
        "emit BatchAnchored(root, msg.sender, number, size);",
        "emit BatchAnchored(root, msg.sender, number + 1, size);",
    ),
    _balance(10, "nothing told", "emit GivenBack(drawdownsRoot, position, msg.sender, drawdown);"),
    _ledger(
        11,
        "earlier batches looked at",
        "uint32 number = _field(agent, BATCH_COUNT) + 1;",
        "uint32 number = _field(agent, BATCH_COUNT) + 1;\n"
        "        for (uint256 i; i < number; ++i) if (_statusWords[root][i].word != 0) revert TraceLedgerPaused();",
    ),
    _ledger(
        12,
        "authority above decisions",
        "if (agent & OFFICE != 0) rights = OFFICE_EDGES;",
        "if (agent & OFFICE != 0) rights = OFFICE_EDGES;\n"
        "        if (agent & AUTHORITY != 0) rights = type(uint256).max;",
    ),
    _accreditation(
        13,
        "history overwritten",
        "_versions[number].push(terms);",
        "if (_versions[number].length == 0) _versions[number].push(terms);\n        else _versions[number][0] = terms;",
    ),
    _accreditation(14, "the old key goes on", "        terms.validUntil = time;\n"),
    _accreditation(
        14,
        "accredited once more",
        "if (_successors[key] != 0) revert AccreditationRotated(key, _successors[key]);\n        uint32 number",
        "uint32 number",
    ),
)
"""Every planted fault, at least one for each invariant."""


def write(directory: Path) -> dict[Mutant, Path]:
    """Compile every mutant, and return for each a directory with the artefacts of all contracts, one of them faulty."""
    sources: dict[str, str] = {}
    for mutant in MUTANTS:
        for unit, text in build.closure(f"src/{mutant.contract}.sol").items():
            sources[unit if unit.startswith("@") else f"{mutant.slug}/{unit}"] = text
        sources[_unit(mutant)] = mutant.source()
    compiled = build.compile_sources(sources)["contracts"]
    return {mutant: _put(directory / mutant.slug, mutant, compiled[_unit(mutant)]) for mutant in MUTANTS}


def _unit(mutant: Mutant) -> str:
    return f"{mutant.slug}/src/{mutant.contract}.sol"


def _put(
    directory: Path, mutant: Mutant, compiled: Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]]
) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in build.TARGETS:
        (directory / f"{name}.json").write_bytes((build.ARTIFACTS / f"{name}.json").read_bytes())
    code = compiled[mutant.contract]["evm"]["bytecode"]["object"]
    (directory / f"{mutant.contract}.json").write_text(json.dumps({"bytecode": code}), encoding="utf-8")
    return directory
