from __future__ import annotations

import stat
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.adapters.clock import SystemClock
from app.adapters.tokens import TokenBook
from app.core.errors import BadRequest, NotFound, Unauthenticated
from app.services.tokens import TokenOffice


@pytest.fixture
def book(tmp_path: Path) -> TokenBook:
    return TokenBook(tmp_path)


@pytest.fixture
def office(book: TokenBook) -> TokenOffice:
    return TokenOffice(book, SystemClock())


def test_round_trip(office: TokenOffice, book: TokenBook) -> None:
    """A token leads back to what it was issued for."""
    token, grant = office.issue("my app", scopes=["chat"], days=7, quotas={"chat": "5 per minute"})

    assert grant == book.verify(token)
    assert 7 * 86_400 == grant.expires_at - grant.issued_at


def test_files_are_the_owners(office: TokenOffice, tmp_path: Path) -> None:
    """Secret and record are readable by their owner only, and the token itself is nowhere."""
    token, _ = office.issue("app")

    if sys.platform != "win32":
        assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.is_file()}
    assert not any(token in path.read_text() for path in tmp_path.iterdir() if path.is_file())


def test_another_process_revokes(office: TokenOffice, book: TokenBook, tmp_path: Path) -> None:
    """What another process revokes no longer counts here."""
    token, _ = office.issue("app")
    book.verify(token)

    TokenOffice(TokenBook(tmp_path), SystemClock()).revoke("app")

    with pytest.raises(Unauthenticated) as caught:
        book.verify(token)
    assert "revoked_token" == caught.value.code


def test_expired(office: TokenOffice, book: TokenBook) -> None:
    """An expired token says that it expired, so that its owner knows what to do."""

    class Past(SystemClock):
        def now(self) -> float:
            return time.time() - 10 * 86_400

    token, _ = TokenOffice(book, Past()).issue("app", days=1)

    with pytest.raises(Unauthenticated) as caught:
        book.verify(token)
    assert "expired_token" == caught.value.code


def test_clock_set_back(book: TokenBook) -> None:
    """A token from what now is the future still counts: a clock that was set back locks nobody out."""

    class Future(SystemClock):
        def now(self) -> float:
            return time.time() + 3600

    token, grant = TokenOffice(book, Future()).issue("app")

    assert grant == book.verify(token)


def test_racing_issues(office: TokenOffice) -> None:
    """Tokens that are issued at the same time are all on record."""
    threads = [threading.Thread(target=office.issue, args=(f"app {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {f"app {number}" for number in range(8)} == {grant.app for grant in office.all()}


@pytest.mark.parametrize("name", ["", " app", "a" * 65, "app\n", "-app", "ap/p", "äpp"])
def test_bad_names(office: TokenOffice, name: str) -> None:
    """A name that could confuse a log or a page is refused."""
    with pytest.raises(BadRequest):
        office.issue(name)


@pytest.mark.parametrize(
    "given",
    [
        {"scopes": ["everything"]},
        {"quotas": {"all": "1 per day"}},
        {"days": 0},
        {"days": 366},
        {"budgets": {"hour": 5}},
        {"budgets": {"day": -1}},
        {"models": ["gpt"]},
        {"max_price": {"prompt": "cheap"}},
        {"max_price": {"image": "1"}},
    ],
    ids=str,
)
def test_bad_grants(office: TokenOffice, given: dict[str, object]) -> None:
    """What cannot be granted is refused."""
    with pytest.raises(BadRequest):
        office.issue("app", **given)  # type: ignore[arg-type]


def test_nothing_to_revoke(office: TokenOffice) -> None:
    """Revoking what is not there says so."""
    with pytest.raises(NotFound):
        office.revoke("nobody")


def test_revoke_by_id(office: TokenOffice, book: TokenBook) -> None:
    """One token of several can be ended by its id."""
    first, grant = office.issue("app")
    second, _ = office.issue("app")

    office.revoke(grant.id)

    with pytest.raises(Unauthenticated):
        book.verify(first)
    assert "app" == book.verify(second).app


def test_limits_come_back(office: TokenOffice, book: TokenBook, tmp_path: Path) -> None:
    """Budgets, models and ceiling are on record, also for a process that starts later."""
    token, grant = office.issue(
        "app", budgets={"day": 5, "total": 0}, models=["a/b", "c/*"], max_price={"prompt": "1", "completion": "0.5"}
    )

    assert grant == book.verify(token) == TokenBook(tmp_path).verify(token)
    assert ({"day": 5, "total": 0}, ("a/b", "c/*")) == (grant.budgets, grant.models)
    assert {"prompt": "1", "completion": "0.5"} == grant.max_price


def test_another_process_changes(office: TokenOffice, book: TokenBook, tmp_path: Path) -> None:
    """What another process changes counts here at once, for every token of the app and for no other."""
    first, second, other = (office.issue(name, models=["a/b"])[0] for name in ("app", "app", "other"))
    before = book.verify(first)

    changed = TokenOffice(TokenBook(tmp_path), SystemClock()).change("app", budgets={"day": 5}, models=())

    assert [book.verify(first), book.verify(second)] == changed
    assert replace(before, budgets={"day": 5}, models=()) == book.verify(first)
    assert (("a/b",), {}) == (book.verify(other).models, book.verify(other).budgets)


def test_quotas_change_one_by_one(office: TokenOffice) -> None:
    """A quota is changed or given back without touching the others."""
    office.issue("app", quotas={"chat": "5 per minute", "models": "1 per hour"})

    (changed,) = office.change("app", quotas={"chat": None, "credits": "9 per day"})

    assert {"models": "1 per hour", "credits": "9 per day"} == changed.quotas


def test_only_tokens_in_force_change(office: TokenOffice) -> None:
    """A revoked token stays as it was; an app that has no other is not found."""
    office.issue("app")
    office.revoke("app")

    with pytest.raises(NotFound):
        office.change("app", budgets={"day": 5})
    assert [{}] == [grant.budgets for grant in office.all()]


def test_racing_changes(office: TokenOffice, tmp_path: Path) -> None:
    """Changes that are made at the same time all take effect."""
    names = [f"app {number}" for number in range(8)]
    for name in names:
        office.issue(name)
    offices = [TokenOffice(TokenBook(tmp_path), SystemClock()) for _ in names]
    threads = [
        threading.Thread(target=each.change, args=(name,), kwargs={"budgets": {"day": number}})
        for number, (each, name) in enumerate(zip(offices, names, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [{"day": number} for number in range(8)] == [grant.budgets for grant in office.all()]
