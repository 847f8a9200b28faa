"""Runs the benchmarks: each writes build/bench/NAME.json and prints its table.

python tests/benchmarks/run.py [NAME ...]
"""

import json
import logging
import sys
import tempfile
from pathlib import Path

import structlog

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks import (  # noqa: E402
    anchoring,
    bulk,
    chain,
    files_entered,
    gas,
    gas_peers,
    growth,
    journey,
    simulator,
    sizing,
    tree,
    verifying,
    verifying_peers,
)
from tests.benchmarks.figure import Figure  # noqa: E402
from tests.helpers.nodes import NOT_INSTALLED, binary  # noqa: E402

BENCHMARKS = {
    "journey": journey.measure,
    "anchoring": anchoring.measure,
    "chain": chain.measure,
    "gas": gas.measure,
    "gas-peers": gas_peers.measure,
    "tree": tree.measure,
    "files-entered": files_entered.measure,
    "growth": growth.measure,
    "bulk": bulk.measure,
    "sizing": sizing.measure,
    "simulator": simulator.measure,
    "verifying": verifying.measure,
    "verifying-peers": verifying_peers.measure,
}

NEED_ANVIL = {"gas-peers", "verifying-peers"}


def main(names: list[str]) -> None:
    """Run these benchmarks, or all."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or BENCHMARKS:
        if name in NEED_ANVIL and binary("anvil") is None:
            print(f"\n{name}\n  not measured: {NOT_INSTALLED}")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            figures = BENCHMARKS[name](Path(scratch))
        (folder / f"{name}.json").write_text(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n")
        _show(name, figures)


def _show(name: str, figures: list[Figure]) -> None:
    print(f"\n{name}")
    print(f"  {'figure':<58}{'value':>14} {'unit':<10}{'target':>12}   peer")
    for figure in figures:
        peer = f"{figure.peer}: {_shown(figure.peer_value)}" if figure.peer else ""
        print(f"  {figure.figure:<58}{_shown(figure.value):>14} {figure.unit:<10}{figure.target or '':>12}   {peer}")


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}".removesuffix(".0") if value >= 100 else f"{value:.4g}"


if __name__ == "__main__":
    main(sys.argv[1:])
