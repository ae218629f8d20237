"""Everything that keeps the books of a gateway, on a real ledger and in front of an OpenRouter that is none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.adapters.ledger import SqlLedger
from app.core.calls import Call
from app.core.chain import Plan
from app.core.errors import GatewayError, UpstreamFailed
from app.core.grants import SCOPES, Grant
from app.core.ledger import Open, State
from app.core.money import NANO
from app.core.wishes import Wishes
from app.services.books import Books
from app.services.holds import Holds
from app.services.models import Models
from app.services.settler import Settler
from tests.adapters.ledger.ledgers import KEY_ID, opened, rows
from tests.services.fakes import FakeClock, MemoryCache, Recorder

KEY = "sk-or-v1-" + "a" * 40
SOON_S = 10.0
CHEAP, FREE, UNKNOWN = "author/cheap", "author/cheap:free", "author/unlisted"
UNKNOWN_HOLD = NANO
"""What is set aside for a model without a known price."""

CATALOGUE = {
    "data": [
        {
            "id": CHEAP,
            "pricing": {"prompt": "0", "completion": "0.000001"},
            "context_length": 100_000,
            "top_provider": {"max_completion_tokens": 1000},
        },
        {"id": FREE, "pricing": {"prompt": "0", "completion": "0"}, "context_length": 100_000},
    ]
}
"""A token of the cheap model's answer costs 1000 nano-dollars, and there are 1000 of them at most."""

NOT_FOUND = (404, b'{"error": {"code": 404, "message": "Generation not found"}}')
DOWN = UpstreamFailed("down", code="upstream_unreachable")

Said = tuple[int, bytes] | GatewayError
_PEBBLE = "pebble-"


def generation(cost: Any, **facts: Any) -> Said:
    """What /generation says of one that cost so many dollars."""
    return 200, json.dumps({"data": {"id": "gen", "total_cost": cost, **facts}}).encode()


class FakeOpenRouter:
    """The upstream and the vault: knows the catalogue and as many generations as a test tells it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.says: dict[str, Said | Callable[[], Said]] = {}
        """What is said of each generation; of the others, that they do not exist."""
        self.asked: list[tuple[str, float]] = []
        """Which generation was asked for, and when."""
        self.keys: set[str | None] = set()
        self.pebbles: SimpleQueue[str] = SimpleQueue()

    def key(self) -> str:
        return KEY

    def get(self, path: str, *, key: str | None) -> tuple[int, bytes]:
        if path == "/models":
            return 200, json.dumps(CATALOGUE).encode()
        address = urlsplit(path)
        assert address.path == "/generation"
        [name] = parse_qs(address.query, strict_parsing=True)["id"]
        if name.startswith(_PEBBLE):
            self.pebbles.put(name)
            return generation(0)  # type: ignore[return-value]
        self.asked.append((name, self._clock.time))
        self.keys.add(key)
        said = self.says.get(name, NOT_FOUND)
        said = said() if callable(said) else said
        if isinstance(said, GatewayError):
            raise said
        return said

    def post(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing is posted here")

    def times_asked(self, name: str = "gen-1") -> int:
        """How often this generation was asked for."""
        return sum(name == each for each, _ in self.asked)


class Till:
    """A ledger, a settler and holds, as a gateway has them; closed, it can be opened again on the same ledger."""

    def __init__(self, path: Path, clock: FakeClock | None = None) -> None:
        self.path = path
        self.clock = clock or FakeClock()
        self.events = Recorder()
        self.openrouter = FakeOpenRouter(self.clock)
        self.told: list[tuple[str, str, int]] = []
        """What those who want to know of costs were told: app, model and nano-dollars."""
        self.charged_at: list[float] = []
        """By when each of those was charged."""
        self.deaf: Exception | None = None
        """What they fail with then."""
        self.begun = threading.Event()
        self.begun.set()
        self._thrown = 0
        self.open()

    def open(self) -> None:
        """Start on what is in the ledger."""
        self.ledger: SqlLedger = opened(self.path, self.clock, self.events)
        self.settler = Settler(
            ledger=self.ledger,
            upstream=self.openrouter,
            vault=self.openrouter,
            clock=self.clock,
            events=self.events,
            spent=[self._hear],
        )
        self.models = Models(
            upstream=self.openrouter,
            cache=MemoryCache(),
            clock=self.clock,
            events=self.events,
            ttl_ms=3_600_000,
            only=(),
        )
        self.models.kept.get()
        self.books = Books(
            ledger=self.ledger,
            settler=self.settler,
            clock=self.clock,
            events=self.events,
            spent=[self._hear],
            may_begin=self.begun,
        )
        self.holds = Holds(books=self.books, models=self.models, unknown_hold=UNKNOWN_HOLD)

    def close(self) -> None:
        """Stop, as a gateway does."""
        self.settler.stop()
        self.ledger.stop()

    def pass_time(self, seconds: float) -> None:
        """
        Let so much time pass, half a second at least; what the settler asks meanwhile has been asked on return.

        The settler takes up attempts in the order they are due. One that is due at the very end marks it, and another
        that is new has the settler look at the clock.
        """
        mark = self._throw()
        self.clock.time += seconds
        self._throw()
        while mark != self.openrouter.pebbles.get(timeout=SOON_S):
            pass

    def _hear(self, app: str, model: str, cost: int, at: float) -> None:
        self.told.append((app, model, cost))
        self.charged_at.append(at)
        if self.deaf is not None:
            raise self.deaf

    def _throw(self) -> str:
        self._thrown += 1
        name = f"{_PEBBLE}{self._thrown}"
        self.settler.add(Open(name, "nobody", "a/b", KEY_ID, name, 0, State.AMBIGUOUS, self.clock.time))
        return name

    def row(self, attempt_id: str = "call:1") -> dict[str, Any]:
        """An attempt as it is written down."""
        self.ledger.flush()
        [row] = [row for row in rows(self.path) if row["id"] == attempt_id]
        return row

    def state(self, attempt_id: str = "call:1") -> tuple[str, int | None, str | None]:
        """What is known of an attempt's cost: state, nano-dollars and source."""
        row = self.row(attempt_id)
        return row["state"], row["cost"], row["source"]


def make_call(model: str = CHEAP, call_id: str = "call", raw: bytes = b"{}", **facts: Any) -> Call:
    """A call of the editor's for this model; fields of the body by name, and `budgets` in nano-dollars."""
    grant = Grant("jti", facts.pop("app", "editor"), frozenset(SCOPES), 0, 1, budgets=facts.pop("budgets", {}))
    return Call(
        id=call_id,
        grant=grant,
        endpoint="/chat/completions",
        plan=Plan((model,)),
        stream=facts.pop("stream", False),
        raw=raw,
        changed=None,
        body={"model": model, **facts},
        headers={},
        wishes=Wishes(),
        started=0.0,
    )
