"""What is wrong with a scenario: what, where, and how to fix it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing to fix."""

    path: tuple[str | int, ...]
    what: str
    fix: str
    where: str = ""
    line: int = 0

    def __str__(self) -> str:
        """`file:line: key: what (how to fix)`."""
        place = f"{self.where}:{self.line}: " if self.line else f"{self.where}: " if self.where else ""
        key = ".".join(str(step) for step in self.path)
        return f"{place}{key + ': ' if key else ''}{self.what}{f' ({self.fix})' if self.fix else ''}"


class ScenarioError(ValueError):
    """A scenario is refused; `faults` says everything that was found wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults
