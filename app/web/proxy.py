"""Calls: the POSTs that models answer, in every API style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import flask

from app.core import chain, forms, idempotency, policy, preferences, sanitize, tokens, wishes
from app.core.calls import Call
from app.core.errors import Json
from app.core.forms import Parameter
from app.core.grants import Grant
from app.core.openapi import Told, called
from app.core.sanitize import Sanitized
from app.core.shapes import dump
from app.core.shared import Place
from app.core.styles import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Style
from app.core.wishes import Wishes
from app.services.relay import Delivery
from app.web import agents, quotas
from app.web.flow import Flow
from app.web.peer import peer_of
from app.web.state import app_of, calling, settings, visit
from app.web.told import json_of, tells

bp = flask.Blueprint("proxy", __name__)

_PASSED = tuple(
    (name, name.lower()) for name in ("HTTP-Referer", "X-Title", "x-session-id", "anthropic-version", "anthropic-beta")
)
_PASSED_PREFIX = "x-openrouter-"
_WISHES = tuple((name, header.name.lower()) for name, header in wishes.HEADERS.items())
_HEADERS = (
    *wishes.HEADERS.values(),
    idempotency.KEY,
    idempotency.MEMORY,
    *(Parameter(name, forms.ANY_TEXT, "Passed on to OpenRouter.") for name, _ in _PASSED),
)


def _called(style: Style) -> Told:
    return replace(called(style), headers=_HEADERS)


@bp.post("/chat/completions")
@tells(_called(CHAT))
def chat_completions() -> flask.Response:
    """The answer to a chat."""
    return _answered(CHAT)


@bp.post("/messages")
@tells(_called(MESSAGES))
def messages() -> flask.Response:
    """The answer to Anthropic's Messages."""
    return _answered(MESSAGES)


@bp.post("/responses")
@tells(_called(RESPONSES))
def responses() -> flask.Response:
    """The answer to OpenAI's Responses."""
    return _answered(RESPONSES)


@bp.post("/completions")
@tells(_called(COMPLETIONS))
def completions() -> flask.Response:
    """The continuation of a prompt."""
    return _answered(COMPLETIONS)


@bp.post("/embeddings")
@tells(_called(EMBEDDINGS))
def embeddings() -> flask.Response:
    """Vectors."""
    return _answered(EMBEDDINGS)


@bp.post("/messages/count_tokens")
@tells(
    Told(
        {200: json_of("A guess.", {"input_tokens": "integer"}, x_orgate_estimated="true: OpenRouter does not count.")},
        body=MESSAGES.schema(),
        style=MESSAGES,
    )
)
def count_tokens() -> flask.Response:
    """How many tokens such messages have, with the agent's; by a guess of our own: OpenRouter does not count them."""
    quotas.take("models")
    wish = MESSAGES.read(visit().body)
    checked = _checked(MESSAGES)
    preferences.translate(checked.body.get("provider"))
    sent = agents.preset_of(MESSAGES.endpoint, checked.body, wish.model, wish.fallbacks).body
    response = flask.Response(dump({"input_tokens": tokens.of_messages(sent)}), content_type="application/json")
    response.headers["x-orgate-estimated"] = "true"
    return response


def _answered(style: Style) -> flask.Response:
    """The answer, whole or as events, from the first model of the app's chain that gives one."""
    here, grant, served, given = visit(), app_of(), calling(), _given()
    wish = style.read(here.body)
    checked = _checked(style)
    wanted = _wishes(grant, given)
    preset = agents.preset_of(style.endpoint, checked.body, wish.model, wish.fallbacks)
    asked = chain.models_of(preset.model, preset.fallbacks)
    models = tuple(dict.fromkeys(map(served.models.named, asked)))
    agent, own = preset.lends
    policy.check_models(grant, models, agent, tuple(map(served.models.named, own)))
    served.models.know(style.catalogue)
    models = policy.under_ceiling(grant, models, served.models.entry_of)
    changed = _changed(preset.body, grant, style, models[0])
    plan = chain.Plan(
        models=models,
        retry_ambiguous=wanted.retry_ambiguous,
        past_policy=wanted.past_policy,
        clamp=wanted.clamp and bool(style.limits),
        context_of=served.models.context_of,
    )
    call = Call(
        id=here.id,
        grant=grant,
        endpoint=style.endpoint,
        plan=plan,
        stream=wish.stream,
        raw=here.raw,
        changed=changed,
        body=here.body if changed is None else changed,
        headers=_upstream_headers(wish.stream, given),
        wishes=wanted,
        started=here.started,
        agent=preset.agent,
    )
    response = _relayed(call, given)
    if checked.changed:
        response.headers["x-orgate-sanitized"] = checked.told
    return response


def _given() -> dict[str, str]:
    """The request's headers by their names in small letters."""
    return {name.lower(): value for name, value in flask.request.headers.items()}


def _checked(style: Style) -> Sanitized:
    return sanitize.sanitize(visit().body, settings().sanitize, settings().max_message_chars, style)


def _wishes(grant: Grant, given: Mapping[str, str]) -> Wishes:
    """The call's own wishes before the token's."""
    called = {name: given[header] for name, header in _WISHES if header in given}
    return wishes.read({**grant.wishes, **called})


def _changed(body: dict[str, Json], grant: Grant, style: Style, model: str) -> dict[str, Json] | None:
    """The body without what the gateway does itself and in OpenRouter's spelling; None when it can go as it came."""
    preferred = _preferred(body.get("provider"), grant)
    is_untouched = body is visit().body and body.get("model") == model and not body.keys() & set(style.chain_fields)
    if preferred is None and is_untouched:
        return None
    changed = {**{name: value for name, value in body.items() if name not in style.chain_fields}, "model": model}
    return changed if preferred is None else {**changed, "provider": preferred}


def _preferred(given: Json, grant: Grant) -> dict[str, Json] | None:
    """The provider preferences in OpenRouter's spelling, under the token's ceiling; None when they can stay."""
    translated = preferences.translate(given)
    ceiling = policy.ceiling(grant, translated or given)
    return translated if ceiling is None else {**(translated or given or {}), "max_price": ceiling}


def _relayed(call: Call, given: Mapping[str, str]) -> flask.Response:
    key, memory = (given.get(header.name.lower()) for header in (idempotency.KEY, idempotency.MEMORY))
    once = idempotency.read(key, memory, call.endpoint, call.raw)
    slot = calling().slots.take()
    try:
        delivery = calling().repeats.deliver(call, once, peer_of(flask.request.environ))
    except BaseException:
        slot.give_back()
        raise
    return _response(delivery, slot)


def _response(delivery: Delivery, slot: Place) -> flask.Response:
    headers = list(delivery.headers.items())
    if isinstance(delivery.body, bytes):
        slot.give_back()
        return flask.Response(delivery.body, headers=headers, content_type=delivery.content_type)
    # Proxies that stand between, such as nginx in front of a container, must not gather events either.
    headers.append(("X-Accel-Buffering", "no"))
    flow = Flow(delivery.body, slot.give_back)
    return flask.Response(flow, headers=headers, content_type=delivery.content_type, direct_passthrough=True)


def _upstream_headers(stream: bool, given: Mapping[str, str]) -> dict[str, str]:
    """The app's headers that OpenRouter may see, the owner's attribution where the app has none, the owner's extras."""
    sent = {name: value for name, header in _PASSED if (value := given.get(header, "").strip())}
    sent |= {name.title(): value.strip() for name, value in given.items() if name.startswith(_PASSED_PREFIX)}
    mine = settings()
    if mine.site_url and "HTTP-Referer" not in sent:
        sent["HTTP-Referer"] = mine.site_url
    if mine.site_name and "X-Title" not in sent and "X-Openrouter-Title" not in sent:
        sent["X-Title"] = mine.site_name
    accept = "text/event-stream" if stream else "application/json"
    return {"Accept": accept, **sent, **mine.extra_headers}
