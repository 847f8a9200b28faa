// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    AccessManager as OpenZeppelinAccessManager
} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {IAccessRules} from "./IAccessRules.sol";

/// @title AccessManager
/// @notice See {IAccessRules}.
contract AccessManager is IAccessRules, OpenZeppelinAccessManager {
    /// @dev Pauses the ledger and suspends keys.
    uint64 private constant BRAKE_ROLE = 2;
    /// @dev Cancels what was announced.
    uint64 private constant GUARDIAN_ROLE = 4;
    /// @dev Nobody's: the manager's own functions have it, so that a guardian may cancel calls of these.
    uint64 private constant ADMINISTRATION = 5;
    /// @dev Takes agents' roles away and renews a pause.
    uint64 private constant REMOVAL_ROLE = 6;

    uint48 private constant NOTICE = 7 days;

    uint256 private _adminCount;
    GuardianChange private _change;

    /// @param initialAdmin Who administers until it gives that to another.
    constructor(address initialAdmin) OpenZeppelinAccessManager(initialAdmin) {}

    modifier onlyAdmin() {
        (bool isAdmin, ) = hasRole(ADMIN_ROLE, msg.sender);
        if (!isAdmin) revert AccessManagerUnauthorizedAccount(msg.sender, ADMIN_ROLE);
        _;
    }

    /// @inheritdoc IAccessRules
    function proposeGuardianChange(address outgoing, address incoming) external onlyAdmin {
        if (
            (outgoing == address(0) && incoming == address(0)) ||
            (outgoing != address(0) && !_isGuardian(outgoing)) ||
            (incoming != address(0) && _isGuardian(incoming))
        ) revert AccessManagerNoGuardianChange(outgoing, incoming);
        uint48 pending = _change.due;
        if (pending != 0 && block.timestamp < pending + expiration()) {
            revert AccessManagerGuardianChangePending(pending);
        }
        uint48 due = uint48(block.timestamp) + NOTICE;
        _change = GuardianChange(outgoing, due, incoming);
        emit GuardianChangeProposed(outgoing, incoming, due);
    }

    /// @inheritdoc IAccessRules
    function changeGuardian() external onlyAdmin {
        GuardianChange memory change = _change;
        if (change.due == 0 || block.timestamp < change.due || block.timestamp >= change.due + expiration()) {
            revert AccessManagerGuardianChangeNotDue(change.due);
        }
        delete _change;
        if (change.outgoing != address(0)) {
            super._revokeRole(GUARDIAN_ROLE, change.outgoing);
            super._revokeRole(BRAKE_ROLE, change.outgoing);
        }
        if (change.incoming != address(0)) {
            _grantRole(GUARDIAN_ROLE, change.incoming, 0, 0);
            _grantRole(BRAKE_ROLE, change.incoming, 0, 0);
        }
        emit GuardianChanged(change.outgoing, change.incoming);
    }

    /// @inheritdoc IAccessRules
    function cancelGuardianChange() external onlyAdmin {
        GuardianChange memory change = _change;
        if (change.due == 0) revert AccessManagerGuardianChangeNotDue(0);
        delete _change;
        emit GuardianChangeCancelled(change.outgoing, change.incoming);
    }

    /// @inheritdoc IAccessRules
    function guardianChange() external view returns (GuardianChange memory) {
        return _change;
    }

    /// @inheritdoc IAccessRules
    function adminCount() external view returns (uint256) {
        return _adminCount;
    }

    /// @inheritdoc IAccessManager
    /// @dev By the role's admin at once, whatever its delay; but one admin removes another with the notice of any act of
    /// its own, so that a guardian can tell the thief of two.
    function revokeRole(
        uint64 roleId,
        address account
    ) public override(OpenZeppelinAccessManager, IAccessManager) {
        (bool mayAtOnce, ) = hasRole(getRoleAdmin(roleId), msg.sender);
        if (mayAtOnce && roleId != ADMIN_ROLE) _revokeRole(roleId, account);
        else super.revokeRole(roleId, account);
    }

    /// @inheritdoc IAccessManager
    /// @dev Only an admin may, and only where another stays.
    function renounceRole(
        uint64 roleId,
        address callerConfirmation
    ) public override(OpenZeppelinAccessManager, IAccessManager) {
        if (roleId != ADMIN_ROLE) revert AccessManagerRoleNotRenounced(roleId);
        super.renounceRole(roleId, callerConfirmation);
    }

    /// @inheritdoc IAccessManager
    /// @dev Not with the brake: the ledger counts the pauses of each caller, and here the manager would be the caller, as
    /// if it were one more holder of the brake.
    function execute(
        address target,
        bytes calldata data
    ) public payable override(OpenZeppelinAccessManager, IAccessManager) returns (uint32) {
        if (getTargetFunctionRole(target, bytes4(data[0:4])) == BRAKE_ROLE) revert AccessManagerFixed();
        return super.execute(target, data);
    }

    /// @inheritdoc IAccessManager
    /// @dev Never: the next manager would know of none of these rules.
    function updateAuthority(
        address,
        address
    ) public pure override(OpenZeppelinAccessManager, IAccessManager) {
        revert AccessManagerFixed();
    }

    /// @inheritdoc IAccessManager
    function canCall(
        address caller,
        address target,
        bytes4 selector
    ) public view override(OpenZeppelinAccessManager, IAccessManager) returns (bool, uint32) {
        // The other way to a next manager: an admin's announced call of the contract itself.
        if (selector == IAccessManaged.setAuthority.selector) return (false, 0);
        return super.canCall(caller, target, selector);
    }

    function _grantRole(
        uint64 roleId,
        address account,
        uint32 grantDelay,
        uint32 executionDelay
    ) internal override returns (bool isNew) {
        if ((roleId == BRAKE_ROLE || roleId == REMOVAL_ROLE) && executionDelay != 0) {
            revert AccessManagerBrakeNotDelayed(roleId, account);
        }
        isNew = super._grantRole(roleId, account, grantDelay, executionDelay);
        if (isNew && roleId == ADMIN_ROLE) ++_adminCount;
    }

    function _revokeRole(uint64 roleId, address account) internal override returns (bool isGone) {
        if (roleId == GUARDIAN_ROLE || (roleId == BRAKE_ROLE && _isGuardian(account))) {
            revert AccessManagerGuardianNeedsNotice(account);
        }
        isGone = super._revokeRole(roleId, account);
        if (isGone && roleId == ADMIN_ROLE && --_adminCount == 0) revert AccessManagerLastAdmin(account);
    }

    /// @dev A closed target refuses the brake too.
    function _setTargetClosed(address, bool) internal pure override {
        revert AccessManagerFixed();
    }

    function _setTargetFunctionRole(address target, bytes4 selector, uint64 roleId) internal override {
        uint64 standing = getTargetFunctionRole(target, selector);
        if (standing == BRAKE_ROLE || standing == REMOVAL_ROLE || standing == ADMINISTRATION) {
            revert AccessManagerFixed();
        }
        super._setTargetFunctionRole(target, selector, roleId);
    }

    function _setRoleGuardian(uint64 roleId, uint64 guardian) internal override {
        if (getRoleGuardian(roleId) != ADMIN_ROLE) revert AccessManagerFixed();
        super._setRoleGuardian(roleId, guardian);
    }

    function _isGuardian(address account) private view returns (bool isGuardian) {
        (isGuardian, ) = hasRole(GUARDIAN_ROLE, account);
    }
}
