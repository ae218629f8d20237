"""What the ledger knows of an attempt: the hold before it is sent, and what became of it. Never message text."""

from __future__ import annotations

from enum import Enum

from app.core import forms
from app.core.forms import Parameter
from app.core.frozen import frozen
from app.core.meter import Usage


class State(Enum):
    """The life of a hold: reserved → settled | released | ambiguous → settled | written off."""

    RESERVED = "reserved"
    """Committed; the attempt is on its way or under way."""
    SETTLED = "settled"
    """The cost is known."""
    RELEASED = "released"
    """The attempt cost nothing for certain."""
    AMBIGUOUS = "ambiguous"
    """It may have cost something; the hold stands until OpenRouter tells."""
    WRITTEN_OFF = "written_off"
    """OpenRouter never told: the estimate stands in for the cost."""


OPEN = (State.RESERVED, State.AMBIGUOUS)


class Source(Enum):
    """Where a cost comes from, the best first."""

    ANSWER = "answer"
    """The answer's own usage.cost."""
    GENERATION = "generation"
    """OpenRouter's /generation, asked afterwards."""
    KEY = "key"
    """What the key's own total rose by that no other attempt explains."""
    ESTIMATE = "estimate"
    """Nobody told: what was set aside."""


@frozen
class Hold:
    """Money set aside for one attempt, in nano-dollars, and whose it is."""

    attempt_id: str
    call_id: str
    number: int
    """Which attempt of its call this is, from 1."""
    app: str
    endpoint: str
    asked: str
    """The model that the app named first."""
    model: str
    """The model that this attempt goes to."""
    key_id: str
    """Which OpenRouter key pays: part of its SHA-256."""
    amount: int
    priced: bool
    """The amount comes from the model's price; else the price is not known and it is a set sum."""
    stream: bool = False
    agent: str | None = None


@frozen
class Closing:
    """What became of an attempt; None leaves what the ledger has."""

    attempt_id: str
    state: State
    cost: int | None = None
    """Nano-dollars."""
    source: Source | None = None
    served_model: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    usage: Usage | None = None
    status: int | None = None
    """The HTTP status that the app saw, or of the failure that the chain went on from."""
    outcome: str | None = None
    """"answered", "left", or the code of the error."""
    first_content_s: float | None = None
    duration_s: float | None = None


@frozen
class Open:
    """An attempt whose cost is not known yet."""

    attempt_id: str
    app: str
    model: str
    key_id: str
    generation_id: str | None
    amount: int
    state: State
    at: float
    """When it was sent, in seconds since 1970."""


@frozen
class Sums:
    """Added up, in nano-dollars: what was spent, and what the open holds amount to."""

    settled: int
    held: int
    """All open holds, those of running attempts among them."""
    unsettled: int
    """The part of `held` whose attempts are over, so that OpenRouter has yet to tell."""
    outside: int
    """Spent on the account by others than this gateway, as far as was seen."""


@frozen
class UsageRow:
    """One line of a usage report."""

    key: str
    """The day (2026-11-22), app, model or agent that it is about."""
    calls: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cost: int
    estimated: int
    """The part of the cost that is an estimate."""


GROUPS = ("day", "app", "model", "agent")
BY = Parameter("by", forms.words(*GROUPS), "What the sums are of; days without it.")


@frozen
class UsageReport:
    """Spending between two moments, grouped."""

    by: str
    since: float
    until: float
    rows: tuple[UsageRow, ...]
    sums: Sums
    """`settled` is of the time asked for; the holds are those of now."""


@frozen
class Checkpoint:
    """What OpenRouter and the ledger said at one quiet moment; differences are taken from here."""

    at: float
    key_usage: int | None
    """The key's own total at OpenRouter, in nano-dollars."""
    account_usage: int | None
    """The account's."""
    ledger_key: int
    """What the ledger had settled for this key."""
    ledger_all: int
    """What the ledger had settled for every key."""
    elsewhere: tuple[tuple[int, int], ...] = ()
    """What was found spent outside since then under other keys: their account's total when it was, and how much."""


@frozen
class LedgerState:
    """The ledger's health, for people."""

    path: str
    size_bytes: int
    attempts: int
    oldest_at: float | None
    trouble: str | None = None
    """Why nothing can be written at present."""
    locked: str | None = None
    """Why apps with a budget are refused until the owner says so."""
    last_backup: str | None = None
