// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Accreditation of issuers' keys
/// @notice Says which key may issue which kind of record, for goods of which HS chapters, and when.
/// @dev A key is known by its JWK thumbprint (RFC 7638, SHA-256), so that key types may change without a new contract.
/// Moments are seconds since 1970-01-01 UTC. Written by the authority, through the access manager. Nothing is ever
/// overwritten: {accreditationAt} answers what the ledger held at any time since.
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

    /// @notice An issuer signs with another key from a moment on; that key has the terms of the earlier one.
    event KeyRotated(bytes32 indexed key, bytes32 indexed successor, uint40 since);

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

    /// @notice The key gave way to its successor and gets no new terms.
    error AccreditationRotated(bytes32 key, bytes32 successor);

    /// @notice A successor must be a key that was never accredited, or its own past would be mixed with another's.
    error AccreditationSuccessorKnown(bytes32 key, bytes32 successor);

    /// @notice The accreditation has ended, or not begun: there is nothing to hand on.
    error AccreditationNotCurrent(bytes32 key, uint40 validFrom, uint40 validUntil);

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

    /// @notice Lets a new key succeed an earlier one from this block on. What the earlier one signed before
    /// still verifies, and what it signs from now on does not; a suspension stays with it and is not handed on.
    /// @param key The JWK thumbprint of the key that gives way.
    /// @param successor The JWK thumbprint of the key that succeeds it.
    function rotate(bytes32 key, bytes32 successor) external;

    /// @notice The terms of a key; all zero where it was never accredited.
    /// @param key The JWK thumbprint.
    function accreditationOf(bytes32 key) external view returns (Terms memory);

    /// @notice The terms of a key as the ledger held them at a time; all zero where it had none yet.
    /// @param key The JWK thumbprint.
    /// @param time The time. An answer for a time before this block never changes.
    function accreditationAt(bytes32 key, uint40 time) external view returns (Terms memory);

    /// @notice Whether a key may sign a record of this kind, for goods of this chapter, at this moment, by the terms
    /// that stand now.
    /// @param key The JWK thumbprint.
    /// @param kind The kind of record.
    /// @param chapter The HS chapter; 0 asks for a key that covers every chapter.
    /// @param moment The moment asked about.
    function isAccredited(bytes32 key, uint8 kind, uint8 chapter, uint40 moment) external view returns (bool);

    /// @notice Whether a record that a key signed at a past moment was covered, by the terms that the ledger held then
    /// or by those that stand now.
    /// @dev The earlier terms count so that a renewal takes nothing from what was signed before it; those of now count
    /// because the authority may accredit a key from an earlier moment on. Whether the authority stands behind the key
    /// today is another question: {isSuspended}.
    /// @param key The JWK thumbprint.
    /// @param kind The kind of record.
    /// @param chapter The HS chapter; 0 asks for a key that covers every chapter.
    /// @param moment The moment of signing.
    function wasAccredited(bytes32 key, uint8 kind, uint8 chapter, uint40 moment) external view returns (bool);

    /// @notice Running number of a key, from 1; 0 where it was never accredited.
    /// @param key The JWK thumbprint.
    function numberOf(bytes32 key) external view returns (uint32);

    /// @notice The key of a number; zero where there is none.
    /// @param number The running number of the key.
    function keyOf(uint32 number) external view returns (bytes32);

    /// @notice Whether the authority does not stand behind a key in this block. Reads one slot.
    /// @param number The running number of the key.
    function isSuspended(uint32 number) external view returns (bool);

    /// @notice The key that succeeded this one; zero where none did.
    /// @param key The JWK thumbprint.
    function successorOf(bytes32 key) external view returns (bytes32);

    /// @notice The key that this one succeeded; zero where there is none.
    /// @param key The JWK thumbprint.
    function predecessorOf(bytes32 key) external view returns (bytes32);
}
