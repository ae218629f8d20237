from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import requests

from app.core.errors import Unavailable
from app.core.grants import OWNER
from app.factory import MOUNTS
from app.sandbox import Sandbox
from app.services import kept
from app.services.bulletin import READERS, Bulletin
from app.web import events
from tests.gateway import API, KEY, Gateway


class Listener:
    """An app that listens to /events."""

    def __init__(self, reply: requests.Response) -> None:
        self.reply = reply
        self.lines: Iterator[str] = reply.iter_lines(chunk_size=1, decode_unicode=True)

    def block(self) -> list[str] | None:
        """The lines up to the next empty one; None at the end of the stream."""
        lines = []
        for line in self.lines:
            if not line:
                return lines
            lines.append(line)
        return None

    def next(self) -> tuple[str, Any]:
        """The next event's name and data."""
        found: dict[str, str] = {}
        while "data" not in found:
            block = self.block()
            assert block is not None, "the stream has ended"
            found = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
        self.id = found["id"]
        return found["event"], json.loads(found["data"])

    def until(self, event: str) -> Any:
        """The data of the next notice of this event."""
        while True:
            _, data = self.next()
            if data.get("event") == event:
                return data


@pytest.fixture
def listen(gateway: Gateway) -> Iterator[Callable[..., Listener]]:
    """Has apps listen to the gateway."""
    with ExitStack() as stack:

        def start(token: str = "", mount: str = API, **headers: str) -> Listener:
            reply = gateway.request("GET", f"{mount}/events", token=token, headers=headers, stream=True)
            stack.callback(reply.close)
            assert 200 == reply.status_code, reply.text
            return Listener(reply)

        yield start


@pytest.fixture
def owner(gateway: Gateway) -> str:
    """The token of the tray."""
    return gateway.services.office.issue(OWNER, own=True)[0]


def numbers_in(value: Any) -> set[type]:
    """The types of all numbers in a JSON value."""
    if isinstance(value, dict):
        return set().union(*map(numbers_in, value.values()))
    return {type(value)} if isinstance(value, (int, float)) and not isinstance(value, bool) else set()


@pytest.mark.parametrize("mount", MOUNTS)
def test_state_then_notices(
    gateway: Gateway, listen: Callable[..., Listener], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, mount: str
) -> None:
    """A listener gets the state first, then new figures and alerts as they come, on every address."""
    monkeypatch.setattr(kept, "_FORCE_PAUSE_S", 0.0)
    gateway.get("/credits")
    listener = listen(mount=mount)
    name, state = listener.next()

    sandbox.account(total_usage="20.5")
    gateway.services.credits.get(force=True)
    figures, alert = listener.until("credits.status"), listener.until("credits.low")

    assert "state" == name
    assert {"models": {}, "everything": None} == state["breakers"]
    assert ("25", "7.42", "17.58") == tuple(state["credits"][name] for name in ("total", "used", "remaining"))
    assert "not_enough_data" == state["credits"]["forecast"]["reason"]
    assert ("credits", "alert") == (figures["kind"], alert["kind"])
    assert ("5", "4.5") == (alert["facts"]["below"], alert["facts"]["remaining"])
    assert alert["message"].startswith("Less than $5.00 is left")
    assert figures["id"] < alert["id"] == int(listener.id)


def test_headers(listen: Callable[..., Listener]) -> None:
    """The stream is one of server-sent events that nobody in between may store or gather."""
    headers = listen().reply.headers

    assert headers["Content-Type"].startswith("text/event-stream")
    assert ("no-store", "no") == (headers["Cache-Control"], headers["X-Accel-Buffering"])


def test_money_is_text(gateway: Gateway, listen: Callable[..., Listener], sandbox: Sandbox, owner: str) -> None:
    """Amounts are decimal strings; the only fraction is the age of the figures."""
    sandbox.account(key_limit="12.50")
    gateway.get("/credits")
    _, state = listen(owner).next()
    credits = state["credits"]
    age_s, free = credits.pop("age_s"), credits.pop("free_requests")

    assert set() == numbers_in(credits)
    assert ("12.5", "12.5") == (credits["key_limit"], credits["key_remaining"])
    assert {"used": 0, "limit": 1000, "remaining": 1000} == free
    assert 0 <= age_s < 60


def test_unknown_figures(listen: Callable[..., Listener]) -> None:
    """Nobody waits for OpenRouter: figures that are not known yet are null, and follow as soon as they are."""
    listener = listen()

    assert None is listener.next()[1]["credits"]
    assert "17.58" == listener.until("credits.status")["facts"]["remaining"]


def test_resuming(gateway: Gateway, listen: Callable[..., Listener], owner: str) -> None:
    """`Last-Event-ID` has what was missed told after the state, and nothing twice."""
    gateway.get("/credits")
    listener = listen(owner)
    listener.next()
    for app in ("a", "b", "c"):
        gateway.services.events.note("app.paused", app=app)
    first = listener.until("app.paused")
    listener.reply.close()

    resumed = listen(owner, **{"Last-Event-ID": str(first["id"])})
    told = [resumed.next() for _ in range(3)]

    assert ["state", "paused", "paused"] == [name for name, _ in told]
    assert ["b", "c"] == [data["facts"]["app"] for _, data in told[1:]]


@pytest.mark.parametrize("last", ["", "x", "-1", "9" * 40, "٣".encode().decode("latin-1")])
def test_strange_ids(gateway: Gateway, listen: Callable[..., Listener], owner: str, last: str) -> None:
    """An id that is none counts as no id."""
    gateway.services.events.note("app.paused", app="before")
    listener = listen(owner, **{"Last-Event-ID": last})
    listener.next()
    gateway.services.events.note("app.paused", app="after")

    assert "after" == listener.until("app.paused")["facts"]["app"]


def test_whose_business(gateway: Gateway, listen: Callable[..., Listener], owner: str) -> None:
    """An app hears of itself and of what concerns everybody; the owner's tools hear all."""
    gateway.get("/credits")
    for app in ("editor", "other"):
        gateway.services.pauses.pause(app)
    mine, all_of_it = listen(gateway.token("editor")), listen(owner)
    paused = [listener.next()[1]["paused"] for listener in (mine, all_of_it)]
    tell = gateway.services.events
    tell.warn("budget.exceeded", app="other", limit="5", period="day")
    tell.warn("ledger.unavailable", why="/home/somebody: full")
    tell.warn("budget.exceeded", app="editor", limit="5", period="day")
    tell.note("app.paused", app="other")
    tell.note("app.paused", app="*")
    tell.warn("key.low", below="5")

    heard = [(data["event"], data["facts"].get("app")) for _, data in (mine.next() for _ in range(3))]
    owned = [data["event"] for _, data in (all_of_it.next() for _ in range(6))]

    assert [["editor"], ["editor", "other"]] == paused
    assert [("budget.exceeded", "editor"), ("app.paused", "*"), ("key.low", None)] == heard
    assert ["budget.exceeded", "ledger.unavailable", "budget.exceeded", "app.paused", "app.paused", "key.low"] == owned


def test_scopes(gateway: Gateway, listen: Callable[..., Listener]) -> None:
    """Listening needs the scope `usage`, and hearing of the balance `credits` as well."""
    gateway.get("/credits")
    refused = gateway.get("/events", token=gateway.token("a", scopes=["credits"]))
    listener = listen(gateway.token("b", scopes=["usage"]))
    _, state = listener.next()
    gateway.services.events.warn("credits.low", below="5")
    gateway.services.events.note("app.paused", app="b")

    assert 403 == refused.status_code
    assert None is state["credits"]
    assert "app.paused" == listener.next()[1]["event"]


def test_no_secret(gateway: Gateway, listen: Callable[..., Listener], owner: str) -> None:
    """No notice holds a key."""
    listener = listen(owner)
    listener.next()
    gateway.services.events.warn("key.unusable", reason=f"bad key {KEY}")

    assert "bad key [key]" == listener.until("key.unusable")["facts"]["reason"]


def test_silence(listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is nothing to tell a comment shows that the gateway is there."""
    monkeypatch.setattr(events, "_COMMENT_S", 0.05)
    monkeypatch.setattr(events, "_LOOK_S", 0.05)
    listener = listen()
    blocks = [listener.block() for _ in range(8)]

    assert [": nothing new"] in blocks


def _wait_for_room(bulletin: Bulletin) -> bool:
    pause = threading.Event()
    for _ in range(200):
        with suppress(Unavailable):
            bulletin.reader().close()
            return True
        pause.wait(0.05)
    return False


def test_others_are_served(gateway: Gateway, listen: Callable[..., Listener]) -> None:
    """Sixteen listeners take no place from calls and short requests; the seventeenth is refused until one leaves."""
    token = gateway.token()
    listeners = [listen(token) for _ in range(READERS)]
    for listener in listeners:
        listener.next()

    refused = gateway.get("/events", token=token)
    others = [gateway.get(path, token=token).status_code for path in ("/health", "/models", "/credits")]
    call = gateway.chat(token=token)
    listeners[0].reply.close()
    room = _wait_for_room(gateway.services.bulletin)

    assert (503, "too_many_readers") == (refused.status_code, refused.json()["error"]["code"])
    assert "Retry-After" in refused.headers
    assert [200, 200, 200, 200] == [*others, call.status_code]
    assert room
    assert "state" == listen().next()[0]


def test_asking_only_for_headers(gateway: Gateway) -> None:
    """HEAD takes no listener's place."""
    token = gateway.token()

    statuses = {gateway.request("HEAD", f"{API}/events", token=token).status_code for _ in range(READERS + 1)}

    assert {200} == statuses


def test_stopping(gateway: Gateway, listen: Callable[..., Listener]) -> None:
    """When the gateway stops, listeners hear the end of the stream at once, and nobody new is let in."""
    listener = listen()
    listener.next()
    gateway.services.drain(0)
    rest = [block for block in iter(listener.block, None) if block]

    assert all("credits.status" in "".join(block) for block in rest)
    assert (503, "stopping") == (
        (reply := gateway.get("/events")).status_code,
        reply.json()["error"]["code"],
    )


def test_revoked_token(gateway: Gateway, listen: Callable[..., Listener]) -> None:
    """A revoked token hears nothing more."""
    listener = listen(gateway.token("gone"))
    listener.next()
    gateway.services.office.revoke("gone")
    gateway.services.events.note("app.paused", app="*")
    rest = [block for block in iter(listener.block, None) if block]

    assert not any("app.paused" in line for block in rest for line in block)
