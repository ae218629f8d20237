"""GET /events: what happens, as server-sent events (HTML Living Standard §9.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import flask

from app.core.errors import GatewayError, Json, Unavailable
from app.core.forms import ANY_TEXT, Parameter
from app.core.frozen import frozen
from app.core.grants import OWNER, Grant
from app.core.money import dollars_if_known
from app.core.notices import PAUSED, RESUMED, Notice, told
from app.core.openapi import EVENTS, Answer, Told
from app.core.pauses import EVERYBODY
from app.core.ports import Clock, Peer
from app.core.shapes import dump
from app.services.bulletin import Reader
from app.web import auth, quotas
from app.web.credits import forecast_shape, moment
from app.web.peer import peer_of
from app.web.state import app_of, services
from app.web.told import tells

bp = flask.Blueprint("events", __name__)

_LOOK_S = 0.5
"""So often it is looked whether the app is still there."""

_COMMENT_S = 15.0
_ABOUT_MONEY = frozenset({"credits.status", "credits.low", "credits.purchased", "key.low"})


_SINCE = Parameter("Last-Event-ID", ANY_TEXT, "The last event that was seen: those after it are repeated.")


@bp.get("/events")
@tells(
    Told(
        {200: Answer("The state as it is, then what happens, as it happens.", {EVENTS: {}})},
        headers=(_SINCE,),
        refuses=(Unavailable,),
    )
)
def events() -> flask.Response:
    """The state as of now, then every notice as it comes; `Last-Event-ID` has those repeated that were missed."""
    quotas.take("models")
    mine, grant, token = services(), app_of(), auth.token_of(flask.request.environ)
    reader = mine.bulletin.reader(_last_id(flask.request.headers.get(_SINCE.name, "")))
    try:
        listening = _Listening(
            reader=reader,
            grant=grant,
            peer=peer_of(flask.request.environ),
            clock=mine.clock,
            counts=lambda: mine.tokens.verify(token),
        )
        response = flask.Response(_events(listening, _state(grant)), content_type="text/event-stream")
    except BaseException:
        reader.close()
        raise
    response.call_on_close(reader.close)
    response.headers["X-Accel-Buffering"] = "no"
    return response


@frozen
class _Listening:
    """One app that listens, and what is needed after its request is gone."""

    reader: Reader
    grant: Grant
    peer: Peer
    clock: Clock
    counts: Callable[[], Grant]
    """Raises GatewayError once the token no longer counts."""


def _events(listening: _Listening, state: Json) -> Iterator[bytes]:
    reader, clock = listening.reader, listening.clock
    yield _event(reader.since, "state", state)
    spoke_at = clock.monotonic()
    while not (listening.peer.left() or listening.peer.stalled()):
        found = reader.more(_LOOK_S)
        if found is None:
            return
        said = b"".join(_event(one.id, one.kind, told(one)) for one in found if _may_see(listening.grant, one))
        if not said and clock.monotonic() - spoke_at < _COMMENT_S:
            continue
        try:
            listening.counts()
        except GatewayError:
            return
        yield said or b": nothing new\n\n"
        spoke_at = clock.monotonic()
    # It has left, or takes nothing any more: what still waits for it is of no use.
    listening.peer.cut()


def _event(number: int, name: str, data: Json) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, name.encode(), dump(data))


def _may_see(grant: Grant, notice: Notice) -> bool:
    """The owner's tools see all; an app what is about itself, pauses of everything, and the money it may ask for."""
    if grant.app == OWNER or notice.app == grant.app:
        return True
    if notice.app is not None:
        return False
    return notice.kind in (PAUSED, RESUMED) or (notice.event in _ABOUT_MONEY and "credits" in grant.scopes)


def _last_id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def _state(grant: Grant) -> dict[str, Json]:
    """All that later notices are changes of."""
    owner = grant.app == OWNER
    paused = services().pauses.paused()
    return {
        "credits": _credits() if owner or "credits" in grant.scopes else None,
        "breakers": services().breakers.state(),
        "paused": sorted(app for app in paused if owner or app in (EVERYBODY, grant.app)),
    }


def _credits() -> dict[str, Json] | None:
    """The balance as far as it is known, money as decimal strings; what is not known is being asked for."""
    credits = services().credits
    with suppress(GatewayError):
        balance = credits.peek()
        if balance is None or balance.stale:
            credits.kept.refresh()
        if balance is not None:
            figures, key = balance.figures, balance.figures.key
            return {
                "total": dollars_if_known(figures.total),
                "used": dollars_if_known(figures.used),
                "remaining": dollars_if_known(figures.remaining),
                "source": figures.source,
                "as_of": moment(balance.fetched_at),
                "age_s": round(balance.age_s, 3),
                "stale": balance.stale,
                "estimated": balance.estimated,
                "key_limit": dollars_if_known(key.limit) if key else None,
                "key_remaining": dollars_if_known(key.limit_remaining) if key else None,
                "key_resets": key.limit_reset if key else None,
                "free_requests": key.free_requests if key else None,
                "forecast": forecast_shape(credits.forecast(figures.remaining), dollars_if_known),
            }
    return None
