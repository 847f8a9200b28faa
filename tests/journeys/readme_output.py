"""What README and the simulator's pages show of commands: read, compared with what they print, and written anew.

``make readme`` writes them: ``python -m tests.journeys.readme_output STUDY.json``. Tests compare.
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
MODEL = ROOT / "docs" / "customs-model.md"
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


CLOCKS = ("arrival → release", "lodgement → release")
LETTERS = {
    "ledger": "L",
    "early_documents": "E",
    "automation": "A",
    "fewer_interventions": "R",
    "deferred_duty": "D",
    "officers_24x7": "O",
}
CELLS = {
    "paper": "",
    "ledger alone": "L",
    "EDI (E, A)": "EA",
    "ledger (L, E, A)": "LEA",
    "everything but the ledger": "EARDO",
    "everything": "LEARDO",
}
"""docs/customs-model.md's words for the sets of levers that it shows."""


def model_figures(study: Mapping[str, Any]) -> str:
    """What docs/customs-model.md shows of a claim study: times, shares, what suffices, traffic and forgeries."""
    here, made = study["contexts"][0], study["made"]
    cells = {"".join(sorted(LETTERS[name] for name in cell["on"])): cell for cell in here["factorial"]["cells"]}
    head = [f"{name}: mean, median, P90 (h)" for name in CLOCKS]
    lines = [
        f"{here['title']['en']}, seed {made['seed']}, {made['replications']} replications of {made['weeks']} weeks; "
        "95 % intervals:",
        "",
        *_table(["arm", *head], [[name, *_times(cells["".join(sorted(on))])] for name, on in CELLS.items()]),
        "",
        "| lever | Shapley share of the hours saved from arrival (%) | hours saved when added last |",
        "|---|---|---|",
    ]
    share = next(row for row in here["attribution"] if (row["clock"], row["statistic"]) == (CLOCKS[0], "mean"))
    lines += [
        f"| {LETTERS[one['lever']]}, {one['title']['en']} "
        f"| {_with_bounds(one['shapley_percent'])} | {_with_bounds(one['last_in'])} |"
        for one in share["levers"]
    ]
    ledger = share["ledger"]
    lines += [
        "",
        f"With {ledger['note']['en']} credited to the ledger, which is an assumption, its share would be "
        f"{_with_bounds(ledger['enabled_percent'])} %.",
        "",
        "| clock | sets of levers that bring it to 8 h, none of them with a lever too many |",
        "|---|---|",
    ]
    for clock in CLOCKS:
        lines += [f"| {clock}, {one} | {_enough(cells, clock, one)} |" for one in ("mean", "median")]
    busy = here["congestion"][-1]
    traffic = ", ".join(
        f"{ARMS[name]} {busy['arms'][name][CLOCKS[0]]['mean']['value']:.0f} h" for name in ("paper", "edi", "ledger")
    )
    lines += ["", f"At {busy['load']} times the traffic, mean from arrival to release: {traffic}.", ""]
    fraud = {arm["name"]: arm["fraud"] for arm in here["arms"]}
    caught = [(ARMS[name], fraud[name]) for name in ARMS]
    lines += _table(
        ["arm", *(f"{words}, caught of {caught[0][1][count]:.0f} in 10,000" for _, count, words in FRAUDS)],
        [[name, *(f"{found[kind]:.1f}" for kind, _, _ in FRAUDS)] for name, found in caught],
    )
    return "\n".join(lines) + "\n"


FRAUDS = (
    ("caught", "forged_per_10000", "forged certificates"),
    ("false_caught", "false_but_signed_per_10000", "false statements in genuine papers"),
)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _times(cell: Mapping[str, Any]) -> list[str]:
    return [
        f"{_with_bounds(of['mean'])}, {of['median']['value']:.1f}, {of['p90']['value']:.1f}"
        for of in (cell[clock] for clock in CLOCKS)
    ]


def _enough(cells: Mapping[str, Any], clock: str, statistic: str) -> str:
    reached = [on for on, cell in cells.items() if cell[clock][statistic]["value"] <= 8]
    smallest = [on for on in reached if not any(set(other) < set(on) for other in reached)]
    order = list(LETTERS.values())
    return "; ".join(", ".join(sorted(on, key=order.index)) for on in sorted(smallest)) or "none"


def with_figures(page: str, study: Mapping[str, Any]) -> str:
    """The model's page with the figures of a study between its marks."""
    before, _, rest = page.partition("<!-- claim -->\n")
    _, mark, after = rest.partition("<!-- /claim -->")
    if not mark:
        raise LookupError("docs/customs-model.md has no marks for the study's figures")
    return f"{before}<!-- claim -->\n{model_figures(study)}{mark}{after}"


def _with_bounds(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.1f} ({figure['low']:.1f} to {figure['high']:.1f})"


def main(claim: str) -> None:
    """Run the commands on a new server, and write README and the model's page."""
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
    MODEL.write_text(with_figures(MODEL.read_text(encoding="utf-8"), study), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
