"""Calls: POST /chat/completions."""

from __future__ import annotations

import flask

from app.core import chat, sanitize
from app.core.calls import Call
from app.core.errors import Json
from app.core.shapes import dump
from app.services.relay import Delivery
from app.web import quotas
from app.web.state import app_of, services, settings, visit

bp = flask.Blueprint("proxy", __name__)

_PASSED = ("HTTP-Referer", "X-Title", "x-session-id", "anthropic-version", "anthropic-beta")
_PASSED_PREFIX = "x-openrouter-"


@bp.post("/chat/completions")
def chat_completions() -> flask.Response:
    """The answer to a chat, whole or as events, from the model that the app named."""
    here = visit()
    wish = chat.read(here.body)
    checked = sanitize.sanitize(here.body, settings().sanitize, settings().max_message_chars)
    call = Call(
        id=here.id,
        app=app_of().app,
        endpoint="/chat/completions",
        model=wish.model,
        fallbacks=wish.fallbacks,
        stream=wish.stream,
        body=dump(checked.body) if checked.changed else here.raw,
        headers=_upstream_headers(wish.stream),
        started=here.started,
    )
    response = _relayed(call)
    if checked.changed:
        response.headers["x-orgate-sanitized"] = checked.told
    return response


def _relayed(call: Call) -> flask.Response:
    slot = services().slots.take()
    try:
        quotas.take("chat")
        delivery = services().relay.deliver(call)
        response = _response(delivery)
    except BaseException:
        slot.give_back()
        raise
    response.call_on_close(slot.give_back)
    return response


def _response(delivery: Delivery) -> flask.Response:
    response = flask.Response(delivery.body, content_type=delivery.content_type)
    for name, value in delivery.headers.items():
        response.headers[name] = value
    if not isinstance(delivery.body, bytes):
        # Proxies that stand between, such as nginx in front of a container, must not gather events either.
        response.headers["X-Accel-Buffering"] = "no"
    return response


def _upstream_headers(stream: bool) -> dict[str, Json]:
    """The app's headers that OpenRouter may see, the owner's attribution where the app has none, the owner's extras."""
    given = flask.request.headers
    sent = {name: value for name in _PASSED if (value := given.get(name, "").strip())}
    sent |= {name: value.strip() for name, value in given.items() if name.lower().startswith(_PASSED_PREFIX)}
    mine = settings()
    if mine.site_url and "HTTP-Referer" not in sent:
        sent["HTTP-Referer"] = mine.site_url
    if mine.site_name and "X-Title" not in sent and "X-Openrouter-Title" not in sent:
        sent["X-Title"] = mine.site_name
    accept = "text/event-stream" if stream else "application/json"
    return {"Accept": accept, **sent, **mine.extra_headers}
