// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccreditation} from "../src/IAccreditation.sol";
import {ICertificateBalance} from "../src/ICertificateBalance.sol";
import {IRevocations} from "../src/IRevocations.sol";
import {ITraceLedger} from "../src/ITraceLedger.sol";
import {Handler} from "./Handler.sol";
import {vm} from "./Vm.sol";

/// @notice What holds whatever anybody does, in any order. Each is broken by at least one of the planted mutants
/// (contracts/tools/mutants.py), which must then fail here.
contract Invariants {
    Handler private handler;
    ITraceLedger private ledger;
    IAccreditation private accreditation;

    function setUp() external {
        handler = new Handler();
        (ledger, accreditation, ) = handler.contracts();
    }

    /// @dev The contract that counts now.
    function _balance() private view returns (ICertificateBalance balance) {
        (, , balance) = handler.contracts();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_01_an_anchored_root_stays_as_it_is() external view {
        for (uint256 i; i < handler.batchCount(); ++i) {
            Handler.Known memory batch = handler.batchAt(i);
            _same(abi.encode(ledger.batchOf(batch.key)), abi.encode(batch.anchored), "a batch has changed");
        }
        _flawless(1);
    }

    function invariant_02_numbers_rise_by_one_without_gaps() external view {
        for (uint256 person; person < 6; ++person) {
            uint32 counted = ledger.agentOf(handler.account(person)).batchCount;
            require(counted == handler.counts(person), "a count is not that of the batches");
        }
        _flawless(2);
    }

    function invariant_03_drawn_down_and_remaining_make_the_quantity() external view {
        for (uint256 i; i < handler.batchCount(); ++i) {
            Handler.Known memory batch = handler.batchAt(i);
            for (uint32 leafIndex; leafIndex < 2; ++leafIndex) {
                ICertificateBalance.Balance memory kept = _balance().balanceOf(batch.key, handler.placeOf(leafIndex));
                require(kept.remaining <= kept.quantity, "more remains than there was");
                if (batch.carried[leafIndex]) continue;
                require(kept.remaining + batch.outstanding[leafIndex] == kept.quantity, "drawdowns do not add up");
                require(kept.quantity == (batch.activated[leafIndex] ? 100 : 0), "not the quantity of the entry");
            }
        }
        _flawless(3);
    }

    function invariant_04_a_status_moves_along_its_segments_edges_only() external view {
        for (uint256 i; i < handler.batchCount(); ++i) {
            Handler.Known memory batch = handler.batchAt(i);
            for (uint256 leafIndex; leafIndex < 4; ++leafIndex) {
                uint8 status = ledger.statusOf(batch.key, handler.placeOf(leafIndex));
                require(status == handler.shown(batch, leafIndex), "a status nobody gave");
            }
        }
        _flawless(4);
    }

    function invariant_05_only_accredited_issuers_and_only_by_those_who_may() external view {
        _flawless(5);
    }

    function invariant_06_nothing_is_drawn_down_that_does_not_stand() external view {
        _flawless(6);
    }

    function invariant_07_whoever_has_no_role_changes_no_slot() external view {
        _flawless(7);
    }

    function invariant_08_each_thing_is_done_once() external view {
        for (uint256 i; i < handler.setCount(); ++i) {
            Handler.DrawdownSet memory set = handler.setAt(i);
            uint256 expected = set.drawdowns.length << 248;
            for (uint256 j; j < set.drawdowns.length; ++j) if (set.refunded[j]) expected |= 1 << j;
            require(_balance().drawingOf(set.root) == expected, "a set of drawdowns is not as it was left");
        }
        _flawless(8);
    }

    function invariant_09_a_pause_stops_writes_and_no_revocation_and_no_read() external view {
        require(ledger.isPaused() == handler.paused(), "not paused as told");
        _flawless(9);
    }

    function invariant_10_events_replayed_give_the_storage() external view {
        require(handler.saidPaused() == ledger.isPaused(), "events differ about the pause");
        for (uint256 person; person < 6; ++person) {
            address account = handler.account(person);
            require(handler.saidRoles(account) == ledger.agentOf(account).roles, "events differ about roles");
        }
        for (uint256 i; i < handler.batchCount(); ++i) {
            bytes32 key = handler.batchAt(i).key;
            ITraceLedger.Batch memory batch = ledger.batchOf(key);
            require(handler.saidBatch(key) == (uint256(batch.number) << 32) | batch.size, "events differ about a batch");
            for (uint32 leafIndex; leafIndex < 2; ++leafIndex) {
                bytes32 certificate = keccak256(abi.encode(key, uint256(handler.placeOf(leafIndex))));
                uint256 remaining = _balance().balanceOf(key, handler.placeOf(leafIndex)).remaining;
                require(handler.saidRemaining(certificate) == remaining, "events differ about what remains");
            }
        }
        for (uint256 i; i < handler.setCount(); ++i) {
            bytes32 root = handler.setAt(i).root;
            require(handler.saidSet(root) == _balance().drawingOf(root), "events differ about a set of drawdowns");
        }
        for (uint256 key; key < 5; ++key) {
            bytes memory said = abi.encode(handler.saidTermsOf(handler.keyAt(key)));
            _same(said, abi.encode(accreditation.accreditationOf(handler.keyAt(key))), "events differ about a key");
        }
    }

    function invariant_12_no_power_undoes_a_decision() external view {
        _flawless(12);
    }

    function invariant_13_what_the_ledger_said_it_still_says() external view {
        for (uint256 key; key < 5; ++key) {
            Handler.Version[] memory versions = handler.versionsOf(key);
            require(accreditation.versionCount(handler.keyAt(key)) >= versions.length, "versions are missing");
            for (uint256 i; i < versions.length; ++i) {
                if (i + 1 < versions.length && versions[i + 1].time == versions[i].time) continue;
                IAccreditation.Terms memory now_ = accreditation.accreditationAt(handler.keyAt(key), versions[i].time);
                _same(abi.encode(now_), abi.encode(versions[i].terms), "the past has changed");
            }
        }
    }

    function invariant_14_a_rotated_key_signs_no_more() external view {
        for (uint256 key; key < 5; ++key) {
            uint40 rotatedAt = handler.rotatedAt(key);
            if (rotatedAt == 0) continue;
            bytes32 name = handler.keyAt(key);
            require(!accreditation.isAccredited(name, 1, 9, rotatedAt), "accredited after it was rotated");
            uint40 time = uint40(block.timestamp);
            require(!accreditation.wasAccredited(name, 1, 9, time, time), "accredited now");
        }
        _flawless(14);
    }

    function invariant_15_who_suspended_lifts() external view {
        for (uint256 i; i < handler.batchCount(); ++i) {
            Handler.Known memory batch = handler.batchAt(i);
            for (uint256 leafIndex; leafIndex < 2; ++leafIndex) {
                bool suspended = batch.held[leafIndex] || batch.status[leafIndex] == 1;
                uint8 status = ledger.statusOf(batch.key, handler.placeOf(leafIndex));
                require(!suspended || status != 0, "lifted by the other side");
            }
        }
        _flawless(15);
    }

    function invariant_16_an_account_that_gave_way_is_followed_and_never_acts() external view {
        for (uint256 person; person < 6; ++person) {
            ITraceLedger.Agent memory agent = ledger.agentOf(handler.account(person));
            require(agent.roles == handler.rolesOf(person), "not the roles that the agent has");
            require(agent.batchCount == handler.counts(person), "its batches are no longer its own");
        }
        _flawless(16);
    }

    function invariant_18_a_suspension_holds_at_once_and_until_it_is_lifted() external view {
        _flawless(18);
    }

    function invariant_22_nobody_takes_anothers_root() external view {
        for (uint256 i; i < handler.batchCount(); ++i) {
            Handler.Known memory batch = handler.batchAt(i);
            require(_key(batch.by, handler.rootOf(i)) == batch.key, "a batch is not under its own key");
            uint32 owner = ledger.agentOf(handler.account(batch.by)).id;
            require(ledger.batchOf(batch.key).anchorer == owner, "a batch is another's");
        }
        _flawless(22);
    }

    function invariant_23_no_certificate_is_used_up_without_consent() external view {
        _flawless(23);
    }

    function invariant_25_a_successor_goes_on_with_the_account() external view {
        for (uint256 i; i < handler.batchCount(); ++i) {
            Handler.Known memory batch = handler.batchAt(i);
            for (uint256 slot; slot < 2; ++slot) {
                if (!batch.activated[slot]) continue;
                ICertificateBalance.Balance memory kept = _balance().balanceOf(batch.key, handler.placeOf(slot));
                if (batch.carried[slot]) require(kept.remaining == 0, "a superseded certificate kept its balance");
                else require(kept.remaining + batch.outstanding[slot] == kept.quantity, "an account was begun anew");
            }
        }
        _flawless(25);
    }

    function invariant_26_one_contract_counts_at_a_time() external view {
        for (uint256 i; i < handler.batchCount(); ++i) {
            Handler.Known memory batch = handler.batchAt(i);
            for (uint256 slot; slot < 2; ++slot) {
                ICertificateBalance.Balance memory kept = _balance().balanceOf(batch.key, handler.placeOf(slot));
                uint256 left = batch.activated[slot] && !batch.carried[slot] ? 100 - batch.outstanding[slot] : 0;
                require(kept.remaining == left, "not what was left");
            }
        }
        for (uint256 i; i < handler.setCount(); ++i) {
            require(_balance().drawingOf(handler.setAt(i).root) != 0, "a set of drawdowns was forgotten");
        }
        _flawless(26);
    }

    function invariant_27_a_statement_is_corrected_before_its_use_only() external view {
        _flawless(27);
    }

    function invariant_28_an_end_is_the_records_since_its_earliest_batch() external view {
        for (uint256 i; i < handler.batchCount(); ++i) {
            Handler.Known memory batch = handler.batchAt(i);
            uint256 records = uint128(batch.tree);
            for (uint256 slot; slot < 3; ++slot) {
                IRevocations.Revocation memory found = handler.publishedOf(i, slot);
                require(found.since == handler.endedSince(records, slot), "since another time");
                require(uint8(found.status) == handler.endedAs(records, slot), "another end");
                require(found.since <= found.publishedAt, "published before it was anchored");
                uint40 own = handler.ownEndedSince(records, slot, batch.by);
                require(handler.ownPublishedOf(i, slot) == own, "its own anchorer's word is another");
                uint256 said = handler.saidEnded(handler.leafOf(i, slot));
                require(said == (uint256(found.since) << 8) | uint8(found.status), "events differ about an end");
            }
        }
        _flawless(28);
    }

    function invariant_29_the_office_that_a_batch_names_decides_alone() external view {
        for (uint256 i; i < handler.batchCount(); ++i) {
            Handler.Known memory batch = handler.batchAt(i);
            uint256 office = batch.office == 0 ? 0 : ledger.agentOf(handler.account(batch.office - 1)).id;
            require(ledger.decidingOffice(batch.key) == office, "a batch names another office");
        }
        _flawless(29);
    }

    /// @dev Cost must not grow with what the ledger already holds.
    function test_11_no_act_costs_more_on_a_full_ledger() external {
        handler.anchor(0, 1, false);
        uint256 early = _anchorGas(1);
        for (uint256 i = 2; i < 400; ++i) _anchorGas(i);
        uint256 late = _anchorGas(400);
        require(late < early + 500 && late < 60_000, "the cost of an anchor grows");
    }

    function test_04_nothing_leads_on_from_an_end() external {
        for (uint256 end = 4; end <= 8; ++end) {
            bytes32 root = bytes32(end);
            vm.prank(handler.account(0));
            ledger.anchor(root, 0, 0, 1, 1);
            root = _key(0, root);
            vm.prank(handler.account(end == 8 ? 0 : 2));
            (bool done, ) = address(ledger).call(_changeCall(root, 0, end + 1));
            require(done, "an end is not reached");
            for (uint256 to; to < 15; ++to) {
                for (uint256 person; person < 6; ++person) {
                    vm.prank(handler.account(person));
                    (done, ) = address(ledger).call(_changeCall(root, 0, to + 1));
                    require(!done, "a declaration went on from its end");
                }
            }
        }
    }

    function testFuzz_04_words_are_changed_as_single_statuses_are(
        uint256[4] calldata changes,
        uint32[4] calldata ends
    ) external {
        uint32 size = 1 + (ends[3] % 300);
        uint32 declarationEnd = ends[2] % (size + 1);
        uint32 inspectionEnd = ends[1] % (declarationEnd + 1);
        bytes32 root = keccak256(abi.encode(changes, ends));
        vm.prank(handler.account(4));
        ledger.anchor(root, ends[0] % (inspectionEnd + 1), inspectionEnd, declarationEnd, size);
        root = _key(4, root);
        for (uint256 i; i < 4; ++i) {
            uint256 index = i % 2;
            // Mostly small changes, or no random word would ever be legal.
            uint256 change = i < 2 ? changes[i] & (changes[i] >> 3) & (0x3333 << (4 * (changes[i] % 60))) : changes[i];
            uint256 before = ledger.statusWord(root, index);
            bool legal = _legal(before, change, index, [inspectionEnd, declarationEnd, size]);
            vm.prank(handler.account(4));
            (bool done, ) = address(ledger).call(_changeCall(root, index, change));
            require(done == legal, "the word and its statuses disagree");
            require(ledger.statusWord(root, index) == (legal ? _applied(before, change) : before), "another word");
        }
    }

    function _key(uint256 person, bytes32 root) private view returns (bytes32) {
        return sha256(abi.encode(ledger.agentOf(handler.account(person)).id, root));
    }

    function _changeCall(bytes32 root, uint256 index, uint256 change) private view returns (bytes memory) {
        ITraceLedger.WordChange[] memory changes = new ITraceLedger.WordChange[](1);
        changes[0] = ITraceLedger.WordChange(index, change);
        return abi.encodeCall(ledger.changeStatuses, (root, changes, root));
    }

    /// @dev Status by status, what somebody with every role may do in an own batch.
    function _legal(
        uint256 word,
        uint256 change,
        uint256 index,
        uint32[3] memory ends
    ) private pure returns (bool) {
        if (change == 0) return false;
        for (uint256 i; i < 64; ++i) {
            uint256 wanted = (change >> (4 * i)) & 15;
            if (wanted == 0) continue;
            (uint256 leafIndex, uint256 from, uint256 to) = (64 * index + i, (word >> (4 * i)) & 15, wanted - 1);
            if (leafIndex >= ends[2] || from == to) return false;
            if (leafIndex >= ends[0] && leafIndex < ends[1]) {
                if (from > 3 || to == 0 || to > 8 || (to == 8 && from > 1)) return false;
            } else if (from > 1 || to > 3) return false;
        }
        return true;
    }

    function _applied(uint256 word, uint256 change) private pure returns (uint256) {
        for (uint256 i; i < 64; ++i) {
            uint256 wanted = (change >> (4 * i)) & 15;
            if (wanted != 0) word = (word & ~(uint256(15) << (4 * i))) | ((wanted - 1) << (4 * i));
        }
        return word;
    }

    function _anchorGas(uint256 i) private returns (uint256 used) {
        vm.prank(handler.account(0));
        used = gasleft();
        ledger.anchor(keccak256(abi.encode("gas", i)), 0, 0, 1, 1);
        used -= gasleft();
    }

    function _flawless(uint256 invariant) private view {
        string memory fault = handler.faults(invariant);
        require(bytes(fault).length == 0, fault);
    }

    function _same(bytes memory one, bytes memory other, string memory fault) private pure {
        require(keccak256(one) == keccak256(other), fault);
    }
}
