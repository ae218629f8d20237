"""Why an attempt failed, from what was seen of it; pure, and without reading messages."""

from __future__ import annotations

from app.core.attempts import Cause, Phase
from app.core.errors import GatewayError, Json

_POLICY_TYPES = {"content_policy_violation", "refusal"}
_POLICY_MARKS = {"flagged_input", "reasons", "patterns"}
_TOO_LONG_TYPES = {"context_length_exceeded", "token_limit_exceeded", "string_too_long"}
_MODEL_CODES = {
    "model_not_found",
    "no_endpoints",
    "model_deprecated",
    "model_unavailable_upstream",
    "region_restricted",
    "privacy_restricted",
    "constraint_filtered",
    "free_variant_ended",
    "wrong_endpoint",
}
_REQUEST = {400, 413, 422}
_BY_CODE = {"cancelled": Cause.LEFT, "upstream_tls_error": Cause.REQUEST}
"""A certificate that cannot be trusted is the same one a moment later, whichever model is asked for."""

_NEVER_REACHED = {521, 522, 523, 525, 526}
_WAIT = {429, 503, 529}
_ONCE = {408, 500, 502}


def of_refusal(status: int, error: GatewayError, *, worded: bool) -> Cause:
    """
    The cause behind an HTTP status that is not 200, or behind an error object that came in its place.

    `worded` says that OpenRouter itself spoke (a JSON error object): only then is it known that nothing was billed.
    """
    if not worded:
        return _of_bare_status(status)
    if error.code in _POLICY_TYPES:
        return Cause.POLICY
    metadata = error.metadata or {}
    if status == 402:
        return Cause.BUSY if metadata.get("reason") == "in_flight_budget_exhausted" else Cause.MONEY
    if status == 429 and metadata.get("limit_source") == "openrouter_free_tier_daily":
        return Cause.DAILY
    if status in _WAIT:
        return Cause.BUSY
    if status in _ONCE:
        return Cause.BROKEN
    if status == 401:
        return Cause.KEY
    if status == 403:
        return _of_forbidden(metadata)
    return _of_bad_request(error, metadata) if status in _REQUEST else Cause.MODEL


def of_failure(error: GatewayError, phase: Phase) -> Cause:
    """The cause behind a connection that failed, by how far the attempt had come."""
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if phase < Phase.SENT:
        return Cause.UNSENT
    return Cause.SILENT if error.type == "timeout_error" else Cause.LOST


def may_be_billed(cause: Cause) -> bool:
    """Whether OpenRouter may charge for such an attempt, so that repeating it could cost twice."""
    return cause in (Cause.SILENT, Cause.LOST, Cause.EMPTY, Cause.LEFT)


def counts_against_model(cause: Cause, status: int) -> bool:
    """
    Whether the failure says something of the model's health, and not of the request, the key or the way there.

    A model that this request may not have (a status below 500) is well.
    """
    if cause is Cause.MODEL:
        return status >= 500
    return cause in (Cause.BUSY, Cause.BROKEN, Cause.SILENT, Cause.LOST, Cause.EMPTY)


def _of_bare_status(status: int) -> Cause:
    if status in _NEVER_REACHED:
        return Cause.UNSENT
    if status == 401:
        return Cause.KEY
    if status in _REQUEST or 300 <= status < 400:
        return Cause.REQUEST
    return Cause.LOST


def _of_forbidden(metadata: dict[str, Json]) -> Cause:
    if metadata.keys() & _POLICY_MARKS:
        return Cause.POLICY
    return Cause.MONEY if "limit_source" in metadata else Cause.MODEL


def _of_bad_request(error: GatewayError, metadata: dict[str, Json]) -> Cause:
    # OpenRouter tried this model's endpoints one by one: it is the model that the prompt does not fit.
    if error.code in _TOO_LONG_TYPES or "previous_errors" in metadata:
        return Cause.TOO_LONG
    unavailable = (error.availability or {}).get("code")
    return Cause.MODEL if isinstance(unavailable, str) and unavailable in _MODEL_CODES else Cause.REQUEST
