// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {InclusionProof} from "src/InclusionProof.sol";

/// @dev Lets a test ask the library about trees that were never anchored, one by one or by the thousand.
contract InclusionProofHarness {
    function includes(
        bytes32 root,
        uint256 size,
        uint256 leafIndex,
        bytes32 leaf,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return InclusionProof.includes(root, size, leafIndex, leaf, proof);
    }

    /// @param words For each question: root, size, leafIndex, leaf, the length of the proof, and the proof.
    /// @return verdicts One byte for each question, 1 where it is included.
    function includesEach(bytes32[] calldata words, uint256 count) external view returns (bytes memory verdicts) {
        verdicts = new bytes(count);
        uint256 next;
        for (uint256 i; i < count; ++i) {
            uint256 first = next + 5;
            next = first + uint256(words[next + 4]);
            if (
                InclusionProof.includes(
                    words[first - 5],
                    uint256(words[first - 4]),
                    uint256(words[first - 3]),
                    words[first - 2],
                    words[first:next]
                )
            ) verdicts[i] = 0x01;
        }
        require(next == words.length);
    }
}
