"""Carries the lines of a batch through, several at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from app.cli.batches.journal import Journal
from app.cli.batches.purse import Purse
from app.cli.batches.sending import Answered, Away, Forgotten, Outcome, Refused, Sender, Stopped
from app.cli.output import FAILED, NOT_RUNNING
from app.core import batch
from app.core.batch import Item
from app.core.money import dollars_if_known

_NONE = "none"
"""Stands for the gateway's memory before it has told its name; a call is never made for it."""

_MOST_REFUSALS = 8
_AWAY_S = 60.0
_LOOK_S = 0.5


@dataclass(frozen=True)
class Tally:
    """How far a batch is; of the lines that are done some failed, and of some nobody knows."""

    total: int
    done: int
    failed: int
    uncertain: int
    spent: int
    """Nano-dollars, estimates included where no cost is known."""


class Work:
    """One run over the lines that have no outcome yet."""

    def __init__(
        self,
        items: Sequence[Item],
        journal: Journal,
        sender: Sender,
        purse: Purse,
        most_of: Callable[[Item], int | None],
        todo: Sequence[int],
        *,
        away_s: float = _AWAY_S,
    ) -> None:
        self.stopped_for: tuple[str, int] | None = None
        """Why it was ended before its time, and the exit code for that."""
        self._items = items
        self._journal = journal
        self._sender = sender
        self._purse = purse
        self._most_of = most_of
        self._todo: Iterator[int] = iter(todo)
        self._away_s = away_s
        self._memory = _NONE
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._broke: BaseException | None = None

    def start(self, concurrency: int) -> None:
        """Begin, in so many threads."""
        for _ in range(concurrency):
            thread = threading.Thread(target=self._run, name="orgate-batch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether everything is over, after so many seconds at most; raises what broke in the threads."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._broke is not None:
            raise self._broke
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self, why: str, code: int = FAILED) -> None:
        """Begin nothing more; what runs goes on to its end."""
        with self._lock:
            self.stopped_for = self.stopped_for or (why, code)
        self._stop.set()

    def tally(self) -> Tally:
        """How far it is."""
        lines = self._journal.lines
        ended = [line for line in lines if line.place is not None]
        failed = sum(line.has_failed and not line.is_uncertain for line in ended)
        return Tally(len(lines), len(ended), failed, sum(line.is_uncertain for line in ended), self._purse.spent)

    def _run(self) -> None:
        try:
            while (number := self._next()) is not None:
                self._pay_for(number)
        except BaseException as error:
            self._broke = error
            self._stop.set()

    def _next(self) -> int | None:
        with self._lock:
            return None if self._stop.is_set() else next(self._todo, None)

    def _pay_for(self, number: int) -> None:
        item, line = self._items[number], self._journal.lines[number]
        most = self._most_of(item)
        if not self._purse.take(most, paid_already=line.is_open):
            at_most = (
                "" if most is None else f" of up to ${dollars_if_known(most)} (a smaller max_tokens makes it less)"
            )
            self.stop(f"The budget does not allow the next call{at_most}. Go on with a larger --budget.")
            return
        counted = 0
        try:
            if not self._stop.is_set():
                counted = self._carry(number, most or 0)
        finally:
            self._purse.settle(most, counted)

    def _carry(self, number: int, most: int) -> int:
        """Bring one line to its outcome, unless the batch is stopped; nano-dollars that it counts as."""
        line, journal = self._journal.lines[number], self._journal
        doubtful = again = line.is_open and line.memory != _NONE
        memory = line.memory if doubtful else self._memory
        refusals, away_since = 0, None
        while True:
            outcome = self._sent(number, memory, again)
            again = True
            match outcome:
                case Answered():
                    if outcome.is_good and memory == _NONE:
                        self.stop(
                            "This gateway does not know Idempotency-Key, and would pay twice. Update orgate there."
                        )
                    return self._end(number, outcome, most)
                case Forgotten(memory=str(new)) if not doubtful:
                    self._memory = memory = new
                    continue
                case Forgotten():
                    return self._give_up(number, outcome.why, most)
                case Refused():
                    refusals += not outcome.is_endless
                    if refusals >= _MOST_REFUSALS and not doubtful:
                        return self._end(number, outcome.answer, most)
                    away_since, wait_s = None, outcome.after_s
                case Away():
                    doubtful = doubtful or outcome.was_sent
                    away_since, wait_s = away_since or time.monotonic(), _LOOK_S
                    if outcome.is_silent:
                        away_since = None
                    elif time.monotonic() - away_since > self._away_s:
                        self.stop(f"The gateway has been away for {self._away_s:g} s.", NOT_RUNNING)
                case Stopped():
                    wait_s = 0.0
                    if not (outcome.is_for_money and self._purse.wait_for_another()):
                        self.stop(outcome.why)
                case _:
                    assert_never(outcome)
            if not doubtful:
                journal.unsent(number)
            if self._stop.wait(wait_s):
                return 0

    def _sent(self, number: int, memory: str, again: bool) -> Outcome:
        line = self._journal.send(number, memory, again=again)
        return self._sender.send(self._items[number], line.key, memory)

    def _end(self, number: int, answer: Answered, most: int) -> int:
        counted = answer.cost if answer.cost is not None else most if answer.may_be_billed else 0
        self._write(number, answer.response, None, answer.cost, counted, answer)
        return counted

    def _give_up(self, number: int, why: str, most: int) -> int:
        self._write(number, None, {"code": "outcome_unknown", "message": why}, None, most, None)
        return most

    def _write(
        self,
        number: int,
        response: dict[str, object] | None,
        error: dict[str, str] | None,
        cost: int | None,
        counted: int,
        answer: Answered | None,
    ) -> None:
        name = f"batch_req_{self._journal.id}_{number + 1}"
        output = batch.output(self._items[number], name, response, error, dollars_if_known(cost))
        uncertain = answer is None or answer.is_uncertain
        self._journal.end(number, output, counted, failed=answer is None or not answer.is_good, uncertain=uncertain)
