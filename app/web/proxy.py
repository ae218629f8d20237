"""Calls: the POSTs that models answer, in every API style."""

from __future__ import annotations

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
from app.web import agents, answers, quotas
from app.web.answers import Answer, in_flask
from app.web.flow import Flow
from app.web.peer import peer_of
from app.web.state import Visit, key_of, visit
from app.web.told import json_of, tells

bp = flask.Blueprint("proxy", __name__)

_PASSED = tuple(
    (name, key_of(name)) for name in ("HTTP-Referer", "X-Title", "x-session-id", "anthropic-version", "anthropic-beta")
)
_PASSED_PREFIX = key_of("x-openrouter-")
_WISHES = {key_of(header.name): name for name, header in wishes.HEADERS.items()}
_ONCE = (key_of(idempotency.KEY.name), key_of(idempotency.MEMORY.name))
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
    return in_flask(answered(CHAT, visit()))


@bp.post("/messages")
@tells(_called(MESSAGES))
def messages() -> flask.Response:
    """The answer to Anthropic's Messages."""
    return in_flask(answered(MESSAGES, visit()))


@bp.post("/responses")
@tells(_called(RESPONSES))
def responses() -> flask.Response:
    """The answer to OpenAI's Responses."""
    return in_flask(answered(RESPONSES, visit()))


@bp.post("/completions")
@tells(_called(COMPLETIONS))
def completions() -> flask.Response:
    """The continuation of a prompt."""
    return in_flask(answered(COMPLETIONS, visit()))


@bp.post("/embeddings")
@tells(_called(EMBEDDINGS))
def embeddings() -> flask.Response:
    """Vectors."""
    return in_flask(answered(EMBEDDINGS, visit()))


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
    here = visit()
    wish = MESSAGES.read(here.body)
    checked = _checked(MESSAGES, here)
    preferences.translate(checked.body.get("provider"))
    sent = agents.preset_of(here, MESSAGES.endpoint, checked.body, wish.model, wish.fallbacks).body
    response = flask.Response(dump({"input_tokens": tokens.of_messages(sent)}), content_type="application/json")
    response.headers["x-orgate-estimated"] = "true"
    return response


def answered(style: Style, here: Visit) -> Answer:
    """The answer, whole or as events, from the first model of the app's chain that gives one; raises GatewayError."""
    grant, served = here.app, here.services
    wish = style.read(here.body)
    checked = _checked(style, here)
    wanted = _wishes(here)
    preset = agents.preset_of(here, style.endpoint, checked.body, wish.model, wish.fallbacks)
    asked = chain.models_of(preset.model, preset.fallbacks)
    models = tuple(dict.fromkeys(map(served.models.named, asked)))
    agent, own = preset.lends
    policy.check_models(grant, models, agent, tuple(map(served.models.named, own)))
    served.models.know(style.catalogue)
    models = policy.under_ceiling(grant, models, served.models.entry_of)
    changed = _changed(preset.body, here, style, models[0])
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
        headers=_upstream_headers(wish.stream, here),
        wishes=wanted,
        started=here.started,
        agent=preset.agent,
    )
    if checked.changed:
        here.sanitized = checked.told
    return _relayed(call, here)


def _checked(style: Style, here: Visit) -> Sanitized:
    return sanitize.sanitize(here.body, here.settings.sanitize, here.settings.max_message_chars, style)


def _wishes(here: Visit) -> Wishes:
    """The call's own wishes before the token's."""
    given = here.environ
    called = {_WISHES[key]: given[key] for key in _WISHES.keys() & given.keys()}
    return wishes.read({**here.app.wishes, **called})


def _changed(body: dict[str, Json], here: Visit, style: Style, model: str) -> dict[str, Json] | None:
    """The body without what the gateway does itself and in OpenRouter's spelling; None when it can go as it came."""
    preferred = _preferred(body.get("provider"), here.app)
    is_untouched = body is here.body and body.get("model") == model and not body.keys() & set(style.chain_fields)
    if preferred is None and is_untouched:
        return None
    changed = {**{name: value for name, value in body.items() if name not in style.chain_fields}, "model": model}
    return changed if preferred is None else {**changed, "provider": preferred}


def _preferred(given: Json, grant: Grant) -> dict[str, Json] | None:
    """The provider preferences in OpenRouter's spelling, under the token's ceiling; None when they can stay."""
    translated = preferences.translate(given)
    ceiling = policy.ceiling(grant, translated or given)
    return translated if ceiling is None else {**(translated or given or {}), "max_price": ceiling}


def _relayed(call: Call, here: Visit) -> Answer:
    key, memory = map(here.environ.get, _ONCE)
    once = idempotency.read(key, memory, call.endpoint, call.raw)
    slot = here.services.slots.take()
    try:
        delivery = here.services.repeats.deliver(call, once, peer_of(here.environ, here.begin))
    except BaseException:
        slot.give_back()
        raise
    return _handed_out(delivery, slot)


def _handed_out(delivery: Delivery, slot: Place) -> Answer:
    headers = list(delivery.headers.items())
    if isinstance(delivery.body, bytes):
        slot.give_back()
        return Answer(delivery.body, delivery.content_type, headers)
    headers.append(answers.UNGATHERED)
    return Answer(Flow(delivery.body, slot.give_back), delivery.content_type, headers)


def _upstream_headers(stream: bool, here: Visit) -> dict[str, str]:
    """The app's headers that OpenRouter may see, the owner's attribution where the app has none, the owner's extras."""
    given, mine = here.environ, here.settings
    sent = {name: value for name, key in _PASSED if (value := given.get(key, "").strip())}
    # One look at all the names: few apps send any of these.
    if _PASSED_PREFIX in " ".join(given):
        sent |= {
            key.removeprefix("HTTP_").replace("_", "-").title(): value.strip()
            for key, value in given.items()
            if key.startswith(_PASSED_PREFIX)
        }
    if mine.site_url and "HTTP-Referer" not in sent:
        sent["HTTP-Referer"] = mine.site_url
    if mine.site_name and "X-Title" not in sent and "X-Openrouter-Title" not in sent:
        sent["X-Title"] = mine.site_name
    accept = "text/event-stream" if stream else "application/json"
    return {"Accept": accept, **sent, **mine.extra_headers}
