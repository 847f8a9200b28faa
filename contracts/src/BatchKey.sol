// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Keys of batches
/// @notice A batch belongs to the agent that anchored it: whoever else anchors the same root has another batch, so that
/// nobody can take a root from its owner by being quicker.
library BatchKey {
    /// @notice The key of a batch: SHA-256 of its anchorer's id, as a word of 32 bytes, and its root.
    /// @dev SHA-256 as in the tree itself, so that readers need no second hash function. These 64 bytes are neither as many
    /// as a node's input (65) nor as an entry's leaf's (50), so no tree has a key for its root.
    function from(uint32 anchorer, bytes32 root) internal view returns (bytes32 key) {
        bool done;
        // Widened here, since the bits above an id are anybody's guess in assembly.
        uint256 id = anchorer;
        assembly ("memory-safe") {
            mstore(0x00, id)
            mstore(0x20, root)
            // A chain without the precompile at address 2 would answer success and nothing.
            done := and(eq(returndatasize(), 0x20), staticcall(gas(), 2, 0x00, 0x40, 0x00, 0x20))
            key := mload(0x00)
        }
        require(done);
    }
}
