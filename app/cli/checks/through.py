"""Checks through the running gateway: health, quotas, and whether events arrive as they are made."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import requests

from app.cli.checks import BAD, HINT, OK, SKIPPED, Finding
from app.core.errors import Json
from app.core.sse import SseDecoder

_API = "/api/openrouter"
_SANDBOX_MODEL = "sandbox/drip-50"
_PACE_S = 0.05
_PROMPT = "Count from 1 to 20, separated by commas."


@dataclass(frozen=True)
class _Measured:
    """A streamed answer as it arrived."""

    status: int
    headers: requests.structures.CaseInsensitiveDict[str]
    arrivals: list[float]
    """Seconds, one for each event."""


def check_health(base_url: str, token: str) -> Finding:
    """What the gateway says of itself, and which models it lets rest."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        response = _session().get(base_url + _API + "/health", headers=headers, timeout=5)
        state = response.json()
    except (requests.RequestException, ValueError) as error:
        return Finding("health", BAD, f"no answer ({type(error).__name__})", "restart it: orgate serve")
    if response.status_code != 200:
        return Finding("health", BAD, str(state.get("error")), "see the gateway's log")
    told = f"healthy; credits {_yes(state['credits'])}, models {_yes(state['models'])}"
    breakers = state.get("breakers") or {}
    if breakers.get("everything"):
        return Finding("health", BAD, f"nothing is sent: {breakers['everything']}", "orgate key show; orgate credits")
    if breakers.get("models"):
        return Finding("health", HINT, f"{told}; resting after failures: {', '.join(breakers['models'])}")
    return Finding("health", OK, told)


def ledger_state(base_url: str, token: str) -> dict[str, Any] | None:
    """How the gateway's ledger is; None when the gateway does not say."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        response = _session().get(f"{base_url}{_API}/ledger", headers=headers, timeout=5)
        state: dict[str, Any] = response.json()
    except (requests.RequestException, ValueError):
        return None
    return state if response.status_code == 200 else None


def check_streaming(base_url: str, token: str, models: list[Json], *, paid: bool) -> list[Finding]:
    """The quota that is left, the headers of a stream, and when its events arrive."""
    model = _cheapest(models, paid)
    if model is None:
        return [Finding("streaming", SKIPPED, "no free model to measure with", "orgate doctor --paid")]
    try:
        measured = _measure(base_url, token, model)
    except requests.RequestException as error:
        return [Finding("streaming", BAD, f"the stream broke ({type(error).__name__})", "see the gateway's log")]
    return [_quota(measured), _headers(measured, model), _flushing(measured, model)]


def _cheapest(models: list[Json], paid: bool) -> str | None:
    ids = [str(model.get("id")) for model in models]
    if any(name.startswith("sandbox/drip") for name in ids):
        return _SANDBOX_MODEL
    free = [name for name in ids if name.endswith(":free")]
    return free[0] if free else "openai/gpt-4o-mini" if paid else None


def _measure(base_url: str, token: str, model: str) -> _Measured:
    body: dict[str, Any] = {"model": model, "stream": True, "max_tokens": 80}
    body["messages"] = [{"role": "user", "content": _PROMPT}]
    headers = {"Authorization": f"Bearer {token}"}
    url = base_url + _API + "/chat/completions"
    arrivals = []
    with _session().post(url, json=body, headers=headers, stream=True, timeout=(5, 60)) as response:
        decoder = SseDecoder()
        while chunk := response.raw.read1(65536):
            arrivals += [time.monotonic()] * len(decoder.feed(chunk))
        return _Measured(response.status_code, response.headers, arrivals)


def _quota(measured: _Measured) -> Finding:
    left, limit = measured.headers.get("X-RateLimit-Remaining"), measured.headers.get("X-RateLimit-Limit")
    if measured.status == 429 and left == "0":
        return Finding("quotas", BAD, f"all {limit} chats are used up", "wait a minute, or raise ORGATE_RATE_CHAT")
    return Finding("quotas", OK, f"{left} of {limit} chats left for the command line")


def _headers(measured: _Measured, model: str) -> Finding:
    kind = measured.headers.get("Content-Type", "")
    if measured.status != 200:
        told = f"{model} answered {measured.status}"
        return Finding("streaming headers", HINT, told, "try again, or: orgate doctor --paid")
    if not kind.startswith("text/event-stream") or "Content-Encoding" in measured.headers:
        told = f"Content-Type is {kind!r}, Content-Encoding {measured.headers.get('Content-Encoding')!r}"
        return Finding("streaming headers", BAD, told, "remove the proxy between the programs and the gateway")
    return Finding("streaming headers", OK, "text/event-stream, not compressed")


def _flushing(measured: _Measured, model: str) -> Finding:
    gaps = [after - before for before, after in zip(measured.arrivals, measured.arrivals[1:], strict=False)]
    if len(gaps) < 3:
        return Finding("streaming flush", SKIPPED, f"{model} sent too few events to tell")
    spread, total = statistics.median(gaps) * 1000, (measured.arrivals[-1] - measured.arrivals[0]) * 1000
    told = f"{len(measured.arrivals)} events over {total:.0f} ms, {spread:.0f} ms apart"
    if model == _SANDBOX_MODEL and statistics.median(gaps) < _PACE_S / 2:
        return Finding("streaming flush", BAD, f"events are held back: {told}", "remove what buffers in between")
    if total < 5:
        return Finding("streaming flush", HINT, f"all at once, which a quick model may do: {told}")
    return Finding("streaming flush", OK, told)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"
    return session
