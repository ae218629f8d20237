"""What OpenRouter's refusals mean to the app: a status, headers and a body in, one GatewayError out."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC

from app.core import errors
from app.core.errors import GatewayError, Json
from app.core.meter import parse

_BY_STATUS: dict[int, tuple[type[GatewayError], int]] = {
    400: (errors.BadRequest, 400),
    401: (errors.Unauthenticated, 401),
    402: (errors.InsufficientCredits, 402),
    403: (errors.Forbidden, 403),
    404: (errors.NotFound, 404),
    408: (errors.TimedOut, 408),
    409: (errors.Conflict, 409),
    413: (errors.TooLarge, 413),
    422: (errors.BadRequest, 400),
    429: (errors.RateLimited, 429),
    500: (errors.UpstreamFailed, 502),
    502: (errors.UpstreamFailed, 502),
    503: (errors.Unavailable, 503),
    504: (errors.TimedOut, 504),
    529: (errors.Unavailable, 503),
}
SHOWN = frozenset(shown for _, shown in _BY_STATUS.values())
"""Every status that an app may be told for a refusal of OpenRouter's."""

_EDGE_LOST = {502, 504, 520, 524}
"""Without a JSON body these come from the network's edge, and the model may still be working (and be billed)."""

_EDGE_NEVER_REACHED = {521, 522, 523, 525, 526}
"""Cloudflare's codes for an origin that was not reached."""

_CODES = {
    401: "upstream_key_refused",
    403: "upstream_forbidden",
    404: "upstream_not_found",
    408: "upstream_timeout",
    409: "upstream_conflict",
    429: "upstream_rate_limited",
    503: "upstream_overloaded",
    529: "upstream_overloaded",
}
_AFFORDABLE = re.compile(r"\bcan only afford (\d{1,9})\b")
_PATIENCE_S = 60
"""The SDKs wait no longer than this for a Retry-After."""


def refusal(status: int, headers: Mapping[str, str], body: bytes, now: float) -> GatewayError:
    """
    The error an app is told for an upstream answer that is none.

    OpenRouter's message, metadata and availability are kept, the account's user_id is not (OpenRouter docs, Errors).
    `now` is in seconds since 1970, for a Retry-After that is a date.
    """
    answer = parse(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        return _without_words(status, headers, now)
    # Messages has its metadata, Responses the error's name beside the error.
    beside = {name: answer[name] for name in ("metadata", "error_type") if name in answer}
    return from_error(status, {**beside, **error}, headers, now)


def from_error(status: int, error: dict[str, Json], headers: Mapping[str, str], now: float) -> GatewayError:
    """The error an app is told for OpenRouter's error object, wherever it stood: a body, a 200, an event."""
    kind, shown = _BY_STATUS.get(status, (errors.UpstreamFailed, 502))
    metadata, availability = _object(error.get("metadata")), _object(error.get("availability"))
    said = error.get("message")
    message = said if isinstance(said, str) and said else f"OpenRouter answered {status} without a reason."
    if status == 401:
        message = f"OpenRouter refused the gateway's key: {message} Replace it with: orgate key set"
    wait_s = _wait_s(headers, availability, now)
    return kind(
        message,
        status=shown,
        code=_code(status, error, metadata, availability),
        details=_affordable(status, message),
        metadata=metadata,
        availability=availability,
        retry_after_s=wait_s,
        should_retry=_is_worth_repeating(status, metadata, wait_s),
    )


def status_of(error: Json, default: int = 502) -> int:
    """The HTTP status that an error object inside a 200 stands for; its code may be a number or a name."""
    said = (error.get("code"), error.get("http_status")) if isinstance(error, dict) else ()
    return next((code for code in said if isinstance(code, int) and 400 <= code <= 599), default)


def _without_words(status: int, headers: Mapping[str, str], now: float) -> GatewayError:
    if status in _EDGE_LOST:
        return errors.TimedOut(
            f"The network in front of OpenRouter answered {status}. The call may have been carried out and billed.",
            code="outcome_unknown",
        )
    if status in _EDGE_NEVER_REACHED:
        return errors.UpstreamFailed(f"OpenRouter was not reached (status {status}).", code="upstream_unreachable")
    if 300 <= status < 400:
        return errors.UpstreamFailed(
            "OpenRouter's address redirects elsewhere; the key is not sent on. Check OPENROUTER_BASE_URL.",
            code="upstream_redirect",
        )
    if status < 400:
        return errors.UpstreamFailed(f"OpenRouter sent no answer (status {status}).", code="upstream_protocol_error")
    return from_error(status, {}, headers, now)


def _code(
    status: int, error: dict[str, Json], metadata: dict[str, Json] | None, availability: dict[str, Json] | None
) -> str | None:
    for place, name in ((metadata, "error_type"), (error, "error_type"), (availability, "code")):
        found = (place or {}).get(name)
        if isinstance(found, str) and found:
            return found[:64]
    return _CODES.get(status)


def _affordable(status: int, message: str) -> dict[str, Json] | None:
    """How many tokens the account could pay for: OpenRouter tells that figure in its sentence and nowhere else."""
    found = _AFFORDABLE.search(message) if status == 402 else None
    return {"affordable_max_tokens": int(found[1])} if found else None


def _wait_s(headers: Mapping[str, str], availability: dict[str, Json] | None, now: float) -> int | None:
    wait_s = retry_after_s(headers.get("Retry-After", ""), now)
    if wait_s is None and availability is not None:
        hint = availability.get("retry_after")
        wait_s = int(hint) if isinstance(hint, int) and not isinstance(hint, bool) and hint >= 0 else None
    if wait_s is None:
        reset_ms = _digits(headers.get("X-RateLimit-Reset", ""))
        wait_s = max(0, reset_ms // 1000 - int(now)) if reset_ms is not None else None
    return wait_s


def retry_after_s(value: str, now: float) -> int | None:
    """
    Seconds to wait by a Retry-After header (RFC 9110 §10.2.3), or None when it says nothing usable.

    A date that has passed means now; a negative or broken figure means nothing.
    """
    seconds = _digits(value)
    if seconds is not None:
        return min(seconds, 10**9)
    try:
        moment = email.utils.parsedate_to_datetime(value)
        # The obsolete forms of a date name no zone; they are in UTC as well (RFC 9110 §5.6.7).
        return max(0, int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _digits(value: str) -> int | None:
    value = value.strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None


def _is_worth_repeating(status: int, metadata: dict[str, Json] | None, wait_s: int | None) -> bool:
    if status == 402:
        return (metadata or {}).get("reason") == "in_flight_budget_exhausted"
    return status in (429, 503, 529) and (wait_s is None or wait_s <= _PATIENCE_S)


def _object(value: Json) -> dict[str, Json] | None:
    return value if isinstance(value, dict) else None
