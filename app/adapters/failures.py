"""What requests, urllib3, http.client and the socket raise, as errors of ours: mapped where they enter."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from typing import Protocol

import requests
import urllib3

from app.core.attempts import Phase
from app.core.errors import GatewayError, TimedOut, UpstreamFailed

_FOREIGN = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
    AttributeError,
)


class Followed(Protocol):
    """What must be known of an attempt to judge its failure."""

    phase: Phase
    cancelled: bool


class mapped:  # noqa: N801 it reads as the function that it could be, and is entered several times in every call
    """Turn whatever is raised inside into a GatewayError, by the phase that the attempt has reached."""

    def __init__(self, attempt: Followed) -> None:
        self._attempt = attempt

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # A response closed by another thread while it is read shows itself as any of the last three.
        if isinstance(error, _FOREIGN) and not isinstance(error, GatewayError):
            raise _failure(error, self._attempt) from _bare(error)


def _failure(error: Exception, attempt: Followed) -> GatewayError:
    causes = list(_causes(error))
    if attempt.cancelled:
        return cancelled()
    if attempt.phase < Phase.SENDING and any(_is_distrust(cause) for cause in causes):
        return UpstreamFailed(
            "OpenRouter's certificate cannot be trusted. Check the clock, the network and ORGATE_CA_BUNDLE.",
            code="upstream_tls_error",
        )
    slow = any(_is_timeout(cause) for cause in causes)
    if attempt.phase < Phase.SENT:
        name = type(next((cause for cause in reversed(causes) if isinstance(cause, OSError)), causes[0])).__name__
        message = f"OpenRouter could not be reached ({name}). Check the network and ORGATE_PROXY."
        kind: type[GatewayError] = TimedOut if slow else UpstreamFailed
        return kind(message, code="upstream_unreachable", should_retry=True)
    if slow:
        return TimedOut(
            "OpenRouter took the call and then said nothing for too long. It may have been carried out and billed.",
            code="outcome_unknown" if attempt.phase < Phase.HEADERS else "upstream_stalled",
        )
    if attempt.phase < Phase.HEADERS:
        return TimedOut(
            "The connection broke before OpenRouter answered. The call may have been carried out and billed.",
            code="outcome_unknown",
        )
    return UpstreamFailed(
        "OpenRouter's answer broke off before its end. What came of it may have been billed.", code="upstream_truncated"
    )


def cancelled() -> GatewayError:
    """What a read that was ended from another thread is told."""
    return UpstreamFailed("The call was ended before OpenRouter answered.", code="cancelled")


def _is_distrust(error: BaseException) -> bool:
    # A handshake that is cut off says nothing of the certificate.
    return isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))


def _is_timeout(error: BaseException) -> bool:
    # urllib3 counts a refused connection among its time-outs.
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    return not refused and isinstance(error, (TimeoutError, urllib3.exceptions.TimeoutError))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        cause = todo.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            todo += [getattr(cause, "reason", None), cause.__cause__, cause.__context__, *cause.args]


def _bare(error: Exception) -> Exception:
    """The error without its request: requests keeps the headers, and with them the key, on its exceptions."""
    if isinstance(error, requests.exceptions.RequestException):
        error.request = None
        error.response = None
    return error
