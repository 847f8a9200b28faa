"""The master key is replaced; whatever happens on the way, no key is lost."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from backend.adapters.keys.vault import WrongMasterKey, next_to, opened_vault
from backend.cli.main import cli
from backend.domain.parties import Role
from backend.domain.sd_jwt import verify
from backend.runtime.app import ledger_accounts
from backend.runtime.context import opened, rotate_master_key
from backend.runtime.data_folder import DataFolder, UnusableFolder
from backend.services.organisations import OrganisationProfile, register
from backend.settings import Settings, WrongSetting
from backend.store.encryption import DataKeys

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
    with opened(settings) as ctx:
        for role in (Role.MERCHANT, Role.CHAMBER, Role.LABORATORY):
            register(ctx, OrganisationProfile(role, role.value, f"{role.value}@x.org"))
    return {name: account.address for name, account in accounts.items()}


def everything_signs(settings, addresses, organisations=3):
    with opened(settings) as ctx, ctx.work(reading=True) as work:
        keys = work.keys.all()
        assert len(keys) == organisations
        for key in keys:
            assert verify(key.public_jwk, b"text", ctx.keys.vault.sign(key.encrypted_private, b"text"))
        kept = DataFolder.open(settings.data_dir, "test")
        assert {name: a.address for name, a in ledger_accounts(kept, ctx.keys.vault).items()} == addresses


def crash_at(point):
    def reached(here):
        if here == point:
            raise Crash

    return reached


def test_everything_opens_under_the_new_key_only(tmp_path):
    settings, addresses = installed(tmp_path)
    old = (tmp_path / "master.key").read_bytes()
    assert rotate_master_key(settings) == 3
    assert (tmp_path / "master.key").read_bytes() != old
    assert not next_to(tmp_path / "master.key").exists()
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    everything_signs(settings, addresses)
    with opened(Settings(tmp_path, master_key=old.decode())) as ctx, ctx.work(reading=True) as work:
        for key in work.keys.all():
            with pytest.raises(WrongMasterKey):
                ctx.keys.vault.sign(key.encrypted_private, b"text")


@pytest.mark.parametrize("point", POINTS)
def test_crash_while_rotating_is_completed_by_next_try(tmp_path, point):
    """Until then every key still signs."""
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
def test_running_server_signs_and_joins_organisations_while_rotating(tmp_path, point):
    settings, addresses = installed(tmp_path)
    with ExitStack() as running:
        server = running.enter_context(opened(settings))
        with pytest.raises(Crash):
            rotate_master_key(settings, crash_at(point))
        register(server, OrganisationProfile(Role.MERCHANT, "Late", "late@x.org"))
        rotate_master_key(settings)
        with server.work(reading=True) as work:
            for key in work.keys.all():
                assert verify(key.public_jwk, b"text", server.keys.vault.sign(key.encrypted_private, b"text"))
    everything_signs(settings, addresses, organisations=4)


@pytest.mark.parametrize("point", [None, *POINTS])
def test_master_key_from_environment_gives_way_to_next(tmp_path, point):
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
    with opened(settings) as ctx:
        register(ctx, OrganisationProfile(Role.AUTHORITY, "Authority", "a@x.org"))
    stopped = run("compromised", listed[0].split()[0], "--since", "2026-01-01T00:00Z")
    assert "0 records signed since" in stopped.output
    assert "not trusted since 2026-01-01" in run("list").output
    organisation = stopped.output.split()[-1]
    assert "signs from now on" in run("rotate", organisation).output


@pytest.mark.parametrize("left", [b"", b"half a k", b"x" * 44])
def test_truncated_next_key_is_made_anew(tmp_path, left):
    settings, addresses = installed(tmp_path / "data")
    path = DataFolder(tmp_path / "data").master_key
    before = path.read_bytes()
    next_to(path).write_bytes(left)
    everything_signs(settings, addresses)
    assert rotate_master_key(settings) == 3
    assert Fernet(path.read_bytes())
    assert path.read_bytes() != before
    assert not next_to(path).exists()
    everything_signs(settings, addresses)


def test_next_key_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    settings, addresses = installed(tmp_path / "data")
    path = DataFolder(tmp_path / "data").master_key

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("backend.store.disk.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            rotate_master_key(settings)
    assert not next_to(path).exists()
    assert rotate_master_key(settings) == 3
    everything_signs(settings, addresses)


def test_two_changes_at_once_are_refused(tmp_path):
    settings, addresses = installed(tmp_path / "data")

    def again(point):
        if point == "keys-resealed":
            with pytest.raises(UnusableFolder, match="wait for it"):
                rotate_master_key(settings)

    assert rotate_master_key(settings, again) == 3
    everything_signs(settings, addresses)


def test_lost_master_key_is_told_and_not_replaced(tmp_path):
    settings, _ = installed(tmp_path / "data")
    path = DataFolder(tmp_path / "data").master_key
    path.unlink()
    with pytest.raises(WrongMasterKey, match="is missing: put it back"), opened(settings):
        pass
    assert not path.exists()


def test_lost_database_is_told_and_not_replaced(tmp_path):
    settings, _ = installed(tmp_path / "data")
    folder = DataFolder(tmp_path / "data")
    with closing(DataKeys(folder.data_keys)) as keys:
        keys.reserve(1)
    folder.database_file.unlink()
    with pytest.raises(UnusableFolder, match="is missing: put a copy back"), opened(settings):
        pass
    assert not folder.database_file.exists()


def test_concurrent_new_operator_keys_all_stay_named(tmp_path):
    settings, _ = installed(tmp_path / "data")
    with opened(settings) as ctx, ThreadPoolExecutor(8) as pool:
        first = ctx.keys.operator.thumbprints()
        list(pool.map(lambda _: ctx.keys.operator.renew(), range(8)))
        assert len(ctx.keys.operator.thumbprints()) == len(first) + 8
        assert ctx.keys.operator.thumbprints()[-1] == first[0]
