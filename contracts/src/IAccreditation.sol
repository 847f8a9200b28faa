// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Accreditation of issuers' keys
/// @notice Says which key may issue which kind of record, for goods of which HS chapters, and when.
/// @dev A key is known by its JWK thumbprint (RFC 7638, SHA-256), so that key types may change without a new contract.
/// Moments are seconds since 1970-01-01 UTC. Written by the authority, through the access manager.
interface IAccreditation {
    /// @notice What a key may sign; fills one storage slot.
    /// @param kinds Bit `1 << kind` for each kind of record; never 0 for a key that was accredited.
    /// @param chapters Bit `1 << chapter` for HS chapters; bit 0 stands for every chapter.
    /// @param validFrom The first moment of the accreditation.
    /// @param validUntil The first moment after the accreditation.
    /// @param suspendedSince The moment from which the authority no longer stands behind the key; 0 where it does.
    struct Terms {
        uint8 kinds;
        uint128 chapters;
        uint40 validFrom;
        uint40 validUntil;
        uint40 suspendedSince;
    }

    /// @notice A key was accredited, or its terms were replaced. A suspension stays as it was.
    event KeyAccredited(bytes32 indexed key, uint8 kinds, uint128 chapters, uint40 validFrom, uint40 validUntil);

    /// @notice The authority no longer stands behind a key, from a moment on.
    event KeySuspended(bytes32 indexed key, uint40 since);

    /// @notice The authority stands behind a key again.
    event KeyReinstated(bytes32 indexed key);

    /// @notice An accreditation must cover at least one kind of record and one chapter, or it says nothing.
    error AccreditationCoversNothing(bytes32 key, uint8 kinds, uint128 chapters);

    /// @notice An accreditation must begin before it ends.
    error AccreditationPeriodEmpty(bytes32 key, uint40 validFrom, uint40 validUntil);

    /// @notice The key was never accredited.
    error AccreditationUnknown(bytes32 key);

    /// @notice A suspension needs its moment; 0 would lift it instead.
    error AccreditationMomentMissing(bytes32 key);

    /// @notice The key is not suspended, so there is nothing to lift.
    error AccreditationNotSuspended(bytes32 key);

    /// @notice Accredits a key, or replaces its terms. Lifts no suspension: that is an act of its own.
    /// @param key The JWK thumbprint.
    /// @param kinds Bit `1 << kind` for each kind of record.
    /// @param chapters Bit `1 << chapter` for each HS chapter; bit 0 for every chapter.
    /// @param validFrom The first moment of the accreditation.
    /// @param validUntil The first moment after it.
    function accredit(bytes32 key, uint8 kinds, uint128 chapters, uint40 validFrom, uint40 validUntil) external;

    /// @notice No longer stands behind a key, from a moment on; a second call moves the moment.
    /// @param key The JWK thumbprint of an accredited key.
    /// @param since The moment, past or future, but not 0.
    function suspend(bytes32 key, uint40 since) external;

    /// @notice Lifts the suspension of a key.
    /// @param key The JWK thumbprint of a suspended key.
    function reinstate(bytes32 key) external;

    /// @notice The terms of a key; all zero where it was never accredited.
    /// @param key The JWK thumbprint.
    function accreditationOf(bytes32 key) external view returns (Terms memory);

    /// @notice Whether a key may sign a record of this kind, for goods of this chapter, at this moment.
    /// @param key The JWK thumbprint.
    /// @param kind The kind of record.
    /// @param chapter The HS chapter; 0 asks for a key that covers every chapter.
    /// @param moment The moment asked about.
    function isAccredited(bytes32 key, uint8 kind, uint8 chapter, uint40 moment) external view returns (bool);
}
