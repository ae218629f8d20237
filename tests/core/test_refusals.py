from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core import errors
from app.core.errors import GatewayError
from app.core.refusals import from_error, refusal, retry_after_s, status_of
from app.core.shapes import dump, error_object
from app.core.styles import CHAT
from tests.core.quick import quick
from tests.core.styles.streams import plain

DATA = Path(__file__).parents[1] / "data"
NOW = 1_790_000_000.0

RECORDED = {entry["what"]: entry for entry in json.loads((DATA / "error_bodies.json").read_bytes())}

Told = tuple[type[GatewayError], int, str, int | None, bool]
"""The error's class, its status, its code, the wait in seconds, and whether repeating is worth it."""

TOLD: dict[str, tuple[dict[str, str], Told]] = {
    "models[] longer than 3": ({}, (errors.BadRequest, 400, "invalid_request", None, False)),
    "context length (all endpoints failed)": ({}, (errors.BadRequest, 400, "invalid_request", None, False)),
    "no Authorization header": ({}, (errors.Unauthenticated, 401, "upstream_key_refused", None, False)),
    "revoked/unknown key": ({}, (errors.Unauthenticated, 401, "upstream_key_refused", None, False)),
    "affordability pre-flight (credit balance)": (
        {},
        (errors.InsufficientCredits, 402, "insufficient_credits", None, False),
    ),
    "affordability, several endpoints tried": (
        {},
        (errors.InsufficientCredits, 402, "insufficient_credits", None, False),
    ),
    "never purchased": ({}, (errors.InsufficientCredits, 402, "insufficient_credits", None, False)),
    "in-flight spending budget (transient, Retry-After present)": (
        {"Retry-After": "3"},
        (errors.InsufficientCredits, 402, "insufficient_credits", 3, True),
    ),
    "per-key limit spent (older text form)": ({}, (errors.Forbidden, 403, "upstream_forbidden", None, False)),
    "/credits with wrong key kind": ({}, (errors.Forbidden, 403, "upstream_forbidden", None, False)),
    "guardrail": ({}, (errors.Forbidden, 403, "upstream_forbidden", None, False)),
    "free daily cap": (
        {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1790025200000"},
        (errors.RateLimited, 429, "upstream_rate_limited", 25_200, False),
    ),
    "upstream pool busy on :free": ({}, (errors.RateLimited, 429, "upstream_rate_limited", None, True)),
    "all providers at capacity (availability object)": (
        {},
        (errors.RateLimited, 429, "rate_limit_exceeded", 40, True),
    ),
    "unknown model (availability object)": ({}, (errors.BadRequest, 400, "invalid_request", None, False)),
    "provider.only excluded everything": ({}, (errors.NotFound, 404, "upstream_not_found", None, False)),
    "coinbase": ({}, (errors.UpstreamFailed, 502, "upstream_error", None, False)),
}


def recorded(what: str) -> tuple[int, bytes]:
    """The status and the body of a recorded refusal."""
    entry = RECORDED[what]
    if "body_file" in entry:
        return entry["status"], (DATA / entry["body_file"]).read_bytes()
    return entry["status"], json.dumps(entry["body"]).encode()


def told(error: GatewayError) -> Told:
    """What programs act on."""
    return type(error), error.status, error.code, error.retry_after_s, error.should_retry


def body(**error: Any) -> bytes:
    """A body with this error object."""
    return json.dumps({"error": error}).encode()


def test_all_refusals_are_known() -> None:
    """Every recorded refusal has its expected error here."""
    assert {what for what, entry in RECORDED.items() if entry["status"] >= 400} == TOLD.keys()


@pytest.mark.parametrize("what", TOLD)
def test_recorded_refusal(what: str) -> None:
    """A recorded refusal becomes its error, with OpenRouter's words and facts kept and the account's id dropped."""
    headers, expected = TOLD[what]
    status, said = recorded(what)
    theirs = json.loads(said)["error"]
    error = refusal(status, headers, said, NOW)

    assert expected == told(error)
    assert theirs["message"] in error.message
    assert theirs.get("metadata") == error.metadata
    assert theirs.get("availability") == error.availability
    assert b"user_" not in dump(error_object(error))


def test_key_refused() -> None:
    """When the key is refused the message says whose key it was and what to do."""
    error = refusal(401, {}, body(message="User not found.", code=401), NOW)

    assert "OpenRouter refused the gateway's key: User not found. Replace it with: orgate key set" == error.message


@pytest.mark.parametrize(
    ("status", "kind", "shown", "code"),
    [
        (400, errors.BadRequest, 400, "invalid_request"),
        (403, errors.Forbidden, 403, "upstream_forbidden"),
        (404, errors.NotFound, 404, "upstream_not_found"),
        (408, errors.TimedOut, 408, "upstream_timeout"),
        (409, errors.Conflict, 409, "upstream_conflict"),
        (413, errors.TooLarge, 413, "request_too_large"),
        (418, errors.UpstreamFailed, 502, "upstream_error"),
        (422, errors.BadRequest, 400, "invalid_request"),
        (429, errors.RateLimited, 429, "upstream_rate_limited"),
        (500, errors.UpstreamFailed, 502, "upstream_error"),
        (502, errors.UpstreamFailed, 502, "upstream_error"),
        (503, errors.Unavailable, 503, "upstream_overloaded"),
        (504, errors.TimedOut, 504, "upstream_timeout"),
        (529, errors.Unavailable, 503, "upstream_overloaded"),
    ],
)
def test_status(status: int, kind: type[GatewayError], shown: int, code: str) -> None:
    """Every status OpenRouter documents has its error, and an unknown one is a failure of the upstream."""
    error = refusal(status, {}, body(message="m"), NOW)

    assert (kind, shown, code) == (type(error), error.status, error.code)
    assert "m" == error.message


@pytest.mark.parametrize(
    ("status", "kind", "shown", "code"),
    [
        (200, errors.UpstreamFailed, 502, "upstream_protocol_error"),
        (204, errors.UpstreamFailed, 502, "upstream_protocol_error"),
        (302, errors.UpstreamFailed, 502, "upstream_redirect"),
        (307, errors.UpstreamFailed, 502, "upstream_redirect"),
        (403, errors.Forbidden, 403, "upstream_forbidden"),
        (429, errors.RateLimited, 429, "upstream_rate_limited"),
        (500, errors.UpstreamFailed, 502, "upstream_error"),
        (502, errors.TimedOut, 504, "outcome_unknown"),
        (503, errors.Unavailable, 503, "upstream_overloaded"),
        (504, errors.TimedOut, 504, "outcome_unknown"),
        (520, errors.TimedOut, 504, "outcome_unknown"),
        (521, errors.UpstreamFailed, 502, "upstream_unreachable"),
        (522, errors.UpstreamFailed, 502, "upstream_unreachable"),
        (523, errors.UpstreamFailed, 502, "upstream_unreachable"),
        (524, errors.TimedOut, 504, "outcome_unknown"),
        (525, errors.UpstreamFailed, 502, "upstream_unreachable"),
        (526, errors.UpstreamFailed, 502, "upstream_unreachable"),
    ],
)
@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>Bad gateway</html>", id="HTML"),
        pytest.param(b"{}", id="no error"),
        pytest.param(b'{"error":null}', id="error null"),
        pytest.param(b'["error"]', id="list"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
    ],
)
def test_without_words(status: int, kind: type[GatewayError], shown: int, code: str, said: bytes) -> None:
    """A status without OpenRouter's words tells apart what was never reached from what may have been billed."""
    error = refusal(status, {}, said, NOW)

    assert (kind, shown, code) == (type(error), error.status, error.code)
    assert str(status) in error.message or status in (302, 307)
    assert error.should_retry is (status in (429, 503))


def test_error_as_text() -> None:
    """An error that is only a text is the message."""
    error = refusal(400, {}, b'{"error":"No such thing"}', NOW)

    assert "No such thing" == error.message


@pytest.mark.parametrize("message", [None, "", 5, ["m"]])
def test_error_without_message(message: object) -> None:
    """An error without a message still says what was answered."""
    error = refusal(400, {}, body(message=message), NOW)

    assert "OpenRouter answered 400 without a reason." == error.message


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(
            {"metadata": {"error_type": "a"}, "error_type": "b", "availability": {"code": "c"}}, "a", id="1st"
        ),
        pytest.param({"error_type": "b", "availability": {"code": "c"}}, "b", id="2nd"),
        pytest.param({"availability": {"code": "c"}}, "c", id="3rd"),
        pytest.param({"metadata": {"error_type": ""}, "error_type": 5}, "upstream_rate_limited", id="ours"),
        pytest.param({"metadata": "text", "availability": ["c"]}, "upstream_rate_limited", id="other types"),
        pytest.param({"error_type": "x" * 100}, "x" * 64, id="long"),
    ],
)
def test_code(error: dict[str, Any], code: str) -> None:
    """The code is OpenRouter's own name for the failure where it gives one."""
    assert code == from_error(429, error, {}, NOW).code


@pytest.mark.parametrize(
    ("headers", "availability", "wait_s"),
    [
        pytest.param({}, {}, None, id="nothing"),
        pytest.param({"Retry-After": "2"}, {"retry_after": 40}, 2, id="header first"),
        pytest.param({}, {"retry_after": 40}, 40, id="availability"),
        pytest.param({}, {"retry_after": -1}, None, id="negative"),
        pytest.param({}, {"retry_after": True}, None, id="bool"),
        pytest.param({}, {"retry_after": "40"}, None, id="text"),
        pytest.param({"Retry-After": "soon"}, {"retry_after": 40}, 40, id="broken header"),
        pytest.param({"X-RateLimit-Reset": "1790000030500"}, {}, 30, id="reset"),
        pytest.param({"X-RateLimit-Reset": "1790000030500"}, {"retry_after": 40}, 40, id="availability before reset"),
        pytest.param({"X-RateLimit-Reset": "1"}, {}, 0, id="reset long ago"),
        pytest.param({"X-RateLimit-Reset": "9" * 5000}, {}, None, id="reset of 5000 digits"),
        pytest.param({"X-RateLimit-Reset": "-5"}, {}, None, id="reset negative"),
        pytest.param({"X-RateLimit-Reset": "²"}, {}, None, id="reset superscript"),
    ],
)
def test_wait(headers: dict[str, str], availability: dict[str, Any], wait_s: int | None) -> None:
    """How long to wait is told from the first place that says it."""
    assert wait_s == from_error(429, {"availability": availability}, headers, NOW).retry_after_s


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize(("wait", "worth"), [("60", True), ("61", False), ("86400", False)])
def test_long_wait(status: int, wait: str, worth: bool) -> None:
    """A wait that no SDK takes is passed on, and repeating is not advised."""
    error = refusal(status, {"Retry-After": wait}, body(message="m"), NOW)

    assert (int(wait), worth) == (error.retry_after_s, error.should_retry)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 504])
def test_not_worth_repeating(status: int) -> None:
    """What a second try would not mend, or might bill twice, is not to be repeated."""
    assert not refusal(status, {"Retry-After": "1"}, body(message="m"), NOW).should_retry


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("2", 2, id="seconds"),
        pytest.param(" 2 ", 2, id="white space"),
        pytest.param("0", 0, id="now"),
        pytest.param("86400", 86400, id="a day"),
        pytest.param("99999999999", 10**9, id="for ever"),
        pytest.param("9" * 5000, None, id="5000 digits"),
        pytest.param("Mon, 21 Sep 2026 14:13:30 GMT", 10, id="date"),
        pytest.param("Mon, 21 Sep 2026 14:13:10 GMT", 0, id="date gone by"),
        pytest.param("Mon, 21 Sep 2026 16:13:30 +0200", 10, id="date with a zone"),
        pytest.param("Mon, 21 Sep 2026 14:13:30 -0000", 10, id="date with no zone"),
        pytest.param("Mon Sep 21 14:13:30 2026", 10, id="asctime"),
        pytest.param("Monday, 21-Sep-26 14:13:30 GMT", 10, id="RFC 850"),
        pytest.param("", None, id="nothing"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("NaN", None, id="NaN"),
        pytest.param("soon", None, id="word"),
        pytest.param("٣", None, id="Arabic digit"),
        pytest.param("²", None, id="superscript"),
        pytest.param("Mon, 99 Sep 2026 14:13:30 GMT", None, id="day 99"),
        pytest.param("Mon, 21 Sep 10000 14:13:30 GMT", None, id="year 10000"),
    ],
)
def test_retry_after(value: str, seconds: int | None, elsewhere: None) -> None:
    """A Retry-After in any of its forms is understood, on a machine in any time zone."""
    assert seconds == retry_after_s(value, NOW)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine stands in a zone that is far from UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ+07:30")
        time.tzset()
        yield
    time.tzset()


weird = st.text(max_size=20) | st.from_regex(
    r"\A[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d [+-]?\w*\Z"
)


@given(weird)
@example("9" * 5000)
@example("Fri, 31 Dec 9999 23:59:59 -9999")
@example("Sat, 01 Jan 0001 00:00:00 +2359")
@quick
def test_retry_after_of_anything(value: str) -> None:
    """Whatever the header holds, the answer is a wait or None."""
    seconds = retry_after_s(value, NOW)

    assert seconds is None or seconds >= 0


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud83d")
names = st.sampled_from(["message", "code", "metadata", "availability", "error_type", "retry_after", "reason"])
anything = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4))
answer = st.binary(max_size=30) | st.builds(lambda error: json.dumps({"error": error}).encode(), anything)


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@given(st.integers(100, 599), st.dictionaries(st.sampled_from(["Retry-After", "X-RateLimit-Reset"]), weird), answer)
@quick
def test_refusal_of_anything(status: int, headers: dict[str, str], said: bytes) -> None:
    """Whatever OpenRouter answers, the app is told an error of 4xx or 5xx that every JSON parser reads."""
    error = refusal(status, headers, said, NOW)
    wire = json.loads(dump(error_object(error)), parse_constant=_no_constant)

    assert 400 <= error.status <= 599
    assert wire["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param({"code": 429}, 429, id="number"),
        pytest.param({"code": 429, "http_status": 503}, 429, id="both"),
        pytest.param({"http_status": 429}, 429, id="http_status"),
        pytest.param({"code": "capacity_exhausted", "http_status": 429}, 429, id="name and http_status"),
        pytest.param({"code": "rate_limit"}, 502, id="name"),
        pytest.param({"code": 200}, 502, id="not an error"),
        pytest.param({"code": 1000}, 502, id="no status"),
        pytest.param({"code": True}, 502, id="bool"),
        pytest.param({"code": None}, 502, id="null"),
        pytest.param({}, 502, id="nothing"),
        pytest.param("text", 502, id="text"),
        pytest.param(None, 502, id="no object"),
    ],
)
def test_status_of(error: object, status: int) -> None:
    """An error inside a 200 stands for the status it names, else for a failed upstream."""
    assert status == status_of(error)


def test_status_of_default() -> None:
    """The caller may say what an unnamed status stands for."""
    assert 418 == status_of({}, 418)


def test_error_inside_a_plain_answer() -> None:
    """The documented error inside a 200 becomes the error of its code, with OpenRouter's name for it."""
    status, said = recorded("non-stream error inside the body")
    error = plain(CHAT, said)[1].error

    assert (200, 502) == (status, status_of(error))
    assert (errors.UpstreamFailed, 502, "provider_unavailable", None, False) == told(from_error(502, error, {}, NOW))


def test_error_inside_a_stream() -> None:
    """The documented error event of a stream becomes the error of its code."""
    meter = CHAT.meter({})
    meter.feed(RECORDED["mid-stream error chunk (documented)"]["sse"].encode() + b"\n\n")
    error = meter.reading.error

    assert 429 == status_of(error)
    assert (errors.RateLimited, 429, "rate_limit_exceeded", None, True) == told(from_error(429, error, {}, NOW))


def test_affordable_tokens() -> None:
    """A 402 that says how many tokens can be afforded tells it as a figure; others tell none."""
    said = "You requested up to 32000 tokens, but can only afford 27342. To increase, visit …"

    assert {"affordable_max_tokens": 27342} == from_error(402, {"message": said}, {}, 0.0).details
    assert from_error(402, {"message": "Insufficient credits."}, {}, 0.0).details is None
    assert from_error(400, {"message": said}, {}, 0.0).details is None
