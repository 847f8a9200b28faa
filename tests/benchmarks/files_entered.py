"""How many of our source files a request enters: what somebody reads to follow it from the route to the database.

    python tests/benchmarks/files_entered.py [--list] [FOLDER]

``--list`` names the files and what each request enters alone. FOLDER is another checkout of the project (an older one)
to be measured the same way, with this same program, started with that checkout's own Python.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OURS = ("backend", "contracts", "verifier")
GOALS = {"POST certificate": 26, "GET verdict": 36, "declaration page": 42}
TOOL = 4
"""A tool number of ``sys.monitoring`` that neither debuggers nor coverage take."""


@dataclass
class Entered:
    """The files of ours in which a function began while somebody listened."""

    root: Path
    files: set[str] = field(default_factory=set)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen in this thread and all others; every call counts once for its file."""
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            monitoring.use_tool_id(TOOL, "files entered")
            monitoring.register_callback(TOOL, monitoring.events.PY_START, lambda code, _: self._note(code.co_filename))
            monitoring.set_events(TOOL, monitoring.events.PY_START)
            try:
                yield
            finally:
                monitoring.set_events(TOOL, 0)
                monitoring.free_tool_id(TOOL)
            return
        sys.setprofile(lambda frame, event, _: self._note(frame.f_code.co_filename) if event == "call" else None)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, name: str) -> None:
        with suppress(ValueError):
            path = Path(name).relative_to(self.root)
            if path.parts[0] in OURS and path.suffix == ".py":
                self.files.add(path.as_posix())


def count(root: Path, scratch: Path) -> dict[str, set[str]]:
    """The files that each of the three requests enters, on the demonstration, once everything is warm."""
    new = (root / "backend" / "runtime").is_dir()
    app_module, demo = (import_module(f"backend.{'runtime.' if new else ''}{name}") for name in ("app", "demo"))
    settings = import_module("backend.settings").Settings(scratch / "data")
    with app_module.running(settings) as system:
        demo.fill(system.ctx if new else system.at, system.folder, lambda step: None)
        client = app_module.create_app(system).test_client()
        entries = json.loads(system.folder.demo_credentials.read_text(encoding="utf-8"))
        people = {entry["role"]: entry for entry in entries}
        return {name: _entered(root, call) for name, call in _calls(client, people).items()}


def _entered(root: Path, call: Callable[[], Any]) -> set[str]:
    call()  # what is only done once, is done now
    heard = Entered(root)
    with heard.listening():
        answer = call()
    assert answer.status_code in (200, 201), answer.get_data(as_text=True)
    return heard.files


def _calls(client: Any, people: Mapping[str, Mapping[str, str]]) -> dict[str, Callable[[], Any]]:
    def bearer(role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {people[role]['token']}"}

    numbers = iter(range(100))
    listed = client.get("/api/v1/declarations", headers=bearer("officer")).get_json()["declarations"]
    declaration = next(one["id"] for one in listed if one["status"] == "RELEASED")
    _sign_in(client, people["merchant"])
    return {
        "POST certificate": lambda: client.post(
            "/api/v1/certificates-of-origin",
            json=_certificate(people["merchant"]["organisation"], next(numbers)),
            headers=bearer("chamber"),
        ),
        "GET verdict": lambda: client.get(f"/api/v1/declarations/{declaration}", headers=bearer("officer")),
        "declaration page": lambda: client.get(f"/declarations/{declaration}"),
    }


def _certificate(exporter: str, number: int) -> dict[str, Any]:
    return {
        "certificateNumber": f"BENCH-{number}",
        "exporter": {"name": exporter},
        "originCountry": "CN",
        "importCountry": "SG",
        "originCriteria": "CTH",
        "hsCode": "940521",
        "description": "LED desk lamp, 8 W",
        "quantity": "500",
        "unitCode": "H87",
        "issueDate": datetime.now(UTC).date().isoformat(),
    }


def _sign_in(client: Any, person: Mapping[str, str]) -> None:
    page = client.get("/sign-in").text
    token = page.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    typed = {"csrf_token": token, "email": person["email"], "password": person["password"]}
    assert client.post("/sign-in", data=typed).status_code == 302


def show(found: Mapping[str, set[str]], *, with_names: bool) -> None:
    """Print the table, and the files by the requests that enter them."""
    print(f"{'request':<20}{'files':>6}{'goal':>6}{'under 60 lines':>16}")
    for name, files in found.items():
        small = sum(_lines(file) < 60 for file in files)
        print(f"{name:<20}{len(files):>6}{GOALS[name]:>6}{small:>16}")
    if not with_names:
        return
    print("\nC: POST certificate, V: GET verdict, P: declaration page")
    for file in sorted(set.union(*found.values())):
        marks = "".join(mark if file in files else "." for mark, files in zip("CVP", found.values(), strict=True))
        print(f"  {marks}  {_lines(file):>4} lines  {file}")


def _lines(file: str) -> int:
    path = next((root / file for root in (Path(sys.path[0]), ROOT) if (root / file).exists()), ROOT / file)
    return len(path.read_text(encoding="utf-8").splitlines())


def measure(scratch: Path) -> list[Any]:
    """The three counts, for ``make bench``."""
    from tests.benchmarks.figure import Figure

    found = count(ROOT, scratch)
    return [Figure(f"files entered: {name}", len(files), "files", f"<= {GOALS[name]}") for name, files in found.items()]


if __name__ == "__main__":
    options = [argument for argument in sys.argv[1:] if argument != "--list"]
    checkout = Path(options[0]).resolve() if options else ROOT
    sys.path.insert(0, str(checkout))
    with tempfile.TemporaryDirectory() as temporary:
        show(count(checkout, Path(temporary)), with_names="--list" in sys.argv)
