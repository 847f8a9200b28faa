"""What an operator may set, from the environment; everything has a default that works."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from socket import gethostname
from urllib.parse import urlsplit

from backend.domain.errors import TraceabilityError

_TRACES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


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
    log_format: str = "text"
    ledger_rpc_url: str | None = None
    """The node that the ledger is on, or several of them with a space between; None for the embedded chain."""
    ledger_rpc_agree: int | None = None
    """How many of several nodes must say the same; None for more than half of them."""
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
    intake_longest_wait_seconds: int = 86_400
    database_url: str | None = field(default=None, repr=False)
    """A PostgreSQL database, with its password. None for SQLite in the data folder."""
    keys_database_url: str | None = field(default=None, repr=False)
    """A PostgreSQL database for the keys of texts alone. None for a file in the data folder."""
    pkcs11_module: str | None = None
    """The library of a token that holds master key, signing keys and ledger accounts. None for the data folder."""
    pkcs11_token: str = "provenport"
    pkcs11_pin: str = field(default="", repr=False)
    pkcs11_ledger_accounts: bool = True
    rate_limits_url: str | None = field(default=None, repr=False)
    """A redis database, with its password, in which all processes count requests. None for each by itself."""
    files_url: str | None = None
    """A bucket, and perhaps a path in it, for attachments and results. None for the data folder."""
    sends_traces: bool = False
    """Whether OpenTelemetry's own variables name who collects traces."""

    @property
    def ledger_nodes(self) -> tuple[str, ...]:
        """The addresses of the nodes; none for the embedded chain."""
        return tuple((self.ledger_rpc_url or "").split())

    @property
    def address(self) -> str:
        """How others reach this server: PUBLIC_URL, else where it listens. Never what a client claims it to be."""
        if self.public_url is not None:
            return self.public_url
        host = gethostname() if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{host}:{self.port}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read DATA_DIR, PORT, HOST, PROVENPORT_MASTER_KEY, SECURE_COOKIES, PROVENPORT_DEMO, LOG_LEVEL, LOG_FORMAT.

        DATABASE_URL names a PostgreSQL database to use instead of SQLite in the data folder, KEYS_DATABASE_URL another
        one for the keys of texts, FILES_URL an object store for attachments and simulations' results, RATE_LIMITS_URL
        a redis database in which processes count together. PKCS11_MODULE is the library of a token that holds the
        keys, PKCS11_TOKEN its label, PKCS11_PIN its user's PIN; with PKCS11_LEDGER_ACCOUNTS=0 the ledger's accounts
        stay in the data folder, encrypted by the token. OTEL_EXPORTER_OTLP_ENDPOINT names who collects traces.
        LEDGER_RPC_URL puts the ledger on a node instead of the embedded chain, or on several, of which
        LEDGER_RPC_AGREE must say the same; LEDGER_CONFIRMATIONS (12 there, 0 embedded) and LEDGER_MAX_FEE_GWEI go
        with it. When the contracts are deployed, LEDGER_AUTHORITY_DELAY_SECONDS, LEDGER_REGISTRATION_DELAY_SECONDS,
        LEDGER_REVOCATION_DELAY_SECONDS and LEDGER_ADMINISTRATION_DELAY_SECONDS say how long acts of the authority and
        the admin are announced before they can be done, LEDGER_GUARDIAN who may cancel them until then, and
        LEDGER_ADMIN who gives and takes the accounts' roles. PUBLIC_URL is the address that everybody reaches this
        server by, TRUSTED_PROXIES whose word counts on who asks, METRICS_TOKEN what /metrics is given for;
        SECURE_COOKIES is 1 where PUBLIC_URL is https. INTAKE_MOST_WAITING records may wait for the ledger, each
        for INTAKE_LONGEST_WAIT_SECONDS, and INTAKE_LEAST_FREE_MB must be left on the disk, before no more is taken in.
        """
        rpc_url, agree = _nodes(environment)
        public_url = _public_url(environment)
        return cls(
            data_dir=Path(environment.get("DATA_DIR") or "var").expanduser().absolute(),
            database_url=_database(environment, "DATABASE_URL"),
            keys_database_url=_keys_database(environment),
            files_url=_bucket(environment.get("FILES_URL", "").strip()),
            rate_limits_url=_redis(environment.get("RATE_LIMITS_URL", "").strip()),
            sends_traces=any(environment.get(name, "").strip() for name in _TRACES),
            pkcs11_module=environment.get("PKCS11_MODULE", "").strip() or None,
            pkcs11_token=environment.get("PKCS11_TOKEN", "").strip() or "provenport",
            pkcs11_pin=environment.get("PKCS11_PIN", ""),
            pkcs11_ledger_accounts=_switch(environment, "PKCS11_LEDGER_ACCOUNTS", True),
            port=_port(environment.get("PORT") or "8080"),
            host=environment.get("HOST") or "127.0.0.1",
            master_key=environment.get("PROVENPORT_MASTER_KEY") or None,
            next_master_key=environment.get("PROVENPORT_NEXT_MASTER_KEY") or None,
            secure_cookies=_switch(environment, "SECURE_COOKIES", (public_url or "").startswith("https://")),
            demo=_switch(environment, "PROVENPORT_DEMO", True),
            log_level=_level(environment.get("LOG_LEVEL") or "WARNING"),
            log_format=_log_format(environment.get("LOG_FORMAT") or "text"),
            ledger_rpc_url=rpc_url,
            ledger_rpc_agree=agree,
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
            intake_longest_wait_seconds=_count(environment, "INTAKE_LONGEST_WAIT_SECONDS", 86_400),
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


def _keys_database(environment: Mapping[str, str]) -> str | None:
    """Take the address of the database of keys, which must not be copied or restored with the other one."""
    found = _database(environment, "KEYS_DATABASE_URL")
    if found is not None and found == _database(environment, "DATABASE_URL"):
        raise WrongSetting(
            "KEYS_DATABASE_URL names the same database as DATABASE_URL: whoever restores the one would restore the "
            "other, and with it what was erased"
        )
    return found


def _database(environment: Mapping[str, str], name: str) -> str | None:
    """Take the address of a PostgreSQL database; it may hold a password, so that no message repeats it."""
    text = environment.get(name, "").strip()
    if not text:
        return None
    scheme, separator, rest = text.partition("://")
    try:
        has_name = len(urlsplit(text).path) > 1
        rest = _hosts_as_parameters(rest)
    except ValueError:
        has_name = False
    if scheme not in ("postgresql", "postgres") or not separator or not has_name:
        raise WrongSetting(
            "{name} is no address of a PostgreSQL database: give postgresql://USER:PASSWORD@HOST:5432/NAME, or "
            "leave it out to use the data folder",
            name=name,
        )
    return f"postgresql://{rest}"


def _redis(text: str) -> str | None:
    """Take the address of a redis database; it may hold a password, so that no message repeats it."""
    try:
        found = urlsplit(text)
        is_right = found.scheme in ("redis", "rediss") and bool(found.hostname) and (found.port or 6379) > 0
    except ValueError:
        is_right = False
    if text and not (is_right and re.fullmatch(r"(/\d*)?", found.path) and not found.query):
        raise WrongSetting(
            "RATE_LIMITS_URL is no address of a redis database: give redis://:PASSWORD@HOST:6379/0, with rediss:// for "
            "TLS, or leave it out to let each process count for itself"
        )
    return text or None


def _bucket(text: str) -> str | None:
    """Take the address of a bucket; credentials are given apart, so that no log shows them."""
    if text and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._~-]+)*/?", text):
        raise WrongSetting(
            "FILES_URL is no address of a bucket: give s3://BUCKET or s3://BUCKET/PATH, and the credentials by "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or leave it out to use the data folder"
        )
    return text.rstrip("/") or None


def _hosts_as_parameters(rest: str) -> str:
    """Write several hosts (libpq: ``HOST1:5432,HOST2:5432``) as parameters, which is the form that SQLAlchemy knows.

    Raises:
        ValueError: A port is no number.
    """
    authority, slash, name = rest.partition("/")
    user, at, hosts = authority.rpartition("@")
    found = [urlsplit(f"//{host}") for host in hosts.split(",")]
    ports = [str(one.port or 5432) for one in found]
    if len(found) == 1:
        return rest
    listed = f"host={','.join(one.hostname or '' for one in found)}&port={','.join(ports)}"
    return f"{user}{at}{slash}{name}{'&' if '?' in name else '?'}{listed}"


def _nodes(environment: Mapping[str, str]) -> tuple[str | None, int | None]:
    """Take the nodes' addresses, which may hold keys, so that no message repeats them, and how many must agree."""
    name = "LEDGER_RPC_URL"
    listed = [_address({name: url}, name) for url in (environment.get(name) or "").replace(",", " ").split()]
    urls = [url for url in listed if url is not None]
    # One node that is asked twice would be half of an agreement.
    if len({urlsplit(url)._replace(netloc=urlsplit(url).netloc.lower()).geturl().rstrip("/") for url in urls}) < len(
        urls
    ):
        raise WrongSetting("LEDGER_RPC_URL names one node twice")
    text = environment.get("LEDGER_RPC_AGREE", "").strip()
    if not text:
        return " ".join(urls) or None, None
    if not text.isdigit() or not len(urls) // 2 < int(text) <= len(urls):
        raise WrongSetting(
            "LEDGER_RPC_AGREE is {value}: LEDGER_RPC_URL names {most} nodes, so give a number from {least} to {most} "
            "(fewer could agree on two chains)",
            value=repr(text),
            least=len(urls) // 2 + 1,
            most=len(urls),
        )
    return " ".join(urls) or None, int(text)


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


def _log_format(text: str) -> str:
    if text.lower() not in ("text", "json"):
        raise WrongSetting("LOG_FORMAT is {value}: give text or json", value=repr(text))
    return text.lower()


def _switch(environment: Mapping[str, str], name: str, default: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no"):
        raise WrongSetting("{name} is {value}: give 1 or 0", name=name, value=repr(text))
    return default if not text else text in ("1", "true", "yes")
