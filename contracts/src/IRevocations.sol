// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITraceLedger} from "./ITraceLedger.sol";

/// @title Revocations of records, wherever they stand
/// @notice The ledger keeps a status for a place in a batch. The same signed text anchored once more has another place, and
/// with it a status of its own. Here a revocation is published for the record itself, which is known by its leaf: whoever
/// finds the leaf in a batch that was anchored at the same time or later reads that it is revoked.
///
/// Anybody may publish, since nobody needs to be believed: the ledger itself says that the record is revoked or superseded
/// at the place that the proof leads from. Publishing takes trust away and gives none, so it goes on during a pause.
///
/// **Since when.** What counts is when the batch was anchored in which the record has ended, not when it was published. So
/// whoever anchors a copy of somebody's record and revokes the copy does nothing to the original, which was anchored before.
/// Of several the earliest counts.
///
/// **By whom.** A record may name the agent that may anchor it. What another one anchored of it counts for nothing, and so
/// does what was revoked there, even before the record was anchored at its own place. So each publication is kept twice:
/// by the leaf, and by SHA-256 of the anchorer's number (32 bytes) and the leaf. Who reads a record that names its anchorer
/// asks by the second.
interface IRevocations {
    /// @notice A published revocation; fills a part of one storage slot.
    /// @param status Revoked or Superseded; Active where nothing was published.
    /// @param since When the batch was anchored in which the record has ended.
    /// @param publishedAt When it was published.
    struct Revocation {
        ITraceLedger.DocumentStatus status;
        uint40 since;
        uint40 publishedAt;
    }

    /// @notice A record is revoked wherever it was anchored since then.
    event RevocationPublished(
        bytes32 indexed leaf,
        bytes32 indexed batchKey,
        uint256 leafIndex,
        ITraceLedger.DocumentStatus status,
        uint40 since
    );

    /// @notice There is no such document: no batch of this key, or another entry, or it is a declaration's place.
    error RevocationsNotIncluded(bytes32 batchKey, uint256 leafIndex);

    /// @notice The ledger holds the document as neither revoked nor superseded.
    error RevocationsNotEnded(bytes32 batchKey, uint256 leafIndex, uint8 status);

    /// @notice One that reaches as far back is published already, from batches of the same anchorer too.
    error RevocationsKnown(bytes32 leaf, uint40 since);

    /// @notice Publishes that a document is revoked, from the place where the ledger says so.
    /// @param batchKey The key of the batch.
    /// @param leafIndex The document's leaf in it.
    /// @param entry The document's entry.
    /// @param proof Its inclusion proof (RFC 9162).
    function publish(bytes32 batchKey, uint256 leafIndex, bytes calldata entry, bytes32[] calldata proof) external;

    /// @notice What is published of the record with this leaf; or from batches of one anchorer only, by SHA-256 of that
    /// one's number and the leaf.
    function revocationOf(bytes32 leaf) external view returns (Revocation memory);
}
