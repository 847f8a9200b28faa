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
    15: "who suspended lifts",
    16: "an account that gave way never acts",
    17: "a pause ends by itself",
    18: "a key's suspension holds at once",
    19: "nothing silences the brake",
    20: "somebody administers; taking never waits",
    21: "a guardian goes with notice",
    22: "nobody takes another's root",
    23: "drawn down with its anchorer's consent only",
    24: "a key's history is not whitewashed",
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


def _manager(invariant: int, name: str, original: str, planted: str = "") -> Mutant:
    return Mutant(invariant, name, "AccessManager", original, planted)


def _accreditation(invariant: int, name: str, original: str, planted: str = "") -> Mutant:
    return Mutant(invariant, name, "Accreditation", original, planted)


MUTANTS = (
    _ledger(
        1,
        "anchored again",
        "if (slot.word != 0) revert TraceLedgerAlreadyAnchored(root, uint40(slot.word));",
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
    _ledger(4, "neighbours overwritten", "return (word & ~(bits * 15)) | change | held;", "return change | held;"),
    _balance(
        5,
        "issuer not asked for",
        "if (!_accreditation.wasAccredited(key, CERTIFICATE_OF_ORIGIN, chapter, issuedAt, anchoredAt)) {",
        "if (_accreditation.numberOf(key) == 0) {",
    ),
    _balance(
        5,
        "activated by any anchorer",
        "if (batch.anchorer != anchorer) revert CertificateBalanceNotOwnBatch(msg.sender, batchKey);",
        "anchorer = batch.anchorer;",
    ),
    _ledger(
        5,
        "revoked by any anchorer",
        "if (roles & ANCHORER != 0 && _field(agent, ID) == _field(batch, BATCH_ANCHORER)) {",
        "if (roles & ANCHORER != 0) {",
    ),
    _balance(6, "revoked but drawn down", "        _requireActive(batchKey, leafIndex, cache.certificateWord);\n"),
    _balance(
        6,
        "another word's certificate",
        "if (cache.certificateBatch != batchKey || cache.certificateWordIndex != wordIndex) {",
        "if (cache.certificateBatch != batchKey) {",
    ),
    _balance(
        6,
        "another word's declaration",
        "if (cache.declarationBatch != batchKey || cache.declarationWordIndex != wordIndex) {",
        "if (cache.declarationBatch != batchKey) {",
    ),
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
        "if (status > LAST_OPEN) revert CertificateBalanceDeclarationEnded(batchKey, leafIndex, status);",
    ),
    _balance(
        6,
        "drawn down after the release",
        "uint8 private constant LAST_OPEN = uint8(ITraceLedger.DeclarationStatus.Detained);",
        "uint8 private constant LAST_OPEN = uint8(ITraceLedger.DeclarationStatus.Released);",
    ),
    _ledger(
        7,
        "drawn down for another's",
        "if (own != _field(batch, BATCH_ANCHORER)) own = 0;",
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
        "if (_activated[leaf]) revert CertificateBalanceAlreadyOpened(batchKey, leafIndex);",
    ),
    _balance(
        8,
        "activated once more elsewhere",
        "if (_activated[leaf]) revert",
        "if (_balances[batchKey][leafIndex].word != 0) revert",
    ),
    _ledger(9, "anchored in a pause", "        if (isPaused()) revert TraceLedgerPaused();\n    }", "    }"),
    _ledger(9, "drawn down in a pause", "own = _field(_anchorerAt(agent), ID);", "own = _field(_agents[agent], ID);"),
    _ledger(
        9,
        "reactivated in a pause",
        "((1 << uint256(DocumentStatus.Revoked)) << (16 * uint256(DocumentStatus.Suspended)));",
        "((REVOKE | (1 << uint256(DocumentStatus.Active))) << (16 * uint256(DocumentStatus.Suspended)));",
    ),
    _ledger(9, "revocations paused", "rights &= (REVOCATION_EDGES << DOCUMENTS) | HOLD;", "rights = 0;"),
    _ledger(
        10,
        "another number told",
        "emit BatchAnchored(batchKey, msg.sender, number, size);",
        "emit BatchAnchored(batchKey, msg.sender, number + 1, size);",
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
        "                rights |= HOLD;",
        "                rights |= HOLD | ((type(uint256).max >> 65) & ~uint256(HOLD));",
    ),
    _accreditation(
        13,
        "history overwritten",
        "_past[number][index >> PAST_COUNT] = before;",
        "_past[number][0] = before;",
    ),
    _accreditation(
        14,
        "the old key goes on",
        "_append(key, index, (word & ~(MOMENT << UNTIL)) | (uint256(time) << UNTIL));",
        "_append(key, index, word);",
    ),
    _accreditation(
        14,
        "accredited once more",
        "if (_successors[key] != 0) revert AccreditationRotated(key, _successors[key]);\n        uint256 index",
        "uint256 index",
    ),
    _ledger(
        15,
        "lifted by the issuer",
        "return (word & ~(bits * 15)) | change | held;",
        "return (word & ~(bits * 15)) | change | (held & ~(bits << 2));",
    ),
    _ledger(
        15,
        "the issuer's lifted",
        "                rights |= HOLD;",
        "                rights |= DOCUMENT_EDGES << DOCUMENTS;",
    ),
    _ledger(
        16,
        "the old account acts on",
        "_agents[from] = MOVED | (uint256(uint160(to)) << SUCCESSOR);",
        "_agents[from] = word;",
    ),
    _ledger(
        16,
        "the old account comes back",
        "if (word & MOVED != 0) revert TraceLedgerAgentMoved(agent, _successorIn(word));",
    ),
    _ledger(
        16,
        "batches left behind",
        "_agents[to] = (word & ~uint256(type(uint8).max)) | roles;",
        "_agents[to] = (uint256(++_agentCount) << ID) | roles;",
    ),
    _ledger(16, "suspended agents act on", "_agents[agent] = (word ^ roles) | (roles << TAKEN);", ""),
    _ledger(17, "paused for ever", "return block.timestamp < _pausedUntil;", "return _pausedUntil != 0;"),
    _ledger(
        17,
        "paused again at once",
        "if (end != 0 && time < end + RUNNING) revert TraceLedgerPauseTooSoon(msg.sender, end + RUNNING);",
    ),
    _ledger(
        17,
        "taken up for longer",
        "            _ownPauseEnds[msg.sender] = end;\n        }",
        "            _ownPauseEnds[msg.sender] = end;\n        }\n        end = time + PAUSE;",
    ),
    _accreditation(18, "suspended ahead", "if (since > block.timestamp) revert AccreditationMomentAhead(key, since);"),
    _accreditation(
        18,
        "a suspension moved on",
        "if (standing != 0 && since > standing) revert AccreditationSuspendedBefore(key, uint40(standing), since);",
    ),
    _manager(
        19,
        "a target closed",
        "function _setTargetClosed(address, bool) internal pure override {\n        revert AccessManagerFixed();",
        "function _setTargetClosed(address target, bool closed) internal override {\n"
        "        super._setTargetClosed(target, closed);",
    ),
    _manager(19, "the brake's function taken", "standing == BRAKE_ROLE || "),
    _manager(
        19,
        "the brake delayed",
        "if ((roleId == BRAKE_ROLE || roleId == REMOVAL_ROLE) && executionDelay != 0) {",
        "if (roleId == REMOVAL_ROLE && executionDelay != 0) {",
    ),
    _manager(19, "the brake taken away", " || (roleId == BRAKE_ROLE && _isGuardian(account))"),
    _manager(19, "another role guards", "if (getRoleGuardian(roleId) != ADMIN_ROLE) revert AccessManagerFixed();"),
    _manager(
        19,
        "another manager",
        "if (selector == IAccessManaged.setAuthority.selector) return (false, 0);",
    ),
    _manager(20, "roles laid down", "if (roleId != ADMIN_ROLE) revert AccessManagerRoleNotRenounced(roleId);"),
    _manager(20, "the last admin goes", "--_adminCount == 0", "--_adminCount == type(uint256).max"),
    _manager(20, "taking a role away waits", "if (mayAtOnce && roleId != ADMIN_ROLE)", "if (mayAtOnce && roleId > 9)"),
    _manager(
        21,
        "gone before its time",
        "uint48 private constant NOTICE = 7 days;",
        "uint48 private constant NOTICE = 1 days;",
    ),
    _manager(
        21,
        "cancelled by anybody",
        "function cancelGuardianChange() external onlyAdmin {",
        "function cancelGuardianChange() external {",
    ),
    _manager(21, "gone at once", "roleId == GUARDIAN_ROLE || ", ""),
    _ledger(
        22,
        "a root for whoever is first",
        "bytes32 batchKey = BatchKey.from(_field(agent, ID), root);",
        "bytes32 batchKey = BatchKey.from(0, root);",
    ),
    _balance(
        23,
        "drawn down without consent",
        "if (anchorer != cache.agent && !_consents[_consent(anchorer, cache.agent)]) {",
        "if (anchorer == 0) {",
    ),
    _balance(
        23,
        "a consent for both",
        "if (anchorer != cache.agent && !_consents[_consent(anchorer, cache.agent)]) {",
        "if (anchorer != cache.agent && !_consents[_consent(anchorer, cache.agent)]\n"
        "                && !_consents[_consent(cache.agent, anchorer)]) {",
    ),
    _balance(
        23,
        "a consent for ever",
        "_consents[_consent(allowing, allowed)] = isAllowed;",
        "_consents[_consent(allowing, allowed)] = true;",
    ),
    _accreditation(
        24,
        "dated back by the authority",
        "if (word == 0) word = _wordAt(index, moment + CLOCK_TOLERANCE);",
        "if (word == 0) word = _wordAt(index, moment + 365 days);",
    ),
    _accreditation(
        24, "a suspension forgotten", "_lifted[uint32(index)][count] = since | (block.timestamp << LIFTED);"
    ),
    _accreditation(24, "anchored while suspended", "            _field(late, SUSPENDED) == 0 &&\n"),
    _accreditation(24, "dated back after its end", " &&\n            _field(late, UNTIL) + GRACE > anchoredAt"),
    _accreditation(24, "dated back once narrowed", "            _covers(late, kind, chapter, moment) &&\n"),
    _accreditation(24, "taken over at any time", "if (_keyCount != 0) revert AccreditationInUse(_keyCount);"),
    _accreditation(24, "zero accredited", "if (key == 0) revert AccreditationKeyMissing();"),
    _accreditation(
        24,
        "a version not listed",
        "position == last ? _newest[uint32(index)] : _past[uint32(index)][position]",
        "_newest[uint32(index)]",
    ),
)
"""Every planted fault, at least one for each invariant."""


QUICK_SETTINGS = build.SETTINGS | {"optimizer": {"enabled": True, "runs": 200}, "viaIR": False}
"""By way of Yul a compilation takes three times as long. Contracts without a fault are held to the same settings."""


def write(directory: Path) -> dict[Mutant, Path]:
    """Compile every mutant, and return for each a directory with the artefacts of all contracts, one of them faulty.

    ``directory / "none"`` gets the contracts without a fault, compiled in the same way.
    """
    sources = {unit: text for unit in build.TARGETS.values() for unit, text in build.closure(unit).items()}
    for mutant in MUTANTS:
        for unit, text in build.closure(f"src/{mutant.contract}.sol").items():
            sources[unit if unit.startswith("@") else f"{mutant.slug}/{unit}"] = text
        sources[_unit(mutant)] = mutant.source()
    compiled = build.compile_sources(sources, QUICK_SETTINGS)["contracts"]
    sound = {name: compiled[unit][name] for name, unit in build.TARGETS.items()}
    _put(directory / "none", sound)
    return {
        mutant: _put(directory / mutant.slug, sound | {mutant.contract: compiled[_unit(mutant)][mutant.contract]})
        for mutant in MUTANTS
    }


def _unit(mutant: Mutant) -> str:
    return f"{mutant.slug}/src/{mutant.contract}.sol"


def _put(directory: Path, compiled: Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, contract in compiled.items():
        code = contract["evm"]["bytecode"]["object"]
        (directory / f"{name}.json").write_text(json.dumps({"bytecode": code}), encoding="utf-8")
    return directory
