"""A running Provenport as a client sees it: calls by role, and plain words where it does not answer as it should."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from clearance_sim.messages import _

NEEDED = ("chamber", "laboratory", "merchant", "officer")
"""Roles that every probe acts in; with the authority's token it tries an issuer without accreditation too."""
ROLES = (*NEEDED, "authority")
ANSWER_SECONDS = 30.0
"""A call that takes longer counts as unanswered."""


class ProbeError(Exception):
    """The probe cannot be made, or could not go on; the text says what to do."""


class Unexpected(ProbeError):
    """A call was answered with another status than the procedure expects."""

    def __init__(self, call: str, status: int, body: Mapping[str, Any]) -> None:
        values = {"call": call, "status": status, "detail": body.get("detail") or body.get("title") or ""}
        faults = "; ".join(f"{e.get('field')}: {e.get('message')}" for e in body.get("errors", []))
        super().__init__(
            _("{call} was answered with {status}: {detail} ({faults})", **values, faults=faults)
            if faults
            else _("{call} was answered with {status}: {detail}", **values)
        )
        self.status, self.body = status, dict(body)


@dataclass(frozen=True)
class Answer:
    """One answer of the interface, and how long it took."""

    status: int
    body: dict[str, Any]
    seconds: float


@dataclass
class Provenport:
    """The interface of one running Provenport, called by the people whose tokens are at hand."""

    url: str
    tokens: Mapping[str, str]
    version: str = ""
    organisations: dict[str, str] = field(default_factory=dict)

    def call(
        self,
        method: str,
        path: str,
        role: str | None = None,
        body: Any = None,
        token: str = "",
        read: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Return one call; raises ProbeError where there is no answer.

        ``read`` is the thing as it was read, where the call changes it and others may do so at the same time.
        """
        token = token or (self.tokens[role] if role else "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if read is not None and "version" in read:  # an older Provenport knows no versions
            headers["If-Match"] = f'"{read["version"]}"'
        started = time.perf_counter()
        try:
            # No session: its pool is not for threads, and a customs office's system opens connections of its own.
            got = requests.request(
                method, f"{self.url}/api/v1{path}", headers=headers, json=body, timeout=ANSWER_SECONDS
            )
        except requests.Timeout as error:
            raise ProbeError(
                _(
                    "{url} did not answer {method} {path} within {seconds:.0f} s",
                    url=self.url,
                    method=method,
                    path=path,
                    seconds=ANSWER_SECONDS,
                )
            ) from error
        except requests.RequestException as error:
            raise ProbeError(
                _(
                    "{url} does not answer ({name}): is it running? Start it with provenport serve, or name "
                    "another address with --url",
                    url=self.url,
                    name=type(error).__name__,
                )
            ) from error
        seconds = time.perf_counter() - started
        try:
            content = got.json()
        except ValueError:
            content = None
        return Answer(got.status_code, content if isinstance(content, dict) else {}, seconds)

    def get(self, path: str, role: str) -> dict[str, Any]:
        """Return what a GET answers; raises Unexpected where it is not 200."""
        return self._expect("GET", path, 200, self.call("GET", path, role)).body

    def post(
        self,
        path: str,
        role: str | None,
        body: Any,
        expect: int = 201,
        token: str = "",
        read: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Return what a POST answers; raises Unexpected where the status is another."""
        return self._expect("POST", path, expect, self.call("POST", path, role, body, token, read))

    @staticmethod
    def _expect(method: str, path: str, status: int, answer: Answer) -> Answer:
        if answer.status != status:
            raise Unexpected(f"{method} {path}", answer.status, answer.body)
        return answer

    def until(self, question: Callable[[], Any], patience_seconds: float) -> Any:
        """Ask until the answer is true, ever less often; None where patience ran out."""
        deadline = time.perf_counter() + patience_seconds
        pause = 0.02
        while not (answer := question()):
            if time.perf_counter() > deadline:
                return None
            time.sleep(pause)
            pause = min(pause * 1.15, 0.25)
        return answer


def connect(url: str, tokens: Mapping[str, str]) -> Provenport:
    """Make sure that a Provenport listens there and knows every token; raises ProbeError in plain words."""
    missing = [role for role in NEEDED if not tokens.get(role)]
    if missing:
        raise ProbeError(
            _(
                "no token for {missing}: give --token ROLE=TOKEN for each of {names}, or --credentials "
                "FILE (the demonstration keeps one in its data folder: demo-credentials.json)",
                missing=", ".join(missing),
                names=", ".join(NEEDED),
            )
        )
    found = Provenport(_address(url), dict(tokens))
    found.version = _version(found)
    for role in (role for role in ROLES if tokens.get(role)):
        found.organisations[role] = _who(found, role)
    return found


def _address(url: str) -> str:
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProbeError(_("{url} is no http:// or https:// address", url=url))
    return f"{parts.scheme}://{parts.netloc}"


def _version(found: Provenport) -> str:
    """Return the version in the interface's own description, which another program on that port would not have."""
    about = found.call("GET", "/openapi.json").body.get("info", {})
    if about.get("title") != "Provenport":
        raise ProbeError(
            _("{url} answers, but it is no Provenport: it has no description at /api/v1/openapi.json", url=found.url)
        )
    return str(about.get("version", ""))


def _who(found: Provenport, role: str) -> str:
    answer = found.call("GET", "/me", role)
    if answer.status == 401:
        raise ProbeError(
            _(
                "the token for {role} is nobody's at {url}: copy it again, or ask for a new one",
                role=role,
                url=found.url,
            )
        )
    if answer.status != 200:
        raise ProbeError(
            _(
                "{url} answered {status} when asked whose the token for {role} is",
                url=found.url,
                status=answer.status,
                role=role,
            )
        )
    if answer.body.get("role") != role:
        raise ProbeError(
            _("the token given for {role} belongs to a {value}: swap them", role=role, value=answer.body.get("role"))
        )
    return str(answer.body.get("organisation", ""))


def tokens_from(file: Path) -> dict[str, str]:
    """Return the tokens in a credentials file: a list of entries with role and token, or an object of role to token."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProbeError(_("{file} cannot be read ({reason})", file=file, reason=error.strerror)) from error
    except ValueError as error:
        raise ProbeError(_("{file} is no JSON: {error}", file=file, error=error)) from error
    if isinstance(content, dict):
        return {role: token for role, token in content.items() if isinstance(token, str)}
    try:
        return {str(entry["role"]): str(entry["token"]) for entry in content}
    except (TypeError, KeyError) as error:
        raise ProbeError(
            _("{file} holds no credentials: a list of entries with role and token is expected", file=file)
        ) from error


__all__ = ["NEEDED", "ROLES", "Answer", "ProbeError", "Provenport", "Unexpected", "connect", "tokens_from"]
