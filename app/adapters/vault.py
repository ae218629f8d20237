"""The Vault port: where the OpenRouter key is kept, and noticing when it is another one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.adapters.statefiles import private_folder, signature, write_private
from app.core.errors import Unavailable
from app.core.ports import Events

_IN_KEYRING = "in the keyring"
_SERVICE, _USER = "orgate", "openrouter"

Named = tuple[str | None, tuple[Path, ...], tuple[Path, ...]]
"""A key, the files whose change can change it, and all that were read for it."""


class KeyringMissing(Exception):
    """The operating system's keyring cannot be used here."""


class KeyStore:
    """
    The key as `orgate key set` keeps it: in a file that only its owner can read, or in the system's keyring.

    With the keyring the file only says so; it changes with every new key, and that is what a running gateway sees.
    `check` returns the key as it may be sent, or raises ValueError: a file can be edited by hand.
    """

    def __init__(self, folder: Path, check: Callable[[str], str]) -> None:
        self.file = folder / "key"
        self._check = check

    def save(self, key: str, *, keyring: bool) -> None:
        """Keep this key from now on; raises KeyringMissing."""
        private_folder(self.file.parent)
        if keyring:
            _keyring().set_password(_SERVICE, _USER, key)
        write_private(self.file, f"{_IN_KEYRING if keyring else key}\n".encode())

    def load(self) -> str | None:
        """The key that was kept last, or None; raises KeyringMissing, and ValueError when it cannot be used."""
        try:
            text = self.file.read_text("utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if text == _IN_KEYRING:
            text = _keyring().get_password(_SERVICE, _USER) or ""
        return self._check(text) if text else None

    @property
    def place(self) -> str:
        """Where the key is kept, for people."""
        return "the system's keyring" if self.file.exists() and self._is_pointer() else str(self.file)

    def _is_pointer(self) -> bool:
        return self.file.read_text("utf-8").strip() == _IN_KEYRING


class WatchedVault:
    """
    The key that stands in the settings, else the one in the store, as of now.

    `named` looks the settings up again: the key they name, the files whose change can change it, and all that were
    read; it raises ValueError when that key cannot be used, and then the last good one stays. Looking costs a file stat
    per call for each file that can change the key, the store's among them: none where the environment has the key.
    """

    def __init__(self, named: Callable[[], Named], store: KeyStore, events: Events):
        self._named = named
        self._store = store
        self._events = events
        self._lock = threading.Lock()
        self._watched: tuple[Path, ...] = ()
        self._everything: tuple[Path, ...] = ()
        self._seen: tuple[tuple[int, int, int] | None, ...] | None = None
        self._key: str | None = None

    def key(self) -> str:
        """The key as it is now; raises Unavailable when there is none."""
        if self._look() != self._seen:
            with self._lock:
                self._read()
        if self._key is None:
            raise Unavailable("The gateway has no OpenRouter key. Give it one with: orgate key set", code="no_api_key")
        return self._key

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(signature(path) for path in self._watched)

    def _read(self) -> None:
        before = self._key
        try:
            named, files, everything = self._named()
            self._watched = files if named else (*files, self._store.file)
            self._everything = (*everything, self._store.file)
            # Taken before the files are read once more: what changes meanwhile is seen next time. It is kept only
            # once the key is there, since who finds it kept does not wait for the lock.
            seen = self._look()
            named, now, _ = self._named()
            self._key = named or self._store.load()
            self._seen = seen if now == files else None
        except (ValueError, OSError, KeyringMissing) as error:
            # Any of them may be what is wrong, and be mended.
            self._watched = self._everything
            self._seen = self._look() or None
            self._events.warn("key.unusable", reason=str(error), kept_old=before is not None)
        if before is not None and self._key != before:
            self._events.note("key.changed")


class FixedVault:
    """A key that never changes: the demo's."""

    def __init__(self, key: str) -> None:
        self._key = key

    def key(self) -> str:
        """The key."""
        return self._key


def _keyring() -> Any:  # a backend of keyring's, which has no types of its own here
    try:
        import keyring
        from keyring.backends import chainer, fail
    except ImportError:
        raise KeyringMissing("The keyring is not installed. Install it with: pip install 'orgate[keyring]'") from None
    backend = keyring.get_keyring()
    empty = isinstance(backend, chainer.ChainerBackend) and not backend.backends
    if (
        empty
        or isinstance(backend, fail.Keyring)
        or type(backend).__module__.endswith((".null", ".plaintext", ".file"))
    ):
        raise KeyringMissing("This system has no keyring to keep a secret in; leave --keyring out to use a file.")
    return backend
