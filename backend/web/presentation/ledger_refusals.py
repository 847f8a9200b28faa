"""What the ledger refused, in the words of the trade: officers read no names of custom errors."""

from flask_babel import gettext as _


def undone(why: str) -> str:
    """Why a decision was undone. What is not known here is shown as the ledger said it."""
    error = why.split(" ", 1)[0]
    return _sentences().get(error, why)


def _sentences() -> dict[str, str]:
    return {
        "CertificateBalanceOverdrawn": _("Less is left of the certificate than was to be drawn: others were quicker."),
        "CertificateBalanceNotActive": _("The certificate was suspended, revoked or replaced meanwhile."),
        "CertificateBalanceExpired": _("The certificate expired meanwhile."),
        "CertificateBalanceIssuerSuspended": _("The issuer's accreditation was suspended meanwhile."),
        "CertificateBalanceIssuerNotAccredited": _(
            "The issuer had no accreditation for this certificate when it signed."
        ),
        "CertificateBalanceDeclarationEnded": _("The declaration was rejected, returned or withdrawn meanwhile."),
        "TraceLedgerEdgeForbidden": _("Another decision stood on the ledger already; it counts."),
    }
