// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Inclusion proofs of RFC 9162 (Certificate Transparency 2.0), section 2.1.3.2
/// @notice Leaves and nodes are hashed with SHA-256 under different prefixes, so that no node passes for a leaf.
library InclusionProof {
    /// @notice The hash of an entry, as it stands at the bottom of the tree.
    function leafHash(bytes memory entry) internal pure returns (bytes32) {
        return sha256(bytes.concat(bytes1(0x00), entry));
    }

    /// @notice Whether a leaf stands at an index of the tree that has this size and root.
    function includes(
        bytes32 root,
        uint256 size,
        uint256 leafIndex,
        bytes32 leaf,
        bytes32[] calldata proof
    ) internal view returns (bool) {
        (bool fits, bytes32 found) = climb(size, leafIndex, leaf, proof);
        return fits && found == root;
    }

    /// @notice The root that a leaf's proof leads to in a tree of this size, and whether it fits there at all.
    /// @dev The proof must have exactly as many hashes as the index needs: the walk refuses one too many at once and
    /// one too few at the end, so an entry has one proof only.
    function climb(
        uint256 size,
        uint256 leafIndex,
        bytes32 leaf,
        bytes32[] calldata proof
    ) internal view returns (bool fits, bytes32 node) {
        if (leafIndex >= size) return (false, 0);
        uint256 last = size - 1;
        node = leaf;
        uint256 input = _nodeInput();
        uint256 height = proof.length;
        for (uint256 i; i < height; ++i) {
            if (last == 0) return (false, 0);
            (bytes32 left, bytes32 right) = (node, proof[i]);
            if (leafIndex & 1 == 1 || leafIndex == last) {
                (left, right) = (right, left);
                // The last node of a level may have been promoted: climb to where it has a sibling again.
                while (leafIndex & 1 == 0 && leafIndex != 0) {
                    leafIndex >>= 1;
                    last >>= 1;
                }
            }
            node = _nodeHash(input, left, right);
            leafIndex >>= 1;
            last >>= 1;
        }
        fits = last == 0;
    }

    /// @notice The root of the tree over these leaves, which are at least one. Uses up the array.
    function rootOf(bytes32[] memory nodes) internal view returns (bytes32) {
        uint256 input = _nodeInput();
        unchecked {
            for (uint256 count = nodes.length; count > 1; count = (count + 1) >> 1) {
                for (uint256 i; i + 1 < count; i += 2) {
                    nodes[i >> 1] = _nodeHash(input, nodes[i], nodes[i + 1]);
                }
                if (count & 1 == 1) nodes[count >> 1] = nodes[count - 1];
            }
        }
        return nodes[0];
    }

    /// @dev Where the 65 bytes to be hashed for a node stand: behind the free memory pointer, the first byte written. Whoever
    /// uses it must take no memory meanwhile; every level of a proof then uses the same, instead of a fresh copy each.
    function _nodeInput() private pure returns (uint256 input) {
        assembly ("memory-safe") {
            input := mload(0x40)
            mstore8(input, 0x01)
        }
    }

    /// @dev SHA-256 of 0x01, left and right.
    function _nodeHash(uint256 input, bytes32 left, bytes32 right) private view returns (bytes32 hash) {
        bool done;
        assembly ("memory-safe") {
            mstore(add(input, 0x01), left)
            mstore(add(input, 0x21), right)
            // A chain without the precompile at address 2 would answer success and nothing.
            done := and(eq(returndatasize(), 0x20), staticcall(gas(), 2, input, 0x41, 0x00, 0x20))
            hash := mload(0x00)
        }
        require(done);
    }
}
