// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {BatchKey} from "./BatchKey.sol";
import {IAccreditation} from "./IAccreditation.sol";
import {ICertificateBalance} from "./ICertificateBalance.sol";
import {InclusionProof} from "./InclusionProof.sol";
import {IRevocations} from "./IRevocations.sol";
import {ITraceLedger} from "./ITraceLedger.sol";

/// @title CertificateBalance
/// @notice See {ICertificateBalance}.
/// @dev Who may act, and whether anybody may, is the ledger's to say; whether it is this contract that counts, its access
/// manager's.
contract CertificateBalance is ICertificateBalance, AccessManaged {
    uint8 private constant CERTIFICATE_OF_ORIGIN = 1;
    uint64 private constant ADMIN_ROLE = 0;
    uint256 private constant ENTRY_LENGTH = 49;
    uint256 private constant MAX_DRAWDOWNS = 248;
    /// @dev Where the number of drawdowns stands in the word of a set.
    uint256 private constant DRAWDOWN_COUNT = 248;
    uint256 private constant STATUSES_PER_WORD = 64;

    // Where the fields of a balance's word begin; the quantity stands lowest.
    uint256 private constant REMAINING = 88;
    uint256 private constant ISSUER = 176;
    uint256 private constant VALID_UNTIL = 208;

    /// @dev Block times are good to minutes, so a certificate may seem to be signed that little after its batch.
    uint40 private constant CLOCK_TOLERANCE = 15 minutes;

    /// @dev The last of the statuses in which customs still decide.
    uint8 private constant LAST_OPEN = uint8(ITraceLedger.DeclarationStatus.Detained);

    /// @dev Ends of a declaration that refund its drawdowns: bit `1 << status`.
    uint256 private constant REFUNDING =
        (1 << uint256(ITraceLedger.DeclarationStatus.Rejected)) |
            (1 << uint256(ITraceLedger.DeclarationStatus.Returned)) |
            (1 << uint256(ITraceLedger.DeclarationStatus.Withdrawn));

    /// @dev Where the id of who allows stands in a key of consents, above that of who is allowed.
    uint256 private constant ALLOWING = 32;

    /// @dev In place of the number of whoever activated a certificate, where the predecessor does not tell it.
    uint32 private constant SOMEBODY = type(uint32).max;

    /// @dev The answers about the last drawdown, for a next one that asks the same. A batch's key is never zero, since
    /// nobody knows what hashes to it, so an empty cache answers nothing.
    struct Cache {
        uint32 agent;
        uint32 issuer;
        bytes32 certificateBatch;
        uint256 certificateWordIndex;
        uint256 certificateWord;
        bytes32 declarationBatch;
        uint256 declarationWordIndex;
        uint256 declarations;
        uint256 declarationWord;
    }

    /// @dev A {Balance} as one word, lowest field first: written field by field, it would be read once more for each.
    struct Slot {
        uint256 word;
    }

    ITraceLedger private immutable _ledger;
    IAccreditation private immutable _accreditation;
    IRevocations private immutable _revocations;
    ICertificateBalance private immutable _predecessor;
    /// @dev Whether the predecessor is of a version that cannot hand over by itself.
    bool private immutable _isPredecessorEarlier;
    /// @dev Whether the predecessor tells who activated a certificate.
    bool private immutable _doesPredecessorTellWho;
    Phase private _phase;
    ICertificateBalance private _successor;
    mapping(bytes32 batchKey => Slot[1 << 32]) private _balances;
    mapping(bytes32 drawdownsRoot => uint256) private _drawdownSets;
    mapping(uint256 allowingAndAllowed => bool) private _consents;
    /// @dev Who activated a certificate, by the certificate itself: anchored once more, it would have its whole quantity
    /// again. By its leaf with its anchorer's number ({BatchKey}) where somebody else had activated a copy.
    mapping(bytes32 leafOrOwn => uint32) private _activators;
    /// @dev Which certificate took over what a superseded one had left.
    mapping(bytes32 batchKey => mapping(uint32 leafIndex => Record)) private _carriedTo;

    /// @param ledger The ledger whose batches and statuses count; its access manager says when this contract begins.
    /// @param accreditation The accreditation of issuers' keys.
    /// @param before The contract whose balances this one goes on with; zero where there is none.
    /// @param revocations Where revocations of records are published; zero where nowhere.
    constructor(
        address ledger,
        address accreditation,
        address before,
        address revocations
    ) AccessManaged(IAccessManaged(ledger).authority()) {
        _ledger = ITraceLedger(ledger);
        _accreditation = IAccreditation(accreditation);
        _revocations = IRevocations(revocations);
        _predecessor = ICertificateBalance(before);
        _isPredecessorEarlier = before != address(0) && !_answers(before, abi.encodeCall(ICertificateBalance.phase, ()));
        _doesPredecessorTellWho =
            before != address(0) && _answers(before, abi.encodeCall(ICertificateBalance.activatorOf, (bytes32(0))));
    }

    modifier whileCounting() {
        _requireCounting();
        _;
    }

    /// @inheritdoc ICertificateBalance
    function begin() external restricted {
        if (_phase != Phase.Prepared || (address(_predecessor) != address(0) && !_isPredecessorEarlier)) {
            revert CertificateBalanceNotToBegin(_phase, address(_predecessor));
        }
        _phase = Phase.Counting;
        emit CountingBegan(address(_predecessor));
    }

    /// @inheritdoc ICertificateBalance
    function handOver(address successor_) external restricted whileCounting {
        (_phase, _successor) = (Phase.Replaced, ICertificateBalance(successor_));
        emit HandedOver(successor_);
        ICertificateBalance(successor_).takeOver();
    }

    /// @inheritdoc ICertificateBalance
    function takeOver() external {
        // Whoever creates a contract chooses its predecessor; only the access manager's admins name who hands over after it.
        if (_phase != Phase.Prepared || msg.sender != address(_predecessor) || !_isNamed()) {
            revert CertificateBalanceNotToBegin(_phase, address(_predecessor));
        }
        _phase = Phase.Counting;
        emit CountingBegan(msg.sender);
    }

    /// @inheritdoc ICertificateBalance
    function recordActivation(Record calldata certificate, bytes calldata entry, bytes32[] calldata proof) external {
        (bytes32 batchKey, uint32 leafIndex) = (certificate.batchKey, certificate.leafIndex);
        if (!_isPredecessorEarlier || _inherited(batchKey, leafIndex) == 0) {
            revert CertificateBalanceNotOpened(batchKey, leafIndex);
        }
        if (!_ledger.verify(batchKey, leafIndex, entry, proof)) revert CertificateBalanceNotIncluded(batchKey, leafIndex);
        _activators[InclusionProof.leafHash(entry)] = _ledger.batchOf(batchKey).anchorer;
    }

    /// @inheritdoc ICertificateBalance
    function open(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        Statement calldata statement
    ) external whileCounting {
        (uint88 quantity, uint40 anchoredAt, ) = _prove(certificate, entry, proof, false);
        _state(certificate, statement, anchoredAt, quantity, quantity);
        emit CertificateOpened(certificate.batchKey, certificate.leafIndex, msg.sender, quantity, statement);
    }

    /// @inheritdoc ICertificateBalance
    function openNamed(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        Statement calldata statement,
        Record calldata superseded
    ) external whileCounting {
        _open(certificate, entry, proof, statement, superseded, true);
        emit AnchorerNamed(certificate.batchKey, certificate.leafIndex, InclusionProof.leafHash(entry));
    }

    /// @inheritdoc ICertificateBalance
    function openSuccessor(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        Statement calldata statement,
        Record calldata superseded
    ) external whileCounting {
        _open(certificate, entry, proof, statement, superseded, false);
    }

    /// @inheritdoc ICertificateBalance
    function correct(Record calldata certificate, Statement calldata statement) external whileCounting {
        (bytes32 batchKey, uint32 leafIndex) = (certificate.batchKey, certificate.leafIndex);
        uint40 anchoredAt = _requireOwn(_ledger.activeAnchorer(msg.sender), batchKey).anchoredAt;
        uint256 word = _wordOf(batchKey, leafIndex);
        if (word == 0) revert CertificateBalanceNotOpened(batchKey, leafIndex);
        (uint88 quantity, uint88 remaining) = (uint88(word), uint88(word >> REMAINING));
        if (remaining != quantity) revert CertificateBalanceInUse(batchKey, leafIndex, remaining, quantity);
        (uint256 statuses, ) = _ledger.storedWord(batchKey, leafIndex / STATUSES_PER_WORD);
        _requireActive(batchKey, leafIndex, statuses);
        _state(certificate, statement, anchoredAt, quantity, quantity);
        emit StatementCorrected(batchKey, leafIndex, msg.sender, statement);
    }

    /// @inheritdoc ICertificateBalance
    function allowDrawdowns(address agent, bool isAllowed) external whileCounting {
        uint32 allowing = _ledger.activeAnchorer(msg.sender);
        uint32 allowed = _ledger.agentOf(agent).id;
        if (allowed == 0) revert CertificateBalanceAgentUnknown(agent);
        _consents[_consent(allowing, allowed)] = isAllowed;
        emit DrawdownsAllowed(allowing, allowed, isAllowed);
    }

    /// @inheritdoc ICertificateBalance
    function draw(Drawdown[] calldata drawdowns) external whileCounting returns (bytes32 drawdownsRoot) {
        if (drawdowns.length == 0 || drawdowns.length > MAX_DRAWDOWNS) {
            revert CertificateBalanceDrawsRefused(drawdowns.length);
        }
        Cache memory cache;
        bytes32[] memory leaves = new bytes32[](drawdowns.length);
        for (uint256 i; i < drawdowns.length; ++i) {
            Drawdown calldata drawdown = drawdowns[i];
            _drawDown(drawdown, cache);
            leaves[i] = _leafOf(drawdown);
        }
        drawdownsRoot = InclusionProof.rootOf(leaves);
        if (_setOf(drawdownsRoot) != 0) revert CertificateBalanceAlreadyDrawn(drawdownsRoot);
        _drawdownSets[drawdownsRoot] = drawdowns.length << DRAWDOWN_COUNT;
        _emitDrawn(drawdownsRoot, drawdowns);
    }

    /// @inheritdoc ICertificateBalance
    function giveBack(
        Drawdown calldata drawdown,
        bytes32 drawdownsRoot,
        uint256 position,
        bytes32[] calldata proof
    ) external whileCounting {
        _ledger.activeAnchorer(msg.sender);
        uint256 word = _setOf(drawdownsRoot);
        bytes32 leaf = _leafOf(drawdown);
        if (!InclusionProof.includes(drawdownsRoot, word >> DRAWDOWN_COUNT, position, leaf, proof)) {
            revert CertificateBalanceDrawUnknown(drawdownsRoot, position);
        }
        if ((word >> position) & 1 == 1) revert CertificateBalanceAlreadyGivenBack(drawdownsRoot, position);
        uint8 status = _ledger.statusOf(drawdown.declarationBatch, drawdown.declarationLeafIndex);
        if ((REFUNDING >> status) & 1 == 0) {
            revert CertificateBalanceDeclarationStands(drawdown.declarationBatch, drawdown.declarationLeafIndex, status);
        }

        _drawdownSets[drawdownsRoot] = word | (1 << position);
        emit GivenBack(drawdownsRoot, position, msg.sender, drawdown);
        _refund(drawdown.certificateBatch, drawdown.certificateLeafIndex, drawdown.quantity);
    }

    /// @inheritdoc ICertificateBalance
    function balanceOf(bytes32 batchKey, uint32 leafIndex) external view returns (Balance memory) {
        uint256 word = _wordOf(batchKey, leafIndex);
        return Balance(uint88(word), uint88(word >> REMAINING), uint32(word >> ISSUER), uint40(word >> VALID_UNTIL));
    }

    /// @inheritdoc ICertificateBalance
    function mayDrawDown(uint32 allowing, uint32 allowed) external view returns (bool) {
        return allowing == allowed || _consents[_consent(allowing, allowed)];
    }

    /// @inheritdoc ICertificateBalance
    function drawingOf(bytes32 drawdownsRoot) external view returns (uint256) {
        return _setOf(drawdownsRoot);
    }

    /// @inheritdoc ICertificateBalance
    function isActivated(bytes32 leaf) external view returns (bool) {
        return activatorOf(leaf) != 0;
    }

    /// @inheritdoc ICertificateBalance
    function activatorOf(bytes32 leafOrOwn) public view returns (uint32 activator) {
        activator = _activators[leafOrOwn];
        if (activator != 0 || address(_predecessor) == address(0) || _isPredecessorEarlier) return activator;
        if (_doesPredecessorTellWho) return _predecessor.activatorOf(leafOrOwn);
        return _predecessor.isActivated(leafOrOwn) ? SOMEBODY : 0;
    }

    /// @inheritdoc ICertificateBalance
    function carriedTo(bytes32 batchKey, uint32 leafIndex) public view returns (Record memory certificate) {
        certificate = _carriedTo[batchKey][leafIndex];
        if (certificate.batchKey == 0 && address(_predecessor) != address(0) && !_isPredecessorEarlier) {
            certificate = _predecessor.carriedTo(batchKey, leafIndex);
        }
    }

    /// @inheritdoc ICertificateBalance
    function phase() external view returns (Phase) {
        return _phase;
    }

    /// @inheritdoc ICertificateBalance
    function predecessor() external view returns (address) {
        return address(_predecessor);
    }

    /// @inheritdoc ICertificateBalance
    function successor() external view returns (address) {
        return address(_successor);
    }

    /// @dev By itself and not in the modifier: a call site that is large keeps the compiler from inlining, 240 gas a drawdown.
    function _requireCounting() private view {
        if (_phase != Phase.Counting) revert CertificateBalanceNotCounting(_phase);
    }

    /// @dev Activates a certificate that supersedes another or, where none is named, does not.
    function _open(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        Statement calldata statement,
        Record calldata superseded,
        bool isNamed
    ) private {
        (uint88 quantity, uint40 anchoredAt, uint32 anchorer) = _prove(certificate, entry, proof, isNamed);
        uint88 remaining = quantity;
        bool isSuccessor = !isNamed || superseded.batchKey != 0;
        if (isSuccessor) (quantity, remaining) = _carryOver(certificate, superseded, quantity, anchorer);
        _state(certificate, statement, anchoredAt, quantity, remaining);
        (bytes32 batchKey, uint32 leafIndex) = (certificate.batchKey, certificate.leafIndex);
        emit CertificateOpened(batchKey, leafIndex, msg.sender, quantity, statement);
        if (isSuccessor) emit CarriedOver(superseded.batchKey, superseded.leafIndex, batchKey, leafIndex, remaining);
    }

    /// @dev Proves a certificate by its entry and marks it as activated.
    function _prove(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        bool isNamed
    ) private returns (uint88 quantity, uint40 anchoredAt, uint32 anchorer) {
        anchorer = _ledger.activeAnchorer(msg.sender);
        (bytes32 batchKey, uint32 leafIndex) = (certificate.batchKey, certificate.leafIndex);
        ITraceLedger.Batch memory batch = _requireOwn(anchorer, batchKey);
        anchoredAt = batch.anchoredAt;
        quantity = _quantityIn(batchKey, leafIndex, entry);
        {
            bytes32 leaf = InclusionProof.leafHash(entry);
            _activate(certificate, leaf, anchorer, isNamed);
            _requireUnrevoked(certificate, BatchKey.from(anchorer, leaf), anchoredAt);
            (bool fits, bytes32 root) = InclusionProof.climb(batch.size, leafIndex, leaf, proof);
            if (!fits || leafIndex >= batch.originEnd || BatchKey.from(anchorer, root) != batchKey) {
                revert CertificateBalanceNotIncluded(batchKey, leafIndex);
            }
        }
        (uint256 word, ) = _ledger.storedWord(batchKey, leafIndex / STATUSES_PER_WORD);
        _requireActive(batchKey, leafIndex, word);
    }

    /// @dev Marks a certificate as activated: once wherever it stands, but that its own anchorer still can where somebody
    /// else has activated a copy.
    function _activate(Record calldata certificate, bytes32 leaf, uint32 anchorer, bool isNamed) private {
        bytes32 mark = leaf;
        uint32 first = activatorOf(leaf);
        if (first != 0) {
            mark = BatchKey.from(anchorer, leaf);
            // Of one whom the predecessor does not tell it may have been the caller.
            if (!isNamed || first == anchorer || first == SOMEBODY || activatorOf(mark) != 0) {
                revert CertificateBalanceAlreadyOpened(certificate.batchKey, certificate.leafIndex);
            }
        }
        _activators[mark] = anchorer;
    }

    /// @dev By what its own anchorer's batches say alone: else whoever revokes a copy of his own could stop others'.
    function _requireUnrevoked(Record calldata certificate, bytes32 own, uint40 anchoredAt) private view {
        if (address(_revocations) == address(0)) return;
        uint40 since = _revocations.revocationOf(own).since;
        if (since != 0 && since <= anchoredAt) {
            revert CertificateBalanceRevokedElsewhere(certificate.batchKey, certificate.leafIndex, since);
        }
    }

    /// @dev Stores what a certificate covers and what its anchorer states of it.
    function _state(
        Record calldata certificate,
        Statement calldata statement,
        uint40 anchoredAt,
        uint88 quantity,
        uint88 remaining
    ) private {
        if (
            statement.issuedAt > anchoredAt + CLOCK_TOLERANCE || statement.validUntil <= statement.issuedAt
        ) revert CertificateBalanceMomentsRefused(statement.issuedAt, statement.validUntil, anchoredAt);
        _balances[certificate.batchKey][certificate.leafIndex].word =
            quantity |
            (uint256(remaining) << REMAINING) |
            (uint256(_issuerOf(statement, anchoredAt)) << ISSUER) |
            (uint256(statement.validUntil) << VALID_UNTIL);
    }

    /// @dev Takes what a superseded certificate has left. What was drawn down of it counts against its successor.
    function _carryOver(
        Record calldata certificate,
        Record calldata superseded,
        uint88 proven,
        uint32 anchorer
    ) private returns (uint88 quantity, uint88 remaining) {
        (bytes32 batchKey, uint32 leafIndex) = (superseded.batchKey, superseded.leafIndex);
        _requireSuperseded(batchKey, leafIndex, anchorer);
        uint256 word = _wordOf(batchKey, leafIndex);
        if (word == 0) revert CertificateBalanceNotOpened(batchKey, leafIndex);
        if (carriedTo(batchKey, leafIndex).batchKey != 0) revert CertificateBalanceCarriedOver(batchKey, leafIndex);
        uint88 left = uint88(word >> REMAINING);
        uint88 drawn = uint88(word) - left;
        // Not more than the superseded one covered: else a larger successor would give what was never left.
        quantity = proven < uint88(word) ? proven : uint88(word);
        // Refused and not cut to nothing, so that every later refund is simply added.
        if (quantity < drawn) {
            revert CertificateBalanceDrawnBeyond(certificate.batchKey, certificate.leafIndex, drawn, quantity);
        }
        remaining = quantity - drawn;
        _balances[batchKey][leafIndex].word = word - (uint256(left) << REMAINING);
        _carriedTo[batchKey][leafIndex] = certificate;
    }

    /// @dev Adds to what remains of a certificate, or of the one that took over what it had left.
    function _refund(bytes32 drawnBatch, uint32 drawnLeafIndex, uint88 quantity) private {
        (bytes32 batchKey, uint32 leafIndex) = (drawnBatch, drawnLeafIndex);
        bool isCarried;
        for (Record memory next; ; (batchKey, leafIndex, isCarried) = (next.batchKey, next.leafIndex, true)) {
            next = carriedTo(batchKey, leafIndex);
            if (next.batchKey == 0) break;
        }
        uint256 word = _wordOf(batchKey, leafIndex) + (uint256(quantity) << REMAINING);
        _balances[batchKey][leafIndex].word = word;
        // No other event names the certificate whose balance this is.
        if (isCarried) emit CarriedOver(drawnBatch, drawnLeafIndex, batchKey, leafIndex, uint88(word >> REMAINING));
    }

    function _drawDown(Drawdown calldata drawdown, Cache memory cache) private {
        (bytes32 batchKey, uint32 leafIndex, uint88 quantity) = (
            drawdown.certificateBatch,
            drawdown.certificateLeafIndex,
            drawdown.quantity
        );
        // Asked first, as it refuses whoever may not draw down at all.
        _requireDeclaration(drawdown.declarationBatch, drawdown.declarationLeafIndex, cache);
        Slot storage slot = _balances[batchKey][leafIndex];
        uint256 word = slot.word;
        if (word == 0) word = _inherited(batchKey, leafIndex);
        if (word == 0) revert CertificateBalanceNotOpened(batchKey, leafIndex);
        uint88 remaining = uint88(word >> REMAINING);
        if (quantity == 0 || quantity > remaining) {
            revert CertificateBalanceOverdrawn(batchKey, leafIndex, remaining, quantity);
        }
        uint40 validUntil = uint40(word >> VALID_UNTIL);
        if (validUntil <= block.timestamp) revert CertificateBalanceExpired(batchKey, leafIndex, validUntil);
        _requireStanding(batchKey, leafIndex, uint32(word >> ISSUER), cache);
        unchecked {
            // Not more than remains, so nothing is borrowed from the fields above.
            slot.word = word - (uint256(quantity) << REMAINING);
        }
    }

    /// @dev Emits {Drawn}. The call data hold the drawdowns as the event's data want them, so they are copied as they
    /// are: to encode them anew would cost 400 gas each. Their fields have been read, so none has bits that do not belong.
    function _emitDrawn(bytes32 drawdownsRoot, Drawdown[] calldata drawdowns) private {
        bytes32 topic = Drawn.selector;
        assembly ("memory-safe") {
            let data := mload(0x40)
            let size := mul(drawdowns.length, 0xa0)
            mstore(data, 0x20)
            mstore(add(data, 0x20), drawdowns.length)
            calldatacopy(add(data, 0x40), drawdowns.offset, size)
            log3(data, add(size, 0x40), topic, drawdownsRoot, caller())
        }
    }

    /// @dev A balance as a word, here or as the predecessor left it; 0 where the certificate was not activated.
    function _wordOf(bytes32 batchKey, uint32 leafIndex) private view returns (uint256 word) {
        word = _balances[batchKey][leafIndex].word;
        if (word == 0) word = _inherited(batchKey, leafIndex);
    }

    function _inherited(bytes32 batchKey, uint32 leafIndex) private view returns (uint256) {
        if (address(_predecessor) == address(0)) return 0;
        Balance memory balance = _predecessor.balanceOf(batchKey, leafIndex);
        return
            balance.quantity |
            (uint256(balance.remaining) << REMAINING) |
            (uint256(balance.issuer) << ISSUER) |
            (uint256(balance.validUntil) << VALID_UNTIL);
    }

    function _setOf(bytes32 drawdownsRoot) private view returns (uint256 word) {
        word = _drawdownSets[drawdownsRoot];
        if (word == 0 && address(_predecessor) != address(0)) word = _predecessor.drawingOf(drawdownsRoot);
    }

    function _requireOwn(uint32 anchorer, bytes32 batchKey) private view returns (ITraceLedger.Batch memory batch) {
        batch = _ledger.batchOf(batchKey);
        if (batch.anchorer != anchorer) revert CertificateBalanceNotOwnBatch(msg.sender, batchKey);
    }

    /// @dev By its own anchorer, or with its consent: else anybody could take what another's certificate has left.
    function _requireSuperseded(bytes32 batchKey, uint32 leafIndex, uint32 caller) private view {
        (uint256 word, uint32 anchorer) = _ledger.storedWord(batchKey, leafIndex / STATUSES_PER_WORD);
        if (anchorer != caller && !_consents[_consent(anchorer, caller)]) {
            revert CertificateBalanceDrawdownNotAllowed(msg.sender, batchKey);
        }
        // Of the stored bits the third says only whether an authority suspends it, which a superseded one outlives.
        uint8 status = _statusIn(word, leafIndex) & 3;
        if (status != uint8(ITraceLedger.DocumentStatus.Superseded)) {
            revert CertificateBalanceNotSuperseded(batchKey, leafIndex, status);
        }
    }

    function _requireStanding(bytes32 batchKey, uint32 leafIndex, uint32 issuer, Cache memory cache) private view {
        uint256 wordIndex = leafIndex / STATUSES_PER_WORD;
        if (cache.certificateBatch != batchKey || cache.certificateWordIndex != wordIndex) {
            (cache.certificateBatch, cache.certificateWordIndex) = (batchKey, wordIndex);
            uint32 anchorer;
            (cache.certificateWord, anchorer) = _ledger.storedWord(batchKey, wordIndex);
            if (anchorer != cache.agent && !_consents[_consent(anchorer, cache.agent)]) {
                revert CertificateBalanceDrawdownNotAllowed(msg.sender, batchKey);
            }
        }
        _requireActive(batchKey, leafIndex, cache.certificateWord);
        if (cache.issuer != issuer) {
            if (_accreditation.isSuspended(issuer)) {
                revert CertificateBalanceIssuerSuspended(_accreditation.keyOf(issuer));
            }
            cache.issuer = issuer;
        }
    }

    function _requireDeclaration(bytes32 batchKey, uint32 leafIndex, Cache memory cache) private view {
        uint256 wordIndex = leafIndex / STATUSES_PER_WORD;
        if (cache.declarationBatch != batchKey || cache.declarationWordIndex != wordIndex) {
            (cache.agent, cache.declarations, cache.declarationWord) = _ledger.declarationsOf(
                msg.sender,
                batchKey,
                wordIndex
            );
            if (cache.agent == 0) revert CertificateBalanceNotOwnBatch(msg.sender, batchKey);
            (cache.declarationBatch, cache.declarationWordIndex) = (batchKey, wordIndex);
        }
        if (_statusIn(cache.declarations, leafIndex) == 0) revert CertificateBalanceDeclarationUnknown(batchKey, leafIndex);
        uint8 status = _statusIn(cache.declarationWord, leafIndex);
        // Before the release, or goods that left customs long ago could use up what nobody gives back.
        if (status > LAST_OPEN) revert CertificateBalanceDeclarationEnded(batchKey, leafIndex, status);
    }

    /// @dev The hash of a drawdown as a leaf. In assembly since the call data hold its five words as the ABI has them, and
    /// to encode them anew would cost as much as hashing them twice. Whoever calls this reads the fields too, and a field
    /// with bits that do not belong to it is refused there.
    function _leafOf(Drawdown calldata drawdown) private view returns (bytes32 leaf) {
        bool done;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore8(input, 0x00)
            calldatacopy(add(input, 0x01), drawdown, 0xa0)
            done := and(eq(returndatasize(), 0x20), staticcall(gas(), 2, input, 0xa1, 0x00, 0x20))
            leaf := mload(0x00)
        }
        require(done);
    }

    /// @dev The number of the issuer's key, where the statement holds.
    function _issuerOf(Statement calldata statement, uint40 anchoredAt) private view returns (uint32 issuer) {
        bytes32 key = statement.issuerKey;
        (uint8 chapter, uint40 issuedAt) = (statement.chapter, statement.issuedAt);
        if (!_accreditation.wasAccredited(key, CERTIFICATE_OF_ORIGIN, chapter, issuedAt, anchoredAt)) {
            revert CertificateBalanceIssuerNotAccredited(key, chapter, issuedAt);
        }
        issuer = _accreditation.numberOf(key);
        if (_accreditation.isSuspended(issuer)) revert CertificateBalanceIssuerSuspended(key);
    }

    function _quantityIn(bytes32 batchKey, uint32 leafIndex, bytes calldata entry) private pure returns (uint88) {
        if (entry.length != ENTRY_LENGTH || uint8(entry[0]) != CERTIFICATE_OF_ORIGIN) {
            revert CertificateBalanceEntryRefused(batchKey, leafIndex, entry);
        }
        uint256 quantity = uint128(bytes16(entry[1:17]));
        if (quantity == 0 || quantity > type(uint88).max) revert CertificateBalanceEntryRefused(batchKey, leafIndex, entry);
        return uint88(quantity);
    }

    /// @dev Whether the access manager says who may hand over after this contract. Until it does, only an admin may.
    function _isNamed() private view returns (bool) {
        IAccessManager manager = IAccessManager(authority());
        return manager.getTargetFunctionRole(address(this), ICertificateBalance.handOver.selector) != ADMIN_ROLE;
    }

    /// @dev Whether a balance contract is late enough to answer this question.
    function _answers(address balance, bytes memory question) private view returns (bool) {
        (bool done, bytes memory answer) = balance.staticcall(question);
        return done && answer.length == 32;
    }

    function _consent(uint32 allowing, uint32 allowed) private pure returns (uint256) {
        return (uint256(allowing) << ALLOWING) | allowed;
    }

    function _requireActive(bytes32 batchKey, uint32 leafIndex, uint256 word) private pure {
        uint8 status = _statusIn(word, leafIndex);
        if (status != uint8(ITraceLedger.DocumentStatus.Active)) {
            revert CertificateBalanceNotActive(batchKey, leafIndex, status);
        }
    }

    function _statusIn(uint256 word, uint32 leafIndex) private pure returns (uint8) {
        return uint8((word >> (4 * (leafIndex % STATUSES_PER_WORD))) & 15);
    }
}
