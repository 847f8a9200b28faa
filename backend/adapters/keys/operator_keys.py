"""The operator's own keys, which sign snapshots of the ledger. The newest key signs, earlier ones stay listed."""

import base64
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from backend.adapters.keys.vault import KeyVault
from backend.domain import sd_jwt, snapshot
from backend.domain.snapshot import Snapshot
from backend.domain.trust import LedgerName
from backend.store.disk import alone, write_new, write_over


class OperatorKeys:
    """Implements ``backend.services.ports.Operator`` with keys in one encrypted file, the newest first.

    The file is read each time, so that a key created by a command takes effect at once in a running server.
    """

    def __init__(self, path: Path, vault: KeyVault) -> None:
        self._path = path
        self._vault = vault

    def thumbprints(self) -> tuple[str, ...]:
        """Return the thumbprints that a reader's trust file lists: every key that ever signed here.

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        return tuple(sd_jwt.b64(sd_jwt.thumbprint(key["jwk"])) for key in self._keys())

    def sign(self, stated: Snapshot) -> str:
        """Sign a snapshot with the newest key and return the signed text (a JWS).

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        key = self._keys()[0]
        private = self._vault.encrypt(base64.b64decode(key["private"]))
        return snapshot.sign(stated, key["jwk"], lambda message: self._vault.sign(private, message))

    def former_ledgers(self) -> tuple[tuple[LedgerName, str], ...]:
        """Return the ledgers used here before, each with its accreditation contract.

        What was anchored there stays valid.

        Raises:
            DamagedDeployment: if a deployment's file cannot be read.
        """
        from backend.adapters.ledger import Deployment  # draws in the contracts, which few who open keys need

        read = (Deployment.read(path) for path in sorted(self._path.parent.glob("deployment-*.json")))
        return tuple(
            (LedgerName(one.chain_id, one.instance_id, one.ledger.lower()), one.accreditation.lower())
            for one in read
            if one is not None
        )

    def renew(self) -> None:
        """Create a key that signs from now on. Earlier keys stay listed for what they have signed.

        Raises:
            WrongMasterKey: if the master key does not open the file.
        """
        with alone(self._path.parent):  # nobody else changes keys of this data folder meanwhile
            write_over(self._path, self._sealed([self._fresh(), *self._keys()]))

    def _keys(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            with suppress(FileExistsError):  # another process was first
                write_new(self._path, self._sealed([self._fresh()]))
        keys: list[dict[str, Any]] = json.loads(self._vault.decrypt(self._path.read_bytes()))
        return keys

    def _fresh(self) -> dict[str, Any]:
        jwk, sealed = self._vault.new_key()
        return {"jwk": dict(jwk), "private": base64.b64encode(self._vault.decrypt(sealed)).decode("ascii")}

    def _sealed(self, keys: list[dict[str, Any]]) -> bytes:
        return self._vault.encrypt(json.dumps(keys).encode())
