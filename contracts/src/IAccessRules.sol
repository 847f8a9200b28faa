// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

/// @title The powers over the contracts, and the limits of each
/// @notice OpenZeppelin's access manager with rules of our own, so that no stolen account can end or outlast the others:
/// taking a role away never waits, and giving one does; a guardian goes after a notice that it cannot cancel; nobody can
/// take the brake from those who hold it; somebody administers always.
/// @dev A role's number decides which rules hold for it: {AccessManager} names the numbers.
interface IAccessRules is IAccessManager {
    /// @notice A change of guardian that was proposed; fills two storage slots.
    /// @param outgoing The guardian that goes; zero where one only comes.
    /// @param due From when on the change can be made; 0 where none is proposed.
    /// @param incoming The account that becomes guardian; zero where one only goes.
    struct GuardianChange {
        address outgoing;
        uint48 due;
        address incoming;
    }

    /// @notice A guardian will go, or another will take its place.
    event GuardianChangeProposed(address indexed outgoing, address indexed incoming, uint48 due);

    /// @notice A proposed change of guardian will not be made.
    event GuardianChangeCancelled(address indexed outgoing, address indexed incoming);

    /// @notice A guardian has gone, or another has taken its place.
    event GuardianChanged(address indexed outgoing, address indexed incoming);

    /// @notice A guardian and its brake are taken away by {changeGuardian} only.
    error AccessManagerGuardianNeedsNotice(address account);

    /// @notice This is no change: who goes must be a guardian, and who comes must not be one.
    error AccessManagerNoGuardianChange(address outgoing, address incoming);

    /// @notice A change of guardian is proposed already, and can be made from then on.
    error AccessManagerGuardianChangePending(uint48 due);

    /// @notice No change of guardian is proposed, or it is not due yet, or was due too long ago.
    error AccessManagerGuardianChangeNotDue(uint48 due);

    /// @notice A role is laid down by nobody: whoever stole an account would end its powers with it.
    error AccessManagerRoleNotRenounced(uint64 roleId);

    /// @notice The last admin stays.
    error AccessManagerLastAdmin(address account);

    /// @notice Who takes trust away must never have to wait.
    error AccessManagerBrakeNotDelayed(uint64 roleId, address account);

    /// @notice The role of this function, or the guardian of this role, is fixed for good, and who has the brake uses it
    /// by itself.
    error AccessManagerFixed();

    /// @notice Proposes that a guardian goes, that another comes, or both. By an admin, at once.
    /// @param outgoing The guardian that goes, or zero.
    /// @param incoming The account that becomes guardian, or zero.
    function proposeGuardianChange(address outgoing, address incoming) external;

    /// @notice Makes the proposed change, 7 to 14 days after it was proposed. By an admin.
    function changeGuardian() external;

    /// @notice Takes a proposed change back. By an admin, and not by a guardian.
    function cancelGuardianChange() external;

    /// @notice The change of guardian that is proposed; all zero where there is none.
    function guardianChange() external view returns (GuardianChange memory);

    /// @notice How many accounts have the admin's role.
    function adminCount() external view returns (uint256);
}
