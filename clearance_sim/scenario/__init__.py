"""Scenario files: models of queueing networks, read from TOML. Faults are reported with their lines."""

import difflib
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import PydanticCustomError

from clearance_sim.messages import Message, _


@dataclass(frozen=True)
class Fault:
    """One fault. Its texts are translated when they are shown."""

    path: tuple[str | int, ...]
    what: Message
    fix: Message | str = ""
    where: str = ""
    line: int = 0

    def __str__(self) -> str:
        """Return `file:line: key: what (how to fix it)`."""
        place = f"{self.where}:{self.line}: " if self.line else f"{self.where}: " if self.where else ""
        key = ".".join(str(step) for step in self.path)
        what = _("{what} ({fix})", what=self.what, fix=self.fix) if self.fix else self.what
        return f"{place}{key + ': ' if key else ''}{what}"


class ScenarioError(ValueError):
    """A scenario is refused. `faults` lists everything that was found wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


def refusal(what: Message, fix: Message, **values: Any) -> PydanticCustomError:
    """Return an error for pydantic to collect, with what is wrong and how to fix it."""
    what, fix = replace(what, values={**what.values, **values}), replace(fix, values={**fix.values, **values})
    return PydanticCustomError("scenario", "{what}", {"what": what, "fix": fix})


def unknown(kind: Message, given: str, known: list[str]) -> tuple[Message, Message]:
    """Return (what is wrong, how to fix it) for an unknown name, with the nearest known one."""
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    fix = _("did you mean {name}?", name=near[0]) if near else _("one of: {names}", names=", ".join(known))
    return _("unknown {kind} {given}", kind=kind, given=given), fix
