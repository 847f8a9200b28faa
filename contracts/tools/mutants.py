"""Planted faults: each breaks one invariant, and the invariant's own test must fail.

A mutant is a change of one source, made in a copy. A text that is no longer in the source is an error, so that no
mutant is skipped silently.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    25: "a successor goes on with the account",
    26: "one contract counts at a time",
    27: "a statement is corrected before its use only",
    28: "an end is the record's, wherever it stands",
    29: "the office that a batch names decides alone",
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


def _revocations(invariant: int, name: str, original: str, planted: str = "") -> Mutant:
    return Mutant(invariant, name, "Revocations", original, planted)


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
        "ITraceLedger.Batch memory batch = _requireOwn(anchorer, batchKey);",
        "ITraceLedger.Batch memory batch = _ledger.batchOf(batchKey);\n        anchorer = batch.anchorer;",
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
        "if (first != 0) {",
        "if (false) {",
    ),
    _balance(
        8,
        "activated once more elsewhere",
        "uint32 first = activatorOf(leaf);",
        "uint32 first = _balances[certificate.batchKey][certificate.leafIndex].word != 0 ? anchorer : 0;",
    ),
    _balance(8, "named, and activated twice", "first == anchorer || ", ""),
    _balance(8, "named, and activated once more", " || activatorOf(mark) != 0"),
    _balance(8, "named, as any may state", "if (!isNamed || first", "if (first"),
    _balance(
        6,
        "revoked elsewhere, and activated",
        "if (since != 0 && since <= anchoredAt) {",
        "if (false) {",
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
    _manager(
        17,
        "the brake through the manager",
        "if (getTargetFunctionRole(target, bytes4(data[0:4])) == BRAKE_ROLE) revert AccessManagerFixed();",
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
    _balance(25, "an account begun anew", "remaining = quantity - drawn;", "remaining = quantity;"),
    _balance(
        25,
        "a superseded one kept",
        "        _balances[batchKey][leafIndex].word = word - (uint256(left) << REMAINING);\n",
    ),
    _balance(
        25,
        "carried over twice",
        "if (carriedTo(batchKey, leafIndex).batchKey != 0) revert CertificateBalanceCarriedOver(batchKey, leafIndex);",
    ),
    _balance(
        25,
        "carried over while it stands",
        "if (status != uint8(ITraceLedger.DocumentStatus.Superseded)) {",
        "if (status == uint8(ITraceLedger.DocumentStatus.Revoked)) {",
    ),
    _balance(
        25,
        "another's account taken",
        "if (anchorer != caller && !_consents[_consent(anchorer, caller)]) {",
        "if (anchorer == 0) {",
    ),
    _balance(25, "refunded to the old one", "if (next.batchKey == 0) break;", "break;"),
    _balance(
        26, "counts before it is named", "if (_phase != Phase.Counting) revert", "if (_phase == Phase.Replaced) revert"
    ),
    _balance(
        26,
        "the old one goes on",
        "(_phase, _successor) = (Phase.Replaced, ICertificateBalance(successor_));",
        "_successor = ICertificateBalance(successor_);",
    ),
    _balance(26, "begun by anybody", "function begin() external restricted {", "function begin() external {"),
    _balance(
        26,
        "taken over by anybody",
        "_phase != Phase.Prepared || msg.sender != address(_predecessor) || !_isNamed()",
        "_phase != Phase.Prepared",
    ),
    _balance(26, "handed over to anybody", " || !_isNamed()"),
    _balance(
        26,
        "handed over by anybody",
        "function handOver(address successor_) external restricted whileCounting {",
        "function handOver(address successor_) external {",
    ),
    _balance(
        26,
        "what was left forgotten",
        "if (address(_predecessor) == address(0)) return 0;",
        "if (leafIndex != type(uint32).max) return 0;",
    ),
    _balance(
        26,
        "sets forgotten",
        "if (word == 0 && address(_predecessor) != address(0)) word = _predecessor.drawingOf(drawdownsRoot);",
    ),
    _balance(
        26,
        "activations forgotten",
        "if (_doesPredecessorTellWho) return _predecessor.activatorOf(leafOrOwn);",
        "if (_doesPredecessorTellWho) return 0;",
    ),
    _balance(
        27,
        "corrected by any anchorer",
        "if (batch.anchorer != anchorer) revert CertificateBalanceNotOwnBatch(msg.sender, batchKey);",
        "anchorer;",
    ),
    _balance(
        27,
        "corrected while drawn down",
        "if (remaining != quantity) revert CertificateBalanceInUse(batchKey, leafIndex, remaining, quantity);",
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
    _revocations(
        28,
        "suspended for good",
        "found != uint8(ITraceLedger.DocumentStatus.Revoked) && found != uint8(ITraceLedger.DocumentStatus.Superseded)",
        "found == uint8(ITraceLedger.DocumentStatus.Active)",
    ),
    _revocations(
        28,
        "a later end counts",
        "isNews = known == 0 || known > since;",
        "isNews = true;",
    ),
    _revocations(28, "the first end counts", "known == 0 || known > since", "known == 0"),
    _revocations(28, "an anchorer's own end unheard", "_note(BatchKey.from(batch.anchorer, leaf),", "_note(leaf,"),
    _revocations(28, "a declaration ended", "if (!fits || isDeclaration ||", "if (!fits ||"),
    _revocations(28, "proof of another batch", " || BatchKey.from(batch.anchorer, root) != batchKey"),
    _revocations(
        28,
        "ended since it was published",
        "Revocation(status, since,",
        "Revocation(status, uint40(block.timestamp),",
    ),
    _revocations(
        28, "an end without its kind", "ITraceLedger.DocumentStatus(found)", "ITraceLedger.DocumentStatus.Revoked"
    ),
    _ledger(
        29,
        "decided by any office",
        "isOffice := or(iszero(office), eq(office, id))",
        "isOffice := or(1, eq(office, id))",
    ),
    _ledger(
        29,
        "all roles are any office",
        "if (roles & OFFICE != 0 && _isOfficeOf(batch, agent)) rights",
        "if (roles & OFFICE != 0) rights",
    ),
    _ledger(
        29,
        "an office of any number",
        "if (office > _agentCount || fields & OUTSIDE_FIELDS != 0) revert",
        "if (fields & OUTSIDE_FIELDS != 0) revert",
    ),
    _ledger(
        29, "named by any office", "if (standing == 0 || standing != _field(agent, ID)) revert", "if (false) revert"
    ),
    _ledger(29, "taken where none is named", "if (standing == 0 || standing !=", "if (standing != 0 && standing !="),
    _ledger(
        29,
        "handed on without the role",
        "if (agent & OFFICE == 0) revert TraceLedgerRoleMissing(msg.sender, OFFICE);",
    ),
    _ledger(
        29,
        "handed on in a pause",
        "OFFICE);\n        if (isPaused()) revert TraceLedgerPaused();\n        Slot",
        "OFFICE);\n        Slot",
    ),
    _ledger(
        29,
        "handed to nobody",
        "if (office == 0 || office > _agentCount || office > type(uint24).max) revert",
        "if (office > type(uint24).max) revert",
    ),
    _ledger(
        29,
        "the office kept",
        "slot.word = (batch & ~(uint256(type(uint24).max) << BATCH_OFFICE)) | (office << BATCH_OFFICE);",
    ),
)
"""Every planted fault, at least one for each invariant."""


PORTION = 26
"""Mutants that are compiled together: a hundred of them are more than the compiler's memory holds."""
QUICK_SETTINGS = build.SETTINGS | {"optimizer": {"enabled": True, "runs": 200}, "viaIR": False}
"""By way of Yul a compilation takes three times as long. Contracts without a fault are held to the same settings."""


def drawn(count: int) -> tuple[Mutant, ...]:
    """Draw so many mutants anew, at least one of each invariant; all of them where ``count`` is none or too large."""
    if not 0 < count < len(MUTANTS):
        return MUTANTS
    shuffled = random.SystemRandom().sample(MUTANTS, len(MUTANTS))
    first = {mutant.invariant: mutant for mutant in shuffled}
    others = [mutant for mutant in shuffled if mutant is not first[mutant.invariant]]
    chosen = {*first.values(), *others[: max(0, count - len(first))]}
    return tuple(mutant for mutant in MUTANTS if mutant in chosen)


def write(directory: Path, mutants: Sequence[Mutant] = MUTANTS) -> dict[Mutant, Path]:
    """Compile mutants, and return for each a directory with the artefacts of all contracts, one of them faulty.

    ``directory / "none"`` gets the contracts without a fault, compiled in the same way.
    """
    sources = {unit: text for unit in build.TARGETS.values() for unit, text in build.closure(unit).items()}
    compiled = build.compile_sources(sources, QUICK_SETTINGS)["contracts"]
    sound = {name: compiled[unit][name] for name, unit in build.TARGETS.items()}
    _put(directory / "none", sound)
    portions = [mutants[first : first + PORTION] for first in range(0, len(mutants), PORTION)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        answers = pool.map(lambda some: build.compile_sources(_sources(some), QUICK_SETTINGS)["contracts"], portions)
        return {
            mutant: _put(directory / mutant.slug, sound | {mutant.contract: answer[_unit(mutant)][mutant.contract]})
            for some, answer in zip(portions, answers, strict=True)
            for mutant in some
        }


def _sources(mutants: Iterable[Mutant]) -> dict[str, str]:
    sources = {}
    for mutant in mutants:
        for unit, text in build.closure(f"src/{mutant.contract}.sol").items():
            sources[unit if unit.startswith("@") else f"{mutant.slug}/{unit}"] = text
        sources[_unit(mutant)] = mutant.source()
    return sources


def _unit(mutant: Mutant) -> str:
    return f"{mutant.slug}/src/{mutant.contract}.sol"


def _put(directory: Path, compiled: Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, contract in compiled.items():
        code = contract["evm"]["bytecode"]["object"]
        (directory / f"{name}.json").write_text(json.dumps({"bytecode": code}), encoding="utf-8")
    return directory
