"""Types of columns whose contents lie encrypted, each under a key of its own (``store/data_keys.py``).

A type finds the keys at its engine's dialect, where ``open_engine`` puts them. What is read remembers its key's number,
so that the key can be destroyed when the content goes (``store/forgetting.py``). Empty contents need no key.
"""

import json
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Dialect, LargeBinary, String
from sqlalchemy.types import TypeDecorator

from backend.store.data_keys import (
    DataKeys,
    KeyDestroyed,
    KeyMissing,
    NotEncrypted,
)

Content = TypeVar("Content")


def let_find(dialect: Dialect, keys: DataKeys) -> None:
    """Give an engine's columns their keys."""
    dialect.data_keys = keys  # type: ignore[attr-defined]


def keys_of(dialect: Dialect) -> DataKeys:
    """The keys that this engine's columns are sealed with."""
    keys: DataKeys = dialect.data_keys  # type: ignore[attr-defined]
    return keys


class KeyedValue:
    """What was read from a sealed column: under which key it lay, and whether it was there unaltered."""

    key_number: int | None = None
    is_whole = True


class KeptText(KeyedValue, str):
    """A text as it was kept."""


class KeptBytes(KeyedValue, bytes):
    """Bytes as they were kept."""


class KeptList(KeyedValue, list[Any]):
    """A list as it was kept."""


class KeptMembers(KeyedValue, dict[str, Any]):
    """An object as it was kept."""


class EncryptedValue(TypeDecorator[Content]):
    """A sealed column."""

    impl = LargeBinary
    cache_ok = True
    kept: ClassVar[Callable[..., Any]]
    """Makes what is handed out, which knows where it lay."""
    altered: ClassVar[Any] = None
    """What stands for a content that was altered: nothing that anybody would take for one."""

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """To the database."""
        if value is None:
            return None
        return keys_of(dialect).encrypt(self.packed(value)) if value else b""

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """From the database; made once for an engine, since whole batches are read through it."""
        opened, kept, unpacked, altered = keys_of(dialect).opened, self.kept, self.unpacked, self.altered

        def read(value: Any) -> Any:
            if value is None:
                return None
            if not value:
                return kept()
            try:
                content, number = opened(value)
                found = kept(unpacked(content))
            except KeyDestroyed:
                return kept()
            except (
                KeyMissing,
                NotEncrypted,
                ValueError,
            ):  # keys that are too old stop the start: here a row was altered
                found = kept(altered)
                found.is_whole = False
                return found
            found.key_number = number
            return found

        return read

    @staticmethod
    def packed(value: Any) -> bytes:
        """As bytes."""
        return json.dumps(value).encode()

    @staticmethod
    def unpacked(content: bytes) -> Any:
        """From bytes."""
        return json.loads(content)


class EncryptedText(EncryptedValue[str]):
    """A text."""

    cache_ok = True
    altered = ""
    kept = KeptText

    @staticmethod
    def packed(value: str) -> bytes:
        """As bytes."""
        return value.encode()

    @staticmethod
    def unpacked(content: bytes) -> str:
        """From bytes."""
        return content.decode()


class EncryptedBytes(EncryptedValue[bytes]):
    """Some bytes."""

    cache_ok = True
    altered = b""
    kept = KeptBytes

    @staticmethod
    def packed(value: bytes) -> bytes:
        """As bytes."""
        return bytes(value)

    @staticmethod
    def unpacked(content: bytes) -> bytes:
        """From bytes."""
        return content


class EncryptedList(EncryptedValue[list[Any]]):
    """A list of JSON values."""

    cache_ok = True
    altered = ("(altered)",)
    kept = KeptList


class EncryptedMembers(EncryptedValue[dict[str, Any]]):
    """A JSON object."""

    cache_ok = True
    altered: ClassVar[Any] = {}
    kept = KeptMembers


class Fingerprint(TypeDecorator[str]):
    """A text that is only ever looked for: what lies there stands for it, and says nothing without the keys."""

    impl = String(60)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else keys_of(dialect).mark(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """From the database."""
        return None if value is None else str(value)
