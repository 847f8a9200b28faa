// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IAccessRules} from "../src/IAccessRules.sol";
import {IAccreditation} from "../src/IAccreditation.sol";
import {ITraceLedger} from "../src/ITraceLedger.sol";
import {Deployed} from "./Deployed.sol";
import {vm} from "./Vm.sol";

/// @notice What holds of the powers over the contracts, whatever a thief of one of them does. The roles are given as an
/// installation has them (backend/adapters/ledger/deployment.py).
contract Powers is Deployed {
    uint40 private constant START = 1_800_000_000;
    address private constant ADMIN = address(0xAD);
    address private constant AUTHORITY = address(0xA0);
    address private constant GUARDIAN = address(0x60);
    address private constant THIEF = address(0xBAD);
    bytes32 private constant KEY = keccak256("a chamber's key");
    uint64 private constant BRAKE_ROLE = 2;
    uint64 private constant GUARDIAN_ROLE = 4;

    IAccessRules private access;

    function setUp() external {
        vm.warp(START);
        deployAll();
        access = IAccessRules(manager);
        accreditation.accredit(KEY, 2, 1 << 9, START - 1, START + 3650 days);
        _give(address(accreditation), IAccreditation.suspend.selector, BRAKE_ROLE);
        _give(address(accreditation), IAccreditation.reinstate.selector, 1);
        _give(address(ledger), ITraceLedger.pause.selector, BRAKE_ROLE);
        _give(address(ledger), ITraceLedger.renewPause.selector, 6);
        _give(address(ledger), ITraceLedger.suspendAgent.selector, 6);
        _give(address(ledger), ITraceLedger.resume.selector, 3);
        _give(address(ledger), ITraceLedger.registerAgent.selector, 3);
        bytes4[9] memory own = [
            access.grantRole.selector,
            access.revokeRole.selector,
            access.setRoleAdmin.selector,
            access.setRoleGuardian.selector,
            access.setGrantDelay.selector,
            access.setTargetAdminDelay.selector,
            access.setTargetClosed.selector,
            access.setTargetFunctionRole.selector,
            access.updateAuthority.selector
        ];
        for (uint256 i; i < own.length; ++i) _give(manager, own[i], 5);
        access.grantRole(1, AUTHORITY, 0);
        access.grantRole(BRAKE_ROLE, AUTHORITY, 0);
        access.grantRole(3, AUTHORITY, 1 days);
        access.grantRole(6, AUTHORITY, 0);
        access.grantRole(BRAKE_ROLE, GUARDIAN, 0);
        access.grantRole(GUARDIAN_ROLE, GUARDIAN, 0);
        for (uint64 role = 1; role < 6; role += 2) access.setRoleGuardian(role, GUARDIAN_ROLE);
        access.grantRole(0, ADMIN, 1 days);
        access.renounceRole(0, address(this));
    }

    /// @dev Whatever a guardian does: of any ten days the ledger is paused by it for three at most, and always runs again.
    function testFuzz_17_a_brake_pauses_for_three_days_of_ten(uint8[32] calldata acts, uint32[32] calldata waits) external {
        uint256 began;
        uint256 last;
        bytes memory byManager = abi.encodeCall(access.execute, (address(ledger), abi.encodeCall(ledger.pause, ())));
        for (uint256 i; i < acts.length; ++i) {
            // It would have a second span there, counted for the manager.
            require(!_does(GUARDIAN, manager, byManager), "paused in the manager's name");
            if (acts[i] % 3 == 0 && _does(GUARDIAN, address(ledger), abi.encodeCall(ledger.pause, ()))) {
                if (last == 0 || block.timestamp >= last) {
                    require(began == 0 || block.timestamp >= began + 10 days, "paused again too soon");
                    began = block.timestamp;
                    last = began + 72 hours;
                }
                require(ledger.pausedUntil() == last, "another end than that of its three days");
            } else if (acts[i] % 3 == 1) {
                // Somebody ends it early; the guardian may take it up.
                vm.prank(AUTHORITY);
                (bool announced, ) = manager.call(
                    abi.encodeCall(access.schedule, (address(ledger), abi.encodeCall(ledger.resume, ()), 0))
                );
                vm.warp(block.timestamp + 1 days + 1);
                if (announced) _does(AUTHORITY, address(ledger), abi.encodeCall(ledger.resume, ()));
            }
            vm.warp(block.timestamp + (waits[i] % 3 days));
            require(block.timestamp < last || !ledger.isPaused(), "the pause has not ended by itself");
        }
    }

    /// @dev The admin's thief announces one act after another, and no guardian is awake to cancel them.
    function testFuzz_19_nothing_silences_the_brake(uint256[12] calldata chances) external {
        for (uint256 i; i < chances.length; ++i) {
            bytes memory data = _adminAct(chances[i]);
            vm.prank(ADMIN);
            (bool announced, ) = manager.call(abi.encodeCall(access.schedule, (manager, data, 0)));
            if (chances[i] % 3 == 0) _does(ADMIN, manager, data);
            if (announced) vm.warp(block.timestamp + 3 days);
            _does(ADMIN, manager, data);
            _requireBrake();
        }
    }

    function test_19_no_next_manager_silences_the_brake() external {
        for (uint256 i; i < 2; ++i) {
            address target = i == 0 ? address(ledger) : address(accreditation);
            bytes memory data = abi.encodeCall(IAccessManaged.setAuthority, (THIEF));
            vm.prank(ADMIN);
            (bool announced, ) = manager.call(abi.encodeCall(access.schedule, (target, data, 0)));
            vm.warp(block.timestamp + 3 days);
            vm.prank(ADMIN);
            (bool done, ) = manager.call(abi.encodeCall(access.execute, (target, data)));
            require(!announced && !done, "another manager took over");
            bytes memory update = abi.encodeCall(access.updateAuthority, (target, address(this)));
            vm.prank(ADMIN);
            (announced, ) = manager.call(abi.encodeCall(access.schedule, (manager, update, 0)));
            vm.warp(block.timestamp + 3 days);
            require(!_does(ADMIN, manager, update), "another manager took over by an update");
        }
        _requireBrake();
    }

    function test_20_somebody_administers_always() external {
        address[3] memory people = [ADMIN, AUTHORITY, GUARDIAN];
        for (uint256 i; i < people.length; ++i) {
            for (uint64 role; role < 8; ++role) {
                (bool before, ) = access.hasRole(role, people[i]);
                _does(people[i], manager, abi.encodeCall(access.renounceRole, (role, people[i])));
                (bool still, ) = access.hasRole(role, people[i]);
                require(still == before, "a role was laid down");
            }
        }
        bytes memory away = abi.encodeCall(access.revokeRole, (0, ADMIN));
        vm.prank(ADMIN);
        access.schedule(manager, away, 0);
        vm.warp(block.timestamp + 1 days);
        require(!_does(ADMIN, manager, away), "the last admin went");
    }

    function test_20_taking_a_role_away_never_waits_and_giving_one_does() external {
        for (uint64 role = 1; role < 7; ++role) {
            (bool before, ) = access.hasRole(role, AUTHORITY);
            bool gone = _does(ADMIN, manager, abi.encodeCall(access.revokeRole, (role, AUTHORITY)));
            (bool still, ) = access.hasRole(role, AUTHORITY);
            require(!before || (gone && !still), "taking a role away waited");
            require(!_does(ADMIN, manager, abi.encodeCall(access.grantRole, (role, THIEF, 0))), "giving one did not");
        }
    }

    /// @dev A guardian goes after seven days, not before, and whatever it does meanwhile.
    function testFuzz_21_a_guardian_goes_with_a_notice_it_cannot_cancel(uint32 early, uint32 late) external {
        bytes memory change = abi.encodeCall(access.changeGuardian, ());
        vm.prank(ADMIN);
        access.proposeGuardianChange(GUARDIAN, THIEF);
        require(!_does(GUARDIAN, manager, abi.encodeCall(access.cancelGuardianChange, ())), "the guardian cancelled it");
        require(!_does(AUTHORITY, manager, abi.encodeCall(access.cancelGuardianChange, ())), "the authority did");
        for (uint64 role = BRAKE_ROLE; role <= GUARDIAN_ROLE; role += 2) {
            require(!_does(ADMIN, manager, abi.encodeCall(access.revokeRole, (role, GUARDIAN))), "gone at once");
        }
        vm.warp(START + (early % 7 days));
        require(!_does(ADMIN, manager, change), "before its time");
        vm.warp(START + 7 days + (late % 7 days));
        require(!_does(GUARDIAN, manager, change) && _does(ADMIN, manager, change), "not when it was due");
        (bool guards, ) = access.hasRole(GUARDIAN_ROLE, GUARDIAN);
        (bool brakes, ) = access.hasRole(BRAKE_ROLE, GUARDIAN);
        (bool next, ) = access.hasRole(GUARDIAN_ROLE, THIEF);
        require(!guards && !brakes && next, "not the change that was proposed");
    }

    function _adminAct(uint256 chance) private view returns (bytes memory) {
        uint256 which = (chance >> 8) % 9;
        address target = [address(ledger), address(accreditation), manager][(chance >> 16) % 3];
        uint64 role = uint64((chance >> 24) % 8);
        uint64 other = uint64((chance >> 32) % 9);
        address account = [GUARDIAN, AUTHORITY, ADMIN, THIEF][(chance >> 40) % 4];
        if (which == 0) return abi.encodeCall(access.setTargetClosed, (target, true));
        if (which == 1) {
            bytes4[] memory selectors = new bytes4[](1);
            selectors[0] = [IAccreditation.suspend.selector, ITraceLedger.pause.selector, access.revokeRole.selector][
                (chance >> 48) % 3
            ];
            return abi.encodeCall(access.setTargetFunctionRole, (target, selectors, other));
        }
        if (which == 2) return abi.encodeCall(access.grantRole, (role, account, uint32((chance >> 56) % 2) * 9 days));
        if (which == 3) return abi.encodeCall(access.revokeRole, (role, GUARDIAN));
        if (which == 4) return abi.encodeCall(access.setRoleAdmin, (role, other));
        if (which == 5) return abi.encodeCall(access.setRoleGuardian, (role, other));
        if (which == 6) return abi.encodeCall(access.setGrantDelay, (role, uint32((chance >> 56) % 20 days)));
        if (which == 7) return abi.encodeCall(access.renounceRole, (0, ADMIN));
        return abi.encodeCall(access.updateAuthority, (target, account));
    }

    function _requireBrake() private view {
        (bool suspends, ) = access.canCall(GUARDIAN, address(accreditation), IAccreditation.suspend.selector);
        (bool pauses, ) = access.canCall(GUARDIAN, address(ledger), ITraceLedger.pause.selector);
        require(suspends && pauses, "the brake is silent");
        (bool guards, ) = access.hasRole(GUARDIAN_ROLE, GUARDIAN);
        require(guards && access.getRoleGuardian(3) == GUARDIAN_ROLE, "the guardian is gone");
        require(access.adminCount() != 0, "nobody administers");
    }

    function _give(address target, bytes4 selector, uint64 role) private {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = selector;
        access.setTargetFunctionRole(target, selectors, role);
    }

    function _does(address who, address target, bytes memory data) private returns (bool done) {
        vm.prank(who);
        (done, ) = target.call(data);
    }
}
