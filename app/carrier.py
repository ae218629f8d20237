"""Makes the application of a carrier (app/workers); it only wires."""

from __future__ import annotations

import flask

from app.bootstrap.carrier import BuiltCarrier, build
from app.core.frozen import frozen
from app.factory import MOUNTS, bare, frame
from app.services.watch import Watch
from app.settings import Settings
from app.web import proxy
from app.web.carried import Carried
from app.web.peer import peer_of
from app.web.state import Web
from app.workers.lines import Lines
from app.workers.passing import Passing
from app.workers.places import SharedPlaces


@frozen
class Carrier:
    """A process that carries calls, and passes the rest on."""

    application: Passing
    built: BuiltCarrier


def create_carrier(settings: Settings, lines: Lines, places: SharedPlaces) -> Carrier:
    """A carrier's application, with what the keeper's orders are carried out on; raises SettingsError."""
    app = bare()
    built = build(settings, lines, places)
    frame(app, Web(built.calling, built.web))
    for mount in MOUNTS:
        api = flask.Blueprint(mount.strip("/").replace("/", "-"), __name__, url_prefix=mount)
        api.register_blueprint(proxy.bp)
        app.register_blueprint(api)
    watch = Watch(built.calling.events)
    may_answer = Carried(MOUNTS, built.calling.tokens)
    return Carrier(Passing(app, lines, watch, may_answer=may_answer, peer_of=peer_of), built)
