"""What README shows of commands: read from it, compared with what they print, and written into it.

``make readme`` writes it: ``python -m tests.journeys.readme_output STUDY.json``. Tests compare.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "README.md"
JOURNEY, TIMES, STUDY = (
    "python3 docs/examples/journey.py",
    ".venv/bin/provenport trs",
    ".venv/bin/clearance-sim claim",
)
"""Commands whose output is shown, by how their line begins; in this order on a server that is new."""

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_VARYING = {
    ID: "ID",
    r"\S*/evidence\.json": "FILE",
    r"\d+\.\d s after": "N s after",
    r"\d,\d{3} bytes": "N bytes",
    r"\b(\d+:\d\d):\d\d\b": r"\1",
    r"\b\d s\b": "N s",
}
"""What differs from run to run: names, how quick the machine is, the length of signatures."""


def shown(page: str, command: str) -> str:
    """The output that a page shows of a command: the first text block behind it."""
    found = re.search(re.escape(command) + r"\b.*?```text\n(.*?)```", page, re.DOTALL)
    if found is None:
        raise LookupError(f"README shows no output of {command}")
    return found[1]


def with_output(page: str, command: str, output: str) -> str:
    """The page with another output of a command."""
    return page.replace(shown(page, command), output.rstrip("\n") + "\n", 1)


def comparable(text: str) -> list[str]:
    """A text's lines without what differs from run to run. Other figures stay."""
    for pattern, standing in _VARYING.items():
        text = re.sub(pattern, standing, text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.strip().splitlines()]


ARMS = {
    "paper": "on paper",
    "edi": "paperless, no ledger",
    "ledger": "paperless, ledger",
    "ledger-reformed": "every lever",
}
"""README's words for the arms of the study that it shows."""


def claim_lines(study: Mapping[str, Any]) -> str:
    """README's summary of a claim study, from the file that ``clearance-sim claim --json`` writes."""
    here, made, clock = study["contexts"][0], study["made"], "arrival → release"
    arms = {arm["name"]: arm["clocks"][clock] for arm in here["arms"]}
    lines = [f"{here['title']['en']}: {made['replications']} replications of {made['weeks']} weeks"]
    for name, words in ARMS.items():
        mean, median = _with_bounds(arms[name]["mean"]), arms[name]["median"]["value"]
        lines.append(f"{clock}   {words:<20}   mean {mean} h   median {median:4.1f} h")
    share = next(row for row in here["attribution"] if (row["clock"], row["statistic"]) == (clock, "mean"))
    lines.append(f"the ledger's own share of the hours saved: {_with_bounds(share['ledger']['direct_percent'])} %")
    inside = sum(trial["inside"] for trial in study["validation"])
    lines.append(f"published figures met within their tolerance: {inside} of {len(study['validation'])}")
    return "\n".join(lines) + "\n"


def _with_bounds(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.1f} ({figure['low']:.1f} to {figure['high']:.1f})"


def main(claim: str) -> None:
    """Run the commands on a new server, and write README."""
    from tests.journeys.conftest import start

    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        server = start(Path(folder, "data"))
        environment = {**os.environ, "DATA_DIR": str(server.folder), "PORT": str(server.port), "LC_ALL": "C.UTF-8"}
        try:
            for command in (JOURNEY, TIMES):
                done = subprocess.run(
                    command, shell=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
                )
                page = with_output(page, command, done.stdout.replace(f"{server.folder}/", "var/"))
        finally:
            server.stop()
    study = json.loads(Path(claim).read_text(encoding="utf-8"))
    PAGE.write_text(with_output(page, STUDY, claim_lines(study)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
