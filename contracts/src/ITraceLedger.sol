// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Ledger of anchored batches and of the status of every record in them
/// @notice A batch is an RFC 9162 Merkle tree that one agent anchored. It is known by its key, the SHA-256 of the agent's
/// id (32 bytes) and the tree's root: the same root anchored by another agent is another batch. Contracts of an earlier
/// version know it by the root alone. Its entries stand in four segments, in this order:
/// certificates of origin, inspection reports, declarations, other documents. Each entry has a status of four bits,
/// and the ledger allows only the changes that the segment's rules know, and only to those who may make them.
/// @dev Nothing is stored here but roots, counts, statuses and digests. `msg.sender` decides who acts, never an argument.
/// Selectors and topics are hashes of names, and ledgers that stand on chains cannot take new ones. So two errors keep
/// older words: {TraceLedgerLanesUnordered} is about segments, {TraceLedgerPlaceOutsideBatch} about a leaf index.
interface ITraceLedger {
    /// @notice Status of a certificate, a report or another document.
    /// @dev Active <-> Suspended; Active, Suspended -> Revoked, Superseded, by the batch's own anchorer for the issuers it
    /// serves. An authority suspends too, and lifts that again; it revokes by {revokeDocuments} only. Who suspended lifts:
    /// what both suspend stays Suspended until both have lifted it.
    enum DocumentStatus {
        Active,
        Suspended,
        Revoked,
        Superseded
    }

    /// @notice Status of a declaration.
    /// @dev By an office, and where the batch names one by that one only: from Lodged, DocumentsRequired, Examination or Detained to any other of the last three, or to
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
    /// @param id Running number of the agent, from 1; 0 for an address that was never registered or gave way to another.
    /// @param batchCount How many batches the agent has anchored.
    struct Agent {
        uint8 roles;
        uint32 id;
        uint32 batchCount;
    }

    /// @notice A batch as it was anchored; fills one storage slot.
    /// @param anchoredAt Time of the block, in seconds since 1970-01-01 UTC; 0 where there is no such batch.
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

    /// @notice An agent acts from another account from now on. Its id, its batches and their count stay its own.
    event AgentMoved(address indexed from, address indexed to, uint32 indexed id);

    /// @notice A batch was anchored, and is known by this key; its root and segments stand in the call.
    event BatchAnchored(bytes32 indexed batchKey, address indexed anchorer, uint32 number, uint32 size);

    /// @notice Entries of a batch got new statuses; which ones stand in the call.
    event StatusesChanged(bytes32 indexed batchKey, address indexed agent, bytes32 reasonDigest);

    /// @notice Another office decides on the declarations of a batch from now on; the one before has let it.
    event OfficeSet(bytes32 indexed batchKey, uint24 previous, uint24 office);

    /// @notice From now on nothing is written but what takes trust away.
    event Paused();

    /// @notice The pause ends by itself at that time, unless it is ended or renewed before.
    event PauseEnds(uint40 until);

    /// @notice The pause was ended before its time. One that ends by itself needs no transaction, and tells nothing.
    event Resumed();

    /// @notice Roles are the sum of 1, 2 and 4, and a new agent needs at least one of them.
    error TraceLedgerRolesUnknown(address agent, uint8 roles);

    /// @notice No agent was registered at this address.
    error TraceLedgerAgentUnknown(address agent);

    /// @notice An agent moves to an account that was never an agent's.
    error TraceLedgerAgentKnown(address agent);

    /// @notice The account gave way to another, and gets no role again.
    error TraceLedgerAgentMoved(address agent, address successor);

    /// @notice Who has paused the ledger must let it run before it does so again.
    error TraceLedgerPauseTooSoon(address caller, uint40 notBefore);

    /// @notice The caller has none of these roles.
    error TraceLedgerRoleMissing(address caller, uint8 roles);

    /// @notice A batch has 1 to 2^24 entries.
    error TraceLedgerSizeRefused(bytes32 root, uint32 size);

    /// @notice A root is never zero, since nobody knows what hashes to it.
    error TraceLedgerRootMissing();

    /// @notice The ends of the segments must rise and stay within the batch.
    error TraceLedgerLanesUnordered(uint32 originEnd, uint32 inspectionEnd, uint32 declarationEnd, uint32 size);

    /// @notice An agent anchors a root once.
    error TraceLedgerAlreadyAnchored(bytes32 root, uint40 anchoredAt);

    /// @notice No batch has this key.
    error TraceLedgerBatchUnknown(bytes32 batchKey);

    /// @notice There is no change in this call.
    error TraceLedgerChangesMissing();

    /// @notice Indices must rise, so that no word is changed twice in one call.
    error TraceLedgerIndicesNotAscending(uint256 previous, uint256 wordIndex);

    /// @notice This word of changes changes nothing.
    error TraceLedgerNothingToChange(bytes32 batchKey, uint256 wordIndex);

    /// @notice The batch has no such leaf index.
    error TraceLedgerPlaceOutsideBatch(bytes32 batchKey, uint256 leafIndex, uint256 size);

    /// @notice No agent has the number that a batch would name as its office, or the fields have bits of no meaning.
    error TraceLedgerOfficeUnknown(uint256 office);

    /// @notice The batch names another office, or none where one must stand.
    error TraceLedgerOfficeOther(bytes32 batchKey, uint24 office);

    /// @notice The rules of the segment know no such change of status, for anyone.
    error TraceLedgerEdgeForbidden(bytes32 batchKey, uint256 leafIndex, uint8 from, uint8 to);

    /// @notice The rules of the segment know this change, but the caller may not make it.
    error TraceLedgerEdgeNotAllowed(address caller, bytes32 batchKey, uint256 leafIndex, uint8 from, uint8 to);

    /// @notice The ledger is paused: nothing is anchored, drawn down or decided, and only suspensions and revocations go on.
    error TraceLedgerPaused();

    /// @notice The ledger is not paused, or it already is.
    error TraceLedgerPauseUnchanged(bool paused);

    /// @notice There is no batch in this call.
    error TraceLedgerBatchesMissing();

    /// @notice Stops every write but the suspension and the revocation of documents; reads go on. By those whom the
    /// authority trusts with the brake.
    /// @dev It ends by itself after 72 hours. Each account may pause for those 72 hours, also again where the pause was
    /// ended within them, and then not before the ledger could run for 7 days.
    function pause() external;

    /// @notice Begins a pause, or renews it, to end 72 hours from now. By the authority only.
    function renewPause() external;

    /// @notice Ends the pause before its time. By the authority only.
    function resume() external;

    /// @notice Takes all roles of an agent away at once. It keeps its number, and {moveAgent} gives the roles to the
    /// account that takes its place. By the authority only.
    /// @param agent The account that acts no more.
    function suspendAgent(address agent) external;

    /// @notice Lets an agent act from another account: its id, its batches, their count and its roles go over, those too
    /// that {suspendAgent} took away. The old account can do nothing any more, ever. By the authority only.
    /// @param from The account of the agent.
    /// @param to An account that was never an agent's.
    function moveAgent(address from, address to) external;

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

    /// @notice Anchors a batch whose declarations one office decides on. By an anchorer.
    /// @dev Whether the agent is an office is not asked, which would cost a cold read: who names another agent has named
    /// nobody, as no declaration of the batch can be decided until that agent is an office. The fields are one word, and not
    /// five arguments, since a zero byte of call data costs 4 gas.
    /// @param root Root of the batch's Merkle tree.
    /// @param fields The batch as in {anchor}, each field in the place that it has in storage: `originEnd` from bit 104 on,
    /// `inspectionEnd` from 136, `declarationEnd` from 168, `size` from 200, 32 bits each; the office's id from 232, where 0
    /// is any office. All lower bits are 0.
    function anchorFor(bytes32 root, uint256 fields) external;

    /// @notice Lets another office decide on the declarations of a batch, and the caller no more. By the office that the
    /// batch names; where it names none, any office decides and none may take that from the others.
    /// @param batchKey The batch.
    /// @param office The id of the agent that decides from now on.
    function setOffice(bytes32 batchKey, uint256 office) external;

    /// @notice Anchors several batches, all or none. By an anchorer.
    /// @param batches The batches, in the order of the numbers they get.
    function anchorMany(NewBatch[] calldata batches) external;

    /// @notice Changes the statuses of entries of one batch, all or none.
    /// @dev What a caller does not name, the caller cannot undo: a call prepared before somebody else's change of a
    /// neighbouring entry leaves that change standing.
    /// @param batchKey The batch.
    /// @param changes The words to change, their indices rising.
    /// @param reasonDigest Salted digest of the reasons, which are kept elsewhere.
    function changeStatuses(bytes32 batchKey, WordChange[] calldata changes, bytes32 reasonDigest) external;

    /// @notice Revokes documents of one batch, all or none. By the authority only, which must announce it.
    /// @param batchKey The batch.
    /// @param changes The words to change, their indices rising; the only status is Revoked.
    /// @param reasonDigest Salted digest of the reasons, which are kept elsewhere.
    function revokeDocuments(bytes32 batchKey, WordChange[] calldata changes, bytes32 reasonDigest) external;

    /// @notice Random number of this deployment: a chain that was reset and used again has another.
    function instanceId() external view returns (bytes32);

    /// @notice The key of a batch, whether or not it was anchored: SHA-256 of both, 32 bytes each.
    /// @param anchorer The id of the agent that anchors it.
    /// @param root Root of the batch's Merkle tree.
    function batchKeyOf(uint32 anchorer, bytes32 root) external view returns (bytes32);

    /// @notice Whether the ledger is paused.
    function isPaused() external view returns (bool);

    /// @notice When the last pause ends or ended by itself; 0 where there was none, or it was ended before its time.
    function pausedUntil() external view returns (uint40);

    /// @notice The id of an agent that may anchor and draw down in this block; refuses any other, and all during a pause.
    function activeAnchorer(address agent) external view returns (uint32 id);

    /// @notice The agent at an address; all zero where it was never registered.
    function agentOf(address agent) external view returns (Agent memory);

    /// @notice The account that took an agent's place; zero where none did.
    function agentSuccessor(address agent) external view returns (address);

    /// @notice The batch that has a key; all zero where there is none.
    function batchOf(bytes32 batchKey) external view returns (Batch memory);

    /// @notice The id of the office that decides on the declarations of a batch; 0 where any does, or there is no batch.
    function decidingOffice(bytes32 batchKey) external view returns (uint24);

    /// @notice The status of an entry; refused where there is no such leaf, since 0 would read as good standing.
    function statusOf(bytes32 batchKey, uint256 leafIndex) external view returns (uint8);

    /// @notice The statuses of 64 entries: 0 where nothing was changed, batch or no batch.
    function statusWord(bytes32 batchKey, uint256 wordIndex) external view returns (uint256);

    /// @notice The statuses of 64 entries as they are stored: of a document the lower two bits are its status by its
    /// issuer, and the third says that an authority suspends it. 0 is Active here too, and costs one read less.
    /// @return word The statuses.
    /// @return anchorer Id of the agent that anchored the batch; 0 where there is no such batch.
    function storedWord(bytes32 batchKey, uint256 wordIndex) external view returns (uint256 word, uint32 anchorer);

    /// @notice All that a drawdown must know of the declarations in one word of a batch, in one question. Refuses an agent
    /// that may not draw down now.
    /// @param agent The agent that would draw down.
    /// @param batchKey The batch of the declarations.
    /// @param wordIndex The word, which covers the leaves from `64 * wordIndex` on.
    /// @return own The agent's id where it anchored this batch; 0 where it did not.
    /// @return declarations All four bits of each status in the word that is of a declaration.
    /// @return word The statuses of the word.
    function declarationsOf(
        address agent,
        bytes32 batchKey,
        uint256 wordIndex
    ) external view returns (uint32 own, uint256 declarations, uint256 word);

    /// @notice Whether an entry is the leaf at an index of an anchored batch; false where there is no such batch.
    /// @param batchKey The batch.
    /// @param leafIndex The index of its leaf, from 0.
    /// @param entry The entry itself, not its hash.
    /// @param proof Its inclusion proof (RFC 9162), from the bottom up.
    function verify(
        bytes32 batchKey,
        uint256 leafIndex,
        bytes calldata entry,
        bytes32[] calldata proof
    ) external view returns (bool);
}
