"""The keeper's end: answers one carrier, and takes back what it had when it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from app.core.budget import Budget
from app.core.calls import CallReport
from app.core.errors import GatewayError, Json
from app.core.frozen import frozen
from app.core.grants import Grant
from app.core.ledger import Closing, Hold, State
from app.core.ports import Allowance, Events, Quotas
from app.core.shared import Account, Books, Gate, Storybook
from app.workers.answering import WsgiApp, answer
from app.workers.lines import Line


@frozen
class Common:
    """What the keeper has for all processes."""

    quotas: Quotas
    gate: Gate
    account: Account
    books: Books
    storybook: Storybook
    sinks: Events
    """Count and announce; the log of each process is its own."""
    events: Events
    """The keeper's own, its log among them."""
    catalogue: Callable[[str], bytes]
    """The catalogue under a path of OpenRouter's."""
    application: WsgiApp


class Desk:
    """Answers at the lines of one carrier, each of which has a thread."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._lock = threading.Lock()
        self._holds: dict[str, Hold] = {}
        self._names: dict[str, str] = {}
        """OpenRouter's ids of the attempts that have one."""
        self._answers: Mapping[str, Callable[..., Any]] = {
            "take": common.quotas.take,
            "look": common.quotas.look,
            "enter": self._enter,
            "remaining": common.account.remaining,
            "doubtful": common.account.doubtful,
            "reserve": self._reserve,
            "identify": self._identify,
            "close": self._close,
            "refused": common.books.refused,
            "keep": self._keep,
            "keep_and_look": self._keep_and_look,
            "note": self._note,
            "warn": self._warn,
            "broke": self._broke,
            "catalogue": common.catalogue,
        }

    def attend(self, line: Line) -> None:
        """Answer all that is asked on the line, until it ends."""
        with line, suppress(OSError, EOFError):
            while True:
                what, is_question, told = line.recv()
                failed, said = self._said(what, told)
                if is_question:
                    line.send((failed, said))

    def attend_requests(self, line: Line) -> None:
        """Have the requests answered that are passed on over the line, until it ends."""
        with line, suppress(OSError, EOFError):
            while True:
                answer(self._common.application, line, *line.recv())

    def lost(self) -> int:
        """
        The carrier has ended: its calls with it, whose attempts may have been carried out and billed.

        How many of those there were. To be called once, when nothing more is asked.
        """
        with self._lock:
            holds, self._holds = list(self._holds.values()), {}
        for hold in holds:
            name = self._names.get(hold.attempt_id)
            closing = Closing(hold.attempt_id, State.AMBIGUOUS, generation_id=name, outcome="worker_lost")
            self._common.books.close(hold, closing)
        return len(holds)

    def _said(self, what: str, told: tuple[Any, ...]) -> tuple[bool, Any]:
        """Whether that failed, and the answer or the error."""
        try:
            return False, self._answers[what](*told)
        except GatewayError as error:
            return True, error
        except Exception as error:
            self._common.events.broke("worker.desk_broke", error, what=what)
            return True, GatewayError("The gateway failed; its log says where.")

    def _enter(self, grant: Grant) -> None:
        self._common.gate.enter(grant, 0.0, _never)

    def _reserve(self, entry: Grant | None, hold: Hold, budgets: Sequence[Budget]) -> None:
        if entry is not None:
            self._enter(entry)
        self._common.books.reserve(hold, budgets)
        with self._lock:
            self._holds[hold.attempt_id] = hold

    def _identify(self, attempt_id: str, generation_id: str) -> None:
        with self._lock:
            if attempt_id not in self._holds:
                # Another thread of the carrier was faster to close it.
                return
            self._names[attempt_id] = generation_id
        self._common.books.identify(attempt_id, generation_id)

    def _close(self, closing: Closing) -> None:
        with self._lock:
            hold = self._holds.pop(closing.attempt_id)
            self._names.pop(closing.attempt_id, None)
        self._common.books.close(hold, closing)

    def _keep(self, report: CallReport, closings: Sequence[Closing]) -> None:
        for closing in closings:
            self._close(closing)
        self._common.storybook.keep(report)
        self._common.sinks.call_ended(report)

    def _keep_and_look(self, report: CallReport, closings: Sequence[Closing], rate: str | None) -> Allowance:
        self._keep(report, closings)
        return self._common.quotas.look(report.app, "chat", rate)

    def _note(self, event: str, facts: dict[str, Json]) -> None:
        self._common.sinks.note(event, **facts)

    def _warn(self, event: str, facts: dict[str, Json]) -> None:
        self._common.sinks.warn(event, **facts)

    def _broke(self, event: str, kind: str, facts: dict[str, Json]) -> None:
        self._common.sinks.broke(event, RuntimeError(kind), **{"why": kind, **facts})


def _never(seconds: float) -> None:
    raise AssertionError(f"nobody waits {seconds} s here")
