from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.attempts import Cause, Phase
from app.core.errors import GatewayError, TimedOut, UpstreamFailed
from app.core.refusals import from_error, refusal, status_of
from app.core.styles import CHAT
from app.core.verdict import counts_against_model, may_be_billed, of_failure, of_refusal
from tests.core.quick import quick
from tests.core.styles.streams import plain

DATA = Path(__file__).parents[1] / "data"
NOW = 1_790_000_000.0

RECORDED = {entry["what"]: entry for entry in json.loads((DATA / "error_bodies.json").read_bytes())}

CAUSES = {
    "models[] longer than 3": Cause.REQUEST,
    "context length (all endpoints failed)": Cause.TOO_LONG,
    "no Authorization header": Cause.KEY,
    "revoked/unknown key": Cause.KEY,
    "affordability pre-flight (credit balance)": Cause.MONEY,
    "affordability, several endpoints tried": Cause.MONEY,
    "never purchased": Cause.MONEY,
    "in-flight spending budget (transient, Retry-After present)": Cause.BUSY,
    "per-key limit spent (older text form)": Cause.MODEL,
    "/credits with wrong key kind": Cause.MODEL,
    "free daily cap": Cause.DAILY,
    "upstream pool busy on :free": Cause.BUSY,
    "all providers at capacity (availability object)": Cause.BUSY,
    "unknown model (availability object)": Cause.MODEL,
    "provider.only excluded everything": Cause.MODEL,
    "guardrail": Cause.POLICY,
    "coinbase": Cause.MODEL,
    "non-stream error inside the body": Cause.BROKEN,
    "mid-stream error chunk (documented)": Cause.BUSY,
    "mid-stream error chunk (recorded; note finish_reason null, usage present, [DONE] follows)": Cause.REQUEST,
}
WORDED = {
    400: Cause.REQUEST,
    401: Cause.KEY,
    402: Cause.MONEY,
    403: Cause.MODEL,
    404: Cause.MODEL,
    405: Cause.MODEL,
    408: Cause.BROKEN,
    409: Cause.MODEL,
    410: Cause.MODEL,
    413: Cause.REQUEST,
    418: Cause.MODEL,
    422: Cause.REQUEST,
    429: Cause.BUSY,
    451: Cause.MODEL,
    500: Cause.BROKEN,
    501: Cause.MODEL,
    502: Cause.BROKEN,
    503: Cause.BUSY,
    504: Cause.MODEL,
    524: Cause.MODEL,
    529: Cause.BUSY,
}
BARE = {
    **dict.fromkeys((204, 402, 403, 404, 408, 429, 451, 500, 502, 503, 504, 520, 524, 529, 530), Cause.LOST),
    **dict.fromkeys((301, 302, 307, 308, 400, 413, 422), Cause.REQUEST),
    **dict.fromkeys((521, 522, 523, 525, 526), Cause.UNSENT),
    401: Cause.KEY,
}


def inside_an_answer(entry: dict[str, Any]) -> Cause:
    """The cause behind an error inside a 200."""
    said = (DATA / entry["body_file"]).read_bytes() if "body_file" in entry else entry.get("sse", "").encode() + b"\n\n"
    if "body" in entry:
        reading = plain(CHAT, json.dumps(entry["body"]).encode())[1]
    else:
        meter = CHAT.meter({})
        meter.feed(said)
        reading = meter.reading
    status = status_of(reading.error)
    return of_refusal(status, from_error(status, reading.error, {}, NOW), worded=True)


def worded(status: int, **error: Any) -> Cause:
    """The cause behind this status with this error object."""
    return of_refusal(status, from_error(status, error, {}, NOW), worded=True)


def test_all_refusals_are_known() -> None:
    """Every recorded body that carries an error has its cause here."""
    harmless = {"/credits with an ordinary inference key, funded account: all zeros"}

    assert RECORDED.keys() - harmless == CAUSES.keys()


@pytest.mark.parametrize("what", CAUSES)
def test_recorded_refusal(what: str) -> None:
    """A recorded refusal is known by its status and its fields, wherever it stood."""
    entry = RECORDED[what]
    if entry["status"] == 200:
        cause = inside_an_answer(entry)
    else:
        body = (DATA / entry["body_file"]).read_bytes() if "body_file" in entry else json.dumps(entry["body"]).encode()
        cause = of_refusal(entry["status"], refusal(entry["status"], {}, body, NOW), worded=True)

    assert CAUSES[what] == cause


@pytest.mark.parametrize(("status", "cause"), WORDED.items())
def test_worded_status(status: int, cause: Cause) -> None:
    """A JSON refusal is judged by its status when it says nothing more."""
    assert cause == worded(status, code=status, message="m")


@pytest.mark.parametrize(("status", "cause"), BARE.items())
def test_bare_status(status: int, cause: Cause) -> None:
    """A status without OpenRouter's words may hide an answer that is billed, except where it cannot."""
    assert cause == of_refusal(status, refusal(status, {}, b"<html>", NOW), worded=False)


@pytest.mark.parametrize("status", range(200, 600))
def test_bare_status_is_not_repeated(status: int) -> None:
    """Without OpenRouter's words nothing counts as a refusal for the moment that may be sent again at no cost."""
    cause = of_refusal(status, refusal(status, {}, b"", NOW), worded=False)

    assert cause in (Cause.LOST, Cause.REQUEST, Cause.KEY, Cause.UNSENT)
    assert (cause is Cause.UNSENT) == (status in (521, 522, 523, 525, 526))


@pytest.mark.parametrize(
    ("status", "error", "cause"),
    [
        pytest.param(402, {"metadata": {"reason": "in_flight_budget_exhausted"}}, Cause.BUSY, id="in flight"),
        pytest.param(
            402,
            {"metadata": {"reason": "weight_exceeds_budget", "limit_source": "openrouter_credits"}},
            Cause.MONEY,
            id="too heavy",
        ),
        pytest.param(402, {"metadata": {"limit_source": "openrouter_key_limit"}}, Cause.MONEY, id="key limit"),
        pytest.param(402, {"metadata": None}, Cause.MONEY, id="402 metadata null"),
        pytest.param(403, {"metadata": {"limit_source": "openrouter_key_limit"}}, Cause.MONEY, id="budget in 403"),
        pytest.param(403, {"metadata": {"flagged_input": "x", "reasons": []}}, Cause.POLICY, id="moderation"),
        pytest.param(403, {"metadata": {"error_type": "content_policy_violation"}}, Cause.POLICY, id="policy"),
        pytest.param(403, {"availability": {"code": "region_restricted"}}, Cause.MODEL, id="region"),
        pytest.param(400, {"metadata": {"error_type": "content_policy_violation"}}, Cause.POLICY, id="policy in 400"),
        pytest.param(400, {"metadata": {"error_type": "refusal"}}, Cause.POLICY, id="refusal in 400"),
        pytest.param(502, {"metadata": {"error_type": "content_policy_violation"}}, Cause.POLICY, id="policy in 502"),
        pytest.param(429, {"error_type": "refusal"}, Cause.POLICY, id="refusal in 429"),
        pytest.param(400, {"metadata": {"error_type": "context_length_exceeded"}}, Cause.TOO_LONG, id="too long"),
        pytest.param(400, {"error_type": "context_length_exceeded"}, Cause.TOO_LONG, id="too long, newer form"),
        pytest.param(413, {"metadata": {"error_type": "token_limit_exceeded"}}, Cause.TOO_LONG, id="too long in 413"),
        pytest.param(422, {"metadata": {"error_type": "string_too_long"}}, Cause.TOO_LONG, id="too long in 422"),
        pytest.param(400, {"metadata": {"error_type": "max_tokens_exceeded"}}, Cause.REQUEST, id="too many wanted"),
        pytest.param(400, {"metadata": {"error_type": "invalid_image"}}, Cause.REQUEST, id="invalid image"),
        *(
            pytest.param(400, {"error_type": "invalid_request", "availability": {"code": code}}, Cause.MODEL, id=code)
            for code in ("model_not_found", "wrong_endpoint", "model_deprecated", "free_variant_ended")
        ),
        pytest.param(400, {"availability": {"code": "something_new"}}, Cause.REQUEST, id="unknown availability"),
        pytest.param(400, {"availability": {"code": ["model_not_found"]}}, Cause.REQUEST, id="odd availability"),
        pytest.param(429, {"metadata": {"limit_source": "openrouter_free_tier_daily"}}, Cause.DAILY, id="free day"),
        pytest.param(429, {"metadata": {"limit_source": "openrouter_free_tier_minute"}}, Cause.BUSY, id="free minute"),
        pytest.param(429, {"metadata": {"provider_name": "Google", "raw": "x"}}, Cause.BUSY, id="provider"),
        pytest.param(503, {"availability": {"code": "temporarily_unavailable"}}, Cause.BUSY, id="503"),
        pytest.param(404, {"availability": {"code": "no_endpoints"}}, Cause.MODEL, id="no endpoints"),
    ],
)
def test_fields(status: int, error: dict[str, Any], cause: Cause) -> None:
    """Where the status leaves it open the fields of the refusal decide."""
    assert cause == worded(status, **error)


ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["refusal", "model_not_found", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
FIELDS = st.sampled_from(["error_type", "code", "reason", "limit_source", "previous_errors", "patterns"])
OBJECTS = ODD | st.dictionaries(FIELDS, ODD, max_size=3)


@given(st.integers(400, 599), st.dictionaries(st.sampled_from(["metadata", "availability", "error_type"]), OBJECTS))
@quick
def test_odd_refusal(status: int, error: dict[str, Any]) -> None:
    """A refusal of any shape has a cause, and only the documented statuses are repeated."""
    cause = worded(status, **error)

    assert cause is not Cause.BUSY or status in (402, 429, 503, 529)
    assert cause is not Cause.BROKEN or status in (408, 500, 502)
    assert cause is not Cause.KEY or status == 401
    assert cause not in (Cause.UNSENT, Cause.SILENT, Cause.LOST, Cause.EMPTY, Cause.LEFT)


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.name)
@pytest.mark.parametrize(
    ("error", "afterwards"),
    [(TimedOut("t"), Cause.SILENT), (UpstreamFailed("u"), Cause.LOST), (GatewayError("g"), Cause.LOST)],
    ids=["time-out", "broken", "other"],
)
def test_failure(error: GatewayError, afterwards: Cause, phase: Phase) -> None:
    """A connection that fails before the last byte of the request is out cost nothing, whatever the error is."""
    assert (Cause.UNSENT if phase.value < Phase.SENT.value else afterwards) == of_failure(error, phase)


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.name)
def test_cancelled(phase: Phase) -> None:
    """An attempt that was cancelled is no failure of the model, however far it had come."""
    assert Cause.LEFT == of_failure(UpstreamFailed("c", code="cancelled"), phase)


@pytest.mark.parametrize("phase", [Phase.NEW, Phase.CONNECTING], ids=lambda phase: phase.name)
def test_untrusted_certificate(phase: Phase) -> None:
    """A certificate that cannot be trusted is not asked for again, for this model or another."""
    assert Cause.REQUEST == of_failure(UpstreamFailed("t", code="upstream_tls_error"), phase)


def test_what_may_be_billed() -> None:
    """Only what was sent without a refusal may be billed."""
    assert {Cause.SILENT, Cause.LOST, Cause.EMPTY, Cause.LEFT} == {cause for cause in Cause if may_be_billed(cause)}


def test_what_counts_against_a_model() -> None:
    """The request's, the key's and the network's faults are not the model's."""
    mine = {Cause.BUSY, Cause.BROKEN, Cause.MODEL, Cause.SILENT, Cause.LOST, Cause.EMPTY}

    assert mine == {cause for cause in Cause if counts_against_model(cause, 504)}


def test_what_a_call_brought_on_itself() -> None:
    """A model that this request may not have is well."""
    assert not counts_against_model(Cause.MODEL, 404)
    assert counts_against_model(Cause.LOST, 404)
