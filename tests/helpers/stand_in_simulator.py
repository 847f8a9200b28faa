"""A program with the simulator's command line, for what a real one does seldom: faults, silence, greed, forks.

The seed of ``run`` says how it behaves: 1 well, 2 slow, 3 refuses, 4 crashes, 5 eats memory, 6 ignores SIGTERM,
7 starts a child of its own and hangs.
"""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

PARAMETERS = [
    {"key": "stations.review.service.mean_h", "value": 0.9, "low": 0.1, "high": 5, "unit": "h", "source": "assumption",
     "title": {"en": "Review", "zh": "审单"}},
    {"key": "stations.review.servers", "value": 3, "low": 1, "high": 12, "whole": True},
]  # fmt: skip
SCENARIOS = [
    {"name": "office", "title": {"en": "An office", "zh": "一个口岸"}, "summary": {"en": "Three desks."},
     "parameters": PARAMETERS},
    {"name": "port", "title": "A port", "parameters": []},
]  # fmt: skip
FAULTS = [
    {
        "where": "scenario.toml",
        "key": "stations.review.servers",
        "line": 7,
        "what": "-1 is not a count",
        "fix": "give zero or more",
    }
]


def tell(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def refuse() -> None:
    tell(errors=FAULTS)
    sys.exit(1)


def scenarios(arguments: list[str]) -> None:
    if arguments[-1].endswith(".toml"):
        text = Path(arguments[-1]).read_text()
        if "servers = -1" in text:
            refuse()
        print(json.dumps([{**SCENARIOS[0], "name": "own", "title": "One's own"}]))
        return
    print(json.dumps(SCENARIOS))


def run(arguments: list[str]) -> None:
    options = dict(pairwise(arguments))
    total, how = int(options["--replications"]), int(options["--seed"])
    settings = [arguments[place + 1] for place, name in enumerate(arguments) if name == "--set"]
    if how == 3:
        refuse()
    if how == 4:
        raise RuntimeError("out of ink")
    if how == 5:
        _ = b"x" * 20 * 1024**3
    if how == 6:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if how == 7:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path("child").write_text(str(child.pid))
    for done in range(1, total + 1):
        time.sleep(30 if how in (6, 7) else 0.2 if how == 2 else 0)
        tell(done=done, total=total)
    if "--trace" in options:
        Path(options["--trace"]).write_text(f"{total} of seed {how}")
        return
    environment = sorted(name for name in os.environ if "KEY" in name)
    mean = {"value": 7.5 + len(settings), "low": 7.0, "high": 8.0}
    result = {
        "clocks": {"total": {"mean": mean, "p90": {"value": 20.0}, "within": {"8.0": {"value": 0.6}}}},
        "stations": {"review": {"wait": {"mean": {"value": 1.5, "low": 1.4, "high": 1.6}},
                                "utilisation": {"value": 0.8, "low": 0.79, "high": 0.81}}},
        "settings": settings, "secrets": environment,
    }  # fmt: skip
    Path("result.json").write_text(json.dumps(result))
    tell(finished=True)


def report(arguments: list[str]) -> None:
    if arguments[2] == "zh":
        sys.exit("no font")
    Path(arguments[-1]).write_text("<!doctype html><title>Report</title>")


if __name__ == "__main__":
    {"scenarios": scenarios, "run": run, "report": report}[sys.argv[1]](sys.argv[2:])
