"""What an operator may set, from the environment; everything has a default that works."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.domain.errors import TraceabilityError


class WrongSetting(TraceabilityError):
    """A setting cannot be used as it stands."""

    code = "wrong-setting"


@dataclass(frozen=True)
class Settings:
    """Settings of one server."""

    data_dir: Path
    port: int = 8080
    host: str = "127.0.0.1"
    master_key: str | None = None
    secure_cookies: bool = False
    demo: bool = True
    log_level: str = "WARNING"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read DATA_DIR, PORT, HOST, PROVENPORT_MASTER_KEY, SECURE_COOKIES, PROVENPORT_DEMO and LOG_LEVEL."""
        return cls(
            data_dir=Path(environment.get("DATA_DIR") or "var").expanduser().absolute(),
            port=_port(environment.get("PORT") or "8080"),
            host=environment.get("HOST") or "127.0.0.1",
            master_key=environment.get("PROVENPORT_MASTER_KEY") or None,
            secure_cookies=_switch(environment, "SECURE_COOKIES", False),
            demo=_switch(environment, "PROVENPORT_DEMO", True),
            log_level=_level(environment.get("LOG_LEVEL") or "WARNING"),
        )


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise WrongSetting(f"PORT is {text!r}: give a number from 1 to 65535")
    return int(text)


def _level(text: str) -> str:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise WrongSetting(f"LOG_LEVEL is {text!r}: give DEBUG, INFO, WARNING or ERROR")
    return text.upper()


def _switch(environment: Mapping[str, str], name: str, default: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no"):
        raise WrongSetting(f"{name} is {text!r}: give 1 or 0")
    return default if not text else text in ("1", "true", "yes")
