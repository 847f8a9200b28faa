// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccreditation} from "../src/IAccreditation.sol";
import {ICertificateBalance} from "../src/ICertificateBalance.sol";
import {IRevocations} from "../src/IRevocations.sol";
import {ITraceLedger} from "../src/ITraceLedger.sol";
import {vm} from "./Vm.sol";

/// @dev The contracts as they are deployed: the committed bytecode, or a mutant's where PROVENPORT_CODE names it. The
/// creator is the access manager's admin and acts without delay.
abstract contract Deployed {
    address internal manager;
    IAccreditation internal accreditation;
    ITraceLedger internal ledger;
    ICertificateBalance internal balance;
    IRevocations internal revocations;

    function deployAll() internal {
        manager = _create("AccessManager", abi.encode(address(this)));
        accreditation = IAccreditation(_create("Accreditation", abi.encode(manager)));
        ledger = ITraceLedger(_create("TraceLedger", abi.encode(manager, bytes32(uint256(7)))));
        revocations = IRevocations(_create("Revocations", abi.encode(address(ledger))));
        balance = ICertificateBalance(
            _create(
                "CertificateBalance",
                abi.encode(address(ledger), address(accreditation), address(0), address(revocations))
            )
        );
        balance.begin();
    }

    function _create(string memory name, bytes memory arguments) internal returns (address created) {
        string memory path = string.concat(vm.envOr("PROVENPORT_CODE", "artifacts"), "/", name, ".json");
        string memory code = vm.parseJsonString(vm.readFile(path), ".bytecode");
        bytes memory creation = bytes.concat(vm.parseBytes(string.concat("0x", code)), arguments);
        assembly ("memory-safe") {
            created := create(0, add(creation, 0x20), mload(creation))
        }
        require(created != address(0), "not deployed");
    }
}
