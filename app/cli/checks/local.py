"""Checks of this machine: the key, the files, the port."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from app.adapters.vault import KeyringMissing
from app.bootstrap.state import agent_folder, agents_reader, key_store, ledger_reader, pause_file
from app.cli.checks import BAD, HINT, OK, SKIPPED, Finding
from app.cli.output import size
from app.core.errors import Json, Unavailable
from app.core.pauses import EVERYBODY
from app.core.redact import mask
from app.server import holder_of
from app.settings import Settings
from app.settings.readers import GET_A_KEY
from app.settings.readers import key as read_key
from app.web.control import state_shape


def check_key(settings: Settings) -> tuple[Finding, str | None]:
    """Whether there is a key of the right form, and the key."""
    place = settings.origin("OPENROUTER_API_KEY")
    try:
        key = settings.api_key
        if key is None:
            store = key_store(settings)
            key, place = store.load(), store.place
        if key is None:
            return Finding("key", BAD, "there is none", f"get one at {GET_A_KEY}, then: orgate key set"), None
        return Finding("key", OK, f"{mask(read_key(key))} (from {place})"), key
    except (KeyringMissing, OSError, ValueError) as error:
        return Finding("key", BAD, f"the key in {place} cannot be used: it {error}", "orgate key set"), None


def check_files(settings: Settings) -> Finding:
    """Whether nobody else on this machine can read the key, the secret and the tokens."""
    if sys.platform == "win32":
        return Finding("files", SKIPPED, "file modes say nothing on Windows")
    folders = {settings.folders.state, settings.folders.config}
    open_to_others = [path for folder in sorted(folders) for path in _private(folder) if path.stat().st_mode & 0o077]
    if open_to_others:
        fix = "chmod go= " + " ".join(map(str, open_to_others))
        return Finding("files", BAD, f"others can read {', '.join(map(str, open_to_others))}", fix)
    return Finding("files", OK, f"{settings.folders.state} is readable by you only")


def _private(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = ("key", "secret", "token", "tokens.json", "gateway.json", "ledger.db", ".env", "config.toml")
    return [folder, *(path for name in names if (path := folder / name).is_file())]


def check_ledger(settings: Settings, state: dict[str, Any] | None) -> Finding:
    """How the ledger is, by the running gateway or else by its file."""
    if state is None:
        try:
            ledger = ledger_reader(settings)
            if ledger is None:
                return Finding("ledger", SKIPPED, "there is none yet; the gateway makes it")
            state = state_shape(ledger.state())
        except Unavailable as error:
            return Finding("ledger", BAD, error.message, "orgate db check")
    told = f"{state['attempts']:,} attempts, {size(state['size_bytes'])}"
    if state["trouble"]:
        return Finding("ledger", BAD, f"nothing can be written: {state['trouble']}", _room(state["path"]))
    if state["locked"]:
        return Finding("ledger", BAD, f"{state['locked']}: budgets wait", "orgate usage, then: orgate db accept")
    return Finding("ledger", OK, told)


def _room(path: str) -> str:
    return f"make sure that {Path(path).parent} has room, can be written to, and that no other program holds {path}"


def check_pauses(settings: Settings) -> Finding:
    """Who may not call for now."""
    try:
        paused = pause_file(settings).paused()
    except Unavailable as error:
        return Finding("pauses", BAD, error.message, "orgate resume")
    if not paused:
        return Finding("pauses", OK, "nobody is paused")
    told = "every program is paused" if EVERYBODY in paused else f"paused: {', '.join(sorted(paused))}"
    return Finding("pauses", HINT, told, "orgate resume")


def check_agents(settings: Settings, models: list[Json]) -> Finding:
    """Whether every agent's file can be used, and whether its models can do what it promises; [] is no catalogue."""
    shelf = agents_reader(settings, models or None).shelf()
    if shelf.faults:
        told = "; ".join(f"{fault.file}: {' '.join(fault.problems)}" for fault in shelf.faults.values())
        return Finding("agents", BAD, told, "orgate agent check, and change what it names")
    if not shelf.agents:
        return Finding("agents", OK, "there are none; orgate agent new makes one")
    count = f"{len(shelf.agents)} in {agent_folder(settings).folder}"
    if shelf.doubts:
        told = "; ".join(f"agent/{id}: {' '.join(doubts)}" for id, doubts in shelf.doubts.items())
        return Finding("agents", HINT, f"{count}; {told}", "change the agent's models or its capabilities")
    return Finding("agents", OK, count if shelf.checked else f"{count}; without a catalogue no capability was checked")


def check_port(settings: Settings, whereabouts: dict[str, Any] | None) -> Finding:
    """Whether the gateway runs, or could."""
    if whereabouts is not None:
        return Finding("port", OK, f"the gateway runs at {whereabouts['base_url']} (pid {whereabouts['pid']})")
    holder = holder_of(settings.port)
    if holder:
        return Finding("port", BAD, f"{settings.port} is taken by {holder}", f"stop {holder}, or set ORGATE_PORT")
    return Finding("port", HINT, f"{settings.port} is free; no gateway is running", "orgate serve")
