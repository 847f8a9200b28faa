"""What an audit finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Discrepancy:
    """Something that is not as it should be: its name, and what it is about."""

    name: str
    about: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.about.items())])
