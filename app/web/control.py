"""What only the owner's own tools may do: stop apps from spending, reconcile, look after the ledger."""

from __future__ import annotations

import flask

from app.core import span
from app.core.errors import BadRequest, Json, NotFound, Unavailable
from app.core.forms import Field, Kind, form
from app.core.ledger import LedgerState
from app.core.money import dollars
from app.core.openapi import Told
from app.core.pauses import EVERYBODY
from app.core.shapes import dump
from app.services import statement
from app.services.reconcile import Reconciled
from app.web.state import services, visit
from app.web.told import json_of, tells
from app.web.usage import PAUSED

bp = flask.Blueprint("control", __name__)

_APP = Field(
    "app",
    Kind("a text", {"type": ["string", "null"], "minLength": 1}, lambda value: value is None or _is_text(value)),
    "The name of an app, or null for all of them.",
    is_needed=True,
)
_BEFORE = Field(
    "before",
    Kind("a text", {"type": "string", "minLength": 1, "examples": ["30d"]}, lambda value: _is_text(value)),
    "The moment before which attempts are removed, a day ago at the latest.",
    is_needed=True,
)
_STATE: Json = {
    "path": "string",
    "size_bytes": "integer",
    "attempts": "integer",
    "oldest_at": "string?",
    "last_backup": "string?",
    "trouble": "string?",
    "locked": "string?",
}
_RECONCILED: Json = {
    "settled": "integer",
    "written_off": "integer",
    "open": "integer",
    "outside": "string?",
    "waits_s": "number?",
}
_OF_APPS = form((_APP,))


@bp.post("/pause")
@tells(
    Told(
        {200: json_of("Who is paused now.", {"paused": PAUSED, "ended": "integer"})},
        body=_OF_APPS,
        refuses=(NotFound, Unavailable),
    )
)
def pause() -> flask.Response:
    """Take no more calls of an app, null for all apps, and end those that run; who is paused, and how many ended."""
    ended = services().relay.pause(_known(_app()))
    return _told({"paused": statement.who_is_paused(services().pauses), "ended": ended})


@bp.post("/resume")
@tells(Told({200: json_of("Who is paused still.", {"paused": PAUSED})}, body=_OF_APPS, refuses=(NotFound, Unavailable)))
def resume() -> flask.Response:
    """Take an app's calls again; null lifts every pause. Who is paused still."""
    app = _app()
    if app not in (statement.who_is_paused(services().pauses) or ()):
        _known(app)
    services().relay.resume(app)
    return _told({"paused": statement.who_is_paused(services().pauses)})


@bp.post("/end")
@tells(Told({200: json_of("How many calls.", {"ended": "integer"})}, body=_OF_APPS, refuses=(NotFound, Unavailable)))
def end() -> flask.Response:
    """End the running calls of an app, null for all apps, which may call again at once; how many those were."""
    return _told({"ended": services().relay.end_running(_known(_app()))})


@bp.post("/reconcile")
@tells(Told({200: json_of("What was found.", _RECONCILED)}, body=form(()), asks=True))
def reconcile() -> flask.Response:
    """Compare the ledger with OpenRouter now; what that has settled, and what it waits for."""
    return _told(_reconciled(services().reconciler.reconcile()))


@bp.get("/ledger")
@tells(Told({200: json_of("The ledger's state.", _STATE)}, refuses=(Unavailable,)))
def ledger() -> flask.Response:
    """How the ledger is."""
    return _told(state_shape(services().ledger.state()))


@bp.post("/ledger/trim")
@tells(
    Told(
        {200: json_of("How many attempts went.", {"removed": "integer", "before": "string"})},
        body=form((_BEFORE,)),
        refuses=(Unavailable,),
    )
)
def ledger_trim() -> flask.Response:
    """Remove the attempts from before a moment, a day ago at the latest; their sums stay. How many those were."""
    before = trim_moment(_BEFORE.of(visit().body), services().clock.now())
    return _told({"removed": services().ledger.trim(before), "before": span.iso(before)})


@bp.post("/ledger/accept")
@tells(Told({200: json_of("Why apps waited.", {"accepted": "string?"})}, body=form(()), refuses=(Unavailable,)))
def ledger_accept() -> flask.Response:
    """Let apps with a budget spend again by what the ledger holds now; why they were not let, null if they were."""
    why = services().ledger.state().locked
    services().ledger.accept()
    return _told({"accepted": why})


def state_shape(state: LedgerState) -> dict[str, Json]:
    """The ledger's health as JSON; the size in bytes."""
    return {
        "path": state.path,
        "size_bytes": state.size_bytes,
        "attempts": state.attempts,
        "oldest_at": None if state.oldest_at is None else span.iso(state.oldest_at),
        "last_backup": state.last_backup,
        "trouble": state.trouble,
        "locked": state.locked,
    }


def trim_moment(text: str, now: float) -> float:
    """The moment before which attempts are removed, in seconds since 1970; raises BadRequest."""
    before = span.moment(text, now, "before")
    if before > now - span.DAY_S:
        raise BadRequest("The last day's attempts stay, reconciliation needs them: before is too late.", param="before")
    return before


def _app() -> str:
    """The app that the body names, EVERYBODY for null."""
    body = visit().body
    if "app" not in body:
        raise BadRequest("app is missing: the name of one, or null for all of them.", param="app")
    named = _APP.of(body)
    return EVERYBODY if named is None else str(named)


def _known(app: str) -> str:
    """The app, if there is one; raises NotFound, since a slip of the pen would stop nobody."""
    if app != EVERYBODY:
        services().office.check_known(app)
    return app


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and bool(value)


def _reconciled(found: Reconciled) -> dict[str, Json]:
    return {
        "settled": found.settled,
        "written_off": found.written_off,
        "open": found.open,
        "outside": None if found.outside is None else dollars(found.outside),
        "waits_s": None if found.waits_s is None else round(found.waits_s, 3),
    }


def _told(answer: dict[str, Json]) -> flask.Response:
    return flask.Response(dump(answer), content_type="application/json")
