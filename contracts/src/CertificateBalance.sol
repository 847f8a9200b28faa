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
    uint256 private constant MOST_DRAWS = 248;
    /// @dev Where the number of draws stands in a drawing's word.
    uint256 private constant DRAW_COUNT = 248;
    uint256 private constant PLACES_PER_WORD = 64;

    // Where the fields of a balance's word begin; the quantity stands lowest.
    uint256 private constant LEFT = 88;
    uint256 private constant ISSUER = 176;
    uint256 private constant VALID_UNTIL = 208;

    /// @dev Block times are good to minutes, so a certificate may seem to be signed that little after its batch.
    uint40 private constant CLOCK_TOLERANCE = 15 minutes;

    /// @dev Ends of a declaration that give its draws back: bit `1 << status`.
    uint256 private constant GIVING_BACK =
        (1 << uint256(ITraceLedger.DeclarationStatus.Rejected)) |
            (1 << uint256(ITraceLedger.DeclarationStatus.Returned)) |
            (1 << uint256(ITraceLedger.DeclarationStatus.Withdrawn));

    /// @dev The answers about the last draw, for a next one that asks the same. Roots are never zero, since nobody knows
    /// what hashes to it, so an empty memory answers nothing.
    struct Memory {
        uint32 issuer;
        bytes32 certificateRoot;
        uint256 certificateIndex;
        uint256 certificateWord;
        bytes32 declarationRoot;
        uint256 declarationIndex;
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
    mapping(bytes32 drawing => uint256) private _drawings;

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
        (bytes32 root, uint32 place) = (certificate.root, certificate.place);
        ITraceLedger.Batch memory batch = _ledger.batchOf(root);
        if (batch.anchorer != anchorer) revert CertificateBalanceNotOwnBatch(msg.sender, root);
        if (_balances[root][place].word != 0) revert CertificateBalanceAlreadyOpened(root, place);
        uint88 quantity = _quantityIn(root, place, entry);
        if (
            place >= batch.originEnd ||
            !InclusionProof.includes(root, batch.size, place, InclusionProof.leafHash(entry), proof)
        ) revert CertificateBalanceNotIncluded(root, place);
        uint256 word = _ledger.statusWord(root, place / PLACES_PER_WORD);
        _requireActive(root, place, word);
        if (
            statement.issuedAt > batch.anchoredAt + CLOCK_TOLERANCE || statement.validUntil <= statement.issuedAt
        ) revert CertificateBalanceMomentsRefused(statement.issuedAt, statement.validUntil, batch.anchoredAt);

        _balances[root][place].word =
            quantity |
            (uint256(quantity) << LEFT) |
            (uint256(_issuerOf(statement)) << ISSUER) |
            (uint256(statement.validUntil) << VALID_UNTIL);
        emit CertificateOpened(root, place, msg.sender, quantity, statement);
    }

    /// @inheritdoc ICertificateBalance
    function draw(Draw[] calldata draws) external returns (bytes32 drawing) {
        if (draws.length == 0 || draws.length > MOST_DRAWS) revert CertificateBalanceDrawsRefused(draws.length);
        Memory memory known;
        bytes32[] memory leaves = new bytes32[](draws.length);
        for (uint256 i; i < draws.length; ++i) {
            Draw calldata wanted = draws[i];
            _take(wanted, known);
            leaves[i] = _leafOf(wanted);
        }
        drawing = InclusionProof.rootOf(leaves);
        if (_drawings[drawing] != 0) revert CertificateBalanceAlreadyDrawn(drawing);
        _drawings[drawing] = draws.length << DRAW_COUNT;
        _announce(drawing, draws);
    }

    /// @inheritdoc ICertificateBalance
    function giveBack(
        Draw calldata taken,
        bytes32 drawing,
        uint256 position,
        bytes32[] calldata proof
    ) external {
        _ledger.activeAnchorer(msg.sender);
        uint256 word = _drawings[drawing];
        bytes32 leaf = _leafOf(taken);
        if (!InclusionProof.includes(drawing, word >> DRAW_COUNT, position, leaf, proof)) {
            revert CertificateBalanceDrawUnknown(drawing, position);
        }
        if ((word >> position) & 1 == 1) revert CertificateBalanceAlreadyGivenBack(drawing, position);
        uint8 status = _ledger.statusOf(taken.declarationRoot, taken.declarationPlace);
        if ((GIVING_BACK >> status) & 1 == 0) {
            revert CertificateBalanceDeclarationStands(taken.declarationRoot, taken.declarationPlace, status);
        }

        _drawings[drawing] = word | (1 << position);
        _balances[taken.certificateRoot][taken.certificatePlace].word += uint256(taken.quantity) << LEFT;
        emit GivenBack(drawing, position, msg.sender, taken);
    }

    /// @inheritdoc ICertificateBalance
    function balanceOf(bytes32 root, uint32 place) external view returns (Balance memory) {
        uint256 word = _balances[root][place].word;
        return Balance(uint88(word), uint88(word >> LEFT), uint32(word >> ISSUER), uint40(word >> VALID_UNTIL));
    }

    /// @inheritdoc ICertificateBalance
    function drawingOf(bytes32 drawing) external view returns (uint256) {
        return _drawings[drawing];
    }

    function _take(Draw calldata wanted, Memory memory known) private {
        (bytes32 root, uint32 place, uint88 quantity) = (
            wanted.certificateRoot,
            wanted.certificatePlace,
            wanted.quantity
        );
        // Asked first, as it refuses whoever may not draw at all.
        _requireDeclaration(wanted.declarationRoot, wanted.declarationPlace, known);
        Slot storage slot = _balances[root][place];
        uint256 word = slot.word;
        if (word == 0) revert CertificateBalanceNotOpened(root, place);
        uint88 left = uint88(word >> LEFT);
        if (quantity == 0 || quantity > left) revert CertificateBalanceOverdrawn(root, place, left, quantity);
        uint40 validUntil = uint40(word >> VALID_UNTIL);
        if (validUntil <= block.timestamp) revert CertificateBalanceExpired(root, place, validUntil);
        _requireStanding(root, place, uint32(word >> ISSUER), known);
        slot.word = word - (uint256(quantity) << LEFT);
    }

    /// @dev Emits {Drawn}. The call data hold the draws as the event's data want them, so they are copied as they are: to
    /// encode them anew would cost 400 gas a draw. Their fields have been read, so none has bits that do not belong.
    function _announce(bytes32 drawing, Draw[] calldata draws) private {
        bytes32 topic = Drawn.selector;
        assembly ("memory-safe") {
            let data := mload(0x40)
            let size := mul(draws.length, 0xa0)
            mstore(data, 0x20)
            mstore(add(data, 0x20), draws.length)
            calldatacopy(add(data, 0x40), draws.offset, size)
            log3(data, add(size, 0x40), topic, drawing, caller())
        }
    }

    function _requireStanding(bytes32 root, uint32 place, uint32 issuer, Memory memory known) private view {
        uint256 index = place / PLACES_PER_WORD;
        if (known.certificateRoot != root || known.certificateIndex != index) {
            (known.certificateRoot, known.certificateIndex) = (root, index);
            known.certificateWord = _ledger.statusWord(root, index);
        }
        _requireActive(root, place, known.certificateWord);
        if (known.issuer != issuer) {
            if (_accreditation.isSuspended(issuer)) {
                revert CertificateBalanceIssuerSuspended(_accreditation.keyOf(issuer));
            }
            known.issuer = issuer;
        }
    }

    function _requireDeclaration(bytes32 root, uint32 place, Memory memory known) private view {
        uint256 index = place / PLACES_PER_WORD;
        if (known.declarationRoot != root || known.declarationIndex != index) {
            bool isOwn;
            (isOwn, known.declarations, known.declarationWord) = _ledger.declarationsOf(msg.sender, root, index);
            if (!isOwn) revert CertificateBalanceNotOwnBatch(msg.sender, root);
            (known.declarationRoot, known.declarationIndex) = (root, index);
        }
        if (_statusIn(known.declarations, place) == 0) revert CertificateBalanceDeclarationUnknown(root, place);
        uint8 status = _statusIn(known.declarationWord, place);
        if ((GIVING_BACK >> status) & 1 == 1) revert CertificateBalanceDeclarationEnded(root, place, status);
    }

    /// @dev The hash of a draw as a leaf. In assembly since the call data hold its five words as the ABI has them, and to
    /// encode them anew would cost as much as hashing them twice. Whoever calls this reads the fields too, and a field
    /// with bits that do not belong to it is refused there.
    function _leafOf(Draw calldata taken) private view returns (bytes32 leaf) {
        bool done;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore8(input, 0x00)
            calldatacopy(add(input, 0x01), taken, 0xa0)
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

    function _quantityIn(bytes32 root, uint32 place, bytes calldata entry) private pure returns (uint88) {
        if (entry.length != ENTRY_LENGTH || uint8(entry[0]) != CERTIFICATE_OF_ORIGIN) {
            revert CertificateBalanceEntryRefused(root, place, entry);
        }
        uint256 quantity = uint128(bytes16(entry[1:17]));
        if (quantity == 0 || quantity > type(uint88).max) revert CertificateBalanceEntryRefused(root, place, entry);
        return uint88(quantity);
    }

    function _requireActive(bytes32 root, uint32 place, uint256 word) private pure {
        uint8 status = _statusIn(word, place);
        if (status != uint8(ITraceLedger.DocumentStatus.Active)) revert CertificateBalanceNotActive(root, place, status);
    }

    function _statusIn(uint256 word, uint32 place) private pure returns (uint8) {
        return uint8((word >> (4 * (place % PLACES_PER_WORD))) & 15);
    }
}
