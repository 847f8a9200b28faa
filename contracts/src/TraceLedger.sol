// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {BatchKey} from "./BatchKey.sol";
import {ITraceLedger} from "./ITraceLedger.sol";
import {InclusionProof} from "./InclusionProof.sol";

/// @title TraceLedger
/// @notice See {ITraceLedger}.
/// @dev A set of edges is one word: bit `16 * from + to` stands for the change of status `from` to status `to`. What a
/// caller may do in a batch is one word too: edges of declarations, and from bit 192 on those of all other records. No
/// status of a declaration reaches so far, and a shift beyond the word finds nothing.
/// A batch and an agent are each one word, taken apart by shifts: structures in memory would cost a decision 1,500 gas.
/// Of a document's four bits the lower two are its status as its issuer left it, and the third says that an authority
/// suspends it. Each side writes its own bits only, so that neither can lift what the other has suspended.
contract TraceLedger is ITraceLedger, AccessManaged {
    uint8 private constant ANCHORER = 1;
    uint8 private constant OFFICE = 2;
    uint8 private constant AUTHORITY = 4;
    uint256 private constant ROLES = ANCHORER | OFFICE | AUTHORITY;

    /// @dev Roles that were taken away at once; the account that the agent moves to gets them back.
    uint256 private constant TAKEN = 3;
    /// @dev Marks the word of an account that gave way to another, which stands from bit `SUCCESSOR` on.
    uint256 private constant MOVED = 1 << 7;
    uint256 private constant SUCCESSOR = 96;

    uint40 private constant PAUSE = 72 hours;
    /// @dev As long as it takes to remove a guardian: one that is being removed pauses the ledger once more at most.
    uint40 private constant RUNNING = 7 days;

    uint32 private constant MAX_SIZE = 1 << 24;

    uint256 private constant STATUSES_PER_WORD = 64;
    uint256 private constant MOST_WORDS = MAX_SIZE / 64 + 1;
    uint256 private constant LOWEST_BITS = type(uint256).max / 15;
    uint256 private constant HELD_BITS = LOWEST_BITS << 2;

    uint256 private constant DOCUMENT_ENDS =
        (1 << uint256(DocumentStatus.Revoked)) | (1 << uint256(DocumentStatus.Superseded));
    uint256 private constant DOCUMENT_EDGES =
        (((1 << uint256(DocumentStatus.Suspended)) | DOCUMENT_ENDS) << (16 * uint256(DocumentStatus.Active))) |
        (((1 << uint256(DocumentStatus.Active)) | DOCUMENT_ENDS) << (16 * uint256(DocumentStatus.Suspended)));

    /// @dev What goes on during a pause: it takes trust away and gives none.
    uint256 private constant REVOCATION_EDGES =
        (((1 << uint256(DocumentStatus.Suspended)) | (1 << uint256(DocumentStatus.Revoked))) <<
            (16 * uint256(DocumentStatus.Active))) |
            ((1 << uint256(DocumentStatus.Revoked)) << (16 * uint256(DocumentStatus.Suspended)));

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

    /// @dev Where the edges of documents begin in a word of rights.
    uint256 private constant DOCUMENTS = 192;

    /// @dev Not an edge but the right to suspend documents as an authority, and to lift such suspensions.
    uint256 private constant HOLD = 1 << 191;

    uint256 private constant REVOKE = 1 << uint256(DocumentStatus.Revoked);
    uint256 private constant REVOKING_EDGES =
        (REVOKE << (16 * uint256(DocumentStatus.Active))) | (REVOKE << (16 * uint256(DocumentStatus.Suspended)));

    uint256 private constant WITHDRAW = 1 << uint256(DeclarationStatus.Withdrawn);
    uint256 private constant WITHDRAWAL_EDGES =
        (WITHDRAW << (16 * uint256(DeclarationStatus.Lodged))) |
        (WITHDRAW << (16 * uint256(DeclarationStatus.DocumentsRequired)));

    // Where the fields of a batch's word begin.
    uint256 private constant NUMBER = 40;
    uint256 private constant BATCH_ANCHORER = 72;
    uint256 private constant ORIGIN_END = 104;
    uint256 private constant INSPECTION_END = 136;
    uint256 private constant DECLARATION_END = 168;
    uint256 private constant SIZE = 200;
    /// @dev The last field, so that a shift alone reads it.
    uint256 private constant BATCH_OFFICE = 232;
    uint256 private constant OUTSIDE_FIELDS = (1 << ORIGIN_END) - 1;

    // Where the fields of an agent's word begin; the roles stand lowest.
    uint256 private constant ID = 8;
    uint256 private constant BATCH_COUNT = 40;

    /// @dev A word of an array by itself would be read once more before it is written, for what else its slot might hold.
    struct Slot {
        uint256 word;
    }

    bytes32 private immutable _instanceId;
    uint32 private _agentCount;
    uint40 private _pausedUntil;
    mapping(address agent => uint256) private _agents;
    mapping(bytes32 batchKey => Slot) private _batches;
    mapping(bytes32 batchKey => Slot[MOST_WORDS]) private _statusWords;
    /// @dev The end of the last pause that each account began.
    mapping(address brake => uint40) private _ownPauseEnds;

    /// @param manager The access manager that knows who the authority is.
    /// @param instance Random number of this deployment.
    constructor(address manager, bytes32 instance) AccessManaged(manager) {
        _instanceId = instance;
    }

    /// @inheritdoc ITraceLedger
    function pause() external restricted {
        uint40 time = uint40(block.timestamp);
        if (isPaused()) revert TraceLedgerPauseUnchanged(true);
        uint40 end = _ownPauseEnds[msg.sender];
        // Within the own span the pause goes on where somebody ended it early, and ends when it would have.
        if (time >= end) {
            if (end != 0 && time < end + RUNNING) revert TraceLedgerPauseTooSoon(msg.sender, end + RUNNING);
            end = time + PAUSE;
            _ownPauseEnds[msg.sender] = end;
        }
        _pausedUntil = end;
        emit Paused();
        emit PauseEnds(end);
    }

    /// @inheritdoc ITraceLedger
    function renewPause() external restricted {
        uint40 end = uint40(block.timestamp) + PAUSE;
        _pausedUntil = end;
        emit Paused();
        emit PauseEnds(end);
    }

    /// @inheritdoc ITraceLedger
    function resume() external restricted {
        if (!isPaused()) revert TraceLedgerPauseUnchanged(false);
        _pausedUntil = 0;
        emit Resumed();
    }

    /// @inheritdoc ITraceLedger
    function registerAgent(address agent, uint8 roles) external restricted {
        uint256 word = _agents[agent];
        if (word & MOVED != 0) revert TraceLedgerAgentMoved(agent, _successorIn(word));
        if (roles > ROLES || (word == 0 && roles == 0)) revert TraceLedgerRolesUnknown(agent, roles);
        if (word == 0) word = uint256(++_agentCount) << ID;
        _agents[agent] = (word & ~uint256(type(uint8).max)) | roles;
        emit AgentRegistered(agent, _field(word, ID), roles);
    }

    /// @inheritdoc ITraceLedger
    function suspendAgent(address agent) external restricted {
        uint256 word = _agents[agent];
        uint256 roles = word & ROLES;
        if (roles == 0) revert TraceLedgerRoleMissing(agent, uint8(ROLES));
        _agents[agent] = (word ^ roles) | (roles << TAKEN);
        emit AgentRegistered(agent, _field(word, ID), 0);
    }

    /// @inheritdoc ITraceLedger
    function moveAgent(address from, address to) external restricted {
        uint256 word = _agents[from];
        if (word & MOVED != 0) revert TraceLedgerAgentMoved(from, _successorIn(word));
        if (word == 0) revert TraceLedgerAgentUnknown(from);
        if (_agents[to] != 0 || to == address(0)) revert TraceLedgerAgentKnown(to);
        uint256 roles = (word | (word >> TAKEN)) & ROLES;
        _agents[to] = (word & ~uint256(type(uint8).max)) | roles;
        _agents[from] = MOVED | (uint256(uint160(to)) << SUCCESSOR);
        emit AgentMoved(from, to, _field(word, ID));
        emit AgentRegistered(to, _field(word, ID), uint8(roles));
    }

    /// @inheritdoc ITraceLedger
    function anchor(
        bytes32 root,
        uint32 originEnd,
        uint32 inspectionEnd,
        uint32 declarationEnd,
        uint32 size
    ) external {
        uint256 agent = _anchorerAt(msg.sender);
        _agents[msg.sender] = _anchor(agent, root, originEnd, inspectionEnd, declarationEnd, size, 0);
    }

    /// @inheritdoc ITraceLedger
    function anchorFor(bytes32 root, uint256 fields) external {
        uint256 agent = _anchorerAt(msg.sender);
        uint256 office = fields >> BATCH_OFFICE;
        if (office > _agentCount || fields & OUTSIDE_FIELDS != 0) revert TraceLedgerOfficeUnknown(fields);
        _agents[msg.sender] = _anchor(
            agent,
            root,
            _field(fields, ORIGIN_END),
            _field(fields, INSPECTION_END),
            _field(fields, DECLARATION_END),
            _field(fields, SIZE),
            office << BATCH_OFFICE
        );
    }

    /// @inheritdoc ITraceLedger
    function anchorMany(NewBatch[] calldata batches) external {
        if (batches.length == 0) revert TraceLedgerBatchesMissing();
        uint256 agent = _anchorerAt(msg.sender);
        for (uint256 i; i < batches.length; ++i) {
            NewBatch calldata batch = batches[i];
            agent = _anchor(
                agent,
                batch.root,
                batch.originEnd,
                batch.inspectionEnd,
                batch.declarationEnd,
                batch.size,
                0
            );
        }
        _agents[msg.sender] = agent;
    }

    /// @inheritdoc ITraceLedger
    function changeStatuses(bytes32 batchKey, WordChange[] calldata changes, bytes32 reasonDigest) external {
        _changeStatuses(batchKey, changes, reasonDigest, false);
    }

    /// @inheritdoc ITraceLedger
    function revokeDocuments(bytes32 batchKey, WordChange[] calldata changes, bytes32 reasonDigest) external restricted {
        _changeStatuses(batchKey, changes, reasonDigest, true);
    }

    /// @inheritdoc ITraceLedger
    function setOffice(bytes32 batchKey, uint256 office) external {
        uint256 agent = _agents[msg.sender];
        if (agent & OFFICE == 0) revert TraceLedgerRoleMissing(msg.sender, OFFICE);
        if (isPaused()) revert TraceLedgerPaused();
        Slot storage slot = _batches[batchKey];
        uint256 batch = slot.word;
        uint24 standing = uint24(batch >> BATCH_OFFICE);
        if (standing == 0 || standing != _field(agent, ID)) revert TraceLedgerOfficeOther(batchKey, standing);
        if (office == 0 || office > _agentCount || office > type(uint24).max) revert TraceLedgerOfficeUnknown(office);
        slot.word = (batch & ~(uint256(type(uint24).max) << BATCH_OFFICE)) | (office << BATCH_OFFICE);
        emit OfficeSet(batchKey, standing, uint24(office));
    }

    /// @inheritdoc ITraceLedger
    function instanceId() external view returns (bytes32) {
        return _instanceId;
    }

    /// @inheritdoc ITraceLedger
    function batchKeyOf(uint32 anchorer, bytes32 root) external view returns (bytes32) {
        return BatchKey.from(anchorer, root);
    }

    /// @inheritdoc ITraceLedger
    function isPaused() public view returns (bool) {
        return block.timestamp < _pausedUntil;
    }

    /// @inheritdoc ITraceLedger
    function pausedUntil() external view returns (uint40) {
        return _pausedUntil;
    }

    /// @inheritdoc ITraceLedger
    function activeAnchorer(address agent) external view returns (uint32 id) {
        return _field(_anchorerAt(agent), ID);
    }

    /// @inheritdoc ITraceLedger
    function agentOf(address agent) external view returns (Agent memory) {
        uint256 word = _agents[agent];
        return Agent({roles: uint8(word & ROLES), id: _field(word, ID), batchCount: _field(word, BATCH_COUNT)});
    }

    /// @inheritdoc ITraceLedger
    function agentSuccessor(address agent) external view returns (address) {
        uint256 word = _agents[agent];
        return word & MOVED == 0 ? address(0) : _successorIn(word);
    }

    /// @inheritdoc ITraceLedger
    function batchOf(bytes32 batchKey) external view returns (Batch memory) {
        uint256 word = _batches[batchKey].word;
        return
            Batch({
                anchoredAt: uint40(word),
                number: _field(word, NUMBER),
                anchorer: _field(word, BATCH_ANCHORER),
                originEnd: _field(word, ORIGIN_END),
                inspectionEnd: _field(word, INSPECTION_END),
                declarationEnd: _field(word, DECLARATION_END),
                size: _field(word, SIZE)
            });
    }

    /// @inheritdoc ITraceLedger
    function decidingOffice(bytes32 batchKey) external view returns (uint24) {
        return uint24(_batches[batchKey].word >> BATCH_OFFICE);
    }

    /// @inheritdoc ITraceLedger
    function statusOf(bytes32 batchKey, uint256 leafIndex) external view returns (uint8) {
        uint256 batch = _batches[batchKey].word;
        if (batch == 0) revert TraceLedgerBatchUnknown(batchKey);
        if (leafIndex >= _field(batch, SIZE)) revert TraceLedgerPlaceOutsideBatch(batchKey, leafIndex, _field(batch, SIZE));
        uint256 word = _shownWord(batchKey, batch, leafIndex / STATUSES_PER_WORD);
        return uint8((word >> (4 * (leafIndex % STATUSES_PER_WORD))) & 15);
    }

    /// @inheritdoc ITraceLedger
    function statusWord(bytes32 batchKey, uint256 wordIndex) external view returns (uint256) {
        return wordIndex < MOST_WORDS ? _shownWord(batchKey, _batches[batchKey].word, wordIndex) : 0;
    }

    /// @inheritdoc ITraceLedger
    function storedWord(bytes32 batchKey, uint256 wordIndex) external view returns (uint256 word, uint32 anchorer) {
        if (wordIndex < MOST_WORDS) word = _statusWords[batchKey][wordIndex].word;
        anchorer = _field(_batches[batchKey].word, BATCH_ANCHORER);
    }

    /// @inheritdoc ITraceLedger
    function declarationsOf(
        address agent,
        bytes32 batchKey,
        uint256 wordIndex
    ) external view returns (uint32 own, uint256 declarations, uint256 word) {
        uint256 batch = _batches[batchKey].word;
        own = _field(_anchorerAt(agent), ID);
        if (own != _field(batch, BATCH_ANCHORER)) own = 0;
        if (wordIndex < MOST_WORDS) {
            (declarations, word) = (_declarations(batch, wordIndex), _statusWords[batchKey][wordIndex].word);
        }
    }

    /// @inheritdoc ITraceLedger
    function verify(
        bytes32 batchKey,
        uint256 leafIndex,
        bytes calldata entry,
        bytes32[] calldata proof
    ) external view returns (bool) {
        uint256 batch = _batches[batchKey].word;
        bytes32 leaf = InclusionProof.leafHash(entry);
        (bool fits, bytes32 root) = InclusionProof.climb(_field(batch, SIZE), leafIndex, leaf, proof);
        return fits && BatchKey.from(_field(batch, BATCH_ANCHORER), root) == batchKey;
    }

    /// @dev Changes statuses by the caller's rights, or by those of an announced revocation.
    function _changeStatuses(
        bytes32 batchKey,
        WordChange[] calldata changes,
        bytes32 reasonDigest,
        bool isAnnounced
    ) private {
        if (changes.length == 0) revert TraceLedgerChangesMissing();
        uint256 batch = _batches[batchKey].word;
        if (batch == 0) revert TraceLedgerBatchUnknown(batchKey);
        uint256 rights = isAnnounced ? REVOKING_EDGES << DOCUMENTS : _rightsOf(msg.sender, batch);
        Slot[MOST_WORDS] storage words = _statusWords[batchKey];
        uint256 wordIndex;
        for (uint256 i; i < changes.length; ++i) {
            // Neither index needs to be checked again: this one is below the length, and that of the word is compared with
            // the batch's size. Both checks together cost a decision more than to ask for its office.
            WordChange calldata wanted;
            assembly ("memory-safe") {
                wanted := add(changes.offset, shl(6, i))
            }
            if (i != 0 && wanted.wordIndex <= wordIndex) {
                revert TraceLedgerIndicesNotAscending(wordIndex, wanted.wordIndex);
            }
            wordIndex = wanted.wordIndex;
            if (wordIndex > _field(batch, SIZE) / STATUSES_PER_WORD) {
                _refuseOutside(batchKey, wordIndex, _lowestBits(wanted.change), _field(batch, SIZE));
            }
            Slot storage slot;
            assembly ("memory-safe") {
                slot.slot := add(words.slot, wordIndex)
            }
            slot.word = _changed(batchKey, batch, rights, wordIndex, slot.word, wanted.change);
        }
        emit StatusesChanged(batchKey, msg.sender, reasonDigest);
    }

    /// @dev Anchors one batch, whose word has its office and nothing else yet; answers the agent's word with the batch
    /// counted.
    function _anchor(
        uint256 agent,
        bytes32 root,
        uint32 originEnd,
        uint32 inspectionEnd,
        uint32 declarationEnd,
        uint32 size,
        uint256 word
    ) private returns (uint256) {
        if (root == 0) revert TraceLedgerRootMissing();
        if (size == 0 || size > MAX_SIZE) revert TraceLedgerSizeRefused(root, size);
        if (originEnd > inspectionEnd || inspectionEnd > declarationEnd || declarationEnd > size) {
            revert TraceLedgerLanesUnordered(originEnd, inspectionEnd, declarationEnd, size);
        }
        bytes32 batchKey = BatchKey.from(_field(agent, ID), root);
        Slot storage slot = _batches[batchKey];
        if (slot.word != 0) revert TraceLedgerAlreadyAnchored(root, uint40(slot.word));

        uint32 number = _field(agent, BATCH_COUNT) + 1;
        word |= uint40(block.timestamp) | (uint256(number) << NUMBER) | (uint256(_field(agent, ID)) << BATCH_ANCHORER);
        word |= (uint256(originEnd) << ORIGIN_END) | (uint256(inspectionEnd) << INSPECTION_END);
        slot.word = word | (uint256(declarationEnd) << DECLARATION_END) | (uint256(size) << SIZE);
        emit BatchAnchored(batchKey, msg.sender, number, size);
        unchecked {
            // The count itself has not overflowed, or its checked sum above would have been refused.
            return agent + (1 << BATCH_COUNT);
        }
    }

    /// @dev The word of an agent that may anchor now.
    function _anchorerAt(address account) private view returns (uint256 agent) {
        agent = _agents[account];
        if (agent & ANCHORER == 0) revert TraceLedgerRoleMissing(account, ANCHORER);
        if (isPaused()) revert TraceLedgerPaused();
    }

    /// @dev What the caller may do in one batch, as a word of rights.
    function _rightsOf(address caller, uint256 batch) private view returns (uint256 rights) {
        uint256 agent = _agents[caller];
        uint256 roles = agent & ROLES;
        // By itself first, as most changes are an office's decisions.
        if (roles == OFFICE) {
            if (_isOfficeOf(batch, agent)) rights = OFFICE_EDGES;
        } else {
            if (roles == 0) revert TraceLedgerRoleMissing(caller, uint8(ROLES));
            if (roles & OFFICE != 0 && _isOfficeOf(batch, agent)) rights = OFFICE_EDGES;
            if (roles & ANCHORER != 0 && _field(agent, ID) == _field(batch, BATCH_ANCHORER)) {
                rights |= (DOCUMENT_EDGES << DOCUMENTS) | WITHDRAWAL_EDGES;
            } else if (roles & AUTHORITY != 0) {
                rights |= HOLD;
            }
        }
        if (isPaused()) rights &= (REVOCATION_EDGES << DOCUMENTS) | HOLD;
    }

    /// @dev Whether an agent is the office that a batch names, or the batch names none.
    /// In assembly, since each branch costs a decision 15 gas.
    function _isOfficeOf(uint256 batch, uint256 agent) private pure returns (bool isOffice) {
        (uint256 office, uint256 id) = (batch >> BATCH_OFFICE, _field(agent, ID));
        assembly ("memory-safe") {
            isOffice := or(iszero(office), eq(office, id))
        }
    }

    /// @dev The word after the changes. Refuses all of them when one is not allowed.
    function _changed(
        bytes32 batchKey,
        uint256 batch,
        uint256 rights,
        uint256 wordIndex,
        uint256 word,
        uint256 change
    ) private view returns (uint256) {
        uint256 bits = _lowestBits(change);
        if (bits == 0) revert TraceLedgerNothingToChange(batchKey, wordIndex);
        {
            uint256 outside = bits & ~_before(_field(batch, SIZE), wordIndex);
            if (outside != 0) _refuseOutside(batchKey, wordIndex, outside, _field(batch, SIZE));
        }
        uint256 declarations = _declarations(batch, wordIndex);
        unchecked {
            change -= bits;
            uint256 held;
            if (bits & ~declarations != 0) {
                // Documents are among the entries: those that an authority suspends stay so.
                held = word & HELD_BITS & ~declarations;
                word ^= held;
                if (rights & HOLD != 0) {
                    held = _heldAfter(batchKey, wordIndex, word, held, change, bits & ~declarations);
                    bits &= declarations;
                    change &= declarations;
                }
            }
            _requireEdges(batchKey, wordIndex, word, change, bits, declarations, rights);
            return (word & ~(bits * 15)) | change | held;
        }
    }

    /// @dev Which documents of a word an authority suspends after its change. Of each it says Suspended or Active.
    function _heldAfter(
        bytes32 batchKey,
        uint256 wordIndex,
        uint256 word,
        uint256 held,
        uint256 target,
        uint256 documents
    ) private view returns (uint256) {
        unchecked {
            held >>= 2;
            uint256 suspended = target & documents;
            uint256 lifted = documents ^ suspended;
            // Neither status, or suspended once more, or suspended after its end, or lifted where nothing is held.
            uint256 wrong = _lowestBits(target & (documents * 14)) |
                (suspended & (held | (word >> 1))) |
                (lifted & ~held);
            if (lifted != 0 && isPaused()) wrong |= lifted;
            if (wrong != 0) _refuse(batchKey, wordIndex, target, wrong & (~wrong + 1), false);
            return ((held | suspended) ^ lifted) << 2;
        }
    }

    /// @dev Refuses a change that is not among the rights. Looks at each edge once, whatever the number of statuses of
    /// a segment that take it: in bulk all mostly take the same.
    function _requireEdges(
        bytes32 batchKey,
        uint256 wordIndex,
        uint256 word,
        uint256 target,
        uint256 bits,
        uint256 declarations,
        uint256 rights
    ) private view {
        unchecked {
            while (bits != 0) {
                uint256 bit = bits & (~bits + 1);
                (uint256 from, uint256 to) = (_statusAt(word, bit), _statusAt(target, bit));
                bool isDeclaration = declarations & bit != 0;
                if (!_has(isDeclaration ? rights : rights >> DOCUMENTS, from, to)) {
                    _refuse(batchKey, wordIndex, target, bit, isDeclaration);
                }
                // A status has four bits, so it can be copied all over the word by a product that never overflows.
                bits &=
                    (isDeclaration ? ~declarations : declarations) |
                    _lowestBits((word ^ (LOWEST_BITS * from)) | (target ^ (LOWEST_BITS * to)));
            }
        }
    }

    /// @dev A word of statuses as they are told: suspended is what either side suspends.
    function _shownWord(bytes32 batchKey, uint256 batch, uint256 wordIndex) private view returns (uint256) {
        uint256 word = _statusWords[batchKey][wordIndex].word;
        uint256 held = word & HELD_BITS & ~_declarations(batch, wordIndex);
        uint256 issued = word ^ held;
        return issued | ((held >> 2) & ~_lowestBits(issued));
    }

    /// @dev All bits of those statuses of a word that are of declarations.
    function _declarations(uint256 batch, uint256 wordIndex) private pure returns (uint256) {
        return _before(_field(batch, DECLARATION_END), wordIndex) ^ _before(_field(batch, INSPECTION_END), wordIndex);
    }

    /// @dev All bits of those statuses of a word that stand before an end. The index is that of a word that can be.
    function _before(uint256 end, uint256 wordIndex) private pure returns (uint256) {
        unchecked {
            uint256 first = wordIndex * STATUSES_PER_WORD;
            // A shift by 256 or more gives 0, hence the whole word.
            return end > first ? (uint256(1) << (4 * (end - first))) - 1 : 0;
        }
    }

    function _refuseOutside(bytes32 batchKey, uint256 wordIndex, uint256 outside, uint256 size) private pure {
        // An index beyond every batch would overflow when multiplied: report it as the last leaf index there is.
        (bool fits, uint256 first) = Math.tryMul(wordIndex, STATUSES_PER_WORD);
        uint256 leafIndex = fits ? first + Math.log2(outside & (~outside + 1)) / 4 : type(uint256).max;
        revert TraceLedgerPlaceOutsideBatch(batchKey, leafIndex, size);
    }

    /// @dev Tells a change that nobody may make from one that only the caller may not, and from one that must wait.
    function _refuse(
        bytes32 batchKey,
        uint256 wordIndex,
        uint256 target,
        uint256 bit,
        bool isDeclaration
    ) private view {
        // Nothing of this word is written yet, and whoever is refused may pay for reading it once more.
        uint256 word = _shownWord(batchKey, _batches[batchKey].word, wordIndex);
        uint256 knownEdges = isDeclaration ? OFFICE_EDGES | WITHDRAWAL_EDGES : DOCUMENT_EDGES;
        uint256 leafIndex = wordIndex * STATUSES_PER_WORD + Math.log2(bit) / 4;
        (uint8 from, uint8 to) = (uint8(_statusAt(word, bit)), uint8(_statusAt(target, bit)));
        if (!_has(knownEdges, from, to)) revert TraceLedgerEdgeForbidden(batchKey, leafIndex, from, to);
        if (isPaused()) revert TraceLedgerPaused();
        if (isDeclaration && _has(OFFICE_EDGES, from, to)) _refuseOtherOffice(batchKey);
        revert TraceLedgerEdgeNotAllowed(msg.sender, batchKey, leafIndex, from, to);
    }

    /// @dev Tells an office that another one decides in this batch.
    function _refuseOtherOffice(bytes32 batchKey) private view {
        uint256 batch = _batches[batchKey].word;
        uint256 agent = _agents[msg.sender];
        if (agent & OFFICE == 0 || _isOfficeOf(batch, agent)) return;
        revert TraceLedgerOfficeOther(batchKey, uint24(batch >> BATCH_OFFICE));
    }

    /// @dev The lowest bit of each status that is not 0.
    function _lowestBits(uint256 word) private pure returns (uint256) {
        word |= word >> 2;
        return (word | (word >> 1)) & LOWEST_BITS;
    }

    /// @dev The status whose lowest bit this is. In assembly, as the bit is never 0 and a checked division costs twice.
    function _statusAt(uint256 word, uint256 bit) private pure returns (uint256 status) {
        assembly ("memory-safe") {
            status := and(div(word, bit), 15)
        }
    }

    function _has(uint256 edges, uint256 from, uint256 to) private pure returns (bool) {
        return (edges >> ((from << 4) | to)) & 1 == 1;
    }

    function _successorIn(uint256 word) private pure returns (address) {
        return address(uint160(word >> SUCCESSOR));
    }

    function _field(uint256 word, uint256 position) private pure returns (uint32) {
        return uint32(word >> position);
    }
}
