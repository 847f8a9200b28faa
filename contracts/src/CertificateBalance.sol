// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BatchKey} from "./BatchKey.sol";
import {IAccreditation} from "./IAccreditation.sol";
import {ICertificateBalance} from "./ICertificateBalance.sol";
import {InclusionProof} from "./InclusionProof.sol";
import {ITraceLedger} from "./ITraceLedger.sol";

/// @title CertificateBalance
/// @notice See {ICertificateBalance}.
/// @dev Has no authority of its own: who may act, and whether anybody may, is the ledger's to say.
contract CertificateBalance is ICertificateBalance {
    uint8 private constant CERTIFICATE_OF_ORIGIN = 1;
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
    mapping(bytes32 batchKey => Slot[1 << 32]) private _balances;
    mapping(bytes32 drawdownsRoot => uint256) private _drawdownSets;
    mapping(uint256 allowingAndAllowed => bool) private _consents;
    /// @dev By the certificate itself: anchored once more, it would have its whole quantity again.
    mapping(bytes32 leaf => bool) private _activated;

    /// @param ledger The ledger whose batches and statuses count.
    /// @param accreditation The accreditation of issuers' keys.
    constructor(address ledger, address accreditation) {
        _ledger = ITraceLedger(ledger);
        _accreditation = IAccreditation(accreditation);
    }

    /// @inheritdoc ICertificateBalance
    function open(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        Statement calldata statement
    ) external {
        uint32 anchorer = _ledger.activeAnchorer(msg.sender);
        (bytes32 batchKey, uint32 leafIndex) = (certificate.batchKey, certificate.leafIndex);
        ITraceLedger.Batch memory batch = _ledger.batchOf(batchKey);
        if (batch.anchorer != anchorer) revert CertificateBalanceNotOwnBatch(msg.sender, batchKey);
        uint88 quantity = _quantityIn(batchKey, leafIndex, entry);
        {
            bytes32 leaf = InclusionProof.leafHash(entry);
            if (_activated[leaf]) revert CertificateBalanceAlreadyOpened(batchKey, leafIndex);
            _activated[leaf] = true;
            (bool fits, bytes32 root) = InclusionProof.climb(batch.size, leafIndex, leaf, proof);
            if (!fits || leafIndex >= batch.originEnd || BatchKey.from(anchorer, root) != batchKey) {
                revert CertificateBalanceNotIncluded(batchKey, leafIndex);
            }
        }
        (uint256 word, ) = _ledger.storedWord(batchKey, leafIndex / STATUSES_PER_WORD);
        _requireActive(batchKey, leafIndex, word);
        if (
            statement.issuedAt > batch.anchoredAt + CLOCK_TOLERANCE || statement.validUntil <= statement.issuedAt
        ) revert CertificateBalanceMomentsRefused(statement.issuedAt, statement.validUntil, batch.anchoredAt);

        _balances[batchKey][leafIndex].word =
            quantity |
            (uint256(quantity) << REMAINING) |
            (uint256(_issuerOf(statement, batch.anchoredAt)) << ISSUER) |
            (uint256(statement.validUntil) << VALID_UNTIL);
        emit CertificateOpened(batchKey, leafIndex, msg.sender, quantity, statement);
    }

    /// @inheritdoc ICertificateBalance
    function allowDrawdowns(address agent, bool isAllowed) external {
        uint32 allowing = _ledger.activeAnchorer(msg.sender);
        uint32 allowed = _ledger.agentOf(agent).id;
        if (allowed == 0) revert CertificateBalanceAgentUnknown(agent);
        _consents[_consent(allowing, allowed)] = isAllowed;
        emit DrawdownsAllowed(allowing, allowed, isAllowed);
    }

    /// @inheritdoc ICertificateBalance
    function draw(Drawdown[] calldata drawdowns) external returns (bytes32 drawdownsRoot) {
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
        if (_drawdownSets[drawdownsRoot] != 0) revert CertificateBalanceAlreadyDrawn(drawdownsRoot);
        _drawdownSets[drawdownsRoot] = drawdowns.length << DRAWDOWN_COUNT;
        _emitDrawn(drawdownsRoot, drawdowns);
    }

    /// @inheritdoc ICertificateBalance
    function giveBack(
        Drawdown calldata drawdown,
        bytes32 drawdownsRoot,
        uint256 position,
        bytes32[] calldata proof
    ) external {
        _ledger.activeAnchorer(msg.sender);
        uint256 word = _drawdownSets[drawdownsRoot];
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
        _balances[drawdown.certificateBatch][drawdown.certificateLeafIndex].word +=
            uint256(drawdown.quantity) << REMAINING;
        emit GivenBack(drawdownsRoot, position, msg.sender, drawdown);
    }

    /// @inheritdoc ICertificateBalance
    function balanceOf(bytes32 batchKey, uint32 leafIndex) external view returns (Balance memory) {
        uint256 word = _balances[batchKey][leafIndex].word;
        return Balance(uint88(word), uint88(word >> REMAINING), uint32(word >> ISSUER), uint40(word >> VALID_UNTIL));
    }

    /// @inheritdoc ICertificateBalance
    function mayDrawDown(uint32 allowing, uint32 allowed) external view returns (bool) {
        return allowing == allowed || _consents[_consent(allowing, allowed)];
    }

    /// @inheritdoc ICertificateBalance
    function drawingOf(bytes32 drawdownsRoot) external view returns (uint256) {
        return _drawdownSets[drawdownsRoot];
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
        if (word == 0) revert CertificateBalanceNotOpened(batchKey, leafIndex);
        uint88 remaining = uint88(word >> REMAINING);
        if (quantity == 0 || quantity > remaining) {
            revert CertificateBalanceOverdrawn(batchKey, leafIndex, remaining, quantity);
        }
        uint40 validUntil = uint40(word >> VALID_UNTIL);
        if (validUntil <= block.timestamp) revert CertificateBalanceExpired(batchKey, leafIndex, validUntil);
        _requireStanding(batchKey, leafIndex, uint32(word >> ISSUER), cache);
        slot.word = word - (uint256(quantity) << REMAINING);
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
