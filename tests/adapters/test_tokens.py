from __future__ import annotations

import stat
import sys
import threading
import time
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
    "given", [{"scopes": ["everything"]}, {"quotas": {"all": "1 per day"}}, {"days": 0}, {"days": 366}]
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
