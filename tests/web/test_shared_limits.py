"""Limits on what one client may do, counted by several processes together in redis, which may be out of reach."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from flask import Blueprint, Flask

from backend.settings import Settings, WrongSetting
from backend.web import security
from backend.web.public.health import _limits

REDIS = shutil.which("redis-server") or shutil.which("valkey-server")
needs_redis = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed (Debian: redis-server)")
MOST = 120
"""Of the trust file, in a minute."""


def an_app(url, key="one installation's key"):
    """An application with our limits, and one page that has a limit of ours."""
    app = Flask("limited")
    app.secret_key = key
    page = Blueprint("downloads", "downloads")
    page.add_url_rule("/trust", "trust_file", lambda: "here")
    app.register_blueprint(page)
    security.install_security(app, secure_cookies=False, rate_limits_url=url)
    return app


def serve_lines():
    """Another process: for each line ask so often, and tell the statuses."""
    client = an_app(sys.argv[1]).test_client()
    for line in sys.stdin:
        print(json.dumps([client.get("/trust").status_code for _ in range(int(line))]), flush=True)


class Redis:
    """A redis of the tests' own, which keeps nothing."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.url = folder, f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [REDIS, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def redis(tmp_path):
    started = Redis(tmp_path)
    yield started
    started.stop()


class Process:
    """A web process of its own."""

    def __init__(self, url):
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from tests.web.test_shared_limits import serve_lines; serve_lines()", url or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )

    def ask(self, times):
        print(times, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)


@needs_redis
def test_second_process_knows_of_the_firsts_requests(redis):
    first, second = Process(redis.url), Process(redis.url)
    try:
        assert first.ask(MOST - 20) == [200] * (MOST - 20)
        assert second.ask(21) == [200] * 20 + [429]
        assert first.ask(1) == [429]
    finally:
        first.end()
        second.end()


def test_without_redis_each_process_counts_for_itself():
    """What the test above would find if nothing were shared."""
    first, second = an_app(None).test_client(), an_app(None).test_client()
    assert [first.get("/trust").status_code for _ in range(MOST + 1)] == [200] * MOST + [429]
    assert second.get("/trust").status_code == 200
    with an_app(None).app_context():
        assert _limits() == {}


@needs_redis
def test_installations_on_one_redis_count_apart(redis):
    ours, others = an_app(redis.url).test_client(), an_app(redis.url, "another's").test_client()
    assert [ours.get("/trust").status_code for _ in range(MOST + 1)][-1] == 429
    assert others.get("/trust").status_code == 200


@needs_redis
@pytest.mark.parametrize("fault", ["dead", "hanging"])
def test_redis_out_of_reach_lets_requests_pass(redis, fault, caplog):
    app = an_app(redis.url)
    client = app.test_client()
    assert client.get("/trust").headers["RateLimit"].startswith(f'"1";r={MOST - 1};')
    with app.app_context():
        assert _limits() == {"rateLimits": "shared"}
    if fault == "dead":
        redis.stop()
    else:
        redis.process.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    answers = [client.get("/trust") for _ in range(MOST + 1)]
    assert time.monotonic() - begin < 30
    assert [one.status_code for one in answers] == [200] * MOST + [429]  # by its own count
    assert answers[0].headers["RateLimit"]
    assert "unreachable" in caplog.text
    with app.app_context():
        assert _limits() == {"rateLimits": "each process by itself"}
    if fault == "dead":
        redis.start()
    else:
        redis.process.send_signal(signal.SIGCONT)
    with app.app_context():
        assert _limits() == {"rateLimits": "shared"}
    deadline = time.monotonic() + 60
    while client.get("/trust").status_code != 200:  # redis knows of one request or two
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_process_starts_while_redis_is_away(caplog):
    client = an_app("redis://127.0.0.1:1/0").test_client()
    assert client.get("/trust").status_code == 200
    assert "unreachable" in caplog.text


def test_missing_library_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(security.LimitsNotShared, match="provenport"):
        an_app("redis://127.0.0.1:1/0")


@pytest.mark.parametrize("url", ["http://host", "redis:///0", "redis://host:x/0", "redis://host/name", "memory://"])
def test_other_addresses_are_refused_unrepeated(url):
    with pytest.raises(WrongSetting, match="RATE_LIMITS_URL") as told:
        Settings.from_environment({"RATE_LIMITS_URL": url})
    assert url not in str(told.value)
    settings = Settings.from_environment({"RATE_LIMITS_URL": "rediss://:secret@host:6380/1"})
    assert "secret" not in repr(settings)
    assert settings.rate_limits_url
