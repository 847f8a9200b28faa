"""Puts the parts together: the one place that knows all of them."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from apiflask import APIFlask
from flask import Flask

from backend.adapters.embedded_chain import EmbeddedChain
from backend.adapters.ledger import ACCOUNT_NAMES, Accounts, Deployment, EvmLedger, accounts_from_keys, deploy
from backend.adapters.vault import SealedVault, master_key
from backend.data_folder import DataFolder
from backend.installation import VERSION, store_in
from backend.services.ports import Surroundings
from backend.settings import Settings
from backend.web import documentation, health, public
from backend.web.api import blueprint as api
from backend.web.json_input import StrictJson
from backend.web.languages import install_languages
from backend.web.openapi import complete_specification
from backend.web.pages import blueprint as pages
from backend.web.people import install_sign_in
from backend.web.problems import install_problems
from backend.web.problems import reference as problem_reference
from backend.web.security import install_security
from backend.web.surroundings import Instance, install
from backend.worker import AnchoringWorker


@dataclass
class System:
    """A running installation: its ports, and the worker that anchors for it."""

    settings: Settings
    folder: DataFolder
    at: Surroundings
    worker: AnchoringWorker


@contextmanager
def running(settings: Settings) -> Iterator[System]:
    """Open everything in a data folder, deploying the contracts where they are not there yet; close it at the end.

    The worker is not started. Raises UnusableFolder, ChainInUse, ForeignDatabase, WrongMasterKey.
    """
    folder = DataFolder.open(settings.data_dir, VERSION)
    vault = SealedVault(master_key(folder.master_key, settings.master_key))
    accounts = _ledger_accounts(folder, vault)
    with EmbeddedChain(folder.chain, [account.address for account in accounts.values()]) as chain:
        ledger = EvmLedger(chain, _deployment(folder, chain, accounts), accounts)
        worker = AnchoringWorker()
        with store_in(folder, vault, ledger, worker.wake) as at:
            try:
                yield System(settings, folder, at, worker)
            finally:
                worker.stop()


def _ledger_accounts(folder: DataFolder, vault: SealedVault) -> Accounts:
    """The accounts that write to the ledger; their keys are made at first use and kept sealed."""
    if not folder.ledger_accounts.exists():
        fresh = {name: secrets.token_bytes(32).hex() for name in ACCOUNT_NAMES}
        folder.write_secret(folder.ledger_accounts, vault.seal(json.dumps(fresh).encode()))
    keys = json.loads(vault.unseal(folder.ledger_accounts.read_bytes()))
    return accounts_from_keys({name: bytes.fromhex(key) for name, key in keys.items()})


def _deployment(folder: DataFolder, chain: EmbeddedChain, accounts: Accounts) -> Deployment:
    deployment = Deployment.read(folder.deployment)
    if deployment is None:
        deployment = deploy(chain, accounts)
        deployment.write(folder.deployment)
    return deployment


def create_app(system: System) -> Flask:
    """The web application over a running system."""
    app = APIFlask(
        __name__,
        title="Provenport",
        version=VERSION,
        spec_path="/api/v1/openapi.json",
        docs_path=None,
        template_folder="web/templates",
        static_folder="web/static",
    )
    if not system.folder.session_key.exists():
        system.folder.write_secret(system.folder.session_key, secrets.token_bytes(32))
    app.secret_key = system.folder.session_key.read_bytes()
    app.json = StrictJson(app)
    install(app, system.at, Instance(VERSION, system.settings.demo, system.settings.secure_cookies))
    install_sign_in(app)
    install_languages(app)
    for blueprint in (api, pages, public.blueprint, health.blueprint, documentation.blueprint, problem_reference):
        app.register_blueprint(blueprint)
    install_security(app, secure_cookies=system.settings.secure_cookies)
    install_problems(app)
    complete_specification(app)
    return app
