"""What schemathesis makes of /openapi.json, on a gateway of its own in front of the sandbox, over real sockets."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.core.grants import CONTROL, SCOPES
from tests.gateway import Gateway

LONG = bool(os.environ.get("ORGATE_LONG"))
EXAMPLES = 60 if LONG else 12
PLENTY = "1000000 per minute"
MODELS = [
    "sandbox/ok",
    "sandbox/echo",
    "sandbox/error-in-200",
    "sandbox/choice-error",
    "sandbox/no-choices",
    "sandbox/garbage",
    "sandbox/cut",
    "sandbox/402-afford",
    "sandbox/403-guardrail",
    "sandbox/404-no-endpoints",
    "sandbox/429-free-daily",
    "openrouter/auto",
]
"""Whoever makes names up gets no answer but "there is no such model"; these go all the way."""

OURS = ("x-orgate-", "x-ratelimit-", "x-should-retry", "retry-after", "x-generation-id", "idempotency-")
ENDLESS = "/events"
"""Its answer has no end; it is tried by hand below."""


@pytest.fixture
def roomy(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway with quotas that nobody reaches."""
    return make_gateway(
        openrouter_background_refresh="false",
        orgate_rate_chat=PLENTY,
        orgate_rate_credits=PLENTY,
        orgate_rate_models=PLENTY,
    )


def _document(gateway: Gateway, mount: str) -> dict[str, Any]:
    told: dict[str, Any] = gateway.request("GET", f"{mount}/openapi.json").json()
    return told


def _with_models(document: dict[str, Any]) -> dict[str, Any]:
    """The document with models to choose from, so that calls are made."""
    some = {"type": "string", "enum": MODELS}
    for schema in document["components"]["schemas"].values():
        properties = schema.get("properties", {})
        if {"model", "models"} <= properties.keys():
            properties["model"] = some
            properties["models"] = {"type": "array", "items": some, "maxItems": 2}
            schema["required"] = [*schema.get("required", ()), "model"]
    return document


def _ask(operation: Any, mode: GenerationMode, token: str | None, examples: int) -> set[int]:
    """The statuses of the answers to requests made up for this operation, each answer checked."""
    seen: set[int] = set()
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    @seed(1)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        with requests.Session() as session:
            session.trust_env = False
            response = case.call(session=session, headers=headers, timeout=60)
        _check(case, response)
        seen.add(response.status_code)

    ask()
    return seen


def _check(case: Any, response: Any) -> None:
    """No 500, and nothing that the document does not tell: status, type, headers, shape."""
    assert response.status_code != 500, response.text
    case.validate_response(
        response,
        checks=[
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
        ],
    )
    described = case.operation.definition.raw["responses"][str(response.status_code)]
    document = case.operation.schema.raw_schema
    known = {name.lower() for name in _found(document, described).get("headers", {})}
    assert {name for name in response.headers if name.startswith(OURS)} <= known, case.operation.label


def _found(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The part itself, where it is told by a reference."""
    while "$ref" in part:
        found: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def _tried(
    gateway: Gateway, mount: str, token: str | None, *tags: str, examples: int = EXAMPLES
) -> dict[str, set[int]]:
    """The statuses that each operation was seen to answer; those with these scopes, all without any."""
    schema = schemathesis.openapi.from_dict(_with_models(_document(gateway, mount)))
    schema.config.update(base_url=gateway.base_url)
    found: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        told = operation.definition.raw
        if operation.path.endswith(ENDLESS) or (tags and told["tags"][0] not in tags):
            continue
        # Where nothing is asked for nothing can be wrong.
        modes = list(GenerationMode) if told["parameters"] or "requestBody" in told else [GenerationMode.POSITIVE]
        seen = (_ask(operation, mode, token, examples) for mode in modes)
        found[operation.label.removeprefix(f"{operation.method.upper()} {mount}")] = set().union(*seen)
    return found


EVERYWHERE = pytest.mark.parametrize("mount", ["" if LONG else "/v1"], ids=["everywhere" if LONG else "v1"])
"""The root's document has the routes below every address."""


@EVERYWHERE
def test_programs(roomy: Gateway, mount: str) -> None:
    """Whatever a program sends to any route, it gets no 500, and only what the document promises."""
    found = _tried(roomy, mount, roomy.token("fuzz", scopes=SCOPES))

    assert {200, 400, 403, 404} <= set().union(*found.values())


def test_every_end_of_a_call(roomy: Gateway) -> None:
    """However a call ends, it ends as promised; what is made up above does not meet every end in every run."""
    token = roomy.token("fuzz", scopes=SCOPES)
    schema = schemathesis.openapi.from_dict(_document(roomy, "/v1"))
    schema.config.update(base_url=roomy.base_url)
    operation = schema["/v1/chat/completions"]["POST"]

    seen = set()
    for model in MODELS:
        for stream in (False, True):
            body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
            case = operation.Case(body=body, media_type="application/json")
            response = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=60)
            _check(case, response)
            seen.add(response.status_code)

    assert {200, 402, 403, 404, 429, 502} <= seen


@EVERYWHERE
def test_owner(roomy: Gateway, mount: str) -> None:
    """The same holds for the owner's tools, which may pause, trim and accept."""
    found = _tried(roomy, mount, roomy.token("orgate", own=True), CONTROL)

    assert found
    assert all(200 in statuses for route, statuses in found.items() if not route.endswith("/trim"))


@EVERYWHERE
def test_strangers(roomy: Gateway, mount: str) -> None:
    """Without a token every route but health answers 401, in the shape that is promised."""
    found = _tried(roomy, mount, None, *SCOPES, CONTROL, examples=2)

    assert {401} == set().union(*found.values())


def test_events(roomy: Gateway) -> None:
    """The head of the endless answer is as promised, too."""
    described = _document(roomy, "/v1")["paths"]["/v1/events"]["get"]["responses"]

    with roomy.request("GET", "/v1/events", headers={"Last-Event-ID": "none"}, stream=True) as reply:
        told = _found(_document(roomy, "/v1"), described["200"])

        assert 200 == reply.status_code
        assert list(told["content"]) == [reply.headers["Content-Type"].partition(";")[0]]
        assert {name.lower() for name in reply.headers if name.lower().startswith(OURS)} <= {
            name.lower() for name in told["headers"]
        }
