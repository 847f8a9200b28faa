"""The operator's own keys, which state what the ledger held: one signs, those before it are still named."""

import base64
import fcntl
import json
import os
from pathlib import Path
from typing import Any

from backend.adapters.vault import SealedVault
from backend.domain import sd_jwt, snapshot
from backend.domain.snapshot import Snapshot
from backend.domain.trust import LedgerName


class OperatorKeys:
    """Obeys ``backend.services.ports.Operator``: keys in one file, sealed as a whole, the newest first.

    The file is read each time, so that a key made by a command counts at once in a running server.
    """

    def __init__(self, path: Path, vault: SealedVault) -> None:
        self._path = path
        self._vault = vault

    def thumbprints(self) -> tuple[str, ...]:
        """What a reader's trust file names: every key that ever signed here."""
        return tuple(sd_jwt.b64(sd_jwt.thumbprint(key["jwk"])) for key in self._keys())

    def sign(self, stated: Snapshot) -> str:
        """The signed text, by the newest key."""
        key = self._keys()[0]
        private = self._vault.seal(base64.b64decode(key["private"]))
        return snapshot.sign(stated, key["jwk"], lambda message: self._vault.sign(private, message))

    def former_ledgers(self) -> tuple[tuple[LedgerName, str], ...]:
        """The ledgers that were used here before, each with its accreditation: what was anchored there stays good."""
        found = []
        for path in sorted(self._path.parent.glob("deployment-*.json")):
            fields = json.loads(path.read_text(encoding="utf-8"))
            name = LedgerName(fields["chainId"], bytes.fromhex(fields["instanceId"]), fields["ledger"].lower())
            found.append((name, fields["accreditation"].lower()))
        return tuple(found)

    def renew(self) -> None:
        """Sign with a fresh key from now on; the earlier ones stay named, for what they have signed."""
        self._keys()  # there is a file from here on
        with self._path.parent.joinpath(f".{self._path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two at once must not drop each other's key
            self._write([self._fresh(), *self._keys()], replacing=True)

    def _keys(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            self._write([self._fresh()], replacing=False)
        keys: list[dict[str, Any]] = json.loads(self._vault.unseal(self._path.read_bytes()))
        return keys

    def _fresh(self) -> dict[str, Any]:
        jwk, sealed = self._vault.new_key()
        return {"jwk": dict(jwk), "private": base64.b64encode(self._vault.unseal(sealed)).decode("ascii")}

    def _write(self, keys: list[dict[str, Any]], *, replacing: bool) -> None:
        """Write all or nothing. Of two processes that begin at once, the second takes what the first has written."""
        aside = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        aside.unlink(missing_ok=True)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(self._vault.seal(json.dumps(keys).encode()))
            file.flush()
            os.fsync(file.fileno())
        if replacing:
            aside.replace(self._path)
            return
        try:
            os.link(aside, self._path)
        except FileExistsError:
            pass  # another process was first
        finally:
            aside.unlink()
