from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from app.adapters.clock import SystemClock
from app.adapters.tokens import TokenBook
from app.services.tokens import TokenOffice
from tests.cli.processes import orgate, started

Token = Callable[..., Any]


@pytest.fixture
def token(tmp_path: Path) -> Token:
    """Runs `orgate token`, which must succeed, and returns what it printed."""

    def run(*arguments: str) -> str:
        ended = orgate("token", *arguments, "--state-dir", str(tmp_path / "s"))
        assert (0, "") == (ended.returncode, ended.stderr)
        return ended.stdout

    return run


def _limits(printed: str) -> list[dict[str, Any]]:
    return [
        {name: row[name] for name in ("budgets", "models", "max_price", "quotas") if row[name]}
        for row in json.loads(printed)
    ]


def test_issued_with_limits(token: Token) -> None:
    """A token is issued with budgets, models and a price ceiling, and the list tells them."""
    token(
        "issue", "agent", "--budget", "5/day", "--budget", "$50.5/month", "--models", "a/b, c/*,d/e", "--max-price=1,5"
    )
    token("issue", "notes", "--max-price", "3")

    listed = token("list")

    assert [
        {
            "budgets": {"day": "5", "month": "50.5"},
            "models": ["a/b", "c/*", "d/e"],
            "max_price": {"prompt": "1", "completion": "5"},
        },
        {"max_price": {"prompt": "3", "completion": "3"}},
    ] == _limits(token("list", "--json"))
    assert "LIMITS" in listed
    assert "$5/day, $50.5/month; a/b, c/*, 1 more; at most $1/$5 per M" in listed


def test_list_without_limits(token: Token) -> None:
    """Where no token has a limit the list has no room for them."""
    token("issue", "notes")

    assert "LIMITS" not in token("list")


def test_set(token: Token) -> None:
    """`set` changes what is named in all tokens of an app, and nothing else."""
    for name in ("agent", "agent", "notes"):
        token("issue", name, "--budget", "5/day", "--models", "a/b", "--rate-chat", "5 per minute")

    told = token("set", "agent", "--budget", "1/week", "--max-price", "$2", "--rate-models", "1 per hour")

    changed = {
        "budgets": {"week": "1"},
        "models": ["a/b"],
        "max_price": {"prompt": "2", "completion": "2"},
        "quotas": {"chat": "5 per minute", "models": "1 per hour"},
    }
    same = {"budgets": {"day": "5"}, "models": ["a/b"], "quotas": {"chat": "5 per minute"}}
    assert [changed, changed, same] == _limits(token("list", "--json"))
    assert told.startswith("Changed 2 tokens of agent: $1/week; a/b; at most $2/$2 per M")


def test_lift(token: Token) -> None:
    """Every limit can be lifted again."""
    token("issue", "agent", "--budget", "5/day", "--models", "a/b", "--max-price", "1", "--rate-chat", "5 per minute")

    lifted = token(
        "set", "agent", "--budget", "none", "--models", "all", "--max-price", "none", "--rate-chat", "default", "--json"
    )

    assert [{}] == _limits(lifted)


def test_cache(token: Token) -> None:
    """The cache of answers can be wished for in a new token, later, and no longer."""

    def wishes() -> list[dict[str, str]]:
        return [row["wishes"] for row in json.loads(token("list", "--json"))]

    token("issue", "tests", "--cache", "60", "--queue", "5")
    issued = wishes()
    told = token("set", "tests", "--cache", "3600")
    changed = wishes()
    token("set", "tests", "--cache", "none")

    assert [{"cache": "60", "queue": "5"}] == issued
    assert "Changed 1 token of tests: answers up to 3600 s old." == told.strip()
    assert [{"cache": "3600", "queue": "5"}] == changed
    assert [{"queue": "5"}] == wishes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--cache", "an hour"), "seconds"),
        (("--budget", "much"), "5/day"),
        (("--budget", "5/hour"), "5/day"),
        (("--budget", "5/day", "--budget", "6/day"), "same period"),
        (("--budget", "none", "--budget", "6/day"), "5/day"),
        (("--models", "gpt"), "author/"),
        (("--models", ", "), "commas"),
        (("--max-price", "cheap"), "per million"),
        (("--max-price", "1,2,3"), "per million"),
        (("--max-price", "-1"), "per million"),
        (("--rate-chat", "often"), "30 per minute"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("command", ["issue", "set"])
def test_bad_limits(tmp_path: Path, command: str, arguments: tuple[str, ...], told: str) -> None:
    """What is no limit is wrong usage, says what to write, and changes nothing."""
    book = TokenBook(tmp_path)
    _, grant = TokenOffice(book, SystemClock()).issue("agent", budgets={"day": 5})

    ended = orgate("token", command, "agent", *arguments, "--state-dir", str(tmp_path))

    assert (2, "") == (ended.returncode, ended.stdout), ended.stderr
    assert told in ended.stderr
    assert [grant] == book.all()


def test_set_nothing(token: Token, tmp_path: Path) -> None:
    """`set` without a limit is wrong usage; for a program without tokens it fails and says where to look."""
    where = ("--state-dir", str(tmp_path / "s"))

    idle = orgate("token", "set", "agent", *where)
    unknown = orgate("token", "set", "agent", "--budget", "5/day", *where)

    assert (2, 1) == (idle.returncode, unknown.returncode)
    assert "--help" in idle.stderr
    assert "orgate token list" in unknown.stderr


def test_demo(tmp_path: Path) -> None:
    """While only the demo runs its tokens are meant: what a program may spend there can be changed at once."""
    home = {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    with started("demo", "--port", "0", **home) as demo:
        issued = orgate("token", "issue", "notes", **home)
        changed = orgate("token", "set", "notes", "--budget", "0.0001/day", **home)
        url = f"{demo.told['base_url']}/v1/chat/completions"
        body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
        reply = requests.post(url, json=body, headers={"Authorization": f"Bearer {issued.stdout.strip()}"}, timeout=30)

    assert "(these are the demo's tokens)\n" == issued.stderr == changed.stderr
    assert (0, 402) == (changed.returncode, reply.status_code)
