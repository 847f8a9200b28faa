"""Password hashing with argon2id."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError


class Argon2Passwords:
    """Implements the Passwords port with argon2-cffi's default parameters (RFC 9106, second recommended option)."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash("nobody has this password")

    def hashed(self, password: str) -> str:
        """Return the hash to store."""
        return self._hasher.hash(password)

    def matches(self, password_hash: str, password: str) -> bool:
        """Tell whether the password is right.

        For an unknown person, whose ``password_hash`` is empty, the same work is done against a fixed hash, so that the
        time of the answer does not tell which accounts exist.
        """
        try:
            self._hasher.verify(password_hash or self._nobody, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
        return bool(password_hash)
