"""OpenRouter's refusals, word for word where they were recorded or documented."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from app.sandbox import wire

JSON_TYPE = "application/json"
_CREDITS_PAGE = "https://openrouter.ai/settings/credits"

# The message OpenRouter's documentation or a recording gives for a status, and its error_type.
_STATUSES: dict[int, tuple[str, str]] = {
    400: ("Provider returned error", "invalid_request"),
    401: ("User not found.", "authentication"),
    402: (f"Insufficient credits. Add more using {_CREDITS_PAGE}", "payment_required"),
    403: ("Request blocked: prompt injection patterns detected", "permission_denied"),
    404: ("No endpoints found for this model.", "not_found"),
    408: ("Request timed out", "timeout"),
    413: ("Request entity too large", "payload_too_large"),
    422: ("Unprocessable request", "unprocessable"),
    429: ("Rate limit exceeded", "rate_limit_exceeded"),
    500: ("Internal Server Error", "server"),
    502: ("Provider returned error", "provider_unavailable"),
    503: ("No available model provider meets your routing requirements", "provider_overloaded"),
    504: ("Gateway Timeout", "timeout"),
    524: ("A timeout occurred", "timeout"),
    529: ("Provider is overloaded", "provider_overloaded"),
}


class RefusedError(Exception):
    """A request answered by an error status: `status`, `body` (bytes) and `headers` to add."""

    def __init__(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.content = body
        self.body = body if isinstance(body, bytes) else wire.dumps(body)
        self.headers = {"Content-Type": JSON_TYPE, **(headers or {})}

    def after(self, failures: list[RefusedError]) -> RefusedError:
        """This refusal, naming the models tried before it."""
        if not failures or not isinstance(self.content, dict) or "error" not in self.content:
            return self
        error = dict(self.content["error"])
        previous = [{"code": each.status, "message": each.message} for each in failures]
        error["metadata"] = {**error.get("metadata", {}), "previous_errors": previous}
        return RefusedError(self.status, {**self.content, "error": error}, self.headers)

    @property
    def message(self) -> str:
        """The error's text, empty when the body has none."""
        error = self.content.get("error", {}) if isinstance(self.content, dict) else {}
        return str(error.get("message", ""))


def error(status: int, message: str, **more: Any) -> RefusedError:
    """The usual envelope: message and code, and what else `error` holds."""
    return RefusedError(status, {"error": {"message": message, "code": status, **more}})


def status(code: int) -> RefusedError:
    """A refusal with the body OpenRouter is known to send for this status, a generic one otherwise."""
    message, error_type = _STATUSES.get(code, (f"Error {code}", "unmapped"))
    if code in {401, 500}:
        return error(code, message)
    if code in {204, 304}:
        return RefusedError(code, b"")
    return error(code, message, metadata={"error_type": error_type})


def unknown_model(name: str) -> RefusedError:
    """The documented availability answer for a model nobody offers."""
    availability = {
        "code": "model_not_found",
        "retryable": False,
        "requested_models": [name],
        "docs_url": "https://openrouter.ai/docs/errors#model_not_found",
    }
    body = {"message": f"{name} is not a valid model ID", "error_type": "invalid_request", "http_status": 400}
    return RefusedError(400, {"error": {**body, "availability": availability}})


def wrong_endpoint(name: str) -> RefusedError:
    """A model that speaks another API style than the one it was asked in."""
    availability = {
        "code": "wrong_endpoint",
        "retryable": False,
        "requested_models": [name],
        "docs_url": "https://openrouter.ai/docs/errors#wrong_endpoint",
    }
    body = {"message": f"{name} is not available on this endpoint", "error_type": "invalid_request", "http_status": 400}
    return RefusedError(400, {"error": {**body, "availability": availability}})


def no_endpoints(name: str) -> RefusedError:
    """A model that is listed but cannot answer this request."""
    return error(404, f"No endpoints found for {name}.")


def not_allowed(model: str, serving: str, allowed: list[str]) -> RefusedError:
    """`provider.only` left nobody to answer."""
    return error(
        404,
        "No allowed providers are available for the selected model. "
        f"Providers serving {model}: {serving}, but your request's provider.only preference permits only: "
        f"{', '.join(allowed)}.",
    )


def cannot_afford(requested: int, affordable: int) -> RefusedError:
    """The credit check before routing, with the numbers a client may clamp to."""
    text = (
        f"This request requires more credits, or fewer max_tokens. You requested up to {requested} tokens, "
        f"but can only afford {affordable}. To increase, visit {_CREDITS_PAGE} and upgrade to a paid account"
    )
    body = {"message": text, "code": 402, "metadata": {"provider_name": None}}
    return RefusedError(402, {"error": body, "user_id": "user_sandbox"})


def in_debt() -> RefusedError:
    """A negative balance, which also stops free models."""
    return error(402, f"Insufficient credits. Add more using {_CREDITS_PAGE}")


def never_bought() -> RefusedError:
    """An account that never had credits."""
    return error(
        402,
        "Insufficient credits. This account never purchased credits. Make sure your key is on the correct account "
        f"or org, and if so, purchase more at {_CREDITS_PAGE}",
    )


def in_flight(retry_after_s: int) -> RefusedError:
    """The transient 402 of autumn 2026: too much money tied up in running requests."""
    body = {
        "code": 402,
        "message": "This request would exceed your available credits given your current in-flight requests. "
        "Retry after in-flight requests settle, or add credits.",
        "metadata": {
            "reason": "in_flight_budget_exhausted",
            "limit_source": "openrouter_in_flight_budget",
            "remedy_hint": "Retry after your in-flight requests settle (see the Retry-After header). Adding credits "
            f"at {_CREDITS_PAGE} raises your in-flight budget, up to a capped ceiling.",
        },
    }
    return RefusedError(402, {"error": body}, {"Retry-After": str(retry_after_s)})


def key_limit() -> RefusedError:
    """The key's own cap is spent."""
    return error(403, "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys")


def guardrail() -> RefusedError:
    """A guardrail blocked the prompt."""
    patterns = {"patterns": ["ignore all previous instructions"]}
    return error(403, "Request blocked: prompt injection patterns detected", metadata=patterns)


def free_daily() -> RefusedError:
    """The free tier's daily cap; the reset is in epoch milliseconds."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    limits = {
        "X-RateLimit-Limit": "50",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(midnight.timestamp()) * 1000),
    }
    body = {
        "message": "Rate limit exceeded: free-models-per-day. "
        "Add 10 credits to unlock 1000 free model requests per day",
        "code": 429,
        "metadata": {"headers": limits, "limit_source": "openrouter_free_tier_daily"},
    }
    return RefusedError(429, {"error": body, "user_id": "user_sandbox"}, limits)


def upstream_busy() -> RefusedError:
    """A provider's own limit, passed through."""
    raw = (
        "google/gemini-2.0-flash-exp:free is temporarily rate-limited upstream. Please retry shortly, or add your own "
        "key to accumulate your rate limits: https://openrouter.ai/settings/integrations"
    )
    body = {"code": 429, "message": "Provider returned error", "metadata": {"provider_name": "Google", "raw": raw}}
    return RefusedError(429, {"error": body, "user_id": "user_sandbox"})


def retry_after(code: int, seconds: int) -> RefusedError:
    """A refusal that names the wait."""
    return RefusedError(code, status(code).content, {"Retry-After": str(seconds)})


def too_long(context_length: int, requested: int) -> RefusedError:
    """The prompt exceeds the model's context."""
    text = (
        f"This endpoint's maximum context length is {context_length} tokens. However, you requested about {requested} "
        f"tokens ({requested} of text input). Please reduce the length of either one, or use the context-compression "
        "plugin to compress your prompt automatically."
    )
    return error(400, text, metadata={"provider_name": None, "error_type": "context_length_exceeded"})


def page(code: int, title: str) -> RefusedError:
    """An HTML page from the network in front of OpenRouter."""
    html = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return RefusedError(code, html.encode(), {"Content-Type": "text/html; charset=UTF-8"})


def redirect(code: int) -> RefusedError:
    """A redirection to an address where nobody listens."""
    return RefusedError(code, b"", {"Location": "http://127.0.0.1:1/", "Content-Type": "text/plain"})
