"""What the services need from the outside, as narrow protocols; adapters and the tests' fakes implement them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Protocol

from app.core.attempts import Phase
from app.core.budget import Budget
from app.core.calls import CallReport
from app.core.frozen import frozen
from app.core.grants import Grant
from app.core.ledger import Checkpoint, Closing, Hold, LedgerState, Open, Sums, UsageReport


class Clock(Protocol):
    """The time."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        ...


class Vault(Protocol):
    """Holds the OpenRouter key."""

    def key(self) -> str:
        """The key as it is now; raises Unavailable when there is none."""
        ...


class Answer(Protocol):
    """An upstream answer whose headers have come; its body is read once."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, in any case."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """
        The body as it arrives, never held back; raises GatewayError where it breaks.

        Once it is detached a chunk is empty where nothing has come yet.
        """
        ...

    def detach(self) -> int | None:
        """
        Have `chunks` wait for nothing from now on: the descriptor that becomes readable when there is more.

        None when all of it was read.
        """
        ...

    def read(self) -> bytes:
        """The whole body; raises GatewayError where it breaks or is larger than 64 MiB."""
        ...

    def close(self) -> None:
        """Let go of the connection; what was not read is never read."""
        ...


class Attempt(Protocol):
    """One request to OpenRouter that another thread may end."""

    @property
    def phase(self) -> Phase:
        """How far it got."""
        ...

    def send(self, on_sent: Callable[[float], None] = ..., on_connecting: Callable[[], None] = ...) -> Answer:
        """
        Send the request and wait for the answer's headers; raises GatewayError.

        `on_connecting` is told when a connection must be made first. Once the last byte is out, `on_sent` is told the
        seconds that the headers may take: a read that is fed byte by byte never times out by itself.
        """
        ...

    def advance(self, phase: Phase) -> None:
        """It got this far, as seen by whoever reads the answer."""
        ...

    def cancel(self) -> None:
        """End it now, from any thread and in any phase: the thread inside is woken with a GatewayError."""
        ...


Begin = Callable[[str, Mapping[str, str]], Callable[[bytes], object]]
"""Begins an answer with its content type and headers before its first part is there; what it gives sends parts."""


class Peer(Protocol):
    """The app at the other end of a call's connection."""

    begin: Begin | None
    """Begins the answer in any thread, so that parts can be sent before the call gives its own; None where none can."""

    def left(self) -> bool:
        """It has closed the connection."""
        ...

    def stalled(self) -> bool:
        """It has read nothing for a minute although something waits for it."""
        ...

    def waits(self) -> None:
        """The call waits for somebody else, such as for its answer: the server may begin another."""
        ...

    def cut(self) -> None:
        """Close the connection from this side."""
        ...


class Upstream(Protocol):
    """OpenRouter."""

    def post(self, path: str, body: bytes, headers: Mapping[str, str], *, key: str, stream: bool) -> Attempt:
        """An attempt to POST these bytes; nothing is sent before its `send`."""
        ...

    def get(self, path: str, *, key: str | None) -> tuple[int, bytes]:
        """Status and body of a GET, tried again once where that is safe; raises GatewayError."""
        ...


class Cache(Protocol):
    """Keeps bytes by name; it may forget."""

    @property
    def is_shared(self) -> bool:
        """Whether what it returns may have been put there by another process."""
        ...

    def get(self, name: str) -> bytes | None:
        """What was last put under this name."""
        ...

    def put(self, name: str, value: bytes) -> None:
        """Keep these bytes until they are replaced."""
        ...


@frozen
class Allowance:
    """Where an app stands in one quota."""

    limit: int
    remaining: int
    reset_at: int
    """Seconds since 1970 when the oldest counted request is forgotten."""
    retry_after_s: int


class Tokens(Protocol):
    """Issues tokens and knows which of them still count."""

    def issue(self, grant: Grant) -> str:
        """The signed token for this grant, which is on record from now on."""
        ...

    def sign(self, grant: Grant) -> str:
        """The token that was issued for a grant on record, once more."""
        ...

    def verify(self, token: str) -> Grant:
        """The grant behind a token; raises Unauthenticated."""
        ...

    def all(self) -> list[Grant]:
        """Every grant on record, oldest first."""
        ...

    def revoke(self, ids: frozenset[str], at: int) -> None:
        """From now on these no longer count, also on open connections."""
        ...

    def change(self, ids: frozenset[str], update: Callable[[Grant], Grant]) -> list[Grant]:
        """From now on these allow what `update` makes of them, without new tokens; returns the changed ones."""
        ...


class AgentFiles(Protocol):
    """The files that hold the agents, which the owner writes whenever they like."""

    def look(self) -> Mapping[str, Hashable]:
        """Every file's stem, and what is another one whenever the file is; raises Unavailable."""
        ...

    def read(self, id: str) -> str:
        """The text of a file; raises NotFound when it has gone, Unavailable when it cannot be read."""
        ...

    def place(self, id: str) -> str:
        """Where a file is, for people; the folder for ""."""
        ...


class Quotas(Protocol):
    """Counts requests per app."""

    def take(self, app: str, kind: str, rate: str | None) -> Allowance | None:
        """Count one more request; where the app stands if the quota is used up. `rate` is the token's own or None."""
        ...

    def look(self, app: str, kind: str, rate: str | None) -> Allowance:
        """Where the app stands, without counting."""
        ...


class Pauses(Protocol):
    """Knows which apps may not call for now."""

    def paused(self) -> frozenset[str]:
        """Their names, EVERYBODY (core/pauses.py) among them if so; raises Unavailable when that is not known."""
        ...

    def pause(self, app: str) -> None:
        """From now on this app may not call."""
        ...

    def resume(self, app: str) -> None:
        """It may again; EVERYBODY lifts every pause."""
        ...


class Ledger(Protocol):
    """The record of every attempt and what it cost. Money in nano-dollars, moments in seconds since 1970."""

    def reserve(self, hold: Hold, budgets: Sequence[Budget]) -> None:
        """
        Write the hold down, for good, unless it does not fit a budget of its app.

        Raises BudgetExceeded, or Unavailable when nothing can be written: then nothing may be sent.
        """
        ...

    def identify(self, attempt_id: str, generation_id: str) -> None:
        """OpenRouter's id of an attempt under way; written down soon, for the case of a crash."""
        ...

    def close(self, closing: Closing) -> None:
        """What became of an attempt: written down soon and once, in order; tried again until it can be."""
        ...

    def flush(self) -> None:
        """Return when everything so far is written down; raises Unavailable when it cannot be."""
        ...

    def open(self) -> list[Open]:
        """Every attempt that is reserved or ambiguous, oldest first."""
        ...

    def sums(self, app: str | None = None) -> Sums:
        """Everything ever, of one app or of all."""
        ...

    def taken(self, app: str, since: float) -> tuple[int, int]:
        """What this app has spent since a midnight of UTC, and what its open holds of that time amount to."""
        ...

    def spent_between(self, since: float, until: float) -> int:
        """What attempts sent in this time have cost, as far as is settled."""
        ...

    def began_at(self) -> float | None:
        """When the first attempt was sent; None before there was one."""
        ...

    def usage(self, by: str, since: float, until: float) -> UsageReport:
        """Spending by "day", "app", "model" or "agent"; hours of UTC are the finest it tells apart."""
        ...

    def costs(self) -> list[tuple[str, str, int]]:
        """What every app has ever spent on every model: app, model, nano-dollars."""
        ...

    def settled_for(self, key_id: str) -> tuple[int, int]:
        """What has ever been settled for one key, and for all keys."""
        ...

    def checkpoint(self, key_id: str) -> Checkpoint | None:
        """The last one of this key."""
        ...

    def reconciled(self, key_id: str, checkpoint: Checkpoint, spent_outside: int, source: str) -> None:
        """A new checkpoint of this key, and what others spent since the last one ("credits" or "key" tells)."""
        ...

    def fact(self, name: str) -> str | None:
        """A fact kept for the gateway's next start, as text."""
        ...

    def keep_fact(self, name: str, value: str | None) -> None:
        """Keep it soon; None forgets it."""
        ...

    def state(self) -> LedgerState:
        """How the ledger is."""
        ...

    def faults(self) -> str | None:
        """What a thorough look finds wrong with it; None when it is whole. May take seconds."""
        ...

    def accept(self) -> None:
        """The owner has seen that it was restored: budgets count again from what it holds."""
        ...

    def trim(self, before: float) -> int:
        """Remove the rows of closed attempts from before this moment, the sums stay; how many those were."""
        ...

    def sum_up(self) -> None:
        """Add up the days that are over, so that reports have less to read; they tell the same as before."""
        ...

    def back_up_daily(self) -> None:
        """Make today's copy if there is none, and remove those that are too old."""
        ...

    def stop(self) -> None:
        """Write what is left and close it."""
        ...


class Events(Protocol):
    """Is told what happened; every sink is one of these."""

    def call_ended(self, report: CallReport) -> None:
        """A call is over."""
        ...

    def note(self, event: str, **facts: object) -> None:
        """Something worth an info line happened."""
        ...

    def warn(self, event: str, **facts: object) -> None:
        """Something the owner should know happened."""
        ...

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        """Our own code failed; the one place that hears of a traceback."""
        ...

    def debug(self, event: str, **facts: object) -> None:
        """A detail for DEBUG=openrouter:*; the namespace is the event's first part."""
        ...
