"""The gateway's routes as an OpenAPI 3.1 document, put together from what validates and answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import field

from app.core import errors, refusals
from app.core.errors import GatewayError, Json
from app.core.forms import Parameter, Schema
from app.core.frozen import frozen
from app.core.styles import Style, style_of

JSON = "application/json"
EVENTS = "text/event-stream"
_ANY: Schema = {}
"""OpenAPI 3.1 has no words for the events of a stream; a text would be wrong for tools that take it apart."""

_DOOR = (errors.Unauthenticated, errors.Forbidden, errors.WrongHost, GatewayError)
_OPEN_DOOR = (errors.Forbidden, errors.WrongHost, GatewayError)
_BODY = (errors.BadRequest, errors.TooLarge, errors.UnsupportedMediaType)
_ASKS = (errors.UpstreamFailed, errors.Unavailable, errors.TimedOut)

_EVERY = {
    "x-request-id": "The request, for the log.",
    "x-orgate-call-id": "The call, for GET /calls/ID.",
}
_COUNTED = {
    "X-RateLimit-Limit": "Requests that the program may make in a while.",
    "X-RateLimit-Remaining": "How many of them are left.",
    "X-RateLimit-Reset": "When all are there again, in seconds since 1970.",
}
_FAILED = {
    "x-should-retry": "Whether the same request may succeed soon; the OpenAI and Anthropic SDKs obey it.",
    "Retry-After": "Seconds to wait.",
}
CALLED = {
    "X-Generation-Id": "OpenRouter's id of the generation.",
    "x-orgate-model": "The model that answered.",
    "x-orgate-provider": "Who ran it.",
    "x-orgate-response-cost": "Dollars, where known when the answer begins.",
    "x-orgate-overhead-duration-ms": "What the gateway itself took.",
    "x-orgate-attempted-fallbacks": "Models that were left behind.",
    "x-orgate-attempted-retries": "Attempts that were repeated.",
    "x-orgate-sanitized": "What ORGATE_SANITIZE did to the messages.",
    "x-orgate-agent": "The agent that was called.",
    "x-orgate-agent-overruled": "The program's fields that the agent has put aside.",
    "x-orgate-cache": "What the cache of answers did.",
    "Idempotency-Replayed": "true when the answer is one that was given before.",
}
"""What answers to calls tell beside."""

_ALWAYS = (*_EVERY, "x-should-retry")


@frozen
class Answer:
    """An answer that is no failure."""

    about: str
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    """By content type; none where there is no body."""
    headers: Mapping[str, str] = field(default_factory=dict)


@frozen
class Told:
    """What a route takes and gives."""

    answers: Mapping[int, Answer]
    path: tuple[Parameter, ...] = ()
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    body: Schema | None = None
    style: Style | None = None
    refuses: tuple[type[GatewayError], ...] = ()
    """Failures of its own, beside the door's."""
    asks: bool = False
    """It asks OpenRouter, and passes on what that refuses."""


@frozen
class Operation:
    """One route below one address."""

    method: str
    path: str
    name: str
    """Unlike that of any other."""
    about: str
    scope: str
    """Empty where no token is needed."""
    has_quota: bool
    told: Told


def document(operations: Iterable[Operation], version: str) -> dict[str, Json]:
    """The whole document."""
    paths: dict[str, Json] = defaultdict(dict)
    components = _Components()
    for operation in operations:
        paths[operation.path][operation.method.lower()] = _operation(operation, components)
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "orgate",
            "version": version,
            "description": "A person's own gateway to OpenRouter. Described is what the gateway itself reads and "
            "writes; other fields of requests and answers pass as they are.",
        },
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {"securitySchemes": schemes, **components.told()},
    }


def failures(operation: Operation) -> frozenset[int]:
    """Every status that this operation may refuse or fail with."""
    told = operation.told
    kinds: set[type[GatewayError]] = {*(_DOOR if operation.scope else _OPEN_DOOR), *told.refuses}
    if operation.has_quota:
        kinds.add(errors.RateLimited)
    if operation.method == "POST":
        kinds |= set(_BODY)
    if told.query or told.headers:
        kinds.add(errors.BadRequest)
    if told.path:
        kinds.add(errors.NotFound)
    statuses = {kind.status for kind in (*kinds, *(_ASKS if told.asks else ()))}
    return frozenset(statuses | (refusals.SHOWN if told.asks else frozenset()))


class _Components:
    """What operations share, named once."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, Json]] = defaultdict(dict)

    def put(self, kind: str, name: str, part: Json, of: str = "") -> dict[str, Json]:
        """A reference to this part; where another one has its name, `of` tells them apart."""
        known = self._parts[kind]
        name = name if known.get(name, part) == part else f"{of}_{name}"
        assert known.setdefault(name, part) == part, f"two different {kind} are named {name}"
        return {"$ref": f"#/components/{kind}/{name}"}

    def told(self) -> dict[str, Json]:
        """All of them."""
        return {kind: dict(sorted(parts.items())) for kind, parts in sorted(self._parts.items())}


def _operation(operation: Operation, components: _Components) -> dict[str, Json]:
    told, view = operation.told, operation.name.rpartition(".")[2]
    style = told.style or style_of(operation.path)
    answers = {
        str(status): _answer(answer, operation, components, f"{view}_{status}")
        for status, answer in told.answers.items()
    }
    # A status that the route answers by itself (503 of /health) has its own shape.
    failed = {
        str(status): _failure(status, style, components)
        for status in sorted(failures(operation))
        if status not in told.answers
    }
    parameters = [
        _parameter(place, parameter, components, view)
        for place, those in (("path", told.path), ("query", told.query), ("header", told.headers))
        for parameter in those
    ]
    written: dict[str, Json] = {
        "operationId": operation.name.replace(".", "_").replace("-", "_"),
        "summary": operation.about,
        "tags": [operation.scope or "open"],
        "security": [{"bearer": []}, {"x-api-key": []}] if operation.scope else [],
        "parameters": parameters,
        "responses": {**answers, **failed},
    }
    if operation.scope:
        written["description"] = f"Needs a token with the scope `{operation.scope}`."
    if told.body is not None:
        schema = components.put("schemas", f"{view}_request", told.body)
        written["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return written


def _parameter(place: str, parameter: Parameter, components: _Components, view: str) -> dict[str, Json]:
    written = {
        "name": parameter.name,
        "in": place,
        "description": parameter.about,
        "required": place == "path" or parameter.is_needed,
        "schema": parameter.schema(),
    }
    return components.put("parameters", parameter.name, written, view)


def _answer(answer: Answer, operation: Operation, components: _Components, name: str) -> dict[str, Json]:
    content = {
        kind: {"schema": components.put("schemas", name, schema) if kind == JSON else schema}
        for kind, schema in answer.schemas.items()
    }
    headers = {**_EVERY, **(_COUNTED if operation.scope else {}), **answer.headers}
    written = {"description": answer.about, "headers": _headers(headers, components)}
    return components.put("responses", name, {**written, **({"content": content} if content else {})})


def _failure(status: int, style: Style, components: _Components) -> dict[str, Json]:
    of_style = "" if style.error_schema == Style.error_schema else type(style).__name__
    schema = components.put("schemas", f"{of_style}Error", style.error_schema)
    written = {
        "description": _KINDS[status],
        "headers": _headers({**_EVERY, **_COUNTED, **_FAILED, **_AGENT}, components),
        "content": {JSON: {"schema": schema}},
    }
    return components.put("responses", f"{of_style}Error{status}", written)


def _headers(names: Mapping[str, str], components: _Components) -> dict[str, Json]:
    return {
        name: components.put(
            "headers",
            name,
            {"description": about, "required": name in _ALWAYS, "schema": {"type": "string"}},
        )
        for name, about in names.items()
    }


def _kinds() -> dict[int, str]:
    """What each status means: the types and the meaning of the errors that have it."""
    found: dict[int, list[str]] = defaultdict(list)
    kinds: list[type[GatewayError]] = [GatewayError, *GatewayError.__subclasses__()]
    for kind in kinds:
        found[kind.status].append(f"{kind.type}: {(kind.__doc__ or '').strip().splitlines()[0]}")
    for status in refusals.SHOWN:
        if status not in found:
            found[status].append("What OpenRouter refused.")
    return {status: " ".join(told) for status, told in found.items()}


_KINDS = _kinds()
_AGENT = {name: about for name, about in CALLED.items() if name.startswith("x-orgate-agent")}


def called(style: Style) -> Told:
    """What a call in this API style takes and gives, but for the headers that it reads."""
    streamed: dict[str, Schema] = {EVENTS: _ANY} if style.streams else {}
    answer = Answer("The answer of a model.", {JSON: style.answer_schema(), **streamed}, CALLED)
    return Told(
        answers={200: answer},
        body=style.schema(),
        style=style,
        refuses=(errors.InsufficientCredits, errors.NotFound, errors.Conflict),
        asks=True,
    )
