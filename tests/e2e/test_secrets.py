from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from app.sandbox import Sandbox, faults
from tests.e2e.served import Served, orgate, served

KEY = "sk-or-v1-" + "CANARYKEY" + "4f3e2d1c" * 6
NEW_KEY = "sk-or-v1-" + "FRESHKEY" + "1a2b3c4d" * 6
PROMPT = "CANARY-PROMPT: what do you know of me?"
CHAT = "/api/openrouter/chat/completions"
QUICK = {"delay": 20, "slow-headers": 1, "drip": 2, "long": 20}
ENDLESS = ("comments", "stall-comments")
"""Their signs of life never stop, so that no clock of this version ends them."""

MODELS = [
    f"sandbox/{name}-{QUICK[name]}" if name in QUICK else f"sandbox/{name}"
    for name in faults.FAULTS
    if name not in ENDLESS
]


@dataclass
class Heard:
    """All that the gateway and its commands said, and what was left behind."""

    secrets: dict[str, str] = field(default_factory=dict)
    """What must not be found anywhere, by name."""
    answers: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    log: str = ""
    calls: int = 0
    state: Path = Path()
    upstream: list[dict[str, Any]] = field(default_factory=list)
    with_spoiled_keys: list[dict[str, Any]] = field(default_factory=list)

    def found_in(self, text: str) -> list[str]:
        """The names of the secrets that occur in a text."""
        return [name for name, secret in self.secrets.items() if secret in text]


class Caller:
    """Calls the gateway in every good and bad way and keeps each answer."""

    def __init__(self, gateway: Served, heard: Heard, token: str) -> None:
        self._gateway = gateway
        self._heard = heard
        self._token = token

    def send(self, method: str, path: str, *, token: str | None = None, **rest: Any) -> int:
        """One request; its answer, or how it broke off, is kept."""
        headers = {"Authorization": f"Bearer {token or self._token}", **rest.pop("headers", {})}
        with requests.Session() as session:
            session.trust_env = False
            reply = session.request(method, self._gateway.base_url + path, headers=headers, timeout=30, **rest)
            self._heard.answers.append(f"{reply.status_code} {dict(reply.headers)} {reply.text}")
        return reply.status_code

    def chat(self, model: str, *, stream: bool = False, **rest: Any) -> int:
        """One chat about the canary."""
        body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "stream": stream}
        self._heard.calls += 1
        return self.send("POST", CHAT, json=body, **rest)

    def raw(self, body: str | bytes) -> int:
        """One chat whose body is not what it should be."""
        return self.send("POST", CHAT, data=body, headers={"Content-Type": "application/json"})


def every_fault(caller: Caller) -> None:
    """Each way in which OpenRouter can fail, plain and streamed."""
    with ThreadPoolExecutor(8) as pool:
        for stream in (False, True):
            list(pool.map(lambda model, stream=stream: caller.chat(model, stream=stream), MODELS))


def at_the_door(caller: Caller, token: str) -> None:
    """Secrets in all the places where they do not belong."""
    head, payload, signature = token.split(".")
    for wrong in (KEY, signature, f"{head}.{payload}.", f"{head}.{payload}.{signature[::-1]}", f"{token}x", token * 20):
        caller.send("GET", "/v1/models", token=wrong)
        caller.send("GET", "/v1/credits", headers={"Authorization": f"Basic {wrong}", "X-Api-Key": wrong})
    for path in (f"/v1/models?key={KEY}&token={token}", f"/v1/{KEY}", f"/{token}", f"/v1/models?sort={KEY}"):
        caller.send("GET", path)
    caller.send("GET", "/v1/models", headers={"Host": f"{KEY}.example"})
    caller.send("GET", "/v1/models", headers={"Origin": f"http://{token[:60]}.example"})
    caller.send("PUT", CHAT, data=KEY)
    caller.send("POST", CHAT, data=KEY, headers={"Content-Type": f"text/{KEY}"})
    for body in (
        f'{{"model": "{KEY}", "messages": "{PROMPT}"',
        f'{{"{KEY}": 1, "{KEY}": 2}}',
        f'{{"model": "a/b", "messages": [{{"role": "user", "content": "{KEY} {token} {PROMPT}"}}], "n": NaN}}',
        f'["{KEY}"]',
        KEY,
        KEY.encode() + b"\xff\xfe",
        json.dumps({"model": {"name": KEY}, "messages": [{"role": "user", "content": PROMPT}]}),
        json.dumps({"model": "a/b", "messages": [KEY, PROMPT]}),
        json.dumps({"model": "a/b", "messages": PROMPT + KEY}),
    ):
        caller.raw(body)


def damaged_keys(caller: Caller, state: Path) -> None:
    """Keys that were spoiled by hand while the gateway runs."""
    place = state / "key"
    good = place.read_bytes()
    for spoiled in (f"{KEY}\nX-Evil: 1", f"{KEY} {KEY}", f"{KEY}\N{LATIN SMALL LETTER E WITH ACUTE}", KEY[3:], ""):
        place.write_text(spoiled, "utf-8")
        caller.chat("sandbox/ok")
    place.write_bytes(good)
    env = state / ".env"
    env.touch(0o600)
    env.write_text(f"OPENROUTER_API_KEY='{KEY} and more'\n", "utf-8")
    caller.chat("sandbox/ok")
    env.unlink()


@pytest.fixture(scope="module")
def heard(shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    """A gateway's whole life with planted secrets, at the most talkative settings."""
    shared_sandbox.reset()
    state = tmp_path_factory.mktemp("secrets") / "state"
    state.mkdir(0o700)
    settings = {
        "OPENROUTER_BASE_URL": shared_sandbox.url,
        "LOG_LEVEL": "debug",
        "DEBUG": "openrouter:*",
        "ORGATE_TIMEOUT_HEADERS": "0.5",
        "ORGATE_TIMEOUT_IDLE": "0.5",
    }
    heard = Heard(state=state)

    def command(*arguments: str, given: str = "", **more: str) -> int:
        done = orgate(state, {**settings, **more}, *arguments, given=given)
        heard.commands.append(f"{arguments}: {done.stdout}{done.stderr}")
        return done.returncode

    def issue(name: str) -> str:
        done = orgate(state, settings, "token", "issue", name, "--rate-chat", "1000 per minute")
        token = done.stdout.strip()
        heard.secrets |= {f"payload of {name}": token.split(".")[1], f"signature of {name}": token.split(".")[2]}
        return token

    heard.secrets |= {
        "key": KEY[9:21],
        "end of key": KEY[-24:],
        "new key": NEW_KEY[9:21],
        "end of new key": NEW_KEY[-24:],
    }
    assert 2 == command("key", "set", given=f"{KEY} and more\n")
    assert 2 == command("key", "set", given=f'"{KEY}"\n')
    assert 2 == command("serve", "--port", "0", OPENROUTER_API_KEY=f"{KEY}\nX-Evil: 1")
    assert 2 == command("serve", "--port", "0", OPENROUTER_API_KEY=KEY[3:])
    assert 0 == command("key", "set", given=f"  {KEY}\r\n\n")
    token, gone = issue("canary"), issue("gone")
    with served(state, settings) as gateway:
        caller = Caller(gateway, heard, token)
        for path in ("health", "credits", "models", "credits?force=true"):
            caller.send("GET", f"/api/openrouter/{path}")
        assert 200 == caller.chat("openai/gpt-4o-mini")
        assert 200 == caller.chat("openai/gpt-4o-mini", stream=True)
        every_fault(caller)
        at_the_door(caller, token)
        assert 0 == command("token", "revoke", "gone")
        assert 401 == caller.send("GET", "/v1/models", token=gone)
        assert 0 == command("key", "set", given=f"{NEW_KEY}\n")
        assert 200 == caller.chat("sandbox/ok")
        heard.upstream = shared_sandbox.log()
        damaged_keys(caller, state)
        heard.with_spoiled_keys = shared_sandbox.log(after=heard.upstream[-1]["n"])
        assert 200 == caller.chat("sandbox/ok")
        for arguments in (("key", "show"), ("token", "list"), ("credits",), ("doctor",)):
            command(*arguments)
        (state / "tokens.json").write_text(f'{{"tokens": ["{token}"', "utf-8")
        caller.chat("sandbox/ok")
        status, heard.log = gateway.stop()
        assert 0 == status
    (state / "tokens.json").unlink()
    yield heard
    shared_sandbox.reset()


def test_log(heard: Heard) -> None:
    """No line of the log holds a key or a token, whatever went wrong, and every call that was carried has its line."""
    assert [] == heard.found_in(heard.log)
    assert heard.log.count('"call.ended"') > 0.9 * heard.calls


def test_log_tells_no_message(heard: Heard) -> None:
    """No line of the log holds what was said to a model."""
    assert [] == [line for line in heard.log.splitlines() if "CANARY-PROMPT" in line or "what do you know" in line]


def test_answers(heard: Heard) -> None:
    """No answer holds a key or a token, in its head or in its body."""
    assert len(heard.answers) > 150
    assert [] == [answer for answer in heard.answers if heard.found_in(answer)]


def test_commands(heard: Heard) -> None:
    """No command prints a key or a token, except the one that issues it."""
    assert [] == [told for told in heard.commands if heard.found_in(told)]


def test_files(heard: Heard) -> None:
    """Only its owner can read what the gateway leaves behind, and only the key's own file holds the key."""
    files = [path for path in heard.state.rglob("*") if path.is_file()]

    assert {"0o600"} == {oct(stat.S_IMODE(path.stat().st_mode)) for path in files}
    assert "0o700" == oct(stat.S_IMODE(heard.state.stat().st_mode))
    assert ["key"] == [path.name for path in files if heard.found_in(path.read_bytes().decode("utf-8", "replace"))]


def keys_of(log: list[dict[str, Any]]) -> set[str]:
    """What OpenRouter was shown as a key, as its log masks it."""
    return {row["headers"]["authorization"] for row in log if "authorization" in row["headers"]}


def test_upstream(heard: Heard) -> None:
    """OpenRouter is shown the key alone, never a token."""
    assert {f"Bearer sk-or-…{key[-4:]}" for key in (KEY, NEW_KEY)} == keys_of(heard.upstream)
    assert [] == heard.found_in(json.dumps(heard.upstream))


def test_spoiled_key(heard: Heard) -> None:
    """A key that was spoiled by hand is never sent: the last good one is used on."""
    assert {f"Bearer sk-or-…{NEW_KEY[-4:]}"} == keys_of(heard.with_spoiled_keys)
