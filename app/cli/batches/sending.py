"""One request of a batch to the gateway, and what its answer means for the batch."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from app.cli.client import Gateway
from app.core.batch import Item
from app.core.errors import Json
from app.core.money import nanos

if TYPE_CHECKING:
    import requests

QUEUE_S = 300
_CONNECT_S = 5
_READ_S = 600
"""After so long without an answer the call is asked for again, and joined where it runs."""

_ENDLESS = {"quota_exceeded", "too_many_calls", "stopping"}
"""Reasons to wait that pass by themselves, however often they are met."""

_MARK = "x-orgate-call-id"
"""Every answer of a gateway has it."""

_CUT_OFF = {"stopping", "paused", "ended"}
"""What ended it from outside, where it had been begun."""

_TIME_UP = "call_timeout"
"""Also of a call that only waited for its quota."""

_NOT_KEPT = {"memory_lost", "answer_gone", "key_reused"}


@dataclass(frozen=True)
class Answered:
    """The call has an outcome: an answer, or an error that would come again."""

    response: dict[str, Json]
    """In the shape of OpenAI's batch output."""
    cost: int | None
    """Nano-dollars."""
    is_good: bool
    may_be_billed: bool
    """Where the cost is not known: whether there may be one."""
    is_uncertain: bool = False
    """Nobody knows whether it was carried out."""


@dataclass(frozen=True)
class Refused:
    """Nothing was made of it; ask again after so many seconds."""

    after_s: float
    is_endless: bool
    answer: Answered
    """What to tell of the line when it is not asked again."""


@dataclass(frozen=True)
class Stopped:
    """Nothing was made of it, and nothing will be of the others."""

    why: str
    is_for_money: bool = False
    """What others have set aside may be what is missing."""


@dataclass(frozen=True)
class Forgotten:
    """The gateway does not know whether it made this call, or what came of it."""

    why: str
    memory: str | None
    """What it remembers calls in now; None where it is not that which has changed."""


@dataclass(frozen=True)
class Away:
    """The gateway cannot be reached, or went while the call ran."""

    was_sent: bool
    is_silent: bool = False
    """It is there, and the call has taken long; asked for again it is joined."""


Outcome = Answered | Refused | Stopped | Forgotten | Away


class Sender:
    """Sends requests from several threads, each with a connection of its own."""

    def __init__(self, gateway: Gateway, read_s: float = _READ_S) -> None:
        self._gateway = gateway
        self._read_s = read_s
        self._local = threading.local()

    def send(self, item: Item, key: str, memory: str) -> Outcome:
        """What became of this request; it is made once for each key."""
        import requests

        headers = {
            "Authorization": f"Bearer {self._gateway.token}",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "X-Orgate-Memory": memory,
            "X-Orgate-Queue": str(QUEUE_S),
        }
        try:
            response = self._session().post(
                self._gateway.base_url + item.path, data=item.raw, headers=headers, timeout=(_CONNECT_S, self._read_s)
            )
        except requests.RequestException as error:
            return Away(not _was_not_reached(error), is_silent=isinstance(error, requests.ReadTimeout))
        return _outcome(response)

    def _session(self) -> requests.Session:
        import requests

        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
        return session


def _was_not_reached(error: requests.RequestException) -> bool:
    import requests
    from urllib3.exceptions import NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(getattr(cause, "reason", None), NewConnectionError)


def _outcome(response: requests.Response) -> Outcome:
    try:
        body: Json = json.loads(response.content)
        cost = _cost(response, json.loads(response.content, parse_float=Decimal))
    except ValueError:
        body = cost = None
    if body is None or _MARK not in response.headers:
        return Stopped(f"What answers there is no orgate gateway (status {response.status_code}). Check the address.")
    status = response.status_code
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    answer = Answered(
        response={
            "status_code": status,
            "request_id": response.headers[_MARK],
            "body": body,
        },
        cost=cost,
        is_good=status == 200,
        may_be_billed=status == 200 or status >= 500,
    )
    if status == 200:
        return answer
    return _refusal(response, error, answer)


def _refusal(response: requests.Response, error: dict[str, Any], answer: Answered) -> Outcome:
    status, code = response.status_code, _code(error)
    told = str(error.get("message") or f"The gateway answered {status}.")
    if status == 409 and code in _NOT_KEPT:
        return Forgotten(told, (error.get("details") or {}).get("memory"))
    if response.headers.get("x-should-retry") == "true":
        return Refused(_after_s(response), code in _ENDLESS, answer)
    was_sent = any(attempt.get("sent") for attempt in (error.get("details") or {}).get("attempts") or ())
    if was_sent and (status == 504 or code in _CUT_OFF):
        return replace(answer, is_uncertain=True)
    if code == _TIME_UP:
        return Refused(1.0, False, answer)
    if status == 402:
        return Stopped(told, is_for_money=True)
    if status == 401 or code == "paused":
        return Stopped(told)
    return answer


def _code(error: dict[str, Any]) -> str:
    """The error's name, which Messages and the addresses below /api/v1 have elsewhere than in its code."""
    return str(error.get("error_type") or (error.get("metadata") or {}).get("error_type") or error.get("code"))


def _after_s(response: requests.Response) -> float:
    told = response.headers.get("Retry-After", "")
    return float(min(int(told), 3600)) if told.isascii() and told.isdigit() else 1.0


def _cost(response: requests.Response, body: Json) -> int | None:
    """By the header, which every API style has, else by the answer's usage."""
    told = nanos(response.headers.get("x-orgate-response-cost"))
    usage = body.get("usage") if isinstance(body, dict) else None
    return told if told is not None else nanos(usage.get("cost")) if isinstance(usage, dict) else None
