"""A carrier, wired: it carries calls, and asks the keeper for all that processes have in common (app/workers)."""

from __future__ import annotations

from collections.abc import Callable

from app.adapters.clock import SystemClock
from app.adapters.gathered import Gathered
from app.adapters.logs import LogSink
from app.adapters.pauses import PauseFile
from app.adapters.tokens import TokenBook
from app.bootstrap import openrouter, sinks, state
from app.bootstrap.calling import relay_of, web_settings
from app.core.frozen import frozen
from app.core.shared import Nobody
from app.services.agents import Agents
from app.services.answercache import AnswerCache
from app.services.breakers import Breakers
from app.services.bundle import Calling
from app.services.events import Fanout
from app.services.models import Models
from app.services.once import Repeats
from app.services.recall import Recaller
from app.settings import Settings
from app.web.state import WebSettings
from app.workers.common import CommonAccount, CommonCatalogue, CommonEvents
from app.workers.lines import Lines
from app.workers.places import SharedPlaces
from app.workers.till import CommonTill


class Copies:
    """The Cache port: what the keeper has in its own, as it tells."""

    is_shared = True

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        """What was last put under this name."""
        return self._values.get(name)

    def put(self, name: str, value: bytes) -> None:
        """Keep these bytes until they are replaced."""
        self._values[name] = value


@frozen
class BuiltCarrier:
    """What a carrier is made of, and what the keeper's orders are carried out on."""

    calling: Calling
    web: WebSettings
    breakers: Breakers
    pauses: PauseFile
    cache: Copies
    at_end: tuple[Callable[[], None], ...]


def build(settings: Settings, lines: Lines, places: SharedPlaces) -> BuiltCarrier:
    """The services that calls need; nothing is asked of the keeper yet. Raises SettingsError, NoKey among them."""
    clock, cache = SystemClock(), Copies()
    reports = sinks.reports(settings, clock)
    log = LogSink(level=settings.log_level, namespaces=settings.debug)
    told_here = Gathered(Fanout([log, *reports], details=[log] if log.wants_details else []))
    # What the keeper counts, it is told with the call's end.
    events = Fanout([told_here, CommonEvents(lines)], details=[told_here])
    # What files and catalogue are worth a line for, the keeper's log has already.
    quiet = Fanout([])
    models = Models(
        upstream=CommonCatalogue(lines),
        cache=cache,
        clock=clock,
        events=quiet,
        ttl_ms=settings.cache_ttl_models_ms,
        only=settings.models,
    )
    breakers, pauses, till = Breakers(clock), state.pause_file(settings), CommonTill(lines)
    relay = relay_of(
        settings,
        upstream=openrouter.upstream_of(settings, pool_size=settings.max_streams),
        vault=openrouter.vault_of(settings, events),
        clock=clock,
        events=events,
        credits=CommonAccount(lines),
        models=models,
        breakers=breakers,
        gate=till,
        books=till,
        stories=till,
        pauses=pauses,
        others=Nobody(),
    )
    calling = Calling(
        clock=clock,
        events=events,
        tokens=TokenBook(settings.folders.state),
        quotas=till,
        slots=places,
        models=models,
        agents=Agents(files=state.agent_folder(settings), models=models, clock=clock, events=quiet),
        relay=relay,
        # Calls with a key, and those that ask for the cache of answers, are passed on to the keeper.
        repeats=Repeats(Recaller(relay, AnswerCache(clock)), clock),
    )
    at_end = (told_here.stop, *(report.close for report in reports))
    return BuiltCarrier(calling, web_settings(settings), breakers, pauses, cache, at_end)
