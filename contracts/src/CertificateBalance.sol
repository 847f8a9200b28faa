// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

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

    /// @dev Ends of a declaration that refund its drawdowns: bit `1 << status`.
    uint256 private constant REFUNDING =
        (1 << uint256(ITraceLedger.DeclarationStatus.Rejected)) |
            (1 << uint256(ITraceLedger.DeclarationStatus.Returned)) |
            (1 << uint256(ITraceLedger.DeclarationStatus.Withdrawn));

    /// @dev The answers about the last drawdown, for a next one that asks the same. Roots are never zero, since nobody
    /// knows what hashes to it, so an empty cache answers nothing.
    struct Cache {
        uint32 issuer;
        bytes32 certificateRoot;
        uint256 certificateWordIndex;
        uint256 certificateWord;
        bytes32 declarationRoot;
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
    mapping(bytes32 root => Slot[1 << 32]) private _balances;
    mapping(bytes32 drawdownsRoot => uint256) private _drawdownSets;

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
        (bytes32 root, uint32 leafIndex) = (certificate.root, certificate.leafIndex);
        ITraceLedger.Batch memory batch = _ledger.batchOf(root);
        if (batch.anchorer != anchorer) revert CertificateBalanceNotOwnBatch(msg.sender, root);
        if (_balances[root][leafIndex].word != 0) revert CertificateBalanceAlreadyOpened(root, leafIndex);
        uint88 quantity = _quantityIn(root, leafIndex, entry);
        if (
            leafIndex >= batch.originEnd ||
            !InclusionProof.includes(root, batch.size, leafIndex, InclusionProof.leafHash(entry), proof)
        ) revert CertificateBalanceNotIncluded(root, leafIndex);
        uint256 word = _ledger.statusWord(root, leafIndex / STATUSES_PER_WORD);
        _requireActive(root, leafIndex, word);
        if (
            statement.issuedAt > batch.anchoredAt + CLOCK_TOLERANCE || statement.validUntil <= statement.issuedAt
        ) revert CertificateBalanceMomentsRefused(statement.issuedAt, statement.validUntil, batch.anchoredAt);

        _balances[root][leafIndex].word =
            quantity |
            (uint256(quantity) << REMAINING) |
            (uint256(_issuerOf(statement)) << ISSUER) |
            (uint256(statement.validUntil) << VALID_UNTIL);
        emit CertificateOpened(root, leafIndex, msg.sender, quantity, statement);
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
        uint8 status = _ledger.statusOf(drawdown.declarationRoot, drawdown.declarationLeafIndex);
        if ((REFUNDING >> status) & 1 == 0) {
            revert CertificateBalanceDeclarationStands(drawdown.declarationRoot, drawdown.declarationLeafIndex, status);
        }

        _drawdownSets[drawdownsRoot] = word | (1 << position);
        _balances[drawdown.certificateRoot][drawdown.certificateLeafIndex].word +=
            uint256(drawdown.quantity) << REMAINING;
        emit GivenBack(drawdownsRoot, position, msg.sender, drawdown);
    }

    /// @inheritdoc ICertificateBalance
    function balanceOf(bytes32 root, uint32 leafIndex) external view returns (Balance memory) {
        uint256 word = _balances[root][leafIndex].word;
        return Balance(uint88(word), uint88(word >> REMAINING), uint32(word >> ISSUER), uint40(word >> VALID_UNTIL));
    }

    /// @inheritdoc ICertificateBalance
    function drawingOf(bytes32 drawdownsRoot) external view returns (uint256) {
        return _drawdownSets[drawdownsRoot];
    }

    function _drawDown(Drawdown calldata drawdown, Cache memory cache) private {
        (bytes32 root, uint32 leafIndex, uint88 quantity) = (
            drawdown.certificateRoot,
            drawdown.certificateLeafIndex,
            drawdown.quantity
        );
        // Asked first, as it refuses whoever may not draw down at all.
        _requireDeclaration(drawdown.declarationRoot, drawdown.declarationLeafIndex, cache);
        Slot storage slot = _balances[root][leafIndex];
        uint256 word = slot.word;
        if (word == 0) revert CertificateBalanceNotOpened(root, leafIndex);
        uint88 remaining = uint88(word >> REMAINING);
        if (quantity == 0 || quantity > remaining) {
            revert CertificateBalanceOverdrawn(root, leafIndex, remaining, quantity);
        }
        uint40 validUntil = uint40(word >> VALID_UNTIL);
        if (validUntil <= block.timestamp) revert CertificateBalanceExpired(root, leafIndex, validUntil);
        _requireStanding(root, leafIndex, uint32(word >> ISSUER), cache);
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

    function _requireStanding(bytes32 root, uint32 leafIndex, uint32 issuer, Cache memory cache) private view {
        uint256 wordIndex = leafIndex / STATUSES_PER_WORD;
        if (cache.certificateRoot != root || cache.certificateWordIndex != wordIndex) {
            (cache.certificateRoot, cache.certificateWordIndex) = (root, wordIndex);
            cache.certificateWord = _ledger.statusWord(root, wordIndex);
        }
        _requireActive(root, leafIndex, cache.certificateWord);
        if (cache.issuer != issuer) {
            if (_accreditation.isSuspended(issuer)) {
                revert CertificateBalanceIssuerSuspended(_accreditation.keyOf(issuer));
            }
            cache.issuer = issuer;
        }
    }

    function _requireDeclaration(bytes32 root, uint32 leafIndex, Cache memory cache) private view {
        uint256 wordIndex = leafIndex / STATUSES_PER_WORD;
        if (cache.declarationRoot != root || cache.declarationWordIndex != wordIndex) {
            bool isOwn;
            (isOwn, cache.declarations, cache.declarationWord) = _ledger.declarationsOf(msg.sender, root, wordIndex);
            if (!isOwn) revert CertificateBalanceNotOwnBatch(msg.sender, root);
            (cache.declarationRoot, cache.declarationWordIndex) = (root, wordIndex);
        }
        if (_statusIn(cache.declarations, leafIndex) == 0) revert CertificateBalanceDeclarationUnknown(root, leafIndex);
        uint8 status = _statusIn(cache.declarationWord, leafIndex);
        if ((REFUNDING >> status) & 1 == 1) revert CertificateBalanceDeclarationEnded(root, leafIndex, status);
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
    function _issuerOf(Statement calldata statement) private view returns (uint32 issuer) {
        bytes32 key = statement.issuerKey;
        if (!_accreditation.wasAccredited(key, CERTIFICATE_OF_ORIGIN, statement.chapter, statement.issuedAt)) {
            revert CertificateBalanceIssuerNotAccredited(key, statement.chapter, statement.issuedAt);
        }
        issuer = _accreditation.numberOf(key);
        if (_accreditation.isSuspended(issuer)) revert CertificateBalanceIssuerSuspended(key);
    }

    function _quantityIn(bytes32 root, uint32 leafIndex, bytes calldata entry) private pure returns (uint88) {
        if (entry.length != ENTRY_LENGTH || uint8(entry[0]) != CERTIFICATE_OF_ORIGIN) {
            revert CertificateBalanceEntryRefused(root, leafIndex, entry);
        }
        uint256 quantity = uint128(bytes16(entry[1:17]));
        if (quantity == 0 || quantity > type(uint88).max) revert CertificateBalanceEntryRefused(root, leafIndex, entry);
        return uint88(quantity);
    }

    function _requireActive(bytes32 root, uint32 leafIndex, uint256 word) private pure {
        uint8 status = _statusIn(word, leafIndex);
        if (status != uint8(ITraceLedger.DocumentStatus.Active)) {
            revert CertificateBalanceNotActive(root, leafIndex, status);
        }
    }

    function _statusIn(uint256 word, uint32 leafIndex) private pure returns (uint8) {
        return uint8((word >> (4 * (leafIndex % STATUSES_PER_WORD))) & 15);
    }
}
