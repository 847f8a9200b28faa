// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ITraceLedger} from "./ITraceLedger.sol";
import {InclusionProof} from "./InclusionProof.sol";

/// @title TraceLedger
/// @notice See {ITraceLedger}.
/// @dev A set of edges is one word: bit `16 * from + to` stands for the change of status `from` to status `to`.
contract TraceLedger is ITraceLedger, AccessManaged {
    uint8 private constant ANCHORER = 1;
    uint8 private constant OFFICE = 2;
    uint8 private constant AUTHORITY = 4;

    uint32 private constant MAX_SIZE = 1 << 24;

    uint256 private constant PLACES_PER_WORD = 64;
    uint256 private constant LOWEST_BITS = type(uint256).max / 15;

    uint256 private constant DOCUMENT_ENDS =
        (1 << uint256(DocumentStatus.Revoked)) | (1 << uint256(DocumentStatus.Superseded));
    uint256 private constant DOCUMENT_EDGES =
        (((1 << uint256(DocumentStatus.Suspended)) | DOCUMENT_ENDS) << (16 * uint256(DocumentStatus.Active))) |
        (((1 << uint256(DocumentStatus.Active)) | DOCUMENT_ENDS) << (16 * uint256(DocumentStatus.Suspended)));

    uint256 private constant OFFICE_ENDS =
        (1 << uint256(DeclarationStatus.Released)) |
        (1 << uint256(DeclarationStatus.Rejected)) |
        (1 << uint256(DeclarationStatus.Returned)) |
        (1 << uint256(DeclarationStatus.Seized));
    uint256 private constant REQUIRE = 1 << uint256(DeclarationStatus.DocumentsRequired);
    uint256 private constant EXAMINE = 1 << uint256(DeclarationStatus.Examination);
    uint256 private constant DETAIN = 1 << uint256(DeclarationStatus.Detained);
    uint256 private constant OFFICE_EDGES =
        ((REQUIRE | EXAMINE | DETAIN | OFFICE_ENDS) << (16 * uint256(DeclarationStatus.Lodged))) |
        ((EXAMINE | DETAIN | OFFICE_ENDS) << (16 * uint256(DeclarationStatus.DocumentsRequired))) |
        ((REQUIRE | DETAIN | OFFICE_ENDS) << (16 * uint256(DeclarationStatus.Examination))) |
        ((REQUIRE | EXAMINE | OFFICE_ENDS) << (16 * uint256(DeclarationStatus.Detained)));

    uint256 private constant WITHDRAW = 1 << uint256(DeclarationStatus.Withdrawn);
    uint256 private constant WITHDRAWAL_EDGES =
        (WITHDRAW << (16 * uint256(DeclarationStatus.Lodged))) |
        (WITHDRAW << (16 * uint256(DeclarationStatus.DocumentsRequired)));

    /// @dev What the caller may do to the two kinds of place in one batch.
    struct Rights {
        uint256 documentEdges;
        uint256 declarationEdges;
    }

    bytes32 private immutable _instanceId;
    uint32 private _agentCount;
    mapping(address agent => Agent) private _agents;
    /// @dev Packed by {_packed}: written field by field, a structure would cost another 2,000 gas.
    mapping(bytes32 root => uint256) private _batches;
    mapping(bytes32 root => mapping(uint256 index => uint256)) private _statusWords;

    /// @param manager The access manager that knows who the authority is.
    /// @param instance Random number of this deployment.
    constructor(address manager, bytes32 instance) AccessManaged(manager) {
        _instanceId = instance;
    }

    /// @inheritdoc ITraceLedger
    function registerAgent(address agent, uint8 roles) external restricted {
        Agent storage known = _agents[agent];
        bool isNew = known.id == 0;
        if (roles > (ANCHORER | OFFICE | AUTHORITY) || (isNew && roles == 0)) {
            revert TraceLedgerRolesUnknown(agent, roles);
        }
        if (isNew) known.id = ++_agentCount;
        known.roles = roles;
        emit AgentRegistered(agent, known.id, roles);
    }

    /// @inheritdoc ITraceLedger
    function anchor(
        bytes32 root,
        uint32 originEnd,
        uint32 inspectionEnd,
        uint32 declarationEnd,
        uint32 size
    ) external {
        Agent memory agent = _agents[msg.sender];
        if (agent.roles & ANCHORER == 0) revert TraceLedgerRoleMissing(msg.sender, ANCHORER);
        if (size == 0 || size > MAX_SIZE) revert TraceLedgerSizeRefused(root, size);
        if (originEnd > inspectionEnd || inspectionEnd > declarationEnd || declarationEnd > size) {
            revert TraceLedgerLanesUnordered(originEnd, inspectionEnd, declarationEnd, size);
        }
        if (_batches[root] != 0) revert TraceLedgerAlreadyAnchored(root, _unpacked(_batches[root]).anchoredAt);

        uint32 number = agent.batchCount + 1;
        _agents[msg.sender].batchCount = number;
        _batches[root] = _packed(
            Batch(uint40(block.timestamp), number, agent.id, originEnd, inspectionEnd, declarationEnd, size)
        );
        emit BatchAnchored(root, msg.sender, number, size);
    }

    /// @inheritdoc ITraceLedger
    function changeStatuses(
        bytes32 root,
        uint256[] calldata indices,
        uint256[] calldata changes,
        bytes32 reasonDigest
    ) external {
        if (indices.length == 0 || indices.length != changes.length) {
            revert TraceLedgerChangesMalformed(indices.length, changes.length);
        }
        Batch memory batch = _batchAt(root);
        Rights memory rights = _rightsOf(msg.sender, batch);
        mapping(uint256 index => uint256) storage words = _statusWords[root];
        for (uint256 i; i < indices.length; ++i) {
            uint256 index = indices[i];
            if (i != 0 && index <= indices[i - 1]) revert TraceLedgerIndicesNotAscending(indices[i - 1], index);
            words[index] = _changed(root, batch, rights, index, words[index], changes[i]);
        }
        emit StatusesChanged(root, msg.sender, reasonDigest);
    }

    /// @inheritdoc ITraceLedger
    function instanceId() external view returns (bytes32) {
        return _instanceId;
    }

    /// @inheritdoc ITraceLedger
    function agentOf(address agent) external view returns (Agent memory) {
        return _agents[agent];
    }

    /// @inheritdoc ITraceLedger
    function batchOf(bytes32 root) external view returns (Batch memory) {
        return _unpacked(_batches[root]);
    }

    /// @inheritdoc ITraceLedger
    function statusOf(bytes32 root, uint256 place) external view returns (uint8) {
        Batch memory batch = _batchAt(root);
        if (place >= batch.size) revert TraceLedgerPlaceOutsideBatch(root, place, batch.size);
        return _statusIn(_statusWords[root][place / PLACES_PER_WORD], 4 * (place % PLACES_PER_WORD));
    }

    /// @inheritdoc ITraceLedger
    function statusWord(bytes32 root, uint256 index) external view returns (uint256) {
        return _statusWords[root][index];
    }

    /// @inheritdoc ITraceLedger
    function verify(
        bytes32 root,
        uint256 place,
        bytes calldata entry,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return InclusionProof.includes(root, _unpacked(_batches[root]).size, place, InclusionProof.leafHash(entry), proof);
    }

    function _batchAt(bytes32 root) private view returns (Batch memory batch) {
        uint256 packed = _batches[root];
        if (packed == 0) revert TraceLedgerBatchUnknown(root);
        return _unpacked(packed);
    }

    function _packed(Batch memory batch) private pure returns (uint256) {
        return
            uint256(batch.anchoredAt) |
            (uint256(batch.number) << 40) |
            (uint256(batch.anchorer) << 72) |
            (uint256(batch.originEnd) << 104) |
            (uint256(batch.inspectionEnd) << 136) |
            (uint256(batch.declarationEnd) << 168) |
            (uint256(batch.size) << 200);
    }

    function _unpacked(uint256 packed) private pure returns (Batch memory) {
        return
            Batch({
                anchoredAt: uint40(packed),
                number: uint32(packed >> 40),
                anchorer: uint32(packed >> 72),
                originEnd: uint32(packed >> 104),
                inspectionEnd: uint32(packed >> 136),
                declarationEnd: uint32(packed >> 168),
                size: uint32(packed >> 200)
            });
    }

    function _rightsOf(address caller, Batch memory batch) private view returns (Rights memory rights) {
        Agent memory agent = _agents[caller];
        if (agent.roles == 0) revert TraceLedgerRoleMissing(caller, ANCHORER | OFFICE | AUTHORITY);
        bool ownAnchorer = agent.roles & ANCHORER != 0 && agent.id == batch.anchorer;
        if (ownAnchorer || agent.roles & AUTHORITY != 0) rights.documentEdges = DOCUMENT_EDGES;
        if (ownAnchorer) rights.declarationEdges = WITHDRAWAL_EDGES;
        if (agent.roles & OFFICE != 0) rights.declarationEdges |= OFFICE_EDGES;
    }

    /// @dev The word after the changes. Refuses all of them when one is not allowed.
    function _changed(
        bytes32 root,
        Batch memory batch,
        Rights memory rights,
        uint256 index,
        uint256 word,
        uint256 change
    ) private view returns (uint256) {
        uint256 places = _lowestBits(change);
        if (places == 0) revert TraceLedgerNothingToChange(root, index);
        _requireInside(root, index, places, batch.size);
        uint256 target = change - places;

        uint256 declarations = places & _before(batch.declarationEnd, index) & ~_before(batch.inspectionEnd, index);
        uint256 fault = _faultyBit(word, target, declarations, rights.declarationEdges);
        if (fault != 0) _refuse(root, index, word, target, fault, OFFICE_EDGES | WITHDRAWAL_EDGES);
        fault = _faultyBit(word, target, places ^ declarations, rights.documentEdges);
        if (fault != 0) _refuse(root, index, word, target, fault, DOCUMENT_EDGES);

        return (word & ~(places * 15)) | target;
    }

    function _requireInside(bytes32 root, uint256 index, uint256 places, uint256 size) private pure {
        uint256 outside = places & ~_before(size, index);
        if (outside == 0) return;
        // An index beyond every batch would overflow when multiplied: report it as the last place there is.
        (bool fits, uint256 first) = Math.tryMul(index, PLACES_PER_WORD);
        uint256 place = fits ? first + Math.log2(outside & (~outside + 1)) / 4 : type(uint256).max;
        revert TraceLedgerPlaceOutsideBatch(root, place, size);
    }

    /// @dev All bits of those places of a word that stand before an end.
    function _before(uint256 end, uint256 index) private pure returns (uint256) {
        if (index >= end / PLACES_PER_WORD + 1) return 0;
        uint256 count = end - index * PLACES_PER_WORD;
        return count >= PLACES_PER_WORD ? type(uint256).max : (uint256(1) << (4 * count)) - 1;
    }

    /// @dev The lowest bit of a place whose change is not in the set; 0 where all are. Looks at each edge once, whatever
    /// the number of places that take it: in bulk all mostly take the same.
    function _faultyBit(uint256 word, uint256 target, uint256 places, uint256 edges) private pure returns (uint256) {
        unchecked {
            while (places != 0) {
                uint256 bit = places & (~places + 1);
                uint256 shift = Math.log2(bit);
                uint256 from = _statusIn(word, shift);
                uint256 to = _statusIn(target, shift);
                if (!_has(edges, from, to)) return bit;
                // A status has four bits, so it can be copied to all places by a product that never overflows.
                places &= _lowestBits((word ^ (LOWEST_BITS * from)) | (target ^ (LOWEST_BITS * to)));
            }
        }
        return 0;
    }

    /// @dev Tells a change that nobody may make from one that only the caller may not.
    function _refuse(
        bytes32 root,
        uint256 index,
        uint256 word,
        uint256 target,
        uint256 bit,
        uint256 knownEdges
    ) private view {
        uint256 shift = Math.log2(bit);
        uint256 place = index * PLACES_PER_WORD + shift / 4;
        uint8 from = _statusIn(word, shift);
        uint8 to = _statusIn(target, shift);
        if (_has(knownEdges, from, to)) revert TraceLedgerEdgeNotAllowed(msg.sender, root, place, from, to);
        revert TraceLedgerEdgeForbidden(root, place, from, to);
    }

    /// @dev The lowest bit of each place that is not 0.
    function _lowestBits(uint256 word) private pure returns (uint256) {
        return (word | (word >> 1) | (word >> 2) | (word >> 3)) & LOWEST_BITS;
    }

    function _statusIn(uint256 word, uint256 shift) private pure returns (uint8) {
        return uint8((word >> shift) & 15);
    }

    function _has(uint256 edges, uint256 from, uint256 to) private pure returns (bool) {
        return (edges >> ((from << 4) | to)) & 1 == 1;
    }
}
