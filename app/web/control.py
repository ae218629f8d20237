"""What only the owner's own tools may do: stop apps from spending, reconcile, look after the ledger."""

from __future__ import annotations

import flask

from app.core import span
from app.core.errors import BadRequest, Json
from app.core.ledger import LedgerState
from app.core.money import dollars
from app.core.pauses import EVERYBODY
from app.core.shapes import dump
from app.services.reconcile import Reconciled
from app.web.state import services, visit
from app.web.usage import who_is_paused

bp = flask.Blueprint("control", __name__)


@bp.post("/pause")
def pause() -> flask.Response:
    """Take no more calls of an app, null for all apps, and end those that run; who is paused, and how many ended."""
    ended = services().relay.pause(_known(_app()))
    return _told({"paused": who_is_paused(services().pauses), "ended": ended})


@bp.post("/resume")
def resume() -> flask.Response:
    """Take an app's calls again; null lifts every pause. Who is paused still."""
    app = _app()
    if app not in (who_is_paused(services().pauses) or ()):
        _known(app)
    services().relay.resume(app)
    return _told({"paused": who_is_paused(services().pauses)})


@bp.post("/end")
def end() -> flask.Response:
    """End the running calls of an app, null for all apps, which may call again at once; how many those were."""
    return _told({"ended": services().relay.end_running(_known(_app()))})


@bp.post("/reconcile")
def reconcile() -> flask.Response:
    """Compare the ledger with OpenRouter now; what that has settled, and what it waits for."""
    return _told(_reconciled(services().reconciler.reconcile()))


@bp.get("/ledger")
def ledger() -> flask.Response:
    """How the ledger is."""
    return _told(state_shape(services().ledger.state()))


@bp.post("/ledger/trim")
def ledger_trim() -> flask.Response:
    """Remove the attempts from before a moment, a day ago at the latest; their sums stay. How many those were."""
    before = trim_moment(_text("before"), services().clock.now())
    return _told({"removed": services().ledger.trim(before), "before": span.iso(before)})


@bp.post("/ledger/accept")
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
    return EVERYBODY if body["app"] is None else _text("app")


def _known(app: str) -> str:
    """The app, if there is one; raises NotFound, since a slip of the pen would stop nobody."""
    if app != EVERYBODY:
        services().office.check_known(app)
    return app


def _text(name: str) -> str:
    value = visit().body.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{name} must be a text.", param=name)
    return value


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
