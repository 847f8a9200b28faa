// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Accreditation of issuers' keys
/// @notice Says which key may issue which kind of record, for goods of which HS chapters, and when.
/// @dev A key is known by its JWK thumbprint (RFC 7638, SHA-256), so that key types may change without a new contract.
/// Moments are seconds since 1970-01-01 UTC, at most 2^34 - 1. Written by the authority, through the access manager.
/// Nothing is ever overwritten: {accreditationAt} answers what the ledger held at any time since, and {version} lists all.
interface IAccreditation {
    /// @notice What a key may sign.
    /// @param kinds Bit `1 << kind` for each kind of record; never 0 for a key that was accredited.
    /// @param chapters Bit `1 << chapter` for HS chapters; bit 0 stands for every chapter, and the highest is 99.
    /// @param validFrom The first moment of the accreditation.
    /// @param validUntil The first moment after the accreditation.
    /// @param suspendedSince The moment from which the authority no longer stands behind the key; 0 where it does.
    struct Terms {
        uint16 kinds;
        uint128 chapters;
        uint40 validFrom;
        uint40 validUntil;
        uint40 suspendedSince;
    }

    /// @notice A time for which the authority did not stand behind a key.
    /// @param since Its first moment.
    /// @param lifted The first moment after it; 0 where it stands.
    struct Suspension {
        uint40 since;
        uint40 lifted;
    }

    /// @notice A key was accredited, or its terms were replaced. A suspension stays as it was.
    event KeyAccredited(bytes32 indexed key, uint16 kinds, uint128 chapters, uint40 validFrom, uint40 validUntil);

    /// @notice The authority no longer stands behind a key, from a moment on.
    event KeySuspended(bytes32 indexed key, uint40 since);

    /// @notice The authority stands behind a key again.
    event KeyReinstated(bytes32 indexed key);

    /// @notice An issuer signs with another key from a moment on; that key has the terms of the earlier one.
    event KeyRotated(bytes32 indexed key, bytes32 indexed successor, uint40 since);

    /// @notice This ledger takes over a history: what is recorded until then holds of signatures before it.
    event HistoryTakenOver(uint40 until);

    /// @notice Zero is no key.
    error AccreditationKeyMissing();

    /// @notice The moment lies beyond what the ledger can hold.
    error AccreditationMomentTooFar(bytes32 key, uint40 moment);

    /// @notice A history can be taken over only before the first key is accredited.
    error AccreditationInUse(uint32 keyCount);

    /// @notice The key has no version of that number.
    error AccreditationVersionUnknown(bytes32 key, uint256 position);

    /// @notice Fifteen suspensions of the key were lifted, and no more can be kept: it must give way to another key.
    error AccreditationSuspendedTooOften(bytes32 key);

    /// @notice An accreditation must cover at least one kind of record and one chapter up to 99, or it says nothing.
    error AccreditationCoversNothing(bytes32 key, uint16 kinds, uint128 chapters);

    /// @notice An accreditation must begin before it ends.
    error AccreditationPeriodEmpty(bytes32 key, uint40 validFrom, uint40 validUntil);

    /// @notice The key was never accredited.
    error AccreditationUnknown(bytes32 key);

    /// @notice A suspension needs its moment; 0 would lift it instead.
    error AccreditationMomentMissing(bytes32 key);

    /// @notice A suspension holds at once: its moment must not lie ahead.
    error AccreditationMomentAhead(bytes32 key, uint40 since);

    /// @notice The key is suspended from an earlier moment on, which only {reinstate} can lift.
    error AccreditationSuspendedBefore(bytes32 key, uint40 suspendedSince, uint40 since);

    /// @notice The key is not suspended, so there is nothing to lift.
    error AccreditationNotSuspended(bytes32 key);

    /// @notice The key gave way to its successor and gets no new terms.
    error AccreditationRotated(bytes32 key, bytes32 successor);

    /// @notice A successor must be a key, not zero, that was never accredited, or its own past would be mixed with another's.
    error AccreditationSuccessorKnown(bytes32 key, bytes32 successor);

    /// @notice The accreditation has ended, or not begun: there is nothing to hand on.
    error AccreditationNotCurrent(bytes32 key, uint40 validFrom, uint40 validUntil);

    /// @notice Lets a ledger that replaces another take over its history: what is recorded in the next three days holds of
    /// what was signed before it was recorded, as far as the terms reach back. Only before the first key is accredited.
    function takeOver() external;

    /// @notice Accredits a key, or replaces its terms. Lifts no suspension: that is an act of its own.
    /// @param key The JWK thumbprint.
    /// @param kinds Bit `1 << kind` for each kind of record.
    /// @param chapters Bit `1 << chapter` for each HS chapter; bit 0 for every chapter.
    /// @param validFrom The first moment of the accreditation.
    /// @param validUntil The first moment after it.
    function accredit(bytes32 key, uint16 kinds, uint128 chapters, uint40 validFrom, uint40 validUntil) external;

    /// @notice No longer stands behind a key, from a moment on; a second call may only move the moment back.
    /// @dev A moment ahead would lift a suspension that stands, and {reinstate} is another's to do.
    /// @param key The JWK thumbprint of an accredited key.
    /// @param since The moment, not after this block's nor after one that stands, and not 0.
    function suspend(bytes32 key, uint40 since) external;

    /// @notice Lifts the suspension of a key. What was signed within it, or dated before it and anchored later, stays
    /// uncovered.
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
    /// that stand now. What was signed in the past is judged by {wasAccredited}.
    /// @param key The JWK thumbprint.
    /// @param kind The kind of record.
    /// @param chapter The HS chapter; 0 asks for a key that covers every chapter.
    /// @param moment The moment asked about.
    function isAccredited(bytes32 key, uint8 kind, uint8 chapter, uint40 moment) external view returns (bool);

    /// @notice Whether a record that a key signed at a moment, and that was anchored at another, was covered.
    /// @dev By the terms that the ledger held at the moment of signing: nothing is dated back before its recording, but
    /// for the five minutes by which a key's very first terms may follow a signature, and for a history that was taken
    /// over ({takeOver}). Not where the key was suspended at any time from the signing until the anchoring, also if that
    /// was lifted since. Where it was anchored more than 72 hours after its signing, what the ledger held 72 hours before
    /// the anchoring must cover it too and not have ended then, or a key that lapsed, was narrowed or gave way could date
    /// back. Whether the authority stands behind the key today is another question: {isSuspended}.
    /// @param key The JWK thumbprint.
    /// @param kind The kind of record.
    /// @param chapter The HS chapter; 0 asks for a key that covers every chapter.
    /// @param moment The moment of signing.
    /// @param anchoredAt When the record was anchored, which shows that it existed.
    function wasAccredited(
        bytes32 key,
        uint8 kind,
        uint8 chapter,
        uint40 moment,
        uint40 anchoredAt
    ) external view returns (bool);

    /// @notice The terms by which {wasAccredited} judges, all zero where there are none.
    /// @param key The JWK thumbprint.
    /// @param moment The moment of signing.
    /// @param anchoredAt When the record was anchored.
    /// @return signedUnder The terms of the moment of signing; suspended where the key was at that moment.
    /// @return anchoredUnder Those that must bear them out; suspended where the key was at any time until the anchoring.
    function termsOfSignature(
        bytes32 key,
        uint40 moment,
        uint40 anchoredAt
    ) external view returns (Terms memory signedUnder, Terms memory anchoredUnder);

    /// @notice How many versions of a key's terms were recorded; 0 where it was never accredited.
    /// @param key The JWK thumbprint.
    function versionCount(bytes32 key) external view returns (uint256);

    /// @notice One version of a key's terms, in the order of recording, and when it was recorded.
    /// @param key The JWK thumbprint.
    /// @param position From 0 for the first, below {versionCount}.
    function version(bytes32 key, uint256 position) external view returns (Terms memory terms, uint40 recordedAt);

    /// @notice Every suspension of a key: those that were lifted, in the order of lifting, then the one that stands.
    /// @param key The JWK thumbprint.
    function suspensionsOf(bytes32 key) external view returns (Suspension[] memory);

    /// @notice Until when this ledger took over another's history; 0 where it did not.
    function takenOverUntil() external view returns (uint40);

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
