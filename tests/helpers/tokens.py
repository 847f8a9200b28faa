"""A token of the tests' own in SoftHSM, whose module reads its configuration once for each process."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
PIN = "5678"


def module() -> str | None:
    """The path of SoftHSM's module, or None where it is not installed."""
    found = [path for path in MODULES if Path(path).exists()]
    return found[0] if found and shutil.which("softhsm2-util") else None


needs_softhsm = pytest.mark.skipif(module() is None, reason="SoftHSM is not installed (Debian: softhsm2)")


def prepare(folder: Path, count: int) -> list[str]:
    """Make empty tokens in a folder, for this process and those that it starts; their labels.

    All at once: the module looks for tokens only when it is loaded.
    """
    (folder / "tokens").mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(conf)
    labels = [f"token-{number}" for number in range(count)]
    for label in labels:
        _make(label)
    return labels


def _make(label: str) -> None:
    made = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "1234", "--pin", PIN]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
