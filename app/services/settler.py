"""Asks OpenRouter what attempts have cost whose answers did not tell (/generation), until it knows."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import quote

from app.core.errors import GatewayError, Json
from app.core.ledger import Closing, Open, Source, State
from app.core.meter import Usage, count, parse, text
from app.core.money import nanos
from app.core.ports import Clock, Events, Ledger, Upstream, Vault

_BACKOFF_S = (0.5, 1, 2, 4, 8, 16, 32, 60)
_OFTEN_UNTIL_S = 120.0
_SELDOM_S = 600.0
_TROUBLE_S = 5.0
"""OpenRouter cannot be asked at present: everybody waits so long."""


class Settler:
    """One thread that looks up generations; those that nobody can look up are left to reconciliation."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        upstream: Upstream,
        vault: Vault,
        clock: Clock,
        events: Events,
        spent: Sequence[Callable[[str, str, int, float], None]],
    ) -> None:
        self._ledger = ledger
        self._upstream = upstream
        self._vault = vault
        self._clock = clock
        self._events = events
        self._spent = tuple(spent)
        self._changed = threading.Condition()
        self._open: dict[str, Open] = {}
        self._due: list[tuple[float, int, int, Open]] = []
        self._order = itertools.count()
        self._nameless: dict[str, Open] = {}
        self._settled_meanwhile: list[set[str]] = []
        """For each who reads what is open in the ledger right now, what was settled since they began."""
        self._thread: threading.Thread | None = None
        self._stopping = False

    def resume(self) -> None:
        """Take up what is open in the ledger and in nobody's care, such as what the last run of the gateway left."""
        settled: set[str] = set()
        found: list[Open] = []
        with self._changed:
            self._settled_meanwhile.append(settled)
        try:
            # What was settled here and is not written down yet would be taken for open. A ledger that is slow to
            # write makes nobody else wait.
            self._ledger.flush()
            found = [attempt for attempt in self._ledger.open() if attempt.state is State.AMBIGUOUS]
        finally:
            with self._changed:
                self._settled_meanwhile = [each for each in self._settled_meanwhile if each is not settled]
                for attempt in found:
                    if attempt.attempt_id not in settled:
                        self.add(attempt)

    def add(self, attempt: Open) -> None:
        """Find out what this attempt has cost."""
        with self._changed:
            if attempt.attempt_id in self._open:
                return
            self._open[attempt.attempt_id] = attempt
            if attempt.generation_id is None:
                self._nameless[attempt.attempt_id] = attempt
                return
            self._push(attempt, tries=0)
            self._start()

    def nameless(self) -> list[Open]:
        """The attempts that OpenRouter gave no id, or whose id it does not know after two minutes."""
        with self._changed:
            return list(self._nameless.values())

    def look_now(self) -> None:
        """Look up everything at once, in the caller's thread; raises GatewayError when OpenRouter cannot be asked."""
        with self._changed:
            due, self._due = deque(sorted(self._due)), []
        try:
            while due:
                _, _, tries, attempt = due[0]
                found = self._ask(attempt)
                due.popleft()
                self._found(attempt, found, tries)
        finally:
            with self._changed:
                for _, _, tries, attempt in due:
                    self._push(attempt, tries)

    def settled(self, attempt: Open, closing: Closing) -> bool:
        """The cost of an attempt has become known, from whatever source; False if it was known before."""
        with self._changed:
            if self._open.pop(attempt.attempt_id, None) is None:
                return False
            self._nameless.pop(attempt.attempt_id, None)
            for meanwhile in self._settled_meanwhile:
                meanwhile.add(attempt.attempt_id)
            self._due = [each for each in self._due if each[3].attempt_id != attempt.attempt_id]
            heapq.heapify(self._due)
            self._ledger.close(closing)
        if closing.cost:
            for tell in self._spent:
                tell(attempt.app, attempt.model, closing.cost, attempt.at)
        return True

    def stop(self) -> None:
        """End the thread and wait for it."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(2)

    def _start(self) -> None:
        if self._thread is None and not self._stopping:
            thread = threading.Thread(target=self._run, name="orgate-settler", daemon=True)
            # Where the system gives none it is tried again with the next attempt.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _push(self, attempt: Open, tries: int) -> None:
        if attempt.attempt_id not in self._open:
            # It was settled while OpenRouter was asked.
            return
        age_s = self._clock.now() - attempt.at
        wait_s = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)] if age_s < _OFTEN_UNTIL_S or not tries else _SELDOM_S
        if age_s >= _OFTEN_UNTIL_S and tries:
            self._nameless[attempt.attempt_id] = attempt
        heapq.heappush(self._due, (self._clock.monotonic() + wait_s, next(self._order), tries, attempt))
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and (not self._due or self._due[0][0] > self._clock.monotonic()):
                    self._changed.wait(self._due[0][0] - self._clock.monotonic() if self._due else None)
                if self._stopping:
                    return
                _, _, tries, attempt = heapq.heappop(self._due)
            try:
                self._found(attempt, self._ask(attempt), tries)
            except GatewayError as error:
                self._events.debug("settler.waits", code=error.code)
                self._put_off(attempt, tries)
            except Exception as error:
                self._events.broke("settler.broke", error, attempt_id=attempt.attempt_id)
                self._put_off(attempt, tries)

    def _put_off(self, attempt: Open, tries: int) -> None:
        with self._changed:
            self._push(attempt, tries + 1)
            self._changed.wait_for(lambda: self._stopping, _TROUBLE_S)

    def _found(self, attempt: Open, closing: Closing | None, tries: int) -> None:
        if closing is None:
            with self._changed:
                self._push(attempt, tries + 1)
        else:
            self.settled(attempt, closing)

    def _ask(self, attempt: Open) -> Closing | None:
        """What OpenRouter says of the generation; None as long as it does not know it."""
        name = quote(attempt.generation_id or "", safe="", errors="replace")
        status, body = self._upstream.get(f"/generation?id={name}", key=self._vault.key())
        answer = parse(body) if status == 200 else None
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            return None
        cost = nanos(data.get("total_cost"))
        if cost is None or cost < 0:
            return None
        return Closing(
            attempt_id=attempt.attempt_id,
            state=State.SETTLED,
            cost=cost,
            source=Source.GENERATION,
            served_model=text(data.get("model")),
            provider=text(data.get("provider_name")),
            usage=_usage(data, cost),
        )


def _usage(data: dict[str, Json], cost: int) -> Usage:
    """The tokens as they are billed: in the model's own counting."""
    byok = data.get("is_byok")
    return Usage(
        prompt_tokens=count(data.get("native_tokens_prompt")),
        completion_tokens=count(data.get("native_tokens_completion")),
        cached_tokens=count(data.get("native_tokens_cached")),
        reasoning_tokens=count(data.get("native_tokens_reasoning")),
        cost=cost,
        is_byok=byok if isinstance(byok, bool) else None,
    )
