from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

import pytest

from tests.lab.upstream.lab import Lab
from tests.lab.upstream.plays import HTML, PAGE, answering, refusing, whole
from tests.lab.upstream.rows import Row, in_shapes, play_out
from tests.lab.upstream.wire import Peer, Play

RATE, BUSY, MODEL, TIME = "rate_limit_error", "service_unavailable", "model_error", "timeout_error"
AGAIN = {"Retry-After": "0"}


def _redirect(status: int) -> Play:
    return answering(status, {"Location": "/api/v1/elsewhere", "Content-Type": "text/plain"}, b"")


def _html(status: int) -> Play:
    return answering(status, HTML, PAGE)


def _limited(wait: str) -> Play:
    return refusing(429, {"Retry-After": wait})


def _early(peer: Peer) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" * 3
    peer.send(hints + whole(200, {"Content-Type": "application/json"}, b"{}"))


INVALID, FORBIDDEN = "invalid_request_error", "permission_error"
FLAGGED = {"reasons": ["violence"], "flagged_input": "…", "provider_name": "Lab", "model_slug": "lab/m"}
IN_FLIGHT = {"reason": "in_flight_budget_exhausted", "limit_source": "openrouter_in_flight_budget"}
PAST, SOON = formatdate(0, usegmt=True), "Soon"
GONE = {"code": "model_deprecated", "retryable": False, "requested_models": ["lab/m"]}

ROWS = [
    Row("U22", "early-hints", _early, 502, MODEL, "upstream_protocol_error"),
    *(
        Row("U23", str(code), _redirect(code), 502, MODEL, "upstream_redirect", moves=False)
        for code in (301, 302, 303, 307, 308)
    ),
    Row("U24", "invalid", refusing(400), 400, INVALID, "invalid_request", moves=False),
    Row(
        "U24",
        "too-long",
        refusing(400, metadata={"error_type": "context_length_exceeded"}),
        400,
        INVALID,
        "context_length_exceeded",
    ),
    Row("U27", "moderation", refusing(403, metadata=FLAGGED), 403, FORBIDDEN, "upstream_forbidden", moves=False),
    Row(
        "U27",
        "refusal",
        refusing(400, metadata={"error_type": "content_policy_violation"}),
        400,
        INVALID,
        "content_policy_violation",
        moves=False,
    ),
    Row("U28", "no-endpoints", refusing(404), 404, "not_found_error", "upstream_not_found"),
    Row("U28", "deprecated", refusing(404, availability=GONE), 404, "not_found_error", "model_deprecated"),
    Row("U29", "once-more", refusing(408), 408, TIME, "upstream_timeout", sends=2),
    Row("U30", "as-is", refusing(409), 409, "conflict_error", "upstream_conflict"),
    Row("U31", "413", refusing(413), 413, "request_too_large", "request_too_large", moves=False),
    Row("U31", "422", refusing(422), 400, INVALID, "invalid_request", moves=False),
    Row("U32", "after-0", refusing(429, AGAIN), 429, RATE, "upstream_rate_limited", sends=3),
    Row("U33", "past-date", _limited(PAST), 429, RATE, "upstream_rate_limited", sends=3),
    Row("U33", "far-date", _limited(formatdate(4e9, usegmt=True)), 429, RATE, "upstream_rate_limited"),
    *(
        Row("U33", name, _limited(wait), 429, RATE, "upstream_rate_limited", sends=3)
        for name, wait in (("negative", "-5"), ("nan", "NaN"), ("words", SOON), ("fraction", "1.5"))
    ),
    Row("U34", "a-day", _limited("86400"), 429, RATE, "upstream_rate_limited"),
    Row("U34", "45-s", _limited("45"), 429, RATE, "upstream_rate_limited", should_retry="true"),
    Row("U35", "no-header", refusing(429), 429, RATE, "upstream_rate_limited", sends=3),
    Row("U35", "html", _html(429), 429, RATE, "upstream_rate_limited"),
    Row("U36", "once-more", refusing(500), 502, MODEL, "upstream_error", sends=2),
    Row("U36", "html", _html(500), 502, MODEL, "upstream_error"),
    Row("U37", "once-more", refusing(502), 502, MODEL, "upstream_error", sends=2),
    Row("U38", "html", _html(502), 504, TIME, "outcome_unknown"),
    Row("U39", "after-0", refusing(503, AGAIN), 503, BUSY, "upstream_overloaded", sends=3),
    Row("U39", "no-header", refusing(503), 503, BUSY, "upstream_overloaded", sends=3),
    Row("U40", "json", refusing(504), 504, TIME, "upstream_timeout"),
    *(Row("U41", str(code), _html(code), 504, TIME, "outcome_unknown") for code in (504, 520, 524)),
    *(
        Row("U42", str(code), _html(code), 502, MODEL, "upstream_unreachable", sends=3)
        for code in (521, 522, 523, 525, 526)
    ),
    Row("U43", "after-0", refusing(529, AGAIN), 503, BUSY, "upstream_overloaded", sends=3),
    Row(
        "U26",
        "in-flight",
        refusing(402, AGAIN, metadata=IN_FLIGHT),
        402,
        "insufficient_credits",
        "insufficient_credits",
        sends=3,
    ),
]


@pytest.mark.parametrize(("row", "shape"), in_shapes(ROWS))
def test_refusal(lab: Lab, row: Row, shape: str) -> None:
    """A refusal is repeated, passed on or left behind as the design says, and told as what it was."""
    play_out(lab, row, shape)


@pytest.mark.parametrize("wait", ["45", "86400"], ids=["U34-45", "U34-86400"])
def test_retry_after_is_passed_on(lab: Lab, wait: str) -> None:
    """A wait of more than 30 s is not taken but told, in the header and in the error."""
    seen = lab.ask(lab.model(_limited(wait)))

    assert (wait, int(wait)) == (seen.headers["Retry-After"], seen.error["retry_after"])


@pytest.mark.parametrize("stream", [False, True], ids=["U27-plain", "U27-streamed"])
def test_reason_of_a_content_refusal(lab: Lab, stream: bool) -> None:
    """A content-policy refusal is passed on with its reasons and without the account's id."""
    seen = lab.ask(lab.model(refusing(403, metadata=FLAGGED)), stream=stream)

    assert FLAGGED == seen.error["metadata"]
    assert b"user_id" not in seen.body


@pytest.mark.parametrize("stream", [False, True], ids=["U25-plain", "U25-streamed"])
@pytest.mark.parametrize("chain", [False, True], ids=["alone", "chain"])
def test_refused_key(make_lab: Callable[..., Lab], stream: bool, chain: bool) -> None:
    """A refused key is told as such; no other model is asked with it."""
    lab = make_lab()
    row = Row("U25", "", refusing(401), 401, "authentication_error", "upstream_key_refused", moves=False)

    play_out(lab, row, ("chain" if chain else "") + ("-streamed" if stream else "-plain"))


@pytest.mark.parametrize("stream", [False, True], ids=["U26-plain", "U26-streamed"])
@pytest.mark.parametrize("chain", [False, True], ids=["alone", "chain"])
def test_account_without_money(make_lab: Callable[..., Lab], stream: bool, chain: bool) -> None:
    """An account that cannot pay is told as such; no other paid model is asked."""
    lab = make_lab()
    row = Row("U26", "", refusing(402), 402, "insufficient_credits", "insufficient_credits", moves=False)

    play_out(lab, row, ("chain" if chain else "") + ("-streamed" if stream else "-plain"))
