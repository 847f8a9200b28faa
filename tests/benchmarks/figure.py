"""What a benchmark measures: one figure, its target, and a peer or baseline measured in the same run."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured value."""

    figure: str
    value: float
    unit: str
    target: str | None = None
    peer: str | None = None
    peer_value: float | None = None

    def as_json(self) -> dict[str, Any]:
        """As it is written to the results file."""
        return asdict(self)
