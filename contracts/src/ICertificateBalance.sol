// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What is left of certificates of origin
/// @notice A certificate is opened once, from its entry and inclusion proof, and then drawn by the declarations that
/// rely on it: never beyond its quantity, and never while the ledger or the accreditation says that it does not stand.
/// @dev **What the chain cannot see.** An entry binds a certificate's quantity, but of who signed it, when, for which
/// chapter and until when, it binds only a digest. The anchorer of the certificate's own batch, who checked the
/// signature before sealing, states these four when opening; nobody else can, so a stranger cannot spoil a certificate
/// by opening it falsely. The statement is held against {IAccreditation} (accredited when signed, not suspended now)
/// and against the batch (not signed after it was anchored), and stands in the event under the anchorer's name, so that
/// whoever holds the certificate can show a false one up. What is enforced is thus: no draw on the word of anybody but
/// a registered anchorer about an accredited key. A lie of that anchorer is provable, not impossible; making it
/// impossible would take the issuer's signature on chain, for about 7,000 gas on chains with P-256 and 200,000 on others.
///
/// Again at each draw: the certificate is active on the ledger and not expired; its issuer's key is not suspended; the
/// declaration stands in a batch of the caller's own, in the declarations' lane, and has not come to an end that gives
/// its draws back. A certificate of another anchorer may be drawn: that is what certificates are for.
///
/// **Drawings.** The draws of one call make a drawing. It is known by the root of the RFC 9162 tree over them, and one
/// slot keeps their number and, for all of them, whether each was given back: a slot for each draw would cost a call of
/// a hundred three times as much. The number is kept because a root alone does not bind it: in a shorter tree the last
/// draw would have a second position. The leaf of a draw is its five fields as the ABI encodes them, 160 bytes.
interface ICertificateBalance {
    /// @notice A record by its place in an anchored batch.
    struct Record {
        bytes32 root;
        uint32 place;
    }

    /// @notice What the anchorer states of a certificate, since the chain cannot read it.
    /// @param issuerKey The JWK thumbprint of the key that signed it.
    /// @param chapter The HS chapter of its goods.
    /// @param issuedAt When it was signed.
    /// @param validUntil The first moment when it is no longer valid; the largest number where it has no end.
    struct Statement {
        bytes32 issuerKey;
        uint8 chapter;
        uint40 issuedAt;
        uint40 validUntil;
    }

    /// @notice A part of a certificate's quantity, for a declaration.
    struct Draw {
        bytes32 certificateRoot;
        uint32 certificatePlace;
        bytes32 declarationRoot;
        uint32 declarationPlace;
        uint88 quantity;
    }

    /// @notice An opened certificate; fills one storage slot.
    /// @param quantity What it covers, as its entry says.
    /// @param left What is not drawn.
    /// @param issuer Number of its issuer's key in the accreditation; 0 where it was never opened.
    /// @param validUntil The first moment when it is no longer valid.
    struct Balance {
        uint88 quantity;
        uint88 left;
        uint32 issuer;
        uint40 validUntil;
    }

    /// @notice A certificate can be drawn from now on.
    event CertificateOpened(
        bytes32 indexed certificateRoot,
        uint32 indexed certificatePlace,
        address indexed anchorer,
        uint88 quantity,
        Statement statement
    );

    /// @notice Draws were made, all of one call.
    event Drawn(bytes32 indexed drawing, address indexed anchorer, Draw[] draws);

    /// @notice A draw was given back.
    event GivenBack(bytes32 indexed drawing, uint256 indexed position, address indexed anchorer, Draw draw);

    /// @notice The entry is not that of a certificate of origin with a quantity that can be drawn.
    error CertificateBalanceEntryRefused(bytes32 root, uint32 place, bytes entry);

    /// @notice The entry does not stand at this place among the certificates of the batch.
    error CertificateBalanceNotIncluded(bytes32 root, uint32 place);

    /// @notice Only the anchorer of the batch may state what the chain cannot see of its records.
    error CertificateBalanceNotOwnBatch(address caller, bytes32 root);

    /// @notice The certificate was opened before.
    error CertificateBalanceAlreadyOpened(bytes32 root, uint32 place);

    /// @notice A certificate cannot have been signed after its batch was anchored, nor end before it was signed.
    error CertificateBalanceMomentsRefused(uint40 issuedAt, uint40 validUntil, uint40 anchoredAt);

    /// @notice The key was not accredited for certificates of this chapter when the certificate was signed.
    error CertificateBalanceIssuerNotAccredited(bytes32 issuerKey, uint8 chapter, uint40 issuedAt);

    /// @notice The authority does not stand behind the issuer's key today.
    error CertificateBalanceIssuerSuspended(bytes32 issuerKey);

    /// @notice The certificate was not opened.
    error CertificateBalanceNotOpened(bytes32 root, uint32 place);

    /// @notice The ledger does not say that the certificate is active.
    error CertificateBalanceNotActive(bytes32 root, uint32 place, uint8 status);

    /// @notice The certificate is no longer valid.
    error CertificateBalanceExpired(bytes32 root, uint32 place, uint40 validUntil);

    /// @notice There is less left than was to be drawn; or nothing was to be drawn.
    error CertificateBalanceOverdrawn(bytes32 root, uint32 place, uint88 left, uint88 quantity);

    /// @notice There is no declaration at this place.
    error CertificateBalanceDeclarationUnknown(bytes32 root, uint32 place);

    /// @notice The declaration has come to an end that gives its draws back.
    error CertificateBalanceDeclarationEnded(bytes32 root, uint32 place, uint8 status);

    /// @notice The declaration has come to no end that gives its draws back.
    error CertificateBalanceDeclarationStands(bytes32 root, uint32 place, uint8 status);

    /// @notice A call makes 1 to 248 draws.
    error CertificateBalanceDrawsRefused(uint256 count);

    /// @notice The very same draws were made before in one call: a repetition is refused, not drawn again.
    error CertificateBalanceAlreadyDrawn(bytes32 drawing);

    /// @notice The draw is not at this position of a drawing that was made.
    error CertificateBalanceDrawUnknown(bytes32 drawing, uint256 position);

    /// @notice The draw was given back before.
    error CertificateBalanceAlreadyGivenBack(bytes32 drawing, uint256 position);

    /// @notice Opens a certificate. By the anchorer of its batch.
    /// @param certificate Its batch and place.
    /// @param entry Its entry: kind 1 (1 byte), quantity (16 bytes, big endian), digest (32 bytes).
    /// @param proof The entry's inclusion proof (RFC 9162), from the bottom up.
    /// @param statement What the anchorer states of it.
    function open(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        Statement calldata statement
    ) external;

    /// @notice Draws certificates for declarations, all or none. By the anchorer of the declarations' batches.
    /// @dev What the ledger says is asked once for neighbours in the list that share it: sort draws by place.
    /// @param draws 1 to 248 draws.
    /// @return drawing The root of the tree over the draws, by which a draw can be given back.
    function draw(Draw[] calldata draws) external returns (bytes32 drawing);

    /// @notice Gives a draw back whose declaration was rejected, returned or withdrawn, once. By any anchorer.
    /// @param taken The draw.
    /// @param drawing The drawing that it belongs to.
    /// @param position Position of the draw in the drawing, from 0.
    /// @param proof Its inclusion proof in the drawing, from the bottom up.
    function giveBack(
        Draw calldata taken,
        bytes32 drawing,
        uint256 position,
        bytes32[] calldata proof
    ) external;

    /// @notice The balance of a certificate; all zero where it was not opened.
    function balanceOf(bytes32 root, uint32 place) external view returns (Balance memory);

    /// @notice A drawing as it is stored: bit `1 << position` for each draw that was given back, and in the eight highest
    /// bits the number of draws; 0 where there is none.
    function drawingOf(bytes32 drawing) external view returns (uint256);
}
