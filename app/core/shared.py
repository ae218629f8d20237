"""What all processes of one gateway have in common, as narrow protocols; a gateway of one process has it to itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from app.core.budget import Budget
from app.core.calls import CallReport
from app.core.errors import Json
from app.core.grants import Grant
from app.core.ledger import Closing, Hold


class Place(Protocol):
    """Room for one running call."""

    def give_back(self) -> None:
        """Let the next call have it; a second time does no harm."""
        ...


class Places(Protocol):
    """How many calls may run at once."""

    @property
    def taken(self) -> int:
        """How many places calls have at this moment."""
        ...

    def take(self) -> Place:
        """A place; raises Unavailable when all are taken."""
        ...


class Gate(Protocol):
    """The quota in front of every attempt."""

    def enter(self, grant: Grant, queue_s: float, wait: Callable[[float], None]) -> None:
        """
        Count one attempt, after at most `queue_s` seconds in the app's queue; raises RateLimited.

        `wait` sleeps so many seconds and raises when the app has left.
        """
        ...


class Account(Protocol):
    """What is known of the money at OpenRouter."""

    def remaining(self) -> int | None:
        """What is left by the figures at hand, in nano-dollars; None when it is not known."""
        ...

    def doubtful(self) -> None:
        """OpenRouter refused the key, or for want of money: the figures are older than the truth."""
        ...


class Books(Protocol):
    """Keeps what is set aside for attempts and what became of them."""

    def reserve(self, hold: Hold, budgets: Sequence[Budget]) -> None:
        """Commit the hold: now the attempt may be sent; raises BudgetExceeded or Unavailable."""
        ...

    def identify(self, attempt_id: str, generation_id: str) -> None:
        """OpenRouter's id of an attempt under way."""
        ...

    def close(self, hold: Hold, closing: Closing, *, is_last: bool = False) -> None:
        """
        What became of an attempt, whose hold was committed.

        The last one of a call is followed by the call's report at once, from the same thread.
        """
        ...

    def refused(self, app: str, details: dict[str, Json]) -> None:
        """A budget refused a call of this app, with these details."""
        ...


class Storybook(Protocol):
    """Remembers calls."""

    def keep(self, report: CallReport) -> None:
        """Remember this call."""
        ...


class Others(Protocol):
    """The other processes of this gateway, as one of them sees them."""

    def end_running(self, app: str, *, paused: bool) -> int:
        """End the running calls of this app (or of EVERYBODY) there, which are told why; how many those were."""
        ...

    def resting(self) -> Sequence[Mapping[str, object]]:
        """The state of the breakers of each, as services/breakers.py tells it."""
        ...

    def pids(self) -> Sequence[int]:
        """Their process ids."""
        ...


class Nobody:
    """The Others of a gateway of one process."""

    def end_running(self, app: str, *, paused: bool) -> int:
        """Nothing runs there."""
        return 0

    def resting(self) -> Sequence[Mapping[str, object]]:
        """Nothing rests there."""
        return ()

    def pids(self) -> Sequence[int]:
        """There are none."""
        return ()
