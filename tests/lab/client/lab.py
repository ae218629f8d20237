"""What the client half of the laboratory asks of a gateway and of the stand-in behind it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.core.calls import CallReport
from app.sandbox.server import Sandbox
from app.services.run import Run
from tests.gateway import Gateway
from tests.lab.client.raw_app import RawApp, pause

_NAMES = itertools.count(1)
_STEP_S = 0.005


def comes_true(holds: Callable[[], object], within_s: float = 5.0) -> bool:
    """Whether this became true within the time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        pause(_STEP_S)
    return True


@dataclass
class Lab:
    """A gateway, the sandbox behind it, and the threads there were before any call."""

    gateway: Gateway
    sandbox: Sandbox
    threads: set[threading.Thread] = field(default_factory=lambda: set(threading.enumerate()))
    apps: list[RawApp] = field(default_factory=list)

    def name(self) -> str:
        """A new x-session-id: the gateway passes it on, and the sandbox's log keeps it."""
        return f"session-{next(_NAMES)}"

    def app(self, token: str = "", *, buffer: int = 0) -> RawApp:
        """A new app, connected; it is gone when the test ends."""
        self.apps.append(RawApp(self.gateway, token, buffer=buffer))
        return self.apps[-1]

    def posts(self, name: str | None = None) -> list[dict[str, Any]]:
        """The chats that the sandbox saw, all or those of this session."""
        rows = [row for row in self.sandbox.log() if row["method"] == "POST"]
        return [row for row in rows if name is None or row["headers"].get("x-session-id") == name]

    def runs(self) -> list[Run]:
        """The calls under way."""
        return list(self.gateway.services.relay._running.values())

    def run_of(self, name: str) -> Run | None:
        """The call under way of this session."""
        return next((run for run in self.runs() if run.call.headers.get("x-session-id") == name), None)

    def story(self, app: str | None = None) -> CallReport | None:
        """What became of the call that ended last, of all or of this app."""
        stories = self.gateway.services.stories
        with stories._lock:
            reports = reversed(stories._reports.values())
            return next((report for report in reports if app in (None, report.app)), None)

    def comes_to(self, end: tuple[int, str]) -> bool:
        """Whether the call that ended last became this: status and outcome."""
        return comes_true(lambda: (story := self.story()) is not None and end == (story.status, story.outcome))

    def forget_failures(self) -> None:
        """Close every breaker: a model that rests would be passed over."""
        breakers = self.gateway.services.breakers
        with breakers._lock:
            breakers._models.clear()

    def left_over(self) -> list[str]:
        """What is still there although every app has gone."""
        gateway, server = self.gateway, self.gateway.server
        relay = gateway.services.relay
        lanes = (server._lanes._calls, server._lanes._quick, server._lanes._health)
        found = [f"running: {run.call.model}" for run in self.runs()]
        found += ["watched: a run" for _ in list(relay._watch._runs)]
        found += [f"busy lane: {lane._name} {lane._load}" for lane in lanes if lane._load]
        found += [f"slots: {taken}"] if (taken := self._taken_slots()) else []
        found += ["app's connection" for _ in self.connections()]
        found += [f"upstream open: {row['model']}" for row in self.sandbox.log() if row["ended"] == "open"]
        found += [f"thread: {thread.name}" for thread in self._new_threads()]
        return found

    def _taken_slots(self) -> int:
        return self.gateway.services.slots.taken

    def _new_threads(self) -> list[threading.Thread]:
        # The sandbox has one thread per connection, and the gateway keeps idle connections for later calls.
        new = set(threading.enumerate()) - self.threads
        return [each for each in new if not each.name.startswith("orgate-") and "process_request" not in each.name]

    def waiting(self) -> int:
        """How many bytes the gateway has for its apps that they have not taken."""
        return sum(each.total_outbufs_len for each in self.connections())

    def connections(self) -> list[Any]:
        """The connections of apps, as the server sees them."""
        return [each for one in self.gateway.server._listeners for each in list(one.active_channels.values())]

    def check_nothing_left(self) -> None:
        """Five seconds after every app has gone nothing of any call is left."""
        for app in self.apps:
            app.socket.close()
        comes_true(lambda: not self.left_over())

        assert [] == self.left_over()
