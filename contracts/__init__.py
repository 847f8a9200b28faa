"""The contracts as the rest of the system sees them: interface and bytecode, read from committed artefacts.

Nothing here needs a compiler; ``contracts.tools.compile`` rebuilds the artefacts and the tests compare them.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Artifact:
    """A compiled contract: its name, its interface (ABI as JSON gives it) and the code that deploys it."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes


@cache
def load(name: str) -> Artifact:
    """Read the artefact of a contract, as ``load("TraceLedger")``."""
    content = json.loads(files(__name__).joinpath("artifacts", f"{name}.json").read_text(encoding="utf-8"))
    return Artifact(name=content["name"], abi=content["abi"], bytecode=bytes.fromhex(content["bytecode"]))
