// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccreditation} from "../src/IAccreditation.sol";
import {Deployed} from "./Deployed.sol";
import {vm} from "./Vm.sol";

/// @notice No later act makes good what a key signed when it might not. Histories that chance makes are kept here a
/// second time, as plain lists, and what a signature is covered by is looked for in them from the first entry to the last.
contract History is Deployed {
    uint40 private constant START = 1_800_000_000;
    uint40 private constant GRACE = 72 hours;
    bytes32 private constant KEY = keccak256("a chamber's key");
    bytes32 private constant OTHER = keccak256("another chamber's key");

    struct Version {
        uint40 time;
        IAccreditation.Terms terms;
    }

    Version[] private versions;
    IAccreditation.Suspension[] private suspensions;
    uint40 private standing;
    bool private rotated;

    function setUp() external {
        vm.warp(START);
        deployAll();
    }

    function testFuzz_24_a_history_is_not_whitewashed(uint256[14] calldata seeds) external {
        for (uint256 i; i < seeds.length; ++i) {
            uint256 seed = seeds[i];
            vm.warp(block.timestamp + _pick(seed, [uint40(0), 60, 299, 301, 1 hours, 71 hours, 73 hours, 20 days]));
            seed >>= 8;
            if (seed % 8 < 4) _accredit(seed >> 8);
            else if (seed % 8 < 6) _suspend(seed >> 8);
            else if (seed % 16 < 15) _reinstate();
            else _rotate(seed >> 8);
            _compare(seed >> 64);
        }
        _compareLists();
    }

    function test_24_zero_is_no_key() external {
        (bool done, ) = address(accreditation).call(
            abi.encodeCall(accreditation.accredit, (bytes32(0), 2, 1, START, START + 1))
        );
        require(!done, "zero was accredited");
    }

    function test_24_a_history_is_taken_over_at_the_beginning_only() external {
        bytes memory takeOver = abi.encodeCall(accreditation.takeOver, ());
        (bool done, ) = address(accreditation).call(takeOver);
        require(done && accreditation.takenOverUntil() == START + 3 days, "not taken over");
        accreditation.accredit(KEY, 2, 1 << 9, START - 100 days, START + 100 days);
        vm.warp(START + 3 days + 1);
        accreditation.accredit(OTHER, 2, 1 << 9, START - 100 days, START + 100 days);
        require(_covered(KEY, START - 50 days, START + 1), "what was taken over does not count");
        require(!_covered(OTHER, START - 50 days, START + 4 days), "dated back after it was taken over");
        (done, ) = address(accreditation).call(takeOver);
        require(!done, "taken over once more");
    }

    function _covered(bytes32 key, uint40 moment, uint40 anchoredAt) private view returns (bool) {
        return accreditation.wasAccredited(key, 1, 9, moment, anchoredAt);
    }

    function _accredit(uint256 seed) private {
        uint40 from = uint40(block.timestamp - _pick(seed, [uint40(0), 0, 0, 60, 1 days, 10 days, 100 days, 100 days]));
        uint40 until = from + 1 + _pick(seed >> 8, [uint40(1), 1 hours, 1 days, 30 days, 130 days, 1000 days, 1000 days, 0]);
        uint16 kinds = (seed >> 16) % 8 == 0 ? 1 << 15 : 2;
        uint128 chapters = (seed >> 24) % 8 == 0 ? 1 << 50 : uint128(1 << (9 * ((seed >> 32) % 2)));
        bytes memory data = abi.encodeCall(accreditation.accredit, (KEY, kinds, chapters, from, until));
        if (_do(data)) _append(IAccreditation.Terms(kinds, chapters, from, until, standing));
    }

    function _suspend(uint256 seed) private {
        uint40 since = uint40(block.timestamp - _pick(seed, [uint40(0), 0, 1, 60, 1 hours, 1 days, 10 days, 50 days]));
        if (!_do(abi.encodeCall(accreditation.suspend, (KEY, since)))) return;
        standing = since;
        _appendLast();
    }

    function _reinstate() private {
        if (!_do(abi.encodeCall(accreditation.reinstate, (KEY)))) return;
        suspensions.push(IAccreditation.Suspension(standing, uint40(block.timestamp)));
        standing = 0;
        _appendLast();
    }

    function _rotate(uint256 seed) private {
        if (!_do(abi.encodeCall(accreditation.rotate, (KEY, bytes32(seed))))) return;
        IAccreditation.Terms memory terms = versions[versions.length - 1].terms;
        terms.validUntil = uint40(block.timestamp);
        _append(terms);
    }

    function _do(bytes memory data) private returns (bool done) {
        (done, ) = address(accreditation).call(data);
    }

    function _appendLast() private {
        IAccreditation.Terms memory terms = versions[versions.length - 1].terms;
        terms.suspendedSince = standing;
        _append(terms);
    }

    function _append(IAccreditation.Terms memory terms) private {
        versions.push(Version(uint40(block.timestamp), terms));
    }

    function _compare(uint256 seed) private view {
        if (versions.length == 0) return;
        for (uint256 i; i < 3; ++i) {
            uint40 moment = _edge(seed >> (48 * i));
            uint256 after_ = seed >> (48 * i + 32);
            uint40 anchoredAt = moment + _pick(after_, [uint40(0), 0, 1, 1 hours, GRACE - 1, GRACE, GRACE + 1, 90 days]);
            require(_covered(KEY, moment, anchoredAt) == _isCovered(moment, anchoredAt), "judged by another history");
        }
    }

    /// @dev A moment at or beside something that happened.
    function _edge(uint256 seed) private view returns (uint40 moment) {
        Version memory version = versions[(seed >> 8) % versions.length];
        moment = version.time;
        if (seed % 8 == 1) moment = version.terms.validFrom;
        if (seed % 8 == 2) moment = version.terms.validUntil;
        if (seed % 8 == 3 && standing != 0) moment = standing;
        if (seed % 8 > 5 && suspensions.length != 0) {
            IAccreditation.Suspension memory found = suspensions[(seed >> 16) % suspensions.length];
            moment = seed % 8 == 6 ? found.since : found.lifted;
        }
        moment = moment + 400 - _pick(seed >> 24, [uint40(400), 400, 400, 399, 401, 700, 701, 0]);
    }

    function _isCovered(uint40 moment, uint40 anchoredAt) private view returns (bool) {
        (bool known, IAccreditation.Terms memory terms) = _at(moment);
        if (!known) (known, terms) = _at(moment + 5 minutes);
        if (!known || !_covers(terms, moment)) return false;
        if (standing != 0 && standing <= anchoredAt) return false;
        for (uint256 i; i < suspensions.length; ++i) {
            if (suspensions[i].since <= anchoredAt && moment < suspensions[i].lifted) return false;
        }
        if (anchoredAt <= moment + GRACE) return true;
        (bool stood, IAccreditation.Terms memory late) = _at(anchoredAt - GRACE);
        if (stood) terms = late;
        return _covers(terms, moment) && terms.validUntil > anchoredAt - GRACE;
    }

    function _at(uint40 time) private view returns (bool known, IAccreditation.Terms memory terms) {
        for (uint256 i; i < versions.length && versions[i].time <= time; ++i) (known, terms) = (true, versions[i].terms);
    }

    function _covers(IAccreditation.Terms memory terms, uint40 moment) private pure returns (bool) {
        bool named = terms.kinds & 2 != 0 && (terms.chapters & 1 != 0 || terms.chapters & (1 << 9) != 0);
        return named && terms.validFrom <= moment && moment < terms.validUntil;
    }

    function _compareLists() private view {
        require(accreditation.versionCount(KEY) == versions.length, "versions are missing");
        for (uint256 i; i < versions.length; ++i) {
            (IAccreditation.Terms memory terms, uint40 recordedAt) = accreditation.version(KEY, i);
            bytes32 found = keccak256(abi.encode(recordedAt, terms));
            require(found == keccak256(abi.encode(versions[i].time, versions[i].terms)), "another version");
        }
        IAccreditation.Suspension[] memory listed = accreditation.suspensionsOf(KEY);
        require(listed.length == suspensions.length + (standing == 0 ? 0 : 1), "suspensions are missing");
        for (uint256 i; i < suspensions.length; ++i) {
            bool same = listed[i].since == suspensions[i].since && listed[i].lifted == suspensions[i].lifted;
            require(same, "another suspension");
        }
    }

    function _pick(uint256 seed, uint40[8] memory choices) private pure returns (uint40) {
        return choices[seed % 8];
    }
}
