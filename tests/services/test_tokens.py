from __future__ import annotations

from pathlib import Path

import pytest

from app.adapters.tokens import TokenBook
from app.core.errors import BadRequest
from app.services.tokens import DAY_S, TokenOffice
from tests.services.fakes import FakeClock

LIMITS = {"quotas": {"chat": "7 per minute"}, "budgets": {"day": 5}, "models": ["a/*"], "max_price": {"prompt": "1"}}


@pytest.fixture
def clock() -> FakeClock:
    """Stands still until it is moved."""
    return FakeClock()


@pytest.fixture
def office(tmp_path: Path, clock: FakeClock) -> TokenOffice:
    """An office with an empty book."""
    return TokenOffice(TokenBook(tmp_path), clock)


def test_another_has_all_of_the_last(office: TokenOffice) -> None:
    """One more token of an app allows and wishes what the last one did, and nothing else."""
    office.issue("agent", scopes=["chat"], wishes={"clamp": "1"}, **LIMITS)
    office.another("agent", {"queue": "60"})

    first, second = office.all()
    kept = ("scopes", "quotas", "wishes", "budgets", "models", "max_price")
    assert [getattr(first, name) for name in kept] == [getattr(second, name) for name in kept]
    assert first.id != second.id


def test_first_has_the_wishes(office: TokenOffice) -> None:
    """An app's first token may do everything, and has the wishes that were given."""
    office.another("agent", {"queue": "60"})

    (grant,) = office.all()
    assert ({"queue": "60"}, 4) == (grant.wishes, len(grant.scopes))


def test_current_is_kept_for_long(office: TokenOffice, clock: FakeClock) -> None:
    """The current token stays the same until a month before its end, then there is a new one."""
    token = office.current("agent")
    clock.time += 334 * DAY_S
    same = office.current("agent")
    clock.time += 2 * DAY_S

    assert token == same != office.current("agent")
    assert 2 == len(office.all())


def test_current_is_not_revoked(office: TokenOffice) -> None:
    """A revoked token is not current."""
    token = office.current("agent")
    office.revoke("agent")

    assert token != office.current("agent")


def test_wishes_change_one_by_one(office: TokenOffice) -> None:
    """A wish of an app's tokens can be set and taken back; the others stay."""
    office.issue("agent", wishes={"queue": "60"})

    (cached,) = office.change("agent", wishes={"cache": "3600"})
    (plain,) = office.change("agent", wishes={"cache": None})

    assert ({"queue": "60", "cache": "3600"}, {"queue": "60"}) == (cached.wishes, plain.wishes)
    with pytest.raises(BadRequest, match="X-Orgate-Cache"):
        office.change("agent", wishes={"cache": "soon"})
