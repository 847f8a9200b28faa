"""What an operator may set, from the environment; everything has a default that works."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

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
    next_master_key: str | None = None
    secure_cookies: bool = False
    demo: bool = True
    log_level: str = "WARNING"
    ledger_rpc_url: str | None = None
    ledger_confirmations: int = 0
    ledger_max_fee_gwei: int = 100
    ledger_guardian: str | None = None
    ledger_authority_delay_seconds: int = 0
    ledger_registration_delay_seconds: int = 0
    ledger_administration_delay_seconds: int = 86_400
    public_url: str | None = None
    intake_most_waiting: int = 100_000
    intake_least_free_mb: int = 200

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read DATA_DIR, PORT, HOST, PROVENPORT_MASTER_KEY, SECURE_COOKIES, PROVENPORT_DEMO and LOG_LEVEL.

        LEDGER_RPC_URL puts the ledger on a node instead of the embedded chain; LEDGER_CONFIRMATIONS (12 there, 0
        embedded) and LEDGER_MAX_FEE_GWEI go with it. When the contracts are deployed, LEDGER_AUTHORITY_DELAY_SECONDS,
        LEDGER_REGISTRATION_DELAY_SECONDS and LEDGER_ADMINISTRATION_DELAY_SECONDS say how long the authority's acts are
        announced before they can be done, and LEDGER_GUARDIAN who may cancel them until then. PUBLIC_URL is the address
        that everybody reaches this server by. INTAKE_MOST_WAITING records may wait for the ledger, and
        INTAKE_LEAST_FREE_MB must be left on the disk, before no more is taken in.
        """
        rpc_url = _address(environment, "LEDGER_RPC_URL")
        return cls(
            data_dir=Path(environment.get("DATA_DIR") or "var").expanduser().absolute(),
            port=_port(environment.get("PORT") or "8080"),
            host=environment.get("HOST") or "127.0.0.1",
            master_key=environment.get("PROVENPORT_MASTER_KEY") or None,
            next_master_key=environment.get("PROVENPORT_NEXT_MASTER_KEY") or None,
            secure_cookies=_switch(environment, "SECURE_COOKIES", False),
            demo=_switch(environment, "PROVENPORT_DEMO", True),
            log_level=_level(environment.get("LOG_LEVEL") or "WARNING"),
            ledger_rpc_url=rpc_url,
            ledger_guardian=_account(environment.get("LEDGER_GUARDIAN") or ""),
            ledger_authority_delay_seconds=_count(environment, "LEDGER_AUTHORITY_DELAY_SECONDS", 0),
            ledger_registration_delay_seconds=_count(
                environment, "LEDGER_REGISTRATION_DELAY_SECONDS", 86_400 if rpc_url else 0
            ),
            ledger_administration_delay_seconds=_count(environment, "LEDGER_ADMINISTRATION_DELAY_SECONDS", 86_400),
            intake_most_waiting=_count(environment, "INTAKE_MOST_WAITING", 100_000),
            intake_least_free_mb=_count(environment, "INTAKE_LEAST_FREE_MB", 200),
            ledger_confirmations=_count(environment, "LEDGER_CONFIRMATIONS", 12 if rpc_url else 0),
            ledger_max_fee_gwei=_count(environment, "LEDGER_MAX_FEE_GWEI", 100),
            public_url=_address(environment, "PUBLIC_URL"),
        )


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise WrongSetting("PORT is {value}: give a number from 1 to 65535", value=repr(text))
    return int(text)


def _address(environment: Mapping[str, str], name: str) -> str | None:
    text = environment.get(name) or ""
    if text and not (text.startswith(("http://", "https://")) and urlsplit(text).hostname):
        raise WrongSetting("{name} is no http:// or https:// address", name=name)
    return text or None


def _account(text: str) -> str | None:
    if text and not re.fullmatch("0x[0-9a-fA-F]{40}", text):
        raise WrongSetting("LEDGER_GUARDIAN is no address: give 0x and 40 hexadecimal digits")
    return text or None


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip()
    if text and not (text.isdigit() and int(text) <= 1_000_000):
        raise WrongSetting("{name} is {value}: give a whole number", name=name, value=repr(text))
    return int(text) if text else default


def _level(text: str) -> str:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise WrongSetting("LOG_LEVEL is {value}: give DEBUG, INFO, WARNING or ERROR", value=repr(text))
    return text.upper()


def _switch(environment: Mapping[str, str], name: str, default: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no"):
        raise WrongSetting("{name} is {value}: give 1 or 0", name=name, value=repr(text))
    return default if not text else text in ("1", "true", "yes")
