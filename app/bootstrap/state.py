"""What the state folder and the configuration folder hold, for the gateway and for commands beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from app.adapters.agents import AgentFolder
from app.adapters.clock import SystemClock
from app.adapters.ledger import NewerLedger, SqlLedger
from app.adapters.pauses import PauseFile
from app.adapters.statefiles import private_folder
from app.adapters.tokens import TokenBook
from app.adapters.vault import KeyringMissing, KeyStore
from app.core.catalogue import Model
from app.core.errors import Unavailable
from app.core.ports import Clock, Events
from app.services.agents import Agents, KnownModels
from app.services.events import Fanout
from app.services.tokens import TokenOffice
from app.services.usage import Usage
from app.settings import Settings, SettingsError, readers


def token_office(settings: Settings) -> TokenOffice:
    """What `orgate token` works with, beside a running gateway or without one."""
    return TokenOffice(TokenBook(private_folder(settings.folders.state)), SystemClock())


def open_ledger(settings: Settings, clock: Clock, events: Events) -> SqlLedger:
    """
    The ledger, ready to be written; what a crash left without an end is ambiguous from now on.

    Raises SettingsError when the file cannot be used.
    """
    private_folder(settings.folders.state)
    path = ledger_path(settings)
    ledger = SqlLedger(path, clock, events)
    try:
        crashed = ledger.open_for_use()
    except NewerLedger as error:
        raise SettingsError(f"The ledger {path} was written by a newer orgate ({error}). Update orgate.") from None
    except Unavailable as error:
        raise SettingsError(f"{error.message} The file is {path}.") from None
    if crashed:
        events.warn("ledger.recovered", attempts=crashed)
    return ledger


def ledger_reader(settings: Settings) -> SqlLedger | None:
    """
    The ledger of the state folder to be read, beside a running gateway or without one; None when there is none yet.

    Only who holds the state folder's lock may have it write.
    """
    path = ledger_path(settings)
    return SqlLedger(path, SystemClock(), Fanout([])) if path.exists() else None


def usage_reader(settings: Settings, ledger: SqlLedger) -> Usage:
    """What `orgate usage` reads without a gateway."""
    return Usage(ledger, TokenBook(settings.folders.state), SystemClock())


def pause_file(settings: Settings) -> PauseFile:
    """Who is paused, on record in the state folder."""
    return PauseFile(private_folder(settings.folders.state))


def ledger_path(settings: Settings) -> Path:
    """Where the ledger of these settings is kept."""
    return settings.folders.state / "ledger.db"


def agent_folder(settings: Settings) -> AgentFolder:
    """Where the agents' files are."""
    return AgentFolder(settings.folders.config / "agents")


def agents_reader(settings: Settings, models: Iterable[Model] | None = None) -> Agents:
    """The agents without a gateway, held against these models of the catalogue if they are known."""
    return Agents(files=agent_folder(settings), models=KnownModels(models), clock=SystemClock(), events=Fanout([]))


def key_store(settings: Settings) -> KeyStore:
    """Where `orgate key set` keeps the key."""
    return KeyStore(settings.folders.config, readers.key)


def stored_or_named_key(settings: Settings) -> str | None:
    """The key that a gateway with these settings would use, if there is one; raises SettingsError."""
    store = key_store(settings)
    try:
        return settings.api_key or store.load()
    except (ValueError, OSError, KeyringMissing) as error:
        raise SettingsError(
            f"The key in {store.place} cannot be used: {error}. Replace it with: orgate key set"
        ) from None
