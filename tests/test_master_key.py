"""The master key is replaced; whatever happens on the way, no key is lost."""

import shutil
from contextlib import ExitStack

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from backend.adapters.vault import WrongMasterKey, next_to, opened_vault
from backend.app import ledger_accounts
from backend.cli import cli
from backend.data_folder import DataFolder
from backend.domain.parties import Role
from backend.domain.sd_jwt import verify
from backend.installation import opened, rotate_master_key
from backend.services.organisations import Particulars, join
from backend.settings import Settings, WrongSetting

POINTS = ("next-written", "keys-resealed", "accounts-resealed", "renamed")


class Crash(Exception):
    """The process ends here."""


FIRST, SECOND = (Fernet.generate_key().decode() for _ in range(2))
_templates = {}


def installed(folder, master=None):
    """A data folder with three organisations' keys and the ledger's accounts; made once, then copied."""
    if master not in _templates:
        template = folder.with_name(f"{folder.name}-template")
        _templates[master] = template, _install(template, master)
    template, addresses = _templates[master]
    shutil.copytree(template, folder, dirs_exist_ok=True)
    return Settings(folder, master_key=master), addresses


def _install(folder, master):
    settings = Settings(folder, master_key=master)
    kept = DataFolder.open(folder, "test")
    accounts = ledger_accounts(kept, opened_vault(kept.master_key, master))
    with opened(settings) as at:
        for role in (Role.MERCHANT, Role.CHAMBER, Role.LABORATORY):
            join(at, Particulars(role, role.value, f"{role.value}@x.org"))
    return {name: account.address for name, account in accounts.items()}


def everything_signs(settings, addresses, organisations=3):
    with opened(settings) as at, at.work(reading=True) as work:
        keys = work.store.signing_keys()
        assert len(keys) == organisations
        for key in keys:
            assert verify(key.public_jwk, b"text", at.vault.sign(key.sealed_private, b"text"))
        kept = DataFolder.open(settings.data_dir, "test")
        assert {name: a.address for name, a in ledger_accounts(kept, at.vault).items()} == addresses


def crash_at(point):
    def reached(here):
        if here == point:
            raise Crash

    return reached


def test_everything_opens_under_the_new_key_and_nothing_under_the_old(tmp_path):
    settings, addresses = installed(tmp_path)
    old = (tmp_path / "master.key").read_bytes()
    assert rotate_master_key(settings) == 3
    assert (tmp_path / "master.key").read_bytes() != old
    assert not next_to(tmp_path / "master.key").exists()
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    everything_signs(settings, addresses)
    with opened(Settings(tmp_path, master_key=old.decode())) as at, at.work(reading=True) as work:
        for key in work.store.signing_keys():
            with pytest.raises(WrongMasterKey):
                at.vault.sign(key.sealed_private, b"text")


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_leaves_nothing_half_rotated_and_the_next_try_ends_it(tmp_path, point):
    settings, addresses = installed(tmp_path)
    old = (tmp_path / "master.key").read_bytes()
    with pytest.raises(Crash):
        rotate_master_key(settings, crash_at(point))
    everything_signs(settings, addresses)
    rotate_master_key(settings)
    everything_signs(settings, addresses)
    assert (tmp_path / "master.key").read_bytes() != old
    assert not next_to(tmp_path / "master.key").exists()


@pytest.mark.parametrize("point", POINTS)
def test_a_running_server_signs_and_takes_in_organisations_throughout(tmp_path, point):
    settings, addresses = installed(tmp_path)
    with ExitStack() as running:
        server = running.enter_context(opened(settings))
        with pytest.raises(Crash):
            rotate_master_key(settings, crash_at(point))
        join(server, Particulars(Role.MERCHANT, "Late", "late@x.org"))
        rotate_master_key(settings)
        with server.work(reading=True) as work:
            for key in work.store.signing_keys():
                assert verify(key.public_jwk, b"text", server.vault.sign(key.sealed_private, b"text"))
    everything_signs(settings, addresses, organisations=4)


@pytest.mark.parametrize("point", [None, *POINTS])
def test_a_master_key_in_the_environment_is_replaced_by_the_next_one(tmp_path, point):
    settings, addresses = installed(tmp_path, FIRST)
    with pytest.raises(WrongSetting):
        rotate_master_key(settings)
    both = Settings(tmp_path, master_key=FIRST, next_master_key=SECOND)
    if point is not None:
        with pytest.raises(Crash):
            rotate_master_key(both, crash_at(point))
        everything_signs(both, addresses)
    rotate_master_key(both)
    everything_signs(Settings(tmp_path, master_key=SECOND), addresses)
    assert not (tmp_path / "master.key").exists()


def test_the_command_does_the_same(tmp_path):
    settings, addresses = installed(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(cli, ["keys", *arguments], env={"DATA_DIR": str(tmp_path)})

    assert "3 signing keys" in run("rotate-master").output
    everything_signs(settings, addresses)
    listed = run("list").output.splitlines()
    assert len(listed) == 3
    refused = run("compromised", listed[0].split()[0], "--since", "2026-01-01T00:00Z")
    assert refused.exit_code == 1
    assert "there is no authority yet" in refused.output
    with opened(settings) as at:
        join(at, Particulars(Role.AUTHORITY, "Authority", "a@x.org"))
    stopped = run("compromised", listed[0].split()[0], "--since", "2026-01-01T00:00Z")
    assert "0 records signed since" in stopped.output
    assert "not trusted since 2026-01-01" in run("list").output
    organisation = stopped.output.split()[-1]
    assert "signs from now on" in run("rotate", organisation).output
