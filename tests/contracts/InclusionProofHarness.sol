// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {InclusionProof} from "src/InclusionProof.sol";

/// @dev Lets a test ask the library about trees that were never anchored.
contract InclusionProofHarness {
    function includes(
        bytes32 root,
        uint256 size,
        uint256 place,
        bytes32 leaf,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return InclusionProof.includes(root, size, place, leaf, proof);
    }
}
