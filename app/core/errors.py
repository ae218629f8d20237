"""
Every failure an app can be told of, as one tree.

GatewayError
├── BadRequest            400 invalid_request_error
├── Unauthenticated       401 authentication_error
├── InsufficientCredits   402 insufficient_credits
├── BudgetExceeded        402 budget_exceeded
├── Forbidden             403 permission_error
├── NotFound              404 not_found_error
├── MethodNotAllowed      405 invalid_request_error
├── TimedOut              504 timeout_error
├── Conflict              409 conflict_error
├── TooLarge              413 request_too_large
├── UnsupportedMediaType  415 unsupported_media_type
├── WrongHost             421 wrong_host
├── RateLimited           429 rate_limit_error
├── Left                  499 client_closed
├── UpstreamFailed        502 model_error
└── Unavailable           503 service_unavailable

`type` is for people and SDKs, `code` for programs; no caller needs to read the message.
"""

from __future__ import annotations

from typing import Any

Json = Any
"""A decoded JSON value; its shape is only known to the party that sent it."""


class GatewayError(Exception):
    """A failure with everything an app needs to act on it; the edges turn it into their own shape."""

    status = 500
    type = "internal_error"
    code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        details: dict[str, Json] | None = None,
        metadata: dict[str, Json] | None = None,
        availability: dict[str, Json] | None = None,
        retry_after_s: int | None = None,
        should_retry: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or self.status
        self.code = code or self.code
        self.param = param
        self.details = details
        self.metadata = metadata
        self.availability = availability
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        self.begun = False
        """Whether an attempt had been begun, which may have been billed."""

    def forget(self) -> None:
        """
        Let go of where it was raised and of what: of that an app is told nothing.

        The call was known there, and knows its failures: they would keep each other, and its text, alive.
        """
        self.__traceback__ = self.__cause__ = self.__context__ = None


class BadRequest(GatewayError):
    """The request cannot be understood as it stands."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class Unauthenticated(GatewayError):
    """Nobody we know sent this, or OpenRouter does not know our key."""

    status = 401
    type = "authentication_error"
    code = "invalid_token"


class InsufficientCredits(GatewayError):
    """The OpenRouter account cannot pay for the call."""

    status = 402
    type = "insufficient_credits"
    code = "insufficient_credits"


class BudgetExceeded(GatewayError):
    """The app has spent what it may; never 429, which programs would repeat."""

    status = 402
    type = "budget_exceeded"
    code = "budget_exceeded"


class Forbidden(GatewayError):
    """Known, but not allowed to do this."""

    status = 403
    type = "permission_error"
    code = "forbidden"


class NotFound(GatewayError):
    """There is nothing here by that name."""

    status = 404
    type = "not_found_error"
    code = "not_found"


class MethodNotAllowed(GatewayError):
    """The address exists, the method does not."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class TimedOut(GatewayError):
    """Somebody took longer than the clocks allow."""

    status = 504
    type = "timeout_error"
    code = "upstream_timeout"


class Conflict(GatewayError):
    """The request contradicts the state it meets."""

    status = 409
    type = "conflict_error"
    code = "conflict"


class TooLarge(GatewayError):
    """The body is larger than the gateway takes."""

    status = 413
    type = "request_too_large"
    code = "request_too_large"


class UnsupportedMediaType(GatewayError):
    """The body is not plain JSON."""

    status = 415
    type = "unsupported_media_type"
    code = "unsupported_media_type"


class WrongHost(GatewayError):
    """The Host header does not name this gateway (DNS rebinding, RFC 9110 §15.5.20)."""

    status = 421
    type = "wrong_host"
    code = "wrong_host"


class RateLimited(GatewayError):
    """Too many requests, by our quota or by OpenRouter's."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class Left(GatewayError):
    """The app closed the connection: nobody will read this; the log does (nginx's 499)."""

    status = 499
    type = "client_closed"
    code = "left"


class UpstreamFailed(GatewayError):
    """OpenRouter or the model behind it failed, or spoke something that is no answer."""

    status = 502
    type = "model_error"
    code = "upstream_error"


class Unavailable(GatewayError):
    """Not now: the gateway is full, stopping or without a key, or OpenRouter is overloaded."""

    status = 503
    type = "service_unavailable"
    code = "service_unavailable"
