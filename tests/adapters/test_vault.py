from __future__ import annotations

import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.adapters.vault import KeyringMissing, KeyStore, Named, WatchedVault
from app.core.errors import Unavailable
from app.settings import SettingsError, find_key
from app.settings.readers import key as read_key
from tests.services.fakes import Recorder


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "config", read_key)


def test_kept_for_the_owner_only(store: KeyStore) -> None:
    """The kept key comes back, from a 0600 file in a 0700 folder."""
    store.save("sk-or-v1-one", keyring=False)

    assert "sk-or-v1-one" == store.load()
    if sys.platform != "win32":
        assert (0o600, 0o700) == (
            stat.S_IMODE(store.file.stat().st_mode),
            stat.S_IMODE(store.file.parent.stat().st_mode),
        )


def test_no_keyring(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a keyring the wish for one is refused, and nothing is written."""
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(KeyringMissing):
        store.save("sk-or-v1-one", keyring=True)
    assert not store.file.exists()


def test_changed_key(store: KeyStore) -> None:
    """A new key is used from the next call on."""
    events = Recorder()
    store.save("sk-or-v1-one", keyring=False)
    vault = WatchedVault(lambda: (None, (), ()), store, events)
    before = vault.key()

    store.save("sk-or-v1-two", keyring=False)

    assert ("sk-or-v1-one", "sk-or-v1-two") == (before, vault.key())
    assert ["key.changed"] == events.told


def test_named_key_wins(store: KeyStore) -> None:
    """A key in the settings stands before the kept one."""
    store.save("sk-or-v1-kept", keyring=False)

    assert "sk-or-v1-named" == WatchedVault(lambda: ("sk-or-v1-named", (), ()), store, Recorder()).key()


def test_removed_key(store: KeyStore) -> None:
    """Without a key a call is refused with what to do."""
    store.save("sk-or-v1-one", keyring=False)
    vault = WatchedVault(lambda: (None, (), ()), store, Recorder())
    vault.key()

    store.file.unlink()

    with pytest.raises(Unavailable) as caught:
        vault.key()
    assert "no_api_key" == caught.value.code
    assert "orgate key set" in caught.value.message


def test_unusable_new_key(store: KeyStore, tmp_path: Path) -> None:
    """A new key that cannot be used is reported once, and the last good one stays in use."""
    events, source = Recorder(), tmp_path / ".env"
    source.write_text("good")

    def named() -> Named:
        if source.read_text() == "good":
            return "sk-or-v1-one", (source,), (source,)
        raise ValueError("no key at all")

    vault = WatchedVault(named, store, events)
    vault.key()
    source.write_text("broken")

    assert ["sk-or-v1-one"] * 2 == [vault.key(), vault.key()]
    assert ["key.unusable"] == events.told


def test_spoiled_file(store: KeyStore) -> None:
    """A key file that was spoiled by hand is never used: the last good key stays."""
    events = Recorder()
    store.save("sk-or-v1-one", keyring=False)
    vault = WatchedVault(lambda: (None, (), ()), store, events)
    vault.key()

    store.file.write_text("sk-or-v1-one\nsk-or-v1-two\n")

    assert "sk-or-v1-one" == vault.key()
    assert ["key.unusable"] == events.told


def test_key_while_it_is_being_read(store: KeyStore) -> None:
    """Who asks while another is just reading the key for the first time waits for it, and is not told there is none."""
    store.save("sk-or-v1-one", keyring=False)
    reading, go_on, looks = threading.Event(), threading.Event(), iter(range(10))

    def named() -> Named:
        if next(looks) == 1:
            reading.set()
            assert go_on.wait(5)
        return None, (), ()

    vault = WatchedVault(named, store, Recorder())
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(vault.key)
        assert reading.wait(5)
        second = pool.submit(vault.key)
        with pytest.raises(TimeoutError):
            second.result(0.2)
        go_on.set()

        assert ["sk-or-v1-one"] * 2 == [first.result(5), second.result(5)]


@pytest.fixture
def watched(store: KeyStore, tmp_path: Path) -> tuple[WatchedVault, Path, Recorder]:
    """A vault over real settings in a folder, which has the store's file too."""
    events, folder = Recorder(), store.file.parent
    folder.mkdir()

    def named() -> Named:
        try:
            return find_key({"ORGATE_STATE_DIR": str(folder)}, tmp_path)
        except SettingsError as error:
            raise ValueError(str(error)) from error

    return WatchedVault(named, store, events), folder, events


def test_key_that_wanders(watched: tuple[WatchedVault, Path, Recorder], store: KeyStore, tmp_path: Path) -> None:
    """Wherever the key goes, from one file to another and back, the next call has the one that counts now."""
    vault, folder, _ = watched
    near, table = tmp_path / ".env", folder / "config.toml"
    store.save("sk-or-v1-kept", keyring=False)
    seen = [vault.key()]
    table.write_text('openrouter_api_key = "sk-or-v1-table"')
    seen.append(vault.key())
    near.write_text("OPENROUTER_API_KEY=sk-or-v1-near")
    seen.append(vault.key())
    table.write_text('openrouter_api_key = "sk-or-v1-other"')
    seen.append(vault.key())
    near.unlink()
    seen.append(vault.key())
    table.unlink()
    store.save("sk-or-v1-new", keyring=False)
    seen.append(vault.key())

    assert ["kept", "table", "near", "near", "other", "new"] == [key.rpartition("-")[2] for key in seen]


def test_key_that_changed_while_another_file_was_broken(
    watched: tuple[WatchedVault, Path, Recorder], tmp_path: Path
) -> None:
    """What is mended is looked at again, also a file that did not decide before."""
    vault, folder, events = watched
    near, table = tmp_path / ".env", folder / "config.toml"
    near.write_text("OPENROUTER_API_KEY=sk-or-v1-one")
    vault.key()
    table.write_text("openrouter_api_")
    near.write_text("OPENROUTER_API_KEY=sk-or-v1-two")
    while_broken = vault.key()
    table.write_text("")

    assert ("sk-or-v1-one", "sk-or-v1-two") == (while_broken, vault.key())
    assert ["key.unusable", "key.changed"] == events.told


def test_first_look_that_fails(store: KeyStore) -> None:
    """A key that could not be read at the first call is looked for again at the next."""
    answers: list[object] = [ValueError("broken"), *[("sk-or-v1-one", (), ())] * 2]

    def named() -> Named:
        answer = answers.pop(0)
        if isinstance(answer, ValueError):
            raise answer
        return answer  # type: ignore[return-value]

    vault = WatchedVault(named, store, Recorder())
    with pytest.raises(Unavailable):
        vault.key()

    assert "sk-or-v1-one" == vault.key()


def test_key_that_moves_while_it_is_read(store: KeyStore, tmp_path: Path) -> None:
    """Where the deciding files are others at the second look, what was watched is not relied on."""
    store.save("sk-or-v1-kept", keyring=False)
    near = tmp_path / ".env"
    looks: list[Named] = [("sk-or-v1-near", (near,), (near,)), *[(None, (near,), (near,))] * 8]
    looks[1] = (None, (near, tmp_path / "config.toml"), (near,))
    vault = WatchedVault(lambda: looks.pop(0), store, Recorder())
    before = vault.key()
    store.save("sk-or-v1-new", keyring=False)

    assert ("sk-or-v1-kept", "sk-or-v1-new") == (before, vault.key())
