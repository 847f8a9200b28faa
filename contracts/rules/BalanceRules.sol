// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CertificateBalance} from "../src/CertificateBalance.sol";

/// @title A ledger and an accreditation that refuse nothing
contract Willing {
    function authority() external pure returns (address) {
        return address(1);
    }

    function declarationsOf(address, bytes32, uint256) external pure returns (uint32, uint256, uint256) {
        return (1, type(uint256).max, 0);
    }

    function storedWord(bytes32, uint256) external pure returns (uint256, uint32) {
        return (0, 1);
    }

    function isSuspended(uint32) external pure returns (bool) {
        return false;
    }
}

/// @title Rules of a balance's word, for every word and quantity
/// @dev Proved by halmos (`contracts/tools/rules.py`).
contract BalanceRules is CertificateBalance {
    bytes32 private constant BATCH = bytes32(uint256(1));

    constructor() CertificateBalance(address(new Willing()), address(new Willing()), address(0), address(0)) {}

    /// @dev A drawdown takes its quantity from what remains, never more than that, and touches no other field.
    function check_draw(uint256 word, uint88 quantity) external {
        _balances[BATCH][0].word = word;
        this.drawDown(Drawdown(BATCH, 0, BATCH, 0, quantity));
        uint256 then_ = _balances[BATCH][0].word;
        assert(quantity != 0 && quantity <= _remaining(word));
        assert(_remaining(then_) == _remaining(word) - quantity);
        assert(uint88(then_) == uint88(word) && then_ >> 176 == word >> 176);
    }

    /// @dev A refund adds what was drawn to what remains, and touches no other field.
    function check_refund(uint256 word, uint88 quantity) external {
        if (word == 0 || _remaining(word) + quantity > uint88(word)) return;
        _balances[BATCH][0].word = word;
        _refund(BATCH, 0, quantity);
        uint256 then_ = _balances[BATCH][0].word;
        assert(_remaining(then_) == _remaining(word) + quantity);
        assert(uint88(then_) == uint88(word) && then_ >> 176 == word >> 176);
    }

    function drawDown(Drawdown calldata drawdown) external {
        Cache memory cache;
        _drawDown(drawdown, cache);
    }

    function _remaining(uint256 word) private pure returns (uint256) {
        return uint88(word >> 88);
    }
}
