"""Runs commands of ``provenport`` whose standard output or error is full or closed, each in a process of its own.

Reads runs as JSON from a file, and writes what came of them beside it: exit code and what reached the streams. The
processes are forked, so that two hundred of them need not import the program again.
"""

import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

STREAMS = {"output": 1, "errors": 2}
MOST_SECONDS = 20


def main(asked: Path) -> None:
    from backend.cli.main import COMMANDS

    for place in COMMANDS.values():
        import_module(place.split(":")[0])
    for module in ("backend.runtime.app", "backend.runtime.serving", "backend.adapters.node_client"):
        import_module(module)
    found = []
    for run in json.loads(asked.read_text(encoding="utf-8")):
        told = {name: asked.with_name(f"{name}.txt") for name in STREAMS}
        child = os.fork()
        if child == 0:
            become(run, told)
            return
        found.append({"code": waited_for(child), **{name: read(file) for name, file in told.items()}})
    asked.with_suffix(".done").write_text(json.dumps(found), encoding="utf-8")


def become(run: dict[str, object], told: dict[str, Path]) -> None:
    """Be the command: whatever it raises, and Python's own end, are those of its process."""
    os.environ.update(run["environment"])
    for name, number in STREAMS.items():
        if run[name] == "closed":
            os.close(number)
            setattr(sys, {1: "stdout", 2: "stderr"}[number], None)  # as Python does at its start
        else:
            to = "/dev/full" if run[name] == "full" else told[name]
            handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(handle, number)
            os.close(handle)
    sys.argv = ["provenport", *run["arguments"]]
    import_module("backend.cli.main").main()


def waited_for(child: int) -> int:
    """The exit code; a server is told to stop once it had time to start."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGTERM))
    signal.alarm(MOST_SECONDS)
    _pid, status = os.waitpid(child, 0)
    signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


def read(file: Path) -> str:
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    file.unlink(missing_ok=True)
    return text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
