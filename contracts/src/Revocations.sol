// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BatchKey} from "./BatchKey.sol";
import {InclusionProof} from "./InclusionProof.sol";
import {IRevocations} from "./IRevocations.sol";
import {ITraceLedger} from "./ITraceLedger.sol";

/// @title Revocations
/// @notice See {IRevocations}.
/// @dev A contract of its own, so that no anchoring and no decision pays for it.
contract Revocations is IRevocations {
    ITraceLedger private immutable _ledger;
    /// @dev By the record's leaf, and by its leaf with the number of the anchorer ({BatchKey}).
    mapping(bytes32 leafOrOwn => Revocation) private _revocations;

    /// @param ledger The ledger whose batches and statuses count.
    constructor(address ledger) {
        _ledger = ITraceLedger(ledger);
    }

    /// @inheritdoc IRevocations
    function publish(bytes32 batchKey, uint256 leafIndex, bytes calldata entry, bytes32[] calldata proof) external {
        ITraceLedger.Batch memory batch = _ledger.batchOf(batchKey);
        bytes32 leaf = InclusionProof.leafHash(entry);
        (bool fits, bytes32 root) = InclusionProof.climb(batch.size, leafIndex, leaf, proof);
        // The numbers of documents' and declarations' statuses mean different things.
        bool isDeclaration = leafIndex >= batch.inspectionEnd && leafIndex < batch.declarationEnd;
        if (!fits || isDeclaration || BatchKey.from(batch.anchorer, root) != batchKey) {
            revert RevocationsNotIncluded(batchKey, leafIndex);
        }
        uint8 found = _ledger.statusOf(batchKey, leafIndex);
        if (
            found != uint8(ITraceLedger.DocumentStatus.Revoked) && found != uint8(ITraceLedger.DocumentStatus.Superseded)
        ) revert RevocationsNotEnded(batchKey, leafIndex, found);

        ITraceLedger.DocumentStatus status = ITraceLedger.DocumentStatus(found);
        // Both, since who reads a record that names its anchorer asks for that one's word alone, and who reads any other
        // record for the word of all. A copy that was revoked first must not keep its owner's word from being heard.
        bool isNews = _note(leaf, status, batch.anchoredAt);
        isNews = _note(BatchKey.from(batch.anchorer, leaf), status, batch.anchoredAt) || isNews;
        if (!isNews) revert RevocationsKnown(leaf, _revocations[leaf].since);
        emit RevocationPublished(leaf, batchKey, leafIndex, status, batch.anchoredAt);
    }

    /// @inheritdoc IRevocations
    function revocationOf(bytes32 leaf) external view returns (Revocation memory) {
        return _revocations[leaf];
    }

    /// @dev Keeps the earliest of several.
    function _note(bytes32 key, ITraceLedger.DocumentStatus status, uint40 since) private returns (bool isNews) {
        uint40 known = _revocations[key].since;
        isNews = known == 0 || known > since;
        if (isNews) _revocations[key] = Revocation(status, since, uint40(block.timestamp));
    }
}
