"""What an operator may set, from the environment; everything has a default that works."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from socket import gethostname
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
    ledger_admin: str | None = None
    ledger_authority_delay_seconds: int = 0
    ledger_registration_delay_seconds: int = 0
    ledger_administration_delay_seconds: int = 86_400
    ledger_revocation_delay_seconds: int = 3 * 86_400
    public_url: str | None = None
    """Without a slash at its end; its path, where it has one, stands before every path of ours."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    metrics_token: str | None = None
    intake_most_waiting: int = 100_000
    intake_least_free_mb: int = 200
    database_url: str | None = field(default=None, repr=False)
    """A PostgreSQL database, with its password. None for SQLite in the data folder."""

    @property
    def address(self) -> str:
        """How others reach this server: PUBLIC_URL, else where it listens. Never what a client claims it to be."""
        if self.public_url is not None:
            return self.public_url
        host = gethostname() if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{host}:{self.port}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read DATA_DIR, PORT, HOST, PROVENPORT_MASTER_KEY, SECURE_COOKIES, PROVENPORT_DEMO and LOG_LEVEL.

        DATABASE_URL names a PostgreSQL database to use instead of SQLite in the data folder.
        LEDGER_RPC_URL puts the ledger on a node instead of the embedded chain; LEDGER_CONFIRMATIONS (12 there, 0
        embedded) and LEDGER_MAX_FEE_GWEI go with it. When the contracts are deployed, LEDGER_AUTHORITY_DELAY_SECONDS,
        LEDGER_REGISTRATION_DELAY_SECONDS, LEDGER_REVOCATION_DELAY_SECONDS and LEDGER_ADMINISTRATION_DELAY_SECONDS say
        how long acts of the authority and the admin are announced before they can be done, LEDGER_GUARDIAN who may
        cancel them until then, and LEDGER_ADMIN who gives and takes the accounts' roles. PUBLIC_URL is the address
        that everybody reaches this server by, TRUSTED_PROXIES whose word counts on who asks, METRICS_TOKEN what
        /metrics is given for; SECURE_COOKIES is 1 where PUBLIC_URL is https. INTAKE_MOST_WAITING records may wait for
        the ledger, and INTAKE_LEAST_FREE_MB must be left on the disk, before no more is taken in.
        """
        rpc_url = _address(environment, "LEDGER_RPC_URL")
        public_url = _public_url(environment)
        return cls(
            data_dir=Path(environment.get("DATA_DIR") or "var").expanduser().absolute(),
            database_url=_database(environment.get("DATABASE_URL", "").strip()),
            port=_port(environment.get("PORT") or "8080"),
            host=environment.get("HOST") or "127.0.0.1",
            master_key=environment.get("PROVENPORT_MASTER_KEY") or None,
            next_master_key=environment.get("PROVENPORT_NEXT_MASTER_KEY") or None,
            secure_cookies=_switch(environment, "SECURE_COOKIES", (public_url or "").startswith("https://")),
            demo=_switch(environment, "PROVENPORT_DEMO", True),
            log_level=_level(environment.get("LOG_LEVEL") or "WARNING"),
            ledger_rpc_url=rpc_url,
            ledger_guardian=_account(environment, "LEDGER_GUARDIAN"),
            ledger_admin=_account(environment, "LEDGER_ADMIN"),
            ledger_authority_delay_seconds=_count(environment, "LEDGER_AUTHORITY_DELAY_SECONDS", 0),
            ledger_registration_delay_seconds=_count(
                environment, "LEDGER_REGISTRATION_DELAY_SECONDS", 86_400 if rpc_url else 0
            ),
            ledger_administration_delay_seconds=_count(environment, "LEDGER_ADMINISTRATION_DELAY_SECONDS", 86_400),
            ledger_revocation_delay_seconds=_count(environment, "LEDGER_REVOCATION_DELAY_SECONDS", 3 * 86_400),
            intake_most_waiting=_count(environment, "INTAKE_MOST_WAITING", 100_000),
            intake_least_free_mb=_count(environment, "INTAKE_LEAST_FREE_MB", 200),
            ledger_confirmations=_count(environment, "LEDGER_CONFIRMATIONS", 12 if rpc_url else 0),
            ledger_max_fee_gwei=_count(environment, "LEDGER_MAX_FEE_GWEI", 100),
            public_url=public_url,
            trusted_proxies=_proxies(environment, public_url),
            metrics_token=_token(environment, "METRICS_TOKEN"),
        )


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise WrongSetting("PORT is {value}: give a number from 1 to 65535", value=repr(text))
    return int(text)


def _database(text: str) -> str | None:
    """Take the address of a PostgreSQL database; it may hold a password, so that no message repeats it."""
    if not text:
        return None
    scheme, separator, rest = text.partition("://")
    try:
        has_name = len(urlsplit(text).path) > 1
    except ValueError:
        has_name = False
    if scheme not in ("postgresql", "postgres") or not separator or not has_name:
        raise WrongSetting(
            "DATABASE_URL is no address of a PostgreSQL database: give postgresql://USER:PASSWORD@HOST:5432/NAME, or "
            "leave it out to use SQLite in the data folder"
        )
    return f"postgresql://{rest}"


def _address(environment: Mapping[str, str], name: str) -> str | None:
    text = environment.get(name) or ""
    if text and not (text.startswith(("http://", "https://")) and urlsplit(text).hostname):
        raise WrongSetting("{name} is no http:// or https:// address", name=name)
    return text or None


def _public_url(environment: Mapping[str, str]) -> str | None:
    """The address with its default port left out, in lower case as far as that means the same."""
    text = _address(environment, "PUBLIC_URL")
    if text is None:
        return None
    found = urlsplit(text)
    path = found.path.rstrip("/")
    is_plain = re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", path) is not None
    try:
        port = found.port
    except ValueError:
        is_plain, port = False, None
    if found.query or found.fragment or "@" in found.netloc or not is_plain:
        raise WrongSetting(
            "PUBLIC_URL is {value}: give scheme, host and perhaps a path, nothing else", value=repr(text)
        )
    host = f"[{found.hostname}]" if ":" in (found.hostname or "") else found.hostname
    default = 443 if found.scheme == "https" else 80
    return f"{found.scheme}://{host}{'' if port in (None, default) else f':{port}'}{path}"


def _proxies(environment: Mapping[str, str], public_url: str | None) -> tuple[IPv4Network | IPv6Network, ...]:
    listed = (environment.get("TRUSTED_PROXIES") or "").replace(",", " ").split()
    try:
        found = tuple(ip_network(text, strict=False) for text in listed)
    except ValueError as error:
        raise WrongSetting(
            "TRUSTED_PROXIES is {value}: give addresses or networks, such as 127.0.0.1 or 10.0.0.0/24",
            value=repr(environment["TRUSTED_PROXIES"]),
        ) from error
    if any(network.prefixlen == 0 for network in found):
        raise WrongSetting("TRUSTED_PROXIES names every address: anybody could then pass for anybody else")
    if found and public_url is None:
        raise WrongSetting("TRUSTED_PROXIES needs PUBLIC_URL: the address that users reach the proxy by")
    return found


def _token(environment: Mapping[str, str], name: str) -> str | None:
    text = environment.get(name, "").strip()
    if text and not re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,}", text):
        raise WrongSetting("{name} is too short or has odd characters: give 16 or more letters and digits", name=name)
    return text or None


def _account(environment: Mapping[str, str], name: str) -> str | None:
    text = environment.get(name) or ""
    if text and not re.fullmatch("0x[0-9a-fA-F]{40}", text):
        raise WrongSetting("{name} is no address: give 0x and 40 hexadecimal digits", name=name)
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
