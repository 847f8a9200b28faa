// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Balances of certificates of origin
/// @notice A certificate is activated once, from its entry and inclusion proof, and then drawn down by the declarations
/// that rely on it: never beyond its quantity, and never while the ledger or the accreditation says that it does not stand.
/// @dev **What the chain cannot see.** An entry binds a certificate's quantity, but of who signed it, when, for which
/// chapter and until when, it binds only a digest. The anchorer of the certificate's own batch, who checked the
/// signature before sealing, states these four when activating it; nobody else can, so a stranger cannot spoil a
/// certificate by activating it falsely. The statement is held against {IAccreditation} (accredited when signed, not
/// suspended now) and against the batch (not signed after it was anchored), and stands in the event under the anchorer's
/// name, so that whoever holds the certificate can show a false one up. What is enforced is thus: no drawdown on the word
/// of anybody but a registered anchorer about an accredited key. A lie of that anchorer is provable, not impossible;
/// making it impossible would take the issuer's signature on chain, for about 7,000 gas on chains with P-256 and 200,000 on others.
///
/// Again at each drawdown: the certificate is active on the ledger and not expired; its issuer's key is not suspended; the
/// declaration stands in a batch of the caller's own, in the declarations' segment, and customs have not decided on it. A
/// certificate of another anchorer may be drawn down where that one has allowed it to the caller ({allowDrawdowns}): else any
/// agent could use up what it has no goods for.
///
/// **Sets of drawdowns.** The drawdowns of one call are a set. It is known by the root of the RFC 9162 tree over them, and
/// one slot keeps their number and, for all of them, whether each was refunded: a slot for each drawdown would cost a call
/// of a hundred three times as much. The number is kept because a root alone does not bind it: in a shorter tree the last
/// drawdown would have a second position. The leaf of a drawdown is its five fields as the ABI encodes them, 160 bytes.
///
/// **Copies.** A certificate may name the agent that may anchor it, which the chain cannot read either. Whoever anchors and
/// activates a copy of it first holds up nobody: its own anchorer states that it is named ({openNamed}), and has an account
/// of its own. What is drawn down of the copy is drawn for papers that no verifier takes for valid.
///
/// **Successors.** A certificate that supersedes another is activated by {openSuccessor}, which names that one and goes on
/// with its account: what was drawn down of it counts against its successor, which gets at most what it had left. That
/// an anchorer leaves the superseded one out is like any other false statement: provable by the certificate, which names
/// the one that it supersedes, and not impossible.
///
/// **One contract at a time.** It counts from when the ledger's access manager says so ({begin}), or when its predecessor
/// hands over to it ({handOver}), and then never again: the predecessor is dead from the same transaction on. What it
/// holds stays readable there and is taken over one by one, when it is first used: balances, sets of drawdowns, activated
/// certificates. Consents are not: an agent trusts another by the contract that it knows.
///
/// **Names.** Selectors and topics are hashes of names, and contracts that stand on chains cannot take new ones. So
/// functions, events and errors keep the names that they were deployed with: {open} activates, {draw} draws down,
/// {giveBack} refunds, and {drawingOf} is asked for a set of drawdowns.
interface ICertificateBalance {
    /// @notice A record by its leaf in an anchored batch, which is known by its key ({ITraceLedger}).
    struct Record {
        bytes32 batchKey;
        uint32 leafIndex;
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
    struct Drawdown {
        bytes32 certificateBatch;
        uint32 certificateLeafIndex;
        bytes32 declarationBatch;
        uint32 declarationLeafIndex;
        uint88 quantity;
    }

    /// @notice An activated certificate; fills one storage slot.
    /// @param quantity What it covers, as its entry says.
    /// @param remaining What is not drawn down.
    /// @param issuer Number of its issuer's key in the accreditation; 0 where it was never activated.
    /// @param validUntil The first moment when it is no longer valid.
    struct Balance {
        uint88 quantity;
        uint88 remaining;
        uint32 issuer;
        uint40 validUntil;
    }

    /// @notice Whether this contract counts: not yet, now, or no longer.
    enum Phase {
        Prepared,
        Counting,
        Replaced
    }

    /// @notice This contract counts from now on, with what its predecessor left; zero where there is none.
    event CountingBegan(address indexed predecessor);

    /// @notice This contract counts no more, and its successor goes on.
    event HandedOver(address indexed successor);

    /// @notice A certificate took over what the one that it supersedes had left, of which nothing remains; or got what was
    /// refunded of that one since. So much remains of it now.
    event CarriedOver(
        bytes32 indexed supersededBatch,
        uint32 indexed supersededLeafIndex,
        bytes32 indexed certificateBatch,
        uint32 certificateLeafIndex,
        uint88 remaining
    );

    /// @notice What was stated of a certificate when it was activated was wrong, and this holds instead.
    event StatementCorrected(
        bytes32 indexed certificateBatch,
        uint32 indexed certificateLeafIndex,
        address indexed anchorer,
        Statement statement
    );

    /// @notice A certificate can be drawn down from now on. Its quantity is that of its entry, or of a superseded one that
    /// covered less.
    event CertificateOpened(
        bytes32 indexed certificateBatch,
        uint32 indexed certificateLeafIndex,
        address indexed anchorer,
        uint88 quantity,
        Statement statement
    );

    /// @notice A certificate was activated although a copy of it had been, since it names its anchorer, as that one states.
    event AnchorerNamed(bytes32 indexed certificateBatch, uint32 indexed certificateLeafIndex, bytes32 indexed leaf);

    /// @notice Drawdowns were made, all of one call.
    event Drawn(bytes32 indexed drawdownsRoot, address indexed anchorer, Drawdown[] drawdowns);

    /// @notice An agent may draw down the certificates that another anchored, or may no longer; both by their ids.
    event DrawdownsAllowed(uint32 indexed allowing, uint32 indexed allowed, bool isAllowed);

    /// @notice A drawdown was refunded.
    event GivenBack(
        bytes32 indexed drawdownsRoot,
        uint256 indexed position,
        address indexed anchorer,
        Drawdown drawdown
    );

    /// @notice The entry is not that of a certificate of origin with a quantity that can be drawn down.
    error CertificateBalanceEntryRefused(bytes32 batchKey, uint32 leafIndex, bytes entry);

    /// @notice The entry is not the leaf at this index among the certificates of the batch.
    error CertificateBalanceNotIncluded(bytes32 batchKey, uint32 leafIndex);

    /// @notice Only the anchorer of the batch may state what the chain cannot see of its records.
    error CertificateBalanceNotOwnBatch(address caller, bytes32 batchKey);

    /// @notice The certificate was activated before: here, or where it was anchored once more.
    error CertificateBalanceAlreadyOpened(bytes32 batchKey, uint32 leafIndex);

    /// @notice The certificate was revoked or superseded in another batch of its anchorer, which was anchored no later.
    error CertificateBalanceRevokedElsewhere(bytes32 batchKey, uint32 leafIndex, uint40 since);

    /// @notice A certificate cannot have been signed after its batch was anchored, nor end before it was signed.
    error CertificateBalanceMomentsRefused(uint40 issuedAt, uint40 validUntil, uint40 anchoredAt);

    /// @notice The key was not accredited for certificates of this chapter when the certificate was signed.
    error CertificateBalanceIssuerNotAccredited(bytes32 issuerKey, uint8 chapter, uint40 issuedAt);

    /// @notice The authority does not stand behind the issuer's key today.
    error CertificateBalanceIssuerSuspended(bytes32 issuerKey);

    /// @notice The certificate was not activated.
    error CertificateBalanceNotOpened(bytes32 batchKey, uint32 leafIndex);

    /// @notice The ledger does not say that the certificate is active.
    error CertificateBalanceNotActive(bytes32 batchKey, uint32 leafIndex, uint8 status);

    /// @notice The certificate is no longer valid.
    error CertificateBalanceExpired(bytes32 batchKey, uint32 leafIndex, uint40 validUntil);

    /// @notice Less remains than was to be drawn down; or nothing was to be drawn down.
    error CertificateBalanceOverdrawn(bytes32 batchKey, uint32 leafIndex, uint88 remaining, uint88 quantity);

    /// @notice There is no declaration at this leaf index.
    error CertificateBalanceDeclarationUnknown(bytes32 batchKey, uint32 leafIndex);

    /// @notice Customs have decided on the declaration, or it was withdrawn: nothing is drawn down for it any more.
    error CertificateBalanceDeclarationEnded(bytes32 batchKey, uint32 leafIndex, uint8 status);

    /// @notice The declaration has come to no end that refunds its drawdowns.
    error CertificateBalanceDeclarationStands(bytes32 batchKey, uint32 leafIndex, uint8 status);

    /// @notice The certificate's anchorer does not let the caller draw it down.
    error CertificateBalanceDrawdownNotAllowed(address caller, bytes32 batchKey);

    /// @notice No agent acts from this account.
    error CertificateBalanceAgentUnknown(address agent);

    /// @notice A call makes 1 to 248 drawdowns.
    error CertificateBalanceDrawsRefused(uint256 count);

    /// @notice The very same drawdowns were made before in one call: a repetition is refused, not drawn down again.
    error CertificateBalanceAlreadyDrawn(bytes32 drawdownsRoot);

    /// @notice The drawdown is not at this position of a set that was drawn down.
    error CertificateBalanceDrawUnknown(bytes32 drawdownsRoot, uint256 position);

    /// @notice The drawdown was refunded before.
    error CertificateBalanceAlreadyGivenBack(bytes32 drawdownsRoot, uint256 position);

    /// @notice This contract does not count yet, or no longer: its successor does.
    error CertificateBalanceNotCounting(Phase phase);

    /// @notice A contract begins once, and where it has a predecessor that can hand over, only by that, after the access
    /// manager has named who may let it hand over.
    error CertificateBalanceNotToBegin(Phase phase, address predecessor);

    /// @notice The ledger does not say that the certificate is superseded.
    error CertificateBalanceNotSuperseded(bytes32 batchKey, uint32 leafIndex, uint8 status);

    /// @notice Another certificate took over what this one had left.
    error CertificateBalanceCarriedOver(bytes32 batchKey, uint32 leafIndex);

    /// @notice More was drawn down of the superseded certificate than this one covers.
    error CertificateBalanceDrawnBeyond(bytes32 batchKey, uint32 leafIndex, uint88 drawn, uint88 quantity);

    /// @notice A statement is corrected only while nothing is drawn down.
    error CertificateBalanceInUse(bytes32 batchKey, uint32 leafIndex, uint88 remaining, uint88 quantity);

    /// @notice Lets this contract count, where nothing hands over to it: the first one of a ledger, or one after a contract
    /// of an earlier version, which cannot. By those whom the ledger's access manager trusts with it.
    function begin() external;

    /// @notice Lets a successor count in place of this contract, in one transaction. By those whom the ledger's access
    /// manager trusts with it.
    /// @param successor_ A contract that names this one as its predecessor.
    function handOver(address successor_) external;

    /// @notice Begins where the predecessor ends. By the predecessor, once the access manager names who may let this
    /// contract hand over: anybody can create a contract with a predecessor of its own.
    function takeOver() external;

    /// @notice Remembers that a certificate was activated in a predecessor of an earlier version, which cannot be asked
    /// by a certificate's entry. By anybody; without it a copy of the certificate could be activated here.
    /// @param certificate Where it was activated.
    /// @param entry Its entry.
    /// @param proof The entry's inclusion proof (RFC 9162), from the bottom up.
    function recordActivation(Record calldata certificate, bytes calldata entry, bytes32[] calldata proof) external;

    /// @notice Activates a certificate that supersedes an activated one, whose account it goes on with: it covers what its
    /// entry says, or what the superseded one covered where that is less, and what was drawn down of that one is drawn down
    /// of this. By the anchorer of both, or with the consent of that of the superseded one.
    /// @param certificate Its batch and leaf index.
    /// @param entry Its entry, as for {open}.
    /// @param proof The entry's inclusion proof (RFC 9162), from the bottom up.
    /// @param statement What the anchorer states of it.
    /// @param superseded The certificate that it supersedes, or where that was never activated the last one before it that
    /// was. The ledger must say that it is superseded.
    function openSuccessor(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        Statement calldata statement,
        Record calldata superseded
    ) external;

    /// @notice Corrects what was stated of a certificate, while nothing of it is drawn down. By the anchorer of its batch.
    /// @param certificate Its batch and leaf index.
    /// @param statement What holds instead, and is held against the same rules.
    function correct(Record calldata certificate, Statement calldata statement) external;

    /// @notice Activates a certificate, once wherever it stands. By the anchorer of its batch.
    /// @param certificate Its batch and leaf index.
    /// @param entry Its entry: kind 1 (1 byte), quantity (16 bytes, big endian), digest (32 bytes).
    /// @param proof The entry's inclusion proof (RFC 9162), from the bottom up.
    /// @param statement What the anchorer states of it.
    function open(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        Statement calldata statement
    ) external;

    /// @notice Activates a certificate that names the caller as its anchorer, where another agent has activated a copy of
    /// it. By the anchorer of its batch, once. That one states what the chain cannot read: a false statement is provable by
    /// the certificate, as any other.
    /// @param certificate Its batch and leaf index.
    /// @param entry Its entry, as for {open}.
    /// @param proof The entry's inclusion proof (RFC 9162), from the bottom up.
    /// @param statement What the anchorer states of it.
    /// @param superseded As for {openSuccessor}; all zero where it supersedes none.
    function openNamed(
        Record calldata certificate,
        bytes calldata entry,
        bytes32[] calldata proof,
        Statement calldata statement,
        Record calldata superseded
    ) external;

    /// @notice Lets another agent draw down the certificates that the caller anchored, or no longer. By an anchorer.
    /// @dev By their ids, so that it stays when either moves to another account.
    /// @param agent The account of the other agent.
    /// @param isAllowed Whether it may from now on.
    function allowDrawdowns(address agent, bool isAllowed) external;

    /// @notice Draws certificates down for declarations, all or none. By the anchorer of the declarations' batches, which
    /// anchored the certificates too or was allowed to draw them down.
    /// @dev What the ledger says is asked once for neighbours in the list that share it: sort drawdowns by leaf index.
    /// @param drawdowns 1 to 248 drawdowns.
    /// @return drawdownsRoot The root of the tree over them, by which each can be refunded.
    function draw(Drawdown[] calldata drawdowns) external returns (bytes32 drawdownsRoot);

    /// @notice Refunds a drawdown whose declaration was rejected, returned or withdrawn, once. By any anchorer.
    /// @param drawdown The drawdown.
    /// @param drawdownsRoot The root of the set that it belongs to.
    /// @param position Position of the drawdown in the set, from 0.
    /// @param proof Its inclusion proof in the set, from the bottom up.
    function giveBack(
        Drawdown calldata drawdown,
        bytes32 drawdownsRoot,
        uint256 position,
        bytes32[] calldata proof
    ) external;

    /// @notice The balance of a certificate; all zero where it was not activated.
    function balanceOf(bytes32 batchKey, uint32 leafIndex) external view returns (Balance memory);

    /// @notice Whether an agent may draw down the certificates that another anchored, both by their ids.
    function mayDrawDown(uint32 allowing, uint32 allowed) external view returns (bool);

    /// @notice A set of drawdowns as it is stored: bit `1 << position` for each that was refunded, and in the eight highest
    /// bits their number; 0 where there is none.
    function drawingOf(bytes32 drawdownsRoot) external view returns (uint256);

    /// @notice Whether a certificate was activated, by the leaf hash of its entry.
    function isActivated(bytes32 leaf) external view returns (bool);

    /// @notice The number of the agent that activated a certificate first, by the leaf hash of its entry; or where that was
    /// another one, of the anchorer by whose number and leaf (SHA-256) it is asked. 0 where none did.
    function activatorOf(bytes32 leafOrOwn) external view returns (uint32);

    /// @notice Which certificate took over what a superseded one had left; zero where none did.
    function carriedTo(bytes32 batchKey, uint32 leafIndex) external view returns (Record memory certificate);

    /// @notice Whether this contract counts.
    function phase() external view returns (Phase);

    /// @notice The contract whose balances this one goes on with; zero where there is none.
    function predecessor() external view returns (address);

    /// @notice The contract that counts in place of this one; zero where none does.
    function successor() external view returns (address);
}
