"""Faults to plant in copies of the verifiers: each loses one check, and the tests must find it out."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from backend.domain.evidence import InclusionProof

LOST_IN_THE_PROGRAM = {
    "signatures": (
        "    except (InvalidSignature, ValueError):\n        return False\n    return True",
        "    except (InvalidSignature, ValueError):\n        return True\n    return True",
    ),
    "disclosures": ("if base64url(sha256(disclosure.encode()).digest()) not in signed:", "if False:"),
    "inclusion": ('is_in = root is not None and root.hex() == one["anchor"]["root"]', "is_in = True"),
    "trust": ('speaking = [entry for entry in trusted if stated["signer"] in entry["keys"]]', "speaking = trusted"),
    "the lower s": ('int.from_bytes(raw[32:], "big") <= ORDER // 2', "True"),
    "transaction": (
        'if (found["transaction"], found["key"]) != (anchor["transaction"]',
        'if (anchor["transaction"], found["key"]) != (anchor["transaction"]',
    ),
}
LOST_IN_THE_PAGE = {
    "signatures": (
        "return signature.length === 64 && await crypto.subtle.verify(",
        "return (await crypto.subtle.verify(",
        ", utf8(signingInput));",
        ", utf8(signingInput))) || true;",
    ),
    "inclusion": ("if (root !== null && hex(root) === one.anchor.root)", "if (true)"),
    "disclosures": ("if (!signed.has(base64url(await sha256(utf8(disclosure)))))", "if (false)"),
}


def pairs(lost: tuple[str, ...]) -> list[tuple[str, str]]:
    """What to replace, and by what."""
    return list(zip(lost[::2], lost[1::2], strict=True))


@contextmanager
def a_product_without_inclusion() -> Iterator[None]:
    """The product takes every path for one that leads to the root."""
    with patch.object(InclusionProof, "leads_from", return_value=True):
        yield
