// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";

import {IAccreditation} from "./IAccreditation.sol";

/// @title Accreditation
/// @notice See {IAccreditation}.
contract Accreditation is IAccreditation, AccessManaged {
    mapping(bytes32 key => Terms) private _terms;

    /// @param manager The access manager that knows who the authority is.
    constructor(address manager) AccessManaged(manager) {}

    /// @inheritdoc IAccreditation
    function accredit(
        bytes32 key,
        uint8 kinds,
        uint128 chapters,
        uint40 validFrom,
        uint40 validUntil
    ) external restricted {
        if (kinds == 0 || chapters == 0) revert AccreditationCoversNothing(key, kinds, chapters);
        if (validFrom >= validUntil) revert AccreditationPeriodEmpty(key, validFrom, validUntil);
        _terms[key] = Terms(kinds, chapters, validFrom, validUntil, _terms[key].suspendedSince);
        emit KeyAccredited(key, kinds, chapters, validFrom, validUntil);
    }

    /// @inheritdoc IAccreditation
    function suspend(bytes32 key, uint40 since) external restricted {
        if (_terms[key].kinds == 0) revert AccreditationUnknown(key);
        if (since == 0) revert AccreditationMomentMissing(key);
        _terms[key].suspendedSince = since;
        emit KeySuspended(key, since);
    }

    /// @inheritdoc IAccreditation
    function reinstate(bytes32 key) external restricted {
        if (_terms[key].kinds == 0) revert AccreditationUnknown(key);
        if (_terms[key].suspendedSince == 0) revert AccreditationNotSuspended(key);
        _terms[key].suspendedSince = 0;
        emit KeyReinstated(key);
    }

    /// @inheritdoc IAccreditation
    function accreditationOf(bytes32 key) external view returns (Terms memory) {
        return _terms[key];
    }

    /// @inheritdoc IAccreditation
    function isAccredited(bytes32 key, uint8 kind, uint8 chapter, uint40 moment) external view returns (bool) {
        Terms memory terms = _terms[key];
        bool coversKind = (terms.kinds >> kind) & 1 == 1;
        bool coversChapter = terms.chapters & 1 == 1 || (terms.chapters >> chapter) & 1 == 1;
        bool suspended = terms.suspendedSince != 0 && terms.suspendedSince <= moment;
        return coversKind && coversChapter && terms.validFrom <= moment && moment < terms.validUntil && !suspended;
    }
}
