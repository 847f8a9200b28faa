// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TraceLedger} from "../src/TraceLedger.sol";

/// @title Rules of the ledger's words, for every input
/// @dev Proved by halmos (`contracts/tools/rules.py`), which reads the sources with their private functions as internal.
/// Each rule looks at one place, written out status by status, so that it shares no trick with the code.
contract LedgerRules is TraceLedger {
    uint256 private constant PLACES = 64;

    constructor() TraceLedger(address(1), bytes32(uint256(1))) {}

    function check_lowestBits(uint256 word, uint8 place) external pure {
        if (place >= PLACES) return;
        assert(_nibble(_lowestBits(word), place) == (_nibble(word, place) == 0 ? 0 : 1));
    }

    function check_before(uint32 end, uint32 index, uint8 place) external pure {
        if (place >= PLACES || end > 1 << 24 || index > 1 << 18) return;
        assert(_nibble(_before(end, index), place) == (PLACES * index + place < end ? 15 : 0));
    }

    function check_declarations(uint32 first, uint32 end, uint32 index, uint8 place) external pure {
        if (place >= PLACES || end > 1 << 24 || first > end || index > 1 << 18) return;
        uint256 batch = (uint256(first) << INSPECTION_END) | (uint256(end) << DECLARATION_END);
        uint256 leafIndex = PLACES * index + place;
        bool isDeclaration = first <= leafIndex && leafIndex < end;
        assert(_nibble(_declarations(batch, index), place) == (isDeclaration ? 15 : 0));
    }

    /// @dev What each mix of roles may do in a batch of its own and in another's, whether the ledger is paused or not.
    function check_rights(uint8 roles, uint32 id, uint32 anchorer, bool paused, uint8 from, uint8 to) external {
        if (roles > 7 || from > 15 || to > 15) return;
        _agents[msg.sender] = roles | (uint256(id) << ID);
        _pausedUntil = paused ? type(uint40).max : 0;
        uint256 rights = _rightsOf(msg.sender, uint256(anchorer) << BATCH_ANCHORER);
        (bool own, bool office) = (roles & ANCHORER != 0 && id == anchorer, roles & OFFICE != 0);
        if (from <= 8 && _holds(rights, from, to)) {
            assert(!paused && from <= 3 && to != 0 && to <= 8 && to != from);
            assert(to == 8 ? own && from <= 1 : office);
        }
        if (from <= 3 && _holds(rights >> DOCUMENTS, from, to)) {
            assert(own && from <= 1 && to <= 3 && to != from);
            assert(!paused || to == 2 || to == 1);
        }
        if (rights & HOLD != 0) assert(roles & AUTHORITY != 0 && !own);
    }

    /// @dev What passes is an edge of the rights of its entry: of a document or a declaration, whatever else the word is.
    function check_edge(uint256 word, uint8 where, uint8 to, bool isDeclaration, uint256 rights) external view {
        if (to > 14) return;
        uint256 place = _placeOf(where);
        uint256 bit = uint256(1) << (4 * place);
        _requireEdges(0, 0, word, uint256(to) << (4 * place), bit, isDeclaration ? type(uint256).max : 0, rights);
        assert(_holds(isDeclaration ? rights : rights >> DOCUMENTS, _nibble(word, place), to));
    }

    /// @dev In the middle of a word a status that is changed becomes what was asked for, and all others stay. A document
    /// stays suspended by an authority.
    function check_change(uint256 word, uint8 to, bool isDeclaration) external view {
        if (to > 14) return;
        uint256 batch = (PLACES << SIZE) | (isDeclaration ? PLACES << DECLARATION_END : 0);
        uint256 then_ = _changed(0, batch, ~HOLD, 0, word, (uint256(to) + 1) << 124);
        assert(_nibble(then_, 31) == to | (isDeclaration ? 0 : _nibble(word, 31) & 4));
        assert((word ^ then_) & ~(uint256(15) << 124) == 0);
    }

    /// @dev The first place of a word, one in its middle, or the last.
    function _placeOf(uint8 where) private pure returns (uint256) {
        if (where == 0) return 0;
        return where == 1 ? 31 : PLACES - 1;
    }

    function _nibble(uint256 word, uint256 place) private pure returns (uint256) {
        return (word >> (4 * place)) & 15;
    }

    function _holds(uint256 edges, uint256 from, uint256 to) private pure returns (bool) {
        return (edges >> (16 * from + to)) & 1 == 1;
    }
}
