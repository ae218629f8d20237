"""Running a gateway in the foreground: what `serve` and `demo` have in common."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.client import TOKEN, WHEREABOUTS
from app.cli.output import MISUSED, TAKEN, Failure
from app.core.grants import CONTROL, OWNER

if TYPE_CHECKING:
    import flask

    from app.server import Server
    from app.services.bundle import Services
    from app.settings import Settings
    from app.workers.crew import Crew

_RENEW_S = 30 * 86_400


@dataclass(frozen=True)
class Ready:
    """A gateway that answers."""

    base_url: str
    services: Services


def run(
    settings: Settings,
    *,
    on_ready: Callable[[Ready], None],
    allow_remote: bool = False,
    demo: Mapping[str, str] | None = None,
) -> None:
    """
    Serve with these settings until a signal ends it; ends the command when it cannot start.

    `demo` holds the settings by which `orgate doctor` finds the demo's own OpenRouter.
    """
    # What is imported and built now stays: to look for garbage in it takes a tenth of the start.
    gc.disable()
    try:
        _run(settings, on_ready, allow_remote, demo)
    finally:
        gc.enable()


def _run(
    settings: Settings, on_ready: Callable[[Ready], None], allow_remote: bool, demo: Mapping[str, str] | None
) -> None:
    from app.adapters.logs import configure, log_crashes
    from app.adapters.statefiles import private_folder
    from app.factory import CREW, create_app
    from app.server import PortTaken, Server, is_loopback
    from app.server.onecore import OneCore
    from app.settings import SettingsError, unknown_names

    if not is_loopback(settings.host) and not allow_remote:
        raise Failure(
            f"ORGATE_HOST is {settings.host}: other machines could reach the gateway. If that is meant, add "
            "--allow-remote (tokens then travel unencrypted: put TLS in front).",
            MISUSED,
        )
    _harden()
    sink = configure(level=settings.log_level, namespaces=settings.debug)
    log_crashes(sink)
    for name, meant in unknown_names(os.environ).items():
        sink.warn("settings.unknown", name=name, meant=meant or None)
    folder = private_folder(settings.folders.state)
    with alone(folder):
        try:
            app = create_app(settings)
            services: Services = app.extensions["orgate"].services
            log_crashes(services.events)
            crew: Crew | None = app.extensions[CREW][0]
            give_way = crew.places.give_way if crew else None
            server = Server(
                app,
                settings.host,
                settings.port,
                calls=settings.max_streams,
                before_accept=give_way,
                core=OneCore() if settings.cores == "one" else None,
            )
        except SettingsError as error:
            raise Failure(str(error), MISUSED) from None
        except PortTaken as error:
            raise Failure(str(error), TAKEN) from None
        # Before anything is written down that has to be taken back at the end.
        server.stop_on_signals()
        lasting_token(folder / TOKEN, OWNER, services)
        with _whereabouts(folder, {"base_url": server.base_url, "demo": demo}):
            services.refresher.start()
            services.reconciler.start()
            with _crew(app, settings, server) as drain:
                sink.note("gateway.ready", base_url=server.base_url, state=str(folder))
                # Nor is it looked through later, which took every call that met it 60 ms.
                gc.freeze()
                gc.enable()
                server.run(lambda: on_ready(Ready(server.base_url, services)), drain)
            services.stop()
            sink.note("gateway.stopped")


@contextmanager
def _crew(app: flask.Flask, settings: Settings, server: Server) -> Iterator[Callable[[float], int]]:
    """The carriers of the application at work, if it has any; what drains them and the services."""
    from app.factory import CREW

    services: Services = app.extensions["orgate"].services
    crew, desk = app.extensions[CREW]
    if crew is None:
        yield services.drain
        return
    from app.workers.carrier import Carrier
    from app.workers.crew import Orders

    def drain(grace_s: float) -> int:
        crew.drain(grace_s)
        ended = services.drain(grace_s)
        crew.wait()
        return ended

    try:
        crew.start(
            Orders(
                start=lambda number: Carrier("app.cli.carrier", number, crew.places.file, server.sockets),
                desk=desk,
                told=settings,
            )
        )
        yield drain
    finally:
        crew.kill()


def _harden() -> None:
    os.umask(0o077)
    # urllib3 would write every TLS session's secrets to the file this names.
    os.environ.pop("SSLKEYLOGFILE", None)
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the state folder for oneself while the block runs; ends the command when a gateway has it."""
    from app.adapters.statefiles import AlreadyLocked, locked

    try:
        with locked(folder / "lock", wait=False):
            yield
    except AlreadyLocked:
        by = ""
        with suppress(OSError, ValueError, KeyError):
            found = json.loads((folder / WHEREABOUTS).read_text())
            by = f" at {found['base_url']} (pid {found['pid']})"
        taken = f"A gateway already runs on the state folder {folder}{by}. Stop it, or use --state-dir."
        raise Failure(taken, TAKEN) from None


@contextmanager
def _whereabouts(folder: Path, facts: Mapping[str, object]) -> Iterator[None]:
    from app.adapters.statefiles import write_private

    place = folder / WHEREABOUTS
    told = {**facts, "pid": os.getpid(), "started_at": int(time.time())}
    write_private(place, json.dumps(told).encode())
    try:
        yield
    finally:
        place.unlink(missing_ok=True)


def lasting_token(place: Path, app: str, services: Services) -> str:
    """The token of a program of our own, kept in a file of the state folder and renewed before it ends."""
    from app.adapters.statefiles import write_private
    from app.core.errors import GatewayError

    with suppress(OSError, GatewayError):
        token = place.read_text().strip()
        grant = services.tokens.verify(token)
        may_do_all = app != OWNER or CONTROL in grant.scopes
        if may_do_all and grant.expires_at > services.clock.now() + _RENEW_S:
            return token
    with suppress(GatewayError):
        services.office.revoke(app)
    token, _ = services.office.issue(app, own=True)
    write_private(place, f"{token}\n".encode())
    return token
