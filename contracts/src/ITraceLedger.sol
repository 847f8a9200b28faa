// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Ledger of anchored batches and of the status of every record in them
/// @notice A batch is known by the root of its RFC 9162 Merkle tree. Its entries stand in four segments, in this order:
/// certificates of origin, inspection reports, declarations, other documents. Each entry has a status of four bits,
/// and the ledger allows only the changes that the segment's rules know, and only to those who may make them.
/// @dev Nothing is stored here but roots, counts, statuses and digests. `msg.sender` decides who acts, never an argument.
/// Selectors and topics are hashes of names, and ledgers that stand on chains cannot take new ones. So two errors keep
/// older words: {TraceLedgerLanesUnordered} is about segments, {TraceLedgerPlaceOutsideBatch} about a leaf index.
interface ITraceLedger {
    /// @notice Status of a certificate, a report or another document.
    /// @dev Active <-> Suspended; Active, Suspended -> Revoked, Superseded. By the batch's own anchorer (for the issuers
    /// it serves) or by an authority.
    enum DocumentStatus {
        Active,
        Suspended,
        Revoked,
        Superseded
    }

    /// @notice Status of a declaration.
    /// @dev By an office: from Lodged, DocumentsRequired, Examination or Detained to any other of the last three, or to
    /// Released, Rejected, Returned or Seized. By the batch's own anchorer, for the merchant: from Lodged or
    /// DocumentsRequired to Withdrawn. Nothing leads back to Lodged, and nothing leads on from the last five.
    enum DeclarationStatus {
        Lodged,
        DocumentsRequired,
        Examination,
        Detained,
        Released,
        Rejected,
        Returned,
        Seized,
        Withdrawn
    }

    /// @notice Someone who acts on the ledger; fills one storage slot, so that the check of a role and the count of
    /// batches cost one.
    /// @param roles Sum of 1 (anchorer), 2 (office) and 4 (authority); 0 where all were taken away.
    /// @param id Running number of the agent, from 1; 0 for an address that was never registered.
    /// @param batchCount How many batches the agent has anchored.
    struct Agent {
        uint8 roles;
        uint32 id;
        uint32 batchCount;
    }

    /// @notice A batch as it was anchored; fills one storage slot.
    /// @param anchoredAt Time of the block, in seconds since 1970-01-01 UTC; 0 where the root was never anchored.
    /// @param number Running number among the batches of its anchorer, from 1, without gaps.
    /// @param anchorer Id of the agent that anchored it.
    /// @param originEnd First leaf index after the certificates of origin.
    /// @param inspectionEnd First leaf index after the inspection reports.
    /// @param declarationEnd First leaf index after the declarations.
    /// @param size Number of entries.
    struct Batch {
        uint40 anchoredAt;
        uint32 number;
        uint32 anchorer;
        uint32 originEnd;
        uint32 inspectionEnd;
        uint32 declarationEnd;
        uint32 size;
    }

    /// @notice A batch to be anchored, as {anchorMany} takes it.
    /// @param root Root of the batch's Merkle tree.
    /// @param originEnd First leaf index after the certificates of origin.
    /// @param inspectionEnd First leaf index after the inspection reports.
    /// @param declarationEnd First leaf index after the declarations.
    /// @param size Number of entries, 1 to 2^24.
    struct NewBatch {
        bytes32 root;
        uint32 originEnd;
        uint32 inspectionEnd;
        uint32 declarationEnd;
        uint32 size;
    }

    /// @notice The changes of one word of statuses, as {changeStatuses} takes them.
    /// @param wordIndex The word, which covers the leaves from `64 * wordIndex` on.
    /// @param change Bits `4 * (leafIndex % 64)` onwards: 0 leaves a status as it is, `status + 1` sets it.
    struct WordChange {
        uint256 wordIndex;
        uint256 change;
    }

    /// @notice An agent was registered, or its roles were changed.
    event AgentRegistered(address indexed agent, uint32 indexed id, uint8 roles);

    /// @notice A batch was anchored under its root; its segments stand in the call and in storage.
    event BatchAnchored(bytes32 indexed root, address indexed anchorer, uint32 number, uint32 size);

    /// @notice Entries of a batch got new statuses; which ones stand in the call.
    event StatusesChanged(bytes32 indexed root, address indexed agent, bytes32 reasonDigest);

    /// @notice From now on nothing is written but what takes trust away.
    event Paused();

    /// @notice The pause is over.
    event Resumed();

    /// @notice Roles are the sum of 1, 2 and 4, and a new agent needs at least one of them.
    error TraceLedgerRolesUnknown(address agent, uint8 roles);

    /// @notice The caller has none of these roles.
    error TraceLedgerRoleMissing(address caller, uint8 roles);

    /// @notice A batch has 1 to 2^24 entries.
    error TraceLedgerSizeRefused(bytes32 root, uint32 size);

    /// @notice The ends of the segments must rise and stay within the batch.
    error TraceLedgerLanesUnordered(uint32 originEnd, uint32 inspectionEnd, uint32 declarationEnd, uint32 size);

    /// @notice A root is anchored once.
    error TraceLedgerAlreadyAnchored(bytes32 root, uint40 anchoredAt);

    /// @notice No batch was anchored under this root.
    error TraceLedgerBatchUnknown(bytes32 root);

    /// @notice There is no change in this call.
    error TraceLedgerChangesMissing();

    /// @notice Indices must rise, so that no word is changed twice in one call.
    error TraceLedgerIndicesNotAscending(uint256 previous, uint256 wordIndex);

    /// @notice This word of changes changes nothing.
    error TraceLedgerNothingToChange(bytes32 root, uint256 wordIndex);

    /// @notice The batch has no such leaf index.
    error TraceLedgerPlaceOutsideBatch(bytes32 root, uint256 leafIndex, uint256 size);

    /// @notice The rules of the segment know no such change of status, for anyone.
    error TraceLedgerEdgeForbidden(bytes32 root, uint256 leafIndex, uint8 from, uint8 to);

    /// @notice The rules of the segment know this change, but the caller may not make it.
    error TraceLedgerEdgeNotAllowed(address caller, bytes32 root, uint256 leafIndex, uint8 from, uint8 to);

    /// @notice The ledger is paused: nothing is anchored, drawn down or decided, and only suspensions and revocations go on.
    error TraceLedgerPaused();

    /// @notice The ledger is not paused, or it already is.
    error TraceLedgerPauseUnchanged(bool paused);

    /// @notice There is no batch in this call.
    error TraceLedgerBatchesMissing();

    /// @notice Stops every write but the suspension and the revocation of documents; reads go on. By those whom the
    /// authority trusts with the brake.
    function pause() external;

    /// @notice Ends the pause. By the authority only.
    function resume() external;

    /// @notice Gives an agent its roles; 0 takes all away and keeps its number. By the authority only.
    /// @param agent The account that will act.
    /// @param roles Sum of 1 (anchorer), 2 (office) and 4 (authority).
    function registerAgent(address agent, uint8 roles) external;

    /// @notice Anchors a batch. By an anchorer.
    /// @param root Root of the batch's Merkle tree.
    /// @param originEnd First leaf index after the certificates of origin.
    /// @param inspectionEnd First leaf index after the inspection reports.
    /// @param declarationEnd First leaf index after the declarations.
    /// @param size Number of entries, 1 to 2^24.
    function anchor(
        bytes32 root,
        uint32 originEnd,
        uint32 inspectionEnd,
        uint32 declarationEnd,
        uint32 size
    ) external;

    /// @notice Anchors several batches, all or none. By an anchorer.
    /// @param batches The batches, in the order of the numbers they get.
    function anchorMany(NewBatch[] calldata batches) external;

    /// @notice Changes the statuses of entries of one batch, all or none.
    /// @dev What a caller does not name, the caller cannot undo: a call prepared before somebody else's change of a
    /// neighbouring entry leaves that change standing.
    /// @param root The batch.
    /// @param changes The words to change, their indices rising.
    /// @param reasonDigest Salted digest of the reasons, which are kept elsewhere.
    function changeStatuses(bytes32 root, WordChange[] calldata changes, bytes32 reasonDigest) external;

    /// @notice Random number of this deployment: a chain that was reset and used again has another.
    function instanceId() external view returns (bytes32);

    /// @notice Whether the ledger is paused.
    function isPaused() external view returns (bool);

    /// @notice The id of an agent that may anchor and draw down in this block; refuses any other, and all during a pause.
    function activeAnchorer(address agent) external view returns (uint32 id);

    /// @notice The agent at an address; all zero where it was never registered.
    function agentOf(address agent) external view returns (Agent memory);

    /// @notice The batch anchored under a root; all zero where there is none.
    function batchOf(bytes32 root) external view returns (Batch memory);

    /// @notice The status of an entry; refused where there is no such leaf, since 0 would read as good standing.
    function statusOf(bytes32 root, uint256 leafIndex) external view returns (uint8);

    /// @notice The statuses of 64 entries as they are stored: 0 where nothing was changed, batch or no batch.
    function statusWord(bytes32 root, uint256 wordIndex) external view returns (uint256);

    /// @notice All that a drawdown must know of the declarations in one word of a batch, in one question. Refuses an agent
    /// that may not draw down now.
    /// @param agent The agent that would draw down.
    /// @param root The batch of the declarations.
    /// @param wordIndex The word, which covers the leaves from `64 * wordIndex` on.
    /// @return isOwn Whether the agent anchored this batch.
    /// @return declarations All four bits of each status in the word that is of a declaration.
    /// @return word The statuses of the word.
    function declarationsOf(
        address agent,
        bytes32 root,
        uint256 wordIndex
    ) external view returns (bool isOwn, uint256 declarations, uint256 word);

    /// @notice Whether an entry is the leaf at an index of an anchored batch; false where there is no such batch.
    /// @param root The batch.
    /// @param leafIndex The index of its leaf, from 0.
    /// @param entry The entry itself, not its hash.
    /// @param proof Its inclusion proof (RFC 9162), from the bottom up.
    function verify(
        bytes32 root,
        uint256 leafIndex,
        bytes calldata entry,
        bytes32[] calldata proof
    ) external view returns (bool);
}
