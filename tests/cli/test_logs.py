"""What a server logs, for people and for machines."""

import json
import logging
import subprocess
import sys

import pytest

SCRIPT = """
import logging, structlog
from backend.cli.operators import _log_to_stderr
_log_to_stderr("INFO", "{form}")
structlog.contextvars.bind_contextvars(request_id="r-1")
structlog.get_logger().info("batch sealed", size=3)
logging.getLogger("backend.web.context").info("GET %r", "/x\\n", extra=dict(path="/x\\n", status=200))
structlog.get_logger().debug("not wanted")
def sign(secret):
    1 / 0

try:
    sign("s3cr3t-" + "in-the-frame")
except ZeroDivisionError:
    structlog.get_logger().exception("没有")
"""


def logged(form: str) -> list[str]:
    script = SCRIPT.replace("{form}", form)
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return told.stderr.splitlines()


def test_json_log_is_one_object_a_line() -> None:
    sealed, asked, failed = [json.loads(line) for line in logged("json")]
    assert (sealed["message"], sealed["size"], sealed["level"], sealed["request_id"]) == (
        "batch sealed",
        3,
        "info",
        "r-1",
    )
    assert (asked["message"], asked["path"], asked["status"]) == ("GET '/x\\n'", "/x\n", 200)
    assert asked["logger"] == "backend.web.context"
    assert asked["request_id"] == "r-1"
    assert failed["message"] == "没有"
    assert "ZeroDivisionError" in failed["exception"]
    assert all(line["timestamp"].endswith("Z") for line in (sealed, asked, failed))


def test_text_log_is_for_people() -> None:
    lines = logged("text")
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[0])
    assert any("batch sealed" in line for line in lines)


@pytest.mark.parametrize("form", ["text", "json"])
def test_failure_is_logged_without_local_variables(form) -> None:
    told = "\n".join(logged(form))
    assert "in sign" in told
    assert "ZeroDivisionError" in told
    assert "s3cr3t-in-the-frame" not in told


def test_request_is_logged_with_its_names(client, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="backend.web.context"):
        client.get("/readyz", headers={"X-Request-Id": "mine-7"})
    (line,) = [record for record in caplog.records if record.name == "backend.web.context"]
    assert (line.method, line.path, line.status, line.request_id) == ("GET", "/readyz", 200, "mine-7")
    assert line.milliseconds >= 0
