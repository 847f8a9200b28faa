"""Assembles an installation and its web application. This is the only module that knows all parts."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from eth_utils.address import to_checksum_address

from backend.adapters.chains.agreement import AgreedChain
from backend.adapters.chains.embedded import EmbeddedChain, EmbeddedNode
from backend.adapters.chains.json_rpc import JsonRpcChain
from backend.adapters.keys.vault import AccountKeys, KeyVault
from backend.adapters.ledger import (
    ACCOUNT_NAMES,
    GUARDIAN,
    Accounts,
    Deployment,
    EvmLedger,
    Fees,
    Safeguards,
    deploy,
)
from backend.adapters.ledger.chain import Chain, ChainUnavailable
from backend.adapters.object_storage import ResultStore
from backend.adapters.simulator import ProgramSimulator
from backend.domain.errors import ForeignLedger, LedgerUnavailable, Message, TraceabilityError, message_of
from backend.runtime import demo
from backend.runtime.context import VERSION, object_store, on_stderr, store_in, vault_of
from backend.runtime.data_folder import DataFolder
from backend.runtime.telemetry import Traces
from backend.runtime.workers import AnchoringWorker, FindingWorker, SimulationWorker
from backend.services import erasure, products
from backend.services.ports import (
    AdmissionLimits,
    AppContext,
    InstallationContext,
    JsonRpc,
    ServiceSettings,
    free_bytes,
    rerunnable,
)
from backend.settings import Settings, WrongSetting
from backend.store.coordination import ANCHORING, SIMULATING
from backend.store.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from flask import Flask

NODE_BUSY_SECONDS = 1.0
"""Pause between rounds while transactions are pending: a node's blocks take longer, and nodes limit requests."""

GWEI = 10**9
GAS_TO_BEGIN = {
    "authority": 22_000_000,
    "anchorer": 15_000_000,
    "office": 15_000_000,
    "guardian": 2_000_000,
    "admin": 2_000_000,
}
"""Gas that each account must be able to pay for: deployment, its first hundred transactions, three cancellations."""

log = structlog.get_logger()


class NotFunded(TraceabilityError):
    """Raised when the ledger's accounts cannot pay for what they have to do."""

    code = "not-funded"


@dataclass
class System:
    """A running installation: its ports, its workers, and the chain behind the ledger."""

    settings: Settings
    folder: DataFolder
    ctx: InstallationContext
    worker: AnchoringWorker
    chain: Chain
    simulations: SimulationWorker
    node: JsonRpc | None
    """The embedded chain for others to read; None where the ledger is on an external node."""
    finding: FindingWorker = field(default_factory=FindingWorker)
    traces: Traces | None = None

    @contextmanager
    def working(self, anchoring: bool = True, jobs: bool = True) -> Iterator[None]:
        """Run these workers in the background, woken by this process and, on PostgreSQL, by any other."""
        heard: dict[str, Callable[[], None]] = {}
        if anchoring:
            heard[ANCHORING] = self.worker.news.set
        if jobs:
            heard[SIMULATING] = self.simulations.wake
        listener = self.ctx.listener(heard) if self.ctx.listener is not None and heard else None
        if anchoring:
            self.worker.start(self.ctx)
        if jobs:
            # Only the embedded chain excludes a second process.
            self.simulations.start(self.ctx, alone=self.settings.ledger_rpc_url is None)
            self.finding.start(self.ctx)
        if listener is not None:
            listener.start()
        try:
            yield
        finally:
            if listener is not None:
                listener.stop()
            self.finding.stop()
            self.simulations.stop()
            self.worker.stop()


@contextmanager
def running(settings: Settings, report: Callable[[Message], None] = on_stderr) -> Iterator[System]:
    """Open everything in a data folder, deploying the contracts where they are missing, and close it at the end.

    The workers are not started. An upgrade of the folder is reported to ``report``.

    Raises:
        UnusableFolder: if the folder cannot be used or upgraded.
        ChainInUse: if another process holds the embedded chain.
        ForeignDatabase: if the database is of a later version.
        WrongMasterKey: if the master key is missing or does not open the keys.
        NotFunded: if the contracts must be deployed and the accounts cannot pay.
        LedgerUnavailable: if the contracts must be deployed and the chain does not answer.
    """
    folder = DataFolder.open(settings.data_dir, VERSION)
    vault = vault_of(folder, settings)
    accounts = ledger_accounts(folder, vault)
    fees = Fees(max_fee_per_gas=settings.ledger_max_fee_gwei * GWEI)
    with _chain(settings, folder, accounts) as chain:
        ledger = EvmLedger(
            chain,
            _deployment(settings, folder, chain, accounts, fees),
            accounts,
            fees,
            settings.ledger_confirmations,
            gives_money=settings.ledger_rpc_url is None,
        )
        warn_if_foreign(ledger)
        worker = AnchoringWorker() if settings.ledger_rpc_url is None else AnchoringWorker(NODE_BUSY_SECONDS)
        simulations = SimulationWorker()
        store = object_store(settings)
        with store_in(folder, vault, ledger, report, settings.database_url, store, settings.keys_database_url) as ctx:
            erasure.finish(ctx)
            # One first start at a time: on a busy machine another's would wait for its rows until it is refused.
            with folder.starting():
                products.fill_nomenclature(ctx)
            # Only the embedded chain excludes a second server. With an external node, another one may be running and
            # hold the lease.
            if settings.ledger_rpc_url is None:
                _end_old_claims(ctx)
            node = EmbeddedNode(chain, VERSION).answer if isinstance(chain, EmbeddedChain) else None
            ours = replace(
                ctx,
                settings=ServiceSettings(settings.public_url, _admission_limits(settings)),
                simulator=ProgramSimulator(folder.simulations, results=ResultStore(store) if store else None),
            )
            if ours.listener is None:
                ours = replace(ours, wake_anchoring=worker.news.set, wake_simulating=simulations.wake)
            system = System(settings, folder, ours, worker, chain, simulations, node)
            with traced(system) if settings.sends_traces else nullcontext(system) as running_system:
                yield running_system


@contextmanager
def traced(system: System, traces: Traces | None = None) -> Iterator[System]:
    """Trace what a system does, until the end of the block.

    Raises:
        WrongSetting: if OpenTelemetry's packages are not installed.
    """
    traces = traces or Traces(VERSION)
    try:
        assert isinstance(system.ctx.work, UnitOfWorkFactory)
        traces.of_units(system.ctx.work.engine)
        yield replace(system, ctx=replace(system.ctx, trace=traces.span), traces=traces)
    finally:
        traces.close()


def _admission_limits(settings: Settings) -> AdmissionLimits:
    return AdmissionLimits(
        settings.intake_most_waiting,
        timedelta(seconds=settings.intake_longest_wait_seconds),
        settings.intake_least_free_mb * 1024 * 1024,
        partial(free_bytes, settings.data_dir),
    )


@contextmanager
def chain_alone(settings: Settings) -> Iterator[tuple[DataFolder, Chain, AccountKeys]]:
    """Open the chain and the accounts of a data folder for a command, without deploying or anchoring anything.

    Raises:
        UnusableFolder: if the folder cannot be used.
        ChainInUse: if another process holds the embedded chain.
        WrongMasterKey: if the master key is missing or does not open the keys.
    """
    folder = DataFolder.open(settings.data_dir, VERSION)
    accounts = ledger_accounts(folder, vault_of(folder, settings))
    with _chain(settings, folder, accounts) as chain:
        yield folder, chain, accounts


@contextmanager
def _chain(settings: Settings, folder: DataFolder, accounts: Accounts) -> Iterator[Chain]:
    """Open the node or the nodes that the operator named, else the embedded chain."""
    if nodes := settings.ledger_nodes:
        yield (
            JsonRpcChain(nodes[0])
            if len(nodes) == 1
            else AgreedChain(nodes, settings.ledger_rpc_agree or len(nodes) // 2 + 1)
        )
        return
    folder.keep_private(folder.chain)
    with EmbeddedChain(folder.chain, [account.address for account in accounts.values()]) as chain:
        yield chain


@rerunnable
def _end_old_claims(ctx: AppContext) -> None:
    """Delete the anchoring lease of a process that was killed.

    The holder of the embedded chain's file is alone, so that no other process can hold the lease.
    """
    with ctx.work() as work:
        work.leases.delete("anchoring")
        work.commit()


def warn_if_foreign(ledger: EvmLedger) -> None:
    """Log at the start what the first transaction would find out. Serving continues, but nothing is signed."""
    try:
        ledger.head()
    except ForeignLedger as error:
        log.error("the ledger is not ours: nothing is signed for it", why=str(error), choices=error.choices)
    except LedgerUnavailable as error:
        log.error("the ledger does not answer: records are taken in and wait", why=str(error))


def ledger_accounts(folder: DataFolder, vault: KeyVault) -> AccountKeys:
    """Return the accounts that write to the ledger. Their keys are created at first use and stored encrypted.

    Raises:
        WrongMasterKey: if the master key does not open them.
    """
    accounts = AccountKeys(folder.ledger_accounts, vault)
    with folder.starting():
        # A folder of an earlier version has no key for the admin, whom its contracts do not know either. Its guardian
        # may be somebody else's account.
        accounts.create(ACCOUNT_NAMES if folder.ledger_accounts.exists() else (*ACCOUNT_NAMES, GUARDIAN))
    return accounts


def _deployment(settings: Settings, folder: DataFolder, chain: Chain, accounts: Accounts, fees: Fees) -> Deployment:
    with folder.starting():
        deployment = Deployment.read(folder.deployment)
        if deployment is None:
            # The embedded chain gives its accounts money in its first block.
            if settings.ledger_rpc_url is not None:
                require_funds(chain, accounts, fees)
            deployment = deploy(chain, accounts, fees=fees, safeguards=safeguards(settings, accounts))
            deployment.write(folder.deployment)
        return deployment


def safeguards(settings: Settings, accounts: Accounts) -> Safeguards:
    """Return the safeguards of the authority's changes.

    Guardian and admin are the operator's, or those whose keys are kept here.
    """
    own = accounts[GUARDIAN].address if GUARDIAN in accounts else None
    given = settings.ledger_guardian and to_checksum_address(settings.ledger_guardian)
    return Safeguards(
        guardian=given or own,
        administration_seconds=settings.ledger_administration_delay_seconds,
        registration_seconds=settings.ledger_registration_delay_seconds,
        authority_seconds=settings.ledger_authority_delay_seconds,
        revocation_seconds=settings.ledger_revocation_delay_seconds,
        admin=settings.ledger_admin and to_checksum_address(settings.ledger_admin),
    )


def require_funds(chain: Chain, accounts: Accounts, fees: Fees) -> None:
    """Check that the accounts can pay for deployment and first transactions; on a public chain the operator funds them.

    Raises:
        NotFunded: if one cannot.
        LedgerUnavailable: if the chain does not answer.
    """
    try:
        offer = fees.at(chain.price()).max_fee_per_gas
        found = {name: chain.balance(account.address) for name, account in accounts.items()}
    except ChainUnavailable as fault:
        raise LedgerUnavailable(
            "the contracts cannot be deployed: {fault}. Check LEDGER_RPC_URL", fault=message_of(fault)
        ) from fault
    needed = {name: offer * gas for name, gas in GAS_TO_BEGIN.items() if name in found}
    if all(found[name] >= needed[name] for name in needed):
        return
    lines = [
        f"  {name:<10} {accounts[name].address}  {_ether(found[name])} / {_ether(needed[name])}" for name in needed
    ]
    raise NotFunded(
        "these accounts need money on the chain before they can act (what they have / what they need):\n{accounts}",
        accounts="\n".join(lines),
    )


def _ether(wei: int) -> str:
    return f"{Decimal(wei) / 10**18:.6f} ether"


def create_app(system: System) -> "Flask":
    """Create the web application of a running system.

    Raises:
        WrongSetting: if the path of PUBLIC_URL begins like one of the application's own.
    """
    # A second of loading, which commands without pages do without.
    from apiflask import APIFlask

    from backend.web.api import blueprint as api
    from backend.web.api.openapi import complete_specification
    from backend.web.context import Instance, StrictJson, install, install_sign_in
    from backend.web.pages import blueprint as pages
    from backend.web.presentation.languages import install_languages
    from backend.web.problems import install_problems
    from backend.web.problems import reference as problem_reference
    from backend.web.proxy import PublicAddress
    from backend.web.public import downloads, health, label, rpc
    from backend.web.security import install_security

    app = APIFlask(
        "backend.web",
        title="Provenport",
        version=VERSION,
        spec_path="/api/v1/openapi.json",
        docs_path=None,
        template_folder="templates",
        static_folder="static",
    )
    app.secret_key = _session_key(system.folder)
    app.json = StrictJson(app)
    settings = system.settings
    instance = Instance(
        version=VERSION,
        is_demo=settings.demo,
        demo_accounts=[(one.role, one.email) for one in demo.LOGINS.values()] if settings.demo else [],
        secure_cookies=settings.secure_cookies,
        address=settings.address,
        metrics_token=settings.metrics_token,
        node=system.node,
        ledger_nodes=system.chain.standing if isinstance(system.chain, AgreedChain) else None,
    )
    install(app, system.ctx, instance)
    if system.traces is not None:
        system.traces.of_requests(app)
    install_sign_in(app)
    install_languages(app)
    for blueprint in (
        api,
        pages,
        label.blueprint,
        health.blueprint,
        rpc.blueprint,
        downloads.blueprint,
        problem_reference,
    ):
        app.register_blueprint(blueprint)
    install_security(
        app,
        secure_cookies=settings.secure_cookies,
        address=settings.address,
        rate_limits_url=settings.rate_limits_url,
    )
    complete_specification(app, urlsplit(settings.address).path)
    install_problems(app)  # after APIFlask's own, which would keep neither an error's headers nor its description
    if settings.public_url is not None:
        _refuse_taken_path(app, settings.public_url)
        app.wsgi_app = PublicAddress(app.wsgi_app, settings.public_url, settings.trusted_proxies)  # type: ignore[method-assign]
    return app


def _session_key(folder: DataFolder) -> bytes:
    with folder.starting():
        # An empty file must not become the key: anybody could forge sessions with it.
        if not folder.session_key.exists() or not folder.session_key.read_bytes():
            folder.write_secret(folder.session_key, secrets.token_bytes(32))
        return folder.session_key.read_bytes()


def _refuse_taken_path(app: "Flask", public_url: str) -> None:
    """Refuse a path of PUBLIC_URL that begins like one of ours, because the two could not be told apart."""
    first = urlsplit(public_url).path.partition("/")[2].partition("/")[0]
    taken = {rule.rule.split("/")[1] for rule in app.url_map.iter_rules()} - {""}
    if first in taken:
        raise WrongSetting(
            "PUBLIC_URL is {value}: its path must not begin with /{first}, which is a page here",
            value=repr(public_url),
            first=first,
        )
