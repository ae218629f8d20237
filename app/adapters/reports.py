"""The Events port as error reports to Sentry (ORGATE_SENTRY_DSN, with the `sentry` extra): codes, never texts."""

from __future__ import annotations

import errno
import threading
import traceback
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import sentry_sdk

from app.adapters import labels
from app.core.calls import CallReport
from app.core.errors import Json
from app.core.ports import Clock
from app.core.redact import redact

_A_MINUTE = 10
_FLUSH_S = 2.0
_FRAMES = 100
_CHAIN = 10


class SentrySink:
    """
    Reports failures of orgate with where they happened, and calls that OpenRouter failed.

    What is sent is made here from types, code positions, codes and model names; the library only delivers it, from a
    thread of its own. Nothing is set up for the process as a whole.
    """

    def __init__(self, dsn: str, *, release: str, clock: Clock, ca_bundle: str | None = None) -> None:
        self._client = sentry_sdk.Client(
            dsn=dsn,
            release=release,
            environment="production",
            server_name="",
            before_send=_redacted,
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            include_local_variables=False,
            include_source_context=False,
            max_breadcrumbs=0,
            max_request_body_size="never",
            send_client_reports=False,
            enable_backpressure_handling=False,
            spotlight=False,
            debug=False,
            # Not None: then the environment's would be used.
            http_proxy="",
            https_proxy="",
            ca_certs=ca_bundle,
        )
        self._calls, self._own = _Throttle(clock), _Throttle(clock)

    def call_ended(self, report: CallReport) -> None:
        """The document's "Error Tracking": a call that OpenRouter failed. What the gateway itself refused is none."""
        if report.outcome in ("answered", "left") or not report.attempts:
            return
        unreported = self._calls.passes()
        if unreported is None:
            return
        code, model = labels.code(report.outcome), labels.model(report.model)
        self._client.capture_event(
            {
                "level": "error",
                "logger": "orgate",
                "message": f"OpenRouter Error: {code}",
                "fingerprint": ["openrouter", code, model],
                "tags": {"code": code, "status": str(report.status), "model": model, "endpoint": report.endpoint},
                "extra": {
                    "fallbacks": [labels.model(name) for name in report.fallbacks],
                    "attempts": len(report.attempts),
                    "duration_s": round(report.duration_s, 3),
                    "call_id": report.call_id,
                    "unreported_before": unreported,
                },
            }
        )

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        """Report a failure of our own: the exceptions' types and where they were raised, without their texts."""
        unreported = self._own.passes()
        if unreported is None:
            return
        self._client.capture_event(
            {
                "level": "error",
                "logger": "orgate",
                "tags": {"event": event},
                "exception": {"values": [_exception(one) for one in reversed(list(_chain(error)))]},
                "extra": {"unreported_before": unreported},
            }
        )

    def note(self, event: str, **facts: object) -> None:
        """Nothing is reported."""

    def warn(self, event: str, **facts: object) -> None:
        """Nothing is reported."""

    def debug(self, event: str, **facts: object) -> None:
        """Nothing is reported."""

    def close(self) -> None:
        """Deliver what is still waiting, for 2 s at most."""
        self._client.close(timeout=_FLUSH_S)


class _Throttle:
    """Lets a few through in each minute and counts the others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._passed: deque[float] = deque(maxlen=_A_MINUTE)
        self._held_back = 0

    def passes(self) -> int | None:
        """How many were held back before this one; None when it is held back too."""
        now = self._clock.monotonic()
        with self._lock:
            if len(self._passed) == _A_MINUTE and now - self._passed[0] < 60:
                self._held_back += 1
                return None
            self._passed.append(now)
            held_back, self._held_back = self._held_back, 0
            return held_back


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from, and so on."""
    one: BaseException | None = error
    for _ in range(_CHAIN):
        if one is None:
            return
        yield one
        one = one.__cause__ if one.__suppress_context__ else one.__context__


def _exception(error: BaseException) -> dict[str, Json]:
    kind = type(error)
    frames = list(deque(_frames(error.__traceback__), maxlen=_FRAMES))
    return {
        "type": kind.__name__,
        "module": kind.__module__,
        "value": _code_of(error),
        **({"stacktrace": {"frames": frames}} if frames else {}),
    }


def _frames(trace: TracebackType | None) -> Iterator[dict[str, Json]]:
    for frame, line in traceback.walk_tb(trace):
        module = str(frame.f_globals.get("__name__", ""))
        yield {
            "module": module,
            "function": frame.f_code.co_qualname,
            # The folders before it name the machine's owner.
            "filename": Path(frame.f_code.co_filename).name,
            "lineno": line,
            "in_app": module.partition(".")[0] in ("app", "orgate"),
        }


def _code_of(error: BaseException) -> str:
    """All that is told of an exception beside its type: its text may quote anything, a code does not."""
    if isinstance(error, OSError):
        return errno.errorcode.get(error.errno or 0, "")
    found = (getattr(error, name, None) for name in ("code", "sqlite_errorname"))
    return next((labels.code(text) for text in found if isinstance(text, str)), "")


def _redacted(event: Any, _: Any) -> Any:  # the library's own types are not exported
    return _clean(event)


def _clean(value: Json) -> Json:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {_clean(name): _clean(held) for name, held in value.items()}
    return [_clean(held) for held in value] if isinstance(value, (list, tuple)) else value
